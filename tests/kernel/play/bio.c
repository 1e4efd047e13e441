// SPDX-License-Identifier: GPL-2.0
/*
 * I/O of a script.
 *
 * Reads and writes within the device go the way of a program: pread() and pwrite() with O_DIRECT,
 * which make one bio of up to 1 MiB; a flush is fsync(). The rest, which no system call is sure to turn
 * into the one bio that the script means, is submitted by ms-disk: FUA (RWF_DSYNC would flush, too),
 * PREFLUSH with data, discard and write-zeroes (whose ioctl()s cut at granularities), and what ends
 * beyond the device (which read() and write() cut short).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "play.h"

struct bio *sim_bio_alloc(struct block_device *bdev, blk_opf_t opf, sector_t sector, u32 sectors,
			  tag_t *tags)
{
	struct bio *bio = calloc(1, sizeof(*bio) + sizeof(struct sector_data));

	if (!bio)
		abort();
	bio->bi_bdev = bdev;
	bio->bi_opf = opf;
	bio->bi_iter.bi_sector = sector;
	bio->bi_iter.bi_size = sectors << SECTOR_SHIFT;
	bio->bi_data = (struct sector_data *)(bio + 1);
	bio->bi_data->tags = tags;
	bio->bi_data->sectors = sectors;
	return bio;
}

static bool has_data(const struct bio *bio)
{
	return bio_op(bio) == REQ_OP_READ || bio_op(bio) == REQ_OP_WRITE;
}

/* Is it something that system calls do exactly? */
static bool for_system_call(int fd, const struct bio *bio)
{
	u64 end = bio_end_sector(bio) << SECTOR_SHIFT, size;
	int block;

	if (!bio_sectors(bio))
		return bio_op(bio) == REQ_OP_WRITE;
	if (!has_data(bio) || bio->bi_opf & (REQ_PREFLUSH | REQ_FUA))
		return false;
	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &block))
		return false;
	return end <= size && !((end | bio->bi_iter.bi_size) & (block - 1));
}

static int by_system_call(int fd, const struct bio *bio, u8 *bytes)
{
	off_t at = (off_t)(bio->bi_iter.bi_sector << SECTOR_SHIFT);
	size_t left = bio->bi_iter.bi_size;
	ssize_t n;

	if (!left)
		return fsync(fd) ? -errno : 0;
	while (left) {
		if (bio_op(bio) == REQ_OP_READ)
			n = pread(fd, bytes, left, at);
		else
			n = pwrite(fd, bytes, left, at);
		if (n <= 0)
			return n ? -errno : -EIO;
		bytes += n;
		at += n;
		left -= n;
	}
	return 0;
}

/* A piece that fits into one bio. */
static int submit_piece(const struct bio *bio, u8 *bytes, u32 offset, u32 sectors)
{
	static const struct {
		enum req_op op;
		u32 as;
	} ops[] = {
		{ REQ_OP_READ, MS_DISK_BIO_READ },
		{ REQ_OP_WRITE, MS_DISK_BIO_WRITE },
		{ REQ_OP_DISCARD, MS_DISK_BIO_DISCARD },
		{ REQ_OP_WRITE_ZEROES, MS_DISK_BIO_WRITE_ZEROES },
	};
	struct ms_disk_bio args = {
		.major = MAJOR(bio->bi_bdev->bd_dev),
		.minor = MINOR(bio->bi_bdev->bd_dev),
		.flags = (bio->bi_opf & REQ_PREFLUSH ? MS_DISK_BIO_PREFLUSH : 0) |
			 (bio->bi_opf & REQ_FUA ? MS_DISK_BIO_FUA : 0),
		.sector = bio->bi_iter.bi_sector + offset,
		.sectors = sectors,
		.buffer = (uintptr_t)(bytes + (size_t)offset * SECTOR_SIZE),
	};
	int r;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == bio_op(bio))
			args.op = ops[i].as;
	r = play_ms_disk(MS_DISK_SUBMIT, &args);
	return r ? r : args.error;
}

static int by_ms_disk(const struct bio *bio, u8 *bytes)
{
	u32 total = bio_sectors(bio), piece, done = 0;
	int r = 0;

	do {
		piece = total - done;
		if (has_data(bio) && piece > MS_DISK_MAX_SECTORS)
			piece = MS_DISK_MAX_SECTORS;
		r = submit_piece(bio, bytes, done, piece);
		done += piece;
	} while (!r && done < total);
	return r;
}

/* Without the lock. */
static int perform(const struct bio *bio, u8 *bytes)
{
	int fd = open(bio->bi_bdev->bd_name, O_RDWR | O_DIRECT | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	if (for_system_call(fd, bio))
		r = by_system_call(fd, bio, bytes);
	else
		r = by_ms_disk(bio, bytes);
	close(fd);
	return r;
}

static u8 *bytes_of(const struct bio *bio)
{
	u8 *bytes = NULL;

	if (!bio->bi_data->tags)
		return NULL;
	if (posix_memalign((void **)&bytes, 4096, bio->bi_iter.bi_size))
		abort();
	for (u32 i = 0; bio_op(bio) == REQ_OP_WRITE && i < bio_sectors(bio); i++)
		tag_expand(bio->bi_data->tags[i], bytes + (size_t)i * SECTOR_SIZE);
	return bytes;
}

static void fill_tags(const struct bio *bio, const u8 *bytes)
{
	tag_t *tags = bio->bi_data->tags;

	for (u32 i = 0; bio_op(bio) == REQ_OP_READ && i < bio_sectors(bio); i++) {
		const u8 *b = bytes + (size_t)i * SECTOR_SIZE;

		if (!tag_recognise(b, &tags[i]))
			tags[i] = tag_of_literal(b);
	}
}

int sim_bio_wait(struct bio *bio)
{
	u8 *bytes = bytes_of(bio);
	int r;

	play_leave();
	r = perform(bio, bytes);
	play_enter();
	if (!r && bytes)
		fill_tags(bio, bytes);
	free(bytes);
	free(bio);
	return r;
}
