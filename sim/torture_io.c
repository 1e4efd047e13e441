// SPDX-License-Identifier: GPL-2.0
/*
 * Bios of the torture: batches, and what their results may be.
 *
 * Contents are the oracle's business. Whether an error may be is decided here:
 * - an injected error struck while the bio was in flight: anything may fail,
 * - its snapshot is being deleted, or the origin target removed, or the status shows an error:
 *   EIO as the policy in force has it,
 * - otherwise none; and where EIO is due, success is a finding too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

struct torture_batch {
	struct torture *t;
	unsigned int left;
	struct completion done;
};

struct torture_io {
	struct torture_batch *batch;
	struct torture_slot *slot;	/* NULL: the origin */
	struct oracle_io told;
	bool is_told;
	enum oracle_op op;
	bool flush;			/* empty */
	blk_opf_t opf;
	sector_t sector;
	u32 sectors;
	u32 write_no;
	tag_t *tags;
	bool must_fail;			/* EIO is due: known when it was issued */
	u64 errors_before;
	int error;
};

static const char *target_name(const struct torture_io *io)
{
	return io->slot ? io->slot->name : "origin";
}

static const char *op_name(const struct torture_io *io)
{
	static const char *const names[] = {
		[ORACLE_READ] = "read",
		[ORACLE_WRITE] = "write",
		[ORACLE_ZERO] = "write-zeroes",
		[ORACLE_DISCARD] = "discard",
	};

	return io->flush ? "flush" : names[io->op];
}

static void say_io(struct torture *t, const struct torture_io *io, const char *what)
{
	if (t->options->verbose > 1)
		torture_say(t, "%s: %s%s %llu+%u write %u%s: %s (%d)", target_name(io), op_name(io),
			    io->opf & REQ_FUA ? " fua" : "", (unsigned long long)io->sector,
			    io->sectors, io->write_no, io->must_fail ? " must fail" : "", what,
			    io->error);
}

/* ---- the end of a bio ---- */

/* Interrupt context. */
static void io_ended(struct bio *bio)
{
	struct torture_io *io = bio->bi_private;
	struct torture *t = io->batch->t;
	struct oracle_mismatch m;
	char text[512];

	io->error = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
	say_io(t, io, "ended");
	if (io->is_told && oracle_end(t->oracle, &io->told, io->error, io->tags, &m)) {
		oracle_format(t->oracle, &m, text, sizeof(text));
		torture_found(t, "%s: %s of %u sectors at %llu: %s", target_name(io), op_name(io),
			      io->sectors, (unsigned long long)io->sector, text);
	}
	if (!--io->batch->left)
		complete(&io->batch->done);
}

static bool error_is_policy(struct torture *t, const struct torture_io *io)
{
	struct target_status st;

	bool shown = torture_get_status(t, &st) && st.error;

	/* Asked last: both may have come to be while the status was read. */
	if (io->slot)
		return shown || io->slot->doomed || io->slot->dead;
	return shown && t->preserve && io->op != ORACLE_READ;
}

/* In the thread, after the batch has ended. */
static void judge_error(struct torture *t, const struct torture_io *io)
{
	torture_mix(t, (u64)io->op << 32 | io->sectors);
	torture_mix(t, io->sector);
	torture_mix(t, -io->error);
	if (io->tags && !io->error)
		torture_mix(t, io->tags[0] ^ io->tags[io->sectors - 1]);
	if (!io->error) {
		if (io->must_fail)
			torture_found(t, "%s: %s at %llu succeeded, EIO was due", target_name(io),
				      op_name(io), (unsigned long long)io->sector);
		return;
	}
	t->counts[TC_EIO]++;
	if (io->error != -EIO)
		torture_found(t, "%s: %s at %llu failed with %s, not EIO", target_name(io), op_name(io),
			      (unsigned long long)io->sector, errno_name(io->error));
	if (io->must_fail || torture_errors(t) != io->errors_before)
		return;
	if (!error_is_policy(t, io))
		torture_found(t, "%s: %s of %u sectors at %llu failed without a reason",
			      target_name(io), op_name(io), io->sectors,
			      (unsigned long long)io->sector);
}

/* ---- the beginning ---- */

