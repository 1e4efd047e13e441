/* SPDX-License-Identifier: GPL-2.0 */
/* Where the simulated kernel's memory comes from; arena.c. In a sched_enter() section. */
#ifndef FAKE_ARENA_H
#define FAKE_ARENA_H

#include "sched.h"

#define MEM_LIVE 0x11fe11feu
#define MEM_FREE 0xdeadf4eeu

#define MEM_FRESH_BYTE 0x5a
#define MEM_FREED_BYTE 0x6b
#define MEM_REDZONE_BYTE 0xbb
/* Behind every object; AddressSanitizer has its own. */
#ifdef SHIM_ASAN
#define MEM_REDZONE 0
#else
#define MEM_REDZONE 16
#endif

/* In front of every object. */
struct mem_header {
	const char *site;
	union {
		struct kmem_cache *cache;	/* NULL: kmalloc() */
		struct mem_header *next_free;
	};
	u64 size;		/* as asked for */
	u16 class;		/* or ARENA_LARGE */
	bool vmalloc;		/* kvmalloc() of more than a page */
	bool in_pool;		/* in the reserve of a mempool */
	u32 magic;		/* last: what is written before the object's begin hits it */
};

#define ARENA_LARGE 0xffff

/* Bytes that nobody may look at before they are written: MemorySanitizer and valgrind find who does. */
#if defined(SHIM_MSAN)
#include <sanitizer/msan_interface.h>
#define mem_undefined(p, size) __msan_allocated_memory(p, size)
#elif defined(SHIM_VALGRIND)
#include <valgrind/memcheck.h>
#define mem_undefined(p, size) ((void)VALGRIND_MAKE_MEM_UNDEFINED(p, size))
#else
#define mem_undefined(p, size) ((void)0)
#endif

/* NULL: the machine's memory is exhausted. @zero: of zeroes, or (where it is not large) anything. */
struct mem_header *arena_alloc(size_t size, bool zero);
void arena_free(struct mem_header *header);
/* The first live object, ordered by (site, size), of @nr alike; NULL if there is none. */
struct mem_header *arena_find_leak(u64 *nr, u64 *bytes);
/* Check the poison of everything that was freed. */
void arena_check_freed(void);
void arena_discard(void);
/* The object that @p points into, live or freed; NULL. For reports. */
struct mem_header *arena_object_of(const void *p);

static inline void *mem_object(struct mem_header *header)
{
	return header + 1;
}

static inline struct mem_header *mem_header_of(const void *object)
{
	return (struct mem_header *)object - 1;
}

void mem_poison(struct mem_header *header);
void mem_check_poison(const struct mem_header *header);

#endif /* FAKE_ARENA_H */
