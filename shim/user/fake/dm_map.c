// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O path of device-mapper, as drivers/md/dm.c has it in 6.1.
 *
 * One bio that reaches a dm device becomes one struct dm_io for its first part, as long as the target takes at once: cut
 * at the end of the target and, for reads and writes, at multiples of max_io_len; discards and
 * write-zeroes are cut only by dm_accept_partial_bio(). What is left of the bio is submitted again, after everything that the
 * first part has caused. PREFLUSH with data is an empty flush to every target first; when that is done the bio comes back
 * without PREFLUSH, by way of the deferred list.
 *
 * The clone that a target sees lies inside the dm_io, the target's per-bio data right in front of it. A dm_io has one reference
 * for the submission and one for each clone; the last one completes (this part of) the original.
 */
#include <stdlib.h>
#include <string.h>

#include "dm.h"

struct dm_target_io {
	struct dm_io *io;
	struct dm_target *ti;
	unsigned int *len_ptr; /* valid while map() runs */
	unsigned int target_bio_nr;
	bool inside_io;
	bool duplicate;
	struct bio clone;
};

struct dm_io {
	struct dm_table *table;
	struct mapped_device *md;
	struct dm_io *next;
	struct bio *orig_bio;
	struct dm_target_io *mapping; /* whose map() runs */
	int io_count;
	blk_status_t status;
	bool was_split;
	u32 sectors;	   /* of this part, if it was split */
	u32 sector_offset; /* of its beginning from the end of the original */
	struct dm_target_io tio;
} __aligned(16);

struct clone_info {
	struct dm_table *map;
	struct bio *bio;
	struct dm_io *io;
	sector_t sector;
	u32 sector_count;
};

size_t dm_io_size(void)
{
	return sizeof(struct dm_io);
}

static inline struct dm_target_io *clone_to_tio(const struct bio *clone)
{
	return (struct dm_target_io *)container_of(clone, struct dm_target_io, clone);
}

/* ---- what targets ask of a clone ---- */

static void check_clone(const struct bio *bio, const char *what)
{
	if (unlikely(bio->bi_state == BIO_FREE))
		bio_bad_state(bio, what);
}

void *dm_per_bio_data(struct bio *bio, size_t data_size)
{
	struct dm_target_io *tio = clone_to_tio(bio);

	check_clone(bio, "dm_per_bio_data()");
	if (unlikely(data_size > tio->ti->per_io_data_size))
		sim_fail("%s: dm_per_bio_data(%zu) where per_io_data_size is %u",
			 tio->ti->type->name, data_size, tio->ti->per_io_data_size);
	return (char *)container_of(tio, struct dm_io, tio) - data_size;
}

struct bio *dm_bio_from_per_bio_data(void *data, size_t data_size)
{
	struct dm_io *io = (struct dm_io *)((char *)data + data_size);

	check_clone(&io->tio.clone, "dm_bio_from_per_bio_data()");
	return &io->tio.clone;
}

unsigned int dm_bio_get_target_bio_nr(const struct bio *bio)
{
	return clone_to_tio(bio)->target_bio_nr;
}

void dm_accept_partial_bio(struct bio *bio, unsigned int n_sectors)
{
	struct dm_target_io *tio = clone_to_tio(bio);
	struct dm_io *io = tio->io;
	unsigned int sectors = bio_sectors(bio);

	if (io->mapping != tio)
		sim_fail("dm_accept_partial_bio() outside of map()");
	if (tio->duplicate || !tio->len_ptr)
		sim_fail("dm_accept_partial_bio() of a flush or of one of several clones");
	if (sectors > *tio->len_ptr || n_sectors > sectors || !n_sectors)
		sim_fail("dm_accept_partial_bio(%u) of %u sectors", n_sectors, sectors);
	*tio->len_ptr -= sectors - n_sectors;
	bio->bi_iter.bi_size = n_sectors << SECTOR_SHIFT;
	io->was_split = true;
	io->sectors = n_sectors;
	io->sector_offset = bio_sectors(io->orig_bio);
}

/* ---- allocation ---- */

static struct dm_io *get_piece(struct dm_table *table)
{
	struct dm_io *io = (struct dm_io *)((char *)bio_pool_get(&table->ios) + table->front_pad);

	io->table = table;
	return io;
}

static void put_piece(struct dm_io *io)
{
	io->tio.clone.bi_state = BIO_FREE;
	if (!world.fifo)
		memset((char *)io - io->table->front_pad, 0x6b, io->table->front_pad);
	bio_pool_put(&io->table->ios, (char *)io - io->table->front_pad);
}

