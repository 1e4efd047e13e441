// SPDX-License-Identifier: GPL-2.0
/*
 * Store type "mikulas": any number of snapshots, snapshots of snapshots, crash-consistent,
 * log-structured.
 *
 * This file is the frame: arguments, load and release, status, registration. FORMAT.md has the
 * layout, mikulas.h the state and who does what.
 *
 * Memory. cache-limit bounds the changes that are not in the tree yet (at most max_changes of the
 * superblock and two groups, 72 bytes each) and the cached metadata blocks together; the smallest
 * limit that is accepted holds a full log and CACHE_BLOCKS_MIN blocks. Apart from it: 64 bytes a
 * snapshot, and some hundred kilobytes of buffers.
 */
#include "mikulas.h"

#define CACHE_LIMIT_DEFAULT (64ULL << 20)
#define CHANGE_COST (sizeof(struct change) + sizeof(u64)) /* and its place in the space list */
#define GROUP_CHANGES_MAX 32768u

int store_fail(struct dm_exception_store *store, int error, const char *what, u64 where)
{
	if (store->dead)
		return store->dead;
	DMERR("%s: %s %llu: error %d", dm_multisnap_name(store->dm), what,
	      (unsigned long long)where, error);
	store->dead = error;
	/* While loading, the constructor refuses the store instead. */
	if (!store->cache.sync)
		dm_multisnap_set_error(store->dm, error);
	return error;
}

/* ---- arguments ---- */

static int parse_one(struct dm_exception_store *store, struct dm_arg_set *as, char **error)
{
	const char *word;
	bool *have;
	u64 *value;
	int r;

	r = dm_multisnap_get_string(as, &word, "Missing store argument", error);
	if (r)
		return r;
	*error = "Unknown or repeated store argument";
	if (!strcasecmp(word, "cache-threshold")) {
		have = &store->have_threshold;
		value = &store->threshold_sectors;
	} else if (!strcasecmp(word, "cache-limit")) {
		have = &store->have_limit;
		value = &store->limit_sectors;
	} else {
		return -EINVAL;
	}
	if (*have)
		return -EINVAL;
	r = dm_multisnap_get_uint64(as, value, "Invalid number of sectors in a store argument",
				    error);
	if (r)
		return r;
	if (*value > U64_MAX >> SECTOR_SHIFT) {
		*error = "Number of sectors too large in a store argument";
		return -ERANGE;
	}
	*have = true;
	return 0;
}

static int parse_arguments(struct dm_exception_store *store, struct dm_arg_set *as, char **error)
{
	int r = 0;

	while (as->argc && !r)
		r = parse_one(store, as, error);
	return r;
}

/* How memory is divided. Needs the superblock. */
static int divide_memory(struct dm_exception_store *store, unsigned int *cache_blocks, char **error)
{
	u64 limit = store->have_limit ? sectors_to_bytes(store->limit_sectors) :
					CACHE_LIMIT_DEFAULT;
	u64 max_changes = store->super.max_changes, changes, least, blocks, wanted;

	store->group_changes_max = min_t(u64, max_changes / 4, GROUP_CHANGES_MAX);
	changes = (max_changes + 2 * store->group_changes_max) * CHANGE_COST;
	least = changes + CACHE_BLOCKS_MIN * CACHE_BLOCK_COST;
	if (!store->have_limit)
		limit = max(limit, least);
	if (limit < least) {
		DMERR("%s: cache-limit must be at least %llu sectors for the log of this store",
		      dm_multisnap_name(store->dm),
		      (unsigned long long)bytes_to_sectors(least + SECTOR_SIZE - 1));
		*error = "cache-limit is smaller than a full log";
		return -EINVAL;
	}
	blocks = div_u64(limit - changes, CACHE_BLOCK_COST);
	*cache_blocks = min_t(u64, blocks, INT_MAX);

	/* By default three quarters: the rest of the log serves while the checkpoint is made. */
	wanted = max_changes - max_changes / 4;
	if (store->have_threshold)
		wanted = min(wanted, div_u64(sectors_to_bytes(store->threshold_sectors),
					     sizeof(struct change)));
	store->threshold_changes = max(wanted, 1ULL);
	return 0;
}

