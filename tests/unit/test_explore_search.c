// SPDX-License-Identifier: GPL-2.0
/*
 * The search sees every trace, and each once: on programs whose traces can be counted another way.
 *
 * The other way is to try all interleavings of a model of the program, and to count the different answers to "which of the
 * two came first?" for all pairs of operations in conflict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control.h"
#include "program.h"
#include "search.h"

static const struct search_options all = {
	.seed = 1,
	.max_runs = NO_LIMIT,
	.preemptions = NO_LIMIT,
	.max_steps = 1000,
	.no_races = true,
};

/* ---- the mutex program ---- */

static void expect_mutex(u32 threads, u32 rounds, u64 traces)
{
	struct program_spec spec = { threads, rounds };
	const struct search_result *r = search(&all, program_run, &spec);

	assert_true(r->began && r->complete && !r->found);
	assert_int_equal(r->counts.traces, traces);
	assert_int_equal(r->counts.redundant, 0);
}

static void test_mutex(void **state)
{
	expect_mutex(1, 3, 1);
	expect_mutex(2, 1, 2);
	expect_mutex(2, 2, 6);
	expect_mutex(3, 1, 6);
	expect_mutex(3, 3, 1680);
	expect_mutex(4, 2, 2520);
}

/* With no preemption each thread runs to its end before another begins; with enough of them nothing is left out. */
static void test_preemptions(void **state)
{
	struct program_spec spec = { 3, 3 };
	struct search_options o = all;
	const struct search_result *r = NULL;
	u64 traces = 0;

	for (o.preemptions = 0; o.preemptions < 20; o.preemptions++) {
		r = search(&o, program_run, &spec);
		assert_true(r->counts.traces > traces);
		traces = r->counts.traces;
		if (!o.preemptions)
			assert_int_equal(traces, 6);
		if (r->complete)
			break;
	}
	assert_true(r->complete && traces >= 1680);
}

/* ---- values ---- */

static char shared;

static void write_perhaps(void *unused)
{
	sim_point("choose", &shared + 1, SIM_ADD);
	if (sim_choose(2, "whether"))
		sim_point("write", &shared, SIM_WRITE);
}

static void start_two(void *unused)
{
	search_begin();
	sim_thread_start("a", write_perhaps, NULL);
	sim_thread_start("b", write_perhaps, NULL);
	sim_settle();
	search_end();
}

static void run_values(void *unused)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	sim_start(&options);
	sim_thread_start("start", start_two, NULL);
	sim_run();
	sim_stop();
}

/* Each with and without its write; the order matters where both write. */
static void test_values(void **state)
{
	const struct search_result *r = search(&all, run_values, NULL);

	assert_true(r->complete && !r->found);
	assert_int_equal(r->counts.traces, 5);
}

/* ---- one schedule, and many at random ---- */

static void lose_one(void *unused)
{
	for (u32 i = 0; i < 2; i++) {
		sim_point("read", &shared, SIM_READ);
		sim_point("write", &shared, SIM_WRITE);
	}
	if (sim_process() % 2)
		sim_point("odd", &shared, SIM_WRITE);
}

static u32 ended[16], nr_ended;

static void note_order(void *unused)
{
	lose_one(NULL);
	ended[nr_ended++] = sim_process();
	/* Found where the one that began last ends first. */
	if (nr_ended == 1 && ended[0] % 2 == 0)
		sim_fail("it was the other one");
}

static void start_racing(void *unused)
{
	nr_ended = 0;
	search_begin();
	sim_thread_start("a", note_order, NULL);
	sim_thread_start("b", note_order, NULL);
	sim_settle();
	search_end();
}

static void run_racing(void *unused)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	sim_start(&options);
	sim_thread_start("start", start_racing, NULL);
	sim_run();
	sim_stop();
}

/* What a search finds, its schedule finds again; and random walks find it, the same ones each time. */
static void test_schedules(void **state)
{
	struct search_options o = all;
	const struct search_result *r = search(&all, run_racing, NULL);
	u32 schedule[64], nr = r->nr_schedule;
	u64 traces[2];

	assert_true(r->found && nr && nr <= 64);
	assert_string_equal(r->what, "it was the other one");
	memcpy(schedule, r->schedule, nr * sizeof(*schedule));
	o.strategy = SEARCH_FIXED;
	o.schedule = schedule;
	o.nr_schedule = nr;
	r = search(&o, run_racing, NULL);
	assert_true(r->found);
	assert_string_equal(r->what, "it was the other one");

	o = all;
	o.strategy = SEARCH_RANDOM;
	o.max_runs = 200;
	for (o.depth = 0; o.depth <= 3; o.depth += 3) {
		for (u32 i = 0; i < 2; i++) {
			r = search(&o, run_racing, NULL);
			assert_true(r->found);
			traces[i] = r->counts.traces;
		}
		assert_int_equal(traces[0], traces[1]);
	}
}

/* A program that goes on for ever is a finding. */
static void test_endless(void **state)
{
	struct program_spec spec = { 3, 3 };
	struct search_options o = all;
	const struct search_result *r;

	o.max_steps = 5;
	r = search(&o, program_run, &spec);
	assert_true(r->found && strstr(r->what, "no end after 5 steps"));
}

/* ---- random programs ---- */

#define MAX_THREADS 3
#define MAX_OPS 4
#define MAX_OBJECTS 3

struct op {
	u8 kind; /* enum sim_access; SIM_UNLOCK ends a section */
	u8 object;
};

static struct model {
	u32 nr_threads, nr_ops[MAX_THREADS];
	struct op ops[MAX_THREADS][2 * MAX_OPS];
} model;

static u64 random_state;

