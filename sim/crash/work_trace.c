// SPDX-License-Identifier: GPL-2.0
/*
 * Workloads from a recorded trace (work.h): pieces of so many requests each, on a small device.
 *
 * What an application does between two flushes, which sectors of a chunk it writes and which chunks again is kept; how far chunks are from
 * each other is not: the chunks of a piece are numbered as they appear, and share the device's chunks in turn. Reads are left out, as
 * they leave nothing. Requests between two flushes are issued several at once. Snapshots come and go.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "trace.h"
#include "work.h"

#define CHUNK 16		/* sectors */
#define CHUNKS 32
#define REQUEST_MAX (4 * CHUNK)	/* longer ones are cut */
#define AT_ONCE 4
#define SNAPSHOT_EVERY 40
#define SNAPSHOTS 3

struct request {
	enum trace_op op;
	unsigned int flags;
	u64 sector, sectors;
};

struct trace_work {
	struct request *all;
	u64 nr;
	u32 ops;
};

static bool add_request(struct trace_work *w, u64 max, const struct trace_request *r)
{
	struct request *to = &w->all[w->nr];

	if (r->op == TRACE_READ)
		return true;
	*to = (struct request){
		.op = r->op,
		.flags = r->flags,
		.sector = r->offset / SECTOR_SIZE,
		.sectors = (r->length + SECTOR_SIZE - 1) / SECTOR_SIZE,
	};
	if (to->sectors > REQUEST_MAX)
		to->sectors = REQUEST_MAX;
	if (!to->sectors)
		to->op = TRACE_FLUSH;
	return ++w->nr < max;
}

struct trace_work *trace_work_open(const char *const *files, u32 nr_files, u32 ops, u32 pieces)
{
	struct trace_work *w = calloc(1, sizeof(*w));
	const struct trace_options options = { 0 };
	struct trace_request request;
	struct trace *trace;
	char error[512];
	int r = 0;

	if (!w)
		abort();
	trace = trace_open(files, nr_files, &options, error, sizeof(error));
	if (!trace) {
		sim_message("%s", error);
		free(w);
		return NULL;
	}
	w->ops = ops;
	w->all = calloc((u64)ops * pieces, sizeof(*w->all));
	if (!w->all)
		abort();
	while ((r = trace_next(trace, &request)) > 0)
		if (!add_request(w, (u64)ops * pieces, &request))
			break;
	if (r < 0)
		sim_message("%s", trace_error(trace));
	trace_close(trace);
	if (r >= 0 && w->nr)
		return w;
	if (r >= 0)
		sim_message("%s: the trace has no request that changes anything", files[0]);
	trace_work_close(w);
	return NULL;
}

void trace_work_close(struct trace_work *w)
{
	free(w->all);
	free(w);
}

u64 trace_work_count(const struct trace_work *w)
{
	return (w->nr + w->ops - 1) / w->ops;
}

/* ---- a piece as a script ---- */

struct piece {
	FILE *out;
	u64 chunk[CHUNKS * 64];	/* of the trace, in order of appearance */
	u32 nr;
	u32 fill, at_once;
	u32 first, next;	/* snapshots that exist: [first, next) */
};

static u64 sector_here(struct piece *p, u64 sector)
{
	u64 chunk = sector / CHUNK;
	u32 i = 0;

	while (i < p->nr && p->chunk[i] != chunk)
		i++;
	if (i == p->nr && p->nr < CHUNKS * 64)
		p->chunk[p->nr++] = chunk;
	return (u64)(i % CHUNKS) * CHUNK + sector % CHUNK;
}

static void end_block(struct piece *p)
{
	if (p->at_once)
		fprintf(p->out, "}\n");
	p->at_once = 0;
}

static void put_snapshots(struct piece *p)
{
	end_block(p);
	if (p->next - p->first == SNAPSHOTS)
		fprintf(p->out, "dmsetup message ms 0 delete %u\n", p->first++);
	fprintf(p->out, "dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n");
	p->next++;
}

static void put_request(struct piece *p, const struct request *r)
{
	u64 sector = sector_here(p, r->sector), sectors = r->sectors;

	if (r->op == TRACE_FLUSH || r->flags & TRACE_PREFLUSH)
		end_block(p);
	if (r->op == TRACE_FLUSH) {
		fprintf(p->out, "flush ms\n");
		return;
	}
	if (sectors > CHUNKS * CHUNK - sector)
		sectors = CHUNKS * CHUNK - sector;
	if (p->at_once == AT_ONCE)
		end_block(p);
	if (!p->at_once++)
		fprintf(p->out, "parallel {\n");
	if (r->op == TRACE_DISCARD)
		fprintf(p->out, "discard ms %llu %llu\n", (unsigned long long)sector, (unsigned long long)sectors);
	else if (r->op == TRACE_WRITE_ZEROES)
		fprintf(p->out, "zero ms %llu %llu\n", (unsigned long long)sector, (unsigned long long)sectors);
	else
		fprintf(p->out, "write ms %llu %llu bs=0 fill=%u%s%s\n", (unsigned long long)sector,
			(unsigned long long)sectors, p->fill++, r->flags & TRACE_FUA ? " fua" : "",
			r->flags & TRACE_PREFLUSH ? " preflush" : "");
}

char *trace_work_script(const struct trace_work *w, u64 index)
{
	u64 from = index * w->ops, to = from + w->ops < w->nr ? from + w->ops : w->nr;
	struct piece *p = calloc(1, sizeof(*p));
	char *text = NULL;
	size_t size;

	if (!p)
		abort();
	p->fill = 1;
	p->out = open_memstream(&text, &size);
	if (!p->out)
		abort();
	fprintf(p->out,
		"disk origin %ds\ndisk store 4M\n"
		"dmsetup create ms --table \"0 %d multisnapshot origin store %d 0 mikulas 0\"\n"
		"write ms 0 %d fill=%u\n",
		CHUNKS * CHUNK, CHUNKS * CHUNK, CHUNK, CHUNKS * CHUNK, p->fill++);
	for (u64 i = from; i < to; i++) {
		if ((i - from) % SNAPSHOT_EVERY == 0)
			put_snapshots(p);
		put_request(p, &w->all[i]);
	}
	end_block(p);
	fclose(p->out);
	free(p);
	return text;
}
