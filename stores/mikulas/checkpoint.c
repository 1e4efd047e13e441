// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints: freeze, merge, maps, flush, superblock; in slices, while commits go on.
 *
 * LAYER_DURABLE as a whole, which is the changes of all groups up to C, becomes LAYER_FROZEN. The
 * merge writes a new tree, the chunks that these groups took and freed are marked in the data map,
 * and when all of it has been written the superblock follows with PREFLUSH and FUA. Then the log up
 * to C is free (H30), and what the new checkpoint does not reach any more may be used by the next
 * one (H03, H33).
 */
#include "mikulas.h"

#define SPACE_SLICE 1024u
#define CLEAN_SLICE 1024u

void checkpoint_kick(struct dm_exception_store *store)
{
	if (store->ckpt.phase != CKPT_IDLE && !store->dead && !store->invalid)
		dm_multisnap_queue_work(store->dm, &store->ckpt.bw);
}

static bool checkpoint_due(struct dm_exception_store *store)
{
	return store->log.changes >= store->threshold_changes ||
	       store->log.used >= store->log.sectors - store->log.sectors / 4;
}

static void checkpoint_freeze(struct dm_exception_store *store)
{
	struct checkpoint *ckpt = &store->ckpt;
	bool all = store->super.tree_blocks > tree_blocks_limit(store->super.max_entries);

	if (store_broken(store, store->layers[LAYER_FROZEN].count))
		return;
	ckpt->wanted = false;
	ckpt->seq = store->super.ckpt + 1;
	ckpt->state = store->durable;
	ckpt->log_seq = store->log.seq;
	ckpt->log_crc = store->log.crc;
	ckpt->log_next = store->log.next;
	ckpt->log_used = store->log.used;
	ckpt->log_changes = store->log.changes;
	ckpt->space_at = store->space_begin;
	ckpt->sort_end = store->space_begin;
	ckpt->epoch = dm_multisnap_epoch(store->dm);
	ckpt->frees = false;
	store->layers[LAYER_FROZEN] = store->layers[LAYER_DURABLE];
	layer_init(&store->layers[LAYER_DURABLE]);
	store->data.working = store->data.committed;
	store->meta.working = store->meta.committed;
	merge_start(store, all);
	ckpt->phase = CKPT_MERGE;
	checkpoint_kick(store);
}

