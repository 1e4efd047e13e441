// SPDX-License-Identifier: GPL-2.0
/*
 * Errors at the worst moment: of one copy among many, while the snapshots are given up, while the device is
 * made or taken down; one after another; under both policies.
 */
#include "probe_store.h"

#define MIKULAS "0 2048 multisnapshot origin store 8 0 mikulas 0"
#define MIKULAS_PRESERVE "0 2048 multisnapshot origin store 8 1 preserve-on-error mikulas 0"

/* Give up: mark, drain the tracked reads, and only then let the origin's writes through. */
static void give_up(void *arg)
{
	struct async_io read, write, later;
	int held;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 4 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	held = disk_delay_hold_next(disk_top("origin"), DISK_OP_READ, 0, 1, 1);
	async_start(&read, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	probe.hold_mark = true;
	probe.mark_result = (int)(intptr_t)arg;
	fail_disk("store", DISK_OP_WRITE, 0, 1, -EIO);
	async_start(&write, "ms", REQ_OP_WRITE, CHUNK, CHUNK, 2);
	sim_settle();
	CHECK_EQUAL(probe.marks, 1);
	CHECK_EQUAL(probe.marked_with, -EIO);
	async_start(&later, "ms", REQ_OP_WRITE, 0, CHUNK, 3);
	sim_settle();
	CHECK(!write.ended && !later.ended && !read.ended);
	/* Snapshots are gone from the first moment. */
	CHECK_EQUAL(write_tags("s0", 2 * CHUNK, 1, 4), -EIO);
	probe_release_mark();
	CHECK(!write.ended && !later.ended && !read.ended);
	disk_delay_release(disk_top("origin"), held);
	sim_settle();
	CHECK(write.ended && later.ended && read.ended);
	CHECK_EQUAL(write.error, 0);
	CHECK_EQUAL(later.error, 0);
	CHECK(read.error || read.tags[0] == tag_make(1, 0));
	CHECK(holds_write("ms", 0, CHUNK, 3));
	CHECK(holds_write("ms", CHUNK, CHUNK, 2));
	CHECK_EQUAL(probe.marks, 1);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
}

/* The same with nothing to be drained. */
static void give_up_at_once(void *arg)
{
	struct async_io write, later;

	make_probed(PROBE_TABLE);
	make_snapshot();
	probe.hold_mark = true;
	fail_disk("store", DISK_OP_WRITE, 0, 1, -EIO);
	async_start(&write, "ms", REQ_OP_WRITE, CHUNK, CHUNK, 2);
	async_start(&later, "ms", REQ_OP_WRITE, 0, CHUNK, 3);
	sim_settle();
	CHECK(!write.ended && !later.ended);
	CHECK(holds_write("origin", 0, 2 * CHUNK, 0));
	probe_release_mark();
	CHECK(write.ended && later.ended);
}

static void h20_h49_the_mark_then_the_reads_then_the_writes(void **state)
{
	in_probed_world(give_up_at_once, NULL);
	in_probed_world(give_up, (void *)0);
	in_probed_world(give_up, (void *)-EIO); /* the store device refuses the mark */
}

/* A commit fails. Nothing is committed after it, whatever was waiting. */
static void commit_fails(void *arg)
{
	bool preserve = arg;
	struct async_io w;

	make_probed(preserve ? PROBE_PRESERVE_TABLE : PROBE_TABLE);
	make_snapshot();
	probe.commits = 0;
	probe.commit_result = -ENOSPC;
	async_start(&w, "ms", REQ_OP_WRITE, 0, CHUNK, 1);
	sim_settle();
	CHECK(w.ended);
	CHECK_EQUAL(w.error, preserve ? -EIO : 0);
	probe.commit_result = 0;
	CHECK_EQUAL(write_tags("ms", CHUNK, CHUNK, 2), preserve ? -EIO : 0);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), -ENOSPC);
	CHECK_EQUAL(dmctl_message("ms", "settle"), -ENOSPC);
	CHECK_EQUAL(dmctl_message("ms", "create"), -ENOSPC);
	CHECK_EQUAL(probe.commits, 1);
	CHECK_EQUAL(probe.marks, preserve ? 0 : 1);
}

