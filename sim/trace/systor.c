// SPDX-License-Identifier: GPL-2.0
/*
 * SYSTOR '17 CSV: Timestamp,Response,IOType,LUN,Offset,Size; seconds with a fraction, R or W, bytes; a header
 * line; the response may be empty.
 */
#include "trace_impl.h"

static enum trace_outcome systor_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	const char *response, *op;
	size_t response_length, op_length;
	struct cursor whole = *c;
	uint64_t offset, size;

	if (take_field(&whole, &op, &op_length) && word_is(op, op_length, "timestamp"))
		return TRACE_SKIPPED;	/* each file of the collection has the header */
	if (!take_decimal(c, time_digits(file->trace, 9), &record->time_ns) || !take_comma(c) ||
	    !take_field(c, &response, &response_length) || !take_comma(c) ||
	    !take_field(c, &op, &op_length) || !take_comma(c) || !take_device(file, c, record) ||
	    !take_comma(c) || !take_u64(c, &offset) || !take_comma(c) || !take_u64(c, &size))
		return record_bad(file, "not 'time,response,type,LUN,offset,size'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "more than 6 columns");
	if (word_is(op, op_length, "r") || word_is(op, op_length, "read"))
		record->op = TRACE_READ;
	else if (word_is(op, op_length, "w") || word_is(op, op_length, "write"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the type is neither R nor W");
	return record_extent(file, record, offset, false, size);
}

const struct trace_ops systor_ops = {
	.name = "systor17",
	.help = "SYSTOR '17 CSV: seconds,response,R|W,LUN,offset,size",
	.line = systor_line,
};
