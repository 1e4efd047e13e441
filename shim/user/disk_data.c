// SPDX-License-Identifier: GPL-2.0
/*
 * Tags and bytes: the two forms of a sector's contents, and the way from one to the other.
 *
 * Both directions are defined on little-endian words, so that images do not depend on the machine.
 */
#include <stdlib.h>
#include <string.h>

#include "fake/sched.h"

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

tag_t sector_data_tag(const struct sector_data *data, u32 i)
{
	const u8 *bytes;
	tag_t tag;

	if (data->tags)
		return data->tags[i];
	bytes = data->bytes + (size_t)i * SECTOR_SIZE;
	return tag_recognise(bytes, &tag) ? tag : tag_of_literal(bytes);
}

void sector_data_bytes(const struct sector_data *data, u32 i, u8 bytes[SECTOR_SIZE])
{
	if (!data->tags) {
		memcpy(bytes, data->bytes + (size_t)i * SECTOR_SIZE, SECTOR_SIZE);
	} else if (!(data->tags[i] & TAG_LITERAL)) {
		tag_expand(data->tags[i], bytes);
	} else if (data->literals) {
		memcpy(bytes, data->literals[i], SECTOR_SIZE);
	} else {
		sim_fail("disk: the bytes of a literal sector were not kept");
	}
}

/* ---- literals: in a list, for what is in flight when a world is cut off ---- */

struct literals {
	struct list_head list;
	u8 bytes[][SECTOR_SIZE];
};

static LIST_HEAD(all_literals);

void sector_data_need_literals(struct sector_data *data)
{
	struct literals *l;

	if (data->literals)
		return;
	l = malloc(sizeof(*l) + (size_t)data->sectors * SECTOR_SIZE);
	if (!l)
		abort();
	list_add(&l->list, &all_literals);
	data->literals = l->bytes;
}

void sector_data_drop_literals(struct sector_data *data)
{
	struct literals *l;

	if (!data->literals)
		return;
	sched_enter();
	l = container_of(data->literals, struct literals, bytes[0]);
	list_del(&l->list);
	data->literals = NULL;
	sched_exit();
	free(l);
}

static void literals_discard(void)
{
	struct literals *l, *next;

	list_for_each_entry_safe(l, next, &all_literals, list)
		free(l);
	INIT_LIST_HEAD(&all_literals);
}

static struct world_part literals_part = {
	.name = "literals",
	.discard = literals_discard,
};

static void __attribute__((constructor)) literals_init(void)
{
	world_part_register(&literals_part);
}
