// SPDX-License-Identifier: GPL-2.0
/* Counting: totals and what is printed of them, very large numbers, and sets of hashes. */
#include <stdlib.h>
#include <string.h>

#include "crash.h"

crash_many crash_add(crash_many a, crash_many b)
{
	return a > CRASH_VERY_MANY - b ? CRASH_VERY_MANY : a + b;
}

crash_many crash_multiply(crash_many a, u64 b)
{
	return b && a > CRASH_VERY_MANY / b ? CRASH_VERY_MANY : a * b;
}

void crash_counts_add(struct crash_counts *to, const struct crash_counts *n)
{
	to->workloads += n->workloads;
	to->events += n->events;
	to->points += n->points;
	to->complete += n->complete;
	to->sampled += n->sampled;
	to->left_out += n->left_out;
	to->states += n->states;
	to->images += n->images;
	to->outcomes += n->outcomes;
	to->worked += n->worked;
	to->recut += n->recut;
	to->read_errors += n->read_errors;
	to->partners += n->partners;
	to->damaged += n->damaged;
	to->detected += n->detected;
	to->harmless += n->harmless;
	to->undetectable += n->undetectable;
	to->covered = crash_add(to->covered, n->covered);
}

static void print_many(crash_many n, FILE *out)
{
	int digits = 0;

	if (n < 1000000) {
		fprintf(out, "%llu", (unsigned long long)n);
		return;
	}
	if (n == CRASH_VERY_MANY) {
		fprintf(out, "more than 10^%d", sizeof(n) == 16 ? 38 : 19);
		return;
	}
	for (crash_many rest = n; rest >= 10; rest /= 10)
		digits++;
	fprintf(out, "more than 10^%d", digits);
}

void crash_counts_print(const struct crash_counts *n, FILE *out)
{
	fprintf(out, "%llu workload%s, %llu events\n", (unsigned long long)n->workloads, n->workloads == 1 ? "" : "s",
		(unsigned long long)n->events);
	fprintf(out, "%llu moments -> %llu states -> %llu distinct images -> %llu distinct outcomes\n",
	       (unsigned long long)n->points, (unsigned long long)n->states, (unsigned long long)n->images,
	       (unsigned long long)n->outcomes);
	fprintf(out, "the states stand for ");
	print_many(n->covered, out);
	fprintf(out, " sets of surviving sectors: nobody looked at the rest\n");
	fprintf(out, "after %llu recoveries work went on; in %llu of those the power was cut again at each moment\n",
	       (unsigned long long)n->worked, (unsigned long long)n->recut);
	fprintf(out, "%llu reads of recoveries failed; %llu tables that do not fit the store were refused\n",
		(unsigned long long)n->read_errors, (unsigned long long)n->partners);
	fprintf(out, "%llu writes of metadata lost or misplaced: %llu detected, %llu harmless, %llu nothing can tell (the last record or superblock)\n",
	       (unsigned long long)n->damaged, (unsigned long long)n->detected, (unsigned long long)n->harmless,
	       (unsigned long long)n->undetectable);
}

void crash_coverage_print(const struct crash_counts *n, FILE *out)
{
	if (!n->sampled && !n->left_out) {
		fprintf(out, "exhaustive: at each moment all states that the crash model allows\n");
		return;
	}
	fprintf(out, "bounded: all states at %llu moments, samples at %llu", (unsigned long long)n->complete,
		(unsigned long long)n->sampled);
	if (n->left_out)
		fprintf(out, ", none at %llu of the log's (--points)", (unsigned long long)n->left_out);
	fputc('\n', out);
}

/* ---- sets of hashes ---- */

static void hash_set_grow(struct hash_set *set)
{
	struct hash_set larger = { .size = set->size ? 2 * set->size : 1024 };

	larger.slot = calloc(larger.size, sizeof(*larger.slot));
	if (!larger.slot)
		abort();
	for (u64 i = 0; i < set->size; i++)
		if (set->slot[i])
			hash_set_add(&larger, set->slot[i]);
	free(set->slot);
	*set = larger;
}

bool hash_set_add(struct hash_set *set, u64 hash)
{
	u64 i;

	hash = hash ? hash : 1;
	if (2 * set->nr >= set->size)
		hash_set_grow(set);
	for (i = crash_mix(hash, 1) & (set->size - 1); set->slot[i]; i = (i + 1) & (set->size - 1))
		if (set->slot[i] == hash)
			return false;
	set->slot[i] = hash;
	set->nr++;
	return true;
}

void hash_set_exit(struct hash_set *set)
{
	free(set->slot);
	memset(set, 0, sizeof(*set));
}
