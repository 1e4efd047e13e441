// SPDX-License-Identifier: GPL-2.0
/* What may be found (truth.h). */
#include <stdlib.h>
#include <string.h>

#include "truth.h"

static void begin(struct truth *t, const struct life *life, const struct image *im,
		  sector_t snapshot_sectors)
{
	memset(t, 0, sizeof(*t));
	t->snapshot_sectors = snapshot_sectors;
	t->life = life;
	t->im = im;
	cells_init(&t->origin, im->disk[CRASH_ORIGIN].sectors);
}

void truth_init(struct truth *t, const struct life *life, const struct image *im, sector_t snapshot_sectors)
{
	begin(t, life, im, snapshot_sectors);
	for (sector_t s = 0; s < t->origin.sectors; s++)
		t->origin.cell[s].base = image_get(im, CRASH_ORIGIN, s);
	truth_find_moments(t);
}

void truth_init_seen(struct truth *t, const struct life *life, const struct image *im,
		     sector_t snapshot_sectors, const struct seen *seen)
{
	begin(t, life, im, snapshot_sectors);
	for (sector_t s = 0; s < t->origin.sectors; s++)
		t->origin.cell[s].base = seen->origin.contents[s];
	for (u32 i = 0; i < seen->status.nr; i++) {
		struct truth_snapshot *snapshot = truth_add_snapshot(t, seen->status.ids[i], 0, 0);

		snapshot->begun = true;
		cells_init(&snapshot->cells, snapshot_sectors);
		for (sector_t s = 0; s < snapshot_sectors; s++)
			snapshot->cells.cell[s].base = seen->snapshots[i].contents[s];
	}
	truth_find_moments(t);
	t->first_load = 0;
}

void truth_exit(struct truth *t)
{
	cells_exit(&t->origin);
	for (u32 i = 0; i < t->nr_snapshots; i++)
		if (t->snapshots[i].begun)
			cells_exit(&t->snapshots[i].cells);
	free(t->snapshots);
	free(t->wild);
}

/* ---- I/O ---- */

/* The snapshot of that id that exists at this moment, perhaps; NULL: there is none. */
static struct truth_snapshot *find_now(const struct truth *t, snapid_t id)
{
	for (u32 i = 0; i < t->nr_snapshots; i++) {
		struct truth_snapshot *s = &t->snapshots[i];

		if (s->id == id && s->coming <= t->now && t->now < s->gone)
			return s;
	}
	return NULL;
}

static struct cells *cells_of(const struct truth *t, snapid_t id)
{
	struct truth_snapshot *s;

	if (id == SNAPID_ORIGIN)
		return (struct cells *)&t->origin;
	s = find_now(t, id);
	return s && s->begun ? &s->cells : NULL;
}

static void io_issue(struct truth *t, const struct life_event *e)
{
	struct cells *cells = cells_of(t, e->id);

	for (u32 i = 0; cells && i < e->sectors && e->sector + i < cells->sectors; i++) {
		if (e->op == LIFE_WRITE) {
			cells_issue(cells, t->now, e->sector + i, t->life->contents[e->contents + i]);
			continue;
		}
		cells_issue(cells, t->now, e->sector + i, CONTENT_ZERO);
		cells_issue(cells, t->now, e->sector + i, content_of_tag(TAG_JUNK));
	}
}

static void io_end(struct truth *t, const struct life_event *e)
{
	const struct life_event *issue = life_at(t->life, e->issue);
	struct cells *cells = cells_of(t, issue->id);
	u32 sectors;

	if (!cells)
		return;
	if (issue->flags & LIFE_PREFLUSH && !e->error)
		cells_flushed(cells, e->issue);
	if (issue->sector >= cells->sectors)
		return;
	sectors = min_t(u64, issue->sectors, cells->sectors - issue->sector);
	/* A discard may do nothing at all: what was there before stays possible. */
	cells_end(cells, t->now, e->issue, issue->sector, sectors, issue->flags & LIFE_FUA,
		  e->error || issue->op == LIFE_DISCARD);
}

/* What the snapshot began with, as far as that is known now. */
static u32 first_contents(const struct truth *t, const struct truth_snapshot *snapshot, sector_t sector,
			  content_t options[CELLS_MAX])
{
	const struct cells_suppose then = { .power_on = true, .before = snapshot->coming };
	const struct cells *master = cells_of(t, snapid_master(snapshot->id));

	if (!master)
		master = &t->origin;
	if (sector >= master->sectors) { /* past the end of the origin */
		options[0] = CONTENT_ZERO;
		return 1;
	}
	return cells_options(master, sector, &then, options, NULL);
}

static void begin_snapshots(struct truth *t)
{
	content_t options[CELLS_MAX];

	for (u32 i = 0; i < t->nr_snapshots; i++) {
		struct truth_snapshot *snapshot = &t->snapshots[i];

		if (snapshot->live != t->now || snapshot->begun)
			continue;
		cells_init(&snapshot->cells, t->snapshot_sectors);
		for (sector_t s = 0; s < t->snapshot_sectors; s++)
			cells_set_base(&snapshot->cells, s, options,
				       first_contents(t, snapshot, s, options));
		snapshot->begun = true;
	}
}

void truth_step(struct truth *t)
{
	const struct life_event *e = life_at(t->life, ++t->now);

	if (e->kind == LIFE_IO_ISSUE)
		io_issue(t, e);
	else if (e->kind == LIFE_IO_END)
		io_end(t, e);
	if (truth_is_seen(e))
		begin_snapshots(t);
}

/* ---- judgement ---- */

