// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a dm device: tables, suspend and resume, removal, messages, status, devices, limits.
 */
#include "dm_fixture.h"

static void tables(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	const char *why;

	assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), -ENXIO);
	assert_int_equal(dmctl_create("m"), 0);
	assert_int_equal(dmctl_create("m"), -EBUSY);
	assert_int_equal(dmctl_create("d"), -EBUSY);
	assert_int_equal(dmctl_create("a/b"), -EINVAL);
	assert_int_equal(dmctl_create(""), -EINVAL);
	assert_true(dmctl_exists("m"));
	assert_int_equal(dmctl_resume("m"), 0); /* not suspended, no table: nothing to do */

	assert_int_equal(dmctl_load("m", "0 8 nothing d 0", &why), -EINVAL);
	assert_int_equal(dmctl_load("m", "0 0 lin d 0", &why), -EINVAL);
	assert_int_equal(dmctl_load("m", "", &why), -EINVAL);
	assert_int_equal(dmctl_load("m", "0 8 lin d", &why), -EINVAL);
	assert_string_equal(why, "Wrong number of arguments");
	assert_int_equal(dmctl_load("m", "1 8 lin d 0", &why), -EINVAL);
	assert_string_equal(why, "Gap in table");
	assert_int_equal(dmctl_load("m", "0 8 lin d 0\n9 8 lin d 0", &why), -EINVAL);
	assert_string_equal(why, "Gap in table");
	assert_int_equal(dmctl_load("m", "0 8 lin x 0", &why), -ENODEV);
	assert_string_equal(why, "No such device");
	assert_int_equal(dmctl_load("m", "0 8 lin 8:7 0", &why), -ENXIO);
	assert_int_equal(dmctl_load("m", "0 8 lin 5000:7 0", &why), -EOVERFLOW);
	assert_int_equal(dmctl_load("m", "0 8 lin m 0", &why), -EINVAL); /* of itself */
	lin.ctr_error = -EPERM;
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", &why), -EPERM);
	lin.ctr_error = 0;

	/* The area must exist (H36) and be aligned. */
	assert_int_equal(dmctl_load("m", "0 1001 lin d 0", &why), -EINVAL);
	assert_int_equal(dmctl_load("m", "0 8 lin d 993", &why), -EINVAL);
	assert_int_equal(disk_bdev("d")->bd_openers, 0);
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", &why), 0);
	assert_int_equal(disk_bdev("d")->bd_openers, 1);
	assert_null(why);
	assert_int_equal(bdev_nr_sectors(disk_bdev("m")), 0);
	assert_int_equal(dmctl_clear("m"), 0);
	assert_int_equal(disk_bdev("d")->bd_openers, 0);
	assert_int_equal(dmctl_remove("m"), 0);
	assert_int_equal(dmctl_remove("m"), -ENXIO);
	lin_end(disk);
}

