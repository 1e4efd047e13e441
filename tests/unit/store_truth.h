/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a store must answer, kept in plain lists: for each snapshot and chunk the token that it
 * reads, and for each store chunk the token that was last put there.
 *
 * A token names a content. The origin's own content of chunk c is ORIGIN: a snapshot that is not
 * remapped reads it. An origin write puts a token in the places that the store gives, and then
 * nobody may be left that reads ORIGIN of the past: truth_origin_write() says what all of them must
 * read from then on.
 */
#ifndef TESTS_STORE_TRUTH_H
#define TESTS_STORE_TRUTH_H

#include "store_double.h"

#define TRUTH_IDS 40
#define TRUTH_CHUNKS 24
#define TRUTH_STATES 4
#define ORIGIN_TOKEN 0

struct truth_state {
	unsigned int nr;
	snapid_t ids[TRUTH_IDS];
	bool deleting[TRUTH_IDS];
	u64 reads[TRUTH_IDS][TRUTH_CHUNKS];
};

struct truth {
	struct dm_multisnap s;
	struct double_disk disk;
	struct truth_state now;
	struct truth_state closed; /* as of the closed group */
	struct truth_state durable;
	u64 next_token;
	u64 nr_blocks;
	u64 *content; /* token per store chunk */
	u64 enospc;
	u64 dirty; /* something is in the collecting group */
};

static inline int truth_find(const struct truth_state *st, snapid_t id)
{
	for (unsigned int i = 0; i < st->nr; i++)
		if (st->ids[i] == id)
			return i;
	return -1;
}

static inline void truth_remove(struct truth_state *st, unsigned int i)
{
	st->nr--;
	memmove(&st->ids[i], &st->ids[i + 1], (st->nr - i) * sizeof(st->ids[0]));
	memmove(&st->deleting[i], &st->deleting[i + 1], (st->nr - i) * sizeof(st->deleting[0]));
	memmove(&st->reads[i], &st->reads[i + 1], (st->nr - i) * sizeof(st->reads[0]));
}

static inline void truth_drop_deleted(struct truth_state *st)
{
	for (unsigned int i = st->nr; i--;)
		if (st->deleting[i])
			truth_remove(st, i);
}

static inline void truth_durable(struct truth *t, u64 durable_before)
{
	if (t->s.groups_durable == durable_before)
		return;
	t->durable = t->closed;
	truth_drop_deleted(&t->durable);
	/* What the durable group deleted is gone now. */
	for (unsigned int i = t->now.nr; i--;) {
		int j = truth_find(&t->closed, t->now.ids[i]);

		if (j >= 0 && t->closed.deleting[j])
			truth_remove(&t->now, i);
	}
}

/* A group closes; without changes it is durable at once. */
static inline void truth_close(struct truth *t)
{
	u64 before = t->s.groups_durable;

	if (t->s.closed)
		return;
	t->closed = t->now;
	t->dirty = 0;
	double_close(&t->s);
	truth_durable(t, before);
}

static inline bool truth_event(struct truth *t)
{
	u64 before = t->s.groups_durable;
	bool r = double_event(&t->s);

	truth_durable(t, before);
	return r;
}

static inline void truth_again(struct truth *t)
{
	if (!t->s.closed && (t->s.request || list_empty(&t->s.background)))
		truth_close(t);
	if (t->s.groups_durable == t->s.groups_closed || t->s.nr_ios ||
	    !list_empty(&t->s.background) || t->s.epoch < t->s.epoch_wanted)
		truth_event(t);
}

static inline void truth_commit_all(struct truth *t)
{
	for (unsigned int i = 0; i < 2; i++) {
		truth_close(t);
		while (t->s.closed && !t->s.error)
			CHECK(truth_event(t), "commit does not end");
	}
}

static inline void truth_settle(struct truth *t)
{
	while (!t->s.error) {
		if (t->s.request || t->dirty)
			truth_commit_all(t);
		if (!truth_event(t) && !t->s.request)
			break;
	}
	if (!t->s.error)
		CHECK(!t->s.ops->busy(t->s.store));
}

/* Repeat while -EAGAIN. */
#define TRUTH_RETRY(t, r, call)                                        \
	do {                                                           \
		u64 tries_ = 0;                                        \
		while (((r) = (call)) == -EAGAIN) {                    \
			CHECK(tries_++ < 1000000, "-EAGAIN for ever"); \
			truth_again(t);                                \
		}                                                      \
	} while (0)

static inline void truth_put(struct truth *t, block_t block, u64 token)
{
	CHECK(block < t->nr_blocks);
	t->content[block] = token;
}

