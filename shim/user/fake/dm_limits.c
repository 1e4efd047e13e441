// SPDX-License-Identifier: GPL-2.0
/*
 * Limits of dm devices: stacked from those of the devices below, hinted at by targets, checked
 * against the areas that targets say they use. As dm_calculate_queue_limits() and
 * dm_table_set_restrictions() have it in 6.1.
 */
#include <errno.h>

#include "dm.h"

#define DM_MSG_PREFIX "table"

#define DISK_MAX_SECTORS 2560 /* the block layer's default, BLK_DEF_MAX_SECTORS */

static unsigned int min_not_zero(unsigned int a, unsigned int b)
{
	return !a ? b : !b ? a : min(a, b);
}

static void set_stacking_limits(struct queue_limits *l)
{
	*l = (struct queue_limits){
		.max_hw_sectors = UINT_MAX,
		.max_sectors = UINT_MAX,
		.logical_block_size = SECTOR_SIZE,
		.physical_block_size = SECTOR_SIZE,
		.io_min = SECTOR_SIZE,
		.max_write_zeroes_sectors = UINT_MAX,
	};
}

static void bdev_limits(struct block_device *bdev, struct queue_limits *l)
{
	sched_access(bdev, SIM_READ);
	if (bdev->bd_md) {
		*l = bdev->bd_md->limits;
		return;
	}
	*l = (struct queue_limits){
		.max_hw_sectors = UINT_MAX,
		.max_sectors = DISK_MAX_SECTORS,
		.logical_block_size = bdev->bd_block_size,
		.physical_block_size = bdev->bd_block_size,
		.io_min = bdev->bd_block_size,
		.max_discard_sectors = bdev->bd_max_discard_sectors,
		.max_hw_discard_sectors = bdev->bd_max_discard_sectors,
		.max_write_zeroes_sectors = bdev->bd_max_write_zeroes_sectors,
		.discard_granularity = bdev->bd_max_discard_sectors ? bdev->bd_block_size : 0,
	};
}

static void stack_limits(struct queue_limits *t, const struct queue_limits *b)
{
	t->max_hw_sectors = min_not_zero(t->max_hw_sectors, b->max_hw_sectors);
	t->max_sectors = min_not_zero(t->max_sectors, b->max_sectors);
	t->logical_block_size = max(t->logical_block_size, b->logical_block_size);
	t->physical_block_size = max(t->physical_block_size, b->physical_block_size);
	t->io_min = max(t->io_min, b->io_min);
	t->io_opt = max(t->io_opt, b->io_opt);
	t->max_discard_sectors = min_not_zero(t->max_discard_sectors, b->max_discard_sectors);
	t->max_hw_discard_sectors =
		min_not_zero(t->max_hw_discard_sectors, b->max_hw_discard_sectors);
	t->max_write_zeroes_sectors =
		min(t->max_write_zeroes_sectors, b->max_write_zeroes_sectors);
	t->discard_granularity = max(t->discard_granularity, b->discard_granularity);
}

static int set_device_limits(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
			     void *data)
{
	struct queue_limits below;

	bdev_limits(dev->bdev, &below);
	stack_limits(data, &below);
	return 0;
}

static int area_is_invalid(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
			   void *data)
{
	const struct queue_limits *limits = data;
	sector_t size = bdev_nr_sectors(dev->bdev);
	sector_t mask = (limits->logical_block_size >> SECTOR_SHIFT) - 1;
	const char *name = ti->table->md->name;

	if (!size)
		return 0;
	if (start >= size || start + len > size) {
		DMERR("%s: %s too small for target: start=%llu, len=%llu, dev_size=%llu", name,
		      dev->bdev->bd_name, start, len, size);
		return 1;
	}
	if (start & mask) {
		DMERR("%s: start=%llu not aligned to h/w logical block size %u of %s", name, start,
		      limits->logical_block_size, dev->bdev->bd_name);
		return 1;
	}
	if (len & mask) {
		DMERR("%s: len=%llu not aligned to h/w logical block size %u of %s", name, len,
		      limits->logical_block_size, dev->bdev->bd_name);
		return 1;
	}
	return 0;
}

/* Can what falls over the end of each target be processed by the next one? */
static int check_alignment(struct dm_table *t, const struct queue_limits *limits)
{
	u32 block = limits->logical_block_size >> SECTOR_SHIFT, next_start = 0, remaining = 0;
	struct queue_limits ti_limits;
	unsigned int i;

	for (i = 0; i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];

		set_stacking_limits(&ti_limits);
		if (ti->type->iterate_devices)
			ti->type->iterate_devices(ti, set_device_limits, &ti_limits);
		if (remaining < ti->len &&
		    remaining & ((ti_limits.logical_block_size >> SECTOR_SHIFT) - 1))
			break;
		next_start = (next_start + ti->len) & (block - 1);
		remaining = next_start ? block - next_start : 0;
	}
	if (!remaining)
		return 0;
	DMERR("%s: table line %u not aligned to h/w logical block size %u", t->md->name, i,
	      limits->logical_block_size);
	return -EINVAL;
}

int dm_calculate_queue_limits(struct dm_table *t, struct queue_limits *limits)
{
	unsigned int i;

	set_stacking_limits(limits);
	for (i = 0; i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];
		struct queue_limits ti_limits;

		set_stacking_limits(&ti_limits);
		if (ti->type->iterate_devices) {
			ti->type->iterate_devices(ti, set_device_limits, &ti_limits);
			if (ti->type->io_hints)
				ti->type->io_hints(ti, &ti_limits);
			if (ti->type->iterate_devices(ti, area_is_invalid, &ti_limits))
				return -EINVAL;
		}
		stack_limits(limits, &ti_limits);
	}
	return check_alignment(t, limits);
}

/* ---- what the device offers ---- */

static int no_discards(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
		       void *data)
{
	return !dev->bdev->bd_max_discard_sectors;
}

static int no_write_zeroes(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
			   void *data)
{
	return !dev->bdev->bd_max_write_zeroes_sectors;
}

static int has_cache(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
		     void *data)
{
	return dev->bdev->bd_write_cache;
}

static bool iterate(struct dm_target *ti, iterate_devices_callout_fn fn)
{
	return ti->type->iterate_devices && ti->type->iterate_devices(ti, fn, NULL);
}

void dm_table_set_restrictions(struct dm_table *t, const struct queue_limits *limits)
{
	bool discards = true, write_zeroes = true, flush = false;
	struct mapped_device *md = t->md;
	unsigned int i;

	for (i = 0; i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];
		bool devices = ti->type->iterate_devices;

		if (!ti->num_discard_bios ||
		    (!ti->discards_supported && (!devices || iterate(ti, no_discards))))
			discards = false;
		if (!ti->num_write_zeroes_bios || !devices || iterate(ti, no_write_zeroes))
			write_zeroes = false;
		if (ti->num_flush_bios && (ti->flush_supported || iterate(ti, has_cache)))
			flush = true;
	}
	sched_access(&md->bdev, SIM_WRITE);
	md->limits = *limits;
	if (!discards) {
		md->limits.max_discard_sectors = 0;
		md->limits.max_hw_discard_sectors = 0;
		md->limits.discard_granularity = 0;
	}
	if (!write_zeroes)
		md->limits.max_write_zeroes_sectors = 0;
	md->bdev.bd_write_cache = flush;
	md->bdev.bd_block_size = md->limits.logical_block_size;
	md->bdev.bd_max_discard_sectors = md->limits.max_discard_sectors;
	md->bdev.bd_max_write_zeroes_sectors = md->limits.max_write_zeroes_sectors;
}
