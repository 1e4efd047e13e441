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

static void test_a_pass_keeps_its_place(void **state)
{
	double_run(places, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pass_keeps_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
