// SPDX-License-Identifier: GPL-2.0
/*
 * Disks that do worse than lose their cache: writes that were acknowledged, flushed and are not there, or only in part,
 * or somewhere else (H26); a store with the wrong partner (H27); reads that fail during a recovery.
 *
 * Lost and misplaced writes: at a share of the moments of a life, with everything on the disks that was ever written, each
 * write of metadata that can still be seen is taken back, one of its sectors is, or it is moved to the place of another one.
 * What comes of it must be *detected* (by the offline check, the load, the status or an error of the I/O) or be harmless
 * (everything reads as it may). The last record of the log, the last superblock, and the zeroing of the log by a format are another matter: without
 * it the store is what it was before, which nothing on the store can tell (FORMAT.md, "What a lying device can do"). Data carries no checksum; so only metadata is looked at.
 *
 * Read errors: of a share of the recoveries, each read of the store fails once. Then what is read must be right
 * all the same, and so must everything be when the error has gone, if the snapshots were not given up.
 */
#include <stdlib.h>
#include <string.h>

#include "walk.h"

/* ---- lost and misplaced writes ---- */

struct meta_write {
	u32 issue;
	u32 old;		/* the first of the contents that it replaced */
};

struct damage {
	struct crash *c;
	const struct life *life;
	struct truth truth;
	struct meta_write *writes;
	u32 nr_writes, max_writes;
	content_t *old;
	u32 nr_old, max_old;
	u32 *writer;		/* of each sector of the store, the issue of the last write; 0: none */
	u32 newest[2];		/* issue of the last record of the log; of the superblock */
	u64 random;
	char what[1024];
};

static void write_ended(struct damage *d, u32 issue)
{
	const struct life_event *e = life_at(d->life, issue);
	bool meta = e->disk == CRASH_STORE && e->op == LIFE_WRITE && e->flags & LIFE_META;

	if (meta) {
		d->writes = crash_grow(d->writes, (u64)d->nr_writes + 1, &d->max_writes,
				       sizeof(*d->writes));
		d->old = crash_grow(d->old, (u64)d->nr_old + e->sectors, &d->max_old,
				    sizeof(*d->old));
		d->writes[d->nr_writes++] = (struct meta_write){ issue, d->nr_old };
		if (e->flags & LIFE_FUA)
			d->newest[e->sector == 0] = issue;
	}
	for (u32 i = 0; i < e->sectors; i++) {
		if (e->disk == CRASH_STORE)
			d->writer[e->sector + i] = issue;
		if (meta)
			d->old[d->nr_old++] = image_get(&d->c->im, e->disk, e->sector + i);
		image_set(&d->c->im, e->disk, e->sector + i,
			  e->op == LIFE_WRITE ? d->life->contents[e->contents + i] : CONTENT_ZERO);
	}
}

static bool visible(const struct damage *d, const struct meta_write *w, u32 i)
{
	return d->writer[life_at(d->life, w->issue)->sector + i] == w->issue;
}

enum damage_result { DETECTED, HARMLESS, SILENT };

/* Everything is read; what says that something is wrong? */
static enum damage_result judge_damaged(struct damage *d)
{
	struct crash *c = d->c;
	struct seen *seen = calloc(1, sizeof(*seen));
	enum damage_result result = DETECTED;
	char check[512];
	bool clean, right;

	if (!seen)
		abort();
	clean = judge_clean(c, check, sizeof(check));
	if (!judge_load(c, seen)) {
		judge_look(c, seen);
		right = truth_judge(&d->truth, TRUTH_CUT, seen, d->what, sizeof(d->what));
		if (right)
			result = HARMLESS;
		else if (clean && !seen->status.error)
			result = SILENT;
		/* An error of a read says it, too. */
		for (u32 i = 0; i < seen->status.nr; i++)
			if (seen->snapshots[i].error && result == SILENT)
				result = DETECTED;
		seen_free(seen);
		world_device_remove(c->device);
	}
	free(seen);
	return result;
}

/* A format that zeroes the log: without it the records of the store before are there again. */
static bool is_zeroing(const struct damage *d, u32 issue)
{
	const struct life_event *e = life_at(d->life, issue);

	for (u32 i = 0; i < e->sectors; i++)
		if (d->life->contents[e->contents + i] != CONTENT_ZERO)
			return false;
	return true;
}

