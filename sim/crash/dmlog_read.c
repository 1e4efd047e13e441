// SPDX-License-Identifier: GPL-2.0
/*
 * A log of dm-log-writes as a life (dmlog.h).
 *
 * What such a log says of order and durability (drivers/md/dm-log-writes.c):
 *
 * - A write is logged when it has ended, but not at once: it waits in a list until a flush is *issued*, and all
 *   that are in the list then are logged, in the order in which they ended, when that flush has ended, right before
 *   it. So what is before a FLUSH entry had ended when the flush was issued: it is durable with that entry, and not
 *   before. What ended while the flush was under way comes behind it.
 * - A FUA write is logged when it has ended: durable where it stands. dm sends the flush of a write with PREFLUSH
 *   first and by itself, so in the log of a device-mapper device it is a FLUSH entry and, when the data is written,
 *   another one. Where one entry is both, the flush was first.
 * - Nothing says when a write was issued. It stands for a write that is issued and has ended at the place of its
 *   entry; in between, and until the next FLUSH, any part of it may survive a power cut.
 * - A FUA write is logged ahead of writes that ended before it and wait for a flush, so a write that is logged
 *   behind an overlapping FUA write, with at most one FLUSH between them (that which was being done), may be the
 *   older one. On the origin both orders are then possible: the write counts as under way since before the FUA
 *   write, whose contents and its own both stay possible. On the store the log's order is taken, since a write that
 *   waited for the FUA write is what stores do; how often that was is reported (unordered).
 * - A mark is logged at once, ahead of writes that wait. What a mark says has *begun* can thus have effects only
 *   behind it; what has *ended* was durable before it, by entries that were not waiting: that is what is asked of
 *   commands and of flushes. Writes to the origin that ended before a command began and were not flushed may come
 *   behind the mark; creating a snapshot flushes the origin, so they come before the mark of its end: then both
 *   contents are allowed in the snapshot. Who wants it exact flushes before the mark (during_create counts what was
 *   not).
 * - A discard is logged like a write. What is there afterwards is zeroes, what was before, or anything.
 * - Errors are not logged. A log of a device that failed is none that can be judged.
 *
 * One device has both halves, so a flush of one is a flush of both. A missing flush of the origin that is made up
 * for by a flush of the store cannot be seen here; with two devices, it is seen in the simulator
 * (tests/crash/h48-*).
 *
 * Truth: users wrote to the origin what its disk was written (unless marks tell, own-io), with the same flags; a
 * snapshot has what was written when it was created. Before the log's first entry all is zeroes.
 */
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"
#include "dmlog_format.h"
#include "trace_impl.h"

struct logged {
	struct dmlog_entry e;	/* in sectors of 512 bytes */
	char *mark;
	u32 contents;		/* the first in life->contents */
	u32 disk;
	sector_t sector;	/* on that disk */
	u32 epoch;		/* FLUSH entries before it */
	u32 early;		/* by index: first of those that are issued before this one; U32_MAX: none */
	u32 next_early;
	u32 io, request;	/* events of its issue, 0: not issued yet */
};

struct reader {
	struct life *life;
	struct dmlog_summary *sum;
	struct dmlog_marks marks;
	struct logged *all;
	u32 nr, max;
	struct input *in;
	char *error;
	size_t error_size;
};

