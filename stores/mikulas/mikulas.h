/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The store's own state and the interfaces between its files.
 *
 * Everything is protected by the master lock, and what the status operations read (live snapshots,
 * group state "open") is changed under the status lock as well. Nothing here waits: what would have
 * to returns -EAGAIN before it has changed anything, after having started what it waits for.
 *
 * Layers. A change is first in the layer of the collecting group (LAYER_OPEN), then of the closed
 * one, then LAYER_DURABLE, then, while a checkpoint merges it into the tree, LAYER_FROZEN. A lookup
 * asks them in this order, then the tree of the last durable checkpoint.
 */
#ifndef MIKULAS_H
#define MIKULAS_H

#include "format.h"
#include "store.h"

#define DM_MSG_PREFIX "multisnapshot mikulas"

struct dm_exception_store;

/* ---- changes.c ---- */

enum layer {
	LAYER_OPEN,
	LAYER_CLOSED,
	LAYER_DURABLE,
	LAYER_FROZEN,
	LAYERS,
};

#define BLOCK_NONE U64_MAX /* of a change: there is no entry */

/*
 * What an entry of the tree is to become. @old is the value that the layers below and the tree have
 * for this key: the merge proves it, so that a log that contradicts the tree is found out.
 */
struct change {
	struct rb_node node;
	u64 chunk;
	u64 from;
	u64 to;
	u64 block; /* BLOCK_NONE: the entry goes away */
	u64 old; /* BLOCK_NONE: there was none */
};

static_assert(sizeof(struct change) <= 64);

/* Snapshots have a tree of their own, so that their number does not slow down the rest. */
struct layer_tree {
	struct rb_root exceptions;
	struct rb_root snapshots;
	u64 count;
};

/* ---- groups ---- */

/* What a checkpoint of everything up to a group would record. */
struct group_state {
	block_t alloc_pos;
	u64 swept; /* positions that the allocation has passed since the durable checkpoint */
	u64 allocated; /* ADDs since then */
	u64 space_end; /* end of the group's part of the space list */
	u64 next_first;
	u64 nr_snapshots;
	u64 nr_exceptions;
	u32 reclaim;
	u64 cursor_chunk;
	u64 cursor_from;
};

/* A log record under construction. */
struct record {
	u8 *data; /* sectors, the stamps left out until commit */
	unsigned int bytes; /* of payload */
	unsigned int ops;
	unsigned int changes;
	bool have_add;
	u64 add_chunk;
	u64 add_from;
	u64 add_to;
};

/* ---- cache.c ---- */

enum cblock_state {
	CBLOCK_CLEAN,
	CBLOCK_DIRTY, /* must be written before the checkpoint's superblock */
	CBLOCK_READING,
	CBLOCK_WRITING,
	CBLOCK_BAD, /* read failed or damaged: @error */
};

struct cblock {
	struct hlist_node hash;
	struct list_head lru; /* or free list */
	mblock_t location;
	void *data;
	u8 state; /* enum cblock_state */
	bool verified; /* a map block: agrees with its parent */
	bool fresh; /* read for somebody who has not come back for it yet */
	unsigned int pins;
	int error;
	u64 used; /* tick of last use */
	struct dm_exception_store *store;
	struct dm_multisnap_io io;
};

#define CACHE_HASH_BITS 10
#define CACHE_RESERVE 24u /* blocks that are there even when memory is short */
#define CACHE_BLOCKS_MIN 64u /* 16 waiters of the core, a path each, and a checkpoint */
#define CACHE_BLOCK_COST (MBLOCK_BYTES + (unsigned int)sizeof(struct cblock))
#define CACHE_FRESH_TICKS 4096u

struct cache {
	struct hlist_head hash[1 << CACHE_HASH_BITS];
	struct list_head lru; /* oldest first */
	struct list_head spare;
	unsigned int nr_blocks;
	unsigned int max_blocks;
	unsigned int nr_reading;
	unsigned int nr_writing;
	unsigned int nr_dirty;
	u64 tick;
	bool sync; /* while loading: read at once */
};

