// SPDX-License-Identifier: GPL-2.0
/*
 * Things that happen at the same time: I/O that outlives its mapping, messages against each other and
 * against a device that hangs, flags of bios on their way.
 */
#include "probe_store.h"

/*
 * Snapshots 0 and 1 share a store chunk. A read of 1 is on its way to it; 1 is written, and moves away; 0 has the
 * chunk for itself now, and writes in place. The read must not see that.
 */
static void read_then_written_in_place(void *arg)
{
	struct async_io read, w1, w0, other;
	int held;

	CHECK_EQUAL(world_device_create("ms", arg, NULL), 0);
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 1), 0);
	make_snapshot();
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 2), 0);
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);

	held = disk_delay_hold_next(disk_top("store"), DISK_OP_READ, 0, 0, 1);
	async_start(&read, "s1", REQ_OP_READ, 2, 1, 0);
	sim_settle();
	CHECK_EQUAL(disk_delay_held(disk_top("store")), 1);
	async_start(&w1, "s1", REQ_OP_WRITE, 0, 1, 3);
	sim_settle();
	CHECK(w1.ended && !read.ended);
	async_start(&w0, "s0", REQ_OP_WRITE, 0, CHUNK, 4);
	async_start(&other, "s0", REQ_OP_WRITE, CHUNK, 1, 5);
	sim_settle();
	CHECK(other.ended && !w0.ended);
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(read.ended && w0.ended);
	CHECK(read.tags[0] == tag_make(1, 2));
	CHECK(holds_write("s0", 0, CHUNK, 4));
	CHECK(holds_write("s1", 0, 1, 3));
	CHECK(holds_write("s1", 1, CHUNK - 1, 1));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("s1"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h29_a_write_in_place_waits_for_reads_of_who_moved_away(void **state)
{
	in_world(read_then_written_in_place, MS_TABLE);
	in_world(read_then_written_in_place, "0 2048 multisnapshot origin store 8 0 mikulas 0");
}

/* 5.6: a write of a snapshot does not wait for a tracked read; the read sees old or new, not both in a sector. */
static void write_under_tracked_read(void *arg)
{
	struct async_io read, write;
	int held;

	make_ms();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	held = disk_delay_hold_next(disk_top("origin"), DISK_OP_READ, 0, 0, 1);
	async_start(&read, "s0", REQ_OP_READ, 0, CHUNK, 0);
	sim_settle();
	async_start(&write, "s0", REQ_OP_WRITE, 0, 1, 2);
	sim_settle();
	CHECK(write.ended && !read.ended);
	CHECK_EQUAL(write.error, 0);
	disk_delay_release(disk_top("origin"), held);
	sim_settle();
	CHECK(read.tags[0] == tag_make(1, 0));
	CHECK(holds_write("s0", 0, 1, 2));
}

static void a_snapshot_write_does_not_wait_for_tracked_reads(void **state)
{
	in_world(write_under_tracked_read, NULL);
}

/* Before a sub-snapshot is created, what its master has in flight is drained, and new I/O waits. */
static void sub_snapshot_under_write(void *arg)
{
	struct async_io late, held_write, other;
	struct command suspend;
	int held;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 1), 0);
	make_snapshot();
	make_snapshot();
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");
	CHECK_EQUAL(write_tags("s0", 0, CHUNK, 2), 0);
	probe.commits = 0;
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	async_start(&late, "s0", REQ_OP_WRITE, 4, 1, 3);
	CHECK_EQUAL(dmctl_message("ms", "create_subsnap 0"), 0);
	start_command(&suspend, "ms", run_suspend);
	async_start(&held_write, "s0", REQ_OP_WRITE, 5, 1, 4);
	async_start(&other, "s1", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK(other.ended); /* only the master is held */
	CHECK(!suspend.ended && !late.ended && !held_write.ended);
	CHECK_EQUAL(probe.commits, 0);
	disk_delay_release(disk_top("store"), held);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK(late.ended && held_write.ended);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	make_snap_device("s00", "0.0");
	CHECK(holds_write("s00", 4, 1, 3));
	CHECK(holds_write("s00", 5, 1, 2));
	CHECK(holds_write("s0", 5, 1, 4));
}

