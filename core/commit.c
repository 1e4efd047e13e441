// SPDX-License-Identifier: GPL-2.0
/*
 * Commit, in groups.
 *
 * One group collects while the one before it commits. The collecting group closes when no group is
 * closed, at the end of a pass of the worker; it commits when its own copies have ended; groups
 * become durable in order. So groups grow under load by themselves, a lone write is not delayed,
 * and no commit waits for copies that were submitted after its group closed (H06).
 */
#include "multisnap.h"

void multisnap_init_groups(struct dm_multisnap *s)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(s->groups); i++)
		INIT_LIST_HEAD(&s->groups[i].pending);
	s->collecting = &s->groups[0];
	s->collecting->seq = 1;
}

/* The collecting group holds a change. */
void multisnap_mark_dirty(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	s->collecting->dirty = true;
}

void dm_multisnap_request_commit(struct dm_multisnap *s) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	s->collecting->background_dirty = true;
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_request_commit);

bool dm_multisnap_groups_held(struct dm_multisnap *s) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	return s->hold_groups;
}
EXPORT_SYMBOL_GPL(dm_multisnap_groups_held);

/* Does the collecting group hold changes that are to be committed? */
static bool wants_commit(struct dm_multisnap *s)
{
	return s->collecting->dirty || (s->collecting->background_dirty && !s->stopping);
}

static bool close_group(struct dm_multisnap *s)
{
	struct group *next = s->collecting == &s->groups[0] ? &s->groups[1] : &s->groups[0];

	/* Exceptions of the group before would be taken for those of the one after (H06). */
	if (dm_multisnap_broken(s, !list_empty(&next->pending) || next->copies))
		return false;
	s->ops->close_group(s->store);
	next->seq = s->collecting->seq + 1;
	next->dirty = false;
	next->background_dirty = false;
	s->closed = s->collecting;
	s->collecting = next;
	return true;
}

void multisnap_advance_groups(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	while (!multisnap_halted(s)) {
		if (!s->closed) {
			if (!wants_commit(s) || s->hold_groups)
				break;
			if (!close_group(s))
				break;
		}
		if (s->committing || s->closed->copies)
			break;
		s->committing = true;
		s->ops->commit(s->store); /* may end here: then the next group closes */
		if (s->committing)
			break;
	}
}

static void release_group(struct dm_multisnap *s, struct group *group)
	__must_hold(&s->lock)
{
	struct pending_exception *pe, *next;
	struct list_head kept;

	/* Backwards: each release puts its bios in front of the queue. */
	INIT_LIST_HEAD(&kept);
	while (!list_empty(&group->pending)) {
		pe = list_last_entry(&group->pending, struct pending_exception, group_list);
		if (pe->ended)
			multisnap_release_pending(pe);
		else
			list_move(&pe->group_list, &kept);
	}
	list_for_each_entry_safe(pe, next, &kept, group_list)
		list_move_tail(&pe->group_list, &group->pending);
}

void dm_multisnap_commit_done(struct dm_multisnap *s, int error) __must_hold(&s->lock)
{
	struct group *group = s->closed;

	lockdep_assert_held(&s->lock);
	if (error) {
		/* A commit that has failed is never tried again, whatever the error. */
		dm_multisnap_set_error(s, error);
		multisnap_halt(s);
	}
	if (!s->committing)
		return; /* abandoned meanwhile */
	s->committing = false;
	if (error)
		return; /* multisnap_abandon_groups() releases it */

	if (dm_multisnap_broken(s, group->copies))
		return;
	s->closed = NULL;
	WRITE_ONCE(s->durable_seq, group->seq);
	release_group(s, group);
	dm_multisnap_event(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_commit_done);

/*
 * After an error: nothing is committed any more, a closed group stays closed; what has been copied
 * is let go, the rest when it ends.
 */
void multisnap_abandon_groups(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	s->committing = false;
	if (s->closed)
		release_group(s, s->closed);
	release_group(s, s->collecting);
}

/* Nothing to commit, nothing being committed. Not to be asked after an error that halts. */
bool multisnap_groups_idle(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	return !s->closed && !wants_commit(s);
}

/* The group that holds the last change made until now (0: all are durable). */
u64 multisnap_changes_seq(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	if (wants_commit(s))
		return s->collecting->seq;
	return s->closed ? s->closed->seq : 0;
}

/* Process context, no lock. 0, or the error that came between. */
int multisnap_wait_durable(struct dm_multisnap *s, u64 seq)
{
	multisnap_kick(s);
	wait_event(s->wait, READ_ONCE(s->durable_seq) >= seq || multisnap_halted(s));
	return READ_ONCE(s->durable_seq) >= seq ? 0 : dm_multisnap_has_error(s);
}
