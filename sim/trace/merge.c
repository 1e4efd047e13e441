// SPDX-License-Identifier: GPL-2.0
/*
 * Several files into one order.
 *
 * blktrace writes one file per CPU, and within a file an event may come slightly after a later one (an interrupt between
 * taking the time and taking the place). So each file has a small window kept sorted, and a heap
 * of files gives the smallest head. Order: (time, cpu, sequence); the order of the files does not matter.
 */
#include <stdlib.h>

#include "trace_impl.h"

#define WINDOW 32 /* a power of two */

struct source {
	struct trace_file *file;
	unsigned int head;
	unsigned int count;
	bool ended;
	struct trace_record window[WINDOW]; /* a ring, sorted from head on */
};

struct merge {
	bool primed;
	unsigned int nr_sources;
	unsigned int nr_heap;
	struct source **heap;	/* those with count != 0; heap[0] has the smallest head */
	struct source *sources;
};

static bool before(const struct trace_record *a, const struct trace_record *b)
{
	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns;
	if (a->cpu != b->cpu)
		return a->cpu < b->cpu;
	return a->sequence < b->sequence;
}

static struct trace_record *slot(struct source *s, unsigned int i)
{
	return &s->window[(s->head + i) & (WINDOW - 1)];
}

struct merge *merge_new(struct trace_file *files, unsigned int nr_files)
{
	struct merge *merge = calloc(1, sizeof(*merge));

	if (!merge)
		return NULL;
	merge->nr_sources = nr_files;
	merge->sources = calloc(nr_files, sizeof(*merge->sources));
	merge->heap = calloc(nr_files, sizeof(*merge->heap));
	if (!merge->sources || !merge->heap) {
		merge_free(merge);
		return NULL;
	}
	for (unsigned int i = 0; i < nr_files; i++)
		merge->sources[i].file = &files[i];
	return merge;
}

void merge_free(struct merge *merge)
{
	if (!merge)
		return;
	free(merge->sources);
	free(merge->heap);
	free(merge);
}

void merge_reset(struct merge *merge)
{
	merge->primed = false;
	merge->nr_heap = 0;
	for (unsigned int i = 0; i < merge->nr_sources; i++) {
		merge->sources[i].head = merge->sources[i].count = 0;
		merge->sources[i].ended = false;
	}
}

/* Fill the window; false on a read error. */
static bool refill(struct source *s)
{
	while (!s->ended && s->count < WINDOW) {
		struct trace_record *last = slot(s, s->count);
		unsigned int i = s->count;

		switch (trace_file_next(s->file, last)) {
		case TRACE_REQUEST:
			break;
		case TRACE_END:
			s->ended = true;
			return true;
		default:
			return false;
		}
		if (i && before(last, slot(s, i - 1))) {
			struct trace_record record = *last;

			for (; i && before(&record, slot(s, i - 1)); i--)
				*slot(s, i) = *slot(s, i - 1);
			*slot(s, i) = record;
		}
		s->count++;
	}
	return true;
}

static void sift_down(struct merge *merge, unsigned int i)
{
	struct source **heap = merge->heap;

	for (;;) {
		unsigned int least = i;

		for (unsigned int child = 2 * i + 1; child <= 2 * i + 2 && child < merge->nr_heap; child++)
			if (before(slot(heap[child], 0), slot(heap[least], 0)))
				least = child;
		if (least == i)
			return;
		struct source *s = heap[i];

		heap[i] = heap[least];
		heap[least] = s;
		i = least;
	}
}

/* What one CPU did on one device is in one file of a capture. */
static bool of_one_capture(const struct merge *merge)
{
	for (unsigned int i = 0; i < merge->nr_sources; i++) {
		const struct source *s = &merge->sources[i];

		for (unsigned int k = 0; s->count && k < i; k++) {
			const struct source *t = &merge->sources[k];
			const struct trace_record *a = &t->window[t->head], *b = &s->window[s->head];

			if (!t->count || a->cpu != b->cpu || a->space[1] != b->space[1])
				continue;
			trace_fail(s->file->trace, "%s and %s: both are of CPU %u and the same device, so not of one capture",
				   input_path(t->file->in), input_path(s->file->in), a->cpu);
			return false;
		}
	}
	return true;
}

static bool prime(struct merge *merge)
{
	for (unsigned int i = 0; i < merge->nr_sources; i++) {
		if (!refill(&merge->sources[i]))
			return false;
		if (merge->sources[i].count)
			merge->heap[merge->nr_heap++] = &merge->sources[i];
	}
	for (unsigned int i = merge->nr_heap / 2; i-- > 0;)
		sift_down(merge, i);
	merge->primed = true;
	return of_one_capture(merge);
}

enum trace_outcome merge_next(struct merge *merge, struct trace_record *record)
{
	struct source *s;

	if (!merge->primed && !prime(merge))
		return TRACE_FATAL;
	if (!merge->nr_heap)
		return TRACE_END;
	s = merge->heap[0];
	*record = *slot(s, 0);
	s->head++;
	s->count--;
	if (!refill(s))
		return TRACE_FATAL;
	if (!s->count)
		merge->heap[0] = merge->heap[--merge->nr_heap];
	sift_down(merge, 0);
	return TRACE_REQUEST;
}
