// SPDX-License-Identifier: GPL-2.0
/*
 * The core and the stores on real threads: writers and readers of the origin, a writer of a
 * snapshot, and an administrator who creates, reads and deletes snapshots meanwhile. Contents are
 * checked as far as each thread knows them alone; ThreadSanitizer watches the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#define SECTORS 8192
#define WRITERS 3
#define PART (SECTORS / WRITERS / 16 * 16) /* of each writer */
#define ROUNDS 150
#define SNAPSHOTS 6
#define IO_SECTORS 8

static void io(const char *device, blk_opf_t opf, sector_t sector, tag_t *tags)
{
	CHECK(sim_bio_wait(sim_bio_alloc(disk_bdev(device), opf, sector, IO_SECTORS, tags)) == 0);
}

static void fill(tag_t *tags, u64 write_no, sector_t sector)
{
	for (u32 i = 0; i < IO_SECTORS; i++)
		tags[i] = tag_make(write_no, sector + i);
}

/* Writes its own part of @device at random and reads it back. */
struct writer {
	const char *device;
	u64 number; /* of the next write */
	sector_t start;
	u64 last[PART / IO_SECTORS];
	u32 random;
};

static u32 next_random(struct writer *w)
{
	w->random = w->random * 1664525 + 1013904223;
	return w->random >> 8;
}

static void writes(void *arg)
{
	struct writer *w = arg;
	tag_t tags[IO_SECTORS], expected[IO_SECTORS];

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 place = next_random(w) % ARRAY_SIZE(w->last);
		sector_t sector = w->start + place * IO_SECTORS;

		fill(tags, ++w->number, sector);
		io(w->device, REQ_OP_WRITE | (round % 16 ? 0 : REQ_FUA), sector, tags);
		w->last[place] = w->number;
		place = next_random(w) % ARRAY_SIZE(w->last);
		sector = w->start + place * IO_SECTORS;
		io(w->device, REQ_OP_READ, sector, tags);
		if (w->last[place]) {
			fill(expected, w->last[place], sector);
			CHECK(memcmp(tags, expected, sizeof(tags)) == 0);
		}
	}
}

static void create_device(const char *name, const char *table)
{
	const char *error = NULL;
	int r = dmctl_create(name);

	if (!r)
		r = dmctl_load(name, table, &error);
	if (!r)
		r = dmctl_resume(name);
	if (r)
		fprintf(stderr, "%s: %d %s\n", table, r, error ? error : "");
	CHECK(r == 0);
}

/* What a snapshot reads stays, however much is written to the origin. */
static void look_twice(const char *device)
{
	static const sector_t places[] = { 0, 512, 2736, 4000, 8000 };
	tag_t first[ARRAY_SIZE(places)][IO_SECTORS], again[IO_SECTORS];

	for (u32 i = 0; i < ARRAY_SIZE(places); i++)
		io(device, REQ_OP_READ, places[i], first[i]);
	sim_sleep_ns(1000);
	for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
		io(device, REQ_OP_READ, places[i], again);
		CHECK(memcmp(first[i], again, sizeof(again)) == 0);
	}
}

static void administers(void *arg)
{
	char text[4096], table[64];
	struct writer *w = arg;

	for (u32 n = 0; n < SNAPSHOTS; n++) {
		CHECK(dmctl_message("ms", "create") == 0);
		CHECK(dmctl_status("ms", STATUSTYPE_INFO, text, sizeof(text)) == 0);
		CHECK(dmctl_suspend("ms", 0) == 0);
		CHECK(dmctl_resume("ms") == 0);
		snprintf(table, sizeof(table), "0 %d multisnap-snap origin %u", SECTORS, n);
		create_device("snap", table);
		look_twice("snap");
		w->number = 1000000 * (n + 1);
		memset(w->last, 0, sizeof(w->last));
		writes(w);
		CHECK(dmctl_status("ms", STATUSTYPE_TABLE, text, sizeof(text)) == 0);
		CHECK(dmctl_remove("snap") == 0);
		if (n % 3 != 2) {
			snprintf(text, sizeof(text), "delete %u", n);
			CHECK(dmctl_message("ms", text) == 0);
		}
	}
	CHECK(dmctl_message("ms", "settle") == 0);
}

static void all_of_it(void *arg)
{
	static struct writer writers[WRITERS + 1];
	sim_thread_t *threads[WRITERS + 1];
	char table[128];

	snprintf(table, sizeof(table), "0 %d multisnapshot origin store 8 0 %s 0", SECTORS,
		 (const char *)arg);
	create_device("ms", table);
	memset(writers, 0, sizeof(writers));
	for (u32 i = 0; i <= WRITERS; i++) {
		writers[i].device = i < WRITERS ? "ms" : "snap";
		writers[i].start = i < WRITERS ? i * PART : 64;
		writers[i].number = i * 100000;
		writers[i].random = i;
		threads[i] =
			sim_thread_start("io", i < WRITERS ? writes : administers, &writers[i]);
	}
	for (u32 i = 0; i <= WRITERS; i++)
		sim_thread_join(threads[i]);
	CHECK(dmctl_remove("ms") == 0);
}

static void run(const char *store, enum disk_model model)
{
	struct sim_options options = { .strategy = SIM_FIFO };
	struct disk *origin, *cow;

	sim_start(&options);
	origin = disk_delay_create(disk_ram_create("origin", SECTORS), model);
	cow = disk_delay_create(disk_ram_create("store", 16 * SECTORS), model);
	CHECK(disk_register("origin", origin, 512) && disk_register("store", cow, 512));
	CHECK(sim_module_load("dm-multisnapshot") == 0);
	sim_thread_start("all", all_of_it, (void *)store);
	sim_run();
	disk_unregister("origin");
	disk_unregister("store");
	disk_destroy(origin);
	disk_destroy(cow);
	sim_stop();
}

static void test_model(void **state)
{
	for (int i = 0; i < 2; i++)
		run("model", i ? DISK_SSD : DISK_RAM);
}

static void test_mikulas(void **state)
{
	for (int i = 0; i < 2; i++)
		run("mikulas", i ? DISK_SSD : DISK_RAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_mikulas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
