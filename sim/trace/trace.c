// SPDX-License-Identifier: GPL-2.0
/*
 * Traces, whatever the format: read, deliver, count, give up. See open.c for what comes before.
 *
 * Invariants: what trace_next() gives is in order of time (an earlier time is raised to the last one and counted), has
 * a device number below stats.devices, an end of at most TRACE_MAX_END and, but for flushes, a length.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "trace_impl.h"

#define DEFAULT_MAX_BAD 0.05
/* Fewer records are not judged before the end: one bad of three says nothing. */
#define RECORDS_TO_JUDGE 100
#define PROGRESS_MASK 1023
#define MAX_NOTES 16

int trace_fail(struct trace *trace, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(trace->error, sizeof(trace->error), format, args);
	va_end(args);
	trace->failed = true;
	return -1;
}

void trace_add_note(struct trace *trace, const char *format, ...)
{
	char text[512];
	char **notes;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (unsigned int i = 0; i < trace->nr_notes; i++)
		if (!strcmp(trace->notes[i], text))
			return;
	if (trace->nr_notes == MAX_NOTES)
		return;
	notes = realloc(trace->notes, (trace->nr_notes + 1) * sizeof(*notes));
	if (!notes)
		return;
	trace->notes = notes;
	notes[trace->nr_notes] = strdup(text);
	if (notes[trace->nr_notes])
		trace->nr_notes++;
}

const char *trace_note(const struct trace *trace, unsigned int i)
{
	return i < trace->nr_notes ? trace->notes[i] : NULL;
}

enum trace_outcome record_extent(struct trace_file *file, struct trace_record *record, uint64_t offset,
				 bool sectors, uint64_t length)
{
	if (file->trace->offset_unit != OFFSET_HABIT)
		sectors = file->trace->offset_unit == OFFSET_SECTORS;
	if (length > TRACE_MAX_LENGTH)
		return record_bad(file, "longer than 4 GiB, which no single request is");
	if (sectors) {
		if (offset > TRACE_MAX_END >> TRACE_SECTOR_SHIFT)
			return record_bad(file, "beyond 2^63 bytes");
		offset <<= TRACE_SECTOR_SHIFT;
	}
	if (offset > TRACE_MAX_END - length)
		return record_bad(file, "beyond 2^63 bytes");
	record->offset = offset;
	record->length = length;
	return length ? TRACE_REQUEST : TRACE_SKIPPED;
}

unsigned int time_digits(const struct trace *trace, unsigned int habit)
{
	const char *unit = trace->options.time_unit;

	if (!unit)
		return habit;
	return !strcmp(unit, "s") ? 9 : !strcmp(unit, "ms") ? 6 : !strcmp(unit, "us") ? 3 : 0;
}

bool trace_name(struct trace *trace, const char *name, size_t length, uint64_t *number)
{
	return length <= TRACE_MAX_NAME && keymap_get(trace->names, name, length, number);
}

bool take_device(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	struct cursor number;
	const char *word;
	size_t length;

	if (!take_field(c, &word, &length) || !length)
		return false;
	number = (struct cursor){ word, word + length };
	record->space[0] = 0;
	if (take_u64(&number, &record->space[1]) && at_end(&number))
		return true;
	record->space[0] = 1;
	return trace_name(file->trace, word, length, &record->space[1]);
}

/* ---- reading ---- */

static double max_bad(const struct trace *trace)
{
	double share = trace->options.max_bad;

	return share == 0 ? DEFAULT_MAX_BAD : share;
}

/* Count and report a bad record; -1 when there are too many. */
static int count_bad(struct trace_file *file, uint64_t position)
{
	struct trace *trace = file->trace;
	struct trace_stats *stats = &trace->stats;

	stats->bad++;
	if (trace->looking)
		return 0;
	if (trace->options.bad)
		trace->options.bad(trace->options.bad_context, input_path(file->in), position, file->why);
	if (max_bad(trace) < 0)
		return trace_fail(trace, "%s:%llu: %s", input_path(file->in), (unsigned long long)position,
				  file->why);
	if (stats->records < RECORDS_TO_JUDGE || stats->bad <= max_bad(trace) * stats->records)
		return 0;
	return trace_fail(trace,
			  "%s:%llu: %s; %llu of %llu records are bad, more than %g %%: is this %s? (see --format, --max-bad)",
			  input_path(file->in), (unsigned long long)position, file->why,
			  (unsigned long long)stats->bad, (unsigned long long)stats->records,
			  max_bad(trace) * 100, trace->ops->name);
}

static enum trace_outcome read_failed(struct trace_file *file)
{
	trace_fail(file->trace, "%s: after record %llu: %s", input_path(file->in),
		   (unsigned long long)file->position, input_error(file->in));
	return TRACE_FATAL;
}

static enum trace_outcome next_line(struct trace_file *file, struct trace_record *record)
{
	struct cursor c;

	for (;;) {
		switch (input_line(file->in, &c.p, &c.end)) {
		case INPUT_END:
			return TRACE_END;
		case INPUT_ERROR:
			return read_failed(file);
		case INPUT_LONG:
			file->position++;
			return record_bad(file, "a line longer than 16 KiB");
		case INPUT_LINE:
			break;
		}
		file->position++;
		skip_blanks(&c);
		if (at_end(&c))
			continue;
		file->why = "does not fit the format";
		return file->trace->ops->line(file, &c, record);
	}
}

enum trace_outcome trace_file_next(struct trace_file *file, struct trace_record *record)
{
	struct trace *trace = file->trace;
	enum trace_outcome outcome;

