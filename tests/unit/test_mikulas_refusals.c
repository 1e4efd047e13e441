// SPDX-License-Identifier: GPL-2.0
/*
 * What the mikulas store refuses, and when: a dead store, numbers out of range, a group that is kept open and full, a store
 * full of snapshots, devices that do not do, formats and loads that fail, memory that contradicts itself.
 */
#include "store_double.h"

#define FIRST_LEVEL(n) ((snapid_t)(n) << 32 | U32_MAX)

struct small {
	struct dm_multisnap s;
	struct double_disk disk;
};

static void small_make(struct small *m, u64 sectors)
{
	memset(m, 0, sizeof(*m));
	m->s.geometry.shift = 3;
	m->s.fifo = true;
	m->s.origin_sectors = 1 << 20;
	disk_make_plain(&m->disk, sectors, sectors);
}

static struct dm_multisnap *small_load(struct small *m)
{
	CHECK(double_load(&m->s, &m->disk, "") == 0);
	return &m->s;
}

static void small_free(struct small *m)
{
	if (m->s.store)
		double_unload(&m->s);
	disk_free(&m->disk);
}

static int create(struct dm_multisnap *s)
{
	snapid_t id;
	int r = s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id);

	return r ? r : s->ops->create_snapshot(s->store, id);
}

static int add(struct dm_multisnap *s, chunk_t chunk)
{
	struct chunk_remap remap;
	int r;

	s->ops->reset_query(s->store);
	r = s->ops->query_next_remap(s->store, chunk);
	return r == 1 ? s->ops->add_next_remap(s->store, &remap) : r;
}

/* ---- a dead store ---- */

static void dead(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	block_t block;
	snapid_t id;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0);
	double_commit_all(s);
	CHECK(s->ops->busy(s->store) == false);
	CHECK(create(s) == 0 && s->ops->busy(s->store));
	CHECK(store_fail(s->store, -EIO, "test", 0) == -EIO);
	CHECK(store_fail(s->store, -EPERM, "test", 0) == -EIO); /* the first one stays */
	CHECK(s->error == -EIO);
	CHECK(!s->ops->busy(s->store));
	CHECK(add(s, 0) == -EIO);
	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == -EIO);
	CHECK(s->ops->create_snapshot(s->store, FIRST_LEVEL(5)) == -EIO);
	CHECK(s->ops->delete_snapshot(s->store, FIRST_LEVEL(0)) == -EIO);
	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(0), 0, false, &block) == -EIO);
	/* What exists can still be shown. */
	CHECK(s->ops->get_next_snapid(s->store, 0) == FIRST_LEVEL(0));
	small_free(&m);
}

static void a_dead_store_gives_its_error_to_everybody(void **state)
{
	double_run(dead, NULL, 1);
}

/* A checkpoint is under way when the snapshots are given up: it is not finished, but the mark is written. */
static void given_up(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	u64 ckpt;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0);
	double_commit_all(s);
	ckpt = s->store->super.ckpt;
	checkpoint_poll(s->store, true);
	CHECK(s->ops->busy(s->store) && !list_empty(&s->background));
	s->ops->invalidate(s->store, -EIO);
	CHECK(!s->ops->busy(s->store));
	while (double_event(s))
		;
	CHECK(s->invalidated && !s->invalidate_error);
	CHECK(s->store->super.error == EIO && s->store->super.ckpt == ckpt);
	CHECK(s->ops->format(s->store) == 0); /* nothing to be made ready any more */
	double_unload(s);
	CHECK(double_load(s, &m.disk, "") == 0 && s->error == -EIO);
	small_free(&m);
}

static void no_checkpoint_is_made_of_snapshots_that_are_given_up(void **state)
{
	double_run(given_up, NULL, 2);
}

/* ---- out of range ---- */

static void out_of_range(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	block_t block;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0);
	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(0), EXCEPTION_CHUNK_END, false,
					  &block) == -EINVAL);
	CHECK(s->ops->query_next_remap(s->store, EXCEPTION_CHUNK_END) == -EINVAL);
	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(1), 0, true, &block) == -EINVAL);
	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(0), EXCEPTION_CHUNK_END - 1, false,
					  &block) == CHUNK_NOT_REMAPPED);
	CHECK(!s->error);
	small_free(&m);
}

