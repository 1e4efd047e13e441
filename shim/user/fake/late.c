// SPDX-License-Identifier: GPL-2.0
/*
 * Stores that others see late (late.h).
 *
 * While a thread runs, memory is as that thread sees it. When it stops, what it has stored and nobody else sees yet is
 * taken out of memory, and put back when it goes on.
 */
#ifdef SHIM_WATCHED

#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "fiber.h"
#include "late.h"

struct late_store {
	struct sim_event event; /* others see it */
	struct list_head entry;
	struct sim_thread *thread;
	char *p;
	u32 size;
	u32 caller;
	u64 other; /* while the thread runs, what others see there; else what it has stored */
};

static void swap_views(struct late_store *store)
{
	u64 now = 0;

	memcpy(&now, store->p, store->size);
	memcpy(store->p, &store->other, store->size);
	store->other = now;
}

void late_hide_slow(struct sim_thread *thread)
{
	struct late_store *store;

	list_for_each_entry_reverse(store, &thread->late, entry)
		swap_views(store);
}

void late_show_slow(struct sim_thread *thread)
{
	struct late_store *store;

	list_for_each_entry(store, &thread->late, entry)
		swap_views(store);
}

/* The oldest of @thread's that overlaps, or NULL. */
static struct late_store *find_store(struct sim_thread *thread, const void *p, size_t size)
{
	struct late_store *store;

	list_for_each_entry(store, &thread->late, entry)
		if (store->p < (const char *)p + size && (const char *)p < store->p + store->size)
			return store;
	return NULL;
}

/* Those that come next at their place. */
static void queue_stores(struct sim_thread *thread)
{
	struct late_store *store;

	list_for_each_entry(store, &thread->late, entry)
		if (!store->event.queued && find_store(thread, store->p, store->size) == store)
			event_add_relaxed(&store->event);
}

bool late_is_seen(struct sim_thread *thread, const void *place)
{
	return place == LATE_ALL ? list_empty(&thread->late) : !find_store(thread, place, 1);
}

/* Who waits for what others see: a step can be taken when that is so, in whatever order it has become so. */
static void access_place(struct sim_thread *thread, const void *place, enum sim_access kind)
{
	sched_access_part(&thread->late, (u32)((uintptr_t)place >> 3) | 1, kind);
}

void late_ordered(struct sim_thread *thread, const void *place)
{
	if (place == LATE_ALL) {
		thread->has_stored = false;
		sched_access(&thread->late, SIM_LOCK);
	} else {
		access_place(thread, place, SIM_LOCK);
	}
}

static void others_see(struct sim_event *event)
{
	struct late_store *store = container_of(event, struct late_store, event);
	struct sim_thread *thread = store->thread;

	swap_views(store);
	sched_access(event, SIM_WRITE);
	sched_access(store->p, SIM_WRITE);
	sched_access(&thread->late, SIM_UNLOCK);
	access_place(thread, store->p, SIM_UNLOCK);
	list_del(&store->entry);
	free(store);
	queue_stores(thread);
}

/* Memory has what the caller has stored. */
static void store_ends(struct late_store *store)
{
	event_cancel(&store->event);
	list_del(&store->entry);
	free(store);
}

void late_settle(void)
{
	struct sim_thread *self = sched_current;
	struct late_store *store, *next;

	list_for_each_entry_safe(store, next, &self->late, entry) {
		sched_access(store->p, SIM_WRITE);
		store_ends(store);
	}
	late_ordered(self, LATE_ALL);
}

void late_init(struct sim_thread *thread)
{
	INIT_LIST_HEAD(&thread->late);
	thread->has_stored = false;
}

void sim_store(const void *p, u32 size, u32 caller)
{
	struct sim_thread *self = sched_current;
	struct late_store *store;

	if (!sched_explorer)
		return;
	if (!sched_explorer->late_stores || size > sizeof(store->other)) {
		sim_point_modify("store", p, SIM_WRITE, true, caller);
		return;
	}
	store = calloc(1, sizeof(*store));
	if (!store)
		abort();
	event_init(&store->event, others_see);
	store->thread = self;
	store->p = (char *)p;
	store->size = size;
	store->caller = caller;
	memcpy(&store->other, p, size);
	list_add_tail(&store->entry, &self->late);
	self->has_stored = true;
	queue_stores(self);
}

/* Who gives memory back has no more use for what it has stored there; who gets it next does not see it. */
void late_freed(const void *start, size_t size)
{
	struct sim_thread *self = sched_current;
	struct late_store *store;

	while ((store = find_store(self, start, size)))
		store_ends(store);
}

bool late_is_store(const struct sim_event *event)
{
	return event->fn == others_see;
}

struct sim_step late_step(const struct sim_event *event)
{
	const struct late_store *store = container_of(event, const struct late_store, event);

	return (struct sim_step){
		.interrupt = store->thread->is_irq,
		.thread = store->thread->name,
		.what = "others see its store",
		.stored_by = store->thread->process,
		.caller = store->caller,
	};
}

#endif /* SHIM_WATCHED */
