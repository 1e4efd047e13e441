// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots, from the message that asks for one to its deletion (judge_int.h).
 *
 * A *window* is the time in which a snapshot may come into being: from the begin of the suspend, or of the message if that comes
 * later, to the end of the suspend; the oracle's fork. Where the message had been answered before the suspend began, and no
 * other message came, the suspend creates it for certain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "judge_int.h"

struct judge_snapshot *judge_snapshot_add(struct judge_target *t, struct judge_snapshot *master)
{
	struct judge_snapshot *s = judge_alloc(sizeof(*s)), **end = &t->snapshots;

	s->target = t;
	s->id = SNAPID_ORIGIN;
	s->master = master;
	while (*end)
		end = &(*end)->next;
	*end = s;
	return s;
}

/* Nobody has seen its id, and it may be this one. */
static bool may_be(const struct judge_snapshot *s, snapid_t id)
{
	snapid_t master = s->master ? s->master->id : SNAPID_ORIGIN;

	return s->id == SNAPID_ORIGIN && s->state != JUDGE_GONE && s->windowed && master == snapid_master(id);
}

struct judge_snapshot *judge_snapshot_find(struct judge_target *t, snapid_t id)
{
	struct judge_snapshot *found = NULL;
	unsigned int n = 0;

	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		if (s->state != JUDGE_GONE && s->id == id)
			return s;
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if (!may_be(s, id))
			continue;
		n++;
		if (!found)
			found = s;
	}
	/* One of several, and nobody knows which. */
	for (struct judge_snapshot *s = t->snapshots; n > 1 && s; s = s->next)
		if (may_be(s, id))
			judge_snapshot_forget(s);
	return found;
}

void judge_snapshot_name(struct judge_snapshot *s, snapid_t id)
{
	if (s->id == id)
		return;
	s->id = id;
	if (s->device)
		oracle_rename(s->target->oracle, s->device, id);
}

static void drop_device(struct judge_snapshot *s)
{
	if (s->device && s->forking)
		oracle_fork_cancel(s->target->oracle, s->device);
	else if (s->device)
		oracle_delete(s->target->oracle, s->device);
	s->device = NULL;
	s->forking = false;
}

void judge_snapshot_kill(struct judge_snapshot *s)
{
	judge_excuse(s->target, s);
	drop_device(s);
	s->state = JUDGE_GONE;
}

void judge_snapshot_forget(struct judge_snapshot *s)
{
	judge_blind(s);
	drop_device(s);
}

/* ---- windows ---- */

static void window_open(struct judge_snapshot *s)
{
	struct judge_target *t = s->target;
	struct oracle_device *master;

	s->windowed = true;
	if (s->master && s->master->state == JUDGE_GONE)
		s->orphan = true;
	if (s->forking)
		return;
	judge_event_begins(s->master ? &s->master->forks : &t->forks);
	master = s->master ? s->master->device : oracle_device(t->oracle, SNAPID_ORIGIN);
	if (!master)
		return;
	if (s->id == SNAPID_ORIGIN)
		t->last_guess = t->last_guess ? t->last_guess - 1 : SNAPID_ORIGIN - 1;
	s->device = oracle_fork_begin(t->oracle, s->id == SNAPID_ORIGIN ? t->last_guess : s->id, master);
	s->forking = true;
	judge.counts.forks++;
}

void judge_windows_open(struct judge_target *t)
{
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		if (s->state == JUDGE_ASKED)
			window_open(s);
}

void judge_window_close(struct judge_snapshot *s)
{
	judge_event_ends(s->master ? &s->master->forks : &s->target->forks);
	if (s->forking)
		oracle_fork_end(s->target->oracle, s->device);
	s->forking = false;
}

void judge_window_cancel(struct judge_snapshot *s)
{
	drop_device(s);
	s->windowed = false;
}

bool judge_has_master(const struct judge_snapshot *s)
{
	return !s->master || (s->master->state == JUDGE_LIVE && !s->master->doomed);
}

/* ---- the suspend ---- */

