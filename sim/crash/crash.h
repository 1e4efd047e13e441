/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The crash engine: what a power cut can leave, at every moment of a recorded life, is loaded, read and judged.
 *
 *   content.c, image.c   contents of sectors by number; both disks, with undecided sectors
 *   cells.c              the crash model: what a sector may hold
 *   life.c               a life of the disks, recorded
 *   truth.c, truth_when.c  what may be found; when snapshots exist
 *   walk.c, search.c     through a life; at each moment through all states of the disks
 *   leaves.c             what was found, judged again at later moments
 *   damage.c             writes that are lost or misplaced, reads that fail
 *   judge.c              one state: load, read, compare, go on working
 *   unit.c               one workload from its script to its counts
 *   work_*.c             makes workloads
 *   shrink*.c, story.c   a finding made small, and told
 *   campaign.c           many workloads, in processes
 *
 * docs/crash.md says what the words mean and what is promised.
 */
#ifndef SIM_CRASH_CRASH_H
#define SIM_CRASH_CRASH_H

#include "truth.h"

struct crash_decision {
	u32 disk;
	sector_t sector;
	u32 option, nr;
};

/* One state that a cut of the power leaves. */
struct crash_cut {
	u32 event;		/* after this one */
	u32 phase;		/* bit i: of the i-th write with PREFLUSH in flight, the flush was done */
	u32 nr_decisions;
	struct crash_decision *decisions;
};

/* cut.c */
extern const char *const crash_disk_names[CRASH_DISKS];
/* To be freed: decisions. Returns NULL, or where the text is wrong. */
const char *crash_cut_parse(struct crash_cut *cut, const char *text);
void crash_cut_print(const struct crash_cut *cut, FILE *out);

#define CRASH_DEPTH_MAX 4

struct crash_options {
	enum sim_strategy strategy;	/* of the life that is recorded */
	u64 seed;
	u32 bound;		/* states of the disks at one moment that are all tried; above it: samples */
	u32 samples;
	u32 depth;		/* power cuts one after the other */
	u32 work_share;		/* goes on working after 1 in so many recoveries; 0: never */
	u32 recut_share;	/* cuts the power again in 1 in so many of those */
	u32 read_share;		/* lets each read of 1 in so many recoveries fail; 0: of none */
	u32 damage_share;	/* loses and misplaces writes at 1 in so many moments; 0: never */
	/* Instead of a search: this state. The power goes at cuts[0], in the recovery from that at cuts[1], ... */
	const struct crash_cut *cuts;
	u32 nr_cuts;
	bool tell;		/* and prints the story */
	bool trace_log;
	bool events;		/* prints the events of the script's life */
};

/* Numbers that add up whatever is added first: what is too large stays the largest. */
#ifdef __SIZEOF_INT128__
typedef unsigned __int128 crash_many;
#else
typedef u64 crash_many;
#endif
#define CRASH_VERY_MANY (~(crash_many)0)
crash_many crash_add(crash_many a, crash_many b);
crash_many crash_multiply(crash_many a, u64 b);

struct crash_counts {
	u64 workloads, events;
	u64 points;		/* moments at which the power was cut */
	u64 complete, sampled;	/* of them: all states tried, or some */
	u64 left_out;		/* moments of a log at which it was not */
	u64 states;		/* of the disks that were loaded and judged */
	u64 images;		/* of them, different ones (within their workload) */
	u64 outcomes;		/* different contents that were found (within their workload) */
	u64 worked;		/* recoveries after which work went on */
	u64 recut;		/* and of which the power was cut again */
	u64 read_errors;	/* reads of recoveries that failed */
	u64 partners;		/* tables that do not fit the store, and were refused */
	u64 damaged;		/* states with a write that was lost or misplaced */
	u64 detected, harmless, undetectable; /* of them */
	crash_many covered;	/* survivor sets that the states stand for: sectors that nobody decided multiply them */
};
void crash_counts_add(struct crash_counts *to, const struct crash_counts *n);
void crash_counts_print(const struct crash_counts *n, FILE *out);
/* At which moments all states were judged. */
void crash_coverage_print(const struct crash_counts *n, FILE *out);

enum crash_kind {
	FOUND_BY_CUT,
	FOUND_IN_SCRIPT,	/* its own life breaks the rules of the simulated kernel */
	FOUND_BY_READ,		/* that fails in a recovery */
	FOUND_BY_DAMAGE,
};

struct crash_finding {
	bool found;
	enum crash_kind kind;
	bool worked;		/* after the last cut, and some work */
	char what[1024];
	char moment[256];	/* the event after which the power was cut first; empty: it was not */
	u32 line;		/* of the script, the last that had begun; 0: nobody knows */
	u32 nr_cuts;
	struct crash_cut cuts[CRASH_DEPTH_MAX];
};

/* A set of hashes. */
struct hash_set {
	u64 *slot;
	u64 nr, size;
};
bool hash_set_add(struct hash_set *set, u64 hash); /* true: it was not there */
void hash_set_exit(struct hash_set *set);

