// SPDX-License-Identifier: GPL-2.0
/*
 * The bench's workloads, which are functions of a seed, and its output.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* ---- output ---- */

void bench_row(struct bench *b, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	progress_clear();
	if (!b->json) {
		printf("  %s\n", text);
		fflush(stdout);
		return;
	}
	b->row = json_object();
	json_object_set_new(b->row, "workload", json_string(text));
	json_array_append_new(b->json, b->row);
}

void bench_count(struct bench *b, const char *name, u64 value)
{
	if (b->json)
		json_object_set_new(b->row, name, json_integer((json_int_t)value));
	else
		printf("    %-44s %16llu\n", name, value);
}

void bench_number(struct bench *b, const char *name, double value, const char *unit)
{
	if (b->json)
		json_object_set_new(b->row, name, json_real(value));
	else
		printf("    %-44s %16.3f %s\n", name, value, unit);
}

void bench_text(struct bench *b, const char *name, const char *value)
{
	if (b->json)
		json_object_set_new(b->row, name, json_string(value));
	else
		printf("    %-44s %16s\n", name, value);
}

/* ---- workloads ---- */

static u64 mix(u64 x)
{
	x ^= x >> 31;
	x *= 0x7FB5D329728EA185ull;
	x ^= x >> 27;
	x *= 0x81DADEF4BC2DD44Dull;
	return x ^ x >> 33;
}

/* A Feistel network on enough bits; what falls outside goes through it again. */
u64 bench_permute(u64 i, u64 n, u64 seed)
{
	unsigned int half = 1;
	u64 mask;

	while (half < 32 && 1ull << 2 * half < n)
		half++;
	mask = (1ull << half) - 1;
	do {
		u64 left = i >> half, right = i & mask;

		for (u64 round = 1; round <= 4; round++) {
			u64 next = left ^ (mix(right + (seed << 8) + round) & mask);

			left = right;
			right = next;
		}
		i = left << half | right;
	} while (i >= n);
	return i;
}

static int source_next(struct replay_source *source, struct replay_request *q)
{
	struct bench_source *s = container_of(source, struct bench_source, source);
	u64 third = s->writes / 3, i = s->at;

	if (s->pattern == BENCH_TWICE_THEN_READ) {
		if (s->part && third && i % third == 0 && i)
			s->part(s->part_context, (unsigned int)(i / third));
		if (i == third * 3)
			return 0;
		i %= third;
	} else if (i == s->writes) {
		return 0;
	}
	memset(q, 0, sizeof(*q));
	q->op = s->pattern == BENCH_TWICE_THEN_READ && s->at >= 2 * third ? REPLAY_READ : REPLAY_WRITE;
	if (s->pattern == BENCH_RANDOM)
		q->sector = mix(i + (s->seed << 32)) % s->chunks;
	else
		q->sector = bench_permute(i, s->chunks, s->seed);
	q->sector *= s->chunk;
	q->sectors = s->chunk;
	q->position = ++s->at;
	return 1;
}

static int source_rewind(struct replay_source *source)
{
	container_of(source, struct bench_source, source)->at = 0;
	return 0;
}

void bench_source_init(struct bench_source *s, enum bench_pattern pattern, sector_t chunk, u64 chunks,
		       u64 writes, u64 seed)
{
	memset(s, 0, sizeof(*s));
	s->source.next = source_next;
	s->source.rewind = source_rewind;
	s->pattern = pattern;
	s->chunk = chunk;
	s->chunks = chunks;
	s->writes = writes;
	s->seed = seed;
	s->extent.total = writes;
	s->extent.requests[REPLAY_WRITE] = writes;
	s->extent.bytes[REPLAY_WRITE] = sectors_to_bytes(writes * chunk);
	s->extent.nr_devices = 1;
	s->extent.end = chunks * chunk;
}

/* ---- runs ---- */

void bench_options(const struct bench *b, const struct bench_source *s, struct replay_options *o)
{
	static char args[128];
	int n = 2 * (!!b->cache_threshold + !!b->cache_limit);

	snprintf(args, sizeof(args), "%d%s%s%s%s", n, b->cache_threshold ? " cache-threshold " : "",
		 b->cache_threshold ? b->cache_threshold : "", b->cache_limit ? " cache-limit " : "",
		 b->cache_limit ? b->cache_limit : "");
	memset(o, 0, sizeof(*o));
	o->store = b->store;
	o->store_args = args;
	o->chunk = b->chunk;
	o->origin_sectors = s->extent.end;
	/* A copy of every chunk, metadata, and the log. */
	o->store_sectors = (s->writes + s->writes / 4 + 16384) * s->chunk + (1u << 18);
	o->block_size = b->block_size;
	o->model = DISK_RAM;
	o->seed = b->seed;
	o->depth = b->depth;
	o->races = true; /* nothing is verified: nothing needs to be definite */
	o->progress = true;
	o->trace_name = "bench";
	o->reproducer = NULL;
	o->initial_snapshots = 1;
	o->settle_before = true;
}

const struct replay_result *bench_run(struct bench *b, struct bench_source *s,
				      const struct replay_options *o)
{
	static struct replay_result result;

	if (replay_run(&s->source, &s->extent, o, &result) || result.error || result.failed) {
		sim_message("bench: the run failed: %s, %llu failures", errno_name(result.error),
			    result.failed);
		b->failed = true;
	}
	progress_clear();
	return &result;
}
