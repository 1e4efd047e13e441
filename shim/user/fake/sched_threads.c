// SPDX-License-Identifier: GPL-2.0
/*
 * The scheduler on real threads (SHIM_THREADS), so that ThreadSanitizer can watch core/ and
 * stores/. Not deterministic.
 *
 * One lock protects the whole simulated kernel. It is made of a futex, and what happens under it is
 * hidden from ThreadSanitizer, which would otherwise take any two uses of the simulated kernel as
 * ordered, and see no race behind them. The order that the kernel's primitives do give is told with
 * sched_hb_release() and sched_hb_acquire(). In a build with -fsanitize=thread this directory
 * itself is compiled without.
 *
 * Events run in a thread of their own. Simulated time advances when every other thread sleeps; when
 * there is no event either, that is a deadlock here as with fibers. A failure is reported by the
 * thread that found it; the callback must end the process.
 */
#ifdef SHIM_THREADS

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "event.h"
#include "thread.h"
#include "world.h"

#define STACK_SIZE (1024 * 1024)

struct sched_stack {
	struct list_head entry; /* of all */
	struct sim_thread *thread;
	u32 futex; /* counts wake-ups */
	bool asleep;
};

_Thread_local struct sim_thread *sched_current = &sched_main_thread;

static struct sim_thread irq_thread;
static pthread_t irq_pthread;

static struct {
	u32 lock; /* 0 free, 1 taken, 2 taken and waited for */
	struct list_head stacks;
	u32 nr_active; /* neither asleep nor ended; without the interrupt's */
	u32 nr_threads; /* that exist; without main and the interrupt's */
	u32 irq_futex;
	u32 ended_futex;
	bool stopping;
} sched = { .stacks = LIST_HEAD_INIT(sched.stacks) };

static _Thread_local u32 depth; /* of sched_enter() */

#ifdef SHIM_TSAN
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_end(void);
#else
static void __tsan_ignore_thread_begin(void)
{
}

static void __tsan_ignore_thread_end(void)
{
}
#endif

/* ---- the lock ---- */

static void futex_wait(u32 *word, u32 value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(u32 *word, int nr)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
}

static void lock(void)
{
	u32 seen = 0;

	if (!__atomic_compare_exchange_n(&sched.lock, &seen, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED)) {
		if (seen != 2)
			seen = __atomic_exchange_n(&sched.lock, 2, __ATOMIC_ACQUIRE);
		while (seen) {
			futex_wait(&sched.lock, 2);
			seen = __atomic_exchange_n(&sched.lock, 2, __ATOMIC_ACQUIRE);
		}
	}
	__tsan_ignore_thread_begin();
}

static void unlock(void)
{
	__tsan_ignore_thread_end();
	if (__atomic_exchange_n(&sched.lock, 0, __ATOMIC_RELEASE) == 2)
		futex_wake(&sched.lock, 1);
}

void sched_enter(void)
{
	if (!depth++)
		lock();
}

void sched_exit(void)
{
	if (!--depth)
		unlock();
}

/* ---- sleeping and waking ---- */

static void kick_irq(void)
{
	__atomic_add_fetch(&sched.irq_futex, 1, __ATOMIC_RELEASE);
	futex_wake(&sched.irq_futex, 1);
}

void event_added(void)
{
	if (!sched_current->is_irq)
		kick_irq();
}

static void __attribute__((noreturn)) end_thread(void)
{
	sched.nr_threads--;
	__atomic_add_fetch(&sched.ended_futex, 1, __ATOMIC_RELEASE);
	futex_wake(&sched.ended_futex, INT_MAX);
	depth = 0;
	unlock();
	pthread_exit(NULL);
}

void sched_sleep(void)
{
	struct sim_thread *self = sched_current;
	struct sched_stack *stack = self->stack;
	u32 saved = depth;

	if (self->state != SCHED_WAITING)
		return;
	world.counts.context_switches++;
	stack->asleep = true;
	if (!self->is_irq && !--sched.nr_active)
		kick_irq();
	while (self->state == SCHED_WAITING && !sched.stopping) {
		u32 seen = __atomic_load_n(&stack->futex, __ATOMIC_ACQUIRE);

		unlock();
		futex_wait(&stack->futex, seen);
		lock();
	}
	depth = saved;
	if (sched.stopping && self != &sched_main_thread)
		end_thread();
}

