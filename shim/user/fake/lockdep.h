/* SPDX-License-Identifier: GPL-2.0 */
/* Classes of locks and their order. In a sched_enter() section. See lockdep.c. */
#ifndef FAKE_LOCKDEP_H
#define FAKE_LOCKDEP_H

#include "sched.h"

/* The class of @key in this world; made on first use. */
u32 lockdep_class(struct lock_class_key *key, const char *name, bool spin);
/* The current thread is about to wait for something of @class: a finding if the order is wrong. */
void lockdep_order(u32 class, const char *site);
/* The current thread takes a spinlock: in an interrupt, or with interrupts on? */
void lockdep_irq_use(u32 class, const char *site);
/* What the current thread holds. @lock: NULL for work. */
void lockdep_hold(struct shim_lock *lock, u32 class, const char *site);
void lockdep_release(const struct shim_lock *lock, u32 class);

#endif /* FAKE_LOCKDEP_H */
