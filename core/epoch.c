// SPDX-License-Identifier: GPL-2.0
/*
 * Epochs: when is a store chunk that is no longer mapped out of reach of I/O and copies begun
 * before? (H02, H29)
 *
 * The two-slot scheme of SRCU. What begins counts itself in slot (epoch & 1); the epoch may advance
 * when the other slot, the one of the epoch before, is empty. So what began in epoch e has
 * ended when epoch e + 2 is reached. Nothing new can hold up an advance: it counts in the current
 * slot.
 */
#include "multisnap.h"

/* Master lock: the decision to use a store chunk is made under it, before it can be unmapped. */
unsigned int multisnap_epoch_enter(struct dm_multisnap *s)
{
	unsigned int slot = s->epoch & 1;
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	s->in_epoch[slot]++;
	spin_unlock_irqrestore(&s->io_lock, flags);
	return slot;
}

/* io_lock. */
void __multisnap_epoch_leave(struct dm_multisnap *s, unsigned int slot)
{
	lockdep_assert_held(&s->io_lock);
	if (dm_multisnap_broken(s, !s->in_epoch[slot]))
		return;
	if (!--s->in_epoch[slot] && READ_ONCE(s->epoch_wanted) > READ_ONCE(s->epoch))
		multisnap_kick(s);
}

void multisnap_epoch_leave(struct dm_multisnap *s, unsigned int slot)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	__multisnap_epoch_leave(s, slot);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/* Advance as far as is wanted and possible. True: the wanted epoch has been reached just now. */
bool multisnap_try_epoch(struct dm_multisnap *s)
{
	bool advanced = false;

	lockdep_assert_held(&s->lock);
	while (s->epoch < s->epoch_wanted) {
		unsigned long flags;
		bool busy;

		spin_lock_irqsave(&s->io_lock, flags);
		busy = s->in_epoch[(s->epoch + 1) & 1];
		spin_unlock_irqrestore(&s->io_lock, flags);
		if (busy)
			break;
		WRITE_ONCE(s->epoch, s->epoch + 1);
		advanced = true;
	}
	return advanced && s->epoch == s->epoch_wanted;
}

u64 dm_multisnap_epoch(struct dm_multisnap *s) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	return s->epoch;
}
EXPORT_SYMBOL_GPL(dm_multisnap_epoch);

void dm_multisnap_want_epoch(struct dm_multisnap *s, u64 e) __must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	if (e > s->epoch_wanted) {
		WRITE_ONCE(s->epoch_wanted, e);
		multisnap_kick(s);
	}
}
EXPORT_SYMBOL_GPL(dm_multisnap_want_epoch);