static struct dm_io *alloc_io(struct mapped_device *md, struct dm_table *map, struct bio *bio)
{
	struct dm_io *io = get_piece(map);

	io->md = md;
	io->next = NULL;
	io->orig_bio = bio;
	io->io_count = 2; /* submission, completion */
	io->mapping = NULL;
	io->status = BLK_STS_OK;
	io->was_split = false;
	io->tio.io = NULL;
	io->tio.ti = NULL;
	sched_enter();
	md->pending_io++;
	sched_exit();
	return io;
}

static struct bio *alloc_tio(struct clone_info *ci, struct dm_target *ti, unsigned int nr,
			     unsigned int *len)
{
	struct dm_target_io *tio = &ci->io->tio;
	struct bio *clone;

	if (!tio->io) {
		tio->inside_io = true;
	} else {
		tio = &get_piece(ci->map)->tio;
		tio->inside_io = false;
	}
	tio->io = ci->io;
	tio->ti = ti;
	tio->target_bio_nr = nr;
	tio->len_ptr = len;
	tio->duplicate = false;
	clone = &tio->clone;
	bio_prepare(clone, &ci->io->md->bdev, ci->bio->bi_opf);
	clone->bi_iter = ci->bio->bi_iter;
	clone->bi_data = ci->bio->bi_data;
	if (len)
		clone->bi_iter.bi_size = *len << SECTOR_SHIFT;
	return clone;
}

static void free_tio(struct dm_target_io *tio)
{
	if (!tio->inside_io)
		put_piece(container_of(tio, struct dm_io, tio));
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

/* Sectors [offset, offset + sectors) of @parent, which may lie before what bi_iter has left of it. */
static struct bio *chain_part(struct bio *parent, s64 offset, u32 sectors)
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

static void count_split(void)
{
	sched_enter();
	world.counts.bio_splits++;
	sched_exit();
}

/* ---- completion ---- */

static void queue_io(struct mapped_device *md, struct bio *bio)
{
	sched_enter();
	bio_list_add(&md->deferred, bio);
	sched_exit();
	queue_work(md->wq, &md->work);
}

/* True if the original goes back to a list, to be mapped again; else perhaps io->status is changed. */
static bool handle_requeue(struct dm_io *io, bool first_stage)
{
	struct mapped_device *md = io->md;
	bool requeued = true;

	if (likely(io->status != BLK_STS_DM_REQUEUE))
		return false;
	bio_clear_polled(io->orig_bio);
	sched_enter();
	if (first_stage) {
		io->next = md->requeue_list;
		md->requeue_list = io;
	} else if (md_flag(md, DMF_NOFLUSH_SUSPENDING)) {
		bio_list_add_head(&md->deferred, io->orig_bio);
	} else {
		io->status = BLK_STS_IOERR;
		requeued = false;
	}
	sched_exit();
	if (requeued)
		queue_work(md->wq, first_stage ? &md->requeue_work : &md->work);
	return requeued;
}

static void complete_io(struct dm_io *io, bool first_stage)
{
	struct bio *bio = io->orig_bio;
	struct mapped_device *md = io->md;
	bool requeued = handle_requeue(io, first_stage), last;
	blk_status_t error = io->status;

	if (requeued && first_stage)
		return;
	put_piece(io);
	sched_enter();
	last = !--md->pending_io;
	sched_exit();
	if (last && unlikely(waitqueue_active(&md->wait)))
		wake_up(&md->wait);
	if (requeued)
		return;
	if (unlikely(bio->bi_opf & REQ_PREFLUSH) && bio_sectors(bio)) {
		/* The flush is done; now the data, whatever came of the flush - as in the kernel. */
		bio->bi_opf &= ~REQ_PREFLUSH;
		queue_io(md, bio);
		return;
	}
	if (error)
		bio->bi_status = error;
	bio_complete(bio);
}

static void dec_pending(struct dm_io *io, blk_status_t error)
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
	io = md->requeue_list;
	md->requeue_list = NULL;
	sched_exit();
	for (; io; io = next) {
		struct bio *orig = io->orig_bio;

		next = io->next;
		io->next = NULL;
		io->orig_bio = chain_part(orig, (s64)bio_sectors(orig) - io->sector_offset,
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
		bio = bio_list_pop(&md->deferred);
		sched_exit();
		if (!bio)
			break;
		bio_resubmit(bio);
		cond_resched();
	}
}

static void clone_endio(struct bio *clone)
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
	free_tio(tio);
	dec_pending(io, error);
}

