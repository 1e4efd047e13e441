// SPDX-License-Identifier: GPL-2.0
/*
 * Errors and second thoughts at places where they are rare: the store answers otherwise than it mostly does, an error comes
 * while a message or a resume waits, memory is short where it must not wait.
 */
#include "probe_store.h"

static struct probe_answer allocate;

static int allocate_snapid(struct dm_exception_store *store, snapid_t master, snapid_t *id)
{
	return probe_answers(&allocate) ? allocate.answer :
					  probe.model.allocate_snapid(store, master, id);
}

/* A number that takes I/O to be found: the message waits for it. */
static void number_again(void *arg)
{
	struct command c;

	probe.ops.allocate_snapid = allocate_snapid;
	allocate = (struct probe_answer){ .count = 2, .answer = -EAGAIN };
	make_probed(PROBE_TABLE);
	start_message(&c, "ms", "create");
	CHECK(!c.ended);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "-"));
	probe_event();
	CHECK(!c.ended);
	probe_event();
	CHECK_EQUAL(command_result(&c), 0);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "0"));
}

static void h05_a_number_is_asked_for_again(void **state)
{
	in_probed_world(number_again, NULL);
}

/* Something else is prepared while the origin is flushed for the first: that is for the next suspend. */
static void prepared_otherwise(void *arg)
{
	struct command suspend;
	int held;

	make_probed(PROBE_TABLE);
	make_snapshot();
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	held = disk_delay_hold(disk_top("origin"), DISK_OP_FLUSH, 0, 0);
	start_command(&suspend, "ms", run_suspend);
	CHECK_EQUAL(dmctl_message("ms", "create_subsnap 0"), 0);
	disk_delay_release(disk_top("origin"), held);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "1"));
	CHECK(!strcmp(status_field(STATUS_PREPARED), "0.0"));
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "2"));
	CHECK(!strcmp(status_field(STATUS_PREPARED), "-"));
}

static void h24_what_was_prepared_last_waits_for_its_own_suspend(void **state)
{
	in_probed_world(prepared_otherwise, NULL);
}

/* A look-up fails: an error of section 6, and the bio's own. */
static void lookup_fails(void *arg)
{
	bool write = arg;
	u64 adds;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.find = (struct probe_answer){ .count = 1, .answer = -EIO };
	adds = probe.adds;
	if (write)
		CHECK_EQUAL(write_tags("s0", 0, 1, 2), -EIO);
	else
		CHECK_EQUAL(sim_bio_wait(sim_bio_alloc(disk_bdev("s0"), REQ_OP_READ, 0, 1,
						       (tag_t[1]){ 0 })),
			    -EIO);
	sim_settle();
	CHECK_EQUAL(probe.adds, adds);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	CHECK_EQUAL(probe.marked_with, -EIO);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 3), 0);
	CHECK_EQUAL(write_tags("s0", 0, 1, 4), -EIO);
}

static void a_lookup_that_fails_ends_the_snapshots(void **state)
{
	in_probed_world(lookup_fails, NULL);
	in_probed_world(lookup_fails, (void *)1);
}

/* The store unshares nothing, or more than there is room for: an error, and nothing is copied. */
static void unshared_wrongly(void *arg)
{
	int answer = (intptr_t)arg;
	u64 writes;

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0); /* 0 and 1 share the chunk */
	make_snap_device("s0", "0");
	probe.unshare = (struct probe_answer){ .count = 1, .answer = answer };
	writes = disk_counts(disk_top("store"))->writes;
	if (answer > MAKE_WRITEABLE_MAX)
		sim_expect_warnings(1);
	CHECK_EQUAL(write_tags("s0", 0, 1, 2), -EIO);
	CHECK(!strcmp(status_field(STATUS_ERROR), answer > 0 ? "-1" : "-5"));
	CHECK_EQUAL(disk_counts(disk_top("store"))->writes, writes);
}

static void a_store_that_unshares_wrongly_ends_the_snapshots(void **state)
{
	in_probed_world(unshared_wrongly, (void *)0);
	in_probed_world(unshared_wrongly, (void *)(intptr_t)(MAKE_WRITEABLE_MAX + 1));
}

/* The deletion itself fails; the snapshot exists, and stays detached. */
static void deletion_fails(void *arg)
{
	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.delete = (struct probe_answer){ .count = 1, .answer = -ENOSPC };
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), -ENOSPC);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "1"));
	CHECK_EQUAL(write_tags("s0", 0, 1, 1), -EIO);
	make_snap_device("s1", "0");
	CHECK_EQUAL(write_tags("s1", 0, 1, 1), 0);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "0"));
}