static int mikulas_status_table(struct dm_exception_store *store, char *buf, size_t size)
{
	unsigned long long threshold = store->threshold_sectors, limit = store->limit_sectors;

	if (store->have_threshold && store->have_limit)
		return snprintf(buf, size, "4 cache-threshold %llu cache-limit %llu", threshold,
				limit);
	if (store->have_threshold)
		return snprintf(buf, size, "2 cache-threshold %llu", threshold);
	if (store->have_limit)
		return snprintf(buf, size, "2 cache-limit %llu", limit);
	return snprintf(buf, size, "0");
}

/*
 * What is in use. The free part of the metadata area is the reserve that exceptions cannot have: it
 * counts as free, so that a full store shows a little less than everything allocated.
 */
static void mikulas_get_space(struct dm_exception_store *store, u64 *total, u64 *allocated,
			      u64 *metadata)
{
	unsigned int shift = store->super.chunk_shift - MBLOCK_SECTOR_SHIFT;
	/* In a store that is marked invalid the count may be anything. */
	u64 tree = min(store->super.tree_blocks, store->super.meta_blocks);
	u64 blocks = store->super.meta_start + tree;

	*total = store->super.data_start + store->super.data_chunks;
	*metadata = (blocks + (1ULL << shift) - 1) >> shift;
	*allocated = *metadata + store->open.nr_exceptions;
}

/* ---- load ---- */

static int allocate_buffers(struct dm_exception_store *store)
{
	size_t record = store->super.record_sectors * SECTOR_SIZE;

	store->open_record.data = kmalloc(record, GFP_KERNEL);
	store->closed_record.data = kmalloc(record, GFP_KERNEL);
	store->space_size = 1;
	while (store->space_size < store->super.max_changes + 2 * store->group_changes_max)
		store->space_size *= 2;
	store->space_list = kvmalloc_array(store->space_size, sizeof(u64), GFP_KERNEL);
	if (!store->open_record.data || !store->closed_record.data || !store->space_list)
		return -ENOMEM;
	record_reset(&store->open_record);
	record_reset(&store->closed_record);
	return 0;
}

static void state_from_super(struct dm_exception_store *store)
{
	const struct super *super = &store->super;
	struct group_state *state = &store->durable;
	struct map_shape data;

	state->alloc_pos = super->alloc_pos;
	state->next_first = super->next_first;
	/* Snapshots and exceptions of a store that is marked invalid are nobody's. */
	state->nr_snapshots = super->error ? 0 : super->nr_snapshots;
	state->nr_exceptions = super->error ? 0 : super->nr_exceptions;
	state->reclaim = super->error ? 0 : super->reclaim;
	state->cursor_chunk = super->cursor_chunk;
	state->cursor_from = super->cursor_from;
	store->reclaim_chunk = super->cursor_chunk;
	store->reclaim_from = super->cursor_from;
	store->log.first = mblock_to_sector(super->log_start);
	store->log.sectors = mblock_to_sector(super->log_blocks);
	store->log.seq = super->log_seq;
	store->log.crc = super->log_crc;
	store->log.next = super->log_next;
	map_shape_init(&data, super->data_chunks);
	space_init(&store->data, 0, super->map_start, super->data_chunks);
	space_init(&store->meta, 1, super->map_start + data.total, super->meta_blocks);
	store->data.committed = super->data_map;
	store->meta.committed = super->meta_map;
}

static int load_content(struct dm_exception_store *store, char **error)
{
	int r;

	if (store->unformatted)
		return 0;
	if (store->super.error) {
		store->invalid = true;
		store->dead = -(int)store->super.error;
		dm_multisnap_set_error(store->dm, store->dead);
		return 0;
	}
	*error = "Damaged metadata of the store";
	r = snapshots_load(store);
	if (!r)
		r = log_load(store, error);
	return r;
}

static void mikulas_exit(struct dm_exception_store *store)
{
	merge_exit(store);
	changes_exit(store);
	snapshots_exit(store);
	cache_exit(store);
	kvfree(store->space_list);
	kfree(store->open_record.data);
	kfree(store->closed_record.data);
	kfree(store->super_buffer);
	kfree(store);
}

static int load(struct dm_exception_store *store, struct dm_arg_set *as, char **error)
{
	unsigned int cache_blocks;
	int r;

	r = parse_arguments(store, as, error);
	if (!r)
		r = super_load(store, error);
	if (!r)
		r = divide_memory(store, &cache_blocks, error);
	if (r)
		return r;
	*error = "Cannot allocate the store";
	state_from_super(store);
	r = cache_init(store, cache_blocks);
	if (!r)
		r = allocate_buffers(store);
	if (!r)
		r = merge_init(store);
	/* The spares, while allocations may wait. */
	if (!r)
		r = spares_reserve(store, &store->spare_changes, SPARES_MAX);
	if (!r)
		r = spares_reserve(store, &store->spare_snapshots, SPARES_MAX);
	if (!r)
		r = load_content(store, error);
	if (r)
		return r;
	store->cache.sync = false;
	store->open = store->durable;
	store->closed = store->durable;
	return 0;
}

