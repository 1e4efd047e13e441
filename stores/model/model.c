// SPDX-License-Identifier: GPL-2.0
/*
 * The store "model": plain lists in memory, to be obviously right.
 *
 * It forgets everything when it is unloaded and writes nothing but chunks. Its use is to tell
 * faults of the core from faults of a store: what fails with both is the core's, or the test's.
 *
 * A record says that for the snapshots in a mask, origin chunk c is at store chunk n. At most 64
 * snapshots at once, a bit each. Snapids are numbered as mikulas does (32.32), so that scripts and
 * traces run on both.
 */
#include "shim.h"
#include "store.h"

#define DM_MSG_PREFIX "multisnapshot model"

#define MODEL_SNAPSHOTS 64
#define MODEL_HASH_BITS 14
#define MODEL_LOW_MAX 0xffffffffULL /* the low half of a snapshot of the origin */

struct model_record {
	struct hlist_node hash; /* by chunk */
	struct list_head list; /* all */
	chunk_t chunk;
	block_t block;
	u64 mask;
};

struct model_snapshot {
	snapid_t id; /* SNAPID_ORIGIN: the slot is free */
	u64 next_sub;
};

/* A block that nothing maps any more, until nothing can reach it. */
struct model_freed {
	struct list_head list;
	block_t block;
	u64 epoch;
};

struct dm_exception_store {
	struct dm_multisnap *s;
	struct model_snapshot snapshots[MODEL_SNAPSHOTS];
	u64 next_id;
	u64 live; /* mask */
	u64 deleting; /* mask: deleted in the collecting group; alive until that is durable */
	u64 deleting_closed; /* mask: in the closed group */
	struct hlist_head records[1 << MODEL_HASH_BITS];
	struct list_head all_records;
	u64 total_blocks;
	u64 next_block; /* never used before */
	u64 allocated;
	struct list_head free; /* struct model_freed */
	struct list_head freed; /* not yet reusable */
	struct dm_multisnap_background_work reclaim;

	/* What the core asked last: add_next_remap() and make_chunk_writeable() go on from it. */
	chunk_t query_chunk;
	u64 query_mask;
	struct model_record *query_record;
};

static u64 slot_mask(struct dm_exception_store *store, snapid_t id)
{
	for (unsigned int i = 0; i < MODEL_SNAPSHOTS; i++)
		if (store->snapshots[i].id == id)
			return BIT_ULL(i);
	return 0;
}

static bool is_master(snapid_t id)
{
	return (id & MODEL_LOW_MAX) == MODEL_LOW_MAX;
}

/* ---- loading ---- */

static void model_reclaim(struct dm_exception_store *store,
			  struct dm_multisnap_background_work *bw);

static int model_init(struct dm_multisnap *s, struct dm_exception_store **result,
		      struct dm_arg_set *as, char **error)
{
	struct dm_exception_store *store = kvzalloc(sizeof(*store), GFP_KERNEL);

	if (!store) {
		*error = "Cannot allocate the model store";
		return -ENOMEM;
	}
	store->s = s;
	for (unsigned int i = 0; i < MODEL_SNAPSHOTS; i++)
		store->snapshots[i].id = SNAPID_ORIGIN;
	INIT_LIST_HEAD(&store->all_records);
	INIT_LIST_HEAD(&store->free);
	INIT_LIST_HEAD(&store->freed);
	store->reclaim.work = model_reclaim;
	store->total_blocks =
		sector_to_chunk(dm_multisnap_geometry(s), dm_multisnap_store_sectors(s));
	*result = store;
	return 0;
}

static void free_blocks(struct list_head *blocks)
{
	struct model_freed *f, *next;

	list_for_each_entry_safe(f, next, blocks, list) {
		list_del(&f->list);
		kfree(f);
	}
}

static void model_exit(struct dm_exception_store *store)
{
	struct model_record *record, *next;

	list_for_each_entry_safe(record, next, &store->all_records, list) {
		list_del(&record->list);
		kfree(record);
	}
	free_blocks(&store->free);
	free_blocks(&store->freed);
	kvfree(store);
}

static int model_format(struct dm_exception_store *store)
{
	return 0;
}

/* ---- snapids: 7 is (7, all ones), 7.0 is (7, 0) ---- */

