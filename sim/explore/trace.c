// SPDX-License-Identifier: GPL-2.0
/*
 * The schedule that is being run (trace.h).
 *
 * Each object has a chain of its touches, the latest first; whoever touches it walks back as far as the last touch that is
 * in conflict with all. Steps that are taken back take the heads of the chains back.
 *
 * Locks. Two steps that take the same lock could come in the other order although between them lies the unlocking, without
 * which the second would not have been ready. So the race is between the two that take it, and the unlocking only adds to
 * the order (as for locks in Abdulla, Aronis, Jonsson, Sagonas: Source Sets: A Foundation for Optimal Dynamic Partial Order
 * Reduction, JACM 2017).
 */
#include "trace.h"

#include <string.h>

#include "grow.h"

struct link {
	u32 step;
	u32 before; /* the touch of the same object before it; + 1 */
};

struct object {
	const void *address;
	u32 part;
	u32 last; /* touch; + 1 */
};

struct process {
	u32 last;    /* step; + 1 */
	u32 enabled; /* the last of those that have enabled it; + 1 */
};

struct enabling {
	u32 step, process;
	u32 before; /* for the same process; + 1 */
};

/* A step in conflict with the last one. @lock: known as coming before it only through that object (+ 1) being unlocked. */
struct candidate {
	u32 step, lock;
	bool race;
};

static struct trace {
	GROWING(struct step) steps;
	GROWING(struct touch) touches;
	GROWING(struct link) links; /* of each touch */
	GROWING(struct object) objects;
	GROWING(struct process) processes;
	GROWING(struct enabling) enablings;
	GROWING(u32) barriers; /* steps before each of these come before all from it on */
	GROWING(u64) words; /* the sets, one after the other */
	GROWING(struct candidate) candidates;
	GROWING(struct race) races;
	GROWING(u32) initials;
	GROWING(u64) set; /* scratch */
	u32 *table; /* of objects, + 1; open addressing */
	u32 table_size;
} *t;

void trace_init(void)
{
	t = keep_alloc(sizeof(*t));
	t->table_size = 4096;
	t->table = keep_alloc(t->table_size * sizeof(*t->table));
}

/* ---- sets of steps ---- */

static u32 words_for(u32 steps)
{
	return (steps + 63) / 64;
}

static u64 *set_of(u32 nr)
{
	return &t->words.at[t->steps.at[nr].words];
}

static bool set_has(const u64 *set, u32 nr)
{
	return set[nr / 64] >> (nr % 64) & 1;
}

static void set_add(u64 *set, u32 nr)
{
	set[nr / 64] |= 1ULL << (nr % 64);
}

/* All before @nr. */
static void set_add_all(u64 *set, u32 nr)
{
	memset(set, 0xff, nr / 64 * sizeof(*set));
	if (nr % 64)
		set[nr / 64] |= (1ULL << (nr % 64)) - 1;
}

/* @nr and all that happens before it. */
static void set_add_past(u64 *set, u32 nr)
{
	const u64 *past = set_of(nr);

	for (u32 i = 0; i < words_for(nr); i++)
		set[i] |= past[i];
	set_add(set, nr);
}

static bool happens_before(u32 a, u32 b)
{
	return a < b && set_has(set_of(b), a);
}

/* ---- objects ---- */

static u32 *object_place(const void *address, u32 part)
{
	u64 hash = ((u64)address + part * 0x9E3779B97F4A7C15ULL) * 0xD1B54A32D192ED03ULL;
	u32 i = (u32)(hash >> 32) & (t->table_size - 1);

	for (; t->table[i]; i = (i + 1) & (t->table_size - 1)) {
		const struct object *o = &t->objects.at[t->table[i] - 1];

		if (o->address == address && o->part == part)
			break;
	}
	return &t->table[i];
}

static void table_double(void)
{
	keep_free(t->table);
	t->table_size *= 2;
	t->table = keep_alloc(t->table_size * sizeof(*t->table));
	for (u32 i = 0; i < t->objects.nr; i++)
		*object_place(t->objects.at[i].address, t->objects.at[i].part) = i + 1;
}

