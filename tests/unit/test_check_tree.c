// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check of the tree and of the allocation maps: each rule of FORMAT.md sections 4 and
 * 5, broken once under good CRCs, is found and named.
 */
#include "check_image.h"

static u64 sector_of(u64 block)
{
	return block * 8;
}

static void assert_said(struct image *image, const char *area, const char *what)
{
	struct check_report report;
	bool found = false;

	assert_int_equal(image_check(image, &report), CHECK_DAMAGED);
	for (size_t i = 0; i < report.nr_findings; i++)
		if (!strcmp(report.findings[i].area, area) && strstr(report.findings[i].what, what))
			found = true;
	if (!found) {
		check_print(&report, "image", stderr);
		fail_msg("nobody said '%s'", what);
	}
	check_report_free(&report);
}

/* ---- bytes of nodes and map blocks ---- */

static const struct {
	const char *area, *field;
	u64 block;
	unsigned int offset, size;
	u64 value;
} patches[] = {
	{ CHECK_TREE, "magic", ROOT, 0, 4, 0x4D4B494D },
	{ CHECK_TREE, "location", LEAF0, 8, 8, LEAF1 },
	{ CHECK_TREE, "seq", ROOT, 16, 8, 8 },
	{ CHECK_TREE, "seq", LEAF0, 16, 8, 3 },
	{ CHECK_TREE, "seq", LEAF0, 16, 8, 0 },
	{ CHECK_TREE, "seq", LEAF1, 16, 8, CKPT + 1 },
	{ CHECK_TREE, "count", LEAF0, 24, 2, 0 },
	{ CHECK_TREE, "count", LEAF0, 24, 2, 1001 },
	{ CHECK_TREE, "count", LEAF1, 24, 2, 1000 }, /* do not fit */
	{ CHECK_TREE, "level", ROOT, 26, 1, 2 },
	{ CHECK_TREE, "level", ROOT, 26, 1, 0 },
	{ CHECK_TREE, "width", ROOT, 32, 1, 8 },
	{ CHECK_TREE, "level", LEAF2, 26, 1, 1 },
	{ CHECK_TREE, "reserved", LEAF1, 27, 1, 1 },
	{ CHECK_TREE, "reserved", LEAF1, 31, 1, 1 },
	{ CHECK_TREE, "width", LEAF0, 32, 1, 8 },
	{ CHECK_TREE, "width", LEAF0, 33, 1, 5 },
	{ CHECK_TREE, "width", LEAF0, 37, 1, 7 },
	{ CHECK_TREE, "width", ROOT, 35, 1, 7 },
	{ CHECK_TREE, "width", ROOT, 37, 1, 1 },
	{ CHECK_TREE, "reserved", LEAF1, 38, 2, 1 },
	{ CHECK_TREE, "first key", LEAF0, 40, 8, 1 },
	{ CHECK_TREE, "chunk", LEAF2, 40, 8, (1ULL << 52) + 1 },
	{ CHECK_TREE, "chunk", LEAF0, 40, 8, ~0ULL },
	{ CHECK_TREE, "high half of from", LEAF0, 48, 8, 1ULL << 32 },
	{ CHECK_TREE, "low half of from", LEAF0, 56, 8, 1ULL << 32 },
	{ CHECK_TREE, "high half of to", LEAF0, 64, 8, 1ULL << 32 },
	{ CHECK_TREE, "low half of to", LEAF0, 72, 8, 1ULL << 32 },
	{ CHECK_TREE, "value", LEAF0, 80, 8, 1ULL << 48 },
	{ CHECK_TREE, "value", LEAF0, 80, 8, DATA_START - 1 },
	{ CHECK_TREE, "child", ROOT, 64, 8, META_START - 1 },
	{ CHECK_TREE, "child", ROOT, 64, 8, META_START + META_BLOCKS - 1 },
	{ CHECK_TREE, "child", ROOT, 64, 8, 1ULL << 48 },
	{ CHECK_TREE, "unused field", ROOT, 80, 8, 1 },
	{ CHECK_TREE, "entries", LEAF0, 4087, 1, 1 },
	{ CHECK_TREE, "reserved", LEAF0, 4088, 8, 1ULL << 63 },
	{ CHECK_DATA_MAP, "magic", MAP_START + 1, 0, 4, 0 },
	{ CHECK_DATA_MAP, "location", MAP_START + 1, 8, 8, MAP_START },
	{ CHECK_DATA_MAP, "seq", MAP_START + 1, 16, 8, 7 },
	{ CHECK_DATA_MAP, "index", MAP_START + 1, 24, 8, 1 },
	{ CHECK_DATA_MAP, "index", MAP_START + 1, 32, 1, 1 },
	{ CHECK_DATA_MAP, "index", MAP_START + 1, 33, 1, 1 },
	{ CHECK_DATA_MAP, "reserved", MAP_START + 1, 34, 1, 1 },
	{ CHECK_DATA_MAP, "reserved", MAP_START + 1, 63, 1, 1 },
	{ CHECK_DATA_MAP, "used", MAP_START + 1, 64, 1, 0xfe },
	{ CHECK_DATA_MAP, "bits", MAP_START + 2, 4095, 1, 0x80 }, /* behind the end */
	{ CHECK_DATA_MAP, "index", MAP_START + 5, 32, 1, 0 },
	{ CHECK_DATA_MAP, "used", MAP_START + 5, 72, 8, 1 },
	{ CHECK_META_MAP, "magic", MAP_START + 6, 0, 4, 0 },
	{ CHECK_META_MAP, "index", MAP_START + 6, 33, 1, 0 },
	{ CHECK_META_MAP, "bits", MAP_START + 6, 64 + META_BLOCKS / 8, 1, 1 },
};

