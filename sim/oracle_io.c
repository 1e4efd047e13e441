// SPDX-License-Identifier: GPL-2.0
/*
 * Requests in flight, and what they leave behind.
 *
 * The usual request overlaps nothing: it is entered into and taken out of a short array, and a write sets its
 * pages. Requests that overlap a write in flight are marked when the second of them begins; only they take the slow
 * path, sector by sector: a write that ends leaves its own value and those of the writes that ended while
 * it was in flight (the "ended" serial number of a candidate says so); a read in flight is given, before a
 * write's end changes anything, the values that it may have seen.
 */
#include <stdlib.h>
#include <string.h>

#include "oracle_int.h"

/* ---- the arrays ---- */

static void in_flight_add(struct in_flight *f, struct oracle_io *io)
{
	if (f->nr == f->max) {
		f->max = f->max ? f->max * 2 : 64;
		f->start = oracle_alloc(f->start, f->max * sizeof(*f->start));
		f->end = oracle_alloc(f->end, f->max * sizeof(*f->end));
		f->io = oracle_alloc(f->io, f->max * sizeof(*f->io));
	}
	io->index = f->nr++;
	f->start[io->index] = in_flight_key(io->device, io->sector);
	f->end[io->index] = in_flight_key(io->device, (u64)io->sector + io->sectors);
	f->io[io->index] = io;
}

static void in_flight_remove(struct in_flight *f, struct oracle_io *io)
{
	u32 i = io->index, last = --f->nr;

	f->start[i] = f->start[last];
	f->end[i] = f->end[last];
	f->io[i] = f->io[last];
	f->io[i]->index = i;
}

u32 oracle_next_overlap(const struct in_flight *f, u32 i, u64 start, u64 end)
{
	for (; i < f->nr; i++)
		if (f->start[i] < end && start < f->end[i])
			break;
	return i;
}

static bool any_overlap(const struct in_flight *f, u64 start, u64 end)
{
	u64 hit = 0;

	for (u32 i = 0; i < f->nr; i++)
		hit |= (u64)((f->start[i] < end) & (start < f->end[i]));
	return hit;
}

static void mark_overlaps(struct oracle *o, struct oracle_io *io, u64 start, u64 end)
{
	struct in_flight *f = &o->writes;
	u32 i;

	for (i = oracle_next_overlap(f, 0, start, end); i < f->nr;
	     i = oracle_next_overlap(f, i + 1, start, end)) {
		io->raced = true;
		if (io->op == ORACLE_READ)
			f->io[i]->watched = true;
		else
			f->io[i]->raced = true;
	}
	if (io->op == ORACLE_READ)
		return;
	f = &o->reads;
	for (i = oracle_next_overlap(f, 0, start, end); i < f->nr;
	     i = oracle_next_overlap(f, i + 1, start, end)) {
		f->io[i]->raced = true;
		io->watched = true;
	}
}

void oracle_begin(struct oracle *o, struct oracle_io *io, struct oracle_device *device,
		  enum oracle_op op, sector_t sector, u32 sectors, u32 write_no)
{
	u64 start, end;

	io->device = device;
	io->op = op;
	io->sector = sector;
	io->sectors = sectors;
	io->write_no = op == ORACLE_WRITE ? write_no : 0;
	io->begun = ++o->clock;
	io->raced = false;
	io->watched = false;
	io->extra = NULL;
	io->nr_extra = 0;
	io->max_extra = 0;
	start = in_flight_key(device, sector);
	end = in_flight_key(device, (u64)sector + sectors);
	if (any_overlap(&o->writes, start, end) ||
	    (op != ORACLE_READ && any_overlap(&o->reads, start, end)))
		mark_overlaps(o, io, start, end);
	in_flight_add(op == ORACLE_READ ? &o->reads : &o->writes, io);
	device->in_flight++;
}

u32 oracle_in_flight(const struct oracle *o)
{
	return o->reads.nr + o->writes.nr;
}

bool oracle_would_race(const struct oracle *o, const struct oracle_device *device, enum oracle_op op,
		       sector_t sector, u64 sectors)
{
	u64 start = in_flight_key(device, sector), end = in_flight_key(device, sector + sectors);

	return any_overlap(&o->writes, start, end) ||
	       (op != ORACLE_READ && any_overlap(&o->reads, start, end));
}

/* ---- contents ---- */

