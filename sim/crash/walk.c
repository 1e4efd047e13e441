// SPDX-License-Identifier: GPL-2.0
/*
 * Through a life, event by event; after each, all states in which a power cut would leave the disks.
 *
 * What the sectors may hold is kept by cells.c. A write that carries PREFLUSH and is in flight has a part of it done
 * only if the flush is done: so there is a *phase* for each set of such writes that got that far. In a phase every sector that may
 * hold several contents is a choice (image.h), and the state is judged with whatever it decides when it looks. The decisions made are a path;
 * the next path differs in the last decision that has an alternative left. When there are more paths than the
 * bound, samples are taken instead: structured ones first, then random ones.
 *
 * A request that is issued makes states possible: those are loaded. Other events change only what may be found, or make
 * states impossible: then what was found is judged again (leaves.c), and nothing is loaded.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

/* ---- events on the disks ---- */

static void disk_issue(struct walk *w, u32 n, const struct life_event *e)
{
	struct cells *cells = &w->disk[e->disk];

	leaves_before_write(w, e->disk, e->sector, e->sectors);
	for (u32 i = 0; i < e->sectors; i++) {
		if (e->op == LIFE_WRITE) {
			cells_issue(cells, n, e->sector + i, w->life->contents[e->contents + i]);
			continue;
		}
		cells_issue(cells, n, e->sector + i, CONTENT_ZERO);
		cells_issue(cells, n, e->sector + i, content_of_tag(TAG_JUNK));
	}
	if (e->op != LIFE_WRITE || !(e->flags & LIFE_PREFLUSH))
		return;
	if (w->nr_preflush == PREFLUSH_MAX)
		sim_limit("more than %u writes with PREFLUSH at once: too many to be judged", PREFLUSH_MAX);
	w->preflush[w->nr_preflush++] = (struct preflush){ n, e->disk, CELLS_PENDING };
}

/* The image follows what has become certain. */
static void settle(struct walk *w)
{
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		struct cells *cells = &w->disk[d];

		for (u32 i = 0; i < cells->nr_settled; i++)
			image_set(&w->c->im, d, cells->settled[i], cells->cell[cells->settled[i]].base);
		cells->nr_settled = 0;
	}
}

/* A flush issued at event @issue has ended: flushes that failed before it do not matter any more. */
static void forget_failed(struct walk *w, u32 disk, u32 issue)
{
	u32 kept = 0;

	for (u32 i = 0; i < w->nr_preflush; i++)
		if (w->preflush[i].disk != disk || w->preflush[i].failed >= issue)
			w->preflush[kept++] = w->preflush[i];
	w->nr_preflush = kept;
}

/* One that failed was perhaps not even begun, because its flush failed: the two phases remain. */
static void preflush_end(struct walk *w, u32 n, const struct life_event *e)
{
	for (u32 i = 0; i < w->nr_preflush; i++) {
		if (w->preflush[i].issue != e->issue)
			continue;
		if (e->error)
			w->preflush[i].failed = n;
		else
			w->preflush[i--] = w->preflush[--w->nr_preflush];
	}
}

static void disk_end(struct walk *w, u32 n, const struct life_event *e)
{
	const struct life_event *issue = life_at(w->life, e->issue);
	struct cells *cells = &w->disk[issue->disk];

	if (issue->flags & LIFE_PREFLUSH && !e->error) {
		cells_flushed(cells, e->issue);
		forget_failed(w, issue->disk, e->issue);
	}
	cells_end(cells, n, e->issue, issue->sector, issue->sectors, issue->flags & LIFE_FUA,
		  e->error || issue->op == LIFE_DISCARD);
	preflush_end(w, n, e);
	settle(w);
}

static void disk_event(struct walk *w, u32 n)
{
	const struct life_event *e = life_at(w->life, n);

	if (e->kind == LIFE_DISK_ISSUE)
		disk_issue(w, n, e);
	else if (e->kind == LIFE_DISK_END)
		disk_end(w, n, e);
}

/* ---- phases ---- */

u32 walk_phases(const struct walk *w)
{
	return 1U << w->nr_preflush;
}

/* Bit i of @phase: the i-th write with PREFLUSH, in flight or failed, has got past its flush. */
void walk_begin_phase(struct walk *w, u32 phase)
{
	content_t options[CELLS_MAX];
	u32 issued[CELLS_MAX];
	u32 absent[CRASH_DISKS][PREFLUSH_MAX];
	struct cells_suppose suppose[CRASH_DISKS] = { 0 };

	for (u32 i = 0; i < w->nr_preflush; i++) {
		const struct preflush *p = &w->preflush[i];
		struct cells_suppose *s = &suppose[p->disk];

		if (phase & 1U << i)
			s->flushed = max(s->flushed, p->issue);
		else
			absent[p->disk][s->nr_absent++] = p->issue;
	}
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		const struct cells *cells = &w->disk[d];

		suppose[d].absent = absent[d];
		for (u32 i = 0; i < cells->nr_dirty; i++) {
			sector_t sector = cells->dirty[i];
			u32 nr = cells_options(cells, sector, &suppose[d], options, issued);

			if (nr == 1)
				image_set(&w->c->im, d, sector, options[0]);
			else
				image_undecided(&w->c->im, d, sector, options, issued, nr);
		}
	}
}

