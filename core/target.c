// SPDX-License-Identifier: GPL-2.0
/*
 * The target multisnapshot: the origin device. Map, suspend and resume, destruction; and the
 * module.
 *
 * Formatting and sync-snapshots happen in the first preresume, when nothing bypasses the target any
 * more.
 */
#include "multisnap.h"

void multisnap_lock(struct dm_multisnap *s) __acquires(&s->lock)
{
	mutex_lock(&s->lock);
	__acquire(&s->lock);
	if (s->store && s->ops->store_lock_acquired)
		s->ops->store_lock_acquired(s->store);
}

void multisnap_unlock(struct dm_multisnap *s) __releases(&s->lock)
{
	__release(&s->lock);
	mutex_unlock(&s->lock);
}

static bool stopped(struct dm_multisnap *s)
{
	bool is_stopped;

	multisnap_lock(s);
	is_stopped = multisnap_stopped(s);
	multisnap_unlock(s);
	return is_stopped;
}

/*
 * What somebody may wait for becomes durable; then nothing more is begun. Background work goes on
 * only as far as that needs it: what it leaves undone, it takes up after the next load.
 */
static void commit_and_stop(struct dm_multisnap *s)
{
	multisnap_lock(s);
	s->stopping = true;
	multisnap_unlock(s);
	multisnap_commit_all(s);
}

/* In any order with the snapshot devices (H09). Waits for I/O, with no lock held (H41). */
static void origin_dtr(struct dm_target *ti)
{
	struct dm_multisnap *s = ti->private;

	multisnap_set_ready(s, false);
	multisnap_lock(s);
	s->dead = true;
	multisnap_detach(s, SNAPID_ORIGIN);
	multisnap_unlock(s);
	multisnap_drain(s, SNAPID_ORIGIN);

	if (s->started)
		multisnap_create_prepared(s);
	/* Also where the first resume failed: the store may have begun something by then. */
	commit_and_stop(s);
	/* Whatever ends brings the worker round; one pass is for what it was told above. */
	multisnap_kick(s);
	for (;;) {
		unsigned int pass = READ_ONCE(s->pass_seq);

		if (stopped(s))
			break;
		wait_event(s->wait, READ_ONCE(s->pass_seq) != pass);
	}
	multisnap_release(s);
}

static int format_and_sync(struct dm_multisnap *s)
{
	int r = s->ops->format(s->store);

	if (r) {
		DMERR("%s: the store could not be prepared: %d", s->name, r);
		return r;
	}
	if (s->args.sync_snapshots) {
		r = multisnap_sync_snapshots(s);
		if (r)
			DMERR("%s: the snapshots could not be brought to those listed: %d", s->name,
			      r);
	}
	return r;
}

/* The first resume makes the store ready. Later ones find all as it was. */
static int origin_preresume(struct dm_target *ti)
{
	struct dm_multisnap *s = ti->private;
	int r = dm_multisnap_has_error(s);
	unsigned int noio;

	if (s->started)
		return 0;
	if (!r) {
		/* The device may have had another table: write-back would wait for this resume. */
		noio = memalloc_noio_save();
		r = format_and_sync(s);
		memalloc_noio_restore(noio);
	}
	if (r && s->args.preserve_on_error)
		return r;
	if (r)
		dm_multisnap_set_error(s, r);
	multisnap_lock(s);
	multisnap_refresh_unshared(s);
	multisnap_start(s);
	multisnap_unlock(s);
	return 0;
}

/* Whatever kind of suspend: the prepared snapshot is created and everything is durable (H42). */
static void origin_postsuspend(struct dm_target *ti)
{
	struct dm_multisnap *s = ti->private;

	multisnap_create_prepared(s);
	multisnap_commit_all(s);
}

/* Sectors of the first chunks that are remembered as fully copied, and that nothing reads. */
static unsigned int copied_sectors(struct dm_multisnap *s, chunk_t chunk, unsigned int sectors,
				   unsigned int in_chunk) __must_hold(&s->io_lock)
{
	unsigned int pass = 0;

	lockdep_assert_held(&s->io_lock);
	for (unsigned int i = 0; i < MULTISNAP_PASS_MAX && pass < sectors; i++, chunk++) {
		if (!__multisnap_is_writable(s, chunk))
			break;
		if (i)
			in_chunk = min_t(sector_t, sectors - pass, chunk_sectors(s->geometry));
		pass += in_chunk;
	}
	return pass;
}

/*
 * How many sectors of a write may go at once, being certain that no snapshot shares them and
 * nothing reads them for one? All, where no snapshot exists; or those of its first chunks, where
 * they are remembered as fully copied.
 */
