// SPDX-License-Identifier: GPL-2.0
/*
 * Service times, and holding requests back.
 *
 * A request waits here for as long as the model says and goes down then; what is below acts at
 * once. So it takes effect at the end of its service time, and two requests in flight take effect
 * in the order in which they end. All models count in integer nanoseconds.
 *
 * ram: a constant. ssd: channels, each busy with one request at a time; a request takes a setup
 * time by kind and the transfer of its data; a flush waits for all channels. hdd: one arm; a
 * request that does not follow on the one before costs a seek that grows with the square root of
 * the distance and the wait for the sector to come round, which follows from the time and the
 * place, not from chance.
 *
 * Held requests are set apart when they arrive and begin their service when their hold is released.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fake/disk_layer.h"

#define RAM_NS 1000

#define SSD_CHANNELS 8
#define SSD_STRIPE_SHIFT 5 /* sectors: 16 KiB to a channel */
#define SSD_READ_NS 60000
#define SSD_PROGRAM_NS 20000 /* into the drive's buffer */
#define SSD_FUA_NS 300000
#define SSD_FLUSH_NS 400000
#define SSD_DISCARD_NS 30000
#define SSD_SECTOR_NS 256 /* 2 GB/s in each channel */

#define HDD_TURN_NS 8333333 /* 7200 turns a minute */
#define HDD_TRACK 2048	    /* sectors, everywhere */
#define HDD_SEEK_MIN_NS 800000
#define HDD_SEEK_MAX_NS 15000000 /* from end to end */

#define MAX_HOLDS 64

struct hold {
	bool used;
	unsigned int ops;
	sector_t start, len;
	u64 left; /* so many more */
	struct bio_list bios;
};

struct delay_disk {
	struct disk disk;
	enum disk_model model;
	u64 busy_until[SSD_CHANNELS]; /* hdd: the first */
	sector_t head;		      /* hdd: the sector after the last one */

	unsigned int nr_holds;
	unsigned int held;
	struct hold hold[MAX_HOLDS];
};

/* ---- models ---- */

static u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

static u64 isqrt(u64 x)
{
	u64 r = 0, bit;

	for (bit = 1ULL << 62; bit; bit >>= 2) {
		if (x >= r + bit) {
			x -= r + bit;
			r = (r >> 1) + bit;
		} else {
			r >>= 1;
		}
	}
	return r;
}

static u64 ssd_setup_ns(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return SSD_READ_NS;
	case REQ_OP_WRITE:
		return SSD_PROGRAM_NS + (bio->bi_opf & REQ_FUA ? SSD_FUA_NS : 0);
	default:
		return SSD_DISCARD_NS;
	}
}

static u64 ssd_end_ns(struct delay_disk *d, const struct bio *bio, u64 now)
{
	u64 stripe = bio->bi_iter.bi_sector >> SSD_STRIPE_SHIFT, begin = now, end = now;
	sector_t left = bio_op(bio) == REQ_OP_READ || bio_op(bio) == REQ_OP_WRITE ?
			bio_sectors(bio) : 0;
	unsigned int i;

	if (bio->bi_opf & REQ_PREFLUSH || bio_op(bio) == REQ_OP_FLUSH) {
		for (i = 0; i < SSD_CHANNELS; i++)
			begin = max_u64(begin, d->busy_until[i]);
		begin += SSD_FLUSH_NS;
		for (i = 0; i < SSD_CHANNELS; i++)
			d->busy_until[i] = begin;
		end = begin;
		if (!bio_sectors(bio))
			return end;
	}
	do {
		u64 *busy = &d->busy_until[stripe++ % SSD_CHANNELS];
		u64 n = 1 << SSD_STRIPE_SHIFT;

		n = left < n ? left : n;
		*busy = max_u64(begin, *busy) + ssd_setup_ns(bio) + n * SSD_SECTOR_NS;
		end = max_u64(end, *busy);
		left -= n;
	} while (left);
	return end;
}

static u64 hdd_end_ns(struct delay_disk *d, const struct bio *bio, u64 now)
{
	u64 at = max_u64(now, d->busy_until[0]);
	sector_t sector = bio->bi_iter.bi_sector, distance;
	u64 per_sector = HDD_TURN_NS / HDD_TRACK;

	if (bio->bi_opf & REQ_PREFLUSH || bio_op(bio) == REQ_OP_FLUSH)
		at += HDD_TURN_NS;
	if (bio_sectors(bio)) {
		distance = sector > d->head ? sector - d->head : d->head - sector;
		if (distance) {
			u64 range = HDD_SEEK_MAX_NS - HDD_SEEK_MIN_NS;
			u64 share = isqrt((distance << 20) / (d->disk.sectors | 1));
			u64 place = sector % HDD_TRACK * per_sector;

			at += HDD_SEEK_MIN_NS + range * share / 1024;
			at += (place + HDD_TURN_NS - at % HDD_TURN_NS) % HDD_TURN_NS;
		}
		if (bio_op(bio) == REQ_OP_READ || bio_op(bio) == REQ_OP_WRITE)
			at += bio_sectors(bio) * per_sector;
		d->head = bio_end_sector(bio);
	}
	d->busy_until[0] = at;
	return at;
}

