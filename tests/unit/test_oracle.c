// SPDX-License-Identifier: GPL-2.0
/*
 * The oracle against a naive model that keeps the whole history of each sector and applies the definition:
 * a read may return write W if W began before the read's end and no successful write that began after W's end had itself
 * ended before the read began. Beside it runs a device that really takes one of the possible courses: what it shows must
 * always be accepted, and what the definition forbids must always be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oracle.h"

#define SECTORS 200
#define DEVICES 12
#define IO_MAX 12

struct event {
	u32 no;
	u64 begun, ended; /* ended 0: in flight */
	bool covers; /* replaces what was there before (no error, no discard) */
};

struct history {
	struct event *events;
	u32 nr, max;
};

struct device {
	bool used, forking, forked;
	struct oracle_device *oracle;
	struct device *master;
	u32 children;
	u64 fork_begun, fork_ended;
	u32 actual[SECTORS], forked_actual[SECTORS];
	struct history history[SECTORS];
};

struct io {
	bool used;
	struct oracle_io oracle;
	struct device *device;
	enum oracle_op op;
	sector_t sector;
	u32 sectors, no;
	u64 begun;
	bool applied[SECTORS];
	u32 seen[SECTORS];
};

struct world {
	struct oracle *o;
	struct device devices[DEVICES];
	struct io ios[IO_MAX];
	u64 clock, rng;
	snapid_t next_id;
	bool judge;	/* reads settle values; without, the two sets are compared exactly */
};

static u32 rnd(struct world *w, u32 n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (u32)((w->rng >> 20) % n);
}

static struct event *add_event(struct history *h)
{
	if (h->nr == h->max) {
		h->max = h->max ? h->max * 2 : 8;
		h->events = realloc(h->events, h->max * sizeof(*h->events));
	}
	memset(&h->events[h->nr], 0, sizeof(*h->events));
	return &h->events[h->nr++];
}

/* The definition, for a read that was in flight in [from, to]. */
static bool naive_allowed(const struct history *h, u32 no, u64 from, u64 to)
{
	for (u32 i = 0; i < h->nr; i++) {
		const struct event *e = &h->events[i];
		bool replaced = false;

		if (e->no != no || e->begun > to)
			continue;
		for (u32 k = 0; k < h->nr && !replaced; k++)
			replaced = h->events[k].covers && e->ended && h->events[k].begun > e->ended &&
				   h->events[k].ended && h->events[k].ended < from;
		if (!replaced)
			return true;
	}
	return false;
}

static tag_t tag_of(u32 no, sector_t sector)
{
	return no ? tag_make(no, sector) : TAG_ZERO;
}

static struct device *pick_device(struct world *w)
{
	for (;;) {
		struct device *d = &w->devices[rnd(w, 3) ? rnd(w, DEVICES) : 0];

		if (d->used && !d->forking)
			return d;
	}
}

static void begin(struct world *w)
{
	struct io *io = &w->ios[rnd(w, IO_MAX)];

	if (io->used)
		return;
	io->used = true;
	io->device = pick_device(w);
	io->op = (enum oracle_op)(rnd(w, 8) < 3 ? 0 : rnd(w, 8) < 6 ? 1 : 2 + rnd(w, 2));
	if (!w->judge && io->op == ORACLE_READ)
		io->op = ORACLE_WRITE;
	io->sectors = 1 + rnd(w, rnd(w, 2) ? 8 : 40);
	io->sector = rnd(w, SECTORS - io->sectors + 1);
	if (rnd(w, 3) == 0)
		io->sector &= ~7ull;
	io->no = io->op == ORACLE_WRITE ? oracle_write_no(w->o) : 0;
	io->begun = ++w->clock;
	memset(io->applied, 0, sizeof(io->applied));
	oracle_begin(w->o, &io->oracle, io->device->oracle, io->op, io->sector, io->sectors, io->no);
	for (u32 i = 0; i < io->sectors; i++) {
		sector_t s = io->sector + i;

		io->seen[i] = io->device->actual[s];
		if (io->op != ORACLE_READ) {
			struct event *e = add_event(&io->device->history[s]);

			e->no = io->no;
			e->begun = io->begun;
		}
	}
}

/* Some sectors of a request in flight take effect. */
static void progress(struct world *w, struct io *io, bool all)
{
	for (u32 i = 0; i < io->sectors; i++) {
		sector_t s = io->sector + i;

		if (io->applied[i] || (!all && rnd(w, 2)))
			continue;
		if (io->op == ORACLE_READ) {
			if (rnd(w, 2))
				io->seen[i] = io->device->actual[s];
			continue;
		}
		io->applied[i] = true;
		if (io->op != ORACLE_DISCARD || rnd(w, 2))
			io->device->actual[s] = io->no;
	}
}

