// SPDX-License-Identifier: GPL-2.0
/*
 * The pass that frees what no snapshot reads, over a tree that is damaged, and with memory that contradicts itself (H25): it
 * stops with an error, and nothing that it began reaches the device. And a pass that had only its end left to record.
 */
#include "hostile_store.h"

static void delete_all(struct dm_multisnap *s)
{
	snapid_t id;

	while ((id = s->ops->get_next_snapid(s->store, 0)) != SNAPID_ORIGIN) {
		CHECK(s->ops->delete_snapshot(s->store, id) == 0);
		double_commit_all(s);
	}
}

/* The pass goes on until it stops. */
static void must_stop(struct hostile *h, const char *what)
{
	struct dm_multisnap *s = &h->s;

	while (!s->error) {
		if (s->request)
			double_close(s);
		CHECK(double_event(s) || s->error);
	}
	CHECK(s->error == -EPERM && hostile_said(what), "not '%s' but: %s", what, hostile_text);
	CHECK(s->store->super.ckpt == h->super.ckpt);
	double_unload(s);
}

static void damaged_leaf(void *arg)
{
	struct hostile h;
	struct entry entries[NODE_ENTRIES_MAX];
	struct node_layout layout;
	struct node_disk *node;
	struct entry child;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	node = hostile_block(&h, h.super.root);
	node_open(&layout, node);
	node_entry(&layout, node, 1, &child);
	node = hostile_block(&h, child.a);
	node_open(&layout, node);
	for (unsigned int i = 0; i < layout.count; i++)
		node_entry(&layout, node, i, &entries[i]);
	entries[layout.count / 2].b = h.super.data_start - 1;
	while (!node_build(node, entries, layout.count, 0, child.b))
		layout.count--;
	block_seal(node, child.a);
	CHECK(double_load(&h.s, &h.disk, "") == 0);
	delete_all(&h.s);
	must_stop(&h, "chunk outside of the data area");
	hostile_free(&h);
}

static void h25_the_pass_stops_at_a_damaged_leaf(void **state)
{
	hostile_run(damaged_leaf, NULL);
}

static void contradicting(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0);
	delete_all(&h.s);
	h.s.store->open.nr_exceptions = 0;
	must_stop(&h, "contradiction in memory, chunk");

	hostile_restore(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0);
	delete_all(&h.s);
	h.s.store->open.reclaim = RECLAIM_AGAIN;
	must_stop(&h, "contradiction of the reclaim cursor");
	hostile_free(&h);
}

static void a_pass_that_contradicts_memory_is_an_error(void **state)
{
	hostile_run(contradicting, NULL);
}

/* The cursor stands behind the last exception, at the key of a snapshot or none: the pass ends, and nothing is removed. */
static void at_the_end(void *arg)
{
	const snapid_t *from = arg;
	struct dm_multisnap *s;
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	hostile_super(&h)->reclaim = cpu_to_le32(RECLAIM_RUNNING);
	hostile_super(&h)->cursor_chunk = cpu_to_le64(EXCEPTION_CHUNK_END);
	hostile_super(&h)->cursor_from = cpu_to_le64(*from);
	hostile_seal_super(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	s = &h.s;
	CHECK(s->ops->busy(s->store));
	double_settle(s);
	CHECK(!s->ops->busy(s->store) && !s->store->durable.reclaim);
	CHECK(s->store->durable.nr_exceptions == h.super.nr_exceptions);
	CHECK(!s->store->durable.cursor_chunk && !s->store->durable.cursor_from);
	CHECK(s->ops->get_next_snapid(s->store, FIRST_LEVEL(1)) == FIRST_LEVEL(1));
	double_unload(s);
	hostile_free(&h);
}

static void a_pass_at_its_end_ends(void **state)
{
	static const snapid_t froms[] = { 0, FIRST_LEVEL(1) };

	for (size_t i = 0; i < ARRAY_SIZE(froms); i++)
		hostile_run(at_the_end, (void *)&froms[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h25_the_pass_stops_at_a_damaged_leaf),
		cmocka_unit_test(a_pass_that_contradicts_memory_is_an_error),
		cmocka_unit_test(a_pass_at_its_end_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
