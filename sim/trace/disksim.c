// SPDX-License-Identifier: GPL-2.0
/*
 * DiskSim's ASCII traces: "time device lba sectors flags", blank-separated, 512-byte sectors; bit 0 of the flags is READ.
 *
 * The time is ambiguous: DiskSim writes milliseconds with a fraction, SSDsim and MQSim integer
 * nanoseconds. Decided once, by the first times: a fraction means milliseconds. Integers are taken as
 * nanoseconds, and that is noted.
 */
#include <string.h>

#include "trace_impl.h"

#define MAX_FLAGS 255
#define DIGITS_NS 0
#define DIGITS_MS 6

struct disksim_state {
	unsigned int digits;
};

_Static_assert(sizeof(struct disksim_state) <= TRACE_MAX_STATE, "state fits");

/* Has any of the first times a fraction? */
static bool has_fraction(const char *p, const char *end)
{
	for (unsigned int line = 0; p != end && line < TRACE_HEAD_LINES; line++) {
		const char *newline = memchr(p, '\n', end - p);
		struct cursor c = { p, newline ? newline : end };
		const char *word;
		size_t length;

		skip_blanks(&c);
		if (take_word(&c, &word, &length) && memchr(word, '.', length))
			return true;
		p = newline ? newline + 1 : end;
	}
	return false;
}

static int disksim_start(struct trace_file *file)
{
	struct disksim_state *state = (void *)file->state;
	const char *head;
	size_t have;

	head = (const char *)input_peek(file->in, TRACE_HEAD_SIZE, &have);
	if (!head)
		return trace_fail(file->trace, "%s: %s", input_path(file->in), input_error(file->in));
	state->digits = has_fraction(head, head + have) ? DIGITS_MS : DIGITS_NS;
	if (!file->trace->options.time_unit && state->digits == DIGITS_NS)
		trace_add_note(file->trace,
			       "%s: the times are integers, taken as nanoseconds (SSDsim, MQSim); --time-unit says otherwise",
			       input_path(file->in));
	state->digits = time_digits(file->trace, state->digits);
	return 0;
}

static enum trace_outcome disksim_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	const struct disksim_state *state = (const void *)file->state;
	uint64_t lba, sectors, flags;

	if (!take_decimal(c, state->digits, &record->time_ns) || !take_blanks(c) ||
	    !take_u64(c, &record->space[1]) || !take_blanks(c) || !take_u64(c, &lba) || !take_blanks(c) ||
	    !take_u64(c, &sectors) || !take_blanks(c) || !take_u64(c, &flags))
		return record_bad(file, "not 'time device lba sectors flags'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "more than 5 columns");
	if (flags > MAX_FLAGS)
		return record_bad(file, "flags above 255");
	record->op = flags & 1 ? TRACE_READ : TRACE_WRITE;
	return record_extent(file, record, lba, true, sectors_to_length(sectors));
}

const struct trace_ops disksim_ops = {
	.name = "disksim",
	.help = "DiskSim ASCII: time device lba sectors flags; with a fraction ms, else ns (--time-unit)",
	.start = disksim_start,
	.line = disksim_line,
};
