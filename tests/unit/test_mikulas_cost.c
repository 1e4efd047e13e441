// SPDX-License-Identifier: GPL-2.0
/*
 * What the metadata of the mikulas store costs: counts, which are exact.
 *
 * Random first writes of the origin with one snapshot, 8 KiB chunks, groups of 16, default
 * arguments.
 */
#include "store_double.h"

#define CHUNK_BYTES 8192ULL

struct cost {
	/* in */
	unsigned int shift; /* log2 of the number of chunks written */
	unsigned int group;
	unsigned int block_sectors;
	unsigned int snapshots;
	const char *args;
	bool checkpoint_before;
	/* out */
	u64 sectors_written, checkpoints, flushes, records;
	u64 tree_blocks, map_blocks, peak_memory, reads;
};

static void create(struct dm_multisnap *s, unsigned int count)
{
	while (count--) {
		snapid_t id;

		CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
		CHECK(s->ops->create_snapshot(s->store, id) == 0);
		double_commit_all(s);
	}
}

static void run(void *arg)
{
	struct cost *cost = arg;
	struct dm_multisnap s = { 0 };
	struct double_disk disk;
	u64 n = 1ULL << cost->shift, i, start, records;
	struct super *super;

	s.geometry.shift = 4;
	s.fifo = true;
	s.block_sectors = cost->block_sectors;
	s.origin_sectors = n << 4;
	disk_make_plain(&disk, (n << 4) + (n << 4) / 8, (n << 4) / 16);
	CHECK(double_load(&s, &disk, cost->args) == 0);
	super = &s.store->super;
	create(&s, cost->snapshots);
	if (cost->checkpoint_before) {
		checkpoint_poll(s.store, true);
		double_settle(&s);
	}
	sim_memory_peak_reset();
	start = disk.write_sectors;
	records = s.store->log.seq;
	cost->flushes = disk.flushes;
	cost->checkpoints = super->ckpt;
	cost->reads = disk.reads;
	for (i = 0; i < n; i++) {
		double_write(&s, i * 0x9e3779b1ULL & (n - 1));
		if (i % cost->group == cost->group - 1) {
			double_wait_durable(&s);
			double_close(&s);
		}
	}
	double_commit_all(&s);
	double_settle(&s);
	cost->records = s.store->log.seq - records;
	cost->checkpoints = super->ckpt - cost->checkpoints;
	cost->flushes = disk.flushes - cost->flushes;
	cost->sectors_written = disk.write_sectors - start;
	cost->peak_memory = sim_memory_peak_bytes();
	cost->reads = disk.reads - cost->reads;
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(super->nr_exceptions == n);
	cost->tree_blocks = super->tree_blocks;
	cost->map_blocks = DIV_ROUND_UP(n, MAP_BITS) + 2;
	double_unload(&s);
	disk_free(&disk);
}

static void report(const char *what, const struct cost *cost)
{
	u64 n = 1ULL << cost->shift;

	if (getenv("SHOW_COST"))
		printf("%s: %llu exceptions, %llu records: %.1f metadata bytes written each (%.2f %%), %llu checkpoints, %llu flushes, %.1f bytes each on disk, peak memory %.1f MiB, %llu reads\n",
		       what, n, cost->records, cost->sectors_written * 512.0 / n,
		       cost->sectors_written * 51200.0 / n / CHUNK_BYTES, cost->checkpoints,
		       cost->flushes, (cost->tree_blocks + 2 * cost->map_blocks) * 4096.0 / n,
		       cost->peak_memory / 1048576.0, cost->reads);
}

static void test_random_first_writes(void **state)
{
	struct cost cost = {
		.shift = 20, .group = 16, .block_sectors = 1, .snapshots = 1, .args = ""
	};

	double_run(run, &cost, 1);
	report("512-byte blocks, groups of 16", &cost);
	assert_true(cost.sectors_written * 512 * 100 <= 3 * (CHUNK_BYTES << cost.shift));
	assert_true((cost.tree_blocks + 2 * cost.map_blocks) * 4096 <= 32ULL << cost.shift);
	/* One for each group, and one for each checkpoint. */
	assert_int_equal(cost.flushes, cost.records + cost.checkpoints);
	assert_true(cost.peak_memory <= 128ULL << 20);
}

static void test_variants(void **state)
{
	struct cost single = {
		.shift = 18, .group = 1, .block_sectors = 1, .snapshots = 1, .args = ""
	};
	struct cost blocks = {
		.shift = 18, .group = 16, .block_sectors = 8, .snapshots = 1, .args = ""
	};

	double_run(run, &single, 1);
	report("one in flight", &single);
	double_run(run, &blocks, 1);
	report("4096-byte blocks", &blocks);
	assert_true(single.sectors_written * 512 <= 800ULL << single.shift);
	assert_true(blocks.sectors_written * 512 <= 800ULL << blocks.shift);
}

/* The number of snapshots does not matter: the same records, flushes and bytes. */
static void test_ten_thousand_snapshots(void **state)
{
	struct cost one = {
		.shift = 16, .group = 16, .block_sectors = 1, .snapshots = 1, .args = ""
	};
	struct cost many = one;

	many.snapshots = 10000;
	many.checkpoint_before = one.checkpoint_before = true;
	double_run(run, &one, 1);
	double_run(run, &many, 1);
	report("1 snapshot", &one);
	report("10000 snapshots", &many);
	assert_int_equal(one.records, many.records);
	assert_int_equal(one.flushes, many.flushes);
	assert_int_equal(one.sectors_written, many.sectors_written);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_first_writes),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_ten_thousand_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
