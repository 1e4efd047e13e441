// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a dm device: creation, suspend, table swap, resume, removal. As drivers/md/dm.c has
 * it in 6.1; the ioctls that drive it are in dmctl.c.
 *
 * Suspend is: presuspend methods; block new I/O (it is deferred); wait for those inside of the map
 * path; wait for the I/O in flight; the noflush flag is cleared; postsuspend methods. So
 * dm_noflush_suspending() is false in postsuspend (H42).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm.h"
#include "dm_device.h"

LIST_HEAD(dm_devices);
static LIST_HEAD(all_devices); /* those that are on their way out, too */

void md_set_flag(struct mapped_device *md, int flag)
{
	sched_point("set_bit", md->name, NULL);
	sched_enter();
	sched_access_part(&md->flags, flag, SIM_WRITE);
	WRITE_ONCE(md->flags, md->flags | 1UL << flag);
	sched_exit();
}

void md_clear_flag(struct mapped_device *md, int flag)
{
	sched_point("clear_bit", md->name, NULL);
	sched_enter();
	sched_access_part(&md->flags, flag, SIM_WRITE);
	WRITE_ONCE(md->flags, md->flags & ~(1UL << flag));
	sched_exit();
}

/* ---- SRCU ---- */

static bool no_readers(struct dm_srcu *srcu, u32 index)
{
	sched_access(srcu, SIM_WRITE);
	return !READ_ONCE(srcu->readers[index]);
}

void dm_srcu_wait(struct dm_srcu *srcu)
{
	int round;

	might_sleep();
	/* Twice: a reader may have taken the index just before it was turned. */
	for (round = 0; round < 2; round++) {
		u32 old;

		sched_enter();
		sched_access(srcu, SIM_WRITE);
		old = srcu->index;
		WRITE_ONCE(srcu->index, !old);
		sched_exit();
		wait_event(srcu->wait, no_readers(srcu, old));
		sched_hb_acquire(srcu);
	}
}

/* ---- creation and destruction ---- */

struct mapped_device *md_alloc(const char *name)
{
	struct mapped_device *md = calloc(1, sizeof(*md));

	if (!md)
		abort();
	md->wq = alloc_workqueue("kdmflush/%s", WQ_MEM_RECLAIM, 0, name);
	if (!md->wq || !bdev_add(&md->bdev, name, DM_MAJOR)) {
		if (md->wq)
			destroy_workqueue(md->wq);
		free(md);
		return NULL;
	}
	md->bdev.bd_md = md;
	md->bdev.bd_block_size = SECTOR_SIZE;
	snprintf(md->name, sizeof(md->name), "%u:%u", MAJOR(md->bdev.bd_dev),
		 MINOR(md->bdev.bd_dev));
	mutex_init(&md->suspend_lock);
	mutex_init(&md->type_lock);
	init_waitqueue_head(&md->io_barrier.wait);
	init_waitqueue_head(&md->wait);
	init_waitqueue_head(&md->holders_wait);
	bio_list_init(&md->deferred);
	INIT_WORK(&md->work, dm_deferred_work);
	INIT_WORK(&md->requeue_work, dm_requeue_work);
	sched_enter();
	list_add_tail(&md->all, &all_devices);
	sched_exit();
	return md;
}

static void free_md(struct mapped_device *md)
{
	sched_enter();
	list_del(&md->all);
	sched_exit();
	bdev_remove(&md->bdev);
	free(md);
}

static bool no_holders(struct mapped_device *md)
{
	sched_access(&md->holders, SIM_WRITE);
	return !READ_ONCE(md->holders);
}

/* Which table the device has; what reads it is in a dm_srcu section, or holds suspend_lock. */
static void md_set_map(struct mapped_device *md, struct dm_table *map)
{
	sched_access(&md->map, SIM_WRITE);
	WRITE_ONCE(md->map, map);
}

void md_destroy(struct mapped_device *md)
{
	struct dm_table *map;
	u32 index;

	might_sleep();
	md_set_flag(md, DMF_FREEING);
	mutex_lock(&md->suspend_lock);
	index = dm_srcu_lock(&md->io_barrier);
	map = md->map;
	if (!md_flag(md, DMF_SUSPENDED)) {
		dm_table_presuspend_targets(map);
		md_set_flag(md, DMF_SUSPENDED);
		md_set_flag(md, DMF_POST_SUSPENDING);
		dm_table_postsuspend_targets(map);
	}
	dm_srcu_unlock(&md->io_barrier, index);
	mutex_unlock(&md->suspend_lock);
	wait_event(md->holders_wait, no_holders(md));
	sched_hb_acquire(&md->holders);
	/* A holder may have exchanged it. */
	sched_access(&md->map, SIM_READ);
	map = md->map;
	if (map) {
		map->bound = false;
		md_set_map(md, NULL);
	}
	/* Without a table, too: a bio is refused, and complete, inside of a section. */
	dm_srcu_wait(&md->io_barrier);
	dm_table_destroy(map);
	destroy_workqueue(md->wq);
	mutex_destroy(&md->suspend_lock);
	mutex_destroy(&md->type_lock);
	free_md(md);
}

