// SPDX-License-Identifier: GPL-2.0
/*
 * All states of the disks at one moment, or samples of them.
 *
 * A state is the path of decisions that were made when somebody looked at a sector that may hold several contents.
 * All states: the next path differs from the last one in its last decision that has an alternative left. Samples: all
 * decisions by one rule, of which the first are structured (all survives, nothing does, one sector does, all but one do, what was
 * issued until then) and the others random.
 */
#include <stdlib.h>

#include "walk.h"

/* ---- decisions ---- */

static u64 next_random(struct walk *w)
{
	return w->random = crash_mix(w->random, 0x9E37);
}

static u32 last_until(const struct image *im, const struct choice *ch, u32 issued)
{
	u32 option = 0;

	for (u32 i = 0; i < ch->nr; i++)
		if (im->pool[ch->first + i].issued <= issued)
			option = i;
	return option;
}

const struct crash_cut *given_cut(const struct walk *w)
{
	const struct crash_options *o = w->c->options;

	return w->depth <= o->nr_cuts ? &o->cuts[w->depth - 1] : NULL;
}

static u32 given(const struct walk *w, const struct choice *ch)
{
	const struct crash_cut *cut = given_cut(w);

	for (u32 i = 0; i < cut->nr_decisions; i++) {
		const struct crash_decision *d = &cut->decisions[i];

		if (d->disk == ch->disk && d->sector == ch->sector)
			return min(d->option, ch->nr - 1);
	}
	return 0;
}

/* Of the sector that the decision is about, looked at or not: so many. */
static u32 alternatives(const struct image *im, const struct crash_decision *d)
{
	u32 most = 1;

	for (u32 i = 0; i < im->nr_choices; i++)
		if (im->choices[i].disk == d->disk && im->choices[i].sector == d->sector)
			most = max(most, im->choices[i].nr);
	return most;
}

static bool can_be_given(const struct walk *w)
{
	const struct crash_cut *cut = given_cut(w);
	const size_t size = sizeof(w->c->cut_error);
	char *error = w->c->cut_error;
	int n;

	for (u32 i = 0; i < cut->nr_decisions; i++) {
		const struct crash_decision *d = &cut->decisions[i];
		u32 nr = alternatives(&w->c->im, d);

		if (d->option < nr)
			continue;
		n = snprintf(error, size, "after event %u sector %llu of the %s has ", cut->event,
			     (unsigned long long)d->sector, crash_disk_names[d->disk]);
		if (nr > 1)
			snprintf(error + n, size - n, "alternatives 0 to %u, not %u", nr - 1, d->option);
		else
			snprintf(error + n, size - n, "one content only: alternative 0, not %u", d->option);
		return false;
	}
	return true;
}

/*
 * The first of all. A write of a single sector that was issued just now has survived: without it, the state is one
 * of the event before.
 */
static u32 first_option(const struct walk *w, const struct choice *ch)
{
	u32 newest = ch->nr - 1;

	return w->fresh && w->fresh_sectors == 1 &&
	       w->c->im.pool[ch->first + newest].issued == w->fresh ? newest : 0;
}

static u32 by_policy(struct walk *w, const struct choice *ch, u32 asked)
{
	u32 newest = ch->nr - 1;

	switch (w->policy) {
	case FIRST:
		return first_option(w, ch);
	case OLDEST:
		return 0;
	case NEWEST:
		return newest;
	case ORIGIN_NEWEST:
		return ch->disk == CRASH_ORIGIN ? newest : 0;
	case STORE_NEWEST:
		return ch->disk == CRASH_STORE ? newest : 0;
	case ONE_NEW:
		return asked == w->policy_k ? newest : 0;
	case ONE_OLD:
		return asked == w->policy_k ? 0 : newest;
	case UNTIL:
		return last_until(&w->c->im, ch, w->policy_k);
	case RANDOM:
		return next_random(w) % ch->nr;
	case GIVEN:
		return given(w, ch);
	}
	return 0;
}

