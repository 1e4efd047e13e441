// SPDX-License-Identifier: GPL-2.0
/*
 * Each thing that can fail in a script fails, in turn (fail.h).
 *
 * First each script is run as it is, and what could fail is counted; then once for each of these. A run is a process of its own,
 * several at a time, and told in the order of scripts and numbers; so the output does not depend on who was first. What a run found is told
 * through shared memory: it outlives a run that a signal ended.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail.h"
#include "jobs.h"

/* No run takes nearly as long: one that does has found something. */
#define TIMEOUT_S 300

struct fail_script {
	const char *path;
	struct script_command *commands;
	struct fail_result *counted;	/* shared */
	bool left_out;			/* a finding as it is, or a limit: it is not run any more */
	u64 first;			/* the number of its first run */
};

static const char *const outcome_names[] = { "refused", "told", "unnoticed", "FINDING" };

static const char untold[] = "  it failed, and nobody was told";

struct fail_totals {
	u64 allocations, requests;
	u64 outcomes[FAIL_OUTCOMES];
};

static struct fail_campaign {
	const struct fail_options *options;
	struct fail_script *scripts;
	unsigned int nr_scripts;
	struct fail_result *results;	/* shared: of each run */
	u64 nr_runs;
	unsigned int nr_found;		/* scripts with a finding as they are */
	unsigned int nr_limits;		/* those, and runs, that cannot be judged */
	unsigned int told;		/* scripts of which all is told */
	struct fail_totals of_script, of_all;
} each;

static void *shared(size_t size)
{
	void *p = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		sim_message("cannot map %zu bytes", size);
		exit(SIM_EXIT_USAGE);
	}
	return p;
}

/* ---- which run is which ---- */

/* So many of @n that could fail do. */
static u64 taken(u64 n)
{
	u64 limit = each.options->limit;

	return limit && n > limit ? limit : n;
}

static u64 runs_of(const struct fail_script *s)
{
	const struct fail_result *counted = s->counted;
	u64 n = taken(counted->allocations);

	if (s->left_out)
		return 0;
	for (unsigned int i = 0; i < counted->nr_disks; i++)
		n += taken(counted->disks[i].requests);
	return n;
}

/* The @i-th of those taken, evenly among @n. */
static void set_place(struct fail_place *place, const char *name, u64 i, u64 n)
{
	snprintf(place->name, sizeof(place->name), "%s", name);
	place->number = 1 + i * n / taken(n);
	place->lasting = each.options->lasting;
}

static const struct fail_script *find_run(u64 run, struct fail_place *place)
{
	const struct fail_script *s = each.scripts;
	const struct fail_result *counted;
	u64 i;

	while (s + 1 < each.scripts + each.nr_scripts && s[1].first <= run)
		s++;
	counted = s->counted;
	i = run - s->first;
	if (i < taken(counted->allocations)) {
		set_place(place, FAIL_ALLOC, i, counted->allocations);
		return s;
	}
	i -= taken(counted->allocations);
	for (unsigned int d = 0; d < counted->nr_disks; d++) {
		if (i < taken(counted->disks[d].requests)) {
			set_place(place, counted->disks[d].name, i, counted->disks[d].requests);
			return s;
		}
		i -= taken(counted->disks[d].requests);
	}
	abort();
}

/* ---- counting ---- */

static int count_script(void *unused, u64 i)
{
	const struct fail_script *s = &each.scripts[i];

	alarm(TIMEOUT_S);
	sim_on_limit(sim_limit_ends, (void *)s->path);
	return fail_run(&each.options->script, s->commands, NULL, NULL, s->counted);
}

static void counted_script(void *unused, u64 i, int status)
{
	each.scripts[i].left_out = status;
	if (status == SIM_EXIT_USAGE) { /* it has said why */
		each.nr_limits++;
	} else if (status) {
		printf("%s: FINDING without any failure\n", each.scripts[i].path);
		each.nr_found++;
	}
}

