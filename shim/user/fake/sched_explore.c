// SPDX-License-Identifier: GPL-2.0
/*
 * Scheduling under an explorer (explore.h): nothing happens but what it picks.
 *
 * Threads stop at sched_point(); one that stands before a lock is ready only while nobody holds that, so nobody queues for
 * locks (sched_point_when()).
 * An interrupt that is due is a process like a thread: picked, it gets a stack, and stops at the same points.
 */
#ifdef SHIM_WATCHED

#include <string.h>

#include "event.h"
#include "fiber.h"
#include "late.h"
#include "thread.h"
#include "world.h"

#define READY_MAX 256

const struct sim_explorer *sched_explorer;
static u32 nr_processes; /* in this process of the harness: numbers need not begin with 1 */

u32 sim_process(void)
{
	return sched.running->process;
}

void sched_number_process(u32 *process)
{
	*process = ++nr_processes;
	if (sched_explorer)
		sched_explorer->enables(*process);
}

void sim_touch(const void *object, u32 part, enum sim_access kind)
{
	sched_access_part(object, part, kind);
}

/* With what it is about to do as its step. @orders: of struct sim_thread. */
static void stop(const struct sim_step *step, const void *orders)
{
	struct sim_thread *self = sched_current;

	self->step = *step;
	self->orders = orders;
	sched_make_runnable(self);
	sched_next();
	self->step.what = NULL;
	self->orders = NULL;
	if (orders && self->has_stored)
		late_ordered(self, orders);
}

/* Stops here until it is picked, and not before it may go on. A store may sink into a critical section, and past nothing else. */
void sched_point_slow(const struct sched_wait *wait, bool (*may_go_on)(const void *wants), const void *wants)
{
	struct sim_thread *self = sched_current;

	self->may_go_on = may_go_on;
	self->wants = wants;
	if (may_go_on)
		self->wait = *wait;
	stop(&(struct sim_step){ .what = wait->what, .name = wait->name, .site = wait->site },
	     wait->lock ? NULL : LATE_ALL);
	self->may_go_on = NULL;
}

static void atomic_point(const struct sim_step *step, const void *orders, const void *object, enum sim_access kind)
{
	if (!sched_explorer)
		return;
	stop(step, orders);
	sched_explorer->access(object, 0, kind);
}

void sim_point(const char *what, const void *object, enum sim_access kind)
{
	atomic_point(&(struct sim_step){ .what = what }, LATE_ALL, object, kind);
}

void sim_point_load(const char *what, const void *object, u32 caller)
{
	atomic_point(&(struct sim_step){ .what = what, .caller = caller }, NULL, object, SIM_READ);
}

void sim_point_modify(const char *what, const void *object, enum sim_access kind, bool relaxed, u32 caller)
{
	atomic_point(&(struct sim_step){ .what = what, .caller = caller }, relaxed ? object : LATE_ALL, object, kind);
}

struct ready {
	struct sim_thread *thread; /* NULL: @event */
	struct sim_event *event;
};

static void add_ready(struct sim_step *steps, struct ready *ready, u32 n, struct ready r)
{
	u32 process = r.thread ? r.thread->process : r.event->process, at = n;

	if (n == READY_MAX)
		sim_fail("more than %u processes are ready at once", READY_MAX);
	while (at && steps[at - 1].process > process)
		at--;
	memmove(&steps[at + 1], &steps[at], (n - at) * sizeof(*steps));
	memmove(&ready[at + 1], &ready[at], (n - at) * sizeof(*ready));
	ready[at] = r;
	if (r.thread) {
		steps[at] = r.thread->step;
		steps[at].interrupt = r.thread->is_irq;
		steps[at].thread = r.thread->name;
	} else if (late_is_store(r.event)) {
		steps[at] = late_step(r.event);
	} else {
		steps[at] = (struct sim_step){ .interrupt = true, .thread = "interrupt", .what = "interrupt", .event = r.event };
	}
	steps[at].process = process;
}

static u32 find_ready(struct sim_step *steps, struct ready *ready)
{
	struct sim_thread *thread;
	u32 n = 0, i;

	list_for_each_entry(thread, &sched.run, run)
		if ((!thread->may_go_on || thread->may_go_on(thread->wants)) &&
		    (!thread->orders || late_is_seen(thread, thread->orders)))
			add_ready(steps, ready, n++, (struct ready){ .thread = thread });
	for (i = 0; i < events_due(); i++)
		add_ready(steps, ready, n++, (struct ready){ .event = event_at(i) });
	return n;
}

static void irq_main(void *arg)
{
	struct sim_thread *self = sched_current;
	struct sim_event *event = arg;

	self->is_irq = true;
	self->irqs_off = true;
	event->fn(event);
	thread_check_locks(self, "at the end of an interrupt");
	sched_order("end", NULL, NULL);
	self->is_irq = false;
	self->irqs_off = false;
	sched.forgotten = self;
}

static struct sim_thread *begin_interrupt(struct sim_event *event)
{
	u32 process = event->process;
	struct sim_thread *thread;

	sched_access(event, SIM_WRITE);
	sched_hb_acquire(event);
	event_take_this(event);
	thread = sched_thread_create("interrupt", irq_main, event);
	thread->process = process;
	return sched_take(thread);
}

struct sim_thread *sched_pick_explored(void)
{
	struct sim_step steps[READY_MAX];
	struct ready ready[READY_MAX], picked;
	u32 n;

	for (;;) {
		n = find_ready(steps, ready);
		if (n) {
			picked = ready[sched_explorer->pick(steps, n)];
			if (picked.thread)
				return sched_take(picked.thread);
			if (!late_is_store(picked.event))
				return begin_interrupt(picked.event);
			/* Nothing in it could stop: it needs no stack. */
			event_take_this(picked.event);
			picked.event->fn(picked.event);
			continue;
		}
		sched_explorer->idle();
		if (events_in_future())
			events_advance();
		else
			threads_idle();
	}
}

void sim_explore(const struct sim_explorer *explorer)
{
	if (explorer && (sched.nr_run || events_due()))
		sim_fail("sim_explore() while others can run");
	sched_explorer = explorer;
	world.fifo = !explorer;
}

/* ---- saving and restoring, from outside ---- */

struct each_stack {
	void (*fn)(void *context, void *low, void *high);
	void *context;
};

static void tell_stack(struct sim_thread *thread, void *context)
{
	const struct sched_stack *stack = thread->stack;
	const struct each_stack *each = context;

	if (thread->state == SCHED_DEAD && thread != sched.running)
		return;
	each->fn(each->context, thread == sched.running ? NULL : stack->context,
		 stack == &main_stack ? NULL : (char *)stack->bottom + stack->size);
}

void sim_each_stack(void (*fn)(void *context, void *low, void *high), void *context)
{
	struct each_stack each = { fn, context };

	if (!world.active) {
		fn(context, NULL, NULL);
		return;
	}
	threads_each(tell_stack, &each);
}

void sim_reserve_stacks(u32 n)
{
	while (sched.nr_free < n)
		sched_stack_put(sched_stack_new());
}

#endif /* SHIM_WATCHED */
