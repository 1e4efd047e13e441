// SPDX-License-Identifier: GPL-2.0
/* Events and findings, told to a reader. */
#include <stdlib.h>
#include <string.h>

#include "crash.h"

static const char *op_name(const struct life_event *e)
{
	if (e->op == LIFE_FLUSH)
		return "flush";
	return e->op == LIFE_DISCARD ? "discard" : "write";
}

/* stores/mikulas/FORMAT.md, sections 2 and 3.1. */
void story_literal(const u8 *bytes, tag_t tag, char *buf, size_t size)
{
	if (bytes && !memcmp(bytes, "MSnapMik", 8))
		snprintf(buf, size, "superblock, mount %llu, checkpoint %llu",
			 (unsigned long long)get_unaligned_le32(bytes + 40),
			 (unsigned long long)get_unaligned_le64(bytes + 144));
	else if (bytes && get_unaligned_le16(bytes + 6) == 0x4C4D)
		snprintf(buf, size, "log record %llu, sector %u", (unsigned long long)get_unaligned_le64(bytes + 8),
			 get_unaligned_le16(bytes + 4));
	else
		snprintf(buf, size, "other data (%016llx)", (unsigned long long)tag);
}

static void print_request(const struct life *life, const struct image *im, const struct life_event *e,
			  char *buf, size_t size)
{
	content_t first, last;
	char text[128];
	size_t n;

	n = snprintf(buf, size, "%s%s%s", op_name(e),
		     e->op != LIFE_FLUSH && e->flags & LIFE_PREFLUSH ? " preflush" : "",
		     e->flags & LIFE_FUA ? " fua" : "");
	if (e->op == LIFE_FLUSH || n >= size)
		return;
	n += snprintf(buf + n, size - n, " %llu+%u", (unsigned long long)e->sector, e->sectors);
	if (e->op != LIFE_WRITE || n >= size)
		return;
	first = life->contents[e->contents];
	last = life->contents[e->contents + e->sectors - 1];
	content_print(im, first, text, sizeof(text));
	n += snprintf(buf + n, size - n, ": %s", text);
	if (e->sectors == 1 || n >= size)
		return;
	content_print(im, last, text, sizeof(text));
	snprintf(buf + n, size - n, " ... %s", text);
}

static void print_state(const struct life *life, u32 state, char *buf, size_t size)
{
	const struct life_state *s = &life->states[state];
	char id[32];
	size_t n;

	if (state == LIFE_NOT_ASKED) {
		snprintf(buf, size, "nobody asks for the status");
		return;
	}
	if (!s->loaded) {
		snprintf(buf, size, "not loaded");
		return;
	}
	n = snprintf(buf, size, "%s%ssnapshots:", s->error ? errno_name(s->error) : "", s->error ? ", " : "");
	for (u32 i = 0; i < s->nr_ids && n < size; i++) {
		snapid_print(id, sizeof(id), life->ids[s->ids + i]);
		n += snprintf(buf + n, size - n, " %s", id);
	}
	if (!s->nr_ids && n < size)
		snprintf(buf + n, size - n, " none");
}

void life_print(const struct life *life, const struct image *im, u32 number, char *buf, size_t size)
{
	const struct life_event *e = life_at(life, number);
	const struct life_event *issue = e->issue ? life_at(life, e->issue) : e;
	char device[48], what[400], line[24] = "";

	if (issue->line)
		snprintf(line, sizeof(line), "line %u: ", issue->line);
	switch (e->kind) {
	case LIFE_DISK_ISSUE:
	case LIFE_DISK_END:
		print_request(life, im, issue, what, sizeof(what));
		snprintf(buf, size, "    %s %s %s%s%s", crash_disk_names[issue->disk],
			 e->kind == LIFE_DISK_ISSUE ? "is asked to" : "has ended", what,
			 e->error ? ": " : "", e->error ? errno_name(e->error) : "");
		return;
	case LIFE_IO_ISSUE:
	case LIFE_IO_END:
		if (issue->id == SNAPID_ORIGIN)
			snprintf(device, sizeof(device), "origin");
		else
			snapid_print(device, sizeof(device), issue->id);
		print_request(life, im, issue, what, sizeof(what));
		snprintf(buf, size, "%s%s %s of %s%s%s", line, e->kind == LIFE_IO_ISSUE ? "begins" : "ended:",
			 what, device, e->error ? ": " : "", e->error ? errno_name(e->error) : "");
		return;
	default:
		print_state(life, e->state, what, sizeof(what));
		snprintf(buf, size, "%s%s%s%s; %s", line,
			 e->kind == LIFE_CTL_BEGIN ? "command begins" :
			 e->kind == LIFE_LOOK ? "status" : "command ended",
			 e->error ? ": " : "", e->error ? errno_name(e->error) : "", what);
	}
}

