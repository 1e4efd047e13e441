// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check of what the log's operations do: each rule of FORMAT.md 3.3, broken once by a
 * record at the end of the log, and the rule about garbage (6).
 */
#include "check_image.h"

static void assert_last_record(struct image *image, const char *name, const char *place,
			       const char *field)
{
	record(image);
	assert_found(image, name, CHECK_LOG, image->last_record, place, field);
	build(image);
}

#define END_POS (DATA_START + 700 + 99) /* and at its end */

struct op_case {
	const char *name, *place, *field;
	void (*make)(struct image *image);
};

#define CASE(number, ...)                              \
	static void case_##number(struct image *image) \
	{                                              \
		__VA_ARGS__;                           \
	}

/* At the end of the log live: 0.1 0.2 0 3 4 5; next_first is 6, next_sub of 0 is 3; reclaim 3 at (900, 2). */
CASE(1, op_add(image, 1ULL << 52, ID(4, 0), FIRST(4), END_POS + 1))
CASE(2, op_add(image, 5000, ID(4, 1), ID(4, 0), END_POS + 1))
CASE(3, op_add(image, 5000, FIRST(4), FIRST(6), END_POS + 1))
CASE(4, op_add(image, 5000, ID(0, 3), ID(0, 3), END_POS + 1))
CASE(5, op_add(image, 5, ID(4, 0), FIRST(4), END_POS + 1))
CASE(6, op_add(image, 3000, ID(0, 0), FIRST(0), END_POS + 1))
CASE(7, op_add(image, 5000, ID(4, 0), FIRST(4), DATA_START - 1))
CASE(8, op_add(image, 5000, ID(4, 0), FIRST(4), DATA_START + DATA_CHUNKS))
CASE(9, op_add(image, 5000, ID(4, 0), FIRST(4), DATA_START + 39500))
CASE(10, op_add(image, 5000, ID(4, 0), FIRST(4), END_POS))
CASE(11, op_add(image, 5000, ID(4, 0), FIRST(4), ALLOC_POS + 1))
CASE(12, op_narrow(image, 3000, ID(0, 4), FIRST(3), FIRST(4), DATA_START + 700))
CASE(13, op_narrow(image, 3000, ID(0, 3), FIRST(3), FIRST(4), DATA_START + 701))
CASE(14, op_narrow(image, 3000, ID(0, 3), ID(0, 3), FIRST(4), DATA_START + 700))
CASE(15, op_narrow(image, 3000, ID(0, 3), ID(0, 3), FIRST(5), DATA_START + 700))
CASE(16, op_narrow(image, 3000, ID(0, 3), ID(0, 2), FIRST(4), DATA_START + 700))
CASE(17, op_narrow(image, 3000, ID(0, 3), FIRST(3), FIRST(0), DATA_START + 700))
CASE(18, op_narrow(image, 2000, ID(0, 3), ID(0, 3), ID(4, 0xfffffffe), ALLOC_POS + 3))
CASE(19, op_remove(image, 900, FIRST(2), DATA_START + 150)) /* again */
CASE(20, op_remove(image, 3000, ID(0, 3), DATA_START + 700))
CASE(21, op_remove(image, 901, FIRST(2), DATA_START + 150))
CASE(22, op_remove(image, 901, FIRST(1), DATA_START + 151))
CASE(23, op_create(image, FIRST(5)))
CASE(24, op_create(image, FIRST(2)))
CASE(25, op_create(image, FIRST(0xffffffff)))
CASE(26, op_create(image, ID(0, 2)))
CASE(27, op_create(image, ID(0, 0)))
CASE(28, op_create(image, ID(1, 0)))
CASE(29, op_create(image, ID(7, 0)))
CASE(30, op_delete(image, FIRST(1)))
CASE(31, op_delete(image, FIRST(6)))
CASE(32, op_delete(image, ~0ULL))
CASE(33, op_cursor(image, 899, FIRST(2)))
CASE(34, op_cursor(image, 900, FIRST(2) - 1))
CASE(35, op_cursor(image, (1ULL << 52) + 1, 0))
CASE(36, op_end_of_pass(image); op_end_of_pass(image); op_end_of_pass(image))
CASE(37, op_end_of_pass(image); op_end_of_pass(image); op_cursor(image, 1000, 0))
CASE(38, op_add(image, 5000, ID(4, 0), FIRST(4), END_POS + 1); op_head(image, 0x71, 1);
     op_head(image, 0x31, 1); op_v(image, 5001))
