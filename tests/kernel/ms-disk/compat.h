/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between Linux 6.1 and 6.12; not made for those in between. The limits are what the
 * simulated block layer says of its disks (shim/user/fake/bdev.c, dm_limits.c).
 */
#ifndef MS_DISK_COMPAT_H
#define MS_DISK_COMPAT_H

#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)

/* May sleep; an ERR_PTR() when there is no memory. */
static inline struct gendisk *ms_alloc_gendisk(unsigned int block_size)
{
	struct queue_limits limits = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
		.logical_block_size = block_size,
		.physical_block_size = block_size,
		.io_min = block_size,
		.max_hw_sectors = UINT_MAX >> SECTOR_SHIFT,
		.discard_granularity = block_size,
		.max_hw_discard_sectors = UINT_MAX >> SECTOR_SHIFT,
		.max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT,
	};

	return blk_alloc_disk(&limits, NUMA_NO_NODE);
}

/* A block device that is open for reading and writing. */
struct ms_opened {
	struct block_device *bdev;
	struct file *file;
};

/* 0 or -errno; may sleep. */
static inline int ms_open_bdev(dev_t dev, struct ms_opened *opened)
{
	opened->file = bdev_file_open_by_dev(dev, BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	if (IS_ERR(opened->file))
		return PTR_ERR(opened->file);
	opened->bdev = file_bdev(opened->file);
	return 0;
}

static inline void ms_close_bdev(struct ms_opened *opened)
{
	bdev_fput(opened->file);
}

#else

static inline struct gendisk *ms_alloc_gendisk(unsigned int block_size)
{
	struct gendisk *gd = blk_alloc_disk(NUMA_NO_NODE);

	if (!gd)
		return ERR_PTR(-ENOMEM);
	blk_queue_logical_block_size(gd->queue, block_size);
	blk_queue_physical_block_size(gd->queue, block_size);
	blk_queue_io_min(gd->queue, block_size);
	blk_queue_max_hw_sectors(gd->queue, UINT_MAX >> SECTOR_SHIFT);
	blk_queue_write_cache(gd->queue, true, true);
	gd->queue->limits.discard_granularity = block_size;
	blk_queue_max_discard_sectors(gd->queue, UINT_MAX >> SECTOR_SHIFT);
	blk_queue_max_write_zeroes_sectors(gd->queue, UINT_MAX >> SECTOR_SHIFT);
	return gd;
}

struct ms_opened {
	struct block_device *bdev;
};

static inline int ms_open_bdev(dev_t dev, struct ms_opened *opened)
{
	opened->bdev = blkdev_get_by_dev(dev, FMODE_READ | FMODE_WRITE, NULL);
	return PTR_ERR_OR_ZERO(opened->bdev);
}

static inline void ms_close_bdev(struct ms_opened *opened)
{
	blkdev_put(opened->bdev, FMODE_READ | FMODE_WRITE);
}

#endif

#endif
