// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check of the log: what is a record, where it ends and what is damage (FORMAT.md 3.1,
 * 3.2), and the encoding of operations (3.3).
 */
#include "check_image.h"

/* ---- sectors and records ---- */

/* The records of build_log(): 6 is at LOG_NEXT, 7 and 8 follow at the log's start, and a torn 9. */
#define RECORD6 LOG_NEXT
#define RECORD7 LOG_FIRST
#define RECORD8 (LOG_FIRST + 1)
#define RECORD9 (RECORD8 + 2)

static u64 records_of(struct image *image)
{
	struct check_report report;
	u64 records;

	image_check(image, &report);
	records = report.summary.records;
	check_report_free(&report);
	return records;
}

/* A record of one harmless operation. */
static void harmless(struct image *image)
{
	op_cursor(image, 800, 0);
	record(image);
}

static void test_end(void **state)
{
	struct image *image = image_new();
	u8 *last = at_log(image, RECORD8);

	assert_int_equal(get(last + 8, 8), 8);
	assert_int_equal(get(last + 32, 4), RECORD9 - RECORD8);
	/* Record 9 was begun: so 8 was durable. */
	last[512 + 300] ^= 4;
	assert_found(image, "record 8 damaged", CHECK_LOG, RECORD9, "", "sector");
	last[512 + 300] ^= 4;
	/* Any byte of the last record: it looks as if it had not been written whole. */
	memset(at_log(image, RECORD9), 0, 512);
	last[512 + 300] ^= 4;
	assert_clean(image);
	assert_int_equal(records_of(image), 2);
	last[512 + 300] ^= 4;
	/* A sector of it from an older mount, whose CRC would be good. */
	put(last + 512, MOUNT - 1, 4);
	seal(last, get(last + 32, 4) * 512, 16);
	assert_clean(image);
	assert_int_equal(records_of(image), 2);
	/* Any other record: what is behind it shows. */
	build(image);
	at_log(image, RECORD7)[100] ^= 1;
	assert_found(image, "record 7 damaged", CHECK_LOG, RECORD8, "record 8", "seq");
	build(image);
	memset(at_log(image, RECORD6), 0, 512);
	assert_found(image, "record 6 lost", CHECK_LOG, RECORD7, "record 7", "seq");
	assert_found(image, "record 6 lost", CHECK_LOG, RECORD8, "record 8", "seq");
	image_free(image);
}

static void test_chain(void **state)
{
	struct image *image = image_new();

	/* prev_crc is not that of the record before. */
	begin_log(image);
	harmless(image);
	image->log_prev ^= 1;
	harmless(image);
	assert_found(image, "prev_crc", CHECK_LOG, LOG_FIRST, "record 7", "seq");
	/* In the first record behind the checkpoint. */
	begin_log(image);
	image->log_prev ^= 1;
	harmless(image);
	assert_found(image, "log_crc", CHECK_LOG, LOG_NEXT, "record 6", "seq");
	/* At another place than the one before says. */
	begin_log(image);
	harmless(image);
	image->log_at += 5;
	harmless(image);
	assert_found(image, "place", CHECK_LOG, LOG_FIRST + 5, "record 7", "seq");
	/* A number left out. */
	begin_log(image);
	harmless(image);
	image->log_seq++;
	harmless(image);
	assert_found(image, "number", CHECK_LOG, LOG_FIRST, "record 8", "seq");
	image_free(image);
}

static void test_mounts(void **state)
{
	struct image *image = image_new();

	begin_log(image);
	image->log_mount = MOUNT - 1;
	harmless(image);
	image->log_mount = MOUNT - 2;
	harmless(image);
	mount_begins(image);
	assert_found(image, "mount decreases", CHECK_LOG, LOG_FIRST, "record 7", "mount");
	begin_log(image);
	image->log_mount = MOUNT + 1;
	harmless(image);
	assert_found(image, "mount to come", CHECK_LOG, LOG_NEXT, "record 6", "mount");
	/* A record of the past may have any that was. */
	for (unsigned int mount = 1; mount <= MOUNT; mount++) {
		begin_log(image);
		op_create(image, FIRST(9));
		write_record(image, LOG_FIRST + 40, 4, 0, mount);
		assert_clean(image);
	}
	image_free(image);
}

/* ---- late records, and an end that is too early ---- */

/* Clean, and the log has so many records. */
static void assert_records(struct image *image, u64 expected)
{
	assert_clean(image);
	assert_int_equal(records_of(image), expected);
}

