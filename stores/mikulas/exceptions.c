// SPDX-License-Identifier: GPL-2.0
/*
 * Finding and making exceptions.
 *
 * Each store chunk is owned by exactly one record (chunk, [from, to]); records of a chunk never
 * overlap. A new record reaches from the first snapshot that it serves, together with the
 * sub-snapshots that this one may yet get, to the last one, which exists. So a sub-snapshot to come
 * shares with its master without a copy (H23), and no first-level snapshot to come is ever inside a
 * range.
 *
 * A snapshot that writes to what it shares gets a chunk of its own and leaves the range. What is
 * left on both sides of it cannot be one record any more: the left side keeps the chunk, the right
 * one gets a second copy.
 */
#include "mikulas.h"

static bool is_private(struct dm_exception_store *store, const struct entry *entry)
{
	return snapshot_next(store, entry->from) == snapshot_last(store, entry->a);
}

int mikulas_find(struct dm_exception_store *store, snapid_t id, chunk_t chunk, bool write,
		 block_t *block)
{
	struct query *query = &store->query;
	struct entry entry;
	int r;

	if (store->dead)
		return store->dead;
	if (chunk >= EXCEPTION_CHUNK_END)
		return -EINVAL;
	query->valid = false;
	query->shared = false;
	r = view_le(store, chunk, id, &entry);
	if (r < 0)
		return r;
	if (write && !snapshot_find(store, id))
		return -EINVAL;
	if (!r || entry.a < id) {
		if (write) {
			query->valid = true;
			query->chunk = chunk;
			query->from = snapshot_low(store, id);
			query->to = id;
		}
		return CHUNK_NOT_REMAPPED;
	}
	*block = entry.b;
	if (is_private(store, &entry))
		return CHUNK_PRIVATE;
	if (write) {
		query->shared = true;
		query->record = entry;
		query->id = id;
	}
	return CHUNK_SHARED;
}

void mikulas_reset_query(struct dm_exception_store *store)
{
	store->query.valid = false;
	store->query.shared = false;
	store->query.next = 0;
}

/* The next maximal run of live snapshots without a record between two records. */
int mikulas_query_next_remap(struct dm_exception_store *store, chunk_t chunk)
{
	struct query *query = &store->query;
	struct entry entry;
	u64 gt_from;
	snapid_t first, limit = SNAPID_ORIGIN - 1;
	int r;

	if (store->dead)
		return store->dead;
	if (chunk >= EXCEPTION_CHUNK_END)
		return -EINVAL;
	query->valid = false;
	for (;;) {
		first = snapshot_next(store, query->next);
		if (first == SNAPID_ORIGIN)
			return 0;
		r = view_le(store, chunk, first, &entry);
		if (r < 0)
			return r;
		if (!r || entry.a < first)
			break;
		query->next = entry.a + 1;
	}
	r = view_gt(store, chunk, first, &gt_from);
	if (r < 0)
		return r;
	if (r)
		limit = gt_from - 1;
	query->chunk = chunk;
	query->from = snapshot_low(store, first);
	query->to = snapshot_last(store, limit);
	query->valid = true;
	return 1;
}

static void fill_remap(struct chunk_remap *remap, const struct entry *entry)
{
	remap->cd.range.from = entry->from;
	remap->cd.range.to = entry->a;
	remap->block = entry->b;
}

int mikulas_add_next_remap(struct dm_exception_store *store, struct chunk_remap *remap)
{
	struct query *query = &store->query;
	struct entry entry;
	int r;

	if (store_broken(store, !query->valid))
		return -EPERM;
	r = group_begin(store, 1, 1);
	if (!r)
		r = alloc_find(store, 1, &entry.b);
	if (r)
		return r;
	query->valid = false;
	query->next = query->to + 1;
	entry.chunk = query->chunk;
	entry.from = query->from;
	entry.a = query->to;
	r = group_add(store, &entry);
	if (r)
		return store_fail(store, r, "contradiction in memory, chunk", entry.chunk);
	fill_remap(remap, &entry);
	return 0;
}

int mikulas_make_chunk_writeable(struct dm_exception_store *store,
				 struct chunk_remap remap[MAKE_WRITEABLE_MAX])
{
	struct query *query = &store->query;
	struct entry old = query->record, own = { 0 }, right = { 0 };
	snapid_t left_to = SNAPID_ORIGIN, right_first;
	block_t blocks[MAKE_WRITEABLE_MAX];
	bool have_left, have_right;
	int r;

	if (store_broken(store, !query->shared))
		return -EPERM;
	own.chunk = old.chunk;
	own.from = max(snapshot_low(store, query->id), old.from);
	own.a = query->id;
	if (own.from > old.from)
		left_to = snapshot_last(store, own.from - 1);
	have_left = left_to != SNAPID_ORIGIN && left_to >= old.from;
	right_first = snapshot_next(store, query->id + 1);
	have_right = right_first <= old.a;
	if (store_broken(store, !have_left && !have_right))
		return -EPERM;

	r = group_begin(store, 3, 4);
	if (!r)
		r = alloc_find(store, have_left && have_right ? 2 : 1, blocks);
	if (r)
		return r;
	query->shared = false;
	if (have_right) {
		right.chunk = old.chunk;
		right.from = snapshot_low(store, right_first);
		right.a = snapshot_last(store, old.a);
	}
	if (have_left)
		r = group_narrow(store, &old, old.from, left_to);
	else
		r = group_narrow(store, &old, right.from, right.a);
	own.b = blocks[0];
	if (!r)
		r = group_add(store, &own);
	right.b = blocks[1];
	if (!r && have_left && have_right)
		r = group_add(store, &right);
	if (r)
		return store_fail(store, r, "contradiction in memory, chunk", old.chunk);
	fill_remap(&remap[0], &own);
	if (!have_left || !have_right)
		return 1;
	fill_remap(&remap[1], &right);
	return 2;
}

bool mikulas_check_conflict(struct dm_exception_store *store, const union chunk_descriptor *cd,
			    snapid_t id)
{
	return id >= cd->range.from && id <= cd->range.to;
}
