/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The input of the targets mikulas_image and mikulas_image_ops: a base image by its number, and edits to it.
 *
 *   struct image_head, then head.edits times struct image_edit, then (mikulas_image_ops) operations
 *
 * An edit changes one thing by its meaning: a field of the superblock, an entry of a node, an operation of the log. What it
 * has changed is then sealed, as the store would: checksum, and the chain of checksums through the log; unless EDIT_RAW
 * says not to. So every byte of an input may be anything, and what comes of it is an image into which a reader
 * must go deep to find what is wrong. image_mutate.c makes such edits, image_apply.c does them.
 *
 * All fields are taken modulo what there is.
 */
#ifndef FUZZ_IMAGE_EDIT_H
#define FUZZ_IMAGE_EDIT_H

#include <stdint.h>

struct image_head {
	uint8_t base;
	uint8_t flags;
	uint8_t edits;
	uint8_t seed;	/* of mikulas_image_ops: of the scheduler; 0: first come, first served */
};

#define IMAGE_PRESERVE 0x01	/* preserve-on-error */
#define IMAGE_EAGER 0x02	/* cache-threshold 0: a checkpoint after each commit */
#define IMAGE_SMALL_CACHE 0x04	/* cache-limit: the least for the log that was formatted */
#define IMAGE_LARGER 0x08	/* the device is larger than the store */
#define IMAGE_FOLLOWS 0x10	/* chunk size and origin size are those of the superblock, where that can be done */

#define IMAGE_EDITS_MAX 32

enum image_edit_kind {
	EDIT_SUPER,	/* field */
	EDIT_NODE,	/* header of node @where: field, index of width or base */
	EDIT_ENTRY,	/* of node @where: entry @index, field (chunk, from, a, b); the node is packed again */
	EDIT_INSERT,	/* a copy of that entry, with that field another, behind it */
	EDIT_REMOVE,	/* that entry */
	EDIT_MAP,	/* header of map block @where */
	EDIT_BIT,	/* of map block @where: bit @index is flipped, and with an odd field the counts that go with it */
	EDIT_RECORD,	/* header of record @where: field; stamps: of sector @index */
	EDIT_PAYLOAD,	/* of record @where: 1 to 8 bytes (field) at @index become @value */
	EDIT_OP,	/* one more operation behind the log, code @field: struct image_op in @index and @value; odd @where: of a new record */
	EDIT_COPY,	/* block @index to block @value */
	EDIT_BYTES,	/* 1 to 8 bytes (field) at byte @index of the metadata become @value */
	EDIT_ZERO,	/* @where + 1 sectors at @index */
	EDIT_UNREADABLE, /* the same: reads of them fail */
	EDIT_KINDS,
};

/* How a number becomes another. */
enum image_edit_mode {
	EDIT_SET,
	EDIT_ADD,
	EDIT_XOR,
	EDIT_MODES,
};
#define EDIT_RAW 0x80	/* in mode: not sealed */

struct image_edit {
	uint8_t kind;
	uint8_t where;
	uint8_t field;
	uint8_t mode;
	uint32_t index;
	uint64_t value;
};

/* An operation of the log (FORMAT.md 3.3), in 12 bytes. Snapshots are 8 * number + sub-snapshot, as image_id() has it. */
struct image_op {
	uint8_t flags;	/* of the code, in bits 4-7; odd: the block is counted from the allocation position */
	uint8_t from, to;
	uint8_t chunk;
	uint8_t new_from, new_to;
	uint16_t wide;	/* added to chunk, shifted by 40: past the end */
	uint32_t block;
};

#endif /* FUZZ_IMAGE_EDIT_H */