/* ---- verdicts ---- */

static const struct truth *truth_of(const struct walk *w)
{
	return w->up && w->truth.now < w->loaded ? truth_of(w->up) : &w->truth;
}

u64 walk_class(const struct crash *c)
{
	return image_class(&c->im, c->walk->hash);
}

static u64 outcome_hash(const struct crash *c, const struct seen *seen)
{
	u64 hash = seen->load_error;

	for (u32 i = 0; i <= seen->status.nr; i++) {
		const struct seen_device *d = i ? &seen->snapshots[i - 1] : &seen->origin;

		hash = crash_mix(hash, d->id + d->error);
		for (sector_t s = 0; !d->error && s < d->sectors; s++) {
			content_t content = image_decided(&c->im, d->contents[s]);

			hash = crash_mix(hash, content_is_choice(content) ?
						       image_choice(&c->im, content)->hash :
						       content_hash(content));
		}
	}
	return hash;
}

static void judge_truth(struct walk *w, const struct seen *seen)
{
	char what[800];

	if (!truth_judge(truth_of(w), TRUTH_CUT, seen, what, sizeof(what)))
		walk_found(w->c, "%s", what);
}

static bool share(u64 hash, u32 one_in)
{
	return one_in && hash % one_in == 0;
}

bool walk_verdict(struct crash *c, const struct seen *seen)
{
	const struct crash_options *o = c->options;
	struct walk *w = c->walk;
	u64 class = walk_class(c);
	bool is_new = hash_set_add(&c->images, class);

	c->im.note_reads = false; /* what work reads after the recovery does not count */
	judge_truth(w, seen);
	c->counts.states++;
	c->counts.images += is_new;
	c->counts.outcomes += hash_set_add(&c->outcomes, outcome_hash(c, seen));
	w->work = is_new && share(class >> 8, o->work_share);
	w->read_errors = is_new && !o->nr_cuts && share(class >> 16, o->read_share);
	w->recut = w->work && w->depth < o->depth && share(class >> 32, o->recut_share);
	if (o->nr_cuts)
		w->work = w->recut = w->depth < o->nr_cuts || (o->work_share && w->depth == o->nr_cuts);
	if (w->depth >= o->depth)
		w->recut = false;
	return w->work;
}

void walk_where(struct crash *c, const char *what)
{
	struct crash_finding *f = &c->finding;

	f->found = true;
	f->kind = c->doing;
	f->worked = c->working;
	snprintf(f->what, sizeof(f->what), "%s", what);
	f->nr_cuts = c->walk ? c->walk->depth : 0;
	for (const struct walk *w = c->walk; w; w = w->up) {
		struct crash_cut *cut = &f->cuts[w->depth - 1];

		for (u32 n = 1; !w->up && n <= w->truth.now; n++)
			f->line = max(f->line, life_at(w->life, n)->line);
		if (w->truth.now)
			life_print(w->life, &c->im, w->truth.now, f->moment, sizeof(f->moment));
		cut->event = w->truth.now;
		cut->phase = w->phase;
		cut->nr_decisions = w->pos;
		cut->decisions = calloc(w->pos + 1, sizeof(*cut->decisions));
		for (u32 i = 0; i < w->pos; i++) {
			const struct decision *d = &w->path[i];
			const struct choice *ch = &c->im.choices[d->number];

			cut->decisions[i] = (struct crash_decision){ ch->disk, ch->sector, d->option, d->nr };
		}
	}
}

