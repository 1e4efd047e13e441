// SPDX-License-Identifier: GPL-2.0
/*
 * A finding made small: lines of the script are left out as long as something is still found (Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", 2002), then the numbers in what is left become smaller.
 *
 * Each attempt is a whole search in a process of its own: the finding moves to other moments when lines go, and need
 * not be the same, any will do. Before that the search itself is made smaller: without a second cut and without work after the
 * recovery, if it is found so. Shares of states depend on their contents, so what is shared is done for all.
 */
#include <stdlib.h>
#include <string.h>

#include "crash.h"

struct shrink {
	struct crash_options *options;
	struct crash_unit *unit;	/* the smallest so far */
	char **line;
	u32 nr;
	u32 attempts;
};

/* Attempts are cheap; but somebody waits. */
#define ATTEMPTS_MAX 600

static char *join(char **line, u32 nr)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	for (u32 i = 0; i < nr; i++)
		if (line[i])
			fprintf(out, "%s\n", line[i]);
	fclose(out);
	return text;
}

/* Is something found in that text, with these options? Then the unit becomes it. */
static bool attempt(struct shrink *s, const struct crash_options *o, char *text)
{
	struct crash_unit unit = {
		.text = text,
		.keep_going = true,
		.strategy = s->unit->strategy,
		.seed = s->unit->seed,
	};

	if (s->attempts++ >= ATTEMPTS_MAX) {
		free(text);
		return false;
	}
	if (progress_due())
		progress_show("making it smaller: %u attempts, %u lines", s->attempts, s->nr);
	strcpy(unit.name, s->unit->name);
	crash_unit_apart(o, &unit);
	if (unit.error[0] || !unit.finding.found) {
		free(text);
		return false;
	}
	crash_finding_free(&s->unit->finding);
	free(s->unit->text);
	*s->unit = unit;
	return true;
}

static void shrink_search(struct shrink *s)
{
	static const struct {
		u32 depth, work, recut;
	} searches[] = { { 1, 0, 0 }, { 1, 1, 0 }, { 2, 8, 8 }, { 2, 4, 1 }, { 2, 1, 1 } };

	for (u32 i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
		struct crash_options o = *s->options;

		o.depth = searches[i].depth;
		o.work_share = searches[i].work;
		o.recut_share = searches[i].recut;
		if (attempt(s, &o, strdup(s->unit->text))) {
			*s->options = o;
			return;
		}
	}
}

static void split(struct shrink *s)
{
	char *rest = NULL, *copy = strdup(s->unit->text);
	u32 max = 1;

	for (const char *p = copy; *p; p++)
		max += *p == '\n';
	s->line = calloc(max, sizeof(*s->line));
	s->nr = 0;
	for (char *l = strtok_r(copy, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest))
		if (l[strspn(l, " \t")] && l[strspn(l, " \t")] != '#')
			s->line[s->nr++] = strdup(l);
	free(copy);
}

/* Without the lines [from, to), if something is found then. */
static bool without(struct shrink *s, u32 from, u32 to)
{
	char **rest = malloc((s->nr + 1) * sizeof(*rest));
	bool found;

	memcpy(rest, s->line, from * sizeof(*rest));
	memcpy(rest + from, s->line + to, (s->nr - to) * sizeof(*rest));
	found = attempt(s, s->options, join(rest, s->nr - (to - from)));
	if (found) {
		for (u32 i = from; i < to; i++)
			free(s->line[i]);
		memmove(s->line + from, s->line + to, (s->nr - to) * sizeof(*s->line));
		s->nr -= to - from;
	}
	free(rest);
	return found;
}

/* The line after the block that begins with line @i. */
static u32 block_end(const struct shrink *s, u32 i)
{
	u32 depth = 0;

	do {
		const char *l = s->line[i] + strspn(s->line[i], " \t");

		if (strchr(l, '{'))
			depth++;
		if (*l == '}')
			depth--;
		i++;
	} while (depth && i < s->nr);
	return i;
}

static bool shrink_lines(struct shrink *s)
{
	u32 before = s->nr;

	for (u32 size = s->nr / 2; size; size /= 2)
		for (u32 at = 0; at + size <= s->nr;)
			if (!without(s, at, at + size))
				at += size;
	/* Blocks go as a whole; and a block becomes its lines. */
	for (u32 i = s->nr; i-- > 0;) {
		u32 end;

		if (i >= s->nr || !strchr(s->line[i], '{'))
			continue;
		end = block_end(s, i);
		if (without(s, i, end))
			continue;
		if (end - i > 2) {
			char *first = s->line[i], *last = s->line[end - 1];

			s->line[i] = s->line[end - 1] = NULL;
			if (attempt(s, s->options, join(s->line, s->nr))) {
				free(first);
				free(last);
				memmove(s->line + end - 1, s->line + end, (s->nr - end) * sizeof(*s->line));
				memmove(s->line + i, s->line + i + 1, (s->nr - i - 2) * sizeof(*s->line));
				s->nr -= 2;
			} else {
				s->line[i] = first;
				s->line[end - 1] = last;
			}
		}
	}
	return s->nr < before;
}

/* "write DEVICE SECTOR COUNT ...": fewer sectors, from an earlier one. */
static void shrink_request(struct shrink *s, u32 i)
{
	static const u32 counts[] = { 1, 2, 4, 8 };
	char verb[16], device[64], *old = s->line[i], text[512];
	unsigned long long sector, sectors;
	int end;

	if (sscanf(old, " %15s %63s %llu %llu%n", verb, device, &sector, &sectors, &end) != 4)
		return;
	if (strcmp(verb, "write") && strcmp(verb, "discard") && strcmp(verb, "zero"))
		return;
	for (u32 k = 0; k < 4 && counts[k] < sectors; k++) {
		snprintf(text, sizeof(text), "%s %s %llu %u%s", verb, device, sector, counts[k], old + end);
		s->line[i] = text;
		if (attempt(s, s->options, join(s->line, s->nr))) {
			s->line[i] = strdup(text);
			free(old);
			return;
		}
		s->line[i] = old;
	}
}

void crash_shrink(struct crash_options *options, struct crash_unit *unit)
{
	struct shrink s = { .options = options, .unit = unit };

	unit->first_line = 0;
	shrink_search(&s);
	if (unit->strategy != SIM_FIFO) {
		enum sim_strategy strategy = unit->strategy;

		unit->strategy = SIM_FIFO;
		if (!attempt(&s, options, strdup(unit->text)))
			unit->strategy = strategy;
	}
	split(&s);
	while (shrink_lines(&s))
		shrink_search(&s);
	for (u32 i = 0; i < s.nr; i++)
		shrink_request(&s, i);
	progress_clear();
	for (u32 i = 0; i < s.nr; i++)
		free(s.line[i]);
	free(s.line);
}