void checkpoint_poll(struct dm_exception_store *store, bool force)
{
	struct checkpoint *ckpt = &store->ckpt;

	if (store->dead || store->invalid)
		return;
	if (force || checkpoint_due(store))
		ckpt->wanted = true;
	if (!ckpt->wanted || ckpt->phase != CKPT_IDLE)
		return;
	if (store->log.seq != store->super.log_seq)
		checkpoint_freeze(store);
	else if (store->open_record.ops)
		dm_multisnap_request_commit(store->dm);
	else if (!store->have_closed)
		ckpt->wanted = false;
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/*
 * Bring the chunks taken and freed by the frozen groups into the data map, some at a time in the
 * order of their place. A chunk is freed after it was taken, which sorting by place keeps.
 */
static int space_slice(struct dm_exception_store *store)
{
	struct checkpoint *ckpt = &store->ckpt;
	u64 mask = store->space_size - 1;

	if (ckpt->space_at == ckpt->sort_end) {
		u64 n = min(ckpt->state.space_end - ckpt->space_at, (u64)SPACE_SLICE);

		n = min(n, store->space_size - (ckpt->space_at & mask));
		if (!n)
			return 1;
		sort(store->space_list + (ckpt->space_at & mask), n, sizeof(u64), cmp_u64, NULL);
		ckpt->sort_end = ckpt->space_at + n;
	}
	while (ckpt->space_at != ckpt->sort_end) {
		u64 value = store->space_list[ckpt->space_at & mask];
		int r = space_set(store, &store->data, value >> 1, !(value & 1));

		if (r)
			return r;
		ckpt->frees |= value & 1;
		ckpt->space_at++;
	}
	return 0;
}

static void state_rebase(struct group_state *state, const struct group_state *base)
{
	state->swept -= base->swept;
	state->allocated -= base->allocated;
}

/* The superblock is durable. */
static void checkpoint_durable(struct dm_exception_store *store, int error)
{
	struct checkpoint *ckpt = &store->ckpt;
	const struct group_state base = ckpt->state;

	if (error)
		return; /* store_fail() has been called */
	store->data.committed = store->data.working;
	store->meta.committed = store->meta.working;
	store->memo_valid = false;
	state_rebase(&store->open, &base);
	state_rebase(&store->closed, &base);
	state_rebase(&store->durable, &base);
	store->space_begin = base.space_end;
	store->log.used -= ckpt->log_used;
	store->log.changes -= ckpt->log_changes;
	if (ckpt->frees) {
		store->ripe_epoch = ckpt->epoch + 2;
		dm_multisnap_want_epoch(store->dm, store->ripe_epoch);
	}
	store->merged = store->layers[LAYER_FROZEN];
	layer_init(&store->layers[LAYER_FROZEN]);
	ckpt->phase = CKPT_CLEAN;
	checkpoint_kick(store);
	commit_try(store);
	dm_multisnap_event(store->dm);
}

static int write_super(struct dm_exception_store *store)
{
	struct checkpoint *ckpt = &store->ckpt;
	const struct group_state *state = &ckpt->state;
	struct super next = store->super;

	if (store->data.working.used != state->nr_exceptions ||
	    store->meta.working.used != ckpt->merge.tree_blocks)
		return store_fail(store, -EPERM, "counts of maps and tree differ",
				  store->super.map_start);
	next.ckpt = ckpt->seq;
	next.root = ckpt->merge.root;
	next.root_seq = ckpt->merge.root_seq;
	next.depth = ckpt->merge.root_depth;
	next.tree_blocks = ckpt->merge.tree_blocks;
	next.log_crc = ckpt->log_crc;
	next.log_seq = ckpt->log_seq;
	next.log_next = ckpt->log_next;
	next.alloc_pos = state->alloc_pos;
	next.next_first = state->next_first;
	next.nr_snapshots = state->nr_snapshots;
	next.nr_exceptions = state->nr_exceptions;
	next.reclaim = state->reclaim;
	next.cursor_chunk = state->cursor_chunk;
	next.cursor_from = state->cursor_from;
	next.data_map = store->data.working;
	next.meta_map = store->meta.working;
	ckpt->phase = CKPT_SUPER;
	super_write(store, &next, checkpoint_durable);
	return -EAGAIN;
}

static int checkpoint_slice(struct dm_exception_store *store)
{
	struct checkpoint *ckpt = &store->ckpt;
	int r = 0;

	switch (ckpt->phase) {
	case CKPT_MERGE:
		r = merge_slice(store);
		if (r > 0) {
			ckpt->phase = CKPT_SPACE;
			r = 0;
		}
		break;
	case CKPT_SPACE:
		r = space_slice(store);
		if (r > 0) {
			ckpt->phase = CKPT_WRITE;
			r = 0;
		}
		break;
	case CKPT_WRITE:
		r = cache_write_all(store) ? write_super(store) : -EAGAIN;
		break;
	case CKPT_CLEAN:
		if (changes_free_some(store, &store->merged, CLEAN_SLICE)) {
			ckpt->phase = CKPT_IDLE;
			checkpoint_poll(store, false);
			r = -EAGAIN;
		}
		break;
	case CKPT_SUPER:
	case CKPT_IDLE:
		r = -EAGAIN;
	}
	return r;
}

/* -EAGAIN: an I/O under way brings it back. */
static void checkpoint_work(struct dm_exception_store *store,
			    struct dm_multisnap_background_work *bw)
{
	if (store->dead || store->invalid)
		return;
	if (!checkpoint_slice(store))
		checkpoint_kick(store);
}

void checkpoint_init(struct dm_exception_store *store)
{
	store->ckpt.bw.work = checkpoint_work;
	INIT_LIST_HEAD(&store->ckpt.bw.list);
}