/* @snapshot NULL: of the origin. */
static u32 possible(const struct truth *t, enum truth_when when,
		    const struct truth_snapshot *snapshot, sector_t sector,
		    content_t options[CELLS_MAX])
{
	const struct cells_suppose suppose = { .power_on = when == TRUTH_ON };

	if (snapshot && !snapshot->begun)
		return first_contents(t, snapshot, sector, options);
	return cells_options(snapshot ? &snapshot->cells : &t->origin, sector, &suppose, options,
			     NULL);
}

static bool may_be(const struct truth *t, content_t c, const content_t *options, u32 nr)
{
	const struct choice *ch;

	c = image_decided(t->im, c);
	for (u32 i = 0; i < nr; i++)
		if (image_decided(t->im, options[i]) == c)
			return true;
	if (!content_is_choice(c))
		return false;
	ch = image_choice(t->im, c);
	for (u32 i = 0; i < ch->nr; i++)
		if (!may_be(t, choice_option(t->im, ch, i), options, nr))
			return false;
	return true;
}

void content_print(const struct image *im, content_t c, char *buf, size_t size)
{
	const struct choice *ch;
	size_t n;
	tag_t tag;

	c = image_decided(im, c);
	if (!content_is_choice(c)) {
		tag = content_tag(c);
		if (tag == TAG_ZERO)
			snprintf(buf, size, "zeroes");
		else if (tag == TAG_JUNK)
			snprintf(buf, size, "what the device likes");
		else if (tag & TAG_LITERAL)
			story_literal(content_literal(c), tag, buf, size);
		else
			snprintf(buf, size, "fill=%llu of sector %llu",
				 (unsigned long long)tag_write_no(tag),
				 (unsigned long long)tag_sector(tag));
		return;
	}
	ch = image_choice(im, c);
	n = snprintf(buf, size, "any of (");
	for (u32 i = 0; i < ch->nr && n < size; i++) {
		n += snprintf(buf + n, size - n, "%s", i ? ", " : "");
		if (n < size)
			content_print(im, choice_option(im, ch, i), buf + n, size - n);
		n += strlen(buf + n);
	}
	if (n < size)
		snprintf(buf + n, size - n, ")");
}

static void device_name(snapid_t id, char *buf, size_t size)
{
	char text[32];

	if (id == SNAPID_ORIGIN) {
		snprintf(buf, size, "the origin");
		return;
	}
	snapid_print(text, sizeof(text), id);
	snprintf(buf, size, "snapshot %s", text);
}

/* @snapshot NULL: the origin. */
static bool judge_device(const struct truth *t, enum truth_when when, const struct seen_device *d,
			 const struct truth_snapshot *snapshot, char *what, size_t size)
{
	content_t options[CELLS_MAX];
	char name[48], got[256];
	size_t n;

	if (d->error) {
		device_name(d->id, name, sizeof(name));
		snprintf(what, size, "%s cannot be read: %s", name, errno_name(d->error));
		return t->excused <= t->now && d->id != SNAPID_ORIGIN;
	}
	for (sector_t s = 0; s < d->sectors; s++) {
		u32 nr = possible(t, when, snapshot, s, options);

		if (may_be(t, d->contents[s], options, nr))
			continue;
		device_name(d->id, name, sizeof(name));
		content_print(t->im, d->contents[s], got, sizeof(got));
		n = snprintf(what, size, "sector %llu of %s reads %s; allowed:",
			     (unsigned long long)s, name, got);
		for (u32 i = 0; i < nr && n < size; i++) {
			content_print(t->im, options[i], got, sizeof(got));
			n += snprintf(what + n, size - n, "%s %s", i ? " or" : "", got);
		}
		return false;
	}
	return true;
}

static bool is_wild(const struct truth *t)
{
	for (u32 i = 0; i < t->nr_wild; i++)
		if (t->wild[i].from <= t->now && t->now < t->wild[i].until)
			return true;
	return false;
}

static bool judge_ids(const struct truth *t, const struct seen *seen, char *what, size_t size)
{
	char name[48];

	for (u32 i = 0; i < seen->status.nr; i++) {
		if (find_now(t, seen->status.ids[i]) || is_wild(t))
			continue;
		device_name(seen->status.ids[i], name, sizeof(name));
		snprintf(what, size, "%s exists and should not", name);
		return false;
	}
	for (u32 i = 0; i < t->nr_snapshots; i++) {
		const struct truth_snapshot *s = &t->snapshots[i];
		bool found = false;

		if (t->now < s->live || t->now >= s->going || t->excused <= t->now)
			continue;
		for (u32 j = 0; j < seen->status.nr; j++)
			found |= seen->status.ids[j] == s->id;
		if (found)
			continue;
		device_name(s->id, name, sizeof(name));
		snprintf(what, size, "%s is missing", name);
		return false;
	}
	return true;
}

bool truth_judge(const struct truth *t, enum truth_when when, const struct seen *seen, char *what, size_t size)
{
	bool excused = t->excused <= t->now;

	if (seen->load_error) {
		snprintf(what, size, "the target does not load: %s%s%s", errno_name(seen->load_error),
			 seen->reason[0] ? ": " : "", seen->reason);
		return excused;
	}
	if (seen->status.error && !excused) {
		snprintf(what, size, "the status shows the error %s", errno_name(seen->status.error));
		return false;
	}
	if (!judge_ids(t, seen, what, size) ||
	    !judge_device(t, when, &seen->origin, NULL, what, size))
		return false;
	/* The store device refused to be marked: docs/dm-multisnapshot.rst states this one limit. */
	if (t->life->unmarked && t->life->unmarked <= t->now)
		return true;
	for (u32 i = 0; i < seen->status.nr; i++) {
		const struct truth_snapshot *snapshot = find_now(t, seen->status.ids[i]);

		if (snapshot && !judge_device(t, when, &seen->snapshots[i], snapshot, what, size))
			return false;
	}
	return true;
}
