// SPDX-License-Identifier: GPL-2.0
/*
 * Orders of events that do not matter to a power cut (sim/explore/lives.h): random lives are put into another order of which that is
 * said. All that the cuts of one can leave, and users must not find, is what those of the other can.
 *
 * A *find* is a content of all sectors of both disks that a cut may leave, a sector that users know, and one of these contents that
 * it must not have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cells.h"
#include "lives.h"

#define SECTORS 2	/* of each disk */
#define USER_SECTORS (CRASH_DISKS * SECTORS)
#define EVENTS 14
#define LIVES 20000
#define EXCHANGES 60

static u64 seed;

static u32 draw(u32 n)
{
	seed = crash_mix(seed, 1);
	return (u32)(seed % n);
}

/* ---- random lives ---- */

/* Events by their first number; @after: a bit for each that comes before whatever happens. */
static struct history {
	struct life_event event[EVENTS];
	content_t content[EVENTS];
	u32 after[EVENTS];
	u32 nr;
	u32 order[EVENTS];
} h;

static struct life_event *add(enum life_kind kind, content_t content)
{
	struct life_event *e = &h.event[h.nr];

	memset(e, 0, sizeof(*e));
	e->kind = kind;
	h.content[h.nr] = content;
	h.after[h.nr] = h.nr && !draw(3) ? 1U << draw(h.nr) : 0;
	h.nr++;
	return e;
}

static void make_request(struct life_event *e, u32 sectors)
{
	switch (draw(6)) {
	case 0:
	case 1:
		e->op = LIFE_FLUSH;
		e->flags = LIFE_PREFLUSH;
		return;
	case 2:
		e->op = LIFE_DISCARD;
		break;
	default:
		e->op = LIFE_WRITE;
		e->flags = draw(2) ? LIFE_FUA : 0;
	}
	e->sector = draw(sectors);
	e->sectors = 1;
}

static void add_end(u32 begin)
{
	enum life_kind kind = h.event[begin].kind == LIFE_IO_ISSUE ? LIFE_IO_END : LIFE_DISK_END;

	for (u32 i = 0; i < h.nr; i++)
		if (h.event[i].issue == begin + 1)
			return;
	add(kind, 0)->issue = begin + 1;
	h.after[h.nr - 1] |= 1U << begin;
}

/* A disk is given what a user has written. */
static void add_disk(u32 from)
{
	struct life_event *e = add(LIFE_DISK_ISSUE, h.content[from]);

	h.after[h.nr - 1] |= 1U << from;
	make_request(e, SECTORS);
	e->disk = (u8)draw(CRASH_DISKS);
}

static void make_history(void)
{
	memset(&h, 0, sizeof(h));
	while (h.nr < EVENTS) {
		u32 i = h.nr ? draw(h.nr) : 0;

		if (!h.nr || !draw(5)) {
			content_t content = content_of_tag(tag_make(h.nr + 1, 0));

			make_request(add(LIFE_IO_ISSUE, content), USER_SECTORS);
			h.event[h.nr - 1].id = SNAPID_ORIGIN;
		} else if (h.event[i].kind == LIFE_IO_ISSUE && h.event[i].op == LIFE_WRITE && draw(2)) {
			add_disk(i);
		} else if (h.event[i].kind == LIFE_IO_ISSUE || h.event[i].kind == LIFE_DISK_ISSUE) {
			add_end(i);
		}
	}
	for (u32 i = 0; i < h.nr; i++)
		h.order[i] = i;
}

/* In the order that it has now. */
static void make_life(struct life *life)
{
	u32 number[EVENTS];

	life_init(life);
	for (u32 i = 0; i < h.nr; i++) {
		const struct life_event *from = &h.event[h.order[i]];
		struct life_event *e = life_add_event(life, from->kind);
		u32 contents = 0;

		number[h.order[i]] = i + 1;
		*e = *from;
		if (e->issue)
			e->issue = number[from->issue - 1];
		if (e->op == LIFE_WRITE && !e->issue)
			*life_add_contents(life, 1, &contents) = h.content[h.order[i]];
		e->contents = contents;
		e->state = LIFE_NOT_ASKED;
	}
}

