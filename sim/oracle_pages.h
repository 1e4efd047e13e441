/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The oracle's memory: pages of 8 sectors, their versions, and slabs for both.
 *
 * A sector's value is its write number in 32 bits, for its tag is tag_make(number, sector). A page whose 8
 * sectors have one writer is that one word ("uniform"); else it is the number of a cell of eight words
 * ("mixed"). 8 pages make a group: one cache line with the 8 values and, per page, the newest of its
 * saved versions. A device's groups are found by a hash of the group's number, so that memory
 * goes with what was written, not with the size of the device.
 *
 * A version is a page's value from before its first change after a fork; it serves all snapshots with a
 * serial number up to its own, down to the next older version's. A page's versions are a list from the
 * newest to the oldest. Each is also on the list of the youngest snapshot that it serves, its owner.
 */
#ifndef SIM_ORACLE_PAGES_H
#define SIM_ORACLE_PAGES_H

#include "disk.h"

#define PAGE_SECTORS 8
#define PAGE_SECTORS_SHIFT 3
#define GROUP_PAGES 8
#define GROUP_SHIFT 6 /* sectors in a group */
#define GROUP_SECTORS (1u << GROUP_SHIFT)

#define VALUE_MIXED (1u << 31)		/* pages only: the rest is a cell number */
#define VALUE_MAYBE_ZERO (1u << 30)	/* discarded: what the rest says, or zero */
#define VALUE_WRITE_MASK ((u32)TAG_WRITE_MAX)
#define VALUE_ABSENT VALUE_WRITE_MASK	/* not written on this device: as its master was at the fork */

struct slab {
	u8 **blocks;
	u32 nr_blocks;
	u32 size;		/* of an object */
	u32 used;		/* objects ever handed out; 0 is never one */
	u32 free;		/* list through the first word of free objects */
};

#ifdef SHIM_WATCHED
#define SLAB_SHIFT 4 /* an explorer copies them all the time */
#else
#define SLAB_SHIFT 14
#endif
static inline void *slab_at(const struct slab *slab, u32 i)
{
	return slab->blocks[i >> SLAB_SHIFT] + (size_t)(i & ((1u << SLAB_SHIFT) - 1)) * slab->size;
}

void slab_init(struct slab *slab, u32 size);
void slab_exit(struct slab *slab);
u32 slab_alloc(struct slab *slab);
void slab_free(struct slab *slab, u32 i);
u64 slab_bytes(const struct slab *slab);

struct group {
	u32 value[GROUP_PAGES];
	u32 chain[GROUP_PAGES]; /* newest version, 0: none */
};

struct cell {
	u32 value[PAGE_SECTORS];
};

struct version {
	u32 value;
	u32 serial;
	u32 older;
	u32 next_owned;
	u32 page;	/* group number << 3 | page in it */
};

struct page_pool {
	struct slab groups, cells, versions;
	u64 nr_groups_made; /* to notice that new regions were touched */
};

void page_pool_init(struct page_pool *pool);
void page_pool_exit(struct page_pool *pool);

static inline struct group *pool_group(const struct page_pool *pool, u32 i)
{
	return slab_at(&pool->groups, i);
}

static inline struct cell *pool_cell(const struct page_pool *pool, u32 i)
{
	return slab_at(&pool->cells, i & ~VALUE_MIXED);
}

static inline struct version *pool_version(const struct page_pool *pool, u32 i)
{
	return slab_at(&pool->versions, i);
}

static inline u32 page_value_at(const struct page_pool *pool, u32 value, unsigned int i)
{
	return value & VALUE_MIXED ? pool_cell(pool, value)->value[i] : value;
}

void page_value_free(struct page_pool *pool, u32 value);
u32 page_value_copy(struct page_pool *pool, u32 value);
/* Change sectors [from, to) of *@value, which must own its cell. */
void page_value_set(struct page_pool *pool, u32 *value, unsigned int from, unsigned int to, u32 to_value);
/* A discard of sectors [from, to): each may now be zero. */
void page_value_discard(struct page_pool *pool, u32 *value, unsigned int from, unsigned int to);

/* Group number of the device -> group in the pool. */
struct page_map {
	struct page_map_entry {
		u32 key;
		u32 group; /* 0: empty */
	} *entries;
	u32 nr, mask;
	unsigned int shift;
	u32 last_key, last_group;
	u32 initial; /* value of pages of a new group */
};

void page_map_init(struct page_map *map, u32 initial);
void page_map_exit(struct page_map *map, struct page_pool *pool);
u32 page_map_find_slow(struct page_map *map, u32 key);
u32 page_map_add(struct page_map *map, struct page_pool *pool, u32 key);
u64 page_map_bytes(const struct page_map *map);

/* 0: there is none */
static inline u32 page_map_find(struct page_map *map, u32 key)
{
	if (map->last_key == key && map->last_group)
		return map->last_group;
	return page_map_find_slow(map, key);
}

#endif /* SIM_ORACLE_PAGES_H */
