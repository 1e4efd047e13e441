// SPDX-License-Identifier: GPL-2.0
/*
 * What a replay says to people: tables, the runs with several chunk sizes side by side, and a few sentences. Everything
 * is computed from counts of the simulation, so that two equal runs print the same bytes.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "replay.h"

#define LABEL_WIDTH 36
#define COLUMN_WIDTH 12

char *replay_size_text(char *buf, size_t size, u64 bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned int u = 0;
	double v = (double)bytes;

	while (v >= 1024 && u < 5) {
		v /= 1024;
		u++;
	}
	snprintf(buf, size, v < 10 && u ? "%.2f %s" : v < 100 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

char *replay_duration_text(char *buf, size_t size, u64 ns)
{
	static const struct {
		u64 ns;
		const char *name;
	} units[] = { { 86400000000000, "d" }, { 3600000000000, "h" }, { 1000000000, "s" },
		      { 1000000, "ms" },       { 1000, "us" },	       { 1, "ns" } };

	for (unsigned int i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns < units[i].ns)
			continue;
		snprintf(buf, size, units[i].ns == 1 ? "%.0f %s" : "%.3g %s", (double)ns / units[i].ns,
			 units[i].name);
		return buf;
	}
	snprintf(buf, size, "0");
	return buf;
}

static const char *size_of(u64 sectors)
{
	static char bufs[8][24];
	static unsigned int next;

	next = (next + 1) % 8;
	return replay_size_text(bufs[next], sizeof(bufs[0]), sectors_to_bytes(sectors));
}

static const char *duration_of(u64 ns)
{
	static char bufs[8][24];
	static unsigned int next;

	next = (next + 1) % 8;
	return replay_duration_text(bufs[next], sizeof(bufs[0]), ns);
}

static double ratio(double a, double b)
{
	return b ? a / b : 0;
}

/* ---- rows: one value of each run ---- */

typedef void (*cell_fn)(const struct replay_result *r, char *buf, size_t size);

#define CELL(name, ...)                                                                         \
	static void cell_##name(const struct replay_result *r, char *buf, size_t size)          \
	{                                                                                       \
		snprintf(buf, size, __VA_ARGS__);                                               \
	}

static u64 exceptions(const struct replay_result *r)
{
	return r->copied_chunks + r->direct_chunk_writes_sectors / r->chunk;
}

CELL(chunk, "%s", size_of(r->chunk))
CELL(snapshots, "%llu", r->snapshots_made)
CELL(subsnaps, "%llu", r->subsnaps_made)
CELL(live, "%llu", r->snapshots_live)
CELL(copies, "%llu", r->copied_chunks)
CELL(copied, "%s", size_of(r->copied_sectors))
CELL(copied_share, "%.1f %%",
     100 * ratio((double)r->copied_sectors,
		 (double)(r->sectors[REPLAY_WRITE] + r->sectors[REPLAY_DISCARD] + r->sectors[REPLAY_WRITE_ZEROES])))
CELL(metadata, "%s", size_of(r->metadata_sectors))
CELL(metadata_share, "%.2f %%", 100 * ratio((double)r->metadata_sectors, (double)r->copied_sectors))
CELL(metadata_each, "%.1f B",
     ratio((double)sectors_to_bytes(r->metadata_sectors), (double)exceptions(r)))
CELL(store_writes, "%llu", r->store.writes)
CELL(store_flushes, "%llu", r->store.flushes)
CELL(origin_flushes, "%llu", r->origin.flushes)
CELL(records, "%llu", r->records)
CELL(group_mean, "%.1f", histogram_mean(&r->group_sizes))
CELL(group_median, "%llu", (u64)histogram_quantile(&r->group_sizes, 500000))
CELL(group_99, "%llu", (u64)histogram_quantile(&r->group_sizes, 990000))
CELL(group_max, "%llu", (u64)r->group_sizes.max)
CELL(allocated, "%s", size_of(r->allocated))
CELL(on_disk_metadata, "%s", size_of(r->metadata))
CELL(needed, "%s", size_of(r->allocated_peak))
CELL(fit, "%s", r->fit ? size_of(r->fit) : "-")
CELL(store_size, "%s", size_of(r->store_sectors))
CELL(memory, "%s", size_of(bytes_to_sectors(r->memory_peak + SECTOR_SIZE - 1)))
CELL(duration, "%s", duration_of(r->duration_ns))
CELL(past_end, "%llu", r->past_end + r->past_end_wrapped)
CELL(snapshot_io, "%llu + %llu", r->snapshot_reads, r->snapshot_writes)

static void row(FILE *out, const char *label, cell_fn fn, const struct replay_result *r, unsigned int nr)
{
	fprintf(out, "  %-*s", LABEL_WIDTH, label);
	for (unsigned int i = 0; i < nr; i++) {
		char buf[64];

		fn(&r[i], buf, sizeof(buf));
		fprintf(out, "%*s", COLUMN_WIDTH, buf);
	}
	fputc('\n', out);
}

