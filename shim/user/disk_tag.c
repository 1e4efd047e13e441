// SPDX-License-Identifier: GPL-2.0
/*
 * Tags and bytes: the two forms of a sector's contents, and the way from one to the other.
 *
 * Both directions are defined on little-endian words, so that images do not depend on the machine.
 * Nothing here knows of a simulation: programs that act on real devices use it, too.
 */
#include <string.h>

#include "control.h"

#define WORDS (SECTOR_SIZE / 8)
#define STEP 0x9E3779B97F4A7C15ULL

static inline u64 load_word(const u8 *bytes, u32 i)
{
	u64 word;

	memcpy(&word, bytes + 8 * i, 8);
	return le64_to_cpu((__force __le64)word);
}

static inline void store_word(u8 *bytes, u32 i, u64 value)
{
	u64 word = (__force u64)cpu_to_le64(value);

	memcpy(bytes + 8 * i, &word, 8);
}

void tag_expand(tag_t tag, u8 bytes[SECTOR_SIZE])
{
	u32 i;

	if (tag & TAG_LITERAL)
		sim_fail("disk: a tag cannot stand for the bytes of a literal sector");
	if (tag == TAG_ZERO) {
		memset(bytes, 0, SECTOR_SIZE);
		return;
	}
	for (i = 0; i < WORDS; i++)
		store_word(bytes, i, tag + i * STEP);
}

bool tag_recognise(const u8 bytes[SECTOR_SIZE], tag_t *tag)
{
	tag_t first = load_word(bytes, 0);
	u64 step = first ? STEP : 0;
	u32 i;

	if (first & TAG_LITERAL)
		return false;
	for (i = 1; i < WORDS; i++)
		if (load_word(bytes, i) != first + i * step)
			return false;
	*tag = first;
	return true;
}

tag_t tag_of_literal(const u8 bytes[SECTOR_SIZE])
{
	u64 hash = 0x243F6A8885A308D3ULL;
	u32 i;

	for (i = 0; i < WORDS; i++) {
		hash = (hash ^ load_word(bytes, i)) * 0xD6E8FEB86659FD93ULL;
		hash ^= hash >> 32;
	}
	return hash | TAG_LITERAL;
}
