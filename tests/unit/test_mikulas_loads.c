// SPDX-License-Identifier: GPL-2.0
/*
 * What a load does with reads that fail, once each; with a log that is larger than the default limit of memory; and with
 * maps of which one block is full.
 */
#include "store_double.h"

#define SECTORS 400000
#define CHUNKS 34000 /* more than a block of the data map has bits */

struct loads {
	struct dm_multisnap s;
	struct double_disk disk;
};

static struct loads *make(u64 kept)
{
	struct loads *l = calloc(1, sizeof(*l));

	l->s.geometry.shift = 3;
	l->s.fifo = true;
	l->s.origin_sectors = 1 << 20;
	disk_make_plain(&l->disk, SECTORS, kept);
	CHECK(double_load(&l->s, &l->disk, "cache-threshold 100000") == 0);
	return l;
}

static void finish(struct loads *l)
{
	double_unload(&l->s);
	disk_free(&l->disk);
	free(l);
}

static void create(struct dm_multisnap *s)
{
	snapid_t id;

	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
	double_commit_all(s);
}

static void checkpoint(struct dm_multisnap *s)
{
	double_commit_all(s);
	checkpoint_poll(s->store, true);
	double_settle(s);
}

/* A read that fails and would not have failed again: the load is refused all the same, and nothing is written. */
static void failing_reads(void *arg)
{
	struct loads *l = make(60000);
	struct dm_multisnap *s = &l->s;
	u64 reads, writes, seq;

	create(s);
	for (chunk_t i = 0; i < 3000; i++)
		double_write(s, i << 20);
	checkpoint(s);
	for (chunk_t i = 3000; i < 3100; i++) {
		double_write(s, i << 20);
		double_commit_all(s);
	}
	seq = s->store->log.seq;
	double_unload(s);
	reads = l->disk.reads;
	CHECK(double_load(s, &l->disk, "") == 0);
	double_unload(s);
	reads = l->disk.reads - reads;
	CHECK(reads > 10, "%llu", reads);
	writes = l->disk.writes;
	for (u64 n = 1; n <= reads; n++) {
		l->disk.fail_read_at = l->disk.reads + n;
		CHECK(double_load(s, &l->disk, "") != 0, "read %llu of %llu", n, reads);
		CHECK(l->disk.writes == writes, "read %llu", n);
	}
	l->disk.fail_read_at = 0;
	CHECK(double_load(s, &l->disk, "") == 0 && s->store->log.seq == seq);
	finish(l);
}

/* The superblock of a store that somebody has made with a larger log than we do. */
static void large_log(struct loads *l)
{
	struct super_disk *disk = (void *)l->disk.durable;
	struct super super = l->s.store->super;
	struct map_shape data, meta;
	u64 end = super.data_start + super.data_chunks;

	CHECK(!super.ckpt);
	super.log_blocks = LOG_BLOCKS_MAX;
	super.max_changes = LOG_BLOCKS_MAX * LOG_BLOCK_CHANGES;
	super.map_start = super.log_start + super.log_blocks;
	super.data_chunks = end - super.map_start - super.meta_blocks - 100;
	super.data_start = end - super.data_chunks;
	super.alloc_pos = super.data_start;
	map_shape_init(&data, super.data_chunks);
	map_shape_init(&meta, super.meta_blocks);
	super.meta_start = super.map_start + data.total + meta.total;
	super_pack(disk, &super);
}

/*
 * The default of cache-limit is 64 MiB, and more where the log needs more: a store that is there is loaded. A limit that was
 * given is refused.
 */
static void larger_than_the_default(void *arg)
{
	struct loads *l = make(200000);
	struct dm_multisnap *s = &l->s;

	large_log(l);
	double_unload(s);
	CHECK(double_load(s, &l->disk, "cache-limit 131072") == -EINVAL);
	CHECK(!strcmp(s->refused, "cache-limit is smaller than a full log"), "%s", s->refused);
	CHECK(double_load(s, &l->disk, "") == 0);
	CHECK(s->store->cache.max_blocks >= CACHE_BLOCKS_MIN, "%u blocks",
	      s->store->cache.max_blocks);
	create(s);
	double_write(s, 7);
	checkpoint(s);
	finish(l);
}

/* A block of the map that is full is passed over, and nothing else. */
static void full_map_block(void *arg)
{
	struct loads *l = make(60000);
	struct dm_multisnap *s = &l->s;
	u64 found;

	create(s);
	for (chunk_t i = 0; i < CHUNKS; i++)
		double_write(s, i);
	checkpoint(s);
	CHECK(s->store->data.shape.levels == 2 && s->store->super.nr_exceptions == CHUNKS);
	for (u64 begin = 0; begin <= CHUNKS; begin += CHUNKS / 20) {
		int r;

		while ((r = space_find(s->store, &s->store->data, begin, s->store->data.shape.bits,
				       &found)) == -EAGAIN)
			double_again(s);
		CHECK(r == 1 && found == CHUNKS, "from %llu: %d, %llu", begin, r, found);
	}
	finish(l);
}

static void test_h26_each_read_of_a_load_fails_once(void **state)
{
	double_run(failing_reads, NULL, 1);
}

static void test_a_log_larger_than_the_default_limit(void **state)
{
	double_run(larger_than_the_default, NULL, 1);
}

static void test_a_full_map_block_is_passed_over(void **state)
{
	double_run(full_map_block, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h26_each_read_of_a_load_fails_once),
		cmocka_unit_test(test_a_log_larger_than_the_default_limit),
		cmocka_unit_test(test_a_full_map_block_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