static void h28_the_master_is_quiet_when_its_sub_snapshot_is_created(void **state)
{
	in_probed_world(sub_snapshot_under_write, NULL);
}

/* The master is deleted while the suspend waits for it to be quiet: neither waits for the other. */
static void sub_snapshot_of_deleted(void *arg)
{
	struct command suspend, delete;
	struct async_io late, held_write;
	int held;

	make_ms();
	make_snapshot();
	make_snap_device("s0", "0");
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	async_start(&late, "s0", REQ_OP_WRITE, 0, CHUNK, 1);
	CHECK_EQUAL(dmctl_message("ms", "create_subsnap 0"), 0);
	start_command(&suspend, "ms", run_suspend);
	async_start(&held_write, "s0", REQ_OP_WRITE, CHUNK, 1, 2);
	start_message(&delete, "ms", "delete 0");
	CHECK(held_write.ended);
	CHECK_EQUAL(held_write.error, -EIO);
	disk_delay_release(disk_top("store"), held);
	CHECK_EQUAL(command_result(&delete), 0);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
}

static void the_master_is_deleted_under_the_creation(void **state)
{
	in_world(sub_snapshot_of_deleted, NULL);
}

/* A delete hangs because a disk does. Nobody waits but for that disk. */
static void delete_hangs(void *arg)
{
	struct command delete, twice;
	struct async_io write;
	int held;

	CHECK(world_disk_add("origin2", ORIGIN_SECTORS, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("store2", STORE_SECTORS, DISK_RAM, 512, NULL));
	make_ms();
	make_snapshot();
	make_snapshot();
	make_snap_device("s0", "0");
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	async_start(&write, "s0", REQ_OP_WRITE, 0, CHUNK, 1);
	sim_settle();
	start_message(&delete, "ms", "delete 0");
	CHECK(!delete.ended);
	/* What needs no commit of the store that hangs. */
	start_message(&twice, "ms", "delete 0");
	CHECK_EQUAL(command_result(&twice), -EBUSY);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "2"));
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK_EQUAL(dmctl_message("ms", "create_subsnap 0"), -EINVAL);
	CHECK_EQUAL(world_device_create("s2", "0 2048 multisnap-snap origin 0", NULL), -ENOENT);

	/* Another one, from its first to its last day. */
	CHECK_EQUAL(world_device_create("t", "0 2048 multisnapshot origin2 store2 8 0 model 0",
					NULL),
		    0);
	CHECK_EQUAL(dmctl_message("t", "create"), 0);
	CHECK_EQUAL(dmctl_suspend("t", 0), 0);
	CHECK_EQUAL(dmctl_resume("t"), 0);
	CHECK_EQUAL(world_device_create("t0", "0 2048 multisnap-snap origin2 0", NULL), 0);
	CHECK_EQUAL(write_tags("t", 0, CHUNK, 1), 0);
	CHECK_EQUAL(write_tags("t0", 0, CHUNK, 2), 0);
	CHECK_EQUAL(dmctl_message("t", "delete 0"), 0);
	CHECK_EQUAL(world_device_remove("t0"), 0);
	CHECK_EQUAL(world_device_remove("t"), 0);

	CHECK(!delete.ended);
	disk_delay_release(disk_top("store"), held);
	CHECK_EQUAL(command_result(&delete), 0);
	CHECK(write.ended);
}

static void h41_a_delete_that_hangs_stops_nobody_else(void **state)
{
	in_world(delete_hangs, NULL);
}

