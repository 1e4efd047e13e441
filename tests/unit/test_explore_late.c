// SPDX-License-Identifier: GPL-2.0
/*
 * Stores that others see late: which values threads can read. Programs that every description of a memory model has, and random
 * ones, whose outcomes are counted by hand in a machine with a buffer for each thread.
 */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control.h"
#include "race_tsan.h"
#include "rewind.h"
#include "search.h"
#include "splitmix.h"

static const struct search_options late = {
	.seed = 1,
	.max_runs = NO_LIMIT,
	.preemptions = NO_LIMIT,
	.max_steps = 1000,
};

/* What was seen at the end of schedules; in memory that is not rewound. */
struct outcomes {
	u32 nr;
	u64 at[4096];
};

static void add_outcome(struct outcomes *o, u64 outcome)
{
	for (u32 i = 0; i < o->nr; i++)
		if (o->at[i] == outcome)
			return;
	assert_true(o->nr < ARRAY_SIZE(o->at));
	o->at[o->nr++] = outcome;
}

static bool has_outcome(const struct outcomes *o, u64 outcome)
{
	for (u32 i = 0; i < o->nr; i++)
		if (o->at[i] == outcome)
			return true;
	return false;
}

static struct outcomes *found;

/* ---- programs by hand ---- */

struct litmus {
	void (*thread[2])(void *);
};

static u32 x, y, r[4];
static spinlock_t lock;

#define store(p, v) __tsan_atomic32_store(p, v, __ATOMIC_RELAXED)
#define store_release(p, v) __tsan_atomic32_store(p, v, __ATOMIC_RELEASE)
#define load(p) __tsan_atomic32_load(p, __ATOMIC_RELAXED)
#define load_acquire(p) __tsan_atomic32_load(p, __ATOMIC_ACQUIRE)
#define add(p, v) __tsan_atomic32_fetch_add(p, v, __ATOMIC_RELAXED)
#define add_ordered(p, v) __tsan_atomic32_fetch_add(p, v, __ATOMIC_SEQ_CST)

static void start_litmus(void *arg)
{
	const struct litmus *l = arg;

	search_begin();
	sim_thread_start("a", l->thread[0], NULL);
	sim_thread_start("b", l->thread[1], NULL);
	sim_settle();
	search_end();
	add_outcome(found, r[0] << 12 | r[1] << 8 | x << 4 | y);
}

static void run_litmus(void *arg)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	x = y = r[0] = r[1] = 0;
	sim_start(&options);
	spin_lock_init(&lock);
	sim_thread_start("start", start_litmus, arg);
	sim_run();
	sim_stop();
}

/* All that r[0] r[1] x y can be at the end, as hexadecimal digits. */
static const struct outcomes *outcomes_of(void (*a)(void *), void (*b)(void *), bool no_late_stores)
{
	struct litmus l = { { a, b } };
	struct search_options o = late;
	const struct search_result *result;

	o.no_late_stores = no_late_stores;
	if (!found)
		found = keep_alloc(sizeof(*found));
	found->nr = 0;
	result = search(&o, run_litmus, &l);
	if (!result->complete || result->found)
		fail_msg("%s", result->what);
	return found;
}

#define expect_only_late(a, b, outcome)                                                         \
	do {                                                                                    \
		assert_true(has_outcome(outcomes_of(a, b, false), outcome));                    \
		assert_false(has_outcome(outcomes_of(a, b, true), outcome));                    \
	} while (0)
#define expect_never(a, b, outcome)                                                             \
	do {                                                                                    \
		assert_true(outcomes_of(a, b, false)->nr > 1);                                  \
		assert_false(has_outcome(found, outcome));                                      \
	} while (0)

/* A message and its flag (MP). */
static void send(void *unused)
{
	store(&x, 1);
	store(&y, 1);
}

static void send_released(void *unused)
{
	store(&x, 1);
	store_release(&y, 1);
}

/* A counter is no flag, as long as nobody looks at its result. */
static void send_by_count(void *unused)
{
	store(&x, 1);
	add(&y, 1);
}

static void send_by_ordered_count(void *unused)
{
	store(&x, 1);
	add_ordered(&y, 1);
}

static void receive(void *unused)
{
	r[0] = load_acquire(&y);
	r[1] = load(&x);
}

static void test_message(void **state)
{
	expect_only_late(send, receive, 0x1011);
	expect_only_late(send_by_count, receive, 0x1011);
	expect_never(send_released, receive, 0x1011);
	expect_never(send_by_ordered_count, receive, 0x1011);
}

/* Each sees its own store first (SB, as Dekker's algorithm). */
static void mine_x(void *unused)
{
	store(&x, 1);
	r[0] = load(&y);
}

static void mine_y(void *unused)
{
	store(&y, 1);
	r[1] = load(&x);
}

static u32 barrier_word[2];

static void mine_x_ordered(void *unused)
{
	store(&x, 1);
	add_ordered(&barrier_word[0], 0);
	r[0] = load(&y);
}

static void mine_y_ordered(void *unused)
{
	store(&y, 1);
	add_ordered(&barrier_word[1], 0);
	r[1] = load(&x);
}

