/* SPDX-License-Identifier: GPL-2.0 */
/* Classes of locks and their order. In a sched_enter() section. See lockdep.c. */
#ifndef FAKE_LOCKDEP_H
#define FAKE_LOCKDEP_H

#include "sched.h"

#define LOCKDEP_CLASSES_MAX 256
#define LOCKDEP_WORDS (LOCKDEP_CLASSES_MAX / 64)

/* lockdep_after[a] has a bit for each class that was taken while a was held. */
extern u64 lockdep_after[LOCKDEP_CLASSES_MAX][LOCKDEP_WORDS];
/* How spinlocks of a class were taken. */
#define LOCKDEP_IN_IRQ 1
#define LOCKDEP_IRQS_ON 2
extern u8 lockdep_use[LOCKDEP_CLASSES_MAX];

u32 lockdep_class_new(struct lock_class_key *key, const char *name);
void lockdep_order_slow(u32 class, const char *site);
void lockdep_irq_use_slow(u32 class, const char *site);
void lockdep_release_slow(const struct shim_lock *lock, u32 class);
void lockdep_too_many(void) __attribute__((noreturn));

/* The class of @key in this world; made on first use. */
static inline u32 lockdep_class(struct lock_class_key *key, const char *name)
{
	if (likely(key->world == world.number))
		return key->class;
	return lockdep_class_new(key, name);
}

static inline bool lockdep_has_edge(u32 first, u32 second)
{
	return lockdep_after[first][second / 64] >> (second % 64) & 1;
}

/* The current thread is about to wait for something of @class: a finding if the order is wrong. */
static inline void lockdep_order(u32 class, const char *site)
{
	const struct sim_thread *self = sched_current;
	u32 i;

	for (i = 0; i < self->nr_held; i++)
		if (unlikely(self->held[i].class == class ||
			     !lockdep_has_edge(self->held[i].class, class))) {
			lockdep_order_slow(class, site);
			return;
		}
}

/* The current thread takes a spinlock: in an interrupt, or with interrupts on? */
static inline void lockdep_irq_use(u32 class, bool irqs_off, const char *site)
{
	u8 use = sched_current->is_irq ? LOCKDEP_IN_IRQ : irqs_off ? 0 : LOCKDEP_IRQS_ON;

	if (unlikely(use & ~lockdep_use[class]))
		lockdep_irq_use_slow(class, site);
}

/* What the current thread holds. @lock: NULL for work. */
static inline void lockdep_hold(struct shim_lock *lock, u32 class)
{
	struct sim_thread *self = sched_current;

	if (unlikely(self->nr_held == SCHED_HELD_MAX))
		lockdep_too_many();
	self->held[self->nr_held++] = (struct sched_held){ lock, class };
}

static inline void lockdep_release(const struct shim_lock *lock, u32 class)
{
	struct sim_thread *self = sched_current;
	const struct sched_held *last = &self->held[self->nr_held - 1];

	if (likely(self->nr_held && last->lock == lock && last->class == class))
		self->nr_held--;
	else
		lockdep_release_slow(lock, class);
}

#endif /* FAKE_LOCKDEP_H */
