// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim: after deletions, a pass over all exceptions removes those that no live snapshot reads.
 *
 * One pass serves all deletions made before it began; a deletion that comes later has another one
 * follow. The cursor is recorded in the log from time to time, so that after a restart the pass
 * goes on where it was. A pass rests while a deletion is not durable yet: until then its snapshot
 * counts as live, and chunks are still copied for it.
 *
 * What is removed goes to the collecting group like everything else, but takes at most half of it.
 */
#include "mikulas.h"

#define RECLAIM_SLICE 128u /* records looked at */
#define RECLAIM_RECORD_EVERY 4096u /* ... until the cursor is recorded though nothing was removed */

static bool reclaim_wanted(struct dm_exception_store *store)
{
	return store->open.reclaim && !store->dead && !store->invalid &&
	       list_empty(&store->deleted_open) && list_empty(&store->deleted_closed);
}

void reclaim_kick(struct dm_exception_store *store)
{
	if (reclaim_wanted(store))
		dm_multisnap_queue_work(store->dm, &store->reclaim_bw);
}

/*
 * The first exception at or above the pass's place, or the first key where one was (@gone): those
 * are passed one by one too, so that what has been looked at stays behind. 1, 0, -EAGAIN, -errno.
 */
static int next_exception(struct dm_exception_store *store, struct entry *entry, bool *gone)
{
	struct view_key key;
	int r;

	*gone = false;
	/* There, the keys are those of snapshots. */
	if (store->reclaim_chunk >= EXCEPTION_CHUNK_END)
		return 0;
	r = view_at(store, store->reclaim_chunk, store->reclaim_from, entry);
	if (r)
		return r;
	r = view_key_gt(store, store->reclaim_chunk, store->reclaim_from, &key);
	if (r <= 0)
		return r;
	if (key.chunk >= EXCEPTION_CHUNK_END)
		return 0;
	if (key.gone) {
		*gone = true;
		entry->chunk = key.chunk;
		entry->from = key.from;
		return 1;
	}
	r = view_at(store, key.chunk, key.from, entry);
	if (!r)
		return store_fail(store, -EPERM, "exception not found again, chunk", key.chunk);
	return r;
}

static bool is_garbage(struct dm_exception_store *store, const struct entry *entry)
{
	return snapshot_next(store, entry->from) > entry->a;
}

/* 1: it is recorded. */
static int record_cursor_op(struct dm_exception_store *store, bool end)
{
	int r = group_begin(store, 1, 0);

	if (r)
		return r;
	store->reclaim_scanned = 0;
	r = group_cursor(store, end, store->reclaim_chunk, store->reclaim_from);
	if (r)
		return store_fail(store, r, "contradiction of the reclaim cursor", 0);
	dm_multisnap_request_commit(store->dm);
	return 1;
}

static int reclaim_one(struct dm_exception_store *store, bool *removed)
{
	struct entry entry;
	bool gone;
	int r = next_exception(store, &entry, &gone);

	if (r < 0)
		return r;
	if (!r)
		return record_cursor_op(store, true);
	if (!gone && is_garbage(store, &entry)) {
		if (store->open_record.bytes > record_capacity(store->super.record_sectors) / 2 ||
		    store->open_record.changes > store->group_changes_max / 2) {
			dm_multisnap_request_commit(store->dm);
			return -EAGAIN;
		}
		/* The cursor must find room behind it. */
		r = group_begin(store, 2, 1);
		if (r)
			return r;
		r = group_remove(store, &entry);
		if (r)
			return store_fail(store, r, "contradiction in memory, chunk", entry.chunk);
		*removed = true;
	}
	store->reclaim_chunk = entry.chunk;
	store->reclaim_from = entry.from + 1;
	store->reclaim_scanned++;
	return 0;
}

static void reclaim_work(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	bool removed = false;
	unsigned int i;
	int r = 0;

	if (!reclaim_wanted(store))
		return;
	/* The room of a group that is kept open is not for us (H15). */
	if (dm_multisnap_groups_held(store->dm)) {
		store->resumed = false;
		return;
	}
	store->short_of_memory = false;
	for (i = 0; i < RECLAIM_SLICE && !r; i++)
		r = reclaim_one(store, &removed);
	if (r <= 0 && (removed || store->reclaim_scanned >= RECLAIM_RECORD_EVERY)) {
		int r2 = record_cursor_op(store, false);

		if (r2 < 0 && r2 != -EAGAIN)
			r = r2;
	}
	/* The worker fetches memory before it comes back; what else -EAGAIN waits for kicks us. */
	if (r >= 0 || (r == -EAGAIN && store->short_of_memory))
		reclaim_kick(store);
	else if (r != -EAGAIN)
		store_fail(store, r, "reclaim stopped, chunk", store->reclaim_chunk);
}

void reclaim_init(struct dm_exception_store *store)
{
	store->reclaim_bw.work = reclaim_work;
	INIT_LIST_HEAD(&store->reclaim_bw.list);
}
