// SPDX-License-Identifier: GPL-2.0
/*
 * Searching the schedules of a program (search.h).
 *
 * SEARCH_ALL is dynamic partial order reduction with source sets and sleep sets (Abdulla, Aronis, Jonsson, Sagonas, Source
 * Sets: A Foundation for Optimal Dynamic Partial Order Reduction, JACM 2017, algorithm 1). The search goes down one
 * schedule to its end. For each race in it the other order of the two steps has to be seen, too: at the node before the first, one of the
 * processes that could begin that other order is put on the list of what to do. Then it goes back to the deepest node that has something to
 * do. What has been done at a node sleeps in the branches after it, until a step in conflict wakes it: a schedule in
 * which only sleepers are ready has been seen in another order, and is given up ("redundant").
 *
 * A node is a choice: of the process that takes the next step, or of a value (sim_choose()), all of which are tried.
 * Going back is by the checkpoint of that node or one before it, and repeating the choices from there, during which
 * nothing is recorded.
 *
 * All state is in memory that is not rewound.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "grow.h"
#include "race.h"
#include "search.h"
#include "story.h"
#include "trace.h"
#include "walk.h"

/* Steps between two checkpoints: one costs as much as running about so many steps. */
#define CHECKPOINT_STEPS 96

/* Processes that have begun and not ended. */
#define MAX_STACKS 192

struct sleeper {
	u32 process;
	struct touch *touches; /* of its next step */
	u32 nr;
};

struct node {
	bool is_value;
	u32 step; /* that it begins, or is in the middle of */
	u32 race_mark;
	struct checkpoint *checkpoint;
	/* a choice of the process */
	u32 process; /* chosen */
	u32 preemptions;
	GROWING(u32) ready;
	GROWING(u32) todo;
	GROWING(struct sleeper) sleep;
	GROWING(struct sleeper) done; /* owns its touches */
	GROWING(struct touch) touched; /* by the chosen one, with other values of what is chosen in its step */
	/* a choice of a value */
	u32 value, nr_values;
};

enum outcome { RUN_COMPLETE, RUN_REDUNDANT, RUN_FOUND };

static struct search {
	struct search_options options;
	struct search_result result;
	GROWING(struct node) nodes;
	u32 nodes_made; /* have been initialised, by this search or one before */
	GROWING(u32) node_of_step;
	u32 at; /* the node that comes next */
	u32 target; /* the last node whose choice is given */
	u32 live; /* the first node from which on steps are recorded */
	bool repeating;
	bool open; /* a step is under way */
	bool inside; /* between search_begin() and search_end() */
	u32 last_checkpoint;
	u32 first_process; /* that called search_begin() */
	void (*program)(void *arg);
	void *arg;
	struct checkpoint *pristine; /* before the program */
	GROWING(u32) schedule; /* of the finding, and of a random run */
} *x;

/* ---- nodes ---- */

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

static bool holds(const u32 *at, u32 nr, u32 value)
{
	for (u32 i = 0; i < nr; i++)
		if (at[i] == value)
			return true;
	return false;
}

static const struct sleeper *find_sleeper(const struct sleeper *at, u32 nr, u32 process)
{
	for (u32 i = 0; i < nr; i++)
		if (at[i].process == process)
			return &at[i];
	return NULL;
}

/* The node that has begun step @nr. */
static struct node *node_of(u32 nr)
{
	return &x->nodes.at[x->node_of_step.at[nr]];
}

/* ---- races ---- */

static bool is_bounded(void)
{
	return x->options.preemptions != NO_LIMIT;
}

/*
 * What is put on the list: one of those that could begin the other order; unless one of them has been, or is going to be,
 * chosen there, or sleeps there: then every schedule with the other order has been or will be seen.
 */
static void plan(struct node *node, u32 process)
{
	if (process != node->process && !holds(node->todo.at, node->todo.nr, process) &&
	    !find_sleeper(node->done.at, node->done.nr, process))
		*push(&node->todo) = process;
}

/*
 * With a bound, the other order may be within it only when the switch comes where the process of the first step
 * was switched to: there, too (Coons, Musuvathi, McKinley, Bounded Partial-Order Reduction, OOPSLA 2013).
 */
static void reverse_earlier(const struct race *race)
{
	u32 step = race->first, process = trace_step(race->second)->process;
	struct node *node;

	while (step && trace_step(step - 1)->process == trace_step(step)->process)
		step--;
	node = node_of(step);
	if (holds(node->ready.at, node->ready.nr, process)) {
		plan(node, process);
		return;
	}
	for (u32 i = 0; i < node->ready.nr; i++)
		plan(node, node->ready.at[i]);
}

