/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Schedules drawn from a seed, for programs with too many to look at all.
 *
 * PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS
 * 2010): each process has a random priority, the highest goes on, and at depth - 1 random steps the one that would go on
 * falls below all others. With n processes and k steps one run finds a bug that depth ordering constraints make happen with a
 * probability of at least 1 / (n * k^(depth - 1)).
 */
#ifndef EXPLORE_WALK_H
#define EXPLORE_WALK_H

#include "shim.h"

/* One run. @depth 0: each choice at random, no priorities. @steps: how many there will be, at a guess. */
void walk_start(u64 seed, u32 depth, u32 steps);
/* The index of the process that takes step number @step. */
u32 walk_pick(const u32 *ready, u32 nr, u32 step);
u32 walk_value(u32 nr);

#endif /* EXPLORE_WALK_H */
