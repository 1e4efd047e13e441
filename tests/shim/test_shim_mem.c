// SPDX-License-Identifier: GPL-2.0
/*
 * Memory: misuse is a finding with the place of the allocation, faults come when asked for,
 * reserves hold.
 */
#include "finding.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif

static void *volatile sink;

static void leaks(void *arg)
{
	sink = kmalloc(24, GFP_KERNEL);
	sink = kmalloc(100, GFP_KERNEL);
}

static void leaks_large(void *arg)
{
	sink = kvmalloc(300000, GFP_KERNEL);
}

static void leaks_cache(void *arg)
{
	sink = kmem_cache_create("leaky", 10, 1, 0, NULL);
}

static void double_free(void *arg)
{
	void *p = kmalloc(24, GFP_KERNEL);

	sink = p;
	kfree(p);
	kfree(sink);
}

static void free_of_what(void *arg)
{
	char *p = kmalloc(240, GFP_KERNEL);

	memset(p, 0, 240);
	sink = p + 64;
	kfree(sink);
}

static void cache_destroyed_in_use(void *arg)
{
	struct kmem_cache *cache = kmem_cache_create("busy", 40, 8, 0, NULL);

	sink = kmem_cache_alloc(cache, GFP_KERNEL);
	kmem_cache_destroy(cache);
}

static void wrong_cache(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("a", 40, 8, 0, NULL);
	struct kmem_cache *b = kmem_cache_create("b", 40, 8, 0, NULL);

	kmem_cache_free(b, kmem_cache_alloc(a, GFP_KERNEL));
}

static void kfree_of_cache_object(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("a", 40, 8, 0, NULL);

	kfree(kmem_cache_alloc(a, GFP_KERNEL));
}

static void kfree_of_kvmalloc(void *arg)
{
	kfree(kvmalloc(100000, GFP_KERNEL));
}

static void kmalloc_too_large(void *arg)
{
	sink = kmalloc(5 << 20, GFP_KERNEL);
}

static void test_findings(void **state)
{
	expect_finding(
		leaks,
		"leak: 2 allocations, 124 bytes; the first is of 24 bytes at test_shim_mem.c:");
	expect_finding(leaks_large, "leak: 1 allocations, 300000 bytes");
	expect_finding(leaks_cache, "leak: cache 'leaky' (test_shim_mem.c:");
	expect_finding(double_free, "double free");
	expect_finding(free_of_what, "never allocated");
	expect_finding(cache_destroyed_in_use,
		       "with 1 objects in use; one leak is of test_shim_mem.c:");
	expect_finding(wrong_cache, "not of cache 'b'");
	expect_finding(kfree_of_cache_object, "of an object of cache 'a'");
	expect_finding(kfree_of_kvmalloc, "memory of kvmalloc()");
	expect_finding(kmalloc_too_large, "kmalloc() of 5242880 bytes");
}

/* What AddressSanitizer would see first. */
#ifndef UNDER_ASAN
static void *hidden(void *p)
{
	sink = p;
	return sink;
}

static void use_after_free(void *arg)
{
	char *p = hidden(kmalloc(64, GFP_KERNEL));

	kfree(p);
	((char *)sink)[10] = 1;
}

static void use_after_free_found_at_reuse(void *arg)
{
	char *p = hidden(kmalloc(64, GFP_KERNEL));

	kfree(p);
	((char *)sink)[10] = 1;
	for (int i = 0; i < 1000; i++)
		kfree(kmalloc(64, GFP_KERNEL));
	sim_fail("not found");
}

static void use_after_free_of_large(void *arg)
{
	char *p = hidden(kmalloc(8000, GFP_KERNEL));

	kfree(p);
	((char *)sink)[7999] = 1;
}

static void use_after_free_of_very_large(void *arg)
{
	char *p = hidden(kvmalloc(200000, GFP_KERNEL));

	kvfree(p);
	((char *)sink)[199999] = 1;
}

static void use_after_free_of_very_large_found_at_reuse(void *arg)
{
	use_after_free_of_very_large(NULL);
	for (int i = 0; i < 1000; i++)
		kvfree(kvmalloc(200000 + i % 20, GFP_KERNEL));
	sim_fail("not found");
}

static void beyond_the_end(void *arg)
{
	char *p = hidden(kmalloc(61, GFP_KERNEL));

	((char *)sink)[61] = 1;
	kfree(p);
}

static void before_the_begin(void *arg)
{
	char *p = hidden(kmalloc(61, GFP_KERNEL));

	((char *)sink)[-1] = 1;
	kfree(p);
}

