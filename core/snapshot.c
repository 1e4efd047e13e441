// SPDX-License-Identifier: GPL-2.0
/*
 * The target multisnap-snap: one snapshot, readable and writable.
 *
 * A device is attached to its multisnapshot until the snapshot is deleted or the origin target
 * goes; from then on its I/O gives EIO. It does not hold the origin open. Bios are counted in
 * flight from map to their end, so that a deletion can wait for them (H02).
 */
#include "multisnap.h"

/* Some device with that id, or any (SNAPID_ORIGIN). */
static bool matches(struct multisnap_snap *snap, snapid_t id)
{
	return id == SNAPID_ORIGIN || snap->id == id;
}

/* Before the first resume, and while a sub-snapshot of its snapshot is created. io_lock. */
static bool is_held(struct dm_multisnap *s, struct multisnap_snap *snap)
{
	return !snap->detached && (!s->started || s->held_id == snap->id);
}

static void requeue_held_locked(struct dm_multisnap *s) __must_hold(&s->io_lock)
{
	struct bio_list held;
	struct bio *bio;

	lockdep_assert_held(&s->io_lock);
	bio_list_init(&held);
	bio_list_merge(&held, &s->held);
	bio_list_init(&s->held);
	while ((bio = bio_list_pop(&held))) {
		struct multisnap_snap *snap = bio_track(bio)->snap;

		if (is_held(s, snap)) {
			bio_list_add(&s->held, bio);
		} else {
			snap->in_flight++;
			multisnap_queue_bio(s, bio);
		}
	}
}

/*
 * From now on the I/O of these devices fails; what is queued is failed by the worker. Master
 * lock.
 */