static void test_two_flags(void **state)
{
	expect_only_late(mine_x, mine_y, 0x0011);
	expect_only_late(mine_x_ordered, mine_y, 0x0011);
	expect_never(mine_x_ordered, mine_y_ordered, 0x0011);
}

/* A store may sink into a critical section, but not out of it. */
static void store_then_lock(void *unused)
{
	store(&x, 1);
	spin_lock(&lock);
	r[0] = load(&y);
	spin_unlock(&lock);
}

static void lock_then_look(void *unused)
{
	spin_lock(&lock);
	store(&y, 1);
	spin_unlock(&lock);
	r[1] = load(&x);
}

static void store_inside(void *unused)
{
	spin_lock(&lock);
	store(&x, 1);
	spin_unlock(&lock);
	store(&y, 1);
}

static void look_inside(void *unused)
{
	r[0] = load(&y);
	spin_lock(&lock);
	r[1] = load(&x);
	spin_unlock(&lock);
}

static void test_locks(void **state)
{
	/* b was first in the lock, and does not see what a has stored before. */
	assert_true(has_outcome(outcomes_of(store_then_lock, lock_then_look, false), 0x1011));
	/* a was first, and it has unlocked. */
	assert_false(has_outcome(found, 0x0011));
	expect_never(store_inside, look_inside, 0x1011);
}

/* One place: its own stores in order, its own seen at once, additions on what all see. */
static void store_twice(void *unused)
{
	store(&x, 1);
	store(&x, 2);
	r[0] = load(&x);
}

static void look_twice(void *unused)
{
	u32 first = load(&x);

	r[1] = first * 4 + load(&x);
}

static void store_and_add(void *unused)
{
	store(&x, 1);
	r[0] = add(&x, 2);
}

static void store_five(void *unused)
{
	store(&x, 5);
}

static void test_one_place(void **state)
{
	const struct outcomes *o = outcomes_of(store_twice, look_twice, false);

	for (u32 i = 0; i < o->nr; i++) {
		u32 first = o->at[i] >> 8 & 15, second = first % 4;

		first /= 4;
		assert_int_equal(o->at[i] >> 12, 2);
		assert_true(first <= second);
		assert_int_equal(o->at[i] & 0xf0, 0x20);
	}
	assert_int_equal(o->nr, 6);
	/* Before both, between them, or after both. */
	o = outcomes_of(store_and_add, store_five, false);
	assert_int_equal(o->nr, 3);
	assert_true(has_outcome(o, 0x1030) && has_outcome(o, 0x5070) && has_outcome(o, 0x1050));
}

/* What was stored into memory that is given back is nobody's. */
static void store_and_free(void *unused)
{
	u32 *p = kmalloc(64, GFP_KERNEL);

	store(p, 1);
	store(&x, 1);
	kfree(p);
	store(&y, 1);
}

static void allocate_and_look(void *unused)
{
	u32 *p = kzalloc(64, GFP_KERNEL);

	r[0] = load(&x);
	r[1] = *p;
	kfree(p);
}

static void test_freed(void **state)
{
	const struct outcomes *o = outcomes_of(store_and_free, allocate_and_look, false);

	assert_int_equal(o->nr, 2);
	assert_true(has_outcome(o, 0x0011) && has_outcome(o, 0x1011));
}

/* Nothing is seen late any more when a thread, or the exploration, has ended. */
static void join_and_look(void *unused)
{
	sim_thread_t *thread = sim_thread_start("c", store_five, NULL);

	sim_thread_join(thread);
	r[0] = load(&x);
}

static void nothing(void *unused)
{
}

static void test_end(void **state)
{
	const struct outcomes *o = outcomes_of(join_and_look, nothing, false);

	assert_int_equal(o->nr, 1);
	assert_true(has_outcome(o, 0x5050));
}

/* ---- random programs, and a machine to count them by ---- */

#define THREADS 3
#define OPS 3
#define WORDS 2

enum op_kind { LOAD, STORE, RELEASE, ADD, ADD_ORDERED, KINDS };

struct op {
	u8 kind, word, value;
};

static struct op ops[THREADS][OPS];
static u32 words[WORDS], results[THREADS][OPS];

static void make_program(u64 seed)
{
	for (u32 t = 0; t < THREADS; t++)
		for (u32 i = 0; i < OPS; i++) {
			u64 z = (seed * THREADS + t) * OPS + i + 1;

			z = splitmix_mix(z);
			ops[t][i] = (struct op){ (u8)((z >> 8) % KINDS), (u8)((z >> 40) % WORDS), (u8)(1 + t * OPS + i) };
			/* The third thread is short, or there are too many outcomes to look at. */
			if (t == 2 && i)
				ops[t][i] = (struct op){ KINDS, 0, 0 };
		}
}

static u64 outcome_now(u32 w[WORDS], u32 res[THREADS][OPS])
{
	u64 hash = 0;

	for (u32 i = 0; i < WORDS; i++)
		hash = hash * 0x100000001B3ULL + w[i] + 1;
	for (u32 t = 0; t < THREADS; t++)
		for (u32 i = 0; i < OPS; i++)
			hash = hash * 0x100000001B3ULL + res[t][i] + 1;
	return hash;
}

