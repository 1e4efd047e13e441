/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A script as a program to be searched, and the power is cut: under every schedule of its `parallel` blocks its life is
 * recorded (crash/life.h), and what a power cut could leave at each moment of it is judged as `multisnap crash` does.
 */
#ifndef EXPLORE_POWER_H
#define EXPLORE_POWER_H

#include <stdio.h>

#include "crash.h"

/* For search(), with a struct scenario. */
void power_run(void *scenario);

struct power_counts {
	u64 runs;			/* of schedules that came to their end */
	struct crash_counts judged;	/* .workloads: lives, each once */
};
/* Of all searches since power_forget(), which are of one script: what is known to be good is not judged again. */
const struct power_counts *power_counts(void);
void power_forget(void);
/* In words, without a newline. */
void power_print(FILE *out);

/* For tests: each disk of a script with this on top; NULL: as it is. In memory that is kept. */
extern struct disk *(*power_disk_top)(void *context, const char *name, struct disk *top);

#endif /* EXPLORE_POWER_H */
