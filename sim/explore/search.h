/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Searching the schedules of a program for one with a finding.
 *
 * The program is run up to where it calls search_begin(), and from there to search_end() under each schedule that
 * differs (explore.h); what comes after search_end() is run once for each of them.
 */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include "explore.h"

enum search_strategy {
	SEARCH_ALL,	/* one schedule of each trace */
	SEARCH_RANDOM,	/* choices from the seed (walk.h) */
	SEARCH_FIXED,	/* one schedule, given */
};

#define NO_LIMIT U64_MAX

struct search_options {
	enum search_strategy strategy;
	u64 seed;
	u64 max_runs;		/* of random ones: how many; of all: give up after so many */
	u64 preemptions;	/* SEARCH_ALL: at most so many; or NO_LIMIT */
	u32 depth;		/* SEARCH_RANDOM: of PCT; 0: no priorities */
	u32 max_steps;		/* more are a finding: it does not end */
	bool no_races;		/* do not look for data races */
	bool no_late_stores;	/* what a thread stores, others see at once */
	bool story;		/* tell it (story.h) */
	const u32 *schedule;	/* SEARCH_FIXED: processes and values, in order */
	u32 nr_schedule;
};

struct search_counts {
	u64 traces;		/* complete */
	u64 redundant;		/* given up as a trace that had been seen */
	u64 steps;
	u64 max_steps;		/* in one */
};

struct search_result {
	struct search_counts counts;
	bool began;		/* search_begin() was called */
	bool ended;		/* nothing within the bound is left to do */
	bool complete;		/* every trace was seen */
	bool found;
	char what[1024];	/* the finding */
	const u32 *schedule;	/* that leads to it; of static storage */
	u32 nr_schedule;
	u32 preemptions;
};

/* @program must call search_begin(). The result is of static storage, valid until the next search. */
const struct search_result *search(const struct search_options *options, void (*program)(void *arg), void *arg);

/* The program, in a thread, nothing else being ready. */
void search_begin(void);
void search_end(void);
/* sim_options.fail of the program. */
void search_fail(void *context, const char *what);

#endif /* EXPLORE_SEARCH_H */
