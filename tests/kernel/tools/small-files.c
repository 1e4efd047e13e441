// SPDX-License-Identifier: GPL-2.0
/*
 * small-files DIR STOP [ROUNDS-FILE]: what a compiler does to a file system, in one process.
 *
 * A round is a folder of files that are written under one name and renamed to another, as objects are,
 * some with synchronous contents; the folder of two rounds ago goes. It ends when the file STOP exists. The
 * number of rounds done is kept in ROUNDS-FILE. Sizes and contents follow from the round and the file's number.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 60, SIZE_MAX_BYTES = 24 * 1024 };

static void put_file(const char *name, unsigned round, unsigned number)
{
	static unsigned char data[SIZE_MAX_BYTES];
	size_t size = (round * 7919u + number * 331u) % SIZE_MAX_BYTES;
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		err(1, "open %s", name);
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 31 + round * 17 + number);
	if (write(fd, data, size) != (ssize_t)size)
		err(1, "write %s", name);
	if (number % 16 == 0 && fsync(fd))
		err(1, "fsync %s", name);
	if (close(fd))
		err(1, "close %s", name);
}

static void make_round(const char *dir, unsigned round)
{
	char name[4096], tmp[4096];

	snprintf(name, sizeof(name), "%s/build.%u", dir, round);
	if (mkdir(name, 0755))
		err(1, "mkdir %s", name);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%s/build.%u/%u.c", dir, round, i);
		put_file(name, round, i);
		snprintf(tmp, sizeof(tmp), "%s/build.%u/%u.o.tmp", dir, round, i);
		put_file(tmp, round + 1, i);
		snprintf(name, sizeof(name), "%s/build.%u/%u.o", dir, round, i);
		if (rename(tmp, name))
			err(1, "rename %s", tmp);
	}
}

static void remove_round(const char *dir, unsigned round)
{
	char name[4096];

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%s/build.%u/%u.c", dir, round, i);
		if (unlink(name))
			err(1, "unlink %s", name);
		snprintf(name, sizeof(name), "%s/build.%u/%u.o", dir, round, i);
		if (unlink(name))
			err(1, "unlink %s", name);
	}
	snprintf(name, sizeof(name), "%s/build.%u", dir, round);
	if (rmdir(name))
		err(1, "rmdir %s", name);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: small-files DIR STOP [ROUNDS-FILE]");
	for (unsigned round = 0; access(argv[2], F_OK); round++) {
		make_round(argv[1], round);
		if (round >= 2)
			remove_round(argv[1], round - 2);
		if (argc > 3) {
			FILE *f = fopen(argv[3], "w");

			if (!f || fprintf(f, "%u\n", round + 1) < 0 || fclose(f))
				err(1, "%s", argv[3]);
		}
	}
	return 0;
}