void judge_suspend_begins(struct judge_command *cmd)
{
	struct judge_target *t = cmd->target;

	bool suspended = cmd->kind == JUDGE_SUSPEND && dmctl_suspended(t->device);

	/* There is nothing to be done, and no snapshot to be created. */
	if (suspended && !cmd->crowded)
		return;
	cmd->suspends = true;
	t->suspends++;
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if (s->state != JUDGE_ASKED)
			continue;
		if (suspended)
			s->clear = false;
		if (!s->asking && !s->consumer && !t->creates)
			s->consumer = cmd;
	}
	judge_windows_open(t);
}

void judge_suspend_ends(struct judge_command *cmd, int error)
{
	struct judge_target *t = cmd->target;

	if (!cmd->suspends)
		return;
	t->suspends--;
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if (s->state != JUDGE_ASKED)
			continue;
		if (error) {
			if (s->consumer == cmd)
				s->consumer = NULL;
			if (!t->suspends && !cmd->crowded)
				judge_window_cancel(s);
		} else if (s->consumer == cmd) {
			judge_window_close(s);
			s->state = JUDGE_CREATED;
			/* A removal cannot tell that it could not. */
			s->certain = s->clear && judge_has_master(s) &&
				     (cmd->kind == JUDGE_SUSPEND || judge_faults() == cmd->faults);
		}
	}
}

/* ---- messages ---- */

void judge_create_begins(struct judge_command *cmd, snapid_t master)
{
	struct judge_target *t = cmd->target;
	struct judge_snapshot *of = NULL;

	if (master != SNAPID_ORIGIN) {
		of = judge_snapshot_find(t, master);
		cmd->no_such = !of;
	}
	/* What was prepared before may be dropped by it. */
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		if (s->state == JUDGE_ASKED)
			s->clear = false;
	cmd->snapshot = judge_snapshot_add(t, of);
	cmd->snapshot->asking = true;
	cmd->snapshot->clear = !t->creates++ && !t->suspends;
	if (t->suspends)
		judge_windows_open(t);
}

void judge_create_ends(struct judge_command *cmd, int error)
{
	struct judge_snapshot *s = cmd->snapshot;

	cmd->target->creates--;
	s->asking = false;
	if (error)
		judge_snapshot_kill(s);
	else if (cmd->no_such && !cmd->crowded)
		judge_found(cmd->command, "%s succeeded, and there is no such snapshot",
			    cmd->command->args.text);
}

void judge_delete_begins(struct judge_command *cmd, snapid_t id)
{
	struct judge_snapshot *s = id == SNAPID_ORIGIN ? NULL : judge_snapshot_find(cmd->target, id);

	cmd->snapshot = s;
	/* One that is only asked for is not there yet. */
	cmd->no_such = !s || (s->state == JUDGE_ASKED && !s->windowed);
	if (!s)
		return;
	judge_event_begins(&s->deletes);
	s->doomed++;
	judge_excuse(cmd->target, s);
}

void judge_delete_ends(struct judge_command *cmd, int error)
{
	struct judge_snapshot *s = cmd->snapshot;

	if (s)
		judge_event_ends(&s->deletes);
	if (!error && cmd->no_such && !cmd->crowded)
		judge_found(cmd->command, "%s succeeded, and there is no such snapshot",
			    cmd->command->args.text);
	if (!error && s && s->state != JUDGE_GONE) {
		judge_snapshot_kill(s);
		s->answered = cmd->target->life;
	} else if (s && (error == -EINVAL || (error == -EBUSY && s->doomed > 1))) {
		/* Refused: nothing has changed. EBUSY: somebody else deletes it. */
		if (s->state != JUDGE_GONE && s->state != JUDGE_LIVE)
			cmd->no_such = true;
		cmd->no_such |= s->state == JUDGE_GONE || s->doomed > 1;
		s->doomed--;
	} else if (s && error && s->state == JUDGE_ASKED && !s->windowed) {
		s->doomed--; /* it is not there, and prepared as before */
	} else if (s && error && s->state != JUDGE_GONE) {
		s->state = JUDGE_DOUBTFUL; /* and it stays detached */
	}
}
