/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Data races: two accesses of core/ or stores/ to the same memory by different processes, one of them a write, not both
 * atomic, and neither before the other by what the code has done to order them (locks, wake-ups, queued work, acquire and release). A finding
 * in every schedule that has the two accesses, even where they happen far apart.
 *
 * race.c answers the calls that the compiler has put in front of every access (-fsanitize=thread). Atomic and volatile accesses are
 * no races, but steps of their own: they call sim_point().
 *
 * Memory that was freed is not to be touched by anybody, until it is allocated again; and a free that is not after an access by
 * another process is a race like a write, found without the two coming in the wrong order.
 *
 * The state (who has seen what, who touched what last) is outside of the memory that is rewound, with a log to undo it.
 */
#ifndef EXPLORE_RACE_H
#define EXPLORE_RACE_H

#include "shim.h"

/* Forgets everything: an exploration begins. Nothing is watched before, nor after race_stop(); then the other functions do nothing. */
void race_start(void);
void race_stop(void);
/* Where steps are only repeated that have been watched already: nothing is recorded. */
void race_pause(bool pause);
/* The state now; and back to it, which must be a mark of this run that lies before. */
u32 race_mark(void);
void race_back(u32 mark);

/* A step of @process begins. It is after everything that process has done, and that those who enabled it had done until then. */
void race_step(u32 process);
void race_enables(u32 process);
/* What comes next, of whomever, is after everything before. */
void race_idle(void);
/* What is released into an object adds to what others have released there. */
void race_acquire(const void *object);
void race_release(const void *object);
void race_allocated(const void *start, size_t size);
void race_freed(const void *start, size_t size);

/* " at PLACE" of a return address' low half, or "". */
const char *race_place(u32 site, char *buf, size_t size);

/* The driver's, for people: places in the program ("multisnap-explore+0x1234") become FILE:LINE, where addr2line is there. */
void race_resolve(char *line, size_t size);

#endif /* EXPLORE_RACE_H */
