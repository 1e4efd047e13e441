// SPDX-License-Identifier: GPL-2.0
/* Workqueues: when a work runs, how often, who waits for it, and what is left when a queue goes. */
#include "finding.h"

static struct workqueue_struct *wq;
static struct work_struct work, other;
static int runs, running, at_once;
static struct mutex m;

static void counts(struct work_struct *w)
{
	at_once = max(at_once, ++running);
	runs++;
	sim_sleep_ns(10);
	running--;
}

static void setup(work_func_t fn)
{
	wq = alloc_ordered_workqueue("test-%d", WQ_MEM_RECLAIM, 1);
	INIT_WORK(&work, fn);
	INIT_WORK(&other, counts);
	runs = 0;
	running = 0;
	at_once = 0;
	mutex_init(&m);
}

static void queued_once(void *arg)
{
	setup(counts);
	assert_false(work_pending(&work));
	assert_true(queue_work(wq, &work));
	assert_true(work_pending(&work));
	assert_false(queue_work(wq, &work));
	assert_true(flush_work(&work));
	assert_int_equal(runs, 1);
	assert_false(flush_work(&work));
	assert_true(queue_work(wq, &work));
	flush_workqueue(wq);
	assert_int_equal(runs, 2);
	destroy_workqueue(wq);
}

/* Queued while it runs: it runs once more, after itself. */
static void queued_while_running(void *arg)
{
	setup(counts);
	queue_work(wq, &work);
	sim_sleep_ns(5);
	assert_int_equal(running, 1);
	assert_false(work_pending(&work));
	assert_true(queue_work(wq, &work));
	assert_false(queue_work(wq, &work));
	flush_work(&work);
	assert_int_equal(runs, 2);
	assert_int_equal(at_once, 1);
	assert_int_equal(sim_now_ns(), 20);
	destroy_workqueue(wq);
}

static void test_queueing(void **state)
{
	expect_clean(SIM_FIFO, 0, queued_once, NULL);
	expect_clean(SIM_FIFO, 0, queued_while_running, NULL);
}

static void queues_itself(struct work_struct *w)
{
	if (++runs < 10)
		assert_true(queue_work(wq, w));
}

static void destroy_drains(void *arg)
{
	setup(queues_itself);
	queue_work(wq, &work);
	destroy_workqueue(wq);
	assert_int_equal(runs, 10);
}

static void always_queues_itself(struct work_struct *w)
{
	queue_work(wq, w);
}

static void destroy_never_ends(void *arg)
{
	setup(always_queues_itself);
	queue_work(wq, &work);
	destroy_workqueue(wq);
}

static void queues_at_destroy(void *arg)
{
	sim_sleep_ns(5);
	queue_work(wq, &other);
}

static void queued_during_destroy(void *arg)
{
	setup(counts);
	queue_work(wq, &work);
	sim_thread_start("late", queues_at_destroy, NULL);
	destroy_workqueue(wq);
}

static void test_destroy(void **state)
{
	expect_clean(SIM_FIFO, 0, destroy_drains, NULL);
	for (u64 seed = 0; seed < 20; seed++)
		expect_clean(SIM_RANDOM, seed, destroy_drains, NULL);
	expect_finding(destroy_never_ends, "queues itself again and again");
	expect_finding(queued_during_destroy, "which is being destroyed");
}

static void cancel_pending(void *arg)
{
	setup(counts);
	queue_work(wq, &work);
	queue_work(wq, &other);
	assert_true(cancel_work_sync(&other));
	assert_false(cancel_work_sync(&other));
	flush_workqueue(wq);
	assert_int_equal(runs, 1);
	destroy_workqueue(wq);
}

static void requeues(struct work_struct *w)
{
	runs++;
	sim_sleep_ns(10);
	queue_work(wq, w);
}

