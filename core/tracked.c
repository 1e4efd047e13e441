// SPDX-License-Identifier: GPL-2.0
/*
 * Tracked reads: reads of a snapshot from a place that the snapshot does not own, and that may
 * therefore be written as soon as the snapshot has got a place of its own. That is the origin,
 * where the chunk is not remapped; or a store chunk that is shared, and becomes private to the
 * last snapshot that stays on it.
 *
 * A write is sent there only when no tracked read of the chunk from that place is in flight (H01,
 * H29). By then no new one can start. The read ends in interrupt context and needs no lock but
 * io_lock; the write waits on a list, not by polling.
 */
#include "multisnap.h"

static struct hlist_head *bucket(struct dm_multisnap *s, chunk_t chunk)
{
	return &s->tracked[hash_64(chunk, MULTISNAP_HASH_BITS)];
}

void multisnap_track_read(struct dm_multisnap *s, struct bio *bio, block_t place)
{
	struct bio_track *bt = bio_track(bio);
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	bt->place = place;
	spin_lock_irqsave(&s->io_lock, flags);
	hlist_add_head(&bt->tracked, bucket(s, bt->chunk));
	if (place == BLOCK_ORIGIN)
		s->nr_tracked++;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

bool __multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk, block_t place)
{
	struct bio_track *bt;

	lockdep_assert_held(&s->io_lock);
	hlist_for_each_entry(bt, bucket(s, chunk), tracked)
		if (bt->chunk == chunk && bt->place == place)
			return true;
	return false;
}

/*
 * Is a tracked read of @chunk from @place in flight? If so, the worker is woken when the last one
 * has ended. Master lock: no tracked read can start meanwhile.
 */
bool multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk, block_t place)
{
	unsigned long flags;
	bool tracked;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	tracked = __multisnap_is_tracked(s, chunk, place);
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
	if (bt->place == BLOCK_ORIGIN)
		s->nr_tracked--;
	if (s->tracked_waiters && !__multisnap_is_tracked(s, bt->chunk, bt->place)) {
		s->tracked_event = true;
		multisnap_kick(s);
	}
}