static void nothing_is_committed_after_a_failed_commit(void **state)
{
	in_probed_world(commit_fails, NULL);
	in_probed_world(commit_fails, "preserve");
}

/* The store is full, the policy is to preserve: deletions go on, until another error comes. */
static void full_then_worse(void *arg)
{
	struct async_io w;

	make_probed(PROBE_PRESERVE_TABLE);
	make_snapshot();
	make_snapshot();
	make_snapshot();
	probe.add = (struct probe_answer){ .count = 1, .answer = -ENOSPC };
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), -EIO);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-28"));
	CHECK_EQUAL(dmctl_message("ms", "create"), -ENOSPC);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), -EINVAL);
	if (arg) {
		probe.commit_result = -EIO;
		CHECK_EQUAL(dmctl_message("ms", "delete 1"), -ENOSPC);
		probe.commit_result = 0;
	} else {
		dm_multisnap_set_error(probe.s, -EIO);
	}
	CHECK_EQUAL(dmctl_message("ms", "delete 2"), -ENOSPC);
	async_start(&w, "ms", REQ_OP_WRITE, CHUNK, CHUNK, 1);
	sim_settle();
	CHECK(w.ended);
	CHECK_EQUAL(w.error, -EIO);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-28"));
}

static void a_full_store_takes_deletions_until_the_next_error(void **state)
{
	in_probed_world(full_then_worse, NULL);
	in_probed_world(full_then_worse, "commit");
}

/* The last commit fails in the destructor: the mark is written, and waited for. */
static int run_remove(const char *device)
{
	return world_device_remove(device);
}

static void destructor(void *arg)
{
	struct command remove;

	make_probed(PROBE_TABLE);
	make_snapshot();
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	probe.commit_result = -ENOSPC;
	probe.hold_mark = true;
	probe.mark_result = -EIO;
	start_command(&remove, "ms", run_remove);
	CHECK(!remove.ended);
	CHECK_EQUAL(probe.marks, 1);
	probe_release_mark();
	CHECK_EQUAL(command_result(&remove), 0);
}

static void an_error_in_the_destructor_is_followed_by_the_mark(void **state)
{
	in_probed_world(destructor, NULL);
}

/* ---- with mikulas, whose contents outlive the device ---- */

static void make_mikulas(const char *table)
{
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
}

static void remove_all(void)
{
	static const char *const names[] = { "s0", "s1", "s2", "ms" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (world_device_exists(names[i]))
			CHECK_EQUAL(world_device_remove(names[i]), 0);
}

/*
 * One copy of several destinations, one of which fails: the group is not committed; after a reload
 * the snapshots are as they were.
 */
static void one_destination_fails(void *arg)
{
	make_mikulas(MIKULAS_PRESERVE);
	CHECK_EQUAL(write_tags("ms", 0, 4 * CHUNK, 1), 0);
	for (int i = 0; i < 3; i++)
		make_snapshot();
	make_snap_device("s1", "1");
	CHECK_EQUAL(write_tags("s1", 0, 1, 2), 0); /* so that 0 and 2 no longer share */
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	fail_disk("store", DISK_OP_WRITE, (uintptr_t)arg, 1, -EIO);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 3), -EIO);
	remove_all();
	disk_error_clear(world_disk_find("store")->error);

	make_mikulas(MIKULAS_PRESERVE);
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");
	make_snap_device("s2", "2");
	CHECK(holds_write("s0", 0, 4 * CHUNK, 1));
	CHECK(holds_write("s2", 0, 4 * CHUNK, 1));
	CHECK(holds_write("s1", 0, 1, 2));
	CHECK(holds_write("s1", 1, 4 * CHUNK - 1, 1));
	remove_all();
}

