// SPDX-License-Identifier: GPL-2.0
/* Histograms: exact for small values, within 1/64 above, quantiles against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "histogram.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_small_values_are_exact(void **state)
{
	static struct histogram h;

	for (uint64_t v = 1; v <= 100; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_quantile(&h, 0), 1);
	assert_int_equal(histogram_quantile(&h, 500000), 50);
	assert_int_equal(histogram_quantile(&h, 990000), 99);
	assert_int_equal(histogram_quantile(&h, 1000000), 100);
	assert_true(histogram_mean(&h) == 50.5);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 100);
}

static void test_empty_is_zero(void **state)
{
	static struct histogram h;

	assert_int_equal(histogram_quantile(&h, 500000), 0);
	assert_true(histogram_mean(&h) == 0);
}

static void test_quantiles_of_any_magnitude(void **state)
{
	enum { N = 5000 };
	static const unsigned int shares[] = { 1, 100000, 500000, 900000, 990000, 999000, 1000000 };
	static uint64_t values[N];
	static struct histogram h;
	uint64_t rng = 88172645463325252ULL;

	for (unsigned int i = 0; i < N; i++) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		values[i] = rng >> (rng % 64);
		histogram_add(&h, values[i]);
	}
	qsort(values, N, sizeof(values[0]), compare);
	for (unsigned int i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		uint64_t rank = ((uint64_t)N * shares[i] + 999999) / 1000000;
		uint64_t exact = values[rank ? rank - 1 : 0];
		uint64_t got = histogram_quantile(&h, shares[i]);

		assert_true(got >= exact);
		assert_true(got - exact <= exact / 64);
	}
	assert_int_equal(histogram_quantile(&h, 1000000), values[N - 1]);
}

static void test_merge_is_adding_all(void **state)
{
	static struct histogram a, b, all;

	for (uint64_t i = 0; i < 1000; i++) {
		histogram_add(i % 3 ? &a : &b, i * i);
		histogram_add(&all, i * i);
	}
	histogram_merge(&a, &b);
	assert_memory_equal(&a, &all, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_empty_is_zero),
		cmocka_unit_test(test_quantiles_of_any_magnitude),
		cmocka_unit_test(test_merge_is_adding_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
