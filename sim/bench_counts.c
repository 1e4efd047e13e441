// SPDX-License-Identifier: GPL-2.0
/*
 * Benches that count bytes, flushes and memory; and "replay", the one that looks at the clock.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static double ratio(u64 a, u64 b)
{
	return b ? (double)a / (double)b : 0;
}

/* ---- metadata: random first writes under one snapshot ---- */

static void metadata_run(struct bench *b, u64 chunks, unsigned int depth, unsigned int block_size)
{
	struct bench_source s;
	struct replay_options o;
	const struct replay_result *r;

	bench_source_init(&s, BENCH_RANDOM_FIRST, b->chunk, chunks, chunks, b->seed);
	bench_options(b, &s, &o);
	o.depth = depth;
	o.block_size = block_size;
	r = bench_run(b, &s, &o);
	bench_row(b, "%llu random first writes of one chunk of %llu sectors each, all over the origin, 1 snapshot, %u in flight, %u-byte blocks, store arguments \"%s\"",
		  chunks, b->chunk, depth, block_size, o.store_args);
	bench_count(b, "chunks copied", r->copied_chunks);
	bench_count(b, "bytes copied", sectors_to_bytes(r->copied_sectors));
	bench_count(b, "metadata bytes written", sectors_to_bytes(r->metadata_sectors));
	bench_number(b, "metadata / data copied", 100 * ratio(r->metadata_sectors, r->copied_sectors), "%");
	bench_number(b, "metadata bytes written per exception",
		     ratio(sectors_to_bytes(r->metadata_sectors), r->copied_chunks), "B");
	bench_number(b, "metadata bytes on disk per exception",
		     ratio(sectors_to_bytes(r->metadata), r->copied_chunks), "B");
	bench_count(b, "writes with PREFLUSH and FUA (records)", r->records);
	bench_number(b, "chunks per record", histogram_mean(&r->group_sizes), "");
	bench_count(b, "flushes of the store device, all", r->store.flushes);
	bench_count(b, "writes to the store device, metadata", r->store.meta_writes);
	bench_count(b, "bytes of memory, core and store, peak", r->memory_peak);
}

int bench_metadata(struct bench *b)
{
	if (b->depth_given || b->block_size_given) {
		metadata_run(b, b->chunks, b->depth, b->block_size);
		return 0;
	}
	metadata_run(b, b->chunks, 32, 512);
	metadata_run(b, b->chunks, 1, 512);
	metadata_run(b, b->chunks, 32, 4096);
	return 0;
}

/* ---- snapshots: does the number of snapshots matter? ---- */

#define SNAPSHOT_CHUNKS 65536
#define SNAPSHOT_WRITES 100000

int bench_snapshots(struct bench *b)
{
	u64 first_bytes = 0, first_flushes = 0;

	for (u64 n = 1; n <= b->snapshots; n *= 10) {
		struct bench_source s;
		struct replay_options o;
		const struct replay_result *r;
		u64 bytes, flushes;

		bench_source_init(&s, BENCH_RANDOM, b->chunk, SNAPSHOT_CHUNKS, SNAPSHOT_WRITES, b->seed);
		bench_options(b, &s, &o);
		o.initial_snapshots = n;
		o.settle = true;
		r = bench_run(b, &s, &o);
		bytes = sectors_to_bytes(r->store.sectors_written);
		flushes = r->store.flushes;
		if (n == 1) {
			first_bytes = bytes;
			first_flushes = flushes;
		}
		bench_row(b, "%llu snapshots made back to back, then %d random writes over %d chunks, %u in flight, settled",
			  n, SNAPSHOT_WRITES, SNAPSHOT_CHUNKS, o.depth);
		bench_count(b, "chunks copied", r->copied_chunks);
		bench_count(b, "bytes written to the store", bytes);
		bench_count(b, "metadata bytes written", sectors_to_bytes(r->metadata_sectors));
		bench_count(b, "records", r->records);
		bench_count(b, "flushes of the store device", flushes);
		bench_number(b, "bytes against one snapshot", ratio(bytes, first_bytes), "x");
		bench_number(b, "flushes against one snapshot", ratio(flushes, first_flushes), "x");
	}
	return 0;
}

/* ---- create: the cost of making one more ---- */

#define CREATE_SAMPLE 10

static struct disk_counts create_counts(struct bench *b, u64 snapshots, u64 *memory)
{
	struct bench_source s;
	struct replay_options o;
	const struct replay_result *r;

	/* The snapshots are what "every" request makes; the requests themselves are few. */
	bench_source_init(&s, BENCH_RANDOM, b->chunk, 64, CREATE_SAMPLE + 1, b->seed);
	bench_options(b, &s, &o);
	o.store_sectors += snapshots * 16;
	o.initial_snapshots = snapshots;
	o.snapshots.every_requests = 1;
	o.depth = 1;
	r = bench_run(b, &s, &o);
	*memory = r->memory_peak;
	return r->store;
}

