// SPDX-License-Identifier: GPL-2.0
/*
 * Do a trace's offsets and lengths count the same thing?
 *
 * A reader cannot see that a column was written in another unit: every number is possible. But requests continue one
 * another: files are written in order, so many requests start where an earlier one ended. If hardly any does in
 * the units assumed, and many do when lengths are taken 512 times larger (or smaller) relative to
 * offsets, the units are wrong. The alignment says which column: bytes taken for sectors leave every
 * offset a multiple of 512 sectors, whatever the lengths; sectors taken for bytes leave offsets odd.
 * Alignment alone is a hint and no proof (a synthetic stride looks like that): a note, not a refusal.
 *
 * Each offset counts once, the first time it is seen. Bounded: a sample from the start of the trace.
 */
#include <stdlib.h>

#include "trace_impl.h"

#define SAMPLE 16384
/* Of a set: powers of two. It grows with the trace, so that a short one costs little. */
#define MIN_SLOTS 64
#define MAX_SLOTS (SAMPLE * 4)
/* Of requests that continue another in the other unit: as many, such a share, so many times those that do in ours. */
#define ENOUGH 16
#define ENOUGH_SHARE 50		/* one of fifty */
#define ENOUGH_TIMES 8
/* Too few distinct offsets say nothing at all, or not without a contiguity that proves it. */
#define DISTINCT_TO_JUDGE 32
#define DISTINCT_TO_HINT 256

struct set {
	uint64_t *slots;	/* hashes; 0: free */
	unsigned int nr_slots;	/* at least four times what is in it, if there was memory */
	unsigned int count;
};

struct plausible {
	struct set offsets, ends, ends_larger, ends_smaller;
	unsigned int requests;
	unsigned int distinct;		/* offsets but 0 */
	unsigned int continued;		/* of these, in the units assumed */
	unsigned int continued_larger;	/* if lengths were 512 times larger, relative to offsets */
	unsigned int continued_smaller;
	unsigned int whole_offsets;	/* distinct offsets that are whole sectors */
	unsigned int huge_offsets;	/* that are multiples of 512 sectors */
	unsigned int whole_lengths;	/* requests */
	unsigned int huge_lengths;
};

static uint64_t hash(const uint64_t space[2], uint64_t value)
{
	uint64_t h = space[0] * 0x9e3779b97f4a7c15ull + space[1];

	h = (h ^ h >> 32) * 0xbf58476d1ce4e5b9ull + value;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	h ^= h >> 31;
	return h ? h : 1;
}

static bool set_has(const struct set *set, uint64_t h)
{
	unsigned int mask = set->nr_slots - 1, slot = h & mask;

	if (!set->slots)
		return false;
	for (; set->slots[slot]; slot = (slot + 1) & mask)
		if (set->slots[slot] == h)
			return true;
	return false;
}

static void set_put(struct set *set, uint64_t h)
{
	unsigned int mask = set->nr_slots - 1, slot = h & mask;

	while (set->slots[slot])
		slot = (slot + 1) & mask;
	set->slots[slot] = h;
	set->count++;
}