static void count_all(void)
{
	const struct jobs jobs = {
		.nr = each.nr_scripts,
		.workers = each.options->jobs,
		.run = count_script,
		.ended = counted_script,
	};

	jobs_run(&jobs);
	for (unsigned int i = 0; i < each.nr_scripts; i++) {
		each.scripts[i].first = each.nr_runs;
		each.nr_runs += runs_of(&each.scripts[i]);
	}
}

/* ---- the runs ---- */

static int run_one(void *unused, u64 run)
{
	struct fail_place place;
	const struct fail_script *s = find_run(run, &place);

	alarm(TIMEOUT_S);
	sim_on_limit(sim_limit_ends, (void *)s->path);
	return fail_run(&each.options->script, s->commands, &place, NULL, &each.results[run]);
}

enum fail_outcome fail_outcome(const struct fail_result *counted, const struct fail_result *r, bool request)
{
	if (r->status_errors > counted->status_errors)
		return FAIL_TOLD;
	if (r->refused)
		return FAIL_REFUSED;
	if (r->errors != counted->errors)
		return FAIL_TOLD;
	/* Where the script itself provokes errors, this one may be among them. */
	if (request && !r->silent && !counted->errors && !counted->status_errors)
		return FAIL_FOUND;
	return FAIL_UNNOTICED;
}

static void print_totals(const char *name, const struct fail_totals *t)
{
	printf("%s: %llu allocations and %llu requests failed: %llu refused, %llu told, %llu unnoticed", name,
	       (unsigned long long)t->allocations, (unsigned long long)t->requests,
	       (unsigned long long)t->outcomes[FAIL_REFUSED], (unsigned long long)t->outcomes[FAIL_TOLD],
	       (unsigned long long)t->outcomes[FAIL_UNNOTICED]);
	if (t->outcomes[FAIL_FOUND])
		printf(", %llu FINDINGS", (unsigned long long)t->outcomes[FAIL_FOUND]);
	putchar('\n');
}

/* Scripts before the one of run @run are told. */
static void tell_scripts(u64 run)
{
	for (; each.told < each.nr_scripts; each.told++) {
		const struct fail_script *s = &each.scripts[each.told];
		struct fail_totals *t = &each.of_script;

		if (s->first + runs_of(s) > run)
			return;
		if (!s->left_out)
			print_totals(s->path, t);
		each.of_all.allocations += t->allocations;
		each.of_all.requests += t->requests;
		for (unsigned int i = 0; i < FAIL_OUTCOMES; i++)
			each.of_all.outcomes[i] += t->outcomes[i];
		memset(t, 0, sizeof(*t));
	}
}

static void print_reproducer(const struct fail_script *s, const char *place)
{
	const struct fail_options *o = each.options;

	printf("  reproduce: multisnap run --fail %s", place);
	if (o->script.world.strategy == SIM_RANDOM)
		printf(" --strategy random");
	if (o->script.world.seed != 1)
		printf(" --seed %llu", (unsigned long long)o->script.world.seed);
	if (o->choices) {
		printf(" --choices ");
		print_shell_word(stdout, o->choices);
	}
	putchar(' ');
	print_shell_word(stdout, s->path);
	putchar('\n');
}

static void told_run(void *unused, u64 run, int status)
{
	const struct fail_result *r = &each.results[run];
	enum fail_outcome outcome;
	struct fail_place place;
	const struct fail_script *s;
	char text[128];

	tell_scripts(run);
	if (status == SIM_EXIT_USAGE) { /* it has said why */
		each.nr_limits++;
		return;
	}
	s = find_run(run, &place);
	fail_place_print(&place, text, sizeof(text));
	if (strcmp(place.name, FAIL_ALLOC))
		each.of_script.requests++;
	else
		each.of_script.allocations++;
	outcome = status ? FAIL_FOUND : fail_outcome(s->counted, r, strcmp(place.name, FAIL_ALLOC));
	each.of_script.outcomes[outcome]++;
	if (outcome == FAIL_FOUND || each.options->verbose)
		printf("%s: %s: %s: %s\n", s->path, text, r->what, outcome_names[outcome]);
	if (outcome == FAIL_FOUND)
		print_reproducer(s, text);
	if (outcome == FAIL_FOUND && !status)
		printf("%s\n", untold);
}

