// SPDX-License-Identifier: GPL-2.0
/*
 * The block layer: submission, completion, ownership of bios.
 *
 * Submission is the kernel's: a bio that is submitted while the thread is inside the submission of
 * another one (by a target's map function, say) is queued on the thread and sent when the outer one
 * has returned, devices further down first. So nothing recurses, and a map function that waits for
 * what it has itself submitted waits for ever, as it would in the kernel.
 *
 * A bio has one owner at a time (bi_state). Who owns it may submit it or complete it, once; while
 * it is below, only the device it was submitted to completes it. Everything else is a finding. A
 * bio of which dm has split off the beginning is completed when all its parts are (__bi_remaining).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bio.h"
#include "disk_layer.h"
#include "late.h"

/* ---- status ---- */

static const struct {
	int error;
	blk_status_t status;
} statuses[] = {
	{ 0, BLK_STS_OK },
	{ -EOPNOTSUPP, BLK_STS_NOTSUPP },
	{ -ETIMEDOUT, BLK_STS_TIMEOUT },
	{ -ENOSPC, BLK_STS_NOSPC },
	{ -ENOLINK, BLK_STS_TRANSPORT },
	{ -EREMOTEIO, BLK_STS_TARGET },
	{ -EBADE, BLK_STS_NEXUS },
	{ -ENODATA, BLK_STS_MEDIUM },
	{ -EILSEQ, BLK_STS_PROTECTION },
	{ -ENOMEM, BLK_STS_RESOURCE },
	{ -EBUSY, BLK_STS_DEV_RESOURCE },
	{ -EAGAIN, BLK_STS_AGAIN },
	{ -ENODEV, BLK_STS_OFFLINE },
	{ -EREMCHG, BLK_STS_DM_REQUEUE },
	{ -EIO, BLK_STS_IOERR },
};

blk_status_t errno_to_blk_status(int error)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].error == error)
			return statuses[i].status;
	return BLK_STS_IOERR;
}

int blk_status_to_errno(blk_status_t status)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].error;
	sim_fail("blk_status_to_errno(%u): no such status", (unsigned int)status);
}

/* ---- ownership ---- */

void bio_bad_state(const struct bio *bio, const char *what)
{
	const char *state = "that is not a bio";

	switch (bio->bi_state) {
	case BIO_OWNED:
		state = "that was not submitted";
		break;
	case BIO_BELOW:
		state = "that the device below has not completed";
		break;
	case BIO_DONE:
		state = "that is complete";
		break;
	case BIO_FREE:
		state = "that was freed";
		break;
	}
	sim_fail("%s of a bio %s (op %u, sector %llu, %u sectors)", what, state,
		 (unsigned int)bio_op(bio), bio->bi_iter.bi_sector, bio_sectors(bio));
}

/*
 * A dm device stays while there are bios for it, as it would for the process that has it open and
 * waits for them. This is looked at by dmctl_remove() only.
 */
static void hold_device(struct bio *bio)
{
	bio->bi_held = bio->bi_bdev;
	sched_enter();
	sched_access(&bio->bi_held->bd_bios, SIM_ADD);
	bio->bi_held->bd_bios++;
	sched_exit();
}

static void release_device(struct bio *bio)
{
	sched_enter();
	sched_access(&bio->bi_held->bd_bios, SIM_ADD);
	bio->bi_held->bd_bios--;
	sched_exit();
	bio->bi_held = NULL;
}

void bio_inc_remaining(struct bio *bio)
{
	count_add(&bio->__bi_remaining, 1);
}

static inline void bio_part_done(struct bio *bio)
{
	if (count_add(&bio->__bi_remaining, -1))
		return;
	bio->__bi_remaining = 1;
	bio->bi_state = BIO_DONE;
	if (bio->bi_held)
		release_device(bio);
	if (!bio->bi_end_io)
		return;
	/*
	 * It may be called from an interrupt, so it may never sleep, whoever completes the bio now.
	 */
	sched_current->spin_depth++;
	bio->bi_end_io(bio);
	sched_current->spin_depth--;
}

void bio_complete(struct bio *bio)
{
	if (unlikely(bio->bi_state != BIO_BELOW))
		bio_bad_state(bio, "completion");
	bio_part_done(bio);
}

void bio_endio(struct bio *bio)
{
	if (unlikely(bio->bi_state != BIO_OWNED))
		bio_bad_state(bio, "bio_endio()");
	bio_part_done(bio);
}

/* ---- contents ---- */

void zero_fill_bio(struct bio *bio)
{
	struct sector_data *data = bio->bi_data;
	u32 offset = bio->bi_iter.bi_offset, n = bio_sectors(bio);

	if (!n)
		return;
	if (data->tags)
		memset(data->tags + offset, 0, n * sizeof(*data->tags));
	else
		memset(data->bytes + (size_t)offset * SECTOR_SIZE, 0, (size_t)n * SECTOR_SIZE);
}