void multisnap_detach(struct dm_multisnap *s, snapid_t id)
{
	struct multisnap_snap *snap;
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	list_for_each_entry(snap, &s->snaps, list)
		if (matches(snap, id))
			WRITE_ONCE(snap->detached, true);
	requeue_held_locked(s);
	multisnap_kick(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

static bool drained(struct dm_multisnap *s, snapid_t id)
{
	struct multisnap_snap *snap;
	unsigned long flags;
	bool idle = true;

	spin_lock_irqsave(&s->io_lock, flags);
	list_for_each_entry(snap, &s->snaps, list) {
		if (matches(snap, id) && snap->in_flight) {
			idle = false;
			break;
		}
	}
	spin_unlock_irqrestore(&s->io_lock, flags);
	return idle;
}

/* Wait for the I/O of these devices. No lock. */
void multisnap_drain(struct dm_multisnap *s, snapid_t id)
{
	wait_event(s->wait, drained(s, id));
}

/* New I/O of the devices of @id waits, until multisnap_release_held(). */
void multisnap_hold(struct dm_multisnap *s, snapid_t id)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	s->held_id = id;
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_release_held(struct dm_multisnap *s)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	s->held_id = SNAPID_ORIGIN;
	requeue_held_locked(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/* The first resume: I/O of the snapshots may start. */
void multisnap_start(struct dm_multisnap *s)
{
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	s->started = true;
	requeue_held_locked(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/*
 * Attach to the snapshot @id_text. A multisnapshot that has given up its snapshots takes any id, so
 * that what sets the devices up at boot does not stop; their I/O gives EIO.
 */
static int attach(struct multisnap_snap *snap, const char *id_text, char **error)
{
	struct dm_multisnap *s = snap->s;
	unsigned long flags;
	int r;

	multisnap_lock(s);
	*error = "The origin target is going away";
	r = -ENXIO;
	if (s->dead)
		goto out;
	*error = "Invalid snapshot id";
	r = multisnap_read_snapid(s, id_text, &snap->id);
	if (r)
		goto out;
	*error = "No such snapshot";
	r = -ENOENT;
	if (!(dm_multisnap_has_error(s) && dm_multisnap_drop_on_error(s)) &&
	    (!dm_multisnap_snapshot_exists(s, snap->id) || multisnap_being_deleted(s, snap->id)))
		goto out;
	spin_lock_irqsave(&s->io_lock, flags);
	list_add_tail(&snap->list, &s->snaps);
	spin_unlock_irqrestore(&s->io_lock, flags);
	r = 0;
out:
	multisnap_unlock(s);
	return r;
}

static int snap_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct multisnap_snap *snap;
	dev_t origin;
	int r;

	if (argc != 2) {
		ti->error = "Two arguments required: <origin dev> <snapid>";
		return -EINVAL;
	}
	origin = dm_get_dev_t(argv[0]);
	if (!origin) {
		ti->error = "Origin device not found";
		return -ENOENT;
	}

	snap = kzalloc(sizeof(*snap), GFP_KERNEL);
	if (!snap) {
		ti->error = "Cannot allocate the snapshot device";
		return -ENOMEM;
	}
	scnprintf(snap->origin_name, sizeof(snap->origin_name), "%u:%u", MAJOR(origin),
		  MINOR(origin));
	snap->id_text = kstrdup(argv[1], GFP_KERNEL);
	if (!snap->id_text) {
		ti->error = "Cannot allocate the snapshot id";
		r = -ENOMEM;
		goto bad_text;
	}
	snap->s = multisnap_find(origin);
	if (!snap->s) {
		ti->error = "No multisnapshot target is loaded on the origin device";
		r = -ENXIO;
		goto bad_find;
	}
	r = dm_set_target_max_io_len(ti, chunk_sectors(snap->s->geometry));
	if (r) {
		ti->error = "Chunk size not accepted by device-mapper";
		goto bad_attach;
	}
	r = attach(snap, argv[1], &ti->error);
	if (r)
		goto bad_attach;

	ti->error = NULL;
	ti->num_flush_bios = 1; /* no discard, no erasing, no writing of zeroes */
	ti->flush_supported = true;
	ti->accounts_remapped_io = true;
	ti->limit_swap_bios = true; /* a copy takes memory to free some */
	ti->per_io_data_size = sizeof(struct bio_track);
	ti->private = snap;
	return 0;

bad_attach:
	multisnap_put(snap->s);
bad_find:
	kfree(snap->id_text);
bad_text:
	kfree(snap);
	return r;
}

static void snap_dtr(struct dm_target *ti)
{
	struct multisnap_snap *snap = ti->private;
	struct dm_multisnap *s = snap->s;
	unsigned long flags;
	bool busy;

	multisnap_lock(s);
	spin_lock_irqsave(&s->io_lock, flags);
	busy = snap->in_flight;
	list_del(&snap->list);
	spin_unlock_irqrestore(&s->io_lock, flags);
	multisnap_unlock(s);
	/* dm has waited for its I/O. What has not ended will still look at it: then it stays. */
	if (WARN_ON_ONCE(busy))
		return;
	multisnap_put(s);
	kfree(snap->id_text);
	kfree(snap);
}

static int snap_map(struct dm_target *ti, struct bio *bio)
{
	struct multisnap_snap *snap = ti->private;
	struct dm_multisnap *s = snap->s;
	struct bio_track *bt = bio_track(bio);
	int r = DM_MAPIO_SUBMITTED;
	unsigned long flags;

	memset(bt, 0, sizeof(*bt));
	INIT_HLIST_NODE(&bt->tracked);
	bt->snap = snap;
	bio_clear_polled(bio);

	spin_lock_irqsave(&s->io_lock, flags);
	if (snap->detached || dm_multisnap_has_error(s)) {
		r = DM_MAPIO_KILL;
	} else if (!bio_sectors(bio)) {
		/* An empty flush: what was written to the snapshot is on the store device. */
		snap->in_flight++;
		r = DM_MAPIO_REMAPPED;
	} else {
		bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
		bt->chunk = sector_to_chunk(s->geometry, bio->bi_iter.bi_sector);
		if (is_held(s, snap)) {
			bio_list_add(&s->held, bio);
		} else {
			snap->in_flight++;
			multisnap_queue_bio(s, bio);
		}
	}
	spin_unlock_irqrestore(&s->io_lock, flags);
	/* It is in flight: the store device stays. */
	if (r == DM_MAPIO_REMAPPED)
		bio_set_dev(bio, s->store_dev->bdev);
	return r;
}

static int snap_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct multisnap_snap *snap = ti->private;
	struct dm_multisnap *s = snap->s;
	struct bio_track *bt = bio_track(bio);
	struct pending_exception *pe = bt->full;
	unsigned long flags;

	if (pe) {
		/* Written in place of a copy; it ends for good when its group is durable. */
		bt->full = NULL;
		multisnap_part_ended(pe, blk_status_to_errno(*error));
		return DM_ENDIO_INCOMPLETE;
	}

	spin_lock_irqsave(&s->io_lock, flags);
	if (!hlist_unhashed(&bt->tracked))
		__multisnap_untrack_read(s, bt);
	if (bt->in_epoch)
		__multisnap_epoch_leave(s, bt->epoch_slot);
	/* Inside the lock: who waits for this may free the device next. */
	if (!dm_multisnap_broken(s, !snap->in_flight) && !--snap->in_flight)
		wake_up_all(&s->wait);
	spin_unlock_irqrestore(&s->io_lock, flags);
	return DM_ENDIO_DONE;
}

static void snap_status(struct dm_target *ti, status_type_t type, unsigned int flags, char *result,
			unsigned int maxlen)
{
	struct multisnap_snap *snap = ti->private;
	unsigned int sz = 0;

	if (!maxlen)
		return;
	*result = '\0';
	switch (type) {
	case STATUSTYPE_INFO:
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %s", snap->origin_name, snap->id_text);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",origin=%s,snapid=%s;", snap->origin_name, snap->id_text);
		break;
	}
}

/* The devices below are the origin target's: they stay until this is taken back. */
static bool hold_devices(struct dm_multisnap *s)
{
	bool there;

	multisnap_lock(s);
	there = !s->dead;
	if (there)
		WRITE_ONCE(s->device_holders, s->device_holders + 1);
	multisnap_unlock(s);
	return there;
}

static void release_devices(struct dm_multisnap *s)
{
	multisnap_lock(s);
	WRITE_ONCE(s->device_holders, s->device_holders - 1);
	wake_up_all(&s->wait);
	multisnap_unlock(s);
}

/*
 * Both devices below, as far as they go: a snapshot may be longer than the origin, and dm would
 * refuse an area past a device's end (H36), or one that is not made of whole blocks of both
 * devices, as chunks are. When the origin target is gone there is nothing below.
 *
 * No lock is held over @fn, which may do I/O (persistent reservations).
 */
static int snap_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct multisnap_snap *snap = ti->private;
	struct dm_multisnap *s = snap->s;
	sector_t store_chunks;
	int r;

	if (!hold_devices(s))
		return 0;
	store_chunks = round_down(s->store_sectors, chunk_sectors(s->geometry));
	r = fn(ti, s->origin, 0, min_t(sector_t, ti->len, s->origin_sectors), data);
	if (!r)
		r = fn(ti, s->store_dev, 0, min_t(sector_t, ti->len, store_chunks), data);
	release_devices(s);
	return r;
}

struct target_type multisnap_snap_target = {
	.name = "multisnap-snap",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = snap_ctr,
	.dtr = snap_dtr,
	.map = snap_map,
	.end_io = snap_end_io,
	.status = snap_status,
	.iterate_devices = snap_iterate_devices,
};
