// SPDX-License-Identifier: GPL-2.0
/*
 * The mikulas store at its limits: full store, full log, smallest cache, failing I/O and memory,
 * exhausted counters, the invalid mark.
 */
#include "store_truth.h"

static void with_truth(u64 sectors, const char *args, void (*fn)(struct truth *t))
{
	struct truth *t = malloc(sizeof(*t));

	truth_init(t, sectors, 3);
	CHECK(truth_load(t, args) == 0);
	fn(t);
	if (t->s.store)
		double_unload(&t->s);
	truth_free(t);
	free(t);
}

/* ---- a full store ---- */

static u64 fill(struct truth *t)
{
	u64 chunk = 1000, made = 0;
	int r;

	for (;;) {
		struct chunk_remap remap;

		t->s.ops->reset_query(t->s.store);
		TRUTH_RETRY(t, r, t->s.ops->query_next_remap(t->s.store, chunk));
		CHECK(r == 1);
		r = t->s.ops->add_next_remap(t->s.store, &remap);
		if (r == -ENOSPC)
			return made;
		if (r == -EAGAIN) {
			truth_again(t);
			continue;
		}
		CHECK(r == 0, "%d", r);
		t->dirty++;
		made++;
		chunk++;
	}
}

static void full_body(struct truth *t)
{
	u64 total, allocated, metadata, made;

	for (unsigned int round = 0; round < 5; round++) {
		truth_create(t, SNAPID_ORIGIN);
		made = fill(t);
		CHECK(made == t->s.store->super.data_chunks, "round %u: %llu", round, made);
		truth_commit_all(t);
		t->s.ops->get_space(t->s.store, &total, &allocated, &metadata);
		CHECK(allocated <= total);
		truth_delete(t, 0);
		truth_settle(t);
		CHECK(t->s.store->open.nr_exceptions == 0);
	}
}

static void full_run(void *arg)
{
	with_truth(2048, "", full_body);
	with_truth(2048, "cache-threshold 0", full_body);
}

static void test_h21_full_store_gives_everything_back(void **state)
{
	double_run(full_run, NULL, 31);
}

static void too_small_run(void *arg)
{
	struct truth *t = malloc(sizeof(*t));
	unsigned int refused = 0;

	for (u64 sectors = 1; sectors < 1200; sectors++) {
		int r;

		truth_init(t, sectors, 3);
		r = truth_load(t, "");
		CHECK(r == 0 || r == -ENOSPC, "%llu sectors: %d", sectors, r);
		refused += r != 0;
		CHECK(!r || !memchr_inv(t->disk.durable, 0, sectors * SECTOR_SIZE));
		if (!r)
			double_unload(&t->s);
		truth_free(t);
	}
	CHECK(refused > 300 && refused < 1000, "%u", refused);
	free(t);
}

static void test_h21_store_too_small(void **state)
{
	double_run(too_small_run, NULL, 32);
}

/* ---- freed chunks and epochs ---- */

static void epoch_body(struct truth *t)
{
	struct chunk_remap remap;
	int r = 0;

	truth_create(t, SNAPID_ORIGIN);
	fill(t);
	truth_commit_all(t);
	truth_delete(t, 0);
	t->s.busy_epoch = true;
	truth_settle(t);
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	/* Free, and recorded as free: but what was read from there may still be read. */
	for (unsigned int i = 0; i < 2000; i++) {
		t->s.ops->reset_query(t->s.store);
		CHECK(t->s.ops->query_next_remap(t->s.store, 5) != 0);
		r = t->s.ops->add_next_remap(t->s.store, &remap);
		CHECK(r == -EAGAIN, "%d", r);
		if (!t->s.closed && t->s.request)
			truth_close(t);
		truth_event(t);
	}
	t->s.busy_epoch = false;
	CHECK(truth_origin_write(t, 5) == 0);
}

static void epoch_run(void *arg)
{
	with_truth(2048, "", epoch_body);
}

static void test_h02_freed_chunks_wait_for_old_io(void **state)
{
	double_run(epoch_run, NULL, 33);
}

/* ---- a full log ---- */

/* A group with one change; true when it became durable without background work. */
static bool one_group(struct truth *t, unsigned int i)
{
	truth_origin_write(t, i % TRUTH_CHUNKS);
	if (!t->dirty)
		truth_create(t, SNAPID_ORIGIN);
	truth_close(t);
	while (t->s.closed && t->s.nr_ios) {
		struct list_head background;

		/* Only I/O: whatever is in the background sleeps. */
		INIT_LIST_HEAD(&background);
		list_splice_init(&t->s.background, &background);
		truth_event(t);
		list_splice_init(&background, &t->s.background);
	}
	return !t->s.closed;
}