static void swap_(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	tag_t tags[8];

	lin_up("m", 100);
	assert_int_equal(put_tags("m", 0, 0, 8, 10), 0);
	/* A second table: the first one lives until the resume. */
	calls[0] = '\0';
	assert_int_equal(dmctl_load("m", "0 200 lin d 8", NULL), 0);
	assert_string_equal(calls, "ctr ");
	assert_int_equal(get_tags("m", 0, 8, tags), 0);
	assert_int_equal(tags[0], 10);
	/* A third one replaces the second one, which was never used. */
	assert_int_equal(dmctl_load("m", "0 300 lin d 16", NULL), 0);
	assert_string_equal(calls, "ctr ctr dtr ");
	assert_int_equal(dmctl_resume("m"), 0);
	assert_string_equal(calls, "ctr ctr dtr presuspend postsuspend preresume resume dtr ");
	assert_int_equal(bdev_nr_sectors(disk_bdev("m")), 300);
	assert_int_equal(get_tags("m", 0, 8, tags), 0);
	assert_int_equal(tags[0], 0);
	/* A table that no longer fits is refused at the swap, the old one stays, suspended. */
	assert_int_equal(dmctl_load("m", "0 600 lin d 500", NULL), 0);
	assert_int_equal(dmctl_resume("m"), -EINVAL);
	assert_true(dmctl_suspended("m"));
	assert_int_equal(dmctl_resume("m"), 0);
	assert_int_equal(bdev_nr_sectors(disk_bdev("m")), 300);
	/* preresume can refuse. */
	assert_int_equal(dmctl_suspend("m", 0), 0);
	lin.preresume_error = -ENOSPC;
	assert_int_equal(dmctl_resume("m"), -ENOSPC);
	assert_true(dmctl_suspended("m"));
	lin.preresume_error = 0;
	assert_int_equal(dmctl_resume("m"), 0);
	assert_false(dmctl_suspended("m"));
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void a_table_is_checked_and_swapped(void **unused)
{
	expect_clean(SIM_FIFO, 1, tables, NULL);
	expect_clean(SIM_FIFO, 1, swap_, NULL);
	expect_clean(SIM_RANDOM, 1, swap_, NULL);
}

/* ---- suspend ---- */

static void count_end(struct bio *bio)
{
	++*(u32 *)bio->bi_private;
	bio_put(bio);
}

static void send(const char *name, blk_opf_t opf, sector_t sector, u32 sectors, tag_t *tags, u32 *ended)
{
	struct bio *bio = sim_bio_alloc(disk_bdev(name), opf, sector, sectors, tags);

	bio->bi_end_io = count_end;
	bio->bi_private = ended;
	submit_bio(bio);
}

static void release_all(void *disk)
{
	disk_delay_release(disk, -1);
}

static void suspend_waits(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	u32 ended = 0;
	tag_t tags[8] = { 0 };

	lin_up("m", 1000);
	disk_delay_hold(disk, DISK_OP_ALL, 0, 0);
	send("m", REQ_OP_WRITE, 0, 8, tags, &ended);
	sim_settle();
	assert_int_equal(disk_delay_held(disk), 1);
	sim_call_at(sim_now_ns() + 5000000, release_all, disk);
	calls[0] = noflush_seen[0] = '\0';
	assert_int_equal(dmctl_suspend("m", 0), 0);
	/* presuspend came before the wait, postsuspend after it. */
	assert_int_equal(ended, 1);
	assert_true(sim_now_ns() >= 5000000);
	assert_string_equal(calls, "presuspend postsuspend ");
	assert_string_equal(noflush_seen, "---s");
	assert_int_equal(dmctl_suspend("m", 0), 0); /* again: nothing */
	assert_string_equal(calls, "presuspend postsuspend ");

	/* New I/O waits for the resume, messages and status do not. */
	nr_seen = 0;
	send("m", REQ_OP_WRITE, 0, 8, tags, &ended);
	send("m", REQ_OP_DISCARD, 8, 8, NULL, &ended);
	sim_settle();
	assert_int_equal(ended, 1);
	assert_int_equal(nr_seen, 0);
	assert_int_equal(dmctl_message("m", "hello"), 0);
	assert_int_equal(dmctl_remove("m"), -EBUSY);
	assert_int_equal(dmctl_resume("m"), 0);
	sim_settle();
	assert_int_equal(ended, 3);
	assert_int_equal(seen[0].sector, 0);
	assert_int_equal(seen[1].sector, 8);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void suspend_noflush(void *name)
{
	assert_int_equal(dmctl_suspend(name, DMCTL_NOFLUSH), 0);
}

static int requeue(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	return DM_ENDIO_REQUEUE;
}

/*
 * H42: noflush is told in presuspend, no longer in postsuspend; what is pushed back comes again
 * after the resume.
 */
static void noflush(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	tag_t tags[32], got[32];
	struct bio *bio;
	u32 ended = 0, i;

	for (i = 0; i < 32; i++)
		tags[i] = tag_make(1, i);
	lin.max_io_len = 8;
	lin_up("m", 1000);
	lin.map_result = DM_MAPIO_SUBMITTED;
	send("m", REQ_OP_WRITE, 4, 20, tags + 4, &ended);
	sim_settle();
	assert_int_equal(bio_list_size(&kept), 3);
	noflush_seen[0] = '\0';
	sim_thread_start("suspend", suspend_noflush, "m");
	sim_settle();
	/* The suspend waits; the target hands back what it kept. */
	assert_string_equal(noflush_seen, "n-");
	lin.end_io = requeue;
	while ((bio = bio_list_pop(&kept)))
		bio_endio(bio);
	sim_settle();
	assert_true(dmctl_suspended("m"));
	assert_string_equal(noflush_seen, "n--s");
	assert_int_equal(ended, 0);
	lin.end_io = NULL;
	lin.map_result = -1;
	nr_seen = 0;
	assert_int_equal(dmctl_resume("m"), 0);
	sim_settle();
	assert_int_equal(ended, 1);
	assert_int_equal(nr_seen, 3);
	assert_int_equal(get_tags("m", 0, 32, got), 0);
	for (i = 0; i < 32; i++)
		assert_int_equal(got[i], i < 4 || i >= 24 ? 0 : tags[i]);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void suspend_is_the_kernels(void **unused)
{
	u64 seed;

	expect_clean(SIM_FIFO, 1, suspend_waits, NULL);
	expect_clean(SIM_FIFO, 1, noflush, NULL);
	for (seed = 0; seed < 20; seed++) {
		expect_clean(SIM_RANDOM, seed, suspend_waits, NULL);
		expect_clean(SIM_RANDOM, seed, noflush, NULL);
	}
}

/* ---- removal ---- */

static void removal(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);

	lin_up("m", 1000);
	assert_int_equal(dmctl_open("m"), 0);
	assert_int_equal(dmctl_remove("m"), -EBUSY);
	dmctl_close("m");
	calls[0] = noflush_seen[0] = '\0';
	/* Not suspended: the methods are called, with the flag already set in postsuspend. */
	assert_int_equal(dmctl_remove("m"), 0);
	assert_string_equal(calls, "presuspend postsuspend dtr ");
	assert_string_equal(noflush_seen, "---s");
	assert_false(dmctl_exists("m"));
	assert_int_equal(dmctl_open("m"), -ENXIO);
	assert_int_equal(dmctl_suspend("m", 0), -ENXIO);

	/* Suspended: not again. An inactive table goes, too. */
	lin_up("m", 1000);
	assert_int_equal(dmctl_suspend("m", DMCTL_NOLOCKFS), 0);
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), 0);
	calls[0] = '\0';
	assert_int_equal(dmctl_remove("m"), 0);
	assert_string_equal(calls, "dtr dtr ");
	/* Without any table it is not yet a block device; without an active one all I/O fails. */
	assert_int_equal(dmctl_create("m"), 0);
	assert_null(disk_bdev("m"));
	assert_int_equal(dmctl_open("m"), -ENXIO);
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), 0);
	assert_int_equal(put_tags("m", 0, 0, 8, 1), -EIO);
	assert_int_equal(dmctl_clear("m"), 0);
	assert_int_equal(dmctl_message("m", "x"), -EINVAL);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void remove_m(void *arg)
{
	int r = dmctl_remove("m");

	assert_true(!r || r == -ENXIO);
}

