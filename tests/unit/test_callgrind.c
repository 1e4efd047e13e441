// SPDX-License-Identifier: GPL-2.0
/* callgrind's output: self cost by folder; permutations of the bench's workloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

static struct callgrind_cost parse(const char *text, int expect)
{
	struct callgrind_cost cost;
	FILE *in = fmemopen((void *)text, strlen(text), "r");

	assert_non_null(in);
	assert_int_equal(callgrind_parse(in, &cost), expect);
	fclose(in);
	return cost;
}

static void test_self_cost_by_folder(void **state)
{
	struct callgrind_cost cost = parse(
		"# callgrind format\nversion: 1\npositions: line\nevents: Ir\n\n"
		"fl=(1) /src/core/map.c\nfn=(1) map\n10 100\n+2 5\n"
		"cfi=(2) /src/stores/mikulas/btree.c\ncfn=(2) find\ncalls=3 20\n12 9999\n* 7\n"
		"fi=(3) /src/shim/user/shim_list.h\n3 11\nfe=(1)\n14 1\n\n"
		"fl=(2)\nfn=(2)\n20 1000\n\ntotals: 1124\n", 0);

	assert_int_equal(cost.core, 100 + 5 + 7 + 1);
	assert_int_equal(cost.stores, 1000);
	assert_int_equal(cost.total, 1124);
}

static void test_other_files_are_refused(void **state)
{
	parse("hello\n1 2\n", -1);
}

static void test_permutation_is_one(void **state)
{
	static const u64 sizes[] = { 1, 2, 7, 64, 1000, 65536 };

	for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		u64 n = sizes[k];
		unsigned char *seen = calloc(1, n);

		for (u64 i = 0; i < n; i++) {
			u64 p = bench_permute(i, n, 42);

			assert_true(p < n);
			assert_false(seen[p]);
			seen[p] = 1;
		}
		free(seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self_cost_by_folder),
		cmocka_unit_test(test_other_files_are_refused),
		cmocka_unit_test(test_permutation_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