	if (file->empty)
		return TRACE_END;
	for (;;) {
		record->flags = 0;
		record->time_ns = 0;
		record->space[0] = record->space[1] = 0;
		record->requeued = false;
		if (trace->ops->line)
			outcome = next_line(file, record);
		else
			outcome = trace->ops->next(file, record);
		if ((outcome == TRACE_BAD || outcome == TRACE_END) && input_error(file->in))
			return read_failed(file);
		switch (outcome) {
		case TRACE_REQUEST:
			trace->stats.records++;
			record->position = file->position;
			record->file = file;
			return outcome;
		case TRACE_SKIPPED:
			trace->stats.records++;
			trace->stats.skipped++;
			if (trace->choosing && (trace->events_seen & 1u << TRACE_EVENT_QUEUE))
				return TRACE_END;
			break;
		case TRACE_BAD:
			trace->stats.records++;
			if (count_bad(file, file->position) < 0)
				return TRACE_FATAL;
			break;
		default:
			return outcome;
		}
	}
}

/* An issue after a requeue repeats a request: false for it. */
static bool first_issue(struct trace *trace, const struct trace_record *record)
{
	for (unsigned int i = 0; i < trace->nr_requeues; i++) {
		const struct trace_record *r = &trace->requeues[i];

		if (r->offset == record->offset && r->length == record->length && r->op == record->op &&
		    r->space[1] == record->space[1]) {
			trace->requeues[i] = trace->requeues[--trace->nr_requeues];
			return false;
		}
	}
	return true;
}

/* The device's number; false (and counted as bad) when there are too many. */
static bool device_number(struct trace *trace, const struct trace_record *record, uint64_t *device)
{
	if (!trace->have_last || record->space[0] != trace->last_space[0] ||
	    record->space[1] != trace->last_space[1]) {
		if (!keymap_get(trace->devices, record->space, sizeof(record->space), &trace->last_device))
			return false;
		memcpy(trace->last_space, record->space, sizeof(record->space));
		trace->have_last = true;
		if (trace->last_device >= trace->stats.devices)
			trace->stats.devices = trace->last_device + 1;
	}
	*device = trace->last_device;
	return true;
}

enum trace_outcome trace_next_record(struct trace *trace, struct trace_record *record)
{
	enum trace_outcome outcome;

	for (;;) {
		if (trace->merge)
			outcome = merge_next(trace->merge, record);
		else
			outcome = trace_file_next(&trace->files[0], record);
		if (outcome != TRACE_REQUEST || !trace->ops->has_events)
			return outcome;
		if (record->requeued) {
			if (trace->nr_requeues < TRACE_REQUEUES)
				trace->requeues[trace->nr_requeues++] = *record;
		} else if (!trace->nr_requeues || first_issue(trace, record)) {
			return outcome;
		}
		trace->stats.skipped++;
	}
}

static void count_request(struct trace *trace, const struct trace_request *request)
{
	struct trace_stats *stats = &trace->stats;

	stats->requests[request->op]++;
	stats->bytes[request->op] += request->length;
	stats->with_fua += !!(request->flags & TRACE_FUA);
	stats->with_preflush += !!(request->flags & TRACE_PREFLUSH);
	stats->duration_ns = request->time_ns;
	if (stats->end_offset < request->offset + request->length)
		stats->end_offset = request->offset + request->length;
}

static void count_bytes_read(struct trace *trace)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < trace->nr_files; i++)
		bytes += input_bytes_read(trace->files[i].in);
	trace->stats.bytes_read = bytes;
}

static int at_trace_end(struct trace *trace)
{
	const struct trace_stats *stats = &trace->stats;

	count_bytes_read(trace);
	if (trace->looking || stats->bad <= max_bad(trace) * stats->records)
		return 0;
	if (stats->bad > 1 || stats->bad == stats->records)
		return trace_fail(trace, "%s: %llu of %llu records are bad, more than %g %%: is this %s? (see --format, --max-bad)",
				  input_path(trace->files[0].in), (unsigned long long)stats->bad,
				  (unsigned long long)stats->records, max_bad(trace) * 100, trace->ops->name);
	return 0;
}

int trace_next(struct trace *trace, struct trace_request *request)
{
	struct trace_record record;
	enum trace_outcome outcome;

	if (trace->failed)
		return -1;
	for (;;) {
		outcome = trace_next_record(trace, &record);
		if (outcome == TRACE_END)
			return at_trace_end(trace);
		if (outcome != TRACE_REQUEST)
			return -1;
		if (device_number(trace, &record, &request->device))
			break;
		record.file->why = "too many devices in one trace";
		if (count_bad(record.file, record.position) < 0)
			return -1;
	}
	if (!trace->started) {
		trace->started = true;
		trace->first_time_ns = record.time_ns;
	}
	request->time_ns = record.time_ns > trace->first_time_ns ? record.time_ns - trace->first_time_ns : 0;
	if (request->time_ns < trace->last_time_ns || record.time_ns < trace->first_time_ns) {
		trace->stats.backwards++;
		request->time_ns = trace->last_time_ns;
	}
	trace->last_time_ns = request->time_ns;
	request->op = record.op;
	request->flags = record.flags;
	request->offset = record.op == TRACE_FLUSH ? 0 : record.offset;
	request->length = record.op == TRACE_FLUSH ? 0 : record.length;
	request->position = record.position;
	count_request(trace, request);
	if (!(trace->stats.records & PROGRESS_MASK))
		count_bytes_read(trace);
	return 1;
}

const char *trace_format(const struct trace *trace)
{
	return trace->ops->name;
}

const char *trace_error(const struct trace *trace)
{
	return trace->error;
}

const struct trace_stats *trace_stats(const struct trace *trace)
{
	return &trace->stats;
}
