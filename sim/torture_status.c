// SPDX-License-Identifier: GPL-2.0
/* The status line of the origin, read back strictly (section 4 of the specification), and judged. */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* @known: the error that had been seen before the status was asked for. */
static void judge_status(struct torture *t, const struct target_status *st, const char *line,
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

bool torture_get_status(struct torture *t, struct target_status *st)
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
	if (!target_status_parse(copy, st))
		torture_found(t, "status: not as specified: %s", line);
	for (const char *p = line; *p; p++)
		torture_mix(t, *p);
	judge_status(t, st, line, known);
	return true;
}

bool torture_has_id(const struct target_status *st, snapid_t id)
{
	for (unsigned int i = 0; i < st->nr; i++)
		if (st->ids[i] == id)
			return true;
	return false;
}

void torture_compare_ids(struct torture *t, const struct target_status *st, const char *when)
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
	snapid_print(text, sizeof(text), id);
	torture_found(t, "%s: snapshot %s %s", when, text,
		      torture_has_id(st, id) ? "exists and should not" : "is missing");
}