static void test_patches(void **state)
{
	struct image *image = image_new();
	u8 good[BLOCK];

	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		u8 *b = at_block(image, patches[i].block);
		char name[64];

		memcpy(good, b, BLOCK);
		put(b + patches[i].offset, patches[i].value, patches[i].size);
		seal_block(image, patches[i].block);
		snprintf(name, sizeof(name), "block %llu byte %u", patches[i].block,
			 patches[i].offset);
		assert_found(image, name, patches[i].area, sector_of(patches[i].block), "",
			     patches[i].field);
		memcpy(b, good, BLOCK);
	}
	assert_clean(image);
	image_free(image);
}

/* The same without a good CRC: the CRC is what is named. */
static void test_crc(void **state)
{
	static const u64 blocks[] = {
		ROOT,	       LEAF0,	      LEAF1,	     LEAF2,
		MAP_START + 1, MAP_START + 2, MAP_START + 5, MAP_START + 6,
	};
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		const char *area = i < 4 ? CHECK_TREE : i < 7 ? CHECK_DATA_MAP : CHECK_META_MAP;

		at_block(image, blocks[i])[4095] ^= 0x10;
		assert_found(image, area, area, sector_of(blocks[i]), "block", "crc");
		at_block(image, blocks[i])[4095] ^= 0x10;
	}
	image_free(image);
}

/* The map entries in the directory, which is the data map's top block: all but "used" above. */
static void test_map_entries(void **state)
{
	static const struct {
		const char *place, *field;
		unsigned int offset;
		u64 value;
	} wrong[] = {
		{ "entry 0", "seq", 64, 1 }, /* slot 1 of checkpoint 0 */
		{ "entry 0", "seq", 64, (CKPT + 1) * 2 },
		{ "entry 1", "used", 80, 0 }, /* never written, but with a one */
		{ "entry 2", "entry", 96, 2 }, /* behind the end */
		{ "entry 251", "entry", 64 + 251 * 16 + 8, 1 },
	};
	struct image *image = image_new();
	u8 *b = at_block(image, MAP_START + 5), good[BLOCK];

	memcpy(good, b, BLOCK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put(b + wrong[i].offset, wrong[i].value, 8);
		seal_block(image, MAP_START + 5);
		assert_found(image, wrong[i].place, CHECK_DATA_MAP, sector_of(MAP_START + 5),
			     wrong[i].place, wrong[i].field);
		memcpy(b, good, BLOCK);
	}
	/* A child that is newer than its parent. */
	put(b + 16, 7, 8);
	seal_block(image, MAP_START + 5);
	set_super(image, 256, 8, 7 * 2 + 1);
	assert_found(image, "newer child", CHECK_DATA_MAP, sector_of(MAP_START + 5), "entry 0",
		     "seq");
	image_free(image);
}

