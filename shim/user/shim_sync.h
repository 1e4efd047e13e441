/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Locks, waiting and work. Stricter than the kernel: owners, order of locks, use in interrupts and
 * sleeping while atomic are checked always, as a kernel with lockdep and DEBUG_ATOMIC_SLEEP would.
 */
#ifndef SHIM_SYNC_H
#define SHIM_SYNC_H

#include "shim_list.h"

struct sim_thread;

/* ---- locks ---- */

/*
 * Which locks a function wants and leaves held: after its parameters, as in the kernel. sparse
 * counts them, clang's -Wthread-safety knows them by name (ci/check-static), gcc has no use for them.
 * As in the kernel, too, sparse does not see a mutex: who takes one for its caller says
 * __acquire(), which clang has seen by then.
 */
#if defined(__CHECKER__)
#define shim_lock_type
#define __must_hold(x) __attribute__((context(x, 1, 1)))
#define __acquires(x) __attribute__((context(x, 0, 1)))
#define __releases(x) __attribute__((context(x, 1, 0)))
#define __acquire(x) __context__(x, 1)
#define __release(x) __context__(x, -1)
#define shim_takes_mutex(x)
#define shim_gives_mutex(x)
#elif defined(__clang__)
#define shim_lock_type __attribute__((capability("lock")))
#define __must_hold(x) __attribute__((requires_capability(x)))
#define __acquires(x) __attribute__((acquire_capability(x)))
#define __releases(x) __attribute__((release_capability(x)))
#define __acquire(x) ((void)0)
#define __release(x) ((void)0)
#define shim_takes_mutex(x) __acquires(x)
#define shim_gives_mutex(x) __releases(x)
#else
#define shim_lock_type
#define __must_hold(x)
#define __acquires(x)
#define __releases(x)
#define __acquire(x) ((void)0)
#define __release(x) ((void)0)
#define shim_takes_mutex(x)
#define shim_gives_mutex(x)
#endif

/* One per place that initialises locks: locks of one class are taken in one order. */
struct lock_class_key {
	u32 world;	/* class is valid in this world */
	u32 class;
};

/* What mutexes and spinlocks have in common. */
struct shim_lock {
	const char *name;
	struct lock_class_key *key;	/* NULL: never initialised */
	struct sim_thread *owner;	/* NULL: not locked */
	const char *site;		/* that took it */
	u32 world;			/* what follows, and the owner, is of this world */
	u32 class;
	struct list_head waiters;
	bool spin;
	struct lock_class_key own_key;	/* of those that are initialised statically */
};

struct shim_lock_type mutex {
	struct shim_lock dep;
};

typedef struct shim_lock_type spinlock {
	struct shim_lock dep;
} spinlock_t;

#define SHIM_LOCK_INIT(lockname, lock, is_spin)                                                 \
	{ .dep = { .name = lockname, .key = &(lock).dep.own_key, .spin = is_spin } }
#define __MUTEX_INITIALIZER(lock) SHIM_LOCK_INIT(#lock, lock, false)
#define __SPIN_LOCK_UNLOCKED(lock) SHIM_LOCK_INIT(#lock, lock, true)
#define DEFINE_MUTEX(lock) struct mutex lock = __MUTEX_INITIALIZER(lock)
#define DEFINE_SPINLOCK(lock) spinlock_t lock = __SPIN_LOCK_UNLOCKED(lock)

void shim_lock_init(struct shim_lock *lock, const char *name, struct lock_class_key *key,
		    bool spin);
#define shim_lock_init_here(lock, lockname, is_spin)                                            \
	do {                                                                                    \
		static struct lock_class_key __key;                                             \
		shim_lock_init(&(lock)->dep, lockname, &__key, is_spin);                        \
	} while (0)
#define mutex_init(lock) shim_lock_init_here(lock, #lock, false)
#define spin_lock_init(lock) shim_lock_init_here(lock, #lock, true)

