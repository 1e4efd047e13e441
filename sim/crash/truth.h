/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What may be found after a power cut (I3, I4, I7), and while the power is on (I1, I2), from what the users of the
 * devices and the administrator were told. It knows nothing of what the disks were asked for.
 *
 * The origin and each snapshot are devices with a volatile cache (cells.h): what was flushed is there, of what was
 * not flushed each sector is old or new. A snapshot begins with exactly what its master had when it was created, and
 * keeps it whether anybody flushed or not. It exists for certain from the end of the command that created it to the
 * beginning of the one that deletes it; while one of them runs it exists or it does not.
 */
#ifndef SIM_CRASH_TRUTH_H
#define SIM_CRASH_TRUTH_H

#include "cells.h"
#include "life.h"

/* What was read of one device. */
struct seen_device {
	snapid_t id;		/* SNAPID_ORIGIN: the origin */
	int error;		/* of a read; then contents say nothing */
	sector_t sectors;
	content_t *contents;	/* of each */
};

/* What was found. */
struct seen {
	int load_error;		/* 0, or why the target could not be loaded */
	char reason[128];
	struct target_status status;
	struct seen_device origin;
	struct seen_device snapshots[TARGET_IDS]; /* of status.ids */
};

struct truth_snapshot {
	snapid_t id;
	/* Moments: exists perhaps from coming, surely from live, perhaps from going, surely not from gone. */
	u32 coming, live, going, gone;
	bool begun;		/* cells are in use */
	struct cells cells;
};

struct truth {
	const struct life *life;
	const struct image *im;	/* for choices in what was seen */
	struct cells origin;
	sector_t snapshot_sectors; /* of a snapshot device: at least those of the origin */
	struct truth_snapshot *snapshots;
	u32 nr_snapshots;
	u32 now;		/* events that were told */
	u32 first_load;		/* before this moment nothing can be loaded; CELLS_PENDING: never */
	struct truth_span {
		u32 from, until;
	} *wild;		/* tables with sync-snapshots were being loaded: any snapshot may exist */
	u32 nr_wild;
	u32 excused;		/* from this moment on errors are no finding: something failed before */
};

/* The origin begins as @im has it. */
void truth_init(struct truth *t, const struct life *life, const struct image *im, sector_t snapshot_sectors);
/* The same for a life that begins with a recovery that found @seen. */
void truth_init_seen(struct truth *t, const struct life *life, const struct image *im,
		     sector_t snapshot_sectors, const struct seen *seen);
void truth_exit(struct truth *t);

/* truth_when.c */
/* One pass over the life: coming and going of snapshots, the first load, the first error. */
void truth_find_moments(struct truth *t);
/* It exists perhaps from event @coming and surely from @live on, to the end of the life. */
struct truth_snapshot *truth_add_snapshot(struct truth *t, snapid_t id, u32 coming, u32 live);
/* After such an event the status is asked for. */
static inline bool truth_is_seen(const struct life_event *e)
{
	return e->kind == LIFE_IO_END || e->kind == LIFE_CTL_BEGIN || e->kind == LIFE_CTL_END || e->kind == LIFE_LOOK;
}

/* The next event of the life. */
void truth_step(struct truth *t);

enum truth_when {
	TRUTH_CUT,	/* found after a power cut now */
	TRUTH_ON,	/* found now */
};

/* True: all is as it may be. Else @what says what is not. */
bool truth_judge(const struct truth *t, enum truth_when when, const struct seen *seen, char *what, size_t size);

/* "zeroes", "write 7 of sector 3", "either of: ..." for messages. */
void content_print(const struct image *im, content_t c, char *buf, size_t size);
/* story.c: "log record 3", "superblock, checkpoint 2", "other data (...)" */
void story_literal(const u8 *bytes, tag_t tag, char *buf, size_t size);

#endif /* SIM_CRASH_TRUTH_H */
