// SPDX-License-Identifier: GPL-2.0
/*
 * kcopyd: copies between devices. As drivers/md/dm-kcopyd.c has it in 6.1.
 *
 * A job reads its source and then writes all destinations at once; its callback comes from the
 * client's own worker, after the job was given back. Jobs come from a small reserve: who submits
 * may sleep. A job of more than SUB_JOB_SECTORS is done in parts, SPLIT_COUNT at a time; after an
 * error no further part begins.
 *
 * Under an explorer the I/O of a job begins at once, not in the worker a little later. Its disks
 * take all the time they like before they do what they were told, so nobody can tell when they were
 * told, and there are far fewer schedules. What the worker is seen to do are the callbacks.
 *
 * What is copied are tags, with the bytes of literal sectors; reads and writes are bios like any
 * others.
 */
#include <errno.h>
#include <string.h>

#include "bio.h"
#include "job_pool.h"

#define SPLIT_COUNT 8
#define SUB_JOB_SECTORS 1024 /* kcopyd_subjob_size_kb = 512 */

struct dm_kcopyd_client {
	struct job_pool pool;
	struct workqueue_struct *wq;
	struct work_struct work;
	wait_queue_head_t destroyq;
	u32 nr_jobs; /* master jobs, parts and callbacks that run */
	struct list_head complete_jobs, new_jobs, io_jobs;
};

struct kcopyd_bio {
	struct kcopyd_job *job;
	struct bio bio;
};

struct kcopyd_job {
	struct dm_kcopyd_client *kc;
	struct list_head list;
	struct bio_pool *memory;
	unsigned int flags;
	int read_err;
	unsigned long write_err;
	enum req_op op; /* READ, then WRITE; or WRITE_ZEROES */
	struct dm_io_region source;
	unsigned int num_dests;
	struct dm_io_region dests[DM_KCOPYD_MAX_REGIONS];
	dm_kcopyd_notify_fn fn;
	void *context;

	struct kcopyd_job *master; /* itself, unless it is a part */
	sector_t progress;	   /* of a master: how far parts were begun */
	u32 sub_jobs;

	int count; /* bios in flight */
	unsigned long error_bits;
	struct sector_data data;
	struct kcopyd_bio bio[DM_KCOPYD_MAX_REGIONS];
	tag_t tags[];
};

/* ---- memory ---- */

static struct {
	u32 sectors;
	struct bio_pool pool;
} memory[] = {
	{ 16, { .name = "kcopyd jobs", .size = sizeof(struct kcopyd_job) + 16 * 8 } },
	{ 128, { .name = "kcopyd jobs", .size = sizeof(struct kcopyd_job) + 128 * 8 } },
	{ 1024, { .name = "kcopyd jobs", .size = sizeof(struct kcopyd_job) + 1024 * 8 } },
};

static struct kcopyd_job *job_alloc(struct dm_kcopyd_client *kc, u32 sectors)
{
	struct kcopyd_job *job;
	u32 i = 0;

	while (memory[i].sectors < sectors)
		i++;
	job = bio_pool_get(&memory[i].pool);
	job->memory = &memory[i].pool;
	job->kc = kc;
	job->read_err = 0;
	job->write_err = 0;
	job->data = (struct sector_data){
		.tags = job->tags,
		.sectors = memory[i].sectors,
		.keep_literals = true,
	};
	return job;
}

static void job_free(struct kcopyd_job *job)
{
	sector_data_drop_literals(&job->data);
	bio_pool_put(job->memory, job);
}

/* ---- lists ---- */

static void push(struct list_head *jobs, struct kcopyd_job *job)
{
	struct dm_kcopyd_client *kc = job->kc;

	sched_hb_release(job);
	/* One section: as soon as it is on a list a running worker may end the job, and the client. */
	sched_enter();
	sched_access(jobs, SIM_WRITE);
	list_add_tail(&job->list, jobs);
	work_queue(kc->wq, &kc->work);
	sched_exit();
}

static struct kcopyd_job *pop(struct list_head *jobs)
{
	struct kcopyd_job *job;

	sched_enter();
	job = list_first_entry_or_null(jobs, struct kcopyd_job, list);
	sched_access(jobs, job ? SIM_WRITE : SIM_READ);
	if (job)
		list_del(&job->list);
	sched_exit();
	if (job)
		sched_hb_acquire(job);
	return job;
}

