/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the simulated kernel: what its parts (locks, work, memory, bio, dm, disks) build on.
 *
 * Two backends implement it: sched_fiber.c (fibers on one stack switcher, simulated, deterministic)
 * and sched_threads.c (SHIM_THREADS: real threads, for ThreadSanitizer). The state of every part is
 * protected by one lock, sched_enter()/sched_exit(): nothing with fibers, a real lock with threads.
 * It is taken by the part's entry points, never held while code of core/, stores/ or the harness is
 * called, and released inside sched_sleep().
 */
#ifndef FAKE_SCHED_H
#define FAKE_SCHED_H

#include "../control.h"
#include "../explore.h"
#include "../shim.h"

#if defined(__SANITIZE_ADDRESS__)
#define SHIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHIM_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define SHIM_MSAN 1
#endif
#endif
/* SHIM_TSAN comes from the build: this directory itself is compiled without -fsanitize=thread. */

/* ---- events: "interrupts" at a simulated time ---- */

/*
 * Embedded in what waits (an I/O, a sleeping thread); adding costs no allocation. Events that are
 * due at the same time run in the order of event_add(); under other strategies than fifo the
 * chooser picks among all that are due. So a disk that completes in any order just adds its
 * completions at one time.
 */
struct sim_event {
	u64 when_ns;
	u64 sequence;
	void (*fn)(struct sim_event *event); /* interrupt context; the event is no longer queued */
	struct list_head entry;		     /* among those that are due */
	u32 heap_index;			     /* + 1; among those in the future; 0: not there */
	bool queued;
#ifdef SHIM_WATCHED
	u32 process;
	bool is_bio; /* of a struct bio that a disk serves */
#endif
};

static inline void event_init(struct sim_event *event, void (*fn)(struct sim_event *event))
{
	event->fn = fn;
	event->heap_index = 0;
	event->queued = false;
#ifdef SHIM_WATCHED
	event->is_bio = false;
#endif
}

void event_add(struct sim_event *event, u64 when_ns); /* in the past: now. Any context */
bool event_cancel(struct sim_event *event);	      /* false if it was not queued */

/* ---- threads ---- */

#define SCHED_HELD_MAX 16

enum sched_state {
	SCHED_RUNNING,
	SCHED_WAITING,
	SCHED_DEAD,
};

struct sched_held {
	struct shim_lock *lock; /* NULL: work that is running */
	u32 class;
};

/* What a thread waits for, for the report of a deadlock. */
struct sched_wait {
	const char *what; /* "mutex", "wait_event", ... */
	const char *name;
	const char *site;
	struct shim_lock *lock; /* or NULL */
};

struct sim_thread {
	struct list_head run;	/* run queue; settled waiters */
	struct list_head all;	/* every thread of this world */
	enum sched_state state;
	bool on_run_queue;
	bool is_irq;		/* the context of events */
	bool is_harness;	/* sim_run() waits for it */
	bool is_idle_worker;	/* waits for work: no reason to call it stuck */
	bool mem_reclaim;	/* worker of a WQ_MEM_RECLAIM queue: no I/O to get memory */
	bool irqs_off;
	u32 spin_depth;
	u32 noio_depth;
	struct blk_plug *plug;
#ifdef SHIM_WATCHED
	u32 process;
	bool (*may_go_on)(const void *wants); /* or NULL: it may */
	const void *wants;
	struct sim_step step;
	struct list_head late;	/* what it has stored and others do not see yet (late.h) */
	bool has_stored;	/* since it last waited for that */
	const void *orders;	/* its next step comes after what it has stored here; LATE_ALL: anywhere; NULL */
#endif
	u32 nr_held;
	struct sched_held held[SCHED_HELD_MAX];
	struct sched_wait wait;
	struct sim_event timer;
	struct list_head joiners; /* struct sched_waiter */
	struct bio_list *bio_list; /* the block layer's: submitted inside of a submission */
	void (*fn)(void *arg);
	void *arg;
	char name[32];
	struct sched_stack *stack; /* the backend's */
};

