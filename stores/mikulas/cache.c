// SPDX-License-Identifier: GPL-2.0
/*
 * The store's own cache of metadata blocks: bounded, in memory of its own.
 *
 * Blocks are keyed by their place on the device. A place is written only while nothing durable
 * reaches it, and cache_new() replaces whatever the cache still has of it; so no stale block is
 * ever found and nothing is written back late (H33). Clean blocks are replaced least recently used
 * first, but one that was read for somebody stays until he has come back for it or long enough:
 * else a few waiters in a small cache would take each other's blocks for ever.
 *
 * Each block read is checked (node.c) before anybody sees it.
 */
#include "mikulas.h"

static struct hlist_head *cache_bucket(struct cache *cache, mblock_t location)
{
	return &cache->hash[hash_64(location, CACHE_HASH_BITS)];
}

static struct cblock *cache_lookup(struct cache *cache, mblock_t location)
{
	struct cblock *block;

	hlist_for_each_entry(block, cache_bucket(cache, location), hash) {
		if (block->location == location)
			return block;
	}
	return NULL;
}

static struct cblock *block_alloc(struct dm_exception_store *store, gfp_t gfp)
{
	struct cblock *block = kzalloc(sizeof(*block), gfp);

	if (!block)
		return NULL;
	block->data = kmalloc(MBLOCK_BYTES, gfp);
	if (!block->data) {
		kfree(block);
		return NULL;
	}
	block->store = store;
	store->cache.nr_blocks++;
	return block;
}

int cache_init(struct dm_exception_store *store, unsigned int max_blocks)
{
	struct cache *cache = &store->cache;

	INIT_LIST_HEAD(&cache->lru);
	INIT_LIST_HEAD(&cache->spare);
	cache->max_blocks = max_blocks;
	cache->sync = true;
	while (cache->nr_blocks < CACHE_RESERVE) {
		struct cblock *block = block_alloc(store, GFP_KERNEL);

		if (!block)
			return -ENOMEM;
		list_add(&block->lru, &cache->spare);
	}
	return 0;
}

void cache_exit(struct dm_exception_store *store)
{
	struct cache *cache = &store->cache;
	struct cblock *block, *next;

	if (!cache->spare.next)
		return;
	list_splice_init(&cache->lru, &cache->spare);
	list_for_each_entry_safe(block, next, &cache->spare, lru) {
		kfree(block->data);
		kfree(block);
	}
}

/* Out of the hash and the LRU list; the caller owns it. */
static void block_unlink(struct cblock *block)
{
	hlist_del(&block->hash);
	list_del(&block->lru);
}

static struct cblock *block_evict(struct dm_exception_store *store, bool force)
{
	struct cache *cache = &store->cache;
	struct cblock *block, *next;

	list_for_each_entry_safe(block, next, &cache->lru, lru) {
		if (block->pins)
			continue;
		if (block->state == CBLOCK_DIRTY && cache->nr_writing < CACHE_RESERVE) {
			cache_write(store, block);
			continue;
		}
		if (block->state != CBLOCK_CLEAN)
			continue;
		if (!force && block->fresh && cache->tick - block->used < CACHE_FRESH_TICKS)
			continue;
		block_unlink(block);
		return block;
	}
	return NULL;
}

/* A block of memory for @location, in the hash. NULL: none now, but I/O under way will free one. */
static struct cblock *block_take(struct dm_exception_store *store, mblock_t location)
{
	struct cache *cache = &store->cache;
	struct cblock *block;

	block = list_first_entry_or_null(&cache->spare, struct cblock, lru);
	if (block)
		list_del(&block->lru);
	else if (cache->nr_blocks < cache->max_blocks)
		block = block_alloc(store, GFP_NOWAIT | __GFP_NOWARN);
	if (!block)
		block = block_evict(store, false);
	if (!block && !cache->nr_reading && !cache->nr_writing)
		block = block_evict(store, true);
	if (!block) {
		WARN_ON_ONCE(!cache->nr_reading && !cache->nr_writing);
		return NULL;
	}
	block->location = location;
	block->state = CBLOCK_CLEAN;
	block->verified = false;
	block->fresh = false;
	block->error = 0;
	block->pins = 0;
	block->used = cache->tick;
	hlist_add_head(&block->hash, cache_bucket(cache, location));
	list_add_tail(&block->lru, &cache->lru);
	return block;
}

static void block_read_ended(struct cblock *block, int error)
{
	const char *wrong = "read error";

	if (!error) {
		wrong = block_check(block->data, block->location);
		error = wrong ? -EPERM : 0;
	}
	block->error = error;
	block->state = error ? CBLOCK_BAD : CBLOCK_CLEAN;
	if (error)
		store_fail(block->store, error, wrong, block->location);
}

