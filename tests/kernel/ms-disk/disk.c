// SPDX-License-Identifier: GPL-2.0
/*
 * A disk as the simulator has it (shim/user/disk_*.c), in a real kernel: in memory, with faults,
 * held requests and counts.
 *
 * It is a driver of its own, not a target on top of a RAM disk, so that it sees each bio as it was
 * submitted: one write with PREFLUSH and FUA is one request here as there, while device-mapper
 * would make two of it.
 *
 * A request is counted when it arrives; is set apart if a hold matches; else, or when it is
 * released, it joins the queue. One work item takes requests from the queue, in order, and for each
 * decides whether a rule makes it fail, transfers the data, and ends it. So requests take effect
 * one after the other and in the order of their arrival, as in the simulator's default schedule.
 * They end with interrupts off: what a real disk's driver does, and what finds completions that
 * sleep.
 */
#include <linux/slab.h>

#include "compat.h"
#include "disk.h"

static struct workqueue_struct *ms_disk_wq;
static int ms_disk_major;

/* ---- requests ---- */

static unsigned int ops_of(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return MS_DISK_READ;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
	case REQ_OP_WRITE_ZEROES:
		return MS_DISK_DISCARD;
	default:
		return (bio->bi_iter.bi_size ? MS_DISK_WRITE : 0) |
		       (bio->bi_opf & REQ_PREFLUSH ? MS_DISK_FLUSH : 0);
	}
}

static bool matches(const struct ms_disk_match *m, const struct bio *bio)
{
	if (!(m->ops & ops_of(bio)))
		return false;
	if (!m->start && !m->len)
		return true;
	return bio_sectors(bio) && bio->bi_iter.bi_sector < m->start + m->len &&
	       m->start < bio_end_sector(bio);
}

static void count_request(struct ms_disk_counts *c, const struct bio *bio)
{
	unsigned int sectors = bio_sectors(bio);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		c->reads++;
		c->sectors_read += sectors;
		return;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		c->discards++;
		c->sectors_discarded += sectors;
		return;
	case REQ_OP_WRITE_ZEROES:
		c->write_zeroes++;
		return;
	default:
		break;
	}
	if (bio->bi_opf & REQ_PREFLUSH)
		c->flushes++;
	if (!sectors)
		return;
	c->writes++;
	c->sectors_written += sectors;
	c->preflush += !!(bio->bi_opf & REQ_PREFLUSH);
	c->fua += !!(bio->bi_opf & REQ_FUA);
	if (bio->bi_opf & REQ_META) {
		c->meta_writes++;
		c->meta_sectors_written += sectors;
	}
}

static bool hold_back(struct ms_disk *d, struct bio *bio)
{
	struct ms_hold *h;

	lockdep_assert_held(&d->lock);
	list_for_each_entry(h, &d->holds, list) {
		if (h->left && matches(&h->match, bio)) {
			h->left--;
			bio_list_add(&h->bios, bio);
			return true;
		}
	}
	return false;
}

static void ms_disk_submit_bio(struct bio *bio)
{
	struct ms_disk *d = bio->bi_bdev->bd_disk->private_data;
	u64 bytes = bio->bi_iter.bi_sector << SECTOR_SHIFT | bio->bi_iter.bi_size;
	bool held;

	/* Said to everybody by the limits; the block layer leaves it to the driver to be strict. */
	if (bytes & (bdev_logical_block_size(bio->bi_bdev) - 1)) {
		bio_io_error(bio);
		return;
	}
	spin_lock(&d->lock);
	count_request(&d->counts, bio);
	held = hold_back(d, bio);
	if (!held)
		bio_list_add(&d->queue, bio);
	spin_unlock(&d->lock);
	if (!held)
		queue_work(ms_disk_wq, &d->work);
}

static int fault_of(struct ms_disk *d, const struct bio *bio)
{
	struct ms_rule *rule;

	lockdep_assert_held(&d->medium_lock);
	list_for_each_entry(rule, &d->rules, list) {
		if (!rule->left || !matches(&rule->match, bio))
			continue;
		if (rule->skip) {
			rule->skip--;
			continue;
		}
		if (rule->left != MS_DISK_FOR_EVER)
			rule->left--;
		return rule->error;
	}
	return 0;
}

