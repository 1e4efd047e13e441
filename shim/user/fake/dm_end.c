// SPDX-License-Identifier: GPL-2.0
/*
 * How a bio that went through device-mapper ends, as drivers/md/dm.c has it in 6.1: the target's
 * end_io, the last clone, pushing back under a noflush suspend, the data after their flush.
 */
#include <string.h>

#include "dm_io_part.h"

/* ---- memory ---- */

struct dm_io *dm_io_get(struct dm_table *table)
{
	struct dm_io *io = (struct dm_io *)((char *)bio_pool_get(&table->ios) + table->front_pad);

	io->table = table;
	return io;
}

void dm_io_put(struct dm_io *io)
{
	io->tio.clone.bi_state = BIO_FREE;
	if (!world.fifo)
		memset((char *)io - io->table->front_pad, 0x6b, io->table->front_pad);
	bio_pool_put(&io->table->ios, (char *)io - io->table->front_pad);
}

void dm_tio_put(struct dm_target_io *tio)
{
	if (!tio->inside_io)
		dm_io_put(container_of(tio, struct dm_io, tio));
}

/* ---- a part of a bio as a bio of its own ---- */

static struct bio_pool chained = { .name = "split bios", .size = sizeof(struct bio) };

static void chained_endio(struct bio *bio)
{
	struct bio *parent = bio->bi_private;

	if (bio->bi_status && !parent->bi_status)
		parent->bi_status = bio->bi_status;
	bio->bi_state = BIO_FREE;
	bio_pool_put(&chained, bio);
	bio_complete(parent);
}

struct bio *dm_chain_part(struct bio *parent, s64 offset, u32 sectors)
{
	struct bio *bio = bio_pool_get(&chained);

	bio_prepare(bio, parent->bi_bdev, parent->bi_opf);
	bio->bi_iter = parent->bi_iter;
	bio->bi_iter.bi_sector += offset;
	bio->bi_iter.bi_offset += offset;
	bio->bi_iter.bi_size = sectors << SECTOR_SHIFT;
	bio->bi_data = parent->bi_data;
	bio->bi_end_io = chained_endio;
	bio->bi_private = parent;
	bio->bi_state = BIO_BELOW;
	return bio;
}

/* ---- completion ---- */

void dm_queue_io(struct mapped_device *md, struct bio *bio)
{
	sched_hb_release(bio);
	sched_enter();
	sched_access(&md->deferred, SIM_WRITE);
	bio_list_add(&md->deferred, bio);
	work_queue(md->wq, &md->work);
	sched_exit();
}

/*
 * True if the original goes back to a list, to be mapped again; else perhaps io->status is changed.
 */
static bool handle_requeue(struct dm_io *io, bool first_stage)
{
	struct mapped_device *md = io->md;
	bool requeued = true;

	if (likely(io->status != BLK_STS_DM_REQUEUE))
		return false;
	bio_clear_polled(io->orig_bio);
	sched_hb_release(io->orig_bio);
	sched_hb_release(io);
	sched_enter();
	if (first_stage) {
		sched_access(&md->requeue_list, SIM_WRITE);
		io->next = md->requeue_list;
		md->requeue_list = io;
	} else if (md_flag(md, DMF_NOFLUSH_SUSPENDING)) {
		sched_access(&md->deferred, SIM_WRITE);
		bio_list_add_head(&md->deferred, io->orig_bio);
	} else {
		io->status = BLK_STS_IOERR;
		requeued = false;
	}
	if (requeued)
		work_queue(md->wq, first_stage ? &md->requeue_work : &md->work);
	sched_exit();
	return requeued;
}

/* The count matters to who waits for its end, and to nobody else. */
static void pending_io_ended(struct mapped_device *md)
{
	sched_hb_release(&md->pending_io);
	sched_enter();
	sched_access(&md->pending_io, list_empty(&md->wait.head) ? SIM_ADD : SIM_WRITE);
	if (!--md->pending_io)
		wait_wake(&md->wait);
	sched_exit();
}