static void chunks_and_snapshots_that_cannot_be_are_refused(void **state)
{
	double_run(out_of_range, NULL, 3);
}

static void words(void *arg)
{
	static const struct {
		const char *word;
		int r;
		snapid_t id;
	} cases[] = {
		{ "7", 0, FIRST_LEVEL(7) },
		{ "7.3", 0, 7ULL << 32 | 3 },
		{ "7.4294967296", -ERANGE, 0 },
		{ "4294967296.7", -ERANGE, 0 },
		{ "4294967296.4294967296", -ERANGE, 0 },
		{ "4294967296.x", -EINVAL, 0 },
		{ "7.3.", -EINVAL, 0 },
	};
	struct small m;
	snapid_t id;

	small_make(&m, 8192);
	small_load(&m);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = m.s.ops->read_snapid(m.s.store, cases[i].word, &id);

		CHECK(r == cases[i].r && (r || id == cases[i].id), "%s: %d", cases[i].word, r);
	}
	small_free(&m);
}

static void h12_ids_out_of_range_are_told_from_malformed_ones(void **state)
{
	double_run(words, NULL, 9);
}

/* A list of snapshots that does not fit into one record, which is all that one commit can be (H15). */
static void group_kept_open(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	unsigned int n = 0;
	int r;

	small_make(&m, 8192);
	s = small_load(&m);
	s->hold_groups = true;
	while (!(r = create(s)))
		n++;
	CHECK(r == -E2BIG, "%d after %u", r, n);
	CHECK(n > 50 && !s->request);
	s->hold_groups = false;
	CHECK(create(s) == -EAGAIN && s->request);
	small_free(&m);
}

static void h15_what_does_not_fit_into_a_group_kept_open_is_too_big(void **state)
{
	double_run(group_kept_open, NULL, 4);
}

/* Snapshots without exceptions use up the entries of the tree. One that is deleted makes room, when it is reclaimed. */
static void full_of_snapshots(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	int r;

	small_make(&m, 2048);
	s = small_load(&m);
	for (;;) {
		r = create(s);
		if (r == -ENOSPC)
			break;
		if (r == -EAGAIN) {
			double_again(s);
			continue;
		}
		CHECK(!r, "%d", r);
	}
	double_commit_all(s);
	double_settle(s);
	CHECK(s->store->open.nr_snapshots == s->store->super.max_entries);
	CHECK(add(s, 0) == -ENOSPC);
	CHECK(s->ops->delete_snapshot(s->store, FIRST_LEVEL(0)) == 0);
	CHECK(create(s) == 0);
	CHECK(s->store->open.nr_snapshots == s->store->super.max_entries);
	/* The one deleted is being reclaimed: that could free something, but not while the group is kept open. */
	CHECK(create(s) == -EAGAIN && add(s, 0) == -EAGAIN);
	s->hold_groups = true;
	CHECK(create(s) == -ENOSPC);
	s->hold_groups = false;
	double_commit_all(s);
	double_settle(s);
	CHECK(create(s) == -ENOSPC && add(s, 0) == -ENOSPC);
	CHECK(!s->error);
	small_free(&m);
}

static void h21_a_store_full_of_snapshots(void **state)
{
	double_run(full_of_snapshots, NULL, 5);
}

/* ---- devices ---- */

static void devices(void *arg)
{
	struct small m;

	small_make(&m, 8192);
	m.s.block_sectors = 16;
	CHECK(double_load(&m.s, &m.disk, "") == -EINVAL);
	small_free(&m);
	small_make(&m, 4);
	m.s.block_sectors = 8;
	CHECK(double_load(&m.s, &m.disk, "") == -ENOSPC);
	small_free(&m);
}

static void devices_with_huge_blocks_or_hardly_any_are_refused(void **state)
{
	double_run(devices, NULL, 6);
}

