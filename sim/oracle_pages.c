// SPDX-License-Identifier: GPL-2.0
/*
 * Slabs, mixed pages and the map from group numbers to groups. See oracle_pages.h for the method. The harness
 * has no use for a run that continues without its oracle, so want of memory ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_pages.h"

static void *must_alloc(void *p)
{
	if (!p) {
		fprintf(stderr, "multisnap: out of memory for the oracle\n");
		exit(2);
	}
	return p;
}

void slab_init(struct slab *slab, u32 size)
{
	memset(slab, 0, sizeof(*slab));
	slab->size = size;
	slab->used = 1;
}

void slab_exit(struct slab *slab)
{
	for (u32 i = 0; i < slab->nr_blocks; i++)
		free(slab->blocks[i]);
	free(slab->blocks);
	slab_init(slab, slab->size);
}

u32 slab_alloc(struct slab *slab)
{
	u32 i = slab->free;

	if (i) {
		memcpy(&slab->free, slab_at(slab, i), sizeof(u32));
		return i;
	}
	i = slab->used++;
	if (i >> SLAB_SHIFT >= slab->nr_blocks) {
		size_t bytes = (size_t)slab->size << SLAB_SHIFT;

		slab->blocks = must_alloc(realloc(slab->blocks,
						  (slab->nr_blocks + 1) * sizeof(*slab->blocks)));
		slab->blocks[slab->nr_blocks++] = must_alloc(aligned_alloc(64, (bytes + 63) & ~63ul));
	}
	return i;
}

void slab_free(struct slab *slab, u32 i)
{
	memcpy(slab_at(slab, i), &slab->free, sizeof(u32));
	slab->free = i;
}

u64 slab_bytes(const struct slab *slab)
{
	return (u64)slab->nr_blocks * ((u64)slab->size << SLAB_SHIFT);
}

void page_pool_init(struct page_pool *pool)
{
	slab_init(&pool->groups, sizeof(struct group));
	slab_init(&pool->cells, sizeof(struct cell));
	slab_init(&pool->versions, sizeof(struct version));
	pool->nr_groups_made = 0;
}

void page_pool_exit(struct page_pool *pool)
{
	slab_exit(&pool->groups);
	slab_exit(&pool->cells);
	slab_exit(&pool->versions);
}

void page_value_free(struct page_pool *pool, u32 value)
{
	if (value & VALUE_MIXED)
		slab_free(&pool->cells, value & ~VALUE_MIXED);
}

u32 page_value_copy(struct page_pool *pool, u32 value)
{
	u32 i;

	if (!(value & VALUE_MIXED))
		return value;
	i = slab_alloc(&pool->cells);
	*pool_cell(pool, i) = *pool_cell(pool, value);
	return i | VALUE_MIXED;
}

/* Make *@value mixed, to change a part of it. */
static struct cell *page_value_split(struct page_pool *pool, u32 *value)
{
	if (!(*value & VALUE_MIXED)) {
		u32 i = slab_alloc(&pool->cells);
		struct cell *cell = pool_cell(pool, i);

		for (unsigned int k = 0; k < PAGE_SECTORS; k++)
			cell->value[k] = *value;
		*value = i | VALUE_MIXED;
	}
	return pool_cell(pool, *value);
}

static void page_value_join(struct page_pool *pool, u32 *value)
{
	struct cell *cell = pool_cell(pool, *value);
	u32 first = cell->value[0];

	for (unsigned int k = 1; k < PAGE_SECTORS; k++)
		if (cell->value[k] != first)
			return;
	page_value_free(pool, *value);
	*value = first;
}

void page_value_set(struct page_pool *pool, u32 *value, unsigned int from, unsigned int to, u32 to_value)
{
	struct cell *cell;

	if (from == 0 && to == PAGE_SECTORS) {
		page_value_free(pool, *value);
		*value = to_value;
		return;
	}
	if (*value == to_value)
		return;
	cell = page_value_split(pool, value);
	for (unsigned int k = from; k < to; k++)
		cell->value[k] = to_value;
	page_value_join(pool, value);
}

static u32 value_discard(u32 value)
{
	return value == 0 ? 0 : value | VALUE_MAYBE_ZERO;
}

void page_value_discard(struct page_pool *pool, u32 *value, unsigned int from, unsigned int to)
{
	struct cell *cell;

	if (!(*value & VALUE_MIXED)) {
		u32 discarded = value_discard(*value);

		if (discarded == *value)
			return;
		page_value_set(pool, value, from, to, discarded);
		return;
	}
	cell = pool_cell(pool, *value);
	for (unsigned int k = from; k < to; k++)
		cell->value[k] = value_discard(cell->value[k]);
	page_value_join(pool, value);
}

void page_map_init(struct page_map *map, u32 initial)
{
	memset(map, 0, sizeof(*map));
	map->initial = initial;
}

void page_map_exit(struct page_map *map, struct page_pool *pool)
{
	for (u32 i = 0; map->entries && i <= map->mask; i++) {
		struct group *group;

		if (!map->entries[i].group)
			continue;
		group = pool_group(pool, map->entries[i].group);
		for (unsigned int k = 0; k < GROUP_PAGES; k++)
			page_value_free(pool, group->value[k]);
		slab_free(&pool->groups, map->entries[i].group);
	}
	free(map->entries);
	page_map_init(map, map->initial);
}

static u32 page_map_slot(const struct page_map *map, u32 key)
{
	return (u32)(key * 0x9E3779B1u) >> map->shift;
}

u32 page_map_find_slow(struct page_map *map, u32 key)
{
	if (!map->entries)
		return 0;
	for (u32 i = page_map_slot(map, key);; i = (i + 1) & map->mask) {
		const struct page_map_entry *e = &map->entries[i];

		if (!e->group)
			return 0;
		if (e->key == key) {
			map->last_key = key;
			map->last_group = e->group;
			return e->group;
		}
	}
}

static void page_map_insert(struct page_map *map, u32 key, u32 group)
{
	u32 i = page_map_slot(map, key);

	while (map->entries[i].group)
		i = (i + 1) & map->mask;
	map->entries[i].key = key;
	map->entries[i].group = group;
}

static void page_map_grow(struct page_map *map)
{
	struct page_map_entry *old = map->entries;
	u32 old_size = old ? map->mask + 1 : 0;
	u32 size = old_size ? old_size * 2 : 16;

	map->entries = must_alloc(calloc(size, sizeof(*map->entries)));
	map->mask = size - 1;
	map->shift = 32 - __builtin_ctz(size);
	for (u32 i = 0; i < old_size; i++)
		if (old[i].group)
			page_map_insert(map, old[i].key, old[i].group);
	free(old);
}

u32 page_map_add(struct page_map *map, struct page_pool *pool, u32 key)
{
	u32 i = page_map_find(map, key);
	struct group *group;

	if (i)
		return i;
	if (!map->entries || map->nr >= (map->mask + 1) / 8 * 5)
		page_map_grow(map);
	i = slab_alloc(&pool->groups);
	pool->nr_groups_made++;
	group = pool_group(pool, i);
	for (unsigned int k = 0; k < GROUP_PAGES; k++) {
		group->value[k] = map->initial;
		group->chain[k] = 0;
	}
	page_map_insert(map, key, i);
	map->nr++;
	map->last_key = key;
	map->last_group = i;
	return i;
}

u64 page_map_bytes(const struct page_map *map)
{
	return map->entries ? (u64)(map->mask + 1) * sizeof(*map->entries) : 0;
}
