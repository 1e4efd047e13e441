// SPDX-License-Identifier: GPL-2.0
/*
 * A value below 128 has a bucket of its own; above, its leading 7 bits choose the bucket. Bucket numbers
 * grow with the values, so that a quantile is a walk.
 */
#include "histogram.h"

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < (2u << HISTOGRAM_SUB_BITS))
		return (unsigned int)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (unsigned int)(value >> shift);
}

/* The largest value in the bucket. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < (2u << HISTOGRAM_SUB_BITS))
		return bucket;
	shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return (((uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	if (!h->count || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->count++;
	h->sum += value;
	h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	if (!from->count)
		return;
	if (!to->count || from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->count += from->count;
	to->sum += from->sum;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *h, unsigned int per_million)
{
	/* The smallest rank that covers the share, at least the first value. */
	uint64_t wanted = h->count / 1000000 * per_million + (h->count % 1000000 * per_million + 999999) / 1000000;
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	if (!wanted)
		return h->min;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= wanted)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}
