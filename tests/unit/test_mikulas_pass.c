// SPDX-License-Identifier: GPL-2.0
/*
 * The pass that frees what deleted snapshots held keeps its place on the way: with each group in which it has removed
 * something, and now and then where it has not. After a power cut it does not begin again from nothing.
 */
#include "store_double.h"

#define CHUNKS 20000

static snapid_t create(struct dm_multisnap *s)
{
	snapid_t id;

	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
	double_commit_all(s);
	return id;
}

/* Lets a pass run to its end. Returns how many places of it became durable on the way, in ascending order. */
static unsigned int durable_places(struct dm_multisnap *s, u64 *first)
{
	u64 last = 0;
	unsigned int n = 0;

	*first = 0;
	CHECK(s->store->open.reclaim);
	while (s->store->durable.reclaim || s->store->open.reclaim) {
		if (s->request)
			double_close(s);
		CHECK(double_event(s) || s->request, "the pass stands still");
		if (!s->store->durable.cursor_chunk || s->store->durable.cursor_chunk == last)
			continue;
		CHECK(s->store->durable.cursor_chunk > last, "the place goes back");
		last = s->store->durable.cursor_chunk;
		*first = *first ?: last;
		n++;
	}
	return n;
}

static void places(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s = { .geometry = { .shift = 3 }, .origin_sectors = CHUNKS << 3 };
	snapid_t with, without;
	unsigned int n;
	u64 first, used;

	disk_make_plain(&disk, 400000, 400000);
	CHECK(double_load(&s, &disk, "") == 0);
	with = create(&s);
	for (chunk_t i = 0; i < CHUNKS; i++)
		double_write(&s, i);
	double_commit_all(&s);
	without = create(&s);
	double_settle(&s);
	used = s.store->open.nr_exceptions;
	CHECK(used == CHUNKS, "%llu", used);

	/* Nothing is removed: there are places all the same, but few. */
	CHECK(s.ops->delete_snapshot(s.store, without) == 0);
	double_commit_all(&s);
	n = durable_places(&s, &first);
	CHECK(s.store->open.nr_exceptions == used);
	CHECK(n >= 2 && n <= CHUNKS / 1024, "%u places", n);

	/* All are removed: a place for each group, the first before an eighth is done. */
	CHECK(s.ops->delete_snapshot(s.store, with) == 0);
	double_commit_all(&s);
	n = durable_places(&s, &first);
	CHECK(!s.store->open.nr_exceptions);
	CHECK(n >= 8 && first < CHUNKS / 8, "%u places, the first at %llu", n, first);
	double_settle(&s);
	double_unload(&s);
	disk_free(&disk);
}

/*
 * While nobody closes the group, a pass fills half of it and no more, in bytes or in changes: what else there is to be
 * recorded does not wait for it.
 */
static void half(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s = { .geometry = { .shift = 3 }, .fifo = true };
	unsigned int shift = (uintptr_t)arg, bytes, most;
	struct chunk_remap remap;
	snapid_t id;
	u64 chunk = 0;

	/* Chunks far apart take more bytes. */
	s.origin_sectors = (u64)CHUNKS << (3 + shift);
	disk_make_plain(&disk, 400000, 400000);
	CHECK(double_load(&s, &disk, "") == 0);
	id = create(&s);
	for (chunk_t i = 0; i < CHUNKS; i++)
		double_write(&s, i << shift);
	double_commit_all(&s);
	create(&s);
	CHECK(s.ops->delete_snapshot(s.store, id) == 0);
	double_commit_all(&s);
	for (unsigned int i = 0; i < 10000 && double_event(&s); i++)
		;
	CHECK(s.request, "the pass does not ask for a commit");
	bytes = s.store->open_record.bytes;
	most = record_capacity(s.store->super.record_sectors) / 2;
	CHECK(bytes > most / 2 && bytes <= most + 2 * OP_BYTES_MAX, "%u of %u bytes", bytes, 2 * most);
	CHECK(s.store->open_record.changes <= s.store->group_changes_max / 2 + 1, "%u of %u changes",
	      s.store->open_record.changes, s.store->group_changes_max);
	for (; chunk < 1000; chunk++) {
		s.ops->reset_query(s.store);
		CHECK(s.ops->query_next_remap(s.store, (CHUNKS + chunk) << shift) == 1);
		CHECK(s.ops->add_next_remap(s.store, &remap) == 0, "%llu fit", chunk);
	}
	double_settle(&s);
	CHECK(s.store->open.nr_exceptions == chunk, "%llu, not %llu", s.store->open.nr_exceptions, chunk);
	double_unload(&s);
	disk_free(&disk);
}

static void test_a_pass_takes_half_of_a_group(void **state)
{
	double_run(half, (void *)(uintptr_t)0, 1);
	double_run(half, (void *)(uintptr_t)30, 1);
}

/* Only chunks that were freed have to wait for I/O that began before: nobody else waits for an epoch. */
static void epochs(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s = { .geometry = { .shift = 3 }, .origin_sectors = CHUNKS << 3, .fifo = true };
	snapid_t id;

	disk_make_plain(&disk, 400000, 400000);
	CHECK(double_load(&s, &disk, "") == 0);
	id = create(&s);
	for (unsigned int round = 0; round < 3; round++) {
		for (chunk_t i = 0; i < 100; i++)
			double_write(&s, 100 * round + i);
		double_commit_all(&s);
		checkpoint_poll(s.store, true);
		double_settle(&s);
		CHECK(s.store->super.ckpt == round + 1 && !s.epoch_wanted, "epoch %llu", s.epoch_wanted);
	}
	CHECK(s.ops->delete_snapshot(s.store, id) == 0);
	double_commit_all(&s);
	double_settle(&s);
	CHECK(!s.store->open.nr_exceptions && !s.epoch_wanted);
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(s.epoch_wanted == 3 && s.epoch == 3, "epoch %llu", s.epoch_wanted);
	double_unload(&s);
	disk_free(&disk);
}

static void test_only_freed_chunks_wait_for_an_epoch(void **state)
{
	double_run(epochs, NULL, 1);
}

static void test_a_pass_keeps_its_place(void **state)
{
	double_run(places, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pass_keeps_its_place),
		cmocka_unit_test(test_a_pass_takes_half_of_a_group),
		cmocka_unit_test(test_only_freed_chunks_wait_for_an_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
