// SPDX-License-Identifier: GPL-2.0
/* Simulated disks, layer by layer. */
#include <errno.h>
#include <unistd.h>

#include "finding.h"

static struct disk *disk, *top;

static void done_with(void)
{
	disk_unregister("d");
	disk_destroy(top);
}

static void use(struct disk *layer)
{
	/* A world that ended in a finding has left its disk behind. */
	if (disk_bdev("d"))
		done_with();
	top = layer;
	assert_non_null(disk_register("d", layer, 512));
}

static int io(blk_opf_t opf, sector_t sector, u32 sectors, tag_t *tags)
{
	return sim_bio_wait(sim_bio_alloc(disk_bdev("d"), opf, sector, sectors, tags));
}

static int io_bytes(blk_opf_t opf, sector_t sector, u32 sectors, void *bytes)
{
	return sim_bio_wait(sim_bio_alloc_bytes(disk_bdev("d"), opf, sector, sectors, bytes));
}

/* ---- any bottom: tags, bytes, literals, zeroes, counts ---- */

static void bottom(void *arg)
{
	u8 bytes[8][SECTOR_SIZE], got[8][SECTOR_SIZE];
	tag_t tags[8], peeked[8];
	struct disk_counts c;
	u32 i;

	use(arg);
	disk_counts_reset(top);
	for (i = 0; i < 8; i++)
		tags[i] = tag_make(7, 100 + i);
	assert_int_equal(io(REQ_OP_WRITE | REQ_META, 100, 8, tags), 0);
	assert_int_equal(io_bytes(REQ_OP_READ, 100, 8, got), 0);
	for (i = 0; i < 8; i++) {
		tag_expand(tags[i], bytes[i]);
		assert_memory_equal(got[i], bytes[i], SECTOR_SIZE);
	}
	/* Bytes that are a pattern are its tag; others are literal and come back as they are. */
	memset(bytes[3], 0, SECTOR_SIZE);
	bytes[5][17] ^= 1;
	assert_int_equal(io_bytes(REQ_OP_WRITE | REQ_FUA, 100, 8, bytes), 0);
	assert_int_equal(io(REQ_OP_READ, 100, 8, peeked), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(peeked[i], i == 3 ? 0 : i == 5 ? tag_of_literal(bytes[5]) : tags[i]);
	assert_int_equal(io_bytes(REQ_OP_READ, 100, 8, got), 0);
	assert_memory_equal(got, bytes, sizeof(bytes));
	/* Half of it, unaligned. */
	assert_int_equal(io(REQ_OP_READ, 103, 3, peeked), 0);
	assert_int_equal(peeked[2], tag_of_literal(bytes[5]));
	assert_int_equal(disk_next_data(top, 200), disk_sectors(top));

	assert_int_equal(io(REQ_OP_DISCARD, 104, 2, NULL), 0);
	assert_int_equal(io(REQ_OP_WRITE_ZEROES, 106, 1, NULL), 0);
	assert_int_equal(io(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL), 0);
	assert_int_equal(io(REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 0, 1, tags), 0);
	assert_int_equal(blkdev_issue_flush(disk_bdev("d")), 0);
	disk_peek(top, 100, 8, peeked);
	for (i = 0; i < 8; i++)
		assert_int_equal(peeked[i], i >= 3 && i < 7 ? 0 : tags[i]);
	c = *disk_counts(top);
	assert_int_equal(c.reads, 4);
	assert_int_equal(c.sectors_read, 27);
	assert_int_equal(c.writes, 3);
	assert_int_equal(c.sectors_written, 17);
	assert_int_equal(c.meta_writes, 1);
	assert_int_equal(c.meta_sectors_written, 8);
	assert_int_equal(c.flushes, 3);
	assert_int_equal(c.preflush, 1);
	assert_int_equal(c.fua, 2);
	assert_int_equal(c.discards, 1);
	assert_int_equal(c.sectors_discarded, 2);
	assert_int_equal(c.write_zeroes, 1);
	assert_int_equal(c.errors, 0);

	/* Outside of the simulation. */
	memset(got, 0x5a, sizeof(got));
	disk_poke(top, 8, 8, tags);
	disk_poke_bytes(top, 16, 8, got);
	disk_peek_bytes(top, 8, 8, bytes);
	assert_int_equal(bytes[0][0], tags[0] & 0xff);
	disk_peek_bytes(top, 16, 8, bytes);
	assert_memory_equal(bytes, got, sizeof(got));
	assert_int_equal(disk_counts(top)->reads, 4);
	done_with();
}

static const char *temporary(const char *suffix)
{
	static char path[64];

	snprintf(path, sizeof(path), "test_shim_disk.%d%s", (int)getpid(), suffix);
	return path;
}

static void ram_and_file_are_the_same(void **unused)
{
	expect_clean(SIM_FIFO, 1, bottom, disk_ram_create("d", 1000));
	expect_clean(SIM_RANDOM, 1, bottom, disk_ram_create("d", 1000));
	expect_clean(SIM_FIFO, 1, bottom, disk_file_create("d", temporary(".img"), 1000, true));
	unlink(temporary(".img"));
	assert_null(disk_file_create("d", "/nonexistent/file", 1000, false));
}

static void images_go_round(void **unused)
{
	struct disk *ram = disk_ram_create("r", 5000), *file, *again;
	u8 bytes[SECTOR_SIZE];
	tag_t tags[1000], got[1000];
	u32 i;

	for (i = 0; i < 1000; i++)
		tags[i] = tag_make(i + 1, i);
	memset(bytes, 0xee, sizeof(bytes));
	disk_poke(ram, 300, 1000, tags);
	disk_poke_bytes(ram, 4999, 1, bytes);
	assert_int_equal(disk_save(ram, temporary(".img")), 0);
	file = disk_file_create("f", temporary(".img"), 0, false);
	assert_int_equal(disk_sectors(file), 5000);
	disk_peek(file, 300, 1000, got);
	assert_memory_equal(got, tags, sizeof(tags));
	/* Into memory again, and to another file: the same bytes. */
	again = disk_ram_create("a", 5000);
	for (i = 0; i < 5000; i++) {
		disk_peek_bytes(file, i, 1, bytes);
		disk_poke_bytes(again, i, 1, bytes);
	}
	for (i = 0; i < 5000; i++) {
		u8 other[SECTOR_SIZE];

		disk_peek_bytes(ram, i, 1, bytes);
		disk_peek_bytes(again, i, 1, other);
		assert_memory_equal(bytes, other, SECTOR_SIZE);
		disk_peek(ram, i, 1, &got[0]);
		disk_peek(again, i, 1, &got[1]);
		assert_int_equal(got[0], got[1]);
	}
	assert_true(disk_memory_bytes(again) <= disk_memory_bytes(ram));
	unlink(temporary(".img"));
	disk_destroy(ram);
	disk_destroy(file);
	disk_destroy(again);
}

/* ---- errors ---- */

static void faults(void *arg)
{
	tag_t tags[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[8];
	u32 i, failed = 0;

	disk = disk_error_create(disk_ram_create("d", 1000));
	use(disk);
	disk_error_add(disk, &(struct disk_fault){ .ops = DISK_OP_WRITE, .start = 100, .len = 50,
						   .skip = 1, .count = 2, .error = -ENOSPC });
	disk_error_add(disk, &(struct disk_fault){ .ops = DISK_OP_FLUSH, .count = 1, .error = -EIO });
	assert_int_equal(io(REQ_OP_WRITE, 90, 8, tags), 0);	   /* elsewhere */
	assert_int_equal(io(REQ_OP_READ, 100, 8, got), 0);	   /* another operation */
	assert_int_equal(io(REQ_OP_WRITE, 93, 8, tags), 0);	   /* touches it: skipped */
	assert_int_equal(io(REQ_OP_WRITE, 149, 8, tags), -ENOSPC);
	assert_int_equal(io(REQ_OP_WRITE, 150, 8, tags), 0);
	assert_int_equal(io(REQ_OP_WRITE, 120, 8, tags), -ENOSPC);
	assert_int_equal(io(REQ_OP_WRITE, 120, 8, tags), 0);	   /* used up */
	assert_int_equal(io(REQ_OP_WRITE | REQ_PREFLUSH, 0, 8, tags), -EIO);
	assert_int_equal(io(REQ_OP_WRITE | REQ_PREFLUSH, 0, 8, tags), 0);
	assert_int_equal(disk_counts(disk)->errors, 3);
	/* What failed has had no effect: 149..156 was only written from 150 on. */
	disk_peek(disk, 149, 2, got);
	assert_int_equal(got[0], 0);
	assert_int_equal(got[1], 1);
	disk_error_add(disk, &(struct disk_fault){ .ops = DISK_OP_DISCARD, .count = U64_MAX,
						   .error = -EOPNOTSUPP });
	for (i = 0; i < 5; i++)
		assert_int_equal(io(REQ_OP_DISCARD, i, 1, NULL), -EOPNOTSUPP);
	disk_error_clear(disk);
	assert_int_equal(io(REQ_OP_DISCARD, 0, 1, NULL), 0);
	/* By chance: never under fifo, about as often as said otherwise. */
	disk_error_add(disk, &(struct disk_fault){ .ops = DISK_OP_ALL, .count = U64_MAX,
						   .per_million = 250000, .error = -EIO });
	for (i = 0; i < 1000; i++)
		failed += !!io(REQ_OP_READ, 0, 8, got);
	if (arg)
		assert_in_range(failed, 180, 320);
	else
		assert_int_equal(failed, 0);
	done_with();
}

static void errors_are_injected_by_rule(void **unused)
{
	expect_clean(SIM_FIFO, 1, faults, NULL);
	expect_clean(SIM_RANDOM, 1, faults, "random");
}

/* ---- time ---- */

static u64 took(blk_opf_t opf, sector_t sector, u32 sectors)
{
	tag_t *tags = calloc(sectors + 1, sizeof(*tags));
	u64 begin = sim_now_ns();

	assert_int_equal(io(opf, sector, sectors, tags), 0);
	free(tags);
	return sim_now_ns() - begin;
}

static u32 nr_ended;
static u64 last_end;

static void note_end(struct bio *bio)
{
	nr_ended++;
	last_end = sim_now_ns();
	bio_put(bio);
}

static void start(blk_opf_t opf, sector_t sector, u32 sectors, tag_t *tags)
{
	struct bio *bio = sim_bio_alloc(disk_bdev("d"), opf, sector, sectors, tags);

	bio->bi_end_io = note_end;
	submit_bio(bio);
}

static void times(void *arg)
{
	tag_t tags[16];
	u64 alone, all, seek;
	u32 i;

	use(disk_delay_create(disk_ram_create("d", 1 << 20), DISK_RAM));
	assert_int_equal(took(REQ_OP_READ, 0, 8), 1000);
	assert_int_equal(took(REQ_OP_WRITE, 0, 800), 1000);
	done_with();

	/* An SSD does as many at once as it has channels. */
	use(disk_delay_create(disk_ram_create("d", 1 << 20), DISK_SSD));
	alone = took(REQ_OP_READ, 0, 8);
	assert_in_range(alone, 50000, 100000);
	assert_true(took(REQ_OP_WRITE, 0, 8) < alone);
	all = sim_now_ns();
	nr_ended = 0;
	for (i = 0; i < 16; i++)
		start(REQ_OP_READ, i * 32, 8, tags);
	sim_settle();
	assert_int_equal(nr_ended, 16);
	assert_int_equal(last_end - all, 2 * alone);
	assert_true(took(REQ_OP_WRITE | REQ_FUA, 0, 8) > 2 * took(REQ_OP_WRITE, 0, 8));
	assert_true(took(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0) > alone);
	/* A flush waits for what is under way. */
	all = sim_now_ns();
	start(REQ_OP_READ, 0, 8, tags);
	assert_true(took(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0) > alone);
	done_with();

	/* A hard disk: in sequence fast, near slower, far slowest. */
	use(disk_delay_create(disk_ram_create("d", 1 << 20), DISK_HDD));
	took(REQ_OP_READ, 0, 8);
	assert_in_range(took(REQ_OP_READ, 8, 256), 900000, 1200000);
	seek = took(REQ_OP_READ, 1 << 19, 8);
	assert_in_range(seek, 10000000, 24000000);
	assert_in_range(took(REQ_OP_READ, (1 << 19) + 16, 8), 800000, 9600000);
	done_with();
}

static void service_times(void **unused)
{
	expect_clean(SIM_FIFO, 1, times, NULL);
}

static void holds(void *arg)
{
	tag_t one[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[8];
	int first;

	disk = disk_delay_create(disk_ram_create("d", 1000), DISK_SSD);
	use(disk);
	nr_ended = 0;
	first = disk_delay_hold(disk, DISK_OP_WRITE, 0, 100);
	disk_delay_hold(disk, DISK_OP_WRITE | DISK_OP_READ, 50, 100);
	start(REQ_OP_WRITE, 0, 8, one);	   /* first */
	start(REQ_OP_WRITE, 60, 8, one);   /* first: the one that was set first counts */
	start(REQ_OP_READ, 60, 8, got);	   /* second */
	start(REQ_OP_WRITE, 200, 8, one);  /* none */
	sim_settle();
	assert_int_equal(nr_ended, 1);
	assert_int_equal(disk_delay_held(disk), 3);
	/* Held requests have had no effect. */
	disk_peek(disk, 0, 8, got);
	assert_int_equal(got[0], 0);
	disk_delay_release(disk, first);
	sim_settle();
	assert_int_equal(nr_ended, 3);
	assert_int_equal(disk_delay_held(disk), 1);
	start(REQ_OP_WRITE, 0, 8, one);
	sim_settle();
	assert_int_equal(nr_ended, 4);
	disk_delay_release(disk, -1);
	sim_settle();
	assert_int_equal(nr_ended, 5);
	assert_int_equal(got[0], 1);
	assert_int_equal(disk_delay_held(disk), 0);
	done_with();
}

static void requests_can_be_held(void **unused)
{
	expect_clean(SIM_FIFO, 1, holds, NULL);
	expect_clean(SIM_RANDOM, 1, holds, NULL);
}

/* ---- the log ---- */

static char events[512];

static void log_event(void *context, const struct disk_log_event *ev)
{
	size_t n = strlen(events);
	const char *op = (ev->opf & REQ_OP_MASK) == REQ_OP_DISCARD ? "d" : ev->sectors ? "w" : "f";

	n += snprintf(events + n, sizeof(events) - n, "%s%s%llu@%llu+%llu", n ? " " : "", op, ev->id,
		      ev->sector, ev->sectors);
	if (ev->completed)
		snprintf(events + n, sizeof(events) - n, ev->error ? "!" : ".");
	else if (ev->data)
		snprintf(events + n, sizeof(events) - n, "=%llu",
			 sector_data_tag(ev->data, 0) & TAG_LITERAL ?
				 999 : sector_data_tag(ev->data, (u32)ev->sectors - 1));
}

static void logged(void *arg)
{
	struct disk *delay = disk_delay_create(disk_error_create(disk_ram_create("d", 1000)), DISK_RAM);
	tag_t tags[8] = { 11, 12, 13, 14, 15, 16, 17, 18 };
	u8 bytes[SECTOR_SIZE] = { 1 }, back[SECTOR_SIZE];
	int hold;

	events[0] = '\0';
	use(disk_log_create(delay, log_event, NULL));
	hold = disk_delay_hold(delay, DISK_OP_WRITE, 0, 8);
	start(REQ_OP_WRITE, 0, 8, tags);
	start(REQ_OP_WRITE, 8, 4, tags);
	start(REQ_OP_READ, 8, 4, tags);
	sim_settle();
	assert_string_equal(events, "w0@0+8=18 w1@8+4=14 w1@8+4.");
	start(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL);
	sim_settle();
	disk_delay_release(delay, hold);
	sim_settle();
	start(REQ_OP_DISCARD, 3, 2, NULL);
	sim_settle();
	assert_string_equal(events, "w0@0+8=18 w1@8+4=14 w1@8+4. f2@0+0 f2@0+0. w0@0+8. "
			    "d3@3+2 d3@3+2.");
	events[0] = '\0';
	assert_int_equal(io_bytes(REQ_OP_WRITE, 1, 1, bytes), 0);
	assert_string_equal(events, "w4@1+1=999 w4@1+1.");
	disk_peek_bytes(delay, 1, 1, back);
	assert_memory_equal(back, bytes, SECTOR_SIZE);
	done_with();
}

static void the_log_tells_issue_and_end(void **unused)
{
	expect_clean(SIM_FIFO, 1, logged, NULL);
}

/* ---- order ---- */

static tag_t read_tags[2][8];

/*
 * Two writes and two reads of one place: which takes effect first is open. Returns what was read
 * and what is left.
 */
static void race(void *arg)
{
	static tag_t a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, b[8] = { 11, 12, 13, 14, 15, 16, 17, 18 };
	tag_t left[8];
	u32 *outcome = arg;

	use(disk_ram_create("d", 1000));
	nr_ended = 0;
	start(REQ_OP_WRITE, 0, 8, a);
	start(REQ_OP_READ, 0, 8, read_tags[0]);
	start(REQ_OP_WRITE, 0, 8, b);
	sim_settle();
	assert_int_equal(nr_ended, 3);
	disk_peek(top, 0, 8, left);
	*outcome = (u32)(read_tags[0][0] * 100 + left[0]);
	done_with();
}

static void requests_in_flight_take_effect_in_any_order(void **unused)
{
	bool seen[1200] = { 0 };
	u32 outcome, kinds = 0;
	u64 seed;

	expect_clean(SIM_FIFO, 1, race, &outcome);
	assert_int_equal(outcome, 111); /* in the order of submission */
	for (seed = 0; seed < 300; seed++) {
		u32 again;

		expect_clean(SIM_RANDOM, seed, race, &outcome);
		expect_clean(SIM_RANDOM, seed, race, &again);
		assert_int_equal(outcome, again);
		kinds += !seen[outcome];
		seen[outcome] = true;
	}
	/* Both orders of the writes, each with three places for the read. */
	assert_true(seen[11] && seen[1] && seen[111] && seen[1101] && seen[1111] && seen[101]);
	assert_int_equal(kinds, 6);
}

/* ---- names, sizes ---- */

static void sizes(void *arg)
{
	tag_t tags[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	disk = disk_delay_create(disk_ram_create("d", 1000), DISK_RAM);
	use(disk);
	assert_ptr_equal(disk_bdev("d")->bd_simdisk, disk);
	assert_null(disk_bdev("e"));
	assert_int_equal(bdev_nr_sectors(disk_bdev("d")), 1000);
	assert_int_equal(io(REQ_OP_WRITE, 996, 8, tags), -EIO);
	assert_int_equal(io(REQ_OP_WRITE, U64_MAX, 8, tags), -EIO);
	assert_int_equal(disk_resize("d", 2000), 0);
	assert_int_equal(io(REQ_OP_WRITE, 996, 8, tags), 0);
	assert_int_equal(disk_sectors(disk), 2000);
	/* H45: smaller, under a request that was let in before. */
	nr_ended = 0;
	disk_delay_hold(disk, DISK_OP_READ, 0, 0);
	start(REQ_OP_READ, 996, 8, tags);
	sim_settle();
	assert_int_equal(disk_resize("d", 1000), 0);
	disk_delay_release(disk, -1);
	sim_settle();
	assert_int_equal(nr_ended, 1);
	assert_int_equal(disk_counts(disk)->errors, 1);
	assert_int_equal(disk_resize("d", 2000), 0);
	disk_peek(disk, 996, 8, tags);
	assert_int_equal(tags[3], 4);
	assert_int_equal(tags[4], 0);
	assert_int_equal(disk_resize("d", (1ULL << 35) + 1), -ENOMEM);
	done_with();
}

static void no_contents(void *arg)
{
	use(disk_ram_create("d", 1000));
	submit_bio(sim_bio_alloc(disk_bdev("d"), REQ_OP_WRITE, 0, 8, NULL));
}

static void hash_written(void *arg)
{
	tag_t tag = TAG_LITERAL | 5;

	use(disk_ram_create("d", 1000));
	io(REQ_OP_WRITE, 0, 1, &tag);
}

static void destroyed_in_flight(void *arg)
{
	tag_t tag = 5;

	use(disk_ram_create("d", 1000));
	start(REQ_OP_WRITE, 0, 1, &tag);
	disk_destroy(top);
}

static void disks_have_names_and_sizes(void **unused)
{
	expect_clean(SIM_FIFO, 1, sizes, NULL);
	expect_finding(no_contents, "a bio without contents");
	expect_finding(hash_written, "bytes of a literal sector were not kept");
	expect_finding(destroyed_in_flight, "destroyed with 1 requests in flight");
}

/* ---- zeroes, one way or another ---- */

static void fill_all(void)
{
	tag_t tags[64];

	for (u32 at = 0; at < 5120; at += 64) {
		for (u32 i = 0; i < 64; i++)
			tags[i] = tag_make(1, at + i);
		assert_int_equal(io(REQ_OP_WRITE, at, 64, tags), 0);
	}
	disk_counts_reset(top);
}

static void zero_in(sector_t first, sector_t end)
{
	tag_t tag;

	for (sector_t at = 0; at < 5120; at++) {
		disk_peek(top, at, 1, &tag);
		assert_int_equal(tag, at >= first && at < end ? 0 : tag_make(1, at));
	}
}

static void zeroed_out(void *arg)
{
	struct disk_fault refuse = { .ops = DISK_OP_DISCARD, .count = U64_MAX,
				     .error = -EOPNOTSUPP };
	struct disk_fault fail = { .ops = DISK_OP_WRITE, .skip = 1, .count = 1, .error = -EIO };
	struct block_device *bdev;

	use(disk_error_create(disk_ram_create("d", 5120)));
	bdev = disk_bdev("d");
	fill_all();
	assert_int_equal(blkdev_issue_zeroout(bdev, 10, 5000, GFP_NOIO, 0), 0);
	assert_int_equal(disk_counts(top)->write_zeroes, 1);
	assert_int_equal(disk_counts(top)->writes, 0);
	zero_in(10, 5010);

	/* Refused when it comes, or known to be. */
	disk_error_add(top, &refuse);
	for (int known = 0; known < 2; known++) {
		if (known)
			bdev->bd_max_write_zeroes_sectors = 0;
		fill_all();
		assert_int_equal(blkdev_issue_zeroout(bdev, 10, 5000, GFP_NOIO, 0), 0);
		assert_int_equal(disk_counts(top)->write_zeroes, !known);
		assert_int_equal(disk_counts(top)->sectors_written, 5000);
		zero_in(10, 5010);
	}
	disk_error_add(top, &fail);
	assert_int_equal(blkdev_issue_zeroout(bdev, 10, 5000, GFP_NOIO, 0), -EIO);
	done_with();
}

static void zeroes_are_written_where_write_zeroes_is_refused(void **state)
{
	expect_clean(SIM_FIFO, 1, zeroed_out, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_and_file_are_the_same),
		cmocka_unit_test(images_go_round),
		cmocka_unit_test(errors_are_injected_by_rule),
		cmocka_unit_test(service_times),
		cmocka_unit_test(requests_can_be_held),
		cmocka_unit_test(the_log_tells_issue_and_end),
		cmocka_unit_test(requests_in_flight_take_effect_in_any_order),
		cmocka_unit_test(disks_have_names_and_sizes),
		cmocka_unit_test(zeroes_are_written_where_write_zeroes_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
