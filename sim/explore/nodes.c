// SPDX-License-Identifier: GPL-2.0
/*
 * Partial-order reduction (nodes.h): source sets and sleep sets, as in Abdulla, Aronis, Jonsson, Sagonas, Source Sets: A
 * Foundation for Optimal Dynamic Partial Order Reduction, JACM 2017, algorithm 1.
 *
 * For each race of a schedule the other order of the two steps has to be seen, too: at the node before the first, one of
 * the processes that could begin that other order is put on the list of what to do. What has been done at a node sleeps in
 * the branches after it, until a step in conflict wakes it: a schedule in which only sleepers are ready has been seen in
 * another order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nodes.h"
#include "rewind.h"
#include "search.h"

static struct nodes {
	GROWING(struct node) nodes;
	u32 nodes_made; /* have been initialised, by this search or one before */
	GROWING(u32) of_step;
	u32 first_process;
	u64 preemptions;
	u64 cut;
} *x;

/* ---- nodes ---- */

void nodes_start(u64 preemptions)
{
	if (!x)
		x = keep_alloc(sizeof(*x));
	nodes_truncate(0);
	x->preemptions = preemptions;
	x->cut = 0;
}

void nodes_first_process(u32 process)
{
	x->first_process = process;
}

u32 nodes_count(void)
{
	return x->nodes.nr;
}

struct node *node_at(u32 i)
{
	return &x->nodes.at[i];
}

u64 nodes_cut(void)
{
	return x->cut;
}

static struct node *node_push(struct checkpoint *checkpoint)
{
	struct node *node = push(&x->nodes);

	if (x->nodes.nr > x->nodes_made) {
		memset(node, 0, sizeof(*node));
		x->nodes_made = x->nodes.nr;
	}
	node->is_value = false;
	node->checkpoint = checkpoint;
	node->ready.nr = node->todo.nr = node->sleep.nr = node->done.nr = node->touched.nr = 0;
	return node;
}

static void node_pop(void)
{
	struct node *node = &x->nodes.at[--x->nodes.nr];

	for (u32 i = 0; i < node->done.nr; i++)
		keep_free(node->done.at[i].touches);
	if (node->checkpoint)
		rewind_drop(node->checkpoint);
}

void nodes_truncate(u32 nr)
{
	while (x->nodes.nr > nr)
		node_pop();
}

static bool holds(const u32 *at, u32 nr, u32 value)
{
	for (u32 i = 0; i < nr; i++)
		if (at[i] == value)
			return true;
	return false;
}

static bool sleeps(const struct sleeper *at, u32 nr, u32 process)
{
	for (u32 i = 0; i < nr; i++)
		if (at[i].process == process)
			return true;
	return false;
}

bool node_is_ready(const struct node *node, u32 process)
{
	return holds(node->ready.at, node->ready.nr, process);
}

void node_begins_step(u32 i)
{
	grow(&x->of_step, trace_length());
	x->of_step.at[trace_length() - 1] = i;
}

u32 node_of_step(u32 step)
{
	return x->of_step.at[step];
}

static struct node *node_of(u32 step)
{
	return &x->nodes.at[node_of_step(step)];
}

static bool is_bounded(void)
{
	return x->preemptions != NO_LIMIT;
}

/* Whose step it is. That others see a store is done for the one that has stored. */
static u32 runs_for(u32 step)
{
	const struct step *s = trace_step(step);

	return s->does.stored_by ? s->does.stored_by : s->process;
}

static u32 process_before(const struct node *node)
{
	return node->step ? runs_for(node->step - 1) : x->first_process;
}

/* ---- the other order of a race ---- */

static void plan(struct node *node, u32 process)
{
	if (process != node->process && !holds(node->todo.at, node->todo.nr, process) &&
	    !sleeps(node->done.at, node->done.nr, process))
		*push(&node->todo) = process;
}

/*
 * With a bound, the other order may be within it only when the switch comes where the process of the first step was
 * switched to: there, too (Coons, Musuvathi, McKinley, Bounded Partial-Order Reduction, OOPSLA 2013).
 */
static void reverse_earlier(const struct race *race)
{
	u32 step = race->first, process = trace_step(race->second)->process;
	struct node *node;

	while (step && runs_for(step - 1) == runs_for(step))
		step--;
	node = node_of(step);
	if (node_is_ready(node, process)) {
		plan(node, process);
		return;
	}
	for (u32 i = 0; i < node->ready.nr; i++)
		plan(node, node->ready.at[i]);
}

/*
 * Puts one of those on the list that could begin the other order; unless one of them has been, or is going to be, chosen
 * there, or sleeps there: then every schedule with the other order has been or will be seen.
 */
static void reverse(const struct race *race)
{
	struct node *node = node_of(race->first);
	u32 nr, second = trace_step(race->second)->process;
	const u32 *initials = trace_initials(race, &nr);

	for (u32 i = 0; i < nr; i++)
		if (initials[i] == node->process || holds(node->todo.at, node->todo.nr, initials[i]) ||
		    sleeps(node->done.at, node->done.nr, initials[i]) ||
		    sleeps(node->sleep.at, node->sleep.nr, initials[i]))
			return;
	if (holds(initials, nr, second) && node_is_ready(node, second)) {
		*push(&node->todo) = second;
		return;
	}
	for (u32 i = 0; i < nr; i++) {
		if (!node_is_ready(node, initials[i]))
			continue;
		*push(&node->todo) = initials[i];
		return;
	}
	fprintf(stderr, "explore: internal error: no process can begin the other order of steps %u and %u\n",
		race->first, race->second);
	abort();
}

