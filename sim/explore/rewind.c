// SPDX-License-Identifier: GPL-2.0
/*
 * Rewinding by copies (rewind.h): a checkpoint is a copy of .data and .bss, of the heap as far as it reaches, and of the
 * live part of each stack. That is some 1 MB, and quicker than any way to learn which pages have changed: a page fault,
 * handled here, costs as much as copying 400 KB.
 *
 * Copying is done on the stack of main(), which is not copied; whoever is copied has jumped there and stands in
 * jump_fcontext(), which has put its registers on its stack. To go back is to copy back, and to jump to where it stood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explore.h"
#include "fcontext.h"
#include "heap.h"
#include "rewind.h"

/* No stack is larger. */
#define ROOT_STACK_SIZE (1024 * 1024)
#define GUARD_SIZE (64 * 1024)
#define RANGES_MAX 256

/* Set by the linker: variables, and those among them that are kept. */
extern char __data_start[], _end[], __start_rewind_keeps[], __stop_rewind_keeps[];

struct range {
	char *start;
	size_t size;
};

/* The bytes of all ranges follow the last one. */
struct checkpoint {
	fcontext_t fiber;	/* that marked it */
	size_t bytes;
	u32 nr_ranges;
	struct range ranges[];
};

/* What a fiber jumps to the driver for; on its stack. */
struct request {
	bool leave;
	int value;
};

static struct {
	fcontext_t driver;	/* where it waits for a fiber; NULL: it runs */
	char *root_top;		/* of the stack on which rewind_run() begins */
	/* Of the checkpoint being made: */
	fcontext_t marked;
	bool marked_told;	/* its stack is among those that the shim knows */
	u32 nr_ranges;
	struct range ranges[RANGES_MAX];
} self rewind_kept;

static void __attribute__((noreturn)) broken(const char *what)
{
	fprintf(stderr, "rewind: %s\n", what);
	abort();
}

/* ---- what there is to copy ---- */

static void add_range(char *start, char *end)
{
	if (start >= end)
		return;
	if (self.nr_ranges == RANGES_MAX)
		broken("too many stacks");
	self.ranges[self.nr_ranges++] = (struct range){ start, (size_t)(end - start) };
}

static void add_stack(void *context, void *low, void *high)
{
	if (!low) {
		low = self.marked;
		self.marked_told = true;
	}
	if (!high)
		high = self.root_top;
	if (low >= high || (char *)high - (char *)low > ROOT_STACK_SIZE)
		broken("a stack is not where it should be");
	add_range(low, high);
}

static void find_ranges(void)
{
	self.nr_ranges = 0;
	add_range(__data_start, __start_rewind_keeps);
	add_range(__stop_rewind_keeps, _end);
	add_range(rewound_heap.start, rewound_heap.next);
	self.marked_told = false;
	sim_each_stack(add_stack, NULL);
	/* Else it would go on upon whatever its stack holds then. */
	if (!self.marked_told)
		broken("rewind_mark() on a stack that the shim does not know");
}

/* ---- the driver ---- */

static struct checkpoint *copy_out(void)
{
	size_t head, bytes = 0;
	struct checkpoint *checkpoint;
	char *to;
	u32 i;

	find_ranges();
	for (i = 0; i < self.nr_ranges; i++)
		bytes += self.ranges[i].size;
	head = sizeof(*checkpoint) + self.nr_ranges * sizeof(self.ranges[0]);
	checkpoint = heap_alloc(&kept_heap, head + bytes);
	if (!checkpoint)
		broken("no memory for a checkpoint");
	checkpoint->fiber = self.marked;
	checkpoint->bytes = bytes;
	checkpoint->nr_ranges = self.nr_ranges;
	memcpy(checkpoint->ranges, self.ranges, self.nr_ranges * sizeof(self.ranges[0]));
	to = (char *)checkpoint + head;
	for (i = 0; i < self.nr_ranges; i++) {
		memcpy(to, self.ranges[i].start, self.ranges[i].size);
		to += self.ranges[i].size;
	}
	return checkpoint;
}

static void copy_back(const struct checkpoint *checkpoint)
{
	const char *from = (const char *)&checkpoint->ranges[checkpoint->nr_ranges];
	u32 i;

	for (i = 0; i < checkpoint->nr_ranges; i++) {
		memcpy(checkpoint->ranges[i].start, from, checkpoint->ranges[i].size);
		from += checkpoint->ranges[i].size;
	}
}

/* Fibers run, from @fiber on, which is given @data. */
static int drive(fcontext_t fiber, void *data)
{
	const struct request *request;
	transfer_t from;

	for (;;) {
		heap_on_fiber(true);
		from = jump_fcontext(fiber, data);
		heap_on_fiber(false);
		self.driver = NULL;
		request = from.data;
		if (request->leave)
			return request->value;
		fiber = self.marked = from.fctx;
		data = copy_out();
	}
}

struct begin {
	void (*fn)(void *arg);
	void *arg;
};

static void root_main(transfer_t from)
{
	const struct begin begin = *(const struct begin *)from.data;

	self.driver = from.fctx;
	begin.fn(begin.arg);
	rewind_leave(0);
}

static void root_stack_new(void)
{
	char *memory = mmap(NULL, GUARD_SIZE + ROOT_STACK_SIZE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory + GUARD_SIZE, ROOT_STACK_SIZE, PROT_READ | PROT_WRITE))
		broken("no memory for a stack");
	self.root_top = memory + GUARD_SIZE + ROOT_STACK_SIZE;
}

int rewind_run(void (*fn)(void *arg), void *arg)
{
	struct begin begin = { fn, arg };

	if (self.driver)
		broken("rewind_run() on a fiber");
	heaps_start();
	if (!self.root_top)
		root_stack_new();
	return drive(make_fcontext(self.root_top, ROOT_STACK_SIZE, root_main), &begin);
}

int rewind_back(struct checkpoint *checkpoint)
{
	if (self.driver)
		broken("rewind_back() on a fiber");
	copy_back(checkpoint);
	return drive(checkpoint->fiber, checkpoint);
}

void rewind_drop(struct checkpoint *checkpoint)
{
	heap_free(checkpoint);
}

size_t checkpoint_bytes(const struct checkpoint *checkpoint)
{
	return checkpoint->bytes;
}

/* ---- a fiber ---- */

static transfer_t ask_driver(const struct request *request)
{
	if (!self.driver)
		broken("rewind_mark() or rewind_leave() by the driver");
	return jump_fcontext(self.driver, (void *)request);
}

struct checkpoint *rewind_mark(void)
{
	const struct request request = { .leave = false };
	transfer_t from = ask_driver(&request);

	self.driver = from.fctx;
	return from.data;
}

void rewind_leave(int value)
{
	const struct request request = { .leave = true, .value = value };

	ask_driver(&request);
	broken("gone on with after rewind_leave()");
}
