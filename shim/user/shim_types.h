/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Types, byte order, arithmetic, bits, strings and errors.
 *
 * Where the C library has a name of its own for something, the macro or type here is the same
 * (bool, NULL, offsetof, errno), or hides it (dev_t and loff_t have the kernel's width everywhere,
 * so that structures have one layout).
 */
#ifndef SHIM_TYPES_H
#define SHIM_TYPES_H

/* ---- annotations ---- */

#ifdef __CHECKER__
#undef __bitwise
#define __bitwise __attribute__((bitwise))
#undef __force
#define __force __attribute__((force))
#else
#undef __bitwise
#define __bitwise
#undef __force
#define __force
#endif

#undef __packed
#define __packed __attribute__((__packed__))
#undef __aligned
#define __aligned(x) __attribute__((__aligned__(x)))
#undef __must_check
#define __must_check __attribute__((__warn_unused_result__))
#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#undef noinline
#define noinline __attribute__((__noinline__))
#undef __maybe_unused
#define __maybe_unused __attribute__((__unused__))
#undef __printf
#define __printf(a, b) __attribute__((__format__(printf, a, b)))
#undef fallthrough
#define fallthrough __attribute__((__fallthrough__))
#define __init
#define __exit
#define __read_mostly

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ---- types ---- */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef signed short s16;
typedef signed int s32;
typedef signed long long s64;

typedef u16 __bitwise __le16;
typedef u32 __bitwise __le32;
typedef u64 __bitwise __le64;

#ifndef __bool_true_false_are_defined
#define bool _Bool
#define true 1
#define false 0
#define __bool_true_false_are_defined 1
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ssize_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;

typedef long long shim_loff_t;
#define loff_t shim_loff_t
typedef u32 shim_dev_t;
#define dev_t shim_dev_t

typedef u64 sector_t;
typedef u8 __bitwise blk_status_t;
typedef u32 __bitwise blk_opf_t;
typedef unsigned int __bitwise gfp_t;

#define SECTOR_SHIFT 9
#define SECTOR_SIZE (1 << SECTOR_SHIFT)
#undef PAGE_SHIFT
#define PAGE_SHIFT 12
#undef PAGE_SIZE
#define PAGE_SIZE (1UL << PAGE_SHIFT)

#define U8_MAX ((u8)~0U)
#define U16_MAX ((u16)~0U)
#define U32_MAX ((u32)~0U)
#define S32_MAX ((s32)(U32_MAX >> 1))
#define U64_MAX ((u64)~0ULL)
#define S64_MAX ((s64)(U64_MAX >> 1))
#undef INT_MAX
#define INT_MAX ((int)(~0U >> 1))
#undef UINT_MAX
#define UINT_MAX (~0U)
#undef ULONG_MAX
#define ULONG_MAX (~0UL)
#undef LLONG_MAX
#define LLONG_MAX ((long long)(~0ULL >> 1))
#undef ULLONG_MAX
#define ULLONG_MAX (~0ULL)
#undef SIZE_MAX
#define SIZE_MAX (~(size_t)0)

/* ---- compile time ---- */

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

#undef static_assert
#define static_assert(expr, ...) shim_static_assert(expr, ##__VA_ARGS__, #expr)
#define shim_static_assert(expr, msg, ...) _Static_assert(expr, msg)

#define BUILD_BUG_ON(cond) _Static_assert(!(cond), "BUILD_BUG_ON: " #cond)

/* 0, or a compile error where the condition is true; usable in expressions. */
#define BUILD_BUG_ON_ZERO(e) ((int)(sizeof(struct { int : (-!!(e)); })))

#define shim_same_type(a, b) __builtin_types_compatible_p(__typeof__(a), __typeof__(b))
#ifdef __CHECKER__
#define shim_must_be_array(a) 0
#else
#define shim_must_be_array(a) BUILD_BUG_ON_ZERO(shim_same_type((a), &(a)[0]))
#endif
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]) + shim_must_be_array(a))

