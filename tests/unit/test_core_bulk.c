// SPDX-License-Identifier: GPL-2.0
/*
 * Discards and write-zeroes of many chunks: whole where nothing is shared; else one of each chunk,
 * and not more of them at once than the core has room for, whatever the size of the request.
 */
#include "probe_store.h"

#define BIG_SECTORS 32768 /* 4096 chunks */
#define BIG_TABLE "0 32768 multisnapshot big bigstore 8 0 probe 0"

static void add_big_disks(void)
{
	CHECK(world_disk_add("big", BIG_SECTORS, DISK_RAM, 512, NULL));
	CHECK(world_disk_add("bigstore", 2 * BIG_SECTORS, DISK_RAM, 512, NULL));
}

static struct disk_counts counts_of(const char *name)
{
	return *disk_counts(disk_top(name));
}

static int bulk(blk_opf_t op, sector_t sector, u32 sectors)
{
	return sim_bio_wait(sim_bio_alloc(disk_bdev("ms"), op, sector, sectors, NULL));
}

static void whole(void *arg)
{
	add_big_disks();
	make_probed(BIG_TABLE);
	CHECK_EQUAL(bulk(REQ_OP_DISCARD, 3, BIG_SECTORS - 3), 0);
	CHECK_EQUAL(counts_of("big").discards, 1);
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 0, BIG_SECTORS - 5), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, 1);

	/* One snapshot, and every chunk counts. */
	make_snapshot();
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 3, 2 * CHUNK), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, 1 + 3);
	CHECK_EQUAL(probe.adds, 3);
	/* Copied by now, they are not asked for again, and go as one. */
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 3, 2 * CHUNK), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, 1 + 3 + 1);
	CHECK_EQUAL(probe.adds, 3);
	/* As far as they are copied. */
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, CHUNK + 1, 3 * CHUNK), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, 1 + 3 + 1 + 3);
	CHECK_EQUAL(probe.adds, 5);

	/* And none again. */
	CHECK_EQUAL(dmctl_message("ms", "delete 0"), 0);
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 0, BIG_SECTORS), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, 1 + 3 + 1 + 3 + 1);
}

/* Reads and writes, too: dm splits none of them at the chunks. */
static void whole_io(void *arg)
{
	make_probed(PROBE_TABLE);
	CHECK_EQUAL(write_tags("ms", 3, 100, 1), 0);
	CHECK_EQUAL(counts_of("origin").writes, 1);
	make_snapshot();
	CHECK(holds_write("ms", 3, 100, 1));
	CHECK_EQUAL(counts_of("origin").reads, 1);
	CHECK_EQUAL(write_tags("ms", 0, 4 * CHUNK, 2), 0);
	CHECK_EQUAL(counts_of("origin").writes, 1 + 4);
	CHECK_EQUAL(write_tags("ms", 5, 3 * CHUNK, 3), 0);
	CHECK_EQUAL(counts_of("origin").writes, 1 + 4 + 1);
	CHECK_EQUAL(write_tags("ms", 2 * CHUNK, 4 * CHUNK, 4), 0);
	CHECK_EQUAL(counts_of("origin").writes, 1 + 4 + 1 + 3);
	CHECK_EQUAL(probe.adds, 6);
	make_snap_device("s0", "0");
	CHECK(holds_write("s0", 3, 6 * CHUNK - 3, 1));
	CHECK(holds_write("ms", 5, 2 * CHUNK - 5, 3));
	CHECK(holds_write("ms", 2 * CHUNK, 4 * CHUNK, 4));
}

static void what_nothing_shares_is_read_and_written_whole(void **state)
{
	in_probed_world(whole_io, NULL);
}

/* The longest run of copied chunks that is looked for while interrupts are off. */
#define RUN_CHUNKS 256

static void long_run(void *arg)
{
	add_big_disks();
	make_probed(BIG_TABLE);
	make_snapshot();
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 0, BIG_SECTORS), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes, BIG_SECTORS / CHUNK);
	CHECK_EQUAL(bulk(REQ_OP_WRITE_ZEROES, 0, BIG_SECTORS), 0);
	CHECK_EQUAL(counts_of("big").write_zeroes,
		    BIG_SECTORS / CHUNK + BIG_SECTORS / CHUNK / RUN_CHUNKS);
	CHECK_EQUAL(probe.adds, BIG_SECTORS / CHUNK);
}

static void a_run_of_copied_chunks_is_looked_for_in_steps(void **state)
{
	in_probed_world(long_run, NULL);
}

static void h37_what_nothing_shares_is_discarded_whole(void **state)
{
	in_probed_world(whole, NULL);
}

static int discard_all(const char *device)
{
	return bulk(REQ_OP_DISCARD, 0, BIG_SECTORS);
}

static int zero_all(const char *device)
{
	return bulk(REQ_OP_WRITE_ZEROES, 0, BIG_SECTORS);
}

static void bounded(void *arg)
{
	struct command discard, zero;
	struct dm_multisnap *s;
	int held;

	add_big_disks();
	make_probed(BIG_TABLE);
	s = probe.s;
	make_snapshot();
	held = disk_delay_hold(disk_top("bigstore"), DISK_OP_WRITE, 0, 0);
	start_command(&discard, "ms", discard_all);
	start_command(&zero, "ms", zero_all);
	CHECK(!discard.ended && !zero.ended);
	CHECK_EQUAL(s->nr_bulk, MULTISNAP_BULK_MAX);
	/* Other I/O has room. */
	CHECK(holds_write("ms", 0, CHUNK, 0));
	if (arg)
		fail_disk("bigstore", DISK_OP_WRITE, 0, 1, -EIO);
	disk_delay_release(disk_top("bigstore"), held);
	CHECK_EQUAL(command_result(&discard), 0);
	CHECK_EQUAL(command_result(&zero), 0);
	CHECK_EQUAL(s->nr_bulk, 0);
	CHECK(!strcmp(status_field(STATUS_ERROR), arg ? "-5" : "0"));
	if (arg)
		return;
	CHECK_EQUAL(probe.adds, BIG_SECTORS / CHUNK);
	/* The second to come finds all copied. */
	CHECK(counts_of("big").discards + counts_of("big").write_zeroes >= BIG_SECTORS / CHUNK);
	CHECK(counts_of("big").discards + counts_of("big").write_zeroes <= 2 * BIG_SECTORS / CHUNK);
}

static void h07_a_discard_of_everything_takes_bounded_room(void **state)
{
	in_probed_world(bounded, NULL);
	in_probed_world(bounded, (void *)1); /* and the snapshots are given up meanwhile */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h37_what_nothing_shares_is_discarded_whole),
		cmocka_unit_test(what_nothing_shares_is_read_and_written_whole),
		cmocka_unit_test(a_run_of_copied_chunks_is_looked_for_in_steps),
		cmocka_unit_test(h07_a_discard_of_everything_takes_bounded_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
