// SPDX-License-Identifier: GPL-2.0
/*
 * When snapshots exist, and errors are excused (truth.h). The moments at which snapshots come and go are taken from the states that the life
 * has recorded: a snapshot that is in one status and was not in the one before came while one of the commands ran
 * that were under way in between.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr() */
#endif
#include <stdlib.h>
#include <string.h>

#include "truth.h"

static bool has_id(const struct life *life, const struct life_state *s, snapid_t id)
{
	for (u32 i = 0; i < s->nr_ids; i++)
		if (life->ids[s->ids + i] == id)
			return true;
	return false;
}

/* The number of the event that ends the command that begins with event @begin; CELLS_PENDING: none. */
static u32 command_end(const struct life *life, u32 begin)
{
	for (u32 n = begin + 1; n <= life->nr; n++)
		if (life_at(life, n)->kind == LIFE_CTL_END && life_at(life, n)->issue == begin)
			return n;
	return CELLS_PENDING;
}

/* The first command that was under way at some time between the events @known and @until; else @until. */
static u32 first_command(const struct life *life, u32 known, u32 until)
{
	for (u32 n = 1; n <= until; n++)
		if (life_at(life, n)->kind == LIFE_CTL_BEGIN && command_end(life, n) > known)
			return n;
	return until;
}

/* A status shows what is about to become durable: it is when all commands under way at @now have ended. */
static u32 commands_ended(const struct life *life, u32 now)
{
	u32 last = now;

	for (u32 n = now + 1; n <= life->nr; n++) {
		const struct life_event *e = life_at(life, n);

		if (e->kind == LIFE_CTL_END && e->issue <= now)
			last = n;
	}
	return last;
}

struct truth_snapshot *truth_add_snapshot(struct truth *t, snapid_t id, u32 coming, u32 live)
{
	struct truth_snapshot *s;

	t->snapshots = realloc(t->snapshots, (t->nr_snapshots + 1) * sizeof(*s));
	if (!t->snapshots)
		abort();
	s = &t->snapshots[t->nr_snapshots++];
	memset(s, 0, sizeof(*s));
	s->id = id;
	s->coming = coming;
	s->live = live;
	s->going = s->gone = CELLS_PENDING;
	return s;
}

static struct truth_snapshot *present(struct truth *t, snapid_t id)
{
	for (u32 i = 0; i < t->nr_snapshots; i++)
		if (t->snapshots[i].id == id && t->snapshots[i].gone == CELLS_PENDING)
			return &t->snapshots[i];
	return NULL;
}

/* Was there something between the events @known and @now after which nobody asked for the status? */
static bool was_blind(const struct life *life, u32 known, u32 now)
{
	for (u32 n = known + 1; n <= now; n++)
		if (truth_is_seen(life_at(life, n)) && life_at(life, n)->state == LIFE_NOT_ASKED)
			return true;
	return false;
}

/* From the begin of the first to the end of the last command with @flag that was under way at some time in between. False: none was. */
static bool commands_between(const struct life *life, u32 known, u32 now, u8 flag, struct truth_span *span)
{
	*span = (struct truth_span){ CELLS_PENDING, 0 };
	for (u32 n = 1; n <= now; n++) {
		const struct life_event *e = life_at(life, n);
		u32 end;

		if (e->kind != LIFE_CTL_BEGIN || !(e->flags & flag))
			continue;
		end = command_end(life, n);
		if (end <= known)
			continue;
		span->from = min(span->from, n);
		span->until = max(span->until, end <= now ? end : commands_ended(life, now));
	}
	return span->until;
}

/*
 * What came or went between the events @known and @now did so while a command was under way; where nobody asked after each of
 * them: one of those that may do it (@flag), and it is certain when all of these have ended.
 */
static struct truth_span command_span(const struct life *life, u32 known, u32 now, u8 flag)
{
	struct truth_span span;

	if (!was_blind(life, known, now) || !commands_between(life, known, now, flag, &span))
		span = (struct truth_span){ first_command(life, known, now), commands_ended(life, now) };
	return span;
}

/* Perhaps a snapshot came and went before anybody looked. */
static bool may_be_missed(const struct life *life, u32 known, u32 now)
{
	struct truth_span span;

	return was_blind(life, known, now) && commands_between(life, known, now, LIFE_CREATES, &span) &&
	       commands_between(life, known, now, LIFE_DELETES, &span);
}