static void latency_rows(FILE *out, enum replay_op op, const struct replay_result *r, unsigned int nr)
{
	static const struct {
		const char *name;
		unsigned int per_million;
	} shares[] = { { "median", 500000 }, { "99 %", 990000 }, { "99.9 %", 999000 }, { "largest", 1000000 } };
	char label[64];

	if (!r[0].latency[op].count)
		return;
	for (unsigned int k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
		snprintf(label, sizeof(label), "%s, %s", replay_op_names[op], shares[k].name);
		fprintf(out, "  %-*s", LABEL_WIDTH, label);
		for (unsigned int i = 0; i < nr; i++)
			fprintf(out, "%*s", COLUMN_WIDTH,
				duration_of(histogram_quantile(&r[i].latency[op], shares[k].per_million)));
		fputc('\n', out);
	}
}

static void requests_table(FILE *out, const struct replay_extent *e, const struct trace_stats *stats)
{
	char buf[24];

	fprintf(out, "\n  %-*s%*s%*s\n", LABEL_WIDTH, "requests", COLUMN_WIDTH, "number", COLUMN_WIDTH, "bytes");
	for (unsigned int i = 0; i < REPLAY_NR_OPS; i++)
		if (e->requests[i])
			fprintf(out, "  %-*s%*llu%*s\n", LABEL_WIDTH, replay_op_names[i], COLUMN_WIDTH,
				e->requests[i], COLUMN_WIDTH,
				replay_size_text(buf, sizeof(buf), e->bytes[i]));
	fprintf(out, "  %-*s%*llu\n", LABEL_WIDTH, "all", COLUMN_WIDTH, e->total);
	if (e->with_preflush)
		fprintf(out, "  %-*s%*llu\n", LABEL_WIDTH, "data with a flush before", COLUMN_WIDTH,
			e->with_preflush);
	if (e->with_fua)
		fprintf(out, "  %-*s%*llu\n", LABEL_WIDTH, "data with FUA", COLUMN_WIDTH, e->with_fua);
	if (e->unaligned)
		fprintf(out, "  %-*s%*llu\n", LABEL_WIDTH, "rounded outward to blocks", COLUMN_WIDTH,
			e->unaligned);
	if (stats && stats->bad)
		fprintf(out, "  %-*s%*llu\n", LABEL_WIDTH, "records left out, for they are bad", COLUMN_WIDTH,
			(u64)stats->bad);
}

static void growth_table(FILE *out, const struct replay_result *r, unsigned int nr)
{
	unsigned int n = r[0].nr_samples, step = n > 10 ? (n + 9) / 10 : 1;

	fprintf(out, "\n  %-*s", LABEL_WIDTH, "store used after ... requests");
	for (unsigned int i = 0; i < nr; i++)
		fprintf(out, "%*s", COLUMN_WIDTH, size_of(r[i].chunk));
	fputc('\n', out);
	for (unsigned int k = n ? (n - 1) % step : 0; k < n; k += step) {
		char label[64];

		snprintf(label, sizeof(label), "%llu (%llu snapshots)", r[0].samples[k].requests,
			 r[0].samples[k].snapshots);
		fprintf(out, "  %-*s", LABEL_WIDTH, label);
		for (unsigned int i = 0; i < nr; i++)
			fprintf(out, "%*s", COLUMN_WIDTH,
				k < r[i].nr_samples ? size_of(r[i].samples[k].allocated) : "-");
		fputc('\n', out);
	}
}

/* ---- words ---- */

static u64 store_of(const struct replay_result *r)
{
	return r->fit ? r->fit : r->allocated_peak;
}

