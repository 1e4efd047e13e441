/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Block layer of the userspace shim: bios, block devices, limits.
 *
 * Names, values and meaning are Linux 6.1's (linux/blk_types.h, bio.h, blkdev.h). One thing
 * differs: a bio carries its contents not in pages but in a struct sector_data (see disk.h), shared
 * by all clones and splits of it, at an offset which bi_iter keeps and bio_advance() moves. A bio
 * that a disk has completed has nothing left in bi_iter, as in the kernel: who needs its sector
 * later keeps it.
 */
#ifndef SHIM_BLOCK_H
#define SHIM_BLOCK_H

#include "shim_types.h"
#include "shim_mem.h"
#include "shim_sync.h"

#ifndef SECTOR_SHIFT
#define SECTOR_SHIFT 9
#endif
#ifndef SECTOR_SIZE
#define SECTOR_SIZE (1 << SECTOR_SHIFT)
#endif

/* ---- device numbers (libc has macros of other names for its own, wider ones) ---- */

#define MINORBITS 20
#define MINORMASK ((1U << MINORBITS) - 1)
#define MAJOR(dev) ((unsigned int)((dev) >> MINORBITS))
#define MINOR(dev) ((unsigned int)((dev) & MINORMASK))
#define MKDEV(ma, mi) (((dev_t)(ma) << MINORBITS) | (mi))

typedef unsigned int fmode_t;
#define FMODE_READ ((fmode_t)0x1)
#define FMODE_WRITE ((fmode_t)0x2)
#define FMODE_EXCL ((fmode_t)0x80)

/* ---- status ---- */

#define BLK_STS_OK ((__force blk_status_t)0)
#define BLK_STS_NOTSUPP ((__force blk_status_t)1)
#define BLK_STS_TIMEOUT ((__force blk_status_t)2)
#define BLK_STS_NOSPC ((__force blk_status_t)3)
#define BLK_STS_TRANSPORT ((__force blk_status_t)4)
#define BLK_STS_TARGET ((__force blk_status_t)5)
#define BLK_STS_NEXUS ((__force blk_status_t)6)
#define BLK_STS_MEDIUM ((__force blk_status_t)7)
#define BLK_STS_PROTECTION ((__force blk_status_t)8)
#define BLK_STS_RESOURCE ((__force blk_status_t)9)
#define BLK_STS_IOERR ((__force blk_status_t)10)
#define BLK_STS_DM_REQUEUE ((__force blk_status_t)11)
#define BLK_STS_AGAIN ((__force blk_status_t)12)
#define BLK_STS_DEV_RESOURCE ((__force blk_status_t)13)
#define BLK_STS_OFFLINE ((__force blk_status_t)17)

blk_status_t errno_to_blk_status(int error);
int blk_status_to_errno(blk_status_t status);

/* ---- operations and flags ---- */

enum req_op {
	REQ_OP_READ = (__force blk_opf_t)0,
	REQ_OP_WRITE = (__force blk_opf_t)1,
	REQ_OP_FLUSH = (__force blk_opf_t)2,
	REQ_OP_DISCARD = (__force blk_opf_t)3,
	REQ_OP_SECURE_ERASE = (__force blk_opf_t)5,
	REQ_OP_WRITE_ZEROES = (__force blk_opf_t)9,
};

#define REQ_OP_BITS 8
#define REQ_OP_MASK ((__force blk_opf_t)((1 << REQ_OP_BITS) - 1))

#define REQ_FAILFAST_DEV ((__force blk_opf_t)(1U << 8))
#define REQ_SYNC ((__force blk_opf_t)(1U << 11))
#define REQ_META ((__force blk_opf_t)(1U << 12))
#define REQ_PRIO ((__force blk_opf_t)(1U << 13))
#define REQ_NOMERGE ((__force blk_opf_t)(1U << 14))
#define REQ_IDLE ((__force blk_opf_t)(1U << 15))
#define REQ_INTEGRITY ((__force blk_opf_t)(1U << 16))
#define REQ_FUA ((__force blk_opf_t)(1U << 17))
#define REQ_PREFLUSH ((__force blk_opf_t)(1U << 18))
#define REQ_RAHEAD ((__force blk_opf_t)(1U << 19))
#define REQ_BACKGROUND ((__force blk_opf_t)(1U << 20))
#define REQ_NOWAIT ((__force blk_opf_t)(1U << 21))
#define REQ_POLLED ((__force blk_opf_t)(1U << 23))
#define REQ_NOUNMAP ((__force blk_opf_t)(1U << 27))