/* The machine. */
struct machine {
	u32 words[WORDS], results[THREADS][OPS];
	u32 at[THREADS], nr_stores[THREADS];
	struct op stores[THREADS][OPS];
};

static const struct op *own_store(const struct machine *m, u32 t, u32 word)
{
	for (u32 i = m->nr_stores[t]; i--;)
		if (m->stores[t][i].word == word)
			return &m->stores[t][i];
	return NULL;
}

static void machine_run(const struct machine *before, struct outcomes *out);

static void machine_commits(const struct machine *before, u32 t, struct outcomes *out)
{
	for (u32 i = 0; i < before->nr_stores[t]; i++) {
		struct machine m = *before;
		bool older = false;

		for (u32 j = 0; j < i; j++)
			older |= m.stores[t][j].word == m.stores[t][i].word;
		if (older)
			continue;
		m.words[m.stores[t][i].word] = m.stores[t][i].value;
		memmove(&m.stores[t][i], &m.stores[t][i + 1], (m.nr_stores[t] - i - 1) * sizeof(struct op));
		m.nr_stores[t]--;
		machine_run(&m, out);
	}
}

static void machine_op(const struct machine *before, u32 t, struct outcomes *out)
{
	struct machine m = *before;
	u32 i = m.at[t]++;
	const struct op *op = &ops[t][i], *own = own_store(before, t, op->word);

	switch (op->kind) {
	case LOAD:
		m.results[t][i] = own ? own->value : m.words[op->word];
		break;
	case STORE:
		m.stores[t][m.nr_stores[t]++] = *op;
		break;
	case RELEASE:
		if (m.nr_stores[t])
			return;
		m.words[op->word] = op->value;
		break;
	case ADD:
	case ADD_ORDERED:
		if (op->kind == ADD ? own != NULL : m.nr_stores[t] != 0)
			return;
		/* Who looks at the result has an ordered one. */
		if (op->kind == ADD_ORDERED)
			m.results[t][i] = m.words[op->word];
		m.words[op->word] += op->value;
		break;
	}
	machine_run(&m, out);
}

static void machine_run(const struct machine *before, struct outcomes *out)
{
	bool ended = true;

	for (u32 t = 0; t < THREADS; t++) {
		if (before->nr_stores[t]) {
			ended = false;
			machine_commits(before, t, out);
		}
		if (before->at[t] < OPS && ops[t][before->at[t]].kind != KINDS) {
			ended = false;
			machine_op(before, t, out);
		}
	}
	if (ended) {
		struct machine m = *before;

		add_outcome(out, outcome_now(m.words, m.results));
	}
}

/* The real thing. */
static void run_ops(void *arg)
{
	u32 t = (u32)(uintptr_t)arg;

	for (u32 i = 0; i < OPS; i++) {
		const struct op *op = &ops[t][i];
		u32 *p = &words[op->word];

		if (op->kind == LOAD)
			results[t][i] = load(p);
		else if (op->kind == STORE)
			store(p, op->value);
		else if (op->kind == RELEASE)
			store_release(p, op->value);
		else if (op->kind == ADD)
			add(p, op->value);
		else if (op->kind == ADD_ORDERED)
			results[t][i] = add_ordered(p, op->value);
	}
}

static void start_ops(void *unused)
{
	search_begin();
	for (u32 t = 0; t < THREADS; t++)
		sim_thread_start("t", run_ops, (void *)(uintptr_t)t);
	sim_settle();
	search_end();
	add_outcome(found, outcome_now(words, results));
}

static void run_program(void *seed)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	make_program(*(const u64 *)seed);
	sim_start(&options);
	sim_thread_start("start", start_ops, NULL);
	sim_run();
	sim_stop();
}

static void test_random_programs(void **state)
{
	struct outcomes *expected = keep_alloc(sizeof(*expected));
	u32 only_late = 0;

	for (u64 seed = 1; seed <= 1500; seed++) {
		struct search_options o = late;
		const struct search_result *result;
		u32 all;

		found->nr = 0;
		expected->nr = 0;
		result = search(&o, run_program, &seed);
		assert_true(result->complete && !result->found);
		make_program(seed);
		machine_run(&(struct machine){ 0 }, expected);
		for (u32 i = 0; i < expected->nr; i++)
			if (!has_outcome(found, expected->at[i]))
				fail_msg("seed %llu: an outcome of the machine was not seen", seed);
		if (found->nr != expected->nr)
			fail_msg("seed %llu: %u outcomes, %u of the machine", seed, found->nr, expected->nr);
		all = found->nr;
		found->nr = 0;
		o.no_late_stores = true;
		search(&o, run_program, &seed);
		only_late += found->nr < all;
	}
	assert_true(only_late > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),	cmocka_unit_test(test_two_flags), cmocka_unit_test(test_locks),
		cmocka_unit_test(test_one_place), cmocka_unit_test(test_freed),	  cmocka_unit_test(test_end),
		cmocka_unit_test(test_random_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
