// SPDX-License-Identifier: GPL-2.0
/*
 * Bounded workloads (work.h). A sequence is valid if each operation finds what it works on: the snapshots that exist are
 * followed while sequences are made. They are kept as numbers, an operation a byte.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "status.h"
#include "work.h"

#define LENGTH_MAX 8
#define SNAPSHOTS_MAX 3

enum op {
	WRITE_CHUNK,
	WRITE_TWO_CHUNKS,
	WRITE_FUA,
	DISCARD,
	FLUSH,
	CREATE,
	CREATE_SUB,
	DELETE_OLDEST,
	DELETE_NEWEST,
	SNAP_WRITE_CHUNK,
	SNAP_WRITE_PART,
	SNAP_FLUSH,
	SETTLE,
	RELOAD,
	WRITES_AT_ONCE,
	DELETE_UNDER_WRITE,
	NR_OPS,
};

static const char *const names[NR_OPS] = {
	[WRITE_CHUNK] = "write",
	[WRITE_TWO_CHUNKS] = "write-2",
	[WRITE_FUA] = "write-fua",
	[DISCARD] = "discard",
	[FLUSH] = "flush",
	[CREATE] = "create",
	[CREATE_SUB] = "create-sub",
	[DELETE_OLDEST] = "delete-oldest",
	[DELETE_NEWEST] = "delete-newest",
	[SNAP_WRITE_CHUNK] = "snap-write",
	[SNAP_WRITE_PART] = "snap-write-part",
	[SNAP_FLUSH] = "snap-flush",
	[SETTLE] = "settle",
	[RELOAD] = "reload",
	[WRITES_AT_ONCE] = "writes-at-once",
	[DELETE_UNDER_WRITE] = "delete-under-write",
};

/* What the table says besides. */
static const char *const variants[] = { "mikulas 0", "mikulas 2 cache-threshold 0" };
#define NR_VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct sequence {
	u8 variant, length;
	u8 op[LENGTH_MAX];
};

struct bounded {
	struct sequence *all;
	u64 nr, max;
};

/* ---- which snapshots exist ---- */

struct snapshots {
	snapid_t id[SNAPSHOTS_MAX]; /* in the order of their creation */
	u32 nr, next, next_sub[LENGTH_MAX + 2];
};

static void take_out(struct snapshots *s, u32 i)
{
	s->nr--;
	memmove(&s->id[i], &s->id[i + 1], (s->nr - i) * sizeof(s->id[0]));
}

/* A snapshot of the origin that exists: the oldest; -1. */
static int a_master(const struct snapshots *s)
{
	for (u32 i = 0; i < s->nr; i++)
		if (snapid_master(s->id[i]) == SNAPID_ORIGIN)
			return i;
	return -1;
}

/* False: there is nothing that it could work on. */
static bool apply(struct snapshots *s, enum op op)
{
	u32 master;

	switch (op) {
	case CREATE:
		if (s->nr == SNAPSHOTS_MAX)
			return false;
		s->id[s->nr++] = (u64)s->next++ << 32 | 0xffffffff;
		return true;
	case CREATE_SUB:
		if (s->nr == SNAPSHOTS_MAX || a_master(s) < 0)
			return false;
		master = s->id[a_master(s)] >> 32;
		s->id[s->nr++] = (u64)master << 32 | s->next_sub[master]++;
		return true;
	case DELETE_OLDEST:
	case DELETE_UNDER_WRITE:
		if (!s->nr)
			return false;
		take_out(s, 0);
		return true;
	case DELETE_NEWEST:
		if (s->nr < 2)
			return false; /* the oldest */
		take_out(s, s->nr - 1);
		return true;
	case SNAP_WRITE_CHUNK:
	case SNAP_WRITE_PART:
	case SNAP_FLUSH:
		return s->nr;
	default:
		return true;
	}
}

/* Every sequence begins with one snapshot. */
static const struct snapshots at_first = { .id = { 0xffffffff }, .nr = 1, .next = 1 };

static void add(struct bounded *b, const struct sequence *q)
{
	if (b->nr == b->max) {
		b->max = b->max ? 2 * b->max : 1024;
		b->all = realloc(b->all, b->max * sizeof(*b->all));
		if (!b->all)
			abort();
	}
	b->all[b->nr++] = *q;
}

static void extend(struct bounded *b, struct sequence *q, const struct snapshots *s, u32 length)
{
	add(b, q);
	if (q->length == length)
		return;
	for (u32 op = 0; op < NR_OPS; op++) {
		struct snapshots after = *s;

		if (!apply(&after, op))
			continue;
		q->op[q->length++] = op;
		extend(b, q, &after, length);
		q->length--;
	}
}

struct bounded *bounded_create(u32 length)
{
	struct bounded *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	for (u32 v = 0; v < NR_VARIANTS; v++) {
		struct sequence q = { .variant = v };

		extend(b, &q, &at_first, length < LENGTH_MAX ? length : LENGTH_MAX);
	}
	return b;
}

u64 bounded_count(const struct bounded *b)
{
	return b->nr;
}

void bounded_destroy(struct bounded *b)
{
	free(b->all);
	free(b);
}

