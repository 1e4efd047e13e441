// SPDX-License-Identifier: GPL-2.0
/*
 * What an operation of the log does to the layers, the counters and the live snapshots: the same
 * code when it is made and when it is replayed.
 *
 * Room (spares_reserve()) was made before; what fails here with -EPERM is a
 * log that contradicts itself, and a bug when it comes from a group.
 */
#include "mikulas.h"

static void add_counts(struct dm_exception_store *store, struct group_state *state, int exceptions,
		       int snapshots)
{
	dm_multisnap_status_lock(store->dm);
	state->nr_exceptions += exceptions;
	state->nr_snapshots += snapshots;
	dm_multisnap_status_unlock(store->dm);
}

int apply_add(struct dm_exception_store *store, const struct apply *to, const struct entry *entry)
{
	struct change change = {
		.chunk = entry->chunk,
		.from = entry->from,
		.to = entry->a,
		.block = entry->b,
		.old = BLOCK_NONE,
	};
	int r;

	r = alloc_take(store, to->state, entry->b);
	if (!r)
		r = changes_put(store, to->layer, &change);
	if (!r)
		add_counts(store, to->state, 1, 0);
	return r;
}

/* @old->a is not used: a replay does not know it. */
int apply_narrow(struct dm_exception_store *store, const struct apply *to, const struct entry *old,
		 snapid_t from, snapid_t new_to)
{
	struct change change = {
		.chunk = old->chunk,
		.from = old->from,
		.to = new_to,
		.block = old->b,
		.old = old->b,
	};
	int r;

	if (from == old->from)
		return changes_put(store, to->layer, &change);
	change.block = BLOCK_NONE;
	r = changes_put(store, to->layer, &change);
	if (r)
		return r;
	change.from = from;
	change.block = old->b;
	change.old = BLOCK_NONE;
	return changes_put(store, to->layer, &change);
}

int apply_remove(struct dm_exception_store *store, const struct apply *to, const struct entry *old)
{
	struct change change = {
		.chunk = old->chunk,
		.from = old->from,
		.block = BLOCK_NONE,
		.old = old->b,
	};
	int r;

	if (!to->state->nr_exceptions)
		return -EPERM;
	r = changes_put(store, to->layer, &change);
	if (r)
		return r;
	r = alloc_free(store, to->state, old->b);
	if (!r)
		add_counts(store, to->state, -1, 0);
	return r;
}

static int put_snapshot(struct dm_exception_store *store, enum layer layer, snapid_t id, u64 block,
			u64 old)
{
	struct change change = {
		.chunk = SNAPSHOT_KEY_CHUNK,
		.from = id,
		.to = id,
		.block = block,
		.old = old,
	};

	return changes_put(store, layer, &change);
}

int apply_create(struct dm_exception_store *store, const struct apply *to, snapid_t id)
{
	struct live_snapshot *master;
	int r;

	r = put_snapshot(store, to->layer, id, 0, BLOCK_NONE);
	if (r)
		return r;
	if (snapid_is_first_level(id)) {
		to->state->next_first = (u64)snapid_high(id) + 1;
	} else {
		master = snapshot_find(store, id | U32_MAX);
		r = put_snapshot(store, to->layer, master->id, (u64)(u32)id + 1, master->next_sub);
		if (r)
			return r;
		master->next_sub = (u32)id + 1;
	}
	r = snapshot_insert(store, id, 0);
	if (!r)
		add_counts(store, to->state, 0, 1);
	return r;
}

int apply_delete(struct dm_exception_store *store, const struct apply *to, snapid_t id)
{
	struct live_snapshot *snapshot = snapshot_find(store, id);
	struct group_state *state = to->state;
	int r;

	r = put_snapshot(store, to->layer, id, BLOCK_NONE, snapshot->next_sub);
	if (r)
		return r;
	snapshot->deleting = true;
	list_add_tail(&snapshot->deleted, &store->deleted_open);
	if (!state->reclaim || (!state->cursor_chunk && !state->cursor_from)) {
		state->reclaim |= RECLAIM_RUNNING;
		store->reclaim_chunk = 0;
		store->reclaim_from = 0;
	} else {
		state->reclaim |= RECLAIM_AGAIN;
	}
	add_counts(store, to->state, 0, -1);
	return 0;
}

int apply_cursor(struct dm_exception_store *store, const struct apply *to, bool end, u64 chunk,
		 u64 from)
{
	struct group_state *state = to->state;

	if (!(state->reclaim & RECLAIM_RUNNING))
		return -EPERM;
	if (end) {
		state->reclaim = state->reclaim & RECLAIM_AGAIN ? RECLAIM_RUNNING : 0;
		chunk = 0;
		from = 0;
	} else if (chunk > EXCEPTION_CHUNK_END ||
		   key_cmp(chunk, from, state->cursor_chunk, state->cursor_from) < 0) {
		return -EPERM;
	}
	state->cursor_chunk = chunk;
	state->cursor_from = from;
	store->reclaim_chunk = chunk;
	store->reclaim_from = from;
	return 0;
}