/* ---- submission ---- */

static void map_bio(struct bio *clone)
{
	struct dm_target_io *tio = clone_to_tio(clone);
	struct dm_target *ti = tio->ti;
	struct dm_io *io = tio->io;
	int r;

	clone->bi_end_io = clone_endio;
	/* The caller's reference keeps @io. */
	io->mapping = tio;
	r = ti->type->map(ti, clone);
	io->mapping = NULL;
	switch (r) {
	case DM_MAPIO_SUBMITTED:
		break;
	case DM_MAPIO_REMAPPED:
		if (unlikely(clone->bi_bdev == &io->md->bdev))
			sim_fail("%s: remapped without bio_set_dev()", ti->type->name);
		submit_bio_noacct(clone);
		break;
	case DM_MAPIO_KILL:
	case DM_MAPIO_REQUEUE:
		if (unlikely(clone->bi_state != BIO_OWNED))
			bio_bad_state(clone, "refusal by map()");
		clone->bi_state = BIO_DONE;
		free_tio(tio);
		dec_pending(io, r == DM_MAPIO_KILL ? BLK_STS_IOERR : BLK_STS_DM_REQUEUE);
		break;
	default:
		sim_fail("%s: map returned %d", ti->type->name, r);
	}
}

static void note_split(struct clone_info *ci, u32 len)
{
	if (ci->sector_count > len) {
		ci->io->was_split = true;
		ci->io->sectors = len;
		ci->io->sector_offset = bio_sectors(ci->bio);
	}
}

static void send_duplicates(struct clone_info *ci, struct dm_target *ti, unsigned int num_bios,
			    unsigned int *len)
{
	struct bio_list list = BIO_EMPTY_LIST;
	struct bio *clone;
	unsigned int i;

	if (len)
		note_split(ci, *len);
	for (i = 0; i < num_bios; i++) {
		clone = alloc_tio(ci, ti, i, len);
		clone_to_tio(clone)->duplicate = num_bios > 1;
		bio_list_add(&list, clone);
	}
	while ((clone = bio_list_pop(&list)))
		map_bio(clone);
}

static void send_empty_flush(struct clone_info *ci)
{
	struct mapped_device *md = ci->io->md;
	blk_opf_t opf = REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC;
	struct bio flush;
	unsigned int i;

	if ((ci->bio->bi_opf & (REQ_IDLE | REQ_SYNC)) == (REQ_IDLE | REQ_SYNC))
		opf |= REQ_IDLE;
	bio_prepare(&flush, &md->bdev, opf);
	ci->bio = &flush;
	ci->sector_count = 0;
	for (i = 0; i < ci->map->num_targets; i++) {
		struct dm_target *ti = &ci->map->targets[i];

		count_add(&ci->io->io_count, ti->num_flush_bios);
		send_duplicates(ci, ti, ti->num_flush_bios, NULL);
	}
	/* alloc_io() has counted a clone that there is not. */
	count_add(&ci->io->io_count, -1);
}

static blk_status_t send_abnormal(struct clone_info *ci, struct dm_target *ti)
{
	unsigned int num_bios, len;

	switch (bio_op(ci->bio)) {
	case REQ_OP_DISCARD:
		num_bios = ti->num_discard_bios;
		break;
	case REQ_OP_SECURE_ERASE:
		num_bios = ti->num_secure_erase_bios;
		break;
	default:
		num_bios = ti->num_write_zeroes_bios;
		break;
	}
	if (!num_bios)
		return BLK_STS_NOTSUPP;
	len = min_t(sector_t, ci->sector_count,
		    ti->len - dm_target_offset(ti, ci->sector));
	count_add(&ci->io->io_count, num_bios - 1);
	send_duplicates(ci, ti, num_bios, &len);
	ci->sector += len;
	ci->sector_count -= len;
	return BLK_STS_OK;
}

/* How much the target takes at @sector. */
static sector_t max_io_len(struct dm_target *ti, sector_t sector)
{
	sector_t offset = dm_target_offset(ti, sector), len = ti->len - offset, chunk;
	unsigned int max_sectors = ti->table->md->limits.max_sectors;

	if (!ti->max_io_len)
		return len;
	if (likely(is_power_of_2(ti->max_io_len)))
		chunk = ti->max_io_len - (offset & (ti->max_io_len - 1));
	else
		chunk = ti->max_io_len - offset % ti->max_io_len;
	return min_t(sector_t, len, min_t(sector_t, max_sectors, chunk));
}

