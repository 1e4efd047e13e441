// SPDX-License-Identifier: GPL-2.0
/*
 * fio's iolog, versions 2 and 3: "[us since start] FILE action [offset length]", in bytes.
 *
 * sync and datasync are flushes; add, open and close are no requests. Version 2 has "FILE wait N ..."
 * instead of times: as documented N is microseconds since the last request; with the time unit "ms" it is
 * milliseconds since the start, which is what fio's code of that time did.
 */
#include <string.h>

#include "trace_impl.h"

struct fio_state {
	bool headed;		/* the header line is behind us */
	bool stamped;		/* version 3 */
	uint64_t clock_ns;	/* version 2 */
};

_Static_assert(sizeof(struct fio_state) <= TRACE_MAX_STATE, "state fits");

#define HEADER_2 "fio version 2 iolog"
#define HEADER_3 "fio version 3 iolog"

static bool fio_magic(const unsigned char *head, size_t size, const struct input *in)
{
	size_t length = strlen(HEADER_2);

	return size > length && (!memcmp(head, HEADER_2, length) || !memcmp(head, HEADER_3, length)) &&
	       (head[length] == '\n' || head[length] == '\r');
}

static enum trace_outcome fio_header(struct trace_file *file, struct cursor *c)
{
	struct fio_state *state = (void *)file->state;
	size_t length = c->end - c->p;

	state->headed = true;
	if (length == strlen(HEADER_3) && !memcmp(c->p, HEADER_3, length))
		state->stamped = true;
	else if (length != strlen(HEADER_2) || memcmp(c->p, HEADER_2, length))
		return record_bad(file, "not the header of fio iolog version 2 or 3");
	return TRACE_SKIPPED;
}

static enum trace_outcome wait(struct trace_file *file, uint64_t amount)
{
	struct fio_state *state = (void *)file->state;
	bool absolute = time_digits(file->trace, 3) == 6;
	uint64_t ns;

	if (state->stamped)
		return record_bad(file, "version 3 has no wait");
	if (__builtin_mul_overflow(amount, absolute ? 1000000 : 1000, &ns) ||
	    (!absolute && __builtin_add_overflow(ns, state->clock_ns, &ns)))
		return record_bad(file, "time too large");
	if (ns > state->clock_ns)
		state->clock_ns = ns;
	return TRACE_SKIPPED;
}

static enum trace_outcome fio_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	struct fio_state *state = (void *)file->state;
	uint64_t time = 0, offset = 0, length = 0;
	const char *name, *action;
	size_t name_length, action_length;
	bool numbers = false;

	if (!state->headed)
		return fio_header(file, c);
	if (state->stamped && (!take_u64(c, &time) || !take_blanks(c) ||
			       __builtin_mul_overflow(time, 1000, &record->time_ns)))
		return record_bad(file, "does not start with a time in microseconds");
	if (!state->stamped)
		record->time_ns = state->clock_ns;
	if (!take_word(c, &name, &name_length) || !take_blanks(c) ||
	    !take_word(c, &action, &action_length))
		return record_bad(file, "no file name and action");
	skip_blanks(c);
	if (!at_end(c)) {
		if (!take_u64(c, &offset) || !take_blanks(c) || !take_u64(c, &length))
			return record_bad(file, "offset and length are not two numbers");
		skip_blanks(c);
		if (!at_end(c))
			return record_bad(file, "something after the length");
		numbers = true;
	}
	if (word_is(action, action_length, "sync") || word_is(action, action_length, "datasync"))
		record->op = TRACE_FLUSH;
	else if (word_is(action, action_length, "read"))
		record->op = TRACE_READ;
	else if (word_is(action, action_length, "write"))
		record->op = TRACE_WRITE;
	else if (word_is(action, action_length, "trim"))
		record->op = TRACE_DISCARD;
	else if (word_is(action, action_length, "wait") && numbers)
		return wait(file, offset);
	else if ((word_is(action, action_length, "add") || word_is(action, action_length, "open") ||
		  word_is(action, action_length, "close")) && !numbers)
		return TRACE_SKIPPED;
	else
		return record_bad(file, "unknown action");
	if (!trace_name(file->trace, name, name_length, &record->space[1]))
		return record_bad(file, "too many or too long file names");
	if (record->op == TRACE_FLUSH)
		return TRACE_REQUEST;
	if (!numbers)
		return record_bad(file, "no offset and length");
	return record_extent(file, record, offset, false, length);
}

const struct trace_ops fio_ops = {
	.name = "fio",
	.help = "fio's iolog, version 2 or 3 (--write_iolog); --time-unit ms: waits of version 2 are absolute",
	.units_certain = true,
	.magic = fio_magic,
	.line = fio_line,
};
