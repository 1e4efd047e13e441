// SPDX-License-Identifier: GPL-2.0
/*
 * Lineage: devices, forks and deletion. A fork costs nothing but its record: it gets a serial number, and from then
 * on pages of the master are saved before they change (oracle_io.c). Deleting a snapshot walks the versions
 * that it owns and hands each to the next older snapshot, if that one needs it, or frees it. A
 * deleted device with sub-snapshots stays, invisible, until the last of them has gone.
 *
 * Invariants: children of a master are ordered by serial, and so are a page's versions; each version is on the list of
 * the youngest child with a serial number up to its own; a snapshot's candidates (oracle_unsure.c) were copied
 * at its fork and are its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_int.h"

void *oracle_alloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p) {
		fprintf(stderr, "multisnap: out of memory for the oracle\n");
		exit(2);
	}
	return p;
}

struct oracle *oracle_create(sector_t sectors)
{
	struct oracle *o = oracle_alloc(NULL, sizeof(*o));

	memset(o, 0, sizeof(*o));
	o->sectors = sectors;
	o->origin.o = o;
	o->origin.id = SNAPID_ORIGIN;
	page_map_init(&o->origin.own, 0);
	page_pool_init(&o->pool);
	return o;
}

static void in_flight_exit(struct in_flight *f)
{
	free(f->start);
	free(f->end);
	free(f->io);
}

static void device_exit(struct oracle *o, struct oracle_device *device)
{
	page_map_exit(&device->own, &o->pool);
	unsure_exit(&device->unsure);
}

static void device_destroy_below(struct oracle *o, struct oracle_device *device)
{
	while (device->newest_child) {
		struct oracle_device *child = device->newest_child;

		device->newest_child = child->older;
		device_destroy_below(o, child);
		device_exit(o, child);
		free(child);
	}
}

void oracle_destroy(struct oracle *o)
{
	if (!o)
		return;
	device_destroy_below(o, &o->origin);
	device_exit(o, &o->origin);
	page_pool_exit(&o->pool);
	in_flight_exit(&o->reads);
	in_flight_exit(&o->writes);
	free(o->by_id);
	free(o->free_slots);
	free(o->regions);
	free(o);
}

sector_t oracle_sectors(const struct oracle *o)
{
	return o->sectors;
}

/* ---- finding devices ---- */

