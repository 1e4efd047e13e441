// SPDX-License-Identifier: GPL-2.0
/*
 * From a trace to requests of one address space.
 *
 * The trace is read once in full before the replay: how large each address space (device, LUN, volume) is, what there
 * is of each kind. The address spaces are then laid side by side, each begins at a multiple of 1 MiB.
 * Requests that are not whole blocks are rounded outward. A trace that is not too long is kept in memory in its short
 * form; a longer one is read again, as often as needed.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define ALIGN_SECTORS (1ull << (20 - SECTOR_SHIFT))
#define KEEP_REQUESTS (1u << 22)
#define MAX_REPORTS 10	/* bad records shown one by one */

const char *const replay_op_names[REPLAY_NR_OPS] = {
	"reads", "writes", "flushes", "discards", "write-zeroes",
};

static_assert((int)REPLAY_READ == TRACE_READ && (int)REPLAY_WRITE == TRACE_WRITE &&
		      (int)REPLAY_FLUSH == TRACE_FLUSH && (int)REPLAY_DISCARD == TRACE_DISCARD &&
		      (int)REPLAY_WRITE_ZEROES == TRACE_WRITE_ZEROES,
	      "operations are numbered as in traces");

struct replay_trace {
	struct replay_source source;
	struct trace *trace;
	struct replay_extent extent;
	struct trace_stats stats;
	bool scanned;
	sector_t *ends, *bases;	/* of each address space */
	u64 nr_spaces, max_spaces;
	struct replay_request *kept;
	u64 nr_kept, max_kept, at;
	u64 block_size, bad;
};

static void print_bad(void *context, const char *file, uint64_t position, const char *why)
{
	struct replay_trace *t = context;

	if (t->scanned)
		return;
	if (++t->bad <= MAX_REPORTS)
		sim_message("%s:%llu: %s; left out", file, (unsigned long long)position, why);
	else if (t->bad == MAX_REPORTS + 1)
		sim_message("further bad records are only counted");
}

static void must(bool good)
{
	if (!good) {
		sim_message("out of memory");
		exit(SIM_EXIT_USAGE);
	}
}

/* One request, sectors counted inside its own address space. */
static void convert(const struct replay_trace *t, const struct trace_request *from, struct replay_request *to,
		    bool *unaligned)
{
	u64 end = from->offset + from->length, block = t->block_size;

	memset(to, 0, sizeof(*to));
	to->time_ns = from->time_ns;
	to->position = from->position;
	to->device = (u32)from->device;
	to->flags = (u8)from->flags;
	to->op = (u8)from->op;
	to->sector = bytes_to_sectors(from->offset - from->offset % block);
	to->sectors = bytes_to_sectors(end / block * block) - to->sector;
	if (end % block)
		to->sectors += bytes_to_sectors(block);
	*unaligned = from->offset % block || from->length % block;
	if (from->op == TRACE_FLUSH)
		to->sectors = 0;
}

static void scan_one(struct replay_trace *t, const struct replay_request *r, bool unaligned)
{
	struct replay_extent *e = &t->extent;
	sector_t end = r->sector + r->sectors;

	if (r->device >= t->max_spaces) {
		u64 max = (u64)r->device * 2 + 16;

		t->ends = realloc(t->ends, max * sizeof(*t->ends));
		must(t->ends);
		memset(t->ends + t->max_spaces, 0, (max - t->max_spaces) * sizeof(*t->ends));
		t->max_spaces = max;
	}
	if (r->device >= t->nr_spaces)
		t->nr_spaces = r->device + 1ull;
	if (t->ends[r->device] < end)
		t->ends[r->device] = end;
	e->total++;
	e->requests[r->op]++;
	e->bytes[r->op] += sectors_to_bytes(r->sectors);
	e->unaligned += unaligned;
	e->with_fua += !!(r->flags & TRACE_FUA);
	e->with_preflush += !!(r->flags & TRACE_PREFLUSH);
	e->duration_ns = r->time_ns;
	if (t->nr_kept == t->max_kept && t->nr_kept < KEEP_REQUESTS) {
		t->max_kept = t->max_kept ? t->max_kept * 2 : 4096;
		t->kept = realloc(t->kept, t->max_kept * sizeof(*t->kept));
		must(t->kept);
	}
	if (t->nr_kept < t->max_kept)
		t->kept[t->nr_kept++] = *r;
}

