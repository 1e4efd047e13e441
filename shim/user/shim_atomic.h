/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Atomic counters and references. As in the kernel, an operation that returns a value is fully
 * ordered, one that does not is not ordered at all.
 */
#ifndef SHIM_ATOMIC_H
#define SHIM_ATOMIC_H

#include "shim_list.h"

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

#define ATOMIC_INIT(i) { (i) }
#define ATOMIC64_INIT(i) { (i) }

#define SHIM_ATOMIC(prefix, type, val)                                                          \
	static inline val prefix##_read(const type *v)                                          \
	{                                                                                       \
		return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);                          \
	}                                                                                       \
	static inline void prefix##_set(type *v, val i)                                         \
	{                                                                                       \
		__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);                             \
	}                                                                                       \
	static inline val prefix##_read_acquire(const type *v)                                  \
	{                                                                                       \
		return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);                          \
	}                                                                                       \
	static inline void prefix##_set_release(type *v, val i)                                 \
	{                                                                                       \
		__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);                             \
	}                                                                                       \
	static inline void prefix##_add(val i, type *v)                                         \
	{                                                                                       \
		__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);                           \
	}                                                                                       \
	static inline void prefix##_sub(val i, type *v)                                         \
	{                                                                                       \
		__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);                           \
	}                                                                                       \
	static inline void prefix##_inc(type *v)                                                \
	{                                                                                       \
		prefix##_add(1, v);                                                             \
	}                                                                                       \
	static inline void prefix##_dec(type *v)                                                \
	{                                                                                       \
		prefix##_sub(1, v);                                                             \
	}                                                                                       \
	static inline val prefix##_add_return(val i, type *v)                                   \
	{                                                                                       \
		return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                    \
	}                                                                                       \
	static inline val prefix##_sub_return(val i, type *v)                                   \
	{                                                                                       \
		return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                    \
	}                                                                                       \
	static inline val prefix##_inc_return(type *v)                                          \
	{                                                                                       \
		return prefix##_add_return(1, v);                                               \
	}                                                                                       \
	static inline val prefix##_dec_return(type *v)                                          \
	{                                                                                       \
		return prefix##_sub_return(1, v);                                               \
	}                                                                                       \
	static inline bool prefix##_dec_and_test(type *v)                                       \
	{                                                                                       \
		return prefix##_sub_return(1, v) == 0;                                          \
	}                                                                                       \
	static inline bool prefix##_inc_and_test(type *v)                                       \
	{                                                                                       \
		return prefix##_add_return(1, v) == 0;                                          \
	}                                                                                       \
	static inline bool prefix##_sub_and_test(val i, type *v)                                \
	{                                                                                       \
		return prefix##_sub_return(i, v) == 0;                                          \
	}                                                                                       \
	static inline val prefix##_xchg(type *v, val new)                                       \
	{                                                                                       \
		return __atomic_exchange_n(&v->counter, new, __ATOMIC_SEQ_CST);                 \
	}                                                                                       \
	static inline val prefix##_cmpxchg(type *v, val old, val new)                           \
	{                                                                                       \
		__atomic_compare_exchange_n(&v->counter, &old, new, 0, __ATOMIC_SEQ_CST,        \
					    __ATOMIC_SEQ_CST);                                  \
		return old;                                                                     \
	}                                                                                       \
	static inline bool prefix##_inc_not_zero(type *v)                                       \
	{                                                                                       \
		val old = prefix##_read(v);                                                     \
		while (old && !__atomic_compare_exchange_n(&v->counter, &old, old + 1, 0,       \
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
			;                                                                       \
		return old != 0;                                                                \
	}

SHIM_ATOMIC(atomic, atomic_t, int)
SHIM_ATOMIC(atomic64, atomic64_t, s64)
#undef SHIM_ATOMIC

struct kref {
	atomic_t refcount;
};

#define KREF_INIT(n) { .refcount = ATOMIC_INIT(n) }

static inline void kref_init(struct kref *kref)
{
	atomic_set(&kref->refcount, 1);
}

static inline unsigned int kref_read(const struct kref *kref)
{
	return (unsigned int)atomic_read(&kref->refcount);
}

/* As refcount_t: taking a reference from nothing, or giving back one too many, is a bug. */
static inline void kref_get(struct kref *kref)
{
	if (unlikely(atomic_inc_return(&kref->refcount) <= 1))
		shim_bug(SHIM_SITE, "kref_get() of an object without references");
}

static inline int kref_put(struct kref *kref, void (*release)(struct kref *kref))
{
	int left = atomic_dec_return(&kref->refcount);

	if (unlikely(left < 0))
		shim_bug(SHIM_SITE, "kref_put() of an object without references");
	if (left)
		return 0;
	release(kref);
	return 1;
}

#endif /* SHIM_ATOMIC_H */
