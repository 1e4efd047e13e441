// SPDX-License-Identifier: GPL-2.0
/*
 * block-compare [--eio] [--or FILE2] DEVICE FILE: is every block of 4 KiB of the device as in the file?
 *
 * The device is read with O_DIRECT, one block at a time. With --eio a block may also fail to be read with EIO:
 * an error is never wrong data. With --or a block may also be as in FILE2. Prints how many were equal and how many
 * failed; exit status 1 when one differs, with its place, or when one fails without --eio.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static int open_file(const char *name, int flags)
{
	int fd = open(name, O_RDONLY | flags);

	if (fd < 0)
		err(2, "open %s", name);
	return fd;
}

/* A file that is shorter than the device has nothing to say about the rest: that is an error of the test. */
static bool same(int fd, const char *name, const unsigned char *block, off_t at)
{
	static unsigned char wanted[BLOCK];

	if (pread(fd, wanted, BLOCK, at) != BLOCK)
		err(2, "read %s at %lld", name, (long long)at);
	return !memcmp(block, wanted, BLOCK);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "eio", no_argument, NULL, 'e' },
		{ "or", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	const char *other = NULL;
	unsigned long equal = 0, failed = 0;
	bool eio = false;
	void *block;
	int c, dev, file, file2 = -1;
	off_t at = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'e')
			eio = true;
		else if (c == 'o')
			other = optarg;
		else
			return 2;
	}
	if (argc - optind != 2)
		errx(2, "usage: block-compare [--eio] [--or FILE2] DEVICE FILE");
	dev = open_file(argv[optind], O_DIRECT);
	file = open_file(argv[optind + 1], 0);
	if (other)
		file2 = open_file(other, 0);
	if (posix_memalign(&block, BLOCK, BLOCK))
		errx(2, "no memory");

	for (;; at += BLOCK) {
		ssize_t r = pread(dev, block, BLOCK, at);

		if (!r)
			break;
		if (r < 0 && errno == EIO && eio) {
			failed++;
			continue;
		}
		if (r != BLOCK)
			err(1, "read %s at %lld gave %zd", argv[optind], (long long)at, r);
		if (!same(file, argv[optind + 1], block, at) &&
		    !(other && same(file2, other, block, at)))
			errx(1, "%s differs from %s at byte %lld (sector %lld)", argv[optind], argv[optind + 1],
			     (long long)at, (long long)at / 512);
		equal++;
	}
	if (!equal && !failed)
		errx(2, "%s is empty", argv[optind]);
	printf("%lu equal, %lu failed\n", equal, failed);
	return 0;
}
