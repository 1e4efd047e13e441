// SPDX-License-Identifier: GPL-2.0
/*
 * Disks: shim/user/disk.h on the test module ms-disk, which does what the simulator's layers do
 * (ram, error and delay) in one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"

struct disk {
	char name[64];
	sector_t sectors;
	u32 number;
	bool made;	/* by disk_register(): not before the block size is known */
	struct disk_counts counts;
};

static void must(int r, const struct disk *d, const char *what)
{
	if (r)
		sim_fail("disk %s: %s: %s", d->name, what, strerror(-r));
}

struct disk *disk_ram_create(const char *name, sector_t sectors)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->sectors = sectors;
	return d;
}

struct disk *disk_file_create(const char *name, const char *path, sector_t sectors, bool create)
{
	fprintf(stderr, "%s: %s: disks in files are the simulator's\n", name, path);
	return NULL;
}

/* One module does all. */
struct disk *disk_error_create(struct disk *below)
{
	return below;
}

/* Service times are the simulator's: here it is as fast as it is. */
struct disk *disk_delay_create(struct disk *below, enum disk_model model)
{
	return below;
}

struct block_device *disk_register(const char *name, struct disk *d, unsigned int block_size)
{
	struct ms_disk_create args = { .sectors = d->sectors, .block_size = block_size };
	struct block_device *bdev;

	must(play_ms_disk(MS_DISK_CREATE, &args), d, "create");
	d->number = args.number;
	d->made = true;
	bdev = bdev_add(name, args.major, args.minor);
	if (!bdev)
		must(-EEXIST, d, "node");
	bdev->bd_simdisk = d;
	return bdev;
}

void disk_unregister(const char *name)
{
	bdev_remove(name);
}

void disk_destroy(struct disk *d)
{
	if (d->made)
		must(play_ms_disk(MS_DISK_REMOVE, &d->number), d, "remove");
	free(d);
}

sector_t disk_sectors(struct disk *d)
{
	return d->sectors;
}

int disk_resize(const char *name, sector_t sectors)
{
	struct disk *d = disk_bdev(name)->bd_simdisk;
	struct ms_disk_resize args = { .number = d->number, .sectors = sectors };
	int r = play_ms_disk(MS_DISK_RESIZE, &args);

	if (!r)
		d->sectors = sectors;
	return r;
}

/* ---- faults, holds, counts ---- */

int disk_error_add(struct disk *d, const struct disk_fault *fault)
{
	struct ms_disk_fault args = {
		.number = d->number,
		.error = fault->error,
		.match = { .ops = fault->ops, .start = fault->start, .len = fault->len },
		.skip = fault->skip,
		.count = fault->count,
	};

	if (fault->per_million)
		sim_fail("disk %s: chance= is the simulator's, whose dice can be thrown again", d->name);
	must(play_ms_disk(MS_DISK_ADD_FAULT, &args), d, "fault");
	return 0;
}

void disk_error_clear(struct disk *d)
{
	must(play_ms_disk(MS_DISK_CLEAR_FAULTS, &d->number), d, "fault clear");
}

int disk_delay_hold_next(struct disk *d, unsigned int ops, sector_t start, sector_t len, u64 count)
{
	struct ms_disk_hold args = {
		.number = d->number,
		.match = { .ops = ops, .start = start, .len = len },
		.count = count,
	};

	must(play_ms_disk(MS_DISK_ADD_HOLD, &args), d, "hold");
	return args.handle;
}

void disk_delay_release(struct disk *d, int handle)
{
	struct ms_disk_release args = { .number = d->number, .handle = handle }; /* -1: all */

	must(play_ms_disk(MS_DISK_RELEASE, &args), d, "release");
}

const struct disk_counts *disk_counts(struct disk *d)
{
	struct ms_disk_counts c = { .number = d->number };

	must(play_ms_disk(MS_DISK_GET_COUNTS, &c), d, "stat");
	d->counts = (struct disk_counts){
		.reads = c.reads,
		.writes = c.writes,
		.discards = c.discards,
		.write_zeroes = c.write_zeroes,
		.flushes = c.flushes,
		.preflush = c.preflush,
		.fua = c.fua,
		.sectors_read = c.sectors_read,
		.sectors_written = c.sectors_written,
		.sectors_discarded = c.sectors_discarded,
		.meta_writes = c.meta_writes,
		.meta_sectors_written = c.meta_sectors_written,
		.errors = c.errors,
	};
	return &d->counts;
}

/* ---- contents ---- */

static void contents(struct disk *d, unsigned long cmd, sector_t sector, u32 sectors, u8 *bytes)
{
	while (sectors) {
		u32 n = sectors < MS_DISK_MAX_SECTORS ? sectors : MS_DISK_MAX_SECTORS;
		struct ms_disk_contents args = {
			.number = d->number,
			.sectors = n,
			.sector = sector,
			.buffer = (uintptr_t)bytes,
		};

		must(play_ms_disk(cmd, &args), d, cmd == MS_DISK_PEEK ? "peek" : "poke");
		bytes += (size_t)n * SECTOR_SIZE;
		sector += n;
		sectors -= n;
	}
}

void disk_peek_bytes(struct disk *d, sector_t sector, u32 sectors, void *bytes)
{
	contents(d, MS_DISK_PEEK, sector, sectors, bytes);
}

void disk_poke_bytes(struct disk *d, sector_t sector, u32 sectors, const void *bytes)
{
	contents(d, MS_DISK_POKE, sector, sectors, (u8 *)bytes);
}

void disk_peek(struct disk *d, sector_t sector, u32 sectors, tag_t *tags)
{
	u8 bytes[SECTOR_SIZE];

	for (u32 i = 0; i < sectors; i++) {
		disk_peek_bytes(d, sector + i, 1, bytes);
		if (!tag_recognise(bytes, &tags[i]))
			tags[i] = tag_of_literal(bytes);
	}
}

void disk_poke(struct disk *d, sector_t sector, u32 sectors, const tag_t *tags)
{
	u8 bytes[SECTOR_SIZE];

	for (u32 i = 0; i < sectors; i++) {
		tag_expand(tags[i], bytes);
		disk_poke_bytes(d, sector + i, 1, bytes);
	}
}

sector_t disk_next_data(struct disk *d, sector_t sector)
{
	struct ms_disk_next args = { .number = d->number, .sector = sector };

	if (sector >= d->sectors)
		return d->sectors;
	must(play_ms_disk(MS_DISK_NEXT_DATA, &args), d, "look for data");
	return args.sector;
}
