// SPDX-License-Identifier: GPL-2.0
/*
 * Data races: the calls that the compiler puts in front of each access (gcc's and clang's -fsanitize=thread), and the functions
 * of the C library and of the shim that go over memory of the core.
 *
 * Atomic accesses are made here, volatile ones by the caller; each is the first thing of a step, but stores that order nothing,
 * which others see in a step of their own (sim_store()). The order they make is C11's, without its fences.
 * A failed compare-and-exchange only reads. In the kernel's terms an operation that returns a value is fully
 * ordered; so an addition which is relaxed is one whose result nobody looks at (shim_atomic.h), and several of them commute.
 */
#include <string.h>

#include "explore.h"
#include "race_int.h"

#define SITE ((u32)(uintptr_t)__builtin_return_address(0))

/* The compiler declares none of them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#ifdef __clang__
#pragma clang diagnostic ignored "-Wincompatible-library-redeclaration"
#else
#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"
#endif

/* ---- plain accesses ---- */

#define PLAIN(bytes)                                                                            \
	void __tsan_read##bytes(void *p)                                                        \
	{                                                                                       \
		race_touch(p, bytes, 0, SITE);                                                  \
	}                                                                                       \
	void __tsan_write##bytes(void *p)                                                       \
	{                                                                                       \
		race_touch(p, bytes, RACE_WRITE, SITE);                                         \
	}                                                                                       \
	/* clang's, where a read is followed by a write of the same. */                         \
	void __tsan_read_write##bytes(void *p)                                                  \
	{                                                                                       \
		race_touch(p, bytes, RACE_WRITE, SITE);                                         \
	}
#define UNALIGNED(bytes)                                                                        \
	void __tsan_unaligned_read##bytes(void *p)                                              \
	{                                                                                       \
		race_touch(p, bytes, 0, SITE);                                                  \
	}                                                                                       \
	void __tsan_unaligned_write##bytes(void *p)                                             \
	{                                                                                       \
		race_touch(p, bytes, RACE_WRITE, SITE);                                         \
	}                                                                                       \
	void __tsan_unaligned_read_write##bytes(void *p)                                        \
	{                                                                                       \
		race_touch(p, bytes, RACE_WRITE, SITE);                                         \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)

void __tsan_read_range(void *p, size_t size)
{
	race_touch_range(p, size, 0, SITE);
}

void __tsan_write_range(void *p, size_t size)
{
	race_touch_range(p, size, RACE_WRITE, SITE);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
}

void __tsan_func_exit(void)
{
}

/* ---- volatile accesses: made by the caller, after the call ---- */

static void volatile_access(void *p, u32 size, u8 kind, u32 site)
{
	if (kind & RACE_WRITE)
		sim_store(p, size, site);
	else
		sim_point_load("volatile read", p, site);
	race_touch(p, size, kind, site);
	if (kind & RACE_WRITE)
		race_overwrite(p);
}

#define VOLATILE(prefix, bytes)                                                                 \
	void __tsan_##prefix##_read##bytes(void *p)                                             \
	{                                                                                       \
		volatile_access(p, bytes, RACE_ATOMIC, SITE);                                   \
	}                                                                                       \
	void __tsan_##prefix##_write##bytes(void *p)                                            \
	{                                                                                       \
		volatile_access(p, bytes, RACE_ATOMIC | RACE_WRITE, SITE);                      \
	}

VOLATILE(volatile, 1)
VOLATILE(volatile, 2)
VOLATILE(volatile, 4)
VOLATILE(volatile, 8)
VOLATILE(volatile, 16)
VOLATILE(unaligned_volatile, 2)
VOLATILE(unaligned_volatile, 4)
VOLATILE(unaligned_volatile, 8)
VOLATILE(unaligned_volatile, 16)

/* ---- atomic accesses ---- */

static inline bool acquires(int order)
{
	return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static inline bool releases(int order)
{
	return order >= __ATOMIC_RELEASE;
}

static void before_load(const volatile void *p, u32 size, int order, u32 site)
{
	sim_point_load("atomic read", (const void *)p, site);
	race_touch(p, size, RACE_ATOMIC, site);
	if (acquires(order))
		race_acquire((const void *)p);
}

static void before_store(const volatile void *p, u32 size, int order, u32 site)
{
	if (releases(order))
		sim_point_modify("atomic write", (const void *)p, SIM_WRITE, false, site);
	else
		sim_store((const void *)p, size, site);
	race_touch(p, size, RACE_ATOMIC | RACE_WRITE, site);
	race_overwrite((const void *)p);
	if (releases(order))
		race_release((const void *)p);
}

/* What was released before stays: a relaxed one carries it on. */
static void race_modify(const volatile void *p, u32 size, int order, u32 site)
{
	race_touch(p, size, RACE_ATOMIC | RACE_WRITE, site);
	if (acquires(order))
		race_acquire((const void *)p);
	if (releases(order))
		race_release((const void *)p);
}

static void before_modify(const char *what, enum sim_access kind, const volatile void *p, u32 size, int order,
			  u32 site)
{
	sim_point_modify(what, (const void *)p, kind, !releases(order), site);
	race_modify(p, size, order, site);
}

static inline enum sim_access add_access(int order)
{
	return order == __ATOMIC_RELAXED ? SIM_ADD : SIM_WRITE;
}

#define MODIFY(bits, type, name, what, kind)                                                    \
	type __tsan_atomic##bits##_##name(volatile type *p, type v, int order)                  \
	{                                                                                       \
		before_modify(what, kind, p, sizeof(type), order, SITE);                        \
		return __atomic_##name(p, v, __ATOMIC_RELAXED);                                 \
	}

#define EXCHANGE_IF(bits, type, name)                                                           \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile type *p, type *old, type new, \
							  int order, int failure)               \
	{                                                                                       \
		type expected = *old;                                                           \
		return expected == exchange_if_##bits(p, old, new, order, failure, SITE);       \
	}

