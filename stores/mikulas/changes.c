// SPDX-License-Identifier: GPL-2.0
/*
 * Changes that are not in the tree yet, in layers, and the view of all of them together.
 *
 * One change per key and layer: what the entry is to become, and what it was for the layers below.
 * When a group has become durable its changes are folded into LAYER_DURABLE; a change that undoes
 * what the same layer did disappears. A checkpoint takes LAYER_DURABLE as a whole, so it never sees
 * a part of a group (H30).
 */
#include "mikulas.h"

void layer_init(struct layer_tree *tree)
{
	tree->exceptions = RB_ROOT;
	tree->snapshots = RB_ROOT;
	tree->count = 0;
}

static struct rb_root *layer_root(struct layer_tree *tree, u64 chunk)
{
	return chunk < EXCEPTION_CHUNK_END ? &tree->exceptions : &tree->snapshots;
}

static struct change *to_change(struct rb_node *node)
{
	return rb_entry_safe(node, struct change, node);
}

struct change *layer_first(struct layer_tree *tree)
{
	struct rb_node *node = rb_first(&tree->exceptions);

	return to_change(node ? node : rb_first(&tree->snapshots));
}

struct change *layer_next(struct layer_tree *tree, struct change *change)
{
	struct rb_node *node = rb_next(&change->node);

	if (!node && change->chunk < EXCEPTION_CHUNK_END)
		node = rb_first(&tree->snapshots);
	return to_change(node);
}

/* One for all stores of the module. */
static struct kmem_cache *change_cache;

int __init changes_module_init(void)
{
	change_cache = kmem_cache_create("mikulas_change", sizeof(struct change),
					 __alignof__(struct change), 0, NULL);
	return change_cache ? 0 : -ENOMEM;
}

void changes_module_exit(void)
{
	kmem_cache_destroy(change_cache);
}

void changes_init(struct dm_exception_store *store)
{
	unsigned int i;

	for (i = 0; i < LAYERS; i++)
		layer_init(&store->layers[i]);
	layer_init(&store->merged);
	store->spare_changes.cache = change_cache;
}

bool changes_free_some(struct dm_exception_store *store, struct layer_tree *tree,
		       unsigned int count)
{
	while (count--) {
		struct change *change = layer_first(tree);

		if (!change)
			return true;
		rb_erase(&change->node, layer_root(tree, change->chunk));
		tree->count--;
		kmem_cache_free(change_cache, change);
	}
	return !tree->count;
}

void changes_exit(struct dm_exception_store *store)
{
	unsigned int i;

	for (i = 0; i < LAYERS; i++)
		changes_free_some(store, &store->layers[i], UINT_MAX);
	changes_free_some(store, &store->merged, UINT_MAX);
	spares_exit(&store->spare_changes);
}

/* The node with this key, or where to link it. */
static struct rb_node **layer_place(struct layer_tree *tree, u64 chunk, u64 from,
				    struct rb_node **parent, struct change **found)
{
	struct rb_node **link = &layer_root(tree, chunk)->rb_node;

	*parent = NULL;
	*found = NULL;
	while (*link) {
		struct change *change = rb_entry(*link, struct change, node);
		int cmp = key_cmp(chunk, from, change->chunk, change->from);

		*parent = *link;
		if (!cmp) {
			*found = change;
			return link;
		}
		link = cmp < 0 ? &(*link)->rb_left : &(*link)->rb_right;
	}
	return link;
}

/* Fold @change into what the layer already has for its key. */
static int change_fold(struct dm_exception_store *store, struct layer_tree *tree,
		       struct change *have, const struct change *change)
{
	if (have->block != change->old)
		return -EPERM;
	if (have->old == BLOCK_NONE && change->block == BLOCK_NONE) {
		rb_erase(&have->node, layer_root(tree, have->chunk));
		tree->count--;
		spares_give(&store->spare_changes, have);
		return 0;
	}
	have->to = change->to;
	have->block = change->block;
	return 0;
}

int changes_put(struct dm_exception_store *store, enum layer layer, const struct change *change)
{
	struct layer_tree *tree = &store->layers[layer];
	struct rb_node **link, *parent;
	struct change *have;

	link = layer_place(tree, change->chunk, change->from, &parent, &have);
	if (have)
		return change_fold(store, tree, have, change);
	have = spares_take(&store->spare_changes);
	if (store_broken(store, !have))
		return -EPERM;
	*have = *change;
	rb_link_node(&have->node, parent, link);
	rb_insert_color(&have->node, layer_root(tree, have->chunk));
	tree->count++;
	return 0;
}

