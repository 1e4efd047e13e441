// SPDX-License-Identifier: GPL-2.0
/*
 * The contract of core/store.h: a store of the required operations only; what the core gives to stores; registration of
 * stores and targets, and modules that cannot be loaded.
 */
#include "probe_store.h"

#define SNAP_0 "4294967295"
#define SNAP_1 "8589934591"

static snapid_t created[8];
static unsigned int nr_created;
static snapid_t formatted_with; /* exists before the first resume; SNAPID_ORIGIN: none */

static int note_create(struct dm_exception_store *store, snapid_t id)
{
	CHECK(nr_created < ARRAY_SIZE(created));
	created[nr_created++] = id;
	return probe_create(store, id);
}

static int format_with_snapshot(struct dm_exception_store *store)
{
	int r = probe.model.format(store);

	if (!r && formatted_with != SNAPID_ORIGIN) {
		multisnap_lock(probe.s);
		r = probe.model.create_snapshot(store, formatted_with);
		multisnap_mark_dirty(probe.s);
		multisnap_unlock(probe.s);
	}
	return r;
}

/* The probe loses all that a store need not have. */
static void required_only(void)
{
	struct multisnap_store_ops *ops = &probe.ops;

	ops->delete_snapshot = NULL;
	ops->make_chunk_writeable = NULL;
	ops->store_lock_acquired = NULL;
	ops->print_snapid = NULL;
	ops->read_snapid = NULL;
	ops->status_table = NULL;
	ops->get_space = NULL;
	ops->compare_snapids_for_create = NULL;
	ops->invalidate = NULL;
	ops->busy = NULL;
	ops->create_snapshot = note_create;
	ops->format = format_with_snapshot;
	formatted_with = SNAPID_ORIGIN;
	nr_created = 0;
}

static const char *status_of(const char *device, status_type_t type)
{
	static char buf[512];

	CHECK_EQUAL(dmctl_status_raw(device, type, buf, sizeof(buf)), 0);
	return buf;
}

/* Snapshots are decimal numbers, can be read, neither written nor deleted, and nothing is said of space. */
static void least_store(void *arg)
{
	required_only();
	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 1), 0);
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK(!strcmp(status_of("ms", STATUSTYPE_INFO), "5 0 " SNAP_0 " 0 0 0 0"));
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	CHECK(!strcmp(status_of("ms", STATUSTYPE_INFO), "5 0 - 0 0 0 1 " SNAP_0));
	CHECK(strstr(status_of("ms", STATUSTYPE_TABLE), " 8 0 probe 0"));

	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap origin 0", NULL), -ENOENT);
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap origin 0.0", NULL), -EINVAL);
	CHECK_EQUAL(world_device_create("s0", "0 2048 multisnap-snap origin 18446744073709551615",
					NULL),
		    -EINVAL);
	make_snap_device("s0", SNAP_0);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK(holds_write("s0", 0, 2 * CHUNK, 1));
	CHECK(holds_write("ms", 0, CHUNK, 2));
	CHECK_EQUAL(write_tags("s0", CHUNK, 1, 3), -EIO);
	CHECK(holds_write("s0", 0, 2 * CHUNK, 1));
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	CHECK_EQUAL(dmctl_message("ms", "delete " SNAP_0), -EOPNOTSUPP);
	CHECK_EQUAL(dmctl_message("ms", "settle"), 0);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "1"));
}

static void a_store_of_the_required_operations_has_snapshots_to_read(void **state)
{
	in_probed_world(least_store, NULL);
}

/* Without an order of its own, by number; what is not listed cannot be deleted. */
static void least_store_synced(void *arg)
{
	static const char table[] =
		"0 2048 multisnapshot origin store 8 2 sync-snapshots preserve-on-error probe 0 "
		"2 " SNAP_1 " " SNAP_0;

	required_only();
	make_probed(table);
	CHECK_EQUAL(nr_created, 2);
	CHECK(created[0] == 0xffffffff && created[1] == 0x1ffffffffULL);
	CHECK(!strcmp(status_field(STATUS_NUMBER), "2"));
	CHECK_EQUAL(world_device_remove("ms"), 0);

	formatted_with = 0x2ffffffffULL;
	CHECK_EQUAL(world_device_create("ms", table, NULL), -EOPNOTSUPP);
	CHECK_EQUAL(nr_created, 2);
}

static void snapshots_are_made_in_the_order_of_their_numbers(void **state)
{
	in_probed_world(least_store_synced, NULL);
}