bool sched_wake(struct sim_thread *thread)
{
	struct sched_stack *stack = thread->stack;

	if (thread->state != SCHED_WAITING)
		return false;
	world.counts.wakeups++;
	thread->state = SCHED_RUNNING;
	if (stack->asleep) {
		stack->asleep = false;
		sched.nr_active += !thread->is_irq;
		__atomic_add_fetch(&stack->futex, 1, __ATOMIC_RELEASE);
		futex_wake(&stack->futex, 1);
	}
	return true;
}

void sim_yield(void)
{
	shim_might_sleep("sim_yield()", SHIM_SITE);
	sched_yield();
}

void sched_set_preemptible(bool on)
{
	(void)on;
}

/* ---- interrupts ---- */

static void run_event(void)
{
	struct sim_event *event = event_take(0);

	sched_hb_acquire(event);
	sched_exit();
	event->fn(event);
	thread_check_locks(&irq_thread, "at the end of an interrupt");
	sched_enter();
}

static void *irq_main(void *arg)
{
	sched_current = &irq_thread;
	sched_enter();
	while (!sched.stopping) {
		u32 seen = __atomic_load_n(&sched.irq_futex, __ATOMIC_ACQUIRE);

		if (events_due()) {
			run_event();
		} else if (!sched.nr_active && events_in_future()) {
			events_advance();
		} else if (!sched.nr_active) {
			threads_idle();
		} else {
			sched_exit();
			futex_wait(&sched.irq_futex, seen);
			sched_enter();
		}
	}
	sched_exit();
	return arg;
}

/* ---- life of a thread ---- */

static struct sched_stack *stack_new(struct sim_thread *thread)
{
	struct sched_stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		abort();
	stack->thread = thread;
	thread->stack = stack;
	list_add_tail(&stack->entry, &sched.stacks);
	return stack;
}

static void *thread_main(void *arg)
{
	struct sim_thread *self = arg;

	sched_current = self;
	sched_hb_acquire(self);
	self->fn(self->arg);
	sched_enter();
	thread_ended(self);
	if (!--sched.nr_active)
		kick_irq();
	end_thread();
}

void sched_thread_begin(struct sim_thread *thread)
{
	pthread_attr_t attr;
	pthread_t pthread;

	stack_new(thread);
	sched.nr_active++;
	sched.nr_threads++;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (pthread_create(&pthread, &attr, thread_main, thread)) {
		fprintf(stderr, "cannot create a thread\n");
		abort();
	}
	pthread_attr_destroy(&attr);
}

void sched_thread_abandon(struct sim_thread *thread)
{
	list_del(&thread->stack->entry);
	free(thread->stack);
}

void sched_start(void)
{
	sched_current = &sched_main_thread;
	threads_start(&irq_thread);
	INIT_LIST_HEAD(&sched.stacks);
	stack_new(&sched_main_thread);
	stack_new(&irq_thread);
	sched.nr_active = 1;
	sched.nr_threads = 0;
	sched.stopping = false;
	if (pthread_create(&irq_pthread, NULL, irq_main, NULL)) {
		fprintf(stderr, "cannot create a thread\n");
		abort();
	}
}

void sched_finish(void)
{
	threads_finish();
}

/* Threads that sleep end inside sched_sleep(). */
void sched_discard(void)
{
	struct sched_stack *stack;

	sched_enter();
	sched.stopping = true;
	list_for_each_entry(stack, &sched.stacks, entry) {
		__atomic_add_fetch(&stack->futex, 1, __ATOMIC_RELEASE);
		futex_wake(&stack->futex, 1);
	}
	kick_irq();
	while (sched.nr_threads) {
		u32 seen = __atomic_load_n(&sched.ended_futex, __ATOMIC_ACQUIRE);

		sched_exit();
		futex_wait(&sched.ended_futex, seen);
		sched_enter();
	}
	sched_exit();
	pthread_join(irq_pthread, NULL);
	threads_discard();
	sched_thread_abandon(&sched_main_thread);
	sched_thread_abandon(&irq_thread);
	events_discard();
}

/* The lock stays taken: nobody else goes on. */
void sched_fail(void)
{
	if (depth)
		__tsan_ignore_thread_end();
	world_report_failure();
}

#endif /* SHIM_THREADS */
