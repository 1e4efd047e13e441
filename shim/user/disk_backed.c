// SPDX-License-Identifier: GPL-2.0
/* A disk whose contents are kept by the harness: each transfer is a call of its own functions. */
#include <stdlib.h>

#include "fake/disk_layer.h"

struct backed_disk {
	struct disk disk;
	const struct disk_backing *backing;
	void *context;
};

static void backed_read(struct disk *disk, sector_t sector, u32 count, struct sector_data *data,
			u32 offset)
{
	struct backed_disk *backed = (struct backed_disk *)disk;

	backed->backing->read(backed->context, sector, count, data, offset);
}

static void backed_write(struct disk *disk, sector_t sector, u32 count,
			 const struct sector_data *data, u32 offset)
{
	struct backed_disk *backed = (struct backed_disk *)disk;

	backed->backing->write(backed->context, sector, count, data, offset);
}

static void backed_zero(struct disk *disk, sector_t sector, sector_t count)
{
	struct backed_disk *backed = (struct backed_disk *)disk;

	backed->backing->zero(backed->context, sector, count);
}

/* Nobody searches such a disk for data: all of it may be. */
static sector_t backed_next_data(struct disk *disk, sector_t sector)
{
	return sector;
}

static u64 backed_memory(struct disk *disk)
{
	return sizeof(struct backed_disk);
}

static int backed_resize(struct disk *disk, sector_t sectors)
{
	return -EOPNOTSUPP;
}

static void backed_destroy(struct disk *disk)
{
	free(disk);
}

static const struct disk_ops backed_ops = {
	.kind = "backed",
	.submit = disk_bottom_submit,
	.destroy = backed_destroy,
	.read = backed_read,
	.write = backed_write,
	.zero = backed_zero,
	.next_data = backed_next_data,
	.memory = backed_memory,
	.resize = backed_resize,
};

struct disk *disk_backed_create(sector_t sectors, const struct disk_backing *backing, void *context)
{
	struct backed_disk *backed = calloc(1, sizeof(*backed));

	if (!backed)
		abort();
	backed->backing = backing;
	backed->context = context;
	disk_init(&backed->disk, &backed_ops, NULL, sectors);
	return &backed->disk;
}
