// SPDX-License-Identifier: GPL-2.0
/*
 * Bios of the harness, and their way in from anywhere.
 *
 * In an interrupt or outside of threads nobody may sleep, but a map function may: there
 * submit_bio() hands the bio to a thread of its own, in order.
 */
#include <stdlib.h>

#include "bio.h"

struct harness_bio {
	struct sector_data data;
	struct bio bio;
};

static struct bio_pool pool = { .name = "harness bios", .size = sizeof(struct harness_bio) };

static struct {
	struct sim_thread *thread;
	struct list_head waiters;
	struct bio_list bios;
} submitter;

static struct bio *alloc_bio(struct block_device *bdev, blk_opf_t opf, sector_t sector, u32 sectors)
{
	struct harness_bio *h = bio_pool_get(&pool);

	if (!bdev)
		sim_fail("a bio for a device that does not exist");
	if (sectors > UINT_MAX >> SECTOR_SHIFT)
		sim_fail("a bio of %u sectors", sectors);
	h->data = (struct sector_data){ .sectors = sectors };
	bio_prepare(&h->bio, bdev, opf);
	h->bio.bi_iter.bi_sector = sector;
	h->bio.bi_iter.bi_size = sectors << SECTOR_SHIFT;
	return &h->bio;
}

struct bio *sim_bio_alloc(struct block_device *bdev, blk_opf_t opf, sector_t sector, u32 sectors,
			  tag_t *tags)
{
	struct bio *bio = alloc_bio(bdev, opf, sector, sectors);

	if (tags) {
		struct harness_bio *h = container_of(bio, struct harness_bio, bio);

		h->data.tags = tags;
		bio->bi_data = &h->data;
	}
	return bio;
}

struct bio *sim_bio_alloc_bytes(struct block_device *bdev, blk_opf_t opf, sector_t sector,
				u32 sectors, void *bytes)
{
	struct bio *bio = alloc_bio(bdev, opf, sector, sectors);

	if (bytes) {
		struct harness_bio *h = container_of(bio, struct harness_bio, bio);

		h->data.bytes = bytes;
		bio->bi_data = &h->data;
	}
	return bio;
}

void bio_put(struct bio *bio)
{
	if (bio->bi_state != BIO_DONE && bio->bi_state != BIO_OWNED)
		bio_bad_state(bio, "bio_put()");
	bio->bi_state = BIO_FREE;
	bio_pool_put(&pool, container_of(bio, struct harness_bio, bio));
}

static void submitter_thread(void *unused)
{
	static const struct sched_wait wait = { .what = "bios", .name = "submitter" };
	struct bio *bio;

	for (;;) {
		sched_point("next bio", NULL, NULL);
		sched_enter();
		sched_access(&submitter, SIM_WRITE);
		while (!(bio = bio_list_pop(&submitter.bios))) {
			sched_wait_on(&submitter.waiters, &wait);
			sched_access(&submitter, SIM_WRITE);
		}
		sched_exit();
		sched_hb_acquire(bio);
		submit_bio_noacct(bio);
	}
}

void submit_bio(struct bio *bio)
{
	if (!in_atomic() && sched_current->fn) {
		submit_bio_noacct(bio);
		return;
	}
	if (!submitter.thread) {
		INIT_LIST_HEAD(&submitter.waiters);
		submitter.thread = sched_thread_create("submitter", submitter_thread, NULL);
		submitter.thread->is_idle_worker = true;
	}
	sched_hb_release(bio);
	sched_enter();
	sched_access(&submitter, SIM_WRITE);
	bio_list_add(&submitter.bios, bio);
	sched_wake_first(&submitter.waiters);
	sched_exit();
}

static void wake_waiter(struct bio *bio)
{
	complete(bio->bi_private);
}

int sim_bio_wait(struct bio *bio)
{
	DECLARE_COMPLETION_ONSTACK(done);
	int r;

	bio->bi_end_io = wake_waiter;
	bio->bi_private = &done;
	submit_bio_noacct(bio);
	wait_for_completion(&done);
	r = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
	return r;
}

void harness_bio_check(void)
{
	if (pool.used)
		sim_fail("%u bios were submitted and not completed, or completed and not put",
			 pool.used);
}

static void harness_bio_discard(void)
{
	bio_pool_exit(&pool, false);
	submitter.thread = NULL;
	bio_list_init(&submitter.bios);
}

static struct world_part harness_bio_part = {
	.name = "harness bios",
	.discard = harness_bio_discard,
};

static void __attribute__((constructor)) harness_bio_init(void)
{
	world_part_register(&harness_bio_part);
}
