/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the judge: what it knows about the devices of a script.
 *
 *   judge.c         the hooks, devices by name, tables
 *   judge_io.c      requests: contents and errors
 *   judge_dm.c      steps of dmsetup: what they begin and end
 *   judge_snaps.c   snapshots: from the message to the deletion
 *   judge_status.c  what the status says, compared; errors that only a status can excuse
 *   judge_end.c     the end: everything read back, the offline check
 *
 * What happens at the same time. A request, a command is seen at its begin and at its end. Requests to a snapshot that is being deleted, or
 * whose origin target is being removed, at any time in between, may fail. A snapshot has its master's contents of some moment between the begin
 * and the end of the suspend (or removal) that creates it; writes in flight then may be in it or not: the oracle's
 * forks. A suspend creates what was prepared when it began, and what a message asks for that is under way at the same time: perhaps.
 *
 * The status of a target tells the rest: which ids are given, what was created, the machinery's errors. It is asked for after each command -
 * but not inside of a parallel block, where the question itself would be one more process in the way of the others. There what
 * only the status can decide is put off until the block has ended: errors without another excuse, and which of several snapshots
 * that were asked for has which id.
 *
 * Of what the order of two steps means for the judgement, explorers are told (sim_touch()): see struct judge_contents and struct judge_moments.
 *
 * Where the judge is lax:
 * - contents of the origin disk that are no tags of their own place when its target is first loaded; a disk that was resized: contents, or
 *   errors, of that target are not judged (unknown, anything);
 * - a write below a loaded target, or to the origin below snapshots: their contents are not known any more (device NULL); a write
 *   to a store that nobody has loaded: what the next load shows is believed;
 * - snapshots that a store has when it is first seen; several created by several suspends at once; by sync-snapshots inside of a block;
 * - an error inside of a parallel block is excused by an error that the status shows after the block, if before its end a disk or an
 *   allocation had failed at all, or the store is full;
 * - two writes with the same fill= to the same sector are the same contents;
 * - errors of commands of dm's own (EBUSY, EINVAL, ENXIO) while another command is under way.
 */
#ifndef SIM_JUDGE_INT_H
#define SIM_JUDGE_INT_H

#include "explore.h"
#include "judge.h"
#include "oracle.h"
#include "status.h"

/*
 * Objects to touch, for two requests of the same blocks: of two writes, of a write and a read it matters whether one ends before the
 * other begins; of two reads nothing.
 */
struct judge_contents {
	u8 after_writes;	/* what begins, and writes that end */
	u8 after_reads;		/* writes that begin, and reads that end */
};

/*
 * For an event and the requests that it meets: it matters whether a request ends before the event begins, or begins after its end.
 * Requests among each other do not matter.
 */
struct judge_moments {
	u8 begins;		/* of events, and ends of requests */
	u8 ends;		/* of events, and begins of requests */
};

enum judge_state {
	JUDGE_ASKED,		/* by a message; not in being */
	JUDGE_CREATED,		/* its suspend has ended: the status has not been seen since */
	JUDGE_LIVE,
	JUDGE_DOUBTFUL,		/* an error came between: the next load shows whether it is there */
	JUDGE_GONE,
};

struct judge_command;

struct judge_snapshot {
	struct judge_snapshot *next;
	struct judge_target *target;
	snapid_t id;			/* SNAPID_ORIGIN: not known yet */
	struct judge_snapshot *master;	/* NULL: the origin */
	enum judge_state state;
	bool asking;			/* the message is under way */
	bool clear;			/* no other command can have made anything of the message but this */
	bool windowed;			/* a suspend came after it, or at the same time */
	bool certain;			/* that suspend must have created it */
	bool orphan;			/* that suspend must not: its master was deleted before */
	bool forking;			/* the oracle's fork has begun and not ended */
	const struct judge_command *consumer; /* the suspend that creates it for certain */
	struct oracle_device *device;	/* NULL: its contents are not known */
	unsigned int doomed;		/* deletions under way, or failed */
	u32 answered;			/* the life in which its deletion has succeeded */
	struct judge_moments deletes, forks;
	struct judge_contents contents;
};

/* An error that only the status can excuse, once it may be asked for. */
struct judge_late {
	struct judge_late *next;
	bool origin_write;		/* excused with preserve-on-error only */
	bool struck;			/* a disk had failed by then */
	char text[];
};

/* An origin: of one disk, whatever target is loaded for it. */
struct judge_target {
	struct judge_target *next;
	char origin[WORLD_NAME_MAX], store[WORLD_NAME_MAX]; /* disks */
	char device[WORLD_NAME_MAX];	/* of dm */
	char type[32];
	char *table;			/* the last one loaded, without sync-snapshots */
	sector_t sectors;		/* its length */
	unsigned int chunk;
	bool preserve;
	bool loaded;
	u32 life;			/* loads so far */
	struct oracle *oracle;
	struct judge_snapshot *snapshots;
	snapid_t last_guess;		/* ids of forks whose id is not known */

	bool unknown;			/* contents: not judged */
	bool anything;			/* errors: any is allowed */
	bool believe;			/* the next status: ids that it has, or has not */
	bool sync;			/* and they are as sync-snapshots makes them */
	int error;			/* last seen in the status of this life */
	int error_before;		/* in that of lives before, given up or not */
	bool ended_badly;		/* something failed when it was last removed: nobody could ask */
	bool good;			/* a status without an error was seen: the store has been formatted */
	u64 faults_at_load;
	unsigned int suspends;		/* commands under way by which snapshots are created */
	unsigned int creates;		/* messages */
	unsigned int removals;
	struct judge_late *late;
	struct judge_moments removal, forks;
	struct judge_contents contents;
};

