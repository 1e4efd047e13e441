/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Logs of dm-log-writes as lives, and lives as such logs (docs/crash-logs.md).
 *
 *   dmlog_read.c    the entries of a log, and the events that they stand for
 *   dmlog_marks.c   what the marks say: commands, statuses, I/O
 *   dmlog_build.c   a life put together from outside of a world
 *   dmlog_unit.c    a log judged: at which moments, and what is reported
 *   dmlog_write.c   a recorded life as a log
 *   dmlog_cmd.c     options of the command
 */
#ifndef SIM_CRASH_DMLOG_H
#define SIM_CRASH_DMLOG_H

#include <argp.h>

#include "crash.h"

/* In sectors of 512 bytes, whatever the log counts in. */
struct dmlog_part {
	sector_t start, sectors;
};

struct dmlog_options {
	const char *path;
	/* Where origin and store are on the logged device, and their table; no sectors, NULL: as marks of the log say. */
	struct dmlog_part part[CRASH_DISKS];
	const char *table;
	u64 points;		/* moments that are tried, about; 0: all */
};

struct dmlog_summary {
	u64 entries, writes, sectors, flushes, fua, discards, marks;
	u64 counted;		/* entries, as the superblock says */
	u64 unordered;		/* writes that may have come before or after an overlapping FUA write */
	u64 during_create;	/* writes to the origin while a snapshot was created, which may have them or not */
	unsigned int block_size;
};

struct dmlog_unit {
	struct dmlog_options options;
	u64 seed;		/* of the choice of moments */
	u32 share, shares;	/* of them */
	struct dmlog_summary summary;
};
/* Makes that the workload: lines, in messages, are the log's entries, from 1. */
void dmlog_unit(struct dmlog_unit *u, struct crash_unit *unit);

/* The command line, as a child of that of multisnap crash; its input is a struct dmlog_arguments. */
#define DMLOG_SHARES 8
struct dmlog_arguments {
	struct crash_options *crash;
	struct dmlog_options options;		/* path NULL: no log */
	const char *write_log;
	struct dmlog_unit shares[DMLOG_SHARES];
};
extern const struct argp dmlog_argp;
/* The workloads into which a log is divided. */
u64 dmlog_shares(const struct dmlog_arguments *a);
void dmlog_share(struct dmlog_arguments *a, u64 index, struct crash_unit *unit);
/* What is in the log. False: it cannot be read. */
bool dmlog_print(const struct dmlog_arguments *a, char *error, size_t size);
/* The options that name the log and what is in it. */
void dmlog_print_arguments(const struct dmlog_arguments *a, FILE *out);
/* The workload's life is written to a log, and not judged. */
void dmlog_write_unit(const char *path, struct crash_unit *unit);

/* Writes the life of a workload: origin, then store, on one device. False: *error says why not. */
bool dmlog_write(const char *path, const struct crash *c, const struct life *life, char *error, size_t size);

/* ---- between these files ---- */

/* Reads a log into a life that is empty. Fills in what the options leave open. */
bool dmlog_read(struct dmlog_options *options, struct life *life, struct dmlog_summary *summary, char *error,
		size_t size);

/* "START+COUNT" */
bool dmlog_parse_part(const char *text, struct dmlog_part *part);
/* An event; its number is life->nr. */
struct life_event *dmlog_add_event(struct life *life, enum life_kind kind);
/* @status: what follows the target's name in its status line, cut to pieces; empty: not loaded. */
bool dmlog_add_state(struct life *life, char *status);
/* The end of the event @issue of that kind. */
struct life_event *dmlog_add_end(struct life *life, enum life_kind kind, u32 issue);

/* What marks have said so far. */
struct dmlog_marks {
	struct life *life;
	struct dmlog_options *options;
	bool own_io;		/* what users do with the origin is told by marks, too */
	u64 writes;		/* to the origin, so far */
	u64 during_create;	/* of them, while a command ran after which there was another snapshot */
	struct dmlog_begun {
		u64 number;	/* that the marks use */
		u32 event;
		u64 writes;	/* before it */
	} *begun;
	u32 nr_begun, max_begun;
	char why[160];		/* of a mark that makes no sense */
};
/* Any mark, of multisnap or others; it is cut to pieces. False: see why. */
bool dmlog_mark(struct dmlog_marks *m, char *text, u32 entry);
void dmlog_marks_exit(struct dmlog_marks *m);

#endif /* SIM_CRASH_DMLOG_H */
