// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions and live snapshots while the log is applied, and the rule about garbage (FORMAT.md
 * section 6).
 *
 * The checkpoint's exceptions stay in their sorted array. Those of a chunk that the log touches
 * are copied, once, into a balanced tree (tsearch()), and only the tree counts for that chunk from
 * then on. The trees are ordered by comparing *ranges*: two that meet are equal. So looking for a
 * range finds whoever is in its way, and looking for a range of snapids finds a live one in it,
 * all in logarithmic time whatever the image says.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* tdestroy(), twalk_r() */
#endif
#include <search.h>

#include "check_int.h"

struct check_state {
	struct check *c;
	void *live; /* of struct check_snapshot */
	u64 nr_live;
	void *changed; /* of struct check_exception; all those of the loaded chunks */
	u8 *loaded; /* bit i: the chunk whose first exception in the checkpoint is i */
	u64 nr_exceptions;
};

/* ---- comparing ranges ---- */

struct id_range {
	u64 from, to;
};

/* A struct id_range against what begins with an id: tfind() gives the key first. */
static int compare_ids(const void *a, const void *b)
{
	const struct id_range *range = a;
	u64 id = *(const u64 *)b;

	if (range->to < id)
		return -1;
	return range->from > id;
}

static int compare_exceptions(const void *a, const void *b)
{
	const struct check_exception *x = a, *y = b;

	if (x->chunk != y->chunk)
		return x->chunk < y->chunk ? -1 : 1;
	if (x->to < y->from)
		return -1;
	return x->from > y->to;
}

/* ---- live snapshots ---- */

struct check_snapshot *check_live_find(const struct check_state *state, u64 id)
{
	struct id_range range = { id, id };
	void *node = tfind(&range, &state->live, compare_ids);

	return node ? *(struct check_snapshot **)node : NULL;
}

bool check_live(const struct check_state *state, u64 id)
{
	return check_live_find(state, id);
}

bool check_live_in(const struct check_state *state, u64 from, u64 to)
{
	struct id_range range = { from, to };

	return tfind(&range, &state->live, compare_ids);
}

static bool insert_snapshot(struct check_state *state, u64 id, u64 next_sub)
{
	struct check_snapshot *snapshot = malloc(sizeof(*snapshot));

	if (!snapshot)
		goto bad_memory;
	*snapshot = (struct check_snapshot){ id, next_sub };
	if (!tsearch(snapshot, &state->live, check_compare_u64))
		goto bad_memory;
	state->nr_live++;
	return true;

bad_memory:
	free(snapshot);
	state->c->out_of_memory = true;
	return false;
}

bool check_live_add(struct check_state *state, u64 id)
{
	return insert_snapshot(state, id, 0);
}

void check_live_remove(struct check_state *state, u64 id)
{
	struct check_snapshot *snapshot = check_live_find(state, id);

	tdelete(snapshot, &state->live, check_compare_u64);
	free(snapshot);
	state->nr_live--;
}

u64 check_live_count(const struct check_state *state)
{
	return state->nr_live;
}

/* ---- exceptions ---- */

/* The first exception of the checkpoint at or above (chunk, 0). */
static size_t first_of_chunk(const struct check *c, u64 chunk)
{
	size_t low = 0, high = c->nr_exceptions;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->exceptions[middle].chunk < chunk)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool insert_exception(struct check_state *state, const struct check_exception *ex)
{
	struct check_exception *copy = malloc(sizeof(*copy));

	if (copy)
		*copy = *ex;
	if (!copy || !tsearch(copy, &state->changed, compare_exceptions)) {
		free(copy);
		state->c->out_of_memory = true;
		return false;
	}
	return true;
}

static void load_chunk(struct check_state *state, u64 chunk)
{
	const struct check *c = state->c;
	size_t i = first_of_chunk(c, chunk);

	if (i == c->nr_exceptions || c->exceptions[i].chunk != chunk ||
	    state->loaded[i / 8] & 1 << i % 8)
		return;
	state->loaded[i / 8] |= 1 << i % 8;
	for (; i < c->nr_exceptions && c->exceptions[i].chunk == chunk; i++)
		if (!insert_exception(state, &c->exceptions[i]))
			return;
}

const struct check_exception *check_exception_add(struct check_state *state,
						  const struct check_exception *ex)
{
	void *node;

	load_chunk(state, ex->chunk);
	node = tfind(ex, &state->changed, compare_exceptions);
	if (node)
		return *(struct check_exception **)node;
	if (insert_exception(state, ex))
		state->nr_exceptions++;
	return NULL;
}

struct check_exception *check_exception_find(struct check_state *state, u64 chunk, u64 from)
{
	struct check_exception point = { .chunk = chunk, .from = from, .to = from }, *ex;
	void *node;

	load_chunk(state, chunk);
	node = tfind(&point, &state->changed, compare_exceptions);
	ex = node ? *(struct check_exception **)node : NULL;
	return ex && ex->from == from ? ex : NULL;
}

