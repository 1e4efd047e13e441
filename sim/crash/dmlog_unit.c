// SPDX-License-Identifier: GPL-2.0
/*
 * A log of dm-log-writes, judged (dmlog.h).
 *
 * A log has tens of thousands of entries and devices of tens of MiB, and each state is read whole; so the power is
 * cut only at some moments: at all marks and the end; at some of those around a flush or a FUA write, where it is
 * decided what is durable; and at some of the others. Which ones is a function of seed and log. They are dealt out
 * to shares, each a workload of its own, for several processes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf() */
#endif
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"

/* "0 LEN multisnapshot ORIGIN STORE ...", whatever the devices were called. */
static char *with_names(const char *table)
{
	int origin = -1, rest = -1;
	char *text = NULL;

	sscanf(table, "%*s %*s multisnapshot %n%*s %*s%n", &origin, &rest);
	if (origin < 0 || rest < 0 || !strstr(table, " mikulas "))
		return NULL;
	if (asprintf(&text, "%.*sorigin store%s", origin, table, table + rest) < 0)
		abort();
	return text;
}

static bool prepare(const struct dmlog_options *o, const struct dmlog_summary *sum, struct crash *c,
		    struct life *life, char *error, size_t size)
{
	const sector_t sectors[CRASH_DISKS] = { o->part[0].sectors, o->part[1].sectors };
	char *table = life->table ? with_names(life->table) : NULL;

	if (!table) {
		snprintf(error, size, life->table ? "the table is not one of a target multisnapshot with a mikulas store" :
						    "neither an option nor a mark has the table");
		return false;
	}
	free(life->table);
	life->table = table;
	snprintf(life->device, sizeof(life->device), "ms");
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		snprintf(life->disk_name[d], sizeof(life->disk_name[d]), "%s", crash_disk_names[d]);
		snprintf(c->disk_name[d], sizeof(c->disk_name[d]), "%s", crash_disk_names[d]);
		c->block_size[d] = sum->block_size;
	}
	image_init(&c->im, sectors);
	return true;
}

/* ---- moments ---- */

enum {
	NOT,	/* nothing happened that changes a state */
	OTHER,
	AROUND,	/* a flush or a FUA write */
	MARK,
	NR_CLASSES,
};

static bool is_barrier(const struct life *life, const struct life_event *e)
{
	const struct life_event *issue = e->issue ? life_at(life, e->issue) : e;

	return issue->flags & (LIFE_FUA | LIFE_PREFLUSH);
}

/*
 * Of the events that an entry stands for, only those on the disks: the others differ in nothing but that the truth is
 * told a little later. The moment before a flush is that of the write before it.
 */
static u8 class_of(const struct life *life, u32 n)
{
	const struct life_event *e = life_at(life, n), *next = n < life->nr ? e + 1 : NULL;

	if (e->kind == LIFE_CTL_BEGIN || e->kind == LIFE_CTL_END || e->kind == LIFE_WIPE || !next)
		return MARK;
	if (e->kind == LIFE_IO_END && next && next->kind == LIFE_IO_ISSUE && is_barrier(life, next))
		return AROUND;
	if (e->kind != LIFE_DISK_ISSUE && e->kind != LIFE_DISK_END)
		return NOT;
	if (e->op == LIFE_FLUSH && e->kind == LIFE_DISK_ISSUE)
		return NOT;
	return is_barrier(life, e) ? AROUND : OTHER;
}

/* @want of the @nr of that class, or all, evenly spread, each at random within its part. The number of them. */
static u64 choose(u8 *points, const u8 *classes, u32 events, u8 class, u64 nr, u64 want, u64 seed)
{
	u64 seen = 0, part = 0, from = 0, chosen;

	want = min(want, nr);
	if (!want)
		return 0;
	chosen = crash_mix(seed, class) % (nr / want);
	for (u32 n = 1; n <= events && part < want; n++) {
		if (classes[n] != class || seen++ != chosen)
			continue;
		points[n] = 1;
		part++;
		from = part * nr / want;
		chosen = from + crash_mix(seed + n, class) % max((part + 1) * nr / want - from, 1ULL);
	}
	return want;
}

/* @left_out: how many that could have been chosen are of no share. */
static u8 *choose_points(const struct life *life, const struct dmlog_unit *u, u64 *left_out)
{
	u8 *points = calloc(life->nr + 1, 1), *classes = calloc(life->nr + 1, 1);
	u64 nr[NR_CLASSES] = { 0 }, left = u->options.points, share = 0;

	if (!points || !classes)
		abort();
	for (u32 n = 1; n <= life->nr; n++) {
		classes[n] = u->options.points ? class_of(life, n) : MARK;
		nr[classes[n]]++;
	}
	left -= min(left, choose(points, classes, life->nr, MARK, nr[MARK], U64_MAX, u->seed));
	left -= choose(points, classes, life->nr, AROUND, nr[AROUND],
		       max(left / 2, left - min(left, nr[OTHER])), u->seed);
	choose(points, classes, life->nr, OTHER, nr[OTHER], left, u->seed);
	for (u32 n = 1; n <= life->nr; n++)
		if (points[n] && share++ % u->shares != u->share)
			points[n] = 0;
	*left_out = life->nr - nr[NOT] - share;
	free(classes);
	return points;
}

/* ---- the workload ---- */

static bool record(struct crash_unit *unit, struct crash *c, struct life *life)
{
	struct dmlog_unit *u = unit->context;
	struct dmlog_options o = u->options;
	u64 left_out;

	if (o.table)
		life->table = strdup(o.table);
	if (!dmlog_read(&o, life, &u->summary, unit->error, sizeof(unit->error)) ||
	    !prepare(&o, &u->summary, c, life, unit->error, sizeof(unit->error)))
		return false;
	c->points = choose_points(life, u, &left_out);
	c->share = u->share;
	c->counts.left_out = u->share ? 0 : left_out;
	return true;
}

void dmlog_unit(struct dmlog_unit *u, struct crash_unit *unit)
{
	snprintf(unit->name, sizeof(unit->name), "%s", u->options.path);
	unit->record = record;
	unit->context = u;
}
