// SPDX-License-Identifier: GPL-2.0
/*
 * Several requests of a store fail, each with an error of its own: what the store answers ever after is the first
 * one, which is also what the core was told.
 */
#include "hostile_store.h"

static void end_write(struct dm_multisnap *s, int error)
{
	struct dm_multisnap_io *io;

	list_for_each_entry(io, &s->ios, list) {
		if ((io->opf & REQ_OP_MASK) != REQ_OP_WRITE)
			continue;
		list_del(&io->list);
		s->nr_ios--;
		io->done(io, error);
		return;
	}
	CHECK(false, "no write is under way");
}

static unsigned int writes_under_way(struct dm_multisnap *s)
{
	struct dm_multisnap_io *io;
	unsigned int n = 0;

	list_for_each_entry(io, &s->ios, list)
		n += (io->opf & REQ_OP_MASK) == REQ_OP_WRITE;
	return n;
}

static void first_error_stays(void *arg)
{
	struct hostile h;
	struct dm_multisnap *s = &h.s;
	snapid_t id;

	hostile_make(&h, HOSTILE_CHUNKS);
	CHECK(double_load(s, &h.disk, "") == 0);
	hostile_create(s, SNAPID_ORIGIN);
	for (unsigned int i = 0; i < HOSTILE_CHUNKS; i += 100)
		double_write(s, 3 * i);
	double_commit_all(s);
	hostile_text[0] = '\0';
	checkpoint_poll(s->store, true);
	while (writes_under_way(s) < 3)
		CHECK(double_event(s), "no three writes at once");
	end_write(s, -EREMOTEIO);
	end_write(s, -ENODATA);
	end_write(s, -EIO);
	CHECK(s->error == -EREMOTEIO, "%d", s->error);
	CHECK(s->ops->query_next_remap(s->store, 1) == -EREMOTEIO);
	CHECK(s->ops->allocate_snapid(s->store, SNAPID_ORIGIN, &id) == -EREMOTEIO);
	/* Said once: the other errors follow from what is known. */
	CHECK(hostile_said("error -121"), "%s", hostile_text);
	CHECK(!hostile_said("error -61") && !hostile_said("error -5"), "%s", hostile_text);
	double_close(s);
	double_wait_durable(s);
	CHECK(s->commit_error == -EREMOTEIO, "%d", s->commit_error);
	while (double_event(s))
		;
	double_unload(s);
	hostile_free(&h);
}

static void test_first_error_stays(void **state)
{
	hostile_run(first_error_stays, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_error_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
