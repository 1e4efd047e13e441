// SPDX-License-Identifier: GPL-2.0
/*
 * The core against a store that answers as the test pleases: "ask again" to everything, commits and marks that
 * take their time, or fail.
 */
#include "probe_store.h"

/* Every operation says "ask again" a few times: nothing is lost, done twice, or done half. */
static void everything_again(void *arg)
{
	struct probe_answer again = { .skip = 1, .count = 3, .answer = -EAGAIN };
	struct async_io io[40];
	struct command c;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 320, 1), 0);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	probe.create = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
	start_command(&c, "ms", run_suspend);
	CHECK(!c.ended);
	probe_event();
	CHECK_EQUAL(command_result(&c), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	make_snap_device("s0", "0");

	probe.find = probe.query = probe.add = probe.unshare = again;
	for (unsigned int i = 0; i < 40; i++)
		async_start(&io[i], i & 1 ? "s0" : "ms", REQ_OP_WRITE, i / 2 * CHUNK, 1, 2 + i);
	for (unsigned int i = 0; i < 20; i++)
		probe_event();
	for (unsigned int i = 0; i < 40; i++) {
		CHECK(io[i].ended);
		CHECK_EQUAL(io[i].error, 0);
		CHECK(holds_write(i & 1 ? "s0" : "ms", i / 2 * CHUNK, 1, 2 + i));
		CHECK(holds_write(i & 1 ? "s0" : "ms", i / 2 * CHUNK + 1, CHUNK - 1, 1));
	}

	probe.delete = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
	start_message(&c, "ms", "delete 0");
	CHECK(!c.ended);
	probe_event();
	CHECK_EQUAL(command_result(&c), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "0"));
}

static void h05_whatever_is_to_be_asked_again_is_asked_again(void **state)
{
	in_probed_world(everything_again, NULL);
}

/* A message "create" while the snapshot prepared is being created: no number is given twice. */
static void create_during_creation(void *arg)
{
	struct command suspend;
	int held;

	make_probed(PROBE_TABLE);
	for (int window = 0; window < 2; window++) {
		CHECK_EQUAL(dmctl_message("ms", "create"), 0);
		held = disk_delay_hold(disk_top("origin"), DISK_OP_FLUSH, 0, 0);
		probe.create = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
		start_command(&suspend, "ms", run_suspend);
		if (!window)
			CHECK_EQUAL(dmctl_message("ms", "create"), 0);
		disk_delay_release(disk_top("origin"), held);
		sim_settle();
		CHECK(!suspend.ended);
		if (window)
			CHECK_EQUAL(dmctl_message("ms", "create"), 0);
		probe_event();
		CHECK_EQUAL(command_result(&suspend), 0);
		CHECK_EQUAL(dmctl_resume("ms"), 0);
		CHECK(dmctl_message("ms", "delete 0") == 0);
		/* What the status shows now, if anything, can be created. */
		if (strcmp(status_field(STATUS_PREPARED), "-")) {
			CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
			CHECK_EQUAL(dmctl_resume("ms"), 0);
			CHECK(!strcmp(status_field(STATUS_NUMBER), "1"));
		}
		CHECK_EQUAL(world_device_remove("ms"), 0);
		make_probed(PROBE_TABLE);
	}
}

static void h24_a_number_that_is_being_spent_is_not_prepared_again(void **state)
{
	in_probed_world(create_during_creation, NULL);
}

/* sync-snapshots does not get to its end: what it had done is not committed, whatever the error. */
static void half_a_list(void *arg)
{
	const char *table = arg;
	bool preserve = strstr(table, "preserve");

	probe.create = (struct probe_answer){ .skip = 1, .count = 1, .answer = -ENOSPC };
	CHECK_EQUAL(world_device_create("ms", table, NULL), preserve ? -ENOSPC : 0);
	sim_settle();
	CHECK_EQUAL(probe.commits, 0);
	CHECK_EQUAL(probe.marks, preserve ? 0 : 1);
}