/* One attempt at the whole sequence for an origin write. */
static inline int truth_origin_once(struct truth *t, chunk_t chunk, u64 token)
{
	int r;

	t->s.ops->reset_query(t->s.store);
	while ((r = t->s.ops->query_next_remap(t->s.store, chunk)) > 0) {
		struct chunk_remap remap;
		bool any = false;

		r = t->s.ops->add_next_remap(t->s.store, &remap);
		if (r)
			return r;
		t->dirty++;
		for (unsigned int i = 0; i < t->now.nr; i++) {
			if (!t->s.ops->check_conflict(t->s.store, &remap.cd, t->now.ids[i]))
				continue;
			any = true;
			CHECK(t->now.reads[i][chunk] == ORIGIN_TOKEN,
			      "a copy for one who has his own: chunk %llu", chunk);
			t->now.reads[i][chunk] = token;
		}
		CHECK(any, "a set of nobody");
		truth_put(t, remap.block, token);
	}
	return r;
}

static inline int truth_origin_write(struct truth *t, chunk_t chunk)
{
	u64 token = ++t->next_token;
	int r;

	TRUTH_RETRY(t, r, truth_origin_once(t, chunk, token));
	if (r == -ENOSPC) {
		t->enospc++;
		return r;
	}
	CHECK(r == 0, "%d", r);
	for (unsigned int i = 0; i < t->now.nr; i++)
		CHECK(t->now.reads[i][chunk] != ORIGIN_TOKEN, "snapshot %llx forgotten",
		      t->now.ids[i]);
	return 0;
}

static inline int truth_write_once(struct truth *t, unsigned int i, chunk_t chunk, u64 token)
{
	struct chunk_remap remap[MAKE_WRITEABLE_MAX];
	snapid_t id = t->now.ids[i];
	u64 old = t->now.reads[i][chunk];
	block_t block = 0;
	int r, n;

	r = t->s.ops->find_snapshot_chunk(t->s.store, id, chunk, true, &block);
	if (r < 0)
		return r;
	CHECK((r == CHUNK_NOT_REMAPPED) == (old == ORIGIN_TOKEN));
	if (r != CHUNK_NOT_REMAPPED)
		CHECK(t->content[block] == old, "wrong chunk");
	if (r == CHUNK_PRIVATE)
		return 1 + block;
	t->now.reads[i][chunk] = token;
	if (r == CHUNK_NOT_REMAPPED) {
		n = t->s.ops->add_next_remap(t->s.store, remap);
		n = n ? n : 1;
	} else {
		n = t->s.ops->make_chunk_writeable(t->s.store, remap);
	}
	if (n < 0) {
		t->now.reads[i][chunk] = old;
		return n;
	}
	t->dirty++;
	truth_put(t, remap[0].block, token);
	CHECK(t->s.ops->check_conflict(t->s.store, &remap[0].cd, id));
	if (n > 1)
		truth_put(t, remap[1].block, old);
	return 0;
}

static inline int truth_snapshot_write(struct truth *t, unsigned int i, chunk_t chunk)
{
	u64 token = ++t->next_token;
	snapid_t id = t->now.ids[i];
	u64 tries = 0;
	int r, j;

	for (;;) {
		int at = truth_find(&t->now, id);

		if (at < 0)
			return 0; /* its deletion has become durable meanwhile */
		r = truth_write_once(t, at, chunk, token);
		if (r != -EAGAIN)
			break;
		CHECK(tries++ < 1000000, "-EAGAIN for ever");
		truth_again(t);
	}
	if (r == -ENOSPC) {
		t->enospc++;
		return r;
	}
	CHECK(r >= 0, "%d", r);
	if (r == 0)
		return 0;
	/* Private: in place, which the core allows once the exception is durable. */
	truth_commit_all(t);
	j = truth_find(&t->now, id);
	if (j < 0)
		return 0;
	truth_put(t, r - 1, token);
	t->now.reads[j][chunk] = token;
	t->closed = t->now;
	t->durable = t->now;
	truth_drop_deleted(&t->durable);
	return 0;
}