/* Record 6 is next in the chain and whole, but of the mount before. */
static void test_late(void **state)
{
	struct image *image = image_new();

	begin_log(image);
	image->log_mount = MOUNT - 1;
	harmless(image);
	assert_records(image, 0);
	set_super(image, AT_MOUNT_SEQ, 8, 6); /* it was there when MOUNT began */
	assert_records(image, 1);
	set_super(image, AT_MOUNT_SEQ, 8, 0);
	assert_records(image, 0);
	set_super(image, 40, 4, MOUNT - 1); /* the mount is under way */
	assert_records(image, 1);
	/* Behind one that counts. */
	build(image);
	begin_log(image);
	harmless(image);
	image->log_mount = MOUNT - 2;
	harmless(image);
	assert_records(image, 1);
	/* Its payload does not matter. */
	op_byte(image, 0);
	write_record(image, LOG_FIRST, 7, (uint32_t)get(at_log(image, RECORD6) + 16, 4), MOUNT - 1);
	assert_records(image, 1);
	/* Not behind one that is late: nothing was written behind that. */
	begin_log(image);
	memset(at_log(image, LOG_FIRST), 0, LOG_BLOCKS * BLOCK);
	image->log_mount = MOUNT - 1;
	harmless(image);
	harmless(image);
	assert_found(image, "two late ones", CHECK_LOG, RECORD7, "", "sector");
	assert_int_equal(records_of(image), 0);
	image_free(image);
}

/* A whole record elsewhere: behind the end it is damage, unless it is late. */
static void test_late_elsewhere(void **state)
{
	struct image *image = image_new();

	begin_log(image);
	op_cursor(image, 800, 0);
	write_record(image, LOG_FIRST + 40, 6, 0x12345678, MOUNT - 1);
	assert_records(image, 0);
	op_cursor(image, 800, 0);
	write_record(image, LOG_FIRST + 40, 6, 0x12345678, MOUNT);
	assert_found(image, "of this mount", CHECK_LOG, LOG_FIRST + 40, "record 6", "seq");
	op_cursor(image, 800, 0);
	write_record(image, LOG_FIRST + 40, 6, 0x12345678, MOUNT - 1);
	set_super(image, AT_MOUNT_SEQ, 8, 6);
	assert_found(image, "was there", CHECK_LOG, LOG_FIRST + 40, "record 6", "seq");
	image_free(image);
}

static void test_early_end(void **state)
{
	static const u64 too_many[] = { 9, 10, 1ULL << 32, ~0ULL };
	struct image *image = image_new();

	for (u64 seq = 6; seq <= 8; seq++) {
		set_super(image, AT_MOUNT_SEQ, 8, seq);
		assert_records(image, 3);
	}
	for (size_t i = 0; i < sizeof(too_many) / sizeof(too_many[0]); i++) {
		set_super(image, AT_MOUNT_SEQ, 8, too_many[i]);
		assert_found(image, "too many", CHECK_LOG, CHECK_NOWHERE, "", "mount_seq");
	}
	/* The last records of earlier mounts, lost without a trace. */
	begin_log(image);
	image->log_mount = MOUNT - 1;
	harmless(image);
	harmless(image);
	mount_begins(image);
	assert_records(image, 2);
	memset(at_log(image, RECORD7), 0, 512);
	assert_found(image, "7 lost", CHECK_LOG, CHECK_NOWHERE, "", "mount_seq");
	memset(at_log(image, RECORD6), 0, 512);
	assert_found(image, "both lost", CHECK_LOG, CHECK_NOWHERE, "", "mount_seq");
	/* The checkpoint has them: nothing is missing. */
	begin_log(image);
	assert_records(image, 0);
	set_super(image, AT_MOUNT_SEQ, 8, LOG_SEQ - 2);
	assert_records(image, 0);
	set_super(image, AT_MOUNT_SEQ, 8, LOG_SEQ + 1);
	assert_found(image, "empty log", CHECK_LOG, CHECK_NOWHERE, "", "mount_seq");
	image_free(image);
}

/* ---- strays ---- */