/* ---- what survived ---- */

/* Of what was written at event @n, something may be there or not. */
static bool is_open(const struct crash *c, u32 n)
{
	for (u32 i = 0; i < c->im.nr_choices; i++) {
		const struct choice *ch = &c->im.choices[i];

		for (u32 j = 0; j < ch->nr; j++)
			if (c->im.pool[ch->first + j].issued == n)
				return true;
	}
	return false;
}

#define SURVIVORS_MAX 16	/* the latest are told */

static void print_survivors(const struct crash *c, const struct life *life, u32 event, FILE *out)
{
	char text[400];
	u32 all = 0, nr = 0;

	for (u32 n = 1; n <= event; n++)
		all += life_at(life, n)->kind == LIFE_DISK_ISSUE && is_open(c, n);
	if (all)
		fprintf(out, "not certain to be on the disks, sector by sector:\n");
	if (all > SURVIVORS_MAX)
		fprintf(out, "  ... %u writes, and these:\n", all - SURVIVORS_MAX);
	for (u32 n = 1; n <= event; n++) {
		const struct life_event *e = life_at(life, n);

		if (e->kind != LIFE_DISK_ISSUE || !is_open(c, n) || nr++ + SURVIVORS_MAX < all)
			continue;
		print_request(life, &c->im, e, text, sizeof(text));
		fprintf(out, "%5u %s: %s\n", n, crash_disk_names[e->disk], text);
	}
	if (!all)
		fprintf(out, "everything that had been written is on the disks.\n");
}

static void print_decisions(const struct crash *c, const struct crash_cut *cut, FILE *out)
{
	char text[160];

	if (cut->nr_decisions)
		fprintf(out, "this is what survives:\n");
	for (u32 i = 0; i < cut->nr_decisions; i++) {
		const struct crash_decision *d = &cut->decisions[i];

		for (u32 j = 0; j < c->im.nr_choices; j++) {
			const struct choice *ch = &c->im.choices[j];

			if (ch->disk != d->disk || ch->sector != d->sector || d->option >= ch->nr)
				continue;
			content_print(&c->im, choice_option(&c->im, ch, d->option), text, sizeof(text));
			fprintf(out, "      sector %llu of %s has %s: %s\n", (unsigned long long)d->sector,
				crash_disk_names[d->disk],
				d->option + 1 == ch->nr ? "the newest" : d->option ? "an older one" : "the oldest",
				text);
			break;
		}
	}
	if (cut->nr_decisions)
		fprintf(out, "      and of the other sectors, any.\n");
}

/* ---- what happened ---- */

#define LATEST 20		/* events that are always told */
#define EARLIEST 120		/* before these, nothing is told but what the administrator did */

/* The first write to the store that something depends on: from there on, everything is told. */
static u32 first_open(const struct crash *c, u32 event)
{
	u32 first = event > LATEST ? event - LATEST : 1, least = event > EARLIEST ? event - EARLIEST : 1;

	for (u32 i = 0; i < c->im.nr_choices; i++) {
		const struct choice *ch = &c->im.choices[i];

		for (u32 j = 0; j < ch->nr && ch->disk == CRASH_STORE; j++)
			if (c->im.pool[ch->first + j].issued)
				first = min(first, c->im.pool[ch->first + j].issued);
	}
	return max(first, least);
}

static bool is_told(const struct life_event *e, u32 n, u32 from, u32 event)
{
	if (n >= from || e->kind == LIFE_CTL_BEGIN || e->kind == LIFE_CTL_END)
		return true;
	return n + EARLIEST > event && (e->kind == LIFE_IO_ISSUE || e->kind == LIFE_IO_END);
}

static void print_events(const struct crash *c, const struct life *life, u32 event, FILE *out)
{
	u32 from = first_open(c, event), left = 0;
	char text[600];

	for (u32 n = 1; n <= event; n++) {
		if (!is_told(life_at(life, n), n, from, event)) {
			left++;
			continue;
		}
		if (left)
			fprintf(out, "  ... %u event%s\n", left, left == 1 ? "" : "s");
		left = 0;
		life_print(life, &c->im, n, text, sizeof(text));
		fprintf(out, "%5u %s\n", n, text);
	}
}

void crash_story_print(const struct crash *c, const struct life *life, u32 event,
		       const struct crash_cut *cut, FILE *out)
{
	fprintf(out, "---- what happened ----\n");
	print_events(c, life, event, out);
	fprintf(out, "---- the power goes, after event %u ----\n", event);
	print_survivors(c, life, event, out);
	print_decisions(c, cut, out);
}
