// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target: a hostile image of a mikulas store (image_edit.h), and then operations on it, from the bytes behind the
 * edits: three for each, what, where and how much.
 *
 * Judged is what does not depend on data that may be damaged: nothing crashes, hangs, leaks or writes where it has no business;
 * the origin reads as written, whatever the store holds; a snapshot reads what was just written to it, and no
 * metadata; errors stick; the status is as specified. Where the offline check had called the image clean, everything is: snapshots keep their
 * contents, no error comes, and the store is clean afterwards.
 */
#include "fuzz.h"
#include "image.h"

#define OPS_MAX 48 /* some milliseconds */

static struct truth truth;
static const uint8_t *ops;
static size_t nr_ops;

/* Some chunk, or a part of one or two. */
static void range(struct truth *t, const uint8_t *op, sector_t *sector, u32 *sectors)
{
	unsigned int align = t->run->im->block / SECTOR_SIZE, chunk = t->run->chunk;

	*sector = (op[1] / 2 * (op[1] & 1 ? chunk : align)) % t->sectors;
	*sectors = op[2] & 1 ? chunk : align * (1 + op[2] / 2 % (2 * chunk / align));
	*sectors = min_t(sector_t, *sectors, t->sectors - *sector);
}

static void fail_once(struct truth *t, const uint8_t *op)
{
	struct world_disk *disk = op[1] & 1 ? t->run->origin : t->run->store;
	const struct disk_fault fault = {
		.ops = op[1] & 2 ? DISK_OP_READ : DISK_OP_WRITE,
		.skip = op[2] % 16,
		.count = 1,
		.error = -EIO,
	};

	/* An error may come now, and what was right may not be any more. */
	t->run->clean = false;
	t->run->faults = true;
	disk_error_add(disk->error, &fault);
}

/* False: there is no target any more. */
static bool operate(struct truth *t, const uint8_t *op)
{
	unsigned int snapshot = t->nr ? op[0] / 16 % t->nr : TRUTH_ORIGIN;
	sector_t sector;
	u32 sectors;

	range(t, op, &sector, &sectors);
	switch (op[0] % 16) {
	case 0: case 1: case 2:
		truth_write(t, TRUTH_ORIGIN, REQ_OP_WRITE | (op[2] & 0x80 ? REQ_FUA : 0), sector, sectors);
		break;
	case 3: case 4: case 5:
		truth_write(t, snapshot, REQ_OP_WRITE | (op[2] & 0x80 ? REQ_FUA : 0), sector, sectors);
		break;
	case 6:
		truth_write(t, TRUTH_ORIGIN, op[2] & 0x80 ? REQ_OP_DISCARD : REQ_OP_WRITE_ZEROES, sector, sectors);
		break;
	case 7:
		truth_write(t, op[1] & 1 ? snapshot : TRUTH_ORIGIN, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0);
		break;
	case 8: case 9:
		truth_create(t, op[1] & 1 ? snapshot : TRUTH_ORIGIN, op[2] & 1 ? DMCTL_NOFLUSH : 0);
		break;
	case 10: case 11:
		if (snapshot != TRUTH_ORIGIN)
			truth_delete(t, snapshot);
		break;
	case 12:
		truth_settle(t);
		break;
	case 13:
		return truth_reload(t);
	case 14:
		truth_verify(t);
		break;
	default:
		fail_once(t, op);
		break;
	}
	return true;
}

static void body(void *arg)
{
	struct image_run *run = arg;
	struct truth *t = &truth;

	if (!image_load(run))
		return;
	truth_begin(t, run);
	for (size_t i = 0; i < OPS_MAX && 3 * i + 2 < nr_ops; i++)
		if (!operate(t, ops + 3 * i))
			return;
	disk_error_clear(run->origin->error);
	disk_error_clear(run->store->error);
	truth_verify(t);
	image_unload(run);
	image_check(run, "at the end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_edit edits[IMAGE_EDITS_MAX];
	struct image_head head;

	if (image_input(data, size, &head, edits, &ops, &nr_ops))
		image_world(&head, edits, body);
	return 0;
}
