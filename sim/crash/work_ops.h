/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of bounded workloads, and the tables on which they work.
 *
 * An operation is lines of a script. In them stand $F for the next number to be written, $K for the number of the
 * operation, $O, $P and $N for the oldest snapshot, one in the middle, and the newest, $M for the master of a sub-snapshot to be, $T for
 * the origin target's table and $Y for the same with sync-snapshots, which creates one more.
 */
#ifndef SIM_CRASH_WORK_OPS_H
#define SIM_CRASH_WORK_OPS_H

#include "shim.h"

enum work_effect {
	NO_EFFECT,
	CREATES,
	CREATES_SUB,
	DELETES_OLDEST,
	DELETES_NEWEST,
	REPLACES,	/* creates one, deletes the oldest */
	FORMATS,	/* then there is one */
};

struct work_op {
	const char *name;
	u32 variants;	/* bit i: it is an operation of variant i */
	u32 needs;	/* so many snapshots */
	enum work_effect effect;
	const char *text;
};

struct work_variant {
	const char *name;
	u32 sectors;		/* of the origin */
	const char *store;	/* of the disk, behind its name */
	const char *arguments[2]; /* of the table: number and list of generic ones; the store's */
	u32 nr_arguments;
	u32 snapshots;		/* that are there at first: 1 to 3 */
	const char *begin;	/* what comes first, after the snapshots were created; may be NULL */
	const char *end;	/* what ends it all */
	u32 longest;		/* sequence */
	bool waits;		/* operation $K runs in the background, as a$K */
};

extern const struct work_variant work_variants[];
extern const u32 nr_work_variants;
extern const struct work_op work_ops[];
extern const u32 nr_work_ops;

#endif /* SIM_CRASH_WORK_OPS_H */
