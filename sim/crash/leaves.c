// SPDX-License-Identifier: GPL-2.0
/*
 * What was found, kept: it is what would be found again in every state that agrees with the one that was loaded on all that was
 * looked at.
 *
 * A *leaf* is what was found, with the conditions under which it is found: the decisions that were made for it, and, from the
 * moment when a sector that it has read is written again, that the sector still holds what it held. What it found in a sector that nobody
 * had decided is kept as the place: whatever the sector may hold at the time of a judgement is what would be read.
 *
 * So after an event that changes only what may be found, or that makes states impossible, nothing is loaded: the
 * leaves whose conditions can still be met are judged again.
 *
 * Invariant, as long as w->leaves_complete: every state that a cut after the last event could leave meets the conditions of a leaf.
 */
#include <stdlib.h>
#include <string.h>

#include "walk.h"

struct leaf_condition {
	u32 disk;
	sector_t sector;
	content_t content;
};

struct leaf {
	struct seen *seen;
	struct leaf_condition *conditions;
	u32 nr, max;
	u8 *read[CRASH_DISKS];	/* a bit for each sector that was certain when it was read */
};

static void leaf_free(struct leaf *leaf)
{
	seen_free(leaf->seen);
	free(leaf->seen);
	free(leaf->conditions);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		free(leaf->read[d]);
	free(leaf);
}

void leaves_drop(struct walk *w)
{
	while (w->nr_leaves)
		leaf_free(w->leaves[--w->nr_leaves]);
}

/* ---- keeping ---- */

static void add_condition(struct leaf *leaf, u32 disk, sector_t sector, content_t content)
{
	leaf->conditions = crash_grow(leaf->conditions, (u64)leaf->nr + 1, &leaf->max,
				      sizeof(*leaf->conditions));
	leaf->conditions[leaf->nr++] = (struct leaf_condition){ disk, sector, content };
}

static bool has_condition(const struct leaf *leaf, u32 disk, sector_t sector)
{
	for (u32 i = 0; i < leaf->nr; i++)
		if (leaf->conditions[i].disk == disk && leaf->conditions[i].sector == sector)
			return true;
	return false;
}

static bool was_read(const struct leaf *leaf, u32 disk, sector_t sector)
{
	return leaf->read[disk][sector / 8] >> sector % 8 & 1;
}

/*
 * The content as what it is at any later time. False: it cannot be kept, as it is a number that is about to be
 * forgotten, or a choice of the walk above.
 */
static bool keep_content(const struct walk *w, content_t *c, u32 contents)
{
	const struct image *im = &w->c->im;
	const struct choice *ch;

	*c = image_decided(im, *c);
	if (!content_is_choice(*c))
		return *c <= contents;
	if ((*c & ~CONTENT_CHOICE) < w->first_choice)
		return false;
	ch = image_choice(im, *c);
	*c = content_of_place(ch->disk, ch->sector);
	return true;
}

static bool keep_seen(const struct walk *w, struct seen *seen, u32 contents)
{
	for (u32 i = 0; i <= seen->status.nr && !seen->load_error; i++) {
		struct seen_device *d = i ? &seen->snapshots[i - 1] : &seen->origin;

		for (sector_t s = 0; !d->error && s < d->sectors; s++)
			if (!keep_content(w, &d->contents[s], contents))
				return false;
	}
	return true;
}

/* The decisions; and what was certain in this phase, and is not in another. */
static bool keep_conditions(const struct walk *w, struct leaf *leaf)
{
	const struct image *im = &w->c->im;

	for (u32 i = 0; i < w->pos; i++) {
		const struct choice *ch = &im->choices[w->path[i].number];
		content_t content = choice_option(im, ch, ch->decided);

		if (w->path[i].number < w->first_choice || content_is_choice(content))
			return false;
		add_condition(leaf, ch->disk, ch->sector, content);
	}
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		for (u32 i = 0; i < w->disk[d].nr_dirty; i++) {
			sector_t s = w->disk[d].dirty[i];

			if (was_read(leaf, d, s) && !has_condition(leaf, d, s))
				add_condition(leaf, d, s, image_get(im, d, s));
		}
	}
	return true;
}

struct leaf *leaf_begin(const struct walk *w)
{
	struct leaf *leaf = calloc(1, sizeof(*leaf));

	if (!leaf)
		abort();
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		const struct image_disk *disk = &w->c->im.disk[d];

