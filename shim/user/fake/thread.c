// SPDX-License-Identifier: GPL-2.0
/*
 * Simulated threads: creation, joining, sleeping on lists, the end of the run and the report of a
 * deadlock.
 *
 * A thread's memory stays until the world ends, so that it can be joined and named at any time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "late.h"
#include "thread.h"
#include "world.h"

struct sim_thread sched_main_thread = { .name = "main" };

static struct {
	struct list_head all;
	struct list_head settling; /* struct sched_waiter */
	struct list_head helpers;
	u32 nr_harness; /* not ended */
	struct sim_thread *free; /* linked by arg */
} threads = {
	.all = LIST_HEAD_INIT(threads.all),
	.settling = LIST_HEAD_INIT(threads.settling),
	.helpers = LIST_HEAD_INIT(threads.helpers),
};

/* ---- creation and end ---- */

static void thread_init(struct sim_thread *thread, const char *name)
{
	memset(thread, 0, sizeof(*thread));
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	INIT_LIST_HEAD(&thread->joiners);
	late_init(thread);
}

struct sim_thread *sched_thread_create(const char *name, void (*fn)(void *arg), void *arg)
{
	struct sim_thread *thread;

	sched_enter();
	if (!world.active)
		sim_fail("thread '%s' started outside of a world", name);
	thread = threads.free;
	if (thread)
		threads.free = thread->arg;
	else
		thread = malloc(sizeof(*thread));
	if (!thread)
		abort();
	thread_init(thread, name);
	thread->fn = fn;
	thread->arg = arg;
	sched_new_process(&thread->process);
	list_add_tail(&thread->all, &threads.all);
	sched_hb_release(thread);
	sched_thread_begin(thread);
	sched_exit();
	return thread;
}

sim_thread_t *sim_thread_start(const char *name, void (*fn)(void *arg), void *arg)
{
	struct sim_thread *thread;

	sched_order("sim_thread_start", name, NULL);
	sched_enter();
	thread = sched_thread_create(name, fn, arg);
	thread->is_harness = true;
	threads.nr_harness++;
	sched_exit();
	sched_preempt();
	return thread;
}

void thread_ended(struct sim_thread *thread)
{
	thread_check_locks(thread, "at its end");
	if (thread->irqs_off)
		sim_fail("thread '%s' ends with interrupts off", thread->name);
	thread->state = SCHED_DEAD;
	/* Others are not joined, and all interrupts are one thread after the other. */
	if (thread->is_harness)
		sched_access(thread, SIM_UNLOCK);
	sched_hb_release(thread);
	sched_hb_release(&threads);
	sched_wake_all(&thread->joiners);
	if (thread->is_harness && !--threads.nr_harness &&
	    sched_main_thread.state == SCHED_WAITING && sched_main_thread.wait.lock == NULL &&
	    !strcmp(sched_main_thread.wait.what, "sim_run()"))
		sched_wake(&sched_main_thread);
}

static bool __maybe_unused has_ended(const void *wants)
{
	const struct sim_thread *thread = wants;

	return thread->state == SCHED_DEAD;
}

void sim_thread_join(sim_thread_t *thread)
{
	const struct sched_wait wait = { .what = "sim_thread_join()", .name = thread->name };

	shim_might_sleep(wait.what, SHIM_SITE);
	sched_point_when(&wait, has_ended, thread);
	sched_enter();
	sched_access(thread, SIM_LOCK);
	while (thread->state != SCHED_DEAD)
		sched_wait_on(&thread->joiners, &wait);
	sched_hb_acquire(thread);
	sched_exit();
}

void sim_run(void)
{
	struct sim_thread *self = sched_current;

	if (self != &sched_main_thread)
		sim_fail("sim_run() in thread '%s'", self->name);
	sched_enter();
	while (threads.nr_harness) {
		self->wait = (struct sched_wait){ .what = "sim_run()" };
		self->state = SCHED_WAITING;
		sched_sleep();
	}
	sched_hb_acquire(&threads);
	sched_exit();
}

/* ---- sleeping ---- */

void sched_wait_on(struct list_head *waiters, const struct sched_wait *wait)
{
	struct sched_waiter waiter = { .thread = sched_current };

	waiter.thread->wait = *wait;
	waiter.thread->state = SCHED_WAITING;
	list_add_tail(&waiter.entry, waiters);
	sched_sleep();
}

bool sched_wake_first(struct list_head *waiters)
{
	struct sched_waiter *waiter;

	if (list_empty(waiters))
		return false;
	waiter = list_first_entry(waiters, struct sched_waiter, entry);
	list_del(&waiter->entry);
	sched_wake(waiter->thread);
	return true;
}

void sched_wake_all(struct list_head *waiters)
{
	while (sched_wake_first(waiters))
		;
}

static void timer_ended(struct sim_event *event)
{
	sched_enter();
	sched_wake(container_of(event, struct sim_thread, timer));
	sched_exit();
}