static void full_log_body(struct truth *t)
{
	struct truth_state expected;
	unsigned int groups = 0;
	u64 writes;

	truth_create(t, SNAPID_ORIGIN);
	while (one_group(t, groups)) {
		groups++;
		if (t->now.nr == TRUTH_IDS)
			truth_delete(t, rnd(t->now.nr));
		CHECK(groups < 1000);
	}
	CHECK(groups > 150, "%u", groups);
	/* The group waits; the log is not overwritten. */
	writes = t->disk.writes;
	for (unsigned int i = 0; i < 10; i++)
		commit_try(t->s.store);
	CHECK(t->disk.writes == writes && t->s.closed);
	expected = t->durable;
	if (rnd(2)) {
		/* The power goes now: all of the log is replayed. */
		double_power_cut(&t->s);
		CHECK(truth_load(t, "") == 0);
		t->now = t->closed = t->durable = expected;
		truth_matches(t, &t->now, true);
	} else {
		truth_settle(t);
		truth_matches(t, &t->now, true);
		CHECK(t->s.store->super.ckpt > 0);
	}
}

static void full_log_run(void *arg)
{
	with_truth(4096, "", full_log_body);
}

static void test_h31_full_log_waits(void **state)
{
	for (unsigned int seed = 40; seed < 48; seed++)
		double_run(full_log_run, NULL, seed);
}

/* Round the log many times, loading now and then. */
static void wrap_body(struct truth *t)
{
	for (unsigned int i = 0; i < 3000; i++) {
		truth_random_op(t);
		truth_commit_all(t);
		if (i % 100 == 99) {
			truth_settle(t);
			double_unload(&t->s);
			CHECK(truth_load(t, "") == 0);
			truth_matches(t, &t->now, true);
		}
	}
	CHECK(t->s.store->log.seq > 1500);
}

static void wrap_run(void *arg)
{
	with_truth(4096, "", wrap_body);
}

static void test_log_wraps(void **state)
{
	double_run(wrap_run, NULL, 34);
}

/* ---- errors ---- */

/* One attempt at something; whatever it answers. */
static void any_op(struct dm_multisnap *s)
{
	struct chunk_remap remap;
	snapid_t id;

	switch (rnd(6)) {
	case 0:
		if (!s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id))
			s->ops->create_snapshot(s->store, id);
		break;
	case 1:
		id = s->ops->get_next_snapid(s->store, 0);
		if (id != SNAPID_ORIGIN)
			s->ops->delete_snapshot(s->store, id);
		break;
	default:
		s->ops->reset_query(s->store);
		if (s->ops->query_next_remap(s->store, rnd(TRUTH_CHUNKS)) == 1)
			s->ops->add_next_remap(s->store, &remap);
	}
}

/* The n-th write fails: an error is reported, and what was durable is there after a new load. */
static void failing_write_run(void *arg)
{
	for (unsigned int n = 40; n < 400; n += 3) {
		struct truth *t = malloc(sizeof(*t));
		int r;

		truth_init(t, 2048, 3);
		CHECK(truth_load(t, "cache-threshold 0") == 0);
		t->disk.fail_write_at = n;
		for (unsigned int i = 0; i < 20000 && !t->s.error; i++) {
			any_op(&t->s);
			double_event(&t->s);
			if (!t->s.closed && !t->s.error)
				double_close(&t->s);
			double_event(&t->s);
		}
		CHECK(t->s.error == -EIO, "write %u: %d", n, t->s.error);
		double_power_cut(&t->s);
		t->disk.fail_write_at = 0;
		r = truth_load(t, "");
		CHECK(r == 0, "after write %u: %d", n, r);
		double_settle(&t->s);
		CHECK(!t->s.error);
		double_unload(&t->s);
		truth_free(t);
		free(t);
	}
}

static void test_each_write_fails_once(void **state)
{
	double_run(failing_write_run, NULL, 35);
}

/* Each allocation of a load fails once: refused, nothing kept, and the next load works. */
static void failing_alloc_run(void *arg)
{
	struct truth *t = malloc(sizeof(*t));
	u64 first, end;
	int r;

	truth_init(t, 4096, 3);
	CHECK(truth_load(t, "") == 0);
	for (unsigned int i = 0; i < 400; i++)
		truth_random_op(t);
	truth_settle(t);
	truth_commit_all(t);
	truth_settle(t);
	double_unload(&t->s);
	for (u64 n = 0;; n++) {
		first = sim_alloc_count();
		sim_fail_alloc(first + n, 1);
		r = truth_load(t, "");
		end = sim_alloc_count();
		sim_fail_alloc(0, 0);
		if (!r) {
			truth_matches(t, &t->now, true);
			double_unload(&t->s);
		} else {
			CHECK(r == -ENOMEM, "allocation %llu: %d", n, r);
		}
		if (end <= first + n)
			break;
		CHECK(n < 3000);
	}
	CHECK(!r);
	truth_free(t);
	free(t);
}

