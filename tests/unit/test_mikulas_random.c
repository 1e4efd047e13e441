// SPDX-License-Identifier: GPL-2.0
/*
 * The mikulas store against plain lists: random operations, I/O ending in random order, power cuts
 * at any point.
 */
#include "store_truth.h"

struct setup {
	u64 seed;
	u64 sectors;
	unsigned int shift;
	unsigned int block_sectors;
	unsigned int ops;
	bool cuts;
	const char *args;
};

static void check_clean(struct truth *t)
{
	u64 total, allocated, metadata;

	t->s.ops->get_space(t->s.store, &total, &allocated, &metadata);
	CHECK(allocated <= total && metadata <= allocated);
}

static void cut_and_recover(struct truth *t, const struct setup *setup)
{
	struct truth_state *closed = malloc(sizeof(*closed));
	int r;

	double_power_cut(&t->s);
	r = truth_load(t, setup->args);
	CHECK(r == 0, "load after a power cut: %d", r);
	*closed = t->closed;
	truth_drop_deleted(closed);
	t->now = t->closed = t->durable;
	/* The group in flight may be there whole, or not at all. */
	if (!truth_matches(t, &t->now, false))
		t->now = t->closed = t->durable = *closed;
	truth_matches(t, &t->now, true);
	free(closed);
}

static void run(void *arg)
{
	const struct setup *setup = arg;
	struct truth *t = malloc(sizeof(*t));
	u64 left = 0;
	int r;

	truth_init(t, setup->sectors, setup->shift);
	t->s.block_sectors = setup->block_sectors;
	r = truth_load(t, setup->args);
	CHECK(r == 0, "load: %d", r);
	for (unsigned int i = 0; i < setup->ops; i++) {
		truth_random_op(t);
		CHECK(!t->s.error, "error %d", t->s.error);
		if (rnd(64) == 0)
			truth_matches(t, &t->now, true);
		if (rnd(400) == 0) {
			truth_settle(t);
			check_clean(t);
		}
		if (setup->cuts && !left--) {
			left = rnd(200);
			cut_and_recover(t, setup);
		}
	}
	/* In the end everything is deleted, and all space comes back. */
	truth_settle(t);
	truth_matches(t, &t->now, true);
	while (t->now.nr) {
		truth_delete(t, t->now.nr - 1);
		truth_settle(t);
	}
	CHECK(t->s.store->open.nr_exceptions == 0, "%llu left", t->s.store->open.nr_exceptions);
	double_unload(&t->s);
	r = truth_load(t, setup->args);
	CHECK(r == 0, "last load: %d", r);
	CHECK(t->s.ops->get_next_snapid(t->s.store, 0) == SNAPID_ORIGIN);
	double_unload(&t->s);
	truth_free(t);
	free(t);
}

static void run_seeds(struct setup setup, unsigned int seeds)
{
	for (unsigned int i = 0; i < seeds; i++)
		double_run(run, &setup, setup.seed + i);
}

static void test_random(void **state)
{
	run_seeds((struct setup){ 1, 8192, 3, 1, 3000, false, "" }, 10);
}

static void test_random_small_threshold(void **state)
{
	run_seeds((struct setup){ 100, 8192, 3, 1, 3000, false, "cache-threshold 0" }, 10);
}

static void test_random_smallest_limit(void **state)
{
	run_seeds((struct setup){ 200, 4096, 3, 1, 3000, false, "cache-limit 980" }, 10);
}

static void test_random_full_store(void **state)
{
	/* About a hundred chunks for data: it is full all the time. */
	run_seeds((struct setup){ 300, 1200, 3, 1, 3000, false, "cache-threshold 1" }, 20);
}

static void test_random_large_chunks(void **state)
{
	run_seeds((struct setup){ 400, 65536, 8, 8, 2000, false, "cache-threshold 10" }, 5);
}

static void test_cuts(void **state)
{
	run_seeds((struct setup){ 500, 8192, 3, 1, 3000, true, "" }, 20);
}

static void test_cuts_small_threshold(void **state)
{
	run_seeds((struct setup){ 600, 8192, 3, 1, 3000, true, "cache-threshold 0" }, 30);
}

static void test_cuts_full_store(void **state)
{
	run_seeds((struct setup){ 700, 1200, 3, 8, 3000, true, "cache-threshold 2" }, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_small_threshold),
		cmocka_unit_test(test_random_smallest_limit),
		cmocka_unit_test(test_random_full_store),
		cmocka_unit_test(test_random_large_chunks),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_cuts_small_threshold),
		cmocka_unit_test(test_cuts_full_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
