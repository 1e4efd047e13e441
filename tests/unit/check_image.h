/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mikulas store made by hand, from stores/mikulas/FORMAT.md and nothing else: for the tests of
 * the offline check.
 *
 * The image has a bit of everything: a tree of three leaves below a root, snapshots and sub-
 * snapshots, deleted ones, garbage that a reclaim pass has yet to find, a data map of two levels,
 * and a log with a record of the past, three valid records and a torn one. Tests change the tables
 * below and build again (what they break is then sealed with good CRCs), or patch bytes.
 *
 * Only the metadata is in memory; a read of the data area is a failure: no checker has any
 * business there.
 */
#ifndef TESTS_CHECK_IMAGE_H
#define TESTS_CHECK_IMAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"

#define BLOCK 4096u
#define LOG_START 1u
#define LOG_BLOCKS 32u
#define LOG_FIRST (LOG_START * 8)
#define LOG_END ((LOG_START + LOG_BLOCKS) * 8)
#define RECORD_SECTORS 16u
#define DATA_CHUNKS 40000ULL
#define MAX_ENTRIES 40500ULL
#define MAP_START (LOG_START + LOG_BLOCKS + 3) /* three blocks unused */
#define DATA_MAP_BLOCKS 3u /* 2 bitmaps, 1 directory */
#define META_START (MAP_START + 2 * (DATA_MAP_BLOCKS + 1))
#define META_BLOCKS 928ULL
#define DATA_START (META_START + META_BLOCKS + 5) /* chunks of one block each */
#define DEVICE_SECTORS ((DATA_START + DATA_CHUNKS) * 8 + 100)
#define CKPT 9ULL
#define MOUNT 3u
#define LOG_SEQ 5ULL
#define AT_MOUNT_SEQ 288 /* in the superblock; build_log() and begin_log() set it */

#define ROOT (META_START + 7)
#define LEAF0 (META_START + 2)
#define LEAF1 (META_START + 11)
#define LEAF2 (META_START + 3)

#define ID(high, low) ((uint64_t)(high) << 32 | (uint32_t)(low))
#define FIRST(high) ID(high, 0xffffffff)

struct ex {
	uint64_t chunk, from, to, value;
};

#define MAX_EX 200

struct image {
	uint8_t *bytes;
	uint64_t bytes_size;
	uint64_t sectors; /* of the device */
	struct ex leaf[3][MAX_EX];
	unsigned int n[3];
	unsigned int nr_nodes;
	/* the log being built */
	uint64_t log_at, log_seq;
	uint32_t log_prev, log_mount;
	uint8_t payload[RECORD_SECTORS * 512];
	uint32_t payload_bytes, ops, changes;
	uint64_t last_record; /* sector */
};

/* ---- bytes ---- */

static inline void put(uint8_t *p, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++, value >>= 8)
		p[i] = (uint8_t)value;
}

static inline uint64_t get(const uint8_t *p, unsigned int size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | p[size];
	return value;
}

