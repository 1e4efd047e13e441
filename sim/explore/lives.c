// SPDX-License-Identifier: GPL-2.0
/*
 * Orders that matter (lives.h), and the class of a life: its normal form after Foata. The *level* of an event is one more than the
 * highest of those before it with which it is in conflict; lives are of one class if they have the same events at each level.
 */
#include <stdlib.h>
#include <string.h>

#include "lives.h"
#include "rewind.h"

#define GROWS SIM_BEGIN
#define SHRINKS SIM_END

typedef void touch_fn(void *context, enum life_object object, u32 part, enum sim_access kind);

/* ---- what events touch ---- */

static void touch_sectors(enum life_object object, u32 salt, const struct life_event *issue, enum sim_access kind,
			  touch_fn *touch, void *context)
{
	for (u32 i = 0; i < issue->sectors; i++)
		touch(context, object, (u32)crash_mix(issue->sector + i, salt), kind);
}

static void disk_issue(const struct life_event *e, touch_fn *touch, void *context)
{
	if (e->sectors)
		touch(context, LIFE_MOMENT, 0, GROWS);
	if (e->flags & LIFE_PREFLUSH)
		touch(context, LIFE_DISK_FLUSH + e->disk, 0, SIM_BEGIN);
	touch_sectors(LIFE_DISK_SECTOR + e->disk, 0, e, SIM_BEGIN, touch, context);
}

/* What fails excuses findings, and makes nothing durable. */
static void disk_end(const struct life_event *issue, int error, touch_fn *touch, void *context)
{
	if (issue->flags & (LIFE_FUA | LIFE_PREFLUSH) || error)
		touch(context, LIFE_MOMENT, 0, SHRINKS);
	if (issue->sectors || error)
		touch(context, LIFE_DISK_FLUSH + issue->disk, 0, SIM_END);
	touch_sectors(LIFE_DISK_SECTOR + issue->disk, 0, issue, SIM_END, touch, context);
}

static void io_issue(const struct life *life, const struct life_event *e, bool fresh, touch_fn *touch, void *context)
{
	bool is_new = fresh && e->op == LIFE_WRITE && life->contents[e->contents] != CONTENT_ZERO;

	if (e->sectors && !is_new)
		touch(context, LIFE_MOMENT, 0, SHRINKS);
	if (e->sectors)
		touch(context, LIFE_FORK_ENDS, 0, SHRINKS);
	if (e->flags & LIFE_PREFLUSH)
		touch(context, LIFE_USER_FLUSH, (u32)crash_mix(e->id, 0), SIM_BEGIN);
	touch_sectors(LIFE_USER_SECTOR, (u32)crash_mix(e->id, 1), e, SIM_BEGIN, touch, context);
}

static void io_end(const struct life_event *issue, int error, touch_fn *touch, void *context)
{
	if (issue->flags & (LIFE_FUA | LIFE_PREFLUSH) && !error)
		touch(context, LIFE_MOMENT, 0, GROWS);
	if (!issue->sectors)
		return;
	touch(context, LIFE_FORK_BEGINS, 0, GROWS);
	touch(context, LIFE_USER_FLUSH, (u32)crash_mix(issue->id, 0), SIM_END);
	touch_sectors(LIFE_USER_SECTOR, (u32)crash_mix(issue->id, 1), issue, SIM_END, touch, context);
}

static void command(const struct life_event *begin, bool begins, touch_fn *touch, void *context)
{
	if (!(begin->flags & (LIFE_CREATES | LIFE_DELETES | LIFE_SYNC)))
		return;
	touch(context, LIFE_MOMENT, 0, begins ? SHRINKS : GROWS);
	touch(context, begins ? LIFE_FORK_BEGINS : LIFE_FORK_ENDS, 0, begins ? SHRINKS : GROWS);
}

void life_touches(const struct life *life, u32 number, bool fresh, touch_fn *touch, void *context)
{
	const struct life_event *e = life_at(life, number), *issue = e->issue ? life_at(life, e->issue) : NULL;

	switch ((enum life_kind)e->kind) {
	case LIFE_DISK_ISSUE:
		disk_issue(e, touch, context);
		break;
	case LIFE_DISK_END:
		disk_end(issue, e->error, touch, context);
		break;
	case LIFE_IO_ISSUE:
		io_issue(life, e, fresh, touch, context);
		break;
	case LIFE_IO_END:
		io_end(issue, e->error, touch, context);
		break;
	case LIFE_CTL_BEGIN:
		command(e, true, touch, context);
		break;
	case LIFE_CTL_END:
		command(issue, false, touch, context);
		break;
	case LIFE_WIPE:
	case LIFE_LOOK:
		touch(context, LIFE_MOMENT, 0, SIM_WRITE);
		break;
	}
}

