/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which orders of the events of a life (crash/life.h) matter to a power cut.
 *
 * A power cut after some events is judged by what the disks may hold then, and by what users may find then. Some events can only add
 * findings: a write that a disk is given may survive; what a user was told of has to be there. They *grow*. Others can only take
 * findings away: a flush that has ended leaves less that may be lost; a deletion that has begun allows more. They *shrink*. Where each pair of
 * one that grows and one that shrinks has an order, cuts of one run of events are enough: whatever a cut of another run with
 * the same orders could find, is found after the last event that grows, of those before that cut.
 *
 * What an event means for later ones is an order, too: whether a flush was issued after a write had ended, whether a write began after
 * another one of the same sector had ended, whether a request was before, in or after the creation of a snapshot.
 *
 * So events touch objects, as steps do (shim/user/explore.h), and two that touch nothing in conflict may be exchanged.
 */
#ifndef EXPLORE_LIVES_H
#define EXPLORE_LIVES_H

#include "explore.h"
#include "life.h"
#include "script.h"

enum life_object {
	LIFE_MOMENT,		/* what grows, and what shrinks */
	LIFE_FORK_BEGINS,	/* creations; and requests that have ended */
	LIFE_FORK_ENDS,		/* creations; and requests that begin */
	LIFE_USER_FLUSH,	/* of a device: flushes that begin; and writes that have ended */
	LIFE_USER_SECTOR,	/* of a sector: writes that begin; and that have ended */
	LIFE_DISK_FLUSH,	/* the same of disks; one object each */
	LIFE_DISK_SECTOR = LIFE_DISK_FLUSH + CRASH_DISKS,
	LIFE_OBJECTS = LIFE_DISK_SECTOR + CRASH_DISKS,
};

/* Of a script: no two of its writes write the same, nor zeroes. Then what a write brings cannot have been there before it began. */
bool lives_are_fresh(const struct script_command *script);

/* All that event @number touches. @fresh: lives_are_fresh(). */
void life_touches(const struct life *life, u32 number, bool fresh,
		  void (*touch)(void *context, enum life_object object, u32 part, enum sim_access kind), void *context);

/* A hash of the life; the same for lives that differ only in orders that do not matter. */
u64 life_class(const struct life *life, bool fresh);

#endif /* EXPLORE_LIVES_H */