void bio_advance(struct bio *bio, unsigned int bytes)
{
	if (bytes > bio->bi_iter.bi_size || bytes % SECTOR_SIZE)
		sim_fail("bio_advance(%u) of a bio of %u bytes", bytes, bio->bi_iter.bi_size);
	bio->bi_iter.bi_sector += bytes >> SECTOR_SHIFT;
	bio->bi_iter.bi_offset += bytes >> SECTOR_SHIFT;
	bio->bi_iter.bi_size -= bytes;
}

/* ---- submission ---- */

static inline void submit_to_device(struct bio *bio)
{
	if (bio->bi_bdev->bd_simdisk) {
		bio->bi_disk_timed = false;
		sched_note_sent(bio);
		disk_submit(bio->bi_bdev->bd_simdisk, bio);
	} else {
		dm_submit_bio(bio);
	}
}

/* Bios for the same device as @bdev come after those for others: depth first. */
static void sort_submitted(struct bio_list *on_stack, struct block_device *bdev)
{
	struct bio_list lower = BIO_EMPTY_LIST, same = BIO_EMPTY_LIST;
	struct bio *bio;

	if (!on_stack[0].head) {
		on_stack[0] = on_stack[1];
		return;
	}
	while ((bio = bio_list_pop(&on_stack[0])))
		bio_list_add(bio->bi_bdev == bdev ? &same : &lower, bio);
	bio_list_merge(&on_stack[0], &lower);
	bio_list_merge(&on_stack[0], &same);
	bio_list_merge(&on_stack[0], &on_stack[1]);
}

static void submit_outermost(struct bio *bio)
{
	struct sim_thread *self = sched_current;
	struct bio_list on_stack[2];

	if (bio->bi_bdev->bd_simdisk) {
		submit_to_device(bio);
		return;
	}
	bio_list_init(&on_stack[0]);
	self->bio_list = on_stack;
	do {
		struct block_device *bdev = bio->bi_bdev;

		on_stack[1] = on_stack[0];
		bio_list_init(&on_stack[0]);
		submit_to_device(bio);
		sort_submitted(on_stack, bdev);
	} while ((bio = bio_list_pop(&on_stack[0])));
	self->bio_list = NULL;
}

void bio_resubmit(struct bio *bio)
{
	struct sim_thread *self = sched_current;

	if (self->bio_list)
		bio_list_add(&self->bio_list[0], bio);
	else
		submit_outermost(bio);
}

static blk_status_t check_submitted(struct bio *bio)
{
	struct block_device *bdev = bio->bi_bdev;
	sector_t sectors = bio_sectors(bio), end = bdev_nr_sectors(bdev);

	if (unlikely(!bdev))
		sim_fail("submission of a bio without a device");
	sched_access(bdev, SIM_READ);
	if (unlikely(bio->bi_opf & REQ_NOWAIT) && bdev->bd_md)
		return BLK_STS_NOTSUPP;
	if (sectors && end && (sectors > end || bio->bi_iter.bi_sector > end - sectors)) {
		printk(KERN_INFO "%s: attempt to access beyond end of device: op %u, sector %llu, "
		       "%llu sectors, end %llu\n", bdev->bd_name, (unsigned int)bio_op(bio),
		       bio->bi_iter.bi_sector, sectors, end);
		return BLK_STS_IOERR;
	}
	if (unlikely(bdev->bd_block_size > SECTOR_SIZE) &&
	    ((bio->bi_iter.bi_sector << SECTOR_SHIFT) | bio->bi_iter.bi_size) &
		    (bdev->bd_block_size - 1))
		return BLK_STS_IOERR;
	if (unlikely(bdev->bd_read_only && op_is_write(bio_op(bio)) && sectors))
		sim_fail("write to %s, which is read-only", bdev->bd_name);
	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		if (sectors && unlikely(!bio->bi_data ||
					bio->bi_iter.bi_offset + sectors > bio->bi_data->sectors))
			sim_fail("submission of a bio without contents");
		return BLK_STS_OK;
	case REQ_OP_FLUSH:
		sim_fail("REQ_OP_FLUSH in a bio: an empty write with REQ_PREFLUSH is meant");
	case REQ_OP_DISCARD:
		return bdev->bd_max_discard_sectors ? BLK_STS_OK : BLK_STS_NOTSUPP;
	case REQ_OP_WRITE_ZEROES:
		return bdev->bd_max_write_zeroes_sectors ? BLK_STS_OK : BLK_STS_NOTSUPP;
	default:
		return BLK_STS_NOTSUPP;
	}
}

