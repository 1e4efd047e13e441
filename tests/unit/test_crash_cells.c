// SPDX-License-Identifier: GPL-2.0
/*
 * The crash model of sim/crash/cells.c, against a device that is described another way: what it has on its medium, what
 * it has in its cache, and what it may do at any time.
 *
 * That device writes anything it was given to the medium whenever it likes, older versions after newer ones too. A flush
 * ends when, of each sector, a version is on the medium that no other one it covers was issued after; and from then on what those
 * supersede is not in the cache any more. All media it can reach, by all it may do, must be what cells_options() says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cells.h"

#define VERSIONS 8
#define STEPS 14

struct version {
	u32 issued, ended; /* CELLS_PENDING */
	bool failed, fua, discarded;
};

/* One sector; media is a set of versions, bit 0 the base, bit i + 1 version i. */
struct device {
	struct version v[VERSIONS];
	u32 nr;
	u32 media;
};

static u64 state;

static u32 draw(u32 n)
{
	state = crash_mix(state, n);
	return state % n;
}

/* What the device may do by itself: any version in the cache goes to the medium. */
static void may_write(struct device *d)
{
	for (u32 i = 0; i < d->nr; i++)
		if (!d->v[i].discarded)
			d->media |= 2U << i;
}

/* The versions that a flush issued at @issue covers have reached the medium, each in its turn. */
static void flush(struct device *d, u32 issue)
{
	u32 last = 0;
	bool any = false;

	for (u32 i = 0; i < d->nr; i++)
		if (!d->v[i].failed && d->v[i].ended < issue) {
			any = true;
			last = d->v[i].issued > last ? d->v[i].issued : last;
		}
	if (!any)
		return;
	d->media &= ~1U;
	for (u32 i = 0; i < d->nr; i++)
		if (d->v[i].ended < last) {
			d->v[i].discarded = true;
			d->media &= ~(2U << i);
		}
}

static void fua_ended(struct device *d, u32 i)
{
	d->media &= ~1U;
	for (u32 j = 0; j < d->nr; j++)
		if (d->v[j].ended < d->v[i].issued) {
			d->v[j].discarded = true;
			d->media &= ~(2U << j);
		}
}

static void compare(const struct device *d, const struct cells *cells, u64 seed, u32 step)
{
	const struct cells_suppose cut = { 0 };
	content_t options[CELLS_MAX];
	u32 nr = cells_options(cells, 0, &cut, options, NULL), got = 0;

	for (u32 i = 0; i < nr; i++)
		got |= options[i] ? 2U << (tag_write_no(content_tag(options[i])) - 1) : 1;
	if (got != d->media)
		fail_msg("seed %llu, step %u: %#x is possible, cells say %#x", (unsigned long long)seed, step,
			 d->media, got);
}

static void random_life(u64 seed)
{
	struct device d = { .media = 1 };
	struct cells cells;
	u32 flushes[STEPS], nr_flushes = 0;

	state = seed;
	cells_init(&cells, 1);
	for (u32 now = 1; now <= STEPS; now++) {
		u32 i = d.nr ? draw(d.nr) : 0;

		switch (draw(4)) {
		case 0:
			if (d.nr == VERSIONS)
				break;
			d.v[d.nr] = (struct version){ now, CELLS_PENDING, .fua = draw(4) == 0 };
			cells_issue(&cells, now, 0, content_of_tag(tag_make(++d.nr, 0)));
			break;
		case 1:
			if (!d.nr || d.v[i].ended != CELLS_PENDING)
				break;
			d.v[i].ended = now;
			d.v[i].failed = draw(5) == 0;
			cells_end(&cells, now, d.v[i].issued, 0, 1, d.v[i].fua, d.v[i].failed);
			if (d.v[i].fua && !d.v[i].failed)
				fua_ended(&d, i);
			break;
		case 2:
			flushes[nr_flushes++] = now;
			break;
		case 3:
			if (!nr_flushes)
				break;
			i = draw(nr_flushes);
			flush(&d, flushes[i]);
			cells_flushed(&cells, flushes[i]);
			flushes[i] = flushes[--nr_flushes];
			break;
		}
		may_write(&d);
		compare(&d, &cells, seed, now);
	}
	cells_exit(&cells);
}

