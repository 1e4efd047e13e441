// SPDX-License-Identifier: GPL-2.0
/*
 * The constructor of the target multisnapshot, and what undoes it.
 *
 * Everything is parsed, opened and validated, and nothing is written. Each failure names the
 * argument that is wrong and releases what had been taken (H14).
 */
#include "multisnap.h"

static unsigned int pending_limit = MULTISNAP_PENDING_DEFAULT;
module_param(pending_limit, uint, 0644);
MODULE_PARM_DESC(pending_limit, "Copies in flight or waiting for their commit, for one origin");

static struct dm_multisnap *alloc_multisnap(struct dm_target *ti)
{
	struct dm_multisnap *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	kref_init(&s->ref);
	INIT_LIST_HEAD(&s->list);
	s->ti = ti;
	mutex_init(&s->lock);
	mutex_init(&s->status_lock);
	spin_lock_init(&s->io_lock);
	init_waitqueue_head(&s->wait);
	INIT_WORK(&s->work, multisnap_work);
	atomic_set(&s->error, 0);
	multisnap_init_groups(s);
	bio_list_init(&s->again);
	bio_list_init(&s->tracked_wait);
	bio_list_init(&s->giveup_wait);
	bio_list_init(&s->held);
	bio_list_init(&s->queue);
	multisnap_init_actions(&s->actions);
	INIT_LIST_HEAD(&s->background);
	INIT_LIST_HEAD(&s->deleting);
	INIT_LIST_HEAD(&s->snaps);
	INIT_LIST_HEAD(&s->done_ios);
	INIT_LIST_HEAD(&s->done_copies);
	INIT_LIST_HEAD(&s->failed_zeroes);
	s->prepared = SNAPID_ORIGIN;
	s->prepared_master = SNAPID_ORIGIN;
	s->held_id = SNAPID_ORIGIN;
	s->pending_limit = clamp(READ_ONCE(pending_limit), 1U, (unsigned int)MULTISNAP_PENDING_MAX);
	return s;
}

/* Workers, pools, clients. What has been made is undone by free_machinery(), in any state. */
static int alloc_machinery(struct dm_multisnap *s, char **error)
{
	unsigned int reserve;
	int r;

	*error = "Cannot allocate memory for the multisnapshot";
	s->copied = kvcalloc(MULTISNAP_COPIED_REGIONS, sizeof(*s->copied), GFP_KERNEL);
	if (!s->copied)
		return -ENOMEM;
	reserve = min_t(unsigned int, s->pending_limit, MULTISNAP_PENDING_RESERVE);
	s->pending_pool = multisnap_pending_pool(reserve);
	if (!s->pending_pool)
		return -ENOMEM;

	*error = "Cannot create the kcopyd client";
	s->kcopyd = dm_kcopyd_client_create(NULL);
	if (IS_ERR(s->kcopyd)) {
		r = PTR_ERR(s->kcopyd);
		s->kcopyd = NULL;
		return r;
	}
	*error = "Cannot create the dm-io client";
	s->io_client = dm_io_client_create();
	if (IS_ERR(s->io_client)) {
		r = PTR_ERR(s->io_client);
		s->io_client = NULL;
		return r;
	}
	*error = "Cannot create the workqueue";
	s->wq = alloc_ordered_workqueue("kmultisnapd", WQ_MEM_RECLAIM);
	if (!s->wq)
		return -ENOMEM;
	*error = NULL;
	return 0;
}

static void free_machinery(struct dm_multisnap *s)
{
	if (s->wq)
		destroy_workqueue(s->wq);
	if (s->io_client)
		dm_io_client_destroy(s->io_client);
	if (s->kcopyd)
		dm_kcopyd_client_destroy(s->kcopyd);
	mempool_destroy(s->pending_pool);
	kvfree(s->copied);
	kvfree(s->sync_ids);
}