void bio_submit(struct bio *bio)
{
	blk_status_t status;

	if (unlikely(bio->bi_state != BIO_OWNED))
		bio_bad_state(bio, "submission");
	bio->bi_state = BIO_BELOW;
	world.counts.bios++;
	status = check_submitted(bio);
	if (unlikely(status)) {
		bio->bi_status = status;
		bio_complete(bio);
		return;
	}
	/* A device without a cache has nothing to flush. */
	if (unlikely(op_is_flush(bio->bi_opf)) && !bio->bi_bdev->bd_write_cache) {
		bio->bi_opf &= ~(REQ_PREFLUSH | REQ_FUA);
		if (!bio_sectors(bio)) {
			bio_complete(bio);
			return;
		}
	}
	bio_clear_polled(bio);
	if (bio->bi_bdev->bd_md)
		hold_device(bio);
	bio_resubmit(bio);
}

void submit_bio_noacct(struct bio *bio)
{
	might_sleep();
	bio_submit(bio);
}

void blk_start_plug(struct blk_plug *plug)
{
	struct sim_thread *self = sched_current;

	if (self->plug)
		sim_fail("blk_start_plug() within another plug in thread '%s'", self->name);
	plug->thread = self;
	self->plug = plug;
}

void blk_finish_plug(struct blk_plug *plug)
{
	struct sim_thread *self = sched_current;

	if (self->plug != plug || plug->thread != self)
		sim_fail("blk_finish_plug() does not match in thread '%s'", self->name);
	plug->thread = NULL;
	self->plug = NULL;
}

int blkdev_issue_flush(struct block_device *bdev)
{
	might_sleep();
	return sim_bio_wait(sim_bio_alloc(bdev, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL));
}

int blkdev_issue_zeroout(struct block_device *bdev, sector_t sector, sector_t nr_sects,
			 gfp_t gfp_mask, unsigned int flags)
{
	static tag_t zeroes[2048];
	int r = -EOPNOTSUPP;

	might_sleep();
	if (flags)
		sim_fail("blkdev_issue_zeroout() with flags");
	if ((sector | nr_sects) & ((bdev_logical_block_size(bdev) >> SECTOR_SHIFT) - 1))
		return -EINVAL;
	if (bdev_write_zeroes_sectors(bdev))
		r = sim_bio_wait(sim_bio_alloc(bdev, REQ_OP_WRITE_ZEROES, sector, nr_sects, NULL));
	if (!r)
		return 0;
	do {
		u32 n = min_t(sector_t, nr_sects, ARRAY_SIZE(zeroes));

		r = sim_bio_wait(sim_bio_alloc(bdev, REQ_OP_WRITE, sector, n, zeroes));
		sector += n;
		nr_sects -= n;
	} while (nr_sects && !r);
	return r;
}

/* ---- memory ---- */

/* Pieces that are free before the first is used again. */
#ifdef SHIM_WATCHED
#define POOL_QUARANTINE 8 /* an explorer copies them all the time */
#else
#define POOL_QUARANTINE 64
#endif
#ifdef SHIM_ASAN
#define POOL_SLAB 1 /* each piece between red zones */
#else
#define POOL_SLAB POOL_QUARANTINE
#endif

void bio_pool_init(struct bio_pool *pool, const char *name, size_t size)
{
	*pool = (struct bio_pool){ .name = name, .size = (size + 15) & ~(size_t)15 };
}

static void pool_append(struct bio_pool *pool, void *piece)
{
	*(void **)piece = NULL;
	if (pool->tail)
		*(void **)pool->tail = piece;
	else
		pool->head = piece;
	pool->tail = piece;
	pool->free++;
}

static void pool_grow(struct bio_pool *pool)
{
	size_t size = (pool->size + 15) & ~(size_t)15;
	char *slab = calloc(1, 16 + POOL_SLAB * size);
	u32 i;

	if (!slab)
		abort();
	*(void **)slab = pool->slabs;
	pool->slabs = slab;
	for (i = 0; i < POOL_SLAB; i++)
		pool_append(pool, slab + 16 + i * size);
}

void *bio_pool_get(struct bio_pool *pool)
{
	void *piece;

	sched_enter();
	while (unlikely(pool->free <= POOL_QUARANTINE))
		pool_grow(pool);
	piece = pool->head;
	pool->head = *(void **)piece;
	pool->free--;
	pool->used++;
	sched_exit();
	/* That it was someone else's before orders nothing: it may as well be another one. */
	sched_tell_memory(allocated, piece, pool->size);
	if (!sched_explored())
		sched_hb_acquire(piece);
	return piece;
}

void bio_pool_put(struct bio_pool *pool, void *piece)
{
	sched_hb_release(piece);
	late_freed(piece, pool->size);
	sched_tell_memory(freed, piece, pool->size);
	sched_enter();
	pool->used--;
	pool_append(pool, piece);
	sched_exit();
}

void bio_pool_exit(struct bio_pool *pool, bool check)
{
	void *slab, *next;

	if (check && pool->used)
		sim_fail("%u of %s are still in use", pool->used, pool->name);
	for (slab = pool->slabs; slab; slab = next) {
		next = *(void **)slab;
		free(slab);
	}
	*pool = (struct bio_pool){ .name = pool->name, .size = pool->size };
}