/* ---- block devices ---- */

struct disk;
struct mapped_device;

struct block_device {
	dev_t bd_dev;

	/* the shim's */
	sector_t bd_nr_sectors;
	unsigned int bd_block_size;
	unsigned int bd_max_discard_sectors;	  /* 0: discards are refused */
	unsigned int bd_max_write_zeroes_sectors; /* 0: refused */
	bool bd_write_cache;	  /* flushes mean something */
	bool bd_read_only;	  /* a write is a finding: the kernel only complains */
	int bd_openers;
	int bd_bios;		  /* of a dm device: not complete; they hold it open */
	struct disk *bd_simdisk;	/* a simulated disk, or */
	struct mapped_device *bd_md;	/* a dm device */
	struct list_head bd_list;
	char bd_name[64];
};

struct queue_limits {
	unsigned int max_hw_sectors;
	unsigned int max_sectors;
	unsigned int chunk_sectors;
	unsigned int physical_block_size;
	unsigned int logical_block_size;
	unsigned int io_min;
	unsigned int io_opt;
	unsigned int max_discard_sectors;
	unsigned int max_hw_discard_sectors;
	unsigned int max_secure_erase_sectors;
	unsigned int max_write_zeroes_sectors;
	unsigned int discard_granularity;
};

static inline sector_t bdev_nr_sectors(struct block_device *bdev)
{
	return READ_ONCE(bdev->bd_nr_sectors);
}

static inline unsigned int bdev_logical_block_size(struct block_device *bdev)
{
	return bdev->bd_block_size;
}

static inline int bdev_read_only(struct block_device *bdev)
{
	return bdev->bd_read_only;
}

static inline unsigned int bdev_max_discard_sectors(struct block_device *bdev)
{
	return bdev->bd_max_discard_sectors;
}

static inline unsigned int bdev_write_zeroes_sectors(struct block_device *bdev)
{
	return bdev->bd_max_write_zeroes_sectors;
}

/* Sends an empty flush and waits. 0 or -errno. */
int blkdev_issue_flush(struct block_device *bdev);
/* By write-zeroes where the device takes them, else by writing. @flags: none are known. */
int blkdev_issue_zeroout(struct block_device *bdev, sector_t sector, sector_t nr_sects,
			 gfp_t gfp_mask, unsigned int flags);

/* ---- bios ---- */

struct bio;
struct sector_data;
typedef void (bio_end_io_t)(struct bio *);

struct bvec_iter {
	sector_t bi_sector;
	unsigned int bi_size;	/* bytes left */
	unsigned int bi_offset; /* the shim's: sectors of bi_data already passed */
};

struct bio {
	struct bio *bi_next;
	struct block_device *bi_bdev;
	blk_opf_t bi_opf;
	unsigned short bi_flags;
	blk_status_t bi_status;
	struct bvec_iter bi_iter;
	bio_end_io_t *bi_end_io;
	void *bi_private;

	/* the shim's */
	struct sector_data *bi_data;	/* contents; NULL: carries none */
	struct block_device *bi_held;	/* that counts it in bd_bios */
	int __bi_remaining;		/* parts not yet completed */
	u32 bi_state;			/* who owns it: finds double completions and use after free */
	bool bi_disk_timed;		/* a layer has spent the service time */
	int bi_disk_error;		/* injected */
	struct disk *bi_disk;		/* where it waits */
	u64 bi_disk_id;			/* of the write log */
	u64 bi_event[7];		/* struct sim_event: its completion, to come */
};

#define bio_sectors(bio) ((bio)->bi_iter.bi_size >> SECTOR_SHIFT)
#define bio_end_sector(bio) ((bio)->bi_iter.bi_sector + bio_sectors(bio))