/* ---- entries ---- */

static void entry_found(struct image *image, unsigned int leaf, const char *place,
			const char *field)
{
	build(image);
	assert_found(image, field, CHECK_TREE, sector_of(leaf_block[leaf]), place, field);
	fill_tables(image);
}

static void test_exceptions(void **state)
{
	struct image *image = image_new();

	image->leaf[0][7].from = FIRST(4) + 1; /* 5.0, above to = 4 */
	entry_found(image, 0, "entry 7", "from");
	image->leaf[0][7].to = FIRST(5);
	entry_found(image, 0, "entry 7", "to");
	image->leaf[0][7].to = ID(0xffffffff, 5);
	entry_found(image, 0, "entry 7", "to");
	image->leaf[0][7].to = ~0ULL;
	entry_found(image, 0, "entry 7", "to");
	image->leaf[0][7].value = DATA_START - 1;
	entry_found(image, 0, "entry 7", "value");
	image->leaf[0][7].value = DATA_START + DATA_CHUNKS;
	entry_found(image, 0, "entry 7", "value");
	image->leaf[0][7].chunk = 6; /* the key of entry 6 again */
	entry_found(image, 0, "entry 7", "key");
	image->leaf[0][7].chunk = 5;
	entry_found(image, 0, "entry 7", "key");
	image->leaf[1][1].to = ID(1, 0); /* meets the next one's from */
	entry_found(image, 1, "entry 2", "from");
	/* Two leaves: the last exception of one, the first of the next. */
	image->leaf[0][49].chunk = 60;
	entry_found(image, 1, "entry 0", "key");
	image->leaf[0][49].chunk = 60;
	image->leaf[0][49].from = 0; /* 0.0: below */
	image->leaf[1][0].from = ID(0, 1);
	entry_found(image, 1, "entry 0", "from");
	/* A sub-snapshot that its living master has not given. */
	image->leaf[1][0].to = ID(0, 2);
	build(image);
	assert_found(image, "not given", CHECK_TREE, CHECK_NOWHERE, "", "to");
	fill_tables(image);
	/* One store chunk, two owners. */
	image->leaf[1][20].value = DATA_START + 5;
	build(image);
	assert_found(image, "owners", CHECK_TREE, CHECK_NOWHERE, "", "value");
	for (unsigned int i = 0; i < 30; i++)
		image->leaf[1][5 + i].value = DATA_START + i;
	build(image);
	assert_said(image, CHECK_TREE, "20 more chunks");
	image_free(image);
}

static void test_snapshots(void **state)
{
	struct image *image = image_new();

	image->leaf[2][1].to = FIRST(1);
	entry_found(image, 2, "entry 1", "to");
	image->leaf[2][4].from = image->leaf[2][4].to = FIRST(5);
	entry_found(image, 2, "entry 4", "from");
	image->leaf[2][4].from = image->leaf[2][4].to = ~0ULL;
	entry_found(image, 2, "entry 4", "from");
	image->leaf[2][0].value = 1; /* of a sub-snapshot */
	entry_found(image, 2, "entry 0", "value");
	image->leaf[2][1].value = 1ULL << 32; /* next_sub */
	entry_found(image, 2, "entry 1", "value");
	image->leaf[2][3].from = image->leaf[2][3].to = FIRST(1);
	entry_found(image, 2, "entry 3", "key");
	image->leaf[2][1].value = 1; /* 0.1 lives */
	build(image);
	assert_found(image, "not given", CHECK_TREE, CHECK_NOWHERE, "", "snapshot");
	image_free(image);
}

/* ---- the shape of the tree ---- */

static void root_found(struct image *image, uint64_t (*fields)[6], unsigned int n, u64 block,
		       const char *place, const char *field)
{
	pack_node(image, ROOT, 1, CKPT, fields, n);
	assert_found(image, field, CHECK_TREE, sector_of(block), place, field);
}

