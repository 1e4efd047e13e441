// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap run SCRIPT...: runs scripts in the simulated kernel, transcripts on stdout.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "script.h"

enum {
	OPT_SEED = 0x100,
	OPT_STRATEGY,
	OPT_CHOICES,
	OPT_SCHEDULE,
	OPT_TRACE_LOG,
	OPT_SAVE_DISKS,
	OPT_VERBS,
	OPT_SYNTAX,
	OPT_FAIL_EACH,
	OPT_FAIL,
	OPT_LASTING,
	OPT_LIMIT,
	OPT_JOBS,
};

static const struct argp_option run_options[] = {
	{ "seed", OPT_SEED, "N", 0, "Seed of all random choices (default 1)", 0 },
	{ "strategy", OPT_STRATEGY, "fifo|random", 0, "Who runs next, which I/O completes next (default fifo)", 0 },
	{ "choices", OPT_CHOICES, "FILE", 0, "Take the choices from FILE, numbers in text; then fifo", 0 },
	{ "schedule", OPT_SCHEDULE, "FILE", 0, "Run one schedule, as multisnap explore has written it, and show each step", 0 },
	{ "save-disks", OPT_SAVE_DISKS, "DIR", 0, "Leave each disk in DIR at the end: an image NAME, counts NAME.stat", 0 },
	{ "trace-log", OPT_TRACE_LOG, NULL, 0, "The kernel log on stderr", 0 },
	{ "syntax", OPT_SYNTAX, NULL, 0, "Check the syntax only", 0 },
	{ "verbs", OPT_VERBS, NULL, 0, "List the verbs of the language", 0 },
	{ NULL, 0, NULL, 0, "One thing fails:", 1 },
	{ "fail-each", OPT_FAIL_EACH, NULL, 0, "Run each script once for each allocation and for each request of a disk, which "
	  "fails; judge each run", 1 },
	{ "lasting", OPT_LASTING, NULL, 0, "All that comes after it fails, too", 1 },
	{ "limit", OPT_LIMIT, "N", 0, "At most N allocations of a script, and N requests of a disk, spread evenly", 1 },
	{ "jobs", OPT_JOBS, "N", 0, "N runs at a time (default 1)", 1 },
	{ "verbose", 'v', NULL, 0, "Tell of each run what failed, and what came of it", 1 },
	{ "fail", OPT_FAIL, "PLACE", 0, "One of these runs, with its transcript: alloc=N, or DISK=N; N+ is lasting", 1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

struct run_arguments {
	struct script_options script;
	const char *const *files;
	int nr_files;
	bool verbs, syntax;
	char *schedule;
	bool fail_each;
	struct fail_options fail;
};

/* Numbers separated by blanks, to the end of the file. */
static bool read_choices(struct world_options *o, const char *path)
{
	FILE *f = fopen(path, "r");
	u32 *choices = NULL;
	size_t n = 0, max = 0;
	unsigned int value;
	bool ok;

	if (!f)
		return false;
	while (fscanf(f, "%u", &value) == 1) {
		if (n == max) {
			max = max ? 2 * max : 1024;
			choices = realloc(choices, max * sizeof(*choices));
			if (!choices)
				abort();
		}
		choices[n++] = value;
	}
	ok = feof(f) && !ferror(f);
	fclose(f);
	o->strategy = SIM_RECORDED;
	o->recorded = choices;
	o->nr_recorded = n;
	return ok;
}

static error_t run_option(int key, char *arg, struct argp_state *state)
{
	struct run_arguments *a = state->input;

	switch (key) {
	case OPT_SEED:
		if (!parse_u64(arg, &a->script.world.seed))
			argp_error(state, "--seed %s: not a number", arg);
		return 0;
	case OPT_STRATEGY:
		if (!parse_strategy(arg, &a->script.world.strategy))
			argp_error(state, "--strategy %s: fifo or random", arg);
		return 0;
	case OPT_CHOICES:
		if (!read_choices(&a->script.world, arg))
			argp_error(state, "--choices %s: %s", arg,
				   errno ? strerror(errno) : "not a list of numbers");
		a->fail.choices = arg;
		return 0;
	case OPT_SCHEDULE:
		a->schedule = arg;
		return 0;
	case OPT_SAVE_DISKS:
		a->script.world.save_dir = arg;
		return 0;
	case OPT_TRACE_LOG:
		a->script.world.log_to_stderr = true;
		return 0;
	case OPT_VERBS:
		a->verbs = true;
		return 0;
	case OPT_SYNTAX:
		a->syntax = true;
		return 0;
	case OPT_FAIL_EACH:
		a->fail_each = true;
		return 0;
	case OPT_FAIL:
		a->fail.place = arg;
		return 0;
	case OPT_LASTING:
		a->fail.lasting = true;
		return 0;
	case OPT_LIMIT:
		if (!parse_u64(arg, &a->fail.limit) || !a->fail.limit)
			argp_error(state, "--limit %s: not a number from 1", arg);
		return 0;
	case OPT_JOBS:
		if (!parse_uint(arg, &a->fail.jobs) || !a->fail.jobs || a->fail.jobs > 1024)
			argp_error(state, "--jobs %s: a number from 1 to 1024", arg);
		return 0;
	case 'v':
		a->fail.verbose = true;
		return 0;
	case ARGP_KEY_ARGS:
		a->files = (const char *const *)state->argv + state->next;
		a->nr_files = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (!a->verbs)
			argp_error(state, "a script is missing");
		return 0;
	case ARGP_KEY_END:
		if (a->schedule && a->nr_files != 1)
			argp_error(state, "--schedule goes with one script");
		if (a->fail.place && (a->nr_files != 1 || a->fail_each))
			argp_error(state, "--fail goes with one script, and without --fail-each");
		if (a->fail_each && a->script.world.save_dir)
			argp_error(state, "--save-disks goes without --fail-each (--fail: of one of its runs)");
		if ((a->fail.lasting || a->fail.limit) && !a->fail_each)
			argp_error(state, "--lasting and --limit go with --fail-each (--fail: a + behind the number)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run_file(const struct run_arguments *a, const char *path)
{
	struct script_command *script = script_load(path);
	int status = SIM_EXIT_OK;

	if (!script)
		return SIM_EXIT_USAGE;
	if (!a->syntax)
		status = script_run(&a->script, script);
	script_free(script);
	return status;
}

/* Schedules are the explorer's, which is another program. */
static int show_schedule(char *schedule, const char *path)
{
	char name[] = "multisnap explore", option[] = "--schedule";
	char *argv[] = { name, option, schedule, (char *)path, NULL };

	return cmd_explore(4, argv);
}

int cmd_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = run_options,
		.parser = run_option,
		.args_doc = "SCRIPT...",
		.doc = "Run scripts of dmsetup commands and I/O in a simulated kernel; print the transcript."
		       "\vThe language is described in docs/script.md. SCRIPT may be \"-\". Exit status: 0 all "
		       "expectations came true, 1 one did not, 2 usage or syntax.",
	};
	struct run_arguments a = { .script.world.seed = 1, .fail.jobs = 1 };
	const struct script_verb *verb;
	int status = SIM_EXIT_OK;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.schedule && a.nr_files == 1)
		return show_schedule(a.schedule, a.files[0]);
	if (a.fail_each || a.fail.place) {
		a.fail.script = a.script;
		a.fail.files = a.files;
		a.fail.nr_files = a.nr_files;
		return fail_each(&a.fail);
	}
	for (unsigned int i = 0; a.verbs && (verb = script_verb_at(i)); i++)
		puts(verb->usage);
	for (int i = 0; i < a.nr_files && status == SIM_EXIT_OK; i++)
		status = run_file(&a, a.files[i]);
	return status;
}