static bool scan(struct replay_trace *t)
{
	struct trace_request from;
	struct replay_request r;
	bool unaligned;
	sector_t base = 0;
	int n;

	while ((n = trace_next(t->trace, &from)) == 1) {
		convert(t, &from, &r, &unaligned);
		scan_one(t, &r, unaligned);
		if (progress_due()) {
			const struct trace_stats *s = trace_stats(t->trace);

			progress_show("reading: %llu requests, %.0f %%", t->extent.total,
				      s->bytes_total ? 100.0 * s->bytes_read / s->bytes_total : 0.0);
		}
	}
	progress_clear();
	if (n < 0) {
		sim_message("%s", trace_error(t->trace));
		return false;
	}
	t->stats = *trace_stats(t->trace);
	t->scanned = true;
	t->bases = calloc(t->nr_spaces + 1, sizeof(*t->bases));
	must(t->bases);
	for (u64 i = 0; i < t->nr_spaces; i++) {
		t->bases[i] = base;
		if (t->ends[i])
			t->extent.end = base + t->ends[i];
		base += (t->ends[i] + ALIGN_SECTORS - 1) & ~(ALIGN_SECTORS - 1);
	}
	t->extent.nr_devices = t->nr_spaces;
	if (t->extent.total != t->nr_kept) {
		free(t->kept);
		t->kept = NULL;
	} else {
		for (u64 i = 0; i < t->nr_kept; i++)
			t->kept[i].sector += t->bases[t->kept[i].device];
	}
	return true;
}

static int source_next(struct replay_source *source, struct replay_request *request)
{
	struct replay_trace *t = container_of(source, struct replay_trace, source);
	struct trace_request from;
	bool unaligned;
	int n;

	if (t->kept) {
		if (t->at == t->nr_kept)
			return 0;
		*request = t->kept[t->at++];
		return 1;
	}
	n = trace_next(t->trace, &from);
	if (n < 0)
		sim_message("%s", trace_error(t->trace));
	if (n <= 0)
		return n;
	convert(t, &from, request, &unaligned);
	request->sector += t->bases[request->device];
	return 1;
}

static int source_rewind(struct replay_source *source)
{
	struct replay_trace *t = container_of(source, struct replay_trace, source);

	t->at = 0;
	if (t->kept || !trace_rewind(t->trace))
		return 0;
	sim_message("%s", trace_error(t->trace));
	return -1;
}

struct replay_trace *replay_trace_open(const struct replay_trace_options *options)
{
	struct replay_trace *t = calloc(1, sizeof(*t));
	struct trace_options to = {
		.format = options->format,
		.time_unit = options->time_unit,
		.max_bad = options->max_bad,
		.bad = print_bad,
		.bad_context = t,
		.offset_unit = options->offset_unit,
		.force = options->force,
	};
	char error[512];

	must(t);
	t->block_size = options->block_size ? options->block_size : SECTOR_SIZE;
	t->source.next = source_next;
	t->source.rewind = source_rewind;
	t->trace = trace_open(options->files, options->nr_files, &to, error, sizeof(error));
	if (!t->trace) {
		sim_message("%s", error);
		free(t);
		return NULL;
	}
	if (!scan(t)) {
		replay_trace_close(t);
		return NULL;
	}
	return t;
}

void replay_trace_close(struct replay_trace *t)
{
	if (!t)
		return;
	trace_close(t->trace);
	free(t->ends);
	free(t->bases);
	free(t->kept);
	free(t);
}

struct replay_source *replay_trace_source(struct replay_trace *t)
{
	return &t->source;
}

const struct replay_extent *replay_trace_extent(const struct replay_trace *t)
{
	return &t->extent;
}

const struct trace_stats *replay_trace_stats(const struct replay_trace *t)
{
	return &t->stats;
}

struct trace *replay_trace_raw(const struct replay_trace *t)
{
	return t->trace;
}
