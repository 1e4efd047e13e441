// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of a log (dmlog.h): what the administrator and users did, and were told.
 *
 *   multisnap origin START+COUNT      where on the logged device the origin is, in sectors of 512 bytes
 *   multisnap store START+COUNT       and the store
 *   multisnap table TABLE             the table of the origin target
 *   multisnap own-io                  what users do with the origin is told by marks, not by the writes to its disk
 *   multisnap begin N [sync] [TEXT]   command N on the origin target begins (sync: a load with sync-snapshots)
 *   multisnap end N                   it has ended
 *   multisnap status [PARAMS]         what the target's status line says now; without: it is not loaded
 *   multisnap issue N DEVICE write|discard|flush START+COUNT [fua] [preflush] [TAG:COUNT]...
 *                                     request N; DEVICE is "origin" or a snapid; contents of a write as runs of tags
 *                                     (disk.h), the first of each run in hexadecimal, 0 for zeroes
 *   multisnap done N [ERRNO]          it has ended
 *   multisnap wipe                    somebody wrote to the store while no target was loaded
 *   multisnap unmarked                the store's device has refused the invalid mark (docs/dm-multisnapshot.rst)
 *
 * Marks that begin with another word are somebody else's. N is any number; it may be used again when it has ended.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"

static bool wrong(struct dmlog_marks *m, const char *what)
{
	snprintf(m->why, sizeof(m->why), "%s", what);
	return false;
}

