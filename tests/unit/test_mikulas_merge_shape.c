// SPDX-License-Identifier: GPL-2.0
/*
 * How a merge goes about it, which no lookup shows: it reads the leaves that it will need ahead, up to eight at a
 * time, and it leaves no small node at the end of a run.
 */
#include "store_double.h"

#define CHUNKS 20000
#define AHEAD 8
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
	u64 reads;

	make(&s, &disk);
	for (chunk_t i = 0; i < CHUNKS; i += 2)
		double_write(&s, i);
	checkpoint(&s);
	double_write(&s, CHUNKS / 2 + 1);
	double_commit_all(&s);
	double_unload(&s);
	CHECK(double_load(&s, &disk, ARGS) == 0);
	reads = disk.reads;
	checkpoint_poll(s.store, true);
	double_settle(&s);
	/* The path, two neighbours with which small nodes are joined, blocks of the maps. */
	CHECK(disk.reads - reads <= 8, "%llu reads", disk.reads - reads);
	double_unload(&s);
	disk_free(&disk);
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

static void test_reads_ahead(void **state)
{
	double_run(reads_ahead, NULL, 1);
}

static void test_reads_what_changes(void **state)
{
	double_run(reads_what_changes, NULL, 1);
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
		cmocka_unit_test(test_last_two_are_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