#define ATOMIC(bits, type)                                                                      \
	type __tsan_atomic##bits##_load(const volatile type *p, int order)                      \
	{                                                                                       \
		before_load(p, sizeof(type), order, SITE);                                      \
		return __atomic_load_n(p, __ATOMIC_RELAXED);                                    \
	}                                                                                       \
	void __tsan_atomic##bits##_store(volatile type *p, type v, int order)                   \
	{                                                                                       \
		before_store(p, sizeof(type), order, SITE);                                     \
		__atomic_store_n(p, v, __ATOMIC_RELAXED);                                       \
	}                                                                                       \
	type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order)                \
	{                                                                                       \
		before_modify("atomic exchange", SIM_WRITE, p, sizeof(type), order, SITE);      \
		return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                             \
	}                                                                                       \
	MODIFY(bits, type, fetch_add, "atomic add", add_access(order))                          \
	MODIFY(bits, type, fetch_sub, "atomic sub", add_access(order))                          \
	MODIFY(bits, type, fetch_and, "atomic and", SIM_WRITE)                                  \
	MODIFY(bits, type, fetch_or, "atomic or", SIM_WRITE)                                    \
	MODIFY(bits, type, fetch_xor, "atomic xor", SIM_WRITE)                                  \
	/* What was there; *old too. */                                                         \
	static type exchange_if_##bits(volatile type *p, type *old, type new, int order,        \
				       int failure, u32 site)                                   \
	{                                                                                       \
		type expected = *old;                                                           \
		sim_point_modify("compare and exchange", (const void *)p, SIM_READ,             \
				 !releases(order), site);                                       \
		if (__atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_RELAXED,               \
						__ATOMIC_RELAXED)) {                            \
			sim_touch((const void *)p, 0, SIM_WRITE);                               \
			race_modify(p, sizeof(type), order, site);                              \
			return expected;                                                        \
		}                                                                               \
		race_touch(p, sizeof(type), RACE_ATOMIC, site);                                 \
		if (acquires(failure))                                                          \
			race_acquire((const void *)p);                                          \
		return *old;                                                                    \
	}                                                                                       \
	EXCHANGE_IF(bits, type, strong)                                                         \
	EXCHANGE_IF(bits, type, weak)                                                           \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type old, type new,   \
							int order, int failure)                 \
	{                                                                                       \
		return exchange_if_##bits(p, &old, new, order, failure, SITE);                  \
	}

ATOMIC(8, u8)
ATOMIC(16, u16)
ATOMIC(32, u32)
ATOMIC(64, u64)

/* ---- functions that go over memory: declared so in shim_types.h ---- */

void *shim_watched_memcpy(void *dest, const void *src, size_t n)
{
	race_touch_range(src, n, 0, SITE);
	race_touch_range(dest, n, RACE_WRITE, SITE);
	return memcpy(dest, src, n);
}

void *shim_watched_memmove(void *dest, const void *src, size_t n)
{
	race_touch_range(src, n, 0, SITE);
	race_touch_range(dest, n, RACE_WRITE, SITE);
	return memmove(dest, src, n);
}

void *shim_watched_memset(void *s, int c, size_t n)
{
	race_touch_range(s, n, RACE_WRITE, SITE);
	return memset(s, c, n);
}

/* All of it, however early they differ. */
int shim_watched_memcmp(const void *a, const void *b, size_t n)
{
	race_touch_range(a, n, 0, SITE);
	race_touch_range(b, n, 0, SITE);
	return memcmp(a, b, n);
}

void *shim_watched_memchr_inv(const void *start, int c, size_t bytes)
{
	race_touch_range(start, bytes, 0, SITE);
	return memchr_inv(start, c, bytes);
}

u32 shim_watched_crc32c(u32 crc, const void *address, unsigned int length)
{
	race_touch_range(address, length, 0, SITE);
	return crc32c(crc, address, length);
}

void shim_watched_sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)
{
	race_touch_range(base, num * size, RACE_WRITE, SITE);
	sort(base, num, size, cmp_func, swap_func);
}

unsigned long shim_watched_find_next_bit_le(const void *addr, unsigned long size, unsigned long offset)
{
	race_touch_range(addr, DIV_ROUND_UP(size, 8), 0, SITE);
	return find_next_bit_le(addr, size, offset);
}

unsigned long shim_watched_find_next_zero_bit_le(const void *addr, unsigned long size, unsigned long offset)
{
	race_touch_range(addr, DIV_ROUND_UP(size, 8), 0, SITE);
	return find_next_zero_bit_le(addr, size, offset);
}

/* As clang calls them, where it makes copies of its own. */
void *__tsan_memcpy(void *dest, const void *src, size_t n)
{
	race_touch_range(src, n, 0, SITE);
	race_touch_range(dest, n, RACE_WRITE, SITE);
	return memcpy(dest, src, n);
}

void *__tsan_memmove(void *dest, const void *src, size_t n)
{
	race_touch_range(src, n, 0, SITE);
	race_touch_range(dest, n, RACE_WRITE, SITE);
	return memmove(dest, src, n);
}

void *__tsan_memset(void *s, int c, size_t n)
{
	race_touch_range(s, n, RACE_WRITE, SITE);
	return memset(s, c, n);
}
