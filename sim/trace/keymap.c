// SPDX-License-Identifier: GPL-2.0
/*
 * Byte strings to dense numbers, in order of appearance: devices of a trace, names of hosts and files.
 *
 * Open addressing, grown by doubling, at most half full. Keys are kept one by one; their number and length are
 * bounded by the callers' limits.
 */
#include <stdlib.h>
#include <string.h>

#include "trace_impl.h"

struct key {
	uint64_t hash;
	size_t length;
	unsigned char *bytes;
};

struct keymap {
	unsigned int limit;
	unsigned int count;
	unsigned int slots;	/* a power of two */
	unsigned int *table;	/* 0: free, else number + 1 */
	struct key *keys;
};

static uint64_t hash_bytes(const void *data, size_t length)
{
	const unsigned char *p = data;
	uint64_t h = 0x9e3779b97f4a7c15ull ^ length;

	while (length--) {
		h = (h ^ *p++) * 0x100000001b3ull;
		h ^= h >> 29;
	}
	h *= 0xbf58476d1ce4e5b9ull;
	return h ^ h >> 32;
}

struct keymap *keymap_new(unsigned int limit)
{
	struct keymap *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->limit = limit;
	map->slots = 16;
	map->table = calloc(map->slots, sizeof(*map->table));
	map->keys = calloc(map->slots / 2, sizeof(*map->keys));
	if (!map->table || !map->keys) {
		keymap_free(map);
		return NULL;
	}
	return map;
}

void keymap_free(struct keymap *map)
{
	if (!map)
		return;
	for (unsigned int i = 0; i < map->count; i++)
		free(map->keys[i].bytes);
	free(map->keys);
	free(map->table);
	free(map);
}

static bool grow(struct keymap *map)
{
	unsigned int slots = map->slots * 2;
	unsigned int *table = calloc(slots, sizeof(*table));
	struct key *keys = realloc(map->keys, slots / 2 * sizeof(*keys));

	if (keys)
		map->keys = keys;
	if (!table || !keys) {
		free(table);
		return false;
	}
	for (unsigned int i = 0; i < map->count; i++) {
		unsigned int slot = map->keys[i].hash & (slots - 1);

		while (table[slot])
			slot = (slot + 1) & (slots - 1);
		table[slot] = i + 1;
	}
	free(map->table);
	map->table = table;
	map->slots = slots;
	return true;
}

bool keymap_get(struct keymap *map, const void *key, size_t length, uint64_t *number)
{
	uint64_t hash = hash_bytes(key, length);
	unsigned int slot = hash & (map->slots - 1);
	struct key *k;

	for (; map->table[slot]; slot = (slot + 1) & (map->slots - 1)) {
		k = &map->keys[map->table[slot] - 1];
		if (k->hash == hash && k->length == length && !memcmp(k->bytes, key, length)) {
			*number = k - map->keys;
			return true;
		}
	}
	if (map->count == map->limit)
		return false;
	if (map->count == map->slots / 2) {
		if (!grow(map))
			return false;
		for (slot = hash & (map->slots - 1); map->table[slot];)
			slot = (slot + 1) & (map->slots - 1);
	}
	k = &map->keys[map->count];
	k->bytes = malloc(length ? length : 1);
	if (!k->bytes)
		return false;
	memcpy(k->bytes, key, length);
	k->hash = hash;
	k->length = length;
	map->table[slot] = ++map->count;
	*number = map->count - 1;
	return true;
}

unsigned int keymap_count(const struct keymap *map)
{
	return map->count;
}
