// SPDX-License-Identifier: GPL-2.0
/*
 * How dm cuts and clones bios, and how they complete. The expected cuts are those of
 * drivers/md/dm.c in 6.1.
 */
#include "dm_fixture.h"

#define FLUSH (REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC)

struct cut {
	u32 op; /* REQ_OP_* and flags */
	sector_t sector;
	u32 sectors;
	u32 max_io_len;
	u32 accept;
	u32 flush_bios;
	struct seen want[12];
};

static const struct cut cuts[] = {
	/* no limit: one clone */
	{ REQ_OP_READ, 3, 100, 0, 0, 1, { { REQ_OP_READ, 3, 100, 0 } } },
	/* at multiples of max_io_len, from the beginning of the target */
	{ REQ_OP_READ, 3, 40, 16, 0, 1,
	  { { REQ_OP_READ, 3, 13, 0 }, { REQ_OP_READ, 16, 16, 0 }, { REQ_OP_READ, 32, 11, 0 } } },
	{ REQ_OP_WRITE | REQ_FUA, 0, 16, 16, 0, 1, { { REQ_OP_WRITE | REQ_FUA, 0, 16, 0 } } },
	{ REQ_OP_WRITE | REQ_FUA, 15, 2, 16, 0, 1,
	  { { REQ_OP_WRITE | REQ_FUA, 15, 1, 0 }, { REQ_OP_WRITE | REQ_FUA, 16, 1, 0 } } },
	/* max_io_len that is no power of two */
	{ REQ_OP_READ, 5, 10, 6, 0, 1,
	  { { REQ_OP_READ, 5, 1, 0 }, { REQ_OP_READ, 6, 6, 0 }, { REQ_OP_READ, 12, 3, 0 } } },
	/* at the disk's own limit of 2560 sectors, but only where there is a max_io_len */
	{ REQ_OP_WRITE, 0, 4096, 4096, 0, 1,
	  { { REQ_OP_WRITE, 0, 2560, 0 }, { REQ_OP_WRITE, 2560, 1536, 0 } } },
	{ REQ_OP_WRITE, 0, 4096, 0, 0, 1, { { REQ_OP_WRITE, 0, 4096, 0 } } },
	/*
	 * an empty flush, as often as the target wants it; the first clone has the flags of the
	 * original
	 */
	{ REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 16, 0, 1, { { REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 0 } } },
	{ REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 16, 0, 3,
	  { { REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 0 }, { FLUSH, 0, 0, 1 }, { FLUSH, 0, 0, 2 } } },
	/* flush with data: the flush first, then the data without PREFLUSH but with FUA */
	{ REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 8, 16, 16, 0, 1,
	  { { REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 8, 0, 0 }, { REQ_OP_WRITE | REQ_FUA, 8, 8, 0 },
	    { REQ_OP_WRITE | REQ_FUA, 16, 8, 0 } } },
	/* discards and write-zeroes are not cut at max_io_len */
	{ REQ_OP_DISCARD, 3, 100, 16, 0, 1, { { REQ_OP_DISCARD, 3, 100, 0 } } },
	{ REQ_OP_WRITE_ZEROES, 3, 100, 16, 0, 1, { { REQ_OP_WRITE_ZEROES, 3, 100, 0 } } },
	/* but by the target, which gets the rest as a new one */
	{ REQ_OP_DISCARD, 3, 40, 16, 16, 1,
	  { { REQ_OP_DISCARD, 3, 13, 0 }, { REQ_OP_DISCARD, 16, 16, 0 },
	    { REQ_OP_DISCARD, 32, 11, 0 } } },
};

static void check_cut(const struct cut *c)
{
	bool data = (c->op & REQ_OP_MASK) == REQ_OP_READ || (c->op & REQ_OP_MASK) == REQ_OP_WRITE;
	struct disk *disk = lin_begin(8192, 512);
	tag_t *tags = calloc(c->sectors + 1, sizeof(*tags));
	const struct disk_counts *counts = disk_counts(disk);
	u32 i, n = 1;

	while (n < ARRAY_SIZE(c->want) && (c->want[n].opf || c->want[n].sectors))
		n++;
	lin.max_io_len = c->max_io_len;
	lin.accept = c->accept;
	lin.flush_bios = c->flush_bios;
	lin_up("m", 8192);
	assert_int_equal(sim_bio_wait(sim_bio_alloc(disk_bdev("m"), c->op, c->sector, c->sectors,
						    data && c->sectors ? tags : NULL)), 0);
	assert_int_equal(nr_seen, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(seen[i].opf, c->want[i].opf);
		assert_int_equal(seen[i].sectors, c->want[i].sectors);
		assert_int_equal(seen[i].bio_nr, c->want[i].bio_nr);
		assert_int_equal(seen[i].sector, c->want[i].sector);
	}
	assert_int_equal(counts->reads + counts->writes + counts->discards + counts->write_zeroes +
			 counts->flushes, n);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
	free(tags);
}