static void end(struct world *w, struct io *io, bool wrong)
{
	bool error = rnd(w, 8) == 0;
	struct oracle_mismatch m;
	tag_t tags[SECTORS];
	u32 bad = rnd(w, io->sectors), bad_no = rnd(w, 30);

	if (!error || rnd(w, 2))
		progress(w, io, !error);
	w->clock++;
	if (io->op == ORACLE_READ) {
		sector_t s = io->sector + bad;

		for (u32 i = 0; i < io->sectors; i++)
			tags[i] = tag_of(io->seen[i], io->sector + i);
		if (wrong && !naive_allowed(&io->device->history[s], bad_no, io->begun, w->clock)) {
			tags[bad] = tag_of(bad_no, s);
			assert_int_equal(oracle_end(w->o, &io->oracle, 0, tags, &m), 1);
			assert_int_equal(m.sector, s);
			assert_int_equal(m.got, tags[bad]);
		} else {
			assert_int_equal(oracle_end(w->o, &io->oracle, 0, tags, &m), 0);
		}
		io->used = false;
		return;
	}
	for (u32 i = 0; i < io->sectors; i++) {
		struct history *h = &io->device->history[io->sector + i];

		for (u32 k = 0; k < h->nr; k++) {
			if (h->events[k].begun != io->begun)
				continue;
			h->events[k].ended = w->clock;
			h->events[k].covers = !error && io->op != ORACLE_DISCARD;
		}
	}
	oracle_end(w->o, &io->oracle, error ? -EIO : 0, NULL, NULL);
	io->used = false;
}

static void fork_begin(struct world *w)
{
	struct device *master = pick_device(w), *d = &w->devices[rnd(w, DEVICES)];

	if (d->used || (master->master && master->master->master))
		return;
	memset(d, 0, sizeof(*d));
	d->used = true;
	d->forking = true;
	d->master = master;
	d->fork_begun = ++w->clock;
	d->oracle = oracle_fork_begin(w->o, w->next_id++, master->oracle);
	master->children++;
}

static void fork_end(struct world *w, struct device *d)
{
	u32 last = oracle_write_no(w->o);

	if (!d->forked) {
		memcpy(d->actual, d->master->actual, sizeof(d->actual));
		d->forked = true;
	}
	w->clock++;
	for (u32 s = 0; s < SECTORS; s++) {
		for (u32 no = 0; no < last; no++) {
			struct event *e;

			if (!naive_allowed(&d->master->history[s], no, d->fork_begun, w->clock))
				continue;
			e = add_event(&d->history[s]);
			e->no = no;
			e->ended = w->clock;
		}
	}
	w->clock++;
	d->forking = false;
	oracle_fork_end(w->o, d->oracle);
}

static void delete_device(struct world *w)
{
	struct device *d = &w->devices[1 + rnd(w, DEVICES - 1)];

	if (!d->used)
		return;
	for (u32 i = 0; i < IO_MAX; i++)
		if (w->ios[i].used && w->ios[i].device == d)
			return;
	for (u32 i = 0; i < DEVICES; i++)
		if (w->devices[i].used && w->devices[i].forking && w->devices[i].master == d)
			return;
	if (d->forking)
		oracle_fork_cancel(w->o, d->oracle);
	else
		oracle_delete(w->o, d->oracle);
	for (u32 s = 0; s < SECTORS; s++)
		free(d->history[s].events);
	d->used = false;
}

/* Every sector of every device, every value: allowed or not, as the definition says. */
static void compare(struct world *w)
{
	u32 last = oracle_write_no(w->o);

	for (u32 i = 0; i < DEVICES; i++) {
		struct device *d = &w->devices[i];

		if (!d->used || d->forking)
			continue;
		for (u32 s = 0; s < SECTORS; s++) {
			assert_true(oracle_allowed(w->o, d->oracle, s, tag_of(d->actual[s], s)));
			for (u32 no = 0; no < last; no++) {
				bool expect = naive_allowed(&d->history[s], no, w->clock + 1, w->clock + 1);

				if (expect && w->judge)
					continue; /* reads may have told more */
				if (oracle_allowed(w->o, d->oracle, s, tag_of(no, s)) != expect)
					fail_msg("device %u sector %u write %u: expected %d", i, s, no, expect);
			}
		}
	}
}

