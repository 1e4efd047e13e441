/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The offline check of a mikulas store: every structure of stores/mikulas/FORMAT.md, from an image
 * file, a block device or a simulated disk.
 *
 * It is written from FORMAT.md alone and shares nothing with the store: where the two disagree,
 * one of them (or the document) is wrong. It only reads. Any byte of an image may be anything: the
 * work and the memory are bounded by what is in the image.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include <stdbool.h>
#include <stdio.h>

#include "disk.h"

/* ---- where the bytes come from ---- */

struct check_source {
	const char *name; /* for messages */
	u64 sectors;
	/* Whole sectors inside the device; 0 or -errno. */
	int (*read)(void *context, u64 sector, u32 sectors, void *buffer);
	void *context;
};

/* An image file or a block device; 0 or -errno. @path must outlive the source. */
int check_source_open(struct check_source *source, const char *path);
void check_source_close(struct check_source *source);
/* A simulated disk: immediate, outside of simulated time and faults. Nothing to close. */
void check_source_disk(struct check_source *source, const char *name, struct disk *disk);

/* ---- what was found ---- */

enum check_result {
	CHECK_CLEAN = 0,
	CHECK_DAMAGED = 1, /* findings; or marked invalid by itself: summary.error */
	CHECK_IMPOSSIBLE = 2, /* not a store, not known, not readable: reason says which */
};

/* Areas, for struct check_finding. */
#define CHECK_SUPERBLOCK "superblock"
#define CHECK_LOG "log"
#define CHECK_TREE "tree"
#define CHECK_DATA_MAP "data map"
#define CHECK_META_MAP "metadata map"
#define CHECK_AFTER_LOG "after the log"

#define CHECK_NOWHERE (~0ULL)

struct check_finding {
	const char *area; /* one of the above */
	u64 sector; /* of the structure on the store device, or CHECK_NOWHERE */
	char *place; /* "block 17 (sector 136), entry 3": empty where the area says it all */
	const char *field; /* as FORMAT.md calls it, or what was violated in a word or two */
	char *what; /* value, and what is expected */
	const char *advice; /* what to do, or NULL */
};

struct check_summary {
	bool formatted; /* the superblock was understood: the rest means something */
	u32 mount, error;
	u64 chunk_sectors, block_sectors, origin_sectors, device_sectors;
	u64 log_blocks, meta_blocks, data_chunks, max_entries;
	/* of the checkpoint */
	u64 ckpt, ckpt_seq, ckpt_exceptions, ckpt_snapshots;
	u32 depth;
	u64 tree_blocks;
	/* the log behind it */
	u64 records, record_sectors, ops, changes;
	/* after the log */
	bool replayed; /* the rest is known */
	u64 exceptions, garbage, snapshots;
	u32 reclaim;
	u64 cursor_chunk, cursor_from;
	u64 next_first;
};

struct check_report {
	/* set by the caller (zeroes are fine) */
	size_t max_findings; /* keep at most so many; 0: CHECK_MAX_FINDINGS */

	enum check_result result;
	char reason[160]; /* for CHECK_IMPOSSIBLE, or what was left out because of findings */
	u64 nr_errors; /* all, kept or not */
	size_t nr_findings;
	struct check_finding *findings;
	struct check_summary summary;
};

#define CHECK_MAX_FINDINGS 1000

/* Fills @report; returns report->result. */
int check_store(const struct check_source *source, struct check_report *report);
void check_report_free(struct check_report *report);

/* One line per finding, then "NAME: clean", "NAME: N errors", ... */
void check_print(const struct check_report *report, const char *name, FILE *out);
void check_print_summary(const struct check_report *report, FILE *out);
int check_print_json(const struct check_report *report, const char *name,
		     FILE *out); /* 0 or -errno */

/* "7", "7.0"; of static storage, good for the next three calls too. */
const char *check_snapid(u64 id);

/*
 * For the harness: the disk of that name in the world (world.h). Prints findings and the last line
 * to @out (NULL: nothing); the result as above.
 */
int check_disk(const char *disk_name, FILE *out);

#endif /* SIM_CHECK_H */