static inline enum req_op bio_op(const struct bio *bio)
{
	return (__force enum req_op)(bio->bi_opf & REQ_OP_MASK);
}

static inline bool op_is_write(blk_opf_t op)
{
	return !!(op & (__force blk_opf_t)1);
}

#ifndef READ
#define READ 0
#define WRITE 1
#endif
#define bio_data_dir(bio) (op_is_write(bio_op(bio)) ? WRITE : READ)

static inline bool op_is_flush(blk_opf_t op)
{
	return !!(op & (REQ_FUA | REQ_PREFLUSH));
}

static inline bool op_is_discard(blk_opf_t op)
{
	return (op & REQ_OP_MASK) == REQ_OP_DISCARD;
}

static inline void bio_set_dev(struct bio *bio, struct block_device *bdev)
{
	bio->bi_bdev = bdev;
}

static inline void bio_clear_polled(struct bio *bio)
{
	bio->bi_opf &= ~REQ_POLLED;
}

/* Fills with zeroes what bi_iter covers. */
void zero_fill_bio(struct bio *bio);
void bio_advance(struct bio *bio, unsigned int bytes);

/* Completion: each bio exactly once (per part); a second one is a finding. */
void bio_endio(struct bio *bio);

static inline void bio_io_error(struct bio *bio)
{
	bio->bi_status = BLK_STS_IOERR;
	bio_endio(bio);
}

/* May sleep: a finding where that is forbidden. */
void submit_bio_noacct(struct bio *bio);

/*
 * Around several submissions: the kernel may then make one request of neighbours. Here it keeps
 * nothing back, but knows who has begun and not ended.
 */
struct blk_plug {
	void *thread;
};

void blk_start_plug(struct blk_plug *plug);
void blk_finish_plug(struct blk_plug *plug);

/* The harness's entry: works in interrupts too. */
void submit_bio(struct bio *bio);
void bio_put(struct bio *bio);

/* ---- lists of bios ---- */

struct bio_list {
	struct bio *head;
	struct bio *tail;
};

#define BIO_EMPTY_LIST { NULL, NULL }

#define bio_list_for_each(bio, bl) for (bio = (bl)->head; bio; bio = bio->bi_next)

static inline int bio_list_empty(const struct bio_list *bl)
{
	return !bl->head;
}

static inline void bio_list_init(struct bio_list *bl)
{
	bl->head = bl->tail = NULL;
}

static inline unsigned int bio_list_size(const struct bio_list *bl)
{
	unsigned int n = 0;
	struct bio *bio;

	bio_list_for_each(bio, bl)
		n++;
	return n;
}

static inline void bio_list_add(struct bio_list *bl, struct bio *bio)
{
	bio->bi_next = NULL;
	if (bl->tail)
		bl->tail->bi_next = bio;
	else
		bl->head = bio;
	bl->tail = bio;
}

static inline void bio_list_add_head(struct bio_list *bl, struct bio *bio)
{
	bio->bi_next = bl->head;
	bl->head = bio;
	if (!bl->tail)
		bl->tail = bio;
}

static inline void bio_list_merge(struct bio_list *bl, struct bio_list *bl2)
{
	if (!bl2->head)
		return;
	if (bl->tail)
		bl->tail->bi_next = bl2->head;
	else
		bl->head = bl2->head;
	bl->tail = bl2->tail;
}

static inline void bio_list_merge_head(struct bio_list *bl, struct bio_list *bl2)
{
	if (!bl2->head)
		return;
	if (bl->head)
		bl2->tail->bi_next = bl->head;
	else
		bl->tail = bl2->tail;
	bl->head = bl2->head;
}

static inline struct bio *bio_list_peek(struct bio_list *bl)
{
	return bl->head;
}

static inline struct bio *bio_list_pop(struct bio_list *bl)
{
	struct bio *bio = bl->head;

	if (bio) {
		bl->head = bio->bi_next;
		if (!bl->head)
			bl->tail = NULL;
		bio->bi_next = NULL;
	}
	return bio;
}

static inline struct bio *bio_list_get(struct bio_list *bl)
{
	struct bio *bio = bl->head;

	bl->head = bl->tail = NULL;
	return bio;
}

#endif /* SHIM_BLOCK_H */