static void words(FILE *out, const struct replay_extent *e, const struct replay_options *o,
		  const struct replay_result *r, unsigned int nr)
{
	const struct replay_result *best = &r[0];
	u64 changed = r->sectors[REPLAY_WRITE] + r->sectors[REPLAY_DISCARD] + r->sectors[REPLAY_WRITE_ZEROES];

	for (unsigned int i = 1; i < nr; i++)
		if (!r[i].error && (best->error || store_of(&r[i]) < store_of(best)))
			best = &r[i];
	fprintf(out, "\nIn words\n");
	if (!best->snapshots_made && !o->initial_snapshots) {
		fprintf(out, "  No snapshot was made (--snapshots): the store was not needed, %llu chunks were copied.\n",
			best->copied_chunks);
		return;
	}
	fprintf(out, "  The requests changed %s of an origin of %s; %llu snapshots were made, at most %llu at a time.\n",
		size_of(changed), size_of(best->origin_sectors),
		best->snapshots_made + best->subsnaps_made, best->snapshots_peak);
	if (2 * (r->sectors[REPLAY_DISCARD] + r->sectors[REPLAY_WRITE_ZEROES]) > changed)
		fprintf(out, "  Most of it, %s, are discards and write-zeroes: the snapshots keep what they take away.\n",
			size_of(r->sectors[REPLAY_DISCARD] + r->sectors[REPLAY_WRITE_ZEROES]));
	fprintf(out, "  A chunk is copied when it first changes after a snapshot, once for all snapshots that share it.\n");
	for (unsigned int i = 0; i < nr; i++) {
		const struct replay_result *q = &r[i];

		fprintf(out,
			"  With chunks of %s: %llu copies of %s in all, %.2f of what was changed; %s of metadata was\n"
			"  written for it (%.2f %% of the copies) in %llu commits of %.1f chunks each; at most %s of the store was used.\n",
			size_of(q->chunk), q->copied_chunks, size_of(q->copied_sectors),
			ratio((double)q->copied_sectors, (double)changed), size_of(q->metadata_sectors),
			100 * ratio((double)q->metadata_sectors, (double)q->copied_sectors), q->records,
			histogram_mean(&q->group_sizes), size_of(q->allocated_peak));
		if (q->error)
			fprintf(out, "  It failed with %s after %llu requests: these figures are of an unfinished run.\n",
				errno_name(q->error), q->error_at);
	}
	if (best->error)
		fprintf(out, "  How large must the store be? That cannot be told from a run that failed%s.\n",
			best->error == -ENOSPC ? ": try a larger --store-size, or none" : "");
	else if (best->fit)
		fprintf(out, "  How large must the store be? Chunks of %s did with %s and not with less.\n",
			size_of(best->chunk), size_of(best->fit));
	else
		fprintf(out, "  How large must the store be? With chunks of %s at most %s were in use, and it keeps a reserve; but a smaller\n"
			"  store sets less aside for itself. --fit finds the smallest that suffices.\n",
			size_of(best->chunk), size_of(best->allocated_peak));
}

static void cost_rows(FILE *out, const struct replay_options *o, const struct replay_result *r, unsigned int nr)
{
	row(out, "snapshots made", cell_snapshots, r, nr);
	if (r->subsnaps_made)
		row(out, "snapshots of snapshots made", cell_subsnaps, r, nr);
	row(out, "live at the end", cell_live, r, nr);
	if (r->snapshot_reads || r->snapshot_writes)
		row(out, "reads + writes of snapshots", cell_snapshot_io, r, nr);
	if (r->past_end || r->past_end_wrapped)
		row(out, "requests past the end", cell_past_end, r, nr);
	row(out, "chunks copied", cell_copies, r, nr);
	row(out, "bytes copied", cell_copied, r, nr);
	row(out, "  of the bytes changed", cell_copied_share, r, nr);
	row(out, "metadata written", cell_metadata, r, nr);
	row(out, "  of the bytes copied", cell_metadata_share, r, nr);
	row(out, "  for each exception", cell_metadata_each, r, nr);
	row(out, "writes to the store device", cell_store_writes, r, nr);
	row(out, "flushes of the store device", cell_store_flushes, r, nr);
	row(out, "flushes of the origin device", cell_origin_flushes, r, nr);
	row(out, "commits (PREFLUSH+FUA records)", cell_records, r, nr);
	row(out, "chunks in a commit, mean", cell_group_mean, r, nr);
	row(out, "  median", cell_group_median, r, nr);
	row(out, "  99 %", cell_group_99, r, nr);
	row(out, "  largest", cell_group_max, r, nr);
	row(out, "store used at the end", cell_allocated, r, nr);
	row(out, "  of it metadata", cell_on_disk_metadata, r, nr);
	row(out, "largest use of the store", cell_needed, r, nr);
	if (o->fit)
		row(out, "smallest store that suffices", cell_fit, r, nr);
	row(out, "store given", cell_store_size, r, nr);
	row(out, "memory of core and store, peak", cell_memory, r, nr);
	row(out, "simulated duration", cell_duration, r, nr);
}

void replay_report(FILE *out, const char *name, const char *format, const struct replay_extent *e,
		   const struct trace_stats *stats, const struct replay_options *o, const struct replay_result *r,
		   unsigned int nr)
{
	static const char *const models[] = { "ram", "ssd", "hdd" };

	fprintf(out, "%s (%s): %llu requests", name, format, e->total);
	if (e->duration_ns)
		fprintf(out, " in %s", duration_of(e->duration_ns));
	if (e->nr_devices > 1)
		fprintf(out, ", %llu address spaces side by side", e->nr_devices);
	fprintf(out, "\norigin %s, store type %s, %s devices, %s, at most %u bios in flight, seed %llu\n",
		size_of(o->origin_sectors), o->store, models[o->model],
		o->timed ? "at the times of the trace" : "as fast as possible", o->depth, o->seed);
	requests_table(out, e, stats);
	fputc('\n', out);
	row(out, "chunk size", cell_chunk, r, nr);
	cost_rows(out, o, r, nr);
	fprintf(out, "\n  Latency of a bio, in simulated time\n");
	for (unsigned int op = 0; op < REPLAY_NR_OPS; op++)
		latency_rows(out, op, r, nr);
	growth_table(out, r, nr);
	words(out, e, o, r, nr);
}
