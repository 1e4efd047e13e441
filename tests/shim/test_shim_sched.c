// SPDX-License-Identifier: GPL-2.0
/*
 * The scheduler: order, choices and their repetition, simulated time, settling, worlds one after
 * another.
 */
#include "finding.h"

static char trace[4096];
static size_t length;

static void note(char c)
{
	if (length < sizeof(trace) - 1)
		trace[length++] = c;
	trace[length] = '\0';
}

static struct mutex m;

static void notes(void *arg)
{
	for (int i = 0; i < 3; i++) {
		note((char)(long)arg);
		sim_yield();
		mutex_lock(&m);
		mutex_unlock(&m);
	}
}

static void three(void *arg)
{
	length = 0;
	trace[0] = '\0';
	mutex_init(&m);
	for (long c = 'a'; c <= 'c'; c++)
		sim_thread_start("notes", notes, (void *)c);
}

static void test_fifo_order(void **state)
{
	expect_clean(SIM_FIFO, 0, three, NULL);
	assert_string_equal(trace, "abcabcabc");
}

static void test_same_seed_same_run(void **state)
{
	char first[sizeof(trace)];
	unsigned int different = 0;

	for (u64 seed = 0; seed < 50; seed++) {
		expect_clean(SIM_RANDOM, seed, three, NULL);
		strcpy(first, trace);
		expect_clean(SIM_RANDOM, seed, three, NULL);
		assert_string_equal(trace, first);
		different += strcmp(trace, "abcabcabc") != 0;
	}
	/* And the seeds do differ. */
	assert_true(different > 40);
}

static void test_recorded(void **state)
{
	struct sim_options options = finding_options(SIM_RANDOM, 77);
	char first[sizeof(trace)];
	const u32 *choices;
	u32 *copy;
	size_t n, again;

	sim_start(&options);
	sim_thread_start("three", three, NULL);
	sim_run();
	strcpy(first, trace);
	choices = sim_choices(&n);
	assert_true(n > 10);
	copy = malloc(n * sizeof(*copy));
	memcpy(copy, choices, n * sizeof(*copy));
	sim_stop();

	options = finding_options(SIM_RECORDED, 0);
	options.recorded = copy;
	options.nr_recorded = n;
	sim_start(&options);
	sim_thread_start("three", three, NULL);
	sim_run();
	assert_string_equal(trace, first);
	choices = sim_choices(&again);
	assert_int_equal(again, n);
	assert_memory_equal(choices, copy, n * sizeof(*copy));
	sim_stop();

	/* After the end of the list: fifo. */
	options.nr_recorded = 0;
	sim_start(&options);
	sim_thread_start("three", three, NULL);
	sim_run();
	assert_string_equal(trace, "abcabcabc");
	sim_stop();
	free(copy);
}

static u32 take_last(void *context, u32 n, const char *what)
{
	++*(unsigned int *)context;
	return strcmp(what, "preempt") ? n - 1 : 0;
}

static void test_own_chooser(void **state)
{
	struct sim_options options = finding_options(SIM_FIFO, 0);
	unsigned int asked = 0;

	sim_start(&options);
	sim_set_chooser(take_last, &asked);
	sim_thread_start("three", three, NULL);
	sim_run();
	assert_string_equal(trace, "cccbbbaaa");
	assert_true(asked > 0);
	sim_stop();
}

static void count_choice(void *arg)
{
	unsigned int hits[3] = { 0 };

	for (int i = 0; i < 3000; i++)
		hits[sim_choose(3, "test")]++;
	for (int i = 0; i < 3; i++)
		assert_in_range(hits[i], 800, 1200);
	assert_int_equal(sim_choose(1, "no choice"), 0);
}

static void count_no_choice(void *arg)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(sim_choose(3, "test"), 0);
}

static void test_choose(void **state)
{
	expect_clean(SIM_RANDOM, 3, count_choice, NULL);
	expect_clean(SIM_FIFO, 3, count_no_choice, NULL);
}

/* ---- time ---- */

static void call(void *arg)
{
	note((char)(long)arg);
}

static void sleeper(void *arg)
{
	sim_sleep_ns(30);
	assert_int_equal(sim_now_ns(), 30);
	note('s');
}

