/* SPDX-License-Identifier: GPL-2.0 */
/* Programs of a few lines on the simulated kernel, whose traces can be counted by hand: they show that the search is right. */
#ifndef EXPLORE_PROGRAM_H
#define EXPLORE_PROGRAM_H

#include "shim.h"

/*
 * "mutex:NxM": N threads, each M times lock, x++, unlock, of one mutex. For search(), with a program_spec. Its traces are
 * the orders of N * M lockings: (N * M)! / (M!)^N.
 */
struct program_spec {
	u32 threads, rounds;
};
bool program_parse(const char *text, struct program_spec *spec);
void program_run(void *spec);

#endif /* EXPLORE_PROGRAM_H */
