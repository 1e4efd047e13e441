// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap trace FILE...: what a block trace contains, without replaying it.
 *
 * One pass: counts, sizes, footprint, duration, and what was assumed or is wrong. The files are one trace (blktrace has
 * one per CPU). Exit: 0 fine, 1 given up or with bad records, 2 not opened.
 */
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "footprint.h"
#include "sim.h"
#include "trace.h"

#define MAX_REPORTS 10	/* bad records shown one by one */

enum {
	OPTION_MAX_BAD = 256,
	OPTION_OFFSET_UNIT,
	OPTION_TIME_UNIT,
	OPTION_FORCE,
	OPTION_JSON,
	OPTION_FORMATS,
};

struct trace_command {
	struct trace_options options;
	bool json;
	bool formats;
	u64 head;
	u64 bad;
	unsigned int nr_files;
	char **files;
};

struct summary {
	struct footprint *touched;	/* read or written */
	struct footprint *changed;	/* written or discarded: what a snapshot may have to copy */
};

static const char *const op_names[TRACE_NR_OPS] = { "read", "write", "flush", "discard", "write-zeroes" };

static bool parse_share(const char *text, double *share)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= 1))
		return false;
	*share = value > 0 ? value : -1;
	return true;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct trace_command *command = state->input;

	switch (key) {
	case 'f':
		command->options.format = arg;
		break;
	case 'n':
		if (!parse_u64(arg, &command->head))
			argp_error(state, "--head %s: not a number", arg);
		break;
	case OPTION_MAX_BAD:
		if (!parse_share(arg, &command->options.max_bad))
			argp_error(state, "--max-bad %s: not a share from 0 to 1", arg);
		break;
	case OPTION_OFFSET_UNIT:
		command->options.offset_unit = arg;
		break;
	case OPTION_TIME_UNIT:
		command->options.time_unit = arg;
		break;
	case OPTION_FORCE:
		command->options.force = true;
		break;
	case OPTION_JSON:
		command->json = true;
		break;
	case OPTION_FORMATS:
		command->formats = true;
		break;
	case ARGP_KEY_ARGS:
		command->files = state->argv + state->next;
		command->nr_files = state->argc - state->next;
		break;
	case ARGP_KEY_END:
		if (!command->nr_files && !command->formats)
			argp_error(state, "no trace file given");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option argp_options[] = {
	{ "format", 'f', "NAME", 0, "Do not detect the format (--formats lists them)", 0 },
	{ "head", 'n', "N", 0, "Print the first N requests", 0 },
	{ "json", OPTION_JSON, NULL, 0, "Print JSON", 0 },
	{ "max-bad", OPTION_MAX_BAD, "SHARE", 0, "Give up when more records are bad (0..1, default 0.05)", 0 },
	{ "offset-unit", OPTION_OFFSET_UNIT, "UNIT", 0, "bytes or sectors, against the format's habit", 0 },
	{ "time-unit", OPTION_TIME_UNIT, "UNIT", 0, "s, ms, us or ns, where the format leaves it open", 0 },
	{ "force", OPTION_FORCE, NULL, 0, "Believe a trace whose units contradict each other", 0 },
	{ "formats", OPTION_FORMATS, NULL, 0, "List the formats", 0 },
	{ 0 },
};

static const struct argp trace_argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "FILE...",
	.doc = "Show what a block trace contains: format, requests, bytes, footprint, duration.\v"
	       "The files are one trace; only blktrace has several, one per CPU. gzip, xz and zstd are unpacked.",
};

static void report_bad(void *context, const char *file, uint64_t position, const char *why)
{
	struct trace_command *command = context;

	if (++command->bad <= MAX_REPORTS)
		sim_message("%s:%" PRIu64 ": %s", file, position, why);
	else if (command->bad == MAX_REPORTS + 1)
		sim_message("further bad records are only counted");
}