int changes_closed_to_durable(struct dm_exception_store *store)
{
	struct layer_tree *closed = &store->layers[LAYER_CLOSED];
	struct layer_tree *durable = &store->layers[LAYER_DURABLE];
	struct change *change, *have;

	while ((change = layer_first(closed))) {
		struct rb_node **link, *parent;
		int r;

		rb_erase(&change->node, layer_root(closed, change->chunk));
		closed->count--;
		link = layer_place(durable, change->chunk, change->from, &parent, &have);
		if (!have) {
			rb_link_node(&change->node, parent, link);
			rb_insert_color(&change->node, layer_root(durable, change->chunk));
			durable->count++;
			continue;
		}
		r = change_fold(store, durable, have, change);
		spares_give(&store->spare_changes, change);
		if (r)
			return r;
	}
	return 0;
}

/* Last change of its kind with key <= (chunk, from). */
static struct change *layer_le(struct layer_tree *tree, u64 chunk, u64 from)
{
	struct rb_node *node = layer_root(tree, chunk)->rb_node;
	struct change *best = NULL;

	while (node) {
		struct change *change = rb_entry(node, struct change, node);

		if (key_cmp(change->chunk, change->from, chunk, from) <= 0) {
			best = change;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	return best;
}

/* First change of its kind with key > (chunk, from), or >= with @equal. */
static struct change *layer_gt(struct layer_tree *tree, u64 chunk, u64 from, bool equal)
{
	struct rb_node *node = layer_root(tree, chunk)->rb_node;
	struct change *best = NULL;

	while (node) {
		struct change *change = rb_entry(node, struct change, node);
		int cmp = key_cmp(change->chunk, change->from, chunk, from);

		if (cmp > 0 || (equal && !cmp)) {
			best = change;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return best;
}

struct change *changes_lower_bound(struct dm_exception_store *store, enum layer layer, u64 chunk,
				   u64 from)
{
	return layer_gt(&store->layers[layer], chunk, from, true);
}

/* From the oldest layer to the newest: of equal keys the newest counts. */
int view_le(struct dm_exception_store *store, u64 chunk, u64 from, struct entry *entry)
{
	for (;;) {
		struct tree_place place;
		bool have = false, gone = false;
		int layer, r;

		r = tree_find(store, chunk, from, &place);
		if (r)
			return r;
		if (place.have_le && place.le.chunk == chunk) {
			*entry = place.le;
			have = true;
		}
		for (layer = LAYERS - 1; layer >= 0; layer--) {
			struct change *change = layer_le(&store->layers[layer], chunk, from);

			if (!change || change->chunk != chunk ||
			    (have && change->from < entry->from))
				continue;
			have = true;
			gone = change->block == BLOCK_NONE;
			entry->chunk = chunk;
			entry->from = change->from;
			entry->a = change->to;
			entry->b = change->block;
		}
		if (!have)
			return 0;
		if (!gone)
			return 1;
		if (!entry->from)
			return 0;
		from = entry->from - 1;
	}
}

/* The record that begins at exactly this key: 1, 0 (none, or gone), -EAGAIN, -errno. */
int view_at(struct dm_exception_store *store, u64 chunk, u64 from, struct entry *entry)
{
	struct tree_place place;
	bool have;
	int layer, r;

	r = tree_find(store, chunk, from, &place);
	if (r)
		return r;
	have = place.have_le && place.le.chunk == chunk && place.le.from == from;
	if (have)
		*entry = place.le;
	for (layer = LAYERS - 1; layer >= 0; layer--) {
		struct change *change = layer_le(&store->layers[layer], chunk, from);

		if (!change || change->chunk != chunk || change->from != from)
			continue;
		have = change->block != BLOCK_NONE;
		entry->chunk = chunk;
		entry->from = from;
		entry->a = change->to;
		entry->b = change->block;
	}
	return have;
}

int view_key_gt(struct dm_exception_store *store, u64 chunk, u64 from, struct view_key *key)
{
	struct tree_place place;
	int layer, r;

	r = tree_find(store, chunk, from, &place);
	if (r)
		return r;
	key->gone = false;
	for (layer = LAYERS - 1; layer >= 0; layer--) {
		struct change *change = layer_gt(&store->layers[layer], chunk, from, false);

		if (!change)
			continue;
		if (place.have_gt &&
		    key_cmp(change->chunk, change->from, place.gt_chunk, place.gt_from) > 0)
			continue;
		place.have_gt = true;
		place.gt_chunk = change->chunk;
		place.gt_from = change->from;
		key->gone = change->block == BLOCK_NONE;
	}
	key->chunk = place.gt_chunk;
	key->from = place.gt_from;
	return place.have_gt;
}

/*
 * It must not look beyond the chunk: reclaim may have removed all that follows, and to walk over
 * that takes as many steps, and as many leaves in the cache, as there are changes.
 */
int view_gt(struct dm_exception_store *store, u64 chunk, u64 from, u64 *gt_from)
{
	struct view_key key;

	do {
		int r = view_key_gt(store, chunk, from, &key);

		if (r <= 0)
			return r;
		if (key.chunk != chunk)
			return 0;
		from = key.from;
	} while (key.gone);
	*gt_from = from;
	return 1;
}
