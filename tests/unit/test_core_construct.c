// SPDX-License-Identifier: GPL-2.0
/*
 * Construction, destruction and status of both targets: each allocation fails in turn (H14), every size of the
 * status buffer (H16, H38), removal in every order (H09).
 */
#include "core_fixture.h"

static void construct_with_failures(void *arg)
{
	const char *name = arg;
	const char *table = strcmp(name, "ms") ? "0 2048 multisnap-snap origin 0" : MS_TABLE;
	u64 allocations = 0;

	if (strcmp(name, "ms")) {
		make_ms();
		make_snapshot();
	}
	CHECK_EQUAL(world_device_create_empty(name), 0);
	for (u64 n = 0;; n++) {
		u64 before = sim_memory_bytes();
		const char *error = NULL;
		int r;

		sim_fail_alloc(sim_alloc_count() + n, 1);
		r = dmctl_load(name, table, &error);
		sim_fail_alloc(0, 0);
		if (!r) {
			/* Far enough that none of the constructor's allocations was hit. */
			allocations = n;
			CHECK_EQUAL(dmctl_clear(name), 0);
			CHECK_EQUAL(sim_memory_bytes(), before);
			break;
		}
		CHECK_EQUAL(r, -ENOMEM);
		CHECK_EQUAL(sim_memory_bytes(), before);
	}
	CHECK(allocations >= (strcmp(name, "ms") ? 2 : 5));
	CHECK_EQUAL(world_device_remove(name), 0);

	/* Nothing was left behind: it works. */
	CHECK_EQUAL(world_device_create(name, table, NULL), 0);
	CHECK_EQUAL(write_tags(name, 0, CHUNK, 1), 0);
	CHECK(holds_write(name, 0, CHUNK, 1));
}

static void h14_each_allocation_of_the_origin_constructor_fails(void **state)
{
	in_world(construct_with_failures, "ms");
}

static void h14_each_allocation_of_the_snapshot_constructor_fails(void **state)
{
	in_world(construct_with_failures, "s0");
}

static void check_buffers(const char *device, status_type_t type)
{
	static char whole[8192], part[8192];
	size_t length;

	CHECK_EQUAL(dmctl_status_raw(device, type, whole, sizeof(whole)), 0);
	length = strlen(whole);
	CHECK(length + 1 < sizeof(whole));

	for (size_t size = 0; size <= length + 2; size++) {
		memset(part, '#', sizeof(part));
		dmctl_status_raw(device, type, part, size);
		for (size_t i = size; i < sizeof(part); i++)
			CHECK(part[i] == '#');
		if (!size)
			continue;
		/* Terminated, and as much of it as fits: so dm sees a full buffer and says so. */
		CHECK_EQUAL(strnlen(part, size), min(size - 1, length));
		CHECK(!memcmp(part, whole, min(size - 1, length)));
	}
}

static void all_status_buffers(void *arg)
{
	make_ms();
	for (int i = 0; i < 60; i++)
		make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	check_buffers("ms", STATUSTYPE_INFO);
	check_buffers("ms", STATUSTYPE_TABLE);
	check_buffers("ms", STATUSTYPE_IMA);
	check_buffers("s0", STATUSTYPE_INFO);
	check_buffers("s0", STATUSTYPE_TABLE);
	check_buffers("s0", STATUSTYPE_IMA);
}

static void h16_h38_status_buffers_of_every_size(void **state)
{
	in_world(all_status_buffers, NULL);
}

/* The three devices, with I/O to all of them before and after each removal. */
static void remove_in_order(void *arg)
{
	static const char *const names[] = { "ms", "s0", "s1" };
	const int *order = arg;
	bool removed[3] = { false };

	make_ms();
	CHECK_EQUAL(write_tags("ms", 0, 64, 1), 0);
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, 16, 2), 0);
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 8, 16, 3), 0);
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");

	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(world_device_remove(names[order[i]]), 0);
		removed[order[i]] = true;
		for (int j = 1; j < 3; j++) {
			if (removed[j])
				continue;
			CHECK_EQUAL(write_tags(names[j], 40, CHUNK, 10 + j), removed[0] ? -EIO : 0);
			if (!removed[0])
				CHECK(holds_write(names[j], 0, CHUNK, 1 + (j == 2)));
			CHECK_EQUAL(sim_bio_wait(sim_bio_alloc(disk_bdev(names[j]),
							       REQ_OP_WRITE | REQ_PREFLUSH, 0, 0,
							       NULL)),
				    removed[0] ? -EIO : 0);
		}
		if (!removed[0])
			CHECK_EQUAL(write_tags("ms", 32, CHUNK, 4), 0);
	}
}

static void h09_removal_in_every_order(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (int i = 0; i < 6; i++)
		in_world(remove_in_order, (void *)orders[i]);
}

/* A store that must not be written is refused, before anything is. An origin only need not be written. */
static void read_only(void *arg)
{
	const char *error = NULL;

	disk_bdev("store")->bd_read_only = true;
	CHECK_EQUAL(world_device_create("ms", MS_TABLE, &error), -EACCES);
	CHECK(error && strstr(error, "read-only"));
	disk_bdev("store")->bd_read_only = false;
	make_ms();
	make_snapshot();
	disk_bdev("origin")->bd_read_only = true;
	make_snap_device("s0", "0");
	CHECK_EQUAL(write_tags("s0", 0, 1, 1), 0);
	CHECK(holds_write("ms", 0, CHUNK, 0));
}

static void a_read_only_store_is_refused(void **state)
{
	in_world(read_only, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h14_each_allocation_of_the_origin_constructor_fails),
		cmocka_unit_test(h14_each_allocation_of_the_snapshot_constructor_fails),
		cmocka_unit_test(h16_h38_status_buffers_of_every_size),
		cmocka_unit_test(a_read_only_store_is_refused),
		cmocka_unit_test(h09_removal_in_every_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
