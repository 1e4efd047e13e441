// SPDX-License-Identifier: GPL-2.0
/*
 * Simulated disks: what all layers share. Passing requests down and results up, counting, and the
 * one place where a bottom's request waits for its turn.
 *
 * A request that has reached the bottom becomes an event that is due now: it transfers the data and
 * ends the request. Which of the events that are due comes next is the chooser's. So two requests
 * in flight take effect in either order, and a read may see a write that was submitted after it, as
 * on a real disk. Effect and end of a request are one moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/bio.h"
#include "fake/disk_layer.h"

void disk_init(struct disk *disk, const struct disk_ops *ops, struct disk *below, sector_t sectors)
{
	disk->ops = ops;
	disk->below = below;
	disk->sectors = sectors;
	if (!below)
		return;
	if (below->above)
		sim_fail("disk: a layer can have only one layer above it");
	below->above = disk;
	disk->sectors = below->sectors;
}

void disk_destroy(struct disk *disk)
{
	if (disk->above)
		sim_fail("disk: destroyed from the middle");
	while (disk) {
		struct disk *below = disk->below;

		if (disk->in_flight && world.active && disk->world == world.number)
			sim_fail("disk: destroyed with %u requests in flight", disk->in_flight);
		disk->ops->destroy(disk);
		disk = below;
	}
}

static struct disk *bottom_of(struct disk *disk)
{
	while (disk->below)
		disk = disk->below;
	return disk;
}

/* ---- counts ---- */

static void count_request(struct disk_counts *c, const struct bio *bio)
{
	u32 sectors = bio_sectors(bio);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		c->reads++;
		c->sectors_read += sectors;
		return;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		c->discards++;
		c->sectors_discarded += sectors;
		return;
	case REQ_OP_WRITE_ZEROES:
		c->write_zeroes++;
		return;
	default:
		break;
	}
	if (bio->bi_opf & REQ_PREFLUSH || bio_op(bio) == REQ_OP_FLUSH)
		c->flushes++;
	if (!sectors)
		return;
	c->writes++;
	c->sectors_written += sectors;
	c->preflush += !!(bio->bi_opf & REQ_PREFLUSH);
	c->fua += !!(bio->bi_opf & REQ_FUA);
	if (bio->bi_opf & REQ_META) {
		c->meta_writes++;
		c->meta_sectors_written += sectors;
	}
}

const struct disk_counts *disk_counts(struct disk *disk)
{
	return &disk->counts;
}

void disk_counts_reset(struct disk *disk)
{
	memset(&disk->counts, 0, sizeof(disk->counts));
}

sector_t disk_sectors(struct disk *disk)
{
	return disk->sectors;
}

/* ---- what explorers are told ---- */

/* Contents: by 4 KiB, which is what most requests are made of. */
#define TOUCH_SECTORS 8

static void touch(struct disk *bottom, sector_t sector, sector_t sectors, enum sim_access kind)
{
	sector_t block;

	if (!sched_explored() || !sectors)
		return;
	for (block = sector / TOUCH_SECTORS; block <= (sector + sectors - 1) / TOUCH_SECTORS;
	     block++)
		sched_access_part(bottom, (u32)block, kind);
}

/* ---- requests ---- */

void disk_enter_world(struct disk *disk)
{
	if (likely(disk->world == world.number))
		return;
	disk->world = world.number;
	disk->in_flight = 0;
	if (disk->ops->new_world)
		disk->ops->new_world(disk);
}

void disk_submit(struct disk *disk, struct bio *bio)
{
	sched_enter();
	disk_enter_world(disk);
	count_request(&disk->counts, bio);
	sched_exit();
	disk->ops->submit(disk, bio);
}

void disk_end(struct disk *disk, struct bio *bio, int error)
{
	for (; disk; disk = disk->above) {
		if (error)
			disk->counts.errors++;
		if (disk->ops->ended)
			disk->ops->ended(disk, bio, error);
	}
	if (error)
		bio->bi_status = errno_to_blk_status(error);
	/* As the block layer does: a bio that has ended has nothing left. */
	bio->bi_iter.bi_sector += bio_sectors(bio);
	bio->bi_iter.bi_offset += bio_sectors(bio);
	bio->bi_iter.bi_size = 0;
	bio_complete(bio);
}

