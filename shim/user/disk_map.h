/* SPDX-License-Identifier: GPL-2.0 */
/* The contents of a sparse disk in memory: see disk_map.c. */
#ifndef SHIM_DISK_MAP_H
#define SHIM_DISK_MAP_H

#include "disk.h"

struct disk_map;

/* At most 16 TiB (the page number is 32 bits); NULL: no memory. */
struct disk_map *disk_map_create(sector_t sectors);
void disk_map_destroy(struct disk_map *map);
/* Drops what is beyond the new end. False: no memory. */
bool disk_map_resize(struct disk_map *map, sector_t sectors);

/* Sectors [sector, sector + count), from and to @data at @offset. */
void disk_map_read(struct disk_map *map, sector_t sector, u32 count, struct sector_data *data,
		   u32 offset);
void disk_map_write(struct disk_map *map, sector_t sector, u32 count,
		    const struct sector_data *data, u32 offset);
void disk_map_zero(struct disk_map *map, sector_t sector, sector_t count);

/* The next sector >= @sector that is not zero; may be early; the size of the disk if none. */
sector_t disk_map_next_data(struct disk_map *map, sector_t sector);
u64 disk_map_memory_bytes(struct disk_map *map);
/* Every counter agrees with the contents; for tests. */
bool disk_map_check(struct disk_map *map);

#endif /* SHIM_DISK_MAP_H */
