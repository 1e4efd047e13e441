// SPDX-License-Identifier: GPL-2.0
/*
 * Block devices by the names that the script gives them.
 *
 * Each has a node of that name in a folder of its own, which is the current one: the kernel looks up the
 * devices that a table names by the current folder of who loads it, so that tables need no change.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "play.h"

static char folder[32];
static LIST_HEAD(devices);

struct block_device *disk_bdev(const char *name)
{
	struct block_device *bdev;

	list_for_each_entry(bdev, &devices, bd_list)
		if (!strcmp(bdev->bd_name, name))
			return bdev;
	return NULL;
}

struct block_device *bdev_add(const char *name, unsigned int major, unsigned int minor)
{
	struct block_device *bdev = calloc(1, sizeof(*bdev));

	if (!bdev)
		abort();
	if (disk_bdev(name) || strlen(name) >= sizeof(bdev->bd_name) || strchr(name, '/') ||
	    mknod(name, S_IFBLK | 0600, makedev(major, minor))) {
		free(bdev);
		return NULL;
	}
	strcpy(bdev->bd_name, name);
	bdev->bd_dev = MKDEV(major, minor);
	list_add_tail(&bdev->bd_list, &devices);
	return bdev;
}

void bdev_remove(const char *name)
{
	struct block_device *bdev = disk_bdev(name);

	if (!bdev)
		return;
	unlink(name);
	list_del(&bdev->bd_list);
	free(bdev);
}

void bdev_start(void)
{
	strcpy(folder, "/tmp/play.XXXXXX");
	if (!mkdtemp(folder) || chdir(folder))
		sim_fail("%s: %s", folder, strerror(errno));
}

void bdev_stop(void)
{
	struct block_device *bdev, *next;

	list_for_each_entry_safe(bdev, next, &devices, bd_list)
		bdev_remove(bdev->bd_name);
	if (!chdir("/"))
		rmdir(folder);
}
