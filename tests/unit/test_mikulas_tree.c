// SPDX-License-Identifier: GPL-2.0
/*
 * Trees of several levels: batches of changes that grow and shrink them, everything looked up
 * again; the rewrite of the whole tree; removal down to nothing.
 */
#include "store_double.h"

#define MANY 60000
#define SNAPSHOTS 8
#define SECTORS 1400000 /* about 170000 chunks of 4 KiB */

struct forest {
	struct dm_multisnap s;
	struct double_disk disk;
	u64 stride; /* distance of the chunks: wide keys, or dense ones */
	snapid_t ids[SNAPSHOTS];
	unsigned int nr;
	u32 (*places)[MANY]; /* per snapshot and chunk: the store chunk, 0: not remapped */
	u64 full;
};

static void forest_write(struct forest *f, u64 i)
{
	struct dm_multisnap *s = &f->s;
	struct chunk_remap remap;
	int r;

	for (;;) {
		s->ops->reset_query(s->store);
		r = s->ops->query_next_remap(s->store, i * f->stride);
		if (r == 1)
			r = s->ops->add_next_remap(s->store, &remap);
		else if (!r)
			return;
		if (r == -EAGAIN) {
			double_again(s);
			continue;
		}
		if (r == -ENOSPC) {
			f->full++;
			return;
		}
		CHECK(!r, "%d", r);
		for (unsigned int n = 0; n < f->nr; n++) {
			if (!s->ops->check_conflict(s->store, &remap.cd, f->ids[n]))
				continue;
			CHECK(!f->places[n][i]);
			f->places[n][i] = remap.block;
		}
	}
}

/* A snapshot leaves what it shares. */
static void forest_private_write(struct forest *f, unsigned int n, u64 i)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	struct dm_multisnap *s = &f->s;
	block_t block = 0;
	int r;

	for (;;) {
		r = s->ops->find_snapshot_chunk(s->store, f->ids[n], i * f->stride, true, &block);
		if (r == CHUNK_PRIVATE)
			return;
		if (r == CHUNK_NOT_REMAPPED) {
			r = s->ops->add_next_remap(s->store, remap);
			r = r ? r : 1;
		} else if (r == CHUNK_SHARED) {
			CHECK(block == f->places[n][i]);
			r = s->ops->make_chunk_writeable(s->store, remap);
		}
		if (r != -EAGAIN)
			break;
		double_again(s);
	}
	if (r == -ENOSPC)
		return;
	CHECK(r > 0, "%d", r);
	for (unsigned int k = 0; k < f->nr; k++)
		if (r == 2 && k != n && s->ops->check_conflict(s->store, &remap[1].cd, f->ids[k]))
			f->places[k][i] = remap[1].block;
	f->places[n][i] = remap[0].block;
}

static void forest_create(struct forest *f)
{
	struct dm_multisnap *s = &f->s;
	snapid_t id;

	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
	f->ids[f->nr] = id;
	memset(f->places[f->nr], 0, sizeof(f->places[0]));
	f->nr++;
}

static void forest_delete(struct forest *f, unsigned int n)
{
	double_commit_all(&f->s);
	CHECK(f->s.ops->delete_snapshot(f->s.store, f->ids[n]) == 0);
	double_commit_all(&f->s);
	f->nr--;
	memmove(&f->ids[n], &f->ids[n + 1], (f->nr - n) * sizeof(f->ids[0]));
	memmove(&f->places[n], &f->places[n + 1], (f->nr - n) * sizeof(f->places[0]));
}

static void forest_check_one(struct forest *f, unsigned int n, u64 i)
{
	struct dm_multisnap *s = &f->s;
	block_t block = 0;
	int r;

	while ((r = s->ops->find_snapshot_chunk(s->store, f->ids[n], i * f->stride, false,
						&block)) == -EAGAIN)
		double_again(s);
	CHECK(r >= 0, "%d", r);
	CHECK(f->places[n][i] == (r == CHUNK_NOT_REMAPPED ? 0 : block), "chunk %llu", i);
}

static void forest_check(struct forest *f)
{
	for (unsigned int n = 0; n < f->nr; n++)
		for (u64 i = 0; i < MANY; i++)
			forest_check_one(f, n, i);
}

static void forest_checkpoint(struct forest *f, bool all)
{
	u64 max_entries = f->s.store->super.max_entries;

	double_commit_all(&f->s);
	double_settle(&f->s);
	/* A tree that is far too large for its entries is rewritten as a whole. */
	forest_write(f, rnd(MANY));
	double_commit_all(&f->s);
	if (all)
		f->s.store->super.max_entries = 1;
	checkpoint_poll(f->s.store, true);
	f->s.store->super.max_entries = max_entries;
	double_settle(&f->s);
}

static void forest_round(struct forest *f, unsigned int round)
{
	u64 count = 1 + rnd(round % 3 ? 12000 : 100), begin = rnd(MANY), seen = 0;

	if (f->nr < SNAPSHOTS && rnd(2))
		forest_create(f);
	if (f->nr > 2 && !rnd(3))
		forest_delete(f, rnd(f->nr));
	for (u64 i = 0; i < count; i++) {
		u64 at = round % 2 ? rnd(MANY) : (begin + i) % MANY;

		if (rnd(8))
			forest_write(f, at);
		else if (f->nr)
			forest_private_write(f, rnd(f->nr), at);
		if (i % 40 == 0) {
			double_wait_durable(&f->s);
			double_close(&f->s);
		}
		if (f->nr && !rnd(20)) {
			forest_check_one(f, rnd(f->nr), rnd(MANY));
			seen++;
		}
	}
	forest_checkpoint(f, round % 5 == 4);
	if (round % 4 == 0)
		forest_check(f);
	if (round % 6 == 5) {
		double_unload(&f->s);
		CHECK(double_load(&f->s, &f->disk, "") == 0);
	}
}

static void forest_run(void *arg)
{
	struct forest *f = calloc(1, sizeof(*f));
	unsigned int depth = 0;

	f->places = calloc(SNAPSHOTS + 1, sizeof(f->places[0]));
	f->stride = *(u64 *)arg;
	f->s.geometry.shift = 3;
	f->s.origin_sectors = 1 << 20;
	disk_make_plain(&f->disk, SECTORS, SECTORS / 10);
	CHECK(double_load(&f->s, &f->disk, "cache-threshold 1000") == 0);
	forest_create(f);
	for (unsigned int round = 0; round < 30; round++) {
		forest_round(f, round);
		depth = max(depth, f->s.store->super.depth);
	}
	CHECK(depth >= 2);
	forest_check(f);
	while (f->nr)
		forest_delete(f, rnd(f->nr));
	double_settle(&f->s);
	checkpoint_poll(f->s.store, true);
	double_settle(&f->s);
	CHECK(f->s.store->super.nr_exceptions == 0 && f->s.store->super.root == 0);
	CHECK(f->s.store->super.tree_blocks == 0 && f->s.store->super.meta_map.used == 0);
	double_unload(&f->s);
	disk_free(&f->disk);
	free(f->places);
	free(f);
}

static void test_dense(void **state)
{
	u64 stride = 1;

	for (unsigned int seed = 80; seed < 83; seed++)
		double_run(forest_run, &stride, seed);
}

/* Keys so far apart that an entry takes nearly all the bytes that it can. */
static void test_wide(void **state)
{
	u64 stride = 68719476731ULL;

	for (unsigned int seed = 90; seed < 93; seed++)
		double_run(forest_run, &stride, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dense),
		cmocka_unit_test(test_wide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
