// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation of data chunks: a sweep round the data area over the map of the last durable
 * checkpoint.
 *
 * Between two checkpoints the sweep passes no position twice, so what it finds zero in the durable
 * map is free: it needs no memory of what it has given out. A freed chunk shows as zero only once a
 * checkpoint has recorded it, and is used only after all I/O begun before has ended (H02, H03,
 * H29): that checkpoint's freeze came after the record that freed it was durable, and the epoch
 * then is remembered.
 */
#include "mikulas.h"

static u64 alloc_index(struct dm_exception_store *store, block_t block)
{
	return block - store->super.data_start;
}

static int space_push(struct dm_exception_store *store, struct group_state *state, u64 value)
{
	if (store_broken(store, state->space_end - store->space_begin >= store->space_size))
		return -EPERM;
	store->space_list[state->space_end & (store->space_size - 1)] = value;
	state->space_end++;
	return 0;
}

/* Steps from the allocation position up to @block, 1..data_chunks. */
static u64 alloc_step(struct dm_exception_store *store, block_t pos, block_t block)
{
	return block > pos ? block - pos : block + store->super.data_chunks - pos;
}

int alloc_take(struct dm_exception_store *store, struct group_state *state, block_t block)
{
	u64 step = alloc_step(store, state->alloc_pos, block);

	if (step > store->super.data_chunks - state->swept)
		return -EPERM;
	state->swept += step;
	state->alloc_pos = block;
	state->allocated++;
	return space_push(store, state, alloc_index(store, block) << 1);
}

int alloc_free(struct dm_exception_store *store, struct group_state *state, block_t block)
{
	return space_push(store, state, alloc_index(store, block) << 1 | 1);
}

/* The next zero bit at most @left positions above @pos, cyclically. 1, 0, -errno. */
static int find_cyclic(struct dm_exception_store *store, u64 pos, u64 left, u64 *found)
{
	u64 n = store->super.data_chunks, upper = min(left, n - 1 - pos);
	int r;

	r = space_find(store, &store->data, pos + 1, pos + 1 + upper, found);
	if (r || left == upper)
		return r;
	return space_find(store, &store->data, 0, left - upper, found);
}

int alloc_find(struct dm_exception_store *store, unsigned int count, block_t *blocks)
{
	struct group_state *state = &store->open;
	u64 pos = alloc_index(store, state->alloc_pos);
	u64 left = store->super.data_chunks - state->swept;
	unsigned int i;

	if (state->nr_exceptions + count > store->super.data_chunks ||
	    state->nr_exceptions + state->nr_snapshots + count > store->super.max_entries)
		return state->reclaim ? -EAGAIN : -ENOSPC;
	if (dm_multisnap_epoch(store->dm) < store->ripe_epoch) {
		dm_multisnap_want_epoch(store->dm, store->ripe_epoch);
		return -EAGAIN;
	}
	for (i = 0; i < count; i++) {
		u64 found, step;
		int r = find_cyclic(store, pos, left, &found);

		if (r < 0)
			return r;
		if (!r) {
			/* Free chunks exist, but only a checkpoint makes them show. */
			checkpoint_poll(store, true);
			return store->dead ? store->dead : -EAGAIN;
		}
		step = alloc_step(store, pos, found);
		pos = found;
		left -= step;
		blocks[i] = store->super.data_start + found;
	}
	return 0;
}
