/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory. Every allocation is registered with the place that made it; freed memory is poisoned and
 * kept a while; whatever is left when the world ends is a leak. Any allocation can be told to fail.
 */
#ifndef SHIM_MEM_H
#define SHIM_MEM_H

#include "shim_types.h"

#define ___GFP_IO 0x40u
#define ___GFP_FS 0x80u
#define ___GFP_ZERO 0x100u
#define ___GFP_DIRECT_RECLAIM 0x400u
#define ___GFP_KSWAPD_RECLAIM 0x800u
#define ___GFP_HIGH 0x20u
#define ___GFP_NOWARN 0x2000u
#define ___GFP_NORETRY 0x10000u

#define __GFP_IO ((__force gfp_t)___GFP_IO)
#define __GFP_FS ((__force gfp_t)___GFP_FS)
#define __GFP_ZERO ((__force gfp_t)___GFP_ZERO)
#define __GFP_DIRECT_RECLAIM ((__force gfp_t)___GFP_DIRECT_RECLAIM)
#define __GFP_KSWAPD_RECLAIM ((__force gfp_t)___GFP_KSWAPD_RECLAIM)
#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define __GFP_HIGH ((__force gfp_t)___GFP_HIGH)
#define __GFP_NOWARN ((__force gfp_t)___GFP_NOWARN)
#define __GFP_NORETRY ((__force gfp_t)___GFP_NORETRY)

#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_NOIO (__GFP_RECLAIM)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM)
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)

static inline bool gfpflags_allow_blocking(const gfp_t gfp_flags)
{
	return !!((__force unsigned int)gfp_flags & ___GFP_DIRECT_RECLAIM);
}

/* ---- sizes that do not wrap ---- */

static inline size_t __must_check array_size(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_mul_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

static inline size_t __must_check size_add(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_add_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

#define struct_size(p, member, count)                                                           \
	size_add(sizeof(*(p)), array_size(count, sizeof(*(p)->member)))

/* ---- kmalloc and kvmalloc ---- */

void *shim_kmalloc(size_t size, gfp_t flags, const char *site);
void *shim_kvmalloc(size_t size, gfp_t flags, const char *site);
void *shim_krealloc(const void *p, size_t size, gfp_t flags, const char *site);
char *shim_kstrdup(const char *s, gfp_t flags, const char *site);
void kfree(const void *p);
void kvfree(const void *p);

#define kmalloc(size, flags) shim_kmalloc(size, flags, SHIM_SITE)
#define kzalloc(size, flags) shim_kmalloc(size, (flags) | __GFP_ZERO, SHIM_SITE)
#define kmalloc_array(n, size, flags) shim_kmalloc(array_size(n, size), flags, SHIM_SITE)
#define kcalloc(n, size, flags) shim_kmalloc(array_size(n, size), (flags) | __GFP_ZERO, SHIM_SITE)
#define krealloc(p, size, flags) shim_krealloc(p, size, flags, SHIM_SITE)
#define kstrdup(s, flags) shim_kstrdup(s, flags, SHIM_SITE)
#define kvmalloc(size, flags) shim_kvmalloc(size, flags, SHIM_SITE)
#define kvzalloc(size, flags) shim_kvmalloc(size, (flags) | __GFP_ZERO, SHIM_SITE)
#define kvmalloc_array(n, size, flags) shim_kvmalloc(array_size(n, size), flags, SHIM_SITE)
#define kvcalloc(n, size, flags) shim_kvmalloc(array_size(n, size), (flags) | __GFP_ZERO, SHIM_SITE)

/* ---- slab caches ---- */

struct kmem_cache;
typedef unsigned int slab_flags_t;

struct kmem_cache *shim_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *), const char *site);
void *shim_cache_alloc(struct kmem_cache *cache, gfp_t flags, const char *site);
void kmem_cache_free(struct kmem_cache *cache, void *p);
void kmem_cache_destroy(struct kmem_cache *cache);

#define kmem_cache_create(name, size, align, flags, ctor)                                       \
	shim_cache_create(name, size, align, flags, ctor, SHIM_SITE)
#define KMEM_CACHE(__struct, __flags)                                                           \
	kmem_cache_create(#__struct, sizeof(struct __struct), __alignof__(struct __struct),     \
			  (__flags), NULL)
#define kmem_cache_alloc(cache, flags) shim_cache_alloc(cache, flags, SHIM_SITE)
#define kmem_cache_zalloc(cache, flags) shim_cache_alloc(cache, (flags) | __GFP_ZERO, SHIM_SITE)

/* ---- reserves ---- */

typedef struct mempool_s mempool_t;

mempool_t *shim_mempool_create_slab(int min_nr, struct kmem_cache *cache, const char *site);
mempool_t *shim_mempool_create_kmalloc(int min_nr, size_t size, const char *site);
void *shim_mempool_alloc(mempool_t *pool, gfp_t gfp_mask, const char *site);
void mempool_free(void *element, mempool_t *pool);
void mempool_destroy(mempool_t *pool);

#define mempool_create_slab_pool(min_nr, kc) shim_mempool_create_slab(min_nr, kc, SHIM_SITE)
#define mempool_create_kmalloc_pool(min_nr, size)                                               \
	shim_mempool_create_kmalloc(min_nr, size, SHIM_SITE)
#define mempool_alloc(pool, gfp_mask) shim_mempool_alloc(pool, gfp_mask, SHIM_SITE)

/* ---- scopes ---- */

unsigned int memalloc_noio_save(void);
void memalloc_noio_restore(unsigned int flags);

#endif /* SHIM_MEM_H */