static void complete_io(struct dm_io *io, bool first_stage)
{
	struct bio *bio = io->orig_bio;
	struct mapped_device *md = io->md;
	bool requeued = handle_requeue(io, first_stage);
	blk_status_t error = io->status;

	if (requeued && first_stage)
		return;
	dm_io_put(io);
	pending_io_ended(md);
	if (requeued)
		return;
	if (unlikely(bio->bi_opf & REQ_PREFLUSH) && bio_sectors(bio)) {
		/*
		 * The flush is done; now the data, whatever came of the flush - as in the kernel.
		 */
		bio->bi_opf &= ~REQ_PREFLUSH;
		dm_queue_io(md, bio);
		return;
	}
	if (error)
		bio->bi_status = error;
	bio_complete(bio);
}

void dm_io_dec_pending(struct dm_io *io, blk_status_t error)
{
	if (unlikely(error)) {
		sched_enter();
		/* Push-back supersedes errors. */
		if (io->status != BLK_STS_DM_REQUEUE || !md_flag(io->md, DMF_NOFLUSH_SUSPENDING))
			io->status = error;
		sched_exit();
	}
	if (!count_add(&io->io_count, -1))
		complete_io(io, io->was_split);
}

void dm_requeue_work(struct work_struct *work)
{
	struct mapped_device *md = container_of(work, struct mapped_device, requeue_work);
	struct dm_io *io, *next;

	sched_enter();
	sched_access(&md->requeue_list, SIM_WRITE);
	io = md->requeue_list;
	md->requeue_list = NULL;
	sched_exit();
	for (; io; io = next) {
		struct bio *orig = io->orig_bio;

		sched_hb_acquire(io);
		next = io->next;
		io->next = NULL;
		io->orig_bio = dm_chain_part(orig, (s64)bio_sectors(orig) - io->sector_offset,
					  io->sectors);
		complete_io(io, false);
		cond_resched();
	}
}

void dm_deferred_work(struct work_struct *work)
{
	struct mapped_device *md = container_of(work, struct mapped_device, work);
	struct bio *bio;

	while (!md_flag(md, DMF_BLOCK_IO_FOR_SUSPEND)) {
		sched_enter();
		sched_access(&md->deferred, bio_list_empty(&md->deferred) ? SIM_READ : SIM_WRITE);
		bio = bio_list_pop(&md->deferred);
		sched_exit();
		if (!bio)
			break;
		sched_hb_acquire(bio);
		bio_resubmit(bio);
		cond_resched();
	}
}

void dm_clone_endio(struct bio *clone)
{
	struct dm_target_io *tio = clone_to_tio(clone);
	struct dm_io *io = tio->io;
	struct dm_target *ti = tio->ti;
	blk_status_t error = clone->bi_status;

	if (ti->type->end_io) {
		int r;

		/* It may keep the clone, and then completes it once more. */
		clone->bi_state = BIO_OWNED;
		r = ti->type->end_io(ti, clone, &error);
		switch (r) {
		case DM_ENDIO_INCOMPLETE:
			return;
		case DM_ENDIO_REQUEUE:
			error = BLK_STS_DM_REQUEUE;
			break;
		case DM_ENDIO_DONE:
			break;
		default:
			sim_fail("%s: end_io returned %d", ti->type->name, r);
		}
		if (unlikely(clone->bi_state != BIO_OWNED))
			bio_bad_state(clone, "end_io() kept going");
		clone->bi_state = BIO_DONE;
	}
	dm_tio_put(tio);
	dm_io_dec_pending(io, error);
}

static void dm_end_discard(void)
{
	bio_pool_exit(&chained, false);
}

static struct world_part dm_end_part = {
	.name = "split bios",
	.discard = dm_end_discard,
};

static void __attribute__((constructor)) dm_end_init(void)
{
	world_part_register(&dm_end_part);
}