CASE(39, op_create(image, FIRST(6)); op_head(image, 0x21, 1); op_v(image, (1ULL << 52) - 1);
     op_id(image, ID(4, 0)); op_id(image, FIRST(4)); op_head(image, 0x71, 1))
CASE(40, op_create(image, FIRST(0xfffffffe)); op_create(image, FIRST(0xfffffffe)))
CASE(41, op_create(image, ID(0, 0xfffffffe)); op_create(image, ID(0, 0xfffffffe)))
CASE(42, op_delete(image, FIRST(0)); op_create(image, ID(0, 3)))
CASE(43, op_add(image, 5000, FIRST(4), ~0ULL, END_POS + 1))

static const struct op_case op_cases[] = {
	{ "ADD of a chunk 2^52", "op 0", "chunk", case_1 },
	{ "ADD from > to", "op 0", "from", case_2 },
	{ "ADD to an id to come", "op 0", "to", case_3 },
	{ "ADD to a sub-snapshot to come", "op 0", "to", case_4 },
	{ "ADD that meets one of the checkpoint", "op 0", "from", case_5 },
	{ "ADD that meets one of the log", "op 0", "from", case_6 },
	{ "ADD before the data area", "op 0", "block", case_7 },
	{ "ADD behind the data area", "op 0", "block", case_8 },
	{ "ADD at a chunk in use", "op 0", "block", case_9 },
	{ "ADD at the allocation position", "op 0", "block", case_10 },
	{ "ADD beyond the checkpoint's position", "op 0", "block", case_11 },
	{ "NARROW of none", "op 0", "from", case_12 },
	{ "NARROW of one elsewhere", "op 0", "block", case_13 },
	{ "NARROW to the same", "op 0", "new_from", case_14 },
	{ "NARROW above", "op 0", "new_from", case_15 },
	{ "NARROW below", "op 0", "new_from", case_16 },
	{ "NARROW upside down", "op 0", "new_from", case_17 },
	{ "NARROW to a sub-snapshot to come", "op 0", "new_to", case_18 },
	{ "REMOVE twice", "op 0", "from", case_19 },
	{ "REMOVE of one in use", "op 0", "from", case_20 },
	{ "REMOVE of one elsewhere", "op 0", "block", case_21 },
	{ "REMOVE of none", "op 0", "from", case_22 },
	{ "CREATE of a live one", "op 0", "id", case_23 },
	{ "CREATE of a dead one", "op 0", "id", case_24 },
	{ "CREATE of 2^32-1", "op 0", "id", case_25 },
	{ "CREATE of a live sub-snapshot", "op 0", "id", case_26 },
	{ "CREATE of a dead sub-snapshot", "op 0", "id", case_27 },
	{ "CREATE below a dead master", "op 0", "id", case_28 },
	{ "CREATE below no master", "op 0", "id", case_29 },
	{ "DELETE twice", "op 0", "id", case_30 },
	{ "DELETE of none", "op 0", "id", case_31 },
	{ "DELETE of the reserved id", "op 0", "id", case_32 },
	{ "CURSOR back", "op 0", "cursor", case_33 },
	{ "CURSOR back in a chunk", "op 0", "cursor", case_34 },
	{ "CURSOR beyond all", "op 0", "chunk", case_35 },
	{ "a third end of two passes", "op 2", "cursor", case_36 },
	{ "CURSOR without a pass", "op 2", "cursor", case_37 },
	{ "the chunk of the ADD before", "op 2", "from", case_38 },
	{ "the chunk behind 2^52-1", "op 2", "chunk", case_39 },
	{ "numbers exhausted", "op 1", "id", case_40 },
	{ "sub-numbers exhausted", "op 1", "id", case_41 },
	{ "CREATE below a master just deleted", "op 1", "id", case_42 },
	{ "ADD to the reserved id", "op 0", "to", case_43 },
};

