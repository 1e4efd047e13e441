// SPDX-License-Identifier: GPL-2.0
/*
 * Workqueues.
 *
 * Each queue has its own workers, made when there is work and none is idle, up to max_active. A
 * work that is running may be queued again, and then runs again on the same worker: never on two at
 * a time. A worker keeps no pointer into the work it runs (the function may free it); flushers
 * compare addresses only, so an instance is known by (address, number of its queue_work()).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockdep.h"
#include "world.h"

#define WORK_MAGIC 0x3077a11eu
/* The kernel allows 512; a handful finds the same races. */
#define WORKERS_MAX 4

/* The part of a workqueue that is "there is something to do". */
#define HAS_WORK 1

struct worker {
	struct list_head entry; /* workqueue_struct.workers */
	struct workqueue_struct *wq;
	struct sim_thread *thread;
	const struct work_struct *running; /* an address, nothing more */
	const char *module; /* of the running work */
	u64 sequence;
};

struct workqueue_struct {
	struct list_head all;
	struct list_head pending; /* work_struct.entry */
	struct list_head workers;
	struct list_head idle; /* struct sched_waiter of workers */
	struct list_head waiters; /* flushers; looked at whenever an instance has ended */
	u32 max_active, nr_workers;
	bool mem_reclaim, draining, dying;
	const char *site;
	char name[24];
};

static struct {
	struct list_head all;
	struct list_head pending; /* work_struct.all_pending, of all queues */
	u64 sequence;
} work = { .all = LIST_HEAD_INIT(work.all), .pending = LIST_HEAD_INIT(work.pending) };

/* ---- running ---- */

static bool is_running(const struct workqueue_struct *wq, const struct work_struct *item)
{
	const struct worker *worker;

	list_for_each_entry(worker, &wq->workers, entry)
		if (worker->running == item)
			return true;
	return false;
}

/* The first that no other worker is running at this moment. */
static struct work_struct *next_work(const struct workqueue_struct *wq)
{
	struct work_struct *item;

	list_for_each_entry(item, &wq->pending, entry)
		if (wq->max_active == 1 || !is_running(wq, item))
			return item;
	return NULL;
}

static void run_work(struct worker *worker, struct work_struct *item)
{
	struct workqueue_struct *wq = worker->wq;
	struct sim_thread *self = worker->thread;
	work_func_t func = item->func;
	u32 class = lockdep_class(item->key, item->name);
	const char *name = item->name;

	sched_access(item, SIM_WRITE);
	list_del(&item->entry);
	list_del(&item->all_pending);
	item->pending = false;
	worker->running = item;
	worker->sequence = item->sequence;
	worker->module = item->module;
	self->is_idle_worker = false;
	lockdep_hold(NULL, class);
	sched_hb_acquire(item);
	sched_exit();

	func(item);

	sched_enter();
	if (self->state != SCHED_RUNNING || self->spin_depth || self->irqs_off ||
	    self->noio_depth || self->plug || self->nr_held != 1)
		sim_fail(
			"work '%s' ends with a lock held, interrupts off, in a memalloc_noio section or a plug",
			name);
	lockdep_release(NULL, class);
	self->is_idle_worker = true;
	worker->running = NULL;
	sched_access(wq, SIM_WRITE);
	sched_hb_release(wq);
	sched_wake_all(&wq->waiters);
}

static bool __maybe_unused has_work(const void *wants)
{
	const struct workqueue_struct *wq = wants;

	return wq->dying || next_work(wq);
}

static void worker_main(void *arg)
{
	static const struct sched_wait idle = { .what = "idle worker" };
	struct worker *worker = arg;
	struct workqueue_struct *wq = worker->wq;
	const struct sched_wait next __maybe_unused = { .what = "next work", .name = wq->name };

	sched_enter();
	worker->thread->is_idle_worker = true;
	for (;;) {
		struct work_struct *item;

		sched_exit();
		sched_point_when(&next, has_work, wq);
		sched_enter();
		sched_access(wq, SIM_WRITE);
		sched_access_part(wq, HAS_WORK, SIM_LOCK);
		if (wq->dying)
			break;
		item = next_work(wq);
		if (!item) {
			sched_wait_on(&wq->idle, &idle);
			continue;
		}
		run_work(worker, item);
		/* Work that queues itself must not keep everyone else from running. */
		if (!list_empty(&wq->pending)) {
			sched_exit();
			sim_yield();
			sched_enter();
		}
	}
	list_del(&worker->entry);
	wq->nr_workers--;
	sched_wake_all(&wq->waiters);
	sched_exit();
	free(worker);
}

static void new_worker(struct workqueue_struct *wq)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	char name[40];

	if (!worker)
		abort();
	worker->wq = wq;
	list_add_tail(&worker->entry, &wq->workers);
	snprintf(name, sizeof(name), "kworker/%s", wq->name);
	worker->thread = sched_thread_create(name, worker_main, worker);
	worker->thread->mem_reclaim = wq->mem_reclaim;
	wq->nr_workers++;
}