static int get_devices(struct dm_multisnap *s, struct dm_arg_set *as, char **error)
{
	struct dm_target *ti = s->ti;
	const char *path;
	int r;

	r = dm_multisnap_get_string(as, &path, "Origin device missing", error);
	if (r)
		return r;
	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &s->origin);
	if (r) {
		s->origin = NULL;
		*error = "Cannot open the origin device";
		return r;
	}
	r = dm_multisnap_get_string(as, &path, "Store device missing", error);
	if (r)
		return r;
	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &s->store_dev);
	if (r) {
		s->store_dev = NULL;
		*error = "Cannot open the store device";
		return r;
	}
	/* The block layer would let dm's writes through, with a line in the log. */
	if (bdev_read_only(s->store_dev->bdev)) {
		*error = "The store device is read-only";
		return -EACCES;
	}
	if (s->origin->bdev->bd_dev == s->store_dev->bdev->bd_dev) {
		*error = "The origin and the store are the same device";
		return -EINVAL;
	}
	s->origin_sectors = bdev_nr_sectors(s->origin->bdev);
	s->store_sectors = bdev_nr_sectors(s->store_dev->bdev);
	scnprintf(s->name, sizeof(s->name), "%u:%u", MAJOR(s->origin->bdev->bd_dev),
		  MINOR(s->origin->bdev->bd_dev));
	if (ti->len > s->origin_sectors) {
		*error = "The target is longer than the origin device";
		return -EINVAL;
	}
	return 0;
}

static int set_geometry(struct dm_multisnap *s, char **error)
{
	u64 bytes = sectors_to_bytes(s->args.chunk_sectors);

	if (bytes < bdev_logical_block_size(s->origin->bdev) ||
	    bytes < bdev_logical_block_size(s->store_dev->bdev)) {
		*error = "Chunk size smaller than a logical block of the devices";
		return -EINVAL;
	}
	/* The last chunk is copied as far as the origin goes, to whole blocks of the store. */
	if (sectors_to_bytes(s->origin_sectors) &
	    (bdev_logical_block_size(s->store_dev->bdev) - 1)) {
		*error = "The origin is not a multiple of the store's logical block";
		return -EINVAL;
	}
	s->geometry.shift = ilog2(s->args.chunk_sectors);
	return 0;
}

static int parse_sync_ids(struct dm_multisnap *s, struct dm_arg_set *as, char **error)
{
	unsigned int n;
	int r = dm_multisnap_get_argcount(as, &n, "Invalid number of snapids", error);

	if (r)
		return r;
	/* Not more than there are words: dm_multisnap_get_argcount() has seen to it (H13). */
	s->sync_ids = kvmalloc_array(n + 1, sizeof(*s->sync_ids), GFP_KERNEL);
	if (!s->sync_ids) {
		*error = "Cannot allocate the list of snapids";
		return -ENOMEM;
	}
	for (s->nr_sync_ids = 0; s->nr_sync_ids < n; s->nr_sync_ids++) {
		r = multisnap_read_snapid(s, dm_shift_arg(as), &s->sync_ids[s->nr_sync_ids]);
		if (r) {
			*error = "Invalid snapid in the list";
			return r;
		}
	}
	sort(s->sync_ids, n, sizeof(*s->sync_ids), multisnap_compare_snapids, NULL);
	for (unsigned int i = 1; i < n; i++) {
		if (s->sync_ids[i] == s->sync_ids[i - 1]) {
			*error = "A snapid is listed twice";
			return -EINVAL;
		}
	}
	return 0;
}

