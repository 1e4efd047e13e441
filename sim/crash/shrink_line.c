// SPDX-License-Identifier: GPL-2.0
/*
 * Lines made simpler (shrink.h): requests of fewer sectors and without flags, tables without options, an origin of
 * fewer chunks, a store with room.
 */
#include <stdlib.h>
#include <string.h>

#include "shrink.h"

static bool is_io(const char *verb)
{
	return !strcmp(verb, "write") || !strcmp(verb, "discard") || !strcmp(verb, "zero");
}

static bool try_line(struct shrink *s, u32 i, const char *text)
{
	char **line = shrink_copy(s);

	line[i] = strdup(text);
	return shrink_to(s, line);
}

/* "write DEVICE SECTOR COUNT ...", perhaps behind "start LABEL": fewer sectors. */
static void simplify_request(struct shrink *s, u32 i)
{
	static const u32 counts[] = { 1, 2, 4, 8, 16 };
	unsigned long long sector, sectors;
	char verb[16], device[64], text[512];
	const char *old = s->line[i], *p = old;
	int end, label = 0;

	if (sscanf(old, "start %*s %n", &label) != EOF && label)
		p += label;
	if (sscanf(p, "%15s %63s %llu %llu%n", verb, device, &sector, &sectors, &end) != 4 || !is_io(verb))
		return;
	for (u32 k = 0; k < sizeof(counts) / sizeof(counts[0]) && counts[k] < sectors; k++) {
		snprintf(text, sizeof(text), "%.*s%s %s %llu %u%s", label, old, verb, device, sector, counts[k],
			 p + end);
		if (try_line(s, i, text))
			return;
	}
}

/* Without the word that begins so. */
static void simplify_word(struct shrink *s, u32 i, const char *word)
{
	const char *at = strstr(s->line[i], word);
	char text[512];

	if (!at || at == s->line[i])
		return;
	snprintf(text, sizeof(text), "%.*s%s", (int)(at - s->line[i]), s->line[i],
		 at + 1 + strcspn(at + 1, " "));
	try_line(s, i, text);
}

static char *replaced(const char *line, const char *old, const char *new)
{
	const char *at = strstr(line, old);
	char *text = NULL;
	size_t size;
	FILE *out;

	if (!at)
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	fprintf(out, "%.*s%s%s", (int)(at - line), line, new, at + strlen(old));
	fclose(out);
	return text;
}

/* In all lines at once. */
static void simplify_everywhere(struct shrink *s, const char *old, const char *new)
{
	char **line = shrink_copy(s);
	bool some = false;

	for (u32 i = 0; i < s->nr; i++) {
		char *text = replaced(s->line[i], old, new);

		line[i] = text ? text : s->line[i];
		some |= !!text;
	}
	if (some)
		shrink_to(s, line);
	else
		free(line);
}

/* The origin, and all tables, with fewer sectors. */
static bool shorter(struct shrink *s, unsigned int from, unsigned int to)
{
	char disk[2][40], table[2][40], **line = shrink_copy(s);

	snprintf(disk[0], sizeof(disk[0]), "disk origin %us", from);
	snprintf(disk[1], sizeof(disk[1]), "disk origin %us", to);
	snprintf(table[0], sizeof(table[0]), "\"0 %u multisnap", from);
	snprintf(table[1], sizeof(table[1]), "\"0 %u multisnap", to);
	for (u32 i = 0; i < s->nr; i++) {
		char *text = replaced(s->line[i], disk[0], disk[1]);

		text = text ? text : replaced(s->line[i], table[0], table[1]);
		line[i] = text ? text : s->line[i];
	}
	return shrink_to(s, line);
}

static void simplify_origin(struct shrink *s)
{
	unsigned int sectors = 0;

	for (u32 i = 0; i < s->nr && !sectors; i++)
		sscanf(s->line[i], "disk origin %us", &sectors);
	for (unsigned int to = 8; to < sectors; to = to < 64 ? to + 8 : 2 * to)
		if (shorter(s, sectors, to))
			return;
}

/* One with room. */
static void simplify_store(struct shrink *s)
{
	for (u32 i = 0; i < s->nr; i++)
		if (!strncmp(s->line[i], "disk store ", 11) && strcmp(s->line[i], "disk store 1M"))
			try_line(s, i, "disk store 1M");
}

void shrink_simplify(struct shrink *s)
{
	static const char *const words[] = { " fua", " preflush", " bs=" };

	for (u32 i = 0; i < s->nr; i++)
		for (u32 k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			simplify_word(s, i, words[k]);
	for (u32 i = 0; i < s->nr; i++)
		simplify_request(s, i);
	simplify_everywhere(s, " 1 preserve-on-error mikulas", " 0 mikulas");
	for (u32 k = 0; k < 3; k++) {
		static const char *const options[] = { "mikulas 2 cache-threshold 0", "mikulas 2 cache-threshold 1",
						       "mikulas 2 cache-threshold 64" };

		simplify_everywhere(s, options[k], "mikulas 0");
	}
	simplify_origin(s);
	simplify_store(s);
}