bool dmlog_parse_part(const char *text, struct dmlog_part *part)
{
	char copy[64], *plus;
	u64 start, sectors;

	if (!text || strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	plus = strchr(copy, '+');
	if (!plus)
		return false;
	*plus = '\0';
	if (!parse_u64(copy, &start) || !parse_u64(plus + 1, &sectors) || start + sectors < start)
		return false;
	*part = (struct dmlog_part){ start, sectors };
	return true;
}

static bool mark_part(struct dmlog_marks *m, u32 disk, char *rest)
{
	struct dmlog_part part;

	if (!dmlog_parse_part(rest, &part) || !part.sectors)
		return wrong(m, "not START+COUNT");
	if (!m->options->part[disk].sectors)
		m->options->part[disk] = part;
	return true;
}

static bool mark_table(struct dmlog_marks *m, char *rest)
{
	if (m->life->table)
		return true;
	m->life->table = strdup(rest);
	return m->life->table || wrong(m, "no memory");
}

/* ---- what begins and ends ---- */

static bool begun(struct dmlog_marks *m, const char *word, u32 event)
{
	u64 number;

	if (!word || !parse_u64(word, &number))
		return wrong(m, "no number");
	for (u32 i = 0; i < m->nr_begun; i++)
		if (m->begun[i].number == number)
			return wrong(m, "that number has not ended yet");
	m->begun = crash_grow(m->begun, (u64)m->nr_begun + 1, &m->max_begun, sizeof(*m->begun));
	m->begun[m->nr_begun++] = (struct dmlog_begun){ number, event, m->writes };
	return true;
}

static bool ended(struct dmlog_marks *m, const char *word, enum life_kind kind, struct dmlog_begun *begun)
{
	u64 number;

	if (!word || !parse_u64(word, &number))
		return wrong(m, "no number");
	for (u32 i = 0; i < m->nr_begun; i++) {
		*begun = m->begun[i];
		if (begun->number != number || life_at(m->life, begun->event)->kind != kind)
			continue;
		m->begun[i] = m->begun[--m->nr_begun];
		return true;
	}
	return wrong(m, "that number has not begun");
}

static bool mark_begin(struct dmlog_marks *m, char *rest, u32 entry)
{
	const char *word = strtok_r(rest, " ", &rest), *sync = strtok_r(NULL, " ", &rest);
	struct life_event *e = dmlog_add_event(m->life, LIFE_CTL_BEGIN);

	e->line = entry;
	e->flags = sync && !strcmp(sync, "sync") ? LIFE_SYNC : 0;
	return begun(m, word, m->life->nr);
}

/* Is there a snapshot now that was not there in that state? */
static bool has_more(const struct life *life, const struct life_state *old)
{
	const struct life_state *now = &life->states[life->nr_states - 1];
	u32 common = 0;

	for (u32 i = 0; i < now->nr_ids; i++)
		for (u32 j = 0; j < old->nr_ids; j++)
			common += life->ids[now->ids + i] == life->ids[old->ids + j];
	return common < now->nr_ids;
}

static bool mark_end(struct dmlog_marks *m, char *rest)
{
	struct dmlog_begun begun;

	if (!ended(m, rest, LIFE_CTL_BEGIN, &begun))
		return false;
	if (has_more(m->life, &m->life->states[life_at(m->life, begun.event)->state]))
		m->during_create += m->writes - begun.writes;
	dmlog_add_end(m->life, LIFE_CTL_END, begun.event);
	return true;
}

/* ---- I/O ---- */

/* TAG:COUNT ..., for all sectors of the write. */
static bool parse_runs(struct dmlog_marks *m, struct life_event *e, char *rest)
{
	u32 done = 0, first;
	content_t *contents = life_add_contents(m->life, e->sectors, &first);
	char *word;

	e->contents = first;
	while ((word = strtok_r(NULL, " ", &rest))) {
		char *end;
		tag_t tag = strtoull(word, &end, 16);
		u64 count;

		if (*end != ':' || !parse_u64(end + 1, &count) || !count || count > e->sectors - done ||
		    tag + count >= TAG_CHOICE)
			return wrong(m, "not TAG:COUNT, or more sectors than the write has");
		for (u64 i = 0; i < count; i++)
			contents[done++] = content_of_tag(tag ? tag + i : TAG_ZERO);
	}
	return done == e->sectors || wrong(m, "fewer contents than the write has sectors");
}

static bool parse_op(const char *word, u8 *op)
{
	static const char *const names[] = { [LIFE_WRITE] = "write", [LIFE_DISCARD] = "discard",
					     [LIFE_FLUSH] = "flush" };

	for (*op = 0; word && *op < ARRAY_SIZE(names); (*op)++)
		if (!strcmp(word, names[*op]))
			return true;
	return false;
}

static bool mark_issue(struct dmlog_marks *m, char *rest, u32 entry)
{
	const char *number = strtok_r(rest, " ", &rest), *device = strtok_r(NULL, " ", &rest);
	const char *op = strtok_r(NULL, " ", &rest), *where = strtok_r(NULL, " ", &rest);
	struct life_event *e = dmlog_add_event(m->life, LIFE_IO_ISSUE);
	struct dmlog_part part;

	e->line = entry;
	if (!device || (strcmp(device, "origin") && !snapid_parse(device, &e->id)))
		return wrong(m, "neither origin nor the number of a snapshot");
	if (!strcmp(device, "origin"))
		e->id = SNAPID_ORIGIN;
	if (e->id == SNAPID_ORIGIN && !m->own_io)
		return wrong(m, "I/O of the origin, and no mark own-io before");
	if (!parse_op(op, &e->op) || !dmlog_parse_part(where, &part) || part.sectors > 1 << 20)
		return wrong(m, "not OP START+COUNT");
	e->sector = part.start;
	e->sectors = part.sectors;
	for (;;) {
		if (!strncmp(rest, "fua", 3))
			e->flags |= LIFE_FUA;
		else if (!strncmp(rest, "preflush", 8))
			e->flags |= LIFE_PREFLUSH;
		else
			break;
		strtok_r(NULL, " ", &rest);
	}
	if (e->op == LIFE_WRITE && !parse_runs(m, e, rest))
		return false;
	return begun(m, number, m->life->nr);
}

static bool mark_done(struct dmlog_marks *m, char *rest)
{
	const char *number = strtok_r(rest, " ", &rest), *error = strtok_r(NULL, " ", &rest);
	struct dmlog_begun begun;
	u64 value = 0;

	if (!ended(m, number, LIFE_IO_ISSUE, &begun))
		return false;
	if (error && !parse_u64(error, &value))
		return wrong(m, "not an errno");
	dmlog_add_end(m->life, LIFE_IO_END, begun.event)->error = -(int)value;
	return true;
}

/* ---- all of them ---- */

bool dmlog_mark(struct dmlog_marks *m, char *text, u32 entry)
{
	char *rest = text, *word = strtok_r(text, " ", &rest);

	if (!word || strcmp(word, "multisnap"))
		return true;
	word = strtok_r(NULL, " ", &rest);
	if (!word)
		return wrong(m, "no words");
	if (!strcmp(word, "origin") || !strcmp(word, "store"))
		return mark_part(m, *word == 'o' ? CRASH_ORIGIN : CRASH_STORE, rest);
	if (!strcmp(word, "table"))
		return mark_table(m, rest);
	if (!strcmp(word, "begin"))
		return mark_begin(m, rest, entry);
	if (!strcmp(word, "end"))
		return mark_end(m, rest);
	if (!strcmp(word, "status"))
		return dmlog_add_state(m->life, rest) || wrong(m, "not a status");
	if (!strcmp(word, "issue"))
		return mark_issue(m, rest, entry);
	if (!strcmp(word, "done"))
		return mark_done(m, rest);
	if (!strcmp(word, "own-io"))
		m->own_io = true;
	else if (!strcmp(word, "wipe"))
		dmlog_add_event(m->life, LIFE_WIPE)->line = entry;
	else if (!strcmp(word, "unmarked"))
		m->life->unmarked = m->life->unmarked ? m->life->unmarked : m->life->nr;
	else
		return wrong(m, "no such mark");
	return true;
}

void dmlog_marks_exit(struct dmlog_marks *m)
{
	free(m->begun);
}
