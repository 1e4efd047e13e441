/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small world for tests of the core: origin of 1 MiB, store of 4 MiB, device "ms" with 4 KiB
 * chunks and the store type model, and I/O by tags.
 *
 * Assertions run in fibers, where cmocka's longjmp has no place: CHECK() ends the program.
 */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#define CHECK_EQUAL(value, expected)                                                              \
	do {                                                                                      \
		long long value_ = (value), expected_ = (expected);                               \
		if (value_ != expected_) {                                                        \
			fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, \
				#value, value_, expected_);                                       \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)

#define CHUNK 8 /* sectors */
#define ORIGIN_SECTORS 2048
#define STORE_SECTORS 8192
#define MS_TABLE "0 2048 multisnapshot origin store 8 0 model 0"

static inline void fixture_fail(void *context, const char *what)
{
	fprintf(stderr, "the simulated kernel: %s\n", what);
	exit(1);
}

static inline void fixture_start(enum sim_strategy strategy, u64 seed)
{
	struct world_options options = { .strategy = strategy, .seed = seed, .fail = fixture_fail };

	world_start(&options);
	CHECK(world_disk_add("origin", ORIGIN_SECTORS, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("store", STORE_SECTORS, DISK_RAM, 512, NULL));
}

/* Run @fn as the only harness thread of a fresh world. */
static inline void in_world(void (*fn)(void *arg), void *arg)
{
	fixture_start(SIM_FIFO, 1);
	sim_thread_start("test", fn, arg);
	sim_run();
	world_stop();
}

static inline void make_ms(void)
{
	CHECK_EQUAL(world_device_create("ms", MS_TABLE, NULL), 0);
}

static inline void make_snapshot(void)
{
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
}

static inline void make_snap_device(const char *name, const char *id)
{
	char table[128];

	snprintf(table, sizeof(table), "0 2048 multisnap-snap origin %s", id);
	CHECK_EQUAL(world_device_create(name, table, NULL), 0);
}

/* Write number @n to @sectors of @device; 0 or -errno. */
static inline int write_tags(const char *device, sector_t sector, u32 sectors, u64 n)
{
	tag_t tags[1024];

	CHECK(sectors <= 1024);
	for (u32 i = 0; i < sectors; i++)
		tags[i] = tag_make(n, sector + i);
	return sim_bio_wait(sim_bio_alloc(disk_bdev(device), REQ_OP_WRITE, sector, sectors, tags));
}

/* Do all @sectors hold write number @n (0: zeroes)? */
static inline bool holds_write(const char *device, sector_t sector, u32 sectors, u64 n)
{
	tag_t tags[1024];

	CHECK(sectors <= 1024);
	CHECK_EQUAL(
		sim_bio_wait(sim_bio_alloc(disk_bdev(device), REQ_OP_READ, sector, sectors, tags)),
		0);
	for (u32 i = 0; i < sectors; i++)
		if (tags[i] != (n ? tag_make(n, sector + i) : TAG_ZERO))
			return false;
	return true;
}

/* One bio in flight. */
struct async_io {
	tag_t tags[CHUNK * 16];
	struct bio *bio;
	bool ended;
	int error;
};

static inline void async_ended(struct bio *bio)
{
	struct async_io *io = bio->bi_private;

	io->ended = true;
	io->error = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
}

static inline void async_start(struct async_io *io, const char *device, blk_opf_t opf,
			       sector_t sector, u32 sectors, u64 n)
{
	CHECK(sectors <= ARRAY_SIZE(io->tags));
	for (u32 i = 0; i < sectors; i++)
		io->tags[i] = tag_make(n, sector + i);
	io->ended = false;
	io->bio = sim_bio_alloc(disk_bdev(device), opf, sector, sectors, io->tags);
	io->bio->bi_end_io = async_ended;
	io->bio->bi_private = io;
	submit_bio(io->bio);
}

#endif /* TESTS_CORE_FIXTURE_H */