static void flags_text(unsigned int flags, char *text)
{
	*text++ = flags & TRACE_PREFLUSH ? 'P' : '-';
	*text++ = flags & TRACE_FUA ? 'F' : '-';
	*text++ = flags & TRACE_SYNC ? 'S' : '-';
	*text++ = flags & TRACE_META ? 'M' : '-';
	*text = 0;
}

static void print_request(const struct trace_request *r)
{
	char flags[5];

	flags_text(r->flags, flags);
	printf("%8" PRIu64 " %6" PRIu64 ".%09" PRIu64 " %4" PRIu64 " %-12s %s %15" PRIu64 " %10" PRIu64 "\n",
	       r->position, r->time_ns / 1000000000, r->time_ns % 1000000000, r->device, op_names[r->op], flags,
	       r->offset, r->length);
}

static json_t *request_json(const struct trace_request *r)
{
	char flags[5];

	flags_text(r->flags, flags);
	return json_pack("{s:I, s:I, s:I, s:s, s:s, s:I, s:I}", "position", (json_int_t)r->position, "time_ns",
			 (json_int_t)r->time_ns, "device", (json_int_t)r->device, "op", op_names[r->op],
			 "flags", flags, "offset", (json_int_t)r->offset, "length", (json_int_t)r->length);
}

static bool add_footprint(struct summary *sum, const struct trace_request *r)
{
	if (r->op != TRACE_DISCARD && !footprint_add(sum->touched, r->device, r->offset, r->length))
		return false;
	return r->op == TRACE_READ || footprint_add(sum->changed, r->device, r->offset, r->length);
}

/* Read it all; -1 when given up. */
static int read_all(struct trace_command *command, struct trace *trace, struct summary *sum, json_t *head)
{
	const struct trace_stats *stats = trace_stats(trace);
	struct trace_request request;
	u64 shown = 0;
	int r;

	if (command->head && !command->json)
		printf("position            time  dev op           flags         offset     length\n");
	while ((r = trace_next(trace, &request)) > 0) {
		if (shown < command->head) {
			shown++;
			if (head)
				json_array_append_new(head, request_json(&request));
			else
				print_request(&request);
		}
		if (!add_footprint(sum, &request)) {
			sim_message("out of memory for the footprint");
			return -1;
		}
		if (progress_due())
			progress_show("%3.0f %%",
				      stats->bytes_total ? 100.0 * stats->bytes_read / stats->bytes_total : 100.0);
	}
	progress_clear();
	if (r < 0)
		sim_message("%s", trace_error(trace));
	if (command->head && !command->json)
		putchar('\n');
	return r;
}

static void print_table(struct trace *trace, struct summary *sum)
{
	const struct trace_stats *stats = trace_stats(trace);
	uint64_t requests = 0, bytes = 0;

	printf("format        %s\n\n%-12s %15s %20s\n", trace_format(trace), "", "requests", "bytes");
	for (unsigned int op = 0; op < TRACE_NR_OPS; op++) {
		requests += stats->requests[op];
		bytes += stats->bytes[op];
		if (op != TRACE_WRITE_ZEROES || stats->requests[op])
			printf("%-12s %15" PRIu64 " %20" PRIu64 "\n", op_names[op], stats->requests[op],
			       stats->bytes[op]);
	}
	printf("%-12s %15" PRIu64 " %20" PRIu64 "\n", "all", requests, bytes);
	printf("  with FUA   %15" PRIu64 "\n  preflush   %15" PRIu64 "\n\n", stats->with_fua,
	       stats->with_preflush);
	printf("footprint     %" PRIu64 " bytes read or written, %" PRIu64
	       " written or discarded, in 4 KiB pages\n",
	       footprint_bytes(sum->touched), footprint_bytes(sum->changed));
	printf("end           %" PRIu64 "\n", stats->end_offset);
	printf("devices       %" PRIu64 "\n", stats->devices);
	printf("duration      %" PRIu64 ".%09" PRIu64 " s\n", stats->duration_ns / 1000000000,
	       stats->duration_ns % 1000000000);
	printf("records       %" PRIu64 ", %" PRIu64 " no requests, %" PRIu64 " bad, %" PRIu64
	       " earlier than the one before\n",
	       stats->records, stats->skipped, stats->bad, stats->backwards);
	for (unsigned int i = 0; trace_note(trace, i); i++)
		printf("note          %s\n", trace_note(trace, i));
	if (*trace_error(trace))
		printf("given up      all of the above is of what was read before\n");
}

