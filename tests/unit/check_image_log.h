/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log of the hand-made store: operations, records, and the log that build() writes. Part of
 * check_image.h, which includes it.
 */
#ifndef TESTS_CHECK_IMAGE_LOG_H
#define TESTS_CHECK_IMAGE_LOG_H

static inline void op_byte(struct image *image, unsigned int byte)
{
	assert_true(image->payload_bytes < sizeof(image->payload));
	image->payload[image->payload_bytes++] = byte;
}

static inline void op_v(struct image *image, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		op_byte(image, 128 | (value & 127));
	op_byte(image, value);
}

static inline void op_id(struct image *image, uint64_t id)
{
	uint64_t high, low_plus_1;

	split_id(id, &high, &low_plus_1);
	op_v(image, high);
	op_v(image, low_plus_1);
}

static inline void op_head(struct image *image, unsigned int byte, unsigned int changes)
{
	op_byte(image, byte);
	image->ops++;
	image->changes += changes;
}

static inline void op_add(struct image *image, uint64_t chunk, uint64_t from, uint64_t to,
			  uint64_t block)
{
	op_head(image, 1, 1);
	op_v(image, chunk);
	op_id(image, from);
	op_id(image, to);
	op_v(image, block);
}

static inline void op_narrow(struct image *image, uint64_t chunk, uint64_t from, uint64_t new_from,
			     uint64_t new_to, uint64_t block)
{
	op_head(image, 2, 2);
	op_v(image, chunk);
	op_id(image, from);
	op_id(image, new_from);
	op_id(image, new_to);
	op_v(image, block);
}

static inline void op_remove(struct image *image, uint64_t chunk, uint64_t from, uint64_t block)
{
	op_head(image, 3, 1);
	op_v(image, chunk);
	op_id(image, from);
	op_v(image, block);
}

static inline void op_create(struct image *image, uint64_t id)
{
	op_head(image, 4, 2);
	op_id(image, id);
}

static inline void op_delete(struct image *image, uint64_t id)
{
	op_head(image, 5, 1);
	op_id(image, id);
}

static inline void op_cursor(struct image *image, uint64_t chunk, uint64_t from)
{
	op_head(image, 6, 0);
	op_v(image, chunk);
	op_id(image, from);
}

static inline void op_end_of_pass(struct image *image)
{
	op_head(image, 0x16, 0);
}

static inline uint32_t sectors_for(uint32_t bytes)
{
	return bytes <= 464 ? 1 : 1 + (bytes - 464 + 495) / 496;
}

/* A record of the payload collected, at @sector; returns its CRC. */
static inline uint32_t write_record(struct image *image, uint64_t sector, uint64_t seq,
				    uint32_t prev_crc, uint32_t mount)
{
	uint32_t sectors = sectors_for(image->payload_bytes), done = 0;
	uint8_t *b = at_log(image, sector);

	memset(b, 0, sectors * 512);
	for (uint32_t i = 0; i < sectors; i++) {
		uint8_t *s = b + i * 512;
		uint32_t skip = i ? 16 : 48, n = image->payload_bytes - done;

		put(s, mount, 4);
		put(s + 4, i, 2);
		put(s + 6, 0x4C4D, 2);
		put(s + 8, seq, 8);
		n = n < 512 - skip ? n : 512 - skip;
		memcpy(s + skip, image->payload + done, n);
		done += n;
	}
	put(b + 20, prev_crc, 4);
	put(b + 24, sector, 8);
	put(b + 32, sectors, 4);
	put(b + 36, image->payload_bytes, 4);
	put(b + 40, image->ops, 4);
	put(b + 44, image->changes, 4);
	seal(b, sectors * 512, 16);
	image->payload_bytes = image->ops = image->changes = 0;
	return (uint32_t)get(b + 16, 4);
}

/* The next record, at its place. */
static inline void record(struct image *image)
{
	uint32_t sectors = sectors_for(image->payload_bytes);

	image->last_record = image->log_at;
	image->log_prev = write_record(image, image->log_at, image->log_seq, image->log_prev,
				       image->log_mount);
	image->log_seq++;
	image->log_at += sectors;
	if (LOG_END - image->log_at < RECORD_SECTORS)
		image->log_at = LOG_FIRST;
}

/* The record after the first is at the log's start. */
#define LOG_NEXT (LOG_END - RECORD_SECTORS)

/* An empty log, as MOUNT found it: records are of MOUNT. */
static inline void begin_log(struct image *image)
{
	memset(at_log(image, LOG_FIRST), 0, LOG_BLOCKS * BLOCK);
	image->log_at = LOG_NEXT;
	image->log_seq = LOG_SEQ + 1;
	image->log_prev = 0x12345678;
	image->log_mount = MOUNT;
	set_super(image, AT_MOUNT_SEQ, 8, LOG_SEQ);
}

/* What was recorded up to here is of the mount before, and was found when MOUNT began. */
static inline void mount_begins(struct image *image)
{
	image->log_mount = MOUNT;
	set_super(image, AT_MOUNT_SEQ, 8, image->log_seq - 1);
}

/* Chunks are allocated from here on. */
#define ALLOC_POS (DATA_START + 39990)

static inline void build_log(struct image *image)
{
	begin_log(image);
	/* Record 3, of the past. */
	op_create(image, FIRST(3));
	write_record(image, LOG_FIRST + 100, 3, 0x55, 1);
	/* Record 6, of the mount before: create 5; an ADD of each kind of flag. */
	image->log_mount = MOUNT - 1;
	op_create(image, FIRST(5));
	op_add(image, 2000, ID(0, 1), FIRST(5), ALLOC_POS + 3);
	op_head(image, 0x71, 1); /* chunk 2001, same range, next block */
	op_head(image, 0x11, 1); /* same range */
	op_v(image, 2005);
	op_v(image, ALLOC_POS + 6);
	record(image);
	/* Record 7: sub-snapshot, deletion, narrowing. */
	mount_begins(image);
	op_create(image, ID(0, 2));
	op_narrow(image, 2000, ID(0, 1), ID(0, 3), FIRST(4), ALLOC_POS + 3);
	op_delete(image, FIRST(1));
	record(image);
	/* Record 8: reclaim, around the end of the data area, several sectors. */
	op_remove(image, 900, FIRST(2), DATA_START + 150);
	op_cursor(image, 900, FIRST(2));
	op_add(image, 3000, ID(0, 3), FIRST(4), DATA_START + 700);
	for (unsigned int i = 1; i < 100; i++) {
		op_head(image, 0x21, 1);
		op_v(image, 3000 + 7 * i);
		op_id(image, ID(0, 3));
		op_id(image, FIRST(4));
	}
	record(image);
	/* Record 9, torn: its last sector is missing. */
	for (unsigned int i = 0; i < 600; i++)
		op_byte(image, 0x16);
	write_record(image, image->log_at, 9, image->log_prev, MOUNT);
	memset(at_log(image, image->log_at + 1), 0, 512);
}

#endif /* TESTS_CHECK_IMAGE_LOG_H */