static u64 end_ns(struct delay_disk *d, const struct bio *bio, u64 now)
{
	switch (d->model) {
	case DISK_SSD:
		return ssd_end_ns(d, bio, now);
	case DISK_HDD:
		return hdd_end_ns(d, bio, now);
	default:
		return now + RAM_NS;
	}
}

/* ---- requests ---- */

static void delay_event(struct sim_event *event)
{
	struct bio *bio = disk_waited(event);

	bio->bi_disk_timed = true;
	disk_pass(bio->bi_disk, bio);
}

static void serve(struct delay_disk *d, struct bio *bio)
{
	u64 when;

	/* Time goes on only when nothing can run; but disks may be as quick as anything else. */
	if (sched_explored()) {
		disk_wait(&d->disk, bio, 0, delay_event);
		return;
	}
	sched_enter();
	when = end_ns(d, bio, sim_now_ns());
	sched_exit();
	disk_wait(&d->disk, bio, when, delay_event);
}

/* True if it is kept back. */
static bool hold_back(struct delay_disk *d, struct bio *bio)
{
	unsigned int ops = disk_op_mask(bio), i;
	bool held = false;

	sched_hb_release(bio);
	sched_enter();
	sched_access(d, SIM_READ);
	for (i = 0; d->nr_holds && !held && i < MAX_HOLDS; i++) {
		struct hold *h = &d->hold[i];

		if (!h->used || !(h->ops & ops) || !disk_touches(bio, h->start, h->len))
			continue;
		sched_access(h, h->left ? SIM_WRITE : SIM_READ);
		if (h->left) {
			sched_access(&d->held, SIM_ADD);
			bio_list_add(&h->bios, bio);
			h->left--;
			d->held++;
			held = true;
		}
	}
	sched_exit();
	return held;
}

static void delay_submit(struct disk *disk, struct bio *bio)
{
	struct delay_disk *d = (struct delay_disk *)disk;

	if (!hold_back(d, bio))
		serve(d, bio);
}

static void delay_new_world(struct disk *disk)
{
	struct delay_disk *d = (struct delay_disk *)disk;

	memset(d->busy_until, 0, sizeof(d->busy_until));
	memset(d->hold, 0, sizeof(d->hold));
	d->nr_holds = d->held = 0;
}

static void delay_destroy(struct disk *disk)
{
	free(disk);
}

static const struct disk_ops delay_ops = {
	.kind = "delay",
	.submit = delay_submit,
	.new_world = delay_new_world,
	.destroy = delay_destroy,
};

struct disk *disk_delay_create(struct disk *below, enum disk_model model)
{
	struct delay_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->model = model;
	disk_init(&d->disk, &delay_ops, below, 0);
	return &d->disk;
}

static struct delay_disk *delay_disk(struct disk *disk)
{
	if (disk->ops != &delay_ops)
		sim_fail("disk: a %s layer is asked to hold requests", disk->ops->kind);
	return (struct delay_disk *)disk;
}

int disk_delay_hold(struct disk *delay_layer, unsigned int ops, sector_t start, sector_t len)
{
	return disk_delay_hold_next(delay_layer, ops, start, len, U64_MAX);
}

int disk_delay_hold_next(struct disk *delay_layer, unsigned int ops, sector_t start, sector_t len,
			 u64 count)
{
	struct delay_disk *d = delay_disk(delay_layer);
	int i;

	disk_enter_world(delay_layer);
	sched_point("hold", NULL, NULL);
	for (i = 0; i < MAX_HOLDS; i++) {
		if (d->hold[i].used)
			continue;
		sched_enter();
		sched_access(d, SIM_WRITE);
		d->hold[i] = (struct hold){
			.used = true, .ops = ops, .start = start, .len = len, .left = count
		};
		d->nr_holds++;
		sched_exit();
		return i;
	}
	sim_fail("disk: more than %d holds", MAX_HOLDS);
}

void disk_delay_release(struct disk *delay_layer, int handle)
{
	struct delay_disk *d = delay_disk(delay_layer);
	struct bio_list bios = BIO_EMPTY_LIST;
	struct bio *bio;
	int i;

	sched_point("release", NULL, NULL);
	sched_enter();
	sched_access(d, SIM_WRITE);
	for (i = 0; i < MAX_HOLDS; i++) {
		if ((handle >= 0 && i != handle) || !d->hold[i].used)
			continue;
		sched_access(&d->hold[i], SIM_WRITE);
		sched_access(&d->held, SIM_ADD);
		d->held -= bio_list_size(&d->hold[i].bios);
		bio_list_merge(&bios, &d->hold[i].bios);
		d->hold[i] = (struct hold){ .used = false };
		d->nr_holds--;
	}
	sched_exit();
	while ((bio = bio_list_pop(&bios))) {
		sched_hb_acquire(bio);
		serve(d, bio);
	}
}

unsigned int disk_delay_held(struct disk *delay_layer)
{
	sched_access(&delay_disk(delay_layer)->held, SIM_READ);
	return delay_disk(delay_layer)->held;
}
