// SPDX-License-Identifier: GPL-2.0
/*
 * malloc() and its like for a program that is rewound, and keep_alloc().
 *
 * A heap is one mapping, without memory behind it until it is touched. Objects come from its end, or from the list of
 * freed ones of their size class; they are never split or joined, so that an object costs a few instructions and the
 * same calls give the same addresses. All that a heap knows is in struct heap and in the objects themselves: putting
 * back both puts back the heap.
 *
 * Where a library allocates while the driver runs, it is something that the driver needs later (the buffer of a file, a
 * test's result), although the memory may be put back in between: this is kept. The program itself says what it keeps,
 * by keep_alloc(); its other memory belongs to variables that are put back, such as the shim's caches.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"
#include "rewind.h"

/* Room for addresses, not memory. A world has some 1 MB; an exploration remembers as much as the machine has. */
#define REWOUND_SIZE (4ULL << 30)
#define KEPT_SIZE (256ULL << 30)
#define SIZE_MAX_ASKED (32ULL << 30)

#define UNIT 16
#define MAGIC_LIVE 0xa11c
#define MAGIC_FREE 0xf4ee

/* In front of every object. */
struct header {
	u16 magic;
	u16 class;
	u32 back;	/* where it was aligned: from the begin of the block's object to this one */
};

struct heap_block {
	struct heap_block *next;
};

struct heap rewound_heap;
struct heap kept_heap rewind_kept;
static bool on_fiber rewind_kept;

/* ---- size classes ---- */

static u32 class_of(size_t size)
{
	size_t units = (size + sizeof(struct header) + UNIT - 1) / UNIT, n = units - 1;
	u32 shift;

	if (units <= 8)
		return (u32)n;
	shift = 63 - (u32)__builtin_clzll(n);
	return (shift - 2) * 8 + ((n >> (shift - 3)) & 7);
}

/* Of an object, without its header. */
static size_t class_size(u32 class)
{
	size_t units = class < 8 ? class + 1 : (size_t)(9 + class % 8) << (class / 8 - 1);

	return units * UNIT - sizeof(struct header);
}

/* ---- objects ---- */

static void __attribute__((noreturn)) broken(const char *what)
{
	/* Not stdio, which allocates. */
	ssize_t written = write(STDERR_FILENO, what, strlen(what));

	(void)written;
	abort();
}

static void map(struct heap *heap, size_t size)
{
	heap->start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap->start == MAP_FAILED)
		broken("there are no addresses for a heap\n");
	heap->end = heap->start + size;
	/* Objects are aligned, so headers end where an alignment begins. */
	heap->next = heap->start + UNIT - sizeof(struct header);
}

void heaps_start(void)
{
	if (!rewound_heap.start)
		map(&rewound_heap, REWOUND_SIZE);
	if (!kept_heap.start)
		map(&kept_heap, KEPT_SIZE);
}

void heap_on_fiber(bool on)
{
	on_fiber = on;
}

static struct header *header_of(const void *p)
{
	return (struct header *)p - 1;
}

void *heap_alloc(struct heap *heap, size_t size)
{
	struct heap_block *block;
	struct header *header;
	size_t length;
	u32 class;

	if (unlikely(size > SIZE_MAX_ASKED))
		return NULL;
	if (unlikely(!heap->start))
		heaps_start();
	class = class_of(size);
	block = heap->free[class];
	if (block) {
		heap->free[class] = block->next;
		header = header_of(block);
	} else {
		length = class_size(class) + sizeof(*header);
		if (unlikely(length > (size_t)(heap->end - heap->next)))
			return NULL;
		header = (struct header *)heap->next;
		heap->next += length;
	}
	*header = (struct header){ .magic = MAGIC_LIVE, .class = (u16)class };
	return header + 1;
}

void *heap_alloc_aligned(struct heap *heap, size_t align, size_t size)
{
	char *p, *aligned;

	if (align <= UNIT)
		return heap_alloc(heap, size);
	if (align > UINT32_MAX || size > SIZE_MAX_ASKED)
		return NULL;
	p = heap_alloc(heap, size + align - UNIT);
	if (!p)
		return NULL;
	aligned = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
	if (aligned != p) {
		*header_of(aligned) = *header_of(p);
		header_of(aligned)->back = (u32)(aligned - p);
	}
	return aligned;
}

