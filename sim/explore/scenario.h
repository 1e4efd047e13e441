/* SPDX-License-Identifier: GPL-2.0 */
/* A script as a program to be searched: each `parallel` block under every schedule, judged by the oracle. */
#ifndef EXPLORE_SCENARIO_H
#define EXPLORE_SCENARIO_H

#include "script.h"

struct scenario {
	const char *file;
	const struct script_command *script;
};

/* For search(), with a struct scenario. */
void scenario_run(void *scenario);
/* Those of its largest `parallel` block; 0: there is nothing to search. */
u32 scenario_threads(const struct script_command *script);

#endif /* EXPLORE_SCENARIO_H */