static void h15_half_a_list_is_never_committed(void **state)
{
	in_probed_world(half_a_list,
			"0 2048 multisnapshot origin store 8 1 sync-snapshots probe 0 3 1 2 3");
	in_probed_world(half_a_list, "0 2048 multisnapshot origin store 8 2 sync-snapshots "
				     "preserve-on-error probe 0 3 1 2 3");
}

static int run_create_synced(const char *device)
{
	return world_device_create(
		device, "0 2048 multisnapshot origin store 8 1 sync-snapshots probe 0 3 1.1 1 1.0",
		NULL);
}

/* Masters come before their sub-snapshots, and all is one commit, however long it takes. */
static void whole_list(void *arg)
{
	struct command create;

	probe.create = (struct probe_answer){ .skip = 1, .count = 1, .answer = -EAGAIN };
	start_command(&create, "ms", run_create_synced);
	CHECK(!create.ended);
	CHECK_EQUAL(probe.commits, 0);
	probe_event();
	CHECK_EQUAL(command_result(&create), 0);
	CHECK_EQUAL(probe.commits, 1);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "3"));
}

/* A sub-snapshot listed, its master not: the master goes, so it takes no new ones. Nothing happens. */
static void sub_of_unlisted(void *arg)
{
	static const char mikulas[] =
		"0 2048 multisnapshot origin store 8 2 sync-snapshots preserve-on-error mikulas 0";
	char table[128];

	snprintf(table, sizeof(table), "%s 2 1 2", mikulas);
	make_probed(table);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	snprintf(table, sizeof(table), "%s 2 1.0 2", mikulas);
	CHECK_EQUAL(world_device_create("ms", table, NULL), -EINVAL);
	snprintf(table, sizeof(table), "%s 3 1 2 1.0", mikulas);
	make_probed(table);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "3"));
}

/* The same of the store model, which remembers nothing from load to load. */
static void sub_of_deleted(void *arg)
{
	snapid_t master = 0xffffffff;

	make_probed(PROBE_TABLE);
	make_snapshot();
	multisnap_lock(probe.s);
	CHECK(dm_multisnap_snapshot_exists(probe.s, master));
	CHECK_EQUAL(probe.model.delete_snapshot(probe.store, master), 0);
	CHECK_EQUAL(probe.model.create_snapshot(probe.store, 0), -EINVAL);
	multisnap_mark_dirty(probe.s);
	multisnap_unlock(probe.s);
}

static void h15_masters_come_first_and_all_is_one_commit(void **state)
{
	in_probed_world(whole_list, NULL);
}

static void h15_a_master_that_goes_takes_no_sub_snapshots(void **state)
{
	in_probed_world(sub_of_unlisted, NULL);
	in_probed_world(sub_of_deleted, NULL);
}

/* A group collects while the one before it commits; it is not in its commit, and not released by it. */
static void groups(void *arg)
{
	struct async_io first, second;
	struct command suspend;

	make_probed(PROBE_TABLE);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.commits = 0;
	probe.hold_commits = true;
	async_start(&first, "s0", REQ_OP_WRITE, 0, 1, 1);
	sim_settle();
	CHECK_EQUAL(probe.commits, 1);
	async_start(&second, "s0", REQ_OP_WRITE, CHUNK, 1, 2);
	sim_settle();
	CHECK_EQUAL(probe.commits, 1);
	/* A snapshot comes, too: it belongs to the collecting group. */
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	start_command(&suspend, "ms", run_suspend);
	CHECK(!first.ended && !second.ended && !suspend.ended);

	probe_release_commit();
	CHECK(first.ended && !second.ended && !suspend.ended);
	CHECK_EQUAL(probe.commits, 2);
	probe_release_commit();
	CHECK(second.ended);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK_EQUAL(probe.commits, 2);
	probe.hold_commits = false;
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK(holds_write("s0", 0, 1, 1));
	CHECK(holds_write("s0", CHUNK, 1, 2));
}

static void h47_what_comes_during_a_commit_is_in_the_next_one(void **state)
{
	in_probed_world(groups, NULL);
}

