// SPDX-License-Identifier: GPL-2.0
/*
 * Errors and the two policies.
 *
 * The first error sticks. With preserve-on-error nothing is written any more (but after ENOSPC,
 * where deleting must still work). Without, the snapshots are given up, in this order:
 *   1. the store writes its invalid mark (GIVEUP_MARKING): snapshots that are about to miss a copy
 *      can never be loaded as good (H20),
 *   2. tracked reads end (GIVEUP_DRAINING): they must not see pass-through data (H49),
 *   3. origin writes, held until here, pass through (GIVEUP_DONE).
 */
#include "multisnap.h"

void dm_multisnap_set_error(struct dm_multisnap *s, int error)
{
	if (WARN_ON(error >= 0))
		error = -EIO;
	/* A preserved store that is full goes on, for deletions; until another error comes. */
	if (!(error == -ENOSPC && s->args.preserve_on_error))
		multisnap_halt(s);
	if (atomic_cmpxchg(&s->error, 0, error))
		return;
	DMERR("%s: error %d, %s", s->name, error,
	      s->args.preserve_on_error ? "the origin takes no more writes" :
					  "the snapshots are given up");
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_set_error);

int dm_multisnap_has_error(struct dm_multisnap *s)
{
	return atomic_read(&s->error);
}
EXPORT_SYMBOL_GPL(dm_multisnap_has_error);

bool dm_multisnap_drop_on_error(struct dm_multisnap *s)
{
	return !s->args.preserve_on_error;
}
EXPORT_SYMBOL_GPL(dm_multisnap_drop_on_error);

/*
 * Nothing may be committed any more. There is, or is about to be, an error to go with it. Any
 * context.
 */
void multisnap_halt(struct dm_multisnap *s)
{
	WRITE_ONCE(s->halted, true);
	multisnap_kick(s);
}

bool multisnap_halted(struct dm_multisnap *s)
{
	return READ_ONCE(s->halted) && dm_multisnap_has_error(s);
}

/* The snapshots are given up, and what had to come before has been done. */
void multisnap_pass_through(struct dm_multisnap *s)
{
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	s->giveup = GIVEUP_DONE;
	spin_lock_irqsave(&s->io_lock, flags);
	s->passthrough = true;
	spin_unlock_irqrestore(&s->io_lock, flags);
	multisnap_requeue(s, &s->giveup_wait);
	wake_up_all(&s->wait);
}

void dm_multisnap_invalidate_done(struct dm_multisnap *s, int error) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	if (s->giveup != GIVEUP_MARKING)
		return;
	if (error) {
		DMERR("%s: the store device refused the invalid mark (%d): snapshots are wrong,",
		      s->name, error);
		DMERR("%s: and a restart would load them. Zero the first sector of that device",
		      s->name);
	}
	s->giveup = GIVEUP_DRAINING;
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_invalidate_done);

static void give_up(struct dm_multisnap *s) __must_hold(&s->lock)
{
	unsigned long flags;
	bool tracked;

	if (s->giveup == GIVEUP_NO) {
		s->giveup = GIVEUP_MARKING;
		if (s->ops->invalidate)
			s->ops->invalidate(s->store, dm_multisnap_has_error(s));
		else
			dm_multisnap_invalidate_done(s, 0);
	}
	if (s->giveup == GIVEUP_DRAINING) {
		spin_lock_irqsave(&s->io_lock, flags);
		tracked = s->nr_tracked;
		if (tracked)
			s->tracked_waiters = true;
		spin_unlock_irqrestore(&s->io_lock, flags);
		if (!tracked)
			multisnap_pass_through(s);
	}
}

/* The worker, in each pass. */
void multisnap_handle_error(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
	if (!s->loaded || !dm_multisnap_has_error(s))
		return;
	if (!s->error_seen) {
		s->error_seen = true;
		/* What waited for the store is looked at again, and ends by the policy. */
		dm_multisnap_event(s);
		s->actions.table_event = true;
	}
	if (!multisnap_halted(s))
		return;
	multisnap_abandon_groups(s);
	if (dm_multisnap_drop_on_error(s) && s->giveup != GIVEUP_DONE)
		give_up(s);
	wake_up_all(&s->wait);
}
