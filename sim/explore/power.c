// SPDX-License-Identifier: GPL-2.0
/*
 * Power cuts under every schedule (power.h): crash/unit.c records a script's life and judges it, here as the program of a search. Its
 * hooks say where the search begins and ends, and what the order of events is for (lives.h); all that is judged comes after the
 * end, in a world of its own, and is rewound with the rest.
 *
 * Most schedules differ in nothing that a power cut could show: a life is judged only if none of its class was.
 *
 * In a block nobody asks for the target's status, which would be one more process in the way of the others; it is asked for when
 * the block has ended, and crash/truth.c makes of it what it can.
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

/* What is known of the lives of this search. */
static struct power {
	struct power_counts counts;
	u64 *classes;		/* a hash table; 0: free */
	u64 nr, size;
} seen rewind_kept;

static struct script_hooks hooks;
static bool fresh;		/* lives_are_fresh() */
static u8 point, objects[LIFE_OBJECTS]; /* to be touched */

/* ---- classes that were judged ---- */

static bool class_add(u64 class);

static void classes_grow(void)
{
	u64 *old = seen.classes, size = seen.size;

	seen.size = size ? 2 * size : 1024;
	seen.classes = keep_alloc(seen.size * sizeof(*seen.classes));
	seen.nr = 0;
	for (u64 i = 0; i < size; i++)
		if (old[i])
			class_add(old[i]);
	keep_free(old);
}

/* True: it is new. */
static bool class_add(u64 class)
{
	u64 i;

	class = class ? class : 1;
	if (2 * seen.nr >= seen.size)
		classes_grow();
	for (i = crash_mix(class, 1) & (seen.size - 1); seen.classes[i]; i = (i + 1) & (seen.size - 1))
		if (seen.classes[i] == class)
			return false;
	seen.classes[i] = class;
	seen.nr++;
	return true;
}

static void forget_all(void)
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
	return class_add(life_class(life, fresh));
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

	forget_all();
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
	if (!unit.finding.found)
		return;
	finding_text(&unit.finding, text, sizeof(text));
	search_fail(NULL, text);
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
