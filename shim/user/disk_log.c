// SPDX-License-Identifier: GPL-2.0
/*
 * The write log: tells of each write, discard, write-zeroes and flush when it is issued and when it
 * has ended, in order.
 *
 * "Issued" is when the request passes this layer; whatever is below may let it take effect at any
 * time up to its end. Reads pass unmentioned.
 *
 * What the order in the log matters for is the listener's: he tells explorers.
 */
#include <stdlib.h>

#include "control.h"
#include "fake/disk_layer.h"

struct log_disk {
	struct disk disk;
	void (*event)(void *context, const struct disk_log_event *ev);
	void *context;
	u64 next_id;
};

static void log_submit(struct disk *disk, struct bio *bio)
{
	struct log_disk *log = (struct log_disk *)disk;
	struct disk_log_event ev = {
		.opf = bio->bi_opf,
		.sector = bio->bi_iter.bi_sector,
		.sectors = bio_sectors(bio),
	};
	struct sector_data data;

	if (bio_op(bio) != REQ_OP_READ) {
		bio->bi_disk_id = ev.id = log->next_id++;
		if (bio_op(bio) == REQ_OP_WRITE && ev.sectors) {
			/* What the request carries, from its own first sector on. */
			u32 offset = bio->bi_iter.bi_offset;

			data = *bio->bi_data;
			data.sectors = ev.sectors;
			if (data.tags)
				data.tags += offset;
			if (data.bytes)
				data.bytes += (size_t)offset * SECTOR_SIZE;
			if (data.literals)
				data.literals += offset;
			ev.data = &data;
		}
		log->event(log->context, &ev);
	}
	disk_pass(disk, bio);
}

static void log_ended(struct disk *disk, struct bio *bio, int error)
{
	struct log_disk *log = (struct log_disk *)disk;
	struct disk_log_event ev = {
		.id = bio->bi_disk_id,
		.completed = true,
		.opf = bio->bi_opf,
		.sector = bio->bi_iter.bi_sector,
		.sectors = bio_sectors(bio),
		.error = error,
	};

	if (bio_op(bio) == REQ_OP_READ)
		return;
	log->event(log->context, &ev);
}

static void log_destroy(struct disk *disk)
{
	free(disk);
}

static const struct disk_ops log_ops = {
	.kind = "log",
	.submit = log_submit,
	.ended = log_ended,
	.destroy = log_destroy,
};

struct disk *disk_log_create(struct disk *below,
			     void (*event)(void *context, const struct disk_log_event *ev),
			     void *context)
{
	struct log_disk *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->event = event;
	log->context = context;
	disk_init(&log->disk, &log_ops, below, 0);
	return &log->disk;
}
