/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of ms-disk.
 *
 *   medium.c   contents: sectors in pages, and nothing else
 *   disk.c     a block device: requests, rules, counts
 *   submit.c   one bio for any block device
 *   control.c  /dev/ms-disk; the module
 *   compat.h   what differs between kernel versions
 */
#ifndef MS_DISK_DISK_H
#define MS_DISK_DISK_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "ms-disk.h"

/* Sectors of zeroes have no page, or a page of zeroes. */
struct ms_medium {
	struct xarray pages;
	sector_t sectors;
};

void ms_medium_init(struct ms_medium *m, sector_t sectors);
void ms_medium_exit(struct ms_medium *m);
void ms_medium_resize(struct ms_medium *m, sector_t sectors);
/* All inside of the medium. */
void ms_medium_read(struct ms_medium *m, sector_t sector, void *buffer, size_t bytes);
/* 0 or -ENOMEM; allocates with GFP_NOIO. */
int ms_medium_write(struct ms_medium *m, sector_t sector, const void *buffer, size_t bytes);
void ms_medium_zero(struct ms_medium *m, sector_t sector, sector_t sectors);
sector_t ms_medium_next_data(struct ms_medium *m, sector_t sector);

struct ms_rule {
	struct list_head list;
	struct ms_disk_match match;
	u64 skip, left;
	int error;
};

struct ms_hold {
	struct list_head list;
	u32 handle;
	struct ms_disk_match match;
	u64 left;		/* so many more */
	struct bio_list bios;
};

/*
 * medium_lock is held around each request that is served: contents, rules, size and power change
 * between two requests, never within one. Then @lock.
 */
struct ms_disk {
	struct list_head list;	/* of all disks, in order of creation: control.c's lock */
	u32 number;
	struct gendisk *gd;
	struct work_struct work; /* serves @queue, in order */

	struct mutex medium_lock; /* what follows, up to the next lock */
	struct ms_medium medium;
	struct list_head rules;
	bool off;		/* the power is */

	spinlock_t lock;	/* what follows */
	struct bio_list queue;
	struct list_head holds;
	u32 next_handle;
	struct ms_disk_counts counts;
};

int ms_disk_init(void);
void ms_disk_exit(void);
struct ms_disk *ms_disk_create(u32 number, struct ms_disk_create *args);
/* 0 or -EBUSY. */
int ms_disk_destroy(struct ms_disk *d);
void ms_disk_resize(struct ms_disk *d, sector_t sectors);
int ms_disk_add_fault(struct ms_disk *d, const struct ms_disk_fault *f);
void ms_disk_clear_faults(struct ms_disk *d);
int ms_disk_add_hold(struct ms_disk *d, struct ms_disk_hold *args);
/* -ENOENT: there is no such hold. */
int ms_disk_release(struct ms_disk *d, u32 handle);
void ms_disk_get_counts(struct ms_disk *d, struct ms_disk_counts *counts);

/* submit.c: 0 or -errno; what the bio itself ended with is in args->error. */
int ms_disk_submit(struct ms_disk_bio *args);

#endif /* MS_DISK_DISK_H */
