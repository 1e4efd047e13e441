// SPDX-License-Identifier: GPL-2.0
/*
 * One bio for any block device, made in the kernel, for what no system call is sure to make: see
 * struct ms_disk_bio.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "disk.h"

static blk_opf_t opf_of(const struct ms_disk_bio *args)
{
	static const enum req_op ops[] = {
		[MS_DISK_BIO_READ] = REQ_OP_READ,
		[MS_DISK_BIO_WRITE] = REQ_OP_WRITE,
		[MS_DISK_BIO_DISCARD] = REQ_OP_DISCARD,
		[MS_DISK_BIO_WRITE_ZEROES] = REQ_OP_WRITE_ZEROES,
	};
	blk_opf_t opf = ops[args->op];

	if (args->flags & MS_DISK_BIO_PREFLUSH)
		opf |= REQ_PREFLUSH;
	if (args->flags & MS_DISK_BIO_FUA)
		opf |= REQ_FUA;
	return opf;
}

static int add_zeroed_pages(struct bio *bio, size_t bytes)
{
	while (bytes) {
		unsigned int n = min_t(size_t, bytes, PAGE_SIZE);
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

		if (!page)
			return -ENOMEM;
		__bio_add_page(bio, page, n, 0);
		bytes -= n;
	}
	return 0;
}

/* By the vector, not by the iterator: the end of a bio has moved that on. */
static int copy_pages(struct bio *bio, u64 buffer, bool to_user)
{
	void __user *at = u64_to_user_ptr(buffer);
	struct bvec_iter_all iter;
	struct bio_vec *bv;

	bio_for_each_segment_all(bv, bio, iter) {
		void *data = page_address(bv->bv_page);

		if (to_user ? copy_to_user(at, data, bv->bv_len) :
			      copy_from_user(data, at, bv->bv_len))
			return -EFAULT;
		at += bv->bv_len;
	}
	return 0;
}

static int submit_to(struct block_device *bdev, struct ms_disk_bio *args)
{
	bool data = args->op == MS_DISK_BIO_READ || args->op == MS_DISK_BIO_WRITE;
	size_t bytes = (size_t)args->sectors << SECTOR_SHIFT;
	struct bio *bio;
	int r;

	bio = bio_alloc(bdev, data ? DIV_ROUND_UP(bytes, PAGE_SIZE) : 0, opf_of(args), GFP_KERNEL);
	bio->bi_iter.bi_sector = args->sector;
	if (data) {
		r = add_zeroed_pages(bio, bytes);
		if (!r && args->op == MS_DISK_BIO_WRITE)
			r = copy_pages(bio, args->buffer, false);
		if (r)
			goto out;
	} else {
		bio->bi_iter.bi_size = bytes;
	}
	args->error = submit_bio_wait(bio);
	r = 0;
	if (!args->error && args->op == MS_DISK_BIO_READ)
		r = copy_pages(bio, args->buffer, true);
out:
	bio_free_pages(bio);
	bio_put(bio);
	return r;
}

int ms_disk_submit(struct ms_disk_bio *args)
{
	struct ms_opened opened;
	int r;

	BUILD_BUG_ON(MS_DISK_MAX_SECTORS > BIO_MAX_VECS * PAGE_SECTORS);
	if (args->op > MS_DISK_BIO_WRITE_ZEROES)
		return -EINVAL;
	if (args->sectors > (args->op <= MS_DISK_BIO_WRITE ? MS_DISK_MAX_SECTORS :
							     UINT_MAX >> SECTOR_SHIFT))
		return -EINVAL;
	r = ms_open_bdev(MKDEV(args->major, args->minor), &opened);
	if (r)
		return r;
	r = submit_to(opened.bdev, args);
	ms_close_bdev(&opened);
	return r;
}