/* ---- btree.c ---- */

struct tree_place {
	bool have_le;
	struct entry le; /* the last entry with key <= the one asked for */
	bool have_gt;
	u64 gt_chunk; /* the first key above it */
	u64 gt_from;
};

/* ---- map.c ---- */

struct space {
	struct map_shape shape;
	mblock_t start;
	u8 id; /* 0 data, 1 metadata */
	struct map_entry committed; /* of the durable checkpoint */
	struct map_entry working; /* of the one that is being made */
};

/* ---- merge.c ---- */

#define WRITER_ENTRIES (3 * NODE_ENTRIES_MAX + NODE_ENTRIES_MAX / 2)
#define WRITER_DRAIN (2 * NODE_ENTRIES_MAX) /* from so many on there are two nodes in it */

/* Entries of one level on their way into new nodes. */
struct writer {
	struct entry *entries;
	unsigned int count;
};

/* An old node being taken apart. */
struct old_node {
	struct node_disk *data;
	struct node_layout layout;
	mblock_t location;
	unsigned int next;
	u64 end_chunk; /* first key behind it */
	u64 end_from;
};

#define MERGE_FREED_MAX 16u

struct merge {
	struct writer writers[TREE_DEPTH_MAX + 1];
	struct old_node old[TREE_DEPTH_MAX];
	unsigned int nr_writers; /* allocated */
	unsigned int depth; /* of the old tree */
	unsigned int level; /* of the old node at hand */
	bool ended; /* the old tree has been consumed */
	bool all; /* rewrite everything */
	bool opening; /* old[level] is to be read */
	struct entry child; /* the node to be read */
	bool have_new; /* a block taken for the next new node */
	mblock_t new_block;
	struct change *next; /* change not yet merged */
	struct entry last; /* last entry put out at level 0, for order */
	bool have_last;
	mblock_t freed[MERGE_FREED_MAX];
	unsigned int nr_freed;
	u64 meta_next; /* where to look for a free metadata block */
	u64 meta_left; /* how far it may still look in this checkpoint */
	mblock_t root; /* result */
	u64 root_seq;
	unsigned int root_depth;
	u64 tree_blocks;
};

/* ---- checkpoint.c ---- */

enum checkpoint_phase {
	CKPT_IDLE,
	CKPT_MERGE,
	CKPT_SPACE,
	CKPT_WRITE,
	CKPT_SUPER,
	CKPT_CLEAN,
};

struct checkpoint {
	enum checkpoint_phase phase;
	bool wanted;
	u64 seq; /* number of the one being made */
	struct group_state state; /* C's */
	u64 log_seq;
	u32 log_crc;
	sector_t log_next;
	u64 log_used; /* sectors of the log that it frees */
	u64 log_changes;
	struct super next; /* what is being written */
	u64 space_at; /* next element of the space list to apply */
	u64 sort_end; /* the list is sorted up to here */
	u64 epoch; /* at freeze */
	bool frees;
	struct merge merge;
	struct dm_multisnap_background_work bw;
};

/* ---- log ---- */

struct log {
	sector_t first;
	sector_t sectors;
	u64 seq; /* last durable record */
	u32 crc; /* its */
	sector_t next; /* place of the record after it */
	u64 used; /* sectors in records behind the checkpoint, unusable tails included */
	u64 changes; /* in them */
};

/* ---- snaps.c ---- */

struct live_snapshot {
	struct rb_node node;
	snapid_t id;
	u32 next_sub;
	bool deleting; /* alive until the group with its deletion is durable */
	struct list_head deleted;
};

static_assert(sizeof(struct live_snapshot) <= 64);

/* ---- spares.c ---- */

/* An operation takes at most four. */
#define SPARES_MAX 32u

