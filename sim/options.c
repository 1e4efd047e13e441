// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers with units, errno names, messages and progress, as declared in sim.h.
 *
 * The parsers take the whole word or refuse it: no blanks, no signs, nothing behind, no overflow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strerrorname_np() */
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

bool parse_digits(const char *text, u64 *value, const char **end)
{
	u64 v = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(v, 10ULL, &v) ||
		    __builtin_add_overflow(v, (u64)(*text - '0'), &v))
			return false;
	}
	*value = v;
	*end = text;
	return true;
}

bool parse_u64(const char *text, u64 *value)
{
	const char *end;
	u64 v;

	if (!parse_digits(text, &v, &end) || *end)
		return false;
	*value = v;
	return true;
}

bool parse_uint(const char *text, unsigned int *value)
{
	u64 v;

	if (!parse_u64(text, &v) || v > UINT_MAX)
		return false;
	*value = v;
	return true;
}

struct unit {
	const char *name;
	u64 factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, u64 *value)
{
	const char *end;
	u64 v;

	if (!parse_digits(text, &v, &end))
		return false;
	for (; units->name; units++) {
		if (!strcmp(end, units->name))
			return !__builtin_mul_overflow(v, units->factor, value);
	}
	return false;
}

bool parse_size_bytes(const char *text, u64 *bytes)
{
	static const struct unit units[] = {
		{ "", 1 },	    { "s", 512 },	{ "K", 1ULL << 10 },
		{ "M", 1ULL << 20 }, { "G", 1ULL << 30 }, { "T", 1ULL << 40 },
		{ "P", 1ULL << 50 }, { NULL, 0 },
	};

	return parse_with_unit(text, units, bytes);
}

bool parse_size_sectors(const char *text, sector_t *sectors)
{
	u64 bytes;

	if (!parse_size_bytes(text, &bytes) || bytes % SECTOR_SIZE)
		return false;
	*sectors = bytes / SECTOR_SIZE;
	return true;
}

bool parse_duration_ns(const char *text, u64 *ns)
{
	static const struct unit units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60000000000 },
		{ "h", 3600000000000 },
		{ "d", 86400000000000 },
		{ NULL, 0 },
	};

	return parse_with_unit(text, units, ns);
}

bool parse_range(const char *text, u64 *first, u64 *last)
{
	const char *end;

	if (!parse_digits(text, first, &end))
		return false;
	if (!*end) {
		*last = *first;
		return true;
	}
	/* As many as a u64 counts. */
	return !strncmp(end, "..", 2) && parse_u64(end + 2, last) && *last >= *first && *last - *first < U64_MAX;
}

bool parse_strategy(const char *text, enum sim_strategy *strategy)
{
	if (!strcmp(text, "fifo"))
		*strategy = SIM_FIFO;
	else if (!strcmp(text, "random"))
		*strategy = SIM_RANDOM;
	else
		return false;
	return true;
}

const char *errno_name(int error)
{
	static __thread char unknown[24];
	const char *name = strerrorname_np(error < 0 ? -error : error);

	if (name)
		return name;
	snprintf(unknown, sizeof(unknown), "errno %d", error < 0 ? -error : error);
	return unknown;
}

int errno_number(const char *name)
{
	for (int e = 1; e < 4096; e++) {
		const char *known = strerrorname_np(e);

		if (known && !strcmp(known, name))
			return e;
	}
	return 0;
}

void print_shell_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%^";

	if (*word && strspn(word, plain) == strlen(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

void sim_message(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	progress_clear();
	fputs("multisnap: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

void sim_limit_ends(void *name, const char *text)
{
	if (name)
		sim_message("%s: %s", (const char *)name, text);
	else
		sim_message("%s", text);
	fflush(NULL);
	_exit(SIM_EXIT_USAGE);
}

static struct {
	void (*told)(void *context, const char *text);
	void *context;
} limit = { .told = sim_limit_ends };

void sim_on_limit(void (*told)(void *context, const char *text), void *context)
{
	limit.told = told;
	limit.context = context;
}

void sim_limit(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	limit.told(limit.context, text);
	abort();
}

static bool progress_on_screen;

bool progress_due(void)
{
	static int terminal = -1;
	static struct timespec last;
	struct timespec now;

	if (terminal < 0)
		terminal = isatty(STDERR_FILENO);
	if (!terminal)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == last.tv_sec && now.tv_nsec / 100000000 == last.tv_nsec / 100000000)
		return false;
	last = now;
	return true;
}

void progress_show(const char *fmt, ...)
{
	va_list ap;

	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	progress_on_screen = true;
}

void progress_clear(void)
{
	if (!progress_on_screen)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress_on_screen = false;
}

char *sim_read_text(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	size_t size = 0, max = 4096;
	char *text = NULL;

	if (!f)
		return NULL;
	do {
		max *= 2;
		text = realloc(text, max);
		if (!text)
			abort();
		size += fread(text + size, 1, max - 1 - size, f);
	} while (size == max - 1);
	text[size] = '\0';
	if (ferror(f) || strlen(text) != size) {
		errno = ferror(f) ? errno : EINVAL; /* a byte of zero: not text */
		free(text);
		text = NULL;
	}
	if (f != stdin)
		fclose(f);
	return text;
}