/* 5.3: a write of a whole chunk reads nothing, is on the store at once, and ends with its commit. */
static void full_chunk(void *arg)
{
	struct async_io io, partial;
	u64 reads;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	reads = disk_counts(disk_top("origin"))->reads;
	probe.hold_commits = true;
	async_start(&io, "s0", REQ_OP_WRITE, 0, CHUNK, 2);
	sim_settle();
	CHECK_EQUAL(disk_counts(disk_top("origin"))->reads, reads);
	CHECK_EQUAL(disk_counts(disk_top("store"))->writes, 1);
	CHECK(!io.ended);
	/* Another bio of the chunk waits for it. */
	async_start(&partial, "s0", REQ_OP_WRITE, 3, 1, 3);
	sim_settle();
	CHECK(!partial.ended);
	probe.hold_commits = false;
	probe_release_commit();
	CHECK(io.ended && partial.ended);
	CHECK_EQUAL(io.error, 0);
	CHECK_EQUAL(disk_counts(disk_top("origin"))->reads, reads);
	CHECK(holds_write("s0", 0, 3, 2));
	CHECK(holds_write("s0", 3, 1, 3));
	CHECK(holds_write("s0", 4, CHUNK - 4, 2));
}

static void a_write_of_a_whole_chunk_copies_nothing_and_ends_with_its_commit(void **state)
{
	in_probed_world(full_chunk, NULL);
}

/* 5.2: nobody is asked where no snapshot exists, nor about a chunk that is known to be copied. */
static void fast_path(void *arg)
{
	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	CHECK_EQUAL(probe.queries, 0);
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK_EQUAL(probe.adds, 1);
	/* One set, and the end of the sets; not again for what waited for the copy. */
	CHECK_EQUAL(probe.queries, 2);
	probe.queries = 0;
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 3), 0);
	CHECK_EQUAL(probe.queries, 0);
	/* That chunk only. */
	CHECK_EQUAL(write_tags("ms", CHUNK, CHUNK, 3), 0);
	CHECK_EQUAL(probe.adds, 2);
	/* All is forgotten when a snapshot is created. */
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 4), 0);
	CHECK_EQUAL(probe.adds, 3);
	/* Nothing exists any more: nobody is asked. */
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	CHECK_EQUAL(dmctl_message("ms", "delete 1"), 0);
	probe.queries = 0;
	CHECK_EQUAL(write_tags("ms", 8 * CHUNK, CHUNK, 5), 0);
	CHECK_EQUAL(probe.queries, 0);
}

static void a_write_of_a_copied_chunk_asks_nobody(void **state)
{
	in_probed_world(fast_path, NULL);
}

/* What is remembered has a fixed number of places; who has lost his asks, and copies nothing. */
#define FAR_SECTOR ((sector_t)CHUNK * 64 * 8192)

static void one_place(void *arg)
{
	char table[128];

	CHECK(world_disk_add("large", FAR_SECTOR + CHUNK, DISK_RAM, 512, NULL));
	snprintf(table, sizeof(table), "0 %llu multisnapshot large store 8 0 probe 0",
		 (unsigned long long)FAR_SECTOR + CHUNK);
	make_probed(table);
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	CHECK_EQUAL(write_tags("ms", FAR_SECTOR, CHUNK, 2), 0);
	CHECK_EQUAL(probe.adds, 2);
	for (unsigned int i = 0; i < 2; i++) {
		probe.queries = 0;
		CHECK_EQUAL(write_tags("ms", 0, CHUNK, 3), 0);
		CHECK_EQUAL(probe.queries, i ? 0 : 1);
	}
	CHECK_EQUAL(probe.adds, 2);
}

static void a_copied_chunk_that_was_forgotten_is_not_copied_again(void **state)
{
	in_probed_world(one_place, NULL);
}

/* 5.5: the worker has to do with a group when its last copy has ended, not for each. */
#define MANY_COPIES 16

