// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks remembered as fully copied: no snapshot shares them with the origin any more, so that a
 * write may go without asking the store.
 *
 * A direct-mapped table of regions, one bit for each chunk of a region: forgetting is always
 * allowed, and memory is fixed. A chunk is remembered when a copy that left nothing shared is
 * durable, and when the worker has found that nothing is shared; it is forgotten when a copy of it
 * starts. Everything is forgotten when a snapshot is created: then the origin is quiet, and no
 * write waits for a copy that was recorded before. Deleting a snapshot shares nothing anew.
 */
#include "multisnap.h"

#define REGION_CHUNKS 64

static struct copied_region *region_of(struct dm_multisnap *s, chunk_t chunk)
{
	return &s->copied[(chunk / REGION_CHUNKS) & (MULTISNAP_COPIED_REGIONS - 1)];
}

/* Never 0, which is no region. */
static u64 tag_of(chunk_t chunk)
{
	return chunk / REGION_CHUNKS + 1;
}

void multisnap_remember_copied(struct dm_multisnap *s, chunk_t chunk)
{
	struct copied_region *region = region_of(s, chunk);
	unsigned long flags;

	lockdep_assert_held(&s->lock);
	spin_lock_irqsave(&s->io_lock, flags);
	if (region->tag != tag_of(chunk)) {
		region->tag = tag_of(chunk);
		region->chunks = 0;
	}
	region->chunks |= BIT_ULL(chunk % REGION_CHUNKS);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_forget_copied(struct dm_multisnap *s, chunk_t chunk)
{
	struct copied_region *region = region_of(s, chunk);
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	if (region->tag == tag_of(chunk))
		region->chunks &= ~BIT_ULL(chunk % REGION_CHUNKS);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

void multisnap_forget_all_copied(struct dm_multisnap *s)
{
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	memset(s->copied, 0, MULTISNAP_COPIED_REGIONS * sizeof(*s->copied));
	spin_unlock_irqrestore(&s->io_lock, flags);
}

/* Remembered as copied, and nothing reads it from the origin: a write may go. */
bool __multisnap_is_writable(struct dm_multisnap *s, chunk_t chunk)
{
	struct copied_region *region = region_of(s, chunk);

	lockdep_assert_held(&s->io_lock);
	return region->tag == tag_of(chunk) && region->chunks & BIT_ULL(chunk % REGION_CHUNKS) &&
	       !__multisnap_is_tracked(s, chunk, BLOCK_ORIGIN);
}