/* A work that queues itself for ever is ended by cancel_work_sync(), also while it runs. */
static void cancel_running(void *arg)
{
	setup(requeues);
	queue_work(wq, &work);
	sim_sleep_ns(25);
	assert_int_equal(runs, 3);
	cancel_work_sync(&work);
	assert_int_equal(runs, 3);
	sim_settle();
	assert_int_equal(runs, 3);
	destroy_workqueue(wq);
}

static void test_cancel(void **state)
{
	expect_clean(SIM_FIFO, 0, cancel_pending, NULL);
	expect_clean(SIM_FIFO, 0, cancel_running, NULL);
}

/* flush_work() waits for what was queued before, not for what comes after. */
static void flush_is_bounded(void *arg)
{
	setup(requeues);
	queue_work(wq, &work);
	flush_work(&work);
	assert_in_range(runs, 1, 2);
	cancel_work_sync(&work);
	queue_work(wq, &work);
	flush_workqueue(wq);
	assert_in_range(runs, 2, 4);
	cancel_work_sync(&work);
	destroy_workqueue(wq);
}

static void frees_itself(struct work_struct *w)
{
	runs++;
	kfree(w);
}

static void freed_by_itself(void *arg)
{
	struct work_struct *w = kmalloc(sizeof(*w), GFP_KERNEL);

	setup(counts);
	INIT_WORK(w, frees_itself);
	queue_work(wq, w);
	flush_workqueue(wq);
	assert_int_equal(runs, 1);
	destroy_workqueue(wq);
}

static void test_flush(void **state)
{
	expect_clean(SIM_FIFO, 0, flush_is_bounded, NULL);
	expect_clean(SIM_FIFO, 0, freed_by_itself, NULL);
	for (u64 seed = 0; seed < 20; seed++)
		expect_clean(SIM_RANDOM, seed, freed_by_itself, NULL);
}

/* Several works of an unbound queue run at once, one work never twice. */
static void unbound(void *arg)
{
	struct work_struct w[3];

	setup(counts);
	destroy_workqueue(wq);
	wq = alloc_workqueue("many", WQ_UNBOUND, 0);
	for (int i = 0; i < 3; i++) {
		INIT_WORK(&w[i], counts);
		queue_work(wq, &w[i]);
	}
	flush_workqueue(wq);
	assert_int_equal(at_once, 3);
	at_once = 0;
	queue_work(wq, &work);
	sim_sleep_ns(5);
	queue_work(wq, &work);
	flush_workqueue(wq);
	assert_int_equal(at_once, 1);
	destroy_workqueue(wq);
}

static void ordered(void *arg)
{
	setup(counts);
	queue_work(wq, &work);
	queue_work(wq, &other);
	flush_workqueue(wq);
	assert_int_equal(at_once, 1);
	assert_int_equal(runs, 2);
	destroy_workqueue(wq);
}

static void test_concurrency(void **state)
{
	expect_clean(SIM_FIFO, 0, unbound, NULL);
	for (u64 seed = 0; seed < 20; seed++)
		expect_clean(SIM_RANDOM, seed, ordered, NULL);
}

/* ---- findings ---- */

static void takes_m(struct work_struct *w)
{
	mutex_lock(&m);
	mutex_unlock(&m);
}

static void flushes_under_its_lock(void *arg)
{
	setup(takes_m);
	queue_work(wq, &work);
	flush_work(&work);
	mutex_lock(&m);
	flush_work(&work); /* idle: no deadlock today */
}

static void flushes_itself_fn(struct work_struct *w)
{
	flush_workqueue(wq);
}

static void flushes_itself(void *arg)
{
	setup(flushes_itself_fn);
	queue_work(wq, &work);
	flush_work(&work);
}

static void keeps_m(struct work_struct *w)
{
	mutex_lock(&m);
}

static void work_keeps_lock(void *arg)
{
	setup(keeps_m);
	queue_work(wq, &work);
	flush_work(&work);
}

static void freed_while_pending(void *arg)
{
	struct work_struct *w = kmalloc(sizeof(*w), GFP_KERNEL);

	setup(counts);
	INIT_WORK(w, counts);
	queue_work(wq, w);
	kfree(w);
}

