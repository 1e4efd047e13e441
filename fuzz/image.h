/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hostile images of a mikulas store: what mikulas_image and mikulas_image_ops share.
 *
 *   image_edit.h    the input
 *   image_mutate.c  changes inputs
 *   image_base.c    base images, made by the store itself
 *   image_apply.c   edits
 *   image_world.c   the world with such a store in it; its devices; who may write where
 *   image_truth.c   what snapshots must read as, and the operations that change it
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include "../stores/mikulas/format.h"
#include "check.h"
#include "image_edit.h"
#include "status.h"
#include "world.h"

#define IMAGE_BASES 10
#define IMAGE_NODES_MAX 64
#define IMAGE_MAPS_MAX 16
#define IMAGE_RECORDS_MAX 256
#define IMAGE_REQUESTS_MAX 50000 /* of the store device for one input; more: a loop without end */

/* A store device and its origin, and where in it things are. */
struct image {
	sector_t sectors, origin_sectors;
	unsigned int chunk, block;	/* sectors, bytes */
	u8 *bytes;			/* what is before the data area */
	u64 blocks;			/* of that */
	tag_t *data;			/* the rest */
	tag_t *origin;
	unsigned int nr_nodes, nr_maps, nr_records;
	u64 nodes[IMAGE_NODES_MAX];	/* blocks */
	u64 maps[IMAGE_MAPS_MAX];
	u64 records[IMAGE_RECORDS_MAX];	/* sectors: the chain behind the checkpoint */
	u8 *used;			/* by 8 sectors of the device: not zero */
	/* of one input */
	u8 *pristine;			/* bytes, as they were */
	unsigned int base_records;	/* and nr_records */
	u8 *changed;			/* by block */
	struct { u64 sector, sectors; } unreadable[IMAGE_EDITS_MAX];
	unsigned int nr_unreadable;
};

static inline snapid_t image_id(u8 code)
{
	return code == 255 ? SNAPID_ORIGIN : snapid_make(code >> 3, code & 7);
}

/* image_base.c */
/* The @index-th; of static storage. */
struct image *image_base(unsigned int index);
/* Finds nodes, maps and records again. */
void image_find_parts(struct image *im);
void image_read_super(const struct image *im, struct super *super);

/* image_apply.c */
void image_apply(struct image *im, const struct image_edit *edits, unsigned int n);
/* The edits undone. */
void image_restore(struct image *im);

/* image_world.c */
struct image_run {
	const struct image_head *head;
	struct image *im;
	unsigned int chunk;		/* sectors */
	sector_t origin_sectors;
	char table[256];
	struct world_disk *store, *origin;
	struct check_summary summary;
	bool clean;			/* the offline check found nothing: everything must be right */
	bool same_areas;		/* the areas of the store are those of the base image */
	bool unformatted;
	bool before;			/* the check before the first load is under way */
	char refuse[256];		/* not empty: what a load must find */
	bool loaded;
	bool faults;			/* requests of the disks were made to fail */
	int error;			/* last seen in a status: it sticks */
	u64 least_cache;		/* as the log has it */
	u64 requests, writes;		/* of the store device */
};

/* Decodes the head and the edits; what is left of the input is at *rest. False: too short. */
bool image_input(const uint8_t *data, size_t size, struct image_head *head, struct image_edit *edits,
		 const uint8_t **rest, size_t *left);
/* One input: builds the world, runs @body in a thread of it, takes it down. */
void image_world(const struct image_head *head, const struct image_edit *edits, void (*body)(void *run));
/* Loads the target: whether it may be loaded, and whether it must be, is judged. False: it was refused. */
bool image_load(struct image_run *run);
void image_unload(struct image_run *run);
/* The status, judged. */
void image_status(struct image_run *run, struct target_status *st);
/* The offline check: a store that was clean must be. */
void image_check(struct image_run *run, const char *when);
/* One request, waited for; 0 or -errno. */
int image_io(const char *device, blk_opf_t opf, sector_t sector, u32 sectors, tag_t *tags);

/* The story, and the end of the program. */
void image_found(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A line of the story. */
void image_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* image_truth.c */
#define TRUTH_SECTORS_MAX 512	/* of an origin whose contents are known */
#define TRUTH_SNAPSHOTS_MAX 24

struct truth_snapshot {
	snapid_t id;
	bool known;			/* its contents */
	tag_t tags[TRUTH_SECTORS_MAX];
};

struct truth {
	struct image_run *run;
	sector_t sectors;		/* of each device */
	u32 write_no;
	tag_t origin[TRUTH_SECTORS_MAX];
	bool more;			/* snapshots than these */
	unsigned int nr;
	struct truth_snapshot snapshots[TRUTH_SNAPSHOTS_MAX];
};

/* What the loaded devices read as: whatever it is, it must stay. */
void truth_begin(struct truth *t, struct image_run *run);
/* All devices that are known, read and compared. */
void truth_verify(struct truth *t);
/* Reads, writes and changes that truth knows; @snapshot below t->nr, or the origin. */
#define TRUTH_ORIGIN UINT_MAX
void truth_read(struct truth *t, unsigned int snapshot, sector_t sector, u32 sectors);
void truth_write(struct truth *t, unsigned int snapshot, blk_opf_t opf, sector_t sector, u32 sectors);
/* Of the origin, or of that snapshot. */
void truth_create(struct truth *t, unsigned int master, unsigned int suspend_flags);
void truth_delete(struct truth *t, unsigned int snapshot);
void truth_settle(struct truth *t);
/* Removed, and loaded again. False: it was refused. */
bool truth_reload(struct truth *t);

#endif /* FUZZ_IMAGE_H */
