/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The oracle: what every sector of the origin and of every snapshot must read as (I1, I2, I7).
 *
 * Contents are tags (disk.h): the sector @s written by write number @no reads tag_make(no, s). The oracle is told
 * when a request is issued and when it ended; between the two a sector may be old or new. It keeps
 * the lineage: a snapshot is a fork of its master at the moment of its creation, kept as a delta.
 *
 * What a sector may read as:
 * - the value of the last completed write; of all writes that overlapped each other in time, any;
 * - while a write is in flight: also its value; a read that was in flight together with a write: old or new;
 * - after a write that ended with an error: old or new, until it is written again;
 * - after write-zeroes: zero; after a discard: what it was, or zero;
 * - in a snapshot: the master's value at the fork; of writes to the master in flight while the fork was
 *   made (oracle_fork_begin() to oracle_fork_end()), old or new.
 * A read that shows which of several values a sector holds, with nothing in flight there, settles it.
 *
 * Nothing in here is about simulated threads: calls are plain and return at once. One caller at a time.
 * Sectors never written read as zero, or as oracle_preset() said.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "disk.h"
#include "units.h"

struct oracle;
struct oracle_device; /* the origin or one snapshot */

enum oracle_op {
	ORACLE_READ,
	ORACLE_WRITE,
	ORACLE_ZERO,	/* write-zeroes */
	ORACLE_DISCARD,
};

/* One request in flight; the caller's memory, from begin to end. Fields are the oracle's. */
struct oracle_io {
	struct oracle_device *device;
	sector_t sector;
	u32 sectors;
	enum oracle_op op;
	u32 write_no;
	u32 index;			/* among those in flight */
	u64 begun;			/* serial number of the beginning */
	bool raced;			/* overlaps, or overlapped, a write in flight */
	bool watched;			/* a write: a read that overlaps was in flight */
	struct oracle_alternative *extra; /* of a read that raced: values it may have seen */
	u32 nr_extra, max_extra;
};

#define ORACLE_MAX_ALLOWED 16
struct oracle_mismatch {
	snapid_t id;			/* SNAPID_ORIGIN: the origin */
	sector_t sector;
	tag_t got;
	tag_t allowed[ORACLE_MAX_ALLOWED];
	unsigned int nr_allowed;	/* may exceed the array */
};

/* The origin of @sectors (at most 2^36). Does not fail but for lack of memory, which aborts. */
struct oracle *oracle_create(sector_t sectors);
void oracle_destroy(struct oracle *o);
sector_t oracle_sectors(const struct oracle *o);

/* A device by id; SNAPID_ORIGIN is the origin. NULL: no such snapshot. */
struct oracle_device *oracle_device(struct oracle *o, snapid_t id);
snapid_t oracle_device_id(const struct oracle_device *device);
struct oracle_device *oracle_device_master(const struct oracle_device *device); /* NULL for the origin; NULL also if it was deleted */
/* Live snapshots: the first with id >= @id in order of ids, else SNAPID_ORIGIN. */
snapid_t oracle_next_id(const struct oracle *o, snapid_t id);
u64 oracle_nr_snapshots(const struct oracle *o);
/* Live snapshots by age: the newest, the next older one, ... then NULL. Sub-snapshots among them. */
struct oracle_device *oracle_newest(const struct oracle *o);
struct oracle_device *oracle_older(const struct oracle_device *device);

/* The next write number (1, 2, ...; begins anew after TAG_WRITE_MAX - 1), and what such a write writes. */
u32 oracle_write_no(struct oracle *o);
static inline void oracle_fill(u32 write_no, sector_t sector, u32 sectors, tag_t *tags)
{
	for (u32 i = 0; i < sectors; i++)
		tags[i] = tag_make(write_no, sector + i);
}

/* Known content before anything is in flight, without lineage effects other than those of a write. */
void oracle_preset(struct oracle *o, sector_t sector, u64 sectors, u32 write_no);

/*
 * I/O. begin: just before submit_bio(); end: in bi_end_io (or later, before anything that was issued
 * because of it). @write_no only for ORACLE_WRITE. On success end returns 0 for writes; for reads 0 if each
 * of @tags may be what that sector holds, else 1 with the first mismatch in *@m.
 * With @error != 0 (and for a read that is not to be judged) @tags is ignored and 0 is returned.
 * Empty flushes are not told.
 */