static void hold_client(struct dm_kcopyd_client *kc)
{
	sched_enter();
	sched_access(&kc->nr_jobs, SIM_ADD);
	kc->nr_jobs++;
	sched_exit();
}

static void release_client(struct dm_kcopyd_client *kc)
{
	sched_hb_release(&kc->nr_jobs);
	sched_enter();
	sched_access(&kc->nr_jobs, list_empty(&kc->destroyq.head) ? SIM_ADD : SIM_WRITE);
	if (!--kc->nr_jobs)
		wait_wake(&kc->destroyq);
	sched_exit();
}

static bool no_jobs(struct dm_kcopyd_client *kc)
{
	sched_access(&kc->nr_jobs, SIM_WRITE);
	return !READ_ONCE(kc->nr_jobs);
}

/* ---- I/O ---- */

static void run_io(struct kcopyd_job *job);

static bool is_for_disks(const struct kcopyd_job *job)
{
	unsigned int i;

	if (job->op == REQ_OP_READ)
		return job->source.bdev->bd_simdisk;
	for (i = 0; i < job->num_dests; i++)
		if (job->dests[i].count && !job->dests[i].bdev->bd_simdisk)
			return false;
	return true;
}

static void start_io(struct list_head *jobs, struct kcopyd_job *job)
{
	struct sim_thread *self = sched_current;
	struct bio_list *submitting = self->bio_list;

	if (!sched_explored() || !is_for_disks(job)) {
		push(jobs, job);
		return;
	}
	/* The worker would not be inside of a submission. */
	self->bio_list = NULL;
	run_io(job);
	self->bio_list = submitting;
}

static void io_done(struct kcopyd_job *job)
{
	bool ignore = job->flags & BIT(DM_KCOPYD_IGNORE_ERROR);
	unsigned long error = job->error_bits;

	if (job->op != REQ_OP_READ)
		job->write_err |= error;
	else if (error)
		job->read_err = 1;
	if (job->op != REQ_OP_READ || (error && !ignore)) {
		push(&job->kc->complete_jobs, job);
	} else {
		job->op = REQ_OP_WRITE;
		start_io(&job->kc->io_jobs, job);
	}
}

static void put_count(struct kcopyd_job *job)
{
	if (!count_add(&job->count, -1))
		io_done(job);
}

static void kcopyd_endio(struct bio *bio)
{
	struct kcopyd_bio *b = container_of(bio, struct kcopyd_bio, bio);
	struct kcopyd_job *job = b->job;

	if (bio->bi_status)
		__atomic_fetch_or(&job->error_bits, 1UL << (b - job->bio), __ATOMIC_RELAXED);
	bio->bi_state = BIO_FREE;
	put_count(job);
}

static void send(struct kcopyd_job *job, unsigned int i, const struct dm_io_region *where)
{
	struct bio *bio = &job->bio[i].bio;

	job->bio[i].job = job;
	bio_prepare(bio, where->bdev, (__force blk_opf_t)job->op);
	bio->bi_iter.bi_sector = where->sector;
	bio->bi_iter.bi_size = where->count << SECTOR_SHIFT;
	bio->bi_end_io = kcopyd_endio;
	if (job->op != REQ_OP_WRITE_ZEROES)
		bio->bi_data = &job->data;
	count_add(&job->count, 1);
	bio_submit(bio);
}

static void run_io(struct kcopyd_job *job)
{
	unsigned int i;

	job->count = 1;
	job->error_bits = 0;
	if (job->op == REQ_OP_READ) {
		send(job, 0, &job->source);
	} else {
		for (i = 0; i < job->num_dests; i++)
			if (job->dests[i].count)
				send(job, i, &job->dests[i]);
	}
	put_count(job);
}

/* ---- parts ---- */

static void begin(struct kcopyd_job *job)
{
	struct dm_kcopyd_client *kc = job->kc;

	hold_client(kc);
	if (!job->source.count)
		push(&kc->complete_jobs, job);
	else if (job->op == REQ_OP_READ)
		start_io(&kc->new_jobs, job);
	else
		start_io(&kc->io_jobs, job);
}