void shim_mutex_lock(struct mutex *lock, const char *site) shim_takes_mutex(lock);
int __must_check shim_mutex_trylock(struct mutex *lock, const char *site);
void shim_mutex_unlock(struct mutex *lock, const char *site) shim_gives_mutex(lock);
void shim_mutex_destroy(struct mutex *lock, const char *site);
bool mutex_is_locked(struct mutex *lock);
#define mutex_lock(lock) shim_mutex_lock(lock, SHIM_SITE)
#define mutex_trylock(lock) shim_mutex_trylock(lock, SHIM_SITE)
#define mutex_unlock(lock) shim_mutex_unlock(lock, SHIM_SITE)
#define mutex_destroy(lock) shim_mutex_destroy(lock, SHIM_SITE)

void shim_spin_lock(spinlock_t *lock, const char *site) __acquires(lock);
void shim_spin_unlock(spinlock_t *lock, const char *site) __releases(lock);
void shim_spin_lock_irq(spinlock_t *lock, const char *site) __acquires(lock);
void shim_spin_unlock_irq(spinlock_t *lock, const char *site) __releases(lock);
unsigned long shim_spin_lock_irqsave(spinlock_t *lock, const char *site) __acquires(lock);
void shim_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags, const char *site)
	__releases(lock);
#define spin_lock(lock) shim_spin_lock(lock, SHIM_SITE)
#define spin_unlock(lock) shim_spin_unlock(lock, SHIM_SITE)
#define spin_lock_irq(lock) shim_spin_lock_irq(lock, SHIM_SITE)
#define spin_unlock_irq(lock) shim_spin_unlock_irq(lock, SHIM_SITE)
#define spin_lock_irqsave(lock, flags)                                                          \
	do {                                                                                    \
		unsigned long *__flags = &(flags);                                              \
		*__flags = shim_spin_lock_irqsave(lock, SHIM_SITE);                             \
	} while (0)
#define spin_unlock_irqrestore(lock, flags) shim_spin_unlock_irqrestore(lock, flags, SHIM_SITE)

void shim_assert_held(const struct shim_lock *lock, bool held, const char *site);
#define lockdep_assert_held(lock) shim_assert_held(&(lock)->dep, true, SHIM_SITE)
#define lockdep_assert_not_held(lock) shim_assert_held(&(lock)->dep, false, SHIM_SITE)

void shim_might_sleep(const char *what, const char *site);
int shim_cond_resched(const char *site);
#define might_sleep() shim_might_sleep("might_sleep()", SHIM_SITE)
#define cond_resched() shim_cond_resched(SHIM_SITE)

/* ---- waiting ---- */

struct wait_queue_head {
	struct list_head head;	/* struct wait_queue_entry */
	const char *name;
	u32 world;		/* the state is of this world */
};
typedef struct wait_queue_head wait_queue_head_t;

struct wait_queue_entry {
	struct list_head entry;
	struct sim_thread *thread;
};

#define __WAIT_QUEUE_HEAD_INITIALIZER(wq) { .head = LIST_HEAD_INIT((wq).head), .name = #wq }
#define DECLARE_WAIT_QUEUE_HEAD(wq) wait_queue_head_t wq = __WAIT_QUEUE_HEAD_INITIALIZER(wq)

void shim_waitqueue_init(wait_queue_head_t *wq, const char *name);
#define init_waitqueue_head(wq) shim_waitqueue_init(wq, #wq)