/* ---- scripts ---- */

static u32 count_writes(const struct script_command *c, u64 fill)
{
	u32 nr = 0;

	for (; c; c = c->next) {
		nr += c->block ? count_writes(c->block, fill) : 0;
		nr += !strcmp(c->verb->name, "write") && c->args.fill == fill;
	}
	return nr;
}

static bool are_fresh(const struct script_command *c, const struct script_command *script)
{
	for (; c; c = c->next) {
		if (c->block && !are_fresh(c->block, script))
			return false;
		if (!strcmp(c->verb->name, "write") && count_writes(script, c->args.fill) > 1)
			return false;
	}
	return true;
}

bool lives_are_fresh(const struct script_command *script)
{
	return are_fresh(script, script);
}

/* ---- classes ---- */

#define SLOTS 16384 /* a power of two */

/* The highest levels of events that have touched it: of all, and of those of each kind. */
struct slot {
	u64 key;
	u32 life;	/* 0: never used; else only this one's */
	u32 level[SIM_WRITE + 1];
};

static struct levels {
	struct slot slots[SLOTS];
	u32 life, used;
	u32 level;	/* of the event that is being looked at */
} levels rewind_kept;

static struct slot *find_slot(u64 key)
{
	u32 i = crash_mix(key, 0) & (SLOTS - 1);
	struct slot *slot;

	for (;; i = (i + 1) & (SLOTS - 1)) {
		slot = &levels.slots[i];
		if (slot->life == levels.life && slot->key == key)
			return slot;
		if (slot->life != levels.life)
			break;
	}
	if (++levels.used > SLOTS / 2)
		sim_fail("the life of a script is too large to be explored: more than %u sectors and devices", SLOTS / 2);
	memset(slot, 0, sizeof(*slot));
	slot->life = levels.life;
	slot->key = key;
	return slot;
}

static u64 key_of(enum life_object object, u32 part)
{
	return (u64)object << 32 | part;
}

static void find_level(void *unused, enum life_object object, u32 part, enum sim_access kind)
{
	const struct slot *slot = find_slot(key_of(object, part));

	for (u32 other = 0; other <= SIM_WRITE; other++)
		if (sim_conflict(kind, other))
			levels.level = max(levels.level, slot->level[other] + 1);
}

static void set_level(void *unused, enum life_object object, u32 part, enum sim_access kind)
{
	struct slot *slot = find_slot(key_of(object, part));

	slot->level[kind] = max(slot->level[kind], levels.level);
}

static u64 state_hash(const struct life *life, u32 state)
{
	const struct life_state *s;
	u64 hash;

	if (state == LIFE_NOT_ASKED)
		return state;
	s = &life->states[state];
	hash = crash_mix(s->loaded, crash_mix((u32)s->error, s->prepared));
	for (u32 i = 0; i < s->nr_ids; i++)
		hash = crash_mix(hash, life->ids[s->ids + i]);
	return hash;
}

/* Of all that it says, but for its number; @issue: of the event that it ends, or 0. */
static u64 event_hash(const struct life *life, const struct life_event *e, u64 issue)
{
	u64 hash = crash_mix(e->kind | e->op << 8 | e->flags << 16 | e->disk << 24, issue);
	bool has_state = e->kind == LIFE_IO_END || e->kind >= LIFE_CTL_BEGIN;

	hash = crash_mix(hash, e->id);
	hash = crash_mix(hash, e->sector);
	hash = crash_mix(hash, (u64)e->sectors << 32 | e->line);
	hash = crash_mix(hash, (u32)e->error);
	for (u32 i = 0; e->op == LIFE_WRITE && i < e->sectors; i++)
		hash = crash_mix(hash, content_hash(life->contents[e->contents + i]));
	return has_state ? crash_mix(hash, state_hash(life, e->state)) : hash;
}

u64 life_class(const struct life *life, bool fresh)
{
	u64 *hashes = calloc(life->nr + 1, sizeof(*hashes));
	u32 *at = calloc(life->nr + 1, sizeof(*at));
	u64 class = life->unmarked;

	if (!hashes || !at)
		abort();
	levels.life++;
	levels.used = 0;
	for (u32 n = 1; n <= life->nr; n++) {
		const struct life_event *e = life_at(life, n);

		levels.level = e->issue ? at[e->issue] + 1 : 1;
		life_touches(life, n, fresh, find_level, NULL);
		life_touches(life, n, fresh, set_level, NULL);
		at[n] = levels.level;
		hashes[n] = crash_mix(levels.level, event_hash(life, e, e->issue ? hashes[e->issue] : 0));
		class += hashes[n];
	}
	free(hashes);
	free(at);
	return class;
}
