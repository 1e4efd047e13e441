// SPDX-License-Identifier: GPL-2.0
/*
 * Reads what callgrind writes: self cost by source file.
 *
 * fl=, fi= and fe= set the file that the following cost lines belong to; a name is given in full once, "(7) path", and
 * then by its number. After calls= comes one line with the cost of the callee, which is not self cost.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum part { PART_OTHER, PART_CORE, PART_STORES };

struct names {
	unsigned char *parts;
	unsigned long nr;
};

static enum part part_of(const char *path)
{
	if (strstr(path, "/core/") || !strncmp(path, "core/", 5))
		return PART_CORE;
	if (strstr(path, "/stores/") || !strncmp(path, "stores/", 7))
		return PART_STORES;
	return PART_OTHER;
}

/* "(7) path" or "(7)" or "path" */
static enum part file_part(struct names *names, const char *text)
{
	unsigned long id;
	char *end;

	if (*text != '(')
		return part_of(text);
	id = strtoul(text + 1, &end, 10);
	if (*end != ')' || id > 1ul << 24)
		return PART_OTHER;
	if (id >= names->nr) {
		unsigned long nr = id * 2 + 64;

		names->parts = realloc(names->parts, nr);
		if (!names->parts)
			abort();
		memset(names->parts + names->nr, PART_OTHER, nr - names->nr);
		names->nr = nr;
	}
	if (end[1] == ' ')
		names->parts[id] = part_of(end + 2);
	return names->parts[id];
}

/* A cost line: position, then the first event (Ir). */
static bool cost_of(const char *line, u64 *cost)
{
	char *end;

	if (!strchr("0123456789+-*", *line))
		return false;
	line += strcspn(line, " \n");
	if (*line != ' ')
		return false;
	*cost = strtoull(line, &end, 10);
	return end != line;
}

int callgrind_parse(FILE *in, struct callgrind_cost *cost)
{
	struct names names = { 0 };
	enum part part = PART_OTHER;
	bool header = false, callee = false;
	char *line = NULL;
	size_t size = 0;

	memset(cost, 0, sizeof(*cost));
	while (getline(&line, &size, in) > 0) {
		u64 n;

		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "events: Ir", 10))
			header = true;
		if (!strncmp(line, "fl=", 3) || !strncmp(line, "fi=", 3) || !strncmp(line, "fe=", 3)) {
			part = file_part(&names, line + 3);
		} else if (!strncmp(line, "cfi=", 4) || !strncmp(line, "cfl=", 4)) {
			file_part(&names, line + 4); /* may be where the name is given */
		} else if (!strncmp(line, "calls=", 6)) {
			callee = true;
		} else if (header && *line && cost_of(line, &n)) {
			if (!callee) {
				cost->total += n;
				cost->core += part == PART_CORE ? n : 0;
				cost->stores += part == PART_STORES ? n : 0;
			}
			callee = false;
		}
	}
	free(line);
	free(names.parts);
	return header ? 0 : -1;
}