static void count_damage(struct damage *d, enum damage_result result, u32 issue, const char *how)
{
	struct crash_counts *n = &d->c->counts;
	char text[400];

	n->damaged++;
	if (result == DETECTED) {
		n->detected++;
		return;
	}
	if (result == HARMLESS) {
		n->harmless++;
		return;
	}
	if (issue == d->newest[0] || issue == d->newest[1] || is_zeroing(d, issue)) {
		n->undetectable++;
		return;
	}
	life_print(d->life, &d->c->im, issue, text, sizeof(text));
	walk_found(d->c, "after event %u, the write of event %u (%s) %s, and nothing says so: %s", d->truth.now,
		   issue, text + strspn(text, " "), how, d->what);
}

/* The sectors [from, to) of the write hold what they held before. */
static void take_back(struct damage *d, const struct meta_write *w, u32 from, u32 to)
{
	const struct life_event *e = life_at(d->life, w->issue);

	for (u32 i = from; i < to; i++)
		if (visible(d, w, i))
			image_set(&d->c->im, CRASH_STORE, e->sector + i, d->old[w->old + i]);
}

static void try_lost(struct damage *d, const struct meta_write *w, u32 from, u32 to, const char *how)
{
	struct image_mark mark = image_mark(&d->c->im);
	u32 contents = content_mark();

	take_back(d, w, from, to);
	if (d->c->im.nr_undo != mark.undo)
		count_damage(d, judge_damaged(d), w->issue, how);
	image_rollback(&d->c->im, mark);
	content_release(contents);
}

/* Over what was there when it was written, and would still be. */
static void try_misplaced(struct damage *d, const struct meta_write *w, const struct meta_write *at)
{
	struct image_mark mark = image_mark(&d->c->im);
	const struct life_event *e = life_at(d->life, w->issue), *place = life_at(d->life, at->issue);
	u32 contents = content_mark();

	if (e->sector == place->sector || at->issue > w->issue || !visible(d, at, 0))
		return;
	take_back(d, w, 0, e->sectors);
	for (u32 i = 0; i < e->sectors && place->sector + i < d->c->im.disk[CRASH_STORE].sectors; i++)
		image_set(&d->c->im, CRASH_STORE, place->sector + i, d->life->contents[e->contents + i]);
	count_damage(d, judge_damaged(d), w->issue, "went to the place of another one");
	image_rollback(&d->c->im, mark);
	content_release(contents);
}

static u32 draw(struct damage *d, u32 n)
{
	d->random = crash_mix(d->random, n);
	return d->random % n;
}

/* Of a long life about so many, drawn. */
#define WRITES_AT_ONCE 8

static void damage_moment(struct damage *d)
{
	for (u32 k = 0; k < d->nr_writes; k++) {
		const struct meta_write *w = &d->writes[k];
		u32 sectors = life_at(d->life, w->issue)->sectors, seen = 0;

		for (u32 i = 0; i < sectors; i++)
			seen += visible(d, w, i);
		if (!seen || draw(d, d->nr_writes) >= WRITES_AT_ONCE)
			continue;
		try_lost(d, w, 0, sectors, "was lost");
		if (sectors > 1) {
			u32 i = draw(d, sectors);

			try_lost(d, w, i, i + 1, "was lost in one sector");
		}
		if (seen == sectors)
			try_misplaced(d, w, &d->writes[draw(d, d->nr_writes)]);
	}
}

/* ---- the wrong partner (H27) ---- */

/* A table that does not fit what the store was made for is refused, and nothing is written. */
static void try_table(struct crash *c, const char *table, const char *what)
{
	u64 writes = c->im.nr_undo;
	const char *reason = NULL;

	if (!world_device_create(c->device, table, &reason))
		walk_found(c, "a store was loaded with %s: %s", what, table);
	if (c->im.nr_undo != writes)
		walk_found(c, "a table with %s was refused, but something was written: %s", what, table);
	c->counts.partners++;
}