void shim_wait_begin(struct wait_queue_entry *entry);
void shim_wait_prepare(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void shim_wait_schedule(wait_queue_head_t *wq, struct wait_queue_entry *entry,
			const char *condition, const char *site);
void shim_wait_finish(wait_queue_head_t *wq, struct wait_queue_entry *entry);

/* The condition does not hold: at first waiting begins, then it sleeps. */
static inline void shim_wait_again(wait_queue_head_t *wq, struct wait_queue_entry *entry,
				   const char *condition, const char *site)
{
	if (entry->thread)
		shim_wait_schedule(wq, entry, condition, site);
	else
		shim_wait_begin(entry);
	shim_wait_prepare(wq, entry);
}

static inline void shim_wait_end(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	if (entry->thread)
		shim_wait_finish(wq, entry);
}

#define wait_event(wq, condition)                                                               \
	do {                                                                                    \
		struct wait_queue_entry __entry = { .thread = NULL };                           \
		shim_might_sleep("wait_event(" #condition ")", SHIM_SITE);                      \
		while (!(condition))                                                            \
			shim_wait_again(&(wq), &__entry, #condition, SHIM_SITE);                \
		shim_wait_end(&(wq), &__entry);                                                 \
	} while (0)

void wake_up(wait_queue_head_t *wq);
void wake_up_all(wait_queue_head_t *wq);
int waitqueue_active(wait_queue_head_t *wq);

struct completion {
	unsigned int done;	/* UINT_MAX: for ever */
	wait_queue_head_t wait;
};

#define COMPLETION_INITIALIZER(c)                                                              \
	{ .wait = { .head = LIST_HEAD_INIT((c).wait.head), .name = #c } }
#define COMPLETION_INITIALIZER_ONSTACK(c) COMPLETION_INITIALIZER(c)
#define DECLARE_COMPLETION(c) struct completion c = COMPLETION_INITIALIZER(c)
#define DECLARE_COMPLETION_ONSTACK(c) struct completion c = COMPLETION_INITIALIZER_ONSTACK(c)

void shim_completion_init(struct completion *c, const char *name);
#define init_completion(c) shim_completion_init(c, #c)
void reinit_completion(struct completion *c);
void complete(struct completion *c);
void complete_all(struct completion *c);
void shim_wait_for_completion(struct completion *c, const char *site);
bool completion_done(struct completion *c);
#define wait_for_completion(c) shim_wait_for_completion(c, SHIM_SITE)

/* ---- work ---- */

struct workqueue_struct;
struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	struct list_head entry;		/* on the workqueue while pending */
	struct list_head all_pending;	/* of all workqueues */
	work_func_t func;
	const char *name;
	struct lock_class_key *key;	/* flush_work() is ordered like a lock */
	const char *module;		/* whose code it is */
	struct workqueue_struct *wq;	/* of the last queue_work() */
	u64 sequence;			/* of the last queue_work() */
	bool pending;			/* queued and not yet begun, or being cancelled */
	u32 magic;			/* initialised */
};

void shim_work_init(struct work_struct *work, work_func_t func, const char *name,
		    struct lock_class_key *key, const char *module);
#ifdef KBUILD_MODNAME
#define SHIM_MODNAME KBUILD_MODNAME
#else
#define SHIM_MODNAME NULL
#endif
#define INIT_WORK(work, func)                                                                   \
	do {                                                                                    \
		static struct lock_class_key __key;                                             \
		shim_work_init(work, func, #func, &__key, SHIM_MODNAME);                        \
	} while (0)

#define WQ_UNBOUND (1 << 1)
#define WQ_MEM_RECLAIM (1 << 3)
#define WQ_HIGHPRI (1 << 4)
#define SHIM_WQ_ORDERED (1 << 17)

struct workqueue_struct *shim_alloc_workqueue(const char *site, const char *fmt, unsigned int flags,
					      int max_active, ...) __printf(2, 5);
#define alloc_workqueue(fmt, flags, max_active, ...)                                            \
	shim_alloc_workqueue(SHIM_SITE, fmt, flags, max_active, ##__VA_ARGS__)
#define alloc_ordered_workqueue(fmt, flags, ...)                                                \
	shim_alloc_workqueue(SHIM_SITE, fmt, WQ_UNBOUND | SHIM_WQ_ORDERED | (flags), 1,         \
			     ##__VA_ARGS__)
void destroy_workqueue(struct workqueue_struct *wq);
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool shim_flush_work(struct work_struct *work, const char *site);
bool shim_cancel_work_sync(struct work_struct *work, const char *site);
void shim_flush_workqueue(struct workqueue_struct *wq, const char *site);
bool work_pending(const struct work_struct *work);
#define flush_work(work) shim_flush_work(work, SHIM_SITE)
#define cancel_work_sync(work) shim_cancel_work_sync(work, SHIM_SITE)
#define flush_workqueue(wq) shim_flush_workqueue(wq, SHIM_SITE)

#endif /* SHIM_SYNC_H */