struct spares {
	struct kmem_cache *cache;
	void *objects[SPARES_MAX];
	unsigned int nr;
	void *fetched[SPARES_MAX]; /* status lock */
	unsigned int nr_fetched;
};

/* What query and find have found, for add_next_remap() and make_chunk_writeable(). */
struct query {
	bool valid; /* add_next_remap() may follow */
	bool shared; /* make_chunk_writeable() may follow */
	chunk_t chunk;
	snapid_t next; /* query goes on here */
	snapid_t from;
	snapid_t to;
	struct entry record; /* the shared one */
	snapid_t id; /* its reader that writes */
};

struct dm_exception_store {
	struct dm_multisnap *dm;
	struct super super; /* as on the device */
	struct super super_next; /* being written */
	struct super_disk *super_buffer; /* one logical block */
	struct dm_multisnap_io super_io;
	void (*super_done)(struct dm_exception_store *store, int error);
	bool super_busy;
	int invalidate_error; /* waits for the superblock to be free */
	bool invalidating;
	bool invalid; /* marked on disk, or to be */
	bool unformatted;
	bool mounted; /* format() has run */
	bool resumed; /* background work of the last time goes on */
	int dead; /* -errno: nothing goes any more */

	/* arguments */
	bool have_threshold;
	bool have_limit;
	u64 threshold_sectors;
	u64 limit_sectors;
	u64 threshold_changes;
	unsigned int group_changes_max;

	struct spares spare_changes;
	struct spares spare_snapshots;
	bool short_of_memory; /* an operation waits until some is fetched */
	struct layer_tree layers[LAYERS];
	struct layer_tree merged; /* the last checkpoint's, being freed in slices */
	struct rb_root snapshots;
	struct live_snapshot *first_snapshot; /* the least, NULL if there is none */
	struct live_snapshot *last_snapshot;
	struct list_head deleted_open; /* live_snapshot.deleted, per group */
	struct list_head deleted_closed;

	struct group_state open; /* also what the status shows */
	struct group_state closed;
	struct group_state durable;
	bool have_closed;
	bool commit_wanted; /* commit() was called and waits for the log */
	bool commit_running;
	struct record open_record;
	struct record closed_record;
	struct log log;
	struct dm_multisnap_io log_io;
	unsigned int commit_sectors;

	/*
	 * Chunks allocated (block * 2) and freed (block * 2 + 1) since the durable checkpoint: a
	 * ring.
	 */
	u64 *space_list;
	u64 space_size; /* power of two */
	u64 space_begin;

	struct cache cache;
	struct space data;
	struct space meta;
	struct checkpoint ckpt;
	u64 ripe_epoch; /* chunks freed by the last checkpoint may be used from this epoch on */
	struct query query;

	struct tree_place memo; /* of the last tree_find() */
	bool memo_valid;
	u64 memo_chunk;
	u64 memo_from;
	u64 reclaim_chunk; /* the pass has come here; durable from time to time */
	u64 reclaim_from;
	unsigned int reclaim_scanned; /* records since the cursor was last recorded */
	struct dm_multisnap_background_work reclaim_bw;
};

/* ---- store.c ---- */

/* The store can do no more. Says why once; returns @error. */
int store_fail(struct dm_exception_store *store, int error, const char *what, u64 where);

/*
 * @cond, which never holds: a fault of this program. The kernel warns and the store can do no more,
 * so that nothing that was made with it reaches the device. True: the caller goes no further.
 */
static inline bool __store_broken(struct dm_exception_store *store, bool broken, const char *what,
				  u64 line)
{
	return unlikely(broken) && store_fail(store, -EPERM, what, line);
}

