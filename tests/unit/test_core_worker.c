// SPDX-License-Identifier: GPL-2.0
/*
 * What brings the worker round, and what it can be spared: epochs, background work, groups that are abandoned, creation
 * under an error, chunks remembered as copied, an origin whose snapshots are given up.
 */
#include "probe_store.h"

#define BIG_CHUNKS (2ULL * 64 * MULTISNAP_COPIED_REGIONS)
#define CHUNK_AT(n) ((sector_t)(n) * CHUNK)

/* ---- chunks remembered as copied ---- */

/* Two chunks of one place in the table, of different regions: what is known of one is not known of the other. */
static void regions_share_a_place(void *arg)
{
	const u64 other = BIG_CHUNKS / 2;
	char table[128];

	CHECK(world_disk_add("big", CHUNK_AT(BIG_CHUNKS), DISK_RAM, 512, NULL));
	snprintf(table, sizeof(table), "0 %llu multisnapshot big store 8 0 mikulas 0", CHUNK_AT(BIG_CHUNKS));
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
	make_snapshot();
	snprintf(table, sizeof(table), "0 %llu multisnap-snap big 0", CHUNK_AT(BIG_CHUNKS));
	CHECK_EQUAL(world_device_create("s0", table, NULL), 0);
	for (u64 n = 1; n <= 2; n++) {
		CHECK_EQUAL(write_tags("ms", CHUNK_AT(5), CHUNK, n), 0);
		CHECK_EQUAL(write_tags("ms", CHUNK_AT(other + 6), CHUNK, n), 0);
	}
	CHECK_EQUAL(write_tags("ms", CHUNK_AT(other + 5), CHUNK, 3), 0);
	CHECK(holds_write("s0", CHUNK_AT(other + 5), CHUNK, 0));
	CHECK(holds_write("s0", CHUNK_AT(other + 6), CHUNK, 0));
	CHECK(holds_write("s0", CHUNK_AT(5), CHUNK, 0));
	CHECK(holds_write("ms", CHUNK_AT(other + 5), CHUNK, 3));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void a_chunk_is_not_taken_for_another_that_was_copied(void **state)
{
	in_world(regions_share_a_place, NULL);
}

/* ---- epochs ---- */

static void want_epoch(u64 epoch)
{
	multisnap_lock(probe.s);
	dm_multisnap_want_epoch(probe.s, epoch);
	multisnap_unlock(probe.s);
	sim_settle();
}

/* The wish alone brings the worker; who waits is told once, when it is fulfilled. */
static void epoch_wanted(void *arg)
{
	unsigned int slot;
	u64 epoch, events;

	make_probed(PROBE_TABLE);
	epoch = probe.s->epoch;
	events = probe.s->event_seq;
	want_epoch(epoch + 1);
	CHECK_EQUAL(probe.s->epoch, epoch + 1);
	CHECK_EQUAL(probe.s->event_seq, events + 1);

	multisnap_lock(probe.s);
	slot = multisnap_epoch_enter(probe.s);
	multisnap_unlock(probe.s);
	want_epoch(epoch + 3);
	CHECK_EQUAL(probe.s->epoch, epoch + 2);
	CHECK_EQUAL(probe.s->event_seq, events + 1);
	multisnap_epoch_leave(probe.s, slot);
	sim_settle();
	CHECK_EQUAL(probe.s->epoch, epoch + 3);
	CHECK_EQUAL(probe.s->event_seq, events + 2);
}

static void h02_an_epoch_comes_when_it_is_wanted_and_possible(void **state)
{
	in_probed_world(epoch_wanted, NULL);
}

/* ---- background work ---- */

static unsigned int slices;

static void slice(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	slices++;
}

/* What the store answered with "ask again" may wait for just that work. */
static void work_is_an_event(void *arg)
{
	struct dm_multisnap_background_work work = { .work = slice };
	struct async_io r;

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	slices = 0;
	probe.find = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
	async_start(&r, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK(!r.ended);
	multisnap_lock(probe.s);
	dm_multisnap_queue_work(probe.s, &work);
	multisnap_unlock(probe.s);
	sim_settle();
	CHECK_EQUAL(slices, 1);
	CHECK(r.ended);
	CHECK_EQUAL(r.error, 0);
}

static void a_slice_of_work_has_the_store_asked_again(void **state)
{
	in_probed_world(work_is_an_event, NULL);
}

/* More bios than a pass takes, and work in the same pass: the next pass comes for the bios. */
static void more_than_a_pass(void *arg)
{
	static struct async_io reads[MULTISNAP_BATCH + 1];
	struct dm_multisnap_background_work work = { .work = slice };

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	multisnap_lock(probe.s);
	dm_multisnap_queue_work(probe.s, &work);
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++)
		async_start(&reads[i], "s0", REQ_OP_READ, i, 1, 0);
	multisnap_unlock(probe.s);
	sim_settle();
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++)
		CHECK(reads[i].ended && !reads[i].error);
}