static void test_writes_out_of_place(void **state)
{
	expect_finding(use_after_free, "use after free: 64 bytes allocated at test_shim_mem.c:");
	expect_finding(use_after_free, "at offset 10");
	expect_finding(use_after_free_found_at_reuse, "use after free");
	expect_finding(use_after_free_of_large, "use after free: 8000 bytes");
	expect_finding(use_after_free_of_very_large, "use after free: 200000 bytes");
	expect_finding(use_after_free_of_very_large_found_at_reuse, "use after free: 200000 bytes");
	expect_finding(beyond_the_end, "beyond the end of 61 bytes");
	expect_finding(before_the_begin, "before its begin");
}
#endif

static void contents(void *arg)
{
	for (size_t size = 1; size < 100000; size = size * 3 / 2 + 1) {
		u8 *p = kvmalloc(size, GFP_KERNEL), *z = kvzalloc(size, GFP_NOIO);

		assert_null(memchr_inv(z, 0, size));
		memset(p, 0x17, size);
		assert_null(memchr_inv(z, 0, size));
		memset(z, 0x18, size);
		assert_null(memchr_inv(p, 0x17, size));
		assert_int_equal((uintptr_t)p % 16, 0);
		kvfree(p);
		kvfree(z);
		z = kvcalloc(size, 1, GFP_KERNEL);
		assert_null(memchr_inv(z, 0, size));
		kvfree(z);
	}
}

static void counters(void *arg)
{
	u64 count = sim_alloc_count();
	char *p, *q;

	assert_int_equal(sim_memory_bytes(), 0);
	p = kmalloc(100, GFP_KERNEL);
	q = kvzalloc(1000, GFP_KERNEL);
	assert_int_equal(sim_memory_bytes(), 1100);
	kfree(p);
	assert_int_equal(sim_memory_bytes(), 1000);
	assert_int_equal(sim_memory_peak_bytes(), 1100);
	sim_memory_peak_reset();
	assert_int_equal(sim_memory_peak_bytes(), 1000);
	kvfree(q);
	kfree(NULL);
	kvfree(NULL);
	assert_int_equal(sim_alloc_count(), count + 2);
}

static void odd_calls(void *arg)
{
	char *p = kstrdup("hello", GFP_KERNEL), *q;
	size_t huge = SIZE_MAX / 2;
	struct {
		int n;
		u64 items[];
	} * s;

	assert_string_equal(p, "hello");
	p = krealloc(p, 100, GFP_KERNEL);
	assert_string_equal(p, "hello");
	p = krealloc(p, 3, GFP_KERNEL);
	assert_memory_equal(p, "hel", 3);
	kfree(p);
	q = krealloc(NULL, 10, GFP_KERNEL);
	assert_non_null(q);
	kfree(q);
	kfree(kmalloc(0, GFP_KERNEL));
	/* Sizes that do not fit: no memory, rather than little. */
	assert_null(kmalloc_array(huge, 16, GFP_KERNEL));
	assert_null(kvmalloc_array(1ULL << 61, 16, GFP_KERNEL));
	assert_null(kcalloc(huge, 16, GFP_KERNEL));
	assert_true(struct_size(s, items, SIZE_MAX / 4) == SIZE_MAX);
	assert_true(struct_size(s, items, 3) == 32);
	assert_true(array_size(3, 5) == 15);
	assert_null(kstrdup(NULL, GFP_KERNEL));
}

static void test_right_use(void **state)
{
	expect_clean(SIM_FIFO, 0, contents, NULL);
	expect_clean(SIM_FIFO, 0, counters, NULL);
	expect_clean(SIM_FIFO, 0, odd_calls, NULL);
}

/* ---- faults ---- */

static void nth(void *arg)
{
	void *p[5];

	sim_fail_alloc(sim_alloc_count() + 2, 2);
	for (int i = 0; i < 5; i++) {
		p[i] = kmalloc(10, GFP_KERNEL);
		assert_true((p[i] == NULL) == (i == 2 || i == 3));
		kfree(p[i]);
	}
	sim_fail_alloc(sim_alloc_count(), 3);
	assert_null(kmem_cache_create("x", 10, 1, 0, NULL));
	assert_null(alloc_workqueue("x", 0, 0));
	assert_null(mempool_create_kmalloc_pool(3, 10));
	sim_fail_alloc(sim_alloc_count() + 2, 1);
	/* In the middle of filling the reserve: what was allocated is given back. */
	assert_null(mempool_create_kmalloc_pool(3, 10));
}