static void times(void *arg)
{
	length = 0;
	sim_thread_start("sleeper", sleeper, NULL);
	sim_call_at(40, call, (void *)'e');
	sim_call_at(10, call, (void *)'a');
	sim_call_at(20, call, (void *)'b');
	sim_call_at(20, call, (void *)'c');
	sim_call_at(0, call, (void *)'0');
	sim_yield();
	assert_int_equal(sim_now_ns(), 0);
	sim_sleep_ns(35);
	assert_string_equal(trace, "0abcs");
	assert_int_equal(sim_now_ns(), 35);
	sim_sleep_ns(1000000000000ULL);
	assert_string_equal(trace, "0abcse");
}

static void many_times(void *arg)
{
	length = 0;
	for (int i = 0; i < 1000; i++)
		sim_call_at((u64)(i * 7919 % 1000) + 1, call,
			    (void *)(long)('a' + i * 7919 % 1000 / 100));
	sim_settle();
	assert_int_equal(sim_now_ns(), 1000);
	assert_int_equal(length, 1000);
	for (int i = 1; i < 1000; i++)
		assert_true(trace[i] >= trace[i - 1]);
}

static void test_time(void **state)
{
	expect_clean(SIM_FIFO, 0, times, NULL);
	expect_clean(SIM_FIFO, 0, many_times, NULL);
}

/* Events of one instant come in any order, those of different instants only in theirs. */
static void same_instant(void *arg)
{
	length = 0;
	for (long c = 'a'; c <= 'd'; c++)
		sim_call_at(10, call, (void *)c);
	sim_call_at(20, call, (void *)'z');
	sim_sleep_ns(100);
	assert_int_equal(length, 5);
	assert_int_equal(trace[4], 'z');
}

static void test_events_reordered(void **state)
{
	unsigned int different = 0;

	for (u64 seed = 0; seed < 50; seed++) {
		expect_clean(SIM_RANDOM, seed, same_instant, NULL);
		different += strcmp(trace, "abcdz") != 0;
	}
	assert_in_range(different, 30, 50);
}

/* An interrupt can come between two operations of a thread that never sleeps. */
static int interrupted;

static void interrupts(void *arg)
{
	interrupted = 1;
}

static void never_sleeps(void *arg)
{
	interrupted = 0;
	mutex_init(&m);
	sim_call_at(0, interrupts, NULL);
	for (int i = 0; i < 20; i++) {
		mutex_lock(&m);
		mutex_unlock(&m);
	}
	note(interrupted ? 'i' : '-');
}

static void test_preemption(void **state)
{
	unsigned int seen = 0;

	expect_clean(SIM_FIFO, 0, never_sleeps, NULL);
	assert_int_equal(trace[length - 1], '-');
	for (u64 seed = 0; seed < 20; seed++) {
		expect_clean(SIM_RANDOM, seed, never_sleeps, NULL);
		seen += trace[length - 1] == 'i';
	}
	assert_true(seen > 10);
}

/* ---- threads and worlds ---- */

static void settles(void *arg)
{
	length = 0;
	sim_thread_start("sleeper", sleeper, NULL);
	sim_settle();
	assert_int_equal(sim_now_ns(), 30);
	assert_string_equal(trace, "s");
}

static struct completion helped;

static void helper(void *arg)
{
	sim_wait_stuck();
	assert_string_equal(trace, "sw");
	complete(&helped);
}

/* Who helps comes after who settles, and only when there is a deadlock. */
static void helps(void *arg)
{
	sim_thread_t *thread;

	length = 0;
	init_completion(&helped);
	thread = sim_thread_start("helper", helper, NULL);
	sim_thread_start("sleeper", sleeper, NULL);
	sim_settle();
	trace[length++] = 'w';
	trace[length] = '\0';
	wait_for_completion(&helped);
	sim_thread_join(thread);
}

static void joins(void *arg)
{
	sim_thread_t *thread = sim_thread_start("sleeper", sleeper, NULL);

	sim_thread_join(thread);
	assert_int_equal(sim_now_ns(), 30);
	sim_thread_join(thread);
}

