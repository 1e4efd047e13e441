// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check of a superblock: each field that breaks a rule of FORMAT.md sections 1 and 2,
 * under a good CRC, is found and named.
 */
#include "check_image.h"

static void test_clean_image(void **state)
{
	struct image *image = image_new();
	struct check_report report;

	assert_clean(image);
	image_check(image, &report);
	assert_true(report.summary.replayed);
	assert_int_equal(report.summary.records, 3);
	assert_int_equal(report.summary.ckpt_exceptions, 96);
	assert_int_equal(report.summary.ckpt_snapshots, 5);
	assert_int_equal(report.summary.exceptions, 96 + 3 + 99 + 1 - 1);
	assert_int_equal(report.summary.snapshots, 6); /* 0.1 0.2 0 3 4 5 */
	assert_int_equal(report.summary.next_first, 6);
	assert_int_equal(report.summary.garbage, 1); /* (901, 2) */
	assert_int_equal(report.summary.reclaim, 3);
	check_report_free(&report);
	image_free(image);
}

/* What format writes. */
static void test_fresh_image(void **state)
{
	struct image *image = image_new();
	struct check_report report;

	memset(image->bytes + 144, 0, 512 - 144);
	memset(image->bytes + LOG_FIRST * 512, 0, LOG_BLOCKS * BLOCK);
	memset(image->bytes + MAP_START * BLOCK, 0xee, image->bytes_size - MAP_START * BLOCK);
	put(image->bytes + 40, 0, 4);
	put(image->bytes + 184, LOG_FIRST, 8);
	put(image->bytes + 192, DATA_START + DATA_CHUNKS - 1, 8);
	seal_super(image);
	assert_clean(image);
	image_check(image, &report);
	assert_int_equal(report.summary.exceptions, 0);
	check_report_free(&report);
	/* No mount has found a record. */
	set_super(image, AT_MOUNT_SEQ, 8, 1);
	assert_found(image, "mount_seq", CHECK_LOG, CHECK_NOWHERE, "", "mount_seq");
	image_free(image);
}

/* ---- one field at a time ---- */

