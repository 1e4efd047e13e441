/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside a walk: walk.c goes through the events of a life, search.c through the states of the disks at one moment.
 */
#ifndef SIM_CRASH_WALK_H
#define SIM_CRASH_WALK_H

#include "crash.h"

#define PREFLUSH_MAX 8		/* writes with PREFLUSH on both disks, in flight at once or failed since a flush */
#define LEAVES_KEPT 256

enum policy {
	FIRST,		/* the first alternative: of a search of all */
	NEWEST,
	OLDEST,
	ORIGIN_NEWEST,	/* and of the store's sectors the oldest */
	STORE_NEWEST,
	ONE_NEW,	/* the k-th that is asked for is the newest, others the oldest */
	ONE_OLD,
	UNTIL,		/* what was issued up to k */
	RANDOM,
	GIVEN,		/* by the options; else the oldest */
};

struct decision {
	u32 number, option, nr;
};

/* A walk through one life. */
struct walk {
	struct crash *c;
	struct walk *up;
	u32 depth;
	const struct life *life;
	struct truth truth;
	u32 loaded;		/* moments before it are judged by the walk above */
	struct cells disk[CRASH_DISKS];
	struct preflush {
		u32 issue;
		u32 disk;
		u32 failed;	/* then; CELLS_PENDING: in flight */
	} preflush[PREFLUSH_MAX];
	u32 nr_preflush;

	struct decision *path;
	u32 nr_path, max_path, pos;
	enum policy policy;
	u32 policy_k;
	u64 random;

	u32 phase;		/* that is being tried */
	u64 hash;		/* of the image before the state was loaded */
	bool work, recut, read_errors; /* what the verdict said */
	struct leaf *leaves[LEAVES_KEPT]; /* leaves.c */
	u32 nr_leaves;
	bool leaves_complete;	/* every state that is possible is one of them */
	u32 first_choice;	/* those before are of the walk above */
	bool was_complete;	/* no samples */
	bool covered;		/* whatever the event before could leave was judged */
	/* Then, of the states that this write brings, only those with some of it are tried; 0: all states. */
	u32 fresh, fresh_sectors;
};

/* walk.c */
/* Loads and judges the state that the decisions make; w->path has those made. */
void walk_try(struct walk *w, u32 phase);
/* Sets of writes with PREFLUSH that have got past their flush, and the disks in one of them. */
u32 walk_phases(const struct walk *w);
void walk_begin_phase(struct walk *w, u32 phase);

/* leaves.c */
/* Of the state that was judged just now: what was read. */
struct leaf *leaf_begin(const struct walk *w);
/* And what was found; owns both. Contents above @contents are about to be forgotten. */
void leaf_keep(struct walk *w, struct leaf *leaf, struct seen *seen, u32 contents);
void leaves_drop(struct walk *w);
/* Before a write of these sectors is one of their versions. */
void leaves_before_write(struct walk *w, u32 disk, sector_t sector, u32 sectors);
/* All that are still possible. */
void leaves_judge(struct walk *w, const struct truth *truth);

/* search.c */
/* The state that was asked for at this depth; NULL: all of them. */
const struct crash_cut *given_cut(const struct walk *w);
/* image->decide */
u32 search_decide(void *context, u32 number);
/* One more decision, which is not made. */
void search_note(struct walk *w, u32 number, u32 option);
/* Takes the decisions of the state back. */
void search_undecide(struct walk *w);
/* Does something else with the state; decisions that this makes are not of the search. */
void search_aside(struct walk *w, void (*fn)(struct crash *c, const struct truth *truth),
		  const struct truth *truth);
/* All states of the phase. False: there are more than the bound, which were tried. */
bool search_all(struct walk *w, u32 phase);
void search_samples(struct walk *w, u32 phase);
/* The one that was asked for. */
void search_given(struct walk *w, u32 phase);

#endif /* SIM_CRASH_WALK_H */