static void a_deletion_that_fails_leaves_the_snapshot_detached(void **state)
{
	in_probed_world(deletion_fails, NULL);
}

static void set_error(int error)
{
	multisnap_lock(probe.s);
	dm_multisnap_set_error(probe.s, error);
	multisnap_unlock(probe.s);
	sim_settle();
}

/* Deletions of two snapshots at once; then an error comes while one waits for the last read: nothing is deleted. */
static void error_during_deletion(void *arg)
{
	struct async_io r0, r1;
	struct command d0, d1;
	int held;

	make_probed(PROBE_TABLE);
	for (int i = 0; i < 3; i++)
		make_snapshot();
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");
	held = disk_delay_hold(disk_top("origin"), DISK_OP_READ, 0, 0);
	async_start(&r0, "s0", REQ_OP_READ, 0, 1, 0);
	async_start(&r1, "s1", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	start_message(&d0, "ms", "delete 0");
	start_message(&d1, "ms", "delete 1");
	CHECK(!d0.ended && !d1.ended);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), -EBUSY);
	CHECK_EQUAL(dmctl_message("ms", "delete 1"), -EBUSY);
	CHECK_EQUAL(dmctl_message("ms", "delete 2"), 0);
	set_error(-EIO);
	CHECK(!d0.ended && !d1.ended);
	disk_delay_release(disk_top("origin"), held);
	CHECK_EQUAL(command_result(&d0), -EIO);
	CHECK_EQUAL(command_result(&d1), -EIO);
	CHECK(r0.ended && r1.ended);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "2"));
}

static void deletions_at_once_and_an_error_that_ends_them(void **state)
{
	in_probed_world(error_during_deletion, NULL);
}

/* An error comes while sync-snapshots waits for the store: it is the result, and nothing is committed. */
static int run_sync(const char *device)
{
	return world_device_create(
		device,
		"0 2048 multisnapshot origin store 8 2 sync-snapshots preserve-on-error probe 0 2 1 2",
		NULL);
}

static void error_during_sync(void *arg)
{
	struct command c;

	probe.create = (struct probe_answer){ .skip = 1, .count = 1, .answer = -EAGAIN };
	start_command(&c, "ms", run_sync);
	CHECK(!c.ended);
	set_error(-ENXIO);
	CHECK_EQUAL(command_result(&c), -ENXIO);
	CHECK_EQUAL(probe.commits, 0);
}

static void h15_an_error_while_the_store_takes_its_time_ends_the_resume(void **state)
{
	in_probed_world(error_during_sync, NULL);
}

/* The resume fails, the table is live all the same: it takes no messages. */
static int cannot_format(struct dm_exception_store *store)
{
	return -EIO;
}

static void message_before_resume(void *arg)
{
	probe.ops.format = cannot_format;
	CHECK_EQUAL(world_device_create_empty("ms"), 0);
	CHECK_EQUAL(dmctl_load("ms", PROBE_PRESERVE_TABLE, NULL), 0);
	CHECK_EQUAL(dmctl_resume("ms"), -EIO);
	CHECK_EQUAL(dmctl_message("ms", "create"), -EINVAL);
	CHECK_EQUAL(dmctl_message("ms", "settle"), -EINVAL);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "-"));
	probe.ops.format = probe.model.format;
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "0"));
}

static void no_messages_before_the_first_resume(void **state)
{
	in_probed_world(message_before_resume, NULL);
}

/* H14 for sync-snapshots: each allocation of the constructor and of the resume fails in turn. */
static void sync_short_of_memory(void *arg)
{
	static const char table[] =
		"0 2048 multisnapshot origin store 8 2 sync-snapshots preserve-on-error probe 0 2 1 2";
	unsigned int failed_loads = 0, failed_resumes = 0;

	for (u64 n = 0;; n++) {
		u64 before = sim_memory_bytes();
		int load, resume = 0;

		CHECK_EQUAL(world_device_create_empty("ms"), 0);
		sim_fail_alloc(sim_alloc_count() + n, 1);
		load = dmctl_load("ms", table, NULL);
		if (!load)
			resume = dmctl_resume("ms");
		sim_fail_alloc(0, 0);
		CHECK(load == 0 || load == -ENOMEM);
		CHECK(resume == 0 || resume == -ENOMEM);
		failed_loads += load != 0;
		failed_resumes += resume != 0;
		if (!load && !resume)
			CHECK(!strcmp(status_field(STATUS_NUMBER), "2"));
		CHECK_EQUAL(world_device_remove("ms"), 0);
		CHECK_EQUAL(sim_memory_bytes(), before);
		if (!load && !resume)
			break;
	}
	CHECK(failed_loads >= 6 && failed_resumes >= 1);
}

