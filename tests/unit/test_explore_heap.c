// SPDX-License-Identifier: GPL-2.0
/*
 * The heaps of a program that is rewound: alignment, sizes, what is used again, and whose memory is whose.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap.h"
#include "rewind.h"

/* The C library's functions as the compiler does not know them: else it leaves out what is not used, or warns. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static int (*volatile do_posix_memalign)(void **, size_t, size_t) = posix_memalign;
static void (*volatile do_free)(void *) = free;

static bool is_in(const struct heap *heap, const void *p)
{
	return (const char *)p >= heap->start && (const char *)p < heap->next;
}

static bool all(const u8 *p, u8 byte, size_t size)
{
	return !size || (p[0] == byte && !memcmp(p, p + 1, size - 1));
}

static void test_sizes(void **state)
{
	enum { N = 4200 };
	static u8 *p[N];
	size_t asked = 0, before = heap_used(&rewound_heap), after;

	for (size_t i = 0; i < N; i++) {
		p[i] = do_malloc(i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		assert_true(malloc_usable_size(p[i]) >= i);
		assert_true(is_in(&rewound_heap, p[i]));
		/* Its last byte, too. */
		assert_true(is_in(&rewound_heap, p[i] + malloc_usable_size(p[i]) - 1));
		memset(p[i], (int)i, malloc_usable_size(p[i]));
		asked += i;
	}
	after = heap_used(&rewound_heap);
	assert_in_range(after - before, asked, asked + asked / 8);
	for (size_t i = 0; i < N; i++) {
		assert_true(all(p[i], (u8)i, malloc_usable_size(p[i])));
		do_free(p[i]);
	}
	/* The same again, from what was freed. */
	for (size_t i = 0; i < N; i++)
		p[i] = do_malloc(i);
	assert_int_equal(heap_used(&rewound_heap), after);
	for (size_t i = 0; i < N; i++)
		do_free(p[i]);
}

