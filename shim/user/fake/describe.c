// SPDX-License-Identifier: GPL-2.0
/* Names of processes and places in memory, for the reports of explorers (explore.h). */
#ifdef SHIM_WATCHED

#include "arena.h"
#include "fiber.h"
#include "thread.h"

/* ---- processes ---- */

struct name_search {
	u32 process;
	const char *name;
};

static void look_for_process(struct sim_thread *thread, void *context)
{
	struct name_search *search = context;

	if (thread->process == search->process)
		search->name = thread->name;
}

/* Threads are known until the world ends; of interrupts, only those that run. */
const char *sim_process_name(u32 process)
{
	struct name_search search = { .process = process, .name = "interrupt" };

	threads_each(look_for_process, &search);
	return search.name;
}

/* ---- interrupts ---- */

static const char *op_name(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return "read";
	case REQ_OP_WRITE:
		return bio_sectors(bio) ? bio->bi_opf & REQ_FUA ? "FUA write" : "write" : "flush";
	case REQ_OP_DISCARD:
		return "discard";
	case REQ_OP_WRITE_ZEROES:
		return "write-zeroes";
	default:
		return "request";
	}
}

/* "read of sectors 0+8" */
static size_t describe_bio(const struct bio *bio, char *buf, size_t size)
{
	size_t n = (size_t)scnprintf(buf, size, "%s", op_name(bio));

	if (bio_sectors(bio))
		n += (size_t)scnprintf(buf + n, size - n, " of sectors %llu+%u", bio->bi_iter.bi_sector, bio_sectors(bio));
	return n;
}

void describe_sent(const struct bio *bio)
{
	char text[120];
	size_t n = (size_t)scnprintf(text, sizeof(text), "sends ");

	n += describe_bio(bio, text + n, sizeof(text) - n);
	scnprintf(text + n, sizeof(text) - n, " to %s", bio->bi_bdev->bd_name);
	sched_explorer->note(text);
}

const char *sim_describe_interrupt(const struct sim_step *step, char *buf, size_t size)
{
	const struct sim_event *event = step->event;
	const struct bio *bio;
	size_t n;

	if (!event || !event->is_bio) {
		scnprintf(buf, size, "interrupt");
		return NULL;
	}
	bio = container_of((const u64(*)[7])event, struct bio, bi_event);
	n = describe_bio(bio, buf, size);
	scnprintf(buf + n, size - n, " is done");
	return bio->bi_bdev->bd_name;
}

/* ---- memory ---- */

struct stack_search {
	const char *p;
	const struct sim_thread *thread;
};

static void look_for_stack(struct sim_thread *thread, void *context)
{
	const struct sched_stack *stack = thread->stack;
	struct stack_search *search = context;
	const char *bottom;

	/* That of main() has no known end; those of the dead are others' by now. */
	if (!stack || stack == &main_stack || thread->state == SCHED_DEAD)
		return;
	bottom = stack->bottom;
	if (search->p >= bottom && search->p < bottom + stack->size)
		search->thread = thread;
}

void sim_describe_memory(const void *p, char *buf, size_t size)
{
	const struct mem_header *header = arena_object_of(p);
	struct stack_search stack = { .p = p };

	if (header) {
		scnprintf(buf, size, "at offset %llu of %llu bytes allocated at %s",
			  (u64)((const char *)p - (const char *)(header + 1)), header->size, site_name(header->site));
		return;
	}
	threads_each(look_for_stack, &stack);
	if (stack.thread)
		scnprintf(buf, size, "on the stack of '%s'", stack.thread->name);
	else
		scnprintf(buf, size, "in static memory or in what the simulated kernel made");
}

#endif /* SHIM_WATCHED */