/* Position of the first live snapshot with id >= @id. */
static u32 id_position(const struct oracle *o, snapid_t id)
{
	u32 low = 0, high = o->nr_live;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (o->by_id[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct oracle_device *oracle_device(struct oracle *o, snapid_t id)
{
	u32 i;

	if (id == SNAPID_ORIGIN)
		return &o->origin;
	i = id_position(o, id);
	return i < o->nr_live && o->by_id[i]->id == id ? o->by_id[i] : NULL;
}

snapid_t oracle_device_id(const struct oracle_device *device)
{
	return device->id;
}

struct oracle_device *oracle_device_master(const struct oracle_device *device)
{
	return device->master && !device->master->deleted ? device->master : NULL;
}

snapid_t oracle_next_id(const struct oracle *o, snapid_t id)
{
	u32 i = id_position(o, id);

	return i < o->nr_live ? o->by_id[i]->id : SNAPID_ORIGIN;
}

u64 oracle_nr_snapshots(const struct oracle *o)
{
	return o->nr_live;
}

struct oracle_device *oracle_newest(const struct oracle *o)
{
	return o->live_newest;
}

struct oracle_device *oracle_older(const struct oracle_device *device)
{
	return device->live_older;
}

u32 oracle_write_no(struct oracle *o)
{
	/* TAG_WRITE_MAX itself stands for "absent". */
	if (++o->last_write_no >= VALUE_ABSENT)
		o->last_write_no = 1;
	return o->last_write_no;
}

void oracle_preset(struct oracle *o, sector_t sector, u64 sectors, u32 write_no)
{
	oracle_apply(o, &o->origin, ORACLE_WRITE, sector, sectors, write_no);
}

/* ---- forks ---- */

static u32 slot_get(struct oracle *o)
{
	return o->nr_free_slots ? o->free_slots[--o->nr_free_slots] : ++o->last_slot;
}

static void slot_put(struct oracle *o, u32 slot)
{
	if (o->nr_free_slots == o->max_free_slots) {
		o->max_free_slots = o->max_free_slots ? o->max_free_slots * 2 : 64;
		o->free_slots = oracle_alloc(o->free_slots, o->max_free_slots * sizeof(*o->free_slots));
	}
	o->free_slots[o->nr_free_slots++] = slot;
}

struct oracle_device *oracle_fork_begin(struct oracle *o, snapid_t id, struct oracle_device *master)
{
	struct oracle_device *device = oracle_alloc(NULL, sizeof(*device));

	memset(device, 0, sizeof(*device));
	device->o = o;
	device->id = id;
	device->slot = slot_get(o);
	device->serial = ++o->last_serial;
	device->forking = true;
	page_map_init(&device->own, VALUE_ABSENT);
	unsure_copy(&device->unsure, &master->unsure);
	device->master = master;
	device->older = master->newest_child;
	if (device->older)
		device->older->younger = device;
	master->newest_child = device;
	o->nr_forking++;
	o->changes++;
	return device;
}

static void by_id_add(struct oracle *o, struct oracle_device *device)
{
	u32 i = id_position(o, device->id);

	if (o->nr_live == o->max_live) {
		o->max_live = o->max_live ? o->max_live * 2 : 64;
		o->by_id = oracle_alloc(o->by_id, o->max_live * sizeof(*o->by_id));
	}
	memmove(&o->by_id[i + 1], &o->by_id[i], (o->nr_live - i) * sizeof(*o->by_id));
	o->by_id[i] = device;
	o->nr_live++;
}

static void by_id_remove(struct oracle *o, struct oracle_device *device)
{
	u32 i = id_position(o, device->id);

	o->nr_live--;
	memmove(&o->by_id[i], &o->by_id[i + 1], (o->nr_live - i) * sizeof(*o->by_id));
}

static void live_add(struct oracle *o, struct oracle_device *device)
{
	by_id_add(o, device);
	device->live_older = o->live_newest;
	if (device->live_older)
		device->live_older->live_younger = device;
	o->live_newest = device;
}

static void live_remove(struct oracle *o, struct oracle_device *device)
{
	by_id_remove(o, device);
	if (device->live_older)
		device->live_older->live_younger = device->live_younger;
	if (device->live_younger)
		device->live_younger->live_older = device->live_older;
	else
		o->live_newest = device->live_older;
	device->live_older = NULL;
	device->live_younger = NULL;
}

void oracle_fork_end(struct oracle *o, struct oracle_device *snapshot)
{
	u64 start = in_flight_key(snapshot->master, 0);
	u64 end = in_flight_key(snapshot->master, (1ULL << IN_FLIGHT_SECTOR_BITS) - 1);
	struct in_flight *f = &o->writes;

	for (u32 i = oracle_next_overlap(f, 0, start, end); i < f->nr;
	     i = oracle_next_overlap(f, i + 1, start, end))
		oracle_fork_alternative(o, snapshot, f->io[i]);
	snapshot->forking = false;
	o->nr_forking--;
	live_add(o, snapshot);
}

void oracle_rename(struct oracle *o, struct oracle_device *snapshot, snapid_t id)
{
	bool live = !snapshot->forking && !snapshot->deleted;

	if (live)
		by_id_remove(o, snapshot);
	snapshot->id = id;
	if (live)
		by_id_add(o, snapshot);
}

/* ---- the end of a device ---- */

static void version_unlink(struct oracle *o, u32 i)
{
	struct version *version = pool_version(&o->pool, i);
	struct group *group = pool_group(&o->pool, version->page >> 3);
	u32 *p = &group->chain[version->page & (GROUP_PAGES - 1)];

	while (*p != i)
		p = &pool_version(&o->pool, *p)->older;
	*p = version->older;
	page_value_free(&o->pool, version->value);
	slab_free(&o->pool.versions, i);
}

/* The device's versions go to the next older child of its master, or go. */
static void versions_hand_down(struct oracle *o, struct oracle_device *device)
{
	struct oracle_device *older = device->older;
	u32 i, next;

	for (i = device->versions; i; i = next) {
		struct version *version = pool_version(&o->pool, i);
		u32 below = version->older;

		next = version->next_owned;
		if (older && (!below || pool_version(&o->pool, below)->serial < older->serial)) {
			version->next_owned = older->versions;
			older->versions = i;
		} else {
			version_unlink(o, i);
		}
	}
	device->versions = 0;
}

void oracle_release(struct oracle *o, struct oracle_device *device)
{
	while (device->deleted && !device->in_flight && !device->newest_child) {
		struct oracle_device *master = device->master;

		versions_hand_down(o, device);
		if (device->younger)
			device->younger->older = device->older;
		else
			master->newest_child = device->older;
		if (device->older)
			device->older->younger = device->younger;
		device_exit(o, device);
		slot_put(o, device->slot);
		free(device);
		o->changes++;
		device = master;
	}
}

void oracle_fork_cancel(struct oracle *o, struct oracle_device *snapshot)
{
	snapshot->forking = false;
	snapshot->deleted = true;
	o->nr_forking--;
	oracle_release(o, snapshot);
}

void oracle_delete(struct oracle *o, struct oracle_device *device)
{
	live_remove(o, device);
	device->deleted = true;
	oracle_release(o, device);
}

/* ---- errors ---- */

void oracle_set_state(struct oracle *o, enum oracle_state state)
{
	o->state = state;
}

enum oracle_state oracle_state(const struct oracle *o)
{
	return o->state;
}

void oracle_detach(struct oracle_device *device, bool detached)
{
	device->detached = detached;
}

bool oracle_error_allowed(const struct oracle *o, const struct oracle_device *device,
			  enum oracle_op op, int error)
{
	bool snapshot = device->master;
	bool must_fail = device->detached || device->deleted;

	if (o->state == ORACLE_DROPPED)
		must_fail |= snapshot;
	if (o->state == ORACLE_STOPPED)
		must_fail |= snapshot || op != ORACLE_READ;
	if (!error)
		return !must_fail;
	return error == -EIO && (must_fail || o->state == ORACLE_UNSURE);
}

void oracle_set_print(struct oracle *o, int (*print)(char *buf, size_t size, snapid_t id))
{
	o->print = print;
}

u64 oracle_memory_bytes(const struct oracle *o)
{
	u64 bytes = slab_bytes(&o->pool.groups) + slab_bytes(&o->pool.cells) +
		    slab_bytes(&o->pool.versions) + page_map_bytes(&o->origin.own) +
		    o->max_live * sizeof(*o->by_id) + o->nr_regions * sizeof(*o->regions);

	for (const struct oracle_device *d = o->live_newest; d; d = d->live_older)
		bytes += sizeof(*d) + page_map_bytes(&d->own) + d->unsure.nr * sizeof(struct unsure);
	return bytes;
}
