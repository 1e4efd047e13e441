// SPDX-License-Identifier: GPL-2.0
/*
 * The format of a file, by its content alone.
 *
 * First the formats with a magic or a header line. Then text: the first lines are given to the line parser of each format
 * that has none, and a format is taken only if it is the one that accepts 95 % of them. vscsi has
 * neither magic nor text and is asked last (its magic() looks at many records).
 */
#include <string.h>

#include "trace_impl.h"

/* Of a hundred. */
#define ENOUGH 95

struct score {
	unsigned int lines;
	unsigned int good;
	unsigned int first_bad;	/* its line number; 0: none */
};

static struct score score_lines(struct trace *trace, const struct trace_ops *ops, struct input *in,
				const char *head, size_t size, bool whole)
{
	struct trace_file file = { .trace = trace, .in = in };
	const char *p = head, *end = head + size;
	struct score score = { 0 };

	for (unsigned int line = 1; p != end && score.lines < TRACE_HEAD_LINES; line++) {
		const char *newline = memchr(p, '\n', end - p);
		struct trace_record record = { 0 };
		struct cursor c = { p, newline ? newline : end };
		enum trace_outcome outcome;

		if (!newline && !whole)
			break;
		p = newline ? newline + 1 : end;
		if (c.end != c.p && c.end[-1] == '\r')
			c.end--;
		skip_blanks(&c);
		if (at_end(&c))
			continue;
		file.position = line;
		outcome = ops->line(&file, &c, &record);
		if (outcome == TRACE_END)
			break;
		if (outcome == TRACE_BAD && !newline && score.lines)
			break;	/* cut off in the middle: says nothing */
		score.lines++;
		if (outcome != TRACE_BAD)
			score.good++;
		else if (!score.first_bad)
			score.first_bad = line;
	}
	return score;
}

static const struct trace_ops *detect_text(struct trace *trace, struct input *in, const char *head,
					   size_t size, bool whole, char *error, size_t error_size)
{
	const struct trace_ops *found = NULL, *best = NULL;
	struct score best_score = { 0 };

	for (unsigned int i = 0; trace_formats[i]; i++) {
		const struct trace_ops *ops = trace_formats[i];
		struct score score;

		if (!ops->line || ops->magic)
			continue;
		score = score_lines(trace, ops, in, head, size, whole);
		if (score.good > best_score.good) {
			best = ops;
			best_score = score;
		}
		if (!score.good || score.good * 100 < score.lines * ENOUGH)
			continue;
		if (found) {
			snprintf(error, error_size, "could be %s or %s: say which with --format", found->name,
				 ops->name);
			return NULL;
		}
		found = ops;
	}
	if (found)
		return found;
	if (best)
		snprintf(error, error_size,
			 "no format fits; the nearest is %s, but only %u of the first %u lines do (not line %u); see --format",
			 best->name, best_score.good, best_score.lines, best_score.first_bad);
	else
		snprintf(error, error_size, "no known trace format fits; see --format");
	return NULL;
}

static bool is_text(const unsigned char *head, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (head[i] < ' ' && head[i] != '\n' && head[i] != '\r' && head[i] != '\t')
			return false;
	return true;
}

const struct trace_ops *trace_detect(struct trace *trace, struct input *in, char *error, size_t error_size)
{
	const unsigned char *head;
	size_t size;

	head = input_peek(in, TRACE_HEAD_SIZE, &size);
	if (!head) {
		snprintf(error, error_size, "%s", input_error(in));
		return NULL;
	}
	for (unsigned int i = 0; trace_formats[i]; i++)
		if (trace_formats[i]->magic && trace_formats[i] != &vscsi_ops &&
		    trace_formats[i]->magic(head, size, in))
			return trace_formats[i];
	if (is_text(head, size < 256 ? size : 256))
		return detect_text(trace, in, (const char *)head, size, size < TRACE_HEAD_SIZE, error,
				   error_size);
	if (vscsi_ops.magic(head, size, in))
		return &vscsi_ops;
	snprintf(error, error_size, "no known trace format fits; see --format");
	return NULL;
}
