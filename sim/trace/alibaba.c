// SPDX-License-Identifier: GPL-2.0
/*
 * Alibaba block traces of 2020: device_id,opcode,offset,length,timestamp; R or W, bytes, microseconds; no header.
 */
#include "trace_impl.h"

static enum trace_outcome alibaba_line(struct trace_file *file, struct cursor *c,
				       struct trace_record *record)
{
	uint64_t offset, length;
	const char *op;
	size_t op_length;

	if (!take_device(file, c, record) || !take_comma(c) || !take_field(c, &op, &op_length) ||
	    !take_comma(c) || !take_u64(c, &offset) || !take_comma(c) || !take_u64(c, &length) ||
	    !take_comma(c) || !take_decimal(c, time_digits(file->trace, 3), &record->time_ns))
		return record_bad(file, "not 'device,opcode,offset,length,time'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "something after the time");
	if (word_is(op, op_length, "r"))
		record->op = TRACE_READ;
	else if (word_is(op, op_length, "w"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the opcode is neither R nor W");
	return record_extent(file, record, offset, false, length);
}

const struct trace_ops alibaba_ops = {
	.name = "alibaba",
	.help = "Alibaba CSV of 2020: device,R|W,offset,length,microseconds",
	.line = alibaba_line,
};