static int run_all(void)
{
	struct jobs jobs = { .workers = each.options->jobs, .run = run_one, .ended = told_run };
	char name[64];

	count_all();
	jobs.nr = each.nr_runs;
	each.results = shared(each.nr_runs * sizeof(*each.results));
	jobs_run(&jobs);
	tell_scripts(each.nr_runs);
	snprintf(name, sizeof(name), "%u script%s", each.nr_scripts, each.nr_scripts == 1 ? "" : "s");
	print_totals(name, &each.of_all);
	if (each.nr_found || each.of_all.outcomes[FAIL_FOUND])
		return SIM_EXIT_FOUND;
	return each.nr_limits ? SIM_EXIT_USAGE : SIM_EXIT_OK;
}

/* ---- one of them ---- */

/* False: there is no such place in the script, which is told. */
static bool has_place(const struct fail_script *s, const struct fail_place *place)
{
	const struct fail_result *c = s->counted;
	bool is_disk = strcmp(place->name, FAIL_ALLOC);
	const char *what = is_disk ? "requests of that disk" : "allocations";
	u64 n = is_disk ? 0 : c->allocations;

	for (unsigned int i = 0; is_disk && i < c->nr_disks; i++) {
		if (!strcmp(c->disks[i].name, place->name))
			n = c->disks[i].requests;
	}
	if (place->number <= n)
		return true;
	sim_message("--fail %s: %s has %llu %s", each.options->place, s->path, (unsigned long long)n, what);
	return false;
}

static int run_place(const struct fail_options *o, const struct fail_script *s)
{
	enum fail_outcome outcome;
	struct fail_result result;
	struct fail_place place;
	int status;

	if (!fail_place_parse(o->place, &place)) {
		sim_message("--fail %s: not alloc=N or DISK=N, with a + behind it for all that follow", o->place);
		return SIM_EXIT_USAGE;
	}
	count_all();
	if (each.nr_found)
		return SIM_EXIT_FOUND;
	if (each.nr_limits || !has_place(s, &place))
		return SIM_EXIT_USAGE;
	sim_on_limit(sim_limit_ends, (void *)s->path);
	status = fail_run(&o->script, s->commands, &place, stdout, &result);
	outcome = status ? FAIL_FOUND : fail_outcome(s->counted, &result, strcmp(place.name, FAIL_ALLOC));
	printf("%s: %s: %s\n", o->place, result.what, outcome_names[outcome]);
	if (outcome == FAIL_FOUND && !status)
		printf("%s\n", untold);
	return outcome == FAIL_FOUND ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

int fail_each(const struct fail_options *o)
{
	struct fail_result *counted = shared(o->nr_files * sizeof(*counted));
	int status = SIM_EXIT_OK;

	each = (struct fail_campaign){ .options = o, .nr_scripts = o->nr_files };
	each.scripts = calloc(o->nr_files, sizeof(*each.scripts));
	if (!each.scripts)
		abort();
	for (int i = 0; i < o->nr_files && status == SIM_EXIT_OK; i++) {
		struct fail_script *s = &each.scripts[i];

		s->path = o->files[i];
		s->counted = &counted[i];
		s->commands = script_load(s->path);
		if (!s->commands || !script_repeatable(s->commands))
			status = SIM_EXIT_USAGE;
	}
	if (status == SIM_EXIT_OK && o->place)
		status = run_place(o, each.scripts);
	else if (status == SIM_EXIT_OK)
		status = run_all();
	for (unsigned int i = 0; i < each.nr_scripts; i++)
		script_free(each.scripts[i].commands);
	free(each.scripts);
	return status;
}
