// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks remembered as fully copied: no snapshot shares them with the origin any more, so map may
 * send a write without asking anybody.
 *
 * A direct-mapped table, so that forgetting is always allowed and memory is fixed. A chunk is
 * remembered by the worker when it lets a write through, and forgotten when a copy of it starts;
 * everything is forgotten when a snapshot is created (then the origin is quiet). Deleting a
 * snapshot shares nothing anew.
 */
#include "multisnap.h"

static chunk_t *slot(struct dm_multisnap *s, chunk_t chunk)
{
	return &s->copied[hash_64(chunk, MULTISNAP_COPIED_BITS)];
}

void multisnap_remember_copied(struct dm_multisnap *s, chunk_t chunk)
{
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	*slot(s, chunk) = chunk + 1;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_forget_copied(struct dm_multisnap *s, chunk_t chunk)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	if (*slot(s, chunk) == chunk + 1)
		*slot(s, chunk) = 0;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_forget_all_copied(struct dm_multisnap *s)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	memset(s->copied, 0, sizeof(*s->copied) << MULTISNAP_COPIED_BITS);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

bool __multisnap_is_copied(struct dm_multisnap *s, chunk_t chunk)
{
	lockdep_assert_held(&s->io_lock);
	return *slot(s, chunk) == chunk + 1;
}