static void h14_each_allocation_of_sync_snapshots_fails(void **state)
{
	in_probed_world(sync_short_of_memory, NULL);
}

static int run_create_mikulas(const char *device)
{
	return world_device_create(device, "0 2048 multisnapshot origin store 8 0 mikulas 0", NULL);
}

/* No memory without waiting, and all of the reserve in use: writes wait for a commit, and none is lost. */
static void no_pending(void *arg)
{
	static struct async_io io[200];
	unsigned int ended = 0;
	struct dm_multisnap *s;
	int held;

	CHECK_EQUAL(run_create_mikulas("ms"), 0);
	CHECK_EQUAL(write_tags("ms", 0, 1024, 1), 0);
	CHECK_EQUAL(write_tags("ms", 1024, 1024, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	make_snap_device("s1", "0");
	sim_fail_alloc_random(1000000);
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		async_start(&io[i], "ms", REQ_OP_WRITE, (sector_t)i * CHUNK, 1, 2);
	sim_settle();
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		ended += io[i].ended;
	CHECK_EQUAL(ended, 0);
	s = multisnap_find(disk_bdev("origin")->bd_dev);
	CHECK_EQUAL(s->nr_pending, MULTISNAP_PENDING_RESERVE);
	multisnap_put(s);
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	sim_fail_alloc_random(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++) {
		CHECK(io[i].ended);
		CHECK_EQUAL(io[i].error, 0);
		CHECK(holds_write("ms", (sector_t)i * CHUNK, 1, 2));
		CHECK(holds_write("s0", (sector_t)i * CHUNK, 1, 1));
	}
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	CHECK_EQUAL(world_device_remove("s1"), 0);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h07_writes_wait_when_neither_memory_nor_the_reserve_has_any(void **state)
{
	in_world(no_pending, NULL);
}

/* Zeroing and copy of one chunk both fail, or zeroing again at the first of two places: one error, one answer. */
static void all_parts_fail(void *arg)
{
	bool copies_too = arg;

	CHECK(world_disk_add("short", 2044, DISK_RAM, 512, NULL));
	CHECK_EQUAL(world_device_create(
			    "ms",
			    "0 2044 multisnapshot short store 8 1 preserve-on-error mikulas 0",
			    NULL),
		    0);
	CHECK_EQUAL(write_tags("ms", 2040, 4, 1), 0);
	for (int i = 0; i < 3; i++)
		make_snapshot();
	CHECK_EQUAL(world_device_create("s1", "0 2048 multisnap-snap short 1", NULL), 0);
	CHECK_EQUAL(write_tags("s1", 2040, 1, 2), 0); /* 0 and 2 no longer share: two places */
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	fail_disk("store", DISK_OP_DISCARD, 0, U64_MAX, -EOPNOTSUPP);
	fail_disk("store", DISK_OP_WRITE, copies_too ? 0 : 2, U64_MAX, -EIO);
	CHECK_EQUAL(write_tags("ms", 2040, 4, 3), -EIO);
	sim_settle();
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	disk_error_clear(world_disk_find("store")->error);
	CHECK(holds_write("short", 2040, 4, 1));
	CHECK_EQUAL(world_device_remove("s1"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);

	/* Nothing of it is in the store. */
	CHECK_EQUAL(world_device_create("ms", "0 2044 multisnapshot short store 8 0 mikulas 0",
					NULL),
		    0);
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap short 0", NULL), 0);
	CHECK_EQUAL(world_device_create("s1", "0 2048 multisnap-snap short 1", NULL), 0);
	CHECK(holds_write("s0", 2040, 4, 1));
	CHECK(holds_write("s0", 2044, 4, 0));
	CHECK(holds_write("s1", 2040, 1, 2));
	CHECK(holds_write("s1", 2044, 4, 0));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("s1"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h04_parts_that_all_fail_are_one_error(void **state)
{
	in_world(all_parts_fail, NULL);
	in_world(all_parts_fail, (void *)1);
}

/* ---- devices ---- */

static void chunk_below_block(void *arg)
{
	const char *error = NULL;

	CHECK(world_disk_add("large", ORIGIN_SECTORS, DISK_RAM, 4096, NULL));
	CHECK_EQUAL(world_device_create("ms", "0 2048 multisnapshot large store 4 0 model 0",
					&error),
		    -EINVAL);
	CHECK(error && strstr(error, "logical block"));
	CHECK_EQUAL(world_device_create("ms", "0 2048 multisnapshot large store 8 0 model 0", NULL),
		    0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void a_chunk_is_not_smaller_than_a_block_of_the_origin(void **state)
{
	in_world(chunk_below_block, NULL);
}

/* A snapshot device comes while the multisnapshot of its origin is being constructed; another has no such origin. */
static void not_ready(void *arg)
{
	const char *error = NULL;
	struct command c;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_READ, 0, 0);

	start_command(&c, "ms", run_create_mikulas);
	CHECK(!c.ended);
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap origin 0", &error), -ENXIO);
	disk_delay_release(disk_top("store"), held);
	CHECK_EQUAL(command_result(&c), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(world_device_create("s1", "0 2048 multisnap-snap nowhere 0", &error), -ENOENT);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void a_snapshot_finds_its_origin_when_that_is_ready(void **state)
{
	in_world(not_ready, NULL);
}

/* I/O of a snapshot is held while one of it is created; the deletion of another lets nothing of it go. */
static void held_through_deletion(void *arg)
{
	struct async_io read, write;
	struct command suspend;
	int held;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(dmctl_message("ms", "create_subsnap 0"), 0);
	held = disk_delay_hold(disk_top("origin"), DISK_OP_READ, 0, 0);
	async_start(&read, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	start_command(&suspend, "ms", run_suspend);
	async_start(&write, "s0", REQ_OP_WRITE, 0, CHUNK, 2);
	sim_settle();
	CHECK_EQUAL(dmctl_message("ms", "delete 1"), 0);
	CHECK(!suspend.ended && !read.ended && !write.ended);
	CHECK_EQUAL(disk_counts(disk_top("store"))->writes, 0);
	disk_delay_release(disk_top("origin"), held);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK(read.ended && write.ended);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	make_snap_device("s00", "0.0");
	CHECK(holds_write("s00", 0, CHUNK, 1));
	CHECK(holds_write("s0", 0, CHUNK, 2));
}

static void h28_held_writes_stay_held_when_another_snapshot_goes(void **state)
{
	in_probed_world(held_through_deletion, NULL);
}

/* dm lets a snapshot device go while its I/O is under way, which never is: nothing that this will look at is freed. */
static void removed_busy(void *arg)
{
	struct multisnap_snap *snap;

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	snap = list_first_entry(&probe.s->snaps, struct multisnap_snap, list);
	snap->in_flight++;
	sim_expect_warnings(1);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(snap->id, 0xffffffff);
	CHECK(list_empty(&probe.s->snaps));
	multisnap_put(snap->s);
	kfree(snap->id_text);
	kfree(snap);
}

static void a_snapshot_device_that_goes_too_early_is_not_freed(void **state)
{
	in_probed_world(removed_busy, NULL);
}

/* An error that is none: it is one all the same. */
static void no_error(void *arg)
{
	make_probed(PROBE_PRESERVE_TABLE);
	sim_expect_warnings(1);
	set_error(0);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	CHECK_EQUAL(write_tags("ms", 0, 1, 1), -EIO);
}

static void an_error_without_a_number_is_eio(void **state)
{
	in_probed_world(no_error, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h05_a_number_is_asked_for_again),
		cmocka_unit_test(h24_what_was_prepared_last_waits_for_its_own_suspend),
		cmocka_unit_test(a_lookup_that_fails_ends_the_snapshots),
		cmocka_unit_test(a_store_that_unshares_wrongly_ends_the_snapshots),
		cmocka_unit_test(a_deletion_that_fails_leaves_the_snapshot_detached),
		cmocka_unit_test(deletions_at_once_and_an_error_that_ends_them),
		cmocka_unit_test(h15_an_error_while_the_store_takes_its_time_ends_the_resume),
		cmocka_unit_test(no_messages_before_the_first_resume),
		cmocka_unit_test(h14_each_allocation_of_sync_snapshots_fails),
		cmocka_unit_test(h07_writes_wait_when_neither_memory_nor_the_reserve_has_any),
		cmocka_unit_test(h04_parts_that_all_fail_are_one_error),
		cmocka_unit_test(a_chunk_is_not_smaller_than_a_block_of_the_origin),
		cmocka_unit_test(a_snapshot_finds_its_origin_when_that_is_ready),
		cmocka_unit_test(h28_held_writes_stay_held_when_another_snapshot_goes),
		cmocka_unit_test(a_snapshot_device_that_goes_too_early_is_not_freed),
		cmocka_unit_test(an_error_without_a_number_is_eio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
