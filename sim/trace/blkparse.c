// SPDX-License-Identifier: GPL-2.0
/*
 * blkparse's default text output: "maj,min cpu sequence seconds pid action RWBS ...", then what the action
 * has to say. The statistics that follow the events start with "CPU0 (" and end the trace. Which of Q, D
 * and C events are used is chosen as for the binary form.
 */
#include <string.h>

#include "trace_impl.h"

struct rwbs {
	bool flush, discard, write, read, fua, sync, meta;
};

/* F before the direction is a flush, after it FUA. */
static bool parse_rwbs(const char *word, size_t length, struct rwbs *rwbs)
{
	const char *end = word + length;

	memset(rwbs, 0, sizeof(*rwbs));
	if (word != end && *word == 'F') {
		rwbs->flush = true;
		word++;
	}
	if (word == end)
		return false;
	switch (*word++) {
	case 'D':
		rwbs->discard = true;
		if (word != end && *word == 'E')	/* secure erase */
			word++;
		break;
	case 'W':
		rwbs->write = true;
		break;
	case 'R':
		rwbs->read = true;
		break;
	case 'N':
		break;
	default:
		return false;
	}
	for (; word != end; word++) {
		switch (*word) {
		case 'F':
			rwbs->fua = true;
			break;
		case 'S':
			rwbs->sync = true;
			break;
		case 'M':
			rwbs->meta = true;
			break;
		case 'A':
		case 'B':
			break;
		default:
			return false;
		}
	}
	return true;
}

/* "[SECTOR [+ SECTORS]] [comm]": *data false when there are no sectors. False: a passthrough command or nonsense. */
static bool parse_extent(struct cursor *c, bool *data, uint64_t *sector, uint64_t *sectors)
{
	*data = false;
	skip_blanks(c);
	if (!at_end(c) && *c->p == '[')
		return true;
	if (!take_u64(c, sector) || !take_blanks(c))
		return false;
	if (take_char(c, '[') || take_char(c, '('))
		return c->p[-1] == '[';
	if (!take_char(c, '+') || !take_blanks(c) || !take_u64(c, sectors))
		return false;
	*data = true;
	return at_end(c) || *c->p == ' ';
}

static enum trace_outcome request(struct trace_file *file, struct cursor *c, const struct rwbs *rwbs,
				  struct trace_record *record)
{
	uint64_t sector, sectors;
	bool data;

	if (!parse_extent(c, &data, &sector, &sectors)) {
		/* "BYTES (cdb ...) [comm]" is a passthrough command. */
		if (c->p[-1] == '(')
			return TRACE_SKIPPED;
		return record_bad(file, "neither sectors nor a command name after the flags");
	}
	record->flags = (rwbs->fua ? TRACE_FUA : 0) | (rwbs->sync ? TRACE_SYNC : 0) |
			(rwbs->meta ? TRACE_META : 0);
	if (!data) {
		record->op = TRACE_FLUSH;
		record->offset = record->length = 0;
		return rwbs->flush ? TRACE_REQUEST : TRACE_SKIPPED;
	}
	record->flags |= rwbs->flush ? TRACE_PREFLUSH : 0;
	if (!rwbs->discard && !rwbs->write && !rwbs->read)
		return record_bad(file, "sectors without a direction");
	record->op = rwbs->discard ? TRACE_DISCARD : rwbs->write ? TRACE_WRITE : TRACE_READ;
	return record_extent(file, record, sector, true, sectors_to_length(sectors));
}

static enum trace_outcome blkparse_line(struct trace_file *file, struct cursor *c,
					struct trace_record *record)
{
	uint32_t major, minor, cpu, sequence, pid;
	const char *action, *word;
	size_t length, action_length;
	enum trace_event event;
	struct rwbs rwbs;
	uint64_t time;

	if (c->end - c->p >= 5 && !memcmp(c->p, "CPU", 3) && memchr(c->p, '(', c->end - c->p))
		return TRACE_END;
	if (c->end - c->p >= 10 && !memcmp(c->p, "Input file", 10))
		return TRACE_SKIPPED;
	if (!take_u32(c, &major) || !take_char(c, ',') || !take_u32(c, &minor) || !take_blanks(c) ||
	    !take_u32(c, &cpu) || !take_blanks(c) || !take_u32(c, &sequence) || !take_blanks(c) ||
	    !take_decimal(c, time_digits(file->trace, 9), &time) || !take_blanks(c) ||
	    !take_u32(c, &pid) || !take_blanks(c) || !take_word(c, &action, &action_length) ||
	    !take_blanks(c))
		return record_bad(file, "not 'major,minor cpu sequence time pid action flags'");
	if (action_length > 2)
		return record_bad(file, "unknown action");
	if (action_length != 1 || !memchr("QDCR", *action, 4))
		return TRACE_SKIPPED;
	if (!take_word(c, &word, &length) || !parse_rwbs(word, length, &rwbs))
		return record_bad(file, "unknown flags (RWBS)");
	event = *action == 'Q' ? TRACE_EVENT_QUEUE : *action == 'C' ? TRACE_EVENT_COMPLETE : TRACE_EVENT_ISSUE;
	if (*action == 'R')
		record->requeued = file->trace->event == event && !file->trace->choosing;
	else if (!event_wanted(file->trace, event))
		return TRACE_SKIPPED;
	if (*action == 'R' && !record->requeued)
		return TRACE_SKIPPED;
	record->time_ns = time;
	record->space[0] = major;
	record->space[1] = minor;
	return request(file, c, &rwbs, record);
}

const struct trace_ops blkparse_ops = {
	.name = "blkparse",
	.help = "blkparse's default text output",
	.has_events = true,
	.units_certain = true,
	.line = blkparse_line,
};
