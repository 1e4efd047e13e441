// SPDX-License-Identifier: GPL-2.0
/*
 * Bounded workloads (work.h) of the operations in work_ops.c. A sequence is valid if each operation finds the snapshots
 * that it works on: which exist is followed while sequences are made. They are kept as numbers, an operation a byte.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "status.h"
#include "work.h"
#include "work_ops.h"

#define LENGTH_MAX 8
#define SNAPSHOTS_MAX 3
#define NUMBERS_MAX (2 * LENGTH_MAX + 2)

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
	u32 nr, next, next_sub[NUMBERS_MAX];
};

static snapid_t first_level(u32 number)
{
	return (u64)number << 32 | 0xffffffff;
}

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

static void create(struct snapshots *s)
{
	s->id[s->nr++] = first_level(s->next++);
}

/* Every sequence begins with some. */
static struct snapshots at_first(const struct work_variant *variant)
{
	struct snapshots s = { 0 };

	while (s.nr < variant->snapshots)
		create(&s);
	return s;
}

static void create_sub(struct snapshots *s)
{
	u32 master = s->id[a_master(s)] >> 32;

	s->id[s->nr++] = (u64)master << 32 | s->next_sub[master]++;
}

/* False: there is nothing that it could work on, or no room. */
static bool apply(struct snapshots *s, const struct work_op *op)
{
	if (s->nr < op->needs)
		return false;
	switch (op->effect) {
	case CREATES:
		if (s->nr == SNAPSHOTS_MAX)
			return false;
		create(s);
		return true;
	case CREATES_SUB:
		if (s->nr == SNAPSHOTS_MAX || a_master(s) < 0)
			return false;
		create_sub(s);
		return true;
	case DELETES_OLDEST:
		take_out(s, 0);
		return true;
	case DELETES_NEWEST:
		take_out(s, s->nr - 1);
		return true;
	case REPLACES:
		take_out(s, 0);
		create(s);
		return true;
	case FORMATS:
		*s = (struct snapshots){ 0 };
		create(s);
		return true;
	case NO_EFFECT:
		break;
	}
	return true;
}

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

/* All sequences of that length that begin so. */
static void extend(struct bounded *b, struct sequence *q, const struct snapshots *s, u32 length)
{
	if (q->length == length) {
		add(b, q);
		return;
	}
	for (u32 i = 0; i < nr_work_ops; i++) {
		struct snapshots after = *s;

		if (!(work_ops[i].variants & 1u << q->variant) || !apply(&after, &work_ops[i]))
			continue;
		q->op[q->length++] = i;
		extend(b, q, &after, length);
		q->length--;
	}
}

/* Short ones first: what can be shown by a few operations is found soon. */
struct bounded *bounded_create(u32 length)
{
	struct bounded *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	for (u32 n = 0; n <= length; n++) {
		for (u32 v = 0; v < nr_work_variants; v++) {
			struct sequence q = { .variant = v };
			struct snapshots s = at_first(&work_variants[v]);

			if (n <= work_variants[v].longest)
				extend(b, &q, &s, n);
		}
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
	u32 line, fill, number;
	const struct work_variant *variant;
	const struct snapshots *s;	/* before the operation */
};

static void put_id(struct writer *w, snapid_t id)
{
	char text[32];

	snapid_print(text, sizeof(text), id);
	fputs(text, w->out);
}

static void put_table(struct writer *w)
{
	const struct work_variant *v = w->variant;

	fprintf(w->out, "0 %u multisnapshot origin store 8 %s %s", v->sectors, v->arguments[0], v->arguments[1]);
}

/* With sync-snapshots: those that exist, and one more. */
static void put_sync_table(struct writer *w)
{
	const struct work_variant *v = w->variant;
	const char *list = strchr(v->arguments[0], ' ');

	fprintf(w->out, "0 %u multisnapshot origin store 8 %u sync-snapshots%s %s %u", v->sectors,
		v->nr_arguments + 1, list ? list : "", v->arguments[1], w->s->nr + 1);
	for (u32 i = 0; i < w->s->nr; i++) {
		fputc(' ', w->out);
		put_id(w, w->s->id[i]);
	}
	fputc(' ', w->out);
	put_id(w, first_level(w->s->next));
}

static void put_word(struct writer *w, char word)
{
	switch (word) {
	case 'F':
		fprintf(w->out, "%u", w->fill++);
		break;
	case 'K':
		fprintf(w->out, "%u", w->number);
		break;
	case 'O':
		put_id(w, w->s->id[0]);
		break;
	case 'P':
		put_id(w, w->s->id[w->s->nr / 2]);
		break;
	case 'N':
		put_id(w, w->s->id[w->s->nr - 1]);
		break;
	case 'M':
		put_id(w, w->s->id[a_master(w->s)]);
		break;
	case 'T':
		put_table(w);
		break;
	case 'Y':
		put_sync_table(w);
		break;
	}
}

static void put(struct writer *w, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '$') {
			put_word(w, *++text);
			continue;
		}
		fputc(*text, w->out);
		w->line += *text == '\n';
	}
}

static void put_begin(struct writer *w)
{
	fprintf(w->out, "disk origin %us\ndisk store %s\n", w->variant->sectors, w->variant->store);
	w->line += 2;
	put(w, "dmsetup create ms --table \"$T\"\n");
	fprintf(w->out, "write ms 0 %u fill=%u\n", w->variant->sectors, w->fill++);
	w->line++;
	for (u32 i = 0; i < w->variant->snapshots; i++)
		put(w, "dmsetup message ms 0 create\n"
		       "dmsetup suspend ms\n"
		       "dmsetup resume ms\n");
	put(w, w->variant->begin);
}

static void put_end(struct writer *w)
{
	put(w, w->variant->end);
	for (u32 i = 1; w->variant->waits && i <= w->number; i++)
		fprintf(w->out, "wait a%u\n", i);
}

char *bounded_script(const struct bounded *b, u64 index, u32 *first_line, char *name, size_t size)
{
	const struct sequence *q = &b->all[index];
	struct snapshots s = at_first(&work_variants[q->variant]);
	struct writer w = { .line = 1, .fill = 1, .s = &s, .variant = &work_variants[q->variant] };
	size_t length, n;
	char *text = NULL;

	w.out = open_memstream(&text, &length);
	if (!w.out)
		abort();
	n = snprintf(name, size, "bounded %llu (%s", (unsigned long long)index, w.variant->name);
	put_begin(&w);
	*first_line = w.variant->begin ? w.line : 0;
	for (u32 i = 0; i < q->length; i++) {
		const struct work_op *op = &work_ops[q->op[i]];

		/* What comes before the last operation is another sequence. */
		*first_line = w.line;
		w.number = i + 1;
		put(&w, op->text);
		apply(&s, op);
		if (n < size)
			n += snprintf(name + n, size - n, "%s%s", i ? ", " : ": ", op->name);
	}
	put_end(&w);
	if (n < size)
		snprintf(name + n, size - n, ")");
	fclose(w.out);
	return text;
}
