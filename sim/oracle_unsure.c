// SPDX-License-Identifier: GPL-2.0
/*
 * Sectors that may hold one of several values: a hash from the sector to the candidates. Rare (races, errors), so
 * that plain chains do; a device without any costs one test.
 */
#include <stdlib.h>
#include <string.h>

#include "oracle_int.h"

static u32 unsure_slot(const struct unsure_map *map, sector_t sector)
{
	return (u32)((sector * 0x9E3779B97F4A7C15ULL) >> 32) & map->mask;
}

struct unsure *unsure_find(const struct unsure_map *map, sector_t sector)
{
	struct unsure *u;

	if (!map->nr)
		return NULL;
	for (u = map->buckets[unsure_slot(map, sector)]; u; u = u->next)
		if (u->sector == sector)
			return u;
	return NULL;
}

static void unsure_grow(struct unsure_map *map)
{
	struct unsure **old = map->buckets;
	u32 old_size = old ? map->mask + 1 : 0;
	u32 size = old_size ? old_size * 2 : 64;

	map->buckets = oracle_alloc(NULL, size * sizeof(*map->buckets));
	memset(map->buckets, 0, size * sizeof(*map->buckets));
	map->mask = size - 1;
	for (u32 i = 0; i < old_size; i++) {
		while (old[i]) {
			struct unsure *u = old[i];
			u32 slot = unsure_slot(map, u->sector);

			old[i] = u->next;
			u->next = map->buckets[slot];
			map->buckets[slot] = u;
		}
	}
	free(old);
}

struct unsure *unsure_get(struct unsure_map *map, sector_t sector)
{
	struct unsure *u = unsure_find(map, sector);
	u32 slot;

	if (u)
		return u;
	if (!map->buckets || map->nr > map->mask)
		unsure_grow(map);
	u = oracle_alloc(NULL, sizeof(*u));
	memset(u, 0, sizeof(*u));
	u->sector = sector;
	slot = unsure_slot(map, sector);
	u->next = map->buckets[slot];
	map->buckets[slot] = u;
	map->nr++;
	return u;
}

static void unsure_free(struct unsure *u)
{
	free(u->candidates);
	free(u);
}

void unsure_remove(struct unsure_map *map, sector_t sector)
{
	struct unsure **p;

	if (!map->nr)
		return;
	for (p = &map->buckets[unsure_slot(map, sector)]; *p; p = &(*p)->next) {
		struct unsure *u = *p;

		if (u->sector == sector) {
			*p = u->next;
			unsure_free(u);
			map->nr--;
			return;
		}
	}
}

void unsure_remove_range(struct unsure_map *map, sector_t sector, u64 sectors)
{
	if (!map->nr)
		return;
	if (sectors <= map->mask) {
		for (u64 i = 0; i < sectors && map->nr; i++)
			unsure_remove(map, sector + i);
		return;
	}
	for (u32 i = 0; i <= map->mask; i++) {
		struct unsure **p = &map->buckets[i];

		while (*p) {
			struct unsure *u = *p;

			if (u->sector - sector >= sectors) {
				p = &u->next;
				continue;
			}
			*p = u->next;
			unsure_free(u);
			map->nr--;
		}
	}
}

void unsure_add(struct unsure *u, u32 value, u64 ended)
{
	for (u32 i = 0; i < u->nr; i++) {
		if (u->candidates[i].value != value)
			continue;
		if (u->candidates[i].ended < ended)
			u->candidates[i].ended = ended;
		return;
	}
	if (u->nr == u->max) {
		u->max = u->max ? u->max * 2 : 4;
		u->candidates = oracle_alloc(u->candidates, u->max * sizeof(*u->candidates));
	}
	u->candidates[u->nr].value = value;
	u->candidates[u->nr++].ended = ended;
}

void unsure_copy(struct unsure_map *to, const struct unsure_map *from)
{
	for (u32 i = 0; from->nr && i <= from->mask; i++) {
		for (const struct unsure *u = from->buckets[i]; u; u = u->next) {
			struct unsure *copy = unsure_get(to, u->sector);

			for (u32 k = 0; k < u->nr; k++)
				unsure_add(copy, u->candidates[k].value, u->candidates[k].ended);
		}
	}
}

void unsure_exit(struct unsure_map *map)
{
	for (u32 i = 0; map->buckets && i <= map->mask; i++) {
		while (map->buckets[i]) {
			struct unsure *u = map->buckets[i];

			map->buckets[i] = u->next;
			unsure_free(u);
		}
	}
	free(map->buckets);
	memset(map, 0, sizeof(*map));
}
