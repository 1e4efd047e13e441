/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The choices on the way to where the search is, and what is still to be done at each: partial-order reduction.
 *
 * A node is a choice: of the process that takes the next step, or of a value (sim_choose()), all of which are tried.
 */
#ifndef EXPLORE_NODES_H
#define EXPLORE_NODES_H

#include "grow.h"
#include "trace.h"

/* A process that need not be tried, and what its next step touches. */
struct sleeper {
	u32 process;
	struct touch *touches;
	u32 nr;
};

struct node {
	bool is_value;
	u32 step; /* that it begins, or is in the middle of */
	u32 race_mark;
	struct checkpoint *checkpoint; /* or NULL */
	/* a choice of the process */
	u32 process; /* chosen */
	u32 preemptions; /* up to here */
	GROWING(u32) ready;
	u32 own_store; /* ready: others see a store of the one that ran last; or 0 */
	GROWING(u32) todo;
	GROWING(struct sleeper) sleep;
	GROWING(struct sleeper) done; /* owns its touches */
	GROWING(struct touch) touched; /* by the chosen one, with other values of what is chosen in its step */
	/* a choice of a value */
	u32 value, nr_values;
};

/* No nodes. @preemptions: at most so many, or NO_LIMIT. */
void nodes_start(u64 preemptions);
/* Whose step comes before the first node. */
void nodes_first_process(u32 process);
u32 nodes_count(void);
struct node *node_at(u32 i);
void nodes_truncate(u32 nr);
/* Branches that were not taken because of the bound. */
u64 nodes_cut(void);

/* At the end of the trace. Who is ready; what sleeps there. @reduce: the search goes by what is to be done. */
struct node *node_add(const struct sim_step *ready, u32 n, struct checkpoint *checkpoint, bool reduce);
struct node *node_add_value(u32 n);
/* False: all who are ready sleep. */
bool node_first_choice(const struct node *node, u32 *process);
void node_choose(struct node *node, u32 process);
bool node_is_ready(const struct node *node, u32 process);
/* The last step is the one that node @i begins. */
void node_begins_step(u32 i);
u32 node_of_step(u32 step);

/* The other order of the two steps has to be seen, too. */
void nodes_reverse(const struct race *race);
/* The deepest node that has something to do takes its next choice; those after it are gone. False: there is none. */
bool nodes_next(void);

#endif /* EXPLORE_NODES_H */