static int transfer_data(struct ms_disk *d, struct bio *bio)
{
	sector_t sector = bio->bi_iter.bi_sector;
	struct bvec_iter iter;
	struct bio_vec bvec;
	void *data;
	int r = 0;

	bio_for_each_segment(bvec, bio, iter) {
		data = bvec_kmap_local(&bvec);
		if (bio_data_dir(bio) == READ)
			ms_medium_read(&d->medium, sector, data, bvec.bv_len);
		else
			r = ms_medium_write(&d->medium, sector, data, bvec.bv_len);
		kunmap_local(data);
		if (r)
			return r;
		if (bio_data_dir(bio) == READ)
			flush_dcache_page(bvec.bv_page);
		sector += bvec.bv_len >> SECTOR_SHIFT;
	}
	return 0;
}

static int transfer(struct ms_disk *d, struct bio *bio)
{
	/* Checked at submission, but the disk may have shrunk since. */
	if (bio_sectors(bio) && bio_end_sector(bio) > d->medium.sectors)
		return -EIO;
	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		return transfer_data(d, bio);
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		ms_medium_zero(&d->medium, bio->bi_iter.bi_sector, bio_sectors(bio));
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void serve(struct ms_disk *d, struct bio *bio)
{
	unsigned long flags;
	int r;

	mutex_lock(&d->medium_lock);
	r = d->off ? -EIO : fault_of(d, bio);
	if (!r)
		r = transfer(d, bio);
	mutex_unlock(&d->medium_lock);
	if (r) {
		spin_lock(&d->lock);
		d->counts.errors++;
		spin_unlock(&d->lock);
		bio->bi_status = errno_to_blk_status(r);
	}
	local_irq_save(flags);
	bio_endio(bio);
	local_irq_restore(flags);
}

static void ms_disk_work(struct work_struct *work)
{
	struct ms_disk *d = container_of(work, struct ms_disk, work);
	struct bio *bio;

	for (;;) {
		spin_lock(&d->lock);
		bio = bio_list_pop(&d->queue);
		spin_unlock(&d->lock);
		if (!bio)
			return;
		serve(d, bio);
		cond_resched();
	}
}

/* ---- rules, holds, counts ---- */

int ms_disk_add_fault(struct ms_disk *d, const struct ms_disk_fault *f)
{
	struct ms_rule *rule;

	if (f->error >= 0 || f->error < -MAX_ERRNO)
		return -EINVAL;
	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->match = f->match;
	rule->skip = f->skip;
	rule->left = f->count;
	rule->error = f->error;
	mutex_lock(&d->medium_lock);
	list_add_tail(&rule->list, &d->rules);
	mutex_unlock(&d->medium_lock);
	return 0;
}

void ms_disk_clear_faults(struct ms_disk *d)
{
	struct ms_rule *rule, *next;

	mutex_lock(&d->medium_lock);
	list_for_each_entry_safe(rule, next, &d->rules, list) {
		list_del(&rule->list);
		kfree(rule);
	}
	mutex_unlock(&d->medium_lock);
}

int ms_disk_add_hold(struct ms_disk *d, struct ms_disk_hold *args)
{
	struct ms_hold *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return -ENOMEM;
	h->match = args->match;
	h->left = args->count;
	bio_list_init(&h->bios);
	spin_lock(&d->lock);
	h->handle = d->next_handle++;
	args->handle = h->handle;
	list_add_tail(&h->list, &d->holds);
	spin_unlock(&d->lock);
	return 0;
}

int ms_disk_release(struct ms_disk *d, u32 handle)
{
	struct ms_hold *h, *next;
	LIST_HEAD(released);

	spin_lock(&d->lock);
	list_for_each_entry_safe(h, next, &d->holds, list) {
		if (handle != MS_DISK_ALL && h->handle != handle)
			continue;
		bio_list_merge(&d->queue, &h->bios);
		list_move(&h->list, &released);
	}
	spin_unlock(&d->lock);
	if (list_empty(&released))
		return handle == MS_DISK_ALL ? 0 : -ENOENT;
	queue_work(ms_disk_wq, &d->work);
	list_for_each_entry_safe(h, next, &released, list)
		kfree(h);
	return 0;
}

void ms_disk_get_counts(struct ms_disk *d, struct ms_disk_counts *counts)
{
	spin_lock(&d->lock);
	*counts = d->counts;
	spin_unlock(&d->lock);
	counts->number = d->number;
}

/* ---- life ---- */

static void free_disk_of(struct ms_disk *d)
{
	ms_disk_clear_faults(d);
	ms_medium_exit(&d->medium);
	mutex_destroy(&d->medium_lock);
	kfree(d);
}

/* The last one who had it open has closed it; not called for a disk that was never added. */
static void ms_disk_free(struct gendisk *gd)
{
	free_disk_of(gd->private_data);
}

static const struct block_device_operations ms_disk_fops = {
	.owner = THIS_MODULE,
	.submit_bio = ms_disk_submit_bio,
	.free_disk = ms_disk_free,
};

static struct ms_disk *alloc_disk_of(sector_t sectors, u32 number)
{
	struct ms_disk *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return NULL;
	d->number = number;
	INIT_WORK(&d->work, ms_disk_work);
	mutex_init(&d->medium_lock);
	ms_medium_init(&d->medium, sectors);
	INIT_LIST_HEAD(&d->rules);
	spin_lock_init(&d->lock);
	bio_list_init(&d->queue);
	INIT_LIST_HEAD(&d->holds);
	return d;
}

struct ms_disk *ms_disk_create(u32 number, struct ms_disk_create *args)
{
	struct ms_disk *d;
	int r;

	if (!args->sectors || args->sectors > LLONG_MAX >> SECTOR_SHIFT ||
	    args->block_size < SECTOR_SIZE || args->block_size > PAGE_SIZE ||
	    !is_power_of_2(args->block_size))
		return ERR_PTR(-EINVAL);
	d = alloc_disk_of(args->sectors, number);
	if (!d)
		return ERR_PTR(-ENOMEM);
	d->gd = ms_alloc_gendisk(args->block_size);
	if (IS_ERR(d->gd)) {
		r = PTR_ERR(d->gd);
		free_disk_of(d);
		return ERR_PTR(r);
	}
	d->gd->major = ms_disk_major;
	d->gd->first_minor = number;
	d->gd->minors = 1;
	d->gd->flags |= GENHD_FL_NO_PART;
	d->gd->fops = &ms_disk_fops;
	d->gd->private_data = d;
	snprintf(d->gd->disk_name, DISK_NAME_LEN, "msd%u", number);
	set_capacity(d->gd, args->sectors);
	r = add_disk(d->gd);
	if (r) {
		put_disk(d->gd);
		free_disk_of(d);
		return ERR_PTR(r);
	}
	args->number = number;
	args->major = ms_disk_major;
	args->minor = number;
	return d;
}

int ms_disk_destroy(struct ms_disk *d)
{
	struct gendisk *gd = d->gd;

	if (disk_openers(gd))
		return -EBUSY;
	del_gendisk(gd);
	ms_disk_release(d, MS_DISK_ALL);
	flush_work(&d->work);
	put_disk(gd);
	return 0;
}

void ms_disk_resize(struct ms_disk *d, sector_t sectors)
{
	mutex_lock(&d->medium_lock);
	ms_medium_resize(&d->medium, sectors);
	set_capacity(d->gd, sectors);
	mutex_unlock(&d->medium_lock);
}

int ms_disk_init(void)
{
	ms_disk_wq = alloc_workqueue("ms-disk", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!ms_disk_wq)
		return -ENOMEM;
	ms_disk_major = register_blkdev(0, "ms-disk");
	if (ms_disk_major < 0) {
		destroy_workqueue(ms_disk_wq);
		return ms_disk_major;
	}
	return 0;
}

void ms_disk_exit(void)
{
	unregister_blkdev(ms_disk_major, "ms-disk");
	destroy_workqueue(ms_disk_wq);
}
