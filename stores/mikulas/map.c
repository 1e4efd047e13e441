// SPDX-License-Identifier: GPL-2.0
/*
 * The allocation maps: bitmaps under a small tree of counts, each block with two fixed places.
 *
 * A checkpoint writes a block to the place that the durable one does not use, and what says which
 * place counts is the parent, up to the superblock. So writing the maps allocates nothing, and
 * never-written parts cost nothing. "committed" is what the superblock reaches, "working" what the
 * checkpoint that is being made will reach; a working block that the cache pushes out is written to
 * its own place, and read from there.
 */
#include "mikulas.h"

void space_init(struct space *space, u8 id, mblock_t start, u64 bits)
{
	memset(space, 0, sizeof(*space));
	map_shape_init(&space->shape, bits);
	space->start = start;
	space->id = id;
}

static mblock_t map_location(const struct space *space, unsigned int level, u64 index, u64 seq_slot)
{
	return space->start + space->shape.place[level] + 2 * index + (seq_slot & 1);
}

/* Bits below block @index of @level. */
static u64 map_capacity(const struct space *space, unsigned int level, u64 index)
{
	return min(space->shape.bits - index * space->shape.cover[level],
		   space->shape.cover[level]);
}

static u64 map_index(const struct space *space, unsigned int level, u64 bit, u32 *within)
{
	u64 index = div_u64_rem(bit, MAP_BITS, within);

	while (level--)
		index = div_u64_rem(index, MAP_FAN, within);
	return index;
}

/* Bits or entries of a block that count: what is behind must be zero. */
static const char *check_tail(const struct space *space, const struct map_disk *map,
			      unsigned int level, u64 index)
{
	u64 n = level ? space->shape.blocks[level - 1] : space->shape.bits;
	u32 fan = level ? MAP_FAN : MAP_BITS, i;

	if (n - index * fan >= fan)
		return NULL;
	for (i = n - index * fan; i < fan; i++) {
		if (level ? map->u.entries[i].seq_slot || map->u.entries[i].used :
			    map->u.bits[i / 8] >> (i % 8) & 1)
			return "map beyond its end";
		if (!level && !(i % 8) && !memchr_inv(map->u.bits + i / 8, 0, MAP_ROOM - i / 8))
			break;
	}
	return NULL;
}

static const char *check_counts(const struct space *space, const struct map_disk *map,
				unsigned int level, u64 index, u64 used)
{
	u64 seq = le64_to_cpu(map->seq), sum = 0;
	u32 i;

	if (!level) {
		for (i = 0; i < MAP_ROOM; i += 8)
			sum += hweight64(get_unaligned_le64(map->u.bits + i));
		return sum == used ? NULL : "count of a map block";
	}
	for (i = 0; i < MAP_FAN; i++) {
		u64 seq_slot = le64_to_cpu(map->u.entries[i].seq_slot);
		u64 below = le64_to_cpu(map->u.entries[i].used);

		if (seq_slot >> 1 > seq || seq_slot == 1 || (!seq_slot && below))
			return "entry of a map block";
		if (below && below > map_capacity(space, level - 1, index * MAP_FAN + i))
			return "count in a map block";
		sum += below;
	}
	return sum == used ? NULL : "sum of counts of a map block";
}

/* The block that @entry describes, checked against it. The entry must not be "never written". */
static int map_get(struct dm_exception_store *store, const struct space *space, unsigned int level,
		   u64 index, const struct map_entry *entry, struct cblock **block)
{
	mblock_t location = map_location(space, level, index, entry->seq_slot);
	const struct map_disk *map;
	const char *wrong;
	int r;

	r = cache_get(store, location, block);
	if (r)
		return r;
	map = (*block)->data;
	if (le32_to_cpu(map->magic) != MAP_MAGIC || map->level != level || map->map != space->id ||
	    le64_to_cpu(map->index) != index || le64_to_cpu(map->seq) != entry->seq_slot >> 1)
		return store_fail(store, -EPERM, "not the map block that its parent names",
				  location);
	if ((*block)->verified)
		return 0;
	wrong = check_tail(space, map, level, index);
	if (!wrong)
		wrong = check_counts(space, map, level, index, entry->used);
	if (wrong)
		return store_fail(store, -EPERM, wrong, location);
	(*block)->verified = true;
	return 0;
}

static void entry_load(struct map_entry *entry, const struct map_disk *map, u32 i)
{
	entry->seq_slot = le64_to_cpu(map->u.entries[i].seq_slot);
	entry->used = le64_to_cpu(map->u.entries[i].used);
}

/*
 * One descent of the committed map towards @bit. 1: it is zero. 0: none is zero before *next. The
 * entries' counts skip what is full.
 */