static bool fail(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, r->error_size, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- entries ---- */

static bool read_super(struct reader *r)
{
	struct dmlog_super super = { 0 };
	const u8 *p;
	size_t have;

	p = input_peek(r->in, DMLOG_SUPER_SIZE, &have);
	if (!p)
		return fail(r, "%s", input_error(r->in));
	if (have >= DMLOG_SUPER_SIZE)
		super = dmlog_super_unpack(p);
	if (super.magic != DMLOG_MAGIC || super.version != DMLOG_VERSION ||
	    !dmlog_sector_size_good(super.sector_size))
		return fail(r, "not a log of dm-log-writes, version %u", DMLOG_VERSION);
	r->sum->block_size = super.sector_size;
	r->sum->counted = super.nr_entries;
	return input_skip(r->in, super.sector_size) || fail(r, "cut off in its superblock");
}

static struct logged *add_entry(struct reader *r)
{
	struct logged *l;

	r->all = crash_grow(r->all, (u64)r->nr + 1, &r->max, sizeof(*r->all));
	l = &r->all[r->nr++];
	memset(l, 0, sizeof(*l));
	l->early = l->next_early = U32_MAX;
	return l;
}

/* False: the log is cut off. */
static bool read_data(struct reader *r, struct logged *l, u64 sectors)
{
	content_t *contents;
	size_t have;

	if (!sectors)
		return true;
	contents = life_add_contents(r->life, sectors, &l->contents);
	for (u64 i = 0; i < sectors; i++) {
		const u8 *p = input_peek(r->in, SECTOR_SIZE, &have);

		if (!p || have < SECTOR_SIZE)
			return false;
		contents[i] = content_of_bytes(p);
		input_take(r->in, SECTOR_SIZE);
	}
	return true;
}

static char *mark_text(const u8 *header, u64 size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, header + DMLOG_ENTRY_SIZE, size);
	text[size] = '\0';
	return text;
}

/* One more entry. False: there is none, or (*why) it makes no sense. */
static bool read_entry(struct reader *r, const char **why)
{
	const u32 block = r->sum->block_size, factor = block / SECTOR_SIZE;
	struct dmlog_entry e;
	struct logged *l;
	const u8 *p;
	size_t have;

	p = input_peek(r->in, block, &have);
	if (!p || have < block) {
		*why = "cut off";
		return false;
	}
	e = dmlog_entry_unpack(p);
	*why = dmlog_entry_wrong(&e, block);
	if (!*why && (e.sector > U32_MAX || e.sectors > U32_MAX / factor))
		*why = "far beyond what can be judged";
	if (*why)
		return false;
	l = add_entry(r);
	if (e.flags & DMLOG_MARK)
		l->mark = mark_text(p, e.text);
	input_take(r->in, block);
	e.sector *= factor;
	e.sectors *= factor;
	l->e = e;
	if (read_data(r, l, dmlog_entry_data(&e)))
		return true;
	*why = "cut off";
	free(l->mark);
	r->nr--;
	return false;
}

/* The superblock's count is behind where a log was not closed: then what makes sense is read on. */
static bool read_entries(struct reader *r)
{
	const char *why = NULL;

	if (!read_super(r))
		return false;
	while (read_entry(r, &why)) {
		const struct logged *l = &r->all[r->nr - 1];

		if (l->mark && !strcmp(l->mark, "dm-log-writes-end") && r->nr >= r->sum->counted)
			break;
	}
	r->sum->entries = r->nr;
	if (r->nr < r->sum->counted)
		return fail(r, "entry %u of %llu: %s", r->nr + 1, (unsigned long long)r->sum->counted, why);
	return true;
}

/* ---- places ---- */

/* What has to be known before anything else. */
static bool read_places(struct reader *r)
{
	const struct dmlog_part *origin, *store;
	struct dmlog_marks *m = &r->marks;

	for (u32 i = 0; i < r->nr; i++) {
		const char *mark = r->all[i].mark;
		char *copy;
		bool good;

		if (!mark || (strncmp(mark, "multisnap origin ", 17) && strncmp(mark, "multisnap store ", 16) &&
			      strcmp(mark, "multisnap own-io")))
			continue;
		copy = strdup(mark);
		good = copy && dmlog_mark(m, copy, i + 1);
		free(copy);
		if (!good)
			return fail(r, "entry %u: mark \"%s\": %s", i + 1, mark, m->why);
	}
	if (!m->options->part[CRASH_ORIGIN].sectors || !m->options->part[CRASH_STORE].sectors)
		return fail(r, "neither options nor marks say where origin and store are");
	origin = &m->options->part[CRASH_ORIGIN];
	store = &m->options->part[CRASH_STORE];
	if (origin->start < store->start + store->sectors && store->start < origin->start + origin->sectors)
		return fail(r, "the origin %llu+%llu and the store %llu+%llu overlap", (unsigned long long)origin->start,
			    (unsigned long long)origin->sectors, (unsigned long long)store->start,
			    (unsigned long long)store->sectors);
	return true;
}