static u32 object_number(const void *address, u32 part)
{
	u32 *place = object_place(address, part);

	if (*place)
		return *place - 1;
	*push(&t->objects) = (struct object){ .address = address, .part = part };
	*place = t->objects.nr;
	if (2 * t->objects.nr > t->table_size)
		table_double();
	return t->objects.nr - 1;
}

static struct process *process_at(u32 process)
{
	while (t->processes.nr <= process)
		*push(&t->processes) = (struct process){ 0 };
	return &t->processes.at[process];
}

/* ---- steps ---- */

void trace_start(void)
{
	trace_truncate(0);
	memset(t->table, 0, t->table_size * sizeof(*t->table));
	t->objects.nr = 0;
	t->processes.nr = 0;
}

static void forget_enablings(u32 nr)
{
	while (t->enablings.nr && t->enablings.at[t->enablings.nr - 1].step >= nr) {
		const struct enabling *e = &t->enablings.at[--t->enablings.nr];

		process_at(e->process)->enabled = e->before;
	}
}

void trace_truncate(u32 nr)
{
	while (t->steps.nr > nr) {
		const struct step *step = &t->steps.at[--t->steps.nr];

		while (t->touches.nr > step->first_touch) {
			u32 touch = --t->touches.nr;

			t->objects.at[t->touches.at[touch].object].last = t->links.at[touch].before;
		}
		process_at(step->process)->last = step->previous == STEP_NONE ? 0 : step->previous + 1;
		t->words.nr = step->words;
	}
	t->links.nr = t->touches.nr;
	forget_enablings(nr);
	while (t->barriers.nr && t->barriers.at[t->barriers.nr - 1] > nr)
		t->barriers.nr--;
}

u32 trace_length(void)
{
	return t->steps.nr;
}

const struct step *trace_step(u32 nr)
{
	return &t->steps.at[nr];
}

const struct touch *trace_touches(u32 nr, u32 *n)
{
	*n = t->steps.at[nr].nr_touches;
	return &t->touches.at[t->steps.at[nr].first_touch];
}

void trace_begin_step(const struct sim_step *does)
{
	struct process *process = process_at(does->process);
	u32 nr = t->steps.nr;

	*push(&t->steps) = (struct step){
		.process = does->process,
		.previous = process->last ? process->last - 1 : STEP_NONE,
		.first_touch = t->touches.nr,
		.words = t->words.nr,
		.does = *does,
	};
	process->last = nr + 1;
}

void trace_touch(const void *address, u32 part, enum sim_access kind)
{
	u32 nr = t->steps.nr - 1, object = object_number(address, part);
	struct step *step = &t->steps.at[nr];
	struct touch *touch;

	for (u32 i = 0; i < step->nr_touches; i++) {
		touch = &t->touches.at[step->first_touch + i];
		if (touch->object != object)
			continue;
		if (touch->kind == kind || touch->kind == SIM_WRITE || touch->kind == SIM_LOCK)
			return;
		if (kind == SIM_WRITE || kind == SIM_LOCK) {
			touch->kind = kind;
			return;
		}
	}
	*push(&t->touches) = (struct touch){ .object = object, .kind = kind };
	*push(&t->links) = (struct link){ .step = nr, .before = t->objects.at[object].last };
	t->objects.at[object].last = t->touches.nr;
	step->nr_touches++;
}

void trace_enables(u32 process)
{
	struct process *p = process_at(process);

	if (!t->steps.nr)
		return;
	*push(&t->enablings) = (struct enabling){
		.step = t->steps.nr - 1,
		.process = process,
		.before = p->enabled,
	};
	p->enabled = t->enablings.nr;
}

void trace_idle(void)
{
	*push(&t->barriers) = t->steps.nr;
}

/* ---- the order ---- */

static void add_candidate(u32 step, u32 lock, bool race)
{
	*push(&t->candidates) = (struct candidate){ step, lock, race };
}

