/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The steps that dmsetup takes, in two ways: by the ioctls, and by running the program dmsetup.
 *
 * All return 0 or -errno, may wait, and are called without the player's lock.
 */
#ifndef PLAY_DM_H
#define PLAY_DM_H

#include "play.h"

struct dm_state {
	unsigned int major, minor;
	bool suspended;
	u32 event_nr;
};

struct dm_way {
	int (*create)(const char *name);
	int (*remove)(const char *name);
	int (*clear)(const char *name);
	int (*resume)(const char *name);
	int (*suspend)(const char *name, unsigned int flags); /* DMCTL_* */
	int (*load)(const char *name, const char *table);
	int (*message)(const char *name, sector_t sector, const char *message);
	/* "START LENGTH TYPE TEXT", a line for each target; *text is the caller's to free. */
	int (*status)(const char *name, bool table, char **text);
	int (*state)(const char *name, struct dm_state *state);
};

extern const struct dm_way dm_by_ioctl, dm_by_dmsetup;
/* The one in use. Set once, by main(). */
extern const struct dm_way *dm_way;

#endif /* PLAY_DM_H */