static void copies_of_a_group(void *arg)
{
	struct async_io w[MANY_COPIES];
	unsigned int before;
	int held[MANY_COPIES];

	make_probed(PROBE_TABLE);
	make_snapshot();
	for (unsigned int i = 0; i < MANY_COPIES; i++) {
		held[i] = disk_delay_hold(disk_top("origin"), DISK_OP_READ, i * CHUNK, CHUNK);
		async_start(&w[i], "ms", REQ_OP_WRITE, i * CHUNK, CHUNK, 1);
	}
	sim_settle();
	before = probe.s->pass_seq;
	for (unsigned int i = 0; i < MANY_COPIES; i++) {
		CHECK(!w[i].ended);
		disk_delay_release(disk_top("origin"), held[i]);
		sim_settle();
	}
	for (unsigned int i = 0; i < MANY_COPIES; i++)
		CHECK(w[i].ended && !w[i].error);
	CHECK_EQUAL(probe.adds, MANY_COPIES);
	CHECK_EQUAL(probe.commits, 2); /* of the snapshot, of all copies */
	CHECK(probe.s->pass_seq - before < MANY_COPIES);
}

static void the_worker_is_not_called_for_each_copy_of_a_group(void **state)
{
	in_probed_world(copies_of_a_group, NULL);
}

/* The creating commit begins when the flush of the origin, issued when the origin is quiet, has ended. */
static u64 flushes_at_commit;

static void count_flushes(void)
{
	flushes_at_commit = disk_counts(disk_top("origin"))->flushes;
}

static void origin_flushed(void *arg)
{
	struct async_io w;
	struct command suspend;
	int held, held_flush;

	make_probed(PROBE_TABLE);
	probe.on_commit = count_flushes;
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	held = disk_delay_hold(disk_top("origin"), DISK_OP_WRITE, 0, 0);
	held_flush = disk_delay_hold(disk_top("origin"), DISK_OP_FLUSH, 0, 0);
	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 1);
	start_command(&suspend, "ms", run_suspend);
	CHECK_EQUAL(disk_counts(disk_top("origin"))->flushes, 0);
	disk_delay_release(disk_top("origin"), held);
	sim_settle();
	CHECK(w.ended && !suspend.ended);
	CHECK_EQUAL(probe.commits, 0);
	disk_delay_release(disk_top("origin"), held_flush);
	CHECK_EQUAL(command_result(&suspend), 0);
	CHECK_EQUAL(probe.commits, 1);
	CHECK_EQUAL(flushes_at_commit, 1);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
}

static void h48_the_creating_commit_follows_a_flush_of_the_quiet_origin(void **state)
{
	in_probed_world(origin_flushed, NULL);
}

/* Two works queued at once, and one that they queue: all run, without any bio. */
static unsigned int ran[3];
static struct dm_multisnap_background_work works[3];

static void work_ran(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	ran[bw - works]++;
	if (bw != &works[2])
		dm_multisnap_queue_work(probe.s, &works[2]);
}

static void background(void *arg)
{
	make_probed(PROBE_TABLE);
	memset(ran, 0, sizeof(ran));
	memset(works, 0, sizeof(works));
	for (int i = 0; i < 3; i++)
		works[i].work = work_ran;
	multisnap_lock(probe.s);
	dm_multisnap_queue_work(probe.s, &works[0]);
	dm_multisnap_queue_work(probe.s, &works[1]);
	multisnap_unlock(probe.s);
	sim_settle();
	CHECK_EQUAL(ran[0], 1);
	CHECK_EQUAL(ran[1], 1);
	CHECK(ran[2] >= 1);
}

static void h05_two_background_works_both_run(void **state)
{
	in_probed_world(background, NULL);
}

