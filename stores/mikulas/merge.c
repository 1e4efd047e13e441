// SPDX-License-Identifier: GPL-2.0
/*
 * A checkpoint's merge of LAYER_FROZEN into the tree: one pass in the order of keys, copy on write.
 *
 * The old tree is walked from left to right. A subtree that no change touches is taken over by its
 * pointer; the nodes on the way to a touched one are taken apart, and their entries go through one
 * writer per level into new nodes, filled greedily, the last two of a run evenly. What a run leaves
 * is put out before an untouched subtree is taken over; when it is small, that subtree is opened
 * too, so that small nodes do not stay small.
 *
 * The pass stops wherever it would have to wait, and goes on there: all of its state is in struct
 * merge. Nothing on the device that the durable superblock reaches is written.
 */
#include "mikulas.h"

#define MERGE_WRITES_MAX 32u
#define MERGE_SMALL (NODE_ROOM / 3)
#define MERGE_SLICE 16u /* steps; the largest takes some thousand entries */
#define MERGE_PREFETCH 8u

/* Levels that a tree of so many entries can have, nodes being half full at least. */
static unsigned int levels_for(u64 entries)
{
	unsigned int levels = 1;

	while (entries > NODE_ENTRIES_FULL / 2) {
		entries = div_u64(entries, NODE_ENTRIES_FULL / 2) + 1;
		levels++;
	}
	return min(levels + 1, TREE_DEPTH_MAX);
}

int merge_init(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int levels, i;

	levels = max(levels_for(store->super.max_entries), store->super.depth + 1);
	levels = min(levels, TREE_DEPTH_MAX);
	for (i = 0; i <= levels; i++) {
		m->writers[i].entries =
			kvmalloc_array(WRITER_ENTRIES, sizeof(struct entry), GFP_KERNEL);
		if (!m->writers[i].entries)
			return -ENOMEM;
	}
	m->nr_writers = levels + 1;
	for (i = 0; i < levels; i++) {
		m->old[i].data = kmalloc(MBLOCK_BYTES, GFP_KERNEL);
		if (!m->old[i].data)
			return -ENOMEM;
	}
	return 0;
}

void merge_exit(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m->writers); i++)
		kvfree(m->writers[i].entries);
	for (i = 0; i < ARRAY_SIZE(m->old); i++)
		kfree(m->old[i].data);
}

void merge_start(struct dm_exception_store *store, bool all)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int i;

	for (i = 0; i < m->nr_writers; i++)
		m->writers[i].count = 0;
	m->next = layer_first(&store->layers[LAYER_FROZEN]);
	m->depth = store->super.depth;
	m->all = all;
	m->have_last = false;
	m->have_new = false;
	m->nr_freed = 0;
	m->meta_left = store->meta.shape.bits;
	m->tree_blocks = store->super.tree_blocks;
	m->root = store->super.root;
	m->root_seq = store->super.root_seq;
	m->root_depth = store->super.depth;
	m->opening = m->depth;
	m->ended = !m->depth;
	if (m->depth) {
		struct old_node *o = &m->old[m->depth - 1];

		m->level = m->depth - 1;
		m->child = (struct entry){ .a = store->super.root, .b = store->super.root_seq };
		o->end_chunk = U64_MAX;
		o->end_from = U64_MAX;
	}
}

/* Is the next change below this key? */
static bool change_before(struct merge *m, u64 chunk, u64 from)
{
	struct change *change = m->next;

	return change && key_cmp(change->chunk, change->from, chunk, from) < 0;
}

static int merge_damaged(struct dm_exception_store *store, const char *what, u64 chunk)
{
	return store_fail(store, -EPERM, what, chunk);
}

static int writer_append(struct dm_exception_store *store, unsigned int level,
			 const struct entry *entry)
{
	struct merge *m = &store->ckpt.merge;
	struct writer *w = &m->writers[level];

	if (store_broken(store, level >= m->nr_writers || w->count >= WRITER_ENTRIES))
		return -EPERM;
	w->entries[w->count++] = *entry;
	return 0;
}

