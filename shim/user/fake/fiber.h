/* SPDX-License-Identifier: GPL-2.0 */
/* The scheduler on fibers: what sched_fiber.c and sched_explore.c share. */
#ifndef FAKE_FIBER_H
#define FAKE_FIBER_H

#include "../fcontext.h"
#include "sched.h"

struct sched_stack {
	fcontext_t context; /* while it does not run */
	void *bottom; /* lowest usable address; the guard is below */
	size_t size;
	void *asan_fake_stack;
	struct sched_stack *next;
};
extern struct sched_stack main_stack;

extern struct fibers {
	struct list_head run; /* runnable, not running */
	u32 nr_run;
	struct sim_thread *running; /* whose stack we are on */
	struct sched_stack *free;
	u32 nr_free;
	struct sched_stack *left; /* of a thread that has ended; free once we are on another */
	struct sim_thread *forgotten; /* the same, where nobody knows the thread */
} sched;

struct sched_stack *sched_stack_new(void);
void sched_stack_put(struct sched_stack *stack);
void sched_make_runnable(struct sim_thread *thread);
/* Off the run queue. */
struct sim_thread *sched_take(struct sim_thread *thread);
/* Whoever is next runs; the caller must have been made runnable, or be found by who wakes it. */
void sched_next(void);
struct sim_thread *sched_pick_fifo(void);

#ifdef SHIM_WATCHED
struct sim_thread *sched_pick_explored(void);
#define sched_tell_ready(thread)                                                                \
	do {                                                                                    \
		if (unlikely(sched_explorer))                                                   \
			sched_explorer->enables((thread)->process);                             \
	} while (0)
#else
#define sched_pick_explored() NULL
#define sched_tell_ready(thread) ((void)0)
#endif

#endif /* FAKE_FIBER_H */
