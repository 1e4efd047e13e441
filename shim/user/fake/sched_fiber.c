// SPDX-License-Identifier: GPL-2.0
/*
 * The scheduler on fibers: one OS thread, one stack for each simulated thread, switched by
 * Boost.Context.
 *
 * A thread that sleeps picks the next one itself and jumps straight to it. Due events
 * ("interrupts") run first, on the stack of whoever is about to sleep, with sched_current set to
 * the interrupt's pseudo-thread. Under fifo nothing is chosen: all events that are due, then the
 * first of the run queue. Otherwise every due event and every runnable thread is an alternative,
 * and so is the passing of time; and sched_preempt() makes a running thread stop at each operation
 * on a lock, a wait queue or a work. Under an explorer: sched_explore.c.
 *
 * main() is a thread like the others ("main"): it may sleep, and then runs the rest. Failures are
 * always reported on its stack, so that the callback may longjmp() out of the simulation.
 */
#ifndef SHIM_THREADS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "event.h"
#include "fiber.h"
#include "late.h"
#include "thread.h"
#include "world.h"

#ifdef SHIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_SIZE (1024 * 1024)
#else
#define STACK_SIZE (256 * 1024)
#endif
#ifdef SHIM_MSAN
#include <sanitizer/msan_interface.h>
/* What jump_fcontext() returns is written by code that no compiler has seen. */
#define came_from(transfer) __msan_unpoison(&(transfer), sizeof(transfer))
#else
#define came_from(transfer) ((void)0)
#endif
#ifdef SHIM_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) 0
#endif
#define GUARD_SIZE (64 * 1024)
/* Kept for later worlds. */
#define STACKS_KEPT 256

struct sched_stack main_stack;
static struct sim_thread irq_thread;
struct sim_thread *sched_current = &sched_main_thread;
bool sched_preemptible;

struct fibers sched = { .run = LIST_HEAD_INIT(sched.run), .running = &sched_main_thread };

/* ---- stacks ---- */

struct sched_stack *sched_stack_new(void)
{
	struct sched_stack *stack;
	char *memory;

	stack = calloc(1, sizeof(*stack));
	memory = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!stack || memory == MAP_FAILED ||
	    mprotect(memory + GUARD_SIZE, STACK_SIZE, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "cannot get memory for a stack\n");
		abort();
	}
	stack->bottom = memory + GUARD_SIZE;
	stack->size = STACK_SIZE;
	(void)VALGRIND_STACK_REGISTER(memory + GUARD_SIZE, memory + GUARD_SIZE + STACK_SIZE);
	return stack;
}

static struct sched_stack *stack_get(void)
{
	struct sched_stack *stack = sched.free;

	if (!stack) {
		if (sched_explored())
			sim_fail("more processes at once than the explorer has stacks for");
		return sched_stack_new();
	}
	sched.free = stack->next;
	sched.nr_free--;
	sched_tell_memory(allocated, stack->bottom, stack->size);
	return stack;
}

/* Not the stack that we are on: an interrupt may create a thread before it has been left. */
void sched_stack_put(struct sched_stack *stack)
{
	stack->next = sched.free;
	sched.free = stack;
	sched.nr_free++;
}

static void stacks_trim(void)
{
	while (sched.nr_free > STACKS_KEPT) {
		struct sched_stack *stack = sched.free;

		sched.free = stack->next;
		sched.nr_free--;
		munmap((char *)stack->bottom - GUARD_SIZE, GUARD_SIZE + stack->size);
		free(stack);
	}
}

/* ---- switching ---- */

static inline void before_switch(struct sched_stack *from, struct sched_stack *to, bool dying)
{
#ifdef SHIM_ASAN
	__sanitizer_start_switch_fiber(dying ? NULL : &from->asan_fake_stack, to->bottom, to->size);
#else
	(void)from;
	(void)to;
	(void)dying;
#endif
}

static inline void after_switch(struct sched_stack *self)
{
	if (unlikely(sched.left)) {
		sched_stack_put(sched.left);
		sched.left = NULL;
		if (sched.forgotten)
			thread_forget(sched.forgotten);
		sched.forgotten = NULL;
	}
#ifdef SHIM_ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(self->asan_fake_stack, &bottom, &size);
	/* The main stack's place is learnt by leaving it the first time. */
	if (!main_stack.bottom) {
		main_stack.bottom = (void *)bottom;
		main_stack.size = size;
	}
#else
	(void)self;
#endif
}

static void switch_to(struct sim_thread *next)
{
	struct sim_thread *self = sched.running;
	transfer_t from;

	world.counts.context_switches++;
	sched.running = next;
	before_switch(self->stack, next->stack, self->state == SCHED_DEAD);
	from = jump_fcontext(next->stack->context, self->stack);
	came_from(from);
	((struct sched_stack *)from.data)->context = from.fctx;
	after_switch(self->stack);
	if (unlikely(world.failed))
		world_report_failure();
}

/* ---- picking ---- */

static void run_event(u32 index)
{
	struct sim_event *event = event_take(index);

	event->fn(event);
	if (unlikely(irq_thread.nr_held))
		thread_check_locks(&irq_thread, "at the end of an interrupt");
}

