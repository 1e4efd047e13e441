// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated kernel on real threads: locks exclude, nobody sleeps through a wake-up, time goes
 * on, a deadlock is seen. Under ThreadSanitizer also: its primitives order what they should, no
 * more and no less.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"

static DEFINE_MUTEX(m);
static DEFINE_SPINLOCK(s);
static unsigned int under_mutex, under_spinlock;

static void counts(void *arg)
{
	unsigned long flags;

	for (int i = 0; i < 3000; i++) {
		mutex_lock(&m);
		under_mutex++;
		mutex_unlock(&m);
		spin_lock_irqsave(&s, flags);
		under_spinlock++;
		spin_unlock_irqrestore(&s, flags);
		if (i % 100 == 0)
			sim_sleep_ns(50);
	}
}

static void ends(void *arg)
{
	unsigned long flags;

	spin_lock_irqsave(&s, flags);
	under_spinlock++;
	spin_unlock_irqrestore(&s, flags);
	complete(arg);
}

static void interrupts(void *arg)
{
	for (int i = 0; i < 500; i++) {
		DECLARE_COMPLETION_ONSTACK(done);

		sim_call_at(sim_now_ns() + 10, ends, &done);
		wait_for_completion(&done);
	}
}

static wait_queue_head_t wq;
static int turn;
static unsigned int passed;

/* passed is plain: the turn orders its users. */
static void takes_turns(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 1000; i++) {
		wait_event(wq, smp_load_acquire(&turn) == me);
		passed++;
		smp_store_release(&turn, !me);
		wake_up(&wq);
	}
}

static unsigned int worked;

static void works(struct work_struct *work)
{
	worked++;
}

static void queues(void *arg)
{
	struct workqueue_struct *queue = alloc_ordered_workqueue("test", WQ_MEM_RECLAIM);
	struct work_struct work;

	INIT_WORK(&work, works);
	for (int i = 0; i < 1000; i++) {
		queue_work(queue, &work);
		if (i % 10 == 0)
			flush_work(&work);
	}
	destroy_workqueue(queue);
}

static mempool_t *pool;

static void allocates(void *arg)
{
	for (int i = 0; i < 500; i++) {
		char *p = kmalloc(100, GFP_KERNEL), *q = mempool_alloc(pool, GFP_NOIO);

		memset(p, i, 100);
		memset(q, i, 64);
		kfree(p);
		mempool_free(q, pool);
	}
}

static void test_all_at_once(void **state)
{
	struct sim_options options = { .strategy = SIM_FIFO };

	for (int round = 0; round < 5; round++) {
		sim_start(&options);
		init_waitqueue_head(&wq);
		turn = 0;
		passed = 0;
		worked = 0;
		under_mutex = 0;
		under_spinlock = 0;
		pool = mempool_create_kmalloc_pool(1, 64);
		for (int i = 0; i < 3; i++)
			sim_thread_start("counts", counts, NULL);
		for (long i = 0; i < 2; i++)
			sim_thread_start("turns", takes_turns, (void *)i);
		for (int i = 0; i < 2; i++)
			sim_thread_start("allocates", allocates, NULL);
		sim_thread_start("interrupts", interrupts, NULL);
		sim_thread_start("queues", queues, NULL);
		sim_run();
		mempool_destroy(pool);
		assert_int_equal(under_mutex, 9000);
		assert_int_equal(under_spinlock, 9500);
		assert_int_equal(passed, 2000);
		assert_in_range(worked, 100, 1000);
		sim_stop();
	}
}

/* ---- findings and races: each in a process of its own ---- */

static void tells(void *context, const char *what)
{
	ssize_t written = write(STDERR_FILENO, what, strlen(what));

	_exit(written > 0 ? 3 : 4);
}

/* Its standard error; *status as of waitpid(). */
static void in_child(void (*fn)(void *arg), int threads, char *text, size_t size, int *status)
{
	struct sim_options options = { .strategy = SIM_FIFO, .fail = tells };
	size_t length = 0;
	ssize_t n;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		sim_start(&options);
		for (int i = 0; i < threads; i++)
			sim_thread_start("child", fn, NULL);
		sim_run();
		sim_stop();
		exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, status, 0), pid);
}

static void waits_for_ever(void *arg)
{
	DECLARE_COMPLETION_ONSTACK(never);

	wait_for_completion(&never);
}

static void locks_twice(void *arg)
{
	mutex_lock(&m);
	mutex_lock(&m);
}

static void test_findings(void **state)
{
	char text[65536];
	int status;

	in_child(waits_for_ever, 1, text, sizeof(text), &status);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_non_null(strstr(text, "deadlock; 'child' waits in wait_for_completion never"));
	in_child(locks_twice, 1, text, sizeof(text), &status);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_non_null(strstr(text, "which holds it already"));
}

#ifdef SHIM_TSAN
static unsigned int unprotected;

/* Both threads use the shim right before and after: that must not hide the race. */
static void races(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		kfree(kmalloc(10, GFP_KERNEL));
		unprotected++;
		kfree(kmalloc(10, GFP_KERNEL));
	}
}

static void test_race_is_seen(void **state)
{
	static char text[1 << 20];
	int status;

	in_child(races, 2, text, sizeof(text), &status);
	assert_int_not_equal(status, 0);
	assert_non_null(strstr(text, "data race"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),
#ifdef SHIM_TSAN
		cmocka_unit_test(test_race_is_seen),
#endif
		cmocka_unit_test(test_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
