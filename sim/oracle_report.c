// SPDX-License-Identifier: GPL-2.0
/*
 * What people read of the oracle: one line for a mismatch; and the regions worth reading back.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_int.h"

/* ---- text ---- */

struct text {
	char *buf;
	size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->used, t->size - t->used, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	t->used += (size_t)n;
	if (t->used >= t->size)
		t->used = t->size - 1;
}

static void text_device(struct text *t, const struct oracle *o, snapid_t id)
{
	char name[40];

	if (id == SNAPID_ORIGIN) {
		text_add(t, "origin");
		return;
	}
	if (o->print)
		o->print(name, sizeof(name), id);
	else
		snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
	text_add(t, "snapshot %s", name);
}

static void text_tag(struct text *t, tag_t tag, sector_t sector)
{
	if (tag == TAG_ZERO)
		text_add(t, "zero");
	else if (tag & TAG_LITERAL)
		text_add(t, "bytes that nobody wrote here (metadata?), hash %llx",
			 (unsigned long long)(tag & ~TAG_LITERAL));
	else
		text_add(t, "write %llu", (unsigned long long)tag_write_no(tag));
	if (!(tag & TAG_LITERAL) && tag != TAG_ZERO && tag_sector(tag) != sector)
		text_add(t, " of sector %llu", (unsigned long long)tag_sector(tag));
}

/* Whose content is @tag? Stale or foreign data usually is somebody else's. */
static void text_holders(struct text *t, struct oracle *o, const struct oracle_mismatch *m)
{
	sector_t sector = m->got & TAG_LITERAL ? m->sector : tag_sector(m->got);
	unsigned int found = 0;

	if (m->got == TAG_ZERO || (m->got & TAG_LITERAL) || sector >= 1ULL << TAG_SECTOR_BITS)
		return;
	if (value_reads_as(oracle_resolve_sector(o, &o->origin, sector), sector, m->got)) {
		text_add(t, ", which the origin holds");
		found++;
	}
	for (struct oracle_device *d = o->live_newest; d && found < 4; d = d->live_older) {
		if (d->id == m->id || !value_reads_as(oracle_resolve_sector(o, d, sector), sector, m->got))
			continue;
		text_add(t, found++ ? ", " : ", which is held by ");
		text_device(t, o, d->id);
	}
	if (!found)
		text_add(t, ", which nobody holds any longer");
}

int oracle_format(struct oracle *o, const struct oracle_mismatch *m, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };

	if (!size)
		return 0;
	buf[0] = 0;
	text_device(&t, o, m->id);
	text_add(&t, ": sector %llu reads as ", (unsigned long long)m->sector);
	text_tag(&t, m->got, m->sector);
	text_holders(&t, o, m);
	text_add(&t, "; allowed: ");
	for (unsigned int i = 0; i < m->nr_allowed && i < ORACLE_MAX_ALLOWED; i++) {
		text_add(&t, i ? ", " : "");
		text_tag(&t, m->allowed[i], m->sector);
	}
	return (int)t.used;
}

/* ---- regions ---- */

/* By 11 bits at a time, from the lowest. */
static void sort_u32(u32 *values, u64 nr)
{
	u32 *from = values, *to = oracle_alloc(NULL, (nr + 1) * sizeof(*to)), *other = to;

	for (unsigned int shift = 0; shift < 32; shift += 11) {
		u64 count[2048] = { 0 }, at = 0;
		u32 *swap = from;

		for (u64 i = 0; i < nr; i++)
			count[from[i] >> shift & 2047]++;
		for (unsigned int k = 0; k < 2048; k++) {
			u64 n = count[k];

			count[k] = at;
			at += n;
		}
		for (u64 i = 0; i < nr; i++)
			to[count[from[i] >> shift & 2047]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != values)
		memcpy(values, from, nr * sizeof(*values));
	free(other);
}

static u64 regions_collect(struct oracle_device *device, u32 *to)
{
	u64 nr = 0;

	for (u32 i = 0; device->own.entries && i <= device->own.mask; i++) {
		if (!device->own.entries[i].group)
			continue;
		if (to)
			to[nr] = device->own.entries[i].key;
		nr++;
	}
	for (struct oracle_device *child = device->newest_child; child; child = child->older)
		nr += regions_collect(child, to ? to + nr : NULL);
	return nr;
}

static void regions_build(struct oracle *o)
{
	u64 nr = regions_collect(&o->origin, NULL), unique = 0;

	o->regions = oracle_alloc(o->regions, (nr + 1) * sizeof(*o->regions));
	regions_collect(&o->origin, o->regions);
	sort_u32(o->regions, nr);
	for (u64 i = 0; i < nr; i++)
		if (!unique || o->regions[unique - 1] != o->regions[i])
			o->regions[unique++] = o->regions[i];
	o->nr_regions = unique;
	o->regions_made = o->pool.nr_groups_made;
}

sector_t oracle_next_region(struct oracle *o, sector_t sector, u64 *sectors)
{
	u64 group = sector >> GROUP_SHIFT, low = 0, high, end;

	if (!o->regions || o->regions_made != o->pool.nr_groups_made)
		regions_build(o);
	high = o->nr_regions;
	while (low < high) {
		u64 mid = low + (high - low) / 2;

		if (o->regions[mid] < group)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == o->nr_regions)
		return U64_MAX;
	if ((sector_t)o->regions[low] << GROUP_SHIFT > sector)
		sector = (sector_t)o->regions[low] << GROUP_SHIFT;
	for (end = low + 1; end < o->nr_regions && o->regions[end] == o->regions[end - 1] + 1; end++)
		;
	*sectors = (((u64)o->regions[end - 1] + 1) << GROUP_SHIFT) - sector;
	return sector;
}
