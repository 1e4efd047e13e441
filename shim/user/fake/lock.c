// SPDX-License-Identifier: GPL-2.0
/*
 * Mutexes and spinlocks with an owner.
 *
 * A mutex that is released wakes one waiter, which competes with whoever comes meanwhile; a waiter
 * that lost once is handed the mutex by the next release, as in the kernel. With fibers a spinlock
 * never has to be waited for: nobody is preempted while atomic, so a spinlock found locked is a
 * deadlock. With threads it is waited for like a mutex.
 */
#include "lockdep.h"
#include "sched.h"

struct lock_waiter {
	struct list_head entry;
	struct sim_thread *thread;
	bool lost; /* was woken, and someone else was faster */
	bool owns; /* was handed the lock */
};

#define FREED_PATTERN 0x6b6b6b6bu
#define FRESH_PATTERN 0x5a5a5a5au

void shim_lock_init(struct shim_lock *lock, const char *name, struct lock_class_key *key, bool spin)
{
	*lock = (struct shim_lock){ .name = name, .key = key, .spin = spin };
}

/* A lock met for the first time in this world. */
static noinline void lock_adopt(struct shim_lock *lock, const char *site)
{
	if (lock->world == FREED_PATTERN || lock->world == FRESH_PATTERN || !lock->key)
		sim_fail("lock used at %s was %s", site_name(site),
			 lock->world == FREED_PATTERN ? "freed" : "never initialised");
	if (!world.active)
		sim_fail("lock '%s' used outside of a world", lock->name);
	lock->owner = NULL;
	lock->class = lockdep_class(lock->key, lock->name);
	lock->world = world.number;
	INIT_LIST_HEAD(&lock->waiters);
}

static inline u32 lock_class_of(struct shim_lock *lock, const char *site)
{
	if (unlikely(lock->world != world.number))
		lock_adopt(lock, site);
	return lock->class;
}

static inline void take(struct shim_lock *lock, u32 class, const char *site)
{
	lock->owner = sched_current;
	lock->site = site;
	lockdep_hold(lock, class);
	sched_access(lock, SIM_LOCK);
	sched_hb_acquire(lock);
}

static noinline void wait_for_lock(struct shim_lock *lock, const char *site)
{
	struct lock_waiter waiter = { .thread = sched_current };
	struct sim_thread *self = sched_current;

	INIT_LIST_HEAD(&waiter.entry);
	while (lock->owner && !waiter.owns) {
		/* Still queued: a wake-up for the condition of the wait_event() that we are in. */
		if (list_empty(&waiter.entry) && waiter.lost)
			list_add(&waiter.entry, &lock->waiters);
		else if (list_empty(&waiter.entry))
			list_add_tail(&waiter.entry, &lock->waiters);
		self->wait = (struct sched_wait){ lock->spin ? "spin_lock" : "mutex_lock",
						  lock->name, site, lock };
		self->state = SCHED_WAITING;
		sched_sleep();
		waiter.lost |= list_empty(&waiter.entry);
	}
	if (!list_empty(&waiter.entry))
		list_del(&waiter.entry);
}

/*
 * A waiter for a lock that was just released: whom the chooser takes, or the first, which may be
 * owed it.
 */
static noinline void pass_on(struct shim_lock *lock)
{
	struct lock_waiter *waiter = list_first_entry(&lock->waiters, struct lock_waiter, entry);
	u32 nr = 0, choice;

	if (!world.fifo && !waiter->lost) {
		struct list_head *entry;

		list_for_each(entry, &lock->waiters)
			nr++;
		choice = sim_choose(nr, "lock");
		while (choice--)
			waiter = list_next_entry(waiter, entry);
	}
	list_del_init(&waiter->entry);
	if (waiter->lost) {
		lock->owner = waiter->thread;
		waiter->owns = true;
	}
	sched_wake(waiter->thread);
}

static noinline void already_held(const struct shim_lock *lock, const char *site)
{
	sim_fail("%s '%s' locked at %s by '%s', which holds it already (%s)",
		 lock->spin ? "spinlock" : "mutex", lock->name, site_name(site),
		 sched_current->name, site_name(lock->site));
}

