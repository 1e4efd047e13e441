// SPDX-License-Identifier: GPL-2.0
/*
 * Tencent CBS CSV: Timestamp,Offset,Size,IOType,VolumeID; seconds, sectors, sectors, 0 read or 1 write. The
 * time has a resolution of one second, so many requests share one.
 */
#include "trace_impl.h"

static enum trace_outcome tencent_line(struct trace_file *file, struct cursor *c,
				       struct trace_record *record)
{
	uint64_t offset, size, type;

	if (!take_decimal(c, time_digits(file->trace, 9), &record->time_ns) || !take_comma(c) ||
	    !take_u64(c, &offset) || !take_comma(c) || !take_u64(c, &size) || !take_comma(c) ||
	    !take_u64(c, &type) || !take_comma(c) || !take_u64(c, &record->space[1]))
		return record_bad(file, "not 'time,offset,size,type,volume'");
	skip_blanks(c);
	if (!at_end(c))
		return record_bad(file, "more than 5 columns");
	if (type > 1)
		return record_bad(file, "the type is neither 0 (read) nor 1 (write)");
	record->op = type ? TRACE_WRITE : TRACE_READ;
	return record_extent(file, record, offset, true, sectors_to_length(size));
}

const struct trace_ops tencent_ops = {
	.name = "tencent",
	.help = "Tencent CBS CSV: seconds,offset,size (sectors),0|1 (read|write),volume",
	.line = tencent_line,
};