/* Bit by bit: not the code that is tested. */
static inline uint32_t crc_of(const uint8_t *p, size_t size)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			table[i] = i;
			for (int bit = 0; bit < 8; bit++)
				table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82F63B78 : 0);
		}
	while (size--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

static inline uint8_t *at_block(struct image *image, uint64_t block)
{
	assert_true((block + 1) * BLOCK <= image->bytes_size);
	return image->bytes + block * BLOCK;
}

static inline uint8_t *at_log(struct image *image, uint64_t sector)
{
	assert_true(sector >= LOG_FIRST && sector < LOG_END);
	return image->bytes + sector * 512;
}

static inline void seal(uint8_t *p, size_t size, unsigned int crc_at)
{
	put(p + crc_at, 0, 4);
	put(p + crc_at, crc_of(p, size), 4);
}

static inline void seal_super(struct image *image)
{
	seal(image->bytes, 512, 8);
}

static inline void seal_block(struct image *image, uint64_t block)
{
	seal(at_block(image, block), BLOCK, 4);
}

static inline void set_super(struct image *image, unsigned int offset, unsigned int size,
			     uint64_t value)
{
	put(image->bytes + offset, value, size);
	seal_super(image);
}

/* ---- the tree ---- */

static inline void split_id(uint64_t id, uint64_t *high, uint64_t *low_plus_1)
{
	*high = id >> 32;
	*low_plus_1 = (uint32_t)((uint32_t)id + 1);
}

static inline unsigned int width_of(uint64_t difference)
{
	unsigned int n = 0;

	for (; difference; difference >>= 8)
		n++;
	return n;
}

static inline void pack_node(struct image *image, uint64_t block, unsigned int level, uint64_t seq,
			     uint64_t (*fields)[6], unsigned int n)
{
	uint8_t *b = at_block(image, block), *p = b + 88;
	uint64_t least[6], most[6];

	memset(b, 0, BLOCK);
	put(b, 0x4E4B494D, 4);
	put(b + 8, block, 8);
	put(b + 16, seq, 8);
	put(b + 24, n, 2);
	b[26] = level;
	for (unsigned int f = 0; f < 6; f++) {
		least[f] = UINT64_MAX;
		most[f] = 0;
		for (unsigned int i = 0; i < n; i++) {
			least[f] = fields[i][f] < least[f] ? fields[i][f] : least[f];
			most[f] = fields[i][f] > most[f] ? fields[i][f] : most[f];
		}
		b[32 + f] = width_of(most[f] - least[f]);
		put(b + 40 + 8 * f, least[f], 8);
	}
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int f = 0; f < 6; f++) {
			unsigned int width = b[32 + f];

			assert_true(p + width <= b + 4088);
			put(p, fields[i][f] - least[f], width);
			p += width;
		}
	seal_block(image, block);
}

static inline void pack_leaf(struct image *image, uint64_t block, uint64_t seq, const struct ex *ex,
			     unsigned int n)
{
	uint64_t fields[MAX_EX][6];

	for (unsigned int i = 0; i < n; i++) {
		fields[i][0] = ex[i].chunk;
		split_id(ex[i].from, &fields[i][1], &fields[i][2]);
		split_id(ex[i].to, &fields[i][3], &fields[i][4]);
		fields[i][5] = ex[i].value;
	}
	pack_node(image, block, 0, seq, fields, n);
}

static const uint64_t leaf_block[3] = { LEAF0, LEAF1, LEAF2 };
static const uint64_t leaf_seq[3] = { 4, CKPT, 7 };

/* The nodes as the tables say. */
static inline void build_tree(struct image *image)
{
	uint64_t fields[3][6];

	for (unsigned int i = 0; i < 3; i++) {
		const struct ex *first = &image->leaf[i][0];

		pack_leaf(image, leaf_block[i], leaf_seq[i], image->leaf[i], image->n[i]);
		fields[i][0] = first->chunk;
		split_id(first->from, &fields[i][1], &fields[i][2]);
		fields[i][3] = leaf_block[i];
		fields[i][4] = leaf_seq[i];
		fields[i][5] = 0;
	}
	pack_node(image, ROOT, 1, CKPT, fields, 3);
}

/* ---- maps ---- */

static inline uint64_t data_map_block(unsigned int level, unsigned int index, unsigned int slot)
{
	return MAP_START + 2 * ((level ? 2 : 0) + index) + slot;
}

static inline uint64_t meta_map_block(unsigned int slot)
{
	return MAP_START + 2 * DATA_MAP_BLOCKS + slot;
}

static inline void pack_map(struct image *image, uint64_t block, unsigned int map,
			    unsigned int level, uint64_t index, uint64_t seq,
			    const uint8_t *content)
{
	uint8_t *b = at_block(image, block);

	memset(b, 0, BLOCK);
	put(b, 0x4D4B494D, 4);
	put(b + 8, block, 8);
	put(b + 16, seq, 8);
	put(b + 24, index, 8);
	b[32] = level;
	b[33] = map;
	memcpy(b + 64, content, 4032);
	seal_block(image, block);
}