static void reverse(const struct race *race)
{
	struct node *node = node_of(race->first);
	u32 nr, second = trace_step(race->second)->process;
	const u32 *initials = trace_initials(race, &nr);

	for (u32 i = 0; i < nr; i++)
		if (initials[i] == node->process || holds(node->todo.at, node->todo.nr, initials[i]) ||
		    find_sleeper(node->done.at, node->done.nr, initials[i]) ||
		    find_sleeper(node->sleep.at, node->sleep.nr, initials[i]))
			return;
	if (holds(initials, nr, second) && holds(node->ready.at, node->ready.nr, second)) {
		*push(&node->todo) = second;
		return;
	}
	for (u32 i = 0; i < nr; i++) {
		if (!holds(node->ready.at, node->ready.nr, initials[i]))
			continue;
		*push(&node->todo) = initials[i];
		return;
	}
	fprintf(stderr, "explore: internal error: no process can begin the other order of steps %u and %u\n",
		race->first, race->second);
	abort();
}

static void end_step(void)
{
	const struct race *races;
	u32 nr;

	if (!x->open)
		return;
	x->open = false;
	races = trace_end_step(&nr);
	for (u32 i = 0; i < nr && x->options.strategy == SEARCH_ALL; i++) {
		reverse(&races[i]);
		if (is_bounded())
			reverse_earlier(&races[i]);
	}
}

static void begin_step(const struct sim_step *step)
{
	trace_begin_step(step);
	grow(&x->node_of_step, trace_length());
	x->node_of_step.at[trace_length() - 1] = x->at - 1;
	x->open = true;
	story_step(step);
	x->result.counts.steps++;
	if (trace_length() > x->options.max_steps)
		sim_fail("no end after %u steps: livelock, or a scenario too large", x->options.max_steps);
}

/* ---- choosing ---- */

/* What sleeps in the new node: what slept in or was done at the one before, unless its step has woken it. */
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

static u32 process_before(const struct node *node)
{
	return node->step ? trace_step(node->step - 1)->process : x->first_process;
}

/* The one that ran last goes on where it can: so schedules have few preemptions. Else the first. */
static u32 first_choice(const struct node *node)
{
	u32 last = process_before(node);

	if (holds(node->ready.at, node->ready.nr, last) &&
	    !find_sleeper(node->sleep.at, node->sleep.nr, last))
		return last;
	for (u32 i = 0; i < node->ready.nr; i++)
		if (!find_sleeper(node->sleep.at, node->sleep.nr, node->ready.at[i]))
			return node->ready.at[i];
	rewind_leave(RUN_REDUNDANT);
}

static u32 choose_process(const struct node *node)
{
	u32 i = x->at - 1;

	switch (x->options.strategy) {
	case SEARCH_ALL:
		return first_choice(node);
	case SEARCH_RANDOM:
		return node->ready.at[walk_pick(node->ready.at, node->ready.nr, node->step)];
	case SEARCH_FIXED:
		if (i < x->options.nr_schedule && holds(node->ready.at, node->ready.nr, x->options.schedule[i]))
			return x->options.schedule[i];
		return first_choice(node);
	}
	return 0;
}

/* How many there are up to here with @process going on. */
static u32 preemptions(const struct node *node, u32 process)
{
	u32 last = process_before(node);

	return (node->step ? node_of(node->step - 1)->preemptions : 0) +
	       (process != last && holds(node->ready.at, node->ready.nr, last));
}

static void node_new(const struct sim_step *ready, u32 n, struct checkpoint *checkpoint)
{
	struct node *node = node_push(checkpoint);

	node->step = trace_length();
	for (u32 i = 0; i < n; i++)
		*push(&node->ready) = ready[i].process;
	/* What sleeps may have been seen only beyond the bound. */
	if (x->options.strategy == SEARCH_ALL && !is_bounded())
		inherit_sleepers(node);
	node->race_mark = x->options.no_races ? 0 : race_mark();
	x->at++; /* it is there, even if nobody can be chosen */
	node->process = choose_process(node);
	node->preemptions = preemptions(node, node->process);
}

/* The choices up to here are made again; from now on it is recorded what happens. */
static void go_live(void)
{
	x->repeating = false;
	if (!x->options.no_races)
		race_pause(false);
}

