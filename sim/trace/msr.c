// SPDX-License-Identifier: GPL-2.0
/*
 * MSR Cambridge CSV (SNIA 387): Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime. The time is a
 * FILETIME, 100 ns since 1601; offset and size are bytes; no header.
 */
#include "trace_impl.h"

#define FILETIME_NS 100

static enum trace_outcome msr_line(struct trace_file *file, struct cursor *c, struct trace_record *record)
{
	uint64_t time, offset, size, response;
	const char *host, *type;
	size_t host_length, type_length;

	if (!take_u64(c, &time) || !take_comma(c) || !take_field(c, &host, &host_length) || !take_comma(c) ||
	    !take_u64(c, &record->space[1]) || !take_comma(c) || !take_field(c, &type, &type_length) ||
	    !take_comma(c) || !take_u64(c, &offset) || !take_comma(c) || !take_u64(c, &size) ||
	    !take_comma(c) || !take_u64(c, &response))
		return record_bad(file, "not 'time,host,disk,type,offset,size,response'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "more than 7 columns");
	if (word_is(type, type_length, "read"))
		record->op = TRACE_READ;
	else if (word_is(type, type_length, "write"))
		record->op = TRACE_WRITE;
	else
		return record_bad(file, "the type is neither Read nor Write");
	if (__builtin_mul_overflow(time, FILETIME_NS, &record->time_ns))
		return record_bad(file, "time too large");
	if (!trace_name(file->trace, host, host_length, &record->space[0]))
		return record_bad(file, "too many or too long host names");
	return record_extent(file, record, offset, false, size);
}

const struct trace_ops msr_ops = {
	.name = "msr",
	.help = "MSR Cambridge CSV: time,host,disk,Read|Write,offset,size,response",
	.time_certain = true,
	.line = msr_line,
};
