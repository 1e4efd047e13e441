// SPDX-License-Identifier: GPL-2.0
/*
 * Fujitsu K5 cloud CSV: ID,Timestamp,Type,Offset,Length; seconds with a fraction, R or W, bytes.
 */
#include "trace_impl.h"

static enum trace_outcome k5_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	uint64_t offset, length;
	const char *op;
	size_t op_length;

	if (!take_device(file, c, record) || !take_comma(c) ||
	    !take_decimal(c, time_digits(file->trace, 9), &record->time_ns) || !take_comma(c) ||
	    !take_field(c, &op, &op_length) || !take_comma(c) || !take_u64(c, &offset) || !take_comma(c) ||
	    !take_u64(c, &length))
		return record_bad(file, "not 'ID,time,type,offset,length'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "more than 5 columns");
	if (word_is(op, op_length, "r"))
		record->op = TRACE_READ;
	else if (word_is(op, op_length, "w"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the type is neither R nor W");
	return record_extent(file, record, offset, false, length);
}

const struct trace_ops k5_ops = {
	.name = "k5",
	.help = "Fujitsu K5 CSV: ID,seconds,R|W,offset,length",
	.line = k5_line,
};
