// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of bytes that know nothing of their meaning, for drivers that bring none: a handful of libFuzzer's.
 *
 * All is a function of mutate_seed().
 */
#include <string.h>

#include "fuzz.h"
#include "splitmix.h"

static uint64_t state;

void mutate_seed(uint64_t seed)
{
	state = seed;
}

uint64_t mutate_below(uint64_t n)
{
	uint64_t drawn = splitmix_next(&state);

	return n ? drawn % n : 0;
}

static size_t insert(uint8_t *data, size_t size, size_t max_size)
{
	size_t n = 1 + mutate_below(8), at = mutate_below(size + 1);

	if (size + n > max_size)
		return size;
	memmove(data + at + n, data + at, size - at);
	for (size_t i = 0; i < n; i++)
		data[at + i] = mutate_below(256);
	return size + n;
}

static size_t erase(uint8_t *data, size_t size)
{
	size_t n = 1 + mutate_below(size < 16 ? size : 16), at = mutate_below(size - n + 1);

	memmove(data + at, data + at + n, size - at - n);
	return size - n;
}

/* A piece of the input over another. */
static size_t copy(uint8_t *data, size_t size)
{
	size_t n = 1 + mutate_below(size), from = mutate_below(size - n + 1), to = mutate_below(size - n + 1);

	memmove(data + to, data + from, n);
	return size;
}

/* Adds a little to, or sets, an integer of 1, 2, 4 or 8 bytes. */
static size_t integer(uint8_t *data, size_t size)
{
	static const uint64_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
					UINT64_MAX >> 1, UINT64_MAX };
	size_t n = (size_t)1 << mutate_below(4), at;
	uint64_t value = 0;

	if (n > size)
		n = 1;
	at = mutate_below(size - n + 1);
	memcpy(&value, data + at, n);
	value = mutate_below(2) ? value + mutate_below(33) - 16 : odd[mutate_below(sizeof(odd) / sizeof(odd[0]))];
	memcpy(data + at, &value, n);
	return size;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	if (!size)
		return insert(data, size, max_size);
	switch (mutate_below(6)) {
	case 0:
		return insert(data, size, max_size);
	case 1:
		return erase(data, size);
	case 2:
		return copy(data, size);
	case 3:
		data[mutate_below(size)] ^= 1 << mutate_below(8);
		return size;
	case 4:
		data[mutate_below(size)] = mutate_below(256);
		return size;
	default:
		return integer(data, size);
	}
}
