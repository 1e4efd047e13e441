// SPDX-License-Identifier: GPL-2.0
/*
 * The memory behind kmalloc() and kmem_cache_alloc().
 *
 * Objects come from slabs, one size class each, four classes for every power of two. A freed object
 * is poisoned and goes to the end of its class's queue; it is used again, after a check of the
 * poison, only when QUARANTINE others are in the queue, so that a late write is noticed. Slabs are
 * kept from world to world: a world ends by forgetting what was carved out of them. Larger objects are the C
 * library's; the last few that were freed are poisoned and wait to be used again, too, which also spares filling each
 * with the same bytes as the last time.
 *
 * Under a sanitizer or valgrind, and with threads, every object is the C library's instead, so that the
 * sanitizer sees it.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#if defined(SHIM_ASAN) || defined(SHIM_MSAN) || defined(SHIM_VALGRIND) || defined(SHIM_TSAN) || defined(SHIM_THREADS)
#define ARENA_PLAIN 1
#else
#define ARENA_PLAIN 0
#endif

#define SLAB_SIZE (128 * 1024)
#define CLASS_MIN_SHIFT 6
#define CLASS_MAX_SIZE (16 * 1024)
#define NR_CLASSES (4 * (14 - CLASS_MIN_SHIFT) + 1)
#define QUARANTINE 32
#define LARGE_KEPT 16
#define LARGE_KEPT_SIZE (1024 * 1024)
/* What is poisoned of an object: all of a small one, both ends of a large one. */
#define POISON_HEAD 1024
#define POISON_TAIL 64

struct slab {
	struct slab *next;
	u32 class;
	char *memory;
	size_t size, carved;
};

struct size_class {
	struct mem_header *first, *last; /* freed */
	u32 nr_free;
	u32 size;
	struct slab *slab; /* that is carved from */
};

/* An object of its own: large, or all of them under a sanitizer. */
struct large {
	struct list_head entry;
	struct mem_header header;
};

static struct {
	struct size_class classes[NR_CLASSES];
	struct slab *slabs; /* of this world */
	struct slab *free_slabs;
	struct list_head large;
	struct list_head large_freed; /* oldest first */
	u32 nr_large_freed;
} arena = {
	.large = LIST_HEAD_INIT(arena.large),
	.large_freed = LIST_HEAD_INIT(arena.large_freed),
};

static u32 class_of(size_t size)
{
	u32 n = (u32)size - 1, shift;

	if (size <= 1 << CLASS_MIN_SHIFT)
		return 0;
	shift = (u32)ilog2(n);
	return (shift - CLASS_MIN_SHIFT) * 4 + ((n >> (shift - 2)) & 3) + 1;
}

static u32 class_size(u32 class)
{
	if (!class)
		return 1 << CLASS_MIN_SHIFT;
	return (5 + (class - 1) % 4) << (CLASS_MIN_SHIFT - 2 + (class - 1) / 4);
}

/* ---- poison ---- */

void mem_poison(struct mem_header *header)
{
	u8 *p = mem_object(header);

	if (header->size <= POISON_HEAD + POISON_TAIL) {
		memset(p, MEM_FREED_BYTE, header->size);
	} else {
		memset(p, MEM_FREED_BYTE, POISON_HEAD);
		memset(p + header->size - POISON_TAIL, MEM_FREED_BYTE, POISON_TAIL);
	}
}

void mem_check_poison(const struct mem_header *header)
{
	const u8 *p = mem_object((struct mem_header *)header);
	const u8 *bad;

	if (header->size <= POISON_HEAD + POISON_TAIL) {
		bad = memchr_inv(p, MEM_FREED_BYTE, header->size);
	} else {
		bad = memchr_inv(p, MEM_FREED_BYTE, POISON_HEAD);
		if (!bad)
			bad = memchr_inv(p + header->size - POISON_TAIL, MEM_FREED_BYTE,
					 POISON_TAIL);
	}
	if (unlikely(bad))
		sim_fail(
			"use after free: %llu bytes allocated at %s were written to at offset %llu after they were freed",
			header->size, site_name(header->site), (u64)(bad - p));
}

/* ---- objects ---- */

/* A freed one of that size again, or NULL. */
static struct large *large_again(size_t size)
{
	struct large *large;

	list_for_each_entry(large, &arena.large_freed, entry) {
		if (large->header.size != size)
			continue;
		mem_check_poison(&large->header);
		list_del(&large->entry);
		arena.nr_large_freed--;
		return large;
	}
	return NULL;
}

static struct mem_header *large_alloc(size_t size, bool zero)
{
	struct large *large = large_again(size);

	if (large) {
		list_add_tail(&large->entry, &arena.large);
		if (zero)
			memset(mem_object(&large->header), 0, size);
		return &large->header;
	}
	large = malloc(sizeof(*large) + size + MEM_REDZONE);
	if (!large)
		return NULL;
	large->header.class = ARENA_LARGE;
	list_add_tail(&large->entry, &arena.large);
	memset(mem_object(&large->header), zero ? 0 : MEM_FRESH_BYTE, size);
	if (!zero)
		mem_undefined(mem_object(&large->header), size);
	return &large->header;
}

