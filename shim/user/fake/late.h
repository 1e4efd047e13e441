/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stores that others see late, while an explorer wants them (explore.h). A processor may put a store into a buffer and go on:
 * it sees it itself, others see what was there before, until something that orders (a release, an unlock, a full barrier, ...). That
 * others see it from now on is an event, a step like others; stores to the same place are seen in order, others in any.
 */
#ifndef FAKE_LATE_H
#define FAKE_LATE_H

#include "sched.h"

#ifdef SHIM_WATCHED
void late_init(struct sim_thread *thread);
void late_hide_slow(struct sim_thread *thread);
void late_show_slow(struct sim_thread *thread);

/* A thread stops, or goes on. */
static inline void late_hide(struct sim_thread *thread)
{
	if (unlikely(!list_empty(&thread->late)))
		late_hide_slow(thread);
}

static inline void late_show(struct sim_thread *thread)
{
	if (unlikely(!list_empty(&thread->late)))
		late_show_slow(thread);
}

#define LATE_ALL ((const void *)-1)
/* Do others see what @thread has stored at @place, or anywhere? */
bool late_is_seen(struct sim_thread *thread, const void *place);
/* The step that runs has waited for that. */
void late_ordered(struct sim_thread *thread, const void *place);

void late_freed(const void *start, size_t size);

/* Is it that others see a store? Then what a story tells of it: a step of the thread that has stored. */
bool late_is_store(const struct sim_event *event);
struct sim_step late_step(const struct sim_event *event);
#else
#define late_init(thread) ((void)(thread))
#define late_hide(thread) ((void)(thread))
#define late_show(thread) ((void)(thread))
#define late_freed(start, size) ((void)(start))
#endif

#endif /* FAKE_LATE_H */