/* ---- new nodes ---- */

/* The next metadata block that is free in the durable checkpoint, going round once. */
static int find_block(struct dm_exception_store *store, u64 *bit)
{
	struct merge *m = &store->ckpt.merge;
	u64 n = store->meta.shape.bits, upper = min(m->meta_left, n - m->meta_next);
	u64 step;
	int r;

	r = space_find(store, &store->meta, m->meta_next, m->meta_next + upper, bit);
	if (!r && m->meta_left > upper)
		r = space_find(store, &store->meta, 0, m->meta_left - upper, bit);
	if (r < 0)
		return r;
	if (!r)
		return merge_damaged(store, "metadata area exhausted", store->super.tree_blocks);
	step = *bit >= m->meta_next ? *bit - m->meta_next : *bit + n - m->meta_next;
	m->meta_left -= step + 1;
	m->meta_next = *bit + 1 == n ? 0 : *bit + 1;
	return 0;
}

/* A block of the device for a new node; it stays ours when what comes next has to wait. */
static int take_block(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	u64 bit;
	int r;

	if (m->have_new)
		return 0;
	if (m->new_block == 0) {
		r = find_block(store, &bit);
		if (r)
			return r;
		m->new_block = store->super.meta_start + bit;
	}
	r = space_set(store, &store->meta, m->new_block - store->super.meta_start, true);
	if (!r)
		m->have_new = true;
	return r;
}

/* Put the first @count entries of a writer into a new node. */
static int emit(struct dm_exception_store *store, unsigned int level, unsigned int count)
{
	struct merge *m = &store->ckpt.merge;
	struct writer *w = &m->writers[level];
	struct cblock *block;
	struct entry child;
	bool built;
	int r;

	if (level + 1 >= m->nr_writers)
		return merge_damaged(store, "more levels than a tree of its size can have:", level);
	if (store->cache.nr_writing >= MERGE_WRITES_MAX)
		return -EAGAIN;
	r = take_block(store);
	if (!r)
		r = cache_new(store, m->new_block, &block);
	if (r)
		return r;
	built = node_build(block->data, w->entries, count, level, store->ckpt.seq);
	/* Then the block stays pinned, so that nobody writes it. */
	if (store_broken(store, !built))
		return -EPERM;
	child.chunk = w->entries[0].chunk;
	child.from = w->entries[0].from;
	child.a = m->new_block;
	child.b = store->ckpt.seq;
	m->have_new = false;
	m->new_block = 0;
	cache_unpin(block);
	cache_write(store, block);
	m->tree_blocks++;
	w->count -= count;
	memmove(w->entries, w->entries + count, w->count * sizeof(*w->entries));
	return writer_append(store, level + 1, &child);
}

/* Put out full nodes while enough is left behind them to fill two. */
static int drain(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int level;

	for (level = 0; level < m->nr_writers; level++) {
		struct writer *w = &m->writers[level];

		while (w->count >= WRITER_DRAIN) {
			int r = emit(store, level, node_prefix(w->entries, w->count, level));

			if (r)
				return r;
		}
	}
	return 0;
}

/* Put out all of a writer; the last two nodes evenly where that fits. */
static int flush_level(struct dm_exception_store *store, unsigned int level)
{
	struct writer *w = &store->ckpt.merge.writers[level];

	while (w->count) {
		unsigned int n = node_prefix(w->entries, w->count, level);
		unsigned int left = w->count - n, half = w->count - w->count / 2;
		int r;

		if (left && half < n && node_prefix(w->entries + n, left, level) == left &&
		    node_prefix(w->entries + half, w->count - half, level) == w->count - half)
			n = half;
		r = emit(store, level, n);
		if (r)
			return r;
	}
	return 0;
}

/* ---- taking the old tree apart ---- */

static int free_queued(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;

	while (m->nr_freed) {
		mblock_t block = m->freed[m->nr_freed - 1];
		int r = space_set(store, &store->meta, block - store->super.meta_start, false);

		if (r)
			return r;
		m->nr_freed--;
		m->tree_blocks--;
	}
	return 0;
}

