// SPDX-License-Identifier: GPL-2.0
/*
 * The script language as text: words, quotes, positions of errors; numbers with units.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "script.h"

static void accepts(const char *text, unsigned int commands)
{
	char error[SCRIPT_ERROR_MAX] = "";
	struct script_command *c = script_parse("f", text, error);

	if (!c)
		print_error("%s: %s\n", text, error);
	for (const struct script_command *at = c; at || commands; at = at->next, commands--) {
		assert_non_null(at);
		assert_int_not_equal(commands, 0);
	}
	script_free(c);
}

static void refuses(const char *text, const char *message)
{
	char error[SCRIPT_ERROR_MAX] = "";

	assert_null(script_parse("f", text, error));
	if (!strstr(error, message))
		print_error("%s: \"%s\", not \"%s\"\n", text, error, message);
	assert_non_null(strstr(error, message));
}

static void test_words(void **state)
{
	struct script_line *lines, *line;
	char error[SCRIPT_ERROR_MAX];

	line = lines = script_lex("f", "  a\t'b c' \"d\\\"e\\n\" f# g # h\n\n\\\ni j\\\nk", error, sizeof(error));
	assert_non_null(line);
	assert_int_equal(line->number, 1);
	assert_int_equal(line->nr_words, 5);
	assert_string_equal(line->words[1], "b c");
	assert_string_equal(line->words[2], "d\"e\n");
	assert_string_equal(line->words[3], "f#");
	assert_string_equal(line->text, "a\t'b c' \"d\\\"e\\n\" f# g");
	line = line->next;
	assert_int_equal(line->nr_words, 0);
	line = line->next;
	assert_int_equal(line->number, 4);
	assert_int_equal(line->nr_words, 3);
	assert_string_equal(line->words[1], "j");
	assert_null(line->next);
	script_lines_free(lines);
}

static void test_commands(void **state)
{
	accepts("disk origin 64M\n", 1);
	accepts("disk origin 100s model=hdd block=4096 # comment", 1);
	accepts("dmsetup create ms --table \"0 8 multisnapshot a b 16 0 model 0\"", 1);
	accepts("dmsetup suspend --noflush --nolockfs ms\ndmsetup suspend ms --noflush", 2);
	accepts("dmsetup message ms 0 create_subsnap 7.1", 1);
	accepts("read ms 0 8 expect=0 bs=0\nwrite ms 0 8 fill=1 fua preflush expect-error=EIO", 2);
	accepts("parallel {\n\tflush a\n\t{\n\t\tflush b\n\t}\n}\nflush c", 2);
	accepts("start x expect-error EIO flush ms\nwait x", 2);
	accepts("may-fail flush ms\nparallel {\n\tmay-fail read ms 0 8\n}", 2);
	accepts("fault store op=read,write range=1+2 skip=3 count=4 error=ENOSPC\nfault alloc clear", 2);
}

static void test_refused(void **state)
{
	refuses("", "f: no commands");
	refuses("\n\nfrobnicate", "f:3: frobnicate: no such verb");
	refuses("disk origin", "f:1: the size is missing");
	refuses("disk origin 513", "not a size");
	refuses("disk origin 18446744073709551616", "not a size");
	refuses("disk a=b 1M", "cannot be the name");
	refuses("disk a 1M block=513", "block=513");
	refuses("read ms 0 8 expect=x", "expect=x");
	refuses("read ms 0 0", "a range of");
	refuses("read ms -1 8", "not a number");
	refuses("write ms 0 8 fill=1 fua junk", "\"junk\" is not understood");
	/* Each has its own options. */
	refuses("read ms 0 8 fua", "\"fua\" is not understood");
	refuses("read ms 0 8 fill=1", "\"fill=1\" is not understood");
	refuses("write ms 0 8 fill=1 expect=1", "\"expect=1\" is not understood");
	refuses("zero ms 0 8 expect=1", "\"expect=1\" is not understood");
	refuses("discard ms 0 8 expect=1", "\"expect=1\" is not understood");
	refuses("flush ms bs=8", "\"bs=8\" is not understood");
	refuses("write ms 0 8", "fill= is missing");
	refuses("write ms 0 8 fill=134217728", "fill=134217728");
	refuses("flush ms\nread ms 0 \"8\n", "f:2: a quote is not closed");
	refuses("echo \"\\x\"", "a backslash escapes");
	refuses("flush ms\nflush \\ \nflush ms\n", "f:2: a backslash ends the line");
	refuses("flush \\\r\n", "f:1: a backslash ends the line");
	refuses("flush \\ # ms\n", "f:1: a backslash ends the line");
	refuses("flush \\", "f:1: a backslash ends the line");
	refuses("dmsetup create ms", "one of --table and --notable");
	refuses("dmsetup create ms --notable --table x", "one of --table and --notable");
	refuses("dmsetup load ms", "--table is missing");
	refuses("dmsetup fly ms", "dmsetup fly: no such command");
	refuses("dmsetup message ms 0", "the message is missing");
	refuses("dmsetup message ms create", "not a number");
	refuses("expect-error EIO", "usage: expect-error");
	refuses("may-fail", "usage: may-fail");
	refuses("expect-error EWHAT flush ms", "\"EWHAT\" is not the name of an error");
	refuses("parallel {\nflush a\n", "f:1: the block is not closed");
	refuses("parallel {\n}", "f:2: an empty block");
	refuses("}", "f:1: \"}\" without \"{\"");
	refuses("parallel {\ncrash\n}", "f:2: crash stands at the top level only");
	refuses("start x reload", "reload stands at the top level only");
	refuses("start x", "usage: start");
	refuses("fault store op=fly", "\"fly\" is none of");
	refuses("fault store range=5", "not START+LENGTH");
	refuses("module param m p x", "not a number");
	refuses("sleep 10", "not a duration");
}