static const struct {
	const char *field;
	unsigned int offset, size;
	u64 value;
} fields[] = {
	{ "chunk_shift", 48, 4, 2 },
	{ "chunk_shift", 48, 4, 22 },
	{ "chunk_shift", 48, 4, 0xffffffff },
	{ "block_sectors", 52, 4, 0 },
	{ "block_sectors", 52, 4, 3 },
	{ "block_sectors", 52, 4, 16 },
	{ "origin_sectors", 56, 8, 0 },
	{ "origin_sectors", 56, 8, (1ULL << 54) + 1 },
	{ "device_sectors", 64, 8, DEVICE_SECTORS + 14 },
	{ "device_sectors", 64, 8, 0 },
	{ "device_sectors", 64, 8, (1ULL << 54) + 1 },
	{ "data_chunks", 64, 8, DEVICE_SECTORS - 101 },
	{ "log_start", 72, 8, 0 },
	{ "map_start", 72, 8, 5 },
	{ "map_start", 72, 8, ~0ULL },
	{ "log_blocks", 80, 4, 31 },
	{ "log_blocks", 80, 4, 16385 },
	{ "map_start", 80, 4, 36 },
	{ "record_sectors", 84, 4, 0 },
	{ "record_sectors", 84, 4, 12 },
	{ "record_sectors", 84, 4, 40 }, /* more than an eighth of the log */
	{ "record_sectors", 84, 4, 136 },
	{ "max_changes", 88, 4, 255 },
	{ "max_changes", 88, 4, 64 * LOG_BLOCKS + 1 },
	{ "reserved", 92, 4, 1 },
	{ "meta_start", 96, 8, MAP_START + 1 },
	{ "meta_start", 104, 8, META_START - 1 },
	{ "meta_start", 104, 8, META_START + 1 },
	{ "meta_blocks", 112, 8, META_BLOCKS - 1 },
	{ "data_start", 112, 8, META_BLOCKS + 6 },
	{ "data_start", 112, 8, ~0ULL },
	{ "data_start", 120, 8, META_START + META_BLOCKS - 1 },
	{ "data_chunks", 120, 8, ~0ULL },
	{ "data_chunks", 128, 8, 0 },
	{ "data_chunks", 128, 8, DATA_CHUNKS + 100 },
	{ "data_chunks", 128, 8, ~0ULL },
	{ "max_entries", 136, 8, DATA_CHUNKS - 1 },
	{ "max_entries", 136, 8, (1ULL << 49) + 1 },
	{ "meta_blocks", 136, 8, MAX_ENTRIES + 1000 },
	{ "meta_blocks", 136, 8, ~0ULL },
	{ "depth", 152, 8, 0 },
	{ "root_seq", 152, 8, 0 },
	{ "root", 152, 8, META_START - 1 },
	{ "root", 152, 8, META_START + META_BLOCKS },
	{ "root", 152, 8, ~0ULL },
	{ "root_seq", 160, 8, 0 },
	{ "root_seq", 160, 8, CKPT + 1 },
	{ "depth", 168, 4, 0 },
	{ "depth", 168, 4, 11 },
	{ "log_crc", 176, 8, 0 },
	{ "log_next", 176, 8, 0 },
	{ "ckpt", 144, 8, 1ULL << 62 },
	{ "log_seq", 176, 8, 1ULL << 62 },
	{ "log_next", 184, 8, LOG_FIRST - 1 },
	{ "log_next", 184, 8, LOG_END - RECORD_SECTORS + 1 },
	{ "log_next", 184, 8, LOG_END },
	{ "log_next", 184, 8, ~0ULL },
	{ "alloc_pos", 192, 8, DATA_START - 1 },
	{ "alloc_pos", 192, 8, DATA_START + DATA_CHUNKS },
	{ "next_first", 200, 8, 1ULL << 32 },
	{ "nr_snapshots", 208, 8, 4 },
	{ "nr_exceptions", 216, 8, 97 },
	{ "tree_blocks", 224, 8, 5 },
	{ "reclaim", 232, 4, 2 },
	{ "reclaim", 232, 4, 5 },
	{ "cursor_chunk", 232, 4, 0 }, /* a cursor without a pass */
	{ "reserved", 236, 4, 1 },
	{ "cursor_chunk", 240, 8, (1ULL << 52) + 1 },
	{ "seq", 256, 8, 1 }, /* slot 1 of checkpoint 0 */
	{ "seq", 256, 8, (CKPT + 1) * 2 },
	{ "used", 256, 8, 0 }, /* never written, but with ones */
	{ "used", 264, 8, 95 },
	{ "seq", 272, 8, ~0ULL },
	{ "used", 280, 8, 5 },
	{ "reserved", 296, 1, 1 },
	{ "reserved", 504, 8, 1 },
};

static void test_fields(void **state)
{
	struct image *image = image_new();
	u8 good[512];

	memcpy(good, image->bytes, sizeof(good));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "byte %u = %llu", fields[i].offset, fields[i].value);
		set_super(image, fields[i].offset, fields[i].size, fields[i].value);
		assert_found(image, name, CHECK_SUPERBLOCK, 0, "", fields[i].field);
		memcpy(image->bytes, good, sizeof(good));
	}
	assert_clean(image);
	image_free(image);
}

/* More entries than max_entries allows: the counters agree with the tree, the limit does not. */
static void test_limits(void **state)
{
	struct image *image = image_new();
	struct check_report report;

	/* A device that is large enough for what a pointer does not reach. */
	put(image->bytes + 64, 1ULL << 54, 8);
	set_super(image, 128, 8, (1ULL << 48) - DATA_START + 1);
	image->sectors = 1ULL << 54;
	assert_found(image, "2^48", CHECK_SUPERBLOCK, 0, "", "data_chunks");
	image->sectors = DEVICE_SECTORS;
	build(image);
	set_super(image, 208, 8, MAX_ENTRIES);
	assert_found(image, "too many", CHECK_SUPERBLOCK, 0, "", "max_entries");
	set_super(image, 208, 8, ~0ULL); /* the sum does not fit 64 bits */
	assert_found(image, "too many", CHECK_SUPERBLOCK, 0, "", "max_entries");
	build(image);
	image->sectors = DEVICE_SECTORS - 1;
	assert_found(image, "cut short", CHECK_SUPERBLOCK, 0, "", "device_sectors");
	/* Cut in the middle of the log: every structure behind is missed, and nothing is read there. */
	image->sectors = LOG_FIRST + 20;
	assert_found(image, "cut short", CHECK_LOG, LOG_FIRST + 20, "", "place");
	image->sectors = 1;
	image_check(image, &report);
	assert_int_equal(report.result, CHECK_DAMAGED);
	check_report_free(&report);
	image_free(image);
}

