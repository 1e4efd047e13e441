/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside a replay run: what its parts share.
 *
 * One simulated thread (replay_thread() in replay.c) does everything; requests end in interrupts, which judge them, count, and
 * wake the thread when it waits for room.
 */
#ifndef SIM_REPLAY_INT_H
#define SIM_REPLAY_INT_H

#include "replay.h"

#define REPLAY_DEVICE "ms"
#define REPLAY_MAX_PRINTED 10	/* mismatches and failures, each; more are only counted */

/* Data in one bio: 256 pages, as many as a bio has room for; without data: what 32 bits of bytes can say. */
#define REPLAY_BIO_DATA_SECTORS REPLAY_PRIVATE_SECTORS
#define REPLAY_BIO_NO_DATA_SECTORS (UINT_MAX >> SECTOR_SHIFT & ~7u)

struct replay_snap {
	struct oracle_device *oracle;
	char text[24];		/* id as the target prints it */
	bool sub;
	bool open;		/* the multisnap-snap device exists */
	struct block_device *bdev;
};

/* One bio of ours. */
struct replay_bio {
	struct replay *r;
	struct replay_bio *next; /* free list */
	struct oracle_io oracle;
	tag_t *tags;
	u32 max_tags;
	u64 start_ns;
	u64 position;		/* of the request in the trace */
	int error;		/* of a read-back */
	u8 op;			/* enum replay_op */
	sector_t sector;
	bool snapshot;		/* to one of them, not to the origin */
	bool empty_flush;
	bool counted;		/* its latency is part of the report */
};

/* What reading back adds to. */
struct replay_reads {
	u64 ns, bios, origin, origin_sectors, store, store_sectors;
};

struct replay {
	const struct replay_options *options;
	const struct replay_extent *extent;
	struct replay_source *source;
	struct replay_result *result;
	struct oracle *oracle;
	struct oracle_cursor *cursor;
	struct oracle_device *origin;
	struct disk *origin_disk, *store_disk; /* top layers */
	struct block_device *bdev;
	int setup_error;

	struct replay_bio *free;
	u32 in_flight, wake_at;
	bool waiting;
	wait_queue_head_t wait;
	u64 rng;

	struct replay_snap *snaps;	/* live, the oldest first */
	u64 nr_snaps, max_snaps;
	u64 nr_first_level;		/* among them */
	u64 issued;			/* requests */
	u64 period_ns;			/* when the present period of every=TIME began */
	u64 last_write_sector, last_write_sectors;
	bool stopped_snapshots;		/* the target has an error: no more of them */

	u64 snapshot_failures, origin_failures; /* I/O that ended with an error */
	char first_failure[2][160];	/* of the origin's and of the snapshots', in words */
	u64 copies_at_record;		/* copied chunks when the last record was written */
	struct replay_reads paused, left_out; /* reading back, which does not count */
	char *status;
	size_t status_size;
};

/* The first fields of the status line. */
struct replay_status {
	int error;
	char prepared[24];
	u64 total, allocated, metadata, nr_snapshots;
};

/* replay.c */
void replay_wait(struct replay *r, u32 at_most_in_flight);
void replay_issue(struct replay *r, struct block_device *bdev, struct oracle_device *device, u8 op,
		  blk_opf_t flags, sector_t sector, u64 sectors, u64 position, bool counted);
struct replay_bio *replay_bio_get(struct replay *r, u32 sectors);
void replay_bio_put(struct replay_bio *b);
void replay_found(struct replay *r, const struct oracle_mismatch *m, u64 position, const char *when);
/* A bio ended with @error; whether rightly, is known at the end. @read_back: it was none of the trace's. */
void replay_failed(struct replay *r, const struct replay_bio *b, int error, bool read_back);
u32 replay_random(struct replay *r, u32 n);

/* replay_counts.c */
struct replay_counts {
	struct disk_counts origin, store;
	struct sim_counts sim;
};
void replay_counts_begin(struct replay *r, struct replay_counts *start);
void replay_counts_end(struct replay *r, const struct replay_counts *start);
/* Between the two the replay reads back for itself: its reads, and the time that they take, do not count. */
void replay_counts_pause(struct replay *r);
void replay_counts_go_on(struct replay *r);
/* The simulated clock, without those times. */
u64 replay_now_ns(const struct replay *r);
void replay_store_event(void *context, const struct disk_log_event *ev);

/* replay_snaps.c */
bool replay_status(struct replay *r, struct replay_status *status);
void replay_sample(struct replay *r);
void replay_create_snapshots(struct replay *r, u64 count);
/* Before a request: is it time for a snapshot? */
void replay_roll(struct replay *r, const struct replay_request *request);
struct block_device *replay_snap_open(struct replay *r, struct replay_snap *snap);
void replay_snaps_close(struct replay *r);

/* replay_verify.c */
void replay_read_back(struct replay *r);	/* the origin and all snapshots */
void replay_read_back_one(struct replay *r, struct replay_snap *snap);

#endif /* SIM_REPLAY_INT_H */
