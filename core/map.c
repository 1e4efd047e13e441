// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of one bio that changes the origin, or of one bio of a snapshot. Run by the worker
 * with the master lock held; nothing here waits.
 *
 * A bio that had to wait comes here again and is looked up anew: there may have been more sets than
 * one copy takes (H08), its snapshot may have been deleted (H10), the snapshots may have been given
 * up.
 */
#include "multisnap.h"

static void wait_for(struct pending_exception *pe, struct bio *bio)
{
	bio_list_add(&pe->bios, bio);
}

/*
 * The sets of snapshots that still share the chunk with the origin get new places, up to 8 in one
 * copy. Returns the number of places recorded, with *pe_out; 0 when nothing is shared; -EAGAIN;
 * -EBUSY when there is no pending exception; or the store's error.
 */
static int record_remaps(struct dm_multisnap *s, chunk_t chunk, struct pending_exception **pe_out)
	__must_hold(&s->lock)
{
	const struct multisnap_store_ops *ops = s->ops;
	struct pending_exception *pe = NULL;
	int r;

	ops->reset_query(s->store);
	do {
		r = ops->query_next_remap(s->store, chunk);
		if (r <= 0)
			break;
		if (!pe) {
			pe = multisnap_alloc_pending(s, chunk);
			if (!pe)
				return -EBUSY;
		}
		r = ops->add_next_remap(s->store, &pe->dests[pe->nr_dests]);
		if (r)
			break;
	} while (++pe->nr_dests < DM_KCOPYD_MAX_REGIONS);

	if (pe && pe->nr_dests) {
		pe->all_sets = !r && pe->nr_dests < DM_KCOPYD_MAX_REGIONS;
		/* What has been recorded must be copied, whatever came after it. */
		if (r < 0 && r != -EAGAIN)
			dm_multisnap_set_error(s, r);
		*pe_out = pe;
		return pe->nr_dests;
	}
	if (pe)
		multisnap_free_pending(pe);
	return r;
}

/* With an error: by the policy. */
static enum bio_fate origin_after_error(struct dm_multisnap *s, struct bio *bio)
	__must_hold(&s->lock)
{
	if (!dm_multisnap_drop_on_error(s))
		multisnap_fail_bio(s, bio);
	else if (s->giveup == GIVEUP_DONE)
		multisnap_submit_bio(s, bio, s->origin, bio->bi_iter.bi_sector);
	else
		bio_list_add(&s->giveup_wait, bio);
	return BIO_TAKEN;
}

/* As in the target's map: who waited for a copy of all that was shared need not ask again. */
static bool known_copied(struct dm_multisnap *s, chunk_t chunk)
{
	unsigned long flags;
	bool known;

	spin_lock_irqsave(&s->io_lock, flags);
	known = __multisnap_is_writable(s, chunk);
	spin_unlock_irqrestore(&s->io_lock, flags);
	return known;
}

/* A write, discard or write-zeroes of the origin, within one chunk. */
enum bio_fate multisnap_do_origin_bio(struct dm_multisnap *s, struct bio *bio)
{
	chunk_t chunk = bio_track(bio)->chunk;
	struct pending_exception *pe = NULL;
	int r;

	lockdep_assert_held(&s->lock);
	if (dm_multisnap_has_error(s))
		return origin_after_error(s, bio);

	if (known_copied(s, chunk)) {
		multisnap_submit_bio(s, bio, s->origin, bio->bi_iter.bi_sector);
		return BIO_TAKEN;
	}

	r = record_remaps(s, chunk, &pe);
	if (r > 0) {
		wait_for(pe, bio);
		multisnap_add_pending(pe);
		return BIO_TAKEN;
	}
	if (r == -EAGAIN)
		return BIO_AGAIN;
	if (r == -EBUSY)
		return BIO_NO_PENDING;
	if (r < 0) {
		dm_multisnap_set_error(s, r);
		return origin_after_error(s, bio);
	}

	/* Nothing is shared. A copy that still reads the origin, or is not yet durable: */
	pe = multisnap_find_pending(s, chunk);
	if (pe) {
		wait_for(pe, bio);
		return BIO_TAKEN;
	}
	if (multisnap_is_tracked(s, chunk, BLOCK_ORIGIN)) {
		bio_list_add(&s->tracked_wait, bio);
		return BIO_TAKEN;
	}
	multisnap_remember_copied(s, chunk);
	multisnap_submit_bio(s, bio, s->origin, bio->bi_iter.bi_sector);
	return BIO_TAKEN;
}

static void submit_to_store(struct dm_multisnap *s, struct bio *bio, block_t block)
	__must_hold(&s->lock)
{
	struct bio_track *bt = bio_track(bio);

	bt->in_epoch = true;
	bt->epoch_slot = multisnap_epoch_enter(s);
	multisnap_submit_bio(s, bio, s->store_dev,
			     block_to_sector(s->geometry, block) +
				     chunk_offset(s->geometry, bio->bi_iter.bi_sector));
}

