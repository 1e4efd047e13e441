/* SPDX-License-Identifier: GPL-2.0 */
/* Between kmalloc(), slab caches (mem.c) and mempools (mempool.c). */
#ifndef FAKE_MEM_H
#define FAKE_MEM_H

#include "arena.h"

/* Never fails. */
void *mem_alloc(size_t size, gfp_t flags, struct kmem_cache *cache, const char *site);
void *mem_cache_take(struct kmem_cache *cache, gfp_t flags, const char *site);
unsigned int mem_cache_size(const struct kmem_cache *cache);
/* In sched_enter() sections: */
void mem_check_live(const void *object, const char *what);
void mem_free(const void *object, const char *what);

void mempool_check_leaks(void);
void mempool_discard(void);

#endif /* FAKE_MEM_H */