/* The page is about to change: the newest snapshot of the device keeps its value, unless it has one. */
static void page_save(struct oracle *o, struct oracle_device *device, u32 gi, struct group *group,
		      unsigned int k, bool move)
{
	struct oracle_device *child = device->newest_child;
	struct version *version;
	u32 i;

	if (!child || (group->chain[k] &&
		       pool_version(&o->pool, group->chain[k])->serial >= child->serial))
		return;
	i = slab_alloc(&o->pool.versions);
	version = pool_version(&o->pool, i);
	if (move) {
		version->value = group->value[k];
		group->value[k] = 0;
	} else {
		version->value = page_value_copy(&o->pool, group->value[k]);
	}
	version->serial = child->serial;
	version->older = group->chain[k];
	version->next_owned = child->versions;
	version->page = gi << 3 | k;
	group->chain[k] = i;
	child->versions = i;
}

static void page_change(struct oracle *o, struct oracle_device *device, u32 gi, struct group *group,
			sector_t from, sector_t to, enum oracle_op op, u32 value)
{
	unsigned int k = sector_page(from);
	unsigned int a = from & (PAGE_SECTORS - 1), b = a + (unsigned int)(to - from);
	bool whole = a == 0 && b == PAGE_SECTORS && op != ORACLE_DISCARD;
	u32 *page = &group->value[k];

	if (*page == value)
		return;
	page_save(o, device, gi, group, k, whole);
	if (op == ORACLE_DISCARD)
		page_value_discard(&o->pool, page, a, b);
	else
		page_value_set(&o->pool, page, a, b, value);
}

static void group_change(struct oracle *o, struct oracle_device *device, u32 gi, sector_t from,
			 sector_t to, enum oracle_op op, u32 value)
{
	struct group *group = pool_group(&o->pool, gi);

	while (from < to) {
		sector_t end = (from | (PAGE_SECTORS - 1)) + 1;

		if (end > to)
			end = to;
		page_change(o, device, gi, group, from, end, op, value);
		from = end;
	}
}

/* Zeroes over a range with few groups in it: walk the groups that exist. */
static void apply_sparse(struct oracle *o, struct oracle_device *device, enum oracle_op op,
			 sector_t sector, u64 sectors)
{
	struct page_map *map = &device->own;

	for (u32 i = 0; map->entries && i <= map->mask; i++) {
		sector_t start = (sector_t)map->entries[i].key << GROUP_SHIFT;
		sector_t from = max(start, sector);
		sector_t to = min(start + GROUP_SECTORS, sector + sectors);

		if (map->entries[i].group && from < to)
			group_change(o, device, map->entries[i].group, from, to, op, 0);
	}
}

void oracle_apply(struct oracle *o, struct oracle_device *device, enum oracle_op op, sector_t sector,
		  u64 sectors, u32 value)
{
	/* Where the origin has no group, it is zero already. */
	bool only_existing = device == &o->origin && op != ORACLE_WRITE;
	sector_t end = sector + sectors;

	o->changes++;
	if (only_existing && sectors >> GROUP_SHIFT > device->own.mask) {
		apply_sparse(o, device, op, sector, sectors);
		return;
	}
	while (sector < end) {
		sector_t to = (sector | (GROUP_SECTORS - 1)) + 1;
		u32 key = sector_group(sector), gi;

		if (to > end)
			to = end;
		gi = only_existing ? page_map_find(&device->own, key) :
				     page_map_add(&device->own, &o->pool, key);
		if (gi)
			group_change(o, device, gi, sector, to, op, value);
		sector = to;
	}
}

/* ---- ends of writes ---- */

/*
 * Reads in flight: what they may have seen before this write ended, and what it wrote, of which
 * nothing may be left when they end: another read may have settled it otherwise by then.
 */
static void tell_reads(struct oracle *o, const struct oracle_io *io)
{
	u64 start = in_flight_key(io->device, io->sector);
	u64 end = in_flight_key(io->device, (u64)io->sector + io->sectors);
	struct in_flight *f = &o->reads;

	for (u32 i = oracle_next_overlap(f, 0, start, end); i < f->nr;
	     i = oracle_next_overlap(f, i + 1, start, end)) {
		struct oracle_io *read = f->io[i];
		sector_t from = max(io->sector, read->sector);
		sector_t to = min(io->sector + io->sectors, read->sector + read->sectors);

		for (sector_t s = from; s < to; s++) {
			struct unsure u = { .sector = s };

			oracle_settled(o, io->device, s, &u);
			unsure_add(&u, io->op == ORACLE_WRITE ? io->write_no : 0, 0);
			if (read->nr_extra + u.nr > read->max_extra) {
				read->max_extra = 2 * (read->nr_extra + u.nr) + 64;
				read->extra = oracle_alloc(read->extra, read->max_extra *
								       sizeof(*read->extra));
			}
			for (u32 k = 0; k < u.nr; k++) {
				read->extra[read->nr_extra].sector = s;
				read->extra[read->nr_extra++].value = u.candidates[k].value;
			}
			free(u.candidates);
		}
	}
}

