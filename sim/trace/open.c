// SPDX-License-Identifier: GPL-2.0
/*
 * Opening a trace: files, format, options, kind of event, plausible units.
 *
 * The beginning may be read several times: to detect the format, to see which kind of event a capture has (to its
 * end, if it has no queue events) and to check the units. Then everything is rewound, so that the caller
 * sees it once, from the first request on.
 */
#include <stdlib.h>
#include <string.h>

#include "trace_impl.h"

/* Records looked at for the plausibility of units, should hardly any be a request. */
#define RECORDS_TO_CHECK 262144

const struct trace_ops *const trace_formats[] = {
	&blktrace_ops, &blkparse_ops, &fio_ops, &dmlog_ops, &msr_ops, &spc_ops, &alibaba_ops, &tencent_ops,
	&k5_ops, &systor_ops, &fiu_ops, &disksim_ops, &vscsi_ops, NULL,
};

const char *trace_format_name(unsigned int i)
{
	return i < sizeof(trace_formats) / sizeof(trace_formats[0]) && trace_formats[i] ?
		       trace_formats[i]->name : NULL;
}

const char *trace_format_help(unsigned int i)
{
	return trace_format_name(i) ? trace_formats[i]->help : NULL;
}

int trace_rewind(struct trace *trace)
{
	uint64_t total = trace->stats.bytes_total;

	memset(&trace->stats, 0, sizeof(trace->stats));
	trace->stats.bytes_total = total;
	trace->failed = trace->started = trace->have_last = false;
	trace->last_time_ns = 0;
	trace->nr_requeues = 0;
	trace->error[0] = 0;
	for (unsigned int i = 0; i < trace->nr_files; i++) {
		struct trace_file *file = &trace->files[i];

		file->position = 0;
		memset(file->state, 0, sizeof(file->state));
		if (input_rewind(file->in) < 0)
			return trace_fail(trace, "%s: %s", input_path(file->in), input_error(file->in));
		if (!file->empty && trace->ops->start && trace->ops->start(file) < 0)
			return -1;
	}
	if (trace->merge)
		merge_reset(trace->merge);
	return 0;
}

static int open_files(struct trace *trace, const char *const *files)
{
	for (unsigned int i = 0; i < trace->nr_files; i++) {
		struct trace_file *file = &trace->files[i];
		size_t have;

		file->trace = trace;
		file->in = input_open(files[i], trace->options.memory ? &trace->options.memory[i] : NULL, trace->error,
				      sizeof(trace->error));
		if (!file->in)
			return -1;
		if (!input_peek(file->in, 1, &have))
			return trace_fail(trace, "%s: %s", files[i], input_error(file->in));
		file->empty = !have;
		trace->stats.bytes_total += input_bytes_total(file->in);
	}
	return 0;
}

static int set_format(struct trace *trace)
{
	const char *name = trace->options.format;
	char error[384];

	if (name) {
		for (unsigned int i = 0; trace_formats[i]; i++)
			if (!strcmp(trace_formats[i]->name, name))
				trace->ops = trace_formats[i];
		if (!trace->ops)
			return trace_fail(trace, "no trace format is called '%s'; multisnap trace --formats lists them", name);
	}
	for (unsigned int i = 0; i < trace->nr_files; i++) {
		struct trace_file *file = &trace->files[i];
		const struct trace_ops *ops;

		if (file->empty || name)
			continue;
		ops = trace_detect(trace, file->in, error, sizeof(error));
		if (!ops)
			return trace_fail(trace, "%s: %s", input_path(file->in), error);
		if (trace->ops && ops != trace->ops)
			return trace_fail(trace, "%s: is %s, but the files before it are %s",
					  input_path(file->in), ops->name, trace->ops->name);
		trace->ops = ops;
	}
	if (!trace->ops)
		return trace_fail(trace, "%s: is empty", input_path(trace->files[0].in));
	if (trace->nr_files > 1 && !trace->ops->per_cpu)
		return trace_fail(trace, "%s: a %s trace is one file, not %u", input_path(trace->files[0].in),
				  trace->ops->name, trace->nr_files);
	return 0;
}