static inline void mark(uint8_t *bits, uint64_t bit)
{
	bits[bit / 8] |= 1 << bit % 8;
}

/* Slots: data bitmap 0 in 1, bitmap 1 (if it has ones) in 0, directory in 1, metadata in 0. */
static inline void build_maps(struct image *image)
{
	static uint8_t bits[2][4032], directory[4032], meta[4032];
	uint64_t used[2] = { 0, 0 };

	memset(bits, 0, sizeof(bits));
	memset(directory, 0, sizeof(directory));
	memset(meta, 0, sizeof(meta));
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < image->n[i]; j++) {
			const struct ex *ex = &image->leaf[i][j];
			uint64_t bit = ex->value - DATA_START;

			if (ex->chunk >= 1ULL << 52 || bit >= DATA_CHUNKS)
				continue;
			mark(bits[bit / 32256], bit % 32256);
			used[bit / 32256]++;
		}
	pack_map(image, data_map_block(0, 0, 1), 0, 0, 0, 8, bits[0]);
	put(directory, 8 * 2 + 1, 8);
	put(directory + 8, used[0], 8);
	if (used[1]) {
		pack_map(image, data_map_block(0, 1, 0), 0, 0, 1, 6, bits[1]);
		put(directory + 16, 6 * 2, 8);
		put(directory + 24, used[1], 8);
	}
	pack_map(image, data_map_block(1, 0, 1), 0, 1, 0, CKPT, directory);
	mark(meta, ROOT - META_START);
	for (unsigned int i = 0; i < 3; i++)
		mark(meta, leaf_block[i] - META_START);
	pack_map(image, meta_map_block(0), 1, 0, 0, CKPT, meta);
	put(image->bytes + 256, CKPT * 2 + 1, 8);
	put(image->bytes + 264, used[0] + used[1], 8);
	put(image->bytes + 272, CKPT * 2, 8);
	put(image->bytes + 280, 4, 8);
}

#include "check_image_log.h"

/* ---- all of it ---- */

/* Live: 0 (next_sub 2), 0.1, 1, 3, 4. Deleted: 0.0, 2. next_first 5. A pass is at (800, 0). */
static inline void fill_tables(struct image *image)
{
	unsigned int n = 0, i;

	for (i = 0; i < 50; i++)
		image->leaf[0][n++] = (struct ex){ i, ID(0, 0), FIRST(4), DATA_START + i };
	image->n[0] = n;
	n = 0;
	image->leaf[1][n++] = (struct ex){ 60, ID(0, 0), ID(0, 1), DATA_START + 60 };
	image->leaf[1][n++] = (struct ex){ 60, ID(0, 2), FIRST(0), DATA_START + 61 };
	image->leaf[1][n++] = (struct ex){ 60, ID(1, 0), FIRST(3), DATA_START + 39500 };
	image->leaf[1][n++] = (struct ex){ 60, ID(4, 0), FIRST(4), DATA_START + 62 };
	for (i = 0; i < 40; i++)
		image->leaf[1][n++] =
			(struct ex){ 70 + i, ID(0, 2), FIRST(1), DATA_START + 100 + i };
	image->leaf[1][n++] = (struct ex){ 900, FIRST(2), FIRST(2), DATA_START + 150 };
	image->leaf[1][n++] = (struct ex){ 901, FIRST(2), FIRST(2), DATA_START + 151 };
	image->n[1] = n;
	n = 0;
	image->leaf[2][n++] = (struct ex){ 1ULL << 52, ID(0, 1), ID(0, 1), 0 };
	image->leaf[2][n++] = (struct ex){ 1ULL << 52, FIRST(0), FIRST(0), 2 };
	image->leaf[2][n++] = (struct ex){ 1ULL << 52, FIRST(1), FIRST(1), 0 };
	image->leaf[2][n++] = (struct ex){ 1ULL << 52, FIRST(3), FIRST(3), 0 };
	image->leaf[2][n++] = (struct ex){ 1ULL << 52, FIRST(4), FIRST(4), 0 };
	image->n[2] = n;
}

