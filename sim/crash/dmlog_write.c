// SPDX-License-Identifier: GPL-2.0
/*
 * A recorded life as a log of dm-log-writes (dmlog.h): origin and store on one device, one behind the other.
 *
 * Entries are in the order in which the kernel's target would have logged them (dmlog_read.c says which that is),
 * with two differences. Each disk has its own list of writes that wait for a flush, and a flush takes only those of
 * its disk, so that a FLUSH entry claims for neither more than was asked of it. And a FUA write is preceded by the
 * waiting writes that it overlaps, so that whoever replays the log has the same contents in the end. What users and
 * administrator did is in marks (dmlog_marks.c).
 *
 * The format has no place for errors: a life in which a request to a disk failed cannot be written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"
#include "dmlog_format.h"

struct waiting {
	u32 *event;		/* issues */
	u32 nr, max;
};

struct writer {
	const struct life *life;
	const struct crash *c;
	FILE *out;
	u32 sector_size;
	sector_t start[CRASH_DISKS];
	u64 entries;
	struct waiting unflushed[CRASH_DISKS];
	struct flush {
		u32 issue;
		struct waiting taken;
	} *flushes;		/* in flight */
	u32 nr_flushes;
	u32 state;
	char *error;
	size_t error_size;
};

static bool fail(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->error, w->error_size, fmt, ap);
	va_end(ap);
	return false;
}

static void wait_in(struct waiting *list, u32 event)
{
	list->event = crash_grow(list->event, (u64)list->nr + 1, &list->max, sizeof(*list->event));
	list->event[list->nr++] = event;
}

/* ---- entries ---- */

static void put_header(struct writer *w, const struct dmlog_entry *e, const char *text)
{
	u8 header[DMLOG_MAX_SECTOR] = { 0 };

	dmlog_entry_pack(e, header);
	if (text)
		memcpy(header + DMLOG_ENTRY_SIZE, text, e->text);
	fwrite(header, w->sector_size, 1, w->out);
	w->entries++;
}

static bool put_mark(struct writer *w, const char *fmt, ...)
{
	struct dmlog_entry e = { .flags = DMLOG_MARK };
	char text[DMLOG_MAX_SECTOR];
	va_list ap;

	va_start(ap, fmt);
	e.text = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (e.text >= w->sector_size - DMLOG_ENTRY_SIZE)
		return fail(w, "too long for a mark: %.60s...", text);
	put_header(w, &e, text);
	return true;
}

static void put_request(struct writer *w, u32 issue)
{
	const struct life_event *e = life_at(w->life, issue);
	const u32 factor = w->sector_size / SECTOR_SIZE;
	struct dmlog_entry entry = {
		.sector = (w->start[e->disk] + e->sector) / factor,
		.sectors = e->sectors / factor,
		.flags = (e->flags & LIFE_FUA ? DMLOG_FUA : 0) | (e->op == LIFE_DISCARD ? DMLOG_DISCARD : 0),
	};
	u8 bytes[SECTOR_SIZE];

	put_header(w, &entry, NULL);
	for (u32 i = 0; e->op == LIFE_WRITE && i < e->sectors; i++) {
		content_bytes(w->life->contents[e->contents + i], bytes);
		fwrite(bytes, sizeof(bytes), 1, w->out);
	}
}

static void put_all(struct writer *w, struct waiting *list)
{
	for (u32 i = 0; i < list->nr; i++)
		put_request(w, list->event[i]);
	free(list->event);
	memset(list, 0, sizeof(*list));
}

/* ---- disks ---- */

static bool overlap(const struct life_event *a, const struct life_event *b)
{
	return a->sector < b->sector + b->sectors && b->sector < a->sector + a->sectors;
}

static void put_older(struct writer *w, const struct life_event *fua)
{
	struct waiting *list = &w->unflushed[fua->disk];
	u32 kept = 0;

	for (u32 i = 0; i < list->nr; i++) {
		if (overlap(life_at(w->life, list->event[i]), fua))
			put_request(w, list->event[i]);
		else
			list->event[kept++] = list->event[i];
	}
	list->nr = kept;
}