static void h04_a_copy_with_one_bad_destination_is_not_committed(void **state)
{
	in_world(one_destination_fails, (void *)0);
	in_world(one_destination_fails, (void *)1);
}

/* The write that stands in for a copy finds the device full. ENOSPC of a device is not ENOSPC of the store. */
static void full_device(void *arg)
{
	make_mikulas(MIKULAS_PRESERVE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	fail_disk("store", DISK_OP_WRITE, 0, 1, -ENOSPC);
	CHECK_EQUAL(write_tags("s0", 0, CHUNK, 2), -ENOSPC);
	remove_all();

	make_mikulas(MIKULAS_PRESERVE);
	make_snap_device("s0", "0");
	CHECK(holds_write("s0", 0, CHUNK, 1));
	remove_all();
}

static void h04_a_full_write_that_fails_for_space_is_not_committed(void **state)
{
	in_world(full_device, NULL);
}

/* A store with snapshots cannot be made ready: they are given up, and never loaded as good again. */
static void not_made_ready(void *arg)
{
	make_mikulas(MIKULAS);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	remove_all();

	fail_disk("store", DISK_OP_WRITE, 0, 1, -EIO);
	make_mikulas(MIKULAS);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK(holds_write("ms", 0, CHUNK, 2));
	remove_all();

	make_mikulas(MIKULAS);
	CHECK(strcmp(status_field(STATUS_ERROR), "0"));
	make_snap_device("s0", "0");
	CHECK_EQUAL(write_tags("s0", 0, CHUNK, 3), -EIO);
	remove_all();
}

static void h20_a_store_that_cannot_be_made_ready_is_marked(void **state)
{
	in_world(not_made_ready, NULL);
}

/* The same with an empty device: the origin goes on, and a later load finds nothing to be wrong. */
static void not_formatted(void *arg)
{
	fail_disk("store", DISK_OP_WRITE, (uintptr_t)arg, 1, -EIO);
	make_mikulas(MIKULAS);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	remove_all();
}

static void a_failed_format_lets_the_origin_go_on(void **state)
{
	for (uintptr_t n = 0; n < 3; n++)
		in_world(not_formatted, (void *)n);
}

/*
 * The first resume fails when the store has already gone on with its work, which never comes to an end by itself:
 * the removal ends it.
 */
static struct dm_multisnap_background_work endless;
static struct dm_multisnap_io endless_io;
static unsigned int slices;

static void slice_done(struct dm_multisnap_io *io, int error)
{
	dm_multisnap_queue_work(probe.s, &endless);
}

static void slice(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	static u8 buffer[SECTOR_SIZE];

	CHECK(++slices < 100);
	endless_io.opf = REQ_OP_READ;
	endless_io.sectors = 1;
	endless_io.data = buffer;
	endless_io.done = slice_done;
	dm_multisnap_submit_io(probe.s, &endless_io);
}

static void go_on_with_work(struct dm_exception_store *store)
{
	if (!slices)
		dm_multisnap_queue_work(probe.s, &endless);
}

static void failed_resume(void *arg)
{
	memset(&endless, 0, sizeof(endless));
	endless.work = slice;
	slices = 0;
	dm_multisnap_unregister_store(&probe.ops);
	probe.ops.store_lock_acquired = go_on_with_work;
	CHECK_EQUAL(dm_multisnap_register_store(&probe.ops), 0);
	fail_disk("origin", DISK_OP_FLUSH, 0, 1, -EIO);
	CHECK_EQUAL(world_device_create("ms",
					"0 2048 multisnapshot origin store 8 2 sync-snapshots "
					"preserve-on-error probe 0 0",
					NULL),
		    -EIO);
	CHECK(slices);
}

static void h46_background_work_ends_before_the_store_of_a_failed_resume(void **state)
{
	in_probed_world(failed_resume, NULL);
}

/* The store's blocks are larger than what is left of the origin in its last chunk. */
static void large_blocks(void *arg)
{
	const char *error = NULL;

	CHECK(world_disk_add("odd", 2047, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("even", 2040, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("store4k", STORE_SECTORS, DISK_RAM, 4096, NULL));
	CHECK_EQUAL(world_device_create("ms", "0 2047 multisnapshot odd store4k 16 0 model 0",
					&error),
		    -EINVAL);
	CHECK(error && strstr(error, "logical block"));
	make_mikulas("0 2040 multisnapshot even store4k 16 0 model 0");
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 2032, 8, 1), 0);
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	remove_all();
}

/* The origin's blocks are larger than what is left of the store behind its last chunk. */
static void large_origin_blocks(void *arg)
{
	CHECK(world_disk_add("origin4k", ORIGIN_SECTORS, DISK_RAM, 4096, NULL));
	CHECK(world_disk_add("oddstore", 2043, DISK_RAM, 512, NULL));
	make_mikulas("0 2048 multisnapshot origin4k oddstore 16 0 model 0");
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, 8, 1), 0);
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap origin4k 0", NULL), 0);
	CHECK(holds_write("s0", 0, 8, 0));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	remove_all();
}

