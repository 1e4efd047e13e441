// SPDX-License-Identifier: GPL-2.0
/*
 * What is to be called under a lock says so when it is called without: at once, before it has touched anything.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "../shim/finding.h"
#include "core_fixture.h"

#include "multisnap.h"

static struct dm_multisnap multisnap, *s = &multisnap;
static struct pending_exception pending, *pe = &pending;
static struct dm_multisnap_background_work work;
static struct dm_multisnap_io io;
static struct bio_track track;
static struct copied_region copied[1]; /* the place of chunk 0 */
static struct list_head list;
static struct bio bio;

/* The function, and arguments. */
#define FUNCTIONS(X) \
	X(multisnap_mark_dirty, s) \
	X(dm_multisnap_request_commit, s) \
	X(dm_multisnap_groups_held, s) \
	X(multisnap_advance_groups, s) \
	X(dm_multisnap_commit_done, s, 0) \
	X(multisnap_abandon_groups, s) \
	X(multisnap_groups_idle, s) \
	X(multisnap_changes_seq, s) \
	X(multisnap_remember_copied, s, 0) \
	X(__multisnap_is_writable, s, 0) \
	X(multisnap_copies_ended, s, &list) \
	X(multisnap_refresh_unshared, s) \
	X(multisnap_epoch_enter, s) \
	X(__multisnap_epoch_leave, s, 0) \
	X(multisnap_try_epoch, s) \
	X(dm_multisnap_epoch, s) \
	X(dm_multisnap_want_epoch, s, 1) \
	X(multisnap_pass_through, s) \
	X(dm_multisnap_invalidate_done, s, 0) \
	X(multisnap_handle_error, s) \
	X(multisnap_being_deleted, s, 0) \
	X(multisnap_alloc_pending, s, 0) \
	X(multisnap_free_pending, pe) \
	X(multisnap_add_pending, pe) \
	X(multisnap_find_pending, s, 0) \
	X(multisnap_find_conflict, s, 0, 0) \
	X(multisnap_release_pending, pe) \
	X(multisnap_detach, s, 0) \
	X(multisnap_start, s) \
	X(dm_multisnap_submit_io, s, &io) \
	X(dm_multisnap_queue_work, s, &work) \
	X(dm_multisnap_cancel_work, s, &work) \
	X(multisnap_run_background, s) \
	X(dm_multisnap_status_assert_locked, s) \
	X(dm_multisnap_assert_locked, s) \
	X(__multisnap_is_tracked, s, 0, 0) \
	X(multisnap_is_tracked, s, 0, 0) \
	X(__multisnap_untrack_read, s, &track) \
	X(multisnap_queue_bio, s, &bio) \
	X(dm_multisnap_event, s) \
	X(multisnap_event_seq, s) \
	X(multisnap_fail_bio, s, &bio) \
	X(multisnap_submit_bio, s, &bio, NULL, 0) \
	X(dm_multisnap_want_memory, s) \
	X(multisnap_stopped, s)

#define CALL(name, ...)                    \
	static void call_##name(void *arg) \
	{                                  \
		mutex_init(&s->lock);      \
		mutex_init(&s->status_lock); \
		spin_lock_init(&s->io_lock); \
		INIT_LIST_HEAD(&list);     \
		pe->s = s;                 \
		s->copied = copied;        \
		name(__VA_ARGS__);         \
	}
FUNCTIONS(CALL)

#define ENTRY(name, ...) { #name, call_##name },
static const struct {
	const char *name;
	void (*call)(void *arg);
} functions[] = { FUNCTIONS(ENTRY) };

static void test_a_missing_lock_is_told(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(functions); i++) {
		const char *text;

		memset(s, 0, sizeof(*s));
		text = finding_of(SIM_FIFO, 1, functions[i].call, NULL);
		if (!text || !strstr(text, "not held")) {
			print_error("%s() without its lock: %s\n", functions[i].name, text ? text : "no finding");
			fail();
		}
	}
}

/* ---- those that look at their bio first: a clone of device-mapper ---- */

static void origin_bio(struct dm_multisnap *m, struct bio *clone)
{
	multisnap_do_origin_bio(m, clone);
}

static void snapshot_bio(struct dm_multisnap *m, struct bio *clone)
{
	multisnap_do_snapshot_bio(m, clone);
}

static void read_of_chunk(struct dm_multisnap *m, struct bio *clone)
{
	multisnap_track_read(m, clone, 0);
}

/* And who says so: itself, not what it calls. */
static const struct of_bio {
	void (*call)(struct dm_multisnap *m, struct bio *clone);
	const char *file;
} of_bio[] = { { origin_bio, "map.c" }, { snapshot_bio, "map.c" }, { read_of_chunk, "tracked.c" } };

/* The clone is that of a read which waits. */
static void with_clone(void *arg)
{
	const struct of_bio *function = arg;
	struct dm_multisnap *m;
	struct async_io r;

	make_ms();
	make_snapshot();
	make_snap_device("s0", "0");
	m = multisnap_find(disk_bdev("origin")->bd_dev);
	multisnap_hold(m, list_first_entry(&m->snaps, struct multisnap_snap, list)->id);
	async_start(&r, "s0", REQ_OP_READ, 0, 1, 0);
	sim_settle();
	CHECK(!bio_list_empty(&m->held));
	function->call(m, bio_list_peek(&m->held));
	fprintf(stderr, "%s: no finding\n", function->file);
	_exit(1);
}

static void found(void *context, const char *what)
{
	const struct of_bio *function = context;

	if (!strstr(what, "not held") || !strstr(what, function->file)) {
		fprintf(stderr, "%s expected, not: %s\n", function->file, what);
		_exit(1);
	}
	_exit(0);
}

static void test_a_missing_lock_is_told_of_a_bio(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_bio); i++) {
		struct world_options options = {
			.strategy = SIM_FIFO,
			.fail = found,
			.fail_context = (void *)&of_bio[i],
		};
		pid_t child = fork();
		int status = 0;

		assert_true(child >= 0);
		if (!child) {
			world_start(&options);
			world_disk_add("origin", ORIGIN_SECTORS, DISK_RAM, 512, NULL);
			world_disk_add("store", STORE_SECTORS, DISK_RAM, 512, NULL);
			sim_thread_start("test", with_clone, (void *)&of_bio[i]);
			sim_run();
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_missing_lock_is_told),
		cmocka_unit_test(test_a_missing_lock_is_told_of_a_bio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
