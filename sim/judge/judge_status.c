// SPDX-License-Identifier: GPL-2.0
/*
 * The status of a target: its snapshots are those that were created and not deleted (I4), and an error in it needs a
 * reason (I6).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge_int.h"

/* ---- asking ---- */

static bool ask(const struct judge_target *t, struct target_status *st)
{
	return t->loaded && target_status_ask(t->device, st);
}

static bool shows(const struct target_status *st, snapid_t id)
{
	for (unsigned int i = 0; i < st->nr; i++)
		if (st->ids[i] == id)
			return true;
	return false;
}

/* A command on this target is under way. */
static bool is_busy(const struct judge_target *t, bool load)
{
	for (const struct judge_command *cmd = judge.commands; cmd; cmd = cmd->next)
		if ((cmd->target == t || cmd->kind == JUDGE_LOAD) && (!load || cmd->kind == JUDGE_LOAD))
			return true;
	return false;
}

/* ---- the error ---- */

static bool has_reason(const struct judge_target *t, const struct target_status *st)
{
	if (t->anything || t->believe || t->error_before || t->ended_badly || judge_resized(t) ||
	    judge_faults() != t->faults_at_load)
		return true;
	/* Full, but for what the store needs to delete. */
	return st->error == -ENOSPC && st->total - st->allocated <= max_t(u64, st->total / 4, 64 * t->chunk);
}

/* What was created, or was about to be, is there or not: the next load shows. */
static void note_error(struct judge_target *t, const struct target_status *st)
{
	if (t->error && t->error != st->error && !t->anything)
		sim_fail("status of %s: the error was %s, it is %s", t->device, errno_name(t->error),
			 errno_name(st->error));
	if (!t->error && !has_reason(t, st))
		sim_fail("status of %s: %s without a reason", t->device, errno_name(st->error));
	t->error = st->error;
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if ((s->state != JUDGE_ASKED && s->state != JUDGE_CREATED) || s->asking)
			continue;
		if (!s->windowed) {
			judge_snapshot_kill(s);
			continue;
		}
		judge_window_close(s);
		s->state = JUDGE_DOUBTFUL;
	}
}

/* ---- snapshots ---- */

static const char *id_text(snapid_t id)
{
	static char text[32];

	snapid_print(text, sizeof(text), id);
	return text;
}

/* Exists, and nobody was seen to ask for it. */
static void unexpected(struct judge_target *t, snapid_t id)
{
	struct judge_snapshot *s;

	if (!t->believe && !is_busy(t, true))
		sim_fail("status of %s: snapshot %s exists and should not", t->device, id_text(id));
	s = judge_snapshot_add(t, NULL);
	s->id = id;
	s->state = JUDGE_LIVE;
	if (t->sync && !t->unknown && !judge.blocks && snapid_master(id) == SNAPID_ORIGIN) {
		s->device = oracle_fork_begin(t->oracle, id, oracle_device(t->oracle, SNAPID_ORIGIN));
		oracle_fork_end(t->oracle, s->device);
	}
}

static void find_shown(struct judge_target *t, const struct target_status *st)
{
	for (unsigned int i = 0; i < st->nr; i++) {
		struct judge_snapshot *s = judge_snapshot_find(t, st->ids[i]);

		if (!s) {
			unexpected(t, st->ids[i]);
			continue;
		}
		judge_snapshot_name(s, st->ids[i]);
		if (s->orphan)
			sim_fail("status of %s: snapshot %s was created of one that does not exist", t->device,
				 id_text(s->id));
		if (s->state == JUDGE_LIVE || (s->state == JUDGE_ASKED && t->suspends))
			continue;
		judge_window_close(s);
		s->state = JUDGE_LIVE;
	}
}

/* Asked for, and not in being: prepared, or dropped. */
static void judge_asked(struct judge_snapshot *s, const struct target_status *st, bool busy)
{
	struct judge_target *t = s->target;
	snapid_t master = s->master ? s->master->id : SNAPID_ORIGIN;
	bool prepared = st->prepared != SNAPID_ORIGIN && snapid_master(st->prepared) == master &&
			(s->id == SNAPID_ORIGIN || s->id == st->prepared);

	if (busy)
		return;
	if (!prepared && s->clear && s->state == JUDGE_ASKED && judge_has_master(s))
		sim_fail("status of %s: a create succeeded, and nothing is prepared", t->device);
	/* A later one has dropped it. */
	for (const struct judge_snapshot *n = s->next; prepared && n; n = n->next)
		if (n->state == JUDGE_ASKED && n->master == s->master)
			prepared = false;
	if (!prepared) {
		judge_snapshot_kill(s);
		return;
	}
	judge_window_cancel(s);
	s->consumer = NULL;
	s->clear = true;
	s->state = JUDGE_ASKED;
	judge_snapshot_name(s, st->prepared);
}

