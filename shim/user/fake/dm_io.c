// SPDX-License-Identifier: GPL-2.0
/*
 * dm-io: one buffer of bytes to or from regions of devices, waiting or not. As drivers/md/dm-io.c
 * has it in 6.1.
 *
 * An asynchronous request may sleep, too, for its struct io comes from a small reserve; its
 * callback comes in interrupt context, or from dm_io() itself where there was nothing to do. A read
 * that failed leaves its buffer poisoned.
 */
#include <errno.h>
#include <string.h>

#include "bio.h"
#include "job_pool.h"

#define RESERVED_IOS 16
#define PLENTY 1024

struct dm_io_client {
	struct job_pool pool;
	u32 in_flight;
};

struct io {
	struct dm_io_client *client;
	unsigned long error_bits;
	int count;
	io_notify_fn fn;
	void *context;
	struct sector_data data;
};

struct io_bio {
	struct io *io;
	unsigned int region;
	u32 sectors;
	struct bio bio;
};

static struct bio_pool ios = { .name = "dm_io() requests", .size = sizeof(struct io) };
static struct bio_pool io_bios = { .name = "dm_io() bios", .size = sizeof(struct io_bio) };

/* ---- the reserves ---- */

static u32 kcopyd_jobs_wanted, io_jobs_wanted; /* 0: by strategy */

void sim_set_job_pools(unsigned int kcopyd_jobs, unsigned int io_jobs)
{
	kcopyd_jobs_wanted = kcopyd_jobs;
	io_jobs_wanted = io_jobs;
}

u32 kcopyd_pool_jobs(void)
{
	return kcopyd_jobs_wanted ? kcopyd_jobs_wanted : world.fifo ? PLENTY : 8;
}

u32 dm_io_pool_jobs(void)
{
	return io_jobs_wanted ? io_jobs_wanted : world.fifo ? PLENTY : RESERVED_IOS;
}

/* ---- clients ---- */

struct dm_io_client *dm_io_client_create(void)
{
	struct dm_io_client *client = kzalloc(sizeof(*client), GFP_KERNEL);

	if (!client)
		return ERR_PTR(-ENOMEM);
	client->pool.free = dm_io_pool_jobs();
	init_waitqueue_head(&client->pool.wait);
	return client;
}

void dm_io_client_destroy(struct dm_io_client *client)
{
	might_sleep();
	sched_access(&client->in_flight, SIM_WRITE);
	if (client->in_flight)
		sim_fail("dm_io_client_destroy() with %u requests in flight", client->in_flight);
	kfree(client);
}

/* ---- completion ---- */

static void put_io(struct io *io, unsigned int region, blk_status_t error)
{
	struct dm_io_client *client = io->client;
	unsigned long error_bits;
	io_notify_fn fn = io->fn;
	void *context = io->context;

	if (error)
		__atomic_fetch_or(&io->error_bits, 1UL << region, __ATOMIC_RELAXED);
	if (count_add(&io->count, -1))
		return;
	error_bits = io->error_bits;
	bio_pool_put(&ios, io);
	sched_enter();
	sched_access(&client->in_flight, SIM_ADD);
	client->in_flight--;
	sched_exit();
	job_pool_put(&client->pool);
	fn(error_bits, context);
}

static void io_endio(struct bio *bio)
{
	struct io_bio *b = container_of(bio, struct io_bio, bio);
	struct io *io = b->io;
	unsigned int region = b->region;
	blk_status_t error = bio->bi_status;

	if (error && bio_op(bio) == REQ_OP_READ)
		memset(io->data.bytes, 0x6b, (size_t)b->sectors * SECTOR_SIZE);
	bio->bi_state = BIO_FREE;
	bio_pool_put(&io_bios, b);
	put_io(io, region, error);
}

/* ---- submission ---- */

static void send_bio(struct io *io, unsigned int region, blk_opf_t opf,
		     const struct dm_io_region *where, sector_t offset, u32 sectors)
{
	struct io_bio *b = bio_pool_get(&io_bios);

	b->io = io;
	b->region = region;
	b->sectors = sectors;
	bio_prepare(&b->bio, where->bdev, opf);
	b->bio.bi_iter.bi_sector = where->sector + offset;
	b->bio.bi_iter.bi_size = sectors << SECTOR_SHIFT;
	b->bio.bi_end_io = io_endio;
	if (sectors && io->data.bytes)
		b->bio.bi_data = &io->data;
	count_add(&io->count, 1);
	submit_bio_noacct(&b->bio);
}

