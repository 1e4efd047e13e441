// SPDX-License-Identifier: GPL-2.0
/*
 * The union of extents, as a sorted array of disjoint ones.
 *
 * New extents are collected behind the sorted part and merged into it when they are as many as it holds: n log n
 * in all, 24 bytes for each disjoint extent, no tree. A request of terabytes costs as much as one of
 * a page.
 */
#include <stdlib.h>

#include "footprint.h"

#define FIRST_CAPACITY 65536

struct extent {
	uint64_t device;
	uint64_t start;	/* pages */
	uint64_t end;
};

struct footprint {
	struct extent *extents;
	size_t sorted;		/* extents[0..sorted): disjoint, not even touching, in order */
	size_t count;		/* extents[sorted..count): as they came */
	size_t capacity;
};

struct footprint *footprint_new(void)
{
	struct footprint *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->capacity = FIRST_CAPACITY;
	set->extents = malloc(set->capacity * sizeof(*set->extents));
	if (!set->extents) {
		free(set);
		return NULL;
	}
	return set;
}

void footprint_free(struct footprint *set)
{
	if (!set)
		return;
	free(set->extents);
	free(set);
}

static int compare(const void *left, const void *right)
{
	const struct extent *a = left, *b = right;

	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	return a->start < b->start ? -1 : a->start > b->start;
}

static void merge_all(struct footprint *set)
{
	struct extent *e = set->extents;
	size_t out = 0;

	if (set->sorted == set->count)
		return;
	qsort(e, set->count, sizeof(*e), compare);
	for (size_t i = 1; i < set->count; i++) {
		if (e[i].device != e[out].device || e[i].start > e[out].end)
			e[++out] = e[i];
		else if (e[i].end > e[out].end)
			e[out].end = e[i].end;
	}
	set->sorted = set->count = out + 1;
}

bool footprint_add(struct footprint *set, uint64_t device, uint64_t offset, uint64_t length)
{
	uint64_t page = (uint64_t)1 << FOOTPRINT_PAGE_SHIFT;
	struct extent new = {
		.device = device,
		.start = offset >> FOOTPRINT_PAGE_SHIFT,
		.end = (offset + length + page - 1) >> FOOTPRINT_PAGE_SHIFT,
	};
	struct extent *last = set->count > set->sorted ? &set->extents[set->count - 1] : NULL;

	if (!length)
		return true;
	/* Sequential runs stay one extent. */
	if (last && last->device == device && last->start <= new.start && new.start <= last->end) {
		if (last->end < new.end)
			last->end = new.end;
		return true;
	}
	if (set->count == set->capacity) {
		merge_all(set);
		if (set->count > set->capacity / 2) {
			size_t capacity = set->capacity * 2;
			struct extent *e = realloc(set->extents, capacity * sizeof(*e));

			if (!e)
				return false;
			set->extents = e;
			set->capacity = capacity;
		}
	}
	set->extents[set->count++] = new;
	return true;
}

uint64_t footprint_bytes(struct footprint *set)
{
	uint64_t pages = 0;

	merge_all(set);
	for (size_t i = 0; i < set->count; i++)
		pages += set->extents[i].end - set->extents[i].start;
	return pages << FOOTPRINT_PAGE_SHIFT;
}