static int mikulas_init(struct dm_multisnap *dm, struct dm_exception_store **result,
			struct dm_arg_set *as, char **error)
{
	struct dm_exception_store *store;
	int r;

	store = kzalloc(sizeof(*store), GFP_KERNEL);
	if (!store) {
		*error = "Cannot allocate the store";
		return -ENOMEM;
	}
	store->dm = dm;
	store->cache.sync = true;
	INIT_LIST_HEAD(&store->deleted_open);
	INIT_LIST_HEAD(&store->deleted_closed);
	changes_init(store);
	snapshots_init(store);
	checkpoint_init(store);
	reclaim_init(store);
	r = load(store, as, error);
	if (r) {
		mikulas_exit(store);
		return r;
	}
	*result = store;
	return 0;
}

static int mikulas_format(struct dm_exception_store *store)
{
	int r = 0;

	if (store->invalid || store->mounted)
		return 0;
	if (store->unformatted)
		r = super_format(store);
	if (!r)
		r = super_mount(store);
	if (r)
		return r;
	store->mounted = true;
	return 0;
}

/*
 * The first time the lock is taken after a load, and when groups are not held any more: go on with
 * what was under way.
 */
static void mikulas_lock_acquired(struct dm_exception_store *store)
{
	if (store->mounted && !store->resumed && !dm_multisnap_groups_held(store->dm)) {
		store->resumed = true;
		reclaim_kick(store);
		checkpoint_poll(store, false);
	}
}

static int mikulas_fetch_memory(struct dm_exception_store *store)
{
	int r = spares_fetch(store, &store->spare_changes);

	return r ? r : spares_fetch(store, &store->spare_snapshots);
}

static bool mikulas_busy(struct dm_exception_store *store)
{
	if (store->dead || store->invalid)
		return false;
	return store->open.reclaim || store->ckpt.phase != CKPT_IDLE || store->ckpt.wanted ||
	       store->open_record.ops || store->have_closed;
}

static struct multisnap_store_ops mikulas_ops = {
	.name = "mikulas",
	.module = THIS_MODULE,
	.init_exception_store = mikulas_init,
	.exit_exception_store = mikulas_exit,
	.format = mikulas_format,
	.store_lock_acquired = mikulas_lock_acquired,
	.print_snapid = mikulas_print_snapid,
	.read_snapid = mikulas_read_snapid,
	.status_table = mikulas_status_table,
	.get_space = mikulas_get_space,
	.allocate_snapid = mikulas_allocate_snapid,
	.create_snapshot = mikulas_create_snapshot,
	.delete_snapshot = mikulas_delete_snapshot,
	.get_next_snapid = mikulas_get_next_snapid,
	.compare_snapids_for_create = mikulas_compare_snapids,
	.find_snapshot_chunk = mikulas_find,
	.reset_query = mikulas_reset_query,
	.query_next_remap = mikulas_query_next_remap,
	.add_next_remap = mikulas_add_next_remap,
	.make_chunk_writeable = mikulas_make_chunk_writeable,
	.check_conflict = mikulas_check_conflict,
	.close_group = mikulas_close_group,
	.commit = mikulas_commit,
	.invalidate = super_invalidate,
	.busy = mikulas_busy,
	.fetch_memory = mikulas_fetch_memory,
};

static int __init mikulas_module_init(void)
{
	int r = changes_module_init();

	if (r)
		return r;
	r = snapshots_module_init();
	if (r)
		goto bad_snapshots;
	r = dm_multisnap_register_store(&mikulas_ops);
	if (r)
		goto bad_register;
	return 0;

bad_register:
	snapshots_module_exit();
bad_snapshots:
	changes_module_exit();
	return r;
}

static void __exit mikulas_module_exit(void)
{
	dm_multisnap_unregister_store(&mikulas_ops);
	snapshots_module_exit();
	changes_module_exit();
}

module_init(mikulas_module_init);
module_exit(mikulas_module_exit);

MODULE_DESCRIPTION("Log-structured exception store for dm-multisnapshot");
MODULE_AUTHOR("The multisnap authors");
MODULE_LICENSE("GPL");
