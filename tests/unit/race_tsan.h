/* SPDX-License-Identifier: GPL-2.0 */
/* Some of the calls that the compiler makes, for tests that make them by hand (sim/explore/race_calls.c). */
#ifndef TESTS_RACE_TSAN_H
#define TESTS_RACE_TSAN_H

#include "control.h"

void __tsan_read1(void *p);
void __tsan_read2(void *p);
void __tsan_read4(void *p);
void __tsan_read8(void *p);
void __tsan_write1(void *p);
void __tsan_write2(void *p);
void __tsan_write4(void *p);
void __tsan_write8(void *p);
void __tsan_unaligned_write8(void *p);
void __tsan_read_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size);
void __tsan_volatile_write4(void *p);
u32 __tsan_atomic32_load(const volatile u32 *p, int order);
void __tsan_atomic32_store(volatile u32 *p, u32 v, int order);
u32 __tsan_atomic32_exchange(volatile u32 *p, u32 v, int order);
u32 __tsan_atomic32_fetch_add(volatile u32 *p, u32 v, int order);
u32 __tsan_atomic32_fetch_sub(volatile u32 *p, u32 v, int order);
int __tsan_atomic32_compare_exchange_strong(volatile u32 *p, u32 *old, u32 new, int order, int failure);
u32 __tsan_atomic32_compare_exchange_val(volatile u32 *p, u32 old, u32 new, int order, int failure);
void *shim_watched_memcpy(void *dest, const void *src, size_t n);
void *shim_watched_memset(void *s, int c, size_t n);
int shim_watched_memcmp(const void *a, const void *b, size_t n);

#endif /* TESTS_RACE_TSAN_H */