/* kcopyd has no job to give, and its jobs hang: the master lock is free all the time. */
static void no_jobs(void *arg)
{
	struct async_io io[8];
	int held;

	sim_set_job_pools(1, 1);
	make_ms();
	make_snapshot();
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		async_start(&io[i], "ms", REQ_OP_WRITE, (sector_t)i * CHUNK, 1, 1);
	sim_settle();
	CHECK(!io[0].ended && !io[7].ended);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "1"));
	make_snap_device("s0", "0");
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		CHECK(io[i].ended && !io[i].error);
	CHECK(holds_write("s0", 0, 8 * CHUNK, 0));
}

static void h34_the_master_lock_is_free_while_kcopyd_sleeps(void **state)
{
	in_world(no_jobs, NULL);
}

/* What the disks below "origin" and "store" were sent. */
static struct seen {
	unsigned int writes, fua, nowait;
} seen[2];

static void see(void *context, const struct disk_log_event *ev)
{
	struct seen *s = context;

	if (ev->completed || (ev->opf & REQ_OP_MASK) != REQ_OP_WRITE)
		return;
	s->writes++;
	s->fua += !!(ev->opf & REQ_FUA);
	s->nowait += !!(ev->opf & REQ_NOWAIT);
}

static int flagged_write(const char *device, sector_t sector, blk_opf_t flags, u64 n)
{
	struct async_io io;

	async_start(&io, device, REQ_OP_WRITE | flags, sector, 1, n);
	sim_settle();
	CHECK(io.ended);
	return io.error;
}

static void flags(void *arg)
{
	static const char *const names[2] = { "logged-origin", "logged-store" };
	struct disk *disks[2];

	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 2; i++) {
		disks[i] = disk_log_create(disk_ram_create(names[i], 2048 << i), see, &seen[i]);
		disk_register(names[i], disks[i], 512);
	}
	CHECK_EQUAL(world_device_create(
			    "ms", "0 2048 multisnapshot logged-origin logged-store 8 0 model 0",
			    NULL),
		    0);
	make_snapshot();
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap logged-origin 0", NULL), 0);

	/* Waits for its exception, and is still a FUA write then; the copy need not be one. */
	CHECK_EQUAL(flagged_write("ms", 0, REQ_FUA, 1), 0);
	CHECK_EQUAL(seen[0].fua, 1);
	/* To a place that is made for it, and in place. */
	seen[1].fua = 0;
	CHECK_EQUAL(flagged_write("s0", CHUNK, REQ_FUA, 2), 0);
	CHECK_EQUAL(seen[1].fua, 1);
	CHECK_EQUAL(flagged_write("s0", CHUNK, REQ_FUA, 3), 0);
	CHECK_EQUAL(seen[1].fua, 2);

	CHECK(flagged_write("ms", 4 * CHUNK, REQ_NOWAIT, 6) != 0);
	CHECK(flagged_write("s0", 4 * CHUNK, REQ_NOWAIT, 6) != 0);
	CHECK_EQUAL(seen[0].nowait + seen[1].nowait, 0);

	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	for (int i = 0; i < 2; i++) {
		disk_unregister(names[i]);
		disk_destroy(disks[i]);
	}
}

static void h39_nowait_is_refused_and_fua_is_kept(void **state)
{
	in_world(flags, NULL);
}