void oracle_fork_alternative(struct oracle *o, struct oracle_device *snapshot, const struct oracle_io *io)
{
	for (u32 i = 0; i < io->sectors; i++) {
		sector_t s = io->sector + i;
		struct unsure *u = unsure_find(&snapshot->unsure, s);

		if (!u) {
			u = unsure_get(&snapshot->unsure, s);
			unsure_add(u, oracle_resolve_sector(o, snapshot, s), 0);
		}
		unsure_add(u, io->write_no, 0);
	}
}

/* Old or new. */
static void write_failed(struct oracle *o, const struct oracle_io *io)
{
	struct oracle_device *device = io->device;

	for (u32 i = 0; i < io->sectors; i++) {
		sector_t s = io->sector + i;
		struct unsure *u = unsure_find(&device->unsure, s);

		if (!u) {
			u32 old = oracle_resolve_sector(o, device, s);

			if (old == io->write_no && !io->raced)
				continue;
			u = unsure_get(&device->unsure, s);
			unsure_add(u, old, 0);
		}
		unsure_add(u, io->write_no, o->clock);
	}
}

static bool sector_in_flight(const struct oracle *o, const struct oracle_device *device, sector_t s)
{
	return any_overlap(&o->writes, in_flight_key(device, s), in_flight_key(device, s + 1));
}

/* A write that ended well, and overlapped others: its value, and those of writes that ended since it began. */
static void write_raced(struct oracle *o, const struct oracle_io *io)
{
	struct oracle_device *device = io->device;
	bool discard = io->op == ORACLE_DISCARD;

	for (u32 i = 0; i < io->sectors; i++) {
		sector_t s = io->sector + i;
		struct unsure *u = unsure_find(&device->unsure, s);
		struct unsure keep = { .sector = s };

		if (discard) {
			oracle_settled(o, device, s, &keep);
		} else {
			for (u32 k = 0; u && k < u->nr; k++)
				if (u->candidates[k].ended > io->begun)
					unsure_add(&keep, u->candidates[k].value,
						   u->candidates[k].ended);
		}
		unsure_add(&keep, io->write_no, o->clock);
		if (keep.nr == 1 && !sector_in_flight(o, device, s)) {
			unsure_remove(&device->unsure, s);
			free(keep.candidates);
			continue;
		}
		if (!u)
			u = unsure_get(&device->unsure, s);
		free(u->candidates);
		u->candidates = keep.candidates;
		u->nr = keep.nr;
		u->max = keep.max;
	}
	oracle_apply(o, device, io->op, io->sector, io->sectors, io->write_no);
}

static void discarded(struct oracle *o, const struct oracle_io *io)
{
	for (u32 i = 0; io->device->unsure.nr && i < io->sectors; i++) {
		struct unsure *u = unsure_find(&io->device->unsure, io->sector + i);

		if (u)
			unsure_add(u, 0, o->clock);
	}
	oracle_apply(o, io->device, ORACLE_DISCARD, io->sector, io->sectors, 0);
}

static void write_end(struct oracle *o, struct oracle_io *io, int error)
{
	struct oracle_device *device = io->device;

	if (io->watched)
		tell_reads(o, io);
	for (struct oracle_device *child = o->nr_forking ? device->newest_child : NULL; child;
	     child = child->older)
		if (child->forking)
			oracle_fork_alternative(o, child, io);
	if (io->op == ORACLE_DISCARD && !io->raced) {
		discarded(o, io);
	} else if (error) {
		write_failed(o, io);
	} else if (io->raced) {
		write_raced(o, io);
	} else {
		unsure_remove_range(&device->unsure, io->sector, io->sectors);
		oracle_apply(o, device, io->op, io->sector, io->sectors, io->write_no);
	}
}

int oracle_end(struct oracle *o, struct oracle_io *io, int error, const tag_t *tags,
	       struct oracle_mismatch *m)
{
	struct oracle_device *device = io->device;
	int r = 0;

	o->clock++;
	in_flight_remove(io->op == ORACLE_READ ? &o->reads : &o->writes, io);
	if (io->op != ORACLE_READ)
		write_end(o, io, error);
	else if (!error && tags)
		r = oracle_judge(o, io, tags, m);
	free(io->extra);
	io->extra = NULL;
	io->device = NULL;
	device->in_flight--;
	if (device->deleted)
		oracle_release(o, device);
	return r;
}