void sched_make_runnable(struct sim_thread *thread)
{
	thread->on_run_queue = true;
	list_add_tail(&thread->run, &sched.run);
	sched.nr_run++;
}

struct sim_thread *sched_take(struct sim_thread *thread)
{
	list_del(&thread->run);
	thread->on_run_queue = false;
	sched.nr_run--;
	return thread;
}

static struct sim_thread *take_thread(u32 index)
{
	struct list_head *entry = sched.run.next;

	while (index--)
		entry = entry->next;
	return sched_take(list_entry(entry, struct sim_thread, run));
}

/*
 * Nothing to choose: interrupts that are due now, but not those that they cause, then the first
 * thread.
 */
struct sim_thread *sched_pick_fifo(void)
{
	for (;;) {
		u32 due = events_due();

		while (due-- && events_due())
			run_event(0);
		if (likely(sched.nr_run))
			return take_thread(0);
		if (events_due())
			continue;
		if (events_in_future())
			events_advance();
		else
			threads_idle();
	}
}

static struct sim_thread *pick_chosen(void)
{
	for (;;) {
		u32 due = events_due();
		u32 time_may_pass = sched.nr_run && !due && events_in_future();
		u32 n = due + sched.nr_run + time_may_pass;
		u32 choice;

		if (!n) {
			if (events_in_future())
				events_advance();
			else
				threads_idle();
			continue;
		}
		choice = sim_choose(n, due ? "event or thread" : "thread");
		if (choice < due)
			run_event(choice);
		else if (choice < due + sched.nr_run)
			return take_thread(choice - due);
		else
			events_advance();
	}
}

void sched_next(void)
{
	struct sim_thread *self = sched.running, *next;

	/* Whoever is woken from here on, the caller included, has to be picked. */
	sched_current = &irq_thread;
	late_hide(self);
	next = sched_explored() ? sched_pick_explored() :
	       world.fifo	 ? sched_pick_fifo() :
				   pick_chosen();
	if (next != self)
		switch_to(next);
	sched_current = self;
	late_show(self);
}

void sched_sleep(void)
{
	if (sched_current->state == SCHED_WAITING)
		sched_next();
}

bool sched_wake(struct sim_thread *thread)
{
	if (thread->state != SCHED_WAITING)
		return false;
	world.counts.wakeups++;
	thread->state = SCHED_RUNNING;
	/* A thread about to sleep or preempted while about to: it has not slept yet. */
	if (thread != sched_current && !thread->on_run_queue) {
		sched_make_runnable(thread);
		sched_tell_ready(thread);
	}
	return true;
}

void sched_preempt_slow(void)
{
	struct sim_thread *self = sched_current;

	if (in_atomic() || self->state == SCHED_DEAD || !world.active)
		return;
	if (!sched.nr_run && !events_due())
		return;
	if (!choose_biased(2, "preempt", 3))
		return;
	sched_make_runnable(self);
	sched_next();
}

void sim_yield(void)
{
	shim_might_sleep("sim_yield()", SHIM_SITE);
	sched_make_runnable(sched_current);
	sched_next();
}

void sched_set_preemptible(bool on)
{
	sched_preemptible = on;
}

/* ---- life of a thread ---- */

static void thread_main(transfer_t from)
{
	struct sim_thread *self = sched.running;

	came_from(from);
	((struct sched_stack *)from.data)->context = from.fctx;
	after_switch(self->stack);
	sched_current = self;
	self->fn(self->arg);
	sched_order("end", NULL, NULL);
	thread_ended(self);
	sched.left = self->stack;
	sched_next();
	abort();
}

void sched_thread_begin(struct sim_thread *thread)
{
	struct sched_stack *stack = stack_get();

#ifdef SHIM_ASAN
	/* What an abandoned thread left poisoned. */
	ASAN_UNPOISON_MEMORY_REGION(stack->bottom, stack->size);
	stack->asan_fake_stack = NULL;
#endif
	stack->context =
		make_fcontext((char *)stack->bottom + stack->size, stack->size, thread_main);
	thread->stack = stack;
	sched_make_runnable(thread);
}

/* A thread that will never run again gives back its stack, without being unwound. */
void sched_thread_abandon(struct sim_thread *thread)
{
	if (thread->state != SCHED_DEAD)
		sched_stack_put(thread->stack);
}

void sched_start(void)
{
	INIT_LIST_HEAD(&sched.run);
	sched.nr_run = 0;
	sched.running = &sched_main_thread;
	sched_current = &sched_main_thread;
	threads_start(&irq_thread);
	sched_main_thread.stack = &main_stack;
}

void sched_finish(void)
{
	threads_finish();
}

void sched_discard(void)
{
	threads_discard();
	events_discard();
	stacks_trim();
	sched.running = &sched_main_thread;
	sched_current = &sched_main_thread;
}

void sched_fail(void)
{
	if (sched.running != &sched_main_thread && world.active) {
		sched_current = &sched_main_thread;
		switch_to(&sched_main_thread);
	}
	world_report_failure();
}

#endif /* !SHIM_THREADS */