/* ---- suspend and resume ---- */

static bool no_pending_io(struct mapped_device *md)
{
	sched_access(&md->pending_io, SIM_WRITE);
	return !READ_ONCE(md->pending_io);
}

static void queue_deferred(struct mapped_device *md)
{
	md_clear_flag(md, DMF_BLOCK_IO_FOR_SUSPEND);
	queue_work(md->wq, &md->work);
}

int md_suspend(struct mapped_device *md, unsigned int flags)
{
	bool noflush = flags & DMCTL_NOFLUSH;
	struct dm_table *map;

	mutex_lock(&md->suspend_lock);
	if (md_flag(md, DMF_SUSPENDED)) {
		mutex_unlock(&md->suspend_lock);
		return -EINVAL;
	}
	map = md->map;
	if (noflush)
		md_set_flag(md, DMF_NOFLUSH_SUSPENDING);
	dm_table_presuspend_targets(map);

	/* Without DMCTL_NOLOCKFS a file system would be frozen here; there is none. */

	md_set_flag(md, DMF_BLOCK_IO_FOR_SUSPEND);
	if (map)
		dm_srcu_wait(&md->io_barrier);
	flush_workqueue(md->wq);
	if (map)
		wait_event(md->wait, no_pending_io(md));
	sched_hb_acquire(&md->pending_io);
	md_set_flag(md, DMF_SUSPENDED);
	if (noflush)
		md_clear_flag(md, DMF_NOFLUSH_SUSPENDING);
	if (map)
		dm_srcu_wait(&md->io_barrier);

	md_set_flag(md, DMF_POST_SUSPENDING);
	dm_table_postsuspend_targets(map);
	md_clear_flag(md, DMF_POST_SUSPENDING);
	mutex_unlock(&md->suspend_lock);
	return 0;
}

int md_resume(struct mapped_device *md)
{
	int r = -EINVAL;

	mutex_lock(&md->suspend_lock);
	if (md_flag(md, DMF_SUSPENDED) && !md_flag(md, DMF_FREEING) && md->map &&
	    dm_table_get_size(md->map)) {
		r = dm_table_resume_targets(md->map);
		if (!r) {
			queue_deferred(md);
			md_clear_flag(md, DMF_SUSPENDED);
		}
	}
	mutex_unlock(&md->suspend_lock);
	return r;
}

int md_swap_table(struct mapped_device *md, struct dm_table *table, struct dm_table **old)
{
	struct queue_limits limits;
	int r = -EINVAL;

	mutex_lock(&md->suspend_lock);
	if (md_flag(md, DMF_SUSPENDED))
		r = dm_calculate_queue_limits(table, &limits);
	if (!r) {
		*old = md->map;
		bdev_set_sectors(&md->bdev, dm_table_get_size(table));
		dm_table_set_restrictions(table, &limits);
		if (*old)
			(*old)->bound = false;
		table->bound = true;
		sched_hb_release(table);
		md_set_map(md, table);
		if (*old)
			dm_srcu_wait(&md->io_barrier);
	}
	mutex_unlock(&md->suspend_lock);
	return r;
}

/* ---- what targets ask ---- */

const char *dm_device_name(struct mapped_device *md)
{
	return md->name;
}

static bool ask_flag(struct dm_target *ti, int flag)
{
	struct mapped_device *md = ti->table->md;

	sched_point("test_bit", md->name, NULL);
	return md_flag(md, flag);
}

int dm_suspended(struct dm_target *ti)
{
	return ask_flag(ti, DMF_SUSPENDED);
}

int dm_post_suspending(struct dm_target *ti)
{
	return ask_flag(ti, DMF_POST_SUSPENDING);
}

int dm_noflush_suspending(struct dm_target *ti)
{
	return ask_flag(ti, DMF_NOFLUSH_SUSPENDING);
}

void dm_table_event(struct dm_table *t)
{
	might_sleep();
	sched_point("dm_table_event", t->md->name, NULL);
	sched_enter();
	sched_access(&t->md->map, SIM_READ); /* with which comes bound */
	sched_access(&t->md->event_nr, SIM_ADD);
	if (t->bound)
		t->md->event_nr++;
	sched_exit();
}

/* ---- the world ---- */

void dm_device_check(void)
{
	struct mapped_device *md;

	list_for_each_entry(md, &dm_devices, list)
		sim_fail("device %s was not removed", md->bdev.bd_name);
}

static void dm_device_discard(void)
{
	struct mapped_device *md, *next;

	list_for_each_entry_safe(md, next, &all_devices, all)
		free_md(md);
	INIT_LIST_HEAD(&dm_devices);
}

static struct world_part dm_device_part = {
	.name = "dm devices",
	.discard = dm_device_discard,
};

static void __attribute__((constructor)) dm_device_init(void)
{
	world_part_register(&dm_device_part);
}