void nodes_reverse(const struct race *race)
{
	reverse(race);
	if (is_bounded())
		reverse_earlier(race);
}

/* ---- a new node ---- */

/* What slept in or was done at the node before, unless its step has woken it. */
static void inherit_sleepers(struct node *node)
{
	u32 nr, step = trace_length();
	const struct touch *touches;
	const struct node *before;

	if (!step)
		return;
	before = node_of(step - 1);
	touches = trace_touches(step - 1, &nr);
	for (u32 i = 0; i < before->sleep.nr + before->done.nr; i++) {
		const struct sleeper *s = i < before->sleep.nr ? &before->sleep.at[i] :
								 &before->done.at[i - before->sleep.nr];

		if (s->process != before->process && !touches_conflict(s->touches, s->nr, touches, nr))
			*push(&node->sleep) = *s;
	}
}

struct node *node_add(const struct sim_step *ready, u32 n, struct checkpoint *checkpoint, bool reduce)
{
	struct node *node = node_push(checkpoint);

	node->step = trace_length();
	node->own_store = 0;
	for (u32 i = 0; i < n; i++) {
		*push(&node->ready) = ready[i].process;
		if (ready[i].stored_by && ready[i].stored_by == process_before(node) && !node->own_store)
			node->own_store = ready[i].process;
	}
	/* What sleeps may have been seen only beyond the bound. */
	if (reduce && !is_bounded())
		inherit_sleepers(node);
	return node;
}

struct node *node_add_value(u32 n)
{
	struct node *node = node_push(NULL);

	node->is_value = true;
	node->step = trace_length() - 1;
	node->nr_values = n;
	node->value = 0;
	return node;
}

/* The one that ran last goes on where it can, if need be by others seeing its stores: so schedules have few preemptions. Else the first. */
bool node_first_choice(const struct node *node, u32 *process)
{
	u32 last = process_before(node);

	*process = last;
	if (node_is_ready(node, last) && !sleeps(node->sleep.at, node->sleep.nr, last))
		return true;
	*process = node->own_store;
	if (*process && !sleeps(node->sleep.at, node->sleep.nr, *process))
		return true;
	for (u32 i = 0; i < node->ready.nr; i++) {
		*process = node->ready.at[i];
		if (!sleeps(node->sleep.at, node->sleep.nr, *process))
			return true;
	}
	return false;
}

/* How many there are up to here with @process going on. */
static u32 preemptions(const struct node *node, u32 process)
{
	u32 last = process_before(node);

	return (node->step ? node_of(node->step - 1)->preemptions : 0) +
	       (process != last && node_is_ready(node, last));
}

void node_choose(struct node *node, u32 process)
{
	node->process = process;
	node->preemptions = preemptions(node, process);
}

/* ---- the next branch ---- */

static struct touch *copy_touches(const struct node *node, u32 *nr)
{
	u32 n;
	const struct touch *touches = trace_touches(node->step, &n);
	struct touch *copy = keep_alloc((n + node->touched.nr + 1) * sizeof(*copy));

	memcpy(copy, touches, n * sizeof(*copy));
	if (node->touched.nr)
		memcpy(copy + n, node->touched.at, node->touched.nr * sizeof(*copy));
	*nr = n + node->touched.nr;
	return copy;
}

static void add_done(struct node *node)
{
	struct sleeper done = { .process = node->process };

	done.touches = copy_touches(node, &done.nr);
	*push(&node->done) = done;
	node->touched.nr = 0;
}

/* Another process for @node; false: none is left. */
static bool next_process(struct node *node)
{
	for (u32 i = 0; i < node->todo.nr; i++) {
		u32 process = node->todo.at[i];

		if (preemptions(node, process) > x->preemptions) {
			x->cut++;
			continue;
		}
		node_choose(node, process);
		memmove(node->todo.at, node->todo.at + i + 1, (node->todo.nr - i - 1) * sizeof(u32));
		node->todo.nr -= i + 1;
		return true;
	}
	return false;
}

/* What this value has made the step touch holds for the step as a whole. */
static void add_touched(const struct node *value)
{
	struct node *node = node_of(value->step);
	u32 nr;
	const struct touch *touches = trace_touches(value->step, &nr);

	for (u32 i = 0; i < nr; i++)
		*push(&node->touched) = touches[i];
}

bool nodes_next(void)
{
	for (; x->nodes.nr; node_pop()) {
		struct node *node = &x->nodes.at[x->nodes.nr - 1];

		/* Given up before anybody was chosen. */
		if (node->step == trace_length())
			continue;
		if (node->is_value) {
			add_touched(node);
			if (++node->value < node->nr_values)
				return true;
			continue;
		}
		add_done(node);
		if (next_process(node))
			return true;
	}
	return false;
}
