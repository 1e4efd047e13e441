// SPDX-License-Identifier: GPL-2.0
/*
 * The mikulas store where no memory is to be had without waiting: the cache is its reserve of blocks, smaller than one level
 * of the tree. Look-ups of many leaves at once, changes and checkpoints go on, slowly, with right answers; and every
 * allocation of a load fails in turn.
 */
#include "store_double.h"

#define SECTORS 300000
#define MANY 12000
#define LATER 3000 /* more chunks, written while memory is short */

struct short_memory {
	struct dm_multisnap s;
	struct double_disk disk;
	u64 chunks[MANY + LATER]; /* far apart, so that few entries fit into a leaf */
	block_t places[MANY + LATER];
	unsigned int nr;
	unsigned int nr_private; /* those behind have more readers than one */
};

#define SNAPSHOT ((snapid_t)U32_MAX)

static void add_chunk(struct short_memory *m)
{
	struct dm_multisnap *s = &m->s;
	struct chunk_remap remap;
	int r;

	m->chunks[m->nr] = rnd(1ULL << 40) << 8 | (m->nr & 255);
	do {
		s->ops->reset_query(s->store);
		r = s->ops->query_next_remap(s->store, m->chunks[m->nr]);
		if (r == 1)
			r = s->ops->add_next_remap(s->store, &remap);
		if (r == -EAGAIN)
			double_again(s);
	} while (r == -EAGAIN);
	CHECK(!r, "%d", r);
	m->places[m->nr++] = remap.block;
}

static void check_answer(struct short_memory *m, unsigned int i, int r, block_t block)
{
	int wanted = i < m->nr_private ? CHUNK_PRIVATE : CHUNK_SHARED;

	CHECK(r == wanted && block == m->places[i], "chunk %u: %d, %llu, not %llu", i, r,
	      block, m->places[i]);
}

static void look_up(struct short_memory *m, unsigned int i)
{
	struct dm_multisnap *s = &m->s;
	block_t block = 0;
	int r;

	while ((r = s->ops->find_snapshot_chunk(s->store, SNAPSHOT, m->chunks[i], false, &block)) ==
	       -EAGAIN)
		double_again(s);
	check_answer(m, i, r, block);
}

/* More leaves are asked for than the cache has blocks, before any read ends; then each again, until it is answered. */
static void look_up_many(struct short_memory *m)
{
	struct dm_multisnap *s = &m->s;
	unsigned int wanted[100], left = ARRAY_SIZE(wanted);

	for (unsigned int i = 0; i < left; i++)
		wanted[i] = rnd(m->nr);
	while (left) {
		for (unsigned int i = 0; i < left;) {
			block_t block = 0;
			int r = s->ops->find_snapshot_chunk(s->store, SNAPSHOT,
							    m->chunks[wanted[i]], false, &block);

			if (r == -EAGAIN) {
				i++;
				continue;
			}
			check_answer(m, wanted[i], r, block);
			wanted[i] = wanted[--left];
		}
		if (left)
			double_again(s);
	}
}

static void make(struct short_memory *m)
{
	struct dm_multisnap *s = &m->s;
	snapid_t id;

	m->nr_private = MANY + LATER;
	s->geometry.shift = 3;
	s->origin_sectors = 1ULL << 52;
	disk_make_plain(&m->disk, SECTORS, 60000);
	CHECK(double_load(s, &m->disk, "") == 0);
	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0 && id == SNAPSHOT);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
	while (m->nr < MANY)
		add_chunk(m);
	double_commit_all(s);
	checkpoint_poll(s->store, true);
	double_settle(s);
	CHECK(s->store->super.depth >= 2 && s->store->super.tree_blocks > CACHE_RESERVE);
}