static int transfer_locked(struct disk *disk, struct bio *bio)
{
	sector_t sector = bio->bi_iter.bi_sector;
	u32 sectors = bio_sectors(bio);

	/* Checked at submission, but a disk may have shrunk since. */
	sched_access(&disk->sectors, SIM_READ);
	if (sector + sectors > disk->sectors)
		return -EIO;
	touch(disk, sector, sectors, bio_op(bio) == REQ_OP_READ ? SIM_READ : SIM_WRITE);
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		disk->ops->read(disk, sector, sectors, bio->bi_data, bio->bi_iter.bi_offset);
		return 0;
	case REQ_OP_WRITE:
		if (sectors)
			disk->ops->write(disk, sector, sectors, bio->bi_data,
					 bio->bi_iter.bi_offset);
		return 0;
	case REQ_OP_FLUSH:
		return 0;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
	case REQ_OP_WRITE_ZEROES:
		disk->ops->zero(disk, sector, sectors);
		return 0;
	}
	return -EOPNOTSUPP;
}

/* 0 or -errno. */
static int transfer(struct disk *disk, struct bio *bio)
{
	int error;

	sched_enter();
	error = transfer_locked(disk, bio);
	sched_exit();
	return error;
}

void disk_wait(struct disk *disk, struct bio *bio, u64 when_ns,
	       void (*fn)(struct sim_event *event))
{
	struct sim_event *event = (struct sim_event *)bio->bi_event;

	bio->bi_disk = disk;
	sched_enter();
	disk->in_flight++;
	sched_exit();
	event->fn = fn;
#ifdef SHIM_WATCHED
	event->is_bio = true;
#endif
	event_add(event, when_ns);
}

struct bio *disk_waited(struct sim_event *event)
{
	struct bio *bio = container_of((u64(*)[7])event, struct bio, bi_event);

	sched_enter();
	bio->bi_disk->in_flight--;
	sched_exit();
	return bio;
}

static void bottom_event(struct sim_event *event)
{
	struct bio *bio = disk_waited(event);

	disk_end(bio->bi_disk, bio, transfer(bio->bi_disk, bio));
}

void disk_bottom_submit(struct disk *disk, struct bio *bio)
{
	if (bio->bi_disk_timed)
		disk_end(disk, bio, transfer(disk, bio));
	else
		disk_wait(disk, bio, 0, bottom_event);
}

/* ---- access outside of simulated time ---- */

static void check_range(struct disk *disk, sector_t sector, u32 sectors)
{
	if (sector > disk->sectors || sectors > disk->sectors - sector)
		sim_fail("disk: sectors %llu+%u are beyond the end, %llu", sector, sectors,
			 disk->sectors);
}

static void peek(struct disk *disk, sector_t sector, u32 sectors, struct sector_data *data)
{
	check_range(disk, sector, sectors);
	disk = bottom_of(disk);
	touch(disk, sector, sectors, SIM_READ);
	disk->ops->read(disk, sector, sectors, data, 0);
}

static void poke(struct disk *disk, sector_t sector, u32 sectors, const struct sector_data *data)
{
	check_range(disk, sector, sectors);
	disk = bottom_of(disk);
	touch(disk, sector, sectors, SIM_WRITE);
	disk->ops->write(disk, sector, sectors, data, 0);
}

void disk_peek(struct disk *disk, sector_t sector, u32 sectors, tag_t *tags)
{
	peek(disk, sector, sectors, &(struct sector_data){ .tags = tags, .sectors = sectors });
}

void disk_peek_bytes(struct disk *disk, sector_t sector, u32 sectors, void *bytes)
{
	peek(disk, sector, sectors, &(struct sector_data){ .bytes = bytes, .sectors = sectors });
}

void disk_poke(struct disk *disk, sector_t sector, u32 sectors, const tag_t *tags)
{
	poke(disk, sector, sectors,
	     &(struct sector_data){ .tags = (tag_t *)tags, .sectors = sectors });
}

void disk_poke_bytes(struct disk *disk, sector_t sector, u32 sectors, const void *bytes)
{
	poke(disk, sector, sectors,
	     &(struct sector_data){ .bytes = (u8 *)bytes, .sectors = sectors });
}

sector_t disk_next_data(struct disk *disk, sector_t sector)
{
	if (sector >= disk->sectors)
		return disk->sectors;
	disk = bottom_of(disk);
	return disk->ops->next_data(disk, sector);
}

u64 disk_memory_bytes(struct disk *disk)
{
	disk = bottom_of(disk);
	return disk->ops->memory(disk);
}

int disk_set_sectors(struct disk *disk, sector_t sectors)
{
	struct disk *bottom = bottom_of(disk);
	int r = bottom->ops->resize(bottom, sectors);

	if (r)
		return r;
	sched_access(&bottom->sectors, SIM_WRITE);
	for (disk = bottom; disk; disk = disk->above)
		disk->sectors = sectors;
	return 0;
}
