// SPDX-License-Identifier: GPL-2.0
/*
 * Reading everything back, through the target's devices.
 *
 * Range by range, all devices: the origin, then the snapshots from the newest to the oldest, which is the order in which the
 * oracle resolves a page's versions in one walk. What was never written on any device is read as a sample: the rest of
 * a terabyte that is zero everywhere costs hours and shows nothing.
 *
 * A snapshot that is about to be deleted is read in part, one range of DELETED_SHARE, other ones each time (or in
 * full, if so asked): with rolling snapshots, reading each in full would cost many times the replay.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay_int.h"

#define RANGE_SECTORS 1024u	/* read at once from each device */
#define RANGE_DEVICES 64u	/* that are read at the same time */
#define SAMPLES 128u		/* of what was never written */
#define DELETED_SHARE 16u

static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static void read_ended(struct bio *bio)
{
	struct replay_bio *b = bio->bi_private;
	struct replay *r = b->r;

	b->error = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
	r->in_flight--;
	if (r->waiting && r->in_flight <= r->wake_at) {
		r->waiting = false;
		wake_up(&r->wait);
	}
}

static struct replay_bio *start_read(struct replay *r, struct block_device *bdev, sector_t sector,
				     u32 sectors)
{
	struct replay_bio *b = replay_bio_get(r, sectors);
	struct bio *bio = sim_bio_alloc(bdev, REQ_OP_READ, sector, sectors, b->tags);

	b->op = REPLAY_READ;
	b->position = r->issued;
	b->snapshot = bdev != r->bdev;
	b->sector = sector;
	bio->bi_end_io = read_ended;
	bio->bi_private = b;
	r->in_flight++;
	submit_bio(bio);
	return b;
}

static void judge(struct replay *r, struct replay_bio *b, struct oracle_device *device, sector_t sector,
		  u32 sectors)
{
	struct oracle_mismatch m;

	if (b->error) {
		replay_failed(r, b, b->error, true);
	} else if (oracle_check(r->oracle, r->cursor, device, sector, sectors, b->tags, &m)) {
		replay_found(r, &m, r->issued, "read-back");
	} else {
		r->result->verified_sectors += sectors;
	}
	replay_bio_put(b);
}

/* One range, of the origin and of the snapshots [first, last) by age; nothing else in flight. */
static void read_range(struct replay *r, sector_t sector, u32 sectors, bool origin, u64 first, u64 last)
{
	struct replay_bio *bios[RANGE_DEVICES];

	if (origin) {
		bios[0] = start_read(r, r->bdev, sector, sectors);
		replay_wait(r, 0);
		judge(r, bios[0], r->origin, sector, sectors);
	}
	while (last > first) {
		u32 n = (u32)min(last - first, (u64)RANGE_DEVICES);

		for (u32 i = 0; i < n; i++) {
			struct block_device *bdev = replay_snap_open(r, &r->snaps[last - 1 - i]);

			bios[i] = bdev ? start_read(r, bdev, sector, sectors) : NULL;
		}
		replay_wait(r, 0);
		for (u32 i = 0; i < n; i++)
			if (bios[i])
				judge(r, bios[i], r->snaps[last - 1 - i].oracle, sector, sectors);
		last -= n;
	}
}

/* Of each @share ranges, the one at @which. */
static void read_written(struct replay *r, bool origin, u64 first, u64 last, u32 share, u64 which)
{
	sector_t size = r->options->origin_sectors, sector = 0;
	u64 n;

	while ((sector = oracle_next_region(r->oracle, sector, &n)) < size) {
		u32 sectors = (u32)min(min(n, RANGE_SECTORS - sector % RANGE_SECTORS), size - sector);

		if ((sector / RANGE_SECTORS + which) % share == 0)
			read_range(r, sector, sectors, origin, first, last);
		sector += sectors;
		if (r->options->progress && progress_due())
			progress_show("reading back: %.0f %%", 100.0 * sector / size);
	}
}

/* The first and the last sectors, and some in between, whether written or not. */
static void read_samples(struct replay *r, bool origin, u64 first, u64 last)
{
	sector_t size = r->options->origin_sectors;
	u32 block = r->options->block_size >> SECTOR_SHIFT, n = (u32)min(size, 8ull);

	for (u32 i = 0; i < SAMPLES; i++) {
		sector_t sector = i == 0 ? 0 : i == SAMPLES - 1 ? size - n : (size - n) / SAMPLES * i;

		sector -= sector % block;
		read_range(r, sector, n, origin, first, last);
	}
}

static void read_back(struct replay *r, bool origin, u64 first, u64 last, u32 share)
{
	u64 t0 = cpu_ns();

	replay_wait(r, 0);
	replay_counts_pause(r);
	read_written(r, origin, first, last, share, r->result->snapshots_deleted);
	if (share == 1)
		read_samples(r, origin, first, last);
	replay_counts_go_on(r);
	r->result->cpu_readback_ns += cpu_ns() - t0;
}

void replay_read_back(struct replay *r)
{
	r->result->read_backs++;
	read_back(r, true, 0, r->stopped_snapshots ? 0 : r->nr_snaps, 1);
}

void replay_read_back_one(struct replay *r, struct replay_snap *snap)
{
	u64 i = (u64)(snap - r->snaps);

	read_back(r, false, i, i + 1, r->options->verify_deleted ? 1 : DELETED_SHARE);
}