/* ---- what is found ---- */

struct finds {
	u64 *at;
	u32 nr, max;
};

static void issue(struct cells *cells, const struct life *life, u32 n, const struct life_event *e)
{
	if (e->op == LIFE_WRITE)
		cells_issue(cells, n, e->sector, life->contents[e->contents]);
	if (e->op != LIFE_DISCARD)
		return;
	cells_issue(cells, n, e->sector, CONTENT_ZERO);
	cells_issue(cells, n, e->sector, content_of_tag(TAG_JUNK));
}

static void end(struct cells *cells, const struct life *life, u32 n, const struct life_event *e)
{
	const struct life_event *issue = life_at(life, e->issue);

	if (issue->flags & LIFE_PREFLUSH)
		cells_flushed(cells, e->issue);
	cells_end(cells, n, e->issue, issue->sector, issue->sectors, issue->flags & LIFE_FUA,
		  issue->op == LIFE_DISCARD);
}

static bool is_allowed(const struct cells *users, sector_t sector, content_t content)
{
	const struct cells_suppose cut = { 0 };
	content_t options[CELLS_MAX];
	u32 nr = cells_options(users, sector, &cut, options, NULL);

	for (u32 i = 0; i < nr; i++)
		if (options[i] == content)
			return true;
	return false;
}

static void find_in(const struct cells *users, const content_t *state, struct finds *finds)
{
	u64 hash = 0;

	for (u32 i = 0; i < USER_SECTORS; i++)
		hash = crash_mix(hash, state[i]);
	for (u32 u = 0; u < USER_SECTORS; u++) {
		for (u32 i = 0; i < USER_SECTORS; i++) {
			if (is_allowed(users, u, state[i]))
				continue;
			finds->at = crash_grow(finds->at, finds->nr + 1, &finds->max, sizeof(*finds->at));
			finds->at[finds->nr++] = crash_mix(hash, u << 16 | state[i]);
		}
	}
}

/* All contents of sectors from @sector on. */
static void find_states(const struct cells *disks, const struct cells *users, content_t *state, u32 sector,
			struct finds *finds)
{
	const struct cells_suppose cut = { 0 };
	content_t options[CELLS_MAX];
	u32 nr;

