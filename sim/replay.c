// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: requests to the target, one after the other or at their times, up to a number in flight.
 *
 * Every write has its number, every read is judged by the oracle when it ends. A request that overlaps one in flight
 * waits for it (unless races are asked for): the program that was traced did so too, mostly, and what
 * a sector must hold stays definite. Snapshots are made in between (replay_snaps.c), with requests in flight:
 * suspending the device waits for them.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay_int.h"

static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

u32 replay_random(struct replay *r, u32 n)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return (u32)(((r->rng >> 32) * n) >> 32);
}

/* ---- bios ---- */

struct replay_bio *replay_bio_get(struct replay *r, u32 sectors)
{
	struct replay_bio *b = r->free;

	if (b) {
		r->free = b->next;
	} else {
		b = calloc(1, sizeof(*b));
		if (!b)
			abort();
		b->r = r;
	}
	if (b->max_tags < sectors) {
		b->max_tags = max(sectors, 64u);
		b->tags = realloc(b->tags, b->max_tags * sizeof(*b->tags));
		if (!b->tags)
			abort();
	}
	return b;
}

void replay_bio_put(struct replay_bio *b)
{
	b->next = b->r->free;
	b->r->free = b;
}

static void free_bios(struct replay *r)
{
	while (r->free) {
		struct replay_bio *b = r->free;

		r->free = b->next;
		free(b->tags);
		free(b);
	}
}

void replay_found(struct replay *r, const struct oracle_mismatch *m, u64 position, const char *when)
{
	char line[512];

	if (r->result->mismatches++ >= REPLAY_MAX_PRINTED)
		return;
	progress_clear();
	oracle_format(r->oracle, m, line, sizeof(line));
	sim_message("%s: record %llu: %s: %s", r->options->trace_name, position, when, line);
	if (r->result->mismatches == 1 && r->options->reproducer)
		sim_message("reproduce: %s", r->options->reproducer);
}

void replay_failed(struct replay *r, const struct replay_bio *b, int error, bool read_back)
{
	static const char *const names[REPLAY_NR_OPS] = { "read", "write", "flush", "discard", "write-zeroes" };
	u64 n = b->snapshot ? r->snapshot_failures++ : r->origin_failures++;
	char *first = r->first_failure[b->snapshot], line[sizeof(r->first_failure[0])];

	snprintf(line, sizeof(line), "record %llu: %s: %s of sector %llu of %s ends with %s", b->position,
		 read_back ? "read-back" : "request", names[b->op], b->sector,
		 b->snapshot ? "a snapshot" : "the origin", errno_name(error));
	if (!*first)
		memcpy(first, line, sizeof(line));
	if (r->options->log && n < REPLAY_MAX_PRINTED)
		sim_message("%s: %s", r->options->trace_name, line);
}

static void bio_ended(struct bio *bio)
{
	struct replay_bio *b = bio->bi_private;
	struct replay *r = b->r;
	int error = blk_status_to_errno(bio->bi_status);
	struct oracle_mismatch m;

	bio_put(bio);
	if (b->counted)
		histogram_add(&r->result->latency[b->op], sim_now_ns() - b->start_ns);
	if (error)
		replay_failed(r, b, error, false);
	if (!b->empty_flush && r->oracle) {
		u32 sectors = b->oracle.sectors;

		if (oracle_end(r->oracle, &b->oracle, error, b->tags, &m))
			replay_found(r, &m, b->position, "read");
		else if (b->op == REPLAY_READ && !error)
			r->result->verified_sectors += sectors;
	}
	replay_bio_put(b);
	r->in_flight--;
	if (r->waiting && r->in_flight <= r->wake_at) {
		r->waiting = false;
		wake_up(&r->wait);
	}
}

void replay_wait(struct replay *r, u32 at_most_in_flight)
{
	if (r->in_flight <= at_most_in_flight)
		return;
	r->wake_at = at_most_in_flight;
	r->waiting = true;
	wait_event(r->wait, r->in_flight <= at_most_in_flight);
	r->waiting = false;
}