static void missing(struct judge_snapshot *s, const struct target_status *st, bool busy)
{
	struct judge_target *t = s->target;

	switch (s->state) {
	case JUDGE_LIVE:
		if (s->doomed)
			break;
		if (!t->believe)
			sim_fail("status of %s: snapshot %s is missing", t->device, id_text(s->id));
		judge_snapshot_kill(s);
		break;
	case JUDGE_CREATED:
		if (s->certain)
			sim_fail("status of %s: the prepared snapshot was not created", t->device);
		judge_asked(s, st, busy);
		break;
	case JUDGE_ASKED:
		judge_asked(s, st, busy);
		break;
	case JUDGE_DOUBTFUL:
		if (!busy)
			judge_snapshot_kill(s);
		break;
	case JUDGE_GONE:
		break;
	}
}

static void compare(struct judge_target *t, const struct target_status *st)
{
	bool busy = is_busy(t, false), asked = false;

	find_shown(t, st);
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		if (s->id == SNAPID_ORIGIN || !shows(st, s->id))
			missing(s, st, busy);
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		asked |= s->state == JUDGE_ASKED;
	if (st->prepared != SNAPID_ORIGIN && !asked && !busy)
		sim_fail("status of %s: %s is prepared, and nobody has asked for it", t->device,
			 id_text(st->prepared));
	if (!busy) {
		t->believe = false;
		t->sync = false;
	}
}

/* ---- what was put off ---- */

static void judge_late(struct judge_target *t)
{
	while (t->late) {
		struct judge_late *late = t->late;
		bool policy = t->error && (t->preserve || !late->origin_write);

		if (!policy || !(late->struck || t->error == -ENOSPC || t->error_before || t->ended_badly))
			sim_fail("%s", late->text);
		t->late = late->next;
		free(late);
	}
}

bool judge_ask(struct judge_target *t, struct target_status *st)
{
	bool seen;
	u64 changes;

	/* Of one moment: no command begins or ends while the answer is on its way. */
	do {
		changes = judge.changes;
		seen = ask(t, st);
	} while (judge.changes != changes);
	if (seen && st->error)
		note_error(t, st);
	else if (seen && t->error)
		sim_fail("status of %s: the error %s is forgotten", t->device, errno_name(t->error));
	else if (seen)
		compare(t, st);
	t->good |= seen && !st->error;
	judge_late(t);
	return seen;
}

/* So many snapshots of each kind are looked for. */
#define JUDGE_GLANCE_MAX 64

/*
 * While others go on: what was there before is there, what was gone is gone. What comes or goes meanwhile is not judged.
 */
void judge_glance(struct judge_target *t)
{
	snapid_t gone[JUDGE_GLANCE_MAX], live[JUDGE_GLANCE_MAX];
	unsigned int nr_gone = 0, nr_live = 0;
	u32 life = t->life;
	struct target_status st;

	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if (s->state == JUDGE_GONE && s->answered == life && nr_gone < JUDGE_GLANCE_MAX)
			gone[nr_gone++] = s->id;
		if (s->state == JUDGE_LIVE && !s->doomed && nr_live < JUDGE_GLANCE_MAX)
			live[nr_live++] = s->id;
	}
	if (!ask(t, &st) || st.error || t->error || t->believe || t->life != life || is_busy(t, true))
		return;
	for (unsigned int i = 0; i < nr_gone; i++)
		if (shows(&st, gone[i]))
			sim_fail("status of %s: snapshot %s was deleted, and exists", t->device, id_text(gone[i]));
	for (unsigned int i = 0; i < nr_live; i++) {
		struct judge_snapshot *s = judge_snapshot_find(t, live[i]);

		if (s && s->state == JUDGE_LIVE && !s->doomed && !shows(&st, live[i]))
			sim_fail("status of %s: snapshot %s is missing", t->device, id_text(live[i]));
	}
}

void judge_put_off(struct judge_target *t, const struct script_command *c, bool origin_write,
		   const char *fmt, ...)
{
	struct judge_late *late, **end = &t->late;
	struct target_status st;
	char text[256];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "%s:%u: ", c->file, c->line);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	late = judge_alloc(sizeof(*late) + strlen(text) + 1);
	strcpy(late->text, text);
	late->origin_write = origin_write;
	late->struck = judge_faults() != t->faults_at_load;
	while (*end)
		end = &(*end)->next;
	*end = late;
	if (!judge.blocks)
		judge_ask(t, &st);
}