static void test_first_checkpoint(void **state)
{
	static const struct {
		const char *field;
		unsigned int offset;
		u64 value;
	} wrong[] = {
		{ "log_seq", 176, 1 },
		{ "next_first", 200, 1 },
		{ "alloc_pos", 192, DATA_START },
	};
	struct image *image = image_new();
	u8 good[512];

	memset(image->bytes + 144, 0, 512 - 144);
	put(image->bytes + 184, LOG_FIRST, 8);
	put(image->bytes + 192, DATA_START + DATA_CHUNKS - 1, 8);
	memset(image->bytes + LOG_FIRST * 512, 0, LOG_BLOCKS * BLOCK);
	seal_super(image);
	assert_clean(image);
	memcpy(good, image->bytes, sizeof(good));
	for (size_t i = 0; i < 3; i++) {
		set_super(image, wrong[i].offset, 8, wrong[i].value);
		assert_found(image, wrong[i].field, CHECK_SUPERBLOCK, 0, "", wrong[i].field);
		memcpy(image->bytes, good, sizeof(good));
	}
	set_super(image, 232, 4, 1);
	assert_found(image, "reclaim", CHECK_SUPERBLOCK, 0, "", "reclaim");
	image_free(image);
}

/* ---- what cannot be checked ---- */

static void assert_impossible(struct image *image, const char *reason)
{
	struct check_report report;

	assert_int_equal(image_check(image, &report), CHECK_IMPOSSIBLE);
	assert_int_equal(report.nr_errors, 0);
	if (!strstr(report.reason, reason))
		fail_msg("the reason is '%s'", report.reason);
	check_report_free(&report);
}

static int read_error(void *context, u64 sector, u32 sectors, void *buffer)
{
	return -5;
}

static void test_impossible(void **state)
{
	struct check_source source = { .name = "none", .sectors = 100, .read = read_error };
	struct image *image = image_new();
	struct check_report report = { 0 };

	set_super(image, 12, 4, 2);
	assert_impossible(image, "version 2");
	build(image);
	set_super(image, 24, 8, 1);
	assert_impossible(image, "ro_compat 0x1");
	build(image);
	set_super(image, 32, 8, 1ULL << 63);
	assert_impossible(image, "incompat 0x8000000000000000");
	build(image);
	set_super(image, 16, 8, ~0ULL); /* may be ignored */
	assert_clean(image);
	image->bytes[3] ^= 1;
	assert_impossible(image, "magic");
	memset(image->bytes, 0, 512);
	assert_impossible(image, "not formatted");
	image->sectors = 0;
	assert_impossible(image, "empty");
	image_free(image);
	assert_int_equal(check_store(&source, &report), CHECK_IMPOSSIBLE);
	check_report_free(&report);
}

static void test_crc(void **state)
{
	struct image *image = image_new();

	image->bytes[8] ^= 1;
	assert_found(image, "crc", CHECK_SUPERBLOCK, 0, "", "crc");
	image_free(image);
}

/* Given up: the layout must be right, which a load looks at; nothing else behind is. */
static void test_error_mark(void **state)
{
	struct image *image = image_new();
	struct check_report report;

	memset(image->bytes + 144, 0xff, 236 - 144);
	memset(image->bytes + 240, 0xff, 296 - 240);
	memset(image->bytes + 512, 0xff, 512);
	set_super(image, 44, 4, 28);
	assert_int_equal(image_check(image, &report), CHECK_DAMAGED);
	assert_int_equal(report.summary.error, 28);
	assert_int_equal(report.nr_errors, 0);
	check_report_free(&report);
	set_super(image, 44, 4, 4096);
	assert_found(image, "errno", CHECK_SUPERBLOCK, 0, "", "error");
	set_super(image, 44, 4, 28);
	set_super(image, 504, 8, 1);
	assert_found(image, "reserved", CHECK_SUPERBLOCK, 0, "", "reserved");
	set_super(image, 504, 8, 0);
	set_super(image, 48, 4, 22);
	assert_found(image, "layout", CHECK_SUPERBLOCK, 0, "", "chunk_shift");
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_image),
		cmocka_unit_test(test_fresh_image),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_first_checkpoint),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_error_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