static void test_settle_and_join(void **state)
{
	expect_clean(SIM_FIFO, 0, settles, NULL);
	expect_clean(SIM_FIFO, 0, helps, NULL);
	expect_clean(SIM_FIFO, 0, joins, NULL);
	expect_clean(SIM_RANDOM, 5, joins, NULL);
}

static void fails(void *arg)
{
	sim_fail("on purpose %d", 42);
}

static void fails_in_irq(void *arg)
{
	sim_call_at(10, fails, NULL);
	sim_sleep_ns(100);
}

static void bug_on(void *arg)
{
	BUG_ON(arg == NULL);
}

static void warn_on(void *arg)
{
	WARN_ON(1 + 1 == 2);
}

static void two_warnings(void *arg)
{
	sim_expect_warnings((long)arg);
	for (int i = 0; i < 2; i++)
		if (!WARN_ON_ONCE(i >= 0))
			sim_fail("WARN_ON_ONCE() is its condition");
}

static void two_of_one(void *arg)
{
	two_warnings((void *)1);
}

static void two_of_three(void *arg)
{
	two_warnings((void *)3);
}

/* Only what a test expects, and all of it. */
static void test_expected_warnings(void **state)
{
	expect_clean(SIM_FIFO, 0, two_warnings, (void *)2);
	expect_finding(two_of_one, "WARN_ON(i >= 0)");
	expect_finding(two_of_three, "1 warnings expected did not come");
}

static void test_failing(void **state)
{
	expect_finding(fails, "on purpose 42");
	expect_finding(fails_in_irq, "on purpose 42");
	expect_finding(bug_on, "BUG_ON(arg == ");
	expect_finding(warn_on, "WARN_ON(1 + 1 == 2)");
}

static void holds_stack(void *arg)
{
	volatile char deep[32 * 1024];

	memset((char *)deep, 1, sizeof(deep));
	sim_sleep_ns((long)arg);
	assert_int_equal(deep[77], 1);
}

static void many_threads(void *arg)
{
	for (long i = 0; i < 300; i++)
		sim_thread_start("deep", holds_stack, (void *)(i % 17 + 1));
}

static void test_many_worlds(void **state)
{
	for (int i = 0; i < 3; i++)
		expect_clean(SIM_RANDOM, i, many_threads, NULL);
	for (int i = 0; i < 2000; i++)
		expect_clean(SIM_FIFO, i, i % 2 ? joins : settles, NULL);
}

/* main() may sleep too, outside of sim_run(). */
static void test_main_is_a_thread(void **state)
{
	struct sim_options options = finding_options(SIM_FIFO, 0);

	length = 0;
	sim_start(&options);
	mutex_init(&m);
	sim_thread_start("sleeper", sleeper, NULL);
	mutex_lock(&m);
	sim_sleep_ns(50);
	mutex_unlock(&m);
	assert_string_equal(trace, "s");
	assert_int_equal(sim_now_ns(), 50);
	assert_true(sim_counts()->context_switches >= 2);
	sim_run();
	sim_stop();
}

static char logged[200];
static unsigned int nr_logged;

static void log_line(void *context, int level, const char *line)
{
	nr_logged++;
	snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%d:%s|", level, line);
}

#define DM_MSG_PREFIX "test"
static void test_log(void **state)
{
	struct sim_options options = finding_options(SIM_FIFO, 0);

	options.log = log_line;
	sim_start(&options);
	DMERR("number %d", 3);
	pr_warn("two\nlines\n");
	pr_info("open");
	DMDEBUG("not there");
	assert_string_equal(logged, "3:device-mapper: test: number 3|4:two|4:lines|6:open|");
	nr_logged = 0;
	for (int i = 0; i < 100; i++) {
		DMWARN_LIMIT("x");
		if (i == 50)
			sim_sleep_ns(5000000000ULL);
	}
	assert_int_equal(nr_logged, 20);
	sim_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fifo_order),
		cmocka_unit_test(test_same_seed_same_run),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_own_chooser),
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_events_reordered),
		cmocka_unit_test(test_preemption),
		cmocka_unit_test(test_settle_and_join),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_expected_warnings),
		cmocka_unit_test(test_many_worlds),
		cmocka_unit_test(test_main_is_a_thread),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