/* The answer to one bio needs metadata: others go on, and so do messages and status (H35). */
static void metadata_missing(void *arg)
{
	struct async_io missing, other;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 4 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.find = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
	async_start(&missing, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	async_start(&other, "s0", REQ_OP_READ, CHUNK, 1, 0);
	sim_settle();
	CHECK(other.ended && !missing.ended);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK(!strcmp(status_field(STATUS_PREPARED), "1"));
	CHECK_EQUAL(write_tags("ms", 2 * CHUNK, CHUNK, 2), 0);
	CHECK(missing.ended); /* the commit was an event */
	CHECK(missing.tags[0] == tag_make(1, 0));
}

static void h35_missing_metadata_stops_nobody_else(void **state)
{
	in_probed_world(metadata_missing, NULL);
}

/* A bio waits for metadata, its snapshot is deleted meanwhile: it ends in EIO, and is not looked up again. */
static void raced_by_delete(void *arg)
{
	struct async_io queued, copying;
	struct command delete;

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 4 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.hold_commits = true;
	async_start(&copying, "s0", REQ_OP_WRITE, CHUNK, 1, 2);
	sim_settle();
	probe.find = (struct probe_answer){ .count = 1, .answer = -EAGAIN };
	async_start(&queued, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK(!queued.ended && !copying.ended);
	start_message(&delete, "ms", "delete 0");
	CHECK(!delete.ended);
	probe.finds = 0;
	probe_release_commit(); /* the copy's; also an event for the read */
	CHECK(queued.ended && copying.ended);
	CHECK_EQUAL(queued.error, -EIO);
	CHECK_EQUAL(copying.error, -EIO);
	CHECK_EQUAL(probe.finds, 0);
	probe_release_commit(); /* the deletion's */
	probe.hold_commits = false;
	CHECK_EQUAL(command_result(&delete), 0);
	CHECK_EQUAL(write_tags("s0", 0, 1, 3), -EIO);
}

static void h10_bios_of_a_snapshot_being_deleted_are_not_looked_up_again(void **state)
{
	in_probed_world(raced_by_delete, NULL);
}

/* A store is short of memory: it is fetched once each time, without an event from elsewhere. */
static void memory_fetched(void *arg)
{
	struct async_io io[3];

	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 3 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.memory = (struct probe_answer){ .skip = 1, .count = 2 };
	for (unsigned int i = 0; i < 3; i++)
		async_start(&io[i], "ms", REQ_OP_WRITE, (sector_t)i * CHUNK, CHUNK, 2);
	sim_settle();
	for (unsigned int i = 0; i < 3; i++) {
		CHECK(io[i].ended);
		CHECK_EQUAL(io[i].error, 0);
	}
	CHECK(probe.fetches >= 1 && probe.fetches <= 2);
	CHECK(holds_write("s0", 0, 3 * CHUNK, 1));
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
}

static void scarce_memory_is_fetched_and_costs_no_snapshot(void **state)
{
	in_probed_world(memory_fetched, NULL);
}

/* Not even with waiting: an error of section 6. */
static void memory_not_to_be_had(void *arg)
{
	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	probe.memory = (struct probe_answer){ .count = 1, .answer = -ENOMEM };
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK_EQUAL(probe.fetches, 1);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-12"));
	CHECK(holds_write("ms", 0, CHUNK, 2));
	CHECK_EQUAL(write_tags("s0", 0, 1, 3), -EIO);
}

static void memory_that_cannot_be_had_is_an_error(void **state)
{
	in_probed_world(memory_not_to_be_had, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h05_whatever_is_to_be_asked_again_is_asked_again),
		cmocka_unit_test(h05_two_background_works_both_run),
		cmocka_unit_test(h10_bios_of_a_snapshot_being_deleted_are_not_looked_up_again),
		cmocka_unit_test(h15_half_a_list_is_never_committed),
		cmocka_unit_test(h15_masters_come_first_and_all_is_one_commit),
		cmocka_unit_test(h15_a_master_that_goes_takes_no_sub_snapshots),
		cmocka_unit_test(h24_a_number_that_is_being_spent_is_not_prepared_again),
		cmocka_unit_test(h35_missing_metadata_stops_nobody_else),
		cmocka_unit_test(h47_what_comes_during_a_commit_is_in_the_next_one),
		cmocka_unit_test(h48_the_creating_commit_follows_a_flush_of_the_quiet_origin),
		cmocka_unit_test(a_write_of_a_copied_chunk_asks_nobody),
		cmocka_unit_test(the_worker_is_not_called_for_each_copy_of_a_group),
		cmocka_unit_test(a_copied_chunk_that_was_forgotten_is_not_copied_again),
		cmocka_unit_test(a_write_of_a_whole_chunk_copies_nothing_and_ends_with_its_commit),
		cmocka_unit_test(memory_that_cannot_be_had_is_an_error),
		cmocka_unit_test(scarce_memory_is_fetched_and_costs_no_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