static void short_memory(void *arg)
{
	struct short_memory *m = calloc(1, sizeof(*m));
	struct dm_multisnap *s = &m->s;

	make(m);
	double_unload(s);
	CHECK(double_load(s, &m->disk, "") == 0);
	sim_fail_alloc_random(1000000);
	for (unsigned int round = 0; round < 30; round++) {
		look_up_many(m);
		for (unsigned int i = 0; i < 200; i++)
			look_up(m, rnd(m->nr));
		for (unsigned int i = 0; i < LATER / 30; i++)
			add_chunk(m);
		double_commit_all(s);
		checkpoint_poll(s->store, true);
		look_up_many(m);
	}
	double_settle(s);
	CHECK(s->store->super.log_seq == s->store->log.seq && !s->error);
	CHECK(s->store->cache.nr_blocks == CACHE_RESERVE, "%u blocks", s->store->cache.nr_blocks);
	for (unsigned int i = 0; i < m->nr; i++)
		look_up(m, i);
	sim_fail_alloc_random(0);
	double_unload(s);
	CHECK(double_load(s, &m->disk, "") == 0);
	for (unsigned int i = 0; i < m->nr; i++)
		look_up(m, i);
	double_unload(s);
	disk_free(&m->disk);
	free(m);
}

static void h07_a_store_goes_on_with_its_reserve_of_blocks(void **state)
{
	for (u64 seed = 1; seed <= 2; seed++)
		double_run(short_memory, NULL, seed);
}

/*
 * H14: a store with a tree and with records in the log, loaded with each allocation failing; or, with @arg, that and all
 * that come after it.
 */
static void failing_loads(void *arg)
{
	struct short_memory *m = calloc(1, sizeof(*m));
	struct dm_multisnap *s = &m->s;
	u64 failed = 0, before;
	snapid_t id;
	int r;

	make(m);
	for (unsigned int i = 0; i < 40; i++)
		add_chunk(m);
	/* More snapshots than are reserved before any is found, in the tree and in the log. */
	for (unsigned int i = 0; i < 2 * (SPARES_MAX + 8); i++) {
		if (i == SPARES_MAX + 8) {
			double_commit_all(s);
			checkpoint_poll(s->store, true);
			double_settle(s);
		}
		CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
		while ((r = s->ops->create_snapshot(s->store, id)) == -EAGAIN)
			double_again(s);
		CHECK(!r, "%d", r);
	}
	m->nr_private = m->nr;
	/* And more changes than are reserved, which need nothing else. */
	for (unsigned int i = 0; i < 2 * SPARES_MAX; i++)
		add_chunk(m);
	double_commit_all(s);
	double_unload(s);
	before = sim_memory_bytes();
	for (u64 n = 0;; n++) {
		u64 first = sim_alloc_count(), writes = m->disk.writes;

		sim_fail_alloc(first + n, arg ? U64_MAX - first - n : 1);
		r = double_load(s, &m->disk, "");
		sim_fail_alloc(0, 0);
		if (!r) {
			bool hit = sim_alloc_count() - first > n;

			/* What may fail, because there are enough of them, changes no answer. */
			for (unsigned int i = MANY; i < m->nr; i++)
				look_up(m, i);
			double_unload(s);
			if (!hit)
				break;
		} else {
			CHECK(r == -ENOMEM, "allocation %llu: %d", n, r);
			CHECK(m->disk.writes == writes && sim_memory_bytes() == before,
			      "allocation %llu", n);
			failed++;
		}
	}
	CHECK(failed > 30, "%llu", failed);
	/* Nor is any to be had with waiting: the core is told. */
	CHECK(double_load(s, &m->disk, "") == 0);
	sim_fail_alloc(0, U64_MAX);
	CHECK(s->ops->fetch_memory(s->store) == -ENOMEM);
	sim_fail_alloc(0, 0);
	CHECK(s->ops->fetch_memory(s->store) == 0);
	double_unload(s);
	disk_free(&m->disk);
	free(m);
}

static void h14_each_allocation_of_a_load_fails(void **state)
{
	double_run(failing_loads, NULL, 3);
	double_run(failing_loads, (void *)1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h07_a_store_goes_on_with_its_reserve_of_blocks),
		cmocka_unit_test(h14_each_allocation_of_a_load_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