static bool is_abnormal(const struct bio *bio)
{
	return bio_op(bio) != REQ_OP_READ && bio_op(bio) != REQ_OP_WRITE;
}

static blk_status_t split_and_process(struct clone_info *ci)
{
	struct dm_target *ti = dm_table_find_target(ci->map, ci->sector);
	unsigned int len;

	if (unlikely(!ti))
		return BLK_STS_IOERR;
	if (unlikely(is_abnormal(ci->bio)))
		return send_abnormal(ci, ti);
	len = min_t(sector_t, max_io_len(ti, ci->sector), ci->sector_count);
	note_split(ci, len);
	map_bio(alloc_tio(ci, ti, 0, &len));
	ci->sector += len;
	ci->sector_count -= len;
	return BLK_STS_OK;
}

/* Discards and write-zeroes larger than the device's limits: the first part; the rest is submitted. */
static struct bio *split_to_limits(struct mapped_device *md, struct bio *bio)
{
	u32 max = md->limits.max_write_zeroes_sectors, granularity = 1, first;
	struct bio *part;

	if (bio_op(bio) == REQ_OP_DISCARD) {
		granularity = max_t(u32, md->limits.discard_granularity >> SECTOR_SHIFT, 1);
		max = md->limits.max_discard_sectors;
		max -= max % granularity;
	}
	if (!max || bio_sectors(bio) <= max)
		return bio;
	first = max;
	if (first > (bio->bi_iter.bi_sector + max) % granularity)
		first -= (bio->bi_iter.bi_sector + max) % granularity;
	part = chain_part(bio, 0, first);
	bio_inc_remaining(bio);
	bio_advance(bio, first << SECTOR_SHIFT);
	count_split();
	bio_resubmit(bio);
	return part;
}

static void split_and_process_bio(struct mapped_device *md, struct dm_table *map, struct bio *bio)
{
	blk_status_t error = BLK_STS_OK;
	struct clone_info ci;
	struct dm_io *io;

	if (unlikely(is_abnormal(bio)))
		bio = split_to_limits(md, bio);
	io = alloc_io(md, map, bio);
	ci = (struct clone_info){ .map = map, .bio = bio, .io = io,
				  .sector = bio->bi_iter.bi_sector,
				  .sector_count = bio_sectors(bio) };
	if (unlikely(bio->bi_opf & REQ_PREFLUSH)) {
		send_empty_flush(&ci);
	} else {
		error = split_and_process(&ci);
		if (error) {
			count_add(&io->io_count, -1);
		} else if (unlikely(ci.sector_count)) {
			/* The rest comes after everything that this part has submitted. */
			bio_inc_remaining(bio);
			bio->bi_iter.bi_sector += io->sectors;
			bio->bi_iter.bi_offset += io->sectors;
			bio->bi_iter.bi_size = ci.sector_count << SECTOR_SHIFT;
			count_split();
			bio_resubmit(bio);
		}
	}
	dec_pending(io, error);
}

void dm_submit_bio(struct bio *bio)
{
	struct mapped_device *md = bio->bi_bdev->bd_md;
	u32 index = dm_srcu_lock(&md->io_barrier);
	struct dm_table *map = READ_ONCE(md->map);

	if (unlikely(!map)) {
		printk(KERN_ERR "device-mapper: core: %s: mapping table unavailable, erroring io\n",
		       md->name);
		bio->bi_status = BLK_STS_IOERR;
		bio_complete(bio);
	} else if (unlikely(md_flag(md, DMF_BLOCK_IO_FOR_SUSPEND))) {
		if (bio->bi_opf & REQ_RAHEAD) {
			bio->bi_status = BLK_STS_IOERR;
			bio_complete(bio);
		} else {
			queue_io(md, bio);
		}
	} else {
		split_and_process_bio(md, map, bio);
	}
	dm_srcu_unlock(&md->io_barrier, index);
}

static void dm_map_discard(void)
{
	bio_pool_exit(&chained, false);
}

static struct world_part dm_map_part = {
	.name = "split bios",
	.discard = dm_map_discard,
};

static void __attribute__((constructor)) dm_map_init(void)
{
	world_part_register(&dm_map_part);
}
