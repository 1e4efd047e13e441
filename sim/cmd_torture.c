// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap torture: options, many seeds, processes.
 *
 * Several seeds are run in child processes, one for each, as many at once as --jobs says; what
 * they print comes out in the order of the seeds. One seed alone runs in the process itself, for
 * debuggers.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs.h"
#include "torture.h"

enum {
	OPT_SEED = 0x100,
	OPT_SEEDS,
	OPT_OPS,
	OPT_STORE,
	OPT_STRATEGY,
	OPT_JOBS,
	OPT_NO_FAULTS,
	OPT_TWICE,
	OPT_TRACE_LOG,
	OPT_TIMEOUT,
};

static const struct argp_option torture_options[] = {
	{ "seed", OPT_SEED, "N", 0, "One run with this seed (default 1)", 0 },
	{ "seeds", OPT_SEEDS, "A..B", 0, "A run for each", 0 },
	{ "ops", OPT_OPS, "N", 0, "Operations of a run (default 20000)", 0 },
	{ "store", OPT_STORE, "TYPE", 0, "model or mikulas (default mikulas)", 0 },
	{ "strategy", OPT_STRATEGY, "random|fifo", 0, "Who runs next (default: drawn from the seed)", 0 },
	{ "jobs", OPT_JOBS, "N", 0, "Processes at once (default 1)", 0 },
	{ "no-faults", OPT_NO_FAULTS, NULL, 0, "No I/O errors and allocation failures", 0 },
	{ "twice", OPT_TWICE, NULL, 0, "Run each seed twice; the digests must be equal", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0, "A run that takes longer hangs (default 300)", 0 },
	{ "trace-log", OPT_TRACE_LOG, NULL, 0, "The kernel log on stderr", 0 },
	{ "verbose", 'v', NULL, 0, "What the manager does, on stderr; twice: each bio", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

struct torture_arguments {
	struct torture_options torture;
	u64 first, last;
	unsigned int jobs, timeout;
	bool twice;
};

static error_t torture_option(int key, char *arg, struct argp_state *state)
{
	struct torture_arguments *a = state->input;

	switch (key) {
	case OPT_SEED:
		if (!parse_u64(arg, &a->first))
			argp_error(state, "--seed %s: not a number", arg);
		a->last = a->first;
		return 0;
	case OPT_SEEDS:
		if (!parse_range(arg, &a->first, &a->last))
			argp_error(state, "--seeds %s: not FIRST..LAST", arg);
		return 0;
	case OPT_OPS:
		if (!parse_u64(arg, &a->torture.ops))
			argp_error(state, "--ops %s: not a number", arg);
		return 0;
	case OPT_STORE:
		if (strcmp(arg, "model") && strcmp(arg, "mikulas"))
			argp_error(state, "--store %s: model or mikulas", arg);
		a->torture.store = arg;
		return 0;
	case OPT_STRATEGY:
		if (!parse_strategy(arg, &a->torture.strategy))
			argp_error(state, "--strategy %s: random or fifo", arg);
		a->torture.any_strategy = false;
		return 0;
	case OPT_JOBS:
		if (!parse_uint(arg, &a->jobs) || !a->jobs || a->jobs > 1024)
			argp_error(state, "--jobs %s: a number from 1 to 1024", arg);
		return 0;
	case OPT_TIMEOUT:
		if (!parse_uint(arg, &a->timeout))
			argp_error(state, "--timeout %s: not a number", arg);
		return 0;
	case OPT_NO_FAULTS:
		a->torture.no_faults = true;
		return 0;
	case OPT_TWICE:
		a->twice = true;
		return 0;
	case OPT_TRACE_LOG:
		a->torture.trace_log = true;
		return 0;
	case 'v':
		a->torture.verbose++;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no arguments are taken", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct torture_options *hanging;
static unsigned int hanging_timeout;

/* Only what does not end in the real world ends here; nothing else depends on the clock. */
static void timed_out(int signal)
{
	char command[256], line[512];
	int n;

	torture_reproducer(hanging, command, sizeof(command));
	n = snprintf(line, sizeof(line), "seed %llu: the run does not end\n  reproduce: %s --timeout %u\n",
		     (unsigned long long)hanging->seed, command, hanging_timeout);
	(void)!write(STDOUT_FILENO, line, n);
	_exit(SIM_EXIT_FOUND);
}

static int run_seed(const struct torture_arguments *a, u64 seed)
{
	struct torture_options o = a->torture;
	char first[2048], second[2048], command[256];
	int status;

	o.seed = seed;
	hanging = &o;
	hanging_timeout = a->timeout;
	if (a->timeout) {
		signal(SIGALRM, timed_out);
		alarm(a->timeout);
	}
	status = torture_run(&o, first, sizeof(first));
	if (status == SIM_EXIT_OK && a->twice) {
		status = torture_run(&o, second, sizeof(second));
		if (status == SIM_EXIT_OK && strcmp(first, second)) {
			torture_reproducer(&o, command, sizeof(command));
			printf("seed %llu: two equal runs differ:\n  %s\n  %s\n  reproduce: %s --twice\n",
			       (unsigned long long)seed, first, second, command);
			return SIM_EXIT_FOUND;
		}
	}
	alarm(0);
	progress_clear();
	if (status == SIM_EXIT_OK)
		puts(first);
	return status;
}

/* ---- many seeds ---- */

struct torture_seeds {
	const struct torture_arguments *a;
	u64 failed;
};

static int run_job(void *context, u64 i)
{
	const struct torture_seeds *seeds = context;

	return run_seed(seeds->a, seeds->a->first + i);
}

static void job_ended(void *context, u64 i, int status)
{
	struct torture_seeds *seeds = context;

	if (!status)
		return;
	printf("seed %llu: FOUND\n", (unsigned long long)(seeds->a->first + i));
	seeds->failed++;
}

static int run_seeds(const struct torture_arguments *a)
{
	struct torture_seeds seeds = { .a = a };
	const struct jobs jobs = {
		.nr = a->last - a->first + 1,
		.workers = a->jobs,
		.run = run_job,
		.ended = job_ended,
		.context = &seeds,
	};

	jobs_run(&jobs);
	printf("%llu runs, %llu with findings\n", (unsigned long long)jobs.nr, (unsigned long long)seeds.failed);
	return seeds.failed ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

int cmd_torture(int argc, char **argv)
{
	static const struct argp argp = {
		.options = torture_options,
		.parser = torture_option,
		.doc = "Random operations of every kind, with faults, from several threads, all results compared "
		       "with what they must be."
		       "\vA run is a function of its options. A finding is reported with the command that "
		       "reproduces it. Exit status: 0 no finding, 1 a finding, 2 usage.",
	};
	struct torture_arguments a = {
		.torture = { .ops = 20000, .store = "mikulas", .any_strategy = true },
		.first = 1,
		.last = 1,
		.jobs = 1,
		.timeout = 300,
	};

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return a.first == a.last ? run_seed(&a, a.first) : run_seeds(&a);
}
