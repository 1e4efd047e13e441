/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device with a volatile cache: which contents each of its sectors may have, now and after a power cut.
 *
 * The crash model (docs/crash.md) in one place, for the disks below as for the devices above: a disk's cells say what a
 * power cut may leave, a snapshot's cells say what may then be read. A write is one version of each of its sectors,
 * from its issue to its end. A version is *durable* when a flush that was issued after its end has ended, or when it
 * was a FUA write that has ended. It is *superseded* by a later one (issued after its end) that is durable, and as long as the power
 * stays on by a later one that has ended. What is not superseded is possible.
 *
 * Moments are numbers of events, from 1; 0 is before all of them.
 */
#ifndef SIM_CRASH_CELLS_H
#define SIM_CRASH_CELLS_H

#include "content.h"

#define CELLS_PENDING U32_MAX

struct cell_version {
	content_t content;
	u32 issued, ended;	/* CELLS_PENDING: in flight */
	bool durable;
	bool failed;		/* ended with an error: it may be there or not */
};

struct cell {
	content_t base;		/* before all versions */
	bool dirty;		/* on the list */
	u16 nr, max;
	struct cell_version *version;
};

struct cells {
	sector_t sectors;
	struct cell *cell;
	sector_t *dirty;	/* cells with versions */
	u32 nr_dirty, max_dirty;
	sector_t *settled;	/* cells that have a new base; emptied by whoever follows them */
	u32 nr_settled, max_settled;
};

void cells_init(struct cells *cells, sector_t sectors);	/* all zero */
void cells_exit(struct cells *cells);

/* Contents that @sector may have had before. More than one: nobody knows which. */
void cells_set_base(struct cells *cells, sector_t sector, const content_t *options, u32 nr);

/* A sector may be issued two versions by one write (a discard: zeroes, or anything). */
void cells_issue(struct cells *cells, u32 now, sector_t sector, content_t content);
/* The end of what was issued then. */
void cells_end(struct cells *cells, u32 now, u32 issued, sector_t sector, u32 sectors, bool fua,
	       bool failed);
/* A flush that was issued then has ended. */
void cells_flushed(struct cells *cells, u32 issued);

/* What to suppose on top of what is known. */
struct cells_suppose {
	bool power_on;		/* what may be read now, rather than after a power cut now */
	u32 flushed;		/* a flush issued then has ended; 0: none */
	const u32 *absent;	/* writes, by their issue, of which nothing was done */
	u32 nr_absent;
	u32 before;		/* with power_on: now, or at any time since then; 0: now */
};

/*
 * The possible contents of a sector, different ones, the oldest first, and when each was issued (@issued may be
 * NULL; 0: the base). Room for CELLS_MAX of them; a workload that needs more is refused.
 */
#define CELLS_MAX 256
u32 cells_options(const struct cells *cells, sector_t sector, const struct cells_suppose *suppose,
		  content_t options[CELLS_MAX], u32 issued[CELLS_MAX]);

#endif /* SIM_CRASH_CELLS_H */
