// SPDX-License-Identifier: GPL-2.0
/*
 * What never holds (store_broken()): each is made to hold, by damage to the store's memory or by a
 * call out of order. It must be warned of, which ends every other run, and from then on nothing
 * must reach the device.
 */
#include "store_double.h"

#define CHUNKS 40

/* What has been broken is mended so far that the store can be released. */
static union {
	u64 number;
	unsigned int nr;
} kept;

static int add_at(struct dm_multisnap *s, chunk_t chunk)
{
	struct chunk_remap remap;
	int r;

	s->ops->reset_query(s->store);
	r = s->ops->query_next_remap(s->store, chunk);
	CHECK(r == 1, "%d", r);
	return s->ops->add_next_remap(s->store, &remap);
}

static int add_without_query(struct dm_multisnap *s)
{
	struct chunk_remap remap;

	s->ops->reset_query(s->store);
	return s->ops->add_next_remap(s->store, &remap);
}

/* What a reader has found is not to be written. */
static int add_after_a_read(struct dm_multisnap *s)
{
	struct chunk_remap remap;
	block_t block;

	s->ops->reset_query(s->store);
	CHECK(s->ops->find_snapshot_chunk(s->store, U32_MAX, 3 * CHUNKS, false, &block) == CHUNK_NOT_REMAPPED);
	return s->ops->add_next_remap(s->store, &remap);
}

static int unshare_after_a_read(struct dm_multisnap *s)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	block_t block;
	snapid_t id;

	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == 0);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
	CHECK(add_at(s, 3 * CHUNKS) == 0);
	CHECK(s->ops->find_snapshot_chunk(s->store, id, 3 * CHUNKS, false, &block) == CHUNK_SHARED);
	return s->ops->make_chunk_writeable(s->store, remap);
}

static int unshare_without_find(struct dm_multisnap *s)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];

	s->ops->reset_query(s->store);
	return s->ops->make_chunk_writeable(s->store, remap);
}

/* One snapshot is alive: what it reads is its own. */
static int unshare_what_is_private(struct dm_multisnap *s)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	struct query *query = &s->store->query;

	CHECK(view_le(s->store, 0, 0xffffffff, &query->record) == 1);
	query->shared = true;
	query->id = 0xffffffff;
	return s->ops->make_chunk_writeable(s->store, remap);
}

static int unknown_snapshot(struct dm_multisnap *s)
{
	CHECK(snapshot_low(s->store, 7ULL << 32 | U32_MAX) == (7ULL << 32 | U32_MAX));
	return s->store->dead;
}

static int block_beyond_the_device(struct dm_multisnap *s)
{
	struct cblock *block;

	return cache_get(s->store, sector_to_mblock(s->store->super.device_sectors), &block);
}

static int block_over_the_log(struct dm_multisnap *s)
{
	struct cblock *block;

	return cache_new(s->store, s->store->super.log_start, &block);
}

static int block_in_use(struct dm_multisnap *s)
{
	mblock_t location = s->store->super.meta_start + s->store->super.meta_blocks - 1;
	struct cblock *block, *again;
	int r;

	CHECK(cache_new(s->store, location, &block) == 0);
	r = cache_new(s->store, location, &again);
	cache_unpin(block);
	return r;
}

static int unpinned_twice(struct dm_multisnap *s)
{
	struct cblock *block;

	CHECK(cache_new(s->store, s->store->super.meta_start, &block) == 0);
	cache_unpin(block);
	cache_unpin(block);
	/* And it is not held: it can be had again. */
	CHECK(cache_new(s->store, s->store->super.meta_start, &block) == 0);
	return s->store->dead;
}

static int space_list_overrun(struct dm_multisnap *s)
{
	struct dm_exception_store *store = s->store;
	int r;

	kept.number = store->space_begin;
	store->space_begin = store->open.space_end - store->space_size;
	r = add_at(s, CHUNKS);
	store->space_begin = kept.number;
	return r;
}