static void test_h14_each_allocation_of_a_load_fails_once(void **state)
{
	double_run(failing_alloc_run, NULL, 36);
}

/* While running, memory that cannot be had without waiting changes nothing. */
static void scarce_memory_body(struct truth *t)
{
	sim_fail_alloc_random(1000000);
	for (unsigned int i = 0; i < 2000; i++)
		truth_random_op(t);
	sim_fail_alloc_random(0);
	truth_settle(t);
	truth_matches(t, &t->now, true);
}

static void scarce_memory_run(void *arg)
{
	with_truth(4096, "cache-threshold 10", scarce_memory_body);
}

static void test_memory_scarce_while_running(void **state)
{
	double_run(scarce_memory_run, NULL, 37);
}

/* ---- counters ---- */

static void counters_body(struct truth *t)
{
	const struct multisnap_store_ops *ops = t->s.ops;
	struct dm_exception_store *store = t->s.store;
	snapid_t id;

	CHECK(ops->create_snapshot(store, 0xfffffffdffffffff) == 0);
	CHECK(ops->allocate_snapid(store, SNAPID_ORIGIN, &id) == 0 && id == 0xfffffffeffffffff);
	CHECK(ops->create_snapshot(store, id) == 0);
	CHECK(ops->allocate_snapid(store, SNAPID_ORIGIN, &id) == -ENOSPC);
	CHECK(ops->create_snapshot(store, SNAPID_ORIGIN) == -EINVAL);
	CHECK(ops->create_snapshot(store, 5ULL << 32 | U32_MAX) == -EINVAL);
	/* Below a master: 2^32 - 1 of them. */
	id = 0xfffffffe00000000 | 0xfffffffd;
	CHECK(ops->create_snapshot(store, id) == 0);
	CHECK(ops->allocate_snapid(store, 0xfffffffeffffffff, &id) == 0);
	CHECK(id == 0xfffffffefffffffe && ops->create_snapshot(store, id) == 0);
	CHECK(ops->allocate_snapid(store, 0xfffffffeffffffff, &id) == -ENOSPC);
	CHECK(ops->allocate_snapid(store, 0xfffffffefffffffe, &id) == -EINVAL); /* one level */
	CHECK(ops->create_snapshot(store, 0xfffffffe00000005) == -EINVAL); /* past */
	double_commit_all(&t->s);
	double_unload(&t->s);
	CHECK(truth_load(t, "") == 0);
	CHECK(ops->allocate_snapid(t->s.store, SNAPID_ORIGIN, &id) == -ENOSPC);
	CHECK(ops->allocate_snapid(t->s.store, 0xfffffffeffffffff, &id) == -ENOSPC);
	/* A deleted master takes no new ones, its sub-snapshots stay. */
	CHECK(ops->delete_snapshot(t->s.store, 0xfffffffeffffffff) == 0);
	CHECK(ops->delete_snapshot(t->s.store, 0xfffffffeffffffff) == -EINVAL);
	CHECK(ops->allocate_snapid(t->s.store, 0xfffffffeffffffff, &id) == -EINVAL);
	double_commit_all(&t->s);
	CHECK(ops->get_next_snapid(t->s.store, 0xfffffffe00000000) == 0xfffffffefffffffd);
	CHECK(ops->get_next_snapid(t->s.store, 0xfffffffeffffffff) == SNAPID_ORIGIN);
	CHECK(ops->delete_snapshot(t->s.store, 17) == -EINVAL);
	double_settle(&t->s);
}

static void counters_run(void *arg)
{
	with_truth(4096, "", counters_body);
}

static void test_h43_exhausted_counters(void **state)
{
	double_run(counters_run, NULL, 38);
}

/* ---- the invalid mark ---- */

static void invalid_body(struct truth *t)
{
	unsigned int steps = rnd(300);
	struct super_disk *disk;

	for (unsigned int i = 0; i < 300; i++)
		truth_random_op(t);
	checkpoint_poll(t->s.store, true);
	/* At any moment of a checkpoint and of commits. */
	while (steps-- && double_event(&t->s))
		;
	/* Half of the time while a checkpoint writes the superblock. */
	if (rnd(2)) {
		truth_settle(t);
		truth_origin_write(t, rnd(TRUTH_CHUNKS));
		truth_delete(t, rnd(t->now.nr));
		truth_close(t);
		while (!t->s.store->super_busy) {
			checkpoint_poll(t->s.store, true);
			CHECK(double_event(&t->s));
		}
	}
	t->s.ops->invalidate(t->s.store, -ENOSPC);
	/* No background work any more: from done() to done(). */
	INIT_LIST_HEAD(&t->s.background);
	while (t->s.nr_ios)
		double_event(&t->s);
	CHECK(t->s.invalidated && !t->s.invalidate_error);
	double_power_cut(&t->s);
	disk = (void *)t->disk.durable;
	CHECK(le32_to_cpu(disk->error) == ENOSPC);
	CHECK(truth_load(t, "") == 0);
	CHECK(t->s.error == -ENOSPC);
	CHECK(t->s.ops->get_next_snapid(t->s.store, 0) == SNAPID_ORIGIN);
	t->s.ops->invalidate(t->s.store, -ENOSPC);
	CHECK(t->s.invalidated);
}