static int open_node(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	struct old_node *o = &m->old[m->level];
	struct cblock *block;
	int r;

	r = tree_node(store, &m->child, m->level, m->level + 1 < m->depth, o->end_chunk,
		      o->end_from, &block);
	if (r)
		return r;
	memcpy(o->data, block->data, MBLOCK_BYTES);
	node_open(&o->layout, o->data);
	o->location = m->child.a;
	o->next = 0;
	m->freed[m->nr_freed++] = o->location;
	m->opening = false;
	return 0;
}

static void close_node(struct merge *m)
{
	m->level++;
	if (m->level == m->depth)
		m->ended = true;
	else
		m->old[m->level].next++;
}

/* Check the order, and put out. */
static int put_leaf_entry(struct dm_exception_store *store, const struct entry *entry)
{
	struct merge *m = &store->ckpt.merge;

	if (m->have_last && (key_cmp(m->last.chunk, m->last.from, entry->chunk, entry->from) >= 0 ||
			     (m->last.chunk == entry->chunk && m->last.a >= entry->from)))
		return merge_damaged(store, "overlapping exceptions, chunk", entry->chunk);
	if (entry->chunk < EXCEPTION_CHUNK_END &&
	    (entry->b < store->super.data_start ||
	     entry->b - store->super.data_start >= store->super.data_chunks))
		return merge_damaged(store, "chunk outside of the data area, of chunk",
				     entry->chunk);
	m->last = *entry;
	m->have_last = true;
	return writer_append(store, 0, entry);
}

/* The next change, with the entry that it replaces (or NULL). */
static int put_change(struct dm_exception_store *store, const struct entry *old)
{
	struct merge *m = &store->ckpt.merge;
	struct change *change = m->next;
	struct entry entry = {
		.chunk = change->chunk,
		.from = change->from,
		.a = change->to,
		.b = change->block,
	};

	if (change->old != (old ? old->b : BLOCK_NONE))
		return merge_damaged(store, "the log contradicts the tree, chunk", change->chunk);
	if (old && old->chunk < EXCEPTION_CHUNK_END && change->block == old->b &&
	    change->to >= old->a)
		return merge_damaged(store, "range not narrowed, chunk", change->chunk);
	m->next = layer_next(&store->layers[LAYER_FROZEN], change);
	return change->block == BLOCK_NONE ? 0 : put_leaf_entry(store, &entry);
}

/* Merge the old leaf at hand with the changes below its end, as far as there is room. */
static int merge_leaf(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	struct old_node *o = &m->old[0];

	while (m->writers[0].count < WRITER_DRAIN) {
		bool have_old = o->next < o->layout.count;
		bool have_change = change_before(m, o->end_chunk, o->end_from);
		struct change *change = m->next;
		struct entry old;
		int cmp, r;

		if (!have_old && !have_change) {
			close_node(m);
			return 0;
		}
		cmp = have_old ? -1 : 1;
		if (have_old)
			node_entry(&o->layout, o->data, o->next, &old);
		if (have_old && have_change)
			cmp = key_cmp(old.chunk, old.from, change->chunk, change->from);
		if (cmp < 0)
			r = put_leaf_entry(store, &old);
		else
			r = put_change(store, cmp ? NULL : &old);
		if (r)
			return r;
		if (cmp <= 0)
			o->next++;
	}
	return 0;
}

/* There is no old tree, or it has ended: what is left are changes. */
static int merge_rest(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;

	while (m->next && m->writers[0].count < WRITER_DRAIN) {
		int r = put_change(store, NULL);

		if (r)
			return r;
	}
	return 0;
}

static void child_at(const struct old_node *o, unsigned int i, struct entry *child, u64 *end_chunk,
		     u64 *end_from)
{
	struct entry next;

	node_entry(&o->layout, o->data, i, child);
	*end_chunk = o->end_chunk;
	*end_from = o->end_from;
	if (i + 1 < o->layout.count) {
		node_entry(&o->layout, o->data, i + 1, &next);
		*end_chunk = next.chunk;
		*end_from = next.from;
	}
}