void walk_found(struct crash *c, const char *fmt, ...)
{
	char what[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	walk_where(c, what);
	sim_fail("%s", what);
}

/* ---- states ---- */

static void walk_events(struct walk *w);

static void recut(struct walk *w, const struct life *life, const struct seen *seen)
{
	struct image *im = &w->c->im;
	struct image_mark mark = image_mark(im);
	struct walk child = { .c = w->c, .up = w, .depth = w->depth + 1, .life = life };

	for (u32 n = 1; n <= life->nr && !child.loaded; n++)
		if (life_at(life, n)->kind == LIFE_CTL_END)
			child.loaded = n;
	truth_init_seen(&child.truth, life, im, w->c->snapshot_sectors, seen);
	w->c->counts.recut++;
	walk_events(&child);
	truth_exit(&child.truth);
	w->c->walk = w;
	image_rollback(im, mark);
}

void walk_try(struct walk *w, u32 phase)
{
	struct crash *c = w->c;
	struct image_mark mark = image_mark(&c->im);
	u32 contents = content_mark();
	struct seen *seen = malloc(sizeof(*seen));
	crash_many covered = 1;
	struct leaf *leaf;
	struct life life;

	if (!seen)
		abort();
	life_init(&life);
	w->hash = c->im.hash;
	w->phase = phase;
	w->work = w->recut = w->read_errors = false;
	c->walk = w;
	image_note_reads(&c->im);
	if (c->options->tell && given_cut(w))
		crash_story_print(c, w->life, w->truth.now, given_cut(w), stdout);
	judge_state(c, seen, &life);
	image_rollback_writes(&c->im, mark);
	leaf = leaf_begin(w);
	for (u32 i = 0; i < c->im.nr_choices; i++)
		if (c->im.choices[i].decided == UNDECIDED)
			covered = crash_multiply(covered, c->im.choices[i].nr);
	c->counts.covered = crash_add(c->counts.covered, covered);
	if (w->read_errors)
		search_aside(w, damage_reads, truth_of(w));
	if (w->recut)
		recut(w, &life, seen);
	leaf_keep(w, leaf, seen, contents);
	search_undecide(w);
	life_exit(&life);
	content_release(contents);
}

/* Nothing is done of the write that was issued just now: then it is a phase of the event before. */
static bool is_old_phase(const struct walk *w, u32 phase)
{
	for (u32 i = 0; i < w->nr_preflush; i++)
		if (w->preflush[i].issue == w->fresh && !(phase & 1U << i))
			return true;
	return false;
}

static void try_states(struct walk *w)
{
	struct image_mark mark = image_mark(&w->c->im);

	if (!w->fresh) {
		leaves_drop(w);
		w->leaves_complete = true;
	}
	w->was_complete = true;
	for (u32 phase = 0; phase < walk_phases(w); phase++) {
		const struct crash_cut *cut = given_cut(w);

		if (cut ? cut->phase != phase : is_old_phase(w, phase))
			continue;
		walk_begin_phase(w, phase);
		if (cut) {
			search_given(w, phase);
		} else if (!search_all(w, phase)) {
			w->was_complete = w->leaves_complete = false;
			search_samples(w, phase);
		}
		image_rollback(&w->c->im, mark);
	}
}

/* ---- the walk ---- */

static void count_point(struct walk *w)
{
	struct crash_counts *n = &w->c->counts;

	n->points++;
	n->complete += w->was_complete;
	n->sampled += !w->was_complete;
}

static bool is_point(const struct crash *c, u32 n)
{
	return n >= c->first && (!c->points || c->points[n]);
}

/*
 * All that a cut after event @n could leave is judged. A request that is issued makes states possible, and one that ends
 * makes states impossible; what users begin allows more, and what has ended allows less. So after the end of a
 * request, and after a beginning, there is nothing to be judged that was not judged after the event before.
 */
static void judge_moment(struct walk *w, u32 n)
{
	const struct life_event *e = life_at(w->life, n);
	bool grows = e->kind == LIFE_DISK_ISSUE && e->sectors;
	bool tightens = e->kind == LIFE_IO_END || e->kind == LIFE_CTL_END ||
			e->kind == LIFE_LOOK;

	if (w->covered && !grows && !tightens && !given_cut(w))
		return;
	w->fresh = w->covered && grows ? n : 0;
	w->fresh_sectors = e->sectors;
	if (grows || !w->leaves_complete || !w->covered || given_cut(w))
		try_states(w);
	else
		leaves_judge(w, truth_of(w));
	w->covered = w->was_complete;
}

static void walk_events(struct walk *w)
{
	const struct crash_cut *cut = given_cut(w);

	/* The disks as they are at first, and nobody was told anything: that is the state that is being judged. */
	w->covered = w->was_complete = w->up;
	w->first_choice = w->c->im.nr_choices;
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		cells_init(&w->disk[d], w->c->im.disk[d].sectors);
		for (sector_t s = 0; s < w->disk[d].sectors; s++)
			w->disk[d].cell[s].base = image_get(&w->c->im, d, s);
	}
	leaves_drop(w);
	for (u32 n = 1; n <= w->life->nr; n++) {
		disk_event(w, n);
		truth_step(&w->truth);
		if (n < w->truth.first_load)
			continue;
		if (cut ? n != cut->event : w->depth == 1 && !is_point(w->c, n)) {
			w->covered = false;
			continue;
		}
		judge_moment(w, n);
		count_point(w);
	}
	leaves_drop(w);
	free(w->path);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		cells_exit(&w->disk[d]);
}

void walk_life(struct crash *c, const struct life *life)
{
	struct walk w = { .c = c, .depth = 1, .life = life };

	c->im.decide = search_decide;
	c->im.decide_context = c;
	truth_init(&w.truth, life, &c->im, c->snapshot_sectors);
	walk_events(&w);
	truth_exit(&w.truth);
	c->walk = NULL;
}