/* Its chunk stays counted. */
static int space_list_overrun_by_a_removal(struct dm_multisnap *s)
{
	struct dm_exception_store *store = s->store;
	struct entry entry;
	int r;

	CHECK(view_le(store, 0, U32_MAX, &entry) == 1);
	kept.number = store->space_begin;
	store->space_begin = store->open.space_end - store->space_size;
	r = group_remove(store, &entry);
	store->space_begin = kept.number;
	CHECK(!store->dead || r == store->dead);
	return r;
}

static int nothing_reserved(struct dm_multisnap *s)
{
	struct change change = { .chunk = CHUNKS, .old = BLOCK_NONE };
	int r;

	kept.nr = s->store->spare_changes.nr;
	s->store->spare_changes.nr = 0;
	r = changes_put(s->store, LAYER_OPEN, &change);
	s->store->spare_changes.nr = kept.nr;
	return r;
}

/* What is frozen is not lost sight of: at the end its memory is given back. */
static int frozen_twice(struct dm_multisnap *s)
{
	checkpoint_poll(s->store, true);
	CHECK(s->store->layers[LAYER_FROZEN].count > CHUNKS && s->store->ckpt.phase != CKPT_IDLE);
	s->store->ckpt.phase = CKPT_IDLE;
	checkpoint_poll(s->store, true);
	return s->store->dead;
}

static int closed_twice(struct dm_multisnap *s)
{
	s->store->have_closed = true;
	s->ops->close_group(s->store);
	s->store->have_closed = false;
	return s->store->dead;
}

static int commit_of_nothing(struct dm_multisnap *s)
{
	s->closed = true;
	s->committing = true;
	s->ops->commit(s->store);
	CHECK(!s->committing && s->commit_error == -EPERM);
	return s->store->dead;
}

/* The only one that shows when a record has been written already: it was right, memory is not. */
static int contradiction_below(struct dm_multisnap *s)
{
	struct change change = { .chunk = CHUNKS, .to = U32_MAX, .block = 12345 };

	CHECK(add_at(s, CHUNKS) == 0);
	change.from = snapshot_low(s->store, U32_MAX);
	change.old = BLOCK_NONE;
	CHECK(changes_put(s->store, LAYER_DURABLE, &change) == 0);
	double_close(s);
	double_wait_durable(s);
	CHECK(s->commit_error == -EPERM);
	s->disk->writes--;
	return s->store->dead;
}

static int bit_beyond_the_map(struct dm_multisnap *s)
{
	return space_set(s->store, &s->store->meta, s->store->meta.shape.bits, true);
}

static const struct {
	const char *name;
	int (*broken)(struct dm_multisnap *s);
} faults[] = {
	{ "add without query", add_without_query },
	{ "add after a read", add_after_a_read },
	{ "make writeable without find", unshare_without_find },
	{ "make writeable after a read", unshare_after_a_read },
	{ "make writeable what is private", unshare_what_is_private },
	{ "unknown snapshot", unknown_snapshot },
	{ "block beyond the device", block_beyond_the_device },
	{ "block over the log", block_over_the_log },
	{ "block in use", block_in_use },
	{ "unpinned twice", unpinned_twice },
	{ "space list overrun", space_list_overrun },
	{ "space list overrun by a removal", space_list_overrun_by_a_removal },
	{ "nothing reserved", nothing_reserved },
	{ "frozen twice", frozen_twice },
	{ "closed twice", closed_twice },
	{ "commit of nothing", commit_of_nothing },
	{ "contradiction below", contradiction_below },
	{ "bit beyond the map", bit_beyond_the_map },
};

