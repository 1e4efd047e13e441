// SPDX-License-Identifier: GPL-2.0
/*
 * The contents of a sparse disk in memory, few bytes per page.
 *
 * A page is 8 sectors and is one 64-bit value: 0 is a page of zeroes (and is not stored); with
 * EXPLICIT clear it is an affine run, sector i has tag value + i - what any aligned write by the
 * harness looks like; with EXPLICIT set the rest points to a struct page that holds the 8 tags one
 * by one and, if one of them is literal, the bytes.
 *
 * Pages are found by disk_hash.c. One counter per REGION_PAGES pages makes the search for data
 * fast.
 *
 * Invariants: no stored value is 0; an explicit page is neither all zero nor an affine run;
 * page->literals exists exactly when one of the tags is literal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "disk_hash.h"
#include "disk_map.h"

#define PAGE_BITS 3
#define PAGE_TAGS (1U << PAGE_BITS)
#define EXPLICIT TAG_LITERAL

#define REGION_BITS 10 /* pages per counter; a counter must hold 1 << REGION_BITS */

struct page {
	tag_t tags[PAGE_TAGS];
	u8 (*literals)[SECTOR_SIZE]; /* PAGE_TAGS of them, or NULL */
};

struct disk_map {
	sector_t sectors;
	struct disk_hash hash;
	u64 pages;
	u64 explicit_pages;
	u64 literal_pages;
	u64 regions;
	u16 *region;
};

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "disk: out of memory\n");
		abort();
	}
	return p;
}

static inline u64 get_value(struct disk_map *map, u64 page)
{
	return disk_hash_get(&map->hash, page);
}

static void set_value(struct disk_map *map, u64 page, u64 value)
{
	u64 old = disk_hash_set(&map->hash, page, value);

	if (!old == !value)
		return;
	map->pages += value ? 1 : -1;
	map->region[page >> REGION_BITS] += value ? 1 : -1;
}

/* ---- pages ---- */

static inline struct page *explicit_page(u64 value)
{
	return (struct page *)(uintptr_t)(value & ~EXPLICIT);
}

static void free_literals(struct disk_map *map, struct page *p)
{
	if (p->literals) {
		free(p->literals);
		p->literals = NULL;
		map->literal_pages--;
	}
}

static void free_page_value(struct disk_map *map, u64 value)
{
	if (value & EXPLICIT) {
		struct page *p = explicit_page(value);

		free_literals(map, p);
		free(p);
		map->explicit_pages--;
	}
}

/* The page with @value as an explicit one; made if it is not. */
static struct page *make_explicit(struct disk_map *map, u64 page, u64 value)
{
	struct page *p;
	u32 i;

	if (value & EXPLICIT)
		return explicit_page(value);
	p = must(malloc(sizeof(*p)));
	p->literals = NULL;
	for (i = 0; i < PAGE_TAGS; i++)
		p->tags[i] = value ? value + i : TAG_ZERO;
	map->explicit_pages++;
	set_value(map, page, EXPLICIT | (uintptr_t)p);
	return p;
}

/* Are the tags an affine run (or all zero)? Then *value. */
static inline bool tags_are_run(const tag_t *tags, u64 *value)
{
	tag_t base = tags[0];
	u32 i;

	if (base & TAG_LITERAL)
		return false;
	for (i = 1; i < PAGE_TAGS; i++)
		if (tags[i] != (base ? base + i : TAG_ZERO))
			return false;
	if (base && (base + PAGE_TAGS - 1) & TAG_LITERAL)
		return false;
	*value = base;
	return true;
}

/* After a change: back to a run if it is one, and without literals if there are none. */
static void tidy_page(struct disk_map *map, u64 page, struct page *p)
{
	u64 value;
	u32 i;

	if (tags_are_run(p->tags, &value)) {
		free_page_value(map, EXPLICIT | (uintptr_t)p);
		set_value(map, page, value);
		return;
	}
	if (!p->literals)
		return;
	for (i = 0; i < PAGE_TAGS; i++)
		if (p->tags[i] & TAG_LITERAL)
			return;
	free_literals(map, p);
}