/* ---- queueing ---- */

void shim_work_init(struct work_struct *item, work_func_t func, const char *name,
		    struct lock_class_key *key, const char *module)
{
	INIT_LIST_HEAD(&item->entry);
	item->func = func;
	item->name = name;
	item->key = key;
	item->module = module;
	item->wq = NULL;
	item->sequence = 0;
	item->pending = false;
	item->magic = WORK_MAGIC;
}

static void check_work(const struct work_struct *item, const char *what)
{
	if (unlikely(item->magic != WORK_MAGIC))
		sim_fail("%s of a work that was freed or never initialised, in thread '%s'", what,
			 sched_current->name);
}

/* While it drains, only its own work may queue work. */
static bool may_queue(const struct workqueue_struct *wq)
{
	const struct worker *worker;

	list_for_each_entry(worker, &wq->workers, entry)
		if (worker->thread == sched_current && worker->running)
			return true;
	return false;
}

/* Under an explorer a worker without work does not sleep, but cannot go on. */
static bool has_idle_worker(const struct workqueue_struct *wq)
{
	const struct worker *worker;

	list_for_each_entry(worker, &wq->workers, entry)
		if (!worker->running && sched_stuck(worker->thread))
			return true;
	return false;
}

bool work_queue(struct workqueue_struct *wq, struct work_struct *item)
{
	/* What was before it is seen by the work even where it is pending already; and who was first does not matter. */
	sched_access(item, SIM_ADD);
	sched_hb_release(item);
	check_work(item, "queue_work()");
	if (unlikely(wq->draining && !may_queue(wq)))
		sim_fail("queue_work() of '%s' on '%s', which is being destroyed", item->name,
			 wq->name);
	if (item->pending)
		return false;
	item->pending = true;
	item->wq = wq;
	item->sequence = ++work.sequence;
	sched_access(wq, list_empty(&wq->pending) ? SIM_ADD : SIM_WRITE);
	sched_access_part(wq, HAS_WORK, SIM_UNLOCK);
	list_add_tail(&item->entry, &wq->pending);
	list_add_tail(&item->all_pending, &work.pending);
	if (!sched_wake_first(&wq->idle) && !has_idle_worker(wq) && wq->nr_workers < wq->max_active)
		new_worker(wq);
	return true;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *item)
{
	bool queued;

	sched_point("queue_work", item->name, NULL);
	sched_enter();
	queued = work_queue(wq, item);
	sched_exit();
	if (queued)
		sched_preempt();
	return queued;
}

bool work_pending(const struct work_struct *item)
{
	sched_point("work_pending", item->name, NULL);
	sched_access(item, SIM_WRITE);
	return READ_ONCE(item->pending);
}

/* ---- waiting for work ---- */

/* Is an instance of @item up to @sequence queued or running? (@item NULL: of any) */
static bool unfinished(const struct workqueue_struct *wq, const struct work_struct *item,
		       u64 sequence)
{
	const struct work_struct *pending;
	const struct worker *worker;

	list_for_each_entry(worker, &wq->workers, entry)
		if (worker->running && (!item || worker->running == item) &&
		    worker->sequence <= sequence)
			return true;
	list_for_each_entry(pending, &wq->pending, entry)
		if ((!item || pending == item) && pending->sequence <= sequence)
			return true;
	return false;
}

static void wait_finished(struct workqueue_struct *wq, const struct work_struct *item, u64 sequence,
			  const struct sched_wait *wait)
{
	const struct worker *worker;

	list_for_each_entry(worker, &wq->workers, entry)
		if (worker->thread == sched_current && worker->running &&
		    (!item || worker->running == item))
			sim_fail("%s of '%s' at %s by the work itself", wait->what, wait->name,
				 site_name(wait->site));
	sched_access(wq, SIM_WRITE);
	while (unfinished(wq, item, sequence)) {
		sched_wait_on(&wq->waiters, wait);
		sched_access(wq, SIM_WRITE);
	}
	sched_hb_acquire(wq);
}

bool shim_flush_work(struct work_struct *item, const char *site)
{
	struct sched_wait wait = { .what = "flush_work()", .name = item->name, .site = site };
	bool waited = false;

	shim_might_sleep("flush_work()", site);
	sched_point(wait.what, wait.name, site);
	sched_enter();
	check_work(item, "flush_work()");
	lockdep_order(lockdep_class(item->key, item->name), site);
	sched_access(item, SIM_WRITE);
	if (item->wq && unfinished(item->wq, item, item->sequence)) {
		waited = true;
		wait_finished(item->wq, item, item->sequence, &wait);
	}
	sched_exit();
	return waited;
}

