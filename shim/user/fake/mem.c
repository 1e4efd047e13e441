// SPDX-License-Identifier: GPL-2.0
/*
 * kmalloc(), kvmalloc() and slab caches: what may be asked for where, failing on request,
 * accounting and leaks.
 *
 * An allocation that may wait is checked like any other sleep; one that may do I/O to get memory
 * must not come from a worker that others need to get memory (H40).
 */
#include <stdlib.h>
#include <string.h>

#include "late.h"
#include "mem.h"
#include "world.h"

#define ZERO_SIZE_PTR ((void *)16)
#define KMALLOC_MAX_SIZE (1UL << 22)

struct kmem_cache {
	struct list_head entry;
	const char *name;
	unsigned int size;
	void (*ctor)(void *);
	const char *site;
	u64 live;
};

static struct {
	struct list_head caches;
	u64 count, failures;
	u64 fail_first, fail_count;
	bool (*hook)(void *context, const char *what, const char *site);
	void *hook_context;
	unsigned int random_per_million;
	u64 bytes, peak_bytes;
} mem = { .caches = LIST_HEAD_INIT(mem.caches) };

/* ---- may we, and shall it fail? ---- */

static void check_gfp(gfp_t flags, const char *what, const char *site)
{
	const struct sim_thread *self = sched_current;

	if (!gfpflags_allow_blocking(flags))
		return;
	shim_might_sleep(what, site);
	if (unlikely((flags & (__GFP_IO | __GFP_FS)) && self->mem_reclaim && !self->noio_depth))
		sim_fail(
			"%s: %s with GFP_KERNEL in '%s', a worker that frees memory by its I/O, outside of memalloc_noio_save()",
			site_name(site), what, self->name);
}

static bool is_hit(u64 number, unsigned int per_million, const char *what, const char *site)
{
	if (unlikely(mem.hook) && mem.hook(mem.hook_context, what, site_name(site)))
		return true;
	if (unlikely(number - mem.fail_first < mem.fail_count))
		return true;
	return unlikely(per_million) && choose_rare(per_million, "allocation fault");
}

bool mem_should_fail(gfp_t flags, const char *what, const char *site)
{
	unsigned int per_million;
	u64 number;
	bool hit;

	if (unlikely(!world.active))
		sim_fail("%s: %s outside of a world", site_name(site), what);
	check_gfp(flags, what, site);
	sched_enter();
	/* Who gets which number matters only where numbers decide who fails. */
	if (unlikely(mem.fail_count))
		sched_access(&mem.count, SIM_WRITE);
	number = mem.count++;
	per_million = gfpflags_allow_blocking(flags) ? 0 : mem.random_per_million;
	sched_exit();
	hit = is_hit(number, per_million, what, site);
	if (unlikely(hit))
		WRITE_ONCE(mem.failures, mem.failures + 1);
	return hit;
}

/* ---- objects ---- */

void *mem_alloc(size_t size, gfp_t flags, struct kmem_cache *cache, const char *site)
{
	struct mem_header *header;
	void *object;
	int i;

	sched_enter();
	header = arena_alloc(size, flags & __GFP_ZERO);
	if (!header)
		abort();
	header->site = site;
	header->cache = cache;
	header->size = size;
	header->magic = MEM_LIVE;
	header->vmalloc = false;
	header->in_pool = false;
	object = mem_object(header);
	for (i = 0; i < MEM_REDZONE; i++)
		((u8 *)object)[size + i] = MEM_REDZONE_BYTE;
	mem.bytes += size;
	if (mem.bytes > mem.peak_bytes)
		mem.peak_bytes = mem.bytes;
	sched_tell_memory(allocated, object, size);
	sched_exit();
	if (flags & __GFP_ZERO && header->class != ARENA_LARGE)
		memset(object, 0, size);
	return object;
}

/* Freed memory is looked at: only to say that it was freed. */
static u32 __attribute__((no_sanitize("address"))) read_magic(const struct mem_header *header)
{
	return *(const volatile u32 *)&header->magic;
}

static inline bool redzone_intact(const char *end)
{
	const u64 intact = 0x0101010101010101ULL * MEM_REDZONE_BYTE;
	u64 word;
	int i;

	for (i = 0; i < MEM_REDZONE; i += (int)sizeof(word)) {
		memcpy(&word, end + i, sizeof(word));
		if (word != intact)
			return false;
	}
	return true;
}