static void cache_kick(struct dm_exception_store *store)
{
	checkpoint_kick(store);
	reclaim_kick(store);
}

static void read_done(struct dm_multisnap_io *io, int error)
{
	struct cblock *block = container_of(io, struct cblock, io);

	block->store->cache.nr_reading--;
	block_read_ended(block, error);
	cache_kick(block->store);
}

static void write_done(struct dm_multisnap_io *io, int error)
{
	struct cblock *block = container_of(io, struct cblock, io);

	block->store->cache.nr_writing--;
	block->state = CBLOCK_CLEAN;
	if (error)
		store_fail(block->store, error, "metadata write error", block->location);
	cache_kick(block->store);
}

static void block_submit(struct cblock *block, blk_opf_t opf,
			 void (*done)(struct dm_multisnap_io *io, int error))
{
	block->io.opf = opf;
	block->io.sector = mblock_to_sector(block->location);
	block->io.sectors = MBLOCK_SECTORS;
	block->io.data = block->data;
	block->io.done = done;
	dm_multisnap_submit_io(block->store->dm, &block->io);
}

static struct cblock *cache_read(struct dm_exception_store *store, mblock_t location)
{
	struct cblock *block = block_take(store, location);

	if (!block)
		return NULL;
	if (store->cache.sync) {
		int error = dm_multisnap_sync_io(store->dm, REQ_OP_READ | REQ_META,
						 mblock_to_sector(location), MBLOCK_SECTORS,
						 block->data);

		block_read_ended(block, error);
		return block;
	}
	block->state = CBLOCK_READING;
	block->fresh = true;
	store->cache.nr_reading++;
	block_submit(block, REQ_OP_READ | REQ_META, read_done);
	return block;
}

int cache_get(struct dm_exception_store *store, mblock_t location, struct cblock **result)
{
	struct cache *cache = &store->cache;
	struct cblock *block;

	if (store_broken(store, location >= sector_to_mblock(store->super.device_sectors)))
		return -EPERM;
	cache->tick++;
	block = cache_lookup(cache, location);
	if (!block)
		block = cache_read(store, location);
	if (!block || block->state == CBLOCK_READING)
		return -EAGAIN;
	if (block->state == CBLOCK_BAD)
		return block->error;
	block->fresh = false;
	block->used = cache->tick;
	list_move_tail(&block->lru, &cache->lru);
	*result = block;
	return 0;
}

void cache_prefetch(struct dm_exception_store *store, mblock_t location)
{
	struct cache *cache = &store->cache;

	if (!cache->sync && cache->nr_reading < cache->max_blocks / 4 &&
	    !cache_lookup(cache, location))
		cache_read(store, location);
}

int cache_new(struct dm_exception_store *store, mblock_t location, struct cblock **result)
{
	struct cache *cache = &store->cache;
	struct cblock *block;

	if (store_broken(store, location < store->super.map_start))
		return -EPERM;
	block = cache_lookup(cache, location);
	if (block && (block->state == CBLOCK_READING || block->state == CBLOCK_WRITING))
		return -EAGAIN;
	if (!block)
		block = block_take(store, location);
	if (!block)
		return -EAGAIN;
	if (store_broken(store, block->pins))
		return -EPERM;
	if (block->state != CBLOCK_DIRTY)
		cache->nr_dirty++;
	block->state = CBLOCK_DIRTY;
	block->verified = true;
	block->fresh = false;
	block->used = cache->tick;
	block->pins = 1;
	*result = block;
	return 0;
}

void cache_pin(struct cblock *block)
{
	block->pins++;
}

void cache_unpin(struct cblock *block)
{
	if (!store_broken(block->store, !block->pins))
		block->pins--;
}

int cache_dirty(struct dm_exception_store *store, struct cblock *block)
{
	if (block->state == CBLOCK_WRITING)
		return -EAGAIN;
	if (block->state != CBLOCK_DIRTY) {
		block->state = CBLOCK_DIRTY;
		store->cache.nr_dirty++;
	}
	return 0;
}

void cache_write(struct dm_exception_store *store, struct cblock *block)
{
	block_seal(block->data, block->location);
	block->state = CBLOCK_WRITING;
	store->cache.nr_dirty--;
	store->cache.nr_writing++;
	block_submit(block, REQ_OP_WRITE | REQ_META, write_done);
}

bool cache_write_all(struct dm_exception_store *store)
{
	struct cache *cache = &store->cache;
	struct cblock *block, *next;

	if (cache->nr_dirty) {
		list_for_each_entry_safe(block, next, &cache->lru, lru) {
			if (block->state == CBLOCK_DIRTY)
				cache_write(store, block);
		}
	}
	return !cache->nr_writing;
}