static void no_layout(void **state)
{
	struct super super = {
		.chunk_shift = 3, .block_sectors = 1, .origin_sectors = 0, .device_sectors = 8192
	};
	int error = 0;

	assert_non_null(super_layout(&super, &error));
	assert_int_equal(error, -EINVAL);
	super = (struct super){
		.chunk_shift = 3, .block_sectors = 3, .origin_sectors = 8, .device_sectors = 8192
	};
	assert_non_null(super_layout(&super, &error));
	assert_int_equal(error, -EINVAL);
	super = (struct super){
		.chunk_shift = 3, .block_sectors = 1, .origin_sectors = 8, .device_sectors = 8192
	};
	assert_null(super_layout(&super, &error));
}

/* Each write of the first resume fails: what is there then is fresh, or a whole store; never half of one. */
static void failed_formats(void *arg)
{
	struct small m;
	u64 writes;

	small_make(&m, 8192);
	small_load(&m);
	writes = m.disk.writes;
	CHECK(writes >= 4);
	small_free(&m);
	for (u64 n = 1; n <= writes; n++) {
		small_make(&m, 8192);
		m.disk.fail_write_at = n;
		CHECK(double_load(&m.s, &m.disk, "") == -EIO, "write %llu", n);
		m.disk.fail_write_at = 0;
		small_load(&m);
		CHECK(create(&m.s) == 0);
		double_commit_all(&m.s);
		CHECK(!m.s.error);
		small_free(&m);
	}
}

static void a_format_that_fails_can_be_done_again(void **state)
{
	double_run(failed_formats, NULL, 7);
}

/* The last mount count has been used: a record could not be told from those of the first mounts. */
static void last_mount(void *arg)
{
	struct super_disk *super;
	struct small m;
	u64 writes;

	small_make(&m, 8192);
	small_load(&m);
	double_unload(&m.s);
	super = (void *)m.disk.durable;
	super->mount = cpu_to_le32(U32_MAX);
	super->crc = 0;
	super->crc = cpu_to_le32(~crc32c(~0U, super, sizeof(*super)));
	writes = m.disk.writes;
	CHECK(double_load(&m.s, &m.disk, "") == -ERANGE);
	CHECK(m.disk.writes == writes);
	small_free(&m);
}

static void h43_mounts_end(void **state)
{
	double_run(last_mount, NULL, 10);
}

/* ---- the log ---- */

/* There is room for the record, but not for its changes when it is replayed: it waits for a checkpoint. */
static void log_full_of_changes(void *arg)
{
	struct dm_multisnap *s;
	struct small m;
	u64 seq;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0);
	double_commit_all(s);
	s->store->log.changes = s->store->super.max_changes;
	seq = s->store->log.seq;
	CHECK(add(s, 0) == 0);
	double_close(s);
	CHECK(s->closed && !s->store->commit_running && s->store->log.seq == seq);
	double_wait_durable(s);
	CHECK(s->store->log.seq == seq + 1 && s->store->super.log_seq == seq);
	CHECK(s->store->log.changes < 4 && s->store->super.ckpt == 1);
	small_free(&m);
}

static void h31_a_log_full_of_changes_waits_for_a_checkpoint(void **state)
{
	double_run(log_full_of_changes, NULL, 11);
}

/* Records of all lengths, so that one lies across the border of what is read at once: no sector may be unreadable. */
static void unreadable_log(void *arg)
{
	struct small m;
	struct dm_multisnap *s;
	u64 first, end;

	small_make(&m, 40000);
	s = small_load(&m);
	CHECK(create(s) == 0);
	for (unsigned int i = 0, chunk = 0;
	     s->store->log.used < s->store->super.record_sectors + 20; i++) {
		for (unsigned int n = 0; n < (i % 9 ? 1 : 150); n++)
			CHECK(add(s, (u64)chunk++ << 30) == 0);
		double_wait_durable(s);
		double_close(s);
		double_wait_durable(s);
	}
	CHECK(!s->store->super.ckpt);
	first = s->store->log.first;
	end = first + s->store->log.sectors;
	double_unload(s);
	for (u64 sector = first; sector < end; sector++) {
		m.disk.bad_from = sector;
		m.disk.bad_to = sector + 1;
		CHECK(double_load(s, &m.disk, "") == -EPERM, "sector %llu", sector);
	}
	m.disk.bad_from = m.disk.bad_to = 0;
	small_load(&m);
	small_free(&m);
}

