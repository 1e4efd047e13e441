// SPDX-License-Identifier: GPL-2.0
/*
 * What may a sector be? Resolves a page through the lineage: what the device wrote itself, else its master's version at
 * the fork, and so on to the origin. Sectors with several possible values override their page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_int.h"

/* ---- values ---- */

/* The page as it was on @master when the snapshot with @serial was made. */
static u32 version_at(struct oracle *o, struct oracle_device *master, u64 page, u32 serial, u32 *hint)
{
	u32 gi = page_map_find(&master->own, (u32)(page >> 3));
	struct group *group;
	u32 i, found = 0;

	if (!gi)
		return master->own.initial;
	group = pool_group(&o->pool, gi);
	i = hint && *hint ? *hint : group->chain[page & (GROUP_PAGES - 1)];
	for (; i; i = pool_version(&o->pool, i)->older) {
		if (pool_version(&o->pool, i)->serial < serial)
			break;
		found = i;
	}
	if (hint)
		*hint = found;
	return found ? pool_version(&o->pool, found)->value : group->value[page & (GROUP_PAGES - 1)];
}

static bool value_absent(u32 value)
{
	return (value & VALUE_WRITE_MASK) == VALUE_ABSENT && !(value & VALUE_MIXED);
}

/* Fill what is absent in @values from the lineage above @device. */
static void resolve_mixed(struct oracle *o, struct oracle_device *device, u64 page,
			  u32 values[PAGE_SECTORS])
{
	for (; device->master; device = device->master) {
		bool absent = false;
		u32 value;

		for (unsigned int k = 0; k < PAGE_SECTORS; k++)
			absent |= value_absent(values[k]);
		if (!absent)
			return;
		value = version_at(o, device->master, page, device->serial, NULL);
		for (unsigned int k = 0; k < PAGE_SECTORS; k++)
			if (value_absent(values[k]))
				values[k] = page_value_at(&o->pool, value, k) |
					    (values[k] & VALUE_MAYBE_ZERO);
	}
}

u32 oracle_resolve(struct oracle *o, struct oracle_device *device, u64 page, u32 values[PAGE_SECTORS],
		   u32 *hint)
{
	u32 gi = page_map_find(&device->own, (u32)(page >> 3));
	u32 value = device->own.initial;

	if (gi)
		value = pool_group(&o->pool, gi)->value[page & (GROUP_PAGES - 1)];
	while (value == VALUE_ABSENT) {
		value = version_at(o, device->master, page, device->serial,
				   device->master->master ? NULL : hint);
		device = device->master;
	}
	if (!(value & VALUE_MIXED) && !value_absent(value))
		return value;
	for (unsigned int k = 0; k < PAGE_SECTORS; k++)
		values[k] = page_value_at(&o->pool, value, k);
	resolve_mixed(o, device, page, values);
	return VALUE_MIXED;
}

u32 oracle_resolve_sector(struct oracle *o, struct oracle_device *device, sector_t sector)
{
	u32 values[PAGE_SECTORS];
	u32 value = oracle_resolve(o, device, sector >> PAGE_SECTORS_SHIFT, values, NULL);

	return value == VALUE_MIXED ? values[sector & (PAGE_SECTORS - 1)] : value;
}

void oracle_settled(struct oracle *o, struct oracle_device *device, sector_t sector, struct unsure *u)
{
	const struct unsure *known = unsure_find(&device->unsure, sector);

	if (!known) {
		unsure_add(u, oracle_resolve_sector(o, device, sector), 0);
		return;
	}
	for (u32 k = 0; k < known->nr; k++)
		unsure_add(u, known->candidates[k].value, known->candidates[k].ended);
}

/* ---- one sector, slowly ---- */

/* Everything that @sector may read as; @io (or NULL) is the read that is judged. */
static void sector_candidates(struct oracle *o, struct oracle_device *device, sector_t sector,
			      const struct oracle_io *io, struct unsure *u)
{
	u64 start = in_flight_key(device, sector), end = in_flight_key(device, sector + 1);

	oracle_settled(o, device, sector, u);
	for (u32 i = oracle_next_overlap(&o->writes, 0, start, end); i < o->writes.nr;
	     i = oracle_next_overlap(&o->writes, i + 1, start, end))
		unsure_add(u, o->writes.io[i]->write_no, 0);
	for (u32 i = 0; io && i < io->nr_extra; i++)
		if (io->extra[i].sector == sector)
			unsure_add(u, io->extra[i].value, 0);
}

static bool mismatch_sector(struct oracle *o, struct oracle_device *device, sector_t sector,
			    const struct oracle_io *io, tag_t tag, struct oracle_mismatch *m)
{
	struct unsure u = { .sector = sector };
	bool good = false;

	sector_candidates(o, device, sector, io, &u);
	for (u32 k = 0; k < u.nr; k++)
		good |= value_reads_as(u.candidates[k].value, sector, tag);
	if (!good && m) {
		m->id = device->id;
		m->sector = sector;
		m->got = tag;
		m->nr_allowed = 0;
		for (u32 k = 0; k < u.nr; k++) {
			u32 value = u.candidates[k].value;

			if (m->nr_allowed < ORACLE_MAX_ALLOWED)
				m->allowed[m->nr_allowed] = value_tag(value, sector);
			m->nr_allowed++;
			if ((value & VALUE_MAYBE_ZERO) && m->nr_allowed < ORACLE_MAX_ALLOWED)
				m->allowed[m->nr_allowed++] = TAG_ZERO;
		}
	}
	free(u.candidates);
	return !good;
}