static void page_put(struct disk_map *map, struct page *p, u32 i, const struct sector_data *data,
		     u32 from)
{
	tag_t tag = sector_data_tag(data, from);

	p->tags[i] = tag;
	if (!(tag & TAG_LITERAL))
		return;
	if (!p->literals) {
		p->literals = must(malloc((size_t)PAGE_TAGS * SECTOR_SIZE));
		map->literal_pages++;
	}
	sector_data_bytes(data, from, p->literals[i]);
}

static void write_page(struct disk_map *map, u64 page, u32 first, u32 count,
		       const struct sector_data *data, u32 from)
{
	u64 value, old;
	struct page *p;
	u32 i;

	if (count == PAGE_TAGS && data->tags && tags_are_run(data->tags + from, &value)) {
		old = get_value(map, page);
		if (old & EXPLICIT)
			free_page_value(map, old);
		if (old || value)
			set_value(map, page, value);
		return;
	}
	p = make_explicit(map, page, get_value(map, page));
	for (i = 0; i < count; i++)
		page_put(map, p, first + i, data, from + i);
	tidy_page(map, page, p);
}

static void read_literal(const struct page *p, u32 i, struct sector_data *data, u32 to)
{
	data->tags[to] = p->tags[i];
	if (!data->keep_literals)
		return;
	sector_data_need_literals(data);
	memcpy(data->literals[to], p->literals[i], SECTOR_SIZE);
}

static void read_page(struct disk_map *map, u64 page, u32 first, u32 count,
		      struct sector_data *data, u32 to)
{
	u64 value = get_value(map, page);
	const struct page *p = value & EXPLICIT ? explicit_page(value) : NULL;
	u32 i;

	for (i = 0; i < count; i++) {
		tag_t tag = p ? p->tags[first + i] : value ? value + first + i : TAG_ZERO;

		if (!data->tags) {
			u8 *bytes = data->bytes + (size_t)(to + i) * SECTOR_SIZE;

			if (tag & TAG_LITERAL)
				memcpy(bytes, p->literals[first + i], SECTOR_SIZE);
			else
				tag_expand(tag, bytes);
		} else if (tag & TAG_LITERAL) {
			read_literal(p, first + i, data, to + i);
		} else {
			data->tags[to + i] = tag;
		}
	}
}

static void zero_page(struct disk_map *map, u64 page, u32 first, u32 count)
{
	u64 value = get_value(map, page);
	struct page *p;
	u32 i;

	if (!value)
		return;
	if (count == PAGE_TAGS) {
		free_page_value(map, value);
		set_value(map, page, 0);
		return;
	}
	p = make_explicit(map, page, value);
	for (i = 0; i < count; i++)
		p->tags[first + i] = TAG_ZERO;
	tidy_page(map, page, p);
}

/* ---- ranges ---- */

static inline u32 in_page(sector_t sector, sector_t count)
{
	u32 left = PAGE_TAGS - (u32)(sector & (PAGE_TAGS - 1));

	return count < left ? count : left;
}

void disk_map_read(struct disk_map *map, sector_t sector, u32 count, struct sector_data *data,
		   u32 offset)
{
	while (count) {
		u32 n = in_page(sector, count);

		read_page(map, sector >> PAGE_BITS, sector & (PAGE_TAGS - 1), n, data, offset);
		sector += n;
		offset += n;
		count -= n;
	}
}

void disk_map_write(struct disk_map *map, sector_t sector, u32 count,
		    const struct sector_data *data, u32 offset)
{
	while (count) {
		u32 n = in_page(sector, count);

		write_page(map, sector >> PAGE_BITS, sector & (PAGE_TAGS - 1), n, data, offset);
		sector += n;
		offset += n;
		count -= n;
	}
}

void disk_map_zero(struct disk_map *map, sector_t sector, sector_t count)
{
	while (count) {
		u64 page = sector >> PAGE_BITS;
		u64 region_end = ((page >> REGION_BITS) + 1) << (REGION_BITS + PAGE_BITS);
		sector_t n = in_page(sector, count);

		if (!map->region[page >> REGION_BITS])
			n = count < region_end - sector ? count : region_end - sector;
		else
			zero_page(map, page, sector & (PAGE_TAGS - 1), n);
		sector += n;
		count -= n;
	}
}