static bool set_grow(struct set *set)
{
	struct set larger = { .nr_slots = set->slots ? set->nr_slots * 2 : MIN_SLOTS };

	if (larger.nr_slots > MAX_SLOTS)
		return false;
	larger.slots = calloc(larger.nr_slots, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (unsigned int i = 0; i < set->nr_slots; i++)
		if (set->slots[i])
			set_put(&larger, set->slots[i]);
	free(set->slots);
	*set = larger;
	return true;
}

/* Without memory it is not added: a smaller sample. */
static void set_add(struct set *set, uint64_t h)
{
	if (set_has(set, h) || (set->count * 4 >= set->nr_slots && !set_grow(set) && set->count * 2 >= set->nr_slots))
		return;
	set_put(set, h);
}

struct plausible *plausible_new(void)
{
	return calloc(1, sizeof(struct plausible));
}

void plausible_free(struct plausible *check)
{
	if (!check)
		return;
	free(check->offsets.slots);
	free(check->ends.slots);
	free(check->ends_larger.slots);
	free(check->ends_smaller.slots);
	free(check);
}

static bool is_whole(uint64_t bytes)
{
	return bytes % TRACE_SECTOR_SIZE == 0;
}

static bool is_huge(uint64_t bytes)
{
	return bytes % (TRACE_SECTOR_SIZE * TRACE_SECTOR_SIZE) == 0;
}

bool plausible_add(struct plausible *check, const struct trace_record *r)
{
	uint64_t offset = hash(r->space, r->offset);

	if (r->op == TRACE_FLUSH)
		return true;
	if (r->offset && !set_has(&check->offsets, offset)) {
		set_add(&check->offsets, offset);
		check->distinct++;
		check->whole_offsets += is_whole(r->offset);
		check->huge_offsets += is_huge(r->offset);
		check->continued += set_has(&check->ends, offset);
		check->continued_larger += set_has(&check->ends_larger, offset);
		check->continued_smaller += set_has(&check->ends_smaller, offset);
	}
	check->whole_lengths += is_whole(r->length);
	check->huge_lengths += is_huge(r->length);
	set_add(&check->ends, hash(r->space, r->offset + r->length));
	set_add(&check->ends_larger, hash(r->space, r->offset + (r->length << TRACE_SECTOR_SHIFT)));
	if (is_whole(r->length))
		set_add(&check->ends_smaller, hash(r->space, r->offset + (r->length >> TRACE_SECTOR_SHIFT)));
	return ++check->requests < SAMPLE;
}

static bool proves(const struct plausible *check, unsigned int continued)
{
	return continued >= ENOUGH && (uint64_t)continued * ENOUGH_SHARE >= check->distinct &&
	       continued >= (uint64_t)check->continued * ENOUGH_TIMES;
}

/* Nearly all, and not half. */
static bool most(unsigned int part, unsigned int all)
{
	return (uint64_t)part * 100 >= (uint64_t)all * 99;
}

static bool minority(unsigned int part, unsigned int all)
{
	return (uint64_t)part * 2 <= all;
}

enum plausible_verdict plausible_verdict(const struct plausible *check, char *why, size_t why_size)
{
	const char *odd, *remedy;
	unsigned int continued;

	if (check->distinct < DISTINCT_TO_JUDGE)
		return PLAUSIBLE;
	if (most(check->huge_offsets, check->distinct) && minority(check->huge_lengths, check->requests)) {
		odd = "offsets are multiples of 512 sectors, though lengths are not: they look like bytes";
		remedy = "--offset-unit bytes reads them so, --force believes them";
		continued = check->continued_larger;
	} else if (minority(check->whole_offsets, check->distinct) &&
		   most(check->whole_lengths, check->requests)) {
		odd = "offsets are no whole sectors, though lengths are: they look like sectors";
		remedy = "--offset-unit sectors reads them so, --force believes them";
		continued = check->continued_smaller;
	} else if (minority(check->whole_lengths, check->requests) &&
		   most(check->whole_offsets, check->distinct)) {
		odd = "lengths are no whole sectors, though offsets are: they look like sectors";
		remedy = "--force believes them";
		continued = check->continued_larger;
	} else {
		return PLAUSIBLE;
	}
	if (proves(check, continued)) {
		snprintf(why, why_size,
			 "%s; of %u offsets %u continue an earlier request if so, %u as they stand (%s)", odd,
			 check->distinct, continued, check->continued, remedy);
		return IMPLAUSIBLE;
	}
	if (check->distinct < DISTINCT_TO_HINT)
		return PLAUSIBLE;
	snprintf(why, why_size, "%s (%s)", odd, remedy);
	return PLAUSIBLE_ODD;
}