static void test_all_that_a_cache_can_leave(void **unused)
{
	for (u64 seed = 1; seed <= 200000; seed++)
		random_life(seed);
}

static content_t fill(u32 no)
{
	return content_of_tag(tag_make(no, 0));
}

static void expect(const struct cells *cells, const struct cells_suppose *suppose, u32 nr, ...)
{
	content_t options[CELLS_MAX];
	va_list ap;

	assert_int_equal(cells_options(cells, 0, suppose, options, NULL), nr);
	va_start(ap, nr);
	for (u32 i = 0; i < nr; i++) {
		u32 no = va_arg(ap, u32);

		assert_int_equal(options[i], no ? fill(no) : CONTENT_ZERO);
	}
	va_end(ap);
}

static void test_a_sector_unflushed(void **unused)
{
	const struct cells_suppose cut = { 0 }, on = { .power_on = true };
	struct cells cells;

	cells_init(&cells, 1);
	cells_issue(&cells, 1, 0, fill(1));
	expect(&cells, &cut, 2, 0, 1);
	expect(&cells, &on, 2, 0, 1);
	cells_end(&cells, 2, 1, 0, 1, false, false);
	expect(&cells, &cut, 2, 0, 1);
	expect(&cells, &on, 1, 1);
	cells_issue(&cells, 3, 0, fill(2));
	cells_end(&cells, 4, 3, 0, 1, false, false);
	expect(&cells, &cut, 3, 0, 1, 2);
	cells_flushed(&cells, 4); /* issued before the second had ended */
	expect(&cells, &cut, 2, 1, 2);
	cells_flushed(&cells, 5);
	expect(&cells, &cut, 1, 2);
	assert_int_equal(cells.nr_dirty, 0);
	cells_exit(&cells);
}

static void test_two_writes_at_once(void **unused)
{
	const struct cells_suppose cut = { 0 }, on = { .power_on = true };
	struct cells cells;

	cells_init(&cells, 1);
	cells_issue(&cells, 1, 0, fill(1));
	cells_issue(&cells, 2, 0, fill(2));
	cells_end(&cells, 3, 2, 0, 1, false, false);
	cells_end(&cells, 4, 1, 0, 1, false, false);
	cells_flushed(&cells, 5);
	/* Nobody knows which came last; both are durable. */
	expect(&cells, &cut, 2, 1, 2);
	expect(&cells, &on, 2, 1, 2);
	cells_exit(&cells);
}

static void test_phases_of_a_preflush(void **unused)
{
	const u32 write = 3;
	const struct cells_suppose before = { .absent = &write, .nr_absent = 1 }, after = { .flushed = 3 };
	struct cells cells;

	cells_init(&cells, 1);
	cells_issue(&cells, 1, 0, fill(1));
	cells_end(&cells, 2, 1, 0, 1, false, false);
	cells_issue(&cells, 3, 0, fill(2)); /* with PREFLUSH, in flight */
	expect(&cells, &before, 2, 0, 1);
	expect(&cells, &after, 2, 1, 2);
	cells_exit(&cells);
}

static void test_what_was_at_a_moment(void **unused)
{
	const struct cells_suppose then = { .power_on = true, .before = 3 };
	struct cells cells;

	cells_init(&cells, 1);
	cells_issue(&cells, 1, 0, fill(1));
	cells_end(&cells, 2, 1, 0, 1, false, false);
	cells_issue(&cells, 4, 0, fill(2));
	cells_end(&cells, 5, 4, 0, 1, false, false);
	expect(&cells, &then, 2, 1, 2); /* at 3, or at any time until now */
	cells_exit(&cells);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sector_unflushed),
		cmocka_unit_test(test_two_writes_at_once),
		cmocka_unit_test(test_phases_of_a_preflush),
		cmocka_unit_test(test_what_was_at_a_moment),
		cmocka_unit_test(test_all_that_a_cache_can_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
