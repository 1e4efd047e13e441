// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that an operation needs under the master lock, where nothing may wait for memory.
 *
 * An operation reserves what it may need before it changes anything. When the stock is short and
 * memory cannot be had at once, it answers -EAGAIN and the worker fetches objects without the
 * lock, in a way that may wait: a moment of short memory costs time, not the snapshots.
 *
 * The stock belongs to the master lock; what has been fetched lies apart under the status lock
 * until somebody with the master lock moves it into the stock.
 */
#include "mikulas.h"

static void move_fetched(struct dm_exception_store *store, struct spares *spares)
{
	dm_multisnap_status_lock(store->dm);
	while (spares->nr_fetched && spares->nr < SPARES_MAX)
		spares->objects[spares->nr++] = spares->fetched[--spares->nr_fetched];
	dm_multisnap_status_unlock(store->dm);
}

int spares_reserve(struct dm_exception_store *store, struct spares *spares, unsigned int count)
{
	gfp_t gfp = store->cache.sync ? GFP_KERNEL : GFP_NOWAIT | __GFP_NOWARN;

	while (spares->nr < SPARES_MAX) {
		void *object = kmem_cache_alloc(spares->cache, gfp);

		if (!object)
			break;
		spares->objects[spares->nr++] = object;
	}
	if (spares->nr >= count)
		return 0;
	if (store->cache.sync)
		return -ENOMEM;
	move_fetched(store, spares);
	if (spares->nr >= count)
		return 0;
	store->short_of_memory = true;
	dm_multisnap_want_memory(store->dm);
	return -EAGAIN;
}

/* No lock, NOIO scope, may wait for memory. 0 or -ENOMEM. */
int spares_fetch(struct dm_exception_store *store, struct spares *spares)
{
	bool full = false;

	while (!full) {
		void *object = kmem_cache_alloc(spares->cache, GFP_NOIO);

		if (!object)
			return -ENOMEM;
		dm_multisnap_status_lock(store->dm);
		full = spares->nr_fetched == SPARES_MAX;
		if (!full)
			spares->fetched[spares->nr_fetched++] = object;
		dm_multisnap_status_unlock(store->dm);
		if (full)
			kmem_cache_free(spares->cache, object);
	}
	return 0;
}

/* NULL: there is none, which is a fault of who has not reserved it. */
void *spares_take(struct spares *spares)
{
	if (!spares->nr)
		return NULL;
	return spares->objects[--spares->nr];
}

void spares_give(struct spares *spares, void *object)
{
	if (spares->nr < SPARES_MAX)
		spares->objects[spares->nr++] = object;
	else
		kmem_cache_free(spares->cache, object);
}

void spares_exit(struct spares *spares)
{
	while (spares->nr)
		kmem_cache_free(spares->cache, spares->objects[--spares->nr]);
	while (spares->nr_fetched)
		kmem_cache_free(spares->cache, spares->fetched[--spares->nr_fetched]);
}
