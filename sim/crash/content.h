/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a sector holds, as one number: equal contents have equal numbers.
 *
 * A number is of a sector of zeroes (0), of a tag (disk.h), of 512 literal bytes, or of a *choice*:
 * one of several contents, and nobody has looked yet which (choice.h). Numbers are given by a
 * stack: content_mark() and content_release() forget those that were made in between.
 */
#ifndef SIM_CRASH_CONTENT_H
#define SIM_CRASH_CONTENT_H

#include "disk.h"
#include "splitmix.h"

typedef u32 content_t;

#define CONTENT_ZERO ((content_t)0)
#define CONTENT_CHOICE ((content_t)1 << 31) /* the rest is the number of the choice */
#define CONTENT_PLACE ((content_t)1 << 30) /* with CONTENT_CHOICE: whatever a sector holds; bit 29 and the rest say which */

/* Tags of its own: write numbers from here on are not for scripts. */
#define CRASH_WRITE_MAX (1U << 25)
/* Work after a recovery writes with numbers from here on. */
#define CRASH_WRITE_AFTER CRASH_WRITE_MAX
#define TAG_CHOICE ((tag_t)1 << 62)
/* What a device chose to have in a sector that was discarded. */
#define TAG_JUNK tag_make((1U << 26) - 1, 0)

static inline content_t content_of_place(u32 disk, sector_t sector)
{
	return CONTENT_CHOICE | CONTENT_PLACE | disk << 29 | (content_t)sector;
}

static inline bool content_is_choice(content_t c)
{
	return c & CONTENT_CHOICE;
}

content_t content_of_tag(tag_t tag); /* not literal */
content_t content_of_bytes(const u8 bytes[SECTOR_SIZE]);
/* Sector @i of what a request carries. */
content_t content_of_data(const struct sector_data *data, u32 i);

tag_t content_tag(content_t c); /* TAG_LITERAL | hash where it is literal */
const u8 *content_literal(content_t c); /* its bytes; NULL: not literal */
void content_bytes(content_t c, u8 bytes[SECTOR_SIZE]); /* not of a choice */
/* The same in every run; not of a choice. */
u64 content_hash(content_t c);

u32 content_mark(void);
void content_release(u32 mark);

/* A good mixture of two numbers. */
static inline u64 crash_mix(u64 a, u64 b)
{
	return splitmix_mix(a * SPLITMIX_STEP ^ b);
}

/* An array that grows: to at least @need members of @size bytes, from *max. Without memory the program ends. */
void *crash_grow_slow(void *p, u64 need, u32 *max, size_t size);
static inline void *crash_grow(void *p, u64 need, u32 *max, size_t size)
{
	return need <= *max ? p : crash_grow_slow(p, need, max, size);
}

#endif /* SIM_CRASH_CONTENT_H */
