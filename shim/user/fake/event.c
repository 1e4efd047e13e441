// SPDX-License-Identifier: GPL-2.0
/*
 * Simulated time: the queue of events.
 *
 * Events of the future are in order of (time, sequence): those that were added in that order, the
 * common case of disks with a constant service time, in a list, the others in a binary heap; the
 * earliest is the first of one of the two. Those that are due are in a list, in that same order.
 * Time stands still while anything is due or can run; when it advances to the earliest event, all
 * events of that instant become due together. An event for "now" is in the list of the due at once.
 */
#include <stdlib.h>

#include "event.h"

static struct {
	struct list_head due;
	u32 nr_due;
	struct list_head later; /* sorted: whatever came last was the latest */
	struct sim_event **heap;
	u32 nr_heap, max_heap;
	u64 sequence;
	struct call *free_calls;
} queue = { .due = LIST_HEAD_INIT(queue.due), .later = LIST_HEAD_INIT(queue.later) };

#define IN_LATER U32_MAX /* heap_index of an event in the list */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->sequence < b->sequence;
}

static void heap_place(u32 index, struct sim_event *event)
{
	queue.heap[index] = event;
	event->heap_index = index + 1;
}

static void heap_up(u32 index, struct sim_event *event)
{
	while (index) {
		u32 parent = (index - 1) / 2;

		if (!before(event, queue.heap[parent]))
			break;
		heap_place(index, queue.heap[parent]);
		index = parent;
	}
	heap_place(index, event);
}

static void heap_down(u32 index, struct sim_event *event)
{
	for (;;) {
		u32 child = 2 * index + 1;

		if (child >= queue.nr_heap)
			break;
		if (child + 1 < queue.nr_heap && before(queue.heap[child + 1], queue.heap[child]))
			child++;
		if (!before(queue.heap[child], event))
			break;
		heap_place(index, queue.heap[child]);
		index = child;
	}
	heap_place(index, event);
}

static void heap_remove(struct sim_event *event)
{
	u32 index = event->heap_index - 1;
	struct sim_event *last = queue.heap[--queue.nr_heap];

	event->heap_index = 0;
	if (last == event)
		return;
	if (index && before(last, queue.heap[(index - 1) / 2]))
		heap_up(index, last);
	else
		heap_down(index, last);
}

static void queue_event(struct sim_event *event, u64 when_ns)
{
	if (event->queued)
		sim_fail("event queued twice");
	event->queued = true;
	event->sequence = queue.sequence++;
	sched_new_process(&event->process);
	if (when_ns <= world.now_ns) {
		event->when_ns = world.now_ns;
		list_add_tail(&event->entry, &queue.due);
		queue.nr_due++;
	} else if (list_empty(&queue.later) ||
		   list_last_entry(&queue.later, struct sim_event, entry)->when_ns <= when_ns) {
		event->when_ns = when_ns;
		event->heap_index = IN_LATER;
		list_add_tail(&event->entry, &queue.later);
	} else {
		if (queue.nr_heap == queue.max_heap) {
			queue.max_heap = queue.max_heap ? 2 * queue.max_heap : 256;
			queue.heap = realloc(queue.heap, queue.max_heap * sizeof(*queue.heap));
			if (!queue.heap)
				abort();
		}
		event->when_ns = when_ns;
		heap_up(queue.nr_heap++, event);
	}
}

void event_add(struct sim_event *event, u64 when_ns)
{
	sched_enter();
	queue_event(event, when_ns);
	sched_hb_release(event);
	event_added();
	sched_exit();
}

#ifdef SHIM_WATCHED
void event_add_relaxed(struct sim_event *event)
{
	queue_event(event, world.now_ns);
}
#endif

bool event_cancel(struct sim_event *event)
{
	bool was_queued;

	sched_enter();
	was_queued = event->queued;
	sched_access(event, SIM_WRITE);
	if (was_queued) {
		event->queued = false;
		if (event->heap_index == IN_LATER) {
			event->heap_index = 0;
			list_del(&event->entry);
		} else if (event->heap_index) {
			heap_remove(event);
		} else {
			list_del(&event->entry);
			queue.nr_due--;
		}
	}
	sched_exit();
	return was_queued;
}

u32 events_due(void)
{
	return queue.nr_due;
}

bool events_in_future(void)
{
	return queue.nr_heap || !list_empty(&queue.later);
}

static struct sim_event *earliest(void)
{
	struct sim_event *later;

	if (list_empty(&queue.later))
		return queue.nr_heap ? queue.heap[0] : NULL;
	later = list_first_entry(&queue.later, struct sim_event, entry);
	return queue.nr_heap && before(queue.heap[0], later) ? queue.heap[0] : later;
}

void events_advance(void)
{
	struct sim_event *event = earliest();
	u64 when_ns = event->when_ns;

	WRITE_ONCE(world.now_ns, when_ns);
	do {
		if (event->heap_index == IN_LATER) {
			event->heap_index = 0;
			list_del(&event->entry);
		} else {
			heap_remove(event);
		}
		list_add_tail(&event->entry, &queue.due);
		queue.nr_due++;
		event = earliest();
	} while (event && event->when_ns == when_ns);
}

struct sim_event *event_at(u32 index)
{
	struct list_head *entry = queue.due.next;

	while (index--)
		entry = entry->next;
	return list_entry(entry, struct sim_event, entry);
}

void event_take_this(struct sim_event *event)
{
	list_del(&event->entry);
	queue.nr_due--;
	event->queued = false;
	world.counts.events++;
}

struct sim_event *event_take(u32 index)
{
	struct sim_event *event = event_at(index);

	event_take_this(event);
	return event;
}

/* ---- timed calls ---- */

struct call {
	struct sim_event event;
	void (*fn)(void *arg);
	void *arg;
	struct call *next_free;
};

static void call_run(struct sim_event *event)
{
	struct call *call = container_of(event, struct call, event);
	void (*fn)(void *arg) = call->fn;
	void *arg = call->arg;

	sched_enter();
	call->next_free = queue.free_calls;
	queue.free_calls = call;
	sched_exit();
	fn(arg);
}

void sim_call_at(u64 when_ns, void (*fn)(void *arg), void *arg)
{
	struct call *call;

	sched_enter();
	call = queue.free_calls;
	if (call)
		queue.free_calls = call->next_free;
	sched_exit();
	if (!call)
		call = malloc(sizeof(*call));
	if (!call)
		abort();
	call->fn = fn;
	call->arg = arg;
	event_init(&call->event, call_run);
	event_add(&call->event, when_ns);
}

/* Only timed calls own memory of their own; everything else is embedded in what its owner frees. */
static void event_drop(struct sim_event *event)
{
	struct call *call;

	event->queued = false;
	if (event->fn != call_run)
		return;
	call = container_of(event, struct call, event);
	call->next_free = queue.free_calls;
	queue.free_calls = call;
}

void events_discard(void)
{
	struct sim_event *event, *next;
	u32 i;

	list_for_each_entry_safe(event, next, &queue.due, entry)
		event_drop(event);
	list_for_each_entry_safe(event, next, &queue.later, entry)
		event_drop(event);
	for (i = 0; i < queue.nr_heap; i++)
		event_drop(queue.heap[i]);
	INIT_LIST_HEAD(&queue.due);
	INIT_LIST_HEAD(&queue.later);
	queue.nr_due = 0;
	queue.nr_heap = 0;
	queue.sequence = 0;
}
