// SPDX-License-Identifier: GPL-2.0
/*
 * The status line of the origin, read back strictly (section 4 of the specification), and
 * snapids.
 *
 * Both stores number their snapshots 32.32: the high half counts snapshots of the origin, whose
 * low half is all ones; the low half of the others counts snapshots of that snapshot.
 */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define LOW_MASK 0xffffffffULL

int torture_print_id(char *buf, size_t size, snapid_t id)
{
	unsigned int high = id >> 32, low = id & LOW_MASK;

	if (low == LOW_MASK)
		return snprintf(buf, size, "%u", high);
	return snprintf(buf, size, "%u.%u", high, low);
}

bool torture_parse_id(const char *text, snapid_t *id)
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

snapid_t torture_master(snapid_t id)
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

static bool parse_ids(char *line, struct torture_status *st)
{
	u64 n;

	if (!next_number(&line, &n) || n > TORTURE_IDS)
		return false;
	st->nr = n;
	for (unsigned int i = 0; i < st->nr; i++) {
		char *word = next_word(&line);

		if (!word || !torture_parse_id(word, &st->ids[i]))
			return false;
		if (i && st->ids[i] <= st->ids[i - 1])
			return false;
	}
	return !line;
}

static bool parse_line(char *line, struct torture_status *st)
{
	u64 fields, error;
	char *word;

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
	if (strcmp(word, "-") && !torture_parse_id(word, &st->prepared))
		return false;
	return next_number(&line, &st->total) && next_number(&line, &st->allocated) &&
	       next_number(&line, &st->metadata) && parse_ids(line, st);
}

/* @known: the error that had been seen before the status was asked for. */
static void judge_status(struct torture *t, const struct torture_status *st, const char *line,
			 int known)
{
	unsigned int chunk = t->config.chunk_sectors;

	if (st->total % chunk || st->allocated % chunk || st->metadata % chunk)
		torture_found(t, "status: sizes that are not whole chunks: %s", line);
	if (st->allocated > st->total || st->metadata > st->allocated)
		torture_found(t, "status: sizes that cannot be: %s", line);
	if (st->total > t->config.store_sectors)
		torture_found(t, "status: more than the device has: %s", line);
	if (known && st->error != known)
		torture_found(t, "status: the error was %d: %s", known, line);
	if (!st->error || t->known_error)
		return;
	t->known_error = st->error;
	if (st->error == -ENOSPC)
		t->counts[TC_ENOSPC]++;
	if (!t->preserve)
		t->counts[TC_GIVEN_UP]++;
	torture_say(t, "error %d", st->error);
	if (!(t->config.disk_faults && st->error != -ENOMEM) && !torture_memory_may_fail(t) &&
	    !(t->config.small_store && st->error == -ENOSPC))
		torture_found(t, "status: an error without a reason: %s", line);
}

bool torture_get_status(struct torture *t, struct torture_status *st)
{
	char line[2048], copy[2048];
	int known = t->known_error;
	u64 load = t->loads;
	const char *params;
	int r;

	if (!t->loaded || t->removing)
		return false;
	r = dmctl_status("ms", STATUSTYPE_INFO, line, sizeof(line));
	if (t->loads != load || t->removing || !t->loaded)
		return false; /* an answer from a life before this one */
	if (r)
		torture_found(t, "status: %s", errno_name(r));
	line[strcspn(line, "\n")] = '\0';
	params = strstr(line, "multisnapshot ");
	snprintf(copy, sizeof(copy), "%s", params ? params + strlen("multisnapshot ") : line);
	if (!parse_line(copy, st))
		torture_found(t, "status: not as specified: %s", line);
	for (const char *p = line; *p; p++)
		torture_mix(t, *p);
	judge_status(t, st, line, known);
	return true;
}

bool torture_has_id(const struct torture_status *st, snapid_t id)
{
	for (unsigned int i = 0; i < st->nr; i++)
		if (st->ids[i] == id)
			return true;
	return false;
}

void torture_compare_ids(struct torture *t, const struct torture_status *st, const char *when)
{
	snapid_t id = oracle_next_id(t->oracle, 0);
	char text[32];
	unsigned int i;

	for (i = 0; i < st->nr && st->ids[i] == id; i++)
		id = oracle_next_id(t->oracle, id + 1);
	if (i == st->nr && id == SNAPID_ORIGIN)
		return;
	if (i < st->nr && st->ids[i] < id)
		id = st->ids[i];
	torture_print_id(text, sizeof(text), id);
	torture_found(t, "%s: snapshot %s %s", when, text,
		      torture_has_id(st, id) ? "exists and should not" : "is missing");
}
