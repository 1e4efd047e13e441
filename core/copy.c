// SPDX-License-Identifier: GPL-2.0
/*
 * Copying chunks. A pending exception has up to three parts, which run at the same time:
 *
 *   copy        of what the source has, to the destinations
 *   zeroing     of the rest of the chunk where the origin ends in it or before it (H17); once
 *               more, by writing, where the device has refused write-zeroes that it had offered
 *   full write  the bio that covers the whole chunk, to the first destination, in place of a copy
 *
 * Parts end in any context; the end only records the error and counts down, both under io_lock, so
 * that whoever sees the count at zero sees the error (H04). The worker does the rest.
 */
#include "multisnap.h"

/* Sectors of the chunk that the source has; the origin may end before. */
static sector_t source_sectors(struct pending_exception *pe)
{
	struct dm_multisnap *s = pe->s;
	sector_t start, whole = chunk_sectors(s->geometry);

	if (pe->from_store)
		return whole;
	start = chunk_to_sector(s->geometry, pe->chunk);
	if (start >= s->origin_sectors)
		return 0;
	return min(whole, s->origin_sectors - start);
}

/* Destinations that a copy fills: not the one that the full write covers. */
static unsigned int first_copied_dest(struct pending_exception *pe)
{
	return pe->full_bio ? 1 : 0;
}

unsigned int multisnap_copy_parts(struct pending_exception *pe)
{
	bool copied = pe->nr_dests > first_copied_dest(pe);
	sector_t valid = source_sectors(pe);
	unsigned int parts = 0;

	if (pe->full_bio)
		parts++;
	if (copied && valid)
		parts++;
	if (copied && valid < chunk_sectors(pe->s->geometry))
		parts++;
	return parts;
}

/* Any context. */
void multisnap_part_ended(struct pending_exception *pe, int error)
{
	struct dm_multisnap *s = pe->s;
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	if (error && !pe->error)
		pe->error = error;
	if (!dm_multisnap_broken(s, !pe->parts) && !--pe->parts) {
		list_add_tail(&pe->act_list, &s->done_copies);
		/* The worker has nothing to do for one that is not its group's last. */
		if (!--pe->group->in_flight || pe->error)
			multisnap_kick(s);
	}
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/* From kcopyd's thread, or its submitter. */
static void copy_ended(int read_err, unsigned long write_err, void *context)
{
	multisnap_part_ended(context, read_err || write_err ? -EIO : 0);
}

/* The same. A device may offer write-zeroes and refuse them: then the worker tries otherwise. */
static void zeroing_ended(int read_err, unsigned long write_err, void *context)
{
	struct pending_exception *pe = context;
	struct dm_multisnap *s = pe->s;
	unsigned long flags;

	if (!write_err) {
		multisnap_part_ended(pe, 0);
		return;
	}
	spin_lock_irqsave(&s->io_lock, flags);
	list_add_tail(&pe->act_list, &s->failed_zeroes);
	multisnap_kick(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/* Sectors [from, from + count) of each destination chunk that is copied. */
static unsigned int fill_regions(struct pending_exception *pe, struct dm_io_region *regions,
				 sector_t from, sector_t count)
{
	struct dm_multisnap *s = pe->s;
	unsigned int n = 0;

	for (unsigned int i = first_copied_dest(pe); i < pe->nr_dests; i++, n++) {
		regions[n].bdev = s->store_dev->bdev;
		regions[n].sector = block_to_sector(s->geometry, pe->dests[i].block) + from;
		regions[n].count = count;
	}
	return n;
}

/* No lock: kcopyd may sleep for a job. The parts may end, and @pe be gone, before this returns. */
void multisnap_start_copies(struct pending_exception *pe)
{
	struct dm_multisnap *s = pe->s;
	struct dm_io_region dests[DM_KCOPYD_MAX_REGIONS];
	sector_t valid = source_sectors(pe);
	sector_t whole = chunk_sectors(s->geometry);
	struct bio *full_bio = pe->full_bio;
	sector_t full_sector = block_to_sector(s->geometry, pe->dests[0].block);
	bool copied = pe->nr_dests > first_copied_dest(pe);
	/*
	 * Each part but the last one submitted is kept from ending @pe by the parts not yet
	 * submitted.
	 */
	bool zero = copied && valid < whole;
	bool copy = copied && valid;
	unsigned int n;

	if (copy) {
		struct dm_io_region from;

		if (pe->from_store) {
			from.bdev = s->store_dev->bdev;
			from.sector = block_to_sector(s->geometry, pe->source);
		} else {
			from.bdev = s->origin->bdev;
			from.sector = chunk_to_sector(s->geometry, pe->chunk);
		}
		from.count = valid;
		n = fill_regions(pe, dests, 0, valid);
		dm_kcopyd_copy(s->kcopyd, &from, n, dests, 0, copy_ended, pe);
	}
	if (zero) {
		n = fill_regions(pe, dests, valid, whole - valid);
		dm_kcopyd_zero(s->kcopyd, n, dests, 0, zeroing_ended, pe);
	}
	if (full_bio) {
		bio_set_dev(full_bio, s->store_dev->bdev);
		full_bio->bi_iter.bi_sector = full_sector;
		dm_submit_bio_remap(full_bio, NULL);
	}
}

/* No lock. Waits for the I/O, which is what blkdev_issue_zeroout() offers; this is rare. */
void multisnap_zero_again(struct pending_exception *pe)
{
	struct dm_io_region dests[DM_KCOPYD_MAX_REGIONS];
	sector_t valid = source_sectors(pe);
	unsigned int n = fill_regions(pe, dests, valid, chunk_sectors(pe->s->geometry) - valid);
	int r = 0;

	for (unsigned int i = 0; i < n && !r; i++)
		r = blkdev_issue_zeroout(dests[i].bdev, dests[i].sector, dests[i].count, GFP_NOIO,
					 0);
	multisnap_part_ended(pe, r ? -EIO : 0);
}

/* The worker, for what ended since it last looked. */
void multisnap_copies_ended(struct dm_multisnap *s, struct list_head *done)
{
	struct pending_exception *pe, *next;

	lockdep_assert_held(&s->lock);
	list_for_each_entry_safe(pe, next, done, act_list) {
		list_del(&pe->act_list);
		pe->ended = true;
		if (!dm_multisnap_broken(s, !pe->group->copies))
			pe->group->copies--;
		multisnap_epoch_leave(s, pe->epoch_slot);
		/* Before anything can commit the group; an abandoned group is released below. */
		if (pe->error) {
			DMERR_LIMIT("%s: copying chunk %llu failed: %d", s->name,
				    (unsigned long long)pe->chunk, pe->error);
			dm_multisnap_set_error(s, pe->error);
			/* Its group must never be committed, not even when a device was full. */
			multisnap_halt(s);
		}
	}
}