static struct heap *heap_of(const void *p)
{
	struct heap *heap = (char *)p >= kept_heap.start && (char *)p < kept_heap.end ? &kept_heap :
			    (char *)p >= rewound_heap.start && (char *)p < rewound_heap.next ? &rewound_heap : NULL;

	if (unlikely(!heap || header_of(p)->magic != MAGIC_LIVE))
		broken("free() or realloc() of what is not allocated\n");
	return heap;
}

void heap_free(void *p)
{
	struct heap_block *block;
	struct header *header;
	struct heap *heap;

	if (!p)
		return;
	heap = heap_of(p);
	header = header_of(p);
	block = (struct heap_block *)((char *)p - header->back);
	header->magic = MAGIC_FREE;
	header = header_of(block);
	header->magic = MAGIC_FREE;
	block->next = heap->free[header->class];
	heap->free[header->class] = block;
}

size_t heap_usable(const void *p)
{
	const struct header *header = header_of(p);

	return class_size(header->class) - header->back;
}

static void *heap_realloc(struct heap *heap, void *p, size_t size)
{
	size_t usable;
	void *larger;

	if (!p)
		return heap_alloc(heap, size);
	heap = heap_of(p);
	usable = heap_usable(p);
	/* What shrinks by half gives it back: a checkpoint would copy it. */
	if (size <= usable && size >= usable / 2)
		return p;
	larger = heap_alloc(heap, size);
	if (!larger)
		return NULL;
	memcpy(larger, p, min(size, usable));
	heap_free(p);
	return larger;
}

/* ---- kept memory ---- */

void *keep_alloc(size_t size)
{
	void *p = heap_alloc(&kept_heap, size);

	if (!p)
		broken("out of kept memory\n");
	return memset(p, 0, size);
}

void *keep_realloc(void *p, size_t size)
{
	p = heap_realloc(&kept_heap, p, size);
	if (!p)
		broken("out of kept memory\n");
	return p;
}

void keep_free(void *p)
{
	heap_free(p);
}

/* ---- in place of the C library's ---- */

extern const char __executable_start[], etext[];

/* For who called malloc(). */
static struct heap *heap_for(const void *caller)
{
	bool library = (const char *)caller < __executable_start || (const char *)caller >= etext;

	return library && !on_fiber ? &kept_heap : &rewound_heap;
}

#define HEAP heap_for(__builtin_return_address(0))

static void *or_errno(void *p)
{
	if (unlikely(!p))
		errno = ENOMEM;
	return p;
}

void *malloc(size_t size)
{
	return or_errno(heap_alloc(HEAP, size));
}

void *calloc(size_t n, size_t size)
{
	size_t total;
	void *p = NULL;

	if (!__builtin_mul_overflow(n, size, &total))
		p = heap_alloc(HEAP, total);
	return p ? memset(p, 0, total) : or_errno(p);
}

void free(void *p)
{
	heap_free(p);
}

void *realloc(void *p, size_t size)
{
	/* As the C library's. */
	if (p && !size) {
		heap_free(p);
		return NULL;
	}
	return or_errno(heap_realloc(HEAP, p, size));
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return or_errno(NULL);
	return or_errno(heap_realloc(HEAP, p, total));
}

int posix_memalign(void **out, size_t align, size_t size)
{
	void *p;

	if (align < sizeof(void *) || (align & (align - 1)))
		return EINVAL;
	p = heap_alloc_aligned(HEAP, align, size);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

void *memalign(size_t align, size_t size)
{
	if (!align || (align & (align - 1))) {
		errno = EINVAL;
		return NULL;
	}
	return or_errno(heap_alloc_aligned(HEAP, align, size));
}

void *aligned_alloc(size_t align, size_t size)
{
	if (!align || (align & (align - 1))) {
		errno = EINVAL;
		return NULL;
	}
	return or_errno(heap_alloc_aligned(HEAP, align, size));
}

size_t malloc_usable_size(void *p)
{
	return p ? heap_usable(p) : 0;
}
