// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of the tree, its entries and the counters: FORMAT.md section 4.
 *
 * Method: level by level from the root, each level being a list of children in the order of their
 * keys. A block that is in the list twice is read once. So a tree that bites its own tail ends: a
 * level has at most the children of the distinct nodes above, and there are at most 10 levels.
 * Leaves come last and in order: their entries make sorted arrays.
 */
#include "check_int.h"

struct child {
	u64 block, seq, chunk, from;
	bool keyed; /* chunk and from are given: not for the root */
	bool twice;
};

struct children {
	struct child *v;
	size_t n, max;
};

struct walk {
	struct check *c;
	struct check_node node;
	u8 bytes[CHECK_BLOCK_BYTES];
	struct children level, below;
	unsigned int depth; /* the level of the nodes in hand */
	bool any_key; /* last_chunk, last_from: the greatest key seen on this level */
	u64 last_chunk, last_from;
};

/* The halves of an id as a node stores them. */
static u64 join_id(u64 high, u64 low_plus_1)
{
	return high << 32 | (u32)(low_plus_1 - 1);
}

static bool key_above(u64 chunk, u64 from, u64 than_chunk, u64 than_from)
{
	return chunk != than_chunk ? chunk > than_chunk : from > than_from;
}

/* ---- entries ---- */

static void check_order(struct walk *w, const struct check_place *place, u64 chunk, u64 from)
{
	if (w->any_key && !key_above(chunk, from, w->last_chunk, w->last_from))
		check_found(w->c, place, "key",
			    "(%llu, %s) is not above (%llu, %s), the one before", chunk,
			    check_snapid(from), w->last_chunk, check_snapid(w->last_from));
	w->any_key = true;
	w->last_chunk = chunk;
	w->last_from = from;
}

static void snapshot_entry(struct walk *w, const struct check_place *place, u64 id, u64 to,
			   u64 value)
{
	struct check *c = w->c;

	if (to != id)
		check_found(c, place, "to", "is %s in the entry of snapshot %s, expected the same",
			    check_snapid(to), check_snapid(id));
	if (check_high(id) >= c->sb.next_first)
		check_found(c, place, "from",
			    "is snapshot %s, which was never given: next_first is %llu",
			    check_snapid(id), c->sb.next_first);
	if (check_is_first(id) ? value > 0xffffffffu : value != 0)
		check_found(c, place, "value", "is %llu for snapshot %s, expected %s", value,
			    check_snapid(id), check_is_first(id) ? "at most 2^32-1" : "0");
	if (!check_grow(c, (void **)&c->snapshots, &c->max_snapshots, c->nr_snapshots,
			sizeof(*c->snapshots)))
		return;
	c->snapshots[c->nr_snapshots++] = (struct check_snapshot){ id, value };
}

static void exception_entry(struct walk *w, const struct check_place *place,
			    const struct check_exception *ex)
{
	struct check *c = w->c;
	const struct check_super *sb = &c->sb;
	const struct check_exception *last =
		c->nr_exceptions ? &c->exceptions[c->nr_exceptions - 1] : NULL;

	if (ex->from > ex->to)
		check_found(c, place, "from", "is %s, above to = %s", check_snapid(ex->from),
			    check_snapid(ex->to));
	else if (last && last->chunk == ex->chunk && last->to >= ex->from)
		check_found(c, place, "from",
			    "is %s for chunk %llu: overlaps %s..%s, the one before",
			    check_snapid(ex->from), ex->chunk, check_snapid(last->from),
			    check_snapid(last->to));
	if (ex->to == CHECK_ID_NONE || check_high(ex->to) >= sb->next_first)
		check_found(c, place, "to", "is %s, which was never given: next_first is %llu",
			    check_snapid(ex->to), sb->next_first);
	if (ex->block < sb->data_start || ex->block - sb->data_start >= sb->data_chunks) {
		check_found(c, place, "value",
			    "is chunk %llu, outside of the data area of %llu chunks from %llu",
			    ex->block, sb->data_chunks, sb->data_start);
		c->tree_whole = false;
		return;
	}
	if (!check_grow(c, (void **)&c->exceptions, &c->max_exceptions, c->nr_exceptions,
			sizeof(*ex)))
		return;
	c->exceptions[c->nr_exceptions++] = *ex;
}