void check_exception_remove(struct check_state *state, struct check_exception *ex)
{
	tdelete(ex, &state->changed, compare_exceptions);
	free(ex);
	state->nr_exceptions--;
}

u64 check_exception_count(const struct check_state *state)
{
	return state->nr_exceptions;
}

/* ---- from and to the checkpoint ---- */

struct check_state *check_state_create(struct check *c)
{
	struct check_state *state = calloc(1, sizeof(*state));

	if (!state)
		goto bad_memory;
	state->c = c;
	state->nr_exceptions = c->nr_exceptions;
	state->loaded = calloc(c->nr_exceptions / 8 + 1, 1);
	if (!state->loaded)
		goto bad_memory;
	for (size_t i = 0; i < c->nr_snapshots; i++)
		if (!insert_snapshot(state, c->snapshots[i].id, c->snapshots[i].next_sub))
			goto bad_memory;
	return state;

bad_memory:
	check_state_free(state);
	c->out_of_memory = true;
	return NULL;
}

void check_state_free(struct check_state *state)
{
	if (!state)
		return;
	tdestroy(state->live, free);
	tdestroy(state->changed, free);
	free(state->loaded);
	free(state);
}

/* ---- garbage ---- */

struct judge {
	struct check *c;
	const struct check_state *state;
	const char *area;
	const struct check_reclaim *reclaim;
	u64 *ids; /* live, sorted */
	size_t nr_ids;
	u64 garbage;
};

static void collect_id(const void *node, VISIT which, void *closure)
{
	struct judge *judge = closure;

	if (which == postorder || which == leaf)
		judge->ids[judge->nr_ids++] = (*(struct check_snapshot *const *)node)->id;
}

static bool has_live_id(const struct judge *judge, const struct check_exception *ex)
{
	size_t low = 0, high = judge->nr_ids;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (judge->ids[middle] < ex->from)
			low = middle + 1;
		else
			high = middle;
	}
	return low < judge->nr_ids && judge->ids[low] <= ex->to;
}

/* What a live snapshot has, its sub-snapshots to come have too. Only the first snapshot of a range can be cut off from its own. */
static void judge_first(struct judge *judge, const struct check_exception *ex)
{
	struct check_place place = check_at_sector(judge->area, CHECK_NOWHERE);
	const struct check_snapshot *master = check_live_find(judge->state, check_master(ex->from));

	if (!master || master->id > ex->to || check_low(ex->from) <= master->next_sub)
		return;
	check_found(judge->c, &place, "from",
		    "exception (%llu, %s..%s) at chunk %llu has the live snapshot %s, but not all its sub-snapshots to come, from number %llu on",
		    ex->chunk, check_snapid(ex->from), check_snapid(ex->to), ex->block,
		    check_snapid(master->id), master->next_sub);
}

static void judge_exception(struct judge *judge, const struct check_exception *ex)
{
	struct check_place place = check_at_sector(judge->area, CHECK_NOWHERE);
	const struct check_reclaim *reclaim = judge->reclaim;
	bool passed;

	judge_first(judge, ex);
	if (has_live_id(judge, ex))
		return;
	judge->garbage++;
	passed = ex->chunk != reclaim->chunk ? ex->chunk < reclaim->chunk :
					       ex->from < reclaim->from;
	if (reclaim->bits & CHECK_RECLAIM_PASS && (!passed || reclaim->bits & CHECK_RECLAIM_AGAIN))
		return;
	check_found(judge->c, &place, "garbage",
		    "exception (%llu, %s..%s) at chunk %llu has no live snapshot, and %s",
		    ex->chunk, check_snapid(ex->from), check_snapid(ex->to), ex->block,
		    reclaim->bits & CHECK_RECLAIM_PASS ? "the reclaim pass is beyond it" :
							 "no reclaim pass is under way");
}

static void judge_changed(const void *node, VISIT which, void *closure)
{
	if (which == postorder || which == leaf)
		judge_exception(closure, *(struct check_exception *const *)node);
}

u64 check_garbage(struct check *c, struct check_state *state, const char *area,
		  const struct check_reclaim *reclaim)
{
	struct judge judge = { .c = c, .state = state, .area = area, .reclaim = reclaim };
	bool loaded = false;

	judge.ids = reallocarray(NULL, state->nr_live + 1, sizeof(*judge.ids));
	if (!judge.ids) {
		c->out_of_memory = true;
		return 0;
	}
	twalk_r(state->live, collect_id, &judge);
	for (size_t i = 0; i < c->nr_exceptions; i++) {
		if (!i || c->exceptions[i].chunk != c->exceptions[i - 1].chunk)
			loaded = state->loaded[i / 8] & 1 << i % 8;
		if (!loaded)
			judge_exception(&judge, &c->exceptions[i]);
	}
	twalk_r(state->changed, judge_changed, &judge);
	free(judge.ids);
	return judge.garbage;
}