void oracle_begin(struct oracle *o, struct oracle_io *io, struct oracle_device *device,
		  enum oracle_op op, sector_t sector, u32 sectors, u32 write_no);
int oracle_end(struct oracle *o, struct oracle_io *io, int error, const tag_t *tags,
	       struct oracle_mismatch *m);
u32 oracle_in_flight(const struct oracle *o);
/* Would such a request overlap one in flight, one of the two not being a read? */
bool oracle_would_race(const struct oracle *o, const struct oracle_device *device, enum oracle_op op,
		       sector_t sector, u64 sectors);

/*
 * A snapshot @id of @master comes into being between the two calls (around the suspend). When the suspend
 * failed, or the prepared snapshot was not created: oracle_fork_cancel(). One or several forks at a time.
 */
struct oracle_device *oracle_fork_begin(struct oracle *o, snapid_t id, struct oracle_device *master);
void oracle_fork_end(struct oracle *o, struct oracle_device *snapshot);
void oracle_fork_cancel(struct oracle *o, struct oracle_device *snapshot);

/* Another id, which none has: the one it was forked with was a guess. */
void oracle_rename(struct oracle *o, struct oracle_device *snapshot, snapid_t id);

/*
 * The snapshot is gone; @device is not used again, but for the end of what is in flight on it, whose reads
 * are still judged. Sub-snapshots stay.
 */
void oracle_delete(struct oracle *o, struct oracle_device *device);

/*
 * Which errors are allowed? The harness says what has happened to the machinery, the oracle answers. Contents
 * are judged whatever the state: a read that succeeds must be right.
 */
enum oracle_state {
	ORACLE_OK,		/* no I/O may fail */
	ORACLE_DROPPED,		/* snapshots given up: their I/O fails with EIO, the origin never */
	ORACLE_STOPPED,		/* preserve-on-error: origin writes and all snapshot I/O fail with EIO */
	ORACLE_UNSURE,		/* a fault was armed and may or may not have struck: EIO is allowed as in both */
};
void oracle_set_state(struct oracle *o, enum oracle_state state);
enum oracle_state oracle_state(const struct oracle *o);
/* May (op, device) end with @error now? 0 is not allowed for snapshot reads begun after DROPPED, STOPPED. */
bool oracle_error_allowed(const struct oracle *o, const struct oracle_device *device,
			  enum oracle_op op, int error);
/* Detached by delete, or its origin target removed: all I/O on it gives EIO from now on. */
void oracle_detach(struct oracle_device *device, bool detached);

/*
 * Full read-back, nothing in flight on that range: may @tags be the contents? 0, or 1 and *@m. Walk snapshots
 * from the newest to the oldest for the same range with one cursor: then K snapshots cost
 * O(K + versions) a page, not O(K^2). @cursor may be NULL.
 */
struct oracle_cursor;
struct oracle_cursor *oracle_cursor_create(struct oracle *o);
void oracle_cursor_destroy(struct oracle_cursor *cursor);
int oracle_check(struct oracle *o, struct oracle_cursor *cursor, struct oracle_device *device,
		 sector_t sector, u32 sectors, const tag_t *tags, struct oracle_mismatch *m);

/* The contents; where several values are possible, one of them. For judging by hand and for tests. */
void oracle_expected(struct oracle *o, struct oracle_device *device, sector_t sector, u32 sectors,
		     tag_t *tags);
bool oracle_allowed(struct oracle *o, struct oracle_device *device, sector_t sector, tag_t tag);

/*
 * The regions worth reading back: those ever written on any device, in order. Returns the first sector >= @sector in
 * such a region (64 sectors, aligned), *sectors up to the end of the run of such regions; or
 * U64_MAX. Regions never touched read as zero everywhere.
 */
sector_t oracle_next_region(struct oracle *o, sector_t sector, u64 *sectors);

/* One line without newline: device, sector, what was read (and whose it is, if any device holds it), what was allowed. */
int oracle_format(struct oracle *o, const struct oracle_mismatch *m, char *buf, size_t size);
/* Snapids in the text form of mikulas ("7", "7.1") instead of decimal. */
void oracle_set_print(struct oracle *o, int (*print)(char *buf, size_t size, snapid_t id));

u64 oracle_memory_bytes(const struct oracle *o);

#endif /* SIM_ORACLE_H */