enum judge_table_kind {
	JUDGE_NO_TABLE,
	JUDGE_ORIGIN,
	JUDGE_SNAPSHOT,
	JUDGE_OTHER,
};

struct judge_table {
	enum judge_table_kind kind;
	struct judge_target *target;
	sector_t sectors;
	/* JUDGE_ORIGIN */
	bool sync;
	u64 faults;			/* of the disks when it was loaded */
	/* JUDGE_SNAPSHOT */
	struct judge_snapshot *snapshot; /* NULL: not known */
	u32 life;			/* of the target; it works in no other */
};

/* A device of dm, by name. */
struct judge_device {
	struct judge_device *next;
	char name[WORLD_NAME_MAX];
	struct judge_table active, pending;
	u8 touched;			/* its table: read by requests */
};

struct judge_request {
	struct judge_request *next;
	const struct script_command *command;
	struct judge_target *target;
	struct judge_snapshot *snapshot; /* NULL: the origin, or not known */
	bool of_snapshot;
	bool below;			/* of the origin disk itself */
	enum oracle_op op;
	bool flush;
	sector_t sector;
	u32 sectors;
	const tag_t *tags;
	bool told;			/* io is in flight */
	bool blind;			/* contents became unknown meanwhile */
	bool must_fail;			/* EIO is due: known when it began */
	bool excused;			/* EIO may be */
	bool refused;			/* beyond the end, not in whole blocks: fails, or not */
	u64 faults, origin_faults;	/* of all, and of the origin's disk, when it began */
	struct oracle_io io;
};

enum judge_command_kind {
	JUDGE_STEP,			/* of dm's own */
	JUDGE_LOAD,			/* a table, made active or not */
	JUDGE_SUSPEND,
	JUDGE_REMOVE,
	JUDGE_CREATE,			/* message: create, create_subsnap */
	JUDGE_DELETE,
	JUDGE_SETTLE,
	JUDGE_NONSENSE,			/* any other message */
};

struct judge_command {
	struct judge_command *next;
	const struct script_command *command;
	enum judge_command_kind kind;
	struct judge_device *device;	/* NULL: there is none */
	struct judge_target *target;	/* of its active table; or NULL */
	struct judge_snapshot *snapshot; /* asked for, deleted */
	bool crowded;			/* another command was under way */
	bool no_such;			/* the snapshot that it names is not there for certain */
	bool suspends;			/* counted in target->suspends */
	u64 faults;
};

extern struct judge {
	bool on;
	struct judge_target *targets;
	struct judge_device *devices;
	struct judge_request *requests;
	struct judge_command *commands;
	unsigned int blocks;		/* parallel ones, under way */
	u64 changes;			/* commands begun and ended */
	u8 touched;			/* begins and ends of commands */
	u8 point;
	struct judge_counts counts;
} judge;

/* judge.c */
void *judge_alloc(size_t size);
/* A finding; @c (or NULL) is the command that shows it. */
void judge_found(const struct script_command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
struct judge_device *judge_device(const char *name); /* or NULL */
struct judge_target *judge_target_of_disk(const char *origin); /* or NULL */
/* Requests that a disk has refused so far; those of all disks, and allocations that have failed. */
u64 judge_disk_faults(const char *disk);
u64 judge_faults(void);
bool judge_resized(const struct judge_target *t);
/* The step of the caller ends: what begins now is one of its own. */
void judge_step(const char *what);
void judge_touch(const void *object, u32 part, enum sim_access kind);
void judge_event_begins(struct judge_moments *m);
void judge_event_ends(struct judge_moments *m);

/* judge_io.c */
u64 judge_io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors,
		   const tag_t *tags);
void judge_io_end(void *context, u64 begun, int error);
/* What may fail from now on: requests of that snapshot; NULL: of all of them. */
void judge_excuse(struct judge_target *t, struct judge_snapshot *s);
void judge_blind(struct judge_snapshot *s);

/* judge_dm.c */
u64 judge_ctl_begin(void *context, const struct script_command *c);
void judge_ctl_end(void *context, u64 begun, int error);

/* judge_snaps.c */
struct judge_snapshot *judge_snapshot_add(struct judge_target *t, struct judge_snapshot *master);
/* One that is there, or may be. NULL: none. */
struct judge_snapshot *judge_snapshot_find(struct judge_target *t, snapid_t id);
/* It has that id. */
void judge_snapshot_name(struct judge_snapshot *s, snapid_t id);
void judge_snapshot_kill(struct judge_snapshot *s);
/* Its contents are not judged any more. */
void judge_snapshot_forget(struct judge_snapshot *s);
/* It is a snapshot of the origin, or of one that is there for certain. */
bool judge_has_master(const struct judge_snapshot *s);
void judge_windows_open(struct judge_target *t);
void judge_window_close(struct judge_snapshot *s);
void judge_window_cancel(struct judge_snapshot *s);
void judge_suspend_begins(struct judge_command *cmd);
void judge_suspend_ends(struct judge_command *cmd, int error);
void judge_create_begins(struct judge_command *cmd, snapid_t master);
void judge_create_ends(struct judge_command *cmd, int error);
void judge_delete_begins(struct judge_command *cmd, snapid_t id);
void judge_delete_ends(struct judge_command *cmd, int error);

/* judge_status.c */
/* Asks, and compares with what must be. False: no target is loaded. Not inside of a block. */
bool judge_ask(struct judge_target *t, struct target_status *st);
/* Inside of a block, too: what was there before, or gone. */
void judge_glance(struct judge_target *t);
/* An error of @c (of I/O or of a command) that nothing but the machinery's error can excuse. */
void judge_put_off(struct judge_target *t, const struct script_command *c, bool origin_write,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif /* SIM_JUDGE_INT_H */
