// SPDX-License-Identifier: GPL-2.0
/*
 * Block devices by name and by number. Disks are 8:0, 8:1, ... and dm devices 253:0, ..., each in
 * the lowest free place of its kind, so that numbers depend on nothing but the order of creation.
 *
 * Disks outlive worlds (a machine that restarts finds its disks); their names and numbers stay.
 */
#include <stdlib.h>
#include <string.h>

#include "bio.h"
#include "disk_layer.h"
#include "dm.h"

static LIST_HEAD(devices);

#define MAX_MINORS (1U << 16)
static u64 used_minors[2][MAX_MINORS / 64]; /* of DISK_MAJOR, of DM_MAJOR */

/* The lowest free one; MAX_MINORS if there is none. */
static unsigned int take_minor(unsigned int major)
{
	u64 *used = used_minors[major == DM_MAJOR];
	unsigned int i;

	for (i = 0; i < MAX_MINORS / 64; i++) {
		if (used[i] != U64_MAX) {
			unsigned int bit = __builtin_ctzll(~used[i]);

			used[i] |= 1ULL << bit;
			return i * 64 + bit;
		}
	}
	return MAX_MINORS;
}

static struct block_device *find_name(const char *name)
{
	struct block_device *bdev;

	list_for_each_entry(bdev, &devices, bd_list)
		if (!strcmp(bdev->bd_name, name))
			return bdev;
	return NULL;
}

static struct block_device *find_dev(dev_t dev)
{
	struct block_device *bdev;

	list_for_each_entry(bdev, &devices, bd_list)
		if (bdev->bd_dev == dev)
			return bdev;
	return NULL;
}

struct block_device *bdev_by_name(const char *name)
{
	struct block_device *bdev;

	sched_enter();
	sched_access_part(&devices, name_part(name), SIM_READ);
	bdev = find_name(name);
	sched_exit();
	return bdev;
}

struct block_device *bdev_by_dev(dev_t dev)
{
	struct block_device *bdev;

	sched_enter();
	sched_access_part(&used_minors, dev, SIM_READ);
	bdev = find_dev(dev);
	sched_exit();
	return bdev;
}

/* Taken or given back: who asks for this one, and who gets the next. */
static void touch_numbers(dev_t dev)
{
	sched_access_part(&used_minors, dev, SIM_WRITE);
	sched_access_part(&used_minors, U32_MAX, SIM_WRITE);
}

bool bdev_add(struct block_device *bdev, const char *name, unsigned int major)
{
	unsigned int minor;

	if (!*name || strlen(name) >= sizeof(bdev->bd_name) || strchr(name, '/'))
		return false;
	sched_enter();
	sched_access_part(&devices, name_part(name), SIM_WRITE);
	if (find_name(name) || (minor = take_minor(major)) == MAX_MINORS) {
		sched_exit();
		return false;
	}
	bdev->bd_dev = MKDEV(major, minor);
	touch_numbers(bdev->bd_dev);
	strcpy(bdev->bd_name, name);
	list_add(&bdev->bd_list, &devices);
	sched_exit();
	return true;
}

void bdev_remove(struct block_device *bdev)
{
	sched_enter();
	sched_access_part(&devices, name_part(bdev->bd_name), SIM_WRITE);
	touch_numbers(bdev->bd_dev);
	list_del(&bdev->bd_list);
	used_minors[MAJOR(bdev->bd_dev) == DM_MAJOR][MINOR(bdev->bd_dev) / 64] &=
		~(1ULL << MINOR(bdev->bd_dev) % 64);
	sched_exit();
}

/* The core reads it by itself, with READ_ONCE(). */
void bdev_set_sectors(struct block_device *bdev, sector_t sectors)
{
	sched_access(bdev, SIM_WRITE);
	sched_access(&bdev->bd_nr_sectors, SIM_WRITE);
	WRITE_ONCE(bdev->bd_nr_sectors, sectors);
}

struct block_device *disk_register(const char *name, struct disk *disk, unsigned int block_size)
{
	struct block_device *bdev = calloc(1, sizeof(*bdev));

	if (!bdev)
		return NULL;
	if (disk->above)
		sim_fail("disk %s: registered from the middle", name);
	if (block_size < SECTOR_SIZE || block_size > PAGE_SIZE || !is_power_of_2(block_size))
		sim_fail("disk %s: no block size: %u", name, block_size);
	bdev->bd_nr_sectors = disk->sectors;
	bdev->bd_block_size = block_size;
	bdev->bd_write_cache = true;
	bdev->bd_max_discard_sectors = UINT_MAX >> SECTOR_SHIFT;
	bdev->bd_max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT;
	bdev->bd_simdisk = disk;
	if (!bdev_add(bdev, name, DISK_MAJOR))
		sim_fail("disk %s: the name is taken or not a name", name);
	return bdev;
}

static struct block_device *named_disk(const char *name)
{
	struct block_device *bdev = bdev_by_name(name);

	if (!bdev || !bdev->bd_simdisk)
		sim_fail("there is no disk %s", name);
	return bdev;
}

void disk_unregister(const char *name)
{
	struct block_device *bdev = named_disk(name);

	if (world.active && !world.failed && bdev->bd_openers)
		sim_fail("disk %s is removed while in use", name);
	bdev_remove(bdev);
	free(bdev);
}

/* A dm device is a block device from its first table on. */
struct block_device *disk_bdev(const char *name)
{
	struct block_device *bdev = bdev_by_name(name);

	if (bdev)
		sched_access(bdev, SIM_READ);
	return bdev && bdev->bd_md && !bdev->bd_md->set_up ? NULL : bdev;
}

int disk_resize(const char *name, sector_t sectors)
{
	struct block_device *bdev = named_disk(name);
	int r = disk_set_sectors(bdev->bd_simdisk, sectors);

	if (!r)
		bdev_set_sectors(bdev, sectors);
	return r;
}

/* A new world has opened none of them yet. */
static void bdev_discard(void)
{
	struct block_device *bdev;

	list_for_each_entry(bdev, &devices, bd_list)
		bdev->bd_openers = 0;
}

/* From the top down, so that what is found is the cause. */
static void bdev_check(void)
{
	struct block_device *bdev;

	harness_bio_check();
	dm_device_check();

	list_for_each_entry(bdev, &devices, bd_list)
		if (bdev->bd_openers)
			sim_fail("%s is still open at the end", bdev->bd_name);
}

static struct world_part bdev_part = {
	.name = "block devices",
	.check = bdev_check,
	.discard = bdev_discard,
};

static void __attribute__((constructor)) bdev_init(void)
{
	world_part_register(&bdev_part);
}
