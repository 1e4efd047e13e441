// SPDX-License-Identifier: GPL-2.0
/*
 * Power cuts under every schedule (power.h): crash/unit.c records a script's life and judges it, here as the program of a search. Its
 * hooks say where the search begins and ends, and what the order of events is for (lives.h); all that is judged comes after the
 * end, in a world of its own, and is rewound with the rest.
 *
 * Most schedules differ in nothing that a power cut could show: a life is judged only if none of its class was.
 *
 * In a block nobody asks for the target's status, which would be one more process in the way of the others; it is asked for when
 * the block has ended, and crash/truth_when.c makes of it what it can.
 */
#include <stdlib.h>
#include <string.h>

#include "lives.h"
#include "power.h"
#include "rewind.h"
#include "scenario.h"
#include "search.h"
#include "story.h"

/* States of the disks at one moment that are all tried; above it, so many random ones. As `multisnap crash` has them. */
#define BOUND 4096
#define SAMPLES 64

struct disk *(*power_disk_top)(void *context, const char *name, struct disk *top) rewind_kept;

/* What is known of the lives of a script. */
static struct power {
	struct power_counts counts;
	u64 *classes;		/* a hash table; 0: free */
	u64 nr, size;
} seen rewind_kept;

static struct script_hooks hooks;
static bool fresh;		/* lives_are_fresh() */
static u64 class;		/* of the life that was recorded; 0: none */
static u8 point, objects[LIFE_OBJECTS]; /* to be touched */

/* ---- classes that were judged ---- */

static u64 *class_slot(u64 class)
{
	u64 i = crash_mix(class, 1) & (seen.size - 1);

	while (seen.classes[i] && seen.classes[i] != class)
		i = (i + 1) & (seen.size - 1);
	return &seen.classes[i];
}

static void classes_grow(void)
{
	u64 *old = seen.classes, size = seen.size;

	seen.size = size ? 2 * size : 1024;
	seen.classes = keep_alloc(seen.size * sizeof(*seen.classes));
	for (u64 i = 0; i < size; i++)
		if (old[i])
			*class_slot(old[i]) = old[i];
	keep_free(old);
}

void power_forget(void)
{
	keep_free(seen.classes);
	memset(&seen, 0, sizeof(seen));
}

/* ---- what the explorer is told ---- */

static void touch(void *unused, enum life_object object, u32 part, enum sim_access kind)
{
	sim_touch(&objects[object], part, kind);
}

static void note(const struct life *life, u32 number)
{
	const struct image none = { 0 };
	char text[600];

	life_print(life, &none, number, text, sizeof(text));
	story_note("event %u: %s", number, text + strspn(text, " "));
}

static void told(const struct life *life, u32 number)
{
	life_touches(life, number, fresh, touch, NULL);
	if (story_is_told())
		note(life, number);
}

static void parallel(void *context, bool begins)
{
	struct life *life = context;

	if (begins) {
		life->blind = true;
		life->told = told;
		search_begin();
		return;
	}
	search_end();
	life->blind = false;
	life->told = NULL;
	life_look(life);
}

/*
 * What shrinks begins a step: so in a step it comes before what grows, and that others come in the middle of a step would
 * find nothing that they do not find before or after it.
 */
static u64 io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors, const tag_t *tags)
{
	sim_point("request begins", &point, SIM_ADD);
	return life_hooks.io_begin(context, c, sector, sectors, tags);
}

static u64 ctl_begin(void *context, const struct script_command *c)
{
	sim_point("command begins", &point, SIM_ADD);
	return life_hooks.ctl_begin(context, c);
}

/* ---- judging ---- */

static u32 first_parallel(const struct script_command *c)
{
	while (c && (c->verb->run != script_parallel || !strcmp(c->verb->name, "{")))
		c = c->next;
	return c ? c->line : 0;
}

/* What comes before the first block is the same in each run: it is judged in the first. */
static bool is_new(struct crash_unit *unit, struct crash *c, struct life *life)
{
	if (seen.nr)
		unit->first_line = first_parallel(unit->script);
	class = life_class(life, fresh) | 1;
	if (2 * seen.nr >= seen.size)
		classes_grow();
	return !*class_slot(class);
}

/* That no state of it is a finding. */
static void class_is_good(void)
{
	u64 *slot = class_slot(class);

	seen.nr += !*slot;
	*slot = class;
}

static void finding_text(const struct crash_finding *f, char *text, size_t size)
{
	size_t n;

	if (!f->nr_cuts) {
		snprintf(text, size, "%s", f->what);
		return;
	}
	n = (size_t)scnprintf(text, size, "the power is cut after event %u (%s): %s; survivors: /%u", f->cuts[0].event,
			      f->moment + strspn(f->moment, " "), f->what, f->cuts[0].phase);
	for (u32 i = 0; i < f->cuts[0].nr_decisions; i++) {
		const struct crash_decision *d = &f->cuts[0].decisions[i];

		n += (size_t)scnprintf(text + n, size - n, "%c%s:%llu=%u", i ? ',' : ':',
				       d->disk == CRASH_ORIGIN ? "origin" : "store", d->sector, d->option);
	}
}

void power_run(void *arg)
{
	const struct crash_options options = { .bound = BOUND, .samples = SAMPLES, .depth = 1 };
	const struct scenario *scenario = arg;
	struct crash_unit unit = {
		.script = scenario->script,
		.hooks = &hooks,
		.strategy = SIM_FIFO,
		.recorded = is_new,
		.disk_top = power_disk_top,
	};
	char text[1024];

	class = 0;
	hooks = life_hooks;
	hooks.parallel = parallel;
	hooks.io_begin = io_begin;
	hooks.ctl_begin = ctl_begin;
	fresh = lives_are_fresh(scenario->script);
	snprintf(unit.name, sizeof(unit.name), "%s", scenario->file);
	crash_unit_run(&options, &unit);
	seen.counts.runs++;
	crash_counts_add(&seen.counts.judged, &unit.counts);
	if (unit.error[0])
		search_fail(NULL, unit.error);
	if (unit.finding.found) {
		finding_text(&unit.finding, text, sizeof(text));
		search_fail(NULL, text);
	}
	class_is_good();
}

const struct power_counts *power_counts(void)
{
	return &seen.counts;
}

void power_print(FILE *out)
{
	const struct crash_counts *n = &seen.counts.judged;

	fprintf(out, "%llu lives, power cut at %llu moments, %llu states, ", n->workloads, n->points, n->states);
	if (n->sampled)
		fprintf(out, "not all of those at %llu moments", n->sampled);
	else
		fprintf(out, "all that can be");
}