/* Start to read the next children of this node that have changes. */
static void read_ahead(struct dm_exception_store *store, const struct old_node *o)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int i, started = 0;

	for (i = o->next + 1; i < o->layout.count && i < o->next + 64 && started < MERGE_PREFETCH;
	     i++) {
		u64 end_chunk, end_from;
		struct change *change;
		struct entry child;

		child_at(o, i, &child, &end_chunk, &end_from);
		change = changes_lower_bound(store, LAYER_FROZEN, child.chunk, child.from);
		if (!m->all &&
		    (!change || key_cmp(change->chunk, change->from, end_chunk, end_from) >= 0))
			continue;
		if (child.a < store->super.meta_start ||
		    child.a - store->super.meta_start >= store->super.meta_blocks)
			return;
		cache_prefetch(store, child.a);
		started++;
	}
}

/* Is what is left of the run below @level too small to stand alone? */
static bool leftover_small(struct merge *m, unsigned int level)
{
	while (level--) {
		struct writer *w = &m->writers[level];

		if (w->count && w->count < NODE_ENTRIES_MAX &&
		    node_bytes(w->entries, w->count, level) < MERGE_SMALL)
			return true;
	}
	return false;
}

/* One child of the inner node at hand: take it over or open it. */
static int merge_inner(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	struct old_node *o = &m->old[m->level];
	u64 end_chunk, end_from;
	struct entry child;
	unsigned int i;
	int r;

	if (o->next == o->layout.count) {
		close_node(m);
		return 0;
	}
	child_at(o, o->next, &child, &end_chunk, &end_from);
	if (m->all || change_before(m, end_chunk, end_from) || leftover_small(m, m->level)) {
		m->level--;
		m->opening = true;
		m->child = child;
		m->old[m->level].end_chunk = end_chunk;
		m->old[m->level].end_from = end_from;
		if (!m->level)
			read_ahead(store, o);
		return 0;
	}
	for (i = 0; i < m->level; i++) {
		r = flush_level(store, i);
		if (r)
			return r;
	}
	/* What comes after has greater keys than all of the subtree. */
	m->have_last = false;
	o->next++;
	return writer_append(store, m->level, &child);
}

/* The old tree is used up: put out what is left, upwards, until one node is the root. */
static int finish(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int level, above, i;
	int r;

	m->root = 0;
	m->root_seq = 0;
	m->root_depth = 0;
	for (level = 0; level + 1 < m->nr_writers; level++) {
		r = flush_level(store, level);
		if (r)
			return r;
		above = 0;
		for (i = level + 2; i < m->nr_writers; i++)
			above += m->writers[i].count;
		if (m->writers[level + 1].count == 1 && !above) {
			m->root = m->writers[level + 1].entries[0].a;
			m->root_seq = m->writers[level + 1].entries[0].b;
			m->root_depth = level + 1;
			return 1;
		}
		if (!m->writers[level + 1].count && !above)
			return 1;
	}
	return merge_damaged(store, "tree too deep", m->depth);
}

/* 1: the merge has ended. 0: went on. */
static int merge_step(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	int r;

	r = drain(store);
	if (!r)
		r = free_queued(store);
	if (r)
		return r;
	if (m->opening)
		return open_node(store);
	if (!m->ended)
		return m->level ? merge_inner(store) : merge_leaf(store);
	if (m->next)
		return merge_rest(store);
	return finish(store);
}

int merge_slice(struct dm_exception_store *store)
{
	struct merge *m = &store->ckpt.merge;
	unsigned int steps;
	int r = 0;

	if (!m->all && !store->layers[LAYER_FROZEN].count)
		return 1;
	for (steps = 0; steps < MERGE_SLICE && !r; steps++)
		r = merge_step(store);
	return r;
}