static void flush_begins(struct writer *w, u32 n)
{
	struct waiting *list = &w->unflushed[life_at(w->life, n)->disk];

	w->flushes = realloc(w->flushes, (w->nr_flushes + 1) * sizeof(*w->flushes));
	if (!w->flushes)
		abort();
	w->flushes[w->nr_flushes++] = (struct flush){ n, *list };
	memset(list, 0, sizeof(*list));
}

static void flush_ended(struct writer *w, u32 issue)
{
	const struct dmlog_entry entry = { .flags = DMLOG_FLUSH };
	u32 i = 0;

	while (w->flushes[i].issue != issue)
		i++;
	put_all(w, &w->flushes[i].taken);
	w->flushes[i] = w->flushes[--w->nr_flushes];
	put_header(w, &entry, NULL);
}

static bool disk_ended(struct writer *w, const struct life_event *end)
{
	const struct life_event *e = life_at(w->life, end->issue);

	if (end->error)
		return fail(w, "a request to %s has failed (%s), which such a log cannot say",
			    w->life->disk_name[e->disk], errno_name(end->error));
	if (e->flags & LIFE_PREFLUSH)
		flush_ended(w, end->issue);
	if (e->op != LIFE_FLUSH && e->flags & LIFE_FUA) {
		put_older(w, e);
		put_request(w, end->issue);
	} else if (e->op != LIFE_FLUSH) {
		wait_in(&w->unflushed[e->disk], end->issue);
	}
	return true;
}

/* ---- marks ---- */

static bool put_status(struct writer *w, u32 state)
{
	const struct life_state *s = &w->life->states[state];
	char text[DMLOG_MAX_SECTOR], id[32];
	int n;

	w->state = state;
	if (!s->loaded)
		return put_mark(w, "multisnap status");
	snapid_print(id, sizeof(id), s->prepared);
	n = snprintf(text, sizeof(text), "multisnap status 5 %d %s 0 0 0 %u", s->error,
		     s->prepared == SNAPID_ORIGIN ? "-" : id, s->nr_ids);
	for (u32 i = 0; i < s->nr_ids && n < sizeof(text); i++) {
		snapid_print(id, sizeof(id), w->life->ids[s->ids + i]);
		n += snprintf(text + n, sizeof(text) - n, " %s", id);
	}
	return put_mark(w, "%s", text);
}

/* Contents as runs of tags (dmlog_marks.c). */
static bool print_runs(struct writer *w, const struct life_event *e, char *buf, size_t size)
{
	const content_t *contents = w->life->contents + e->contents;
	size_t n = 0;
	u32 count;

	buf[0] = '\0';
	for (u32 i = 0; i < e->sectors && n < size; i += count) {
		tag_t tag = content_tag(contents[i]);

		if (tag & TAG_LITERAL)
			return fail(w, "line %u: a write of other data than fill=, which no mark can say", e->line);
		count = 1;
		while (i + count < e->sectors && content_tag(contents[i + count]) == (tag ? tag + count : 0))
			count++;
		n += snprintf(buf + n, size - n, " %llx:%u", (unsigned long long)tag, count);
	}
	return true;
}

static bool put_issue(struct writer *w, u32 n)
{
	static const char *const ops[] = { [LIFE_WRITE] = "write", [LIFE_DISCARD] = "discard",
					   [LIFE_FLUSH] = "flush" };
	const struct life_event *e = life_at(w->life, n);
	char device[32] = "origin", runs[DMLOG_MAX_SECTOR] = "";

	if (e->id != SNAPID_ORIGIN)
		snapid_print(device, sizeof(device), e->id);
	if (e->op == LIFE_WRITE && !print_runs(w, e, runs, sizeof(runs)))
		return false;
	return put_mark(w, "multisnap issue %u %s %s %llu+%u%s%s%s", n, device, ops[e->op],
			(unsigned long long)e->sector, e->sectors, e->flags & LIFE_FUA ? " fua" : "",
			e->flags & LIFE_PREFLUSH ? " preflush" : "", runs);
}

