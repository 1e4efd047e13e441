// SPDX-License-Identifier: GPL-2.0
/*
 * The superblock: load, format, and the one writer of it.
 *
 * Three want to write it: format() (before anything else runs), a checkpoint, and the invalid mark.
 * One write is under way at a time; the mark waits for a checkpoint's write to end, and no
 * checkpoint is written after it.
 */
#include "mikulas.h"

#define SUPER_OPF (REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA | REQ_META | REQ_SYNC)

static int load_fresh(struct dm_exception_store *store, char **error)
{
	struct super *super = &store->super;
	const char *wrong;
	int r;

	super->block_sectors = dm_multisnap_logical_block_sectors(store->dm);
	super->chunk_shift = dm_multisnap_geometry(store->dm).shift;
	super->origin_sectors = dm_multisnap_origin_sectors(store->dm);
	super->device_sectors = dm_multisnap_store_sectors(store->dm);
	wrong = super_layout(super, &r);
	if (wrong) {
		*error = (char *)wrong;
		return r;
	}
	store->unformatted = true;
	return 0;
}

static int check_partner(struct dm_exception_store *store, char **error)
{
	const struct super *super = &store->super;

	*error = "Chunk size differs from the store's";
	if (super->chunk_shift != dm_multisnap_geometry(store->dm).shift)
		return -EINVAL;
	*error = "Origin size differs from the store's";
	if (super->origin_sectors != dm_multisnap_origin_sectors(store->dm))
		return -EINVAL;
	*error = "Store device is smaller than the store";
	if (super->device_sectors > dm_multisnap_store_sectors(store->dm))
		return -EINVAL;
	*error = "Logical block size of the store device is larger than the store's";
	if (super->block_sectors < dm_multisnap_logical_block_sectors(store->dm))
		return -EINVAL;
	return 0;
}

static int load_existing(struct dm_exception_store *store, char **error)
{
	const char *wrong = super_unpack(&store->super, store->super_buffer);

	if (wrong) {
		DMERR("%s: damaged superblock: %s", dm_multisnap_name(store->dm), wrong);
		*error = "Damaged superblock of the store";
		return -EPERM;
	}
	return check_partner(store, error);
}

/* Reads and checks; writes nothing. */
int super_load(struct dm_exception_store *store, char **error)
{
	unsigned int sectors = dm_multisnap_logical_block_sectors(store->dm);
	int r;

	*error = "Logical block size of the store device not supported";
	if (!sectors || sectors > MBLOCK_SECTORS)
		return -EINVAL;
	*error = "Chunk size must be at least 4096 bytes for this store type";
	if (dm_multisnap_geometry(store->dm).shift < CHUNK_SHIFT_MIN)
		return -EINVAL;
	*error = "Store device too small";
	if (dm_multisnap_store_sectors(store->dm) < sectors)
		return -ENOSPC;
	*error = "Cannot allocate the superblock";
	store->super_buffer = kzalloc(MBLOCK_BYTES, GFP_KERNEL);
	if (!store->super_buffer)
		return -ENOMEM;
	*error = "Cannot read the superblock";
	r = dm_multisnap_sync_io(store->dm, REQ_OP_READ | REQ_META, 0, sectors,
				 store->super_buffer);
	if (r)
		return r;
	if (!memchr_inv(store->super_buffer, 0, SUPER_BYTES))
		return load_fresh(store, error);
	*error = "Store device holds something else";
	if (memcmp(store->super_buffer->magic, SUPER_MAGIC, sizeof(store->super_buffer->magic)))
		return -EINVAL;
	return load_existing(store, error);
}

static void fill_buffer(struct dm_exception_store *store, const struct super *super)
{
	memset(store->super_buffer, 0, MBLOCK_BYTES);
	super_pack(store->super_buffer, super);
}

static int write_now(struct dm_exception_store *store)
{
	fill_buffer(store, &store->super);
	return dm_multisnap_sync_io(store->dm, SUPER_OPF, 0, store->super.block_sectors,
				    store->super_buffer);
}

/*
 * The log is zeroed and durable before the superblock is written: nothing of an earlier store can
 * be taken for a record of this one (H32).
 */
int super_format(struct dm_exception_store *store)
{
	u8 *zero = store->open_record.data;
	unsigned int sectors = store->super.record_sectors;
	sector_t done = 0;
	int r;

	memset(zero, 0, sectors * SECTOR_SIZE);
	while (done < store->log.sectors) {
		unsigned int n = min_t(sector_t, sectors, store->log.sectors - done);

		r = dm_multisnap_sync_io(store->dm, REQ_OP_WRITE | REQ_META,
					 store->log.first + done, n, zero);
		if (r)
			return r;
		done += n;
	}
	r = dm_multisnap_sync_io(store->dm, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL);
	if (!r)
		r = write_now(store);
	if (!r)
		store->unformatted = false;
	return r;
}

/*
 * A new mount count, durable before the first record that carries it; and where the records of
 * earlier ones end.
 */
int super_mount(struct dm_exception_store *store)
{
	if (store->super.mount == U32_MAX) {
		DMERR("%s: mount count exhausted", dm_multisnap_name(store->dm));
		return -ERANGE;
	}
	store->super.mount++;
	store->super.mount_seq = store->log.seq;
	return write_now(store);
}

static void super_written(struct dm_multisnap_io *io, int error)
{
	struct dm_exception_store *store = container_of(io, struct dm_exception_store, super_io);

	store->super_busy = false;
	if (error) {
		store_fail(store, error, "superblock write error", 0);
	} else {
		/* get_space() reads it */
		dm_multisnap_status_lock(store->dm);
		store->super = store->super_next;
		dm_multisnap_status_unlock(store->dm);
	}
	store->super_done(store, error);
	if (store->invalidate_error)
		super_invalidate(store, store->invalidate_error);
}

void super_write(struct dm_exception_store *store, const struct super *next,
		 void (*done)(struct dm_exception_store *store, int error))
{
	struct dm_multisnap_io *io = &store->super_io;

	store->super_next = *next;
	store->super_busy = true;
	store->super_done = done;
	fill_buffer(store, next);
	io->opf = SUPER_OPF;
	io->sector = 0;
	io->sectors = next->block_sectors;
	io->data = store->super_buffer;
	io->done = super_written;
	dm_multisnap_submit_io(store->dm, io);
}

static void invalidated(struct dm_exception_store *store, int error)
{
	dm_multisnap_invalidate_done(store->dm, error);
}

void super_invalidate(struct dm_exception_store *store, int error)
{
	struct super next = store->super;

	store->invalid = true;
	store->invalidate_error = error;
	if (store->super_busy)
		return;
	store->invalidate_error = 0;
	if (store->unformatted || store->super.error) {
		/* Nothing on the device could be taken for good. */
		dm_multisnap_invalidate_done(store->dm, 0);
		return;
	}
	next.error = -error;
	super_write(store, &next, invalidated);
}
