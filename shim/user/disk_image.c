// SPDX-License-Identifier: GPL-2.0
/* Images of any disk: a sparse file of its contents at this moment. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"

#define BATCH 64 /* sectors at once: threads of the simulation have small stacks */

/* The sectors that are not zero; 0 or -errno. */
static int write_sectors(int fd, sector_t sector, u32 sectors, const u8 (*bytes)[SECTOR_SIZE])
{
	static const u8 zero[SECTOR_SIZE];

	for (u32 i = 0; i < sectors; i++) {
		off_t at = (off_t)((sector + i) * SECTOR_SIZE);
		ssize_t n;

		if (!memcmp(bytes[i], zero, SECTOR_SIZE))
			continue;
		n = pwrite(fd, bytes[i], SECTOR_SIZE, at);
		if (n != SECTOR_SIZE)
			return n < 0 ? -errno : -ENOSPC;
	}
	return 0;
}

int disk_save(struct disk *disk, const char *path)
{
	sector_t sector = 0, end = disk_sectors(disk);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), r = 0;
	u8 bytes[BATCH][SECTOR_SIZE];
	u32 n;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(end * SECTOR_SIZE)))
		r = -errno;
	while (!r && (sector = disk_next_data(disk, sector)) < end) {
		n = end - sector < BATCH ? end - sector : BATCH;
		disk_peek_bytes(disk, sector, n, bytes);
		r = write_sectors(fd, sector, n, (const u8(*)[SECTOR_SIZE])bytes);
		sector += n;
	}
	if (close(fd) && !r)
		r = -errno;
	return r;
}
