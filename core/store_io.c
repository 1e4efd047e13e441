// SPDX-License-Identifier: GPL-2.0
/*
 * What the core does for stores: I/O, background work, facts, locks.
 *
 * A store submits I/O with the master lock held; the worker issues it without, and calls back
 * with. So a store has no concurrency in it, and no I/O is waited for under the lock (H34, H35).
 */
#include "multisnap.h"

void dm_multisnap_submit_io(struct dm_multisnap *s, struct dm_multisnap_io *io)
	__must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	io->s = s;
	io->error = 0;
	s->nr_store_ios++;
	list_add_tail(&io->list, &s->actions.ios);
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_submit_io);

/* Interrupt context or any other. */
static void io_ended(unsigned long error, void *context)
{
	struct dm_multisnap_io *io = context;
	struct dm_multisnap *s = io->s;
	unsigned long flags;

	spin_lock_irqsave(&s->io_lock, flags);
	io->error = error ? -EIO : 0;
	list_add_tail(&io->list, &s->done_ios);
	multisnap_kick(s);
	spin_unlock_irqrestore(&s->io_lock, flags);
}

static void prepare_io(struct dm_multisnap *s, struct dm_io_request *request,
		       struct dm_io_region *region, blk_opf_t opf, sector_t sector,
		       unsigned int sectors, void *data)
{
	memset(request, 0, sizeof(*request));
	request->bi_opf = opf;
	request->mem.type = DM_IO_KMEM;
	request->mem.ptr.addr = data;
	request->client = s->io_client;
	region->bdev = s->store_dev->bdev;
	region->sector = sector;
	region->count = sectors;
}

/* No lock: dm_io may sleep for memory. */
void multisnap_issue_io(struct dm_multisnap_io *io)
{
	struct dm_io_request request;
	struct dm_io_region region;

	prepare_io(io->s, &request, &region, io->opf, io->sector, io->sectors, io->data);
	request.notify.fn = io_ended;
	request.notify.context = io;
	if (dm_io(&request, 1, &region, NULL, IOPRIO_DEFAULT))
		io_ended(1, io);
}

int dm_multisnap_sync_io(struct dm_multisnap *s, blk_opf_t opf, sector_t sector,
			 unsigned int sectors, void *data)
{
	struct dm_io_request request;
	struct dm_io_region region;

	might_sleep();
	prepare_io(s, &request, &region, opf, sector, sectors, data);
	return dm_io(&request, 1, &region, NULL, IOPRIO_DEFAULT) ? -EIO : 0;
}
EXPORT_SYMBOL_GPL(dm_multisnap_sync_io);

void dm_multisnap_queue_work(struct dm_multisnap *s, struct dm_multisnap_background_work *bw)
	__must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	if (bw->queued)
		return;
	bw->queued = true;
	list_add_tail(&bw->list, &s->background);
	multisnap_kick(s);
}
EXPORT_SYMBOL_GPL(dm_multisnap_queue_work);

void dm_multisnap_cancel_work(struct dm_multisnap *s, struct dm_multisnap_background_work *bw)
	__must_hold(&s->lock)
{
	lockdep_assert_held(&s->lock);
	if (!bw->queued)
		return;
	bw->queued = false;
	list_del(&bw->list);
}
EXPORT_SYMBOL_GPL(dm_multisnap_cancel_work);

/* One slice of each work that is queued now. True: a slice ran. */
bool multisnap_run_background(struct dm_multisnap *s)
{
	struct list_head now;
	bool ran = false;

	lockdep_assert_held(&s->lock);
	INIT_LIST_HEAD(&now);
	list_splice_init(&s->background, &now);
	while (!list_empty(&now)) {
		struct dm_multisnap_background_work *bw =
			list_first_entry(&now, struct dm_multisnap_background_work, list);

		list_del(&bw->list);
		bw->queued = false;
		bw->work(s->store, bw);
		ran = true;
	}
	return ran;
}

struct block_device *dm_multisnap_store_bdev(struct dm_multisnap *s)
{
	return s->store_dev->bdev;
}
EXPORT_SYMBOL_GPL(dm_multisnap_store_bdev);

sector_t dm_multisnap_store_sectors(struct dm_multisnap *s)
{
	return s->store_sectors;
}
EXPORT_SYMBOL_GPL(dm_multisnap_store_sectors);

unsigned int dm_multisnap_logical_block_sectors(struct dm_multisnap *s)
{
	return bytes_to_sectors(bdev_logical_block_size(s->store_dev->bdev));
}
EXPORT_SYMBOL_GPL(dm_multisnap_logical_block_sectors);

sector_t dm_multisnap_origin_sectors(struct dm_multisnap *s)
{
	return s->origin_sectors;
}
EXPORT_SYMBOL_GPL(dm_multisnap_origin_sectors);

struct chunk_geometry dm_multisnap_geometry(struct dm_multisnap *s)
{
	return s->geometry;
}
EXPORT_SYMBOL_GPL(dm_multisnap_geometry);

const char *dm_multisnap_name(struct dm_multisnap *s)
{
	return s->name;
}
EXPORT_SYMBOL_GPL(dm_multisnap_name);

bool dm_multisnap_snapshot_exists(struct dm_multisnap *s, snapid_t id)
{
	return id != SNAPID_ORIGIN && s->ops->get_next_snapid(s->store, id) == id;
}
EXPORT_SYMBOL_GPL(dm_multisnap_snapshot_exists);

void dm_multisnap_status_lock(struct dm_multisnap *s) __acquires(&s->status_lock)
{
	mutex_lock(&s->status_lock);
	__acquire(&s->status_lock);
}
EXPORT_SYMBOL_GPL(dm_multisnap_status_lock);

void dm_multisnap_status_unlock(struct dm_multisnap *s) __releases(&s->status_lock)
{
	__release(&s->status_lock);
	mutex_unlock(&s->status_lock);
}
EXPORT_SYMBOL_GPL(dm_multisnap_status_unlock);

void dm_multisnap_status_assert_locked(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->status_lock);
}
EXPORT_SYMBOL_GPL(dm_multisnap_status_assert_locked);

void dm_multisnap_assert_locked(struct dm_multisnap *s)
{
	lockdep_assert_held(&s->lock);
}
EXPORT_SYMBOL_GPL(dm_multisnap_assert_locked);
