/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two heaps of a program that is rewound (rewind.h): a checkpoint holds a copy of one, the other stays as it is.
 *
 * What a checkpoint costs is how far the rewound heap reaches: it is dense, and given in the same way whenever the same
 * is asked for. One thread; who forks has a copy of its own.
 */
#ifndef EXPLORE_HEAP_H
#define EXPLORE_HEAP_H

#include "shim.h"

/* Of 16 bytes each up to 128, then eight for every doubling, up to 64 GB. */
#define HEAP_CLASSES 240

struct heap_block;

struct heap {
	char *start, *next, *end;	/* [start, next) has been given out before */
	struct heap_block *free[HEAP_CLASSES];	/* last freed, first used */
};

/* malloc() and its like, of everything that runs on fibers, and of the program itself wherever it runs ... */
extern struct heap rewound_heap;
/* ... and keep_alloc(), and malloc() of the libraries (buffers of stdio, ...) while the driver runs. */
extern struct heap kept_heap;

/* The memory that both need is there from now on; nothing else is mapped later. */
void heaps_start(void);
/* Whose memory malloc() gives to the libraries: told by rewind.c. */
void heap_on_fiber(bool on);

/* NULL: too large. Aligned to 16 bytes; not zeroed. */
void *heap_alloc(struct heap *heap, size_t size);
/* @align: a power of two. */
void *heap_alloc_aligned(struct heap *heap, size_t align, size_t size);
/* In the heap where @p is; NULL is nothing. Freed twice, or not from here: aborts. */
void heap_free(void *p);
size_t heap_usable(const void *p);

static inline size_t heap_used(const struct heap *heap)
{
	return (size_t)(heap->next - heap->start);
}

#endif /* EXPLORE_HEAP_H */
