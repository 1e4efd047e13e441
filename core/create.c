// SPDX-License-Identifier: GPL-2.0
/*
 * Creating snapshots: prepared by a message, made in postsuspend when the device is quiet, or made
 * by sync-snapshots in the first preresume.
 */
#include "multisnap.h"

/*
 * May map send origin writes without asking? To be called when a creation or a deletion is
 * durable.
 */
void multisnap_refresh_unshared(struct dm_multisnap *s)
{
	bool unshared;
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	unshared = s->ops->get_next_snapid(s->store, 0) == SNAPID_ORIGIN;
	spin_lock_irqsave(&s->io_lock, flags);
	s->unshared = unshared;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

static void set_prepared(struct dm_multisnap *s, snapid_t id, snapid_t master)
{
	dm_multisnap_status_lock(s);
	s->prepared = id;
	s->prepared_master = master;
	dm_multisnap_status_unlock(s);
}

void multisnap_drop_prepared(struct dm_multisnap *s)
{
	multisnap_lock(s);
	set_prepared(s, SNAPID_ORIGIN, SNAPID_ORIGIN);
	multisnap_unlock(s);
}

/*
 * The message "create", or "create_subsnap" with a @master: show the id to come. An id prepared
 * before is dropped first, also when this fails; what was not spent is given again.
 */
int multisnap_prepare_create(struct dm_multisnap *s, snapid_t master)
{
	snapid_t id;
	u64 seq;
	int r;

	do {
		multisnap_lock(s);
		set_prepared(s, SNAPID_ORIGIN, SNAPID_ORIGIN);
		r = dm_multisnap_has_error(s);
		if (!r && master != SNAPID_ORIGIN &&
		    (!dm_multisnap_snapshot_exists(s, master) ||
		     multisnap_being_deleted(s, master)))
			r = -EINVAL;
		if (!r)
			r = s->ops->allocate_snapid(s->store, master, &id);
		if (!r)
			set_prepared(s, id, master);
		seq = multisnap_event_seq(s);
		multisnap_unlock(s);
		if (r == -EAGAIN)
			multisnap_wait_event(s, seq);
	} while (r == -EAGAIN);
	return r;
}

/*
 * Master lock. Creates the prepared snapshot. In the same step the id stops being the prepared one:
 * no message "create" can be given a number that is being spent.
 */
static int spend_prepared(struct dm_multisnap *s) __must_hold(&s->lock)
{
	int r = dm_multisnap_has_error(s);

	if (!r) {
		/* Before the snapshot exists for any look-up. */
		multisnap_forget_all_copied(s);
		r = s->ops->create_snapshot(s->store, s->prepared);
	}
	if (r == -EAGAIN)
		return r;
	set_prepared(s, SNAPID_ORIGIN, SNAPID_ORIGIN);
	if (!r) {
		multisnap_mark_dirty(s);
		multisnap_refresh_unshared(s);
	}
	return r;
}

/*
 * No lock. Creates @id and waits until it is durable; unless a message has prepared something else
 * meanwhile, which is for the next suspend.
 */
static int create_durably(struct dm_multisnap *s, snapid_t id)
{
	u64 seq, event;
	int r;

	do {
		multisnap_lock(s);
		r = s->prepared == id ? spend_prepared(s) : 0;
		seq = multisnap_changes_seq(s);
		event = multisnap_event_seq(s);
		multisnap_unlock(s);
		if (r == -EAGAIN)
			multisnap_wait_event(s, event);
	} while (r == -EAGAIN);
	if (!r)
		r = multisnap_wait_durable(s, seq);
	return r;
}

/*
 * Postsuspend: the origin is quiet. What was acknowledged before is in the snapshot: the chunks
 * that it shares live on the origin device, which is therefore flushed first (H48).
 */
int multisnap_create_prepared(struct dm_multisnap *s)
{
	snapid_t id, master;
	int r;

	multisnap_lock(s);
	id = s->prepared;
	master = s->prepared_master;
	r = dm_multisnap_has_error(s);
	multisnap_unlock(s);
	if (id == SNAPID_ORIGIN)
		return 0;
	if (r)
		goto failed;

	r = blkdev_issue_flush(s->origin->bdev);
	if (r) {
		dm_multisnap_set_error(s, r);
		goto failed;
	}
	/* Suspending the origin does not quiet the devices of the master (H28). */
	if (master != SNAPID_ORIGIN) {
		multisnap_hold(s, master);
		multisnap_drain(s, master);
	}
	r = create_durably(s, id);
	if (master != SNAPID_ORIGIN)
		multisnap_release_held(s);
	if (r && r != -EINVAL)
		dm_multisnap_set_error(s, r);
	if (!r)
		dm_table_event(s->ti->table);
failed:
	if (r) {
		multisnap_drop_prepared(s);
		DMERR("%s: the snapshot prepared could not be created: %d", s->name, r);
	}
	return r;
}

/* Everything recorded until now is durable when this returns 0. No lock. */
int multisnap_commit_all(struct dm_multisnap *s)
{
	u64 seq;

	multisnap_lock(s);
	seq = multisnap_changes_seq(s);
	multisnap_unlock(s);
	return seq ? multisnap_wait_durable(s, seq) : 0;
}

static bool is_listed(struct dm_multisnap *s, snapid_t id)
{
	unsigned int low = 0, high = s->nr_sync_ids;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (s->sync_ids[middle] == id)
			return true;
		if (s->sync_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Once more, after each event, until it is not -EAGAIN. Takes and leaves the master lock. */
static int retry(struct dm_multisnap *s, int (*op)(struct dm_exception_store *store, snapid_t id),
		 snapid_t id)
{
	u64 event;
	int r;

	for (;;) {
		multisnap_lock(s);
		r = dm_multisnap_has_error(s);
		if (!r)
			r = op(s->store, id);
		if (!r)
			multisnap_mark_dirty(s);
		event = multisnap_event_seq(s);
		multisnap_unlock(s);
		if (r != -EAGAIN)
			return r;
		multisnap_wait_event(s, event);
	}
}

static int delete_unlisted(struct dm_multisnap *s)
{
	snapid_t id = 0;
	int r;

	for (;;) {
		multisnap_lock(s);
		id = s->ops->get_next_snapid(s->store, id);
		multisnap_unlock(s);
		if (id == SNAPID_ORIGIN)
			return 0;
		if (!is_listed(s, id)) {
			if (!s->ops->delete_snapshot)
				return -EOPNOTSUPP;
			r = retry(s, s->ops->delete_snapshot, id);
			if (r)
				return r;
		}
		/* SNAPID_ORIGIN is no snapshot, so this does not wrap around. */
		id++;
	}
}

static int create_missing(struct dm_multisnap *s)
{
	snapid_t *order;
	int r = 0;

	order = kvmalloc_array(s->nr_sync_ids + 1, sizeof(*order), GFP_KERNEL);
	if (!order)
		return -ENOMEM;
	memcpy(order, s->sync_ids, s->nr_sync_ids * sizeof(*order));
	sort(order, s->nr_sync_ids, sizeof(*order),
	     s->ops->compare_snapids_for_create ?: multisnap_compare_snapids, NULL);

	for (unsigned int i = 0; i < s->nr_sync_ids && !r; i++) {
		bool exists;

		multisnap_lock(s);
		exists = dm_multisnap_snapshot_exists(s, order[i]);
		multisnap_unlock(s);
		if (!exists)
			r = retry(s, s->ops->create_snapshot, order[i]);
	}
	kvfree(order);
	return r;
}

static void hold_groups(struct dm_multisnap *s, bool hold)
{
	multisnap_lock(s);
	s->hold_groups = hold;
	multisnap_unlock(s);
	multisnap_kick(s);
}

/*
 * First preresume, before any I/O: bring the snapshots to those listed in the table, as one commit.
 * A group that is full cannot be closed here: the store then answers with another error than
 * -EAGAIN.
 */
int multisnap_sync_snapshots(struct dm_multisnap *s)
{
	int r = blkdev_issue_flush(s->origin->bdev);

	if (r)
		return r;
	hold_groups(s, true);
	r = delete_unlisted(s);
	if (!r)
		r = create_missing(s);
	/* Half of it must not be committed, not even when the rest did not fit. */
	if (r) {
		dm_multisnap_set_error(s, r);
		multisnap_halt(s);
	}
	hold_groups(s, false);
	if (!r)
		r = multisnap_commit_all(s);
	return r;
}