bool shim_cancel_work_sync(struct work_struct *item, const char *site)
{
	struct sched_wait wait = { .what = "cancel_work_sync()", .name = item->name, .site = site };
	bool was_pending;

	shim_might_sleep("cancel_work_sync()", site);
	sched_point(wait.what, wait.name, site);
	sched_enter();
	check_work(item, "cancel_work_sync()");
	lockdep_order(lockdep_class(item->key, item->name), site);
	was_pending = item->pending;
	sched_access(item, SIM_WRITE);
	if (was_pending) {
		sched_access(item->wq, SIM_WRITE);
		list_del_init(&item->entry);
		list_del(&item->all_pending);
		sched_wake_all(&item->wq->waiters);
	}
	if (item->wq) {
		/*
		 * Pending until the running instance has ended, so that it cannot queue itself
		 * again.
		 */
		item->pending = true;
		wait_finished(item->wq, item, U64_MAX, &wait);
		item->pending = false;
	}
	sched_exit();
	return was_pending;
}

void shim_flush_workqueue(struct workqueue_struct *wq, const char *site)
{
	struct sched_wait wait = { .what = "flush_workqueue()", .name = wq->name, .site = site };

	shim_might_sleep("flush_workqueue()", site);
	sched_point(wait.what, wait.name, site);
	sched_enter();
	wait_finished(wq, NULL, work.sequence, &wait);
	sched_exit();
}

/* ---- queues ---- */

struct workqueue_struct *shim_alloc_workqueue(const char *site, const char *fmt, unsigned int flags,
					      int max_active, ...)
{
	struct workqueue_struct *wq;
	va_list args;

	if (mem_should_fail(GFP_KERNEL, "alloc_workqueue()", site))
		return NULL;
	wq = calloc(1, sizeof(*wq));
	if (!wq)
		abort();
	INIT_LIST_HEAD(&wq->pending);
	INIT_LIST_HEAD(&wq->workers);
	INIT_LIST_HEAD(&wq->idle);
	INIT_LIST_HEAD(&wq->waiters);
	wq->max_active = max_active > 0 && max_active < WORKERS_MAX ? max_active : WORKERS_MAX;
	wq->mem_reclaim = flags & WQ_MEM_RECLAIM;
	wq->site = site;
	va_start(args, max_active);
	vsnprintf(wq->name, sizeof(wq->name), fmt, args);
	va_end(args);
	sched_enter();
	list_add_tail(&wq->all, &work.all);
	/*
	 * A queue for reclaim has its worker from the start: there may be no memory to make one
	 * later.
	 */
	if (wq->mem_reclaim)
		new_worker(wq);
	sched_exit();
	return wq;
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	struct sched_wait wait = { .what = "destroy_workqueue()",
				   .name = wq->name,
				   .site = wq->site };
	u32 rounds = 0;

	shim_might_sleep("destroy_workqueue()", wq->site);
	sched_enter();
	wq->draining = true;
	do {
		if (++rounds > 1000)
			sim_fail("destroy_workqueue() of '%s': work queues itself again and again",
				 wq->name);
		wait_finished(wq, NULL, work.sequence, &wait);
	} while (unfinished(wq, NULL, U64_MAX));
	wq->dying = true;
	sched_access_part(wq, HAS_WORK, SIM_UNLOCK);
	sched_wake_all(&wq->idle);
	while (wq->nr_workers)
		sched_wait_on(&wq->waiters, &wait);
	list_del(&wq->all);
	sched_exit();
	free(wq);
}

/* ---- the world ---- */

void work_check_free(const void *start, size_t size, const char *site)
{
	const struct work_struct *item;

	list_for_each_entry(item, &work.pending, all_pending)
		if (unlikely((const char *)item >= (const char *)start &&
			     (const char *)item < (const char *)start + size))
			sim_fail("memory freed at %s contains the pending work '%s'",
				 site_name(site), item->name);
}

/* Code that is unloaded must not be run any more (H46). */
void work_check_module(const char *module)
{
	const struct workqueue_struct *wq;
	const struct work_struct *item;
	const struct worker *worker;

	list_for_each_entry(wq, &work.all, all) {
		list_for_each_entry(item, &wq->pending, entry)
			if (item->module && !strcmp(item->module, module))
				sim_fail("module '%s' unloaded while its work '%s' is pending",
					 module, item->name);
		list_for_each_entry(worker, &wq->workers, entry)
			if (worker->running && worker->module && !strcmp(worker->module, module))
				sim_fail("module '%s' unloaded while its work runs on '%s'", module,
					 wq->name);
	}
}

void work_check_leaks(void)
{
	if (!list_empty(&work.all)) {
		const struct workqueue_struct *wq =
			list_first_entry(&work.all, struct workqueue_struct, all);

		sim_fail("leak: workqueue '%s' (%s) was not destroyed", wq->name,
			 site_name(wq->site));
	}
}

/* The workers are gone already, without having been unwound. */
void work_discard(void)
{
	struct workqueue_struct *wq, *next_wq;
	struct worker *worker, *next;

	list_for_each_entry_safe(wq, next_wq, &work.all, all) {
		list_for_each_entry_safe(worker, next, &wq->workers, entry)
			free(worker);
		free(wq);
	}
	INIT_LIST_HEAD(&work.all);
	INIT_LIST_HEAD(&work.pending);
	work.sequence = 0;
}
