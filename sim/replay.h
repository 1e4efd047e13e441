/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Replay: a list of requests through the real core, with rolling snapshots, everything verified.
 *
 * replay_load.c turns a trace into requests of one address space, replay.c issues them, replay_snaps.c makes and deletes
 * snapshots, replay_verify.c reads everything back, replay_report.c says what came out. bench uses the same engine with
 * requests that it makes up itself.
 */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "histogram.h"
#include "oracle.h"
#include "sim.h"
#include "trace.h"

/* ---- requests ---- */

enum replay_op {
	REPLAY_READ,
	REPLAY_WRITE,
	REPLAY_FLUSH,
	REPLAY_DISCARD,
	REPLAY_WRITE_ZEROES,
	REPLAY_NR_OPS,
};

extern const char *const replay_op_names[REPLAY_NR_OPS];

struct replay_request {
	u64 time_ns;
	sector_t sector;
	u64 sectors;	/* 0: flush */
	u64 position;	/* in the trace, for messages */
	u32 device;	/* address space in the trace */
	u8 op;		/* enum replay_op */
	u8 flags;	/* TRACE_FUA, TRACE_PREFLUSH, ... */
};

/* Where requests come from. next(): 1, 0 at the end, -1 with a message printed. */
struct replay_source {
	int (*next)(struct replay_source *source, struct replay_request *request);
	int (*rewind)(struct replay_source *source);
};

/* What a look at all requests says. */
struct replay_extent {
	u64 requests[REPLAY_NR_OPS];
	u64 bytes[REPLAY_NR_OPS];
	u64 unaligned;		/* rounded outward to blocks */
	u64 with_fua, with_preflush;
	u64 duration_ns;
	u64 nr_devices;
	sector_t end;		/* of the largest request, devices side by side */
	u64 total;
};

/* ---- one trace ---- */

struct replay_trace;

struct replay_trace_options {
	const char *const *files;
	unsigned int nr_files;
	const char *format, *time_unit, *offset_unit;
	bool force;
	double max_bad;
	unsigned int block_size;/* logical, in bytes, to which requests are rounded outward; 0: 512 */
};

/* Reads the trace once. NULL, with a message printed, when it cannot be read. */
struct replay_trace *replay_trace_open(const struct replay_trace_options *options);
void replay_trace_close(struct replay_trace *t);
struct replay_source *replay_trace_source(struct replay_trace *t);
const struct replay_extent *replay_trace_extent(const struct replay_trace *t);
const struct trace_stats *replay_trace_stats(const struct replay_trace *t);
struct trace *replay_trace_raw(const struct replay_trace *t);

/* ---- one run ---- */

/* A write to a snapshot (snapshot_writes) has at most so many sectors. */
#define REPLAY_PRIVATE_SECTORS 2048u

enum replay_past_end {
	PAST_END_REFUSE,	/* as the kernel does: not issued, counted */
	PAST_END_WRAP,		/* modulo the size of the origin */
};

struct replay_rolling {
	u64 every_requests, every_ns;	/* one of them, or neither: no snapshots */
	u64 keep;			/* 0: all */
};

struct replay_options {
	const char *store;		/* store type */
	const char *store_args;		/* "4 cache-threshold 100 cache-limit 200", or NULL: none */
	sector_t chunk;
	sector_t origin_sectors;
	sector_t store_sectors;		/* 0: sized by the requests */
	unsigned int block_size;
	enum disk_model model;
	bool preserve_on_error;
	bool timed;
	u64 seed;
	enum sim_strategy strategy;
	unsigned int depth;
	struct replay_rolling snapshots;
	u64 subsnap_every, subsnap_keep;/* counted in snapshots; 0: none */
	u64 initial_snapshots;		/* created back to back before the first request */
	u64 snapshot_reads, snapshot_writes; /* one after every so many requests; 0: none */
	bool verify;			/* reads and full read-back */
	u64 verify_every;		/* full read-back after so many requests; 0: at the end only */
	bool verify_deleted;		/* read snapshots back in full before they are deleted, not in part */
	bool races;			/* issue overlapping requests without waiting */
	bool fit;			/* the smallest store is searched: a result has it, or that run failed */
	bool settle;			/* settle at the end, before the counts are taken */
	bool progress;
	enum replay_past_end past_end;
	const char *save_store, *save_origin;
	const char *reproducer;
	const char *trace_name;		/* for messages */
	bool log;			/* the kernel log to stderr */
	bool quiet;			/* no message about a full store */
	/* for bench */
	const char *table;		/* instead of the multisnapshot's; no snapshots then */
	const char *module;		/* that this table needs */
	bool no_status;			/* ask for no status while it is counted: that costs something for each snapshot */
	bool settle_before;		/* settle between the initial snapshots and the first request */
	void (*phase)(void *context, bool begin); /* around what is counted */
	void *phase_context;
};