static void test_large(void **state)
{
	const size_t sizes[] = { 100000, 1000000, 16 << 20, 1 << 30 };
	void *p;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		u8 *q = do_malloc(sizes[i]);

		assert_non_null(q);
		assert_in_range(malloc_usable_size(q), sizes[i], sizes[i] + sizes[i] / 8 + 16);
		q[0] = q[sizes[i] - 1] = 1;
		do_free(q);
		assert_ptr_equal(do_malloc(sizes[i]), q);
		do_free(q);
	}
	errno = 0;
	assert_null(do_malloc(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_null(do_malloc(PTRDIFF_MAX));
	/* More than there are addresses. */
	assert_null(do_malloc(8ULL << 30));
	assert_null(do_realloc(NULL, SIZE_MAX - 7));
	p = do_malloc(5);
	assert_null(do_realloc(p, SIZE_MAX));
	do_free(p);
}

static void test_zeroed(void **state)
{
	u8 *p = do_malloc(1000), *q;

	memset(p, 0xff, 1000);
	do_free(p);
	q = do_calloc(10, 100);
	assert_ptr_equal(p, q);
	assert_true(all(q, 0, 1000));
	do_free(q);
	q = do_calloc(0, 100);
	assert_non_null(q);
	do_free(q);
	errno = 0;
	assert_null(do_calloc(SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	assert_null(do_calloc(1ULL << 32, 1ULL << 32));
	assert_null(do_reallocarray(NULL, 1ULL << 32, 1ULL << 32));
}

static void test_resized(void **state)
{
	u8 *p = NULL;
	size_t size, old = 0;

	for (size = 1; size < 300000; size = size * 3 / 2 + 1) {
		p = do_realloc(p, size);
		assert_true(all(p, 0x33, old));
		memset(p, 0x33, size);
		old = size;
	}
	while (size > 1) {
		size /= 3;
		p = do_realloc(p, size);
		assert_true(all(p, 0x33, size));
		assert_in_range(malloc_usable_size(p), size, 3 * size + 16);
	}
	assert_null(do_realloc(p, 0));
	p = do_reallocarray(NULL, 10, 10);
	assert_in_range(malloc_usable_size(p), 100, 120);
	do_free(p);
	do_free(NULL);
}

static void test_aligned(void **state)
{
	void *p;

	for (size_t align = sizeof(void *); align <= 1 << 16; align *= 2) {
		for (size_t size = 0; size < 10000; size = size * 5 / 4 + 7) {
			assert_int_equal(do_posix_memalign(&p, align, size), 0);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(malloc_usable_size(p) >= size);
			memset(p, 0x44, malloc_usable_size(p));
			p = do_realloc(p, size + 1);
			assert_true(all(p, 0x44, size));
			do_free(p);
		}
	}
	assert_int_equal(do_posix_memalign(&p, 24, 10), EINVAL);
	assert_int_equal(do_posix_memalign(&p, 1, 10), EINVAL);
	assert_int_equal(do_posix_memalign(&p, 64, SIZE_MAX - 20), ENOMEM);
	p = aligned_alloc(256, 1000);
	assert_int_equal((uintptr_t)p % 256, 0);
	do_free(p);
	p = memalign(4096, 1);
	assert_int_equal((uintptr_t)p % 4096, 0);
	do_free(p);
}

/* Its state put back, a heap gives the same again. */
static void test_repeats_itself(void **state)
{
	enum { N = 2000, SIZE = 4 << 20 };
	static void *p[N], *first[N];
	struct heap fresh = { .start = keep_alloc(SIZE) }, saved;

	fresh.end = fresh.start + SIZE;
	fresh.next = fresh.start + 8; /* where objects are aligned */
	saved = fresh;
	for (int round = 0; round < 2; round++) {
		u32 random = 1;

		fresh = saved;
		for (u32 i = 0; i < N; i++) {
			random = random * 1103515245 + 12345;
			p[i] = heap_alloc(&fresh, (random >> 16) % 2000);
			assert_non_null(p[i]);
			if (round)
				assert_ptr_equal(p[i], first[i]);
			first[i] = p[i];
		}
	}
	/* And it ends where its memory ends. */
	assert_null(heap_alloc(&fresh, SIZE));
	while (heap_alloc(&fresh, 100))
		;
	assert_in_range(fresh.end - fresh.next, 0, 112);
	keep_free(fresh.start);
}

static void test_whose(void **state)
{
	char *mine = do_malloc(10), *library = strdup("from within the C library"), *kept = keep_alloc(1000);

	assert_true(is_in(&rewound_heap, mine));
	assert_true(is_in(&kept_heap, library));
	assert_true(is_in(&kept_heap, kept));
	assert_true(all((u8 *)kept, 0, 1000));
	memset(kept, 1, 1000);
	kept = keep_realloc(kept, 5000);
	assert_true(is_in(&kept_heap, kept));
	assert_true(all((u8 *)kept, 1, 1000));
	library = do_realloc(library, 1000);
	assert_true(is_in(&kept_heap, library));
	assert_string_equal(library, "from within the C library");
	do_free(mine);
	do_free(library);
	memset(kept, 1, 5000);
	keep_free(kept);
	kept = keep_alloc(5000);
	assert_true(all((u8 *)kept, 0, 5000));
	keep_free(kept);
}

static void free_twice(void)
{
	void *p = do_malloc(10);

	do_free(p);
	do_free(p);
}

static void free_twice_aligned(void)
{
	void *p = memalign(1024, 10);

	do_free(p);
	do_free(p);
}

static void free_variable(void)
{
	static u64 variable[4];

	do_free(&variable[2]);
}

static void free_within(void)
{
	char *p = do_calloc(1, 100);

	do_free(p + 32);
}

static void test_wrong_free(void **state)
{
	void (*const wrong[])(void) = { free_twice, free_twice_aligned, free_variable, free_within };
	int status;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		pid_t pid = fork();

		if (!pid) {
			close(STDERR_FILENO);
			wrong[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_resized),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_repeats_itself),
		cmocka_unit_test(test_whose),
		cmocka_unit_test(test_wrong_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