void mem_check_live(const void *object, const char *what)
{
	const struct mem_header *header = mem_header_of(object);
	u32 magic = read_magic(header);

	if (unlikely(magic == MEM_FREE))
		sim_fail("%s: double free in thread '%s'", what, sched_current->name);
	if (unlikely(magic != MEM_LIVE))
		sim_fail(
			"%s of what was never allocated, or written to before its begin, in thread '%s'",
			what, sched_current->name);
	if (unlikely(header->in_pool))
		sim_fail("%s of an element that is in its mempool (allocated at %s)", what,
			 site_name(header->site));
	if (unlikely(!redzone_intact((const char *)object + header->size)))
		sim_fail("%s: written to beyond the end of %llu bytes allocated at %s", what,
			 header->size, site_name(header->site));
}

void mem_free(const void *object, const char *what)
{
	struct mem_header *header = mem_header_of(object);

	work_check_free(object, header->size, header->site);
	lock_check_free(object, header->size, header->site);
	mem.bytes -= header->size;
	late_freed(object, header->size);
	sched_tell_memory(freed, object, header->size);
	arena_free(header);
}

/* ---- kmalloc ---- */

static void *kmalloc_checked(size_t size, gfp_t flags, const char *site)
{
	if (mem_should_fail(flags, "allocation", site))
		return NULL;
	return size ? mem_alloc(size, flags, NULL, site) : ZERO_SIZE_PTR;
}

void *shim_kmalloc(size_t size, gfp_t flags, const char *site)
{
	if (unlikely(size > KMALLOC_MAX_SIZE)) {
		if (!(flags & __GFP_NOWARN) && size != SIZE_MAX)
			sim_fail("%s: kmalloc() of %llu bytes", site_name(site), (u64)size);
		return NULL;
	}
	return kmalloc_checked(size, flags, site);
}

void *shim_kvmalloc(size_t size, gfp_t flags, const char *site)
{
	void *object;

	if (unlikely(size > INT_MAX)) {
		if (!(flags & __GFP_NOWARN) && size != SIZE_MAX)
			sim_fail("%s: kvmalloc() of %llu bytes", site_name(site), (u64)size);
		return NULL;
	}
	/* vmalloc() always may sleep. */
	if (unlikely(size > KMALLOC_MAX_SIZE && !gfpflags_allow_blocking(flags)))
		return NULL;
	object = kmalloc_checked(size, flags, site);
	if (object && size > PAGE_SIZE)
		mem_header_of(object)->vmalloc = true;
	return object;
}

void *shim_krealloc(const void *p, size_t size, gfp_t flags, const char *site)
{
	void *new;
	u64 old_size = 0;

	if (!size) {
		kfree(p);
		return ZERO_SIZE_PTR;
	}
	if (!IS_ERR_OR_NULL(p) && p != ZERO_SIZE_PTR) {
		mem_check_live(p, "krealloc()");
		old_size = mem_header_of(p)->size;
	}
	/* Always moves: an old pointer is always wrong. */
	new = shim_kmalloc(size, flags, site);
	if (!new)
		return NULL;
	if (old_size)
		memcpy(new, p, min_t(u64, old_size, size));
	kfree(p);
	return new;
}

char *shim_kstrdup(const char *s, gfp_t flags, const char *site)
{
	size_t size;
	char *copy;

	if (!s)
		return NULL;
	size = strlen(s) + 1;
	copy = shim_kmalloc(size, flags, site);
	if (copy)
		memcpy(copy, s, size);
	return copy;
}

static void free_object(const void *p, bool virtual, const char *what)
{
	const struct mem_header *header;

	if (!p || p == ZERO_SIZE_PTR)
		return;
	header = mem_header_of(p);
	sched_enter();
	mem_check_live(p, what);
	if (unlikely(header->cache))
		sim_fail("%s of an object of cache '%s' (allocated at %s)", what,
			 header->cache->name, site_name(header->site));
	if (unlikely(header->vmalloc && !virtual))
		sim_fail("%s of memory of kvmalloc() (allocated at %s)", what,
			 site_name(header->site));
	if (unlikely(header->vmalloc && !in_irq() && in_atomic()))
		sim_fail("%s of more than a page while atomic (allocated at %s)", what,
			 site_name(header->site));
	mem_free(p, what);
	sched_exit();
}

void kfree(const void *p)
{
	free_object(p, false, "kfree()");
}

void kvfree(const void *p)
{
	free_object(p, true, "kvfree()");
}

/* ---- slab caches ---- */

struct kmem_cache *shim_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *), const char *site)
{
	struct kmem_cache *cache;

	if (align > 16 || flags || !size)
		sim_fail("%s: kmem_cache_create() of '%s' with what the shim does not have",
			 site_name(site), name);
	if (mem_should_fail(GFP_KERNEL, "kmem_cache_create()", site))
		return NULL;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		abort();
	cache->name = name;
	cache->size = size;
	cache->ctor = ctor;
	cache->site = site;
	sched_enter();
	list_add_tail(&cache->entry, &mem.caches);
	sched_exit();
	return cache;
}