	if (sector == USER_SECTORS) {
		find_in(users, state, finds);
		return;
	}
	nr = cells_options(&disks[sector / SECTORS], sector % SECTORS, &cut, options, NULL);
	for (u32 i = 0; i < nr; i++) {
		state[sector] = options[i];
		find_states(disks, users, state, sector + 1, finds);
	}
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void sort_finds(struct finds *finds)
{
	u32 kept = 0;

	if (finds->nr)
		qsort(finds->at, finds->nr, sizeof(*finds->at), compare);
	for (u32 i = 0; i < finds->nr; i++)
		if (!i || finds->at[i] != finds->at[i - 1])
			finds->at[kept++] = finds->at[i];
	finds->nr = kept;
}

static void find(const struct life *life, struct finds *finds)
{
	struct cells disks[CRASH_DISKS], users;
	content_t state[USER_SECTORS];

	memset(finds, 0, sizeof(*finds));
	cells_init(&users, USER_SECTORS);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		cells_init(&disks[d], SECTORS);
	for (u32 n = 1; n <= life->nr; n++) {
		const struct life_event *e = life_at(life, n);

		if (e->kind == LIFE_DISK_ISSUE)
			issue(&disks[e->disk], life, n, e);
		else if (e->kind == LIFE_IO_ISSUE)
			issue(&users, life, n, e);
		else if (e->kind == LIFE_DISK_END)
			end(&disks[life_at(life, e->issue)->disk], life, n, e);
		else
			end(&users, life, n, e);
		find_states(disks, &users, state, 0, finds);
	}
	for (u32 d = 0; d < CRASH_DISKS; d++)
		cells_exit(&disks[d]);
	cells_exit(&users);
	sort_finds(finds);
}

static bool same(const struct finds *a, const struct finds *b)
{
	return a->nr == b->nr && (!a->nr || !memcmp(a->at, b->at, a->nr * sizeof(*a->at)));
}

/* ---- other orders ---- */

struct touched {
	struct {
		enum life_object object;
		u32 part;
		enum sim_access kind;
	} at[16];
	u32 nr;
};

static void note(void *context, enum life_object object, u32 part, enum sim_access kind)
{
	struct touched *t = context;

	assert_true(t->nr < ARRAY_SIZE(t->at));
	t->at[t->nr].object = object;
	t->at[t->nr].part = part;
	t->at[t->nr++].kind = kind;
}

static bool conflict(u32 number)
{
	struct touched a = { .nr = 0 }, b = { .nr = 0 };
	struct life life;
	bool found = false;

	make_life(&life);
	life_touches(&life, number, true, note, &a);
	life_touches(&life, number + 1, true, note, &b);
	life_exit(&life);
	for (u32 i = 0; i < a.nr; i++)
		for (u32 j = 0; j < b.nr; j++)
			found |= a.at[i].object == b.at[j].object && a.at[i].part == b.at[j].part &&
				 sim_conflict(a.at[i].kind, b.at[j].kind);
	return found;
}

/* Events @number and the next one change places, if they can, and are in conflict or not. */
static bool exchange(u32 number, bool in_conflict)
{
	u32 *a = &h.order[number - 1], *b = a + 1, first = *a;

	if (h.after[*b] & 1U << *a || conflict(number) != in_conflict)
		return false;
	*a = *b;
	*b = first;
	return true;
}

static void orders_that_do_not_matter_show_nothing_else(void **state)
{
	u32 exchanges = 0, with_finds = 0;

	for (u32 n = 1; n <= LIVES; n++) {
		struct finds before, after;
		struct life life;
		u64 class;

		seed = n;
		make_history();
		make_life(&life);
		find(&life, &before);
		class = life_class(&life, true);
		life_exit(&life);
		for (u32 i = 0; i < EXCHANGES; i++)
			exchanges += exchange(1 + draw(h.nr - 1), false);
		make_life(&life);
		find(&life, &after);
		if (!same(&before, &after) || life_class(&life, true) != class)
			fail_msg("seed %u: %u finds, %u in another order, class %s", n, before.nr, after.nr,
				 life_class(&life, true) == class ? "the same" : "another");
		with_finds += before.nr > 0;
		life_exit(&life);
		free(before.at);
		free(after.at);
		content_release(0);
	}
	assert_true(exchanges > LIVES && with_finds > LIVES / 4);
}

/* What is said to matter does, often enough; and then it is another class. */
static void orders_that_matter_are_told_apart(void **state)
{
	u32 exchanges = 0, differ = 0;

	for (u32 n = 1; n <= LIVES; n++) {
		struct finds before, after;
		struct life life;
		u64 class;

		seed = n;
		make_history();
		make_life(&life);
		find(&life, &before);
		class = life_class(&life, true);
		life_exit(&life);
		if (exchange(1 + draw(h.nr - 1), true)) {
			make_life(&life);
			find(&life, &after);
			exchanges++;
			differ += !same(&before, &after);
			assert_true(life_class(&life, true) != class);
			life_exit(&life);
			free(after.at);
		}
		free(before.at);
		content_release(0);
	}
	assert_true(exchanges > LIVES / 20 && differ > exchanges / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_that_do_not_matter_show_nothing_else),
		cmocka_unit_test(orders_that_matter_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