static void h26_every_sector_of_the_log_must_be_readable(void **state)
{
	double_run(unreadable_log, NULL, 8);
}

/* ---- memory that contradicts itself ---- */

static void put(struct dm_multisnap *s, u64 chunk, u64 from, u64 block)
{
	struct change change = {
		.chunk = chunk, .from = from, .to = from, .block = block, .old = BLOCK_NONE
	};

	CHECK(changes_put(s->store, LAYER_OPEN, &change) == 0);
}

static int contradicted_create(struct dm_multisnap *s)
{
	put(s, SNAPSHOT_KEY_CHUNK, FIRST_LEVEL(2), 5);
	return create(s);
}

static int contradicted_sub(struct dm_multisnap *s)
{
	put(s, SNAPSHOT_KEY_CHUNK, FIRST_LEVEL(0), 5);
	return s->ops->create_snapshot(s->store, 0);
}

static int contradicted_delete(struct dm_multisnap *s)
{
	put(s, SNAPSHOT_KEY_CHUNK, FIRST_LEVEL(0), 5);
	return s->ops->delete_snapshot(s->store, FIRST_LEVEL(0));
}

static int contradicted_add(struct dm_multisnap *s)
{
	struct query *query = &s->store->query;
	struct chunk_remap remap;

	s->ops->reset_query(s->store);
	CHECK(s->ops->query_next_remap(s->store, 77) == 1);
	put(s, 77, query->from, 5);
	return s->ops->add_next_remap(s->store, &remap);
}

static int contradicted_unshare_place(struct dm_multisnap *s)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	block_t block;

	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(1), 0, true, &block) ==
	      CHUNK_SHARED);
	put(s, 0, snapshot_low(s->store, FIRST_LEVEL(1)), 5);
	return s->ops->make_chunk_writeable(s->store, remap);
}

/* What is left of the shared range begins behind its reader, where something is. */
static int contradicted_unshare_rest(struct dm_multisnap *s)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	block_t block;

	CHECK(s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(0), 0, true, &block) ==
	      CHUNK_SHARED);
	put(s, 0, snapshot_low(s->store, FIRST_LEVEL(1)), 5);
	return s->ops->make_chunk_writeable(s->store, remap);
}

static int no_snapshot_reserved(struct dm_multisnap *s)
{
	struct spares *spares = &s->store->spare_snapshots;
	unsigned int nr = spares->nr;
	int r;

	spares->nr = 0;
	sim_expect_warnings(1);
	r = snapshot_insert(s->store, FIRST_LEVEL(9), 0);
	spares->nr = nr;
	return r;
}

static int counts_that_differ(struct dm_multisnap *s, u64 *count)
{
	double_commit_all(s);
	checkpoint_poll(s->store, true);
	while (s->store->ckpt.phase != CKPT_WRITE)
		CHECK(double_event(s));
	(*count)++;
	while (!s->error && double_event(s))
		;
	return s->store->dead;
}

static int data_counts_differ(struct dm_multisnap *s)
{
	return counts_that_differ(s, &s->store->data.working.used);
}

static int tree_counts_differ(struct dm_multisnap *s)
{
	return counts_that_differ(s, &s->store->ckpt.merge.tree_blocks);
}

static int levels_missing(struct dm_multisnap *s)
{
	double_commit_all(s);
	checkpoint_poll(s->store, true);
	s->store->ckpt.merge.nr_writers = 1;
	while (!s->error && double_event(s))
		;
	return s->store->dead;
}

static const struct {
	const char *name;
	int (*contradicted)(struct dm_multisnap *s);
} contradictions[] = {
	{ "create", contradicted_create },
	{ "sub-snapshot", contradicted_sub },
	{ "delete", contradicted_delete },
	{ "add", contradicted_add },
	{ "unshare, the new place", contradicted_unshare_place },
	{ "unshare, the rest", contradicted_unshare_rest },
	{ "no snapshot reserved", no_snapshot_reserved },
	{ "levels of the tree", levels_missing },
	{ "counts of the data map", data_counts_differ },
	{ "counts of the tree", tree_counts_differ },
};

