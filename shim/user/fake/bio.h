/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the block layer: who owns a bio, memory of bios, submission, names. See bio.c and
 * bdev.c.
 */
#ifndef FAKE_BIO_H
#define FAKE_BIO_H

#include "sched.h"

/*
 * Counters of what is in flight: fibers need no atomic operations. Who takes the last one sees what
 * the others did before they took theirs, and goes on: so the order of taking matters.
 */
static inline int count_add(int *count, int n)
{
	int left;

	sched_access(count, n < 0 ? SIM_WRITE : SIM_ADD);
	sched_hb_release(count);
#ifdef SHIM_THREADS
	left = __atomic_add_fetch(count, n, __ATOMIC_ACQ_REL);
#else
	left = *count += n;
#endif
	if (!left)
		sched_hb_acquire(count);
	return left;
}

/* bio->bi_state */
#define BIO_OWNED 0xb1005001u /* by whoever got or made it; may be submitted or completed */
#define BIO_BELOW 0xb1005002u /* submitted: only the device below completes it */
#define BIO_DONE 0xb1005003u  /* completed */
#define BIO_FREE 0xb1005004u

/* Makes a bio (perhaps embedded in something larger) that the caller owns. */
static inline void bio_prepare(struct bio *bio, struct block_device *bdev, blk_opf_t opf)
{
	bio->bi_next = NULL;
	bio->bi_bdev = bdev;
	bio->bi_opf = opf;
	bio->bi_flags = 0;
	bio->bi_status = BLK_STS_OK;
	bio->bi_iter = (struct bvec_iter){ 0 };
	bio->bi_end_io = NULL;
	bio->bi_private = NULL;
	bio->bi_data = NULL;
	bio->bi_held = NULL;
	bio->__bi_remaining = 1;
	bio->bi_state = BIO_OWNED;
	event_init((struct sim_event *)bio->bi_event, NULL);
}

void bio_bad_state(const struct bio *bio, const char *what) __attribute__((noreturn, cold));

/* The device below has finished with @bio, or with one part of it. */
void bio_complete(struct bio *bio);
/* submit_bio_noacct() where nobody may sleep: to a disk. */
void bio_submit(struct bio *bio);
/* Submission by dm itself of a bio that is below already: a remainder or a deferred bio. */
void bio_resubmit(struct bio *bio);
/* One more part of @bio will be completed. */
void bio_inc_remaining(struct bio *bio);

/* dm_map.c: a bio for a dm device, outside of any other submission of the thread. */
void dm_submit_bio(struct bio *bio);

/*
 * Memory in pieces of one size. A piece that was put is not used again before some others were, so
 * that the late completion of a bio that was freed is seen. All pieces of a world are freed when it
 * ends.
 */
struct bio_pool {
	const char *name;
	size_t size;
	void *head, *tail; /* free pieces, linked by their first word */
	u32 free, used;
	struct bio_pool *next;
	void *slabs;
};

void *bio_pool_get(struct bio_pool *pool);
void bio_pool_put(struct bio_pool *pool, void *piece);
void bio_pool_init(struct bio_pool *pool, const char *name, size_t size);
/* Frees the memory; a piece in use is a finding if @check. */
void bio_pool_exit(struct bio_pool *pool, bool check);

/* ---- names and numbers ---- */

#define DISK_MAJOR 8
#define DM_MAJOR 253

/* Numbers and registers a device. NULL: the name is taken or not a name. */
bool bdev_add(struct block_device *bdev, const char *name, unsigned int major);
void bdev_remove(struct block_device *bdev);
void bdev_set_sectors(struct block_device *bdev, sector_t sectors);
struct block_device *bdev_by_dev(dev_t dev);
struct block_device *bdev_by_name(const char *name);
/* For sched_access_part(): of what is looked up by name. */
static inline u32 name_part(const char *name)
{
	u32 hash = 2166136261u;

	while (*name)
		hash = (hash ^ (u8)*name++) * 16777619u;
	return hash;
}

/* At the end of a world: findings where something was left. */
void harness_bio_check(void);
void dm_device_check(void);

#endif /* FAKE_BIO_H */