#define store_broken(store, cond)                                                               \
	__store_broken(store, WARN_ON_ONCE(cond), "never so: " #cond ", line", __LINE__)

/* ---- super.c ---- */

int super_load(struct dm_exception_store *store, char **error);
int super_format(struct dm_exception_store *store);
int super_mount(struct dm_exception_store *store);
/* @done is called when @next is durable and has become store->super; only when not super_busy. */
void super_write(struct dm_exception_store *store, const struct super *next,
		 void (*done)(struct dm_exception_store *store, int error));
void super_invalidate(struct dm_exception_store *store, int error);

/* ---- cache.c ---- */

int cache_init(struct dm_exception_store *store, unsigned int max_blocks);
void cache_exit(struct dm_exception_store *store);
/* The block's content, valid until the next call of the cache. 0, -EAGAIN (being read), -errno. */
int cache_get(struct dm_exception_store *store, mblock_t location, struct cblock **block);
/* Start to read it if it is not there and this costs nobody anything. */
void cache_prefetch(struct dm_exception_store *store, mblock_t location);
/* A block to fill, whatever is on the device; pinned and dirty. 0, -EAGAIN, -errno. */
int cache_new(struct dm_exception_store *store, mblock_t location, struct cblock **block);
void cache_pin(struct cblock *block);
void cache_unpin(struct cblock *block);
/* About to be changed in memory; -EAGAIN while it is being written. */
int cache_dirty(struct dm_exception_store *store, struct cblock *block);
/* Seal and write a dirty block. */
void cache_write(struct dm_exception_store *store, struct cblock *block);
/* Start to write dirty blocks; true when none is dirty or being written. */
bool cache_write_all(struct dm_exception_store *store);

/* ---- btree.c ---- */

int tree_find(struct dm_exception_store *store, u64 chunk, u64 from, struct tree_place *place);
/* Fetch node @location, which must be of that level, seq and first key, all keys below the end. */
int tree_node(struct dm_exception_store *store, const struct entry *child, unsigned int level,
	      bool check_first, u64 end_chunk, u64 end_from, struct cblock **block);

/* ---- spares.c ---- */

/* So many can be taken now: 0; else -EAGAIN, or -ENOMEM while the store loads. */
int spares_reserve(struct dm_exception_store *store, struct spares *spares, unsigned int count);
int spares_fetch(struct dm_exception_store *store, struct spares *spares);
void *spares_take(struct spares *spares);
void spares_give(struct spares *spares, void *object);
void spares_exit(struct spares *spares);

/* ---- changes.c ---- */

int changes_module_init(void);
void changes_module_exit(void);
void changes_init(struct dm_exception_store *store);
void changes_exit(struct dm_exception_store *store);
void layer_init(struct layer_tree *tree);
/* In the order of keys; NULL: none. */
struct change *layer_first(struct layer_tree *tree);
struct change *layer_next(struct layer_tree *tree, struct change *change);
/*
 * Record a change, for which room is reserved, in a layer; -EPERM when it contradicts what the
 * layer has.
 */
int changes_put(struct dm_exception_store *store, enum layer layer, const struct change *change);
/* Move all of LAYER_CLOSED to LAYER_DURABLE. */
int changes_closed_to_durable(struct dm_exception_store *store);
/* Free some of the layer's changes; true when it is empty. */
bool changes_free_some(struct dm_exception_store *store, struct layer_tree *tree,
		       unsigned int count);
/* First change of the layer with key >= (chunk, from), of the same kind (exception or snapshot). */
struct change *changes_lower_bound(struct dm_exception_store *store, enum layer layer, u64 chunk,
				   u64 from);
/* Last record of @chunk that begins at or below @from: 1, 0 (none), -EAGAIN, -errno. */
int view_le(struct dm_exception_store *store, u64 chunk, u64 from, struct entry *entry);
/* The record that begins at exactly this key: 1, 0 (none), -EAGAIN, -errno. */
int view_at(struct dm_exception_store *store, u64 chunk, u64 from, struct entry *entry);

struct view_key {
	u64 chunk;
	u64 from;
	bool gone; /* nothing is there any more */
};

/* The first key > (chunk, from), of any chunk, also one that is gone: 1, 0, -EAGAIN, -errno. */
int view_key_gt(struct dm_exception_store *store, u64 chunk, u64 from, struct view_key *key);
/* Where the first record of @chunk above @from begins: 1, 0, -EAGAIN, -errno. */
int view_gt(struct dm_exception_store *store, u64 chunk, u64 from, u64 *gt_from);

/* ---- map.c ---- */

void space_init(struct space *space, u8 id, mblock_t start, u64 bits);
/* First zero bit in [begin, end) of the committed map: 1, 0 (none), -EAGAIN, -errno. */
int space_find(struct dm_exception_store *store, struct space *space, u64 begin, u64 end,
	       u64 *found);
/* Set or clear a bit of the working map, which must have been the opposite. */
int space_set(struct dm_exception_store *store, struct space *space, u64 bit, bool used);

/* ---- alloc.c ---- */

/* Find @count free chunks without taking them: 0, -EAGAIN, -ENOSPC, -errno. */
int alloc_find(struct dm_exception_store *store, unsigned int count, block_t *blocks);
/* Move a group's state over an allocation or a free. */
int alloc_take(struct dm_exception_store *store, struct group_state *state, block_t block);
int alloc_free(struct dm_exception_store *store, struct group_state *state, block_t block);

/* ---- record.c: encoding ---- */

void record_reset(struct record *record);
unsigned int record_capacity(u32 sectors);
unsigned int record_sectors_for(unsigned int bytes, u32 block_sectors);
void record_add(struct record *record, const struct group_state *state, const struct entry *entry);
void record_narrow(struct record *record, const struct entry *old, snapid_t from, snapid_t to);
void record_remove(struct record *record, const struct entry *old);
void record_create(struct record *record, snapid_t id);
void record_delete(struct record *record, snapid_t id);
void record_cursor(struct record *record, bool end, u64 chunk, u64 from);
/* Complete a record for writing. Returns its crc. */
u32 record_seal(struct record *record, const struct log_header_disk *header);

struct log_reader {
	const u8 *data; /* the record's sectors */
	unsigned int at; /* in the payload */
	unsigned int bytes;
	bool have_add;
	u64 add_chunk;
	u64 add_from;
	u64 add_to;
};

struct log_operation {
	unsigned int op; /* enum log_op */
	bool end; /* OP_CURSOR */
	u64 chunk;
	snapid_t from; /* or the id */
	snapid_t to; /* OP_ADD */
	snapid_t new_from; /* OP_NARROW */
	snapid_t new_to;
	u64 block;
};

/* Decode the next operation. 1, 0 at the end, -EPERM. @alloc_pos: see OP_ADD_NEXT_BLOCK. */
int record_next(struct log_reader *reader, block_t alloc_pos, struct log_operation *op);
bool record_stamp_ok(const u8 *sector, u32 mount, u64 seq, unsigned int index);

/* ---- replay.c ---- */

int log_load(struct dm_exception_store *store, char **error);

/* ---- commit.c ---- */

/* May an operation of so many log operations and changes be recorded? 0, -EAGAIN, -errno. */
int group_begin(struct dm_exception_store *store, unsigned int ops, unsigned int changes);
int group_add(struct dm_exception_store *store, const struct entry *entry);
int group_narrow(struct dm_exception_store *store, const struct entry *old, snapid_t from,
		 snapid_t to);
int group_remove(struct dm_exception_store *store, const struct entry *old);
int group_create(struct dm_exception_store *store, snapid_t id);
int group_delete(struct dm_exception_store *store, snapid_t id);
int group_cursor(struct dm_exception_store *store, bool end, u64 chunk, u64 from);
void commit_try(struct dm_exception_store *store);
void mikulas_close_group(struct dm_exception_store *store);
void mikulas_commit(struct dm_exception_store *store);

/* ---- apply.c: the operations on state and layer, for groups and for replay ---- */

struct apply {
	enum layer layer;
	struct group_state *state;
};

int apply_add(struct dm_exception_store *store, const struct apply *to, const struct entry *entry);
int apply_narrow(struct dm_exception_store *store, const struct apply *to, const struct entry *old,
		 snapid_t from, snapid_t new_to);
int apply_remove(struct dm_exception_store *store, const struct apply *to, const struct entry *old);
int apply_create(struct dm_exception_store *store, const struct apply *to, snapid_t id);
int apply_delete(struct dm_exception_store *store, const struct apply *to, snapid_t id);
int apply_cursor(struct dm_exception_store *store, const struct apply *to, bool end, u64 chunk,
		 u64 from);

/* ---- snaps.c ---- */

struct live_snapshot *snapshot_find(struct dm_exception_store *store, snapid_t id);
snapid_t snapshot_next(struct dm_exception_store *store, snapid_t from); /* >= from */
snapid_t snapshot_last(struct dm_exception_store *store, snapid_t to); /* <= to, or ORIGIN */
/* The least id whose chunk this live snapshot's record may serve: future sub-snapshots included. */
snapid_t snapshot_low(struct dm_exception_store *store, snapid_t id);
int snapshots_module_init(void);
void snapshots_module_exit(void);
void snapshots_init(struct dm_exception_store *store);
int snapshots_load(struct dm_exception_store *store);
void snapshots_exit(struct dm_exception_store *store);
/* Room is reserved. */
int snapshot_insert(struct dm_exception_store *store, snapid_t id, u32 next_sub);
/* The deletions of the closed group are durable. */
void snapshots_closed_durable(struct dm_exception_store *store);
bool snapshot_was_given(struct dm_exception_store *store, const struct group_state *state,
			snapid_t id);
int snapshot_create_check(struct dm_exception_store *store, const struct group_state *state,
			  snapid_t id);

int mikulas_print_snapid(struct dm_exception_store *store, char *buf, size_t size, snapid_t id);
int mikulas_read_snapid(struct dm_exception_store *store, const char *text, snapid_t *id);
int mikulas_allocate_snapid(struct dm_exception_store *store, snapid_t master, snapid_t *id);
int mikulas_create_snapshot(struct dm_exception_store *store, snapid_t id);
int mikulas_delete_snapshot(struct dm_exception_store *store, snapid_t id);
snapid_t mikulas_get_next_snapid(struct dm_exception_store *store, snapid_t from);
int mikulas_compare_snapids(const void *a, const void *b);

/* ---- exceptions.c ---- */

int mikulas_find(struct dm_exception_store *store, snapid_t id, chunk_t chunk, bool write,
		 block_t *block);
void mikulas_reset_query(struct dm_exception_store *store);
int mikulas_query_next_remap(struct dm_exception_store *store, chunk_t chunk);
int mikulas_add_next_remap(struct dm_exception_store *store, struct chunk_remap *remap);
int mikulas_make_chunk_writeable(struct dm_exception_store *store,
				 struct chunk_remap remap[MAKE_WRITEABLE_MAX]);
bool mikulas_check_conflict(struct dm_exception_store *store, const union chunk_descriptor *cd,
			    snapid_t id);

/* ---- reclaim.c ---- */

void reclaim_init(struct dm_exception_store *store);
void reclaim_kick(struct dm_exception_store *store);

/* ---- checkpoint.c ---- */

void checkpoint_init(struct dm_exception_store *store);
/* Start one if it is due (or @force) and possible. */
void checkpoint_poll(struct dm_exception_store *store, bool force);
void checkpoint_kick(struct dm_exception_store *store);

/* ---- merge.c ---- */

int merge_init(struct dm_exception_store *store);
void merge_exit(struct dm_exception_store *store);
void merge_start(struct dm_exception_store *store, bool all);
/* 1: ended. 0: the slice has ended. -EAGAIN: waits for I/O. -errno. */
int merge_slice(struct dm_exception_store *store);

#endif /* MIKULAS_H */
