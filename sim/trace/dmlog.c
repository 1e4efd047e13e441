// SPDX-License-Identifier: GPL-2.0
/*
 * The log of dm-log-writes, and of QEMU's blklogwrites: writes, flushes, discards and marks in the order in which
 * they became durable; no times, no reads.
 *
 * Sector 0 is a superblock; each entry is one header sector and its data, which is skipped. nr_entries is brought up to
 * date only now and then, so entries are read on past it while they make sense: the first that does
 * not ends the log. Before that count a senseless entry is damage, and the end as well: lengths are lost.
 */
#include <string.h>

#include "dmlog_format.h"
#include "trace_impl.h"

struct dmlog_state {
	uint64_t nr_entries;	/* as the superblock says */
	uint64_t entries;
	uint32_t sector_size;
	bool ended;
};

_Static_assert(sizeof(struct dmlog_state) <= TRACE_MAX_STATE, "state fits");

static bool dmlog_magic(const unsigned char *head, size_t size, const struct input *in)
{
	return size >= 8 && get_unaligned_le64(head) == DMLOG_MAGIC;
}

static int dmlog_start(struct trace_file *file)
{
	struct dmlog_state *state = (void *)file->state;
	const char *path = input_path(file->in);
	struct dmlog_super super = { 0 };
	const unsigned char *p;
	size_t have;

	p = input_peek(file->in, DMLOG_SUPER_SIZE, &have);
	if (!p)
		return trace_fail(file->trace, "%s: %s", path, input_error(file->in));
	if (have >= DMLOG_SUPER_SIZE)
		super = dmlog_super_unpack(p);
	if (super.magic != DMLOG_MAGIC)
		return trace_fail(file->trace, "%s: does not start with a dm-log-writes superblock", path);
	if (super.version != DMLOG_VERSION)
		return trace_fail(file->trace, "%s: dm-log-writes version %llu: only version 1 is known", path,
				  (unsigned long long)super.version);
	state->nr_entries = super.nr_entries;
	state->sector_size = super.sector_size;
	if (!dmlog_sector_size_good(super.sector_size))
		return trace_fail(file->trace, "%s: a log with sectors of %u bytes, not a power of two from %u to %u",
				  path, super.sector_size, DMLOG_MIN_SECTOR, DMLOG_MAX_SECTOR);
	input_skip(file->in, state->sector_size);
	return 0;
}

/* The log's end, expected or not. */
static enum trace_outcome end_log(struct trace_file *file, const char *why)
{
	struct dmlog_state *state = (void *)file->state;

	state->ended = true;
	if (state->entries < state->nr_entries)
		return record_bad(file, why);
	if (state->entries > state->nr_entries && !file->trace->looking)
		trace_add_note(file->trace,
			       "%s: the log was not closed: it counts %llu entries but has %llu, all are used",
			       input_path(file->in), (unsigned long long)state->nr_entries,
			       (unsigned long long)state->entries);
	return TRACE_END;
}

static enum trace_outcome extent(struct trace_file *file, struct trace_record *record, uint64_t sector,
				 uint64_t sectors)
{
	const struct dmlog_state *state = (const void *)file->state;
	uint64_t offset, length;

	if (__builtin_mul_overflow(sector, state->sector_size, &offset) ||
	    __builtin_mul_overflow(sectors, state->sector_size, &length))
		return record_bad(file, "beyond 2^64 bytes");
	return record_extent(file, record, offset, false, length);
}

/* *data: bytes of data behind the entry's header sector. */
static enum trace_outcome decode(struct trace_file *file, const unsigned char *p, struct trace_record *record,
				 uint64_t *data)
{
	const struct dmlog_state *state = (const void *)file->state;
	const struct dmlog_entry e = dmlog_entry_unpack(p);
	const char *wrong = dmlog_entry_wrong(&e, state->sector_size);

	*data = 0;
	if (wrong)
		return record_bad(file, wrong);
	if (e.flags & DMLOG_MARK)
		return TRACE_SKIPPED;
	record->flags = (e.flags & DMLOG_FUA ? TRACE_FUA : 0) | (e.flags & DMLOG_METADATA ? TRACE_META : 0);
	if (!e.sectors) {
		record->op = TRACE_FLUSH;
		record->offset = record->length = 0;
		return TRACE_REQUEST;
	}
	if (e.flags & DMLOG_FLUSH)
		record->flags |= TRACE_PREFLUSH;
	record->op = e.flags & DMLOG_DISCARD ? TRACE_DISCARD : TRACE_WRITE;
	if (extent(file, record, e.sector, e.sectors) == TRACE_BAD)
		return TRACE_BAD;
	if (record->op == TRACE_WRITE)
		*data = record->length;
	return TRACE_REQUEST;
}

static enum trace_outcome dmlog_next(struct trace_file *file, struct trace_record *record)
{
	struct dmlog_state *state = (void *)file->state;
	enum trace_outcome outcome;
	const unsigned char *p;
	uint64_t data;
	size_t have;

	if (state->ended)
		return TRACE_END;
	p = input_peek(file->in, state->sector_size, &have);
	if (!p)
		return TRACE_END;
	file->position = state->entries + 1;
	if (have < state->sector_size)
		return end_log(file, have ? "the log is cut off in the header of an entry" :
					    "the log has fewer entries than it counts");
	outcome = decode(file, p, record, &data);
	if (outcome == TRACE_BAD)
		return end_log(file, file->why);
	input_take(file->in, state->sector_size);
	if (data && !input_skip(file->in, data))
		return end_log(file, "the log is cut off in the data of an entry");
	state->entries++;
	return outcome;
}

const struct trace_ops dmlog_ops = {
	.name = "dm-log-writes",
	.help = "the log device of dm-log-writes or of QEMU's blklogwrites",
	.units_certain = true,
	.time_certain = true,
	.magic = dmlog_magic,
	.start = dmlog_start,
	.next = dmlog_next,
};