#define container_of(ptr, type, member)                                                         \
	({                                                                                      \
		const void *__mptr = (ptr);                                                     \
		_Static_assert(shim_same_type(*(ptr), ((type *)0)->member) ||                   \
				       shim_same_type(*(ptr), void),                            \
			       "pointer type mismatch in container_of()");                      \
		(type *)((char *)__mptr - offsetof(type, member));                              \
	})

#define SHIM_STR2(x) #x
#define SHIM_STR(x) SHIM_STR2(x)
/* Where something was called: for reports. */
#define SHIM_SITE __FILE__ ":" SHIM_STR(__LINE__)

/* ---- memory access ---- */

/*
 * Where every access is watched (SHIM_WATCHED_MODULE: core/ and stores/ for an explorer), so are those that functions outside make
 * for the caller.
 */
#ifdef SHIM_WATCHED_MODULE
#define shim_watched(name) __asm__("shim_watched_" #name)
#else
#define shim_watched(name)
#endif


#ifdef __CHECKER__
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, val) ((x) = (val))
#define smp_load_acquire(p) (*(p))
#define smp_store_release(p, v) (*(p) = (v))
#else
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, val) __atomic_store_n(&(x), (val), __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#endif

#define barrier() __asm__ __volatile__("" ::: "memory")
/* A read-modify-write rather than a fence: ThreadSanitizer understands only the former. */
extern int shim_mb_word;
#define smp_mb() ((void)__atomic_fetch_add(&shim_mb_word, 0, __ATOMIC_SEQ_CST))
#define smp_rmb() smp_mb()
#define smp_wmb() smp_mb()

/* ---- arithmetic ---- */

#define shim_is_const(x) (sizeof(int) == sizeof(*(8 ? ((void *)((long)(x) * 0l)) : (int *)8)))
#define shim_cmp(x, y, op) ((x) op (y) ? (x) : (y))
#define shim_cmp_once(x, y, ux, uy, op)                                                         \
	({                                                                                      \
		__typeof__(x) ux = (x);                                                         \
		__typeof__(y) uy = (y);                                                         \
		(void)(&ux == &uy); /* the types must be the same */                            \
		shim_cmp(ux, uy, op);                                                           \
	})
#define SHIM_CAT2(a, b) a##b
#define SHIM_CAT(a, b) SHIM_CAT2(a, b)
#define shim_unique(prefix) SHIM_CAT(prefix, __COUNTER__)
#define min(x, y) shim_cmp_once(x, y, shim_unique(__x_), shim_unique(__y_), <)
#define max(x, y) shim_cmp_once(x, y, shim_unique(__x_), shim_unique(__y_), >)
#define min_t(type, x, y) min((type)(x), (type)(y))
#define max_t(type, x, y) max((type)(x), (type)(y))
#define clamp(val, lo, hi) min((__typeof__(val))max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)
#define swap(a, b)                                                                              \
	do {                                                                                    \
		__typeof__(a) __swap = (a);                                                     \
		(a) = (b);                                                                      \
		(b) = __swap;                                                                   \
	} while (0)

#undef roundup
#define roundup(x, y)                                                                           \
	({                                                                                      \
		__typeof__(y) __y = (y);                                                        \
		(((x) + (__y - 1)) / __y) * __y;                                                \
	})
#undef rounddown
#define rounddown(x, y)                                                                         \
	({                                                                                      \
		__typeof__(x) __x = (x);                                                        \
		__x - (__x % (y));                                                              \
	})
#define shim_round_mask(x, y) ((__typeof__(x))((y) - 1))
#define round_up(x, y) ((((x) - 1) | shim_round_mask(x, y)) + 1)
#define round_down(x, y) ((x) & ~shim_round_mask(x, y))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(ll, d)                                                                 \
	({                                                                                      \
		unsigned long long __tmp = (ll) + (d) - 1;                                      \
		do_div(__tmp, d);                                                               \
		__tmp;                                                                          \
	})

/*
 * Divides @n in place, gives the remainder; as in the kernel @n is a 64-bit lvalue, @base 32 bits.
 */
#define do_div(n, base)                                                                         \
	({                                                                                      \
		u32 __base = (base);                                                            \
		u32 __rem;                                                                      \
		(void)(((__typeof__((n)) *)0) == ((u64 *)0));                                   \
		__rem = (u32)((n) % __base);                                                    \
		(n) = (n) / __base;                                                             \
		__rem;                                                                          \
	})

static inline u64 div_u64_rem(u64 dividend, u32 divisor, u32 *remainder)
{
	*remainder = (u32)(dividend % divisor);
	return dividend / divisor;
}

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

static inline __attribute__((__const__)) bool is_power_of_2(unsigned long n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* ---- bits ---- */

#define BITS_PER_BYTE 8
#define BITS_PER_LONG (8 * __SIZEOF_LONG__)
#undef BIT
#define BIT(nr) (1UL << (nr))
#define BIT_ULL(nr) (1ULL << (nr))
#define GENMASK(h, l) ((~0UL - (1UL << (l)) + 1) & (~0UL >> (BITS_PER_LONG - 1 - (h))))
#define GENMASK_ULL(h, l) ((~0ULL - (1ULL << (l)) + 1) & (~0ULL >> (63 - (h))))
#define BITS_TO_LONGS(nr) DIV_ROUND_UP(nr, BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

/* A constant where its argument is one. Undefined for 0, as in the kernel. */
#define ilog2(n) (63 - __builtin_clzll((unsigned long long)(n)))

#define ffs(x) __builtin_ffs(x)

static inline unsigned long __ffs(unsigned long word)
{
	return (unsigned long)__builtin_ctzl(word);
}

static inline unsigned long __ffs64(u64 word)
{
	return (unsigned long)__builtin_ctzll(word);
}

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static inline unsigned long hweight64(u64 w)
{
	return (unsigned long)__builtin_popcountll(w);
}

#define GOLDEN_RATIO_64 0x61C8864680B583EBull

static inline u32 hash_64(u64 val, unsigned int bits)
{
	return (u32)(val * GOLDEN_RATIO_64 >> (64 - bits));
}

#define shim_bit_word(nr) ((nr) / BITS_PER_LONG)
#define shim_bit_mask(nr) (1UL << ((nr) % BITS_PER_LONG))

static inline void set_bit(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_or(addr + shim_bit_word(nr), shim_bit_mask(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_and(addr + shim_bit_word(nr), ~shim_bit_mask(nr), __ATOMIC_RELAXED);
}

static inline bool test_bit(unsigned long nr, const volatile unsigned long *addr)
{
	return (__atomic_load_n(addr + shim_bit_word(nr), __ATOMIC_RELAXED) & shim_bit_mask(nr)) !=
	       0;
}

static inline bool test_and_set_bit(long nr, volatile unsigned long *addr)
{
	return (__atomic_fetch_or(addr + shim_bit_word(nr), shim_bit_mask(nr), __ATOMIC_SEQ_CST) &
		shim_bit_mask(nr)) != 0;
}

static inline bool test_and_clear_bit(long nr, volatile unsigned long *addr)
{
	return (__atomic_fetch_and(addr + shim_bit_word(nr), ~shim_bit_mask(nr), __ATOMIC_SEQ_CST) &
		shim_bit_mask(nr)) != 0;
}

static inline void __set_bit(long nr, volatile unsigned long *addr)
{
	addr[shim_bit_word(nr)] |= shim_bit_mask(nr);
}

static inline void __clear_bit(long nr, volatile unsigned long *addr)
{
	addr[shim_bit_word(nr)] &= ~shim_bit_mask(nr);
}

/* Little-endian bitmaps: bit n is bit n % 8 of byte n / 8 on every machine. */
static inline int test_bit_le(int nr, const void *addr)
{
	return ((const u8 *)addr)[(unsigned int)nr >> 3] >> ((unsigned int)nr & 7) & 1;
}

static inline void __set_bit_le(int nr, void *addr)
{
	((u8 *)addr)[(unsigned int)nr >> 3] |= (u8)(1U << ((unsigned int)nr & 7));
}

static inline void __clear_bit_le(int nr, void *addr)
{
	((u8 *)addr)[(unsigned int)nr >> 3] &= (u8) ~(1U << ((unsigned int)nr & 7));
}

unsigned long find_next_bit_le(const void *addr, unsigned long size, unsigned long offset)
	shim_watched(find_next_bit_le);
unsigned long find_next_zero_bit_le(const void *addr, unsigned long size, unsigned long offset)
	shim_watched(find_next_zero_bit_le);

/* ---- byte order ---- */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define shim_le16(x) (x)
#define shim_le32(x) (x)
#define shim_le64(x) (x)
#else
#define shim_le16(x) __builtin_bswap16(x)
#define shim_le32(x) __builtin_bswap32(x)
#define shim_le64(x) __builtin_bswap64(x)
#endif

#define cpu_to_le16(x) ((__force __le16)(u16)shim_le16((u16)(x)))
#define cpu_to_le32(x) ((__force __le32)(u32)shim_le32((u32)(x)))
#define cpu_to_le64(x) ((__force __le64)(u64)shim_le64((u64)(x)))
#define le16_to_cpu(x) ((u16)shim_le16((__force u16)(__le16)(x)))
#define le32_to_cpu(x) ((u32)shim_le32((__force u32)(__le32)(x)))
#define le64_to_cpu(x) ((u64)shim_le64((__force u64)(__le64)(x)))

static inline u16 get_unaligned_le16(const void *p)
{
	u16 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return (u16)shim_le16(v);
}

static inline u32 get_unaligned_le32(const void *p)
{
	u32 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return shim_le32(v);
}

static inline u64 get_unaligned_le64(const void *p)
{
	u64 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return shim_le64(v);
}

static inline void put_unaligned_le16(u16 val, void *p)
{
	val = (u16)shim_le16(val);
	__builtin_memcpy(p, &val, sizeof(val));
}

static inline void put_unaligned_le32(u32 val, void *p)
{
	val = shim_le32(val);
	__builtin_memcpy(p, &val, sizeof(val));
}

static inline void put_unaligned_le64(u64 val, void *p)
{
	val = shim_le64(val);
	__builtin_memcpy(p, &val, sizeof(val));
}

/* ---- strings; the C library's where it has them, which may be macros ---- */

void *(memcpy)(void *dest, const void *src, size_t n) shim_watched(memcpy);
void *(memset)(void *s, int c, size_t n) shim_watched(memset);
void *(memmove)(void *dest, const void *src, size_t n) shim_watched(memmove);
int (memcmp)(const void *a, const void *b, size_t n) shim_watched(memcmp);
int (strcmp)(const char *a, const char *b);
int (strncmp)(const char *a, const char *b, size_t n);
int (strcasecmp)(const char *a, const char *b);
size_t (strlen)(const char *s);
char *(strchr)(const char *s, int c);
int (snprintf)(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

int scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
ssize_t strscpy(char *dest, const char *src, size_t count);
void *memchr_inv(const void *start, int c, size_t bytes) shim_watched(memchr_inv);
int __must_check kstrtoull(const char *s, unsigned int base, unsigned long long *res);
int __must_check kstrtouint(const char *s, unsigned int base, unsigned int *res);

u32 crc32c(u32 crc, const void *address, unsigned int length) shim_watched(crc32c);

typedef int (*cmp_func_t)(const void *a, const void *b);
typedef void (*swap_func_t)(void *a, void *b, int size);
void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func) shim_watched(sort);

/* ---- errors ---- */

#include "shim_errno.h"

#define MAX_ERRNO 4095

static inline void *__must_check ERR_PTR(long error)
{
	return (void *)error;
}

static inline long __must_check PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool __must_check IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-MAX_ERRNO;
}

static inline bool __must_check IS_ERR_OR_NULL(const void *ptr)
{
	return unlikely(!ptr) || IS_ERR(ptr);
}

#endif /* SHIM_TYPES_H */