unsigned int mem_cache_size(const struct kmem_cache *cache)
{
	return cache->size;
}

void *mem_cache_take(struct kmem_cache *cache, gfp_t flags, const char *site)
{
	void *object = mem_alloc(cache->size, flags, cache, site);

	sched_enter();
	sched_access(cache, SIM_ADD);
	cache->live++;
	sched_exit();
	if (cache->ctor)
		cache->ctor(object);
	return object;
}

void *shim_cache_alloc(struct kmem_cache *cache, gfp_t flags, const char *site)
{
	if (mem_should_fail(flags, "kmem_cache_alloc()", site))
		return NULL;
	return mem_cache_take(cache, flags, site);
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	if (!p)
		sim_fail("kmem_cache_free() of NULL in cache '%s'", cache->name);
	sched_enter();
	mem_check_live(p, "kmem_cache_free()");
	if (unlikely(mem_header_of(p)->cache != cache))
		sim_fail("kmem_cache_free() of what is not of cache '%s' (allocated at %s)",
			 cache->name, site_name(mem_header_of(p)->site));
	sched_access(cache, SIM_ADD);
	cache->live--;
	mem_free(p, "kmem_cache_free()");
	sched_exit();
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	if (!cache)
		return;
	shim_might_sleep("kmem_cache_destroy()", cache->site);
	sched_enter();
	sched_access(cache, SIM_WRITE);
	if (cache->live) {
		u64 nr, bytes;
		struct mem_header *leak = arena_find_leak(&nr, &bytes);

		sim_fail("kmem_cache_destroy() of '%s' with %llu objects in use; one leak is of %s",
			 cache->name, cache->live, leak ? site_name(leak->site) : "?");
	}
	list_del(&cache->entry);
	sched_exit();
	free(cache);
}

/* ---- scopes ---- */

unsigned int memalloc_noio_save(void)
{
	return sched_current->noio_depth++;
}

void memalloc_noio_restore(unsigned int flags)
{
	struct sim_thread *self = sched_current;

	if (self->noio_depth != flags + 1)
		sim_fail("memalloc_noio_restore() does not match in thread '%s'", self->name);
	self->noio_depth = flags;
}

/* ---- control ---- */

void sim_fail_alloc(u64 first, u64 count)
{
	sched_point("allocation faults", NULL, NULL);
	sched_enter();
	sched_access(&mem.count, SIM_WRITE);
	mem.fail_first = first;
	mem.fail_count = count;
	sched_exit();
}

void sim_fail_alloc_random(unsigned int per_million)
{
	WRITE_ONCE(mem.random_per_million, per_million);
}

u64 sim_alloc_count(void)
{
	return READ_ONCE(mem.count);
}

u64 sim_alloc_failures(void)
{
	return READ_ONCE(mem.failures);
}

void sim_alloc_hook(bool (*fn)(void *context, const char *what, const char *site), void *context)
{
	mem.hook = fn;
	mem.hook_context = context;
}

u64 sim_memory_bytes(void)
{
	return READ_ONCE(mem.bytes);
}

u64 sim_memory_peak_bytes(void)
{
	return READ_ONCE(mem.peak_bytes);
}

void sim_memory_peak_reset(void)
{
	WRITE_ONCE(mem.peak_bytes, READ_ONCE(mem.bytes));
}

void mem_start(void)
{
	mem.count = 0;
	mem.failures = 0;
	mem.hook = NULL;
	mem.fail_first = 0;
	mem.fail_count = 0;
	mem.random_per_million = 0;
	mem.bytes = 0;
	mem.peak_bytes = 0;
}

void mem_check_leaks(void)
{
	struct mem_header *leak;
	u64 nr, bytes;

	mempool_check_leaks();
	leak = arena_find_leak(&nr, &bytes);
	if (leak)
		sim_fail("leak: %llu allocations, %llu bytes; the first is of %llu bytes at %s", nr,
			 bytes, leak->size, site_name(leak->site));
	if (!list_empty(&mem.caches)) {
		struct kmem_cache *cache = list_first_entry(&mem.caches, struct kmem_cache, entry);

		sim_fail("leak: cache '%s' (%s) was not destroyed", cache->name,
			 site_name(cache->site));
	}
	arena_check_freed();
}

void mem_discard(void)
{
	struct kmem_cache *cache, *next;

	mempool_discard();
	list_for_each_entry_safe(cache, next, &mem.caches, entry)
		free(cache);
	INIT_LIST_HEAD(&mem.caches);
	arena_discard();
}
