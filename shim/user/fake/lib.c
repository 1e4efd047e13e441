// SPDX-License-Identifier: GPL-2.0
/*
 * Helpers of the kernel's library that the C library does not have: bounded strings, numbers,
 * CRC-32C, sorting, bitmaps.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../shim.h"

static int print(char *buf, size_t size, const char *fmt, va_list args)
{
	int length = vsnprintf(buf, size, fmt, args);

	if (length < 0 || !size)
		return 0;
	return (size_t)length < size ? length : (int)(size - 1);
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = print(buf, size, fmt, args);
	va_end(args);
	return length;
}

int shim_emit(char *result, size_t maxlen, size_t used, const char *fmt, ...)
{
	va_list args;
	int length;

	if (used >= maxlen)
		return 0;
	va_start(args, fmt);
	length = print(result + used, maxlen - used, fmt, args);
	va_end(args);
	return length;
}

ssize_t strscpy(char *dest, const char *src, size_t count)
{
	size_t i;

	if (!count || count > INT_MAX)
		return -E2BIG;
	for (i = 0; i < count; i++) {
		dest[i] = src[i];
		if (!src[i])
			return (ssize_t)i;
	}
	dest[count - 1] = '\0';
	return -E2BIG;
}

void *memchr_inv(const void *start, int c, size_t bytes)
{
	const u8 *p = start;

	/* All alike, nearly always; and each like the next is what the C library is quick to say. */
	if (!bytes || (*p == (u8)c && !memcmp(p, p + 1, bytes - 1)))
		return NULL;
	while (*p == (u8)c)
		p++;
	return (void *)p;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* As the kernel's: an optional '+', base 0 decides by prefix, and one newline may follow. */
int kstrtoull(const char *s, unsigned int base, unsigned long long *res)
{
	unsigned long long value = 0;
	bool overflow = false;
	const char *begin;

	if (*s == '+')
		s++;
	if (base == 0)
		base = s[0] != '0' ? 10 : (s[1] | 0x20) == 'x' && digit_value(s[2]) < 16 ? 16 : 8;
	if (base == 16 && s[0] == '0' && (s[1] | 0x20) == 'x')
		s += 2;
	for (begin = s; digit_value(*s) < (int)base; s++)
		overflow |= __builtin_mul_overflow(value, base, &value) ||
			    __builtin_add_overflow(value, digit_value(*s), &value);
	if (overflow)
		return -ERANGE;
	if (s == begin)
		return -EINVAL;
	if (*s == '\n')
		s++;
	if (*s)
		return -EINVAL;
	*res = value;
	return 0;
}

int kstrtouint(const char *s, unsigned int base, unsigned int *res)
{
	unsigned long long value;
	int r = kstrtoull(s, base, &value);

	if (r)
		return r;
	if (value > UINT_MAX)
		return -ERANGE;
	*res = (unsigned int)value;
	return 0;
}

/*
 * ---- CRC-32C (Castagnoli, reflected), 8 bytes at a time, or with the instruction where there is
 * one ----
 */

#define CRC32C_POLY 0x82f63b78u

static u32 crc_table[8][256];
/* For three lanes: byte j of a CRC is i; what becomes of it when CRC32C_LANE bytes of zeroes follow. */
#define CRC32C_LANE 160
static u32 crc_lane_table[4][256];

static u32 crc32c_table(u32 crc, const u8 *p, unsigned int length);

static void __attribute__((constructor)) crc32c_init(void)
{
	static const u8 zeroes[CRC32C_LANE];
	u32 i, j, crc, *lane;

	for (i = 0; i < 256; i++) {
		crc = i;
		for (j = 0; j < 8; j++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLY : 0);
		crc_table[0][i] = crc;
	}
	for (i = 0; i < 256; i++)
		for (j = 1; j < 8; j++)
			crc_table[j][i] = crc_table[j - 1][i] >> 8 ^
					  crc_table[0][crc_table[j - 1][i] & 0xff];
	for (j = 0; j < 4; j++) {
		lane = crc_lane_table[j];
		for (i = 1; i < 256; i++)
			lane[i] = i & (i - 1) ? lane[i & (i - 1)] ^ lane[i & -i] :
						crc32c_table(i << 8 * j, zeroes, CRC32C_LANE);
	}
}

