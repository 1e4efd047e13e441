// SPDX-License-Identifier: GPL-2.0
/*
 * A finding made small: lines of the script are left out as long as something is still found (Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", 2002), then what is left is made simpler, line by line
 * (shrink_line.c), and that again, until nothing helps.
 *
 * Each attempt is a whole search in a process of its own: the finding moves to other moments when lines go, and need
 * not be the same. Any will do, but of the same kind: what needs no power cut (a script that hangs when the line is gone that
 * releases a request) is not what was found. Before that the search itself is made smaller: without a second cut and without
 * work after the recovery, if it is found so. Shares of states depend on their contents, so what is shared is done
 * for all.
 *
 * Somebody waits: attempts end when they have judged a number of states. Not a number of seconds: the same finding becomes the same
 * script on any machine.
 */
#include <stdlib.h>
#include <string.h>

#include "shrink.h"

#define ATTEMPTS_MAX 3000
#define STATES_MAX 400000

static char *join(char *const *line, u32 nr)
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
	bool good;

	if (s->attempts++ >= ATTEMPTS_MAX || s->states >= STATES_MAX) {
		free(text);
		return false;
	}
	if (progress_due())
		progress_show("making it smaller: %u attempts, %u lines", s->attempts, s->nr);
	strcpy(unit.name, s->unit->name);
	crash_unit_apart(o, &unit);
	s->states += unit.counts.states;
	good = !unit.error[0] && unit.finding.found && unit.finding.kind == s->unit->finding.kind;
	if (good && unit.finding.kind == FOUND_IN_SCRIPT)
		good = !strcmp(unit.finding.what, s->unit->finding.what);
	if (!good) {
		crash_finding_free(&unit.finding);
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
		u32 depth, work, recut, reads, damage;
	} searches[] = {
		{ 1, 0, 0, 0, 0 }, { 1, 1, 0, 0, 0 }, { 2, 8, 8, 0, 0 }, { 2, 4, 1, 0, 0 }, { 2, 1, 1, 0, 0 },
		{ 1, 0, 0, 1, 0 }, { 1, 0, 0, 0, 1 },
	};

	for (u32 i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
		struct crash_options o = *s->options;

		o.depth = searches[i].depth;
		o.work_share = searches[i].work;
		o.recut_share = searches[i].recut;
		o.read_share = searches[i].reads;
		o.damage_share = searches[i].damage;
		if (attempt(s, &o, strdup(s->unit->text))) {
			*s->options = o;
			return;
		}
	}
}

/* ---- lines ---- */

static void strip(char *line)
{
	size_t end = strlen(line);
	bool quoted = false;

	for (char *p = line; *p; p++) {
		quoted ^= *p == '"';
		if (!quoted && *p == '#' && (p == line || p[-1] == ' ')) {
			end = p - line;
			break;
		}
	}
	while (end && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	line[end] = '\0';
}

static void split(struct shrink *s)
{
	char *rest = NULL, *copy = strdup(s->unit->text);
	u32 max = 1;

	for (const char *p = copy; *p; p++)
		max += *p == '\n';
	s->line = calloc(max, sizeof(*s->line));
	if (!s->line)
		abort();
	for (char *l = strtok_r(copy, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest)) {
		l += strspn(l, " \t");
		strip(l);
		if (*l)
			s->line[s->nr++] = strdup(l);
	}
	free(copy);
}

bool shrink_to(struct shrink *s, char **line)
{
	u32 kept = 0;

	if (!attempt(s, s->options, join(line, s->nr))) {
		for (u32 i = 0; i < s->nr; i++)
			if (line[i] != s->line[i])
				free(line[i]);
		free(line);
		return false;
	}
	for (u32 i = 0; i < s->nr; i++)
		if (line[i] != s->line[i])
			free(s->line[i]);
	for (u32 i = 0; i < s->nr; i++)
		if (line[i])
			line[kept++] = line[i];
	free(s->line);
	s->line = line;
	s->nr = kept;
	return true;
}

char **shrink_copy(const struct shrink *s)
{
	char **line = malloc((s->nr + 1) * sizeof(*line));

	if (!line)
		abort();
	memcpy(line, s->line, s->nr * sizeof(*line));
	return line;
}

/* Without the lines [from, to). */
static bool without(struct shrink *s, u32 from, u32 to)
{
	char **line = shrink_copy(s);

	for (u32 i = from; i < to; i++)
		line[i] = NULL;
	return shrink_to(s, line);
}

/* Behind the line at which the power went. */
static void shrink_tail(struct shrink *s)
{
	u32 line = 1, i = 0;

	for (const char *p = s->unit->text; *p && line <= s->unit->finding.line; p++)
		line += *p == '\n';
	/* Comments and empty lines are no lines here: at worst too few are left out. */
	i = min_t(u32, line - 1, s->nr);
	if (i && i < s->nr)
		without(s, i, s->nr);
}

static void shrink_runs(struct shrink *s)
{
	for (u32 size = s->nr / 2; size; size = size == 4 ? 3 : size / 2)
		for (u32 at = 0; at + size <= s->nr;)
			if (!without(s, at, at + size))
				at += size > 3 ? size : 1;
	/* "create", "suspend" and "resume" go together. */
	for (u32 at = s->nr; at-- > 0;)
		if (at + 3 <= s->nr)
			without(s, at, at + 3);
}

/* The line after the block that begins with line @i. */
static u32 block_end(const struct shrink *s, u32 i)
{
	u32 depth = 0;

	do {
		if (strchr(s->line[i], '{'))
			depth++;
		if (*s->line[i] == '}')
			depth--;
		i++;
	} while (depth && i < s->nr);
	return i;
}

/* Blocks go as a whole; or a block becomes its lines. */
static void shrink_blocks(struct shrink *s)
{
	for (u32 i = s->nr; i-- > 0;) {
		char **line;
		u32 end;

		if (i >= s->nr || !strchr(s->line[i], '{'))
			continue;
		end = block_end(s, i);
		if (without(s, i, end))
			continue;
		line = shrink_copy(s);
		line[i] = line[end - 1] = NULL;
		shrink_to(s, line);
	}
}

static bool mentions(const char *line, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = line; (p = strstr(p, word)); p++)
		if ((p == line || p[-1] == ' ') && (!p[length] || p[length] == ' '))
			return true;
	return false;
}