static void begin(struct torture *t, struct torture_batch *batch, struct torture_io *io)
{
	struct oracle_device *device;
	struct block_device *bdev = disk_bdev(io->slot ? io->slot->name : "ms");
	struct bio *bio;

	device = io->slot ? io->slot->device : oracle_device(t->oracle, SNAPID_ORIGIN);
	io->batch = batch;
	io->errors_before = torture_errors(t);
	io->must_fail = io->slot ? io->slot->dead || t->known_error :
				   t->preserve && t->known_error && io->op != ORACLE_READ && !io->flush;
	/* What must fail changes nothing: the oracle need not know. */
	io->is_told = device && !io->flush && !io->must_fail;
	if (io->is_told)
		oracle_begin(t->oracle, &io->told, device, io->op, io->sector, io->sectors,
			     io->write_no);
	say_io(t, io, "begins");
	bio = sim_bio_alloc(bdev, io->opf, io->sector, io->sectors, io->tags);
	bio->bi_end_io = io_ended;
	bio->bi_private = io;
	submit_bio(bio);
}

static void count_io(struct torture *t, const struct torture_io *io)
{
	static const enum torture_count counts[] = {
		[ORACLE_READ] = TC_READ,
		[ORACLE_WRITE] = TC_WRITE,
		[ORACLE_ZERO] = TC_ZERO,
		[ORACLE_DISCARD] = TC_DISCARD,
	};
	bool aligned = !(io->sector % t->config.chunk_sectors) &&
		       !(io->sectors % t->config.chunk_sectors);

	if (io->flush)
		t->counts[TC_FLUSH]++;
	else if (io->slot)
		t->counts[io->op == ORACLE_READ ? TC_SNAP_READ : TC_SNAP_WRITE]++;
	else
		t->counts[counts[io->op]]++;
	if (!io->flush && io->op == ORACLE_WRITE && aligned)
		t->counts[TC_CHUNK_WRITE]++;
	if (io->opf & REQ_FUA)
		t->counts[TC_FUA]++;
}

static void issue(struct torture *t, struct torture_batch *batch, struct torture_io *ios,
		  unsigned int n)
{
	batch->t = t;
	batch->left = n;
	init_completion(&batch->done);
	for (unsigned int i = 0; i < n; i++) {
		count_io(t, &ios[i]);
		begin(t, batch, &ios[i]);
	}
}

/* Waits for all, judges. */
static void await(struct torture *t, struct torture_batch *batch, struct torture_io *ios,
		  unsigned int n)
{
	bool failed = false;

	wait_for_completion(&batch->done);
	for (unsigned int i = 0; i < n; i++) {
		failed |= ios[i].error;
		judge_error(t, &ios[i]);
		free(ios[i].tags);
	}
	/* An error comes at once; without a pause time would stand still for those who wait for a disk. */
	if (failed)
		sim_sleep_ns(1000000);
}

static void run_batch(struct torture *t, struct torture_io *ios, unsigned int n)
{
	struct torture_batch batch;

	issue(t, &batch, ios, n);
	await(t, &batch, ios, n);
}

/* ---- what to do ---- */

/* A range inside of @limit sectors, of any size and alignment; often small, often whole chunks. */
static void draw_range(struct torture *t, struct torture_io *io, sector_t limit)
{
	unsigned int chunk = t->config.chunk_sectors, align = t->align;
	sector_t from = 0, span = limit;
	u64 n;

	if (torture_chance(t, 50)) /* where all threads meet */
		span = limit < 4 * chunk ? limit : 4 * chunk;
	else if (torture_chance(t, 20)) /* the end, perhaps past the origin's */
		from = limit - (limit < 3 * chunk ? limit : 3 * chunk);
	from -= from % align;
	span -= from < span ? from : 0;
	switch (torture_random(t, 4)) {
	case 0:
		n = align;
		break;
	case 1:
		n = align * (1 + torture_random(t, chunk / align));
		break;
	case 2: /* whole chunks */
		n = chunk * (1 + torture_random(t, 2));
		break;
	default:
		n = align * (1 + torture_random(t, 4 * chunk / align));
		break;
	}
	io->sector = from + torture_random(t, span);
	io->sector -= io->sector % (n % chunk ? align : chunk);
	if (io->sector + n > limit)
		n = limit - io->sector;
	io->sectors = n;
}

