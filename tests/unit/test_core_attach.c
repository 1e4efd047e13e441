// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshot devices and the target they belong to: attaching while that goes or has failed, the devices that dm is told of,
 * what is said for IMA; deletions while copies and reads are under way; the first resume; who is told of a new snapshot.
 */
#include "probe_store.h"

/* ---- the origin goes while a snapshot device comes ---- */

static const char *attach_error;

static int run_attach(const char *device)
{
	return world_device_create(device, "0 2048 multisnap-snap origin 0", &attach_error);
}

struct race {
	unsigned int attached, too_late, gone;
};

static void attach_against_removal(void *arg)
{
	struct race *race = arg;
	struct command attach, removal;

	make_ms();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	attach = (struct command){ .device = "s0", .run = run_attach };
	removal = (struct command){ .device = "ms", .run = world_device_remove };
	attach.thread = sim_thread_start("attach", command_thread, &attach);
	removal.thread = sim_thread_start("removal", command_thread, &removal);
	sim_thread_join(attach.thread);
	sim_thread_join(removal.thread);
	CHECK_EQUAL(removal.result, 0);
	if (!attach.result) {
		race->attached++;
		CHECK_EQUAL(write_tags("s0", 0, 1, 2), -EIO);
		CHECK_EQUAL(world_device_remove("s0"), 0);
		return;
	}
	CHECK_EQUAL(attach.result, -ENXIO);
	if (strstr(attach_error, "going away"))
		race->too_late++;
	else
		race->gone++;
}

static void h09_a_device_comes_while_its_origin_goes(void **state)
{
	struct race race = { 0 };

	for (u64 seed = 1; seed <= 400; seed++) {
		fixture_start(SIM_RANDOM, seed);
		sim_thread_start("test", attach_against_removal, &race);
		sim_run();
		world_stop();
	}
	assert_true(race.attached > 0);
	assert_true(race.too_late > 0);
	assert_true(race.gone > 0);
}

/* ---- after an error ---- */

/* Preserved snapshots are all there: a device comes for one that exists, and for no other. */
static void attach_after_error(void *arg)
{
	make_probed(PROBE_PRESERVE_TABLE);
	make_snapshot();
	multisnap_lock(probe.s);
	dm_multisnap_set_error(probe.s, -EIO);
	multisnap_unlock(probe.s);
	sim_settle();
	make_snap_device("s0", "0");
	CHECK_EQUAL(write_tags("s0", 0, 1, 1), -EIO);
	CHECK_EQUAL(world_device_create("s1", "0 2048 multisnap-snap origin 7", NULL), -ENOENT);
}

static void a_preserved_snapshot_has_a_device_after_an_error(void **state)
{
	in_probed_world(attach_after_error, NULL);
}

/* ---- what dm is told ---- */

static unsigned int asked, refuse_at;
static struct block_device *asked_of[4];
static sector_t asked_len[4];

static int callout(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
		   void *data)
{
	CHECK(asked < ARRAY_SIZE(asked_of));
	CHECK_EQUAL(start, 0);
	asked_of[asked] = dev->bdev;
	asked_len[asked] = len;
	return ++asked == refuse_at ? 5 : 0;
}

/* Both devices below, no further than they go; the first refusal is the answer. */
static void devices_below(void *arg)
{
	struct dm_target ti = { .len = ORIGIN_SECTORS + 512 };

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	ti.private = list_first_entry(&probe.s->snaps, struct multisnap_snap, list);
	for (refuse_at = 1; refuse_at <= 3; refuse_at++) {
		asked = 0;
		CHECK_EQUAL(multisnap_snap_target.iterate_devices(&ti, callout, NULL),
			    refuse_at == 3 ? 0 : 5);
		CHECK_EQUAL(asked, refuse_at == 1 ? 1 : 2);
		CHECK(asked_of[0] == disk_bdev("origin") && asked_len[0] == ORIGIN_SECTORS);
		CHECK(asked == 1 || (asked_of[1] == disk_bdev("store") && asked_len[1] == ti.len));
		CHECK_EQUAL(probe.s->device_holders, 0);
	}
	asked = 0;
	refuse_at = 1;
	CHECK_EQUAL(probe.s->ti->type->iterate_devices(probe.s->ti, callout, NULL), 5);
	CHECK(asked == 1 && asked_of[0] == disk_bdev("origin") && asked_len[0] == ORIGIN_SECTORS);
}

static void h36_dm_is_told_of_both_devices_as_far_as_they_go(void **state)
{
	in_probed_world(devices_below, NULL);
}

