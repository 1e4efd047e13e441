/* SPDX-License-Identifier: GPL-2.0 */
/* Threads, as both backends have them; thread.c. */
#ifndef FAKE_THREAD_H
#define FAKE_THREAD_H

#include "sched.h"

extern struct sim_thread sched_main_thread;

void threads_start(struct sim_thread *irq_thread);
void threads_finish(void);
void threads_discard(void);
/* The thread's function has returned, on its own stack. */
void thread_ended(struct sim_thread *thread);
/*
 * Nothing can run and nothing will happen: wakes who waited for that (sim_settle()), or is a
 * deadlock.
 */
void threads_idle(void);
/* sched_main_thread first. */
void threads_each(void (*fn)(struct sim_thread *thread, void *context), void *context);
void thread_forget(struct sim_thread *thread);
/* A finding that names the locks held, if any. */
void thread_check_locks(const struct sim_thread *thread, const char *when);

/* The backend's. */
void sched_thread_begin(struct sim_thread *thread);
void sched_thread_abandon(struct sim_thread *thread);

#endif /* FAKE_THREAD_H */