/* "<store type> <#store args> <store args>", then what follows it. The store is loaded last. */
static int parse_store(struct dm_multisnap *s, struct dm_arg_set *as, char **error)
{
	struct dm_exception_store *store;
	struct dm_arg_set store_args;
	const char *type;
	unsigned int n;
	int r;

	r = dm_multisnap_get_string(as, &type, "Store type missing", error);
	if (r)
		return r;
	r = dm_multisnap_get_argcount(as, &n, "Invalid number of store arguments", error);
	if (r)
		return r;
	store_args.argc = n;
	store_args.argv = as->argv;
	dm_consume_args(as, n);
	if (!s->args.sync_snapshots && as->argc) {
		*error = "Too many arguments";
		return -EINVAL;
	}

	s->ops = multisnap_get_store(type);
	if (!s->ops) {
		*error = "Unknown exception store type";
		return -ENOENT;
	}
	*error = "Cannot load the exception store";
	r = s->ops->init_exception_store(s, &store, &store_args, error);
	if (r)
		return r;
	/* An error that the store has recorded may have started the worker by now. */
	mutex_lock(&s->lock);
	s->store = store;
	mutex_unlock(&s->lock);
	if (store_args.argc) {
		*error = "Too many store arguments";
		return -EINVAL;
	}
	if (s->args.sync_snapshots) {
		r = parse_sync_ids(s, as, error);
		if (r)
			return r;
		if (as->argc) {
			*error = "Too many arguments";
			return -EINVAL;
		}
	}
	*error = NULL;
	return 0;
}

/*
 * A store that was marked invalid is loaded as such; or refused, where the snapshots must be
 * preserved.
 */
static int check_loaded_error(struct dm_multisnap *s, char **error)
{
	if (!dm_multisnap_has_error(s))
		return 0;
	if (s->args.preserve_on_error) {
		*error = "The store is marked invalid";
		return dm_multisnap_has_error(s);
	}
	multisnap_lock(s);
	multisnap_pass_through(s);
	multisnap_unlock(s);
	return 0;
}

void multisnap_release(struct dm_multisnap *s)
{
	const struct multisnap_store_ops *ops = s->ops;
	struct dm_exception_store *store;
	struct dm_target *ti = s->ti;

	/*
	 * Snapshot devices go on to take the master lock; there is no store behind it from now
	 * on.
	 */
	mutex_lock(&s->lock);
	s->dead = true;
	store = s->store;
	s->store = NULL;
	s->ops = NULL;
	mutex_unlock(&s->lock);
	wait_event(s->wait, !READ_ONCE(s->device_holders));
	if (s->wq)
		flush_workqueue(s->wq);
	if (store)
		ops->exit_exception_store(store);
	if (ops)
		multisnap_put_store(ops);
	free_machinery(s);
	if (!list_empty(&s->list))
		multisnap_unregister(s);
	if (s->store_dev)
		dm_put_device(ti, s->store_dev);
	if (s->origin)
		dm_put_device(ti, s->origin);
	multisnap_put(s);
}

int multisnap_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	struct dm_multisnap *s;
	int r;

	s = alloc_multisnap(ti);
	if (!s) {
		ti->error = "Cannot allocate the multisnapshot";
		return -ENOMEM;
	}
	r = get_devices(s, &as, &ti->error);
	if (r)
		goto bad;
	r = multisnap_parse_chunk_size(&s->args, &as, &ti->error);
	if (r)
		goto bad;
	r = multisnap_parse_generic(&s->args, &as, &ti->error);
	if (r)
		goto bad;
	r = set_geometry(s, &ti->error);
	if (r)
		goto bad;
	r = multisnap_register(s);
	if (r) {
		ti->error = "A device is in use by another multisnapshot";
		goto bad;
	}
	r = alloc_machinery(s, &ti->error);
	if (r)
		goto bad;
	r = parse_store(s, &as, &ti->error);
	if (r)
		goto bad;
	r = check_loaded_error(s, &ti->error);
	if (r)
		goto bad;

	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->num_secure_erase_bios = 0; /* would bypass copying (H37) */
	ti->accounts_remapped_io = true;
	ti->limit_swap_bios = true; /* a copy takes memory to free some */
	ti->per_io_data_size = sizeof(struct bio_track);
	ti->private = s;
	multisnap_lock(s);
	s->loaded = true;
	multisnap_refresh_unshared(s);
	multisnap_unlock(s);
	multisnap_set_ready(s, true);
	return 0;

bad:
	multisnap_release(s);
	return r;
}
