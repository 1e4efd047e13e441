/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench: counts of what the core and a store cost, each with its workload stated. Counts are of the simulation and
 * exact; only "replay" and "crash" look at the clock.
 */
#ifndef SIM_BENCH_H
#define SIM_BENCH_H

#include <jansson.h>

#include "replay.h"

struct bench {
	const char *store;
	sector_t chunk;
	unsigned int block_size, depth;
	bool chunk_given, chunks_given, depth_given, block_size_given;
	u64 chunks;			/* of the metadata bench */
	u64 snapshots;			/* most, of the snapshots and create benches */
	u64 exceptions;			/* of the memory bench */
	u64 seed;
	const char *const *traces;	/* files of one trace, for replay */
	unsigned int nr_traces;
	const char *cache_threshold, *cache_limit;
	const char *every;		/* of replay */
	json_t *json;			/* of the bench that runs; NULL: text */
	json_t *row;
	bool failed;			/* a count that must hold does not */
};

/* ---- output: rows of named values, one row for each workload ---- */

void bench_row(struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bench_count(struct bench *b, const char *name, u64 value);
void bench_number(struct bench *b, const char *name, double value, const char *unit);
void bench_text(struct bench *b, const char *name, const char *value);

/* ---- workloads ---- */

/* The writes under 1 to 10,000 snapshots, of which bytes, flushes and instructions are counted. */
#define BENCH_SNAPSHOT_CHUNKS 65536
#define BENCH_SNAPSHOT_WRITES 100000

enum bench_pattern {
	BENCH_RANDOM_FIRST,	/* each chunk once, in random order */
	BENCH_RANDOM,		/* any chunk, with repetition */
	BENCH_TWICE_THEN_READ,	/* each chunk once, once more, then read: three parts of equal length */
};

struct bench_source {
	struct replay_source source;
	struct replay_extent extent;
	enum bench_pattern pattern;
	u64 seed, chunks, writes, at;
	sector_t chunk;
	/* BENCH_TWICE_THEN_READ: called with 1, 2 before those parts, 3 at the end */
	void (*part)(void *context, unsigned int part);
	void *part_context;
};

void bench_source_init(struct bench_source *s, enum bench_pattern pattern, sector_t chunk, u64 chunks,
		       u64 writes, u64 seed);
/* Number @i of a permutation of 0 .. @n - 1. */
u64 bench_permute(u64 i, u64 n, u64 seed);

/* Options of a run over @s with the bench's own; the store is large enough. */
void bench_options(const struct bench *b, const struct bench_source *s, struct replay_options *o);
/* Runs it; false (and b->failed) when something failed in it. The result is static. */
const struct replay_result *bench_run(struct bench *b, struct bench_source *s,
				      const struct replay_options *o);

/* ---- the benches ---- */

int bench_metadata(struct bench *b);
int bench_snapshots(struct bench *b);
int bench_create(struct bench *b);
int bench_crash(struct bench *b);
int bench_memory(struct bench *b);
int bench_replay(struct bench *b);
int bench_instructions(struct bench *b);
int bench_passthrough(struct bench *b);

/* What runs under callgrind: "snapshots N", "create N", "target ms|linear PART". */
int bench_measured(struct bench *b, const char *what);

/* ---- callgrind's output ---- */

struct callgrind_cost {
	u64 total, core, stores; /* self cost: all, of files in core/, in stores/ */
};

/* 0, or -1 when it is not callgrind's. */
int callgrind_parse(FILE *in, struct callgrind_cost *cost);

#endif /* SIM_BENCH_H */