static void leaf_entries(struct walk *w, const struct check_place *here)
{
	for (unsigned int i = 0; i < w->node.count; i++) {
		const u64 *f = w->node.field[i];
		struct check_place place = check_at_part(*here, "entry", i);
		struct check_exception ex = {
			.chunk = f[0],
			.from = join_id(f[1], f[2]),
			.to = join_id(f[3], f[4]),
			.block = f[5],
		};

		check_order(w, &place, ex.chunk, ex.from);
		if (ex.chunk == CHECK_CHUNKS_END)
			snapshot_entry(w, &place, ex.from, ex.to, ex.block);
		else
			exception_entry(w, &place, &ex);
	}
}

static void inner_entries(struct walk *w, const struct check_place *here)
{
	struct check *c = w->c;
	const struct check_super *sb = &c->sb;

	for (unsigned int i = 0; i < w->node.count; i++) {
		const u64 *f = w->node.field[i];
		struct check_place place = check_at_part(*here, "entry", i);
		struct child child = {
			.chunk = f[0],
			.from = join_id(f[1], f[2]),
			.block = f[3],
			.seq = f[4],
			.keyed = true,
		};

		check_order(w, &place, child.chunk, child.from);
		if (child.block < sb->meta_start ||
		    child.block - sb->meta_start >= sb->meta_blocks) {
			check_found(
				c, &place, "child",
				"is block %llu, outside of the metadata area of %llu blocks from %llu",
				child.block, sb->meta_blocks, sb->meta_start);
			c->tree_whole = false;
			continue;
		}
		if (child.seq < 1 || child.seq > w->node.seq)
			check_found(c, &place, "seq of child",
				    "is %llu, expected 1..%llu (that of this node)", child.seq,
				    w->node.seq);
		if (!check_grow(c, (void **)&w->below.v, &w->below.max, w->below.n, sizeof(child)))
			return;
		w->below.v[w->below.n++] = child;
	}
}

/* ---- nodes ---- */

/* What the parent says about the first key; and the root has no parent. */
static void check_first_key(struct walk *w, const struct check_place *place,
			    const struct child *child)
{
	const struct check_node *node = &w->node;
	u64 from = join_id(node->field[0][1], node->field[0][2]);

	if (child->keyed && (node->field[0][0] != child->chunk || from != child->from))
		check_found(w->c, place, "first key",
			    "is (%llu, %s), expected (%llu, %s) as its parent says",
			    node->field[0][0], check_snapid(from), child->chunk,
			    check_snapid(child->from));
	if (!child->keyed && w->depth && node->count < 2)
		check_found(w->c, place, "count", "is 1 in the root, expected at least 2");
}

static bool visit(struct walk *w, const struct child *child)
{
	struct check *c = w->c;
	struct check_place place = check_at_block(CHECK_TREE, child->block);

	if (child->twice) {
		check_found(c, &place, "reached", "more than once");
		return false;
	}
	if (!check_read_block(c, &place, child->block, w->bytes) ||
	    !check_node(c, child->block, w->bytes, w->depth, child->seq, &w->node))
		return false;
	check_first_key(w, &place, child);
	if (!check_grow(c, (void **)&c->nodes, &c->max_nodes, c->nr_nodes, sizeof(*c->nodes)))
		return false;
	c->nodes[c->nr_nodes++] = child->block;
	if (w->depth)
		inner_entries(w, &place);
	else
		leaf_entries(w, &place);
	return true;
}