/* Begins the next part of @master with the memory of @part. False: there is none. */
static bool next_part(struct kcopyd_job *master, struct kcopyd_job *part)
{
	sector_t at, count;
	unsigned int i;

	sched_enter();
	sched_access(master, SIM_WRITE);
	at = master->progress;
	count = min_t(sector_t, master->source.count - at, SUB_JOB_SECTORS);
	if ((master->read_err || master->write_err) &&
	    !(master->flags & BIT(DM_KCOPYD_IGNORE_ERROR)))
		count = 0;
	master->progress += count;
	sched_exit();
	if (!count)
		return false;
	part->flags = master->flags;
	part->op = master->op;
	part->read_err = 0;
	part->write_err = 0;
	part->source = master->source;
	part->source.sector += at;
	part->source.count = count;
	part->num_dests = master->num_dests;
	for (i = 0; i < master->num_dests; i++) {
		const struct dm_io_region *dest = &master->dests[i];

		part->dests[i] = *dest;
		part->dests[i].sector += at;
		part->dests[i].count = dest->count <= at ? 0 : min(count, dest->count - at);
	}
	part->master = master;
	begin(part);
	return true;
}

/* @part has nothing left to do; the last one ends the master. */
static void end_part(struct kcopyd_job *master, struct kcopyd_job *part)
{
	bool last;

	job_free(part);
	sched_enter();
	sched_access(master, SIM_WRITE);
	last = !--master->sub_jobs;
	sched_exit();
	if (last)
		push(&master->kc->complete_jobs, master);
}

static void split(struct kcopyd_job *master)
{
	struct kcopyd_job *part[SPLIT_COUNT];
	int i;

	hold_client(master->kc);
	master->progress = 0;
	master->sub_jobs = SPLIT_COUNT;
	for (i = 0; i < SPLIT_COUNT; i++) {
		part[i] = job_alloc(master->kc, SUB_JOB_SECTORS);
		if (master->op == REQ_OP_WRITE)
			memset(part[i]->tags, 0, SUB_JOB_SECTORS * sizeof(tag_t));
	}
	for (i = 0; i < SPLIT_COUNT; i++)
		if (!next_part(master, part[i]))
			end_part(master, part[i]);
}

static void part_done(struct kcopyd_job *part)
{
	struct kcopyd_job *master = part->master;

	sched_enter();
	sched_access(master, SIM_WRITE);
	if (part->read_err)
		master->read_err = 1;
	master->write_err |= part->write_err;
	sched_exit();
	sector_data_drop_literals(&part->data);
	if (!next_part(master, part))
		end_part(master, part);
}

/* ---- the worker ---- */

static void complete_job(struct kcopyd_job *job)
{
	struct dm_kcopyd_client *kc = job->kc;

	if (job->master != job) {
		part_done(job);
	} else {
		dm_kcopyd_notify_fn fn = job->fn;
		void *context = job->context;
		unsigned long write_err = job->write_err;
		int read_err = job->read_err;

		job_free(job);
		job_pool_put(&kc->pool);
		fn(read_err, write_err, context);
	}
	release_client(kc);
	cond_resched();
}

static void kcopyd_work(struct work_struct *work)
{
	struct dm_kcopyd_client *kc = container_of(work, struct dm_kcopyd_client, work);
	struct kcopyd_job *job;

	while ((job = pop(&kc->complete_jobs))) {
		complete_job(job);
		sched_point("kcopyd", NULL, NULL);
	}
	while ((job = pop(&kc->new_jobs)))
		run_io(job);
	while ((job = pop(&kc->io_jobs)))
		run_io(job);
}

/* ---- what clients call ---- */

static void check_regions(const struct dm_io_region *from, unsigned int num_dests,
			  const struct dm_io_region *dests, unsigned int flags)
{
	unsigned int i;

	if (!num_dests || num_dests > DM_KCOPYD_MAX_REGIONS)
		sim_fail("kcopyd: %u destinations", num_dests);
	if (flags & BIT(DM_KCOPYD_WRITE_SEQ))
		sim_fail("kcopyd: sequential writes are not built");
	for (i = 0; i < num_dests; i++)
		if (dests[i].count > (from ? from->count : dests[0].count))
			sim_fail("kcopyd: destination %u is longer than the source", i);
}

