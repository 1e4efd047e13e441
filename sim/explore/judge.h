/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Judging a script by the oracle: every request of a script, whatever the script itself expects of it, is told to
 * an oracle (sim/oracle.h), every read is compared with it (I1, I2, I7), every error with what the script has done to deserve it (I6); at the
 * end everything is read back, and the store is checked offline (I5).
 */
#ifndef EXPLORE_JUDGE_H
#define EXPLORE_JUDGE_H

#include "script.h"

/* The hooks of a script that is judged; a mistake is a sim_fail(). */
extern const struct script_hooks judge_hooks;

/* Before the script; and when it has come to its end, in a thread, devices still there. */
void judge_start(void);
void judge_end(void);
/* After the world: frees what judge_start() made. */
void judge_stop(void);

#endif /* EXPLORE_JUDGE_H */