static u32 crc32c_table(u32 crc, const u8 *p, unsigned int length)
{
	for (; length >= 8; p += 8, length -= 8) {
		u64 word = get_unaligned_le64(p) ^ crc;

		crc = crc_table[7][word & 0xff] ^ crc_table[6][word >> 8 & 0xff] ^
		      crc_table[5][word >> 16 & 0xff] ^ crc_table[4][word >> 24 & 0xff] ^
		      crc_table[3][word >> 32 & 0xff] ^ crc_table[2][word >> 40 & 0xff] ^
		      crc_table[1][word >> 48 & 0xff] ^ crc_table[0][word >> 56];
	}
	while (length--)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
static u32 behind_lane(u32 crc)
{
	return crc_lane_table[0][crc & 0xff] ^ crc_lane_table[1][crc >> 8 & 0xff] ^
	       crc_lane_table[2][crc >> 16 & 0xff] ^ crc_lane_table[3][crc >> 24];
}

/* The instruction takes three cycles, but one can begin in each: so three lanes side by side. */
static u32 __attribute__((target("sse4.2"))) crc32c_sse(u32 crc, const u8 *p, unsigned int length)
{
	u64 crc64 = crc, second, third;

	for (; length >= 3 * CRC32C_LANE; p += 3 * CRC32C_LANE, length -= 3 * CRC32C_LANE) {
		second = third = 0;
		for (u32 i = 0; i < CRC32C_LANE; i += 8) {
			crc64 = __builtin_ia32_crc32di(crc64, get_unaligned_le64(p + i));
			second = __builtin_ia32_crc32di(second,
							get_unaligned_le64(p + CRC32C_LANE + i));
			third = __builtin_ia32_crc32di(third,
						       get_unaligned_le64(p + 2 * CRC32C_LANE + i));
		}
		crc64 = behind_lane(behind_lane((u32)crc64) ^ (u32)second) ^ (u32)third;
	}
	for (; length >= 8; p += 8, length -= 8)
		crc64 = __builtin_ia32_crc32di(crc64, get_unaligned_le64(p));
	crc = (u32)crc64;
	while (length--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

u32 crc32c(u32 crc, const void *address, unsigned int length)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse(crc, address, length);
#endif
	return crc32c_table(crc, address, length);
}

/* For the test that both give the same. */
u32 shim_crc32c_portable(u32 crc, const void *address, unsigned int length);
u32 shim_crc32c_portable(u32 crc, const void *address, unsigned int length)
{
	return crc32c_table(crc, address, length);
}

/* ---- sorting: heap sort, like the kernel's, so that it is as little stable as there ---- */

static void sort_swap(void *a, void *b, size_t size, swap_func_t swap_func)
{
	u8 *x = a, *y = b;

	if (swap_func) {
		swap_func(a, b, (int)size);
		return;
	}
	for (; size >= sizeof(u64); x += sizeof(u64), y += sizeof(u64), size -= sizeof(u64)) {
		u64 t, u;

		memcpy(&t, x, sizeof(t));
		memcpy(&u, y, sizeof(u));
		memcpy(x, &u, sizeof(u));
		memcpy(y, &t, sizeof(t));
	}
	while (size--) {
		u8 t = x[size];

		x[size] = y[size];
		y[size] = t;
	}
}

void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)
{
	char *items = base;
	size_t start = num / 2, end = num;

	while (end > 1) {
		size_t root, child;

		if (start)
			root = --start;
		else {
			sort_swap(items, items + --end * size, size, swap_func);
			root = 0;
		}
		for (; (child = 2 * root + 1) < end; root = child) {
			if (child + 1 < end &&
			    cmp_func(items + child * size, items + (child + 1) * size) < 0)
				child++;
			if (cmp_func(items + root * size, items + child * size) >= 0)
				break;
			sort_swap(items + root * size, items + child * size, size, swap_func);
		}
	}
}

/* ---- little-endian bitmaps ---- */

static unsigned long next_bit_le(const u8 *map, unsigned long size, unsigned long offset,
				 u64 invert)
{
	while (offset < size) {
		unsigned long byte = offset / 8;
		u64 word = 0;

		/* The word that begins in this byte, as far as the bitmap goes. */
		if (DIV_ROUND_UP(size, 8) - byte >= 8)
			word = get_unaligned_le64(map + byte);
		else
			for (unsigned long i = 0; byte + i < DIV_ROUND_UP(size, 8); i++)
				word |= (u64)map[byte + i] << (8 * i);
		word = (word ^ invert) >> (offset % 8);
		if (word) {
			offset += __ffs64(word);
			return offset < size ? offset : size;
		}
		offset = (byte + 8) * 8;
	}
	return size;
}

unsigned long find_next_bit_le(const void *addr, unsigned long size, unsigned long offset)
{
	return next_bit_le(addr, size, offset, 0);
}

unsigned long find_next_zero_bit_le(const void *addr, unsigned long size, unsigned long offset)
{
	return next_bit_le(addr, size, offset, ~0ULL);
}
