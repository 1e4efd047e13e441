// SPDX-License-Identifier: GPL-2.0
/*
 * Contents of sectors by number (content.h): an array, found by a table of hash chains.
 *
 * The newest content is the first of its chain, so that forgetting the newest ones is quick.
 */
#include <stdlib.h>
#include <string.h>

#include "content.h"

struct content {
	tag_t tag;
	u8 *literal;
	u32 next; /* in the chain, plus 1; 0: the last */
};

static struct {
	struct content *all;
	u32 nr, max;
	u32 *chains, mask;
} contents;

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *crash_grow_slow(void *p, u64 need, u32 *max, size_t size)
{
	u64 room = *max ? *max : 16;

	while (room < need)
		room *= 2;
	p = must(room <= U32_MAX ? realloc(p, room * size) : NULL);
	*max = room;
	return p;
}

static u32 chain_of(tag_t tag)
{
	return crash_mix(tag, 0) & contents.mask;
}

static void make_chains(u32 size)
{
	free(contents.chains);
	contents.chains = must(calloc(size, sizeof(*contents.chains)));
	contents.mask = size - 1;
	for (u32 i = 0; i < contents.nr; i++) {
		u32 *chain = &contents.chains[chain_of(contents.all[i].tag)];

		contents.all[i].next = *chain;
		*chain = i + 1;
	}
}

static content_t add(tag_t tag, const u8 *literal)
{
	struct content *c;
	u32 *chain;

	if (contents.nr == contents.max) {
		contents.all = crash_grow(contents.all, max_t(u64, 1024, (u64)contents.max + 1),
					  &contents.max, sizeof(*contents.all));
		make_chains(2 * contents.max);
	}
	c = &contents.all[contents.nr];
	c->tag = tag;
	c->literal = NULL;
	if (literal) {
		c->literal = must(malloc(SECTOR_SIZE));
		memcpy(c->literal, literal, SECTOR_SIZE);
	}
	chain = &contents.chains[chain_of(tag)];
	c->next = *chain;
	*chain = ++contents.nr;
	return contents.nr; /* 0 is of zeroes */
}

static content_t find(tag_t tag, const u8 *literal)
{
	u32 i;

	if (tag == TAG_ZERO)
		return CONTENT_ZERO;
	for (i = contents.max ? contents.chains[chain_of(tag)] : 0; i; i = contents.all[i - 1].next) {
		const struct content *c = &contents.all[i - 1];

		if (c->tag == tag && (!literal || !memcmp(c->literal, literal, SECTOR_SIZE)))
			return i;
	}
	return add(tag, literal);
}

content_t content_of_tag(tag_t tag)
{
	/* Of a literal, that bit is one of its hash. */
	if ((tag & (TAG_CHOICE | TAG_LITERAL)) == TAG_CHOICE)
		return CONTENT_CHOICE | (content_t)tag;
	return find(tag, NULL);
}

content_t content_of_bytes(const u8 bytes[SECTOR_SIZE])
{
	tag_t tag;

	if (tag_recognise(bytes, &tag))
		return find(tag, NULL);
	return find(tag_of_literal(bytes), bytes);
}

content_t content_of_data(const struct sector_data *data, u32 i)
{
	u8 bytes[SECTOR_SIZE];

	if (!data->tags)
		return content_of_bytes(data->bytes + (size_t)i * SECTOR_SIZE);
	if (!(data->tags[i] & TAG_LITERAL))
		return content_of_tag(data->tags[i]);
	sector_data_bytes(data, i, bytes);
	return find(data->tags[i], bytes);
}

tag_t content_tag(content_t c)
{
	if (content_is_choice(c))
		return TAG_CHOICE | (c & ~CONTENT_CHOICE);
	return c ? contents.all[c - 1].tag : TAG_ZERO;
}

const u8 *content_literal(content_t c)
{
	return c && !content_is_choice(c) ? contents.all[c - 1].literal : NULL;
}

void content_bytes(content_t c, u8 bytes[SECTOR_SIZE])
{
	const u8 *literal = content_literal(c);
	size_t size = SECTOR_SIZE;

	/* Hidden from the compiler, whose code for a constant size takes twice as long as the C library's. */
	__asm__("" : "+r"(size));
	if (!c)
		memset(bytes, 0, size);
	else if (literal)
		memcpy(bytes, literal, size);
	else
		tag_expand(content_tag(c), bytes);
}

u64 content_hash(content_t c)
{
	return content_tag(c);
}

u32 content_mark(void)
{
	return contents.nr;
}

void content_release(u32 mark)
{
	while (contents.nr > mark) {
		struct content *c = &contents.all[--contents.nr];

		contents.chains[chain_of(c->tag)] = c->next;
		free(c->literal);
	}
}
