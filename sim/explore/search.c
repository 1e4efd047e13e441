// SPDX-License-Identifier: GPL-2.0
/*
 * Searching the schedules of a program (search.h).
 *
 * SEARCH_ALL is dynamic partial-order reduction (nodes.c). The search goes down one schedule to its end, then back to the
 * deepest node that has something to do: by the checkpoint of that node or one before it, and by repeating the choices from
 * there, during which nothing is recorded.
 *
 * All state is in memory that is not rewound.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "nodes.h"
#include "race.h"
#include "rewind.h"
#include "search.h"
#include "story.h"
#include "trace.h"
#include "walk.h"

/* Steps between two checkpoints: one costs as much as running about so many steps. */
#define CHECKPOINT_STEPS 96

/* Processes that have begun and not ended. */
#define MAX_STACKS 192

enum outcome { RUN_COMPLETE, RUN_REDUNDANT, RUN_FOUND };

static struct search {
	struct search_options options;
	struct search_result result;
	u32 at; /* the node that comes next */
	u32 live; /* the first node from which on steps are recorded */
	bool repeating;
	bool open; /* a step is under way */
	bool inside; /* between search_begin() and search_end() */
	u32 last_checkpoint;
	void (*program)(void *arg);
	void *arg;
	struct checkpoint *pristine; /* before the program */
	GROWING(u32) schedule; /* of the finding, and of a random run */
} *x;

/* ---- steps ---- */

static void end_step(void)
{
	const struct race *races;
	u32 nr;

	if (!x->open)
		return;
	x->open = false;
	races = trace_end_step(&nr);
	for (u32 i = 0; i < nr && x->options.strategy == SEARCH_ALL; i++)
		nodes_reverse(&races[i]);
}

static void begin_step(const struct sim_step *step)
{
	trace_begin_step(step);
	node_begins_step(x->at - 1);
	x->open = true;
	story_step(step);
	x->result.counts.steps++;
	if (trace_length() > x->options.max_steps)
		sim_fail("no end after %u steps: livelock, or a scenario too large", x->options.max_steps);
}

/* ---- choosing ---- */

static u32 choose_process(const struct node *node)
{
	u32 i = x->at - 1, process;

	if (x->options.strategy == SEARCH_RANDOM)
		return node->ready.at[walk_pick(node->ready.at, node->ready.nr, node->step)];
	if (x->options.strategy == SEARCH_FIXED && i < x->options.nr_schedule &&
	    node_is_ready(node, x->options.schedule[i]))
		return x->options.schedule[i];
	if (!node_first_choice(node, &process))
		rewind_leave(RUN_REDUNDANT);
	return process;
}

static void node_new(const struct sim_step *ready, u32 n, struct checkpoint *checkpoint)
{
	struct node *node = node_add(ready, n, checkpoint, x->options.strategy == SEARCH_ALL);

	node->race_mark = race_mark();
	x->at++; /* it is there, even if nobody can be chosen */
	node_choose(node, choose_process(node));
}

/* The choices up to here are made again; from now on it is recorded what happens. */
static void go_live(void)
{
	x->repeating = false;
	race_pause(false);
}

static u32 pick(const struct sim_step *ready, u32 n)
{
	struct checkpoint *checkpoint = NULL;
	struct node *node;

	end_step();
	if (x->at == nodes_count() &&
	    (!x->at || x->at - x->last_checkpoint >= CHECKPOINT_STEPS)) {
		checkpoint = rewind_mark();
		/* From here on once for each time that the search comes back. */
	}
	if (x->at == nodes_count()) {
		if (checkpoint)
			x->last_checkpoint = x->at;
		node_new(ready, n, checkpoint);
	} else {
		x->at++;
	}
	if (x->at - 1 == x->live)
		go_live();
	node = node_at(x->at - 1);
	for (u32 i = 0; i < n; i++) {
		if (ready[i].process != node->process)
			continue;
		if (!x->repeating) {
			begin_step(&ready[i]);
			race_step(node->process);
		}
		return i;
	}
	fprintf(stderr, "explore: internal error: a run that is repeated is not the same: process %u is not ready\n",
		node->process);
	abort();
}

static u32 choose(u32 n, const char *what)
{
	struct node *node;

	if (x->at == nodes_count()) {
		node = node_add_value(n);
		if (x->options.strategy == SEARCH_RANDOM)
			node->value = walk_value(n);
		else if (x->options.strategy == SEARCH_FIXED && x->at < x->options.nr_schedule)
			node->value = x->options.schedule[x->at] % n;
	}
	return node_at(x->at++)->value;
}

/* ---- what the simulated kernel tells ---- */

static void access(const void *object, u32 part, enum sim_access kind)
{
	if (x->open)
		trace_touch(object, part, kind);
}

static void enables(u32 process)
{
	if (x->repeating)
		return;
	trace_enables(process);
	race_enables(process);
}

static void idle(void)
{
	end_step();
	if (x->repeating)
		return;
	trace_idle();
	race_idle();
}