/* Whatever was done when the device went: its tables go with it, and nobody sees another error than that it is gone. */
static void removal_under_load(void *again)
{
	struct disk *disk = lin_begin(1000, 512);
	sim_thread_t *removing;
	int loaded, resumed;

	if (again)
		lin_up("m", 8);
	else
		assert_int_equal(dmctl_create("m"), 0);
	removing = sim_thread_start("remove", remove_m, NULL);
	loaded = dmctl_load("m", "0 16 lin d 8", NULL);
	assert_true(!loaded || loaded == -ENXIO);
	resumed = dmctl_resume("m");
	/* -EINVAL: it had a table, and was suspended for good. */
	assert_true(!resumed || resumed == -ENXIO || resumed == -EINVAL);
	sim_thread_join(removing);
	assert_false(dmctl_exists("m"));
	assert_int_equal(disk_bdev("d")->bd_openers, 0);
	lin_end(disk);
}

static void resume_m(void *arg)
{
	int r = dmctl_resume("m");

	assert_true(!r || r == -EINVAL || r == -ENXIO);
}

/* A resume that comes too late puts its table back, unless there is a newer one. */
static void resumes_at_once(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	sim_thread_t *first, *second;

	lin_up("m", 8);
	assert_int_equal(dmctl_load("m", "0 16 lin d 8", NULL), 0);
	first = sim_thread_start("first", resume_m, NULL);
	assert_int_equal(dmctl_load("m", "0 24 lin d 16", NULL), 0);
	second = sim_thread_start("second", resume_m, NULL);
	assert_int_equal(dmctl_load("m", "0 32 lin d 24", NULL), 0);
	sim_thread_join(first);
	sim_thread_join(second);
	assert_int_equal(dmctl_remove("m"), 0);
	assert_int_equal(disk_bdev("d")->bd_openers, 0);
	lin_end(disk);
}

static void removed_devices_are_gone(void **unused)
{
	expect_clean(SIM_FIFO, 1, removal, NULL);
	expect_clean(SIM_RANDOM, 3, removal, NULL);
	for (u64 seed = 1; seed <= 300; seed++) {
		expect_clean(SIM_RANDOM, seed, removal_under_load, NULL);
		expect_clean(SIM_RANDOM, seed, removal_under_load, "again");
		expect_clean(SIM_RANDOM, seed, resumes_at_once, NULL);
	}
}