static void contradict(void *arg)
{
	unsigned int i = (uintptr_t)arg;
	struct dm_multisnap *s;
	struct small m;
	u64 ckpt, seq;
	int r;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0 && create(s) == 0);
	CHECK(add(s, 0) == 0);
	double_commit_all(s);
	ckpt = s->store->super.ckpt;
	r = contradictions[i].contradicted(s);
	CHECK(r == -EPERM, "%s: %d", contradictions[i].name, r);
	/* What the core does with an error of the store that is not the caller's. */
	dm_multisnap_set_error(s, r);
	seq = s->store->log.seq;
	while (double_event(s))
		;
	CHECK(s->store->super.ckpt == ckpt && s->store->log.seq == seq, "%s",
	      contradictions[i].name);
	double_unload(s);

	/* On the device there is nothing of it. */
	small_load(&m);
	CHECK(s->ops->get_next_snapid(s->store, 0) == FIRST_LEVEL(0));
	CHECK(s->ops->get_next_snapid(s->store, FIRST_LEVEL(1) + 1) == SNAPID_ORIGIN);
	CHECK(s->store->durable.nr_exceptions == 1);
	small_free(&m);
}

static void memory_that_contradicts_itself_is_an_error_and_is_not_written(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(contradictions); i++)
		double_run(contradict, (void *)(uintptr_t)i, i);
}

/* A block that is being read is not given out to be written, until it is there. */
static void block_being_read(void *arg)
{
	struct cblock *block = NULL;
	struct dm_multisnap *s;
	struct small m;
	mblock_t root;

	small_make(&m, 8192);
	s = small_load(&m);
	CHECK(create(s) == 0 && add(s, 0) == 0);
	double_commit_all(s);
	checkpoint_poll(s->store, true);
	double_settle(s);
	root = s->store->super.root;
	double_unload(s);
	s = small_load(&m);
	cache_exit(s->store);
	memset(&s->store->cache, 0, sizeof(s->store->cache));
	CHECK(cache_init(s->store, CACHE_BLOCKS_MIN) == 0);
	s->store->cache.sync = false;
	cache_prefetch(s->store, root);
	CHECK(s->nr_ios == 1);
	cache_prefetch(s->store, root);
	CHECK(s->nr_ios == 1);
	CHECK(cache_new(s->store, root, &block) == -EAGAIN &&
	      cache_get(s->store, root, &block) == -EAGAIN);
	while (double_event(s))
		;
	CHECK(cache_get(s->store, root, &block) == 0);
	CHECK(le32_to_cpu(((struct node_disk *)block->data)->magic) == NODE_MAGIC);
	small_free(&m);
}

static void h33_a_block_that_is_being_read_is_not_made_new(void **state)
{
	double_run(block_being_read, NULL, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_store_gives_its_error_to_everybody),
		cmocka_unit_test(no_checkpoint_is_made_of_snapshots_that_are_given_up),
		cmocka_unit_test(chunks_and_snapshots_that_cannot_be_are_refused),
		cmocka_unit_test(h12_ids_out_of_range_are_told_from_malformed_ones),
		cmocka_unit_test(h15_what_does_not_fit_into_a_group_kept_open_is_too_big),
		cmocka_unit_test(h21_a_store_full_of_snapshots),
		cmocka_unit_test(devices_with_huge_blocks_or_hardly_any_are_refused),
		cmocka_unit_test(no_layout),
		cmocka_unit_test(a_format_that_fails_can_be_done_again),
		cmocka_unit_test(h43_mounts_end),
		cmocka_unit_test(h31_a_log_full_of_changes_waits_for_a_checkpoint),
		cmocka_unit_test(h26_every_sector_of_the_log_must_be_readable),
		cmocka_unit_test(h33_a_block_that_is_being_read_is_not_made_new),
		cmocka_unit_test(memory_that_contradicts_itself_is_an_error_and_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