static bool put_event(struct writer *w, u32 n)
{
	const struct life_event *e = life_at(w->life, n);
	bool has_state = e->kind == LIFE_IO_END || e->kind == LIFE_CTL_BEGIN || e->kind == LIFE_CTL_END;

	if (has_state && e->state != w->state && !put_status(w, e->state))
		return false;
	switch (e->kind) {
	case LIFE_DISK_ISSUE:
		if (e->flags & LIFE_PREFLUSH)
			flush_begins(w, n);
		return true;
	case LIFE_DISK_END:
		return disk_ended(w, e);
	case LIFE_IO_ISSUE:
		return put_issue(w, n);
	case LIFE_IO_END:
		return e->error ? put_mark(w, "multisnap done %u %d", e->issue, -e->error) :
				  put_mark(w, "multisnap done %u", e->issue);
	case LIFE_CTL_BEGIN:
		return put_mark(w, "multisnap begin %u%s", n, e->flags & LIFE_SYNC ? " sync" : "");
	case LIFE_CTL_END:
		return put_mark(w, "multisnap end %u", e->issue);
	case LIFE_WIPE:
		return put_mark(w, "multisnap wipe");
	}
	return true;
}

/* ---- all of it ---- */

static bool put_places(struct writer *w)
{
	const struct image_disk *disk = w->c->im.disk;

	return put_mark(w, "multisnap origin %llu+%llu", (unsigned long long)w->start[CRASH_ORIGIN],
			(unsigned long long)disk[CRASH_ORIGIN].sectors) &&
	       put_mark(w, "multisnap store %llu+%llu", (unsigned long long)w->start[CRASH_STORE],
			(unsigned long long)disk[CRASH_STORE].sectors) &&
	       put_mark(w, "multisnap table %s", w->life->table) && put_mark(w, "multisnap own-io") &&
	       put_mark(w, "multisnap status");
}

static bool put_life(struct writer *w)
{
	bool good = put_places(w);

	for (u32 n = 1; good && n <= w->life->nr; n++) {
		good = put_event(w, n);
		if (good && n == w->life->unmarked)
			good = put_mark(w, "multisnap unmarked");
	}
	for (u32 i = 0; i < w->nr_flushes; i++)
		put_all(w, &w->flushes[i].taken);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		put_all(w, &w->unflushed[d]);
	free(w->flushes);
	return good && put_mark(w, "dm-log-writes-end");
}

static void put_super(struct writer *w)
{
	const struct dmlog_super super = { DMLOG_MAGIC, DMLOG_VERSION, w->entries, w->sector_size };
	u8 sector[DMLOG_MAX_SECTOR] = { 0 };

	dmlog_super_pack(&super, sector);
	rewind(w->out);
	fwrite(sector, w->sector_size, 1, w->out);
}

bool dmlog_write(const char *path, const struct crash *c, const struct life *life, char *error, size_t size)
{
	const u32 sector_size = min(c->block_size[CRASH_ORIGIN], c->block_size[CRASH_STORE]);
	struct writer w = {
		.life = life,
		.c = c,
		.sector_size = sector_size,
		.start[CRASH_STORE] = roundup(c->im.disk[CRASH_ORIGIN].sectors, sector_size / SECTOR_SIZE),
		.state = U32_MAX,
		.error = error,
		.error_size = size,
	};
	bool good;

	w.out = fopen(path, "wb");
	if (!w.out)
		return fail(&w, "%s: %s", path, strerror(errno));
	put_super(&w);
	good = put_life(&w);
	put_super(&w);
	if (ferror(w.out) | fclose(w.out) && good)
		return fail(&w, "%s: %s", path, strerror(errno));
	return good;
}
