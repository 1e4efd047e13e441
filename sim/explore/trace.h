/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The schedule that is being run: its steps, what each has touched, and which step happens before which.
 *
 * Step a happens before step b when it comes first and both are of one process, or touch something in conflict, or a has made b's process
 * ready, or nothing was ready in between; and so on transitively. Schedules with the same steps and the same order among those in conflict are
 * one *trace* (Mazurkiewicz): nobody can tell them apart.
 *
 * Steps are numbered from 0. "The steps before b that happen before it" is a set of bits.
 */
#ifndef EXPLORE_TRACE_H
#define EXPLORE_TRACE_H

#include "explore.h"

#define STEP_NONE U32_MAX

struct touch {
	u32 object; /* a number for each (object, part) */
	u8 kind;    /* enum sim_access */
};

struct step {
	u32 process;
	u32 previous; /* of the same process, or STEP_NONE */
	u32 first_touch, nr_touches;
	u32 words; /* the index of its set in the store of sets */
	struct sim_step does;
};

/* An order that could be turned round: step @first is in conflict with @second, and nothing between them decides that it comes first. */
struct race {
	u32 first, second;
};

void trace_init(void);
/* Begins with no steps. */
void trace_start(void);
/* Steps from @nr on are forgotten. The next step to be added is number @nr. */
void trace_truncate(u32 nr);
u32 trace_length(void);

const struct step *trace_step(u32 nr);
const struct touch *trace_touches(u32 nr, u32 *n);

/* What the last step has touched or brought about. */
void trace_begin_step(const struct sim_step *does);
void trace_touch(const void *object, u32 part, enum sim_access kind);
void trace_enables(u32 process);
void trace_idle(void);
/* The last step has ended: its place in the order; the races in which it is the second. Valid until the next call. */
const struct race *trace_end_step(u32 *nr_races);

/*
 * Of the steps after @race->first that do not happen after it, up to and including @race->second: which could be the
 * very first? Their processes; valid until the next call.
 */
const u32 *trace_initials(const struct race *race, u32 *n);

bool touches_conflict(const struct touch *a, u32 nr_a, const struct touch *b, u32 nr_b);

#endif /* EXPLORE_TRACE_H */
