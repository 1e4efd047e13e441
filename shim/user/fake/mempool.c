// SPDX-License-Identifier: GPL-2.0
/*
 * Mempools: a reserve of min_nr elements that only an exhausted allocator touches.
 *
 * As in the kernel the first try never waits; then the reserve is used; then an allocation that may
 * wait sleeps until an element is given back (or 5 seconds have passed, and tries again), and one
 * that may not gets NULL. Stricter: elements in the reserve are poisoned, and a pool is destroyed
 * only when everything was given back.
 */
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define RETRY_NS 5000000000ULL
/* So many retries without an element given back: nobody will. */
#define RETRIES_MAX 100

struct mempool_s {
	struct list_head entry;
	struct list_head waiters;
	struct kmem_cache *cache; /* NULL: kmalloc() */
	size_t size;
	const char *site;
	int min_nr, curr_nr;
	u64 in_use;
	void *elements[];
};

static struct {
	struct list_head all;
} pools = { .all = LIST_HEAD_INIT(pools.all) };

static void *new_element(const mempool_t *pool, const char *site)
{
	return pool->cache ? mem_cache_take(pool->cache, 0, site) :
			     mem_alloc(pool->size, 0, NULL, site);
}

static void free_element(const mempool_t *pool, void *element)
{
	if (pool->cache)
		kmem_cache_free(pool->cache, element);
	else
		kfree(element);
}

static void put_in_reserve(mempool_t *pool, void *element)
{
	mem_header_of(element)->in_pool = true;
	mem_poison(mem_header_of(element));
	pool->elements[pool->curr_nr++] = element;
}

static void *take_from_reserve(mempool_t *pool, const char *site)
{
	void *element = pool->elements[--pool->curr_nr];

	mem_check_poison(mem_header_of(element));
	mem_header_of(element)->in_pool = false;
	mem_header_of(element)->site = site;
	return element;
}

static mempool_t *pool_create(int min_nr, struct kmem_cache *cache, size_t size, const char *site)
{
	mempool_t *pool;

	if (mem_should_fail(GFP_KERNEL, "mempool_create()", site))
		return NULL;
	pool = calloc(1, sizeof(*pool) + (size_t)min_nr * sizeof(pool->elements[0]));
	if (!pool)
		abort();
	INIT_LIST_HEAD(&pool->waiters);
	pool->cache = cache;
	pool->size = size;
	pool->site = site;
	pool->min_nr = min_nr;
	sched_enter();
	list_add_tail(&pool->entry, &pools.all);
	sched_exit();
	while (pool->curr_nr < min_nr) {
		if (mem_should_fail(GFP_KERNEL, "mempool_create()", site)) {
			mempool_destroy(pool);
			return NULL;
		}
		put_in_reserve(pool, new_element(pool, site));
	}
	return pool;
}

mempool_t *shim_mempool_create_slab(int min_nr, struct kmem_cache *cache, const char *site)
{
	return pool_create(min_nr, cache, mem_cache_size(cache), site);
}

mempool_t *shim_mempool_create_kmalloc(int min_nr, size_t size, const char *site)
{
	return pool_create(min_nr, NULL, size, site);
}

static void retry_later(struct sim_event *event)
{
	sched_enter();
	sched_wake(container_of(event, struct sim_thread, timer));
	sched_exit();
}

static void wait_for_element(mempool_t *pool, const char *site)
{
	struct sim_thread *self = sched_current;
	struct sched_waiter waiter = { .thread = self };

	self->wait = (struct sched_wait){ .what = "mempool_alloc()", .site = site };
	self->state = SCHED_WAITING;
	list_add_tail(&waiter.entry, &pool->waiters);
	event_init(&self->timer, retry_later);
	event_add(&self->timer, world.now_ns + RETRY_NS);
	sched_sleep();
	event_cancel(&self->timer);
	/*
	 * Woken by the timer it is still queued; whoever wakes it takes it off and leaves no trace.
	 */
	if (waiter.entry.next != LIST_POISON1)
		list_del(&waiter.entry);
}

void *shim_mempool_alloc(mempool_t *pool, gfp_t gfp_mask, const char *site)
{
	bool may_wait = gfpflags_allow_blocking(gfp_mask);
	void *element = NULL;
	u32 tries;

	if (gfp_mask & __GFP_ZERO)
		sim_fail("%s: mempool_alloc() with __GFP_ZERO", site_name(site));
	if (may_wait)
		shim_might_sleep("mempool_alloc()", site);
	for (tries = 0; !element; tries++) {
		if (tries > RETRIES_MAX)
			sim_fail("%s: mempool_alloc() waits for ever in thread '%s'",
				 site_name(site), sched_current->name);
		if (!mem_should_fail(GFP_NOWAIT, "mempool_alloc()", site))
			element = new_element(pool, site);
		sched_enter();
		sched_access(pool, element ? SIM_ADD : SIM_WRITE);
		if (!element && pool->curr_nr)
			element = take_from_reserve(pool, site);
		if (element)
			pool->in_use++;
		else if (may_wait)
			wait_for_element(pool, site);
		sched_exit();
		if (!may_wait)
			break;
	}
	return element;
}

void mempool_free(void *element, mempool_t *pool)
{
	struct mem_header *header;

	if (!element)
		return;
	sched_enter();
	mem_check_live(element, "mempool_free()");
	header = mem_header_of(element);
	if (unlikely(header->cache != pool->cache || header->size != pool->size || !pool->in_use))
		sim_fail("mempool_free() of what is not of the pool of %s (allocated at %s)",
			 site_name(pool->site), site_name(header->site));
	/* A reserve that is full stays so; else this is what others may get, or wait for. */
	sched_access(pool, pool->curr_nr < pool->min_nr ? SIM_WRITE : SIM_ADD);
	pool->in_use--;
	if (pool->curr_nr < pool->min_nr) {
		work_check_free(element, header->size, header->site);
		lock_check_free(element, header->size, header->site);
		put_in_reserve(pool, element);
		sched_wake_first(&pool->waiters);
		element = NULL;
	}
	sched_exit();
	if (element)
		free_element(pool, element);
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	sched_access(pool, SIM_WRITE);
	if (pool->in_use)
		sim_fail("mempool_destroy() of the pool of %s with %llu elements in use",
			 site_name(pool->site), pool->in_use);
	while (pool->curr_nr)
		free_element(pool, take_from_reserve(pool, pool->site));
	sched_enter();
	list_del(&pool->entry);
	sched_exit();
	free(pool);
}

void mempool_check_leaks(void)
{
	if (!list_empty(&pools.all))
		sim_fail("leak: the mempool of %s was not destroyed",
			 site_name(list_first_entry(&pools.all, mempool_t, entry)->site));
}

void mempool_discard(void)
{
	mempool_t *pool, *next;

	list_for_each_entry_safe(pool, next, &pools.all, entry)
		free(pool);
	INIT_LIST_HEAD(&pools.all);
}