static void break_it(void *arg)
{
	unsigned int i = (uintptr_t)arg;
	struct dm_multisnap s = { 0 };
	struct double_disk disk;
	u64 writes, total, allocated, metadata, now;
	snapid_t id;
	int r;

	s.geometry.shift = 3;
	s.fifo = true;
	s.origin_sectors = 1 << 20;
	disk_make_plain(&disk, 100000, 100000);
	CHECK(double_load(&s, &disk, "") == 0);
	CHECK(s.ops->allocate_snapid(s.store, SNAPID_ORIGIN, &id) == 0 && id == U32_MAX);
	CHECK(s.ops->create_snapshot(s.store, id) == 0);
	for (chunk_t chunk = 0; chunk < CHUNKS; chunk++)
		CHECK(add_at(&s, chunk) == 0);
	double_commit_all(&s);
	double_settle(&s);
	/* And something that is not durable, and must not become so. */
	if (faults[i].broken != contradiction_below && faults[i].broken != closed_twice)
		CHECK(add_at(&s, 2 * CHUNKS) == 0);

	writes = disk.writes;
	s.ops->get_space(s.store, &total, &allocated, &metadata);
	/* A contradiction may also be the device's: that is no fault of the program. */
	sim_expect_warnings(faults[i].broken != contradiction_below);
	r = faults[i].broken(&s);
	CHECK(r == -EPERM, "%s: %d", faults[i].name, r);
	CHECK(s.error == -EPERM && s.store->dead == -EPERM, "%s", faults[i].name);
	CHECK(s.ops->find_snapshot_chunk(s.store, id, 0, false, &(block_t){ 0 }) == -EPERM);
	/* What was not made does not show in the status. */
	s.ops->get_space(s.store, &total, &now, &metadata);
	allocated += faults[i].broken == contradiction_below || faults[i].broken == unshare_after_a_read;
	CHECK(now == allocated, "%s: %llu, not %llu chunks", faults[i].name, now, allocated);
	/* The core does not ask for more commits after an error; nor would it help if it did. */
	if (!s.store->have_closed)
		double_close(&s);
	while (double_event(&s))
		;
	CHECK(disk.writes == writes, "%s: %llu writes after it", faults[i].name,
	      disk.writes - writes);
	CHECK(!s.committing && s.commit_error == -EPERM, "%s", faults[i].name);

	/* But for the mark that the core asks for when it gives up the snapshots. */
	s.ops->invalidate(s.store, -EPERM);
	while (double_event(&s))
		;
	CHECK(s.invalidated && !s.invalidate_error && disk.writes == writes + 1);
	double_unload(&s);
	disk_free(&disk);
}

static void nothing_reaches_the_device_after_a_fault_of_the_program(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++)
		double_run(break_it, (void *)(uintptr_t)i, i);
}

/* Entries that do not fit are not put into a node, and nothing is written past its end. */
static void overfull_node(void *arg)
{
	struct entry entries[NODE_ENTRIES_FULL + 1];
	struct node_disk *node = kmalloc(MBLOCK_BYTES, GFP_KERNEL);

	for (unsigned int i = 0; i < ARRAY_SIZE(entries); i++) {
		bool last = i == ARRAY_SIZE(entries) - 1;

		entries[i] = (struct entry){ .chunk = i, .from = i, .a = U64_MAX - 1 - i, .b = i };
		if (last)
			entries[i] = (struct entry){ .chunk = EXCEPTION_CHUNK_END - 1,
						     .from = U64_MAX - 1,
						     .a = 0,
						     .b = CHUNKS_MAX - 1 };
	}
	CHECK(node_build(node, entries, NODE_ENTRIES_FULL, 0, 1));
	memset(node, 0x5a, MBLOCK_BYTES);
	CHECK(!node_build(node, entries, ARRAY_SIZE(entries), 0, 1));
	CHECK(!node_build(node, entries, 0, 0, 1));
	CHECK(!node_build(node, entries, NODE_ENTRIES_MAX + 1, 0, 1));
	for (unsigned int i = 0; i < MBLOCK_BYTES; i++)
		CHECK(((u8 *)node)[i] == 0x5a, "byte %u", i);
	kfree(node);
}

static void an_overfull_node_is_not_built(void **state)
{
	double_run(overfull_node, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_reaches_the_device_after_a_fault_of_the_program),
		cmocka_unit_test(an_overfull_node_is_not_built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
