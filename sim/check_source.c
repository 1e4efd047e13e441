// SPDX-License-Identifier: GPL-2.0
/*
 * Where the bytes of a store come from: a file or block device through pread(), or a simulated
 * disk.
 *
 * A simulated disk is mostly zeroes, and knows where: those are not expanded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_int.h"
#include "world.h"

static int file_read(void *context, u64 sector, u32 sectors, void *buffer)
{
	int fd = (int)(intptr_t)context - 1;
	size_t left = (size_t)sectors * SECTOR_SIZE;
	off_t at = sector * SECTOR_SIZE;
	u8 *p = buffer;

	while (left) {
		ssize_t n = pread(fd, p, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
		at += n;
		p += n;
	}
	return 0;
}

int check_source_open(struct check_source *source, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r; /* a FIFO would be waited for */
	struct stat st;
	off_t size = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		r = -EINVAL;
	else
		r = (size = lseek(fd, 0, SEEK_END)) < 0 ? -errno : 0;
	if (r) {
		close(fd);
		return r;
	}
	*source = (struct check_source){
		.name = path,
		.sectors = (u64)size / SECTOR_SIZE,
		.read = file_read,
		.context = (void *)(intptr_t)(fd + 1), /* never NULL: closed is */
	};
	return 0;
}

void check_source_close(struct check_source *source)
{
	if (source->context)
		close((int)(intptr_t)source->context - 1);
	source->context = NULL;
}

static int disk_read(void *context, u64 sector, u32 sectors, void *buffer)
{
	struct disk *disk = context;

	if (disk_next_data(disk, sector) >= sector + sectors)
		memset(buffer, 0, (size_t)sectors * SECTOR_SIZE);
	else
		disk_peek_bytes(disk, sector, sectors, buffer);
	return 0;
}

void check_source_disk(struct check_source *source, const char *name, struct disk *disk)
{
	*source = (struct check_source){
		.name = name,
		.sectors = disk_sectors(disk),
		.read = disk_read,
		.context = disk,
	};
}

int check_disk(const char *disk_name, FILE *out)
{
	struct world_disk *disk = world_disk_find(disk_name);
	struct check_report report = { 0 };
	struct check_source source;
	int r;

	if (!disk) {
		if (out)
			fprintf(out, "%s: no such disk\n", disk_name);
		return CHECK_IMPOSSIBLE;
	}
	check_source_disk(&source, disk_name, disk->top);
	r = check_store(&source, &report);
	if (out)
		check_print(&report, disk_name, out);
	check_report_free(&report);
	return r;
}
