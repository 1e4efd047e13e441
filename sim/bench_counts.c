// SPDX-License-Identifier: GPL-2.0
/*
 * Benches that count bytes, flushes and memory; and "replay", which measures (processor) time.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static double ratio(u64 a, u64 b)
{
	return b ? (double)a / (double)b : 0;
}

/* What formatting sets aside (log, maps) is there without any exception. */
static void bench_on_disk(struct bench *b, const struct replay_result *r)
{
	u64 grown = r->metadata > r->metadata_start ? r->metadata - r->metadata_start : 0;

	bench_count(b, "metadata bytes on disk, from the format on", sectors_to_bytes(r->metadata_start));
	bench_number(b, "metadata bytes on disk per exception, more",
		     ratio(sectors_to_bytes(grown), r->copied_chunks), "B");
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
	o.settle = true;
	r = bench_run(b, &s, &o);
	bench_row(b, "%llu random first writes of one chunk of %llu sectors each, all over the origin, then settled; 1 snapshot, %u in flight, %u-byte blocks, store arguments \"%s\"",
		  chunks, b->chunk, depth, block_size, o.store_args);
	bench_count(b, "chunks copied", r->copied_chunks);
	bench_count(b, "bytes copied", sectors_to_bytes(r->copied_sectors));
	bench_count(b, "metadata bytes written", sectors_to_bytes(r->metadata_sectors));
	bench_number(b, "metadata / data copied", 100 * ratio(r->metadata_sectors, r->copied_sectors), "%");
	bench_number(b, "metadata bytes written per exception",
		     ratio(sectors_to_bytes(r->metadata_sectors), r->copied_chunks), "B");
	bench_on_disk(b, r);
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

int bench_snapshots(struct bench *b)
{
	u64 first_bytes = 0, first_flushes = 0;

	for (u64 n = 1; n <= b->snapshots; n *= 10) {
		struct bench_source s;
		struct replay_options o;
		const struct replay_result *r;
		u64 bytes, flushes;

		bench_source_init(&s, BENCH_RANDOM, b->chunk, BENCH_SNAPSHOT_CHUNKS, BENCH_SNAPSHOT_WRITES, b->seed);
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
			  n, BENCH_SNAPSHOT_WRITES, BENCH_SNAPSHOT_CHUNKS, o.depth);
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
	const u64 numbers[] = { 1, b->snapshots, 10 * b->snapshots };

	for (unsigned int i = 0; i < 3; i++) {
		u64 n = numbers[i], memory;
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
	o.settle = true;
	r = bench_run(b, &s, &o);
	bench_row(b, "origin of 16 TiB, %llu random first writes of one chunk of %llu sectors, 1 snapshot, %u in flight, cache-limit %llu sectors",
		  b->exceptions, b->chunk, o.depth, limit);
	bench_count(b, "chunks copied", r->copied_chunks);
	bench_count(b, "bytes of memory, core and store, peak", r->memory_peak);
	bench_count(b, "of them the cache-limit", sectors_to_bytes(limit));
	bench_number(b, "the rest, less 64 B a snapshot",
		     ((double)r->memory_peak - (double)sectors_to_bytes(limit) - 64) / (1 << 20), "MiB");
	bench_on_disk(b, r);
	bench_number(b, "metadata / data copied", 100 * ratio(r->metadata_sectors, r->copied_sectors), "%");
	return 0;
}

/* ---- replay: requests a second of processor time, which other programs on the machine disturb least ---- */

#define REPLAY_TIMES 5

struct replay_case {
	const char *text;
	u64 initial, every, keep;
	bool verify;
};

static const struct replay_case replay_cases[] = {
	{ "no snapshot, not verified", 0, 0, 0, false },
	{ "no snapshot, every read verified", 0, 0, 0, true },
	{ "one snapshot from the start, every read verified", 1, 0, 0, true },
	{ "a snapshot after every 1000 requests, keep 64, every read verified", 0, 1000, 64, true },
};

static void replay_case(struct bench *b, struct replay_trace *t, const struct replay_case *c,
			sector_t chunk)
{
	static struct replay_result r;
	const struct replay_extent *e = replay_trace_extent(t);
	u64 best = U64_MAX, best_all = U64_MAX;
	struct bench_source none;
	struct replay_options o;

	bench_source_init(&none, BENCH_RANDOM, chunk, 1, 1, b->seed);
	bench_options(b, &none, &o);
	o.chunk = chunk;
	o.origin_sectors = (e->end + 2047) & ~2047ull;
	o.store_sectors = o.origin_sectors * (c->keep + 4) + (1u << 20);
	o.initial_snapshots = c->initial;
	o.snapshots.every_requests = c->every;
	o.snapshots.keep = c->keep;
	o.verify = c->verify;
	o.races = false;
	for (unsigned int i = 0; i < REPLAY_TIMES; i++) {
		if (replay_run(replay_trace_source(t), e, &o, &r) || r.mismatches || r.failed || r.error)
			b->failed = true;
		best = min(best, r.cpu_replay_ns);
		best_all = min(best_all, r.cpu_replay_ns + r.cpu_readback_ns);
	}
	bench_row(b, "%s: %llu requests, chunks of %llu sectors, %u in flight, %s; best of %d", b->traces[0],
		  e->total, chunk, b->depth, c->text, REPLAY_TIMES);
	bench_count(b, "chunks copied", r.copied_chunks);
	bench_count(b, "bios that the target was given, split", r.origin.reads + r.origin.writes +
		    r.origin.discards + r.origin.write_zeroes + r.origin.flushes);
	bench_number(b, "requests per second", (double)e->total * 1e9 / (double)best, "/s");
	if (!c->verify)
		return;
	bench_number(b, "requests per second, all read back at the end",
		     (double)e->total * 1e9 / (double)best_all, "/s");
	bench_count(b, "sectors verified", r.verified_sectors);
	bench_count(b, "mismatches", r.mismatches);
}

int bench_replay(struct bench *b)
{
	struct replay_trace_options to = { .files = b->traces, .nr_files = b->nr_traces };
	struct replay_trace *t;

	if (!b->nr_traces) {
		bench_row(b, "no trace given (--trace FILE, once for each file)");
		return 0;
	}
	t = replay_trace_open(&to);
	if (!t)
		return -1;
	for (sector_t chunk = b->chunk; chunk; chunk = !b->chunk_given && chunk == b->chunk ? 8 * chunk : 0)
		for (unsigned int i = 0; i < sizeof(replay_cases) / sizeof(replay_cases[0]); i++)
			replay_case(b, t, &replay_cases[i], chunk);
	replay_trace_close(t);
	return 0;
}
