// SPDX-License-Identifier: GPL-2.0
/*
 * What never holds in the core (dm_multisnap_broken()): each is made to hold by damage to the
 * core's memory. It must be a finding of the simulated kernel; and where a kernel would go on, an
 * error as section 6 of the specification has it: the snapshots are given up and marked so, or kept
 * as of the last commit, and nothing that came after is there.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "probe_store.h"

#define MIKULAS "0 2048 multisnapshot origin store 8 0 mikulas 0"
#define MIKULAS_PRESERVE "0 2048 multisnapshot origin store 8 1 preserve-on-error mikulas 0"

static struct dm_multisnap *ms(void)
{
	struct dm_multisnap *s = multisnap_find(disk_bdev("origin")->bd_dev);

	CHECK(s);
	multisnap_put(s);
	return s;
}

/* Exceptions are left over in the group that is to collect next. */
static void groups_mixed(void)
{
	struct dm_multisnap *s = ms();
	struct group *next = s->collecting == &s->groups[0] ? &s->groups[1] : &s->groups[0];
	struct async_io w;

	next->copies = 1;
	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	next->copies = 0;
	CHECK(w.ended);
}

/* One ends that has not begun. */
static void epoch_left_twice(void)
{
	struct dm_multisnap *s = ms();

	multisnap_epoch_leave(s, s->epoch & 1);
	sim_settle();
	CHECK_EQUAL(s->in_epoch[s->epoch & 1], 0);
}

static void store_io_not_counted(void)
{
	struct dm_multisnap *s = ms();
	struct async_io w;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);

	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	disk_delay_release(disk_top("store"), held);
	held = disk_delay_hold(disk_top("store"), DISK_OP_FLUSH, 0, 0);
	sim_settle();
	CHECK(s->nr_store_ios == 1);
	s->nr_store_ios = 0;
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(w.ended);
}

static void snapshot_io_not_counted(void)
{
	struct multisnap_snap *snap = list_first_entry(&ms()->snaps, struct multisnap_snap, list);
	struct async_io r;
	int held = disk_delay_hold(disk_top("origin"), DISK_OP_READ, 0, 0);

	async_start(&r, "s0", REQ_OP_READ, 5 * CHUNK, 1, 0);
	sim_settle();
	CHECK(snap->in_flight == 1);
	snap->in_flight = 0;
	disk_delay_release(disk_top("origin"), held);
	sim_settle();
	CHECK(r.ended);
}

static void group_copies_not_counted(void)
{
	struct dm_multisnap *s = ms();
	struct async_io w;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);

	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	CHECK(s->closed && s->closed->copies == 1);
	s->closed->copies = 0;
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(w.ended);
}

static void part_ended_twice(void)
{
	struct dm_multisnap *s = ms();
	struct pending_exception *pe;
	struct async_io w;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);

	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	pe = list_first_entry(&s->closed->pending, struct pending_exception, group_list);
	CHECK(pe->parts == 1);
	pe->parts = 0;
	multisnap_part_ended(pe, 0);
	pe->parts = 1;
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(w.ended);
}

/* The same, and the exceptions themselves. */
static void groups_left_over(void)
{
	struct dm_multisnap *s = ms();
	struct group *next = s->collecting == &s->groups[0] ? &s->groups[1] : &s->groups[0];
	struct list_head exception;
	struct async_io w;

	list_add(&exception, &next->pending);
	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	list_del(&exception);
	CHECK(w.ended);
}

/* A group is durable while one of its copies is under way. */
static void durable_before_copied(void)
{
	struct dm_multisnap *s = ms();
	u64 durable = s->durable_seq;
	struct async_io w;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_FLUSH, 0, 0);

	async_start(&w, "ms", REQ_OP_WRITE, 0, 1, 9);
	sim_settle();
	CHECK(s->committing && !s->closed->copies);
	s->closed->copies = 1;
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(w.ended);
	CHECK_EQUAL(s->durable_seq, durable);
}

static void bulk_not_counted(void)
{
	struct dm_multisnap *s = ms();
	struct async_io w;
	int held = disk_delay_hold(disk_top("store"), DISK_OP_WRITE, 0, 0);

	async_start(&w, "ms", REQ_OP_DISCARD, 0, CHUNK, 9);
	sim_settle();
	CHECK(s->nr_bulk == 1);
	s->nr_bulk = 0;
	disk_delay_release(disk_top("store"), held);
	sim_settle();
	CHECK(w.ended && !s->nr_bulk);
}