/* What is judged: one pair of disks and its target. */
struct crash {
	const struct crash_options *options;
	struct image im;
	struct life *recording;		/* of what happens now; or NULL */
	char disk_name[CRASH_DISKS][WORLD_NAME_MAX];
	unsigned int block_size[CRASH_DISKS];
	char device[WORLD_NAME_MAX];
	char *table;
	sector_t snapshot_sectors;	/* to be read of each */
	u32 first;			/* the power is cut after this event and later ones */
	u8 *points;			/* of them, by number, only where this is not 0; NULL: after all */
	bool share;			/* of a life that another unit counts */
	struct hash_set images, outcomes;
	struct crash_counts counts;
	struct walk *walk;		/* the innermost */
	u32 cuts_tried;			/* of the options */
	char cut_error[160];		/* what is wrong with one of them; or empty */
	bool working;			/* after a recovery */
	enum crash_kind doing;
	struct crash_finding finding;
};

/* walk.c */
/* In a thread: all moments of @life, which began with the disks as they are in the image. */
void walk_life(struct crash *c, const struct life *life);
/* What was found in the state that is being judged: judged. True: go on working. */
bool walk_verdict(struct crash *c, const struct seen *seen);
/* Ends the walk and the thread: there is something to tell. */
void walk_found(struct crash *c, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
/* Where it was found: fills c->finding. */
void walk_where(struct crash *c, const char *what);
/* A hash of the state that is being judged. */
u64 walk_class(const struct crash *c);

/* damage.c */
/* In a thread: writes that were lost or misplaced, at some moments of the life. Leaves the image as the life does. */
void damage_life(struct crash *c, const struct life *life);
/* In a thread: the state in the image, with each read of its recovery failing once. */
void damage_reads(struct crash *c, const struct truth *truth);

/* judge.c */
/*
 * In a thread: loads the target from the image, reads everything into @seen, has it judged by walk_verdict(), and perhaps
 * goes on working. All of that is recorded in @life. Leaves nothing loaded; what was written stays in the image.
 */
void judge_state(struct crash *c, struct seen *seen, struct life *life);
void seen_free(struct seen *seen);
/* Its steps. Load: 0 or what seen->load_error is. */
int judge_load(struct crash *c, struct seen *seen);
void judge_look(struct crash *c, struct seen *seen);
/* Of the offline check; false: @what it has found. */
bool judge_clean(struct crash *c, char *what, size_t size);

/* story.c */
/* What users were told until @event of the life, what was on its way, and what survived. */
void crash_story_print(const struct crash *c, const struct life *life, u32 event,
		       const struct crash_cut *cut, FILE *out);
/* One event, in a line. */
void life_print(const struct life *life, const struct image *im, u32 number, char *buf, size_t size);

/* unit.c */
struct crash_unit {
	char name[256];			/* of the workload, for messages */
	char *text;			/* its script */
	const struct script_command *script; /* in place of that; or NULL */
	/* In place of life_hooks, which they call; their context is the struct life. Or NULL. */
	const struct script_hooks *hooks;
	/* Above the disks that are recorded; or NULL. */
	struct disk *(*disk_top)(void *context, const char *name, struct disk *top);
	u32 first_line;			/* the power is cut from here on; 0: from the start */
	bool keep_going;		/* its commands may fail */
	enum sim_strategy strategy;
	u64 seed;
	/* In place of a script: makes the life; in @c names, sizes, points. False: it is not to be judged, error may say why. */
	bool (*record)(struct crash_unit *unit, struct crash *c, struct life *life);
	/* Is shown the life of the script. False: the same. */
	bool (*recorded)(struct crash_unit *unit, struct crash *c, struct life *life);
	void *context;		/* of both */
	/* results */
	struct crash_counts counts;
	struct crash_finding finding;
	char error[512];		/* not empty: it could not be judged at all */
};
/*
 * Records the script's life and judges all of it. One at a time in a process; after a finding the process is good for
 * nothing else.
 */
void crash_unit_run(const struct crash_options *options, struct crash_unit *unit);
void crash_finding_free(struct crash_finding *finding);

/* shrink.c */
/*
 * Makes the unit that has a finding as small as it can; the unit becomes that. *options: those with which it is found
 * again.
 */
void crash_shrink(struct crash_options *options, struct crash_unit *unit);
/*
 * Operations are what users and the administrator do once the target is loaded: a snapshot is created by one, and what
 * only says when things happen is none.
 */
void crash_script_size(const char *text, u32 *lines, u32 *operations);

/* campaign.c */
struct crash_campaign {
	u64 nr;
	/* Makes the @index-th; what it allocates is freed by the caller. */
	void (*unit)(void *context, u64 index, struct crash_unit *unit);
	void *context;
	unsigned int workers;
};
/*
 * All of them, in processes. The totals do not depend on the number of workers. Stops at findings: *found is the
 * first workload that has one (or cannot be judged), in the order of their numbers; U64_MAX: none. Else *counts has only
 * the states of the workloads before it.
 */
void crash_campaign_run(const struct crash_options *options, const struct crash_campaign *campaign,
			struct crash_counts *counts, u64 *found);
/* One workload in a process of its own, so that there can be more after a finding. */
void crash_unit_apart(const struct crash_options *options, struct crash_unit *unit);

#endif /* SIM_CRASH_CRASH_H */
