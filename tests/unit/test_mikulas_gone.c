// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions that are gone but not yet merged: what reclaim has removed since the last checkpoint
 * must not be walked over, one by one and leaf by leaf, by every origin write before it. That took
 * as long as there are changes, with the master lock held; and with a cache smaller than the leaves
 * that they are in it never ended.
 */
#include "store_double.h"

#define GONE 40000u
#define SPREAD 36 /* wide keys: small leaves */

static void must(struct dm_multisnap *s, int r, u64 *events)
{
	CHECK(r == -EAGAIN, "%d", r);
	double_again(s);
	CHECK((*events)++ < 20000, "-EAGAIN for ever");
}

static void create(struct dm_multisnap *s, snapid_t *id)
{
	u64 events = 0;
	int r;

	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, id) == 0);
	while ((r = s->ops->create_snapshot(s->store, *id)))
		must(s, r, &events);
	double_commit_all(s);
}

static void origin_write(struct dm_multisnap *s, chunk_t chunk, u64 *events)
{
	struct chunk_remap remap;
	int r;

	for (;;) {
		s->ops->reset_query(s->store);
		r = s->ops->query_next_remap(s->store, chunk);
		if (r > 0)
			r = s->ops->add_next_remap(s->store, &remap);
		if (!r)
			return;
		must(s, r, events);
	}
}

static void remove_all(struct dm_multisnap *s, snapid_t id)
{
	u64 events = 0;
	int r;

	while ((r = s->ops->delete_snapshot(s->store, id)))
		must(s, r, &events);
	double_commit_all(s);
	double_settle(s);
}

static void gone_run(void *arg)
{
	struct dm_multisnap s = { 0 };
	struct double_disk disk;
	u64 events, tick, ckpt;
	snapid_t first, second, third;

	s.geometry.shift = 3;
	s.fifo = true;
	s.block_sectors = 8;
	s.origin_sectors = 1ULL << 54;
	disk_make_plain(&disk, 600000, 600000);
	CHECK(double_load(&s, &disk, "") == 0);
	/* The smallest cache. */
	s.store->cache.max_blocks = CACHE_BLOCKS_MIN;
	CHECK(GONE < s.store->threshold_changes);

	create(&s, &first);
	for (u64 i = 0; i < GONE; i++) {
		events = 0;
		origin_write(&s, i << SPREAD, &events);
	}
	double_commit_all(&s);
	create(&s, &second);
	create(&s, &third);
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(s.store->super.tree_blocks > CACHE_BLOCKS_MIN, "%llu", s.store->super.tree_blocks);

	ckpt = s.store->super.ckpt;
	remove_all(&s, first);
	CHECK(s.store->open.nr_exceptions == 0);
	CHECK(s.store->super.ckpt == ckpt, "the changes were to be still there");

	tick = s.store->cache.tick;
	events = 0;
	origin_write(&s, 0, &events);
	CHECK(s.store->cache.tick - tick < 100, "%llu look-ups for one write",
	      s.store->cache.tick - tick);

	/* And a second pass of reclaim gets over them. */
	remove_all(&s, second);
	CHECK(s.store->open.nr_exceptions == 1);
	CHECK(s.store->super.ckpt == ckpt);
	remove_all(&s, third);
	CHECK(s.store->open.nr_exceptions == 0);
	double_unload(&s);
	disk_free(&disk);
}

static void test_gone_exceptions_cost_nothing(void **state)
{
	double_run(gone_run, NULL, 71);
}

/*
 * All of sync-snapshots is one group, which is kept open: a pass of reclaim, going on since the
 * load, must not take room in it, or what fits is refused (-E2BIG) and the snapshots are given up.
 */
static void held_run(void *arg)
{
	struct dm_multisnap s = { 0 };
	struct double_disk disk;
	snapid_t id, deleted;
	u64 events;
	int r;

	s.geometry.shift = 3;
	s.fifo = true;
	s.block_sectors = 8;
	s.origin_sectors = 1ULL << 30;
	disk_make_plain(&disk, 100000, 100000);
	CHECK(double_load(&s, &disk, "") == 0);
	create(&s, &deleted);
	for (u64 i = 0; i < 4000; i++) {
		events = 0;
		origin_write(&s, i, &events);
	}
	double_commit_all(&s);
	double_settle(&s);
	CHECK(s.ops->delete_snapshot(s.store, deleted) == 0);
	double_close(&s);
	double_wait_durable(&s);
	CHECK(s.store->open.reclaim && s.store->open.nr_exceptions > 3000);

	s.hold_groups = true;
	for (events = 0; events < 1000 && double_event(&s); events++)
		;
	for (unsigned int i = 0; i < s.store->group_changes_max / 2 - 1; i++) {
		CHECK(s.ops->allocate_snapid(s.store, SNAPID_ORIGIN, &id) == 0);
		r = s.ops->create_snapshot(s.store, id);
		CHECK(r == 0, "snapshot %u: %d", i, r);
	}
	s.hold_groups = false;
	s.ops->store_lock_acquired(s.store);
	s.request = true;
	double_settle(&s);
	CHECK(!s.store->open.reclaim && !s.store->open.nr_exceptions);
	double_unload(&s);
	disk_free(&disk);
}

static void test_h15_reclaim_leaves_a_held_group_alone(void **state)
{
	double_run(held_run, NULL, 72);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_exceptions_cost_nothing),
		cmocka_unit_test(test_h15_reclaim_leaves_a_held_group_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