/* A snapshot's device, or a label, with all that is done with it. */
static void shrink_names(struct shrink *s)
{
	for (u32 i = 0; i < s->nr; i++) {
		char name[64], **line;

		if (sscanf(s->line[i], "dmsetup create %63s", name) != 1 &&
		    sscanf(s->line[i], "hold %63s", name) != 1 && sscanf(s->line[i], "start %63s", name) != 1)
			continue;
		line = shrink_copy(s);
		for (u32 j = i; j < s->nr; j++)
			if (mentions(s->line[j], name))
				line[j] = NULL;
		shrink_to(s, line);
	}
}

/* What was started is done there and then. */
static void shrink_starts(struct shrink *s)
{
	for (u32 i = 0; i < s->nr; i++) {
		char name[64], wait[80], **line;
		int at = 0;

		if (sscanf(s->line[i], "start %63s %n", name, &at) != 1 || !at)
			continue;
		snprintf(wait, sizeof(wait), "wait %s", name);
		line = shrink_copy(s);
		line[i] = strdup(s->line[i] + at);
		for (u32 j = i + 1; j < s->nr; j++)
			if (!strcmp(s->line[j], wait))
				line[j] = NULL;
		shrink_to(s, line);
	}
}

static void shrink_all(struct shrink *s)
{
	u32 before;

	do {
		before = strlen(s->unit->text);
		shrink_runs(s);
		shrink_blocks(s);
		shrink_names(s);
		shrink_starts(s);
		shrink_simplify(s);
		shrink_search(s);
	} while (strlen(s->unit->text) < before && s->states < STATES_MAX);
}

void crash_shrink(struct crash_options *options, struct crash_unit *unit)
{
	struct shrink s = { .options = options, .unit = unit };

	unit->first_line = 0;
	split(&s);
	shrink_tail(&s);
	shrink_search(&s);
	if (unit->strategy != SIM_FIFO) {
		enum sim_strategy strategy = unit->strategy;

		unit->strategy = SIM_FIFO;
		if (!attempt(&s, options, strdup(unit->text)))
			unit->strategy = strategy;
	}
	shrink_all(&s);
	progress_clear();
	for (u32 i = 0; i < s.nr; i++)
		free(s.line[i]);
	free(s.line);
}

void crash_script_size(const char *text, u32 *lines, u32 *operations)
{
	static const char *const not[] = { "disk ", "settle", "wait ", "release ", "sleep ", "parallel", "{", "}",
					   "dmsetup suspend ", "dmsetup resume " };
	bool loaded = false;

	*lines = *operations = 0;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		bool counts = true;

		for (u32 i = 0; i < sizeof(not) / sizeof(not[0]); i++)
			counts &= !!strncmp(line, not[i], strlen(not[i]));
		++*lines;
		*operations += counts && loaded;
		loaded |= !strncmp(line, "dmsetup create ", 15);
	}
}
