/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For targets that run a simulated kernel: one for each input, and words of their lines.
 */
#ifndef FUZZ_SMALL_WORLD_H
#define FUZZ_SMALL_WORLD_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "world.h"

static inline void small_log(void *context, int level, const char *line)
{
}

/* Runs @fn in a thread of a new world, and ends that; a violation, or a leak, is the end of the program. */
static inline void small_world(void (*fn)(void *arg), void *arg)
{
	/* Every choice is fifo's. */
	const struct world_options options = { .strategy = SIM_FIFO, .log = small_log };

	world_start(&options);
	sim_thread_start("fuzz", fn, arg);
	sim_run();
	world_stop();
}

/* A disk of this world; it must be there. */
static inline struct world_disk *small_disk(const char *name, sector_t sectors, unsigned int block_size)
{
	struct world_disk *d = world_disk_add(name, sectors, DISK_RAM, block_size, NULL);

	if (!d)
		abort();
	return d;
}

/* The next line of an input, with a zero behind it, in @line; false at the end. Longer ones are cut. */
static inline bool next_line(const uint8_t **data, size_t *size, char *line, size_t room)
{
	const uint8_t *newline;
	size_t length;

	if (!*size)
		return false;
	newline = memchr(*data, '\n', *size);
	length = newline ? (size_t)(newline - *data) : *size;
	snprintf(line, room, "%.*s", length > INT_MAX ? INT_MAX : (int)length, (const char *)*data);
	*data += length + !!newline;
	*size -= length + !!newline;
	return true;
}

/* Nothing of what dm_split_args() treats otherwise than a plain splitter: backslashes, odd blanks, control characters. */
static inline bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '\\')
			return false;
	return true;
}

/* Splits @text in place at blanks; the number of words, at most @room. */
static inline unsigned int split_words(char *text, char **words, unsigned int room)
{
	unsigned int n = 0;
	char *rest = NULL;

	for (char *w = strtok_r(text, " ", &rest); w && n < room; w = strtok_r(NULL, " ", &rest))
		words[n++] = w;
	return n;
}

/* Digits that fit 64 bits. */
static inline bool is_number(const char *word, u64 *value)
{
	u64 v = 0;

	if (!*word)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *word - '0', &v))
			return false;
	}
	*value = v;
	return true;
}

#endif /* FUZZ_SMALL_WORLD_H */