/* With nothing in flight, what was read is what there is. */
static void settle_sector(struct oracle *o, struct oracle_device *device, sector_t sector, tag_t tag)
{
	const struct unsure *u = unsure_find(&device->unsure, sector);
	u32 value = tag == TAG_ZERO ? 0 : (u32)tag_write_no(tag);

	if (!u)
		return;
	for (u32 k = 0; k < u->nr; k++)
		if (u->candidates[k].value & VALUE_MAYBE_ZERO)
			return;
	unsure_remove(&device->unsure, sector);
	if (oracle_resolve_sector(o, device, sector) != value)
		oracle_apply(o, device, ORACLE_WRITE, sector, 1, value);
}

/* ---- ranges ---- */

static bool uniform_matches(u32 value, sector_t sector, u32 sectors, const tag_t *tags)
{
	u32 no = value & VALUE_WRITE_MASK;
	tag_t base = no ? tag_make(no, sector) : TAG_ZERO, step = no ? 1 : 0;
	tag_t differ = 0;

	for (u32 i = 0; i < sectors; i++)
		differ |= tags[i] ^ (base + i * step);
	return !differ;
}

/* The part of one page; true if every sector is as the page says (several values not considered). */
static bool page_matches(struct oracle *o, struct oracle_device *device, sector_t sector, u32 sectors,
			 const tag_t *tags, u32 *hint)
{
	u32 values[PAGE_SECTORS];
	u32 value = oracle_resolve(o, device, sector >> PAGE_SECTORS_SHIFT, values, hint);

	if (value != VALUE_MIXED && uniform_matches(value, sector, sectors, tags))
		return true;
	for (u32 i = 0; i < sectors; i++) {
		u32 v = value != VALUE_MIXED ? value : values[(sector + i) & (PAGE_SECTORS - 1)];

		if (!value_reads_as(v, sector + i, tags[i]))
			return false;
	}
	return true;
}

struct oracle_cursor {
	u64 changes;
	struct oracle_device *master;
	u32 serial;
	u64 page;
	u32 nr, max;
	u32 *hints;
};

/* True if the hints go on for @device on these pages; else they are cleared. False also: no hints for it. */
static bool cursor_use(struct oracle *o, struct oracle_cursor *c, struct oracle_device *device, u64 page,
		       u32 pages)
{
	if (!c || device->master != &o->origin)
		return false;
	if (c->changes != o->changes || c->page != page || c->nr != pages || c->serial <= device->serial) {
		if (c->max < pages) {
			c->max = pages * 2;
			c->hints = oracle_alloc(c->hints, c->max * sizeof(*c->hints));
		}
		memset(c->hints, 0, pages * sizeof(*c->hints));
		c->changes = o->changes;
		c->page = page;
		c->nr = pages;
	}
	c->serial = device->serial;
	return true;
}

static int check_range(struct oracle *o, struct oracle_cursor *cursor, struct oracle_device *device,
		       sector_t sector, u32 sectors, const struct oracle_io *io, const tag_t *tags,
		       struct oracle_mismatch *m)
{
	sector_t end = sector + sectors;
	u64 first = sector >> PAGE_SECTORS_SHIFT;
	bool settle = device->unsure.nr && !(io && io->raced);
	bool hints = cursor && sectors &&
		     cursor_use(o, cursor, device, first,
				(u32)(((end - 1) >> PAGE_SECTORS_SHIFT) - first) + 1);

	while (sector < end) {
		sector_t to = (sector | (PAGE_SECTORS - 1)) + 1;
		u64 page = sector >> PAGE_SECTORS_SHIFT;
		u32 nr;

		if (to > end)
			to = end;
		nr = (u32)(to - sector);
		if (device->unsure.nr ||
		    !page_matches(o, device, sector, nr, tags, hints ? &cursor->hints[page - first] : NULL)) {
			for (u32 i = 0; i < nr; i++) {
				if (mismatch_sector(o, device, sector + i, io, tags[i], m))
					return 1;
				if (settle)
					settle_sector(o, device, sector + i, tags[i]);
			}
		}
		tags += nr;
		sector = to;
	}
	return 0;
}

int oracle_judge(struct oracle *o, const struct oracle_io *io, const tag_t *tags,
		 struct oracle_mismatch *m)
{
	return check_range(o, NULL, io->device, io->sector, io->sectors, io, tags, m);
}

int oracle_check(struct oracle *o, struct oracle_cursor *cursor, struct oracle_device *device,
		 sector_t sector, u32 sectors, const tag_t *tags, struct oracle_mismatch *m)
{
	return check_range(o, cursor, device, sector, sectors, NULL, tags, m);
}

struct oracle_cursor *oracle_cursor_create(struct oracle *o)
{
	struct oracle_cursor *c = oracle_alloc(NULL, sizeof(*c));

	memset(c, 0, sizeof(*c));
	return c;
}

void oracle_cursor_destroy(struct oracle_cursor *cursor)
{
	if (cursor)
		free(cursor->hints);
	free(cursor);
}

void oracle_expected(struct oracle *o, struct oracle_device *device, sector_t sector, u32 sectors,
		     tag_t *tags)
{
	for (u32 i = 0; i < sectors; i++) {
		struct unsure u = { .sector = sector + i };

		oracle_settled(o, device, sector + i, &u);
		tags[i] = value_tag(u.candidates[0].value, sector + i);
		free(u.candidates);
	}
}

bool oracle_allowed(struct oracle *o, struct oracle_device *device, sector_t sector, tag_t tag)
{
	return !mismatch_sector(o, device, sector, NULL, tag, NULL);
}