/* A sector of the log that is not of a whole record; the log ends with record 6. */
static void test_strays(void **state)
{
	static const struct {
		u64 mount, index, magic, seq, location;
		const char *what; /* NULL: plausible */
	} cases[] = {
		{ MOUNT, 0, 0x4C4D, 7, LOG_FIRST + 50, NULL },
		{ 1, 0, 0x4C4D, 0, LOG_FIRST + 50, NULL },
		{ MOUNT, RECORD_SECTORS - 1, 0x4C4D, 7, 0, NULL },
		{ MOUNT, 1, 0x4C4D, 1, ~0ULL, NULL }, /* only the first sector has a location */
		{ MOUNT, 0, 0x4C4C, 7, LOG_FIRST + 50, "neither zero nor of a record" },
		{ 0, 0, 0, 0, LOG_FIRST + 50, "neither zero nor of a record" },
		{ 0, 0, 0x4C4D, 7, LOG_FIRST + 50, "mount count" },
		{ MOUNT + 1, 0, 0x4C4D, 7, LOG_FIRST + 50, "mount count" },
		{ 0xffffffff, 3, 0x4C4D, 7, 0, "mount count" },
		{ MOUNT, 0, 0x4C4D, 8, LOG_FIRST + 50, "behind the next one" },
		{ 1, 2, 0x4C4D, ~0ULL, 0, "behind the next one" },
		{ MOUNT, RECORD_SECTORS, 0x4C4D, 7, 0, "index" },
		{ MOUNT, 0xffff, 0x4C4D, 7, 0, "index" },
		{ MOUNT, 0, 0x4C4D, 7, LOG_FIRST + 51, "another place" },
		{ MOUNT, 0, 0x4C4D, 3, 0, "another place" },
	};
	struct image *image = image_new();
	u8 *b;

	begin_log(image);
	harmless(image);
	b = at_log(image, LOG_FIRST + 50);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct check_report report;

		put(b, cases[i].mount, 4);
		put(b + 4, cases[i].index, 2);
		put(b + 6, cases[i].magic, 2);
		put(b + 8, cases[i].seq, 8);
		put(b + 24, cases[i].location, 8);
		if (!cases[i].what) {
			assert_records(image, 1);
			continue;
		}
		assert_found(image, cases[i].what, CHECK_LOG, LOG_FIRST + 50, "", "sector");
		image_check(image, &report);
		assert_int_equal(report.nr_errors, 1);
		if (!strstr(report.findings[0].what, cases[i].what))
			fail_msg("case %zu: '%s'", i, report.findings[0].what);
		check_report_free(&report);
	}
	/* Anywhere: the first sector, the last, the last byte. */
	memset(b, 0, 512);
	assert_records(image, 1);
	at_log(image, LOG_FIRST)[0] = 1;
	assert_found(image, "first sector", CHECK_LOG, LOG_FIRST, "", "sector");
	at_log(image, LOG_FIRST)[0] = 0;
	at_log(image, LOG_END - 1)[511] = 0x80;
	assert_found(image, "last sector", CHECK_LOG, LOG_END - 1, "", "sector");
	image_free(image);
}

/* A write that was meant for another place and destroyed the last record. */
static void test_stray_over_the_last_record(void **state)
{
	struct image *image = image_new();

	begin_log(image);
	harmless(image);
	harmless(image);
	memcpy(at_log(image, RECORD7), at_block(image, LEAF0), BLOCK);
	assert_found(image, "a node", CHECK_LOG, RECORD7, "", "sector");
	memset(at_log(image, RECORD7), 0, BLOCK);
	memcpy(at_log(image, RECORD7), at_log(image, RECORD6), 512);
	assert_found(image, "record 6", CHECK_LOG, RECORD7, "", "sector");
	image_free(image);
}

/* ---- records that are not whole ---- */

/* They are none: each way but the CRC's. What is no plausible sector of a record is found. */
static void test_not_whole(void **state)
{
	static const struct {
		unsigned int offset, size;
		u64 value;
		bool stray;
	} wrong[] = {
		{ 4, 2, 1, false }, /* index */
		{ 6, 2, 0x4D4C, true }, /* magic */
		{ 24, 8, LOG_FIRST + 9, true }, /* location */
		{ 32, 4, 0, false }, /* sectors */
		{ 32, 4, RECORD_SECTORS + 1, false },
		{ 32, 4, ~0u, false },
		{ 32, 4, 3, false }, /* the next two have no stamp */
	};
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		u8 *b;

		begin_log(image);
		harmless(image);
		assert_int_equal(records_of(image), 1);
		b = at_log(image, LOG_NEXT);
		put(b + wrong[i].offset, wrong[i].value, wrong[i].size);
		seal(b, 512, 16);
		if (wrong[i].stray)
			assert_found(image, "stray", CHECK_LOG, LOG_NEXT, "", "sector");
		else
			assert_clean(image);
		assert_int_equal(records_of(image), 0);
	}
	/* Not beyond the log, even if the sectors there go on well. */
	begin_log(image);
	harmless(image);
	set_super(image, 184, 8, LOG_FIRST);
	memset(at_log(image, LOG_NEXT), 0, 512);
	memset(image->payload, 0x16, 700);
	image->payload_bytes = 700;
	image->ops = 700;
	write_record(image, LOG_END - 3, 6, 0x12345678, MOUNT);
	memmove(at_log(image, LOG_END - 1), at_log(image, LOG_END - 3), 512);
	put(at_log(image, LOG_END - 1) + 24, LOG_END - 1, 8);
	assert_found(image, "whole", CHECK_LOG, LOG_END - 3, "record 6", "seq");
	memset(at_log(image, LOG_END - 3), 0, 1024);
	assert_clean(image);
	image_free(image);
}

