/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Simulated disks. They stack: each layer does one job and passes the rest down.
 *
 * Contents. A sector is not 512 bytes but one 64-bit *tag*: 0 is a sector of zeroes, a tag with
 * TAG_LITERAL clear stands for a pattern of 512 bytes generated from it (tag_expand()), and a
 * sector that holds anything else (metadata) is kept as its 512 bytes ("literal"). Converting bytes
 * to a tag recognises zeroes and patterns, so that images in files and images in memory are the
 * same. Terabytes of data fit in memory because runs of tags that differ by one from sector to
 * sector are kept as runs.
 */
#ifndef SHIM_DISK_H
#define SHIM_DISK_H

#include "shim.h"

typedef u64 tag_t;

#define TAG_ZERO ((tag_t)0)
#define TAG_LITERAL ((tag_t)1 << 63) /* in a tag array: literal bytes; the rest is a hash of them */

/*
 * The tag of a sector that the harness writes: who wrote it (write number, > 0, 27 bits) and where
 * (sector number on the device that the writer saw, 36 bits). Sectors of one write differ by one.
 */
#define TAG_SECTOR_BITS 36
#define TAG_WRITE_MAX ((1ULL << 27) - 1)

static inline tag_t tag_make(u64 write_no, sector_t sector)
{
	return write_no << TAG_SECTOR_BITS | sector;
}

static inline u64 tag_write_no(tag_t tag)
{
	return (tag & ~TAG_LITERAL) >> TAG_SECTOR_BITS;
}

static inline sector_t tag_sector(tag_t tag)
{
	return tag & ((1ULL << TAG_SECTOR_BITS) - 1);
}

/* 64 little-endian words: word i is tag + i * 0x9E3779B97F4A7C15, all zero for TAG_ZERO. */
void tag_expand(tag_t tag, u8 bytes[SECTOR_SIZE]);
/* True and *tag if @bytes is what tag_expand() makes of some tag. */
bool tag_recognise(const u8 bytes[SECTOR_SIZE], tag_t *tag);

/*
 * Contents of consecutive sectors on their way: what a bio carries. Either tags, one per sector, or
 * real bytes. Where tags[i] has TAG_LITERAL, the bytes are literals[i]: an array of as many
 * sectors, allocated when the first literal shows up and only if somebody wants to keep the bytes
 * (copies do, readers that only look at tags do not).
 */
struct sector_data {
	tag_t *tags;			/* NULL: bytes */
	u8 *bytes;			/* NULL: tags */
	u8 (*literals)[SECTOR_SIZE];	/* with tags only; may be NULL */
	u32 sectors;			/* the length of the arrays */
	bool keep_literals;		/* reads fill literals */
};

/* The tag of sector @i: TAG_LITERAL | hash for what is neither zeroes nor a pattern. */
tag_t sector_data_tag(const struct sector_data *data, u32 i);
/* The bytes of sector @i; a literal whose bytes were not kept is a sim_fail(). */
void sector_data_bytes(const struct sector_data *data, u32 i, u8 bytes[SECTOR_SIZE]);
/* The room for literals, made where there is none; and its end (also at the end of the world). */
void sector_data_need_literals(struct sector_data *data);
void sector_data_drop_literals(struct sector_data *data);
/* TAG_LITERAL | hash of the bytes. */
tag_t tag_of_literal(const u8 bytes[SECTOR_SIZE]);

/* What one disk did; counted per disk, at the layer where it is asked. */
struct disk_counts {
	u64 reads, writes, discards, write_zeroes;
	u64 flushes;						/* empty ones, and PREFLUSH */
	u64 preflush, fua;					/* writes that carried them */
	u64 sectors_read, sectors_written, sectors_discarded;
	u64 meta_writes, meta_sectors_written;			/* of them with REQ_META */
	u64 errors;
};

struct disk; /* one layer */

/*
 * Creators return NULL only on a failure outside the simulation (errno of open(), ...), with a
 * message.
 */
struct disk *disk_ram_create(const char *name, sector_t sectors);
struct disk *disk_file_create(const char *name, const char *path, sector_t sectors, bool create);