static int model_print_snapid(struct dm_exception_store *store, char *buf, size_t size, snapid_t id)
{
	if (is_master(id))
		return scnprintf(buf, size, "%llu", (unsigned long long)(id >> 32));
	return scnprintf(buf, size, "%llu.%llu", (unsigned long long)(id >> 32),
			 (unsigned long long)(id & MODEL_LOW_MAX));
}

static int parse_half(const char *text, size_t length, u64 *value)
{
	char word[32];
	int r;

	if (length >= sizeof(word))
		return -ERANGE;
	memcpy(word, text, length);
	word[length] = '\0';
	r = dm_multisnap_parse_uint64(word, value);
	if (r)
		return r;
	if (length > 1 && word[0] == '0')
		return -EINVAL;
	return *value > MODEL_LOW_MAX ? -ERANGE : 0;
}

static int model_read_snapid(struct dm_exception_store *store, const char *text, snapid_t *id)
{
	const char *dot = strchr(text, '.');
	u64 high, low = MODEL_LOW_MAX;
	int r;

	r = parse_half(text, dot ? dot - text : strlen(text), &high);
	if (r)
		return r;
	if (dot) {
		r = parse_half(dot + 1, strlen(dot + 1), &low);
		if (r)
			return r;
		if (low == MODEL_LOW_MAX)
			return -EINVAL; /* an alias of the master */
	}
	if (high == MODEL_LOW_MAX)
		return -EINVAL; /* would be, or lead to, the reserved id */
	*id = high << 32 | low;
	return 0;
}

static snapid_t model_get_next_snapid(struct dm_exception_store *store, snapid_t from)
{
	snapid_t next = SNAPID_ORIGIN;

	for (unsigned int i = 0; i < MODEL_SNAPSHOTS; i++)
		if (store->snapshots[i].id >= from)
			next = min(next, store->snapshots[i].id);
	return next;
}