void sim_sleep_ns(u64 ns)
{
	struct sim_thread *self = sched_current;

	shim_might_sleep("sim_sleep_ns()", SHIM_SITE);
	sched_enter();
	self->wait = (struct sched_wait){ .what = "sim_sleep_ns()" };
	self->state = SCHED_WAITING;
	event_init(&self->timer, timer_ended);
	event_add(&self->timer, world.now_ns + ns);
	sched_sleep();
	sched_exit();
}

void sim_settle(void)
{
	shim_might_sleep("sim_settle()", SHIM_SITE);
	sched_enter();
	sched_wait_on(&threads.settling, &(struct sched_wait){ .what = "sim_settle()" });
	sched_hb_acquire(&threads);
	sched_exit();
}

void sim_wait_stuck(void)
{
	shim_might_sleep("sim_wait_stuck()", SHIM_SITE);
	sched_enter();
	sched_wait_on(&threads.helpers, &(struct sched_wait){ .what = "sim_wait_stuck()" });
	sched_hb_acquire(&threads);
	sched_exit();
}

/* ---- deadlock ---- */

static size_t describe_wait(const struct sim_thread *thread, char *buf, size_t size)
{
	const struct sched_wait *wait = &thread->wait;
	size_t length;

	length = (size_t)scnprintf(buf, size, "; '%s' waits in %s", thread->name, wait->what);
	if (wait->name)
		length += (size_t)scnprintf(buf + length, size - length, " %s", wait->name);
	if (wait->site)
		length += (size_t)scnprintf(buf + length, size - length, " (%s)",
					    site_name(wait->site));
	if (wait->lock && wait->lock->owner)
		length += (size_t)scnprintf(buf + length, size - length, ", held by '%s' since %s",
					    wait->lock->owner->name, site_name(wait->lock->site));
	return length;
}

static void __attribute__((noreturn)) report_deadlock(void)
{
	struct sim_thread *thread;
	char line[900];
	size_t length = 0;

	line[0] = '\0';
	list_for_each_entry(thread, &threads.all, all)
		if ((thread->state == SCHED_WAITING || sched_stuck(thread)) && !thread->is_idle_worker)
			length += describe_wait(thread, line + length, sizeof(line) - length);
	if (sched_main_thread.state == SCHED_WAITING &&
	    strcmp(sched_main_thread.wait.what, "sim_run()"))
		describe_wait(&sched_main_thread, line + length, sizeof(line) - length);
	sim_fail("deadlock%s", line);
}

void threads_idle(void)
{
	sched_hb_release(&threads);
	if (!sched_wake_first(&threads.settling) && !sched_wake_first(&threads.helpers))
		report_deadlock();
}

void thread_check_locks(const struct sim_thread *thread, const char *when)
{
	const struct sched_held *held;

	if (!thread->nr_held)
		return;
	held = &thread->held[thread->nr_held - 1];
	sim_fail("thread '%s' holds %s '%s' (taken at %s) %s", thread->name,
		 held->lock && held->lock->spin ? "spinlock" : "mutex",
		 held->lock ? held->lock->name : "work", held->lock ? site_name(held->lock->site) : "its begin", when);
}

void threads_each(void (*fn)(struct sim_thread *thread, void *context), void *context)
{
	struct sim_thread *thread;

	fn(&sched_main_thread, context);
	list_for_each_entry(thread, &threads.all, all)
		fn(thread, context);
}

/* ---- the world ---- */

void threads_start(struct sim_thread *irq_thread)
{
	INIT_LIST_HEAD(&threads.all);
	INIT_LIST_HEAD(&threads.settling);
	INIT_LIST_HEAD(&threads.helpers);
	threads.nr_harness = 0;
	thread_init(&sched_main_thread, "main");
	thread_init(irq_thread, "interrupt");
	irq_thread->is_irq = true;
	irq_thread->irqs_off = true;
}

/* Before the world ends: all that is under way comes to its end. */
void threads_finish(void)
{
	struct sim_thread *thread;

	if (sched_current != &sched_main_thread)
		sim_fail("sim_stop() in thread '%s'", sched_current->name);
	sim_settle();
	thread_check_locks(&sched_main_thread, "at sim_stop()");
	list_for_each_entry(thread, &threads.all, all) {
		char line[200];

		if (thread->state == SCHED_DEAD || thread->is_idle_worker)
			continue;
		line[0] = '\0';
		describe_wait(thread, line, sizeof(line));
		sim_fail("sim_stop() while a thread has not ended%s", line);
	}
}

/* Of a thread that has ended and that nobody will join. */
void thread_forget(struct sim_thread *thread)
{
	list_del(&thread->all);
	thread->arg = threads.free;
	threads.free = thread;
}

void threads_discard(void)
{
	struct sim_thread *thread, *next;

	list_for_each_entry_safe(thread, next, &threads.all, all) {
		sched_thread_abandon(thread);
		thread_forget(thread);
	}
	threads.nr_harness = 0;
}
