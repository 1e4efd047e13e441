/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ms-disk: what a program asks of it, by ioctl() on /dev/ms-disk. Shared by the module and by the
 * script player.
 *
 * A disk is known by its number. All requests return 0, or -1 with errno.
 */
#ifndef MS_DISK_H
#define MS_DISK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Kinds of requests, as a mask; a write with PREFLUSH is both. */
#define MS_DISK_READ 1
#define MS_DISK_WRITE 2
#define MS_DISK_FLUSH 4
#define MS_DISK_DISCARD 8 /* and write-zeroes */

#define MS_DISK_FOR_EVER (~0ULL)
#define MS_DISK_ALL (~0U) /* of the holds */

struct ms_disk_create {
	__u64 sectors;
	__u32 block_size;	/* 512 ... 4096 */
	__u32 number;		/* out: the lowest that is free */
	__u32 major, minor;	/* out */
};

struct ms_disk_resize {
	__u32 number, pad;
	__u64 sectors;
};

/*
 * Which requests: those of @ops that touch [start, start + len); 0, 0 is everywhere, and an empty
 * flush only matches that.
 */
struct ms_disk_match {
	__u32 ops, pad;
	__u64 start, len;
};

/* Of several rules the first that matches and is not used up decides. */
struct ms_disk_fault {
	__u32 number;
	__s32 error;		/* negative */
	struct ms_disk_match match;
	__u64 skip;		/* let so many pass first */
	__u64 count;		/* then fail so many */
};

struct ms_disk_hold {
	__u32 number;
	__u32 handle;		/* out */
	struct ms_disk_match match;
	__u64 count;		/* so many requests; those after them pass */
};

struct ms_disk_release {
	__u32 number;
	__u32 handle;		/* or MS_DISK_ALL */
};

/* Since the creation; @number is in. */
struct ms_disk_counts {
	__u32 number, pad;
	__u64 reads, writes, discards, write_zeroes;
	__u64 flushes;		/* empty ones, and PREFLUSH */
	__u64 preflush, fua;	/* writes that carried them */
	__u64 sectors_read, sectors_written, sectors_discarded;
	__u64 meta_writes, meta_sectors_written;
	__u64 errors;
};

/* Contents, past faults, holds, counts and power. */
struct ms_disk_contents {
	__u32 number;
	__u32 sectors;		/* at most MS_DISK_MAX_SECTORS */
	__u64 sector;
	__u64 buffer;		/* address */
};

/* The next sector >= @sector that may hold something; the size of the disk if there is none. */
struct ms_disk_next {
	__u32 number, pad;
	__u64 sector;		/* in and out */
};

#define MS_DISK_MAX_SECTORS 2048

enum ms_disk_bio_op {
	MS_DISK_BIO_READ,
	MS_DISK_BIO_WRITE,	/* empty: a flush, with MS_DISK_BIO_PREFLUSH */
	MS_DISK_BIO_DISCARD,
	MS_DISK_BIO_WRITE_ZEROES,
};

#define MS_DISK_BIO_PREFLUSH 1
#define MS_DISK_BIO_FUA 2

/*
 * One bio, of which no system call is sure to make exactly this: with PREFLUSH and data, with FUA
 * and no flush behind it, beyond the end of the device. Any block device; returns when it has
 * ended.
 */
struct ms_disk_bio {
	__u32 major, minor;
	__u32 op, flags;
	__u64 sector;
	__u32 sectors;		/* with data: at most MS_DISK_MAX_SECTORS */
	__s32 error;		/* out: 0 or negative, what the bio ended with */
	__u64 buffer;		/* address */
};

#define MS_DISK_IOC 0xB5
#define MS_DISK_CREATE _IOWR(MS_DISK_IOC, 0, struct ms_disk_create)
#define MS_DISK_REMOVE _IOW(MS_DISK_IOC, 1, __u32) /* EBUSY while it is open */
#define MS_DISK_RESIZE _IOW(MS_DISK_IOC, 2, struct ms_disk_resize)
#define MS_DISK_ADD_FAULT _IOW(MS_DISK_IOC, 3, struct ms_disk_fault)
#define MS_DISK_CLEAR_FAULTS _IOW(MS_DISK_IOC, 4, __u32)
#define MS_DISK_ADD_HOLD _IOWR(MS_DISK_IOC, 5, struct ms_disk_hold)
#define MS_DISK_RELEASE _IOW(MS_DISK_IOC, 6, struct ms_disk_release)
#define MS_DISK_GET_COUNTS _IOWR(MS_DISK_IOC, 7, struct ms_disk_counts)
#define MS_DISK_PEEK _IOW(MS_DISK_IOC, 8, struct ms_disk_contents)
#define MS_DISK_POKE _IOW(MS_DISK_IOC, 9, struct ms_disk_contents)
#define MS_DISK_NEXT_DATA _IOWR(MS_DISK_IOC, 10, struct ms_disk_next)
/*
 * All disks at one moment: what is in flight or held, and all that comes later, fails and changes
 * nothing. For good: the contents are for a new disk, by PEEK and POKE.
 */
#define MS_DISK_POWER_OFF _IO(MS_DISK_IOC, 11)
#define MS_DISK_SUBMIT _IOWR(MS_DISK_IOC, 12, struct ms_disk_bio)

#endif /* MS_DISK_H */
