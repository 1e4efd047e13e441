// SPDX-License-Identifier: GPL-2.0
/*
 * Wait queues and completions, with the kernel's protocol: queue, say that we wait, test, sleep. A
 * wake-up between test and sleep makes the sleep return at once.
 */
#include "sched.h"

void shim_waitqueue_init(wait_queue_head_t *wq, const char *name)
{
	INIT_LIST_HEAD(&wq->head);
	wq->name = name;
	wq->world = world.number;
}

/* Static ones are made before any world. */
static inline void waitqueue_use(wait_queue_head_t *wq)
{
	if (likely(wq->world == world.number))
		return;
	if (!wq->name || wq->world == 0x6b6b6b6bu || wq->world == 0x5a5a5a5au)
		sim_fail("wait queue used that was freed or never initialised, in thread '%s'",
			 sched_current->name);
	shim_waitqueue_init(wq, wq->name);
}

void shim_wait_begin(struct wait_queue_entry *entry)
{
	INIT_LIST_HEAD(&entry->entry);
	entry->thread = sched_current;
}

void shim_wait_prepare(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	sched_point("wait_event", wq->name, NULL);
	sched_enter();
	waitqueue_use(wq);
	sched_access(wq, SIM_WRITE);
	if (list_empty(&entry->entry))
		list_add_tail(&entry->entry, &wq->head);
	entry->thread->state = SCHED_WAITING;
	sched_hb_acquire(wq);
	sched_exit();
}

void shim_wait_schedule(wait_queue_head_t *wq, struct wait_queue_entry *entry,
			const char *condition, const char *site)
{
	struct sim_thread *self = entry->thread;

	sched_enter();
	if (self->spin_depth || self->irqs_off) {
		self->state = SCHED_RUNNING;
		shim_might_sleep("wait_event()", site);
	}
	self->wait = (struct sched_wait){ .what = "wait_event", .name = condition, .site = site };
	/* Whether it sleeps at all depends on who has woken it. */
	sched_access(wq, SIM_WRITE);
	sched_sleep();
	sched_hb_acquire(wq);
	sched_exit();
}

void shim_wait_finish(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	sched_enter();
	entry->thread->state = SCHED_RUNNING;
	if (!list_empty(&entry->entry)) {
		sched_access(wq, SIM_WRITE);
		list_del_init(&entry->entry);
	}
	sched_hb_acquire(wq);
	sched_exit();
}

void wait_wake(wait_queue_head_t *wq)
{
	waitqueue_use(wq);
	sched_access(wq, list_empty(&wq->head) ? SIM_READ : SIM_WRITE);
	sched_hb_release(wq);
	while (!list_empty(&wq->head)) {
		struct wait_queue_entry *entry =
			list_first_entry(&wq->head, struct wait_queue_entry, entry);

		list_del_init(&entry->entry);
		sched_wake(entry->thread);
	}
}

/* wait_event() does not wait exclusively: wake_up() wakes everyone. */
void wake_up(wait_queue_head_t *wq)
{
	sched_point("wake_up", wq->name, NULL);
	sched_enter();
	wait_wake(wq);
	sched_exit();
	sched_preempt();
}

void wake_up_all(wait_queue_head_t *wq)
{
	wake_up(wq);
}

int waitqueue_active(wait_queue_head_t *wq)
{
	int active;

	sched_point("waitqueue_active", wq->name, NULL);
	sched_enter();
	waitqueue_use(wq);
	sched_access(wq, SIM_READ);
	active = !list_empty(&wq->head);
	sched_exit();
	return active;
}

/* ---- completions ---- */

void shim_completion_init(struct completion *c, const char *name)
{
	c->done = 0;
	shim_waitqueue_init(&c->wait, name);
}

void reinit_completion(struct completion *c)
{
	sched_enter();
	sched_access(c, SIM_WRITE);
	c->done = 0;
	sched_exit();
}

/* One waiter goes on for each complete(): here the waiters are struct sched_waiter, in order. */
void complete(struct completion *c)
{
	sched_point("complete", c->wait.name, NULL);
	sched_enter();
	waitqueue_use(&c->wait);
	sched_access(c, SIM_UNLOCK);
	sched_hb_release(c);
	if (c->done != UINT_MAX)
		c->done++;
	sched_wake_first(&c->wait.head);
	sched_exit();
	sched_preempt();
}

void complete_all(struct completion *c)
{
	sched_point("complete_all", c->wait.name, NULL);
	sched_enter();
	waitqueue_use(&c->wait);
	sched_access(c, SIM_UNLOCK);
	sched_hb_release(c);
	c->done = UINT_MAX;
	sched_wake_all(&c->wait.head);
	sched_exit();
	sched_preempt();
}

static bool __maybe_unused is_complete(const void *wants)
{
	const struct completion *c = wants;

	return c->done;
}

void shim_wait_for_completion(struct completion *c, const char *site)
{
	struct sched_wait wait = { .what = "wait_for_completion",
				   .name = c->wait.name,
				   .site = site };

	shim_might_sleep("wait_for_completion()", site);
	sched_point_when(&wait, is_complete, c);
	sched_enter();
	waitqueue_use(&c->wait);
	sched_access(c, SIM_LOCK);
	while (!c->done)
		sched_wait_on(&c->wait.head, &wait);
	if (c->done != UINT_MAX)
		c->done--;
	sched_hb_acquire(c);
	sched_exit();
}

bool completion_done(struct completion *c)
{
	bool done;

	sched_point("completion_done", c->wait.name, NULL);
	sched_enter();
	sched_access(c, SIM_READ);
	done = c->done != 0;
	if (done)
		sched_hb_acquire(c);
	sched_exit();
	return done;
}