/* The steps in conflict with the last one because of its touch @nr. */
static void find_candidates(u32 nr)
{
	const struct touch *touch = &t->touches.at[nr];
	u32 before;

	for (before = t->links.at[nr].before; before; before = t->links.at[before - 1].before) {
		u32 step = t->links.at[before - 1].step;
		u8 kind = t->touches.at[before - 1].kind;

		if (step == t->steps.nr - 1)
			continue;
		/* The one that gives back what it has taken: all before comes before that. */
		if (touch->kind == SIM_UNLOCK && kind == SIM_LOCK &&
		    t->steps.at[step].process == t->steps.at[t->steps.nr - 1].process)
			return;
		if (touch->kind == SIM_LOCK && kind >= SIM_LOCK) {
			add_candidate(step, touch->object + 1, kind == SIM_LOCK);
			if (kind == SIM_UNLOCK)
				continue;
		} else if (!sim_conflict(touch->kind, kind)) {
			continue;
		} else {
			add_candidate(step, 0, true);
		}
		if (kind >= SIM_WRITE)
			return;
	}
}

/* Does @c happen before the last step by other ways than by being in conflict with it itself? @base: by its own past. */
static bool decided(const struct candidate *c, const u64 *base)
{
	if (set_has(base, c->step))
		return true;
	for (u32 i = 0; i < t->candidates.nr; i++) {
		const struct candidate *other = &t->candidates.at[i];

		/* It has given what the last step could not do without. */
		if (other->step == c->step && !other->race)
			return true;
		if (other->step != c->step && (!c->lock || other->lock != c->lock) &&
		    happens_before(c->step, other->step))
			return true;
	}
	return false;
}

static void own_past(u64 *set, u32 nr)
{
	const struct step *step = &t->steps.at[nr];
	u32 enabled = process_at(step->process)->enabled;

	if (t->barriers.nr)
		set_add_all(set, t->barriers.at[t->barriers.nr - 1]);
	if (step->previous != STEP_NONE)
		set_add_past(set, step->previous);
	for (; enabled; enabled = t->enablings.at[enabled - 1].before) {
		const struct enabling *e = &t->enablings.at[enabled - 1];

		/* Who has enabled it before its last step is in that one's past. */
		if (step->previous != STEP_NONE && e->step < step->previous)
			break;
		if (e->step != nr)
			set_add_past(set, e->step);
	}
}

const struct race *trace_end_step(u32 *nr_races)
{
	u32 nr = t->steps.nr - 1, words = words_for(nr + 1);
	struct step *step = &t->steps.at[nr];
	u64 *set;

	grow(&t->words, t->words.nr + words);
	set = &t->words.at[t->words.nr];
	t->words.nr += words;
	memset(set, 0, words * sizeof(*set));
	own_past(set, nr);

	t->candidates.nr = 0;
	for (u32 i = 0; i < step->nr_touches; i++)
		find_candidates(step->first_touch + i);
	t->races.nr = 0;
	for (u32 i = 0; i < t->candidates.nr; i++) {
		const struct candidate *c = &t->candidates.at[i];

		if (c->race && t->steps.at[c->step].process != step->process && !decided(c, set))
			*push(&t->races) = (struct race){ c->step, nr };
	}
	for (u32 i = 0; i < t->candidates.nr; i++)
		set_add_past(set, t->candidates.at[i].step);
	*nr_races = t->races.nr;
	return t->races.at;
}

const u32 *trace_initials(const struct race *race, u32 *n)
{
	u32 words = words_for(race->second + 1);

	grow(&t->set, words);
	memset(t->set.at, 0, words * sizeof(*t->set.at));
	t->initials.nr = 0;
	for (u32 i = race->first + 1; i <= race->second; i++) {
		const u64 *past;
		bool first = true;

		if (i < race->second && happens_before(race->first, i))
			continue;
		past = set_of(i);
		for (u32 w = race->first / 64; w < words_for(i) && first; w++)
			first = !(past[w] & t->set.at[w]);
		if (first)
			*push(&t->initials) = t->steps.at[i].process;
		set_add(t->set.at, i);
	}
	*n = t->initials.nr;
	return t->initials.at;
}

bool touches_conflict(const struct touch *a, u32 nr_a, const struct touch *b, u32 nr_b)
{
	for (u32 i = 0; i < nr_a; i++)
		for (u32 j = 0; j < nr_b; j++)
			if (a[i].object == b[j].object && sim_conflict(a[i].kind, b[j].kind))
				return true;
	return false;
}
