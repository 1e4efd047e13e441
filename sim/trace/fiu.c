// SPDX-License-Identifier: GPL-2.0
/*
 * FIU traces (SNIA 411): "ns pid process lba size W|R major minor md5", blank-separated; lba and size in
 * 512-byte sectors. A process name may hold blanks, so the columns behind it are found from the end.
 */
#include <string.h>

#include "trace_impl.h"

#define COLUMNS_BEHIND 6	/* lba size op major minor md5 */
#define MD5_DIGITS 32

static bool is_md5(const char *word, size_t length)
{
	if (length != MD5_DIGITS)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!memchr("0123456789abcdefABCDEF", word[i], 22))
			return false;
	return true;
}

/* Back from @end to the start of the column @columns before it; NULL if there are not so many. */
static const char *columns_back(const char *start, const char *end, unsigned int columns)
{
	for (; columns; columns--) {
		while (end != start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end == start)
			return NULL;
		while (end != start && end[-1] != ' ' && end[-1] != '\t')
			end--;
	}
	return end;
}

static enum trace_outcome fiu_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	const char *word, *back;
	uint64_t lba, size;
	uint32_t pid, major, minor;
	size_t length;

	if (!take_decimal(c, time_digits(file->trace, 0), &record->time_ns) || !take_blanks(c) ||
	    !take_u32(c, &pid) || !take_blanks(c))
		return record_bad(file, "does not start with a time in ns and a process id");
	back = columns_back(c->p, c->end, COLUMNS_BEHIND);
	if (!back || back == c->p)
		return record_bad(file, "fewer than 9 columns");
	c->p = back;
	if (!take_u64(c, &lba) || !take_blanks(c) || !take_u64(c, &size) || !take_blanks(c) ||
	    !take_word(c, &word, &length) || !take_blanks(c))
		return record_bad(file, "not 'process lba size op major minor md5'");
	if (word_is(word, length, "r"))
		record->op = TRACE_READ;
	else if (word_is(word, length, "w"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the op is neither R nor W");
	if (!take_u32(c, &major) || !take_blanks(c) || !take_u32(c, &minor) || !take_blanks(c) ||
	    !take_word(c, &word, &length) || !is_md5(word, length))
		return record_bad(file, "no device numbers and MD5 at the end");
	record->space[0] = major;
	record->space[1] = minor;
	return record_extent(file, record, lba, true, sectors_to_length(size));
}

const struct trace_ops fiu_ops = {
	.name = "fiu",
	.help = "FIU traces: ns pid process lba size W|R major minor md5",
	.line = fiu_line,
};
