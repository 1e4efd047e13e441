/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A schedule as a picture: one line for each step, one column for each thread and for each disk, whose interrupts they are; what
 * the harness has to say (requests that begin and end, what was read) under the step in which it happened.
 */
#ifndef EXPLORE_STORY_H
#define EXPLORE_STORY_H

#include <stdio.h>

#include "explore.h"

void story_start(bool tell);
bool story_is_told(void);
void story_step(const struct sim_step *step);
/* In the step that runs. Nothing where no story is told. */
void story_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void story_print(FILE *out);

#endif /* EXPLORE_STORY_H */