/* Not remapped: the origin has it, as far as the origin goes; zeroes behind. */
static void read_from_origin(struct dm_multisnap *s, struct bio *bio) __must_hold(&s->lock)
{
	struct bio_track *bt = bio_track(bio);
	sector_t sector = bio->bi_iter.bi_sector;

	if (bio_end_sector(bio) > s->origin_sectors) {
		bt->zero = true;
		bt->zero_after = sector < s->origin_sectors ? s->origin_sectors - sector : 0;
	}
	if (!bt->zero || bt->zero_after)
		multisnap_track_read(s, bio, BLOCK_ORIGIN);
	multisnap_submit_bio(s, bio, s->origin, sector);
}

static bool covers_chunk(struct dm_multisnap *s, struct bio *bio)
{
	return bio_op(bio) == REQ_OP_WRITE && bio_sectors(bio) == chunk_sectors(s->geometry);
}

/*
 * Not remapped, or shared at store chunk @block: a private place, and a copy or the whole chunk's
 * data.
 */
static enum bio_fate unshare(struct dm_multisnap *s, struct bio *bio, enum chunk_state state,
			     block_t block) __must_hold(&s->lock)
{
	struct bio_track *bt = bio_track(bio);
	struct pending_exception *pe = multisnap_alloc_pending(s, bt->chunk);
	int r;

	if (!pe)
		return BIO_NO_PENDING;
	if (state == CHUNK_NOT_REMAPPED) {
		r = s->ops->add_next_remap(s->store, &pe->dests[0]);
		if (!r)
			r = 1;
	} else {
		BUILD_BUG_ON(MAKE_WRITEABLE_MAX > DM_KCOPYD_MAX_REGIONS);
		r = s->ops->make_chunk_writeable(s->store, pe->dests);
		pe->from_store = true;
		pe->source = block;
		if (dm_multisnap_broken(s, r > MAKE_WRITEABLE_MAX))
			r = -EPERM;
	}
	if (r <= 0) {
		multisnap_free_pending(pe);
		if (r == -EAGAIN)
			return BIO_AGAIN;
		dm_multisnap_set_error(s, r ? r : -EIO);
		multisnap_fail_bio(s, bio);
		return BIO_TAKEN;
	}

	pe->nr_dests = r;
	if (covers_chunk(s, bio)) {
		pe->full_bio = bio;
		bt->full = pe;
	} else {
		wait_for(pe, bio);
	}
	multisnap_add_pending(pe);
	return BIO_TAKEN;
}

/*
 * Is @block the source of a copy that is in flight or not yet durable? Then the snapshots left on
 * it own it only once that is durable: a write in place would spoil the copy, or, after a power
 * cut, the snapshot that was to move away.
 */
static struct pending_exception *find_copy_from(struct dm_multisnap *s, chunk_t chunk,
						block_t block)
{
	struct pending_exception *pe;

	hlist_for_each_entry(pe, multisnap_pending_bucket(s, chunk), hash)
		if (pe->chunk == chunk && pe->from_store && pe->source == block)
			return pe;
	return NULL;
}

/* A read or write of a snapshot, within one chunk. */
enum bio_fate multisnap_do_snapshot_bio(struct dm_multisnap *s, struct bio *bio)
{
	struct bio_track *bt = bio_track(bio);
	bool write = op_is_write(bio_op(bio));
	struct pending_exception *pe;
	block_t block = 0;
	int r;

	lockdep_assert_held(&s->lock);
	if (READ_ONCE(bt->snap->detached) || dm_multisnap_has_error(s) ||
	    (write && !s->ops->make_chunk_writeable)) {
		multisnap_fail_bio(s, bio);
		return BIO_TAKEN;
	}
	pe = multisnap_find_conflict(s, bt->chunk, bt->snap->id);
	if (pe) {
		wait_for(pe, bio);
		return BIO_TAKEN;
	}

	r = s->ops->find_snapshot_chunk(s->store, bt->snap->id, bt->chunk, write, &block);
	if (r == -EAGAIN)
		return BIO_AGAIN;
	if (r < 0) {
		dm_multisnap_set_error(s, r);
		multisnap_fail_bio(s, bio);
		return BIO_TAKEN;
	}
	if (!write) {
		if (r == CHUNK_NOT_REMAPPED) {
			read_from_origin(s, bio);
			return BIO_TAKEN;
		}
		if (r == CHUNK_SHARED)
			multisnap_track_read(s, bio, block);
		submit_to_store(s, bio, block);
		return BIO_TAKEN;
	}
	if (r != CHUNK_NOT_REMAPPED) {
		pe = find_copy_from(s, bt->chunk, block);
		if (pe) {
			wait_for(pe, bio);
			return BIO_TAKEN;
		}
	}
	if (r != CHUNK_PRIVATE)
		return unshare(s, bio, r, block);
	/* The chunk may still be read for a snapshot that has moved away (H29). */
	if (multisnap_is_tracked(s, bt->chunk, block)) {
		bio_list_add(&s->tracked_wait, bio);
		return BIO_TAKEN;
	}
	submit_to_store(s, bio, block);
	return BIO_TAKEN;
}