sector_t disk_map_next_data(struct disk_map *map, sector_t sector)
{
	u64 page = sector >> PAGE_BITS;
	u64 region = page >> REGION_BITS;

	for (; region < map->regions; page = ++region << REGION_BITS) {
		u64 end = (region + 1) << REGION_BITS;

		if (!map->region[region])
			continue;
		for (; page < end; page++) {
			sector_t found = page << PAGE_BITS;

			if (get_value(map, page)) {
				found = found > sector ? found : sector;
				return found < map->sectors ? found : map->sectors;
			}
		}
	}
	return map->sectors;
}

/* ---- life ---- */

static u64 regions_of(sector_t sectors)
{
	u64 per_region = 1ULL << (REGION_BITS + PAGE_BITS);

	return (sectors + per_region - 1) / per_region;
}

struct disk_map *disk_map_create(sector_t sectors)
{
	struct disk_map *map;

	if (sectors > 1ULL << (32 + PAGE_BITS))
		return NULL;
	map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->sectors = sectors;
	map->regions = regions_of(sectors);
	map->region = calloc(map->regions + 1, sizeof(*map->region));
	if (!map->region) {
		free(map);
		return NULL;
	}
	disk_hash_init(&map->hash);
	return map;
}

static void free_pages(struct segment *seg, void *context)
{
	u32 i, left = seg->used;

	for (i = 0; left; i++) {
		left -= !!seg->value[i];
		free_page_value(context, seg->value[i]);
	}
}

void disk_map_destroy(struct disk_map *map)
{
	disk_hash_for_each(&map->hash, free_pages, map);
	disk_hash_exit(&map->hash);
	free(map->region);
	free(map);
}

bool disk_map_resize(struct disk_map *map, sector_t sectors)
{
	u64 regions = regions_of(sectors);
	u16 *region;

	if (sectors > 1ULL << (32 + PAGE_BITS))
		return false;
	if (sectors < map->sectors)
		disk_map_zero(map, sectors, map->sectors - sectors);
	region = realloc(map->region, (regions + 1) * sizeof(*region));
	if (!region)
		return false;
	if (regions > map->regions)
		memset(region + map->regions, 0,
		       (regions + 1 - map->regions) * sizeof(*region));
	map->region = region;
	map->regions = regions;
	map->sectors = sectors;
	return true;
}

u64 disk_map_memory_bytes(struct disk_map *map)
{
	return sizeof(*map) + disk_hash_memory(&map->hash) + map->regions * sizeof(*map->region) +
	       map->explicit_pages * sizeof(struct page) +
	       map->literal_pages * PAGE_TAGS * SECTOR_SIZE;
}

struct map_sums {
	struct disk_map *map;
	u64 segments, pages, explicit_pages, literal_pages;
	u16 *region;
	bool good;
};

static void check_segment(struct segment *seg, void *context)
{
	struct map_sums *sums = context;
	struct disk_map *map = sums->map;
	u32 i, j, used = 0;

	sums->segments++;
	for (i = 0; i < SEGMENT_SLOTS; i++) {
		u64 value = seg->value[i], run;
		bool literal = false;

		if (!value)
			continue;
		used++;
		sums->region[seg->key[i] >> REGION_BITS]++;
		if (disk_hash_segment(&map->hash, disk_hash_of(seg->key[i])) != seg ||
		    get_value(map, seg->key[i]) != value)
			sums->good = false;
		if (!(value & EXPLICIT))
			continue;
		sums->explicit_pages++;
		for (j = 0; j < PAGE_TAGS; j++)
			literal |= !!(explicit_page(value)->tags[j] & TAG_LITERAL);
		sums->literal_pages += literal;
		if (tags_are_run(explicit_page(value)->tags, &run) ||
		    literal != !!explicit_page(value)->literals)
			sums->good = false;
	}
	sums->pages += used;
	if (used != seg->used)
		sums->good = false;
}

bool disk_map_check(struct disk_map *map)
{
	struct map_sums sums = { .map = map, .good = true };

	sums.region = must(calloc(map->regions + 1, sizeof(u16)));
	disk_hash_for_each(&map->hash, check_segment, &sums);
	if (memcmp(sums.region, map->region, map->regions * sizeof(u16)))
		sums.good = false;
	free(sums.region);
	return sums.good && sums.segments == map->hash.segments && sums.pages == map->pages &&
	       sums.explicit_pages == map->explicit_pages &&
	       sums.literal_pages == map->literal_pages;
}