static void draw_op(struct torture *t, struct torture_io *io)
{
	unsigned int p = torture_random(t, 100);

	io->op = ORACLE_READ;
	io->opf = REQ_OP_READ;
	if (p < 4) {
		io->flush = true;
		io->opf = REQ_OP_WRITE | REQ_PREFLUSH;
	} else if (p < 50) {
		io->op = ORACLE_WRITE;
		io->opf = REQ_OP_WRITE;
		if (torture_chance(t, 10))
			io->opf |= REQ_FUA;
		if (torture_chance(t, 5))
			io->opf |= REQ_PREFLUSH;
	} else if (p < 54 && !io->slot) {
		io->op = ORACLE_DISCARD;
		io->opf = REQ_OP_DISCARD;
	} else if (p < 58 && !io->slot) {
		io->op = ORACLE_ZERO;
		io->opf = REQ_OP_WRITE_ZEROES;
	}
}

/* Inside of the chunk, or a little over its end. */
static void draw_in_chunk(struct torture *t, struct torture_io *io, sector_t limit, sector_t chunk)
{
	unsigned int size = t->config.chunk_sectors, align = t->align;

	if (chunk >= limit) {
		draw_range(t, io, limit);
		return;
	}
	io->sector = chunk + (torture_chance(t, 40) ? 0 : torture_random(t, size) / align * align);
	if (io->sector >= limit)
		io->sector = chunk;
	io->sectors = torture_chance(t, 40) ? size : align * (1 + torture_random(t, size / align));
	if (io->sectors > limit - io->sector)
		io->sectors = limit - io->sector;
}

/* @chunk: the first sector of the chunk to meet in; or ANYWHERE. */
#define ANYWHERE U64_MAX

static void fill_io(struct torture *t, struct torture_io *io, sector_t limit, sector_t chunk)
{
	draw_op(t, io);
	if (io->flush)
		return;
	if (chunk == ANYWHERE)
		draw_range(t, io, limit);
	else
		draw_in_chunk(t, io, limit, chunk);
	if (io->op != ORACLE_READ && io->op != ORACLE_WRITE)
		return;
	io->tags = malloc(io->sectors * sizeof(tag_t));
	if (!io->tags)
		abort();
	if (io->op == ORACLE_WRITE) {
		io->write_no = oracle_write_no(t->oracle);
		oracle_fill(io->write_no, io->sector, io->sectors, io->tags);
	}
}

/* A device that takes I/O: *slot NULL is the origin. False: there is none just now. */
static bool pick_device(struct torture *t, struct torture_slot **slot)
{
	unsigned int first = torture_random(t, TORTURE_SLOTS);

	*slot = NULL;
	if (t->loaded && !t->origin_closing && torture_chance(t, 55))
		return true;
	for (unsigned int i = 0; i < TORTURE_SLOTS; i++) {
		struct torture_slot *s = &t->slots[(first + i) % TORTURE_SLOTS];

		if (s->exists && !s->closing && (!s->dead || torture_chance(t, 5))) {
			*slot = s;
			return true;
		}
	}
	return t->loaded && !t->origin_closing;
}

static void get_device(struct torture *t, struct torture_slot *slot)
{
	if (slot)
		slot->users++;
	else
		t->origin_users++;
}

static void put_device(struct torture *t, struct torture_slot *slot)
{
	unsigned int left = slot ? --slot->users : --t->origin_users;

	if (!left)
		wake_up_all(&t->wait);
}

/* Some other process asks about the origin, or says nonsense to it, while the manager is at work. */
static void heckle(struct torture *t)
{
	static const char *const nonsense[] = { "", "x", "create 1", "delete 1 2", "delete 99999",
						"delete x", "settled" };
	struct target_status st;
	char raw[64] = "";
	int r = -EINVAL;

	get_device(t, NULL);
	switch (torture_random(t, 4)) {
	case 0:
		torture_get_status(t, &st);
		break;
	case 1:
		torture_settle(t);
		break;
	case 2:
		r = dmctl_status_raw("ms", torture_random(t, 3), raw, 1 + torture_random(t, sizeof(raw)));
		if (r || !memchr(raw, 0, sizeof(raw)))
			torture_found(t, "status into a small buffer: %d, or not terminated", r);
		break;
	case 3:
		r = dmctl_message("ms", nonsense[torture_random(t, 7)]);
		if (!r)
			torture_found(t, "a message of nonsense was taken");
		break;
	}
	put_device(t, NULL);
}

