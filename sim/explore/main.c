// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap explore SCRIPT...: every schedule of the parallel blocks of scripts. A program of its own (CMakeLists.txt
 * says why), which `multisnap explore` runs.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "power.h"
#include "jobs.h"
#include "program.h"
#include "race.h"
#include "rewind.h"
#include "scenario.h"
#include "schedule.h"
#include "search.h"
#include "story.h"

enum {
	OPT_PROGRAM = 0x100,
	OPT_CRASH,
	OPT_RANDOM,
	OPT_DEPTH,
	OPT_SEED,
	OPT_PREEMPTIONS,
	OPT_MAX_RUNS,
	OPT_MAX_STEPS,
	OPT_NO_RACES,
	OPT_NO_LATE_STORES,
	OPT_NO_SHRINK,
	OPT_WORKERS,
	OPT_SCHEDULE,
	OPT_OUTPUT,
	OPT_TIMES,
};

static const struct argp_option explore_options[] = {
	{ "program", OPT_PROGRAM, "mutex:NxM", 0, "In place of a script: N threads, M times lock, x++, unlock each", 0 },
	{ "crash", OPT_CRASH, NULL, 0, "Cut the power at every moment of every schedule; this is what is judged then", 0 },
	{ "random", OPT_RANDOM, "N", 0, "N random schedules in place of all", 0 },
	{ "depth", OPT_DEPTH, "D", 0, "With --random: PCT, for bugs of that depth; 0: each choice at random (default 3)", 0 },
	{ "seed", OPT_SEED, "N", 0, "Seed of random schedules (default 1)", 0 },
	{ "preemptions", OPT_PREEMPTIONS, "N", 0, "No more than N preemptions in a schedule", 0 },
	{ "max-runs", OPT_MAX_RUNS, "N", 0,
	  "Look at so many schedules; if these are not all, at those without preemption, with one, ..., each time as many", 0 },
	{ "max-steps", OPT_MAX_STEPS, "N", 0, "A schedule of more steps is a finding: it does not end (default 5000)", 0 },
	{ "no-races", OPT_NO_RACES, NULL, 0, "Do not look for data races", 0 },
	{ "no-late-stores", OPT_NO_LATE_STORES, NULL, 0, "Others see at once what a thread stores, as on no real machine", 0 },
	{ "no-shrink", OPT_NO_SHRINK, NULL, 0, "Do not look for a schedule with fewer preemptions", 0 },
	{ "workers", OPT_WORKERS, "N", 0, "Scripts at the same time (default: CPUs)", 0 },
	{ "schedule", OPT_SCHEDULE, "FILE", 0, "Run this schedule only, and show it", 0 },
	{ "output", OPT_OUTPUT, "FILE", 0, "Where the schedule of a finding goes (default SCRIPT.schedule)", 0 },
	{ "times", OPT_TIMES, NULL, 0, "Print seconds and schedules a second, too", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

#define MAX_STEPS 5000	/* of a schedule, unless said otherwise */
/* Schedules with one preemption less that are looked at for a finding. */
#define SHRINK_RUNS 20000

struct explore_arguments {
	struct search_options search;
	struct program_spec program;
	const char *program_name, *schedule, *output;
	bool no_shrink, times, crash;
	unsigned int workers;
	char **files;
	int nr_files;
	int worst; /* exit code of a file */
};

static void take_number(struct argp_state *state, const char *name, const char *arg, u64 max, u64 *value)
{
	if (!parse_u64(arg, value) || *value > max)
		argp_error(state, "--%s %s: not a number up to %llu", name, arg, max);
}

static error_t explore_option(int key, char *arg, struct argp_state *state)
{
	struct explore_arguments *a = state->input;
	u64 value;

	switch (key) {
	case OPT_PROGRAM:
		if (!program_parse(arg, &a->program))
			argp_error(state, "--program %s: mutex:NxM", arg);
		a->program_name = arg;
		return 0;
	case OPT_CRASH:
		a->crash = true;
		return 0;
	case OPT_RANDOM:
		take_number(state, "random", arg, U64_MAX, &a->search.max_runs);
		a->search.strategy = SEARCH_RANDOM;
		return 0;
	case OPT_DEPTH:
		take_number(state, "depth", arg, 16, &value);
		a->search.depth = (u32)value;
		return 0;
	case OPT_SEED:
		take_number(state, "seed", arg, U64_MAX, &a->search.seed);
		return 0;
	case OPT_PREEMPTIONS:
		take_number(state, "preemptions", arg, U32_MAX, &a->search.preemptions);
		return 0;
	case OPT_MAX_RUNS:
		take_number(state, "max-runs", arg, U64_MAX, &a->search.max_runs);
		return 0;
	case OPT_MAX_STEPS:
		take_number(state, "max-steps", arg, 1000000, &value);
		a->search.max_steps = (u32)value;
		return 0;
	case OPT_NO_RACES:
		a->search.no_races = true;
		return 0;
	case OPT_NO_LATE_STORES:
		a->search.no_late_stores = true;
		return 0;
	case OPT_NO_SHRINK:
		a->no_shrink = true;
		return 0;
	case OPT_WORKERS:
		take_number(state, "workers", arg, 1024, &value);
		a->workers = (unsigned int)value;
		return 0;
	case OPT_SCHEDULE:
		a->schedule = arg;
		return 0;
	case OPT_OUTPUT:
		a->output = arg;
		return 0;
	case OPT_TIMES:
		a->times = true;
		return 0;
	case ARGP_KEY_ARGS:
		a->files = state->argv + state->next;
		a->nr_files = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (!a->nr_files && !a->program_name)
			argp_error(state, "a script is missing");
		if (a->schedule && a->nr_files != 1)
			argp_error(state, "--schedule goes with one script");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- one program ---- */

struct subject {
	const char *name;
	void (*program)(void *arg);
	void *arg;
	u32 threads;
	u64 none_below; /* no finding with fewer preemptions */
};

/* One search, as words; @seconds < 0: without times. */
static void print_counts(const struct search_options *o, const struct search_result *r, double seconds)
{
	const struct search_counts *c = &r->counts;

	if (o->strategy == SEARCH_RANDOM)
		printf("%llu random schedules", c->traces);
	else if (r->complete)
		printf("complete: %llu traces", c->traces);
	else if (r->ended)
		printf("complete up to %llu preemptions: %llu schedules", o->preemptions, c->traces);
	else
		printf("not complete: %llu traces", c->traces);
	if (c->redundant)
		printf(", %llu redundant ones given up", c->redundant);
	printf(", up to %llu steps", c->max_steps);
	if (seconds >= 0)
		printf(", %.2f s, %.0f a second", seconds, c->traces / (seconds > 0 ? seconds : 1e-9));
}

/* A result of its own, in memory that stays. */
static void keep_result(struct search_result *to, const struct search_result *r)
{
	u32 *schedule = keep_alloc((r->nr_schedule + 1) * sizeof(*schedule));

	*to = *r;
	memcpy(schedule, r->schedule, r->nr_schedule * sizeof(*schedule));
	to->schedule = schedule;
}

/* The same with as few preemptions as there is a finding. */
static void shrink(const struct search_options *options, const struct subject *s, struct search_result *found)
{
	struct search_options o = *options;
	const struct search_result *r;

	o.strategy = SEARCH_ALL;
	o.max_runs = SHRINK_RUNS;
	for (o.preemptions = s->none_below; o.preemptions < found->preemptions; o.preemptions++) {
		r = search(&o, s->program, s->arg);
		if (r->found) {
			keep_result(found, r);
			return;
		}
	}
}

/* Once more, to be seen. */
static bool show(const struct search_options *options, const struct subject *s, const struct search_result *found)
{
	struct search_options o = *options;
	struct search_result r;

	o.strategy = SEARCH_FIXED;
	o.story = true;
	o.schedule = found->schedule;
	o.nr_schedule = found->nr_schedule;
	r = *search(&o, s->program, s->arg);
	story_print(stdout);
	race_resolve(r.what, sizeof(r.what));
	printf("%s: %s\n", s->name, r.found ? r.what : "no finding");
	return r.found;
}

static void print_reproducer(const struct explore_arguments *a, const struct subject *s, const char *schedule)
{
	printf("%s: reproduce: multisnap explore%s%s%s", s->name, a->crash ? " --crash" : "",
	       a->search.no_races ? " --no-races" : "", a->search.no_late_stores ? " --no-late-stores" : "");
	if (a->search.max_steps != MAX_STEPS)
		printf(" --max-steps %u", a->search.max_steps);
	printf(" --schedule ");
	print_shell_word(stdout, schedule);
	putchar(' ');
	print_shell_word(stdout, s->name);
	putchar('\n');
}

static int report(const struct explore_arguments *a, const struct subject *s, struct search_result *found)
{
	char path[4096];

	race_resolve(found->what, sizeof(found->what));
	printf("%s: FINDING: %s\n", s->name, found->what);
	if (!a->no_shrink)
		shrink(&a->search, s, found);
	snprintf(path, sizeof(path), "%s%s", a->output ? a->output : s->name, a->output ? "" : ".schedule");
	if (a->program_name)
		return SIM_EXIT_FOUND;
	if (!schedule_write(path, found->schedule, found->nr_schedule)) {
		sim_message("%s: %s", path, strerror(errno));
		return SIM_EXIT_USAGE;
	}
	show(&a->search, s, found);
	print_reproducer(a, s, path);
	return SIM_EXIT_FOUND;
}

static const struct search_result *timed_search(const struct explore_arguments *a, const struct search_options *o,
						const struct subject *s)
{
	clock_t start = clock();
	const struct search_result *r = search(o, s->program, s->arg);

	print_counts(o, r, a->times ? (double)(clock() - start) / CLOCKS_PER_SEC : -1);
	return r;
}

/*
 * What is too large to be seen whole is seen with as many preemptions as can be afforded (Musuvathi, Qadeer, Iterative
 * Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007).
 */
static const struct search_result *iterate(const struct explore_arguments *a, struct subject *s,
					   const struct search_result *r)
{
	struct search_options o = a->search;

	if (o.strategy != SEARCH_ALL || o.preemptions != NO_LIMIT)
		return r;
	for (o.preemptions = 0; !r->found && !r->complete && (r->ended || !o.preemptions); o.preemptions++) {
		printf("; ");
		s->none_below = o.preemptions;
		r = timed_search(a, &o, s);
	}
	return r;
}

static int explore(const struct explore_arguments *a, struct subject *s)
{
	const struct search_result *r;
	struct search_result found;

	printf("%s: %u threads: ", s->name, s->threads);
	r = timed_search(a, &a->search, s);
	r = iterate(a, s, r);
	if (a->crash) {
		printf("; ");
		power_print(stdout);
	}
	puts(r->found ? "" : ", no finding");
	if (!r->found)
		return SIM_EXIT_OK;
	keep_result(&found, r);
	return report(a, s, &found);
}

/* ---- scripts ---- */

static int explore_file(const struct explore_arguments *a, const char *path)
{
	struct scenario scenario = { .file = path, .script = script_load(path) };
	struct subject s = { path, a->crash ? power_run : scenario_run, &scenario, 0, 0 };
	struct search_result given = { 0 };

	if (!scenario.script || !script_repeatable(scenario.script))
		return SIM_EXIT_USAGE;
	s.threads = scenario_threads(scenario.script);
	if (!s.threads) {
		sim_message("%s: nothing to explore: it has no parallel block", path);
		return SIM_EXIT_USAGE;
	}
	if (!a->schedule)
		return explore(a, &s);
	given.schedule = schedule_read(a->schedule, &given.nr_schedule);
	if (!given.schedule) {
		sim_message("%s: %s", a->schedule, errno ? strerror(errno) : "not a list of numbers");
		return SIM_EXIT_USAGE;
	}
	return show(&a->search, &s, &given) ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

static int run_job(void *context, u64 i)
{
	const struct explore_arguments *a = context;

	return explore_file(a, a->files[i]);
}

static void job_ended(void *context, u64 i, int status)
{
	struct explore_arguments *a = context;

	a->worst = max(a->worst, status);
}

/* Each script in a process of its own. The worst exit code. */
static int explore_files(struct explore_arguments *a)
{
	const struct jobs jobs = {
		.nr = a->nr_files,
		.workers = a->workers,
		.run = run_job,
		.ended = job_ended,
		.context = a,
	};

	jobs_run(&jobs);
	return a->worst;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = explore_options,
		.parser = explore_option,
		.args_doc = "SCRIPT...",
		.doc = "Run the parallel blocks of scripts under every schedule; judge each."
		       "\vEvery order of what happens that anybody could notice is run once: who runs next, which I/O "
		       "completes next, which random fault strikes. docs/explore.md says what is proven and what is not. "
		       "Exit status: 0 no finding, 1 finding, 2 usage.",
	};
	struct explore_arguments a = {
		.search = { .seed = 1, .max_runs = NO_LIMIT, .preemptions = NO_LIMIT, .max_steps = MAX_STEPS, .depth = 3 },
	};
	char name[] = "multisnap explore";

	argp_err_exit_status = SIM_EXIT_USAGE;
	argv[0] = name;
	a.workers = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!a.workers)
		a.workers = 1;
	if (a.program_name)
		return explore(&a, &(struct subject){ a.program_name, program_run, &a.program,
						      a.program.threads, 0 });
	return a.nr_files == 1 ? explore_file(&a, a.files[0]) : explore_files(&a);
}