static void run_world(u64 seed, u32 steps, bool judge)
{
	struct world *w = calloc(1, sizeof(*w));

	w->rng = seed * 0x9E3779B97F4A7C15ULL + 1;
	w->judge = judge;
	w->o = oracle_create(SECTORS);
	w->devices[0].used = true;
	w->devices[0].oracle = oracle_device(w->o, SNAPID_ORIGIN);
	for (u32 s = 0; s < SECTORS; s++) {
		struct event *e = add_event(&w->devices[0].history[s]);

		e->ended = 1;
	}
	w->clock = 2;
	for (u32 i = 0; i < steps; i++) {
		struct io *io = &w->ios[rnd(w, IO_MAX)];
		struct device *d = &w->devices[rnd(w, DEVICES)];

		switch (rnd(w, 16)) {
		case 0:
			if (rnd(w, 4) == 0)
				fork_begin(w);
			break;
		case 1:
			if (d->used && d->forking)
				fork_end(w, d);
			break;
		case 2:
			if (d->used && d->forking && !d->forked) {
				memcpy(d->actual, d->master->actual, sizeof(d->actual));
				d->forked = true;
			}
			break;
		case 3:
			if (rnd(w, 8) == 0)
				delete_device(w);
			break;
		case 4 ... 8:
			begin(w);
			break;
		case 9 ... 11:
			if (io->used)
				progress(w, io, false);
			break;
		default:
			if (io->used)
				end(w, io, rnd(w, 4) == 0);
		}
	}
	compare(w);
	for (u32 i = 0; i < IO_MAX; i++)
		if (w->ios[i].used)
			end(w, &w->ios[i], false);
	compare(w);
	for (u32 i = 0; i < DEVICES; i++)
		for (u32 s = 0; w->devices[i].used && s < SECTORS; s++)
			free(w->devices[i].history[s].events);
	oracle_destroy(w->o);
	free(w);
}

static void test_same_as_definition(void **state)
{
	for (u64 seed = 1; seed <= 60; seed++)
		run_world(seed, 100 + seed * 8, false);
}

static void test_accepts_what_happens_refuses_what_cannot(void **state)
{
	for (u64 seed = 1; seed <= 100; seed++)
		run_world(seed, 200 + seed * 6, true);
}

/* ---- by hand ---- */

static void write_now(struct oracle *o, struct oracle_device *d, sector_t sector, u32 sectors, u32 no)
{
	struct oracle_io io;

	oracle_begin(o, &io, d, no ? ORACLE_WRITE : ORACLE_ZERO, sector, sectors, no);
	oracle_end(o, &io, 0, NULL, NULL);
}

static void test_deleted_master_keeps_subsnapshots(void **state)
{
	struct oracle *o = oracle_create(1000);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN), *a, *sub, *b;

	write_now(o, origin, 0, 100, 1);
	a = oracle_fork_begin(o, 7, origin);
	oracle_fork_end(o, a);
	write_now(o, a, 10, 3, 2);
	sub = oracle_fork_begin(o, 6, a);
	oracle_fork_end(o, sub);
	write_now(o, origin, 0, 50, 3);
	write_now(o, a, 11, 30, 4);
	b = oracle_fork_begin(o, 8, origin);
	oracle_fork_end(o, b);
	assert_ptr_equal(oracle_newest(o), b);
	assert_int_equal(oracle_next_id(o, 0), 6);
	oracle_delete(o, a);
	assert_null(oracle_device_master(sub));
	assert_null(oracle_device(o, 7));
	write_now(o, origin, 0, 100, 5);
	assert_true(oracle_allowed(o, sub, 9, tag_make(1, 9)));
	assert_true(oracle_allowed(o, sub, 12, tag_make(2, 12)));
	assert_true(oracle_allowed(o, sub, 13, tag_make(1, 13)));
	assert_false(oracle_allowed(o, sub, 13, tag_make(4, 13)));
	assert_true(oracle_allowed(o, b, 49, tag_make(3, 49)));
	assert_true(oracle_allowed(o, b, 50, tag_make(1, 50)));
	oracle_delete(o, sub);
	oracle_delete(o, b);
	assert_int_equal(oracle_nr_snapshots(o), 0);
	oracle_destroy(o);
}

static void test_another_id(void **state)
{
	struct oracle *o = oracle_create(4096);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN), *a, *b;

	write_now(o, origin, 0, 8, 1);
	a = oracle_fork_begin(o, 100, origin);
	oracle_rename(o, a, 101);
	oracle_fork_end(o, a);
	b = oracle_fork_begin(o, 50, origin);
	oracle_fork_end(o, b);
	oracle_rename(o, a, 7);
	assert_null(oracle_device(o, 100));
	assert_null(oracle_device(o, 101));
	assert_ptr_equal(oracle_device(o, 7), a);
	assert_int_equal(oracle_next_id(o, 0), 7);
	assert_int_equal(oracle_next_id(o, 8), 50);
	assert_true(oracle_allowed(o, a, 0, tag_make(1, 0)));
	oracle_delete(o, b);
	oracle_delete(o, a);
	assert_int_equal(oracle_nr_snapshots(o), 0);
	oracle_destroy(o);
}

