/* SPDX-License-Identifier: GPL-2.0 */
/* One part of a bio on its way through a target: dm_map.c submits it, dm_end.c completes it. */
#ifndef FAKE_DM_IO_PART_H
#define FAKE_DM_IO_PART_H

#include "dm.h"

struct dm_target_io {
	struct dm_io *io;
	struct dm_target *ti;
	unsigned int *len_ptr; /* valid while map() runs */
	unsigned int target_bio_nr;
	bool inside_io;
	bool duplicate;
	struct bio clone;
};

struct dm_io {
	struct dm_table *table;
	struct mapped_device *md;
	struct dm_io *next;
	struct bio *orig_bio;
	struct dm_target_io *mapping; /* whose map() runs */
	int io_count;
	blk_status_t status;
	bool was_split;
	u32 sectors;	   /* of this part, if it was split */
	u32 sector_offset; /* of its beginning from the end of the original */
	struct dm_target_io tio;
} __aligned(16);

static inline struct dm_target_io *clone_to_tio(const struct bio *clone)
{
	return (struct dm_target_io *)container_of(clone, struct dm_target_io, clone);
}

/* Memory for a dm_io, or for one more clone of it. */
struct dm_io *dm_io_get(struct dm_table *table);
void dm_io_put(struct dm_io *io);
/* After the target has finished with a clone: */
void dm_tio_put(struct dm_target_io *tio);
void dm_io_dec_pending(struct dm_io *io, blk_status_t error);
/* bi_end_io of clones. */
void dm_clone_endio(struct bio *clone);
/* The original waits for the next run of the device's work. */
void dm_queue_io(struct mapped_device *md, struct bio *bio);
/*
 * Sectors [offset, offset + sectors) of @parent, which may lie before what bi_iter has left of it,
 * as a bio of their own. It completes one part of @parent.
 */
struct bio *dm_chain_part(struct bio *parent, s64 offset, u32 sectors);

#endif /* FAKE_DM_IO_PART_H */