static void print_json(struct trace *trace, struct summary *sum, json_t *head)
{
	const struct trace_stats *stats = trace_stats(trace);
	json_t *root = json_object(), *ops = json_object(), *notes = json_array();

	for (unsigned int op = 0; op < TRACE_NR_OPS; op++)
		json_object_set_new(ops, op_names[op],
				    json_pack("{s:I, s:I}", "requests", (json_int_t)stats->requests[op], "bytes",
					      (json_int_t)stats->bytes[op]));
	for (unsigned int i = 0; trace_note(trace, i); i++)
		json_array_append_new(notes, json_string(trace_note(trace, i)));
	json_object_set_new(root, "format", json_string(trace_format(trace)));
	json_object_set_new(root, "ops", ops);
	json_object_set_new(root, "with_fua", json_integer(stats->with_fua));
	json_object_set_new(root, "with_preflush", json_integer(stats->with_preflush));
	json_object_set_new(root, "footprint_bytes", json_integer(footprint_bytes(sum->touched)));
	json_object_set_new(root, "footprint_changed_bytes", json_integer(footprint_bytes(sum->changed)));
	json_object_set_new(root, "end_offset", json_integer(stats->end_offset));
	json_object_set_new(root, "devices", json_integer(stats->devices));
	json_object_set_new(root, "duration_ns", json_integer(stats->duration_ns));
	json_object_set_new(root, "records", json_integer(stats->records));
	json_object_set_new(root, "skipped", json_integer(stats->skipped));
	json_object_set_new(root, "bad", json_integer(stats->bad));
	json_object_set_new(root, "backwards", json_integer(stats->backwards));
	json_object_set_new(root, "notes", notes);
	if (*trace_error(trace))
		json_object_set_new(root, "error", json_string(trace_error(trace)));
	if (head)
		json_object_set(root, "head", head);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static int show(struct trace_command *command, struct trace *trace)
{
	struct summary sum = { footprint_new(), footprint_new() };
	json_t *head = command->json && command->head ? json_array() : NULL;
	int r = -1;

	if (!sum.touched || !sum.changed) {
		sim_message("out of memory");
	} else {
		r = read_all(command, trace, &sum, head);
		if (command->json)
			print_json(trace, &sum, head);
		else
			print_table(trace, &sum);
	}
	json_decref(head);
	footprint_free(sum.touched);
	footprint_free(sum.changed);
	return r < 0 || trace_stats(trace)->bad ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

static void print_formats(void)
{
	for (unsigned int i = 0; trace_format_name(i); i++)
		printf("%-14s %s\n", trace_format_name(i), trace_format_help(i));
}

int cmd_trace(int argc, char **argv)
{
	struct trace_command command = { 0 };
	struct trace *trace;
	char error[512];
	int status;

	command.options.bad = report_bad;
	command.options.bad_context = &command;
	if (argp_parse(&trace_argp, argc, argv, 0, NULL, &command))
		return SIM_EXIT_USAGE;
	if (command.formats) {
		print_formats();
		return SIM_EXIT_OK;
	}
	trace = trace_open((const char *const *)command.files, command.nr_files, &command.options, error,
			   sizeof(error));
	if (!trace) {
		sim_message("%s", error);
		return SIM_EXIT_USAGE;
	}
	status = show(&command, trace);
	trace_close(trace);
	return status;
}