static void at_random(void *arg)
{
	unsigned int failed = 0;

	sim_fail_alloc_random(100000);
	for (int i = 0; i < 2000; i++) {
		void *p = kmalloc(10, GFP_NOWAIT);

		failed += !p;
		kfree(p);
		p = kmalloc(10, GFP_NOIO);
		assert_non_null(p);
		kfree(p);
	}
	assert_in_range(failed, 100, 300);
}

static void test_faults(void **state)
{
	expect_clean(SIM_FIFO, 0, nth, NULL);
	expect_clean(SIM_RANDOM, 1, at_random, NULL);
	expect_clean(SIM_FIFO, 1, at_random, NULL);
}

/* ---- mempools ---- */

static mempool_t *pool;
static void *elements[3];

static void gives_back(void *arg)
{
	sim_sleep_ns(100);
	mempool_free(elements[0], pool);
}

static void reserve(void *arg)
{
	pool = mempool_create_kmalloc_pool(2, 50);
	sim_fail_alloc(sim_alloc_count(), U64_MAX);
	elements[0] = mempool_alloc(pool, GFP_NOWAIT);
	elements[1] = mempool_alloc(pool, GFP_NOIO);
	assert_non_null(elements[0]);
	assert_non_null(elements[1]);
	assert_null(mempool_alloc(pool, GFP_NOWAIT));
	sim_thread_start("gives", gives_back, NULL);
	elements[2] = mempool_alloc(pool, GFP_NOIO);
	assert_in_range(sim_now_ns(), 100, arg ? U64_MAX : 100);
	mempool_free(elements[1], pool);
	mempool_free(elements[2], pool);
	mempool_destroy(pool);
}

static void allocates_beyond_reserve(void *arg)
{
	struct kmem_cache *cache = kmem_cache_create("c", 50, 1, 0, NULL);

	pool = mempool_create_slab_pool(1, cache);
	for (int i = 0; i < 3; i++)
		elements[i] = mempool_alloc(pool, GFP_NOIO);
	for (int i = 0; i < 3; i++)
		mempool_free(elements[i], pool);
	mempool_destroy(pool);
	kmem_cache_destroy(cache);
}

static void nobody_gives_back(void *arg)
{
	pool = mempool_create_kmalloc_pool(1, 50);
	sim_fail_alloc(sim_alloc_count(), U64_MAX);
	sink = mempool_alloc(pool, GFP_NOIO);
	sink = mempool_alloc(pool, GFP_NOIO);
}

static void destroyed_in_use(void *arg)
{
	pool = mempool_create_kmalloc_pool(1, 50);
	sink = mempool_alloc(pool, GFP_NOIO);
	mempool_destroy(pool);
}

static void given_back_twice(void *arg)
{
	pool = mempool_create_kmalloc_pool(2, 50);
	sim_fail_alloc(sim_alloc_count(), U64_MAX);
	sink = mempool_alloc(pool, GFP_NOIO);
	elements[0] = mempool_alloc(pool, GFP_NOIO);
	mempool_free(sink, pool);
	mempool_free(sink, pool);
}

static void waits_in_irq_call(void *arg)
{
	sink = mempool_alloc(pool, GFP_NOIO);
}

static void waits_in_irq(void *arg)
{
	pool = mempool_create_kmalloc_pool(2, 50);
	sim_call_at(1, waits_in_irq_call, NULL);
	sim_sleep_ns(2);
}

static void pool_not_destroyed(void *arg)
{
	pool = mempool_create_kmalloc_pool(2, 50);
}

static void test_mempool(void **state)
{
	expect_clean(SIM_FIFO, 0, reserve, NULL);
	/* Elsewhere than under fifo time may pass while something could run. */
	expect_clean(SIM_RANDOM, 9, reserve, "random");
	expect_clean(SIM_FIFO, 0, allocates_beyond_reserve, NULL);
	expect_finding(nobody_gives_back, "mempool_alloc() waits for ever");
	expect_finding(destroyed_in_use, "with 1 elements in use");
	expect_finding(given_back_twice, "that is in its mempool");
	expect_finding(waits_in_irq, "in an interrupt");
	expect_finding(pool_not_destroyed, "leak: the mempool of test_shim_mem.c:");
}

/* A world that failed leaves nothing behind for the next. */
static void test_after_failure(void **state)
{
	for (int i = 0; i < 50; i++) {
		expect_finding(cache_destroyed_in_use, "busy");
		expect_finding(nobody_gives_back, "waits for ever");
		expect_clean(SIM_FIFO, 0, counters, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),
#ifndef UNDER_ASAN
		cmocka_unit_test(test_writes_out_of_place),
#endif
		cmocka_unit_test(test_right_use),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_mempool),
		cmocka_unit_test(test_after_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