static int model_compare_snapids(const void *a, const void *b)
{
	snapid_t x = *(const snapid_t *)a, y = *(const snapid_t *)b;

	if (is_master(x) != is_master(y))
		return is_master(x) ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* ---- creating and deleting ---- */

static struct model_snapshot *find_snapshot(struct dm_exception_store *store, snapid_t id)
{
	u64 mask = slot_mask(store, id);

	return mask ? &store->snapshots[__ffs64(mask)] : NULL;
}

static bool being_deleted(struct dm_exception_store *store, snapid_t id)
{
	return slot_mask(store, id) & (store->deleting | store->deleting_closed);
}

static int model_allocate_snapid(struct dm_exception_store *store, snapid_t master, snapid_t *id)
{
	struct model_snapshot *snapshot;

	/* Here, where it is an answer; in create_snapshot() it would cost all snapshots. */
	if (!find_snapshot(store, SNAPID_ORIGIN))
		return -ENOSPC;
	if (master == SNAPID_ORIGIN) {
		if (store->next_id >= MODEL_LOW_MAX)
			return -ENOSPC;
		*id = store->next_id << 32 | MODEL_LOW_MAX;
		return 0;
	}
	snapshot = find_snapshot(store, master);
	if (!snapshot || !is_master(master))
		return -EINVAL;
	if (snapshot->next_sub >= MODEL_LOW_MAX)
		return -ENOSPC;
	*id = (master & ~MODEL_LOW_MAX) | snapshot->next_sub;
	return 0;
}

/* A snapshot of @master finds every chunk where its master does. */
static void share_with(struct dm_exception_store *store, u64 master_mask, u64 mask)
{
	struct model_record *record;

	list_for_each_entry(record, &store->all_records, list)
		if (record->mask & master_mask)
			record->mask |= mask;
}

static int model_create_snapshot(struct dm_exception_store *store, snapid_t id)
{
	struct model_snapshot *slot = find_snapshot(store, SNAPID_ORIGIN);
	struct model_snapshot *master = NULL;

	if (is_master(id)) {
		if (id >> 32 < store->next_id)
			return -EINVAL;
	} else {
		master = find_snapshot(store, id | MODEL_LOW_MAX);
		if (!master || being_deleted(store, master->id) ||
		    (id & MODEL_LOW_MAX) < master->next_sub)
			return -EINVAL;
	}
	if (!slot)
		return -ENOSPC;
	dm_multisnap_status_lock(store->s);
	slot->id = id;
	slot->next_sub = 0;
	dm_multisnap_status_unlock(store->s);
	store->live |= slot_mask(store, id);
	if (master) {
		master->next_sub = (id & MODEL_LOW_MAX) + 1;
		share_with(store, slot_mask(store, master->id), slot_mask(store, id));
	} else {
		store->next_id = (id >> 32) + 1;
	}
	return 0;
}

static int model_delete_snapshot(struct dm_exception_store *store, snapid_t id)
{
	u64 mask = slot_mask(store, id);

	if (!mask || ((store->deleting | store->deleting_closed) & mask))
		return -EINVAL;
	store->deleting |= mask;
	return 0;
}

/* ---- space ---- */

static void model_get_space(struct dm_exception_store *store, u64 *total, u64 *allocated,
			    u64 *metadata)
{
	*total = store->total_blocks;
	*allocated = store->allocated;
	*metadata = 0;
}

static void add_allocated(struct dm_exception_store *store, int n)
{
	dm_multisnap_status_lock(store->s);
	store->allocated += n;
	dm_multisnap_status_unlock(store->s);
}

static void model_reclaim(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	struct model_freed *f, *next;
	u64 wanted = 0;

	list_for_each_entry_safe(f, next, &store->freed, list) {
		if (dm_multisnap_epoch(store->s) >= f->epoch) {
			list_move_tail(&f->list, &store->free);
			add_allocated(store, -1);
		} else {
			wanted = max(wanted, f->epoch);
		}
	}
	if (wanted)
		dm_multisnap_want_epoch(store->s, wanted);
}

/* 0, -EAGAIN while something freed is on its way, -ENOSPC. */
static int allocate_block(struct dm_exception_store *store, block_t *block)
{
	model_reclaim(store, &store->reclaim);
	if (!list_empty(&store->free)) {
		struct model_freed *f = list_first_entry(&store->free, struct model_freed, list);

		*block = f->block;
		list_del(&f->list);
		kfree(f);
	} else if (store->next_block < store->total_blocks) {
		*block = store->next_block++;
	} else {
		return list_empty(&store->freed) ? -ENOSPC : -EAGAIN;
	}
	add_allocated(store, 1);
	return 0;
}

static void free_block(struct dm_exception_store *store, block_t block)
{
	struct model_freed *f = kmalloc(sizeof(*f), GFP_NOWAIT | __GFP_NOWARN);

	if (!f) {
		dm_multisnap_set_error(store->s, -ENOMEM);
		return;
	}
	f->block = block;
	f->epoch = dm_multisnap_epoch(store->s) + 2;
	list_add_tail(&f->list, &store->freed);
	dm_multisnap_queue_work(store->s, &store->reclaim);
}

/* ---- chunks ---- */

static struct hlist_head *bucket(struct dm_exception_store *store, chunk_t chunk)
{
	return &store->records[hash_64(chunk, MODEL_HASH_BITS)];
}

static int add_record(struct dm_exception_store *store, u64 mask, struct chunk_remap *remap)
{
	struct model_record *record = kmalloc(sizeof(*record), GFP_NOWAIT | __GFP_NOWARN);
	int r;

	if (!record)
		return -ENOMEM;
	r = allocate_block(store, &record->block);
	if (r) {
		kfree(record);
		return r;
	}
	record->chunk = store->query_chunk;
	record->mask = mask;
	hlist_add_head(&record->hash, bucket(store, record->chunk));
	list_add_tail(&record->list, &store->all_records);
	remap->cd.bitmask = mask;
	remap->block = record->block;
	return 0;
}

static int model_find_snapshot_chunk(struct dm_exception_store *store, snapid_t id, chunk_t chunk,
				     bool write, block_t *block)
{
	u64 mask = slot_mask(store, id);
	struct model_record *record;

	if (!mask)
		return -EINVAL;
	store->query_chunk = chunk;
	store->query_mask = mask;
	hlist_for_each_entry(record, bucket(store, chunk), hash) {
		if (record->chunk != chunk || !(record->mask & mask))
			continue;
		store->query_record = record;
		*block = record->block;
		return record->mask == mask ? CHUNK_PRIVATE : CHUNK_SHARED;
	}
	return CHUNK_NOT_REMAPPED;
}

static void model_reset_query(struct dm_exception_store *store)
{
}

static int model_query_next_remap(struct dm_exception_store *store, chunk_t chunk)
{
	struct model_record *record;
	u64 mask = store->live;

	hlist_for_each_entry(record, bucket(store, chunk), hash)
		if (record->chunk == chunk)
			mask &= ~record->mask;
	store->query_chunk = chunk;
	store->query_mask = mask;
	return mask ? 1 : 0;
}

static int model_add_next_remap(struct dm_exception_store *store, struct chunk_remap *remap)
{
	return add_record(store, store->query_mask, remap);
}

static int model_make_chunk_writeable(struct dm_exception_store *store,
				      struct chunk_remap remap[MAKE_WRITEABLE_MAX])
{
	int r = add_record(store, store->query_mask, &remap[0]);

	if (r)
		return r;
	store->query_record->mask &= ~store->query_mask;
	return 1;
}

static bool model_check_conflict(struct dm_exception_store *store, const union chunk_descriptor *cd,
				 snapid_t id)
{
	return cd->bitmask & slot_mask(store, id);
}

/* ---- groups ---- */

static void model_close_group(struct dm_exception_store *store)
{
	store->deleting_closed = store->deleting;
	store->deleting = 0;
}

/* The deletions are durable: the snapshots, and the records that only they had, are gone. */
static void model_commit(struct dm_exception_store *store)
{
	struct model_record *record, *next;
	u64 gone = store->deleting_closed;

	store->deleting_closed = 0;
	if (gone) {
		store->live &= ~gone;
		dm_multisnap_status_lock(store->s);
		for (unsigned int i = 0; i < MODEL_SNAPSHOTS; i++)
			if (gone & BIT_ULL(i))
				store->snapshots[i].id = SNAPID_ORIGIN;
		dm_multisnap_status_unlock(store->s);
		list_for_each_entry_safe(record, next, &store->all_records, list) {
			record->mask &= ~gone;
			if (record->mask)
				continue;
			free_block(store, record->block);
			hlist_del(&record->hash);
			list_del(&record->list);
			kfree(record);
		}
	}
	dm_multisnap_commit_done(store->s, 0);
}

/* An epoch that reclaim waited for may have been reached. The list is in the order of epochs. */
static void model_lock_acquired(struct dm_exception_store *store)
{
	struct model_freed *f = list_first_entry_or_null(&store->freed, struct model_freed, list);

	if (f && dm_multisnap_epoch(store->s) >= f->epoch)
		dm_multisnap_queue_work(store->s, &store->reclaim);
}

static bool model_busy(struct dm_exception_store *store)
{
	return !list_empty(&store->freed);
}

static struct multisnap_store_ops model_ops = {
	.name = "model",
	.module = THIS_MODULE,
	.init_exception_store = model_init,
	.exit_exception_store = model_exit,
	.format = model_format,
	.store_lock_acquired = model_lock_acquired,
	.print_snapid = model_print_snapid,
	.read_snapid = model_read_snapid,
	.get_space = model_get_space,
	.allocate_snapid = model_allocate_snapid,
	.create_snapshot = model_create_snapshot,
	.delete_snapshot = model_delete_snapshot,
	.get_next_snapid = model_get_next_snapid,
	.compare_snapids_for_create = model_compare_snapids,
	.find_snapshot_chunk = model_find_snapshot_chunk,
	.reset_query = model_reset_query,
	.query_next_remap = model_query_next_remap,
	.add_next_remap = model_add_next_remap,
	.make_chunk_writeable = model_make_chunk_writeable,
	.check_conflict = model_check_conflict,
	.close_group = model_close_group,
	.commit = model_commit,
	.busy = model_busy,
};

static int __init model_module_init(void)
{
	return dm_multisnap_register_store(&model_ops);
}

static void __exit model_module_exit(void)
{
	dm_multisnap_unregister_store(&model_ops);
}

module_init(model_module_init);
module_exit(model_module_exit);

MODULE_DESCRIPTION("multisnapshot store in memory, for tests");
MODULE_AUTHOR("The multisnap authors");
MODULE_LICENSE("GPL");