/* A disk whose contents are kept by the harness, without simulated time. */
struct disk_backing {
	void (*read)(void *context, sector_t sector, u32 count, struct sector_data *data, u32 offset);
	void (*write)(void *context, sector_t sector, u32 count, const struct sector_data *data,
		      u32 offset);
	void (*zero)(void *context, sector_t sector, sector_t count);
};
struct disk *disk_backed_create(sector_t sectors, const struct disk_backing *backing, void *context);

/* Error injection: the first rule that matches and is not used up decides. */
struct disk_fault {
	unsigned int ops;	/* mask of DISK_OP_* */
	sector_t start, len;	/* 0, 0: everywhere */
	u64 skip;		/* let so many matching requests pass first */
	u64 count;		/* then fail so many (U64_MAX: for ever) */
	unsigned int per_million; /* 0: always, else with that probability, by the chooser */
	int error;		/* negative errno */
};
#define DISK_OP_READ 1
#define DISK_OP_WRITE 2
#define DISK_OP_FLUSH 4
#define DISK_OP_DISCARD 8 /* and write zeroes */
#define DISK_OP_ALL 15
struct disk *disk_error_create(struct disk *below);
int disk_error_add(struct disk *error_layer, const struct disk_fault *fault); /* a handle >= 0 */
void disk_error_clear(struct disk *error_layer);
/* Asked before the rules, for each request: a negative errno makes it fail. NULL: nobody. Outlives disk_error_clear(). */
void disk_error_hook(struct disk *error_layer,
		     int (*fn)(void *context, blk_opf_t opf, sector_t sector, u32 sectors), void *context);

/*
 * Service times, simulated. disk_delay_hold(): requests that match wait until released (tests of
 * races).
 */
enum disk_model { DISK_RAM, DISK_SSD, DISK_HDD };
struct disk *disk_delay_create(struct disk *below, enum disk_model model);
int disk_delay_hold(struct disk *delay_layer, unsigned int ops, sector_t start, sector_t len);
/* The same for the next @count requests that match; those after them pass. */
int disk_delay_hold_next(struct disk *delay_layer, unsigned int ops, sector_t start, sector_t len,
			 u64 count);
void disk_delay_release(struct disk *delay_layer, int handle); /* -1: all */
unsigned int disk_delay_held(struct disk *delay_layer);

/* Write log: calls back for each write, discard and flush at issue and at completion, in order. */
struct disk_log_event {
	u64 id;			/* of the request; issue and completion carry the same */
	bool completed;
	blk_opf_t opf;
	sector_t sector;
	sector_t sectors;
	const struct sector_data *data; /* writes, at issue; valid during the call */
	int error;
};
struct disk *disk_log_create(struct disk *below,
			     void (*event)(void *context, const struct disk_log_event *ev),
			     void *context);

/* Destroys this layer and those below. The name must be unregistered. */
void disk_destroy(struct disk *disk);

const struct disk_counts *disk_counts(struct disk *disk);
void disk_counts_reset(struct disk *disk);
sector_t disk_sectors(struct disk *disk);

/* Immediate access, outside of simulated time and faults: images, oracles, tests. */
void disk_peek(struct disk *disk, sector_t sector, u32 sectors, tag_t *tags); /* TAG_LITERAL|hash */
void disk_peek_bytes(struct disk *disk, sector_t sector, u32 sectors, void *bytes);
void disk_poke(struct disk *disk, sector_t sector, u32 sectors, const tag_t *tags);
void disk_poke_bytes(struct disk *disk, sector_t sector, u32 sectors, const void *bytes);
/*
 * The next sector >= @sector that is not zero (may be early, never late); disk_sectors() if none.
 */
sector_t disk_next_data(struct disk *disk, sector_t sector);
u64 disk_memory_bytes(struct disk *disk);
int disk_save(struct disk *disk, const char *path); /* sparse image file; 0 or -errno */

/* Give a disk (its top layer) a name for dm_get_device() and a number; block size 512..4096. */
struct block_device *disk_register(const char *name, struct disk *disk, unsigned int block_size);
void disk_unregister(const char *name);
struct block_device *disk_bdev(const char *name); /* NULL if there is none; dm devices too, once they had a table */
/* A device resized while in use (H45). */
int disk_resize(const char *name, sector_t sectors);

#endif /* SHIM_DISK_H */
