/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The disks after a power cut: what each sector holds, which sectors are undecided, and what was
 * written since, which can be taken back.
 *
 * A sector that may hold one of several contents holds a *choice*. A copy of it moves the choice. Only who looks at
 * the bytes makes it: then image_decide() is asked for the alternative, and the sector, and every
 * copy of it, holds that from then on. So two states that differ in nothing that anybody
 * looked at are one state, and the judgement of data is a judgement of all alternatives.
 */
#ifndef SIM_CRASH_IMAGE_H
#define SIM_CRASH_IMAGE_H

#include "content.h"

#define CRASH_DISKS 2
#define CRASH_ORIGIN 0
#define CRASH_STORE 1

#define UNDECIDED U32_MAX

/* Alternatives are in the order of their writes, the oldest first. */
struct choice {
	u32 disk;
	sector_t sector;	/* where it was made */
	u32 nr, first;		/* alternatives, in the image's pool */
	u32 decided;		/* or UNDECIDED */
	u64 hash;		/* of place and alternatives */
	bool literal;		/* an alternative is not just a tag: it has to be decided to be copied */
};

struct image_disk {
	sector_t sectors;
	content_t *now;
	u8 *read;	/* a bit for each sector that was read and is not undecided, while image->note_reads */
};

struct image_undo {
	u32 disk;
	content_t old;
	sector_t sector;
};

struct image {
	struct image_disk disk[CRASH_DISKS];
	bool note_reads;
	u64 hash;		/* of everything, choices by their alternatives, decided or not */
	struct image_undo *undo;
	u64 nr_undo;
	u32 max_undo;
	struct choice *choices;
	u32 nr_choices, max_choices;
	struct choice_option {
		content_t content;
		u32 issued;
	} *pool;
	u32 nr_pool, max_pool;
	/* Somebody looks: the number of the alternative, below choice->nr. */
	u32 (*decide)(void *context, u32 number);
	void *decide_context;
};

void image_init(struct image *im, const sector_t sectors[CRASH_DISKS]);
void image_exit(struct image *im);

static inline content_t image_get(const struct image *im, u32 disk, sector_t sector)
{
	return im->disk[disk].now[sector];
}

void image_set(struct image *im, u32 disk, sector_t sector, content_t c);

/* Contents, choices and decisions made from here on are taken back by image_rollback(). */
struct image_mark {
	u64 undo;
	u32 choices, pool;
};
struct image_mark image_mark(const struct image *im);
void image_rollback(struct image *im, struct image_mark mark);
/* Only what was written: the choices stay. */
void image_rollback_writes(struct image *im, struct image_mark mark);

/* Notes reads from here on; what was noted is forgotten. */
void image_note_reads(struct image *im);

/* A choice among @nr > 1 contents (which may be choices), issued then, becomes the content of the sector. */
void image_undecided(struct image *im, u32 disk, sector_t sector, const content_t *options,
		     const u32 *issued, u32 nr);

static inline struct choice *image_choice(const struct image *im, content_t c)
{
	return &im->choices[c & ~CONTENT_CHOICE];
}

static inline content_t choice_option(const struct image *im, const struct choice *ch, u32 i)
{
	return im->pool[ch->first + i].content;
}

/* @c, or what was decided for it; still a choice if nothing was. */
content_t image_decided(const struct image *im, content_t c);
/* The same, decided now if it was not. */
content_t image_look(struct image *im, content_t c);
/* A hash of the disks that had @hash when they were read, with what was decided since in its place. */
u64 image_class(const struct image *im, u64 hash);

/* A disk on top of that (disk.h); one of each at a time. */
struct disk *image_disk(struct image *im, u32 disk);

#endif /* SIM_CRASH_IMAGE_H */