static noinline void bad_unlock(const struct shim_lock *lock, const char *site)
{
	sim_fail("%s '%s' unlocked at %s by '%s', %s%s", lock->spin ? "spinlock" : "mutex",
		 lock->name, site_name(site), sched_current->name,
		 lock->owner ? "but held by " : "but not locked",
		 lock->owner ? lock->owner->name : "");
}

static inline void drop(struct shim_lock *lock, const char *site)
{
	if (unlikely(lock->world != world.number))
		lock_adopt(lock, site);
	if (unlikely(lock->owner != sched_current))
		bad_unlock(lock, site);
	lockdep_release(lock, lock->class);
	sched_access(lock, SIM_UNLOCK);
	sched_hb_release(lock);
	lock->owner = NULL;
	if (unlikely(!list_empty(&lock->waiters)))
		pass_on(lock);
}

static bool __maybe_unused may_lock(const void *wants)
{
	const struct shim_lock *lock = wants;

	return !lock->owner || lock->world != world.number;
}

static inline void point_lock(const char *what, struct shim_lock *lock, const char *site)
{
	/* Who locks what it holds itself goes on, and is found out. */
	if (lock->owner != sched_current || lock->world != world.number)
		sched_point_when((&(struct sched_wait){ what, lock->name, site, lock }), may_lock, lock);
}

/* ---- mutex ---- */

void shim_mutex_lock(struct mutex *lock, const char *site)
{
	struct shim_lock *dep = &lock->dep;
	u32 class;

	shim_might_sleep("mutex_lock()", site);
	point_lock("mutex_lock", dep, site);
	sched_enter();
	class = lock_class_of(dep, site);
	if (unlikely(dep->owner == sched_current))
		already_held(dep, site);
	lockdep_order(class, site);
	if (unlikely(dep->owner))
		wait_for_lock(dep, site);
	take(dep, class, site);
	sched_exit();
}

int shim_mutex_trylock(struct mutex *lock, const char *site)
{
	struct shim_lock *dep = &lock->dep;
	u32 class;
	int r;

	if (sched_current->is_irq)
		sim_fail("mutex_trylock() of '%s' at %s in an interrupt", dep->name,
			 site_name(site));
	/* Unlocking would have to be a step of its own, for the sake of who tries meanwhile. */
	if (sched_explored())
		sim_fail("mutex_trylock() at %s: explorers do not have it", site_name(site));
	sched_preempt();
	sched_enter();
	class = lock_class_of(dep, site);
	r = !dep->owner;
	if (r)
		take(dep, class, site);
	sched_exit();
	return r;
}

void shim_mutex_unlock(struct mutex *lock, const char *site)
{
	if (unlikely(sched_current->is_irq))
		sim_fail("mutex_unlock() of '%s' at %s in an interrupt", lock->dep.name,
			 site_name(site));
	sched_order("mutex_unlock", lock->dep.name, site);
	sched_enter();
	drop(&lock->dep, site);
	sched_exit();
	sched_preempt();
}

bool mutex_is_locked(struct mutex *lock)
{
	bool locked;

	if (sched_explored())
		sim_fail("mutex_is_locked() of '%s': explorers do not have it", lock->dep.name);
	sched_enter();
	(void)lock_class_of(&lock->dep, "mutex_is_locked()");
	locked = lock->dep.owner != NULL;
	sched_exit();
	return locked;
}

void shim_mutex_destroy(struct mutex *lock, const char *site)
{
	sched_enter();
	(void)lock_class_of(&lock->dep, site);
	if (lock->dep.owner)
		sim_fail("mutex '%s' destroyed at %s, but held by '%s' (%s)", lock->dep.name,
			 site_name(site), lock->dep.owner->name, site_name(lock->dep.site));
	lock->dep.key = NULL;
	lock->dep.world = 0;
	sched_exit();
}

/* ---- spinlock ---- */

static inline void spin_take(struct shim_lock *dep, bool irqs_off, const char *site)
{
	u32 class;

	sched_enter();
	class = lock_class_of(dep, site);
	if (unlikely(dep->owner == sched_current))
		already_held(dep, site);
	lockdep_irq_use(class, irqs_off, site);
	lockdep_order(class, site);
	if (unlikely(dep->owner)) {
#ifndef SHIM_THREADS
		sim_fail("deadlock: '%s' spins on '%s' at %s, held by '%s' since %s",
			 sched_current->name, dep->name, site_name(site), dep->owner->name,
			 site_name(dep->site));
#endif
		wait_for_lock(dep, site);
	}
	take(dep, class, site);
	sched_current->spin_depth++;
	sched_exit();
}