static void send_region(struct io *io, unsigned int region, blk_opf_t opf,
			const struct dm_io_region *where)
{
	enum req_op op = (enum req_op)(opf & REQ_OP_MASK);
	sector_t offset = 0, max = UINT_MAX >> SECTOR_SHIFT;

	if (op == REQ_OP_DISCARD)
		max = where->bdev->bd_max_discard_sectors;
	else if (op == REQ_OP_WRITE_ZEROES)
		max = where->bdev->bd_max_write_zeroes_sectors;
	else if (where->count > max)
		sim_fail("dm_io() of %llu sectors", where->count);
	if (!max) {
		count_add(&io->count, 1);
		put_io(io, region, BLK_STS_NOTSUPP);
		return;
	}
	/* Nothing but a flush is a bio, too. */
	do {
		u32 n = min_t(sector_t, max, where->count - offset);

		send_bio(io, region, opf, where, offset, n);
		offset += n;
	} while (offset < where->count);
}

static void dispatch(struct dm_io_request *req, unsigned int num_regions,
		     const struct dm_io_region *where, blk_opf_t opf, io_notify_fn fn,
		     void *context)
{
	struct dm_io_client *client = req->client;
	enum req_op op = (enum req_op)(opf & REQ_OP_MASK);
	struct io *io;
	unsigned int i;

	might_sleep();
	sched_point("dm_io", NULL, NULL);
	wait_event(client->pool.wait, job_pool_try(&client->pool));
	io = bio_pool_get(&ios);
	*io = (struct io){ .client = client, .count = 1, .fn = fn, .context = context };
	if (op == REQ_OP_READ || op == REQ_OP_WRITE) {
		io->data.bytes = req->mem.ptr.addr;
		for (i = 0; i < num_regions; i++)
			io->data.sectors = max_t(u64, io->data.sectors, where[i].count);
	}
	sched_enter();
	sched_access(&client->in_flight, SIM_ADD);
	client->in_flight++;
	sched_exit();
	for (i = 0; i < num_regions; i++)
		if (where[i].count || opf & REQ_PREFLUSH)
			send_region(io, i, opf, &where[i]);
	put_io(io, 0, BLK_STS_OK);
}

struct sync_io {
	unsigned long error_bits;
	struct completion wait;
};

static void sync_done(unsigned long error, void *context)
{
	struct sync_io *sync = context;

	sync->error_bits = error;
	complete(&sync->wait);
}

int dm_io(struct dm_io_request *req, unsigned int num_regions, struct dm_io_region *where,
	  unsigned long *sync_error_bits, unsigned short ioprio)
{
	struct sync_io sync;

	might_sleep();
	if (num_regions > 8 * sizeof(long))
		sim_fail("dm_io() with %u regions", num_regions);
	if (req->mem.type != DM_IO_KMEM && req->mem.type != DM_IO_VMA)
		sim_fail("dm_io(): memory of type %u is not built", req->mem.type);
	if (num_regions > 1 && !op_is_write(req->bi_opf))
		sim_fail("dm_io(): a read from %u regions", num_regions);
	if (req->notify.fn) {
		dispatch(req, num_regions, where, req->bi_opf, req->notify.fn,
			 req->notify.context);
		return 0;
	}
	init_completion(&sync.wait);
	dispatch(req, num_regions, where, req->bi_opf | REQ_SYNC, sync_done, &sync);
	wait_for_completion(&sync.wait);
	if (sync_error_bits)
		*sync_error_bits = sync.error_bits;
	return sync.error_bits ? -EIO : 0;
}

static void dm_io_discard(void)
{
	bio_pool_exit(&ios, false);
	bio_pool_exit(&io_bios, false);
	sim_set_job_pools(0, 0);
}

static struct world_part dm_io_part = {
	.name = "dm-io",
	.discard = dm_io_discard,
};

static void __attribute__((constructor)) dm_io_init(void)
{
	world_part_register(&dm_io_part);
}