static const struct {
	enum oracle_op oracle;
	enum req_op req;
	bool data;
} ops[REPLAY_NR_OPS] = {
	[REPLAY_READ] = { ORACLE_READ, REQ_OP_READ, true },
	[REPLAY_WRITE] = { ORACLE_WRITE, REQ_OP_WRITE, true },
	[REPLAY_FLUSH] = { ORACLE_READ, REQ_OP_WRITE, false },
	[REPLAY_DISCARD] = { ORACLE_DISCARD, REQ_OP_DISCARD, false },
	[REPLAY_WRITE_ZEROES] = { ORACLE_ZERO, REQ_OP_WRITE_ZEROES, false },
};

static void issue_one(struct replay *r, struct block_device *bdev, struct oracle_device *device, u8 op,
		      blk_opf_t flags, sector_t sector, u32 sectors, u64 position, bool counted)
{
	bool data = ops[op].data;
	struct replay_bio *b = replay_bio_get(r, data ? sectors : 0);
	u32 write_no = 0;
	struct bio *bio;

	if (op == REPLAY_WRITE) {
		write_no = r->oracle ? oracle_write_no(r->oracle) : (u32)(r->issued % TAG_WRITE_MAX) + 1;
		oracle_fill(write_no, sector, sectors, b->tags);
	}
	b->op = op;
	b->counted = counted;
	b->position = position;
	b->empty_flush = !sectors;
	b->start_ns = sim_now_ns();
	b->snapshot = bdev != r->bdev;
	b->sector = sector;
	b->oracle.device = device;
	if (sectors && r->oracle)
		oracle_begin(r->oracle, &b->oracle, device, ops[op].oracle, sector, sectors, write_no);
	bio = sim_bio_alloc(bdev, ops[op].req | flags, sector, sectors, data && sectors ? b->tags : NULL);
	bio->bi_end_io = bio_ended;
	bio->bi_private = b;
	r->in_flight++;
	submit_bio(bio);
}

/* As the block layer does it: a large request is several bios, issued together. */
void replay_issue(struct replay *r, struct block_device *bdev, struct oracle_device *device, u8 op,
		  blk_opf_t flags, sector_t sector, u64 sectors, u64 position, bool counted)
{
	u64 most = ops[op].data ? REPLAY_BIO_DATA_SECTORS : REPLAY_BIO_NO_DATA_SECTORS;
	u32 depth = r->options->depth;

	do {
		u32 n = (u32)min(sectors, most);

		if (r->in_flight >= depth)
			replay_wait(r, depth - 1 - depth / 4);
		while (n && r->oracle && !r->options->races &&
		       oracle_would_race(r->oracle, device, ops[op].oracle, sector, n))
			replay_wait(r, r->in_flight - 1);
		issue_one(r, bdev, device, op, flags, sector, n, position, counted);
		flags &= ~REQ_PREFLUSH; /* once is enough */
		sector += n;
		sectors -= n;
	} while (sectors);
}

/* ---- requests ---- */

/* False: past the end, and not to be issued. */
static bool place(struct replay *r, struct replay_request *q)
{
	sector_t size = r->options->origin_sectors;

	if (q->sector + q->sectors <= size)
		return true;
	if (r->options->past_end == PAST_END_REFUSE) {
		r->result->past_end++;
		return false;
	}
	r->result->past_end_wrapped++;
	q->sector %= size;
	if (q->sectors > size)
		q->sectors = size;
	if (q->sector + q->sectors > size)
		q->sector = size - q->sectors;
	return true;
}

/* Reads and writes of snapshots in between. */
static void snapshot_io(struct replay *r, u64 n, u8 op, u64 *count)
{
	struct replay_snap *snap;
	struct block_device *bdev;

	if (!n || r->issued % n || !r->nr_snaps || r->stopped_snapshots || !r->last_write_sectors)
		return;
	snap = &r->snaps[replay_random(r, (u32)min(r->nr_snaps, (u64)UINT_MAX))];
	bdev = replay_snap_open(r, snap);
	if (!bdev)
		return;
	(*count)++;
	replay_issue(r, bdev, snap->oracle, op, 0, r->last_write_sector,
		     min(r->last_write_sectors, (u64)REPLAY_BIO_DATA_SECTORS), r->issued, false);
}