/* What is not listed is to be deleted, and that fails: nothing is made. */
static void deletion_fails(void *arg)
{
	static const char table[] =
		"0 2048 multisnapshot origin store 8 2 sync-snapshots preserve-on-error probe 0 1 0";

	probe.ops.format = format_with_snapshot;
	probe.ops.create_snapshot = note_create;
	nr_created = 0;
	formatted_with = 0x2ffffffffULL;
	probe.delete = (struct probe_answer){ .count = 1, .answer = -EIO };
	CHECK_EQUAL(world_device_create("ms", table, NULL), -EIO);
	CHECK_EQUAL(nr_created, 0);
	CHECK_EQUAL(probe.commits, 0);
}

static void h15_nothing_is_made_when_a_deletion_has_failed(void **state)
{
	in_probed_world(deletion_fails, NULL);
}

/* ---- what the core gives ---- */

static unsigned int ran;

static void work_ran(struct dm_exception_store *store, struct dm_multisnap_background_work *bw)
{
	ran++;
}

static void cancelled_work(void *arg)
{
	struct dm_multisnap_background_work stays = { .work = work_ran },
					    goes = { .work = work_ran };

	make_probed(PROBE_TABLE);
	ran = 0;
	multisnap_lock(probe.s);
	dm_multisnap_queue_work(probe.s, &goes);
	dm_multisnap_queue_work(probe.s, &stays);
	dm_multisnap_queue_work(probe.s, &stays); /* queued as it is */
	dm_multisnap_cancel_work(probe.s, &goes);
	dm_multisnap_cancel_work(probe.s, &goes);
	CHECK(stays.queued && !goes.queued);
	multisnap_unlock(probe.s);
	sim_settle();
	CHECK_EQUAL(ran, 1);
	multisnap_lock(probe.s);
	dm_multisnap_queue_work(probe.s, &goes);
	multisnap_unlock(probe.s);
	sim_settle();
	CHECK_EQUAL(ran, 2);
}

static void work_that_is_cancelled_does_not_run(void **state)
{
	in_probed_world(cancelled_work, NULL);
}

static void facts(void *arg)
{
	make_probed(PROBE_TABLE);
	CHECK(dm_multisnap_store_bdev(probe.s) == disk_bdev("store"));
	CHECK_EQUAL(dm_multisnap_store_sectors(probe.s), STORE_SECTORS);
	CHECK_EQUAL(dm_multisnap_origin_sectors(probe.s), ORIGIN_SECTORS);
	CHECK_EQUAL(dm_multisnap_logical_block_sectors(probe.s), 1);
	CHECK_EQUAL(chunk_sectors(dm_multisnap_geometry(probe.s)), CHUNK);
	multisnap_lock(probe.s);
	dm_multisnap_assert_locked(probe.s);
	dm_multisnap_status_lock(probe.s);
	dm_multisnap_status_assert_locked(probe.s);
	dm_multisnap_status_unlock(probe.s);
	CHECK(!dm_multisnap_snapshot_exists(probe.s, SNAPID_ORIGIN));
	multisnap_unlock(probe.s);
}

static void stores_are_told_about_their_devices(void **state)
{
	in_probed_world(facts, NULL);
}

/* The mark is written that nobody asked for: nothing is given up for it. */
static void mark_unasked(void *arg)
{
	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	multisnap_lock(probe.s);
	dm_multisnap_invalidate_done(probe.s, 0);
	CHECK_EQUAL(probe.s->giveup, GIVEUP_NO);
	multisnap_unlock(probe.s);
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0);
	CHECK(holds_write("s0", 0, CHUNK, 1));
}

static void a_mark_that_nobody_asked_for_changes_nothing(void **state)
{
	in_probed_world(mark_unasked, NULL);
}

/* Words from elsewhere than dm, which knows no empty ones. */
static void words_are_looked_at_one_by_one(void **state)
{
	char *numbers[] = { "4294967295", "4294967296", "x", "7" }, *generic[] = { "1", "" };
	struct dm_arg_set as = { .argc = 4, .argv = numbers };
	struct multisnap_args args = { 0 };
	unsigned int value = 1;
	char *error = NULL;

	assert_int_equal(dm_multisnap_get_uint(&as, &value, "number", &error), 0);
	assert_int_equal(value, UINT_MAX);
	assert_null(error);
	assert_int_equal(dm_multisnap_get_uint(&as, &value, "number", &error), -ERANGE);
	assert_string_equal(error, "number");
	assert_int_equal(value, UINT_MAX);
	assert_int_equal(dm_multisnap_get_uint(&as, &value, "malformed", &error), -EINVAL);
	assert_string_equal(error, "malformed");
	assert_int_equal(dm_multisnap_get_uint(&as, &value, "number", &error), 0);
	assert_int_equal(value, 7);
	assert_int_equal(dm_multisnap_get_uint(&as, &value, "missing", &error), -EINVAL);
	assert_string_equal(error, "missing");

	as = (struct dm_arg_set){ .argc = 2, .argv = generic };
	assert_int_equal(multisnap_parse_generic(&args, &as, &error), -EINVAL);
	assert_string_equal(error, "Empty generic argument");
}

