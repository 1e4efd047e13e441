// SPDX-License-Identifier: GPL-2.0
/*
 * The cache of metadata blocks by what it reads, writes and keeps: counts, which no answer of the store shows. It has the
 * smallest size that a store can have.
 */
#include "store_double.h"

#define BLOCKS CACHE_BLOCKS_MIN
#define PLACES (4 * BLOCKS)

struct few {
	struct dm_multisnap s;
	struct double_disk disk;
};

static mblock_t place(struct few *f, unsigned int i)
{
	return f->s.store->super.meta_start + i;
}

/* A good block at each place, and an empty cache. */
static struct few *make(void)
{
	struct few *f = calloc(1, sizeof(*f));
	struct entry entry = { 0 };

	f->s.geometry.shift = 3;
	f->s.fifo = true;
	f->s.origin_sectors = 1 << 20;
	disk_make_plain(&f->disk, 100000, 100000);
	CHECK(double_load(&f->s, &f->disk, "") == 0);
	CHECK(f->s.store->super.meta_blocks >= PLACES);
	for (unsigned int i = 0; i < PLACES; i++) {
		struct node_disk *node = (void *)(f->disk.durable + place(f, i) * MBLOCK_BYTES);

		CHECK(node_build(node, &entry, 1, 0, 1));
		block_seal(node, place(f, i));
	}
	cache_exit(f->s.store);
	memset(&f->s.store->cache, 0, sizeof(f->s.store->cache));
	CHECK(cache_init(f->s.store, BLOCKS) == 0);
	f->s.store->cache.sync = false;
	return f;
}

static void finish(struct few *f)
{
	while (double_event(&f->s))
		;
	CHECK(!f->s.error && f->s.store->cache.nr_blocks <= BLOCKS, "%u blocks",
	      f->s.store->cache.nr_blocks);
	double_unload(&f->s);
	disk_free(&f->disk);
	free(f);
}

static int get(struct few *f, unsigned int i)
{
	struct cblock *block;
	int r = cache_get(f->s.store, place(f, i), &block);

	CHECK(r || block->location == place(f, i));
	return r;
}

/* Asks for [from, to), none of which is there: reads begin, in this order, and end if @end. */
static void ask(struct few *f, unsigned int from, unsigned int to, bool end)
{
	for (unsigned int i = from; i < to; i++)
		CHECK(get(f, i) == -EAGAIN, "%u", i);
	while (end && double_event(&f->s))
		;
}

/* [from, to) are there. */
static void have(struct few *f, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		CHECK(get(f, i) == 0, "%u", i);
	CHECK(!f->s.nr_ios, "%u reads", f->s.nr_ios);
}

static void new_block(struct few *f, unsigned int i)
{
	struct entry entry = { .chunk = 7 + i };
	struct cblock *block;

	CHECK(cache_new(f->s.store, place(f, i), &block) == 0, "%u", i);
	CHECK(node_build(block->data, &entry, 1, 0, 1));
	cache_unpin(block);
}

/* What new_block() has made is on the disk, or is not. */
static bool on_disk(struct few *f, unsigned int i)
{
	const struct node_disk *node = (void *)(f->disk.durable + place(f, i) * MBLOCK_BYTES);

	CHECK(!block_check(node, place(f, i)), "%u: %s", i, block_check(node, place(f, i)));
	return le64_to_cpu(node->base[0]) == 7 + i;
}

/* What is read ahead is at most a quarter of the cache at a time. */
static void ahead(void *arg)
{
	struct few *f = make();

	for (unsigned int from = 0; from < PLACES; from += PLACES / 2) {
		for (unsigned int i = from; i < from + PLACES / 2; i++)
			cache_prefetch(f->s.store, place(f, i));
		CHECK(f->s.nr_ios == BLOCKS / 4, "%u reads at once", f->s.nr_ios);
		while (double_event(&f->s))
			;
		have(f, from, from + BLOCKS / 4);
	}
	finish(f);
}

/* A block that was read for somebody is not taken for somebody else, until he has come for it. */
static void kept_for_him(void *arg)
{
	struct few *f = make();

	ask(f, 0, BLOCKS - 1, true);
	ask(f, BLOCKS - 1, BLOCKS, false);
	CHECK(f->s.nr_ios == 1);
	ask(f, BLOCKS, BLOCKS + 5, false);
	CHECK(f->s.nr_ios == 1, "%u reads", f->s.nr_ios);
	while (double_event(&f->s))
		;
	have(f, 0, BLOCKS);
	/* All have come: the least recently used ones go, one for each. */
	ask(f, BLOCKS, BLOCKS + 5, true);
	have(f, 5, BLOCKS + 5);
	ask(f, 0, 5, true);
	have(f, 10, BLOCKS + 5);
	have(f, 0, 5);
	finish(f);
}