static void h05_work_does_not_keep_the_rest_of_the_queue_waiting(void **state)
{
	in_probed_world(more_than_a_pass, NULL);
}

/* ---- pending exceptions ---- */

static void limited(void *arg)
{
	struct async_io w[5];
	int held;

	CHECK_EQUAL(sim_module_param_set("dm-multisnapshot", "pending_limit", 2), 0);
	make_probed(PROBE_TABLE);
	make_snapshot();
	held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		async_start(&w[i], "ms", REQ_OP_WRITE, CHUNK_AT(i), 1, 1);
	sim_settle();
	CHECK_EQUAL(probe.s->nr_pending, 2);
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		CHECK(w[i].ended && !w[i].error);
}

static void h07_there_are_no_more_pending_exceptions_than_allowed(void **state)
{
	in_probed_world(limited, NULL);
}

/* ---- errors ---- */

/* The error comes while a commit is under way. That it ends well makes nothing durable any more. */
static void commit_abandoned(void *arg)
{
	struct async_io w, whole;
	u64 durable;

	make_probed(PROBE_PRESERVE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.commits = 0;
	probe.hold_commits = true;
	durable = probe.s->durable_seq;
	async_start(&w, "ms", REQ_OP_WRITE, 0, CHUNK, 1);
	async_start(&whole, "s0", REQ_OP_WRITE, CHUNK, CHUNK, 2);
	sim_settle();
	CHECK(probe.commits == 1 && !w.ended && !whole.ended);
	dm_multisnap_set_error(probe.s, -EIO);
	sim_settle();
	CHECK(w.ended && whole.ended);
	CHECK_EQUAL(w.error, -EIO);
	CHECK_EQUAL(whole.error, -EIO);
	probe_release_commit();
	CHECK_EQUAL(probe.s->durable_seq, durable);
	CHECK_EQUAL(multisnap_commit_all(probe.s), -EIO);
}

static void a_commit_that_was_abandoned_makes_nothing_durable(void **state)
{
	in_probed_world(commit_abandoned, NULL);
}

/* The store is found full while the suspend waits for the origin's cache: no snapshot comes after that. */
static void full_under_suspend(void *arg)
{
	struct command suspend;
	int held;

	make_probed(PROBE_PRESERVE_TABLE);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	held = disk_delay_hold(disk_top("origin"), DISK_OP_FLUSH, 0, 0);
	start_command(&suspend, "ms", run_suspend);
	CHECK(!suspend.ended);
	dm_multisnap_set_error(probe.s, -ENOSPC);
	disk_delay_release(disk_top("origin"), held);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "0"));
	CHECK_EQUAL(probe.commits, 0);
}

static void no_snapshot_comes_after_an_error(void **state)
{
	in_probed_world(full_under_suspend, NULL);
}

/* Snapshots are given up: a write goes as it came, not chunk by chunk through the worker. */
static void pass_through(void *arg)
{
	unsigned int pass, writes;
	u64 events;

	make_probed(PROBE_TABLE);
	make_snapshot();
	dm_multisnap_set_error(probe.s, -EIO);
	sim_settle();
	pass = probe.s->pass_seq;
	writes = disk_counts(disk_top("origin"))->writes;
	CHECK_EQUAL(write_tags("ms", 0, 8 * CHUNK, 1), 0);
	CHECK_EQUAL(disk_counts(disk_top("origin"))->writes, writes + 1);
	CHECK_EQUAL(probe.s->pass_seq, pass);

	/* And nobody is told of the error twice. */
	events = dmctl_event_count("ms");
	multisnap_kick(probe.s);
	sim_settle();
	CHECK(probe.s->pass_seq != pass);
	CHECK_EQUAL(dmctl_event_count("ms"), events);
}

static void an_origin_without_its_snapshots_is_a_plain_device(void **state)
{
	in_probed_world(pass_through, NULL);
}

/* ---- what the log says ---- */

static void name(void *arg)
{
	dev_t dev = disk_bdev("origin")->bd_dev;
	char number[32];

	make_probed(PROBE_TABLE);
	snprintf(number, sizeof(number), "%u:%u", MAJOR(dev), MINOR(dev));
	CHECK(!strcmp(dm_multisnap_name(probe.s), number));
}

static void messages_name_the_origin(void **state)
{
	in_probed_world(name, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h02_an_epoch_comes_when_it_is_wanted_and_possible),
		cmocka_unit_test(h05_work_does_not_keep_the_rest_of_the_queue_waiting),
		cmocka_unit_test(h07_there_are_no_more_pending_exceptions_than_allowed),
		cmocka_unit_test(a_chunk_is_not_taken_for_another_that_was_copied),
		cmocka_unit_test(a_commit_that_was_abandoned_makes_nothing_durable),
		cmocka_unit_test(a_slice_of_work_has_the_store_asked_again),
		cmocka_unit_test(an_origin_without_its_snapshots_is_a_plain_device),
		cmocka_unit_test(messages_name_the_origin),
		cmocka_unit_test(no_snapshot_comes_after_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
