// SPDX-License-Identifier: GPL-2.0
/*
 * One state of the crash engine by its --cut: what is printed can be read again, what makes no sense is refused where it is
 * wrong, and a state that is not there is an error, not "no finding".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crash.h"

static const char script[] =
	"disk origin 16K\ndisk store 2M\n"
	"dmsetup create ms --table \"0 32 multisnapshot origin store 8 0 mikulas 0\"\n"
	"write ms 0 1 fill=1\nwrite ms 0 1 fill=2\n"
	"dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"
	"write ms 0 8 fill=3\nflush ms\n";

static void reads_as(const char *text, const char *printed)
{
	struct crash_cut cut;
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	assert_non_null(f);
	assert_null(crash_cut_parse(&cut, text));
	crash_cut_print(&cut, f);
	fclose(f);
	assert_string_equal(out, printed);
	free(out);
	free(cut.decisions);
}

static void test_printed_and_read(void **state)
{
	reads_as("7", "7/0");
	reads_as("41/3", "41/3");
	reads_as("41/0:store:8=1", "41/0:store:8=1");
	reads_as("5:origin:0=0,store:18446744073709551615=4294967295", "5/0:origin:0=0,store:18446744073709551615=4294967295");
}

static void test_wrong(void **state)
{
	/* The text, and where it is wrong. */
	static const char *const texts[][2] = {
		{ "", "" }, { "x", "x" }, { "0", "0" }, { "-1", "-1" }, { "4294967297", "4294967297" }, { "1/", "" }, { "1/x", "x" },
		{ "1/4294967296", "4294967296" }, { "1,store:8=1", ",store:8=1" }, { "1:", "" }, { "1:disk:8=1", "disk:8=1" },
		{ "1:store8=1", "store8=1" }, { "1:store:=1", "=1" }, { "1:store:8", "" }, { "1:store:8=", "" },
		{ "1:store:8=x", "x" }, { "1:store:18446744073709551616=1", "18446744073709551616=1" },
		{ "1:store:8=4294967296", "4294967296" }, { "1:store:8=1:origin:8=1", ":origin:8=1" }, { "1:store:8=1,", "" },
	};

	for (u32 i = 0; i < ARRAY_SIZE(texts); i++) {
		struct crash_cut cut;
		const char *at = crash_cut_parse(&cut, texts[i][0]);

		assert_non_null(at);
		assert_string_equal(at, texts[i][1]);
		free(cut.decisions);
	}
}

/* Nothing is found; what is said to be wrong. */
static void judge(const char *first, const char *second, char *error, size_t size, u64 *states)
{
	struct crash_options o = { .strategy = SIM_FIFO, .seed = 1, .bound = 4096, .depth = 2, .work_share = 1 };
	struct crash_unit unit = { .text = (char *)script, .name = "the script" };
	struct crash_cut cuts[2];

	o.cuts = cuts;
	assert_null(crash_cut_parse(&cuts[o.nr_cuts++], first));
	if (second)
		assert_null(crash_cut_parse(&cuts[o.nr_cuts++], second));
	crash_unit_run(&o, &unit);
	assert_false(unit.finding.found);
	snprintf(error, size, "%s", unit.error);
	*states = unit.counts.states;
	for (u32 i = 0; i < o.nr_cuts; i++)
		free(cuts[i].decisions);
}

static void test_states_that_are_there(void **state)
{
	char error[512];
	u64 states;

	judge("20", NULL, error, sizeof(error), &states);
	assert_string_equal(error, "");
	assert_true(states);
	/* The first event of the recovery leaves what was there before; it is a state all the same. */
	judge("20", "1", error, sizeof(error), &states);
	assert_string_equal(error, "");
	assert_int_equal(states, 2);
}

static void test_states_that_are_not(void **state)
{
	char error[512];
	u64 states;

	judge("5000", NULL, error, sizeof(error), &states);
	assert_non_null(strstr(error, "--cut: event 5000, phase 0 is not one of the "));
	/* Its phases are those of the one write with PREFLUSH that is in flight: the superblock's. */
	judge("20/2", NULL, error, sizeof(error), &states);
	assert_non_null(strstr(error, "--cut: event 20, phase 2 is not one of the "));
	judge("20", "5000", error, sizeof(error), &states);
	assert_string_equal(error, "--cut: event 5000, phase 0 is not in the recovery from 20/0 and the work after it");
}

static void test_alternative_that_is_not(void **state)
{
	char error[512];
	u64 states;

	judge("20/1:store:0=1", NULL, error, sizeof(error), &states);
	assert_string_equal(error, "");
	judge("20/1:store:0=2", NULL, error, sizeof(error), &states);
	assert_string_equal(error, "--cut: after event 20 sector 0 of the store has alternatives 0 to 1, not 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printed_and_read),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_states_that_are_there),
		cmocka_unit_test(test_states_that_are_not),
		cmocka_unit_test(test_alternative_that_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