static void acquire(const void *object)
{
	if (x->open)
		race_acquire(object);
}

static void release(const void *object)
{
	if (x->open)
		race_release(object);
}

static void allocated(const void *start, size_t size)
{
	if (!x->repeating)
		race_allocated(start, size);
}

static void freed(const void *start, size_t size)
{
	if (!x->repeating)
		race_freed(start, size);
}

static void note(const char *text)
{
	if (!x->repeating)
		story_note("%s", text);
}

static struct sim_explorer explorer = {
	.pick = pick,
	.choose = choose,
	.access = access,
	.enables = enables,
	.idle = idle,
	.acquire = acquire,
	.release = release,
	.allocated = allocated,
	.freed = freed,
};

/* ---- the program ---- */

void search_begin(void)
{
	if (x->inside)
		sim_fail("search_begin() twice");
	x->inside = true;
	x->result.began = true;
	explorer.late_stores = !x->options.no_late_stores;
	explorer.note = x->options.story ? note : NULL;
	nodes_first_process(sim_process());
	race_pause(false);
	sim_explore(&explorer);
}

void search_end(void)
{
	end_step();
	sim_explore(NULL);
	x->inside = false;
	race_pause(true);
}

void search_fail(void *context, const char *what)
{
	snprintf(x->result.what, sizeof(x->result.what), "%s", what);
	rewind_leave(RUN_FOUND);
}

/* On the stack of the program. Later searches begin at the checkpoint. */
static void start(void *unused)
{
	x->pristine = rewind_mark();
	x->program(x->arg);
	rewind_leave(RUN_COMPLETE);
}

/* ---- going back ---- */

/* A walk begins anew. */
static void next_walk(void)
{
	const struct search_counts *c = &x->result.counts;
	struct node *first = node_at(0);

	nodes_truncate(1);
	walk_start(x->options.seed + c->traces, x->options.depth, (u32)c->max_steps);
	node_choose(first, first->ready.at[walk_pick(first->ready.at, first->ready.nr, 0)]);
}

/* To the last node, which has made another choice. */
static int go_back(void)
{
	const struct node *node = node_at(nodes_count() - 1);
	u32 from;

	x->live = node->is_value ? node_of_step(node->step) : nodes_count() - 1;
	node = node_at(x->live);
	for (from = x->live; !node_at(from)->checkpoint; from--)
		;
	trace_truncate(node->step);
	race_back(node->race_mark);
	race_pause(true);
	x->at = from;
	x->last_checkpoint = from;
	x->repeating = true;
	x->open = false;
	return rewind_back(node_at(from)->checkpoint);
}

/* ---- searching ---- */

static void note_schedule(void)
{
	u32 nr = nodes_count();

	x->schedule.nr = 0;
	for (u32 i = 0; i < nr; i++)
		*push(&x->schedule) = node_at(i)->is_value ? node_at(i)->value : node_at(i)->process;
	x->result.schedule = x->schedule.at;
	x->result.nr_schedule = nr;
	x->result.preemptions = nr ? node_at(nr - 1)->preemptions : 0;
}

static void count_run(enum outcome outcome)
{
	struct search_counts *c = &x->result.counts;

	c->max_steps = max_t(u64, c->max_steps, trace_length());
	if (outcome == RUN_COMPLETE)
		c->traces++;
	else if (outcome == RUN_REDUNDANT)
		c->redundant++;
	else
		x->result.found = true;
}

static void forget_all(u64 preemptions)
{
	nodes_start(preemptions);
	trace_start();
	memset(&x->result, 0, sizeof(x->result));
	x->at = 0;
	x->live = 0;
	x->repeating = false;
	x->open = false;
	x->inside = false;
	x->last_checkpoint = 0;
}

const struct search_result *search(const struct search_options *options, void (*program)(void *arg), void *arg)
{
	enum outcome outcome;

	if (!x) {
		x = keep_alloc(sizeof(*x));
		trace_init();
		sim_reserve_stacks(MAX_STACKS);
	}
	forget_all(options->preemptions);
	x->options = *options;
	walk_start(options->seed, options->depth, 1000);
	if (!options->no_races)
		race_start();
	story_start(options->story);
	x->program = program;
	x->arg = arg;
	outcome = x->pristine ? rewind_back(x->pristine) : rewind_run(start, NULL);
	count_run(outcome);
	while (outcome != RUN_FOUND) {
		struct search_counts *c = &x->result.counts;

		if (c->traces + c->redundant >= options->max_runs)
			break;
		if (options->strategy == SEARCH_FIXED)
			break;
		if (options->strategy == SEARCH_RANDOM) {
			next_walk();
		} else if (!nodes_next()) {
			x->result.ended = true;
			x->result.complete = !nodes_cut();
			break;
		}
		outcome = go_back();
		count_run(outcome);
	}
	if (outcome == RUN_FOUND)
		note_schedule();
	race_stop();
	return &x->result;
}
