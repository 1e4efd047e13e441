/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts of values by magnitude: log-linear buckets, 64 to each power of two, so that a percentile is off by less
 * than 1.6 % at any magnitude, in constant memory. The scheme of HdrHistogram (docs/decisions).
 */
#ifndef SIM_HISTOGRAM_H
#define SIM_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count, sum, min, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value that @per_million of all values do not exceed (rounded up to the bucket's end, at most the maximum); 0 if empty. */
uint64_t histogram_quantile(const struct histogram *h, unsigned int per_million);
double histogram_mean(const struct histogram *h);

#endif /* SIM_HISTOGRAM_H */