static void test_root(void **state)
{
	const uint64_t first[3][6] = {
		{ 0, 0, 1, LEAF0, 4, 0 },
		{ 60, 0, 1, LEAF1, CKPT, 0 },
		{ 1ULL << 52, 0, 2, LEAF2, 7, 0 },
	};
	struct image *image = image_new();
	uint64_t fields[3][6];

#define FIELDS memcpy(fields, first, sizeof(fields))
	FIELDS;
	pack_node(image, ROOT, 1, CKPT, fields, 3);
	assert_clean(image);
	fields[1][3] = LEAF0; /* twice */
	root_found(image, fields, 3, LEAF0, "", "reached");
	FIELDS;
	fields[2][3] = ROOT; /* itself */
	fields[2][4] = CKPT;
	root_found(image, fields, 3, ROOT, "", "level");
	FIELDS;
	fields[1][0] = 59;
	root_found(image, fields, 3, LEAF1, "", "first key");
	FIELDS;
	fields[1][2] = 0; /* from = 0: the low half is all ones */
	root_found(image, fields, 3, LEAF1, "", "first key");
	FIELDS;
	fields[1][4] = 8;
	root_found(image, fields, 3, LEAF1, "", "seq");
	FIELDS;
	fields[1][4] = CKPT + 1;
	root_found(image, fields, 3, ROOT, "entry 1", "seq of child");
	FIELDS;
	fields[1][4] = ~0ULL;
	root_found(image, fields, 3, ROOT, "entry 1", "seq of child");
	FIELDS;
	memcpy(fields[1], first[2], sizeof(fields[1]));
	memcpy(fields[2], first[1], sizeof(fields[1]));
	root_found(image, fields, 3, ROOT, "entry 2", "key");
	FIELDS;
	root_found(image, fields, 1, ROOT, "", "count");
	/* A child less: the counters and the maps know. */
	FIELDS;
	pack_node(image, ROOT, 1, CKPT, fields, 2);
	assert_found(image, "leaf lost", CHECK_SUPERBLOCK, 0, "", "nr_snapshots");
	assert_found(image, "leaf lost", CHECK_SUPERBLOCK, 0, "", "tree_blocks");
	assert_found(image, "leaf lost", CHECK_META_MAP, CHECK_NOWHERE, "", "bits");
	image_free(image);
}

/* Ten levels, each pointing at the one above: the walk ends. */
static void test_endless(void **state)
{
	uint64_t fields[500][6];
	struct image *image = image_new();
	struct check_report report;

	for (unsigned int i = 0; i < 300; i++) {
		const uint64_t entry[6] = { i, 0, 1, META_START + 20 + i % 40, CKPT, 0 };

		memcpy(fields[i], entry, sizeof(entry));
	}
	for (unsigned int i = 0; i < 40; i++)
		pack_node(image, META_START + 20 + i, 1 + i % 9, CKPT, fields, 300);
	pack_node(image, ROOT, 9, CKPT, fields, 300);
	set_super(image, 168, 4, 10);
	assert_int_equal(image_check(image, &report), CHECK_DAMAGED);
	assert_true(report.nr_errors < 100000);
	assert_true(report.nr_findings <= CHECK_MAX_FINDINGS);
	check_report_free(&report);
	image_free(image);
}

/* Bytes that are as good but not canonical. */
static void test_not_canonical(void **state)
{
	struct image *image = image_new();
	u8 *b = at_block(image, LEAF2);

	/* All of field 3 is in 1 byte with base 0; make it 2 bytes. */
	memset(b + 88, 0, 4000);
	for (unsigned int i = 0; i < 5; i++) {
		static const u8 low[5] = { 2, 0, 0, 0, 0 }, high[5] = { 0, 0, 1, 3, 4 },
				sub[5] = { 0, 2, 0, 0, 0 };
		const u8 entry[7] = { high[i], low[i], high[i], 0, low[i], sub[i] };

		memcpy(b + 88 + 6 * i, entry, 6);
	}
	b[35] = 2;
	seal_block(image, LEAF2);
	assert_found(image, "width", CHECK_TREE, sector_of(LEAF2), "", "width");
	/* A base below the least value. */
	build(image);
	b = at_block(image, LEAF0);
	assert_int_equal(b[37], 1);
	put(b + 80, DATA_START - 1, 8);
	for (unsigned int i = 0; i < 50; i++)
		b[88 + 2 * i + 1]++;
	seal_block(image, LEAF0);
	assert_found(image, "base", CHECK_TREE, sector_of(LEAF0), "", "base");
	image_free(image);
}