static inline int truth_create(struct truth *t, snapid_t master)
{
	struct truth_state *st = &t->now;
	snapid_t id;
	int r, m;

	if (st->nr == TRUTH_IDS)
		return 0;
	TRUTH_RETRY(t, r, t->s.ops->allocate_snapid(t->s.store, master, &id));
	m = truth_find(st, master);
	if (master != SNAPID_ORIGIN && (m < 0 || st->deleting[m])) {
		CHECK(r == -EINVAL);
		return 0;
	}
	CHECK(r == 0, "%d", r);
	TRUTH_RETRY(t, r, t->s.ops->create_snapshot(t->s.store, id));
	if (r == -ENOSPC)
		return r;
	if (r == -EINVAL) {
		CHECK(master != SNAPID_ORIGIN && truth_find(st, master) < 0);
		return 0;
	}
	CHECK(r == 0, "%d", r);
	t->dirty++;
	m = truth_find(st, master);
	st->ids[st->nr] = id;
	st->deleting[st->nr] = false;
	if (master == SNAPID_ORIGIN)
		memset(st->reads[st->nr], 0, sizeof(st->reads[0]));
	else
		memcpy(st->reads[st->nr], st->reads[m], sizeof(st->reads[0]));
	st->nr++;
	return 0;
}

static inline void truth_delete(struct truth *t, unsigned int i)
{
	snapid_t id = t->now.ids[i];
	int r;

	if (t->now.deleting[i]) {
		CHECK(t->s.ops->delete_snapshot(t->s.store, id) == -EINVAL);
		return;
	}
	TRUTH_RETRY(t, r, t->s.ops->delete_snapshot(t->s.store, id));
	CHECK(r == 0, "%d", r);
	i = truth_find(&t->now, id);
	t->now.deleting[i] = true;
	t->dirty++;
}

/* Does the store answer as @st says? */
static inline bool truth_matches(struct truth *t, const struct truth_state *st, bool must)
{
	snapid_t id = 0;

	for (unsigned int n = 0;; n++, id++) {
		id = t->s.ops->get_next_snapid(t->s.store, id);
		if (id == SNAPID_ORIGIN) {
			if (must)
				CHECK(n == st->nr, "%u snapshots, not %u", n, st->nr);
			if (n != st->nr)
				return false;
			break;
		}
		if (must)
			CHECK(truth_find(st, id) >= 0, "snapshot %llx", id);
		if (truth_find(st, id) < 0)
			return false;
	}
	for (unsigned int i = 0; i < st->nr; i++) {
		for (chunk_t c = 0; c < TRUTH_CHUNKS; c++) {
			block_t block = 0;
			u64 token;
			int r;

			TRUTH_RETRY(t, r,
				    t->s.ops->find_snapshot_chunk(t->s.store, st->ids[i], c, false,
								  &block));
			CHECK(r >= 0, "%d", r);
			token = r == CHUNK_NOT_REMAPPED ? ORIGIN_TOKEN : t->content[block];
			if (must)
				CHECK(token == st->reads[i][c],
				      "snapshot %llx chunk %llu reads %llu, not %llu (block %llu)",
				      st->ids[i], c, token, st->reads[i][c], block);
			if (token != st->reads[i][c])
				return false;
		}
	}
	return true;
}

static inline int truth_load(struct truth *t, const char *args)
{
	int r = double_load(&t->s, &t->disk, args);

	t->dirty = 0;
	return r;
}

static inline void truth_init(struct truth *t, u64 disk_sectors, unsigned int shift)
{
	memset(t, 0, sizeof(*t));
	disk_make(&t->disk, disk_sectors);
	t->s.geometry.shift = shift;
	t->s.origin_sectors = (u64)TRUTH_CHUNKS << shift;
	t->nr_blocks = disk_sectors >> shift;
	t->content = calloc(t->nr_blocks, sizeof(u64));
}

static inline void truth_free(struct truth *t)
{
	disk_free(&t->disk);
	free(t->content);
}

/* One random operation. */
static inline void truth_random_op(struct truth *t)
{
	struct truth_state *st = &t->now;

	switch (rnd(32)) {
	case 0:
	case 1:
		truth_create(t, SNAPID_ORIGIN);
		break;
	case 2:
		if (st->nr)
			truth_create(t, st->ids[rnd(st->nr)] | U32_MAX);
		break;
	case 3:
	case 4:
		if (st->nr && (st->nr > 6 || !rnd(4)))
			truth_delete(t, rnd(st->nr));
		break;
	case 5 ... 14:
		if (st->nr)
			truth_snapshot_write(t, rnd(st->nr), rnd(TRUTH_CHUNKS));
		break;
	case 15 ... 22:
		truth_origin_write(t, rnd(TRUTH_CHUNKS));
		break;
	case 23 ... 25:
		truth_close(t);
		break;
	default:
		truth_event(t);
		truth_event(t);
		truth_event(t);
	}
}

#endif /* TESTS_STORE_TRUTH_H */
