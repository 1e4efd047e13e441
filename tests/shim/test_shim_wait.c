// SPDX-License-Identifier: GPL-2.0
/* Wait queues and completions: nobody sleeps through a wake-up, whoever waits is woken. */
#include "finding.h"

static wait_queue_head_t wq;
static DECLARE_WAIT_QUEUE_HEAD(static_wq);
static int value, seen;
static struct mutex m;

static void waiter(void *arg)
{
	wait_event(wq, value >= (long)arg);
	seen++;
}

static void everyone_is_woken(void *arg)
{
	init_waitqueue_head(&wq);
	value = 0;
	seen = 0;
	for (long i = 1; i <= 4; i++)
		sim_thread_start("waiter", waiter, (void *)i);
	sim_settle();
	assert_int_equal(seen, 0);
	assert_true(waitqueue_active(&wq));
	value = 2;
	wake_up(&wq);
	sim_settle();
	assert_int_equal(seen, 2);
	value = 4;
	wake_up_all(&wq);
	sim_settle();
	assert_int_equal(seen, 4);
	assert_false(waitqueue_active(&wq));
}

static void test_wake_up(void **state)
{
	expect_clean(SIM_FIFO, 0, everyone_is_woken, NULL);
	for (u64 seed = 0; seed < 20; seed++)
		expect_clean(SIM_RANDOM, seed, everyone_is_woken, NULL);
}

/*
 * A condition that is true is not waited for; one that becomes true while it is looked at is seen.
 */
static int looks;

static bool true_at_second_look(void)
{
	if (++looks == 2) {
		value = 1;
		wake_up(&static_wq);
		return false;
	}
	return value;
}

static void wake_up_between_test_and_sleep(void *arg)
{
	value = 0;
	looks = 0;
	wait_event(static_wq, true);
	wait_event(static_wq, true_at_second_look());
	assert_int_equal(looks, 3);
}

static void test_no_lost_wake_up(void **state)
{
	expect_clean(SIM_FIFO, 0, wake_up_between_test_and_sleep, NULL);
	/* The static queue again, in another world. */
	expect_clean(SIM_FIFO, 0, wake_up_between_test_and_sleep, NULL);
}

/* The producer sets and wakes; the order of the two, and preemption anywhere, must not matter. */
#define ITEMS 200
static int queued, taken;
static spinlock_t lock;

static bool something_queued(void)
{
	bool yes;

	spin_lock(&lock);
	yes = queued > taken;
	spin_unlock(&lock);
	return yes;
}

static void consumer(void *arg)
{
	while (taken < ITEMS) {
		wait_event(wq, something_queued());
		spin_lock(&lock);
		taken++;
		spin_unlock(&lock);
	}
}

static void producer(void *arg)
{
	init_waitqueue_head(&wq);
	spin_lock_init(&lock);
	queued = 0;
	taken = 0;
	sim_thread_start("consumer", consumer, NULL);
	for (int i = 0; i < ITEMS; i++) {
		spin_lock(&lock);
		queued++;
		spin_unlock(&lock);
		wake_up(&wq);
		if (i % 7 == 0)
			sim_yield();
	}
}

static void test_producer_consumer(void **state)
{
	for (u64 seed = 0; seed < 100; seed++) {
		expect_clean(seed ? SIM_RANDOM : SIM_FIFO, seed, producer, NULL);
		assert_int_equal(taken, ITEMS);
	}
}

static void nobody_wakes(void *arg)
{
	init_waitqueue_head(&wq);
	value = 0;
	wait_event(wq, value == 7);
}

/* The wake-up that is forgotten: found in the same run, not by a hanging test. */
static void sets_without_waking(void *arg)
{
	init_waitqueue_head(&wq);
	value = 0;
	sim_thread_start("waiter", waiter, (void *)1);
	sim_settle();
	value = 1;
}

static void sleeps_in_condition(void *arg)
{
	init_waitqueue_head(&wq);
	mutex_init(&m);
	value = 0;
	wait_event(wq, ({
			   mutex_lock(&m);
			   mutex_unlock(&m);
			   value;
		   }));
}

static void waits_in_spinlock(void *arg)
{
	init_waitqueue_head(&wq);
	spin_lock_init(&lock);
	spin_lock(&lock);
	wait_event(wq, value == 100);
}

static void never_initialised(void *arg)
{
	wait_queue_head_t *q = kzalloc(sizeof(*q), GFP_KERNEL);

	wake_up(q);
}

static void test_findings(void **state)
{
	expect_finding(nobody_wakes, "deadlock; 'test' waits in wait_event value == 7");
	expect_finding(sets_without_waking, "deadlock; 'waiter' waits in wait_event");
	expect_finding(sleeps_in_condition, "in the condition of a wait_event()");
	expect_finding(waits_in_spinlock, "while atomic");
	expect_finding(never_initialised, "never initialised");
}

/* ---- completions ---- */

static struct completion done;

static void completes(void *arg)
{
	complete(&done);
}

static void waits_for_completion(void *arg)
{
	wait_for_completion(&done);
	seen++;
}

static void one_each(void *arg)
{
	seen = 0;
	init_completion(&done);
	for (int i = 0; i < 3; i++)
		sim_thread_start("waiter", waits_for_completion, NULL);
	sim_settle();
	complete(&done);
	sim_settle();
	assert_int_equal(seen, 1);
	assert_false(completion_done(&done));
	complete_all(&done);
	sim_settle();
	assert_int_equal(seen, 3);
	wait_for_completion(&done);
	assert_true(completion_done(&done));
	reinit_completion(&done);
	sim_call_at(sim_now_ns() + 10, completes, NULL);
	wait_for_completion(&done);
	/* Counted: completed before anybody waits. */
	complete(&done);
	complete(&done);
	wait_for_completion(&done);
	wait_for_completion(&done);
	assert_false(completion_done(&done));
}

static void completion_in_irq(void *arg)
{
	DECLARE_COMPLETION_ONSTACK(c);

	sim_call_at(1, (void (*)(void *))complete, &c);
	wait_for_completion(&c);
	assert_int_equal(sim_now_ns(), 1);
}

static void waits_in_irq(void *arg)
{
	init_completion(&done);
	sim_call_at(1, waits_for_completion, NULL);
	sim_sleep_ns(2);
}

static void test_completion(void **state)
{
	for (u64 seed = 0; seed < 20; seed++)
		expect_clean(seed ? SIM_RANDOM : SIM_FIFO, seed, one_each, NULL);
	expect_clean(SIM_FIFO, 0, completion_in_irq, NULL);
	expect_finding(waits_in_irq, "wait_for_completion() in thread 'interrupt' in an interrupt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_up),		  cmocka_unit_test(test_no_lost_wake_up),
		cmocka_unit_test(test_producer_consumer), cmocka_unit_test(test_findings),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