int bench_create(struct bench *b)
{
	for (u64 n = 1; n <= b->snapshots * 10; n *= 100) {
		u64 memory;
		struct disk_counts c = create_counts(b, n, &memory);

		bench_row(b, "%d snapshots made one by one, a write in between, when there are %llu", CREATE_SAMPLE, n);
		bench_number(b, "metadata bytes written for each",
			     ratio(sectors_to_bytes(c.meta_sectors_written), CREATE_SAMPLE), "B");
		bench_number(b, "metadata writes for each", ratio(c.meta_writes, CREATE_SAMPLE), "");
		bench_number(b, "flushes of the store device for each", ratio(c.flushes, CREATE_SAMPLE), "");
		bench_number(b, "bytes read from the store for each",
			     ratio(sectors_to_bytes(c.sectors_read), CREATE_SAMPLE), "B");
		bench_count(b, "bytes of memory, core and store, peak", memory);
	}
	return 0;
}

/* ---- memory: 16 TiB ---- */

#define MEMORY_ORIGIN_SECTORS (1ull << 35)

int bench_memory(struct bench *b)
{
	u64 chunks = MEMORY_ORIGIN_SECTORS / b->chunk, limit;
	struct bench_source s;
	struct replay_options o;
	const struct replay_result *r;

	if (!b->cache_limit)
		b->cache_limit = "65536";
	if (!parse_u64(b->cache_limit, &limit)) {
		sim_message("--cache-limit %s: not a number", b->cache_limit);
		return -1;
	}
	bench_source_init(&s, BENCH_RANDOM_FIRST, b->chunk, chunks, b->exceptions, b->seed);
	bench_options(b, &s, &o);
	r = bench_run(b, &s, &o);
	bench_row(b, "origin of 16 TiB, %llu random first writes of one chunk of %llu sectors, 1 snapshot, %u in flight, cache-limit %llu sectors",
		  b->exceptions, b->chunk, o.depth, limit);
	bench_count(b, "chunks copied", r->copied_chunks);
	bench_count(b, "bytes of memory, core and store, peak", r->memory_peak);
	bench_count(b, "of them the cache-limit", sectors_to_bytes(limit));
	bench_number(b, "the rest, less 64 B a snapshot",
		     ((double)r->memory_peak - (double)sectors_to_bytes(limit) - 64) / (1 << 20), "MiB");
	bench_number(b, "metadata bytes on disk per exception",
		     ratio(sectors_to_bytes(r->metadata), r->copied_chunks), "B");
	bench_number(b, "metadata / data copied", 100 * ratio(r->metadata_sectors, r->copied_sectors), "%");
	return 0;
}

/* ---- replay: requests a second, by the clock ---- */

static const struct replay_result *replay_once(struct bench *b, struct replay_trace *t, bool verify,
					       u64 every, u64 keep)
{
	static struct replay_result result;
	const struct replay_extent *e = replay_trace_extent(t);
	struct bench_source none;
	struct replay_options o;

	bench_source_init(&none, BENCH_RANDOM, b->chunk, 1, 1, b->seed);
	bench_options(b, &none, &o);
	o.origin_sectors = (e->end + 2047) & ~2047ull;
	o.store_sectors = o.origin_sectors * (keep ? keep + 2 : 4) + (1u << 20);
	o.initial_snapshots = 0;
	o.settle_before = false;
	o.snapshots.every_requests = every;
	o.snapshots.keep = keep;
	o.verify = verify;
	o.races = false;
	if (replay_run(replay_trace_source(t), e, &o, &result) || result.mismatches || result.failed ||
	    result.error)
		b->failed = true;
	return &result;
}

int bench_replay(struct bench *b)
{
	struct replay_trace_options to = { .files = b->traces, .nr_files = b->nr_traces };
	struct replay_trace *t;
	const struct replay_extent *e;

	if (!b->nr_traces) {
		bench_row(b, "no trace given (--trace FILE, once for each file)");
		return 0;
	}
	t = replay_trace_open(&to);
	if (!t)
		return -1;
	e = replay_trace_extent(t);
	for (unsigned int verify = 0; verify < 2; verify++) {
		u64 best = U64_MAX, best_all = U64_MAX, verified = 0;

		for (unsigned int i = 0; i < 5; i++) {
			const struct replay_result *r = replay_once(b, t, verify, 1000, 64);

			best = min(best, r->wall_replay_ns);
			best_all = min(best_all, r->wall_replay_ns + r->wall_readback_ns);
			verified = r->verified_sectors;
		}
		bench_row(b, "%llu requests of %s, chunks of %llu sectors, a snapshot after every 1000, keep 64, %u in flight, %s; the best of 5",
			  e->total, b->traces[0], b->chunk, b->depth,
			  verify ? "every read verified" : "not verified");
		bench_number(b, "requests per second of this machine", (double)e->total * 1e9 / (double)best, "/s");
		if (!verify)
			continue;
		bench_number(b, "with the read-back of everything at the end",
			     (double)e->total * 1e9 / (double)best_all, "/s");
		bench_count(b, "sectors verified", verified);
	}
	replay_trace_close(t);
	return 0;
}
