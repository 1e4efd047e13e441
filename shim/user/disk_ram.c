// SPDX-License-Identifier: GPL-2.0
/* A disk in memory: disk_map.c behind the interface of a layer. */
#include <stdio.h>
#include <stdlib.h>

#include "disk_map.h"
#include "fake/disk_layer.h"

struct ram_disk {
	struct disk disk;
	struct disk_map *map;
};

static inline struct disk_map *map_of(struct disk *disk)
{
	return ((struct ram_disk *)disk)->map;
}

static void ram_read(struct disk *disk, sector_t sector, u32 count, struct sector_data *data,
		     u32 offset)
{
	disk_map_read(map_of(disk), sector, count, data, offset);
}

static void ram_write(struct disk *disk, sector_t sector, u32 count,
		      const struct sector_data *data, u32 offset)
{
	disk_map_write(map_of(disk), sector, count, data, offset);
}

static void ram_zero(struct disk *disk, sector_t sector, sector_t count)
{
	disk_map_zero(map_of(disk), sector, count);
}

static sector_t ram_next_data(struct disk *disk, sector_t sector)
{
	return disk_map_next_data(map_of(disk), sector);
}

static u64 ram_memory(struct disk *disk)
{
	return disk_map_memory_bytes(map_of(disk));
}

static int ram_resize(struct disk *disk, sector_t sectors)
{
	return disk_map_resize(map_of(disk), sectors) ? 0 : -ENOMEM;
}

static void ram_destroy(struct disk *disk)
{
	disk_map_destroy(map_of(disk));
	free(disk);
}

static const struct disk_ops ram_ops = {
	.kind = "ram",
	.submit = disk_bottom_submit,
	.destroy = ram_destroy,
	.read = ram_read,
	.write = ram_write,
	.zero = ram_zero,
	.next_data = ram_next_data,
	.memory = ram_memory,
	.resize = ram_resize,
};

struct disk *disk_ram_create(const char *name, sector_t sectors)
{
	struct ram_disk *ram = calloc(1, sizeof(*ram));

	if (ram)
		ram->map = disk_map_create(sectors);
	if (!ram || !ram->map) {
		fprintf(stderr, "%s: no ram disk of %llu sectors (at most 16 TiB)\n", name,
			sectors);
		free(ram);
		return NULL;
	}
	disk_init(&ram->disk, &ram_ops, NULL, sectors);
	return &ram->disk;
}
