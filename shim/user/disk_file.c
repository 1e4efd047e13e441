// SPDX-License-Identifier: GPL-2.0
/*
 * A disk that is an image file of plain bytes.
 *
 * Tags are expanded on the way in and recognised on the way out, so that an image can be handed
 * from one run to another and to other tools. Zeroes are holes where the file system has them. An
 * I/O error of the machine that runs the simulation is not part of the simulation: it ends the
 * program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake/disk_layer.h"

#define BATCH 128 /* sectors moved by one system call */

struct file_disk {
	struct disk disk;
	int fd;
	char path[];
};

static void file_fail(const struct file_disk *file, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", file->path, what, strerror(errno));
	exit(2);
}

static void read_bytes(const struct file_disk *file, sector_t sector, u32 count, u8 *bytes)
{
	size_t size = (size_t)count * SECTOR_SIZE, done = 0;

	while (done < size) {
		long n = pread(file->fd, bytes + done, size - done,
			       (off_t)(sector * SECTOR_SIZE + done));

		if (n < 0)
			file_fail(file, "read");
		if (!n) {
			memset(bytes + done, 0, size - done);
			return;
		}
		done += n;
	}
}

static void write_bytes(const struct file_disk *file, sector_t sector, u32 count, const u8 *bytes)
{
	size_t size = (size_t)count * SECTOR_SIZE, done = 0;

	while (done < size) {
		long n = pwrite(file->fd, bytes + done, size - done,
				(off_t)(sector * SECTOR_SIZE + done));

		if (n < 0)
			file_fail(file, "write");
		done += n;
	}
}

static void put_sector(struct sector_data *data, u32 i, const u8 *bytes)
{
	if (!data->tags) {
		memcpy(data->bytes + (size_t)i * SECTOR_SIZE, bytes, SECTOR_SIZE);
		return;
	}
	if (tag_recognise(bytes, &data->tags[i]))
		return;
	data->tags[i] = tag_of_literal(bytes);
	if (!data->keep_literals)
		return;
	sector_data_need_literals(data);
	memcpy(data->literals[i], bytes, SECTOR_SIZE);
}

static void file_read(struct disk *disk, sector_t sector, u32 count, struct sector_data *data,
		      u32 offset)
{
	u8 bytes[BATCH * SECTOR_SIZE];
	u32 i, n;

	for (; count; count -= n, sector += n, offset += n) {
		n = count < BATCH ? count : BATCH;
		read_bytes((struct file_disk *)disk, sector, n, bytes);
		for (i = 0; i < n; i++)
			put_sector(data, offset + i, bytes + (size_t)i * SECTOR_SIZE);
	}
}

static void file_write(struct disk *disk, sector_t sector, u32 count,
		       const struct sector_data *data, u32 offset)
{
	u8 bytes[BATCH * SECTOR_SIZE];
	u32 i, n;

	for (; count; count -= n, sector += n, offset += n) {
		n = count < BATCH ? count : BATCH;
		for (i = 0; i < n; i++)
			sector_data_bytes(data, offset + i, bytes + (size_t)i * SECTOR_SIZE);
		write_bytes((struct file_disk *)disk, sector, n, bytes);
	}
}

static void file_zero(struct disk *disk, sector_t sector, sector_t count)
{
	static const u8 zeroes[BATCH * SECTOR_SIZE];
	struct file_disk *file = (struct file_disk *)disk;
	sector_t n;

	if (!count)
		return;
	if (!fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       (off_t)(sector * SECTOR_SIZE), (off_t)(count * SECTOR_SIZE)))
		return;
	for (; count; count -= n, sector += n) {
		n = count < BATCH ? count : BATCH;
		write_bytes(file, sector, n, zeroes);
	}
}

static sector_t file_next_data(struct disk *disk, sector_t sector)
{
	struct file_disk *file = (struct file_disk *)disk;
	off_t at = lseek(file->fd, (off_t)(sector * SECTOR_SIZE), SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? disk->sectors : sector;
	at /= SECTOR_SIZE;
	return (u64)at < disk->sectors ? (u64)at : disk->sectors;
}

static u64 file_memory(struct disk *disk)
{
	return sizeof(struct file_disk);
}

static int file_resize(struct disk *disk, sector_t sectors)
{
	struct file_disk *file = (struct file_disk *)disk;

	return ftruncate(file->fd, (off_t)(sectors * SECTOR_SIZE)) ? -errno : 0;
}

static void file_destroy(struct disk *disk)
{
	struct file_disk *file = (struct file_disk *)disk;

	if (close(file->fd))
		file_fail(file, "close");
	free(file);
}

static const struct disk_ops file_ops = {
	.kind = "file",
	.submit = disk_bottom_submit,
	.destroy = file_destroy,
	.read = file_read,
	.write = file_write,
	.zero = file_zero,
	.next_data = file_next_data,
	.memory = file_memory,
	.resize = file_resize,
};

/* @sectors 0: what the file has. A file that is shorter is made longer, if @create. */
struct disk *disk_file_create(const char *name, const char *path, sector_t sectors, bool create)
{
	struct file_disk *file = calloc(1, sizeof(*file) + strlen(path) + 1);
	struct stat st;

	if (!file)
		return NULL;
	strcpy(file->path, path);
	file->fd = open(path, create ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0666);
	if (file->fd < 0 || fstat(file->fd, &st))
		goto bad;
	if (!sectors)
		sectors = st.st_size / SECTOR_SIZE;
	if ((u64)st.st_size < sectors * SECTOR_SIZE) {
		errno = EINVAL;
		if (!create || ftruncate(file->fd, (off_t)(sectors * SECTOR_SIZE)))
			goto bad;
	}
	disk_init(&file->disk, &file_ops, NULL, sectors);
	return &file->disk;

bad:
	fprintf(stderr, "%s: %s: %s\n", name, path, strerror(errno));
	if (file->fd >= 0)
		close(file->fd);
	free(file);
	return NULL;
}