static int check_options(struct trace *trace)
{
	const char *unit = trace->options.time_unit;
	const char *offset = trace->options.offset_unit;

	if (unit && strcmp(unit, "s") && strcmp(unit, "ms") && strcmp(unit, "us") && strcmp(unit, "ns"))
		return trace_fail(trace, "time unit '%s': s, ms, us or ns is possible", unit);
	if (unit && trace->ops->time_certain)
		return trace_fail(trace, "the time unit of %s is certain, it cannot be set", trace->ops->name);
	if (!offset)
		return 0;
	if (strcmp(offset, "bytes") && strcmp(offset, "sectors"))
		return trace_fail(trace, "offset unit '%s': bytes or sectors is possible", offset);
	if (trace->ops->units_certain)
		return trace_fail(trace, "the offset unit of %s is certain, it cannot be set", trace->ops->name);
	trace->offset_unit = strcmp(offset, "bytes") ? OFFSET_SECTORS : OFFSET_BYTES;
	return 0;
}

/* Which kind of event to use: queue events are what a target sees, the others stand in for them. */
static int choose_event(struct trace *trace)
{
	static const char *const names[] = { "queue", "issue", "completion" };
	struct trace_record record;
	enum trace_outcome outcome;

	if (!trace->ops->has_events)
		return 0;
	trace->choosing = trace->looking = true;
	for (unsigned int i = 0; i < trace->nr_files; i++) {
		do {
			outcome = trace_file_next(&trace->files[i], &record);
		} while (outcome == TRACE_REQUEST);
		/* A read error is for the caller to meet, at its place. */
		if (trace->events_seen & 1u << TRACE_EVENT_QUEUE)
			break;
	}
	trace->choosing = trace->looking = false;
	while (trace->event < TRACE_EVENT_COMPLETE && !(trace->events_seen & 1u << trace->event))
		trace->event++;
	if (trace->event != TRACE_EVENT_QUEUE && trace->events_seen)
		trace_add_note(trace, "no queue events in this capture: %s events stand in for the requests",
			       names[trace->event]);
	return trace_rewind(trace);
}

static int check_units(struct trace *trace)
{
	struct plausible *check;
	struct trace_record record;
	enum trace_outcome outcome;
	enum plausible_verdict verdict;
	char why[320];

	if (trace->ops->units_certain)
		return 0;
	check = plausible_new();
	if (!check)
		return trace_fail(trace, "out of memory");
	trace->looking = true;
	do {
		outcome = trace_next_record(trace, &record);
	} while (outcome == TRACE_REQUEST && plausible_add(check, &record) &&
		 trace->stats.records < RECORDS_TO_CHECK);
	trace->looking = false;
	verdict = plausible_verdict(check, why, sizeof(why));
	plausible_free(check);
	if (verdict == IMPLAUSIBLE && !trace->options.force)
		return trace_fail(trace, "%s: not believed as %s: %s", input_path(trace->files[0].in),
				  trace->ops->name, why);
	if (verdict != PLAUSIBLE)
		trace_add_note(trace, "%s: %s", input_path(trace->files[0].in), why);
	return trace_rewind(trace);
}

struct trace *trace_open(const char *const *files, unsigned int nr_files,
			 const struct trace_options *options, char *error, size_t error_size)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (trace)
		trace->files = calloc(nr_files ? nr_files : 1, sizeof(*trace->files));
	if (!trace || !trace->files || !(trace->devices = keymap_new(TRACE_MAX_DEVICES)) ||
	    !(trace->names = keymap_new(TRACE_MAX_DEVICES))) {
		snprintf(error, error_size, "out of memory");
		trace_close(trace);
		return NULL;
	}
	trace->nr_files = nr_files;
	if (options)
		trace->options = *options;
	if (!nr_files)
		trace_fail(trace, "no trace file given");
	else if (open_files(trace, files) == 0 && set_format(trace) == 0 && check_options(trace) == 0) {
		if (trace->ops->per_cpu)
			trace->merge = merge_new(trace->files, nr_files);
		if (trace->ops->per_cpu && !trace->merge)
			trace_fail(trace, "out of memory");
		else if (trace_rewind(trace) == 0 && choose_event(trace) == 0 && check_units(trace) == 0)
			return trace;
	}
	snprintf(error, error_size, "%s", trace->error);
	trace_close(trace);
	return NULL;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	for (unsigned int i = 0; i < trace->nr_files; i++)
		input_close(trace->files[i].in);
	for (unsigned int i = 0; i < trace->nr_notes; i++)
		free(trace->notes[i]);
	free(trace->notes);
	merge_free(trace->merge);
	keymap_free(trace->devices);
	keymap_free(trace->names);
	free(trace->files);
	free(trace);
}
