// SPDX-License-Identifier: GPL-2.0
/*
 * Tracked reads: reads of a snapshot that were sent to the origin, because the chunk is not
 * remapped.
 *
 * An origin write is sent only when no tracked read of its chunk is in flight (H01). The read ends
 * in interrupt context and needs no lock but io_lock; the write waits on a list, not by polling.
 */
#include "multisnap.h"

static struct hlist_head *bucket(struct dm_multisnap *s, chunk_t chunk)
{
	return &s->tracked[hash_64(chunk, MULTISNAP_HASH_BITS)];
}

void multisnap_track_read(struct dm_multisnap *s, struct bio *bio)
{
	struct bio_track *bt = bio_track(bio);
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	hlist_add_head(&bt->tracked, bucket(s, bt->chunk));
	s->nr_tracked++;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

bool __multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk)
{
	struct bio_track *bt;

	lockdep_assert_held(&s->io_lock);
	if (!s->nr_tracked)
		return false;
	hlist_for_each_entry(bt, bucket(s, chunk), tracked)
		if (bt->chunk == chunk)
			return true;
	return false;
}

/*
 * Is a tracked read of @chunk in flight? If so, the worker is woken when the last one of that chunk
 * has ended. Master lock: no tracked read can start meanwhile.
 */
bool multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk)
{
	unsigned long flags;
	bool tracked;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	tracked = __multisnap_is_tracked(s, chunk);
	if (tracked)
		s->tracked_waiters = true;
	spin_unlock_irqrestore(&s->io_lock, flags);
	return tracked;
}

/* io_lock; at the end of the read. */
void __multisnap_untrack_read(struct dm_multisnap *s, struct bio_track *bt)
{
	lockdep_assert_held(&s->io_lock);
	hlist_del_init(&bt->tracked);
	s->nr_tracked--;
	if (s->tracked_waiters && !__multisnap_is_tracked(s, bt->chunk)) {
		s->tracked_event = true;
		multisnap_kick(s);
	}
}