static void not_destroyed(void *arg)
{
	setup(counts);
}

static void never_initialised(void *arg)
{
	struct work_struct *w = kzalloc(sizeof(*w), GFP_KERNEL);

	setup(counts);
	queue_work(wq, w);
}

static void allocates_kernel(struct work_struct *w)
{
	kfree(kmalloc(8, GFP_NOIO));
	kfree(kmalloc(8, GFP_KERNEL));
}

static void h40_allocates(void *arg)
{
	setup(allocates_kernel);
	queue_work(wq, &work);
	flush_work(&work);
}

static void allocates_noio(struct work_struct *w)
{
	unsigned int noio = memalloc_noio_save();

	kfree(kmalloc(8, GFP_KERNEL));
	memalloc_noio_restore(noio);
}

static void h40_allocates_noio(void *arg)
{
	setup(allocates_noio);
	queue_work(wq, &work);
	flush_work(&work);
	destroy_workqueue(wq);
}

static void forgets_restore(struct work_struct *w)
{
	(void)memalloc_noio_save();
}

static void h40_restore_forgotten(void *arg)
{
	setup(forgets_restore);
	queue_work(wq, &work);
	flush_work(&work);
}

static struct blk_plug plug, other_plug;

static void plugs(struct work_struct *w)
{
	blk_start_plug(&plug);
	blk_finish_plug(&plug);
	blk_start_plug(&plug);
	blk_finish_plug(&plug);
}

static void forgets_plug(struct work_struct *w)
{
	blk_start_plug(&plug);
}

static void plugs_twice(struct work_struct *w)
{
	blk_start_plug(&plug);
	blk_start_plug(&other_plug);
}

static void ends_other_plug(struct work_struct *w)
{
	blk_start_plug(&plug);
	blk_finish_plug(&other_plug);
}

static void ends_no_plug(struct work_struct *w)
{
	blk_finish_plug(&plug);
}

static void run_plugs(void *arg)
{
	setup(arg);
	queue_work(wq, &work);
	flush_work(&work);
	destroy_workqueue(wq);
}

static void plug_forgotten(void *arg)
{
	run_plugs(forgets_plug);
}

static void plug_nested(void *arg)
{
	run_plugs(plugs_twice);
}

static void plug_mistaken(void *arg)
{
	run_plugs(ends_other_plug);
}

static void plug_never_begun(void *arg)
{
	run_plugs(ends_no_plug);
}

static void test_plugs(void **state)
{
	expect_clean(SIM_FIFO, 0, run_plugs, plugs);
	expect_finding(plug_forgotten, "or a plug");
	expect_finding(plug_nested, "within another plug");
	expect_finding(plug_mistaken, "blk_finish_plug() does not match");
	expect_finding(plug_never_begun, "blk_finish_plug() does not match");
}

static void flush_in_spinlock(void *arg)
{
	spinlock_t s;

	setup(counts);
	spin_lock_init(&s);
	spin_lock(&s);
	flush_work(&work);
}

static void test_findings(void **state)
{
	expect_finding(flushes_under_its_lock, "lock order: 'test' takes 'fn'");
	expect_finding(flushes_itself, "by the work itself");
	expect_finding(work_keeps_lock, "ends with a lock held");
	expect_finding(freed_while_pending, "contains the pending work");
	expect_finding(not_destroyed, "leak: workqueue 'test-1' (test_shim_work.c:");
	expect_finding(never_initialised, "never initialised");
	expect_finding(flush_in_spinlock, "flush_work() in thread 'test' while atomic");
}

static void test_H40_allocation_in_reclaim_worker(void **state)
{
	expect_finding(h40_allocates, "outside of memalloc_noio_save()");
	expect_clean(SIM_FIFO, 0, h40_allocates_noio, NULL);
	expect_finding(h40_restore_forgotten, "memalloc_noio section");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queueing),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_concurrency),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_H40_allocation_in_reclaim_worker),
		cmocka_unit_test(test_plugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
