/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lives of a script: `crash` ends one without any orderly shutdown, the next begins with what
 * the disks had.
 *
 * A world cannot be thrown away half-way in its process (threads sit in the middle of things),
 * but a process can: each life is a child process. At a crash it writes the disks' contents, the
 * devices' tables and the place in the script to a file in memory, and exits; its parent starts
 * the next life, which reads them. A script without `crash` has one life, in the process itself.
 */
#ifndef SIM_SCRIPT_LIFE_H
#define SIM_SCRIPT_LIFE_H

#include "script.h"

/* In script_run.c: one life, from @first on. An exit code. */
int script_run_life(const struct script_options *options, const struct script_command *first);

/* At the beginning of a life, in a thread: sets up the disks as the life before left them. 0 or -1. */
int script_life_resume(void);

#endif /* SIM_SCRIPT_LIFE_H */
