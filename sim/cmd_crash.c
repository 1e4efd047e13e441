// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap crash: options, and what is printed.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "dmlog.h"
#include "work.h"

enum {
	OPT_BOUNDED = 0x100,
	OPT_SEEDS,
	OPT_OPS,
	OPT_TRACE,
	OPT_PIECES,
	OPT_SEED,
	OPT_STRATEGY,
	OPT_KEEP_GOING,
	OPT_BOUND,
	OPT_SAMPLES,
	OPT_DEPTH,
	OPT_WORK,
	OPT_RECUT,
	OPT_READ_ERRORS,
	OPT_DAMAGE,
	OPT_WORKERS,
	OPT_CUT,
	OPT_OUTPUT,
	OPT_NO_SHRINK,
	OPT_EVENTS,
	OPT_SCRIPT,
	OPT_TRACE_LOG,
};

static const struct argp_option crash_argp_options[] = {
	{ NULL, 0, NULL, 0, "Workloads, besides scripts:", 1 },
	{ "bounded", OPT_BOUNDED, "L=N", 0, "Every sequence of up to N operations of a small alphabet", 1 },
	{ "seeds", OPT_SEEDS, "A..B", 0, "Random workloads, one for each seed", 1 },
	{ "trace", OPT_TRACE, "FILE", 0, "Pieces of a recorded block trace (again: its other files)", 1 },
	{ "pieces", OPT_PIECES, "N", 0, "So many of them, from its beginning (default 8)", 1 },
	{ "ops", OPT_OPS, "N", 0, "Operations of a random workload, requests of a piece (default 300)", 1 },
	{ NULL, 0, NULL, 0, "How a script is played:", 2 },
	{ "strategy", OPT_STRATEGY, "fifo|random", 0, "Who runs next, which I/O completes next (default fifo)", 2 },
	{ "seed", OPT_SEED, "N", 0, "Seed of all random choices (default 1)", 2 },
	{ "keep-going", OPT_KEEP_GOING, NULL, 0, "Its commands may fail", 2 },
	{ NULL, 0, NULL, 0, "What is tried:", 3 },
	{ "bound", OPT_BOUND, "N", 0, "States of the disks at one moment that are all tried; of more, samples (default 4096)", 3 },
	{ "samples", OPT_SAMPLES, "N", 0, "Random ones of them, besides structured ones (default 64)", 3 },
	{ "depth", OPT_DEPTH, "N", 0, "Power cuts one after the other, 1 to 4 (default 2)", 3 },
	{ "work", OPT_WORK, "N", 0, "Go on working after one in N recoveries; 0: never (default 16)", 3 },
	{ "recut", OPT_RECUT, "N", 0, "Cut the power again in one in N of those (default 16)", 3 },
	{ "read-errors", OPT_READ_ERRORS, "N", 0, "Let each read of one in N recoveries fail; 0: of none (default 128)", 3 },
	{ "damage", OPT_DAMAGE, "N", 0, "At one in N moments, lose and misplace some writes of metadata; 0: never (default 128)", 3 },
	{ NULL, 0, NULL, 0, "A finding:", 4 },
	{ "output", OPT_OUTPUT, "FILE", 0, "Where the smallest script goes (default crash-found.msnap)", 4 },
	{ "no-shrink", OPT_NO_SHRINK, NULL, 0, "Tell it as it was found", 4 },
	{ "cut", OPT_CUT, "EVENT[/PHASE][:DISK:SECTOR=K,...]", 0,
	  "Only this state, and its story: the power goes after that event; of the sectors named the K-th alternative survives. Again: "
	  "in the recovery from it", 4 },
	{ "events", OPT_EVENTS, NULL, 0, "Print the events of the script's life", 4 },
	{ "script", OPT_SCRIPT, "INDEX", 0, "Print that workload of --bounded or --seeds as a script, and do nothing", 4 },
	{ "workers", OPT_WORKERS, "N", 0, "Processes (default: as many as there are CPUs)", 5 },
	{ "trace-log", OPT_TRACE_LOG, NULL, 0, "The kernel log on stderr", 5 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

struct crash_arguments {
	struct crash_options crash;
	struct crash_cut cuts[CRASH_DEPTH_MAX];
	char *const *files;
	u32 nr_files;
	struct bounded *bounded;
	bool seeds;
	u64 first_seed, last_seed;
	u32 ops;
	const char *traces[64];
	u32 nr_traces, pieces;
	struct trace_work *trace;
	struct dmlog_arguments log;
	unsigned int workers;
	bool no_shrink, print_script, keep_going;
	u64 script;
	const char *output;
};

static void parse_cut(struct argp_state *state, const char *arg)
{
	struct crash_arguments *a = state->input;
	const char *wrong;

	if (a->crash.nr_cuts == CRASH_DEPTH_MAX)
		argp_error(state, "--cut: at most %d of them", CRASH_DEPTH_MAX);
	wrong = crash_cut_parse(&a->cuts[a->crash.nr_cuts++], arg);
	if (wrong)
		argp_error(state, "--cut %s: at \"%s\": not EVENT[/PHASE][:origin|store:SECTOR=NUMBER,...]", arg, wrong);
}

static void parse_number(struct argp_state *state, const char *option, const char *arg, u32 least, u32 most,
			 u32 *value)
{
	if (!parse_uint(arg, value) || *value < least || *value > most)
		argp_error(state, "--%s %s: a number from %u to %u", option, arg, least, most);
}

static void parse_bounded(struct argp_state *state, const char *arg)
{
	struct crash_arguments *a = state->input;
	u32 length;

	parse_number(state, "bounded", strncmp(arg, "L=", 2) ? arg : arg + 2, 0, 6, &length);
	if (a->bounded)
		bounded_destroy(a->bounded);
	a->bounded = bounded_create(length);
}

static error_t crash_option(int key, char *arg, struct argp_state *state)
{
	struct crash_arguments *a = state->input;
	struct crash_options *o = &a->crash;

	switch (key) {
	case OPT_BOUNDED:
		parse_bounded(state, arg);
		return 0;
	case OPT_SEEDS:
		if (!parse_range(arg, &a->first_seed, &a->last_seed))
			argp_error(state, "--seeds %s: not FIRST..LAST", arg);
		a->seeds = true;
		return 0;
	case OPT_OPS:
		parse_number(state, "ops", arg, 1, 1000000, &a->ops);
		return 0;
	case OPT_TRACE:
		if (a->nr_traces == 64)
			argp_error(state, "--trace: at most 64 files");
		a->traces[a->nr_traces++] = arg;
		return 0;
	case OPT_PIECES:
		parse_number(state, "pieces", arg, 1, 1000000, &a->pieces);
		return 0;
	case OPT_SEED:
		if (!parse_u64(arg, &o->seed))
			argp_error(state, "--seed %s: not a number", arg);
		return 0;
	case OPT_STRATEGY:
		if (!parse_strategy(arg, &o->strategy))
			argp_error(state, "--strategy %s: fifo or random", arg);
		return 0;
	case OPT_KEEP_GOING:
		a->keep_going = true;
		return 0;
	case OPT_BOUND:
		parse_number(state, "bound", arg, 1, 1U << 30, &o->bound);
		return 0;
	case OPT_SAMPLES:
		parse_number(state, "samples", arg, 0, 1U << 30, &o->samples);
		return 0;
	case OPT_DEPTH:
		parse_number(state, "depth", arg, 1, CRASH_DEPTH_MAX, &o->depth);
		return 0;
	case OPT_WORK:
		parse_number(state, "work", arg, 0, 1U << 30, &o->work_share);
		return 0;
	case OPT_RECUT:
		parse_number(state, "recut", arg, 0, 1U << 30, &o->recut_share);
		return 0;
	case OPT_READ_ERRORS:
		parse_number(state, "read-errors", arg, 0, 1U << 30, &o->read_share);
		return 0;
	case OPT_DAMAGE:
		parse_number(state, "damage", arg, 0, 1U << 30, &o->damage_share);
		return 0;
	case OPT_WORKERS:
		parse_number(state, "workers", arg, 1, 1024, &a->workers);
		return 0;
	case OPT_CUT:
		parse_cut(state, arg);
		return 0;
	case OPT_OUTPUT:
		a->output = arg;
		return 0;
	case OPT_NO_SHRINK:
		a->no_shrink = true;
		return 0;
	case OPT_EVENTS:
		o->events = true;
		return 0;
	case OPT_SCRIPT:
		if (!parse_u64(arg, &a->script))
			argp_error(state, "--script %s: not a number", arg);
		a->print_script = true;
		return 0;
	case OPT_TRACE_LOG:
		o->trace_log = true;
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->log;
		return 0;
	case ARGP_KEY_ARGS:
		a->files = state->argv + state->next;
		a->nr_files = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (!a->log.options.path == !(a->nr_files || a->bounded || a->seeds || a->nr_traces))
			argp_error(state, "scripts, --bounded, --seeds, --trace, or one log: what is to be judged?");
		if (a->log.write_log && a->nr_files != 1)
			argp_error(state, "--write-log is of one script");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- workloads by number: scripts, then bounded ones, then random ones ---- */

static u64 nr_units(const struct crash_arguments *a)
{
	if (a->log.options.path)
		return dmlog_shares(&a->log);
	return a->nr_files + (a->bounded ? bounded_count(a->bounded) : 0) +
	       (a->trace ? trace_work_count(a->trace) : 0) + (a->seeds ? a->last_seed - a->first_seed + 1 : 0);
}

static void file_unit(const struct crash_arguments *a, const char *path, struct crash_unit *unit)
{
	unit->text = sim_read_text(path);
	if (!unit->text) {
		sim_message("%s: %s", path, strerror(errno));
		exit(SIM_EXIT_USAGE);
	}
	snprintf(unit->name, sizeof(unit->name), "%s", path);
	unit->strategy = a->crash.strategy;
	unit->seed = a->crash.seed;
	unit->keep_going = a->keep_going;
}

static void trace_unit(const struct crash_arguments *a, u64 index, struct crash_unit *unit)
{
	unit->text = trace_work_script(a->trace, index);
	unit->keep_going = true;
	unit->strategy = a->crash.strategy;
	unit->seed = a->crash.seed;
	snprintf(unit->name, sizeof(unit->name), "%s, requests from %llu on", a->traces[0],
		 (unsigned long long)index * a->ops);
}

static void make_unit(void *context, u64 index, struct crash_unit *unit)
{
	struct crash_arguments *a = context;
	u64 seed;

	if (a->log.options.path) {
		dmlog_share(&a->log, index, unit);
		return;
	}
	if (index < a->nr_files) {
		file_unit(a, a->files[index], unit);
		return;
	}
	index -= a->nr_files;
	if (a->bounded && index < bounded_count(a->bounded)) {
		unit->text = bounded_script(a->bounded, index, &unit->first_line, unit->name,
					    sizeof(unit->name));
		unit->keep_going = true; /* a write to a snapshot that is being deleted may fail */
		unit->strategy = a->crash.strategy;
		unit->seed = a->crash.seed;
		return;
	}
	if (a->bounded)
		index -= bounded_count(a->bounded);
	if (a->trace && index < trace_work_count(a->trace)) {
		trace_unit(a, index, unit);
		return;
	}
	if (a->trace)
		index -= trace_work_count(a->trace);
	seed = a->first_seed + index;
	unit->text = random_script(seed, a->ops);
	unit->keep_going = true;
	unit->strategy = seed % 4 ? SIM_RANDOM : SIM_FIFO;
	unit->seed = seed;
	snprintf(unit->name, sizeof(unit->name), "seed %llu, %u operations", (unsigned long long)seed, a->ops);
}

/* ---- what is printed ---- */

static void print_file(const struct crash_unit *unit, const char *file, FILE *out)
{
	fputc(' ', out);
	print_shell_word(out, file);
	fputs(unit->keep_going ? " --keep-going" : "", out);
}

/* What finds it again: that state, or the searches that are not of states. */
static void print_replay(const struct crash_arguments *a, const struct crash_unit *unit, const char *file, FILE *out)
{
	const struct crash_finding *f = &unit->finding;

	fprintf(out, "multisnap crash");
	if (a->log.options.path)
		dmlog_print_arguments(&a->log, out);
	else
		print_file(unit, file, out);
	if (f->kind == FOUND_BY_CUT)
		for (u32 i = 0; i < f->nr_cuts; i++) {
			fprintf(out, " --cut ");
			crash_cut_print(&f->cuts[i], out);
		}
	else
		fprintf(out, " --depth 1 --read-errors %u --damage %u", f->kind == FOUND_BY_READ,
			f->kind == FOUND_BY_DAMAGE);
	if (unit->strategy != SIM_FIFO)
		fprintf(out, " --strategy random --seed %llu", (unsigned long long)unit->seed);
	if (!f->worked)
		fprintf(out, " --work 0");
}

static void write_script(const struct crash_arguments *a, const struct crash_unit *unit, const char *file)
{
	FILE *out = fopen(file, "w");

	if (!out) {
		sim_message("%s: %s", file, strerror(errno));
		exit(SIM_EXIT_USAGE);
	}
	fprintf(out, "# Found in %s: %s\n# replay: ", unit->name, unit->finding.what);
	print_replay(a, unit, file, out);
	fprintf(out, "\n%s", unit->text);
	if (fclose(out)) {
		sim_message("%s: %s", file, strerror(errno));
		exit(SIM_EXIT_USAGE);
	}
}

/* The story of a finding that is still found. */
static void tell(const struct crash_options *options, const struct crash_unit *unit)
{
	struct crash_options o = *options;
	struct crash_unit again = *unit;

	if (unit->finding.kind == FOUND_BY_CUT) {
		o.cuts = unit->finding.cuts;
		o.nr_cuts = unit->finding.nr_cuts;
		o.work_share = unit->finding.worked;
		o.tell = true;
	}
	memset(&again.finding, 0, sizeof(again.finding));
	crash_unit_apart(&o, &again);
	printf("---- found ----\n%s\n", again.finding.found ? again.finding.what :
							    "nothing: this state alone does not show it");
	crash_finding_free(&again.finding);
}

/* An exit code. An error of syntax names the script itself, and the line. */
static int tell_error(const struct crash_unit *unit)
{
	if (!strncmp(unit->error, unit->name, strlen(unit->name)))
		sim_message("%s", unit->error);
	else
		sim_message("%s: %s", unit->name, unit->error);
	return SIM_EXIT_USAGE;
}

static int report_finding(const struct crash_arguments *a, u64 index, u64 states)
{
	struct crash_options o = a->crash;
	struct crash_unit unit = { 0 };
	u32 lines, operations;

	make_unit((void *)a, index, &unit);
	crash_unit_apart(&o, &unit);
	if (unit.error[0]) {
		free(unit.text);
		return tell_error(&unit);
	}
	if (!unit.finding.found)
		sim_fail("%s: found by a worker, and not again", unit.name);
	printf("FOUND in %s: %s\n", unit.name, unit.finding.what);
	printf("workload %llu, from 0 on; after %llu states\n", (unsigned long long)index,
	       (unsigned long long)(states + unit.counts.states));
	if (!a->no_shrink && !o.nr_cuts && unit.text) {
		unit.first_line = 0;
		crash_shrink(&o, &unit);
		crash_script_size(unit.text, &lines, &operations);
		printf("smallest script, %u lines, %u operations: %s\n", lines, operations, a->output);
	}
	if (unit.text && !o.nr_cuts)
		write_script(a, &unit, a->output);
	fflush(stdout);
	tell(&o, &unit);
	printf("reproduce: ");
	print_replay(a, &unit, o.nr_cuts ? unit.name : a->output, stdout);
	putchar('\n');
	crash_finding_free(&unit.finding);
	free(unit.text);
	return SIM_EXIT_FOUND;
}

static int print_script(struct crash_arguments *a)
{
	struct crash_unit unit = { 0 };

	if (a->script >= nr_units(a)) {
		sim_message("--script %llu: there are %llu workloads, from 0 on", (unsigned long long)a->script,
			    (unsigned long long)nr_units(a));
		return SIM_EXIT_USAGE;
	}
	make_unit(a, a->script, &unit);
	printf("# %s\n%s", unit.name, unit.text);
	free(unit.text);
	return SIM_EXIT_OK;
}

static int run(struct crash_arguments *a)
{
	const struct crash_campaign campaign = {
		.nr = nr_units(a),
		.unit = make_unit,
		.context = a,
		.workers = min_t(u64, a->workers, nr_units(a)),
	};
	struct crash_counts counts;
	char error[512];
	u64 found;

	if (a->log.options.path && !dmlog_print(&a->log, error, sizeof(error))) {
		sim_message("%s: %s", a->log.options.path, error);
		return SIM_EXIT_USAGE;
	}
	crash_campaign_run(&a->crash, &campaign, &counts, &found);
	if (found != U64_MAX)
		return report_finding(a, found, counts.states);
	crash_counts_print(&counts, stdout);
	if (a->crash.nr_cuts)
		printf("of what --cut asks for, and what follows it\n");
	else
		crash_coverage_print(&counts, stdout);
	printf("no finding\n");
	return SIM_EXIT_OK;
}

static int write_log(struct crash_arguments *a)
{
	struct crash_unit unit = { 0 };

	make_unit(a, 0, &unit);
	dmlog_write_unit(a->log.write_log, &unit);
	crash_unit_run(&a->crash, &unit);
	free(unit.text);
	return unit.error[0] ? tell_error(&unit) : SIM_EXIT_OK;
}

int cmd_crash(int argc, char **argv)
{
	static const struct argp_child children[] = { { &dmlog_argp, 0, NULL, 0 }, { NULL, 0, NULL, 0 } };
	static const struct argp argp = {
		.children = children,
		.options = crash_argp_options,
		.parser = crash_option,
		.args_doc = "[SCRIPT...]",
		.doc = "Play workloads, record what both disks were asked for, and judge every state in which a power cut could "
		       "leave them: it must load, be clean, and hold what users were told."
		       "\vThe crash model, the words and what is promised: docs/crash.md. Exit status: 0 no finding, 1 a "
		       "finding, 2 usage, or a script that cannot be judged.",
	};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct crash_arguments a = {
		.crash = {
			.strategy = SIM_FIFO,
			.seed = 1,
			.bound = 4096,
			.samples = 64,
			.depth = 2,
			.work_share = 16,
			.recut_share = 16,
			.read_share = 128,
			.damage_share = 128,
		},
		.ops = 300,
		.pieces = 8,
		.workers = cpus > 0 ? cpus : 1,
		.output = "crash-found.msnap",
	};
	int status;

	a.crash.cuts = a.cuts;
	a.log.crash = &a.crash;
	a.log.options.points = 2000;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.nr_traces)
		a.trace = trace_work_open(a.traces, a.nr_traces, a.ops, a.pieces);
	a.crash.depth = max(a.crash.depth, a.crash.nr_cuts);
	if (a.nr_traces && !a.trace) {
		status = SIM_EXIT_USAGE; /* which was told */
	} else if (a.crash.nr_cuts && nr_units(&a) != 1) {
		sim_message("--cut is of one script");
		status = SIM_EXIT_USAGE;
	} else if (a.log.write_log) {
		status = write_log(&a);
	} else {
		status = a.print_script ? print_script(&a) : run(&a);
	}
	for (u32 i = 0; i < a.crash.nr_cuts; i++)
		free(a.cuts[i].decisions);
	if (a.bounded)
		bounded_destroy(a.bounded);
	if (a.trace)
		trace_work_close(a.trace);
	return status;
}
