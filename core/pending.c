// SPDX-License-Identifier: GPL-2.0
/*
 * Pending exceptions: made when the store has recorded a new place for a chunk, gone when the group
 * that holds the record is durable. Bios that would see the new place wait on them meanwhile.
 *
 * Their number is bounded (pending_limit), whatever the number of bios in flight, and some are
 * always there: a bio that finds none stays at the head of the queue, in order, until one is
 * released. Nothing waits for memory under the master lock (H07).
 */
#include "multisnap.h"

static struct kmem_cache *pending_cache;

int multisnap_pending_init(void)
{
	pending_cache = KMEM_CACHE(pending_exception, 0);
	return pending_cache ? 0 : -ENOMEM;
}

void multisnap_pending_exit(void)
{
	kmem_cache_destroy(pending_cache);
}

mempool_t *multisnap_pending_pool(unsigned int reserve)
{
	return mempool_create_slab_pool(reserve, pending_cache);
}

struct hlist_head *multisnap_pending_bucket(struct dm_multisnap *s, chunk_t chunk)
{
	return &s->pending[hash_64(chunk, MULTISNAP_HASH_BITS)];
}

/*
 * NULL: too many, or no memory. Then some are in flight, and the worker runs again when one ends.
 */
struct pending_exception *multisnap_alloc_pending(struct dm_multisnap *s, chunk_t chunk)
{
	struct pending_exception *pe;

	lockdep_assert_held(&s->lock);
	if (s->nr_pending >= s->pending_limit)
		return NULL;
	pe = mempool_alloc(s->pending_pool, GFP_NOWAIT | __GFP_NOWARN);
	if (!pe)
		return NULL;
	pe->s = s;
	pe->chunk = chunk;
	pe->group = NULL;
	bio_list_init(&pe->bios);
	pe->from_store = false;
	pe->source = 0;
	pe->nr_dests = 0;
	pe->full_bio = NULL;
	pe->ended = false;
	pe->all_sets = false;
	pe->parts = 0;
	pe->error = 0;
	s->nr_pending++;
	return pe;
}

void multisnap_free_pending(struct pending_exception *pe)
{
	struct dm_multisnap *s = pe->s;

	lockdep_assert_held(&s->lock);
	s->nr_pending--;
	mempool_free(pe, s->pending_pool);
}

/* The store has recorded pe->dests: join the collecting group, and have the copies started. */
void multisnap_add_pending(struct pending_exception *pe)
{
	struct dm_multisnap *s = pe->s;
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	multisnap_forget_copied(s, pe->chunk);
	hlist_add_head(&pe->hash, multisnap_pending_bucket(s, pe->chunk));
	spin_lock_irqsave(&s->io_lock, flags);
	s->nr_copying++;
	pe->group = s->collecting;
	pe->group->in_flight++;
	spin_unlock_irqrestore(&s->io_lock, flags);

	multisnap_mark_dirty(s);
	pe->group->copies++;
	list_add_tail(&pe->group_list, &pe->group->pending);

	pe->epoch_slot = multisnap_epoch_enter(s);
	pe->parts = multisnap_copy_parts(pe);
	list_add_tail(&pe->act_list, &s->actions.copies);
}

struct pending_exception *multisnap_find_pending(struct dm_multisnap *s, chunk_t chunk)
{
	struct pending_exception *pe;

	lockdep_assert_held(&s->lock);
	hlist_for_each_entry(pe, multisnap_pending_bucket(s, chunk), hash)
		if (pe->chunk == chunk)
			return pe;
	return NULL;
}

/* A pending exception of @chunk that includes snapshot @id. */
struct pending_exception *multisnap_find_conflict(struct dm_multisnap *s, chunk_t chunk,
						  snapid_t id)
{
	struct pending_exception *pe;

	lockdep_assert_held(&s->lock);
	hlist_for_each_entry(pe, multisnap_pending_bucket(s, chunk), hash) {
		if (pe->chunk != chunk)
			continue;
		for (unsigned int i = 0; i < pe->nr_dests; i++)
			if (s->ops->check_conflict(s->store, &pe->dests[i].cd, id))
				return pe;
	}
	return NULL;
}

/*
 * Its group is durable, or was abandoned after an error: what waited is looked up again, in order.
 * The bio that took the place of a copy was written long ago and ends here.
 */
void multisnap_release_pending(struct pending_exception *pe)
{
	struct dm_multisnap *s = pe->s;
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	hlist_del(&pe->hash);
	list_del(&pe->group_list);
	spin_lock_irqsave(&s->io_lock, flags);
	s->nr_copying--;
	spin_unlock_irqrestore(&s->io_lock, flags);

	if (pe->full_bio) {
		if (!pe->full_bio->bi_status && multisnap_halted(s))
			pe->full_bio->bi_status = BLK_STS_IOERR;
		bio_list_add(&s->actions.end, pe->full_bio);
	}
	if (pe->all_sets && !multisnap_halted(s))
		multisnap_remember_copied(s, pe->chunk);
	multisnap_requeue(s, &pe->bios);
	multisnap_free_pending(pe);
}