struct replay_sample {
	u64 requests, time_ns, allocated, metadata, snapshots; /* sizes in sectors */
};

#define REPLAY_SAMPLES 64

struct replay_result {
	/* what was asked of it */
	u64 requests[REPLAY_NR_OPS];
	u64 sectors[REPLAY_NR_OPS];
	u64 past_end, past_end_wrapped;
	u64 total;
	u64 snapshots_made, snapshots_deleted, subsnaps_made, snapshots_live, snapshots_peak;
	u64 snapshot_reads, snapshot_writes;
	/* what it did */
	struct sim_counts sim;
	struct disk_counts origin, store;	/* without formatting and read-back */
	struct disk_counts format;		/* of the store: before the first request */
	u64 copied_chunks;			/* destinations of copies */
	u64 copied_sectors;
	u64 direct_chunk_writes_sectors;	/* data written to store chunks without a copy */
	u64 metadata_sectors;			/* written */
	u64 records;				/* commits: writes with PREFLUSH and FUA, not to the superblock */
	struct histogram group_sizes;		/* chunks copied between two records */
	struct histogram latency[REPLAY_NR_OPS];/* simulated ns, per bio */
	u64 duration_ns;			/* simulated, to the end of the last request */
	/* space, in sectors */
	sector_t origin_sectors, store_sectors, chunk;
	sector_t fit;			/* the smallest store that does, if that was searched and found */
	u64 allocated, metadata, allocated_peak, metadata_peak;
	u64 allocated_start, metadata_start;	/* before the first request */
	struct replay_sample samples[REPLAY_SAMPLES];
	unsigned int nr_samples;
	u64 sample_every;
	/* memory, in bytes */
	u64 memory_peak;			/* core and store */
	u64 oracle_bytes;
	/* judgement */
	u64 verified_sectors, mismatches, failed, read_backs;
	int error;				/* of the target at the end: 0 or -errno */
	u64 error_at;				/* requests issued by then */
	/* processor time of this program; never printed by replay */
	u64 cpu_replay_ns, cpu_readback_ns;
};

/* 0: ran to the end (see mismatches, failed); -1: could not be set up, message printed. */
int replay_run(struct replay_source *source, const struct replay_extent *extent,
	       const struct replay_options *options, struct replay_result *result);

/* The smallest store for the same run, to 1 MiB or 0.5 %; @known is the result with a store that was large enough. */
sector_t replay_fit(struct replay_source *source, const struct replay_extent *extent,
		    const struct replay_options *options, const struct replay_result *known);

/* ---- report ---- */

/* Results side by side, one for each chunk size. @stats: of the trace, or NULL. */
void replay_report(FILE *out, const char *name, const char *format, const struct replay_extent *extent,
		   const struct trace_stats *stats, const struct replay_options *options,
		   const struct replay_result *results, unsigned int nr);
/* 0 or -1 (cannot be written). */
int replay_report_json(FILE *out, const char *name, const char *format,
		       const struct replay_extent *extent, const struct trace_stats *stats,
		       const struct replay_options *options, const struct replay_result *results,
		       unsigned int nr);
/* "1.5 GiB", "12 KiB"; into @buf, returned. */
char *replay_size_text(char *buf, size_t size, u64 bytes);
char *replay_duration_text(char *buf, size_t size, u64 ns);

#endif /* SIM_REPLAY_H */