static inline void build_super(struct image *image)
{
	uint8_t *b = image->bytes;

	memset(b, 0, 512);
	memcpy(b, "MSnapMik", 8);
	put(b + 12, 1, 4);
	put(b + 40, MOUNT, 4);
	put(b + 48, 3, 4);
	put(b + 52, 1, 4);
	put(b + 56, 1 << 20, 8);
	put(b + 64, DEVICE_SECTORS, 8);
	put(b + 72, LOG_START, 8);
	put(b + 80, LOG_BLOCKS, 4);
	put(b + 84, RECORD_SECTORS, 4);
	put(b + 88, 256, 4);
	put(b + 96, MAP_START, 8);
	put(b + 104, META_START, 8);
	put(b + 112, META_BLOCKS, 8);
	put(b + 120, DATA_START, 8);
	put(b + 128, DATA_CHUNKS, 8);
	put(b + 136, MAX_ENTRIES, 8);
	put(b + 144, CKPT, 8);
	put(b + 152, ROOT, 8);
	put(b + 160, CKPT, 8);
	put(b + 168, 2, 4);
	put(b + 172, 0x12345678, 4);
	put(b + 176, LOG_SEQ, 8);
	put(b + 184, LOG_NEXT, 8);
	put(b + 192, ALLOC_POS, 8);
	put(b + 200, 5, 8);
	put(b + 208, image->n[2], 8);
	put(b + 216, image->n[0] + image->n[1], 8);
	put(b + 224, 4, 8);
	put(b + 232, 1, 4);
	put(b + 240, 800, 8);
}

static inline void build(struct image *image)
{
	build_super(image);
	build_tree(image);
	build_maps(image);
	seal_super(image);
	build_log(image);
}

static inline struct image *image_new(void)
{
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->bytes_size = DATA_START * BLOCK;
	image->bytes = calloc(1, image->bytes_size);
	assert_non_null(image->bytes);
	image->sectors = DEVICE_SECTORS + 13;
	fill_tables(image);
	build(image);
	return image;
}

static inline void image_free(struct image *image)
{
	free(image->bytes);
	free(image);
}

/* ---- checking it ---- */

static inline int image_read(void *context, u64 sector, u32 sectors, void *buffer)
{
	struct image *image = context;

	if ((sector + sectors) * 512 > image->bytes_size)
		fail_msg("sectors %llu+%u are not metadata: nobody may read them", sector, sectors);
	memcpy(buffer, image->bytes + sector * 512, sectors * 512);
	return 0;
}

static inline int image_check(struct image *image, struct check_report *report)
{
	struct check_source source = {
		.name = "image",
		.sectors = image->sectors,
		.read = image_read,
		.context = image,
	};

	memset(report, 0, sizeof(*report));
	return check_store(&source, report);
}

static inline void assert_clean(struct image *image)
{
	struct check_report report;

	if (image_check(image, &report) != CHECK_CLEAN) {
		check_print(&report, "image", stderr);
		fail_msg("not clean");
	}
	check_report_free(&report);
}

/* A finding of @field in @area at @sector (or CHECK_NOWHERE), with @place in its place. */
static inline void assert_found(struct image *image, const char *name, const char *area, u64 sector,
				const char *place, const char *field)
{
	struct check_report report;
	int r = image_check(image, &report);
	bool found = false;

	for (size_t i = 0; i < report.nr_findings; i++) {
		const struct check_finding *f = &report.findings[i];

		if (!strcmp(f->area, area) && f->sector == sector && strstr(f->place, place) &&
		    !strcmp(f->field, field))
			found = true;
	}
	if (r != CHECK_DAMAGED || !found) {
		check_print(&report, name, stderr);
		fail_msg("%s: result %d, no finding: %s, sector %llu, %s, %s", name, r, area,
			 sector, place, field);
	}
	check_report_free(&report);
}

#endif /* TESTS_CHECK_IMAGE_H */