/* ---- as a script ---- */

struct writer {
	FILE *out;
	u32 line, fill;
	const struct snapshots *s;	/* before the operation */
	const char *table;
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(w->out, fmt, ap);
	va_end(ap);
	fputc('\n', w->out);
	w->line++;
}

static const char *text_of(snapid_t id, char text[32])
{
	snapid_print(text, 32, id);
	return text;
}

static void put_create(struct writer *w, const char *message)
{
	put(w, "dmsetup message ms 0 %s", message);
	put(w, "dmsetup suspend ms");
	put(w, "dmsetup resume ms");
}

/* The device of a snapshot, for the time of what is between the two calls. */
static void put_device(struct writer *w, snapid_t id)
{
	char text[32];

	put(w, "dmsetup create s --table \"0 24 multisnap-snap origin %s\"", text_of(id, text));
}

static void put_snapshot_op(struct writer *w, enum op op)
{
	snapid_t oldest = w->s->id[0], newest = w->s->id[w->s->nr - 1];

	put_device(w, op == SNAP_WRITE_CHUNK ? oldest : newest);
	if (op == SNAP_WRITE_CHUNK)
		put(w, "write s 0 8 fill=%u", w->fill++);
	else if (op == SNAP_WRITE_PART)
		put(w, "write s 6 4 bs=4 fill=%u", w->fill++);
	else
		put(w, "flush s");
	put(w, "dmsetup remove s");
}

static void put_at_once(struct writer *w, enum op op)
{
	char text[32];

	if (w->s->nr)
		put_device(w, w->s->id[0]);
	put(w, "parallel {");
	put(w, "write ms 0 4 fill=%u", w->fill++);
	if (w->s->nr)
		put(w, "write s 2 4 fill=%u", w->fill++);
	put(w, "write ms 8 12 fill=%u", w->fill++);
	if (op == DELETE_UNDER_WRITE)
		put(w, "dmsetup message ms 0 delete %s", text_of(w->s->id[0], text));
	put(w, "}");
	if (w->s->nr)
		put(w, "dmsetup remove s");
}

static void put_op(struct writer *w, enum op op)
{
	char text[32], message[64];
	u32 last = w->s->nr - 1;

	switch (op) {
	case WRITE_CHUNK:
		put(w, "write ms 0 8 fill=%u", w->fill++);
		break;
	case WRITE_TWO_CHUNKS:
		put(w, "write ms 5 7 bs=7 fill=%u", w->fill++);
		break;
	case WRITE_FUA:
		put(w, "write ms 16 3 fua fill=%u", w->fill++);
		break;
	case DISCARD:
		put(w, "discard ms 0 16");
		break;
	case FLUSH:
		put(w, "flush ms");
		break;
	case CREATE:
		put_create(w, "create");
		break;
	case CREATE_SUB:
		snprintf(message, sizeof(message), "create_subsnap %s",
			 text_of(w->s->id[a_master(w->s)], text));
		put_create(w, message);
		break;
	case DELETE_OLDEST:
	case DELETE_NEWEST:
		put(w, "dmsetup message ms 0 delete %s",
		    text_of(w->s->id[op == DELETE_OLDEST ? 0 : last], text));
		break;
	case SNAP_WRITE_CHUNK:
	case SNAP_WRITE_PART:
	case SNAP_FLUSH:
		put_snapshot_op(w, op);
		break;
	case SETTLE:
		put(w, "dmsetup message ms 0 settle");
		break;
	case RELOAD:
		put(w, "dmsetup remove ms");
		put(w, "dmsetup create ms --table \"%s\"", w->table);
		break;
	case WRITES_AT_ONCE:
	case DELETE_UNDER_WRITE:
		put_at_once(w, op);
		break;
	case NR_OPS:
		break;
	}
}

char *bounded_script(const struct bounded *b, u64 index, u32 *first_line, char *name, size_t size)
{
	const struct sequence *q = &b->all[index];
	struct snapshots s = at_first;
	struct writer w = { .line = 1, .fill = 1, .s = &s };
	char table[128], *text = NULL;
	size_t length, n;

	w.out = open_memstream(&text, &length);
	if (!w.out)
		abort();
	snprintf(table, sizeof(table), "0 24 multisnapshot origin store 8 0 %s", variants[q->variant]);
	w.table = table;
	n = snprintf(name, size, "bounded %llu (%s", (unsigned long long)index, variants[q->variant]);
	put(&w, "disk origin 24s");
	put(&w, "disk store 512K");
	put(&w, "dmsetup create ms --table \"%s\"", table);
	put(&w, "write ms 0 24 fill=%u", w.fill++);
	put_create(&w, "create");
	*first_line = 0;
	for (u32 i = 0; i < q->length; i++) {
		/* What comes before the last operation is another sequence. */
		*first_line = w.line;
		put_op(&w, q->op[i]);
		apply(&s, q->op[i]);
		if (n < size)
			n += snprintf(name + n, size - n, "%s%s", i ? ", " : ": ", names[q->op[i]]);
	}
	if (n < size)
		snprintf(name + n, size - n, ")");
	fclose(w.out);
	return text;
}
