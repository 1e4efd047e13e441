// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O path of device-mapper, as drivers/md/dm.c has it in 6.1.
 *
 * One bio that reaches a dm device becomes one struct dm_io for its first part, as long as the
 * target takes at once: cut at the end of the target and, for reads and writes, at multiples of
 * max_io_len; discards and write-zeroes are cut only by dm_accept_partial_bio(). What is left of
 * the bio is submitted again, after everything that the first part has caused. PREFLUSH with data
 * is an empty flush to every target first; when that is done the bio comes back without PREFLUSH,
 * by way of the deferred list.
 *
 * The clone that a target sees lies inside the dm_io, the target's per-bio data right in front of
 * it. A dm_io has one reference for the submission and one for each clone; the last one completes
 * (this part of) the original.
 */
#include "dm_io_part.h"

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

/*
 * In the kernel this also accounts the I/O to the device and to the cgroup of its submitter; where
 * the target has not said that it does so, dm accounts it after map(), which may be at the same
 * time.
 */
void dm_submit_bio_remap(struct bio *clone, struct bio *tgt_clone)
{
	struct dm_target *ti = clone_to_tio(clone)->ti;

	check_clone(clone, "dm_submit_bio_remap()");
	if (!ti->accounts_remapped_io)
		sim_fail("%s: dm_submit_bio_remap() without accounts_remapped_io", ti->type->name);
	submit_bio_noacct(tgt_clone ? tgt_clone : clone);
}

static struct dm_io *alloc_io(struct mapped_device *md, struct dm_table *map, struct bio *bio)
{
	struct dm_io *io = dm_io_get(map);

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
	sched_access(&md->pending_io, SIM_ADD);
	md->pending_io++;
	sched_exit();
	return io;
}

static struct bio *alloc_tio(struct clone_info *ci, struct dm_target *ti, unsigned int nr,
			     unsigned int *len)
{
	struct dm_target_io *tio = &ci->io->tio;
	const struct bio *like = ci->bio;
	struct bio *clone;

	if (!tio->io) {
		/*
		 * This one is like the original even where it is a flush: its place and its FUA,
		 * too.
		 */
		like = ci->io->orig_bio;
		tio->inside_io = true;
	} else {
		tio = &dm_io_get(ci->map)->tio;
		tio->inside_io = false;
	}
	tio->io = ci->io;
	tio->ti = ti;
	tio->target_bio_nr = nr;
	tio->len_ptr = len;
	tio->duplicate = false;
	clone = &tio->clone;
	bio_prepare(clone, &ci->io->md->bdev, like->bi_opf);
	clone->bi_iter = like->bi_iter;
	clone->bi_data = like->bi_data;
	clone->bi_iter.bi_size = len ? *len << SECTOR_SHIFT : 0;
	return clone;
}

/* ---- submission ---- */

static void map_bio(struct bio *clone)
{
	struct dm_target_io *tio = clone_to_tio(clone);
	struct dm_target *ti = tio->ti;
	struct dm_io *io = tio->io;
	int r;

	clone->bi_end_io = dm_clone_endio;
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
		dm_tio_put(tio);
		dm_io_dec_pending(io, r == DM_MAPIO_KILL ? BLK_STS_IOERR : BLK_STS_DM_REQUEUE);
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

static void count_split(void)
{
	sched_enter();
	world.counts.bio_splits++;
	sched_exit();
}

/*
 * Discards and write-zeroes larger than the device's limits: the first part; the rest is submitted.
 */
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
	part = dm_chain_part(bio, 0, first);
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
	dm_io_dec_pending(io, error);
}

void dm_submit_bio(struct bio *bio)
{
	struct mapped_device *md = bio->bi_bdev->bd_md;
	struct dm_table *map;
	u32 index;

	sched_point("submit_bio", md->name, NULL);
	index = dm_srcu_lock(&md->io_barrier);
	sched_access(&md->map, SIM_READ);
	map = READ_ONCE(md->map);
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
			dm_queue_io(md, bio);
		}
	} else {
		sched_hb_acquire(map);
		split_and_process_bio(md, map, bio);
	}
	dm_srcu_unlock(&md->io_barrier, index);
}
