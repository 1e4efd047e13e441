/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the simulated disks: what a layer is made of.
 *
 * Layers work on bios. A request goes down by disk_submit(), each layer counts it and passes it on,
 * at once or later; the bottom transfers the data and calls disk_end(), which goes up through all
 * layers and completes the bio. A bio belongs to the disk in between, with its bi_next and
 * bi_disk_* fields.
 */
#ifndef FAKE_DISK_LAYER_H
#define FAKE_DISK_LAYER_H

#include "sched.h"

struct disk_ops {
	const char *kind;
	/* Pass on or transfer. Ends, perhaps at once, in disk_end(). */
	void (*submit)(struct disk *disk, struct bio *bio);
	/* Optional: the request has ended below; on its way up. */
	void (*ended)(struct disk *disk, struct bio *bio, int error);
	void (*destroy)(struct disk *disk); /* frees @disk */
	/* Optional: requests of an earlier world, which was cut off, are gone. */
	void (*new_world)(struct disk *disk);

	/* Only the bottom has these. Errors of the world outside end the program. */
	void (*read)(struct disk *disk, sector_t sector, u32 count, struct sector_data *data,
		     u32 offset);
	void (*write)(struct disk *disk, sector_t sector, u32 count,
		      const struct sector_data *data, u32 offset);
	void (*zero)(struct disk *disk, sector_t sector, sector_t count);
	sector_t (*next_data)(struct disk *disk, sector_t sector);
	u64 (*memory)(struct disk *disk);
	int (*resize)(struct disk *disk, sector_t sectors);
};

struct disk {
	const struct disk_ops *ops;
	struct disk *below, *above;
	sector_t sectors;
	unsigned int in_flight; /* waiting in this layer */
	u32 world;		/* to which in_flight belongs */
	struct disk_counts counts;
};

/* @disk is the first member of a layer's own struct, zeroed. @below NULL: a bottom. */
void disk_init(struct disk *disk, const struct disk_ops *ops, struct disk *below, sector_t sectors);

/* Forgets what an earlier world left in the layer. */
void disk_enter_world(struct disk *disk);
void disk_submit(struct disk *disk, struct bio *bio);
/* Called by the layer that ends the request: it and those above hear of it. */
void disk_end(struct disk *disk, struct bio *bio, int error);

static inline void disk_pass(struct disk *disk, struct bio *bio)
{
	disk_submit(disk->below, bio);
}

/* Keep @bio in @disk until then; @fn is called in interrupt context. */
void disk_wait(struct disk *disk, struct bio *bio, u64 when_ns,
	       void (*fn)(struct sim_event *event));
/* The bio of an event; it has left the disk it waited in. */
struct bio *disk_waited(struct sim_event *event);

/*
 * submit() of every bottom: transfers later, in an event; at once if a layer above has spent the
 * time.
 */
void disk_bottom_submit(struct disk *disk, struct bio *bio);

/* What disk_resize() does to the layers. 0 or -errno. */
int disk_set_sectors(struct disk *disk, sector_t sectors);

/* DISK_OP_* of a request; a write with PREFLUSH is both. */
static inline unsigned int disk_op_mask(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return DISK_OP_READ;
	case REQ_OP_FLUSH:
		return DISK_OP_FLUSH;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
	case REQ_OP_WRITE_ZEROES:
		return DISK_OP_DISCARD;
	default:
		return (bio->bi_iter.bi_size ? DISK_OP_WRITE : 0) |
		       (bio->bi_opf & REQ_PREFLUSH ? DISK_OP_FLUSH : 0);
	}
}

/*
 * Does the request touch [start, start + len)? 0, 0 is everywhere; an empty flush only matches
 * that.
 */
static inline bool disk_touches(const struct bio *bio, sector_t start, sector_t len)
{
	if (!start && !len)
		return true;
	return bio_sectors(bio) && bio->bi_iter.bi_sector < start + len &&
	       start < bio_end_sector(bio);
}

#endif /* FAKE_DISK_LAYER_H */