		leaf->read[d] = malloc(disk->sectors / 8 + 1);
		if (!leaf->read[d])
			abort();
		memcpy(leaf->read[d], disk->read, disk->sectors / 8 + 1);
	}
	return leaf;
}

/* The same conditions: what was found later is as good. */
static bool same_conditions(const struct leaf *a, const struct leaf *b)
{
	if (a->nr != b->nr)
		return false;
	for (u32 i = 0; i < a->nr; i++)
		if (a->conditions[i].disk != b->conditions[i].disk ||
		    a->conditions[i].sector != b->conditions[i].sector ||
		    a->conditions[i].content != b->conditions[i].content)
			return false;
	return true;
}

void leaf_keep(struct walk *w, struct leaf *leaf, struct seen *seen, u32 contents)
{
	leaf->seen = seen;
	if (!w->leaves_complete || !keep_seen(w, seen, contents) || !keep_conditions(w, leaf)) {
		w->leaves_complete = false;
		leaf_free(leaf);
		return;
	}
	for (u32 i = 0; i < w->nr_leaves; i++) {
		if (!same_conditions(w->leaves[i], leaf))
			continue;
		leaf_free(w->leaves[i]);
		w->leaves[i] = leaf;
		return;
	}
	if (w->nr_leaves == LEAVES_KEPT) {
		w->leaves_complete = false;
		leaf_free(leaf);
		return;
	}
	w->leaves[w->nr_leaves++] = leaf;
}

/* ---- later ---- */

void leaves_before_write(struct walk *w, u32 disk, sector_t sector, u32 sectors)
{
	for (u32 i = 0; i < w->nr_leaves; i++) {
		struct leaf *leaf = w->leaves[i];

		for (sector_t s = sector; s < sector + sectors; s++)
			if (was_read(leaf, disk, s) && !has_condition(leaf, disk, s))
				add_condition(leaf, disk, s, image_get(&w->c->im, disk, s));
	}
}

/* The disks are in a phase. */
static bool can_be(const struct walk *w, const struct leaf_condition *condition)
{
	const struct image *im = &w->c->im;
	content_t now = image_get(im, condition->disk, condition->sector);
	const struct choice *ch;

	if (!content_is_choice(now))
		return now == condition->content;
	ch = image_choice(im, now);
	for (u32 i = 0; i < ch->nr; i++)
		if (choice_option(im, ch, i) == condition->content)
			return true;
	return false;
}

/* As if the search had come here: the decisions that lead to the leaf. */
static void show_path(struct walk *w, const struct leaf *leaf)
{
	const struct image *im = &w->c->im;

	w->nr_path = w->pos = 0;
	for (u32 i = 0; i < leaf->nr; i++) {
		content_t now = image_get(im, leaf->conditions[i].disk, leaf->conditions[i].sector);
		const struct choice *ch;

		if (!content_is_choice(now))
			continue;
		ch = image_choice(im, now);
		for (u32 k = 0; k < ch->nr; k++)
			if (choice_option(im, ch, k) == leaf->conditions[i].content)
				search_note(w, now & ~CONTENT_CHOICE, k);
	}
}

/* True: in this phase it is what some state shows. */
static bool judge_leaf(struct walk *w, u32 phase, const struct leaf *leaf, const struct truth *truth)
{
	char what[800];

	for (u32 i = 0; i < leaf->nr; i++)
		if (!can_be(w, &leaf->conditions[i]))
			return false;
	if (!truth_judge(truth, TRUTH_CUT, leaf->seen, what, sizeof(what))) {
		w->phase = phase;
		show_path(w, leaf);
		walk_found(w->c, "%s", what);
	}
	return true;
}

void leaves_judge(struct walk *w, const struct truth *truth)
{
	struct image_mark mark = image_mark(&w->c->im);
	bool alive[LEAVES_KEPT] = { 0 };
	u32 kept = 0;

	w->c->walk = w;
	for (u32 phase = 0; phase < walk_phases(w); phase++) {
		walk_begin_phase(w, phase);
		for (u32 i = 0; i < w->nr_leaves; i++)
			alive[i] |= judge_leaf(w, phase, w->leaves[i], truth);
		image_rollback(&w->c->im, mark);
	}
	/* What became impossible stays so. */
	for (u32 i = 0; i < w->nr_leaves; i++) {
		if (alive[i])
			w->leaves[kept++] = w->leaves[i];
		else
			leaf_free(w->leaves[i]);
	}
	w->nr_leaves = kept;
}
