// SPDX-License-Identifier: GPL-2.0
/*
 * Messages to the origin target: create, create_subsnap, delete, settle.
 *
 * Several may run at once, from several processes. None of them holds a lock while it waits.
 */
#include "multisnap.h"

/* Master lock. */
bool multisnap_being_deleted(struct dm_multisnap *s, snapid_t id)
{
	struct deletion *d;

	lockdep_assert_held(&s->lock);
	list_for_each_entry(d, &s->deleting, list)
		if (d->id == id)
			return true;
	return false;
}

/* After ENOSPC, a preserved store still takes "delete" and "settle". */
static int error_for_delete(struct dm_multisnap *s)
{
	return multisnap_halted(s) ? dm_multisnap_has_error(s) : 0;
}

static int parse_id(struct dm_multisnap *s, const char *word, snapid_t *id)
{
	int r;

	multisnap_lock(s);
	r = multisnap_read_snapid(s, word, id);
	multisnap_unlock(s);
	if (r)
		DMWARN("%s: \"%s\" is not a snapshot id: %d", s->name, word, r);
	return r;
}

static int message_create(struct dm_multisnap *s)
{
	int r = multisnap_prepare_create(s, SNAPID_ORIGIN);

	if (r)
		DMWARN("%s: cannot create a snapshot: %d", s->name, r);
	return r;
}

static int message_create_subsnap(struct dm_multisnap *s, const char *word)
{
	snapid_t master;
	int r;

	/* "A create first drops an id prepared before", also where it fails at its argument. */
	multisnap_drop_prepared(s);
	r = parse_id(s, word, &master);
	if (r)
		return r;
	r = multisnap_prepare_create(s, master);
	if (r)
		DMWARN("%s: cannot create a snapshot of snapshot %s: %d", s->name, word, r);
	return r;
}

/*
 * Everything that can be known beforehand; then the devices of the id are detached. Nothing else
 * changes.
 */
static int start_deletion(struct dm_multisnap *s, struct deletion *d)
{
	int r;

	multisnap_lock(s);
	r = error_for_delete(s);
	if (r)
		goto out;
	r = -EOPNOTSUPP;
	if (!s->ops->delete_snapshot)
		goto out;
	r = -EINVAL;
	if (!dm_multisnap_snapshot_exists(s, d->id))
		goto out;
	r = -EBUSY;
	if (multisnap_being_deleted(s, d->id))
		goto out;
	list_add_tail(&d->list, &s->deleting);
	multisnap_detach(s, d->id);
	r = 0;
out:
	multisnap_unlock(s);
	return r;
}

static int delete_durably(struct dm_multisnap *s, snapid_t id)
{
	u64 event, seq;
	int r;

	for (;;) {
		multisnap_lock(s);
		r = error_for_delete(s);
		if (!r)
			r = s->ops->delete_snapshot(s->store, id);
		if (!r)
			multisnap_mark_dirty(s);
		event = multisnap_event_seq(s);
		seq = multisnap_changes_seq(s);
		multisnap_unlock(s);
		if (r != -EAGAIN)
			break;
		multisnap_wait_event(s, event);
	}
	return r ? r : multisnap_wait_durable(s, seq);
}

static int message_delete(struct dm_multisnap *s, const char *word)
{
	struct deletion d;
	int r = parse_id(s, word, &d.id);

	if (r)
		return r;
	r = start_deletion(s, &d);
	if (!r) {
		multisnap_drain(s, d.id); /* a device below may be suspended: no lock is held */
		r = delete_durably(s, d.id);
		multisnap_lock(s);
		list_del(&d.list);
		if (!r)
			multisnap_refresh_unshared(s);
		multisnap_unlock(s);
		if (!r)
			dm_table_event(s->ti->table);
	}
	if (r)
		DMWARN("%s: cannot delete snapshot %s: %d", s->name, word, r);
	return r;
}

static bool settled(struct dm_multisnap *s)
{
	bool idle;

	multisnap_lock(s);
	idle = error_for_delete(s) ||
	       (multisnap_groups_idle(s) && list_empty(&s->background) && !s->nr_store_ios &&
		!(s->ops->busy && s->ops->busy(s->store)));
	multisnap_unlock(s);
	return idle;
}

static int message_settle(struct dm_multisnap *s)
{
	for (;;) {
		unsigned int pass = READ_ONCE(s->pass_seq);

		if (settled(s))
			return error_for_delete(s);
		/* Each pass of the worker may have been the last one. */
		wait_event(s->wait, READ_ONCE(s->pass_seq) != pass);
	}
}

int multisnap_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		      unsigned int maxlen)
{
	struct dm_multisnap *s = ti->private;
	bool started;

	multisnap_lock(s);
	started = s->started;
	multisnap_unlock(s);
	if (!started) {
		DMWARN("%s: no messages before the first resume", s->name);
		return -EINVAL;
	}

	if (argc == 1 && !strcasecmp(argv[0], "create"))
		return message_create(s);
	if (argc == 2 && !strcasecmp(argv[0], "create_subsnap"))
		return message_create_subsnap(s, argv[1]);
	if (argc == 2 && !strcasecmp(argv[0], "delete"))
		return message_delete(s, argv[1]);
	if (argc == 1 && !strcasecmp(argv[0], "settle"))
		return message_settle(s);

	DMWARN("%s: unknown message, or wrong number of words: \"%s\"", s->name, argv[0]);
	DMWARN("%s: create, create_subsnap <snapid>, delete <snapid>, settle", s->name);
	return -EINVAL;
}