static struct kcopyd_job *get_job(struct dm_kcopyd_client *kc, u64 sectors)
{
	sched_point("dm_kcopyd_copy", NULL, NULL);
	wait_event(kc->pool.wait, job_pool_try(&kc->pool));
	return job_alloc(kc, sectors > SUB_JOB_SECTORS ? 0 : sectors);
}

static void dispatch(struct kcopyd_job *job, unsigned int num_dests,
		     const struct dm_io_region *dests, unsigned int flags, dm_kcopyd_notify_fn fn,
		     void *context)
{
	job->flags = flags;
	job->num_dests = num_dests;
	memcpy(job->dests, dests, num_dests * sizeof(*dests));
	job->fn = fn;
	job->context = context;
	job->master = job;
	if (job->source.count > SUB_JOB_SECTORS)
		split(job);
	else
		begin(job);
}

void dm_kcopyd_copy(struct dm_kcopyd_client *kc, struct dm_io_region *from, unsigned int num_dests,
		    struct dm_io_region *dests, unsigned int flags, dm_kcopyd_notify_fn fn,
		    void *context)
{
	struct kcopyd_job *job;

	might_sleep();
	if (!from) {
		dm_kcopyd_zero(kc, num_dests, dests, flags, fn, context);
		return;
	}
	check_regions(from, num_dests, dests, flags);
	job = get_job(kc, from->count);
	job->op = REQ_OP_READ;
	job->source = *from;
	sched_enter();
	world.counts.copies++;
	world.counts.copy_sectors += from->count;
	world.counts.copy_destinations += num_dests;
	sched_exit();
	dispatch(job, num_dests, dests, flags, fn, context);
}

void dm_kcopyd_zero(struct dm_kcopyd_client *kc, unsigned int num_dests,
		    struct dm_io_region *dests, unsigned int flags, dm_kcopyd_notify_fn fn,
		    void *context)
{
	struct kcopyd_job *job;
	unsigned int i;

	might_sleep();
	check_regions(NULL, num_dests, dests, flags);
	job = get_job(kc, dests[0].count);
	job->op = REQ_OP_WRITE_ZEROES;
	for (i = 0; i < num_dests; i++)
		if (!dests[i].bdev->bd_max_write_zeroes_sectors)
			job->op = REQ_OP_WRITE;
	if (job->op == REQ_OP_WRITE)
		memset(job->tags, 0, job->data.sectors * sizeof(tag_t));
	job->source = (struct dm_io_region){ .count = dests[0].count };
	sched_enter();
	world.counts.zeroes++;
	world.counts.zero_sectors += dests[0].count;
	sched_exit();
	dispatch(job, num_dests, dests, flags, fn, context);
}

struct dm_kcopyd_client *dm_kcopyd_client_create(struct dm_kcopyd_throttle *throttle)
{
	struct dm_kcopyd_client *kc = kzalloc(sizeof(*kc), GFP_KERNEL);

	if (!kc)
		return ERR_PTR(-ENOMEM);
	kc->wq = alloc_workqueue("kcopyd", WQ_MEM_RECLAIM, 0);
	if (!kc->wq) {
		kfree(kc);
		return ERR_PTR(-ENOMEM);
	}
	kc->pool.free = kcopyd_pool_jobs();
	init_waitqueue_head(&kc->pool.wait);
	init_waitqueue_head(&kc->destroyq);
	INIT_WORK(&kc->work, kcopyd_work);
	INIT_LIST_HEAD(&kc->complete_jobs);
	INIT_LIST_HEAD(&kc->new_jobs);
	INIT_LIST_HEAD(&kc->io_jobs);
	return kc;
}

void dm_kcopyd_client_destroy(struct dm_kcopyd_client *kc)
{
	might_sleep();
	wait_event(kc->destroyq, no_jobs(kc));
	sched_hb_acquire(&kc->nr_jobs);
	destroy_workqueue(kc->wq);
	kfree(kc);
}

static void kcopyd_discard(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(memory); i++)
		bio_pool_exit(&memory[i].pool, false);
}

static struct world_part kcopyd_part = {
	.name = "kcopyd",
	.discard = kcopyd_discard,
};

static void __attribute__((constructor)) kcopyd_init(void)
{
	world_part_register(&kcopyd_part);
}