static const struct fault {
	const char *finding;
	void (*broken)(void);
} faults[] = {
	{ "commit.c", groups_mixed },		{ "epoch.c", epoch_left_twice },
	{ "worker.c", store_io_not_counted },	{ "snapshot.c", snapshot_io_not_counted },
	{ "copy.c", group_copies_not_counted }, { "copy.c", part_ended_twice },
	{ "commit.c", groups_left_over },	{ "commit.c", durable_before_copied },
	{ "worker.c", bulk_not_counted },
};

static void set_up(const char *table)
{
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
	CHECK_EQUAL(write_tags("ms", 0, 8 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	CHECK_EQUAL(write_tags("ms", 7 * CHUNK, CHUNK, 2), 0);
	CHECK_EQUAL(write_tags("s0", 6 * CHUNK, CHUNK, 3), 0);
}

static void given_up(void *arg)
{
	const struct fault *fault = arg;

	set_up(MIKULAS);
	sim_expect_warnings(1);
	fault->broken();
	CHECK(!strcmp(status_field(STATUS_ERROR), "-1"));
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 4), 0);
	CHECK(holds_write("ms", 0, CHUNK, 4));
	CHECK_EQUAL(write_tags("s0", 0, 1, 5), -EIO);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	/* And it stays so. */
	CHECK_EQUAL(world_device_create("ms", MIKULAS, NULL), 0);
	CHECK(!strcmp(status_field(STATUS_ERROR), "-1"));
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void preserved(void *arg)
{
	const struct fault *fault = arg;

	set_up(MIKULAS_PRESERVE);
	sim_expect_warnings(1);
	fault->broken();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 4), -EIO);
	CHECK_EQUAL(write_tags("s0", 0, 1, 5), -EIO);
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	CHECK_EQUAL(world_device_create("ms", MIKULAS_PRESERVE, NULL), 0);
	CHECK(!strcmp(status_field(STATUS_ERROR), "0"));
	make_snap_device("s0", "0");
	CHECK(holds_write("s0", 0, 6 * CHUNK, 1));
	CHECK(holds_write("s0", 6 * CHUNK, CHUNK, 3));
	CHECK(holds_write("s0", 7 * CHUNK, CHUNK, 1));
	CHECK(holds_write("ms", 7 * CHUNK, CHUNK, 2));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
}

static void a_fault_of_the_program_is_an_error_like_another(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		in_world(given_up, (void *)&faults[i]);
		in_world(preserved, (void *)&faults[i]);
	}
}

/* The store answers with more places than there are. */
static void too_many_places(void *arg)
{
	make_probed(PROBE_TABLE);
	make_snapshot();
	CHECK_EQUAL(dmctl_message("ms", "create"), 0);
	CHECK_EQUAL(dmctl_suspend("ms", 0), 0);
	CHECK_EQUAL(dmctl_resume("ms"), 0);
	make_snap_device("s0", "0");
	CHECK_EQUAL(write_tags("ms", 0, 1, 1), 0);
	probe.unshare = (struct probe_answer){ .count = 1, .answer = MAKE_WRITEABLE_MAX + 1 };
	sim_expect_warnings(1);
	CHECK_EQUAL(write_tags("s0", 0, 1, 2), -EIO);
	sim_settle();
	CHECK_EQUAL(probe.marked_with, -EPERM);
	CHECK_EQUAL(write_tags("ms", CHUNK, 1, 3), 0);
}

static void a_store_that_answers_nonsense_is_given_up(void **state)
{
	in_probed_world(too_many_places, NULL);
}

/* ---- not expected, it ends the run ---- */

static void found(void *context, const char *what)
{
	const struct fault *fault = context;

	if (!strstr(what, fault->finding) || !strstr(what, "WARN_ON")) {
		fprintf(stderr, "%s expected, not: %s\n", fault->finding, what);
		_exit(1);
	}
	_exit(0);
}

static void unexpected(void *arg)
{
	const struct fault *fault = arg;

	set_up(MIKULAS);
	fault->broken();
	fprintf(stderr, "%s: no finding\n", fault->finding);
	_exit(1);
}

static void not_expected(const struct fault *fault)
{
	struct world_options options = {
		.strategy = SIM_FIFO,
		.fail = found,
		.fail_context = (void *)fault,
	};

	world_start(&options);
	world_disk_add("origin", ORIGIN_SECTORS, DISK_RAM, 512, NULL);
	world_disk_add("store", STORE_SECTORS, DISK_RAM, 512, NULL);
	sim_thread_start("test", unexpected, (void *)fault);
	sim_run();
	_exit(1);
}

static void a_fault_of_the_program_is_a_finding(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		pid_t child = fork();
		int status = 0;

		assert_true(child >= 0);
		if (!child)
			not_expected(&faults[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_of_the_program_is_an_error_like_another),
		cmocka_unit_test(a_fault_of_the_program_is_a_finding),
		cmocka_unit_test(a_store_that_answers_nonsense_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