static unsigned int sectors_to_pass(struct dm_multisnap *s, sector_t sector, unsigned int sectors,
				    unsigned int in_chunk)
{
	chunk_t chunk = sector_to_chunk(s->geometry, sector);
	unsigned int pass = 0;
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	if (s->passthrough)
		pass = sectors;
	else if (dm_multisnap_has_error(s))
		pass = 0; /* the worker knows the policy */
	else if (s->unshared && !s->nr_copying && !s->nr_tracked)
		pass = sectors;
	else
		pass = copied_sectors(s, chunk, sectors, in_chunk);
	spin_unlock_irqrestore(&s->io_lock, flags);
	return pass;
}

static bool count_bulk(struct dm_multisnap *s)
{
	unsigned long flags;
	bool counted;

	spin_lock_irqsave(&s->io_lock, flags);
	counted = s->nr_bulk < MULTISNAP_BULK_MAX;
	if (counted)
		WRITE_ONCE(s->nr_bulk, s->nr_bulk + 1);
	spin_unlock_irqrestore(&s->io_lock, flags);
	return counted;
}

/* Wait until there is room: what is queued ends without anything of the submitter's. */
static void wait_for_bulk(struct dm_multisnap *s)
{
	while (!count_bulk(s))
		wait_event(s->wait, READ_ONCE(s->nr_bulk) < MULTISNAP_BULK_MAX);
}

static void queue_origin_bio(struct dm_multisnap *s, struct bio *bio)
{
	struct bio_track *bt = bio_track(bio);
	unsigned long flags;

	memset(bt, 0, sizeof(*bt));
	bt->chunk = sector_to_chunk(s->geometry, bio->bi_iter.bi_sector);
	if (bio_op(bio) != REQ_OP_WRITE) {
		wait_for_bulk(s);
		bt->bulk = true;
	}
	bio_clear_polled(bio);
	spin_lock_irqsave(&s->io_lock, flags);
	multisnap_queue_bio(s, bio);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

static int origin_map(struct dm_target *ti, struct bio *bio)
{
	struct dm_multisnap *s = ti->private;
	unsigned int sectors, in_chunk, pass;
	sector_t sector;

	bio_set_dev(bio, s->origin->bdev);
	/* A flush: what has reached the origin has its exceptions durable. */
	sectors = bio_sectors(bio);
	if (!sectors)
		return DM_MAPIO_REMAPPED;
	sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	bio->bi_iter.bi_sector = sector;
	if (!op_is_write(bio_op(bio)))
		return DM_MAPIO_REMAPPED;

	/* What cannot go at once goes chunk by chunk (H37): dm sends the rest again. */
	in_chunk = min_t(sector_t, sectors,
			 chunk_sectors(s->geometry) - chunk_offset(s->geometry, sector));
	pass = sectors_to_pass(s, sector, sectors, in_chunk);
	if ((pass ?: in_chunk) < sectors)
		dm_accept_partial_bio(bio, pass ?: in_chunk);
	if (pass)
		return DM_MAPIO_REMAPPED;
	queue_origin_bio(s, bio);
	return DM_MAPIO_SUBMITTED;
}

static int origin_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct dm_multisnap *s = ti->private;

	return fn(ti, s->origin, 0, ti->len, data);
}

static struct target_type multisnapshot_target = {
	.name = "multisnapshot",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = multisnap_ctr,
	.dtr = origin_dtr,
	.map = origin_map,
	.preresume = origin_preresume,
	.postsuspend = origin_postsuspend,
	.status = multisnap_status,
	.message = multisnap_message,
	.iterate_devices = origin_iterate_devices,
};

static int __init multisnapshot_init(void)
{
	int r = multisnap_pending_init();

	if (r)
		return r;
	r = dm_register_target(&multisnapshot_target);
	if (r)
		goto bad_target;
	r = dm_register_target(&multisnap_snap_target);
	if (r)
		goto bad_snap_target;
	return 0;

bad_snap_target:
	dm_unregister_target(&multisnapshot_target);
bad_target:
	multisnap_pending_exit();
	return r;
}

static void __exit multisnapshot_exit(void)
{
	dm_unregister_target(&multisnap_snap_target);
	dm_unregister_target(&multisnapshot_target);
	multisnap_pending_exit();
}

module_init(multisnapshot_init);
module_exit(multisnapshot_exit);

/* dm asks for dm-<target>: the first target has the module's own name, the second has not. */
MODULE_ALIAS("dm-multisnap-snap");
MODULE_DESCRIPTION("device-mapper target: many snapshots of a device in one shared store");
MODULE_AUTHOR("The multisnap authors");
MODULE_LICENSE("GPL");