void search_note(struct walk *w, u32 number, u32 option)
{
	w->path = crash_grow(w->path, (u64)w->nr_path + 1, &w->max_path, sizeof(*w->path));
	w->path[w->nr_path++] = (struct decision){ number, option, w->c->im.choices[number].nr };
	w->pos++;
}

u32 search_decide(void *context, u32 number)
{
	struct crash *c = context;
	struct walk *w = c->walk;
	const struct choice *ch = &c->im.choices[number];
	u32 option;

	if (w->pos < w->nr_path) {
		const struct decision *d = &w->path[w->pos++];
		if (d->number != number || d->nr != ch->nr)
			sim_fail("crash: the same state was read in another order than before");
		return d->option;
	}
	option = by_policy(w, ch, w->pos);
	search_note(w, number, option);
	return option;
}

void search_undecide(struct walk *w)
{
	for (u32 i = 0; i < w->pos; i++)
		w->c->im.choices[w->path[i].number].decided = UNDECIDED;
	w->pos = 0;
}

void search_aside(struct walk *w, void (*fn)(struct crash *c, const struct truth *truth),
		  const struct truth *truth)
{
	u32 nr_path = w->nr_path, pos = w->pos;
	enum policy policy = w->policy;

	w->policy = OLDEST;
	w->nr_path = pos;
	fn(w->c, truth);
	while (w->pos > pos)
		w->c->im.choices[w->path[--w->pos].number].decided = UNDECIDED;
	w->nr_path = nr_path;
	w->policy = policy;
}

/* ---- paths ---- */

bool search_all(struct walk *w, u32 phase)
{
	u32 tried = 0;

	w->policy = FIRST;
	w->nr_path = 0;
	do {
		if (tried++ == w->c->options->bound)
			return false;
		walk_try(w, phase);
		while (w->nr_path && w->path[w->nr_path - 1].option + 1 == w->path[w->nr_path - 1].nr)
			w->nr_path--;
		if (w->nr_path)
			w->path[w->nr_path - 1].option++;
	} while (w->nr_path);
	return true;
}

static void try_policy(struct walk *w, u32 phase, enum policy policy, u32 k)
{
	w->policy = policy;
	w->policy_k = k;
	w->nr_path = 0;
	walk_try(w, phase);
}

/* The moments at which something was issued that may or may not have survived. */
static u32 issue_after(const struct walk *w, u32 issue)
{
	const struct image *im = &w->c->im;
	u32 next = U32_MAX;

	for (u32 i = 0; i < im->nr_pool; i++)
		if (im->pool[i].issued > issue && im->pool[i].issued < next)
			next = im->pool[i].issued;
	return next;
}

void search_samples(struct walk *w, u32 phase)
{
	u32 samples = w->c->options->samples, asked, n;

	try_policy(w, phase, NEWEST, 0);
	asked = w->nr_path;
	try_policy(w, phase, OLDEST, 0);
	try_policy(w, phase, ORIGIN_NEWEST, 0);
	try_policy(w, phase, STORE_NEWEST, 0);
	n = 0;
	for (u32 k = issue_after(w, 0); k != U32_MAX && n < samples; k = issue_after(w, k), n++)
		try_policy(w, phase, UNTIL, k);
	for (u32 k = 0; k < asked && k < samples; k++) {
		try_policy(w, phase, ONE_NEW, k);
		try_policy(w, phase, ONE_OLD, k);
	}
	w->random = crash_mix(w->c->options->seed, crash_mix(w->truth.now, phase));
	for (u32 k = 0; k < samples; k++)
		try_policy(w, phase, RANDOM, k);
}

void search_given(struct walk *w, u32 phase)
{
	w->c->cuts_tried = max(w->c->cuts_tried, w->depth);
	if (!can_be_given(w))
		return;
	try_policy(w, phase, GIVEN, 0);
}