static int find_step(struct dm_exception_store *store, struct space *space, u64 bit, u64 *next)
{
	struct map_entry entry = space->committed;

	for (unsigned int level = space->shape.levels - 1;; level--) {
		const struct map_disk *map;
		struct cblock *block;
		u32 within, zero;
		u64 index;
		int r;

		index = map_index(space, level, bit, &within);
		if (entry.used == map_capacity(space, level, index)) {
			*next = (index + 1) * space->shape.cover[level];
			return 0;
		}
		if (!entry.seq_slot)
			return 1;
		r = map_get(store, space, level, index, &entry, &block);
		if (r)
			return r;
		map = block->data;
		if (!level) {
			within = bit - index * MAP_BITS;
			zero = find_next_zero_bit_le(map->u.bits, MAP_BITS, within);
			*next = index * MAP_BITS + zero;
			return zero == within;
		}
		map_index(space, level, bit, &within);
		entry_load(&entry, map, within);
	}
}

int space_find(struct dm_exception_store *store, struct space *space, u64 begin, u64 end,
	       u64 *found)
{
	while (begin < end) {
		u64 next;
		int r = find_step(store, space, begin, &next);

		if (r < 0)
			return r;
		if (r) {
			*found = begin;
			return 1;
		}
		begin = next;
	}
	return 0;
}

/* Make block @index of @level part of the working map, from @entry's version. Pinned. */
static int working_copy(struct dm_exception_store *store, struct space *space, unsigned int level,
			u64 index, struct map_entry *entry, struct cblock **block)
{
	u64 seq_slot = store->ckpt.seq << 1 | (entry->seq_slot ? ~entry->seq_slot & 1 : 0);
	mblock_t location = map_location(space, level, index, seq_slot);
	struct cblock *old = NULL;
	struct map_disk *map;
	int r;

	if (entry->seq_slot) {
		r = map_get(store, space, level, index, entry, &old);
		if (r)
			return r;
		cache_pin(old);
	}
	r = cache_new(store, location, block);
	if (old)
		cache_unpin(old);
	if (r)
		return r;
	map = (*block)->data;
	if (old)
		memcpy(map, old->data, MBLOCK_BYTES);
	else
		memset(map, 0, MBLOCK_BYTES);
	map->magic = cpu_to_le32(MAP_MAGIC);
	map->seq = cpu_to_le64(store->ckpt.seq);
	map->index = cpu_to_le64(index);
	map->level = level;
	map->map = space->id;
	entry->seq_slot = seq_slot;
	return 0;
}

/* The working version of a block, dirty and pinned; *entry is brought up to date. */
static int working_get(struct dm_exception_store *store, struct space *space, unsigned int level,
		       u64 index, struct map_entry *entry, struct cblock **block)
{
	int r;

	if (entry->seq_slot >> 1 != store->ckpt.seq)
		return working_copy(store, space, level, index, entry, block);
	r = map_get(store, space, level, index, entry, block);
	if (!r)
		r = cache_dirty(store, *block);
	if (!r)
		cache_pin(*block);
	return r;
}

int space_set(struct dm_exception_store *store, struct space *space, u64 bit, bool used)
{
	struct cblock *path[MAP_LEVELS_MAX];
	struct map_entry entry = space->working;
	unsigned int top = space->shape.levels - 1, level = top + 1, i;
	struct map_disk *map;
	u32 within;
	int r = 0;

	if (store_broken(store, bit >= space->shape.bits))
		return -EPERM;
	while (level > 0) {
		u64 index = map_index(space, level - 1, bit, &within);

		r = working_get(store, space, level - 1, index, &entry, &path[level - 1]);
		if (r)
			break;
		level--;
		if (level == top) {
			space->working = entry;
		} else {
			map = path[level + 1]->data;
			map_index(space, level + 1, bit, &within);
			map->u.entries[within].seq_slot = cpu_to_le64(entry.seq_slot);
		}
		if (level) {
			map_index(space, level, bit, &within);
			entry_load(&entry, path[level]->data, within);
		}
	}
	if (!r) {
		map_index(space, 0, bit, &within);
		map = path[0]->data;
		if (test_bit_le(within, map->u.bits) == used)
			r = store_fail(store, -EPERM, "map bit contradicts the tree",
				       map_location(space, 0, le64_to_cpu(map->index), 0));
	}
	if (!r) {
		if (used)
			__set_bit_le(within, map->u.bits);
		else
			__clear_bit_le(within, map->u.bits);
		for (i = 1; i <= top; i++) {
			struct map_entry_disk *e;

			map = path[i]->data;
			map_index(space, i, bit, &within);
			e = &map->u.entries[within];
			e->used = cpu_to_le64(le64_to_cpu(e->used) + (used ? 1 : -1));
		}
		space->working.used += used ? 1 : -1;
	}
	for (i = level; i <= top; i++)
		cache_unpin(path[i]);
	return r;
}