static void test_operations(void **state)
{
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(op_cases) / sizeof(op_cases[0]); i++) {
		const struct op_case *c = &op_cases[i];

		c->make(image);
		assert_last_record(image, c->name, c->place, c->field);
	}
	assert_clean(image);
	image_free(image);
}

/* What looks odd and is allowed. */
static void test_allowed(void **state)
{
	struct image *image = image_new();

	/* A range may end with a dead id, whenever that died. */
	op_delete(image, FIRST(3));
	op_add(image, 5000, FIRST(3), FIRST(3), END_POS + 1);
	record(image);
	op_add(image, 5001, FIRST(1), FIRST(2), END_POS + 2);
	op_add(image, 5002, ID(1, 5), ID(1, 7), END_POS + 3); /* below a dead master */
	op_narrow(image, 5, ID(0, 0), ID(0, 0), FIRST(3), DATA_START + 5);
	record(image);
	assert_clean(image);
	/* Given in the same record, but not before. */
	op_add(image, 5003, ID(0, 3), ID(0, 3), END_POS + 4);
	op_create(image, ID(0, 3));
	assert_last_record(image, "given too late", "op 0", "to");
	op_create(image, ID(0, 3));
	op_add(image, 5003, ID(0, 3), ID(0, 3), END_POS + 1);
	record(image);
	assert_clean(image);
	build(image);
	/* Numbers up to the last; gaps. */
	op_create(image, FIRST(0xfffffffe));
	op_create(image, ID(0, 0xfffffffe));
	record(image);
	assert_clean(image);
	/* All of the data area once: the step back to the checkpoint's position itself is the last one. */
	build(image);
	op_add(image, 5000, ID(4, 0), FIRST(4), ALLOC_POS - 1);
	op_add(image, 5001, ID(4, 0), FIRST(4), ALLOC_POS);
	record(image);
	assert_clean(image);
	op_add(image, 5002, ID(4, 0), FIRST(4), ALLOC_POS + 1);
	assert_last_record(image, "around twice", "op 0", "block");
	image_free(image);
}

/* A store of 160 chunks, whose maps are one block each: 101 entries, at most 160. */
static void test_max_entries(void **state)
{
	struct image *image = image_new();
	u64 map_start = META_START - 4;
	u8 bits[4032], *meta;
	struct check_report report;

	image->leaf[1][2].value = DATA_START + 63;
	build(image);
	memcpy(bits, at_block(image, data_map_block(0, 0, 1)) + 64, sizeof(bits));
	meta = malloc(4032);
	assert_non_null(meta);
	memcpy(meta, at_block(image, meta_map_block(0)) + 64, 4032);
	pack_map(image, map_start + 1, 0, 0, 0, CKPT, bits);
	pack_map(image, map_start + 2, 1, 0, 0, CKPT, meta);
	free(meta);
	put(image->bytes + 96, map_start, 8);
	put(image->bytes + 128, 160, 8);
	put(image->bytes + 136, 160, 8);
	put(image->bytes + 192, DATA_START + 159, 8);
	seal_super(image);
	begin_log(image);
	assert_clean(image);
	for (unsigned int i = 0; i < 59; i++)
		op_create(image, FIRST(10 + i));
	record(image);
	assert_clean(image);
	image_check(image, &report);
	assert_int_equal(report.summary.exceptions + report.summary.snapshots, 160);
	check_report_free(&report);
	op_create(image, FIRST(100));
	record(image);
	assert_found(image, "161 entries", CHECK_LOG, image->last_record, "record 7",
		     "max_entries");
	image_free(image);
}

/* ---- garbage ---- */