static void cut_body(void *arg)
{
	check_cut(arg);
}

static void bios_are_cut_as_dm_does(void **unused)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cuts); i++) {
		expect_clean(SIM_FIFO, 1, cut_body, (void *)&cuts[i]);
		expect_clean(SIM_RANDOM, i, cut_body, (void *)&cuts[i]);
	}
}

/*
 * Two lines: a bio over the border falls in two, each target sees its own sectors, the data arrive
 * in their places.
 */
static void two_targets(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	tag_t tags[40];
	u32 i;

	assert_int_equal(dmctl_create("m"), 0);
	assert_int_equal(dmctl_load("m", "0 100 lin d 500\n100 200 lin /dev/d 100", NULL), 0);
	assert_int_equal(dmctl_resume("m"), 0);
	assert_int_equal(bdev_nr_sectors(disk_bdev("m")), 300);
	assert_int_equal(put_tags("m", 0, 90, 20, tag_make(1, 90)), 0);
	assert_int_equal(nr_seen, 2);
	disk_peek(disk, 590, 10, tags);
	disk_peek(disk, 100, 10, tags + 10);
	for (i = 0; i < 20; i++)
		assert_int_equal(tags[i], tag_make(1, 90 + i));
	assert_int_equal(get_tags("m", 85, 30, tags), 0);
	for (i = 0; i < 30; i++)
		assert_int_equal(tags[i], i < 5 || i >= 25 ? 0 : tag_make(1, 85 + i));
	/* A flush goes to both. */
	nr_seen = 0;
	assert_int_equal(op_wait("m", REQ_OP_WRITE | REQ_PREFLUSH, 0, 0), 0);
	assert_int_equal(nr_seen, 2);
	/* A discard is cut at the border. */
	nr_seen = 0;
	assert_int_equal(op_wait("m", REQ_OP_DISCARD, 90, 20), 0);
	assert_int_equal(nr_seen, 2);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void a_bio_over_two_targets(void **unused)
{
	expect_clean(SIM_FIFO, 1, two_targets, NULL);
}

/* The rest of a bio is sent after everything that its first part has caused, all the way down. */
static void stacked(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	struct seen want[] = { { 0, 0, 32, 0 }, { 0, 0, 16, 0 }, { 0, 16, 16, 0 },
			       { 0, 32, 32, 0 }, { 0, 32, 16, 0 }, { 0, 48, 16, 0 } };
	tag_t tags[64];
	u32 i;

	lin.max_io_len = 16;
	lin_up("low", 1000);
	lin.max_io_len = 32;
	assert_int_equal(dmctl_create("high"), 0);
	assert_int_equal(dmctl_load("high", "0 1000 lin low 0", NULL), 0);
	assert_int_equal(dmctl_resume("high"), 0);
	assert_int_equal(dmctl_remove("low"), -EBUSY);
	assert_int_equal(get_tags("high", 0, 64, tags), 0);
	assert_int_equal(nr_seen, ARRAY_SIZE(want));
	for (i = 0; i < nr_seen; i++) {
		assert_int_equal(seen[i].sector, want[i].sector);
		assert_int_equal(seen[i].sectors, want[i].sectors);
	}
	assert_int_equal(dmctl_remove("high"), 0);
	assert_int_equal(dmctl_remove("low"), 0);
	lin_end(disk);
}

static void stacked_devices_split_depth_first(void **unused)
{
	expect_clean(SIM_FIFO, 1, stacked, NULL);
}

static int nr_end_io;

static int end_io_incomplete_once(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	u64 *data = dm_per_bio_data(bio, lin.per_bio);

	assert_int_equal(((u8 *)data)[lin.per_bio - 1], 0x77);
	assert_int_equal(*data % 8, 0);
	if (nr_end_io++)
		return DM_ENDIO_DONE;
	bio_list_add(&kept, bio);
	return DM_ENDIO_INCOMPLETE;
}

static void finish_kept(void *arg)
{
	struct bio *bio;

	/* Time may pass before the request has come so far. */
	if (bio_list_empty(&kept))
		sim_call_at(sim_now_ns() + 1000000, finish_kept, NULL);
	while ((bio = bio_list_pop(&kept)))
		bio_endio(bio);
}

static void incomplete(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);

	nr_end_io = 0;
	lin.per_bio = 72;
	lin.end_io = end_io_incomplete_once;
	lin_up("m", 1000);
	sim_call_at(1000000, finish_kept, NULL);
	assert_int_equal(put_tags("m", 0, 8, 8, 5), 0);
	assert_in_range(sim_now_ns(), 1000000, 100000000);
	assert_int_equal(nr_end_io, 2);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void end_io_may_keep_a_clone(void **unused)
{
	expect_clean(SIM_FIFO, 1, incomplete, NULL);
	expect_clean(SIM_RANDOM, 5, incomplete, NULL);
}

static void put_later(void *arg)
{
	*(int *)arg = put_tags("m", 0, 8, 8, 5);
}

/* A clone that map() kept is submitted later, by its target. */
static void remapped_later(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);
	sim_thread_t *thread;
	struct bio *clone;
	int result = 1;
	tag_t tags[8];

	lin.map_result = DM_MAPIO_SUBMITTED;
	lin.accounts = arg;
	lin_up("m", 1000);
	thread = sim_thread_start("put", put_later, &result);
	sim_settle();
	clone = bio_list_pop(&kept);
	assert_non_null(clone);
	bio_set_dev(clone, disk_bdev("d"));
	clone->bi_iter.bi_sector = 16;
	dm_submit_bio_remap(clone, NULL);
	sim_thread_join(thread);
	assert_int_equal(result, 0);
	assert_int_equal(get_tags("d", 16, 8, tags), 0);
	assert_int_equal(tags[7], 5 + 7);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void a_clone_may_be_remapped_later(void **unused)
{
	expect_clean(SIM_FIFO, 1, remapped_later, (void *)1);
	expect_clean(SIM_RANDOM, 5, remapped_later, (void *)1);
	expect_finding(remapped_later, "dm_submit_bio_remap() without accounts_remapped_io");
}

static int end_io_error(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	*error = BLK_STS_NOSPC;
	return DM_ENDIO_DONE;
}

static void end_io_changes_the_error(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);

	lin.end_io = end_io_error;
	lin_up("m", 1000);
	assert_int_equal(put_tags("m", 0, 8, 8, 5), -ENOSPC);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void kill_(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);

	lin.map_result = DM_MAPIO_KILL;
	lin_up("m", 1000);
	assert_int_equal(put_tags("m", 0, 8, 8, 5), -EIO);
	/* Push-back outside of a noflush suspend is an error. */
	lin.map_result = DM_MAPIO_REQUEUE;
	assert_int_equal(put_tags("m", 0, 8, 8, 5), -EIO);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void unsupported(void *arg)
{
	struct disk *disk = lin_begin(1000, 512);

	lin.discard_bios = lin.write_zeroes_bios = 0;
	lin_up("m", 1000);
	assert_int_equal(disk_bdev("m")->bd_max_discard_sectors, 0);
	assert_int_equal(op_wait("m", REQ_OP_DISCARD, 0, 8), -EOPNOTSUPP);
	assert_int_equal(op_wait("m", REQ_OP_WRITE_ZEROES, 0, 8), -EOPNOTSUPP);
	assert_int_equal(op_wait("m", REQ_OP_SECURE_ERASE, 0, 8), -EOPNOTSUPP);
	assert_int_equal(op_wait("d", REQ_OP_DISCARD, 0, 8), 0);
	/* NOWAIT is not offered, nothing is beyond the end. */
	assert_int_equal(put_tags("m", REQ_NOWAIT, 0, 8, 1), -EOPNOTSUPP);
	assert_int_equal(put_tags("m", 0, 995, 8, 1), -EIO);
	assert_int_equal(nr_seen, 0);
	assert_int_equal(dmctl_remove("m"), 0);
	/* Without flush bios a flush is a success that does nothing. */
	lin.flush_bios = 0;
	lin_up("m", 1000);
	assert_int_equal(op_wait("m", REQ_OP_WRITE | REQ_PREFLUSH, 0, 0), 0);
	assert_int_equal(put_tags("m", REQ_PREFLUSH | REQ_FUA, 0, 8, 1), 0);
	assert_int_equal(nr_seen, 1);
	assert_int_equal(seen[0].opf, REQ_OP_WRITE);
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void what_is_refused(void **unused)
{
	expect_clean(SIM_FIFO, 1, end_io_changes_the_error, NULL);
	expect_clean(SIM_FIFO, 1, kill_, NULL);
	expect_clean(SIM_FIFO, 1, unsupported, NULL);
}

/* ---- misuse ---- */

static struct bio *stolen;

static int steal(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	stolen = bio;
	return DM_ENDIO_DONE;
}

static void after_free(void *arg)
{
	lin_begin(1000, 512);
	lin.end_io = steal;
	lin_up("m", 1000);
	put_tags("m", 0, 0, 8, 1);
	bio_endio(stolen);
}

static void while_below(void *arg)
{
	struct bio *bio;

	lin_begin(1000, 512);
	bio = sim_bio_alloc(disk_bdev("d"), REQ_OP_DISCARD, 0, 8, NULL);
	submit_bio(bio);
	bio_endio(bio);
}

static void submitted_twice(void *arg)
{
	struct bio *bio;

	lin_begin(1000, 512);
	bio = sim_bio_alloc(disk_bdev("d"), REQ_OP_DISCARD, 0, 8, NULL);
	submit_bio(bio);
	submit_bio(bio);
}

static int sleepy_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	might_sleep();
	return DM_ENDIO_DONE;
}

static void sleeping_end_io(void *arg)
{
	lin_begin(1000, 512);
	lin.end_io = sleepy_end_io;
	lin_up("m", 1000);
	put_tags("m", 0, 0, 8, 1);
}

static void submit_from_end_io(struct bio *bio)
{
	submit_bio_noacct(bio->bi_private);
}

static void submission_in_interrupt(void *arg)
{
	struct bio *bio;

	lin_begin(1000, 512);
	bio = sim_bio_alloc(disk_bdev("d"), REQ_OP_DISCARD, 0, 8, NULL);
	bio->bi_private = sim_bio_alloc(disk_bdev("d"), REQ_OP_DISCARD, 0, 8, NULL);
	bio->bi_end_io = submit_from_end_io;
	submit_bio(bio);
	sim_settle();
}

static void partial_of_flush(void *arg)
{
	lin_begin(1000, 512);
	lin.discard_bios = 2;
	lin.accept = 8;
	lin_up("m", 1000);
	op_wait("m", REQ_OP_DISCARD, 0, 20);
}

static void too_much_per_bio(void *arg)
{
	lin_begin(1000, 512);
	lin.end_io = end_io_incomplete_once;
	lin.per_bio = 0;
	lin_up("m", 1000);
	lin.per_bio = 8;
	put_tags("m", 0, 0, 8, 1);
}

static void never_completed(void *arg)
{
	lin_begin(1000, 512);
	lin.map_result = DM_MAPIO_SUBMITTED;
	lin_up("m", 1000);
	submit_bio(sim_bio_alloc(disk_bdev("m"), REQ_OP_DISCARD, 0, 8, NULL));
}

static void write_to_read_only(void *arg)
{
	lin_begin(1000, 512);
	disk_bdev("d")->bd_read_only = true;
	op_wait("d", REQ_OP_WRITE | REQ_PREFLUSH, 0, 0); /* flushes are none */
	put_tags("d", 0, 8, 8, 1);
}

static void misuse_is_found(void **unused)
{
	expect_finding(write_to_read_only, "write to d, which is read-only");
	expect_finding(after_free, "bio_endio() of a bio that was freed");
	expect_finding(while_below, "bio_endio() of a bio that the device below has not completed");
	expect_finding(submitted_twice, "submission of a bio that the device below");
	expect_finding(sleeping_end_io, "might_sleep()");
	expect_finding(submission_in_interrupt, "might_sleep()");
	expect_finding(partial_of_flush, "dm_accept_partial_bio()");
	expect_finding(too_much_per_bio, "dm_per_bio_data(8) where per_io_data_size is 0");
	expect_finding(never_completed, "1 bios were submitted and not completed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bios_are_cut_as_dm_does),
		cmocka_unit_test(a_bio_over_two_targets),
		cmocka_unit_test(stacked_devices_split_depth_first),
		cmocka_unit_test(end_io_may_keep_a_clone),
		cmocka_unit_test(a_clone_may_be_remapped_later),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(misuse_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