/* Never NULL: outside of threads it is the main one, in an event the interrupt's. */
#ifdef SHIM_THREADS
extern _Thread_local struct sim_thread *sched_current;
void sched_enter(void);
void sched_exit(void);
#else
extern struct sim_thread *sched_current;
static inline void sched_enter(void)
{
}
static inline void sched_exit(void)
{
}
#endif

static inline bool in_irq(void)
{
	return sched_current->is_irq;
}

/* May the caller not sleep? */
static inline bool in_atomic(void)
{
	const struct sim_thread *self = sched_current;

	return self->is_irq || self->spin_depth || self->irqs_off;
}

struct sim_thread *sched_thread_create(const char *name, void (*fn)(void *arg), void *arg);

/*
 * Sleeping: in one sched_enter() section set sched_current->state to SCHED_WAITING and its wait,
 * make sure that someone will find the thread, then sched_sleep(). sched_wake() is without effect
 * on a thread that is not waiting, so that a wake-up between the two is not lost.
 */
void sched_sleep(void);
bool sched_wake(struct sim_thread *thread); /* in a sched_enter() section */

struct sched_waiter {
	struct list_head entry;
	struct sim_thread *thread;
};

/*
 * Sleep on a list until someone calls sched_wake_first() or _all() on it. In a sched_enter()
 * section.
 */
void sched_wait_on(struct list_head *waiters, const struct sched_wait *wait);
bool sched_wake_first(struct list_head *waiters);
void sched_wake_all(struct list_head *waiters);

/*
 * queue_work() and wake_up() in a sched_enter() section: nobody comes between them and what else
 * the section does, after which others may free what it belongs to.
 */
bool work_queue(struct workqueue_struct *wq, struct work_struct *item);
void wait_wake(wait_queue_head_t *wq);

/*
 * A place where another thread or an interrupt may come first; without effect under fifo and where
 * the caller is atomic. Outside of sched_enter() sections.
 */
#ifdef SHIM_THREADS
static inline void sched_preempt(void)
{
}
#else
void sched_preempt_slow(void);
extern bool sched_preemptible; /* the strategy wants preemption */
static inline void sched_preempt(void)
{
	if (unlikely(sched_preemptible))
		sched_preempt_slow();
}
#endif

/*
 * For explorers (explore.h): sched_point() stands before each operation that others could notice, outside of
 * sched_enter() sections; sched_access() says what it has touched, anywhere in it. In other builds the first is
 * sched_preempt(), the second nothing.
 */
#ifdef SHIM_WATCHED
extern const struct sim_explorer *sched_explorer;
void sched_point_slow(const struct sched_wait *wait, bool (*may_go_on)(const void *wants), const void *wants);
/* The same, where it goes on only when that is true: an explorer need not look at who waits, and who does not have to. */
#define sched_point_when(wait, may_go_on, wants)                                                \
	do {                                                                                    \
		if (unlikely(sched_explorer))                                                   \
			sched_point_slow(wait, may_go_on, wants);                               \
		else                                                                            \
			sched_preempt();                                                        \
	} while (0)
#define sched_point(_what, _name, _site)                                                        \
	sched_point_when((&(struct sched_wait){ .what = _what, .name = _name, .site = _site }), NULL, NULL)
#define sched_access_part(object, part, kind)                                                   \
	do {                                                                                    \
		if (unlikely(sched_explorer))                                                   \
			sched_explorer->access(object, part, kind);                             \
	} while (0)
#define sched_tell_memory(what, start, size)                                                    \
	do {                                                                                    \
		if (unlikely(sched_explorer))                                                   \
			sched_explorer->what(start, size);                                      \
	} while (0)
#define sched_explored() unlikely(sched_explorer != NULL)
/* Whatever the thread has stored is seen by others before it goes on; no step where it has stored nothing. */
#define sched_order(what, name, site)                                                           \
	do {                                                                                    \
		if (unlikely(sched_current->has_stored))                                        \
			sched_point(what, name, site);                                          \
	} while (0)
