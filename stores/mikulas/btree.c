// SPDX-License-Identifier: GPL-2.0
/*
 * Lookups in the tree of the last durable checkpoint. The merge (merge.c) writes it.
 *
 * What a child's parent says of it is proved at each step: level, seq, first key, and that no key
 * reaches beyond the next child's. As the level sinks by one each step, no damage makes a loop.
 */
#include "mikulas.h"

static int tree_damaged(struct dm_exception_store *store, const char *what, mblock_t location)
{
	return store_fail(store, -EPERM, what, location);
}

int tree_node(struct dm_exception_store *store, const struct entry *child, unsigned int level,
	      bool check_first, u64 end_chunk, u64 end_from, struct cblock **block)
{
	const struct node_disk *node;
	struct node_layout layout;
	struct entry entry;
	int r;

	if (child->a < store->super.meta_start ||
	    child->a - store->super.meta_start >= store->super.meta_blocks)
		return tree_damaged(store, "node outside of the metadata area", child->a);
	r = cache_get(store, child->a, block);
	if (r)
		return r;
	node = (*block)->data;
	if (le32_to_cpu(node->magic) != NODE_MAGIC || node->level != level ||
	    le64_to_cpu(node->seq) != child->b || child->b > store->super.ckpt)
		return tree_damaged(store, "not the node that its parent names", child->a);
	node_open(&layout, node);
	node_entry(&layout, node, 0, &entry);
	if (check_first && key_cmp(entry.chunk, entry.from, child->chunk, child->from))
		return tree_damaged(store, "first key of a node", child->a);
	node_entry(&layout, node, layout.count - 1, &entry);
	if (key_cmp(entry.chunk, entry.from, end_chunk, end_from) >= 0)
		return tree_damaged(store, "last key of a node", child->a);
	return 0;
}

static int leaf_result(struct dm_exception_store *store, const struct node_disk *node,
		       const struct node_layout *layout, int i, struct tree_place *place)
{
	struct entry entry;

	if (i >= 0) {
		node_entry(layout, node, i, &place->le);
		place->have_le = true;
		if (place->le.chunk < EXCEPTION_CHUNK_END &&
		    (place->le.b < store->super.data_start ||
		     place->le.b - store->super.data_start >= store->super.data_chunks))
			return tree_damaged(store, "chunk outside of the data area",
					    le64_to_cpu(node->location));
	}
	if (i + 1 < layout->count) {
		node_entry(layout, node, i + 1, &entry);
		place->have_gt = true;
		place->gt_chunk = entry.chunk;
		place->gt_from = entry.from;
	}
	return 0;
}

static int tree_walk(struct dm_exception_store *store, u64 chunk, u64 from,
		     struct tree_place *place)
{
	struct entry child = { .a = store->super.root, .b = store->super.root_seq };
	unsigned int level = store->super.depth;
	bool first = false;

	while (level--) {
		u64 end_chunk = place->have_gt ? place->gt_chunk : U64_MAX;
		u64 end_from = place->have_gt ? place->gt_from : U64_MAX;
		const struct node_disk *node;
		struct node_layout layout;
		struct cblock *block;
		int i, r;

		r = tree_node(store, &child, level, first, end_chunk, end_from, &block);
		if (r)
			return r;
		node = block->data;
		node_open(&layout, node);
		i = node_find(&layout, node, chunk, from);
		if (!level || i < 0)
			return leaf_result(store, node, &layout, i, place);
		if (i + 1 < layout.count) {
			struct entry next;

			node_entry(&layout, node, i + 1, &next);
			place->have_gt = true;
			place->gt_chunk = next.chunk;
			place->gt_from = next.from;
		}
		node_entry(&layout, node, i, &child);
		first = true;
	}
	return 0;
}

int tree_find(struct dm_exception_store *store, u64 chunk, u64 from, struct tree_place *place)
{
	int r;

	if (store->memo_valid && store->memo_chunk == chunk && store->memo_from == from) {
		*place = store->memo;
		return 0;
	}
	memset(place, 0, sizeof(*place));
	r = tree_walk(store, chunk, from, place);
	if (r)
		return r;
	store->memo_valid = true;
	store->memo_chunk = chunk;
	store->memo_from = from;
	store->memo = *place;
	return 0;
}
