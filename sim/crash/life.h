/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One life of the disks, from power on to power off, as a list of events: what both disks were asked for and when it
 * ended, what users of the devices did, and what the administrator did.
 *
 * The number of an event, from 1, is the moment right after it. life_hooks and life_disk_event() record.
 */
#ifndef SIM_CRASH_LIFE_H
#define SIM_CRASH_LIFE_H

#include "image.h"
#include "script.h"
#include "status.h"

enum life_kind {
	LIFE_DISK_ISSUE,
	LIFE_DISK_END,
	LIFE_IO_ISSUE,	/* on the origin target or a snapshot device */
	LIFE_IO_END,
	LIFE_CTL_BEGIN,	/* dmsetup on the origin target */
	LIFE_CTL_END,
	LIFE_WIPE,	/* somebody wrote to the store while no target was loaded */
	LIFE_LOOK,	/* somebody asked for the status */
};

enum life_op {
	LIFE_WRITE,
	LIFE_DISCARD,
	LIFE_FLUSH,	/* without data */
};

#define LIFE_FUA 1
#define LIFE_PREFLUSH 2
#define LIFE_META 8	/* metadata, as the store says */
#define LIFE_SYNC 4	/* CTL_BEGIN: loads a table with sync-snapshots, which creates and deletes */
#define LIFE_CREATES 16	/* CTL_BEGIN: may create snapshots, as far as its words tell */
#define LIFE_DELETES 32	/* the same for deleting */

#define LIFE_NOT_ASKED U32_MAX	/* as a state */

struct life_event {
	u8 kind, op, flags;	/* flags of a request are LIFE_FUA, LIFE_PREFLUSH, LIFE_META */
	u8 disk;		/* of DISK events */
	u32 issue;		/* END: number of the event it ends */
	snapid_t id;		/* of IO events; SNAPID_ORIGIN is the origin target */
	sector_t sector;
	u32 sectors;
	u32 contents;		/* LIFE_WRITE issue: index of the first in life->contents */
	s32 error;		/* END: 0 or -errno */
	u32 state;		/* CTL_*, IO_END, LOOK: index in life->states of the target after it; or LIFE_NOT_ASKED */
	u32 line;		/* CTL_BEGIN, IO_ISSUE: of the script, 0: none */
};

/* What the status of the origin target said. */
struct life_state {
	bool loaded;		/* else nothing else means anything */
	s32 error;
	snapid_t prepared;	/* SNAPID_ORIGIN: none */
	u32 nr_ids, ids;	/* the first in life->ids, ascending */
};

struct life {
	struct life_event *event;
	u32 nr, max;
	content_t *contents;
	u32 nr_contents, max_contents;
	struct life_state *states;
	u32 nr_states, max_states;
	u64 answers;				/* to questions for the status */
	snapid_t *ids;
	u32 nr_ids, max_ids;
	char *table;				/* of the origin target */
	sector_t snapshot_sectors;		/* the longest table of a snapshot */
	char device[WORLD_NAME_MAX];		/* its name */
	bool off;				/* nothing is recorded */
	bool blind;				/* nobody asks for the status: the question would be one more process */
	bool reloads;				/* a table was loaded in place of another */
	void (*told)(const struct life *life, u32 number); /* is told of each event; or NULL */
	u32 unmarked;				/* the event before the store refused the mark of section 6; 0: never */
	/* Names of snapshot devices. */
	struct life_device {
		char name[WORLD_NAME_MAX];
		snapid_t id;
	} *devices;
	u32 nr_devices;
	/* Issues in flight on each disk: id of the disk's log to event. */
	struct life_flight {
		u64 id;
		u32 event;
	} *flights[CRASH_DISKS];
	u32 nr_flights[CRASH_DISKS], max_flights[CRASH_DISKS];
	char disk_name[CRASH_DISKS][WORLD_NAME_MAX];
	char problem[256];			/* what this engine cannot do; empty: none */
};

void life_init(struct life *life);
void life_exit(struct life *life);

/* To be called by the write log of a disk. */
void life_disk_event(struct life *life, u32 disk, const struct disk_log_event *ev);
/* A line of the kernel log. */
void life_log(struct life *life, const char *line);
/* Hooks for an executor of scripts, with the life as their context. */
extern const struct script_hooks life_hooks;
/* Before the script is played: which target it is about. False: it has none, or more than one. */
bool life_find_target(struct life *life, const struct script_command *script);

/* The same without a script. What begins is given to its end: the number of its event, 0 while nothing is recorded. */
u32 life_io_issue(struct life *life, snapid_t id, blk_opf_t opf, sector_t sector, u32 sectors,
		  const tag_t *tags, u32 line);
void life_io_end(struct life *life, u32 issue, int error);
u32 life_ctl_begin(struct life *life, u32 line);
void life_ctl_end(struct life *life, u32 begin, int error);
/* Ask for the status: an event. */
void life_look(struct life *life);

/* A life piece by piece: an event of zeroes, room for contents, what a status said (NULL: nothing is loaded). */
struct life_event *life_add_event(struct life *life, enum life_kind kind);
content_t *life_add_contents(struct life *life, u32 nr, u32 *first);
u32 life_add_state(struct life *life, const struct target_status *st);

static inline const struct life_event *life_at(const struct life *life, u32 number)
{
	return &life->event[number - 1];
}

/* The status of an origin target, in a thread. False: there is none that is loaded. */
bool life_status(const char *device, struct target_status *st);

#endif /* SIM_CRASH_LIFE_H */