static void do_request(struct replay *r, struct replay_request *q, u64 start_ns)
{
	blk_opf_t flags = 0;

	if (q->flags & TRACE_FUA && q->op == REPLAY_WRITE)
		flags |= REQ_FUA;
	if ((q->flags & TRACE_PREFLUSH && q->op == REPLAY_WRITE) || q->op == REPLAY_FLUSH)
		flags |= REQ_PREFLUSH;
	if (q->flags & TRACE_SYNC)
		flags |= REQ_SYNC;
	if (q->flags & TRACE_META)
		flags |= REQ_META;
	if (!place(r, q))
		return;
	if (r->options->timed && q->time_ns + start_ns > replay_now_ns(r))
		sim_sleep_ns(q->time_ns + start_ns - replay_now_ns(r));
	r->result->requests[q->op]++;
	r->result->sectors[q->op] += q->sectors;
	replay_issue(r, r->bdev, r->origin, q->op, flags, q->sector, q->sectors, q->position, true);
	if (q->op == REPLAY_WRITE) {
		r->last_write_sector = q->sector;
		r->last_write_sectors = q->sectors;
	}
}

static void issue_all(struct replay *r)
{
	const struct replay_options *o = r->options;
	u64 start_ns = sim_now_ns(), total = r->extent->total;
	struct replay_request q;

	r->result->sample_every = max(total / (REPLAY_SAMPLES - 1), 1ull);
	while (r->source->next(r->source, &q) == 1) {
		replay_roll(r, &q);
		do_request(r, &q, start_ns);
		r->issued++;
		snapshot_io(r, o->snapshot_reads, REPLAY_READ, &r->result->snapshot_reads);
		snapshot_io(r, o->snapshot_writes, REPLAY_WRITE, &r->result->snapshot_writes);
		if (r->issued % r->result->sample_every == 0)
			replay_sample(r);
		if (o->verify && o->verify_every && r->issued % o->verify_every == 0 && r->issued < total)
			replay_read_back(r);
		if (o->progress && progress_due())
			progress_show("%llu of %llu requests, %llu snapshots", r->issued, total,
				      r->nr_snaps);
	}
	replay_wait(r, 0);
	r->result->duration_ns = replay_now_ns(r) - start_ns;
	r->result->total = r->issued;
}

/* ---- set-up and end ---- */

static void add_disks(struct replay *r)
{
	const struct replay_options *o = r->options;

	r->origin_disk = disk_delay_create(disk_ram_create("origin", o->origin_sectors), o->model);
	r->store_disk = disk_delay_create(disk_log_create(disk_ram_create("store", o->store_sectors),
							  replay_store_event, r), o->model);
	disk_register("origin", r->origin_disk, o->block_size);
	disk_register("store", r->store_disk, o->block_size);
}

static bool start_target(struct replay *r)
{
	const struct replay_options *o = r->options;
	const char *error = NULL;
	char table[512];
	int e;

	if (o->table)
		snprintf(table, sizeof(table), "%s", o->table);
	else
		snprintf(table, sizeof(table), "0 %llu multisnapshot origin store %llu %s %s %s",
			 o->origin_sectors, o->chunk, o->preserve_on_error ? "1 preserve-on-error" : "0",
			 o->store, o->store_args ? o->store_args : "0");
	e = dmctl_create(REPLAY_DEVICE);
	if (!e)
		e = dmctl_load(REPLAY_DEVICE, table, &error);
	if (!e)
		e = dmctl_resume(REPLAY_DEVICE);
	if (e) {
		if (!o->quiet)
			sim_message("the target does not start: %s%s%s (table \"%s\")", errno_name(e),
				    error ? ": " : "", error ? error : "", table);
		r->setup_error = e;
		return false;
	}
	r->bdev = disk_bdev(REPLAY_DEVICE);
	r->result->format = *disk_counts(r->store_disk);
	return true;
}

static void count_failures(struct replay *r, u64 failures, const char *first)
{
	r->result->failed += failures;
	if (*first)
		sim_message("%s: %s", r->options->trace_name, first);
}

static void finish(struct replay *r)
{
	struct replay_status status;

	if (replay_status(r, &status)) {
		r->result->error = status.error;
		r->result->allocated = status.allocated;
		r->result->metadata = status.metadata;
		r->result->snapshots_live = status.error && !r->options->preserve_on_error ? 0 : status.nr_snapshots;
	}
	/* What failed because the snapshots had been given up, or the origin stopped, failed rightly. */
	if (!status.error || !r->options->preserve_on_error)
		count_failures(r, r->origin_failures, r->first_failure[0]);
	if (!status.error)
		count_failures(r, r->snapshot_failures, r->first_failure[1]);
	if (r->result->failed && !r->result->mismatches && r->options->reproducer)
		sim_message("reproduce: %s", r->options->reproducer);
}

