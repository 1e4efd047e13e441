/* SPDX-License-Identifier: GPL-2.0 */
/* Runs that have nothing to do with each other: each in a process of its own, several at a time, told in order. */
#ifndef SIM_JOBS_H
#define SIM_JOBS_H

#include "sim.h"

struct jobs {
	u64 nr;
	unsigned int workers; /* at a time; > 0 */
	/* In the process of run @i: what it prints on stdout is kept; its exit code. */
	int (*run)(void *context, u64 i);
	/* Run @i has ended, those before it are told; what it has printed comes next. SIM_EXIT_FOUND where a signal ended it. */
	void (*ended)(void *context, u64 i, int status);
	void *context;
};

/* Exits with SIM_EXIT_USAGE and a message where no process can be made. */
void jobs_run(const struct jobs *jobs);

#endif /* SIM_JOBS_H */
