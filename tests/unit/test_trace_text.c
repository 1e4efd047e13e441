// SPDX-License-Identifier: GPL-2.0
/*
 * The text helpers, the key map and the footprint: the edges of numbers, lines, limits and extents.
 */
#include "trace_samples.h"

#include "footprint.h"
#include "trace_impl.h"

static struct cursor cursor(const char *text)
{
	return (struct cursor){ text, text + strlen(text) };
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "007", true, 7 },
		{ "9999999999999999999", true, 9999999999999999999ull },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "00000000000000000000000018446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "184467440737095516150", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "x", false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cursor c = cursor(cases[i].text);
		uint64_t value = 42;
		bool good = take_u64(&c, &value);

		if (good != cases[i].good || (good && (value != cases[i].value || !at_end(&c))))
			fail_msg("'%s'", cases[i].text);
	}
}

static void test_decimals(void **state)
{
	static const struct {
		const char *text;
		unsigned int digits;
		bool good;
		uint64_t value;
	} cases[] = {
		{ "12", 9, true, 12000000000 },
		{ "12.5", 3, true, 12500 },
		{ "0.000000001", 9, true, 1 },
		{ "0.0000000019", 9, true, 1 },
		{ "1.999", 0, true, 1 },
		{ "18446744073.709551615", 9, true, UINT64_MAX },
		{ "18446744073.709551616", 9, false, 0 },
		{ "18446744074", 9, false, 0 },
		{ "1.", 9, false, 0 },
		{ ".5", 9, false, 0 },
		{ "-0.5", 9, false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cursor c = cursor(cases[i].text);
		uint64_t value = 42;
		bool good = take_decimal(&c, cases[i].digits, &value);

		if (good != cases[i].good || (good && (value != cases[i].value || !at_end(&c))))
			fail_msg("'%s'", cases[i].text);
	}
}

static void test_words(void **state)
{
	struct cursor c = cursor("one\ttwo ,x");
	const char *word;
	size_t length;
	uint32_t number;

	assert_true(take_word(&c, &word, &length) && length == 3);
	assert_true(take_blanks(&c));
	assert_true(take_field(&c, &word, &length) && length == 3 && !memcmp(word, "two", 3));
	assert_true(take_comma(&c));
	assert_false(take_comma(&c));
	assert_true(word_is("ReAd", 4, "read"));
	assert_false(word_is("rea", 3, "read"));
	assert_false(word_is("reads", 5, "read"));
	assert_false(word_is("", 0, "r"));
	c = cursor("4294967296");
	assert_false(take_u32(&c, &number));
	c = cursor("4294967295");
	assert_true(take_u32(&c, &number) && number == UINT32_MAX);
}

static void test_keymap(void **state)
{
	struct keymap *map = keymap_new(5000);
	uint64_t number;

	for (unsigned int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 5000; i++) {
			uint64_t key = i * 0x100000000ull;

			assert_true(keymap_get(map, &key, sizeof(key), &number));
			assert_int_equal(number, i);
		}
	}
	assert_false(keymap_get(map, "new", 3, &number));
	assert_int_equal(keymap_count(map), 5000);
	keymap_free(map);
	map = keymap_new(3);
	assert_true(keymap_get(map, "", 0, &number) && number == 0);
	assert_true(keymap_get(map, "a", 1, &number) && number == 1);
	assert_true(keymap_get(map, "a\0", 2, &number) && number == 2);
	assert_true(keymap_get(map, "a", 1, &number) && number == 1);
	keymap_free(map);
}

static void test_footprint(void **state)
{
	struct footprint *set = footprint_new();

	assert_int_equal(footprint_bytes(set), 0);
	assert_true(footprint_add(set, 0, 100, 0));
	assert_int_equal(footprint_bytes(set), 0);
	assert_true(footprint_add(set, 0, 4095, 2));	/* two pages */
	assert_int_equal(footprint_bytes(set), 8192);
	assert_true(footprint_add(set, 1, 4095, 2));	/* another device */
	assert_true(footprint_add(set, 0, 0, 8192));	/* nothing new */
	assert_int_equal(footprint_bytes(set), 16384);
	assert_true(footprint_add(set, 0, 0, 1ull << 40));
	assert_int_equal(footprint_bytes(set), (1ull << 40) + 8192);
	/* Every other page, backwards, more than fit without growing; then the rest. */
	for (uint64_t i = 300000; i-- > 0;)
		assert_true(footprint_add(set, 2, i * 8192, 1));
	assert_int_equal(footprint_bytes(set), (1ull << 40) + 8192 + 300000 * 4096ull);
	for (uint64_t i = 0; i < 300000; i++)
		assert_true(footprint_add(set, 2, i * 8192 + 4096, 4096));
	assert_int_equal(footprint_bytes(set), (1ull << 40) + 8192 + 600000 * 4096ull);
	footprint_free(set);
}

/* Lines of all lengths around the limit, over many refills of the buffer. */
static void test_line_lengths(void **state)
{
	FILE *file = fopen(sample_path("big"), "wb");
	char error[256];
	struct input *in;
	const char *p, *end;
	unsigned int count = 0, too_long = 0;

	assert_non_null(file);
	for (unsigned int i = 0; i < 200; i++) {
		size_t length = i == 50 ? 1 << 20 : i < 100 ? i * 100 : TRACE_MAX_LINE - 100 + i;

		for (size_t j = 0; j < length; j++)
			fputc('a' + i % 26, file);
		fputc('\n', file);
	}
	fputs("last", file);
	assert_int_equal(fclose(file), 0);
	in = input_open(sample_path("big"), NULL, error, sizeof(error));
	assert_non_null(in);
	for (unsigned int i = 0; i <= 200; i++) {
		size_t length = i < 100 ? i * 100 : TRACE_MAX_LINE - 100 + i;

		switch (input_line(in, &p, &end)) {
		case INPUT_LINE:
			count++;
			assert_int_equal(end - p, i == 200 ? 4 : length);
			assert_true(i == 200 || p == end || (*p == 'a' + i % 26 && end[-1] == *p));
			assert_int_equal(input_line_cut(in), i == 200);
			break;
		case INPUT_LONG:
			too_long++;
			assert_true(i == 50 || length > TRACE_MAX_LINE);
			break;
		default:
			fail_msg("line %u", i);
		}
	}
	assert_int_equal(too_long, 1 + 99);
	assert_int_equal(count, 201 - 100);
	assert_int_equal(input_line(in, &p, &end), INPUT_END);
	assert_int_equal(input_line(in, &p, &end), INPUT_END);
	assert_int_equal(input_bytes_read(in), input_bytes_total(in));
	input_close(in);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	     cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_words),	     cmocka_unit_test(test_keymap),
		cmocka_unit_test(test_footprint),    cmocka_unit_test(test_line_lengths),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
