// SPDX-License-Identifier: GPL-2.0
/*
 * Error injection: requests that match a rule fail instead of reaching the disk below.
 *
 * A request that fails still takes its turn: it ends in an event, never inside of submission. A
 * rule is a fault (disk.h); rules are asked in the order in which they were added.
 */
#include <stdlib.h>

#include "control.h"
#include "fake/disk_layer.h"

#define MAX_FAULTS 64

struct error_disk {
	struct disk disk;
	unsigned int nr;
	struct disk_fault fault[MAX_FAULTS];
	int (*hook)(void *context, blk_opf_t opf, sector_t sector, u32 sectors);
	void *hook_context;
};

static bool is_hit(const struct disk_fault *f)
{
	/* To an explorer, whatever may be is an alternative. */
	if (sched_explored())
		return sim_choose(2, "fault");
	return sim_choose(1000000, "fault") >= 1000000 - f->per_million;
}

static int fault_of(struct error_disk *e, const struct bio *bio)
{
	unsigned int ops = disk_op_mask(bio), i;

	sched_access(e, SIM_READ);
	for (i = 0; i < e->nr; i++) {
		struct disk_fault *f = &e->fault[i];

		if (!(f->ops & ops) || !disk_touches(bio, f->start, f->len))
			continue;
		/* One that counts is for some requests and not for others, by their order. */
		sched_access(f,
			     f->count && (f->skip || f->count != U64_MAX) ? SIM_WRITE : SIM_READ);
		if (!f->count)
			continue;
		if (f->skip) {
			f->skip--;
			continue;
		}
		if (f->per_million && !is_hit(f))
			continue;
		if (f->count != U64_MAX)
			f->count--;
		return f->error;
	}
	return 0;
}

static void error_event(struct sim_event *event)
{
	struct bio *bio = disk_waited(event);

	disk_end(bio->bi_disk, bio, bio->bi_disk_error);
}

static void error_submit(struct disk *disk, struct bio *bio)
{
	struct error_disk *e = (struct error_disk *)disk;
	int error = 0;

	if (e->hook)
		error = e->hook(e->hook_context, bio->bi_opf, bio->bi_iter.bi_sector, bio_sectors(bio));
	if (!error)
		error = fault_of(e, bio);
	if (!error) {
		disk_pass(disk, bio);
	} else if (bio->bi_disk_timed) {
		disk_end(disk, bio, error);
	} else {
		bio->bi_disk_error = error;
		disk_wait(disk, bio, 0, error_event);
	}
}

static void error_destroy(struct disk *disk)
{
	free(disk);
}

static const struct disk_ops error_ops = {
	.kind = "error",
	.submit = error_submit,
	.destroy = error_destroy,
};

struct disk *disk_error_create(struct disk *below)
{
	struct error_disk *e = calloc(1, sizeof(*e));

	if (e)
		disk_init(&e->disk, &error_ops, below, 0);
	return e ? &e->disk : NULL;
}

static struct error_disk *error_disk(struct disk *disk)
{
	if (disk->ops != &error_ops)
		sim_fail("disk: a %s layer is asked to inject errors", disk->ops->kind);
	return (struct error_disk *)disk;
}

int disk_error_add(struct disk *error_layer, const struct disk_fault *fault)
{
	struct error_disk *e = error_disk(error_layer);

	sched_point("fault", NULL, NULL);
	sched_access(e, SIM_WRITE);
	if (e->nr == MAX_FAULTS)
		sim_fail("disk: more than %u faults", MAX_FAULTS);
	if (fault->error >= 0 || fault->per_million > 1000000)
		sim_fail("disk: a fault needs a negative error and at most 1000000 per million");
	e->fault[e->nr] = *fault;
	return e->nr++;
}

void disk_error_clear(struct disk *error_layer)
{
	struct error_disk *e = error_disk(error_layer);

	sched_point("fault", NULL, NULL);
	sched_access(e, SIM_WRITE);
	e->nr = 0;
}

void disk_error_hook(struct disk *error_layer,
		     int (*fn)(void *context, blk_opf_t opf, sector_t sector, u32 sectors), void *context)
{
	struct error_disk *e = error_disk(error_layer);

	e->hook = fn;
	e->hook_context = context;
}
