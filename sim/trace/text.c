// SPDX-License-Identifier: GPL-2.0
/*
 * Parsing numbers and words out of a line: no allocation, no locale, no sign, no overflow.
 */
#include <string.h>

#include "trace_impl.h"

bool take_u64(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	const char *safe = c->end - p > 19 ? p + 19 : c->end; /* 19 digits always fit */
	uint64_t v = 0;
	unsigned int digit;

	for (; p != safe && (digit = (unsigned char)*p - '0') < 10; p++)
		v = v * 10 + digit;
	if (p == c->p)
		return false;
	if (p == safe) {
		for (; p != c->end && (digit = (unsigned char)*p - '0') < 10; p++)
			if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
				return false;
	}
	c->p = p;
	*value = v;
	return true;
}

bool take_u32(struct cursor *c, uint32_t *value)
{
	uint64_t v;

	if (!take_u64(c, &v) || v > UINT32_MAX)
		return false;
	*value = v;
	return true;
}

bool take_decimal(struct cursor *c, unsigned int digits, uint64_t *value)
{
	static const uint64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
					   1000000000 };
	uint64_t whole, fraction = 0;
	unsigned int digit, taken = 0;

	if (!take_u64(c, &whole))
		return false;
	if (c->p != c->end && *c->p == '.') {
		c->p++;
		if (c->p == c->end || (unsigned char)(*c->p - '0') >= 10)
			return false;
		for (; c->p != c->end && (digit = (unsigned char)*c->p - '0') < 10; c->p++) {
			if (taken == digits)
				continue;
			fraction = fraction * 10 + digit;
			taken++;
		}
	}
	fraction *= powers[digits - taken];
	return !__builtin_mul_overflow(whole, powers[digits], &whole) &&
	       !__builtin_add_overflow(whole, fraction, value);
}

bool take_blanks(struct cursor *c)
{
	const char *start = c->p;

	skip_blanks(c);
	return c->p != start;
}

bool take_word(struct cursor *c, const char **word, size_t *length)
{
	*word = c->p;
	while (c->p != c->end && *c->p != ' ' && *c->p != '\t')
		c->p++;
	*length = c->p - *word;
	return *length != 0;
}

bool take_field(struct cursor *c, const char **word, size_t *length)
{
	const char *end;

	skip_blanks(c);
	*word = c->p;
	while (c->p != c->end && *c->p != ',')
		c->p++;
	end = c->p;
	while (end != *word && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*length = end - *word;
	return true;
}

bool word_is(const char *word, size_t length, const char *lower)
{
	for (; length; word++, lower++, length--) {
		char c = *word;

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!*lower || c != *lower)
			return false;
	}
	return !*lower;
}
