// SPDX-License-Identifier: GPL-2.0
/*
 * The same report for machines. Sizes are in bytes, times in nanoseconds; keys keep their order, so that equal runs give
 * equal bytes.
 */
#include <jansson.h>

#include "replay.h"

static void set_u64(json_t *object, const char *key, u64 value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_sectors(json_t *object, const char *key, u64 sectors)
{
	set_u64(object, key, sectors_to_bytes(sectors));
}

static json_t *histogram_json(const struct histogram *h)
{
	static const struct {
		const char *name;
		unsigned int per_million;
	} shares[] = { { "p50", 500000 }, { "p90", 900000 }, { "p99", 990000 }, { "p99.9", 999000 } };
	json_t *o = json_object();

	set_u64(o, "count", h->count);
	json_object_set_new(o, "mean", json_real(histogram_mean(h)));
	set_u64(o, "min", h->min);
	for (unsigned int i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		set_u64(o, shares[i].name, histogram_quantile(h, shares[i].per_million));
	set_u64(o, "max", h->max);
	return o;
}

static json_t *counts_json(const struct disk_counts *c)
{
	json_t *o = json_object();

	set_u64(o, "reads", c->reads);
	set_u64(o, "writes", c->writes);
	set_u64(o, "flushes", c->flushes);
	set_u64(o, "discards", c->discards);
	set_u64(o, "write_zeroes", c->write_zeroes);
	set_u64(o, "with_preflush", c->preflush);
	set_u64(o, "with_fua", c->fua);
	set_sectors(o, "bytes_read", c->sectors_read);
	set_sectors(o, "bytes_written", c->sectors_written);
	set_sectors(o, "bytes_discarded", c->sectors_discarded);
	set_u64(o, "metadata_writes", c->meta_writes);
	set_sectors(o, "metadata_bytes_written", c->meta_sectors_written);
	return o;
}

static json_t *requests_json(const u64 requests[REPLAY_NR_OPS], const u64 bytes[REPLAY_NR_OPS])
{
	static const char *const names[REPLAY_NR_OPS] = { "read", "write", "flush", "discard",
							  "write_zeroes" };
	json_t *o = json_object();

	for (unsigned int i = 0; i < REPLAY_NR_OPS; i++) {
		json_t *one = json_object();

		set_u64(one, "requests", requests[i]);
		set_u64(one, "bytes", bytes[i]);
		json_object_set_new(o, names[i], one);
	}
	return o;
}

static json_t *growth_json(const struct replay_result *r)
{
	json_t *a = json_array();

	for (unsigned int i = 0; i < r->nr_samples; i++) {
		json_t *o = json_object();

		set_u64(o, "requests", r->samples[i].requests);
		set_u64(o, "time_ns", r->samples[i].time_ns);
		set_u64(o, "snapshots", r->samples[i].snapshots);
		set_sectors(o, "allocated", r->samples[i].allocated);
		set_sectors(o, "metadata", r->samples[i].metadata);
		json_array_append_new(a, o);
	}
	return a;
}

static json_t *store_json(const struct replay_result *r)
{
	json_t *o = json_object();

	set_sectors(o, "size", r->store_sectors);
	set_sectors(o, "largest_use", r->allocated_peak);
	if (r->fit)
		set_sectors(o, "smallest_that_suffices", r->fit);
	set_sectors(o, "allocated", r->allocated);
	set_sectors(o, "metadata", r->metadata);
	set_sectors(o, "metadata_peak", r->metadata_peak);
	json_object_set_new(o, "growth", growth_json(r));
	return o;
}

static json_t *run_json(const struct replay_result *r)
{
	json_t *o = json_object(), *latency = json_object();
	u64 bytes[REPLAY_NR_OPS];

	set_sectors(o, "chunk", r->chunk);
	set_sectors(o, "origin", r->origin_sectors);
	for (unsigned int i = 0; i < REPLAY_NR_OPS; i++)
		bytes[i] = sectors_to_bytes(r->sectors[i]);
	json_object_set_new(o, "issued", requests_json(r->requests, bytes));
	set_u64(o, "past_end", r->past_end);
	set_u64(o, "past_end_wrapped", r->past_end_wrapped);
	set_u64(o, "snapshots_made", r->snapshots_made);
	set_u64(o, "subsnaps_made", r->subsnaps_made);
	set_u64(o, "snapshots_deleted", r->snapshots_deleted);
	set_u64(o, "snapshots_live", r->snapshots_live);
	set_u64(o, "snapshots_peak", r->snapshots_peak);
	set_u64(o, "snapshot_reads", r->snapshot_reads);
	set_u64(o, "snapshot_writes", r->snapshot_writes);
	set_u64(o, "chunks_copied", r->copied_chunks);
	set_sectors(o, "bytes_copied", r->copied_sectors);
	set_sectors(o, "bytes_written_to_store_chunks", r->direct_chunk_writes_sectors);
	set_sectors(o, "metadata_bytes_written", r->metadata_sectors);
	set_u64(o, "commits", r->records);
	json_object_set_new(o, "chunks_per_commit", histogram_json(&r->group_sizes));
	json_object_set_new(o, "origin_device", counts_json(&r->origin));
	json_object_set_new(o, "store_device", counts_json(&r->store));
	json_object_set_new(o, "store", store_json(r));
	for (unsigned int i = 0; i < REPLAY_NR_OPS; i++)
		if (r->latency[i].count)
			json_object_set_new(latency, replay_op_names[i], histogram_json(&r->latency[i]));
	json_object_set_new(o, "latency_ns", latency);
	set_u64(o, "duration_ns", r->duration_ns);
	set_u64(o, "memory_peak", r->memory_peak);
	json_object_set_new(o, "error", json_integer(r->error));
	set_u64(o, "verified_sectors", r->verified_sectors);
	set_u64(o, "mismatches", r->mismatches);
	set_u64(o, "failed", r->failed);
	return o;
}

int replay_report_json(FILE *out, const char *name, const char *format, const struct replay_extent *e,
		       const struct trace_stats *stats, const struct replay_options *o,
		       const struct replay_result *r, unsigned int nr)
{
	json_t *root = json_object(), *trace = json_object(), *runs = json_array();
	u64 verified = 0, mismatches = 0;
	int e2;

	json_object_set_new(trace, "name", json_string(name));
	json_object_set_new(trace, "format", json_string(format));
	set_u64(trace, "requests", e->total);
	json_object_set_new(trace, "by_kind", requests_json(e->requests, e->bytes));
	set_u64(trace, "with_fua", e->with_fua);
	set_u64(trace, "with_preflush", e->with_preflush);
	set_u64(trace, "unaligned", e->unaligned);
	set_u64(trace, "address_spaces", e->nr_devices);
	set_u64(trace, "duration_ns", e->duration_ns);
	if (stats) {
		set_u64(trace, "records", stats->records);
		set_u64(trace, "skipped", stats->skipped);
		set_u64(trace, "bad", stats->bad);
	}
	json_object_set_new(root, "trace", trace);
	json_object_set_new(root, "store_type", json_string(o->store));
	set_u64(root, "seed", o->seed);
	set_u64(root, "depth", o->depth);
	for (unsigned int i = 0; i < nr; i++) {
		json_array_append_new(runs, run_json(&r[i]));
		verified += r[i].verified_sectors;
		mismatches += r[i].mismatches;
	}
	json_object_set_new(root, "runs", runs);
	set_u64(root, "verified_sectors", verified);
	set_u64(root, "mismatches", mismatches);
	e2 = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	fputc('\n', out);
	json_decref(root);
	return e2;
}
