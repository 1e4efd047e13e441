// SPDX-License-Identifier: GPL-2.0
/*
 * An extendible hash: a directory of segments of SEGMENT_SLOTS slots with linear probing. A segment
 * that fills is split in two by one more bit of the hash, so growing never copies more than 12 KiB
 * at a time (but for the directory, 8 bytes a segment). Eight neighbouring keys start in
 * neighbouring slots and share their hash, so that a chunk costs one or two cache misses.
 */
#include <stdio.h>
#include <stdlib.h>

#include "disk_hash.h"

#define SEGMENT_FULL 744U /* for short probes; the mean over the life of a segment is near 55 % */

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "disk: out of memory\n");
		abort();
	}
	return p;
}

static struct segment *new_segment(struct disk_hash *map, u32 depth)
{
	struct segment *seg = must(malloc(sizeof(*seg)));

	seg->used = 0;
	seg->depth = depth;
	memset(seg->value, 0, sizeof(seg->value)); /* without one a key is not looked at */
	map->segments++;
	return seg;
}

static void double_directory(struct disk_hash *map)
{
	size_t n = (size_t)1 << map->depth;
	struct segment **directory = must(malloc(2 * n * sizeof(*directory)));
	size_t i;

	for (i = 0; i < 2 * n; i++)
		directory[i] = map->directory[i / 2];
	free(map->directory);
	map->directory = directory;
	map->depth++;
}

static void split_segment(struct disk_hash *map, struct segment *old, u32 hash)
{
	struct segment *half[2];
	u32 bit, i;
	size_t first, n;

	if (old->depth == map->depth)
		double_directory(map);
	for (i = 0; i < 2; i++)
		half[i] = new_segment(map, old->depth + 1);
	bit = 31 - old->depth;
	for (i = 0; i < SEGMENT_SLOTS; i++) {
		struct segment *to;
		u32 h, slot;

		if (!old->value[i])
			continue;
		h = disk_hash_of(old->key[i]);
		to = half[h >> bit & 1];
		slot = disk_hash_slot(to, h, old->key[i]);
		to->key[slot] = old->key[i];
		to->value[slot] = old->value[i];
		to->used++;
	}

	/* The directory entries that pointed to @old: first half, second half. */
	n = (size_t)1 << (map->depth - old->depth);
	first = (map->depth ? hash >> (32 - map->depth) : 0) & ~(n - 1);
	for (i = 0; i < n; i++)
		map->directory[first + i] = half[i >= n / 2];
	free(old);
	map->segments--;
}

static void remove_slot(struct segment *seg, u32 slot)
{
	u32 hole = slot, next = slot;

	seg->used--;
	for (;;) {
		u32 home;

		next = (next + 1) & (SEGMENT_SLOTS - 1);
		if (!seg->value[next])
			break;
		home = disk_hash_first_slot(disk_hash_of(seg->key[next]), seg->key[next]);
		/* Does the way from home to next lead over the hole? */
		if (((next - home) & (SEGMENT_SLOTS - 1)) < ((next - hole) & (SEGMENT_SLOTS - 1)))
			continue;
		seg->key[hole] = seg->key[next];
		seg->value[hole] = seg->value[next];
		hole = next;
	}
	seg->value[hole] = 0;
}

u64 disk_hash_set(struct disk_hash *map, u32 key, u64 value)
{
	u32 hash = disk_hash_of(key);
	struct segment *seg = disk_hash_segment(map, hash);
	u32 slot = disk_hash_slot(seg, hash, key);
	u64 old = seg->value[slot];

	if (old) {
		if (value)
			seg->value[slot] = value;
		else
			remove_slot(seg, slot);
		return old;
	}
	if (!value)
		return 0;
	/*
	 * Depth 32 cannot be split further; it is never reached: 8 keys share a hash, 744 do not.
	 */
	while (seg->used >= SEGMENT_FULL) {
		split_segment(map, seg, hash);
		seg = disk_hash_segment(map, hash);
		slot = disk_hash_slot(seg, hash, key);
	}
	seg->key[slot] = key;
	seg->value[slot] = value;
	seg->used++;
	return 0;
}

/* ---- life ---- */

void disk_hash_init(struct disk_hash *map)
{
	map->depth = 0;
	map->segments = 0;
	map->directory = must(malloc(sizeof(*map->directory)));
	map->directory[0] = new_segment(map, 0);
}

void disk_hash_for_each(const struct disk_hash *map,
			void (*fn)(struct segment *seg, void *context), void *context)
{
	size_t i = 0, n = (size_t)1 << map->depth;

	while (i < n) {
		struct segment *seg = map->directory[i];

		i += (size_t)1 << (map->depth - seg->depth);
		fn(seg, context);
	}
}

static void free_segment(struct segment *seg, void *context)
{
	free(seg);
}

void disk_hash_exit(struct disk_hash *map)
{
	disk_hash_for_each(map, free_segment, NULL);
	free(map->directory);
}

u64 disk_hash_memory(const struct disk_hash *map)
{
	return map->segments * sizeof(struct segment) + (sizeof(*map->directory) << map->depth);
}
