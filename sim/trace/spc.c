// SPDX-License-Identifier: GPL-2.0
/*
 * SPC 1.01: ASU,LBA,Size,Opcode,Timestamp[,...]. The LBA counts 512-byte blocks within the ASU, each ASU
 * being an address space of its own; the size is bytes; the time is seconds with a fraction.
 */
#include "trace_impl.h"

static enum trace_outcome spc_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	uint64_t lba, size;
	const char *op;
	size_t length;

	if (!take_u64(c, &record->space[1]) || !take_comma(c) || !take_u64(c, &lba) || !take_comma(c) ||
	    !take_u64(c, &size) || !take_comma(c) || !take_field(c, &op, &length) || !take_comma(c) ||
	    !take_decimal(c, time_digits(file->trace, 9), &record->time_ns))
		return record_bad(file, "not 'ASU,LBA,size,opcode,time'");
	skip_blanks(c);
	if (!at_end(c) && *c->p != ',')
		return record_bad(file, "something after the time");
	if (word_is(op, length, "r"))
		record->op = TRACE_READ;
	else if (word_is(op, length, "w"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the opcode is neither R nor W");
	return record_extent(file, record, lba, true, size);
}

const struct trace_ops spc_ops = {
	.name = "spc",
	.help = "SPC 1.01: ASU,LBA,size,R|W,seconds",
	.line = spc_line,
};