static bool locate(struct reader *r, u32 i)
{
	struct logged *l = &r->all[i];

	for (u32 d = 0; d < CRASH_DISKS; d++) {
		const struct dmlog_part *part = &r->marks.options->part[d];

		if (l->e.sector < part->start || l->e.sector >= part->start + part->sectors)
			continue;
		if (l->e.sectors > part->start + part->sectors - l->e.sector)
			break;
		l->disk = d;
		l->sector = l->e.sector - part->start;
		return true;
	}
	return fail(r, "entry %u: sectors %llu+%llu are neither of the origin nor of the store", i + 1,
		    (unsigned long long)l->e.sector, (unsigned long long)l->e.sectors);
}

/* The first FUA write that @i overlaps and that may be the younger one. */
static u32 older_than(const struct reader *r, const u32 *last_fua, u32 i)
{
	const struct logged *l = &r->all[i];
	u32 first = U32_MAX;

	for (u32 s = 0; s < l->e.sectors; s++) {
		u32 fua = last_fua[l->sector + s];

		if (fua && r->all[fua - 1].epoch + 1 >= l->epoch)
			first = min(first, fua - 1);
	}
	return first;
}

static void find_order(struct reader *r, u32 *last_fua[CRASH_DISKS], u32 i)
{
	struct logged *l = &r->all[i];
	u32 fua;

	if (l->e.flags & (DMLOG_FUA | DMLOG_FLUSH)) {
		for (u32 s = 0; l->e.flags & DMLOG_FUA && s < l->e.sectors; s++)
			last_fua[l->disk][l->sector + s] = i + 1;
		return;
	}
	fua = older_than(r, last_fua[l->disk], i);
	if (fua == U32_MAX)
		return;
	r->sum->unordered++;
	if (l->disk == CRASH_STORE)
		return;
	l->next_early = r->all[fua].early;
	r->all[fua].early = i;
}

/* Where each write belongs, and which were perhaps issued before they are logged. */
static bool find_places(struct reader *r)
{
	u32 *last_fua[CRASH_DISKS], epoch = 0;
	bool good = true;

	for (u32 d = 0; d < CRASH_DISKS; d++) {
		last_fua[d] = calloc(r->marks.options->part[d].sectors, sizeof(u32));
		if (!last_fua[d])
			abort();
	}
	for (u32 i = 0; good && i < r->nr; i++) {
		struct logged *l = &r->all[i];

		epoch += !!(l->e.flags & DMLOG_FLUSH);
		l->epoch = epoch;
		if (l->mark || !l->e.sectors)
			continue;
		good = locate(r, i);
		/* A log of our own keeps the order of writes that overlap. */
		if (good && !r->marks.own_io)
			find_order(r, last_fua, i);
	}
	for (u32 d = 0; d < CRASH_DISKS; d++)
		free(last_fua[d]);
	return good;
}

/* ---- events ---- */

static u32 add_request(struct reader *r, enum life_kind kind, const struct logged *l, u32 entry)
{
	struct life_event *e = dmlog_add_event(r->life, kind);

	e->disk = l->disk;
	e->id = SNAPID_ORIGIN;
	e->line = entry;
	if (l->e.sectors) {
		e->op = l->e.flags & DMLOG_DISCARD ? LIFE_DISCARD : LIFE_WRITE;
		e->flags = l->e.flags & DMLOG_FUA ? LIFE_FUA : 0;
		e->sector = l->sector;
		e->sectors = l->e.sectors;
		e->contents = l->contents;
	} else {
		e->op = LIFE_FLUSH;
		e->flags = LIFE_PREFLUSH;
	}
	return r->life->nr;
}