/* ---- who is registered ---- */

static void two_of_a_name(void *arg)
{
	struct multisnap_store_ops second = probe.ops;

	CHECK_EQUAL(dm_multisnap_register_store(&second), -EEXIST);
	CHECK(multisnap_get_store("probe") == &probe.ops);
	multisnap_put_store(&probe.ops);
}

static void a_second_store_of_a_name_is_refused(void **state)
{
	in_probed_world(two_of_a_name, NULL);
}

/* The module of a registered store is going: the store is not to be had. */
static struct module not_loaded = { .name = "dm-store-mikulas" };

static void store_of_a_going_module(void *arg)
{
	struct module *module = probe.ops.module;
	const char *error = NULL;

	probe.ops.module = &not_loaded;
	CHECK_EQUAL(world_device_create("ms", PROBE_TABLE, &error), -ENOENT);
	CHECK(error && strstr(error, "Unknown exception store type"));
	probe.ops.module = module;
	make_probed(PROBE_TABLE);
}

static void h46_a_store_whose_module_is_not_there_is_not_used(void **state)
{
	in_probed_world(store_of_a_going_module, NULL);
}

static int no_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	return -EINVAL;
}

static int no_map(struct dm_target *ti, struct bio *bio)
{
	return DM_MAPIO_KILL;
}

/* Something of the module is not to be had: nothing stays, and it can be loaded when it is. */
static void core_not_loaded(void *arg)
{
	static struct target_type targets[] = {
		{ .name = "multisnapshot", .ctr = no_ctr, .map = no_map },
		{ .name = "multisnap-snap", .ctr = no_ctr, .map = no_map },
	};

	CHECK_EQUAL(sim_module_unload("dm-multisnapshot"), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(targets); i++) {
		CHECK_EQUAL(dm_register_target(&targets[i]), 0);
		CHECK_EQUAL(sim_module_load("dm-multisnapshot"), -EEXIST);
		dm_unregister_target(&targets[i]);
	}
	sim_fail_alloc(sim_alloc_count(), 1);
	CHECK_EQUAL(sim_module_load("dm-multisnapshot"), -ENOMEM);
	sim_fail_alloc(0, 0);
	CHECK_EQUAL(sim_module_load("dm-multisnapshot"), 0);
	make_ms();
	make_snapshot();
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h14_a_core_that_cannot_be_loaded_leaves_nothing(void **state)
{
	in_world(core_not_loaded, NULL);
}

static void store_not_loaded(void *arg)
{
	struct multisnap_store_ops other = { .name = "mikulas" };
	static const char table[] = "0 2048 multisnapshot origin store 8 0 mikulas 0";

	for (u64 i = 0; i < 2; i++) {
		sim_fail_alloc(sim_alloc_count() + i, 1);
		CHECK_EQUAL(sim_module_load("dm-store-mikulas"), -ENOMEM);
		sim_fail_alloc(0, 0);
	}
	CHECK_EQUAL(dm_multisnap_register_store(&other), 0);
	CHECK_EQUAL(sim_module_load("dm-store-mikulas"), -EEXIST);
	dm_multisnap_unregister_store(&other);
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void h14_a_store_that_cannot_be_loaded_leaves_nothing(void **state)
{
	in_world(store_not_loaded, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_of_the_required_operations_has_snapshots_to_read),
		cmocka_unit_test(snapshots_are_made_in_the_order_of_their_numbers),
		cmocka_unit_test(h15_nothing_is_made_when_a_deletion_has_failed),
		cmocka_unit_test(work_that_is_cancelled_does_not_run),
		cmocka_unit_test(stores_are_told_about_their_devices),
		cmocka_unit_test(a_mark_that_nobody_asked_for_changes_nothing),
		cmocka_unit_test(words_are_looked_at_one_by_one),
		cmocka_unit_test(a_second_store_of_a_name_is_refused),
		cmocka_unit_test(h46_a_store_whose_module_is_not_there_is_not_used),
		cmocka_unit_test(h14_a_core_that_cannot_be_loaded_leaves_nothing),
		cmocka_unit_test(h14_a_store_that_cannot_be_loaded_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