static inline void spin_drop(struct shim_lock *dep, const char *site)
{
	sched_order("spin_unlock", dep->name, site);
	sched_enter();
	drop(dep, site);
	sched_current->spin_depth--;
	sched_exit();
}

void shim_spin_lock(spinlock_t *lock, const char *site)
{
	point_lock("spin_lock", &lock->dep, site);
	spin_take(&lock->dep, sched_current->irqs_off, site);
}

void shim_spin_unlock(spinlock_t *lock, const char *site)
{
	spin_drop(&lock->dep, site);
	sched_preempt();
}

/* With interrupts off already, spin_unlock_irq() would turn them on under someone's feet. */
void shim_spin_lock_irq(spinlock_t *lock, const char *site)
{
	struct sim_thread *self = sched_current;

	if (unlikely(self->irqs_off))
		sim_fail("spin_lock_irq() of '%s' at %s with interrupts off", lock->dep.name,
			 site_name(site));
	point_lock("spin_lock", &lock->dep, site);
	self->irqs_off = true;
	spin_take(&lock->dep, true, site);
}

void shim_spin_unlock_irq(spinlock_t *lock, const char *site)
{
	struct sim_thread *self = sched_current;

	if (unlikely(self->is_irq || !self->irqs_off))
		sim_fail("spin_unlock_irq() of '%s' at %s %s", lock->dep.name, site_name(site),
			 self->is_irq ? "in an interrupt" : "with interrupts on");
	spin_drop(&lock->dep, site);
	self->irqs_off = false;
	sched_preempt();
}

unsigned long shim_spin_lock_irqsave(spinlock_t *lock, const char *site)
{
	struct sim_thread *self = sched_current;
	unsigned long flags = self->irqs_off;

	point_lock("spin_lock", &lock->dep, site);
	self->irqs_off = true;
	spin_take(&lock->dep, true, site);
	return flags;
}

void shim_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags, const char *site)
{
	struct sim_thread *self = sched_current;

	if (unlikely(!self->irqs_off || flags > 1 || (self->is_irq && !flags)))
		sim_fail("spin_unlock_irqrestore() of '%s' at %s: flags or state are wrong",
			 lock->dep.name, site_name(site));
	spin_drop(&lock->dep, site);
	self->irqs_off = flags != 0;
	sched_preempt();
}

/* ---- assertions ---- */

void shim_assert_held(const struct shim_lock *lock, bool held, const char *site)
{
	bool is_held;

	sched_enter();
	is_held = lock->owner == sched_current && lock->world == world.number;
	sched_exit();
	if (unlikely(is_held != held))
		sim_fail("%s: '%s' is %s by '%s'", site_name(site), lock->name,
			 held ? "not held" : "held", sched_current->name);
}

void shim_might_sleep(const char *what, const char *site)
{
	const struct sim_thread *self = sched_current;

	if (unlikely(in_atomic())) {
		const struct sched_held *held = self->nr_held ? &self->held[self->nr_held - 1] :
								NULL;

		sim_fail("%s: %s in thread '%s' %s%s%s%s", site_name(site), what, self->name,
			 self->is_irq ? "in an interrupt" : "while atomic", held ? ", holds '" : "",
			 held && held->lock ? held->lock->name : "", held ? "'" : "");
	}
	if (unlikely(self->state == SCHED_WAITING))
		sim_fail("%s: %s in the condition of a wait_event() in thread '%s'",
			 site_name(site), what, self->name);
}

int shim_cond_resched(const char *site)
{
	shim_might_sleep("cond_resched()", site);
	sched_preempt();
	return 0;
}

void lock_check_free(const void *start, size_t size, const char *site)
{
	const struct sim_thread *self = sched_current;
	u32 i;

	for (i = 0; i < self->nr_held; i++) {
		const struct shim_lock *lock = self->held[i].lock;

		if (unlikely((const char *)lock >= (const char *)start &&
			     (const char *)lock < (const char *)start + size))
			sim_fail("memory freed at %s contains '%s', which '%s' holds",
				 site_name(site), lock->name, self->name);
	}
}