static void compare_states(struct truth *t, const struct life_state *s, u32 known, u32 now)
{
	const struct life *life = t->life;
	struct truth_span span;

	for (u32 i = 0; i < s->nr_ids; i++) {
		snapid_t id = life->ids[s->ids + i];

		if (present(t, id))
			continue;
		span = command_span(life, known, now, LIFE_CREATES);
		truth_add_snapshot(t, id, span.from, span.until);
	}
	for (u32 i = 0; i < t->nr_snapshots; i++) {
		struct truth_snapshot *snapshot = &t->snapshots[i];

		if (snapshot->gone != CELLS_PENDING || has_id(life, s, snapshot->id))
			continue;
		span = command_span(life, known, now, LIFE_DELETES);
		snapshot->going = span.from;
		snapshot->gone = span.until;
	}
}

static bool has_state(const struct life_event *e)
{
	return truth_is_seen(e) && e->state != LIFE_NOT_ASKED;
}

/* From event @from until @until any snapshot may exist. */
static void add_wild(struct truth *t, u32 from, u32 until)
{
	t->wild = realloc(t->wild, (t->nr_wild + 1) * sizeof(*t->wild));
	if (!t->wild)
		abort();
	t->wild[t->nr_wild++] = (struct truth_span){ from, until };
}

/* From here to the next status that is seen, snapshots may be there or not, and then they are other ones. */
static void wipe(struct truth *t, u32 n)
{
	const struct life *life = t->life;
	u32 seen = n + 1;

	while (seen <= life->nr && !(has_state(life_at(life, seen)) &&
				     life->states[life_at(life, seen)->state].loaded))
		seen++;
	for (u32 i = 0; i < t->nr_snapshots; i++) {
		if (t->snapshots[i].gone != CELLS_PENDING)
			continue;
		t->snapshots[i].going = n;
		t->snapshots[i].gone = seen <= life->nr ? seen : CELLS_PENDING - 1;
	}
}

void truth_find_moments(struct truth *t)
{
	const struct life *life = t->life;
	const struct life_state *last = NULL;
	bool preserve = life->table && strcasestr(life->table, "preserve-on-error");
	u32 known = 0, last_state = U32_MAX, wild = 0;

	t->first_load = t->excused = CELLS_PENDING;
	for (u32 n = 1; n <= life->nr; n++) {
		const struct life_event *e = life_at(life, n);
		const struct life_state *s;

		if (e->kind == LIFE_CTL_BEGIN && t->first_load == CELLS_PENDING)
			t->first_load = n;
		if (e->kind == LIFE_CTL_BEGIN && e->flags & LIFE_SYNC && !wild)
			wild = n;
		if (e->kind == LIFE_WIPE)
			wipe(t, n);
		/* A disk refused: nobody need have seen what came of it. Not to offer an operation is no error. */
		if (e->kind == LIFE_DISK_END && e->error && e->error != -EOPNOTSUPP && !preserve &&
		    n < t->excused)
			t->excused = n;
		if (!has_state(e))
			continue;
		s = &life->states[e->state];
		if (!s->loaded)
			continue;
		if (wild) {
			add_wild(t, wild, n);
			wild = 0;
		}
		if (may_be_missed(life, known, n))
			add_wild(t, known, n);
		if (s->error && t->excused > known && !preserve)
			t->excused = known;
		/* Prepared, and gone again before anybody saw whether it had been created. */
		if (last && last->prepared != SNAPID_ORIGIN && last->prepared != s->prepared &&
		    !present(t, last->prepared) && !has_id(life, s, last->prepared))
			truth_add_snapshot(t, last->prepared, first_command(life, known, n), CELLS_PENDING)->gone =
				commands_ended(life, n);
		if (e->state != last_state)
			compare_states(t, s, known, n);
		last = s;
		last_state = e->state;
		known = n;
	}
	if (wild)
		add_wild(t, wild, CELLS_PENDING);
	if (life->unmarked && life->unmarked < t->excused)
		t->excused = life->unmarked;
	/* Prepared, and nobody saw any more whether it was created. */
	if (last && last->prepared != SNAPID_ORIGIN && !present(t, last->prepared) && known < life->nr) {
		u32 first = first_command(life, known, life->nr);

		if (first < life->nr)
			truth_add_snapshot(t, last->prepared, first, CELLS_PENDING);
	}
}