static void ima_says(const char *table, const char *what)
{
	char text[512];

	make_probed(table);
	CHECK_EQUAL(dmctl_status_raw("ms", STATUSTYPE_IMA, text, sizeof(text)), 0);
	CHECK(strstr(text, what));
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void ima(void *arg)
{
	ima_says(PROBE_TABLE, ",sync_snapshots=n,preserve_on_error=n,store_type=probe;");
	ima_says(PROBE_PRESERVE_TABLE, ",sync_snapshots=n,preserve_on_error=y,store_type=probe;");
	ima_says("0 2048 multisnapshot origin store 8 1 sync-snapshots probe 0 1 0",
		 ",sync_snapshots=y,preserve_on_error=n,store_type=probe;");
}

static void h38_ima_is_told_of_both_policies(void **state)
{
	in_probed_world(ima, NULL);
}

/* ---- no snapshot is left, something of the last one is ---- */

/* A copy of the last snapshot is under way when that is deleted: the next write of the chunk waits for its end. */
static void last_copy(void *arg)
{
	struct async_io copying, write;
	struct command delete;
	int held;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	async_start(&copying, "ms", REQ_OP_WRITE, 0, 1, 2);
	sim_settle();
	probe.hold_commits = true;
	start_message(&delete, "ms", "delete 0");
	CHECK(!copying.ended && !delete.ended);
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	async_start(&write, "ms", REQ_OP_WRITE, 1, 1, 3);
	sim_settle();
	CHECK(!write.ended && !copying.ended);
	probe_release_commit();
	probe_release_commit();
	disk_delay_release(disk_top("store"), held);
	probe.hold_commits = false;
	CHECK_EQUAL(command_result(&delete), 0);
	sim_settle();
	CHECK(write.ended && copying.ended);
	CHECK(holds_write("ms", 0, 1, 2) && holds_write("ms", 1, 1, 3) &&
	      holds_write("ms", 2, CHUNK - 2, 1));
	CHECK(!strcmp(status_field(STATUS_NUMBER), "0"));
}

static void writes_wait_for_the_last_copy(void **state)
{
	in_probed_world(last_copy, NULL);
}

/* ---- a device comes before its origin is resumed ---- */

#define MIKULAS "0 2048 multisnapshot origin store 8 0 mikulas 0"

static void before_the_first_resume(void *arg)
{
	struct async_io read, write;

	CHECK_EQUAL(world_device_create("ms", MIKULAS, NULL), 0);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);

	CHECK_EQUAL(world_device_create_empty("ms"), 0);
	CHECK_EQUAL(world_device_load("ms", MIKULAS, NULL), 0);
	make_snap_device("s0", "0");
	async_start(&read, "s0", REQ_OP_READ, 0, 1, 0);
	async_start(&write, "s0", REQ_OP_WRITE, 1, 1, 3);
	sim_settle();
	CHECK(!read.ended && !write.ended);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	sim_settle();
	CHECK(read.ended && write.ended);
	CHECK_EQUAL(read.error, 0);
	CHECK_EQUAL(write.error, 0);
	CHECK_EQUAL(read.tags[0], tag_make(1, 0));
	CHECK(holds_write("s0", 1, 1, 3) && holds_write("s0", 2, CHUNK - 2, 1));
	CHECK(holds_write("ms", 0, CHUNK, 2));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void io_of_a_snapshot_waits_for_the_first_resume(void **state)
{
	in_world(before_the_first_resume, NULL);
}

/* ---- who is told of a snapshot finds it after a power cut as well ---- */

static void told_of_a_snapshot(void *arg)
{
	struct command suspend;
	u64 events;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	events = dmctl_event_count("ms");
	probe.hold_commits = true;
	start_command(&suspend, "ms", run_suspend);
	CHECK(probe.commits == 1 && !suspend.ended);
	CHECK_EQUAL(dmctl_event_count("ms"), events);
	probe_release_commit();
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK_EQUAL(dmctl_event_count("ms"), events + 1);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
}

/* It is not durable, and never will be: there is the event of the error, and no other. */
static void not_told_of_a_snapshot(void *arg)
{
	u64 events;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	events = dmctl_event_count("ms");
	probe.commit_result = -EIO;
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	sim_settle();
	CHECK(!strcmp(status_field(STATUS_ERROR), "-5"));
	CHECK_EQUAL(dmctl_event_count("ms"), events + 1);
}

static void the_event_of_a_new_snapshot_comes_when_it_is_durable(void **state)
{
	in_probed_world(told_of_a_snapshot, NULL);
	in_probed_world(not_told_of_a_snapshot, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h09_a_device_comes_while_its_origin_goes),
		cmocka_unit_test(a_preserved_snapshot_has_a_device_after_an_error),
		cmocka_unit_test(h36_dm_is_told_of_both_devices_as_far_as_they_go),
		cmocka_unit_test(h38_ima_is_told_of_both_policies),
		cmocka_unit_test(writes_wait_for_the_last_copy),
		cmocka_unit_test(io_of_a_snapshot_waits_for_the_first_resume),
		cmocka_unit_test(the_event_of_a_new_snapshot_comes_when_it_is_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