/* But for some thousand look-ups at most; and when nothing is under way that could end, not at all. */
static void kept_so_long(void *arg)
{
	struct few *f = make();

	ask(f, 0, BLOCKS - 1, true);
	ask(f, BLOCKS - 1, BLOCKS, false);
	for (unsigned int i = 0; i <= CACHE_FRESH_TICKS && f->s.nr_ios == 1; i++)
		CHECK(get(f, BLOCKS) == -EAGAIN);
	CHECK(f->s.nr_ios == 2 && f->s.store->cache.tick == CACHE_FRESH_TICKS + 1, "%llu look-ups",
	      f->s.store->cache.tick);
	finish(f);

	f = make();
	ask(f, 0, BLOCKS, true);
	ask(f, BLOCKS, BLOCKS + 1, false);
	CHECK(f->s.nr_ios == 1, "%u reads", f->s.nr_ios);
	finish(f);
}

/* A block that is held is not replaced. */
static void held(void *arg)
{
	struct cblock *block;
	struct few *f = make();

	ask(f, 0, BLOCKS, true);
	have(f, 0, BLOCKS);
	CHECK(cache_get(f->s.store, place(f, 0), &block) == 0);
	cache_pin(block);
	have(f, 1, BLOCKS);
	ask(f, BLOCKS, 2 * BLOCKS - 1, true);
	have(f, BLOCKS, 2 * BLOCKS - 1);
	have(f, 0, 1);
	cache_unpin(block);
	have(f, BLOCKS, 2 * BLOCKS - 1);
	ask(f, 2 * BLOCKS, 2 * BLOCKS + 1, true);
	ask(f, 0, 1, true);
	finish(f);
}

/* When all blocks are dirty, some are written to make room: a reserve's worth at a time. Then all. */
static void full_of_dirty(void *arg)
{
	struct few *f = make();
	struct cblock *block;

	for (unsigned int i = 0; i < BLOCKS; i++)
		new_block(f, i);
	CHECK(!f->s.nr_ios);
	CHECK(cache_new(f->s.store, place(f, BLOCKS), &block) == -EAGAIN);
	CHECK(f->s.nr_ios == CACHE_RESERVE, "%u writes", f->s.nr_ios);
	CHECK(double_event(&f->s));
	new_block(f, BLOCKS);
	while (double_event(&f->s))
		;
	for (unsigned int i = 0; i <= BLOCKS; i++)
		CHECK(on_disk(f, i) == (i < CACHE_RESERVE), "%u", i);
	CHECK(!cache_write_all(f->s.store));
	CHECK(f->s.nr_ios == BLOCKS + 1 - CACHE_RESERVE, "%u writes", f->s.nr_ios);
	while (f->s.nr_ios) {
		CHECK(!cache_write_all(f->s.store));
		CHECK(double_event(&f->s));
	}
	CHECK(cache_write_all(f->s.store) && !f->s.nr_ios);
	for (unsigned int i = 0; i <= BLOCKS; i++)
		CHECK(on_disk(f, i), "%u", i);
	finish(f);
}

/* A block that is changed once more after it was written is written once more; not while it is being written. */
static void dirty_again(void *arg)
{
	struct few *f = make();
	struct cblock *block, *other;

	new_block(f, 0);
	ask(f, 1, 2, true);
	CHECK(cache_get(f->s.store, place(f, 1), &block) == 0);
	CHECK(cache_dirty(f->s.store, block) == 0 && cache_dirty(f->s.store, block) == 0);
	CHECK(!cache_write_all(f->s.store) && f->s.nr_ios == 2, "%u writes", f->s.nr_ios);
	CHECK(cache_dirty(f->s.store, block) == -EAGAIN);
	CHECK(cache_new(f->s.store, place(f, 1), &other) == -EAGAIN);
	while (double_event(&f->s))
		;
	CHECK(cache_write_all(f->s.store) && on_disk(f, 0) && f->disk.writes >= 2);
	CHECK(cache_dirty(f->s.store, block) == 0);
	new_block(f, 1);
	CHECK(!cache_write_all(f->s.store) && f->s.nr_ios == 1);
	while (double_event(&f->s))
		;
	CHECK(cache_write_all(f->s.store) && on_disk(f, 1));
	finish(f);
}

#define RUN(fn)                             \
	static void test_##fn(void **state) \
	{                                   \
		double_run(fn, NULL, 1);    \
	}

RUN(ahead)
RUN(kept_for_him)
RUN(kept_so_long)
RUN(held)
RUN(full_of_dirty)
RUN(dirty_again)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead),	      cmocka_unit_test(test_kept_for_him),
		cmocka_unit_test(test_kept_so_long),  cmocka_unit_test(test_held),
		cmocka_unit_test(test_full_of_dirty), cmocka_unit_test(test_dirty_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