static void large_free(struct large *large)
{
	list_del(&large->entry);
	/* For who frees it again, although it is given back: the compiler must not leave this out. */
	WRITE_ONCE(large->header.magic, MEM_FREE);
	if (ARENA_PLAIN || large->header.size > LARGE_KEPT_SIZE) {
		free(large);
		return;
	}
	mem_poison(&large->header);
	list_add_tail(&large->entry, &arena.large_freed);
	if (arena.nr_large_freed++ < LARGE_KEPT)
		return;
	large = list_first_entry(&arena.large_freed, struct large, entry);
	mem_check_poison(&large->header);
	list_del(&large->entry);
	arena.nr_large_freed--;
	free(large);
}

static size_t slab_size(const struct size_class *class)
{
#ifdef SHIM_WATCHED
	/* An explorer copies them all the time. */
	return max(1U, 4096 / class->size) * class->size;
#else
	return SLAB_SIZE;
#endif
}

static void new_slab(struct size_class *class, u32 index)
{
	size_t size = slab_size(class);
	struct slab **p = &arena.free_slabs, *slab;

	while (*p && (*p)->size != size)
		p = &(*p)->next;
	slab = *p;
	if (slab) {
		*p = slab->next;
	} else {
		slab = malloc(sizeof(*slab));
		if (!slab || posix_memalign((void **)&slab->memory, 64, size))
			abort();
		slab->size = size;
	}
	slab->class = index;
	slab->carved = 0;
	slab->next = arena.slabs;
	arena.slabs = slab;
	class->slab = slab;
}

static struct mem_header *carve(struct size_class *class, u32 index)
{
	struct mem_header *header;

	if (!class->size)
		class->size = class_size(index);
	if (!class->slab || class->slab->carved + class->size > class->slab->size)
		new_slab(class, index);
	header = (struct mem_header *)(class->slab->memory + class->slab->carved);
	class->slab->carved += class->size;
	/* The same contents in every world. */
	memset(header, MEM_FRESH_BYTE, class->size);
	header->class = (u16)index;
	return header;
}

struct mem_header *arena_alloc(size_t size, bool zero)
{
	size_t total = sizeof(struct mem_header) + size + MEM_REDZONE;
	struct size_class *class;
	struct mem_header *header;
	u32 index;

	if (ARENA_PLAIN || total > CLASS_MAX_SIZE)
		return large_alloc(size, zero);
	index = class_of(total);
	class = &arena.classes[index];
	if (class->nr_free <= QUARANTINE)
		return carve(class, index);
	header = class->first;
	class->first = header->next_free;
	class->nr_free--;
	mem_check_poison(header);
	return header;
}

void arena_free(struct mem_header *header)
{
	struct size_class *class;

	if (header->class == ARENA_LARGE) {
		large_free(container_of(header, struct large, header));
		return;
	}
	class = &arena.classes[header->class];
	header->magic = MEM_FREE;
	mem_poison(header);
	header->next_free = NULL;
	if (class->nr_free++)
		class->last->next_free = header;
	else
		class->first = header;
	class->last = header;
}

/* ---- looking at all of them ---- */

static void each_object(void (*fn)(struct mem_header *header, void *context), void *context)
{
	struct large *large;
	struct slab *slab;
	size_t at;

	list_for_each_entry(large, &arena.large, entry)
		fn(&large->header, context);
	list_for_each_entry(large, &arena.large_freed, entry)
		fn(&large->header, context);
	for (slab = arena.slabs; slab; slab = slab->next)
		for (at = 0; at < slab->carved; at += arena.classes[slab->class].size)
			fn((struct mem_header *)(slab->memory + at), context);
}

struct leak {
	struct mem_header *first;
	u64 nr, bytes;
};

static void look_for_leak(struct mem_header *header, void *context)
{
	struct leak *leak = context;
	int order;

	if (header->magic != MEM_LIVE)
		return;
	leak->nr++;
	leak->bytes += header->size;
	if (!leak->first) {
		leak->first = header;
		return;
	}
	order = strcmp(header->site, leak->first->site);
	if (order < 0 || (!order && header->size < leak->first->size))
		leak->first = header;
}

struct mem_header *arena_find_leak(u64 *nr, u64 *bytes)
{
	struct leak leak = { 0 };

	each_object(look_for_leak, &leak);
	*nr = leak.nr;
	*bytes = leak.bytes;
	return leak.first;
}

static void check_freed(struct mem_header *header, void *context)
{
	if (header->magic == MEM_FREE)
		mem_check_poison(header);
}

void arena_check_freed(void)
{
	each_object(check_freed, NULL);
}

#ifdef SHIM_WATCHED
struct search {
	const char *p;
	struct mem_header *found;
};

static void look_for_object(struct mem_header *header, void *context)
{
	struct search *search = context;
	const char *object = mem_object(header);

	if (search->p >= object && search->p < object + header->size)
		search->found = header;
}

struct mem_header *arena_object_of(const void *p)
{
	struct search search = { .p = p };

	each_object(look_for_object, &search);
	return search.found;
}
#endif

void arena_discard(void)
{
	struct large *large, *next;
	struct slab *slab;

	list_splice_tail_init(&arena.large_freed, &arena.large);
	arena.nr_large_freed = 0;
	list_for_each_entry_safe(large, next, &arena.large, entry)
		free(large);
	INIT_LIST_HEAD(&arena.large);
	while ((slab = arena.slabs)) {
		arena.slabs = slab->next;
		slab->next = arena.free_slabs;
		arena.free_slabs = slab;
	}
	memset(arena.classes, 0, sizeof(arena.classes));
}