static void test_cursor_from_newest_to_oldest(void **state)
{
	struct oracle *o = oracle_create(4096);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN);
	struct oracle_cursor *cursor = oracle_cursor_create(o);
	struct oracle_mismatch m;
	tag_t tags[64];

	for (u32 i = 1; i <= 50; i++) {
		write_now(o, origin, 64, 64, i);
		if (i % 3 == 0)
			write_now(o, origin, 70, 5, 100 + i);
		oracle_fork_end(o, oracle_fork_begin(o, i, origin));
	}
	for (struct oracle_device *d = oracle_newest(o); d; d = oracle_older(d)) {
		u32 id = (u32)oracle_device_id(d);

		oracle_fill(id, 64, 64, tags);
		if (id % 3 == 0)
			oracle_fill(100 + id, 70, 5, tags + 6);
		assert_int_equal(oracle_check(o, cursor, d, 64, 64, tags, &m), 0);
		tags[63] ^= 1ULL << TAG_SECTOR_BITS;
		assert_int_equal(oracle_check(o, cursor, d, 64, 64, tags, &m), 1);
		assert_int_equal(m.sector, 127);
		assert_int_equal(m.id, id);
	}
	oracle_cursor_destroy(cursor);
	oracle_destroy(o);
}

static void test_regions(void **state)
{
	struct oracle *o = oracle_create(1ULL << 35);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN);
	u64 n = 0;

	assert_true(oracle_next_region(o, 0, &n) == U64_MAX);
	write_now(o, origin, 100, 100, 1);
	write_now(o, origin, 1ULL << 34, 1, 2);
	write_now(o, origin, 0, 1u << 31, 0); /* zeroes over zeroes: nothing new */
	assert_int_equal(oracle_next_region(o, 0, &n), 64);
	assert_int_equal(n, 192);
	assert_int_equal(oracle_next_region(o, 130, &n), 130);
	assert_int_equal(n, 126);
	assert_true(oracle_next_region(o, 256, &n) == 1ULL << 34);
	assert_int_equal(n, 64);
	assert_true(oracle_allowed(o, origin, 150, TAG_ZERO));
	oracle_destroy(o);
}

static void test_mismatch_line_names_the_holder(void **state)
{
	struct oracle *o = oracle_create(1000);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN), *a;
	struct oracle_mismatch m;
	char line[300];
	tag_t tag = tag_make(2, 5);

	write_now(o, origin, 0, 10, 1);
	a = oracle_fork_begin(o, 3, origin);
	oracle_fork_end(o, a);
	write_now(o, origin, 0, 10, 2);
	assert_int_equal(oracle_check(o, NULL, a, 5, 1, &tag, &m), 1);
	oracle_format(o, &m, line, sizeof(line));
	assert_string_equal(line, "snapshot 3: sector 5 reads as write 2, which the origin holds; allowed: write 1");
	oracle_destroy(o);
}

static void test_errors_allowed(void **state)
{
	struct oracle *o = oracle_create(1000);
	struct oracle_device *origin = oracle_device(o, SNAPID_ORIGIN), *a;

	a = oracle_fork_begin(o, 3, origin);
	oracle_fork_end(o, a);
	assert_false(oracle_error_allowed(o, a, ORACLE_READ, -EIO));
	assert_true(oracle_error_allowed(o, a, ORACLE_READ, 0));
	oracle_set_state(o, ORACLE_DROPPED);
	assert_true(oracle_error_allowed(o, a, ORACLE_READ, -EIO));
	assert_false(oracle_error_allowed(o, a, ORACLE_READ, 0));
	assert_false(oracle_error_allowed(o, a, ORACLE_READ, -ENOMEM));
	assert_false(oracle_error_allowed(o, origin, ORACLE_WRITE, -EIO));
	oracle_set_state(o, ORACLE_STOPPED);
	assert_true(oracle_error_allowed(o, origin, ORACLE_WRITE, -EIO));
	assert_false(oracle_error_allowed(o, origin, ORACLE_READ, -EIO));
	oracle_set_state(o, ORACLE_OK);
	oracle_detach(a, true);
	assert_true(oracle_error_allowed(o, a, ORACLE_WRITE, -EIO));
	oracle_destroy(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_definition),
		cmocka_unit_test(test_accepts_what_happens_refuses_what_cannot),
		cmocka_unit_test(test_deleted_master_keeps_subsnapshots),
		cmocka_unit_test(test_another_id),
		cmocka_unit_test(test_cursor_from_newest_to_oldest),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_mismatch_line_names_the_holder),
		cmocka_unit_test(test_errors_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