/* ---- messages and events ---- */

static void messages(void *arg)
{
	static const struct {
		const char *sent, *got;
	} cases[] = {
		{ "create", "create" },
		{ "  delete   7\t", "delete|7" },
		{ "a\\ b c\\\\d \\e", "a b|c\\d|e" },
		{ "x\\", "x\\" },
		{ "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
		  "1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17" },
	};
	struct disk *disk = lin_begin(1000, 512);
	u32 i;

	lin_up("m", 1000);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(dmctl_message("m", cases[i].sent), 0);
		assert_string_equal(last_message, cases[i].got);
	}
	assert_int_equal(dmctl_message("m", ""), -EINVAL);
	assert_int_equal(dmctl_message("m", "   "), -EINVAL);
	assert_int_equal(dmctl_message("m", "@stats"), -EINVAL);
	assert_int_equal(dmctl_message("m", "fail"), -ERANGE);
	assert_int_equal(dmctl_message("x", "create"), -ENXIO);
	/* To the live table, not to the loaded one; while suspended, too. */
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), 0);
	assert_int_equal(dmctl_suspend("m", 0), 0);
	assert_int_equal(dmctl_event_count("m"), 0);
	assert_int_equal(dmctl_message("m", "event"), 0);
	assert_int_equal(dmctl_event_count("m"), 1);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void messages_are_split_as_in_the_kernel(void **unused)
{
	expect_clean(SIM_FIFO, 1, messages, NULL);
}

/* ---- status ---- */

static u32 wanted;

static void long_status(char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	u32 i;

	for (i = 0; i < wanted; i++)
		DMEMIT("%c", 'a' + i % 26);
}

static void overrun(char *result, unsigned int maxlen)
{
	memset(result, 'x', maxlen + 1);
}

static void unterminated(char *result, unsigned int maxlen)
{
	memset(result, 'x', maxlen);
}