#define sched_stuck(thread) ((thread)->may_go_on != NULL)
void late_settle(void);
/* A disk gets a request. */
void describe_sent(const struct bio *bio);
#define sched_note_sent(bio)                                                                    \
	do {                                                                                    \
		if (unlikely(sched_explorer && sched_explorer->note))                           \
			describe_sent(bio);                                                     \
	} while (0)
/* Number a process that comes into being. */
void sched_number_process(u32 *process);
#define sched_new_process(process) sched_number_process(process)
#else
#define sched_point_when(wait, may_go_on, wants) sched_preempt()
#define sched_point(what, name, site) sched_preempt()
#define sched_access_part(object, part, kind) ((void)0)
#define sched_tell_memory(what, start, size) ((void)0)
#define sched_explored() false
#define sched_note_sent(bio) ((void)0)
#define sched_order(what, name, site) ((void)0)
#define sched_stuck(thread) false
#define sched_new_process(process) ((void)0)
#endif
#define sched_access(object, kind) sched_access_part(object, 0, kind)

/*
 * Order between threads, told to ThreadSanitizer or to an explorer: what happened before release is seen after
 * acquire.
 */
#ifdef SHIM_WATCHED
#define sched_hb_acquire(addr)                                                                  \
	do {                                                                                    \
		if (unlikely(sched_explorer))                                                   \
			sched_explorer->acquire(addr);                                          \
	} while (0)
/* Where the caller should have stopped before (sched_order()) and could not, what it has stored is seen now. */
#define sched_hb_release(addr)                                                                  \
	do {                                                                                    \
		if (unlikely(sched_explorer)) {                                                 \
			if (unlikely(sched_current->has_stored))                                \
				late_settle();                                                  \
			sched_explorer->release(addr);                                          \
		}                                                                               \
	} while (0)
#elif defined(SHIM_TSAN)
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define sched_hb_acquire(addr) __tsan_acquire((void *)(addr))
#define sched_hb_release(addr) __tsan_release((void *)(addr))
#else
#define sched_hb_acquire(addr) ((void)(addr))
#define sched_hb_release(addr) ((void)(addr))
#endif

/* "file.c:12" of "/long/path/file.c:12" */
const char *site_name(const char *site);

/* ---- the world ---- */

struct world {
	u32 number;	/* 1, 2, ...: objects made in an earlier world are told apart by it */
	bool active;
	bool failed;
	unsigned int warnings_expected;
	bool fifo;	/* no choices at all: the fast path */
	bool preempt;
	struct sim_options options;
	u64 now_ns;
	struct sim_counts counts;
};
extern struct world world;

/*
 * A part of the simulated kernel with state: registered by a constructor, started and stopped with
 * the world.
 */
struct world_part {
	const char *name;
	void (*start)(void);	/* NULL: nothing to do */
	void (*check)(void);	/* at sim_stop() of a good world: finding if something is left */
	void (*discard)(void);	/* free all state, silently; also after a failure */
	struct world_part *next;
};
void world_part_register(struct world_part *part);

/*
 * As sim_choose(), where the alternatives are not alike: 0 with a probability of @bias in @bias +
 * 1.
 */
u32 choose_biased(u32 n, const char *what, u32 bias);

/*
 * True with that probability: by the chooser, or under fifo, which chooses nothing, drawn from the
 * seed.
 */
bool choose_rare(unsigned int per_million, const char *what);

/*
 * Each allocation made for core/ or stores/ by other means than kmalloc() (clients, workqueues,
 * ...): true if it is to fail. Checks that @flags are allowed here. @what is for the report.
 */
bool mem_should_fail(gfp_t flags, const char *what, const char *site);

/*
 * Finding if an object that is freed holds something that others still point to (pending work, held
 * lock).
 */
void work_check_free(const void *start, size_t size, const char *site);
void lock_check_free(const void *start, size_t size, const char *site);

/*
 * Modules by name, for the dm registry: "is anything of it still running" is judged by references.
 */
int module_references(const char *name);

#endif /* FAKE_SCHED_H */
