// SPDX-License-Identifier: GPL-2.0
/*
 * How a merge goes about it, which no lookup shows: it reads the leaves that it will need ahead, up to eight at a
 * time, and it leaves no small node at the end of a run.
 */
#include "store_double.h"

#define CHUNKS 20000
#define AHEAD 8
#define WRITES 32
#define ARGS "cache-threshold 100000"

static void make(struct dm_multisnap *s, struct double_disk *disk)
{
	snapid_t id;

	memset(s, 0, sizeof(*s));
	s->geometry.shift = 3;
	s->fifo = true;
	s->origin_sectors = CHUNKS << 3;
	disk_make_plain(disk, 400000, 400000);
	CHECK(double_load(s, disk, ARGS) == 0);
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

static unsigned int reads_under_way(struct dm_multisnap *s)
{
	struct dm_multisnap_io *io;
	unsigned int n = 0;

	list_for_each_entry(io, &s->ios, list)
		n += (io->opf & REQ_OP_MASK) == REQ_OP_READ;
	return n;
}

/* All leaves have a change, and none of them is in memory: what the log has told has just been loaded. */
static void reads_ahead(void *arg)
{
	unsigned int most = 0, before;
	struct double_disk disk;
	struct dm_multisnap s;

	make(&s, &disk);
	for (chunk_t i = 0; i < CHUNKS; i += 2)
		double_write(&s, i);
	checkpoint(&s);
	for (chunk_t i = 1; i < CHUNKS; i += 100)
		double_write(&s, i);
	double_commit_all(&s);
	double_unload(&s);
	CHECK(double_load(&s, &disk, ARGS) == 0);
	CHECK(s.store->super.depth >= 2, "%u", s.store->super.depth);
	before = s.store->super.ckpt;
	checkpoint_poll(s.store, true);
	while (double_event(&s))
		most = max(most, reads_under_way(&s));
	CHECK(s.store->super.ckpt > before, "no checkpoint");
	/* The one that is waited for, and those ahead of it. */
	CHECK(most >= AHEAD && most <= AHEAD + 1, "%u reads at once", most);
	double_unload(&s);
	disk_free(&disk);
}

/* Only leaves with a change are read: one of the many. */
static void reads_what_changes(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s;
	u64 reads, nodes;

	make(&s, &disk);
	for (chunk_t i = 0; i < CHUNKS; i += 2)
		double_write(&s, i);
	checkpoint(&s);
	double_write(&s, CHUNKS / 2 + 1);
	double_commit_all(&s);
	double_unload(&s);
	CHECK(double_load(&s, &disk, ARGS) == 0);
	reads = disk.reads;
	nodes = s.store->super.tree_blocks;
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(s.store->super.tree_blocks <= nodes + 1, "%llu nodes, then %llu", nodes, s.store->super.tree_blocks);
	/* The path, two neighbours with which small nodes are joined, blocks of the maps. */
	CHECK(disk.reads - reads <= 8, "%llu reads", disk.reads - reads);
	double_unload(&s);
	disk_free(&disk);
}

/* The first key of a child of the root. */
static struct entry child(struct dm_multisnap *s, unsigned int i)
{
	struct node_layout layout;
	struct cblock *block;
	struct entry entry;
	int r;

	while ((r = cache_get(s->store, s->store->super.root, &block)) == -EAGAIN)
		double_again(s);
	CHECK(!r, "%d", r);
	node_open(&layout, block->data);
	CHECK(i < layout.count && layout.level == 1, "%u of %u, level %u", i, layout.count, layout.level);
	node_entry(&layout, block->data, i, &entry);
	return entry;
}

/* It does not look further ahead than 63 leaves for those that it will need. */
static void looks_so_far(void *arg)
{
	for (unsigned int ahead = 62; ahead < 66; ahead++) {
		unsigned int reads = 0;
		struct double_disk disk;
		struct dm_multisnap s;

		make(&s, &disk);
		for (chunk_t i = 0; i < 2 * CHUNKS; i++)
			double_write(&s, i << 30);
		checkpoint(&s);
		double_write(&s, child(&s, 0).chunk + 1);
		double_write(&s, child(&s, ahead).chunk + 1);
		double_commit_all(&s);
		double_unload(&s);
		CHECK(double_load(&s, &disk, ARGS) == 0);
		child(&s, 0);
		checkpoint_poll(s.store, true);
		while (!reads) {
			CHECK(double_event(&s));
			if (s.store->ckpt.merge.opening && !s.store->ckpt.merge.level)
				reads = reads_under_way(&s);
		}
		CHECK(reads == 1 + (ahead < 64), "leaf %u: %u reads", ahead, reads);
		double_settle(&s);
		double_unload(&s);
		disk_free(&disk);
	}
}

/* Entries of each leaf that the last checkpoint has written. */
static unsigned int new_leaves(struct double_disk *disk, struct super *super, unsigned int *counts, unsigned int most)
{
	u64 at = super->meta_start, end = at + super->meta_blocks, newest = 0;
	unsigned int n = 0;

	for (; at < end && mblock_to_sector(at + 1) <= disk->kept; at++) {
		const struct node_disk *node = (void *)(disk->durable + mblock_to_sector(at) * SECTOR_SIZE);

		if (le32_to_cpu(node->magic) != NODE_MAGIC || node->level || le64_to_cpu(node->seq) < newest)
			continue;
		if (le64_to_cpu(node->seq) > newest)
			n = 0;
		newest = le64_to_cpu(node->seq);
		CHECK(n < most);
		counts[n++] = le16_to_cpu(node->count);
	}
	return n;
}

/* The first leaf is full, and @more come into it: two of the same size, not a full one and a small one. */
static void last_two_are_even(void *arg)
{
	for (unsigned int more = 100; more < NODE_ENTRIES_MAX; more += 400) {
		unsigned int counts[64], n;
		struct double_disk disk;
		struct dm_multisnap s;

		make(&s, &disk);
		for (chunk_t i = 0; i < CHUNKS; i += 2)
			double_write(&s, i);
		checkpoint(&s);
		for (chunk_t i = 0; i < more; i++)
			double_write(&s, 2 * i + 1);
		checkpoint(&s);
		n = new_leaves(&disk, &s.store->super, counts, ARRAY_SIZE(counts));
		CHECK(n == 2, "%u leaves", n);
		CHECK(counts[0] == counts[1] && counts[0] + counts[1] == NODE_ENTRIES_MAX + more, "%u and %u", counts[0],
		      counts[1]);
		double_unload(&s);
		disk_free(&disk);
	}
}

/* New nodes are on their way to the disk while the merge goes on, but not too many at a time. */
static void writes_under_way(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s;
	unsigned int most = 0;

	make(&s, &disk);
	for (chunk_t i = 0; i < CHUNKS; i++)
		double_write(&s, i << 30);
	double_commit_all(&s);
	checkpoint_poll(s.store, true);
	while (s.store->ckpt.phase == CKPT_MERGE) {
		most = max(most, s.nr_ios - reads_under_way(&s));
		CHECK(double_event(&s));
	}
	CHECK(most == WRITES, "%u writes at once", most);
	double_settle(&s);
	CHECK(s.store->super.tree_blocks > WRITES && s.store->super.nr_exceptions == CHUNKS);
	double_unload(&s);
	disk_free(&disk);
}

/* The place for the next node is being written: it is waited for, and taken once. */
static void place_being_written(void *arg)
{
	struct double_disk disk;
	struct cblock *block;
	struct dm_multisnap s;
	u64 bit;

	make(&s, &disk);
	double_write(&s, 5);
	double_commit_all(&s);
	CHECK(space_find(s.store, &s.store->meta, s.store->ckpt.merge.meta_next, s.store->super.meta_blocks, &bit) == 1);
	CHECK(cache_new(s.store, s.store->super.meta_start + bit, &block) == 0);
	memset(block->data, 0, MBLOCK_BYTES);
	cache_unpin(block);
	cache_write(s.store, block);
	CHECK(s.nr_ios == 1);
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(!s.error && s.store->super.root == s.store->super.meta_start + bit, "%d", s.error);
	CHECK(s.store->super.meta_map.used == 1 && s.store->super.tree_blocks == 1);
	double_unload(&s);
	CHECK(double_load(&s, &disk, ARGS) == 0);
	double_unload(&s);
	disk_free(&disk);
}

/*
 * H25: a tree that has more levels than one of its size can have. Its entries go nowhere: whether a subtree is taken over or
 * taken apart, the store is in error, and nothing more is written.
 */
static void too_many_levels(void *arg)
{
	chunk_t chunk = (uintptr_t)arg;
	struct double_disk disk;
	struct dm_multisnap s;
	u64 ckpt;

	make(&s, &disk);
	for (chunk_t i = 0; i < CHUNKS; i += 2)
		double_write(&s, i);
	checkpoint(&s);
	CHECK(s.store->super.depth >= 2);
	ckpt = s.store->super.ckpt;
	double_write(&s, chunk);
	double_commit_all(&s);
	checkpoint_poll(s.store, true);
	s.store->ckpt.merge.nr_writers = 1;
	/* Taken over, where no changes are: that is checked once more, as what never holds. */
	sim_expect_warnings(chunk != 1);
	while (!s.error && double_event(&s))
		CHECK(!s.nr_ios || reads_under_way(&s) == s.nr_ios);
	CHECK(s.error == -EPERM && s.store->dead == -EPERM, "%d", s.error);
	while (double_event(&s))
		;
	CHECK(s.store->super.ckpt == ckpt);
	double_unload(&s);
	CHECK(double_load(&s, &disk, ARGS) == 0);
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(s.store->super.ckpt == ckpt + 1 && s.store->super.nr_exceptions == CHUNKS / 2 + 1);
	double_unload(&s);
	disk_free(&disk);
}

static void test_writes_under_way(void **state)
{
	double_run(writes_under_way, NULL, 1);
}

static void test_place_being_written(void **state)
{
	double_run(place_being_written, NULL, 1);
}

static void test_h25_too_many_levels(void **state)
{
	double_run(too_many_levels, (void *)(uintptr_t)1, 1);
	double_run(too_many_levels, (void *)(uintptr_t)(CHUNKS - 1), 1);
}

static void test_reads_ahead(void **state)
{
	double_run(reads_ahead, NULL, 1);
}

static void test_reads_what_changes(void **state)
{
	double_run(reads_what_changes, NULL, 1);
}

static void test_looks_so_far(void **state)
{
	double_run(looks_so_far, NULL, 1);
}

static void test_last_two_are_even(void **state)
{
	double_run(last_two_are_even, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_ahead),
		cmocka_unit_test(test_reads_what_changes),
		cmocka_unit_test(test_looks_so_far),
		cmocka_unit_test(test_last_two_are_even),
		cmocka_unit_test(test_writes_under_way),
		cmocka_unit_test(test_place_being_written),
		cmocka_unit_test(test_h25_too_many_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