static void assert_garbage(struct image *image, const char *area, unsigned int count)
{
	struct check_report report;
	unsigned int found = 0;

	image_check(image, &report);
	for (size_t i = 0; i < report.nr_findings; i++)
		if (!strcmp(report.findings[i].area, area) &&
		    !strcmp(report.findings[i].field, "garbage"))
			found++;
	if (found != count || report.nr_errors != count) {
		check_print(&report, "image", stderr);
		fail_msg("%u findings of garbage, %u expected", found, count);
	}
	check_report_free(&report);
}

static void test_garbage(void **state)
{
	struct image *image = image_new();

	/* In the checkpoint: no pass; a pass that is beyond; a pass at it; another to follow. */
	begin_log(image);
	assert_clean(image);
	put(image->bytes + 232, 0, 4);
	set_super(image, 240, 8, 0);
	assert_garbage(image, CHECK_AFTER_LOG, 2);
	put(image->bytes + 232, 1, 4);
	set_super(image, 240, 8, 901);
	assert_garbage(image, CHECK_AFTER_LOG, 1);
	set_super(image, 248, 8, FIRST(2));
	assert_garbage(image, CHECK_AFTER_LOG, 1);
	set_super(image, 248, 8, FIRST(2) + 1);
	assert_garbage(image, CHECK_AFTER_LOG, 2);
	set_super(image, 232, 4, 3);
	assert_clean(image);
	/* The log heals what the checkpoint must not have. */
	put(image->bytes + 232, 0, 4);
	put(image->bytes + 248, 0, 8);
	set_super(image, 240, 8, 0);
	op_delete(image, FIRST(1));
	record(image);
	assert_garbage(image, CHECK_TREE, 2);
	/* Made by the log: chunks 70..109 are of 0, its sub-snapshots from 2 on, and 1 only. */
	build(image);
	op_delete(image, ID(0, 2));
	op_delete(image, FIRST(0));
	record(image);
	assert_clean(image);
	op_end_of_pass(image); /* the second pass begins */
	op_cursor(image, 90, 0);
	record(image);
	assert_garbage(image, CHECK_AFTER_LOG, 20 + 1); /* 70..89, and [0..0] of chunk 60 */
	op_end_of_pass(image);
	record(image);
	assert_garbage(image, CHECK_AFTER_LOG, 40 + 1 + 1); /* and 901 */
	image_free(image);
}

/* ---- sub-snapshots to come ---- */

static void assert_cut_off(struct image *image, const char *area)
{
	struct check_report report;

	image_check(image, &report);
	if (report.nr_errors != 1 || strcmp(report.findings[0].area, area) || strcmp(report.findings[0].field, "from") ||
	    !strstr(report.findings[0].what, "sub-snapshots to come")) {
		check_print(&report, "image", stderr);
		fail_msg("one exception without its sub-snapshots to come expected");
	}
	check_report_free(&report);
}

static void test_sub_snapshots_to_come(void **state)
{
	struct image *image = image_new();

	/* 4 has had none, 0 has had three. */
	op_add(image, 5000, ID(4, 1), FIRST(4), END_POS + 1);
	record(image);
	assert_cut_off(image, CHECK_AFTER_LOG);
	build(image);
	op_add(image, 5000, ID(0, 4), FIRST(3), END_POS + 1);
	op_add(image, 5001, ID(0, 3), FIRST(3), END_POS + 2);
	record(image);
	assert_cut_off(image, CHECK_AFTER_LOG);
	/* It has come since; the snapshot has gone since; it was dead before. */
	op_create(image, ID(0, 3));
	record(image);
	assert_clean(image);
	build(image);
	op_add(image, 5000, ID(0, 4), FIRST(3), END_POS + 1);
	op_delete(image, FIRST(0));
	op_add(image, 5001, ID(1, 7), FIRST(3), END_POS + 2);
	record(image);
	assert_clean(image);
	/* In the checkpoint, which is looked at as it was. */
	image->leaf[1][1].from = FIRST(0);
	build(image);
	begin_log(image);
	op_delete(image, FIRST(0));
	record(image);
	assert_cut_off(image, CHECK_TREE);
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_max_entries),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_sub_snapshots_to_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
