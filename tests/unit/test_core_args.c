// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers of tables and messages: unsigned decimal and nothing else (H13).
 */
#include "core_fixture.h"

#include "store.h"

static int parse(const char *word, u64 *value)
{
	*value = 12345;
	return dm_multisnap_parse_uint64(word, value);
}

static void decimal_numbers_are_taken(void **state)
{
	u64 v;

	assert_int_equal(parse("0", &v), 0);
	assert_true(v == 0);
	assert_int_equal(parse("007", &v), 0);
	assert_true(v == 7);
	assert_int_equal(parse("18446744073709551615", &v), 0);
	assert_true(v == U64_MAX);
	assert_int_equal(parse("18446744073709551610", &v), 0);
	assert_true(v == U64_MAX - 5);
}

static void other_words_are_malformed(void **state)
{
	static const char *const words[] = { "",
					     "-1",
					     "+1",
					     " 1",
					     "1 ",
					     "0x1",
					     "1.0",
					     "1e3",
					     "a",
					     "\t1",
					     "1\n",
					     "१",
					     "99999999999999999999x" };
	u64 v;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(parse(words[i], &v), -EINVAL);
		assert_true(v == 12345);
	}
}

static void numbers_that_do_not_fit_never_wrap(void **state)
{
	static const char *const words[] = { "18446744073709551616", "18446744073709551617",
					     "18446744073709551620", "28446744073709551615",
					     "36893488147419103232", "99999999999999999999999999" };
	u64 v;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(parse(words[i], &v), -ERANGE);
		assert_true(v == 12345);
	}
}

static void counts_are_at_most_the_arguments_left(void **state)
{
	char *argv[] = { "2", "a", "b" };
	struct dm_arg_set as = { .argc = 3, .argv = argv };
	char *error = NULL;
	unsigned int n;

	assert_int_equal(dm_multisnap_get_argcount(&as, &n, "count", &error), 0);
	assert_int_equal(n, 2);

	argv[0] = "3";
	as = (struct dm_arg_set){ .argc = 3, .argv = argv };
	assert_int_equal(dm_multisnap_get_argcount(&as, &n, "count", &error), -EINVAL);
	assert_string_equal(error, "count");

	argv[0] = "1152921504606846976"; /* 2^60: times 8 it wraps */
	as = (struct dm_arg_set){ .argc = 3, .argv = argv };
	assert_int_equal(dm_multisnap_get_argcount(&as, &n, "count", &error), -ERANGE);
}

static void missing_and_empty_words_are_malformed(void **state)
{
	char *argv[] = { "" };
	struct dm_arg_set as = { .argc = 0, .argv = argv };
	const char *string;
	char *error = NULL;
	unsigned int n;
	u64 v;

	assert_int_equal(dm_multisnap_get_uint64(&as, &v, "v", &error), -EINVAL);
	assert_int_equal(dm_multisnap_get_string(&as, &string, "s", &error), -EINVAL);
	as.argc = 1;
	assert_int_equal(dm_multisnap_get_string(&as, &string, "s", &error), -EINVAL);
	argv[0] = "4294967296";
	as = (struct dm_arg_set){ .argc = 1, .argv = argv };
	assert_int_equal(dm_multisnap_get_uint(&as, &n, "n", &error), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_numbers_are_taken),
		cmocka_unit_test(other_words_are_malformed),
		cmocka_unit_test(numbers_that_do_not_fit_never_wrap),
		cmocka_unit_test(counts_are_at_most_the_arguments_left),
		cmocka_unit_test(missing_and_empty_words_are_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