static void h36_a_store_that_ends_within_a_block_of_the_origin_has_snapshots(void **state)
{
	in_world(large_origin_blocks, NULL);
}

/*
 * A device offers write-zeroes and refuses them when they come, as many disks do: zeroes are written then.
 * Where that fails too, it is an error.
 */
static void zeroes_refused(void *arg)
{
	bool writes_fail = arg;

	CHECK(world_disk_add("short", 2044, DISK_RAM, 512, NULL));
	CHECK_EQUAL(write_tags("store", 0, 1024, 77), 0);
	make_mikulas("0 2044 multisnapshot short store 8 0 model 0");
	CHECK_EQUAL(write_tags("ms", 2040, 4, 1), 0);
	make_snapshot();
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap short 0", NULL), 0);
	fail_disk("store", DISK_OP_DISCARD, 0, U64_MAX, -EOPNOTSUPP);
	if (writes_fail)
		fail_disk("store", DISK_OP_WRITE, 1, U64_MAX, -EIO); /* but the copy */
	CHECK_EQUAL(write_tags("ms", 2040, 4, 2), 0);
	sim_settle();
	CHECK(!strcmp(status_field(STATUS_ERROR), writes_fail ? "-5" : "0"));
	if (!writes_fail) {
		CHECK(holds_write("s0", 2040, 4, 1));
		CHECK(holds_write("s0", 2044, 4, 0));
	}
	CHECK_EQUAL(world_device_remove("s0"), 0);
	remove_all();
}

static void h17_zeroes_are_written_where_write_zeroes_is_refused(void **state)
{
	in_world(zeroes_refused, NULL);
	in_world(zeroes_refused, (void *)1);
}

static void h27_an_origin_that_ends_within_a_block_of_the_store_is_refused(void **state)
{
	in_world(large_blocks, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h04_a_copy_with_one_bad_destination_is_not_committed),
		cmocka_unit_test(h04_a_full_write_that_fails_for_space_is_not_committed),
		cmocka_unit_test(h20_h49_the_mark_then_the_reads_then_the_writes),
		cmocka_unit_test(h20_a_store_that_cannot_be_made_ready_is_marked),
		cmocka_unit_test(h27_an_origin_that_ends_within_a_block_of_the_store_is_refused),
		cmocka_unit_test(h17_zeroes_are_written_where_write_zeroes_is_refused),
		cmocka_unit_test(
			h36_a_store_that_ends_within_a_block_of_the_origin_has_snapshots),
		cmocka_unit_test(h46_background_work_ends_before_the_store_of_a_failed_resume),
		cmocka_unit_test(a_failed_format_lets_the_origin_go_on),
		cmocka_unit_test(a_full_store_takes_deletions_until_the_next_error),
		cmocka_unit_test(an_error_in_the_destructor_is_followed_by_the_mark),
		cmocka_unit_test(nothing_is_committed_after_a_failed_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