static void invalid_run(void *arg)
{
	with_truth(4096, "cache-threshold 0", invalid_body);
}

static void test_h20_invalid_mark(void **state)
{
	for (unsigned int seed = 60; seed < 80; seed++)
		double_run(invalid_run, NULL, seed);
}

/* ---- the smallest cache ---- */

#define WAITERS 16
#define MANY 200000

/*
 * Sixteen look-ups at once, each beginning anew after every event, in the smallest cache: all end.
 */
static void small_cache_run(void *arg)
{
	struct dm_multisnap s = { 0 };
	struct double_disk disk;
	chunk_t waiting[WAITERS];
	u64 events = 0, limit_sectors = 6000, done = 0, n = 0;
	char args[64];
	snapid_t id;
	int r;

	s.geometry.shift = 3;
	s.fifo = true;
	s.block_sectors = 1;
	s.origin_sectors = MANY * 8;
	/* The store is small, so that its log, and with it the limit, is. */
	disk_make_plain(&disk, 1900000, 300000);
	snprintf(args, sizeof(args), "cache-limit %llu", limit_sectors);
	while ((r = double_load(&s, &disk, args)) == -EINVAL) {
		limit_sectors += 100;
		snprintf(args, sizeof(args), "cache-limit %llu", limit_sectors);
	}
	CHECK(r == 0, "%d", r);
	CHECK(s.ops->allocate_snapid(s.store, SNAPID_ORIGIN, &id) == 0);
	CHECK(s.ops->create_snapshot(s.store, id) == 0);
	while (n < MANY) {
		struct chunk_remap remap;

		s.ops->reset_query(s.store);
		r = s.ops->query_next_remap(s.store, n * 7919 % MANY);
		if (r == 1)
			r = s.ops->add_next_remap(s.store, &remap);
		if (r == 0) {
			if (++n % 50 == 0)
				double_close(&s);
			continue;
		}
		CHECK(r == -EAGAIN, "%d", r);
		double_again(&s);
		CHECK(events++ < 20000000);
	}
	double_commit_all(&s);
	checkpoint_poll(s.store, true);
	double_settle(&s);
	CHECK(s.store->super.tree_blocks > 3 * CACHE_BLOCKS_MIN, "%llu",
	      s.store->super.tree_blocks);

	s.fifo = false;
	for (unsigned int i = 0; i < WAITERS; i++)
		waiting[i] = rnd(MANY);
	events = 0;
	while (done < 3000) {
		for (unsigned int i = 0; i < WAITERS; i++) {
			block_t block;

			r = s.ops->find_snapshot_chunk(s.store, id, waiting[i], false, &block);
			if (r == -EAGAIN)
				continue;
			CHECK(r == CHUNK_PRIVATE, "%d", r);
			done++;
			waiting[i] = rnd(MANY);
		}
		CHECK(double_event(&s));
		CHECK(events++ < 30000, "%llu done", done);
	}
	CHECK(sim_memory_peak_bytes() <= limit_sectors * SECTOR_SIZE + (2 << 20), "%llu",
	      sim_memory_peak_bytes());
	double_unload(&s);
	disk_free(&disk);
}

static void test_smallest_cache_does_not_thrash(void **state)
{
	double_run(small_cache_run, NULL, 39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h21_full_store_gives_everything_back),
		cmocka_unit_test(test_h21_store_too_small),
		cmocka_unit_test(test_h02_freed_chunks_wait_for_old_io),
		cmocka_unit_test(test_h31_full_log_waits),
		cmocka_unit_test(test_log_wraps),
		cmocka_unit_test(test_each_write_fails_once),
		cmocka_unit_test(test_h14_each_allocation_of_a_load_fails_once),
		cmocka_unit_test(test_memory_scarce_while_running),
		cmocka_unit_test(test_h43_exhausted_counters),
		cmocka_unit_test(test_h20_invalid_mark),
		cmocka_unit_test(test_smallest_cache_does_not_thrash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