/* By block, then by place in the level: the first of equal blocks is the one that counts. */
static int compare_children(const void *a, const void *b)
{
	const struct child *x = *(struct child *const *)a, *y = *(struct child *const *)b;

	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool mark_twice(struct check *c, struct children *level)
{
	struct child **sorted = reallocarray(NULL, level->n, sizeof(*sorted));

	if (!sorted) {
		c->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < level->n; i++)
		sorted[i] = &level->v[i];
	qsort(sorted, level->n, sizeof(*sorted), compare_children);
	for (size_t i = 1; i < level->n; i++)
		sorted[i]->twice = sorted[i]->block == sorted[i - 1]->block;
	free(sorted);
	return true;
}

static void walk_level(struct walk *w)
{
	struct children above = w->level;

	w->any_key = false;
	w->below.n = 0;
	if (!mark_twice(w->c, &above))
		return;
	for (size_t i = 0; i < above.n && !w->c->out_of_memory; i++)
		if (!visit(w, &above.v[i]))
			w->c->tree_whole = false;
	w->level = w->below;
	w->below = above;
}

static void walk_tree(struct check *c)
{
	const struct check_super *sb = &c->sb;
	struct walk *w;

	c->tree_whole = true;
	if (!sb->root)
		return;
	if (!sb->depth || sb->depth > CHECK_MAX_DEPTH || sb->root < sb->meta_start ||
	    sb->root - sb->meta_start >= sb->meta_blocks) {
		c->tree_whole = false; /* and found by check_super() */
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w || !check_grow(c, (void **)&w->level.v, &w->level.max, 0, sizeof(*w->level.v))) {
		c->out_of_memory = true;
		free(w);
		return;
	}
	w->c = c;
	w->level.v[w->level.n++] = (struct child){ .block = sb->root, .seq = sb->root_seq };
	for (w->depth = sb->depth; w->depth-- && w->level.n && !c->out_of_memory;)
		walk_level(w);
	free(w->level.v);
	free(w->below.v);
	free(w);
}

/* ---- what needs all entries ---- */

static int compare_snapshot(const void *key, const void *element)
{
	u64 id = *(const u64 *)key, other = ((const struct check_snapshot *)element)->id;

	return id < other ? -1 : id > other;
}

/* Is @id a sub-snapshot that its living master has not given yet? */
static bool not_given(const struct check *c, u64 id, u64 *next_sub)
{
	const struct check_snapshot *master;
	u64 master_id = check_master(id);

	if (check_is_first(id) || !c->nr_snapshots)
		return false;
	master = bsearch(&master_id, c->snapshots, c->nr_snapshots, sizeof(*master),
			 compare_snapshot);
	if (!master || check_low(id) < master->next_sub)
		return false;
	*next_sub = master->next_sub;
	return true;
}

static void check_given(struct check *c)
{
	struct check_place place = check_at_sector(CHECK_TREE, CHECK_NOWHERE);
	u64 next_sub;

	for (size_t i = 0; i < c->nr_snapshots; i++)
		if (not_given(c, c->snapshots[i].id, &next_sub))
			check_found(c, &place, "snapshot",
				    "%s was never given: the next_sub of its master is %llu",
				    check_snapid(c->snapshots[i].id), next_sub);
	for (size_t i = 0; i < c->nr_exceptions; i++)
		if (not_given(c, c->exceptions[i].to, &next_sub))
			check_found(
				c, &place, "to",
				"is %s for chunk %llu, which was never given: the next_sub of its master is %llu",
				check_snapid(c->exceptions[i].to), c->exceptions[i].chunk,
				next_sub);
}

static void check_counter(struct check *c, const char *field, u64 counter, u64 found)
{
	struct check_place place = check_at_sector(CHECK_SUPERBLOCK, 0);

	if (counter != found)
		check_found(c, &place, field, "is %llu, but the tree has %llu", counter, found);
}

void check_tree(struct check *c)
{
	walk_tree(c);
	if (!c->tree_whole || c->out_of_memory)
		return;
	check_given(c);
	check_counter(c, "nr_exceptions", c->sb.nr_exceptions, c->nr_exceptions);
	check_counter(c, "nr_snapshots", c->sb.nr_snapshots, c->nr_snapshots);
	check_counter(c, "tree_blocks", c->sb.tree_blocks, c->nr_nodes);
}