/* The parser calls itself for what is nested: there is an end to that before the stack's. */
static void test_deeply_nested_is_refused(void **state)
{
	static char text[200 * 11 + 1];

	for (unsigned int i = 0; i < 200; i++)
		memcpy(text + i * 11, "parallel {\n", 11);
	refuses(text, "f:65: nested deeper than 64");
	for (unsigned int i = 0; i < 200; i++)
		memcpy(text + i * 11, "start abcd ", 11);
	refuses(text, "f:1: nested deeper than 64");
}

static void test_sizes(void **state)
{
	sector_t sectors;
	u64 v, last;

	assert_true(parse_size_bytes("16T", &v));
	assert_true(v == 16ULL << 40);
	assert_true(parse_size_sectors("100s", &sectors));
	assert_true(sectors == 100);
	assert_false(parse_size_sectors("100", &sectors));
	assert_false(parse_size_bytes("16384P", &v));
	assert_false(parse_size_bytes("1 K", &v));
	assert_false(parse_size_bytes("K", &v));
	assert_false(parse_size_bytes("", &v));
	assert_false(parse_size_bytes("-1", &v));
	assert_true(parse_u64("18446744073709551615", &v));
	assert_true(v == U64_MAX);
	assert_false(parse_u64("18446744073709551616", &v));
	assert_false(parse_u64("99999999999999999999", &v));
	assert_true(parse_duration_ns("250ms", &v));
	assert_true(v == 250000000);
	assert_false(parse_duration_ns("250", &v));
	assert_false(parse_duration_ns("99999999999h", &v));
	assert_true(parse_range("3..9", &v, &last));
	assert_true(v == 3 && last == 9);
	assert_true(parse_range("7", &v, &last));
	assert_true(v == 7 && last == 7);
	assert_false(parse_range("9..3", &v, &last));
	assert_false(parse_range("3..", &v, &last));
	assert_true(parse_range("1..18446744073709551615", &v, &last));
	assert_false(parse_range("0..18446744073709551615", &v, &last));
}

static void test_errno(void **state)
{
	assert_string_equal(errno_name(-5), "EIO");
	assert_string_equal(errno_name(28), "ENOSPC");
	assert_int_equal(errno_number("EOPNOTSUPP"), 95);
	assert_int_equal(errno_number("EXDEV"), 18);
	assert_int_equal(errno_number("eio"), 0);
	assert_int_equal(errno_number(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	cmocka_unit_test(test_commands),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_deeply_nested_is_refused),
	};

	return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