static u32 pick(const struct sim_step *ready, u32 n)
{
	struct checkpoint *checkpoint = NULL;
	struct node *node;

	end_step();
	if (x->at == x->nodes.nr &&
	    (!x->at || x->at - x->last_checkpoint >= CHECKPOINT_STEPS)) {
		checkpoint = rewind_mark();
		/* From here on once for each time that the search comes back. */
	}
	if (x->at == x->nodes.nr) {
		if (checkpoint)
			x->last_checkpoint = x->at;
		node_new(ready, n, checkpoint);
	} else {
		x->at++;
	}
	if (x->at - 1 == x->live)
		go_live();
	node = &x->nodes.at[x->at - 1];
	for (u32 i = 0; i < n; i++) {
		if (ready[i].process != node->process)
			continue;
		if (!x->repeating) {
			begin_step(&ready[i]);
			if (!x->options.no_races)
				race_step(node->process);
		} else {
			x->result.counts.steps_repeated++;
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

	if (x->at == x->nodes.nr) {
		node = node_push(NULL);
		node->is_value = true;
		node->step = trace_length() - 1;
		node->nr_values = n;
		node->value = 0;
		if (x->options.strategy == SEARCH_RANDOM)
			node->value = walk_value(n);
		else if (x->options.strategy == SEARCH_FIXED && x->at < x->options.nr_schedule)
			node->value = x->options.schedule[x->at] % n;
	}
	return x->nodes.at[x->at++].value;
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
	if (!x->options.no_races)
		race_enables(process);
}

static void idle(void)
{
	end_step();
	if (x->repeating)
		return;
	trace_idle();
	if (!x->options.no_races)
		race_idle();
}

static void acquire(const void *object)
{
	if (x->open && !x->options.no_races)
		race_acquire(object);
}

static void release(const void *object)
{
	if (x->open && !x->options.no_races)
		race_release(object);
}

static void allocated(const void *start, size_t size)
{
	if (!x->repeating && !x->options.no_races)
		race_allocated(start, size);
}

static void freed(const void *start, size_t size)
{
	if (!x->repeating && !x->options.no_races)
		race_freed(start, size);
}

static const struct sim_explorer explorer = {
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
	x->first_process = sim_process();
	if (!x->options.no_races)
		race_pause(false);
	sim_explore(&explorer);
}

void search_end(void)
{
	end_step();
	sim_explore(NULL);
	x->inside = false;
	if (!x->options.no_races)
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

		if (preemptions(node, process) > x->options.preemptions) {
			x->result.counts.cut++;
			continue;
		}
		node->process = process;
		node->preemptions = preemptions(node, process);
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

/* The deepest node that has something to do takes its next choice. False: there is none. */
static bool next_branch(void)
{
	for (; x->nodes.nr; node_pop()) {
		struct node *node = &x->nodes.at[x->nodes.nr - 1];

		/* Given up before anybody was chosen. */
		if (node->step == trace_length())
			continue;
		x->target = x->nodes.nr - 1;
		if (node->is_value) {
			add_touched(node);
			if (++node->value == node->nr_values)
				continue;
			x->live = x->node_of_step.at[node->step];
			return true;
		}
		add_done(node);
		if (next_process(node)) {
			x->live = x->target;
			return true;
		}
	}
	return false;
}

/* A walk begins anew. */
static void next_walk(void)
{
	const struct search_counts *c = &x->result.counts;

	while (x->nodes.nr > 1)
		node_pop();
	walk_start(x->options.seed + c->traces, x->options.depth, (u32)c->max_steps);
	x->target = 0;
	x->live = 0;
	x->nodes.at[0].process = choose_process(&x->nodes.at[0]);
}

static int go_back(void)
{
	const struct node *live = &x->nodes.at[x->live];
	u32 from = x->live;

	while (!x->nodes.at[from].checkpoint)
		from--;
	trace_truncate(live->step);
	if (!x->options.no_races) {
		race_back(live->race_mark);
		race_pause(true);
	}
	x->at = from;
	x->last_checkpoint = from;
	x->repeating = true;
	x->open = false;
	x->result.counts.rewinds++;
	return rewind_back(x->nodes.at[from].checkpoint);
}

/* ---- searching ---- */

static void note_schedule(void)
{
	x->schedule.nr = 0;
	for (u32 i = 0; i < x->nodes.nr; i++)
		*push(&x->schedule) = x->nodes.at[i].is_value ? x->nodes.at[i].value : x->nodes.at[i].process;
	x->result.schedule = x->schedule.at;
	x->result.nr_schedule = x->schedule.nr;
	x->result.preemptions = x->nodes.nr ? x->nodes.at[x->nodes.nr - 1].preemptions : 0;
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

static void forget_all(void)
{
	while (x->nodes.nr)
		node_pop();
	trace_start();
	memset(&x->result, 0, sizeof(x->result));
	x->at = 0;
	x->target = 0;
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
	forget_all();
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
		} else if (!next_branch()) {
			x->result.ended = true;
			x->result.complete = !c->cut;
			break;
		}
		outcome = go_back();
		count_run(outcome);
	}
	if (outcome == RUN_FOUND)
		note_schedule();
	if (!options->no_races)
		race_stop();
	return &x->result;
}