/* Some of what the chunk's bios cause waits at a disk until they have had time to overtake each other. */
static int hold_some(struct torture *t, struct world_disk *disk, sector_t chunk)
{
	unsigned int ops = torture_chance(t, 60) ? DISK_OP_READ : DISK_OP_WRITE;
	bool origin = disk == t->origin;

	return disk_delay_hold_next(disk->delay, ops, origin ? chunk : 0,
				    origin ? t->config.chunk_sectors : disk->sectors,
				    1 + torture_random(t, 3));
}

/* Several devices, one chunk, all at once. */
static void clash(struct torture *t)
{
	sector_t chunk = torture_random(t, t->config.origin_sectors);
	unsigned int want = 2 + torture_random(t, TORTURE_BATCH / 2), n;
	struct world_disk *disk = torture_chance(t, 60) ? t->origin : t->store;
	struct torture_io ios[TORTURE_BATCH];
	struct torture_batch batch;
	int hold;

	chunk -= chunk % t->config.chunk_sectors;
	memset(ios, 0, sizeof(ios));
	for (n = 0; n < want && pick_device(t, &ios[n].slot); n++) {
		struct torture_slot *slot = ios[n].slot;

		get_device(t, slot);
		fill_io(t, &ios[n], slot ? slot->sectors : t->origin_len, chunk);
	}
	if (!n)
		return;
	hold = torture_chance(t, 50) ? hold_some(t, disk, chunk) : -1;
	issue(t, &batch, ios, n);
	if (hold >= 0) {
		sim_sleep_ns(1ULL << (10 + torture_random(t, 16)));
		disk_delay_release(disk->delay, hold);
	}
	await(t, &batch, ios, n);
	for (unsigned int i = 0; i < n; i++)
		put_device(t, ios[i].slot);
	t->ops_done += n;
}

void torture_io_batch(struct torture *t)
{
	struct torture_io ios[TORTURE_BATCH];
	struct torture_slot *slot;
	unsigned int n = 1;

	if (torture_chance(t, 10)) {
		clash(t);
		return;
	}
	if (!pick_device(t, &slot)) {
		t->ops_done--;
		sim_sleep_ns(100000);
		return;
	}
	if (!slot && torture_chance(t, 2)) {
		heckle(t);
		return;
	}
	if (torture_chance(t, 15))
		n += torture_random(t, TORTURE_BATCH - 1);
	get_device(t, slot);
	memset(ios, 0, n * sizeof(ios[0]));
	for (unsigned int i = 0; i < n; i++) {
		ios[i].slot = slot;
		fill_io(t, &ios[i], slot ? slot->sectors : t->origin_len, ANYWHERE);
	}
	run_batch(t, ios, n);
	t->ops_done += n - 1;
	put_device(t, slot);
}

/* Reads all of it, whatever else goes on. */
void torture_verify_device(struct torture *t, struct torture_slot *slot)
{
	sector_t limit = slot ? slot->sectors : t->origin_len, at = 0;
	struct torture_io ios[TORTURE_BATCH];
	unsigned int n;

	t->counts[TC_VERIFY]++;
	get_device(t, slot);
	while (at < limit) {
		memset(ios, 0, sizeof(ios));
		for (n = 0; n < TORTURE_BATCH && at < limit; n++) {
			ios[n].slot = slot;
			ios[n].op = ORACLE_READ;
			ios[n].opf = REQ_OP_READ;
			ios[n].sector = at;
			ios[n].sectors = limit - at < 64 ? limit - at : 64;
			ios[n].tags = malloc(ios[n].sectors * sizeof(tag_t));
			if (!ios[n].tags)
				abort();
			at += ios[n].sectors;
		}
		run_batch(t, ios, n);
	}
	put_device(t, slot);
}