static bool is_users(const struct reader *r, const struct logged *l)
{
	return l->disk == CRASH_ORIGIN && !r->marks.own_io;
}

static void add_flush(struct reader *r, u32 entry)
{
	struct logged flush[CRASH_DISKS] = { { .disk = CRASH_ORIGIN }, { .disk = CRASH_STORE } };
	u32 io = 0;

	if (!r->marks.own_io)
		io = add_request(r, LIFE_IO_ISSUE, &flush[CRASH_ORIGIN], entry);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		flush[d].request = add_request(r, LIFE_DISK_ISSUE, &flush[d], entry);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		dmlog_add_end(r->life, LIFE_DISK_END, flush[d].request);
	if (io)
		dmlog_add_end(r->life, LIFE_IO_END, io);
	r->sum->flushes++;
}

static void issue(struct reader *r, u32 i)
{
	struct logged *l = &r->all[i];

	if (l->request)
		return;
	if (is_users(r, l))
		l->io = add_request(r, LIFE_IO_ISSUE, l, i + 1);
	l->request = add_request(r, LIFE_DISK_ISSUE, l, i + 1);
}

static void add_write(struct reader *r, u32 i)
{
	struct logged *l = &r->all[i];

	for (u32 early = l->early; early != U32_MAX; early = r->all[early].next_early)
		issue(r, early);
	issue(r, i);
	dmlog_add_end(r->life, LIFE_DISK_END, l->request);
	if (l->io)
		dmlog_add_end(r->life, LIFE_IO_END, l->io);
	r->marks.writes += !!l->io;
	r->sum->fua += !!(l->e.flags & DMLOG_FUA);
	r->sum->discards += !!(l->e.flags & DMLOG_DISCARD);
	r->sum->writes += !(l->e.flags & DMLOG_DISCARD);
	r->sum->sectors += l->e.flags & DMLOG_DISCARD ? 0 : l->e.sectors;
}

static bool add_events(struct reader *r)
{
	for (u32 i = 0; i < r->nr; i++) {
		struct logged *l = &r->all[i];
		char text[64];

		if (l->mark) {
			snprintf(text, sizeof(text), "%s", l->mark);
			if (!dmlog_mark(&r->marks, l->mark, i + 1))
				return fail(r, "entry %u: mark \"%s...\": %s", i + 1, text, r->marks.why);
			r->sum->marks++;
			continue;
		}
		if (l->e.flags & DMLOG_FLUSH)
			add_flush(r, i + 1);
		if (l->e.sectors)
			add_write(r, i);
	}
	r->sum->during_create = r->marks.during_create;
	return true;
}

bool dmlog_read(struct dmlog_options *options, struct life *life, struct dmlog_summary *summary, char *error,
		size_t size)
{
	struct reader r = {
		.life = life,
		.sum = summary,
		.marks = { .life = life, .options = options },
		.error = error,
		.error_size = size,
	};
	size_t path = strlen(options->path);
	char not_loaded[1] = "", why[512];
	bool good;

	memset(summary, 0, sizeof(*summary));
	r.in = input_open(options->path, NULL, why, sizeof(why));
	if (!r.in) /* behind the name of the file, which callers know */
		return fail(&r, "%s", strncmp(why, options->path, path) ? why : why + path + strspn(why + path, ": "));
	dmlog_add_state(life, not_loaded);
	good = read_entries(&r) && read_places(&r) && find_places(&r) && add_events(&r);
	for (u32 i = 0; i < r.nr; i++)
		free(r.all[i].mark);
	free(r.all);
	dmlog_marks_exit(&r.marks);
	input_close(r.in);
	return good;
}