static u32 draw(u32 n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(random_state >> 33) % n;
}

static void make_model(u64 seed)
{
	static const u8 kinds[] = { SIM_READ, SIM_READ, SIM_WRITE, SIM_WRITE, SIM_ADD, SIM_BEGIN, SIM_END };

	random_state = seed;
	memset(&model, 0, sizeof(model));
	model.nr_threads = 2 + draw(2);
	for (u32 i = 0; i < model.nr_threads; i++) {
		u32 n = 1 + draw(model.nr_threads == 2 ? MAX_OPS : 3), at = 0;
		int locked = -1;

		while (n--) {
			if (locked < 0 && draw(3) == 0) {
				locked = (int)draw(2);
				model.ops[i][at++] = (struct op){ SIM_LOCK, (u8)locked };
				continue;
			}
			model.ops[i][at++] = (struct op){ kinds[draw(sizeof(kinds))], (u8)(2 + draw(MAX_OBJECTS)) };
			if (locked >= 0 && draw(2)) {
				model.ops[i][at++] = (struct op){ SIM_UNLOCK, (u8)locked };
				locked = -1;
			}
		}
		if (locked >= 0)
			model.ops[i][at++] = (struct op){ SIM_UNLOCK, (u8)locked };
		model.nr_ops[i] = at;
	}
}

/* The model, all interleavings. An unlocking belongs to the step before it. */
static u32 position[MAX_THREADS], order[MAX_THREADS][2 * MAX_OPS], clock_now;
static int owner[2];
static u64 *seen;
static u32 nr_seen, max_seen;

static u64 signature(void)
{
	u64 hash = 14695981039346656037ULL;

	for (u32 a = 0; a < model.nr_threads; a++)
		for (u32 b = a + 1; b < model.nr_threads; b++)
			for (u32 i = 0; i < model.nr_ops[a]; i++)
				for (u32 j = 0; j < model.nr_ops[b]; j++) {
					struct op p = model.ops[a][i], q = model.ops[b][j];

					if (p.object != q.object || p.kind == SIM_UNLOCK || q.kind == SIM_UNLOCK ||
					    !sim_conflict(p.kind, q.kind))
						continue;
					hash = (hash ^ (order[a][i] < order[b][j])) * 1099511628211ULL + 7;
				}
	return hash;
}

static void note_trace(void)
{
	u64 s = signature();

	for (u32 i = 0; i < nr_seen; i++)
		if (seen[i] == s)
			return;
	if (nr_seen == max_seen) {
		max_seen = max_seen ? 2 * max_seen : 256;
		seen = realloc(seen, max_seen * sizeof(*seen));
	}
	seen[nr_seen++] = s;
}

static void interleave(void)
{
	bool any = false;

	for (u32 i = 0; i < model.nr_threads; i++) {
		u32 from = position[i];
		const struct op *op = &model.ops[i][from];
		int owned[2] = { owner[0], owner[1] };

		if (from == model.nr_ops[i])
			continue;
		any = true;
		if (op->kind == SIM_LOCK && owner[op->object] >= 0)
			continue;
		if (op->kind == SIM_LOCK)
			owner[op->object] = (int)i;
		order[i][position[i]++] = ++clock_now;
		for (; position[i] < model.nr_ops[i] && model.ops[i][position[i]].kind == SIM_UNLOCK; position[i]++)
			owner[model.ops[i][position[i]].object] = -1;
		interleave();
		position[i] = from;
		owner[0] = owned[0];
		owner[1] = owned[1];
	}
	if (!any)
		note_trace();
}

static u32 count_by_hand(void)
{
	nr_seen = 0;
	clock_now = 0;
	owner[0] = owner[1] = -1;
	memset(position, 0, sizeof(position));
	interleave();
	return nr_seen;
}

/* The program. */
static struct mutex locks[2];
static char objects[2 + MAX_OBJECTS];

static void run_thread(void *arg)
{
	u32 i = (u32)(uintptr_t)arg;

	for (u32 n = 0; n < model.nr_ops[i]; n++) {
		const struct op *op = &model.ops[i][n];

		if (op->kind == SIM_LOCK)
			mutex_lock(&locks[op->object]);
		else if (op->kind == SIM_UNLOCK)
			mutex_unlock(&locks[op->object]);
		else
			sim_point("op", &objects[op->object], op->kind);
	}
}

static void start_threads(void *unused)
{
	search_begin();
	for (u32 i = 0; i < model.nr_threads; i++)
		sim_thread_start("t", run_thread, (void *)(uintptr_t)i);
	sim_settle();
	search_end();
}

static void run_model(void *seed)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	/* Of the memory that is rewound. */
	make_model(*(const u64 *)seed);
	sim_start(&options);
	mutex_init(&locks[0]);
	mutex_init(&locks[1]);
	sim_thread_start("start", start_threads, NULL);
	sim_run();
	sim_stop();
}

static void test_random_programs(void **state)
{
	u64 traces = 0, redundant = 0;

	for (u64 seed = 1; seed <= 3000; seed++) {
		const struct search_result *r = search(&all, run_model, &seed);
		struct search_counts c = r->counts;
		u32 expected;

		assert_true(r->complete && !r->found);
		make_model(seed);
		expected = count_by_hand();
		if (c.traces != expected)
			fail_msg("seed %llu: %llu traces, %u by hand", seed, c.traces, expected);
		traces += c.traces;
		redundant += c.redundant;
	}
	assert_true(traces > 10000);
	/* Source sets are no wakeup trees: some are given up, but few. */
	assert_true(redundant * 20 < traces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutex),
		cmocka_unit_test(test_preemptions),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_random_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