static void wrong_partners(struct crash *c)
{
	unsigned int chunk = 0;
	int rest = 0;
	char table[512];

	if (sscanf(c->table, "%*s %*s %*s %*s %*s %u%n", &chunk, &rest) != 1)
		return;
	snprintf(table, sizeof(table), "0 %llu multisnapshot %s %s %u%s",
		 (unsigned long long)c->im.disk[CRASH_ORIGIN].sectors, c->disk_name[CRASH_ORIGIN],
		 c->disk_name[CRASH_STORE], 2 * chunk, c->table + rest);
	try_table(c, table, "another chunk size");
	snprintf(table, sizeof(table), "0 %llu multisnapshot %s %s %u%s",
		 (unsigned long long)min_t(sector_t, c->im.disk[CRASH_ORIGIN].sectors, c->im.disk[CRASH_STORE].sectors),
		 c->disk_name[CRASH_STORE], c->disk_name[CRASH_ORIGIN], chunk, c->table + rest);
	if (image_get(&c->im, CRASH_ORIGIN, 0) != CONTENT_ZERO)
		try_table(c, table, "origin and store exchanged");
}

void damage_life(struct crash *c, const struct life *life)
{
	struct damage d = { .c = c, .life = life, .random = crash_mix(life->nr, life->nr_contents) };
	u32 share = c->options->damage_share;

	if (!share)
		return;
	d.writer = calloc(c->im.disk[CRASH_STORE].sectors, sizeof(*d.writer));
	if (!d.writer)
		abort();
	c->doing = FOUND_BY_DAMAGE;
	truth_init(&d.truth, life, &c->im, c->snapshot_sectors);
	for (u32 n = 1; n <= life->nr; n++) {
		const struct life_event *e = life_at(life, n);

		truth_step(&d.truth);
		/* Blocks of an older store, which format leaves where they are, may pass for a lost one (FORMAT.md, 8). */
		if (e->kind == LIFE_WIPE)
			break;
		if (e->kind == LIFE_DISK_END && !e->error)
			write_ended(&d, e->issue);
		if (n > d.truth.first_load && n >= c->first && d.newest[0] && draw(&d, share) == 0)
			damage_moment(&d);
	}
	c->doing = FOUND_BY_CUT;
	if (d.newest[0])
		wrong_partners(c);
	truth_exit(&d.truth);
	free(d.writes);
	free(d.old);
	free(d.writer);
}

/* ---- read errors during a recovery ---- */

/* False: there is no such read any more. */
static bool fail_read(struct crash *c, u32 skip, struct truth *excused, const struct truth *truth)
{
	struct disk *layer = world_disk_find(c->disk_name[CRASH_STORE])->error;
	const struct disk_fault fault = { .ops = DISK_OP_READ, .skip = skip, .count = 1, .error = -EIO };
	struct seen *seen = calloc(1, sizeof(*seen));
	u64 errors = disk_counts(layer)->errors;
	char what[800];
	bool struck;

	if (!seen)
		abort();
	disk_error_add(layer, &fault);
	if (!judge_load(c, seen)) {
		judge_look(c, seen);
		if (!truth_judge(excused, TRUTH_CUT, seen, what, sizeof(what)))
			walk_found(c, "when read %u of the store fails: %s", skip, what);
		seen_free(seen);
		world_device_remove(c->device);
	}
	struck = disk_counts(layer)->errors != errors;
	disk_error_clear(layer);
	memset(seen, 0, sizeof(*seen));
	if (!judge_load(c, seen))
		judge_look(c, seen);
	/* Given up at the error: then the store says so. */
	if (!truth_judge(struck && seen->status.error ? excused : truth, TRUTH_CUT, seen, what, sizeof(what)))
		walk_found(c, "after read %u of the store had failed once, at the next load: %s", skip, what);
	if (!seen->load_error) {
		seen_free(seen);
		world_device_remove(c->device);
	}
	free(seen);
	return struck;
}

void damage_reads(struct crash *c, const struct truth *truth)
{
	struct image_mark mark = image_mark(&c->im);
	struct truth excused = *truth;
	bool struck = true;

	excused.excused = 0;
	c->doing = FOUND_BY_READ;
	for (u32 skip = 0; struck; skip++) {
		u32 contents = content_mark();

		struck = fail_read(c, skip, &excused, truth);
		c->counts.read_errors += struck;
		image_rollback_writes(&c->im, mark);
		content_release(contents);
	}
	c->doing = FOUND_BY_CUT;
}
