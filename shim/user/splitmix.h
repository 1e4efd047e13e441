/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers from a seed: splitmix64 (Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014). Any
 * state is a good one.
 */
#ifndef SHIM_SPLITMIX_H
#define SHIM_SPLITMIX_H

#include <stdint.h>

#define SPLITMIX_STEP 0x9E3779B97F4A7C15ULL

/* The mixing alone: a bijection. */
static inline uint64_t splitmix_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

/* The next number. The state is a u64, whichever type that is here. */
#define splitmix_next(state) splitmix_mix(*(state) += SPLITMIX_STEP)

#endif /* SHIM_SPLITMIX_H */