static void status(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	char buf[100000];
	u32 size;

	assert_int_equal(dmctl_create("m"), 0);
	assert_int_equal(dmctl_status("m", STATUSTYPE_INFO, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(dmctl_load("m", "0 100 lin d 8\n100 8 lin d 0", NULL), 0);
	/* It is not active. */
	assert_int_equal(dmctl_status("m", STATUSTYPE_TABLE, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(dmctl_resume("m"), 0);
	assert_int_equal(dmctl_load("m", "0 1 lin d 9", NULL), 0);
	assert_int_equal(dmctl_status("m", STATUSTYPE_INFO, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "0 100 lin\n100 8 lin");
	assert_int_equal(dmctl_status("m", STATUSTYPE_TABLE, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "0 100 lin 8:0 8\n100 8 lin 8:0 0");
	assert_int_equal(dmctl_status("m", STATUSTYPE_IMA, buf, 200), 0);
	assert_int_equal(dmctl_status("m", STATUSTYPE_IMA, buf, 80), -ENOSPC);
	assert_int_equal(dmctl_status("x", STATUSTYPE_INFO, buf, 80), -ENXIO);

	/* Grows as dmsetup's buffer does; every length from 0 up is taken as it is. */
	lin_status_hook = long_status;
	wanted = 40000;
	assert_int_equal(dmctl_status("m", STATUSTYPE_INFO, buf, sizeof(buf)), 0);
	assert_int_equal(strlen(buf), strlen("0 100 lin ") + strlen("\n100 8 lin ") + 80000);
	assert_int_equal(dmctl_status("m", STATUSTYPE_INFO, buf, 80021), -ENOSPC);
	wanted = 50;
	for (size = 0; size < 60; size++) {
		memset(buf, 'z', sizeof(buf));
		assert_int_equal(dmctl_status_raw("m", STATUSTYPE_INFO, buf, size), 0);
		if (size)
			assert_int_equal(strlen(buf), size - 1 < 50 ? size - 1 : 50);
		assert_int_equal(buf[size], 'z');
	}
	lin_status_hook = NULL;
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void status_overrun(void *arg)
{
	char buf[16];

	lin_begin(1000, 512);
	lin_up("m", 1000);
	lin_status_hook = overrun;
	dmctl_status_raw("m", STATUSTYPE_INFO, buf, 10);
}

static void status_unterminated(void *arg)
{
	char buf[16];

	lin_begin(1000, 512);
	lin_up("m", 1000);
	lin_status_hook = unterminated;
	dmctl_status_raw("m", STATUSTYPE_IMA, buf, 10);
}

static void status_buffers(void **unused)
{
	expect_clean(SIM_FIFO, 1, status, NULL);
	expect_finding(status_overrun, "overran its buffer of 10 bytes");
	expect_finding(status_unterminated, "unterminated");
}

/* ---- devices and limits ---- */

static void device_names(void *arg)
{
	static const char *const names[] = { "d", "/dev/d", "/dev/mapper/d", "8:0" };
	struct disk *disk = lin_begin(1000, 512);
	char table[64];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(table, sizeof(table), "0 8 lin %s 0\n8 8 lin d 8", names[i]);
		assert_int_equal(dmctl_create("m"), 0);
		assert_int_equal(dmctl_load("m", table, NULL), 0);
		assert_int_equal(disk_bdev("d")->bd_openers, 1);
		assert_int_equal(dmctl_remove("m"), 0);
		assert_int_equal(disk_bdev("d")->bd_openers, 0);
	}
	assert_int_equal(dm_get_dev_t("/dev/d"), MKDEV(8, 0));
	assert_int_equal(dm_get_dev_t("8:0"), MKDEV(8, 0));
	assert_int_equal(dm_get_dev_t("x"), 0);
	/* dm devices are devices; numbers are given again from below. */
	assert_int_equal(dmctl_create("a"), 0);
	assert_int_equal(dmctl_create("b"), 0);
	assert_int_equal(dm_get_dev_t("b"), MKDEV(253, 1));
	assert_int_equal(dmctl_remove("a"), 0);
	assert_int_equal(dmctl_create("c"), 0);
	assert_int_equal(dm_get_dev_t("/dev/mapper/c"), MKDEV(253, 0));
	assert_int_equal(dmctl_remove("b"), 0);
	assert_int_equal(dmctl_remove("c"), 0);
	lin_end(disk);
}

static void block_sizes(void *arg)
{
	struct disk *disk = lin_begin(1024, 4096);

	assert_int_equal(dmctl_create("m"), 0);
	assert_int_equal(dmctl_load("m", "0 1000 lin d 4", NULL), -EINVAL);
	assert_int_equal(dmctl_load("m", "0 1004 lin d 0", NULL), -EINVAL);
	assert_int_equal(dmctl_load("m", "0 1000 lin d 8", NULL), 0);
	assert_int_equal(dmctl_resume("m"), 0);
	assert_int_equal(bdev_logical_block_size(disk_bdev("m")), 4096);
	assert_int_equal(put_tags("m", 0, 4, 8, 1), -EIO);
	assert_int_equal(put_tags("m", 0, 8, 8, 1), 0);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void forgotten_device(void *arg)
{
	lin_begin(1000, 512);
	lin_up("m", 1000);
	lin.keep_device = true;
	dmctl_remove("m");
}

static void forgotten_md(void *arg)
{
	lin_begin(1000, 512);
	lin_up("m", 1000);
}

/*
 * H14: the n-th allocation fails, for every n there is: an error, nothing lost, and then it works.
 */
static void failing_allocations(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	u64 begin, n, all;
	int r = -1;

	assert_int_equal(dmctl_create("m"), 0);
	begin = sim_alloc_count();
	assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), 0);
	all = sim_alloc_count() - begin;
	assert_true(all >= 3); /* argv, the target, its device */
	for (n = 0; n < all; n++) {
		assert_int_equal(dmctl_clear("m"), 0);
		sim_fail_alloc(sim_alloc_count() + n, 1);
		r = dmctl_load("m", "0 8 lin d 0", NULL);
		sim_fail_alloc(0, 0);
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(disk_bdev("d")->bd_openers, 0);
		assert_int_equal(dmctl_load("m", "0 8 lin d 0", NULL), 0);
	}
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void devices_are_named_counted_and_checked(void **unused)
{
	expect_clean(SIM_FIFO, 1, device_names, NULL);
	expect_clean(SIM_FIFO, 1, block_sizes, NULL);
	expect_clean(SIM_FIFO, 1, failing_allocations, NULL);
	expect_finding(forgotten_device, "without dm_put_device() of d (8:0)");
	expect_finding(forgotten_md, "device m was not removed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_checked_and_swapped),
		cmocka_unit_test(suspend_is_the_kernels),
		cmocka_unit_test(removed_devices_are_gone),
		cmocka_unit_test(messages_are_split_as_in_the_kernel),
		cmocka_unit_test(status_buffers),
		cmocka_unit_test(devices_are_named_counted_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