/* ---- maps against the tree ---- */

static void flip_bit(struct image *image, u64 block, u64 bit)
{
	at_block(image, block)[64 + bit / 8] ^= 1 << bit % 8;
	seal_block(image, block);
}

static void test_maps_against_tree(void **state)
{
	struct image *image = image_new();
	char what[64];

	/* One for another: the counts agree. */
	flip_bit(image, data_map_block(0, 0, 1), 20);
	flip_bit(image, data_map_block(0, 0, 1), 30000);
	snprintf(what, sizeof(what), "chunk %llu is marked as free", DATA_START + 20);
	assert_said(image, CHECK_DATA_MAP, what);
	snprintf(what, sizeof(what), "chunk %llu is marked as in use", DATA_START + 30000);
	assert_said(image, CHECK_DATA_MAP, what);
	build(image);
	flip_bit(image, data_map_block(0, 1, 0), 39500 - 32256);
	flip_bit(image, data_map_block(0, 1, 0), 39999 - 32256);
	snprintf(what, sizeof(what), "chunk %llu is marked as in use", DATA_START + 39999);
	assert_said(image, CHECK_DATA_MAP, what);
	build(image);
	flip_bit(image, meta_map_block(0), LEAF1 - META_START);
	flip_bit(image, meta_map_block(0), META_BLOCKS - 1);
	snprintf(what, sizeof(what), "block %llu is marked as free", (u64)LEAF1);
	assert_said(image, CHECK_META_MAP, what);
	snprintf(what, sizeof(what), "block %llu is marked as in use",
		 META_START + META_BLOCKS - 1);
	assert_said(image, CHECK_META_MAP, what);
	build(image);
	for (unsigned int i = 0; i < 10; i++)
		flip_bit(image, data_map_block(0, 0, 1), 1000 + i);
	snprintf(what, sizeof(what), "chunks %llu..%llu are marked as in use", DATA_START + 1000,
		 DATA_START + 1009);
	assert_said(image, CHECK_DATA_MAP, what);
	image_free(image);
}

/* Maps that were never written, under a tree that is there. */
static void test_no_map(void **state)
{
	struct image *image = image_new();
	char what[64];

	memset(image->bytes + 256, 0, 32);
	seal_super(image);
	snprintf(what, sizeof(what), "chunks %llu..%llu are marked as free", DATA_START + 0ULL,
		 DATA_START + 49ULL);
	assert_said(image, CHECK_DATA_MAP, what);
	snprintf(what, sizeof(what), "blocks %llu..%llu are marked as free", LEAF0 + 0ULL,
		 LEAF2 + 0ULL);
	assert_said(image, CHECK_META_MAP, what);
	image_free(image);
}

/* The slots that nobody points to, and free blocks, have no meaning. */
static void test_meaningless_blocks(void **state)
{
	struct image *image = image_new();

	memset(at_block(image, data_map_block(0, 0, 0)), 0xa5, BLOCK);
	memset(at_block(image, data_map_block(0, 1, 1)), 0xa5, BLOCK);
	memset(at_block(image, data_map_block(1, 0, 0)), 0xa5, BLOCK);
	memset(at_block(image, meta_map_block(1)), 0xa5, BLOCK);
	memset(at_block(image, META_START), 0xa5, 2 * BLOCK);
	memset(image->bytes + 512, 0xa5, BLOCK - 512);
	assert_clean(image);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patches),
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_map_entries),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_not_canonical),
		cmocka_unit_test(test_maps_against_tree),
		cmocka_unit_test(test_no_map),
		cmocka_unit_test(test_meaningless_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