static void replay_thread(void *arg)
{
	struct replay *r = arg;
	const struct replay_options *o = r->options;
	struct replay_status status;
	struct replay_counts start;
	u64 t0, t1;

	if (!start_target(r))
		goto remove;
	replay_create_snapshots(r, o->initial_snapshots);
	if (o->settle_before)
		dmctl_message(REPLAY_DEVICE, "settle");
	if (replay_status(r, &status)) {
		r->result->allocated_start = status.allocated;
		r->result->metadata_start = status.metadata;
	}
	sim_memory_peak_reset();
	replay_counts_begin(r, &start);
	t0 = cpu_ns();
	if (o->phase)
		o->phase(o->phase_context, true);
	issue_all(r);
	if (o->settle)
		dmctl_message(REPLAY_DEVICE, "settle");
	if (o->phase)
		o->phase(o->phase_context, false);
	t1 = cpu_ns();
	r->result->cpu_replay_ns += t1 - t0 - r->result->cpu_readback_ns;
	replay_counts_end(r, &start);
	replay_sample(r);
	if (o->verify)
		replay_read_back(r);
	progress_clear();
	finish(r);
	replay_snaps_close(r);
remove:
	if (dmctl_exists(REPLAY_DEVICE))
		dmctl_remove(REPLAY_DEVICE);
}

static int save(struct disk *disk, const char *path)
{
	int e = path ? disk_save(disk, path) : 0;

	if (e)
		sim_message("%s: cannot be written: %s", path, errno_name(e));
	return e;
}

static void world_log(void *context, int level, const char *line)
{
	const struct replay *r = context;

	if (r->options->log)
		fprintf(stderr, "%s\n", line);
}

static void world_failed(void *context, const char *what)
{
	const struct replay *r = context;

	progress_clear();
	sim_message("%s: after %llu requests: %s", r->options->trace_name, r->issued, what);
	if (r->options->reproducer)
		sim_message("reproduce: %s", r->options->reproducer);
	exit(SIM_EXIT_FOUND);
}

int replay_run(struct replay_source *source, const struct replay_extent *extent,
	       const struct replay_options *options, struct replay_result *result)
{
	struct replay r = {
		.options = options, .extent = extent, .source = source, .result = result,
		.rng = options->seed * 0x9E3779B97F4A7C15ull + 0x1234567,
	};
	struct sim_options so = {
		.strategy = options->strategy, .seed = options->seed, .fail = world_failed,
		.fail_context = &r, .log = world_log, .log_context = &r,
		.reproducer = options->reproducer,
	};

	memset(result, 0, sizeof(*result));
	result->origin_sectors = options->origin_sectors;
	result->store_sectors = options->store_sectors;
	result->chunk = options->chunk;
	if (source->rewind(source))
		return -1;
	if (options->verify) {
		r.oracle = oracle_create(options->origin_sectors);
		r.cursor = oracle_cursor_create(r.oracle);
		r.origin = oracle_device(r.oracle, SNAPID_ORIGIN);
	}
	init_waitqueue_head(&r.wait);
	sim_start(&so);
	if (sim_module_load(options->module ? options->module : "dm-multisnapshot"))
		sim_fail("the target's module does not load");
	add_disks(&r);
	sim_thread_start("replay", replay_thread, &r);
	sim_run();
	sim_stop();
	if (save(r.store_disk, options->save_store) || save(r.origin_disk, options->save_origin))
		r.setup_error = -EIO;
	disk_unregister("origin");
	disk_unregister("store");
	disk_destroy(r.origin_disk);
	disk_destroy(r.store_disk);
	result->oracle_bytes = r.oracle ? oracle_memory_bytes(r.oracle) : 0;
	oracle_cursor_destroy(r.cursor);
	oracle_destroy(r.oracle);
	free_bios(&r);
	free(r.snaps);
	free(r.status);
	return r.setup_error ? -1 : 0;
}
