/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A map from 32-bit numbers to 64-bit values other than 0, for many millions of them: see
 * disk_hash.c.
 */
#ifndef SHIM_DISK_HASH_H
#define SHIM_DISK_HASH_H

#include "shim.h"

#define SEGMENT_SLOTS 1024U
#define GROUP_BITS 3

struct segment {
	u32 used;
	u32 depth; /* bits of the hash that all its keys share */
	u32 key[SEGMENT_SLOTS];
	u64 value[SEGMENT_SLOTS]; /* 0: free */
};

struct disk_hash {
	struct segment **directory; /* 1 << depth */
	u32 depth;
	u64 segments;
};

static inline u32 disk_hash_of(u32 key)
{
	return (u32)(((u64)(key >> GROUP_BITS) * 0x9E3779B97F4A7C15ULL) >> 32);
}

/* The directory takes the top bits of the hash, the slot the bottom ones. */
static inline struct segment *disk_hash_segment(const struct disk_hash *map, u32 hash)
{
	return map->directory[map->depth ? hash >> (32 - map->depth) : 0];
}

static inline u32 disk_hash_first_slot(u32 hash, u32 key)
{
	return ((hash << GROUP_BITS) | (key & ((1U << GROUP_BITS) - 1))) & (SEGMENT_SLOTS - 1);
}

/* The slot that holds @key, or the free one where it belongs. */
static inline u32 disk_hash_slot(const struct segment *seg, u32 hash, u32 key)
{
	u32 slot = disk_hash_first_slot(hash, key);

	while (seg->value[slot] && seg->key[slot] != key)
		slot = (slot + 1) & (SEGMENT_SLOTS - 1);
	return slot;
}

static inline u64 disk_hash_get(const struct disk_hash *map, u32 key)
{
	u32 hash = disk_hash_of(key);
	const struct segment *seg = disk_hash_segment(map, hash);

	return seg->value[disk_hash_slot(seg, hash, key)];
}

/* Returns the value before. @value 0: removes the key. Out of memory ends the program. */
u64 disk_hash_set(struct disk_hash *map, u32 key, u64 value);

void disk_hash_init(struct disk_hash *map);
void disk_hash_exit(struct disk_hash *map);
u64 disk_hash_memory(const struct disk_hash *map);
/* Calls @fn once for each segment. */
void disk_hash_for_each(const struct disk_hash *map,
			void (*fn)(struct segment *seg, void *context), void *context);

#endif /* SHIM_DISK_HASH_H */