static void test_max_changes(void **state)
{
	struct image *image = image_new();
	struct check_report report;
	u64 changes;

	image_check(image, &report);
	changes = report.summary.changes;
	check_report_free(&report);
	for (unsigned int i = 6; changes + 2 <= 256; i++, changes += 2)
		op_create(image, FIRST(i));
	record(image);
	assert_clean(image);
	op_create(image, FIRST(1000));
	record(image);
	assert_found(image, "changes", CHECK_LOG, LOG_NEXT, "", "changes");
	image_free(image);
}

/* ---- the payload as such ---- */

static void assert_last_record(struct image *image, const char *name, const char *place,
			       const char *field)
{
	record(image);
	assert_found(image, name, CHECK_LOG, image->last_record, place, field);
	build(image);
}

static void test_encoding(void **state)
{
	static const struct {
		const char *name;
		u8 bytes[16];
		unsigned int size;
	} wrong[] = {
		{ "code 0", { 0 }, 1 },
		{ "code 7", { 7, 1 }, 2 },
		{ "code 15", { 0x0f }, 1 },
		{ "ADD, flag 0x80", { 0x81 }, 1 },
		{ "NARROW, flag", { 0x12 }, 1 },
		{ "REMOVE, flag", { 0x23, 1, 1, 1, 1 }, 5 },
		{ "CREATE, flag", { 0x14, 5, 0 }, 3 },
		{ "DELETE, flag", { 0x45, 0, 0 }, 3 },
		{ "CURSOR, flag", { 0x26 }, 1 },
		{ "CURSOR, both flags", { 0x36 }, 1 },
		{ "same range, but first", { 0x11, 1, 1 }, 3 },
		{ "next chunk, but first", { 0x41, 0, 0, 0, 0, 1 }, 6 },
		{ "cut", { 4, 5 }, 2 },
		{ "cut in a number", { 4, 0x85 }, 2 },
		{ "no fields", { 1 }, 1 },
		{ "superfluous zero", { 4, 0x85, 0, 0 }, 4 },
		{ "superfluous zeroes", { 4, 0x85, 0x80, 0, 0 }, 5 },
		{ "2^64", { 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0, 0 }, 13 },
		{ "11 bytes",
		  { 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0, 0 },
		  13 },
		{ "high half 2^32", { 4, 0x80, 0x80, 0x80, 0x80, 0x10, 0 }, 7 },
		{ "low half 2^32", { 4, 5, 0x80, 0x80, 0x80, 0x80, 0x10 }, 7 },
	};
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (unsigned int j = 0; j < wrong[i].size; j++)
			op_byte(image, wrong[i].bytes[j]);
		image->ops = 1;
		assert_last_record(image, wrong[i].name, "op 0", "payload");
	}
	image_free(image);
}

/* Patches to the last record, which is whole and has a good CRC. */
static void test_heads(void **state)
{
	static const struct {
		const char *field;
		unsigned int offset, size;
		u64 value;
	} wrong[] = {
		{ "bytes", 36, 4, 465 }, { "bytes", 36, 4, ~0u },  { "ops", 40, 4, 2 },
		{ "ops", 40, 4, 0 },	 { "changes", 44, 4, 1 },  { "changes", 44, 4, 3 },
		{ "payload", 36, 4, 2 }, { "payload", 511, 1, 1 }, { "payload", 36, 4, 4 },
		{ "ops", 36, 4, 0 },
	};
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		u8 *b;

		op_create(image, FIRST(6));
		record(image);
		assert_clean(image);
		b = at_log(image, image->last_record);
		put(b + wrong[i].offset, wrong[i].value, wrong[i].size);
		if (!strcmp(wrong[i].field, "ops") && wrong[i].offset == 36) /* an empty payload */
			memset(b + 40, 0, 512 - 40);
		seal(b, 512, 16);
		assert_found(image, wrong[i].field, CHECK_LOG, image->last_record, "record 9",
			     wrong[i].field);
		build(image);
	}
	/* A sector more than needed. */
	begin_log(image);
	image->payload_bytes = image->ops = 465;
	memset(image->payload, 0x16, 465);
	write_record(image, LOG_NEXT, 6, 0x12345678, MOUNT);
	put(at_log(image, LOG_NEXT) + 36, 464, 4);
	memset(at_log(image, LOG_NEXT + 1) + 16, 0, 496);
	seal(at_log(image, LOG_NEXT), 1024, 16);
	assert_found(image, "sectors", CHECK_LOG, LOG_NEXT, "record 6", "sectors");
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_late_elsewhere),
		cmocka_unit_test(test_early_end),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_stray_over_the_last_record),
		cmocka_unit_test(test_not_whole),
		cmocka_unit_test(test_max_changes),
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
