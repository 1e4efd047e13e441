/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Judging a script by the oracle: every request of a script, whatever the script itself expects of it, is told to
 * an oracle (sim/oracle.h), every read is compared with it (I1, I2, I7), every error with what the script has done to deserve it (I6); at the
 * end everything is read back, and the store is checked offline (I4, I5).
 *
 * What a script expects of its commands stays its own business. Where the outcome depends on who is first, a script says no more than
 * `may-fail`, and the judge knows which errors may be.
 *
 * Lax, each time as narrowly as can be: sim/judge/judge_int.h says where.
 */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "script.h"

/*
 * The hooks of a script that is judged; a mistake is a sim_fail(). They have no context. Who wants to know of parallel blocks, too,
 * calls judge_hooks.parallel() outside of what he explores: before his exploration begins, and after its end.
 */
extern const struct script_hooks judge_hooks;

/* Before the script. */
void judge_start(void);
/*
 * When it has come to its end, in a thread, devices still there: ends faults and holds, resumes what is suspended, waits for background
 * work, compares everything. Leaves the devices as they are, but for these.
 */
void judge_end(void);
/* After the world: frees what judge_start() made. Also where the script did not come to its end. */
void judge_stop(void);

/* What has been judged since judge_start(): for tests that something was. */
struct judge_counts {
	u64 requests, reads;	/* of which: reads whose contents were compared */
	u64 errors;		/* that were allowed */
	u64 commands;
	u64 unknown;		/* requests of which nothing is known: not judged */
	u64 forks, read_back;	/* snapshots that came into being; devices compared at the end */
	u64 checks;		/* of stores, offline */
	u64 status_errors;	/* targets whose status has shown an error: known after judge_end() */
	u64 unasked;		/* targets that were removed, and nobody had asked what came of a failure */
};
const struct judge_counts *judge_counts(void);

#endif /* SIM_JUDGE_H */
