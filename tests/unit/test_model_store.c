// SPDX-License-Identifier: GPL-2.0
/*
 * The store model at its limits: numbers, slots and blocks run out, ids are refused. Other tests take its word for what is
 * right, so it must not be lenient.
 */
#include "probe_store.h"

#define ID(high) ((u64)(high) << 32 | U32_MAX)
#define SUB(high, low) ((u64)(high) << 32 | (low))

static int create(snapid_t id)
{
	return probe.model.create_snapshot(probe.store, id);
}

static int allocate(snapid_t master, snapid_t *id)
{
	return probe.model.allocate_snapid(probe.store, master, id);
}

static void with_store(void (*fn)(void))
{
	make_probed(PROBE_TABLE);
	multisnap_lock(probe.s);
	fn();
	multisnap_mark_dirty(probe.s);
	multisnap_unlock(probe.s);
}

static void all_ids(void)
{
	const struct multisnap_store_ops *model = &probe.model;
	snapid_t id;
	block_t block;

	CHECK_EQUAL(allocate(SNAPID_ORIGIN, &id), 0);
	CHECK(id == ID(0));
	CHECK_EQUAL(create(id), 0);
	CHECK_EQUAL(create(id), -EINVAL);
	CHECK_EQUAL(allocate(ID(0), &id), 0);
	CHECK(id == SUB(0, 0));
	CHECK_EQUAL(create(SUB(0, 4)), 0);
	CHECK_EQUAL(create(SUB(0, 4)), -EINVAL);
	CHECK_EQUAL(create(SUB(0, 3)), -EINVAL);
	CHECK_EQUAL(create(SUB(1, 0)), -EINVAL);
	CHECK_EQUAL(allocate(SUB(0, 4), &id), -EINVAL);
	CHECK_EQUAL(allocate(ID(1), &id), -EINVAL);
	CHECK_EQUAL(model->find_snapshot_chunk(probe.store, ID(1), 0, false, &block), -EINVAL);

	/* The last numbers at both levels. */
	CHECK_EQUAL(create(SUB(0, U32_MAX - 1)), 0);
	CHECK_EQUAL(allocate(ID(0), &id), -ENOSPC);
	CHECK_EQUAL(create(ID(U32_MAX - 1)), 0);
	CHECK_EQUAL(allocate(SNAPID_ORIGIN, &id), -ENOSPC);

	CHECK_EQUAL(model->delete_snapshot(probe.store, ID(1)), -EINVAL);
	CHECK_EQUAL(model->delete_snapshot(probe.store, ID(0)), 0);
	CHECK_EQUAL(model->delete_snapshot(probe.store, ID(0)), -EINVAL);
	CHECK_EQUAL(create(SUB(0, U32_MAX - 1)), -EINVAL);
}

static void all_ids_run(void *arg)
{
	with_store(all_ids);
}

static void h43_ids_are_given_once_and_end(void **state)
{
	in_probed_world(all_ids_run, NULL);
}

static void all_slots(void)
{
	snapid_t id;

	for (unsigned int i = 0; i < 64; i++) {
		CHECK_EQUAL(allocate(SNAPID_ORIGIN, &id), 0);
		CHECK_EQUAL(create(id), 0);
	}
	CHECK_EQUAL(allocate(SNAPID_ORIGIN, &id), -ENOSPC);
	CHECK_EQUAL(allocate(ID(0), &id), -ENOSPC);
	CHECK_EQUAL(create(ID(64)), -ENOSPC);
	CHECK_EQUAL(create(SUB(0, 0)), -ENOSPC);
}

static void all_slots_run(void *arg)
{
	with_store(all_slots);
}

static void there_are_64_snapshots(void **state)
{
	in_probed_world(all_slots_run, NULL);
}

static void words(void)
{
	static const struct {
		const char *word;
		int r;
		snapid_t id;
	} cases[] = {
		{ "0", 0, ID(0) },
		{ "7.3", 0, SUB(7, 3) },
		{ "07", -EINVAL, 0 },
		{ "7.00", -EINVAL, 0 },
		{ "7.", -EINVAL, 0 },
		{ "4294967295", -EINVAL, 0 },
		{ "7.4294967295", -EINVAL, 0 },
		{ "4294967296", -ERANGE, 0 },
		{ "00000000000000000000000000000001", -ERANGE, 0 },
	};
	snapid_t a = ID(1), b = ID(2), sub = SUB(0, 0), id;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQUAL(probe.model.read_snapid(probe.store, cases[i].word, &id), cases[i].r);
		CHECK(cases[i].r || id == cases[i].id);
	}
	CHECK(probe.model.compare_snapids_for_create(&a, &b) < 0);
	CHECK(probe.model.compare_snapids_for_create(&b, &a) > 0);
	CHECK(probe.model.compare_snapids_for_create(&a, &a) == 0);
	CHECK(probe.model.compare_snapids_for_create(&b, &sub) < 0);
	CHECK(probe.model.compare_snapids_for_create(&sub, &b) > 0);
}

static void words_run(void *arg)
{
	with_store(words);
}

static void h12_ids_as_words_and_their_order(void **state)
{
	in_probed_world(words_run, NULL);
}

/* All blocks are in use or may still be read: a write waits for these, and does not find the store full. */
static void full_but_for_what_is_read(void *arg)
{
	struct async_io read, write;
	int held;

	make_probed(PROBE_TABLE);
	for (u64 round = 1; round <= STORE_SECTORS / ORIGIN_SECTORS; round++) {
		make_snapshot();
		CHECK_EQUAL(write_tags("ms", 0, 1024, round), 0);
		CHECK_EQUAL(write_tags("ms", 1024, 1024, round), 0);
	}
	make_snapshot();
	make_snap_device("s0", "2");
	held = disk_delay_hold(disk_top("store"), DISK_OP_READ, 0, 0);
	async_start(&read, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	async_start(&write, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	CHECK(!write.ended && !read.ended);
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(write.ended && read.ended);
	CHECK_EQUAL(write.error, 0);
	make_snap_device("s1", "4");
	CHECK(holds_write("ms", 0, 1, 9));
	CHECK(holds_write("s1", 0, CHUNK, 4));
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
}

static void h21_a_full_store_waits_for_what_is_about_to_be_free(void **state)
{
	in_probed_world(full_but_for_what_is_read, NULL);
}

/* A deletion of a group that is being committed is one: it cannot be asked for again. */
static void deleted_in_the_closed_group(void *arg)
{
	struct command delete;
	snapid_t id;

	make_probed(PROBE_TABLE);
	make_snapshot();
	CHECK_EQUAL(probe.model.read_snapid(probe.store, "0", &id), 0);
	probe.hold_commits = true;
	start_message(&delete, "ms", "delete 0");
	CHECK(!delete.ended);
	multisnap_lock(probe.s);
	CHECK(dm_multisnap_snapshot_exists(probe.s, id));
	CHECK_EQUAL(probe.model.delete_snapshot(probe.store, id), -EINVAL);
	multisnap_unlock(probe.s);
	probe.hold_commits = false;
	probe_release_commit();
	CHECK_EQUAL(command_result(&delete), 0);
}

static void a_snapshot_is_deleted_once(void **state)
{
	in_probed_world(deleted_in_the_closed_group, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h43_ids_are_given_once_and_end),
		cmocka_unit_test(there_are_64_snapshots),
		cmocka_unit_test(h12_ids_as_words_and_their_order),
		cmocka_unit_test(h21_a_full_store_waits_for_what_is_about_to_be_free),
		cmocka_unit_test(a_snapshot_is_deleted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
