// SPDX-License-Identifier: GPL-2.0
/* The judge's hooks, and what it knows by name (judge_int.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge_int.h"

struct judge judge;

void *judge_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

void judge_found(const struct script_command *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c)
		sim_fail("%s:%u: %s", c->file, c->line, text);
	sim_fail("at the end: %s", text);
}

struct judge_device *judge_device(const char *name)
{
	struct judge_device *d = judge.devices;

	while (d && strcmp(d->name, name))
		d = d->next;
	return d;
}

struct judge_target *judge_target_of_disk(const char *origin)
{
	struct judge_target *t = judge.targets;

	while (t && strcmp(t->origin, origin))
		t = t->next;
	return t;
}

u64 judge_disk_faults(const char *disk)
{
	const struct world_disk *d = world_disk_find(disk);

	return d ? disk_counts(d->error)->errors : 0;
}

u64 judge_faults(void)
{
	u64 n = sim_alloc_failures();

	for (const struct world_disk *d = world_disks(); d; d = d->next)
		n += judge_disk_faults(d->name);
	return n;
}

static bool resized(const char *name)
{
	const struct world_disk *d = world_disk_find(name);

	return !d || disk_sectors(d->top) != d->sectors;
}

bool judge_resized(const struct judge_target *t)
{
	return resized(t->origin) || resized(t->store);
}

/* ---- what explorers are told ---- */

#ifdef SHIM_WATCHED
void judge_step(const char *what)
{
	if (judge.blocks)
		sim_point(what, &judge.point, SIM_ADD);
}

void judge_touch(const void *object, u32 part, enum sim_access kind)
{
	if (judge.blocks)
		sim_touch(object, part, kind);
}
#else
void judge_step(const char *what)
{
}

void judge_touch(const void *object, u32 part, enum sim_access kind)
{
}
#endif

void judge_event_begins(struct judge_moments *m)
{
	judge_touch(&m->begins, 0, SIM_WRITE);
}

void judge_event_ends(struct judge_moments *m)
{
	judge_touch(&m->ends, 0, SIM_WRITE);
}

/* ---- blocks ---- */

static void hook_parallel(void *context, bool begins)
{
	struct target_status st;

	if (!judge.on)
		return;
	if (begins) {
		judge.blocks++;
		return;
	}
	judge.blocks--;
	for (struct judge_target *t = judge.targets; t; t = t->next)
		judge_ask(t, &st);
}

/* Once more by the judge, which has to know what was there before it was asked. */
static void hook_status(void *context, const struct script_command *c)
{
	struct judge_device *d = judge_device(c->args.name);

	if (judge.on && judge.blocks && d && d->active.kind == JUDGE_ORIGIN)
		judge_glance(d->active.target);
}

/* What the script has begun comes to its end, and is judged as ever. */
static void hook_crashed(void *context)
{
}

const struct script_hooks judge_hooks = {
	.io_begin = judge_io_begin,
	.io_end = judge_io_end,
	.ctl_begin = judge_ctl_begin,
	.ctl_end = judge_ctl_end,
	.crashed = hook_crashed,
	.parallel = hook_parallel,
	.status = hook_status,
};

/* ---- beginning and end ---- */

void judge_start(void)
{
	memset(&judge, 0, sizeof(judge));
	judge.on = true;
}

const struct judge_counts *judge_counts(void)
{
	return &judge.counts;
}

static void free_target(struct judge_target *t)
{
	while (t->snapshots) {
		struct judge_snapshot *s = t->snapshots;

		t->snapshots = s->next;
		free(s);
	}
	while (t->late) {
		struct judge_late *late = t->late;

		t->late = late->next;
		free(late);
	}
	oracle_destroy(t->oracle);
	free(t->table);
	free(t);
}

void judge_stop(void)
{
	judge.on = false;
	while (judge.targets) {
		struct judge_target *t = judge.targets;

		judge.targets = t->next;
		free_target(t);
	}
	while (judge.devices) {
		struct judge_device *d = judge.devices;

		judge.devices = d->next;
		free(d);
	}
	while (judge.requests) {
		struct judge_request *r = judge.requests;

		judge.requests = r->next;
		free(r);
	}
	while (judge.commands) {
		struct judge_command *cmd = judge.commands;

		judge.commands = cmd->next;
		free(cmd);
	}
}