/* The last bios have just ended: everything is removed, and the modules are unloaded at once. In many orders. */
static void unload(void *arg)
{
	struct async_io io[12];
	bool ended = false;

	CHECK_EQUAL(world_device_create("ms", arg, NULL), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(sim_module_unload("dm-multisnapshot"), -EBUSY);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		async_start(&io[i], i & 1 ? "ms" : "s0", i % 3 ? REQ_OP_WRITE : REQ_OP_READ,
			    i / 4 * CHUNK, i % 4 ? 1 : CHUNK, 1);
	while (!ended) {
		ended = true;
		for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
			ended &= io[i].ended;
		if (!ended)
			sim_sleep_ns(1000);
	}
	CHECK_EQUAL(world_device_remove("ms"), 0);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(sim_module_unload(strstr(arg, "model") ? "dm-store-model" : "dm-store-mikulas"),
		    0);
	CHECK_EQUAL(sim_module_unload("dm-multisnapshot"), 0);
	CHECK_EQUAL(sim_memory_bytes(), 0);
}

static void h46_the_modules_go_as_soon_as_the_devices_are_gone(void **state)
{
	for (u64 seed = 1; seed <= 100; seed++) {
		fixture_start(SIM_RANDOM, seed);
		sim_thread_start(
			"test", unload,
			(void *)(seed & 1 ? MS_TABLE :
					    "0 2048 multisnapshot origin store 8 0 mikulas 0"));
		sim_run();
		world_stop();
	}
}

/* Before the first resume the I/O of a snapshot is held; the origin's table is dropped, and it fails. */
static void never_resumed(void *arg)
{
	struct async_io held;

	/* A snapshot that outlives the device: only mikulas has one. */
	CHECK_EQUAL(world_device_create("ms", "0 2048 multisnapshot origin store 8 0 mikulas 0",
					NULL),
		    0);
	make_snapshot();
	CHECK_EQUAL(world_device_remove("ms"), 0);
	CHECK_EQUAL(world_device_create_empty("ms"), 0);
	CHECK_EQUAL(world_device_load("ms", "0 2048 multisnapshot origin store 8 0 mikulas 0",
				      NULL),
		    0);
	make_snap_device("s0", "0");
	async_start(&held, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK(!held.ended);
	CHECK_EQUAL(dmctl_clear("ms"), 0);
	sim_settle();
	CHECK(held.ended);
	CHECK_EQUAL(held.error, -EIO);
	CHECK_EQUAL(write_tags("s0", 0, 1, 1), -EIO);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h09_io_held_for_a_table_that_is_dropped_fails(void **state)
{
	in_world(never_resumed, NULL);
}

/* There is much to reclaim after a deletion: a removal leaves it for the next load. */
static void removed_while_reclaiming(void *arg)
{
	static const char table[] = "0 65536 multisnapshot big-origin big-store 8 0 mikulas 0";
	u64 metadata, left;

	CHECK(world_disk_add("big-origin", 65536, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("big-store", 262144, DISK_RAM, 512, NULL));
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
	make_snapshot();
	for (sector_t sector = 0; sector < 65536; sector += 1024)
		CHECK_EQUAL(write_tags("ms", sector, 1024, 1), 0);
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
	metadata = strtoull(status_field(5), NULL, 10);
	left = strtoull(status_field(4), NULL, 10) - metadata;
	CHECK(left > 0);
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "0"));
	CHECK_EQUAL(strtoull(status_field(4), NULL, 10), strtoull(status_field(5), NULL, 10));
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void a_removal_does_not_wait_for_all_to_be_reclaimed(void **state)
{
	in_world(removed_while_reclaiming, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h09_io_held_for_a_table_that_is_dropped_fails),
		cmocka_unit_test(h28_the_master_is_quiet_when_its_sub_snapshot_is_created),
		cmocka_unit_test(h29_a_write_in_place_waits_for_reads_of_who_moved_away),
		cmocka_unit_test(h34_the_master_lock_is_free_while_kcopyd_sleeps),
		cmocka_unit_test(h39_nowait_is_refused_and_fua_is_kept),
		cmocka_unit_test(h41_a_delete_that_hangs_stops_nobody_else),
		cmocka_unit_test(h46_the_modules_go_as_soon_as_the_devices_are_gone),
		cmocka_unit_test(a_removal_does_not_wait_for_all_to_be_reclaimed),
		cmocka_unit_test(a_snapshot_write_does_not_wait_for_tracked_reads),
		cmocka_unit_test(the_master_is_deleted_under_the_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
