// SPDX-License-Identifier: GPL-2.0
/* Status lines and snapids, as declared in status.h. */
#include <stdio.h>
#include <string.h>

#include "sim.h"
#include "status.h"

#define LOW_MASK 0xffffffffULL

int snapid_print(char *buf, size_t size, snapid_t id)
{
	unsigned int high = id >> 32, low = id & LOW_MASK;

	if (low == LOW_MASK)
		return snprintf(buf, size, "%u", high);
	return snprintf(buf, size, "%u.%u", high, low);
}

bool snapid_parse(const char *text, snapid_t *id)
{
	const char *dot = strchr(text, '.');
	char high_text[24];
	u64 high, low = LOW_MASK;

	snprintf(high_text, sizeof(high_text), "%.*s", dot ? (int)(dot - text) : 20, text);
	if (!parse_u64(high_text, &high) || high >= LOW_MASK)
		return false;
	if (dot && (!parse_u64(dot + 1, &low) || low >= LOW_MASK))
		return false;
	*id = high << 32 | low;
	return true;
}

snapid_t snapid_master(snapid_t id)
{
	return (id & LOW_MASK) == LOW_MASK ? SNAPID_ORIGIN : id | LOW_MASK;
}

/* ---- the line ---- */

/* The next word, cut out of *line; NULL: no more, or not separated by single blanks. */
static char *next_word(char **line)
{
	char *word = *line, *end;

	if (!word || !*word || *word == ' ')
		return NULL;
	end = strchr(word, ' ');
	*line = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return word;
}

static bool next_number(char **line, u64 *value)
{
	char *word = next_word(line);

	return word && parse_u64(word, value);
}

static bool parse_ids(char *line, struct target_status *st)
{
	u64 n;

	if (!next_number(&line, &n))
		return false;
	st->nr = min(n, TARGET_IDS + 1ull);
	if (st->nr > TARGET_IDS)
		return false;
	for (unsigned int i = 0; i < st->nr; i++) {
		char *word = next_word(&line);

		if (!word || !snapid_parse(word, &st->ids[i]))
			return false;
		if (i && st->ids[i] <= st->ids[i - 1])
			return false;
	}
	return !line;
}

bool target_status_parse(char *line, struct target_status *st)
{
	u64 fields, error;
	char *word;

	st->nr = 0;
	if (!next_number(&line, &fields) || fields != 5)
		return false;
	word = next_word(&line);
	if (!word || !parse_u64(*word == '-' ? word + 1 : word, &error) || error > 4095 ||
	    !error != (*word != '-'))
		return false;
	st->error = -(int)error;
	word = next_word(&line);
	if (!word)
		return false;
	st->prepared = SNAPID_ORIGIN;
	if (strcmp(word, "-") && !snapid_parse(word, &st->prepared))
		return false;
	return next_number(&line, &st->total) && next_number(&line, &st->allocated) &&
	       next_number(&line, &st->metadata) && parse_ids(line, st);
}

static void __attribute__((noreturn)) too_many(const char *device)
{
	sim_limit("%s has more than %u snapshots at once: too many to be judged", device, TARGET_IDS);
}

bool target_status_ask(const char *device, struct target_status *st)
{
	char line[8192], *params;
	int r = dmctl_exists(device) ? dmctl_status(device, STATUSTYPE_INFO, line, sizeof(line)) : -ENXIO;

	if (r == -ENOSPC)
		too_many(device);
	if (r)
		return false;
	line[strcspn(line, "\n")] = '\0';
	params = strstr(line, " multisnapshot ");
	if (!params)
		return false;
	if (target_status_parse(params + strlen(" multisnapshot "), st))
		return true;
	if (st->nr > TARGET_IDS)
		too_many(device);
	sim_fail("status of %s: not as specified", device);
	return true;
}

bool status_least_cache(const char *line, u64 *sectors)
{
	static const char least[] = "cache-limit must be at least ";
	const char *found = strstr(line, least);

	return found && sscanf(found + strlen(least), "%llu", sectors) == 1;
}
