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

#include "shim.h"
#include "trace_impl.h"

#define MAGIC 0x6a736677736872ull
#define VERSION 1
#define SUPER_SIZE 28
#define ENTRY_SIZE 32
#define MIN_SECTOR 512
#define MAX_SECTOR 65536

#define FLAG_FLUSH 1
#define FLAG_FUA 2
#define FLAG_DISCARD 4
#define FLAG_MARK 8
#define FLAG_METADATA 16
#define FLAGS_KNOWN 31

struct dmlog_state {
	uint64_t nr_entries;	/* as the superblock says */
	uint64_t entries;
	uint32_t sector_size;
	bool ended;
};

_Static_assert(sizeof(struct dmlog_state) <= TRACE_MAX_STATE, "state fits");

static bool dmlog_magic(const unsigned char *head, size_t size, const struct input *in)
{
	return size >= 8 && get_unaligned_le64(head) == MAGIC;
}

static int dmlog_start(struct trace_file *file)
{
	struct dmlog_state *state = (void *)file->state;
	const char *path = input_path(file->in);
	const unsigned char *p;
	size_t have;

	p = input_peek(file->in, SUPER_SIZE, &have);
	if (!p)
		return trace_fail(file->trace, "%s: %s", path, input_error(file->in));
	if (have < SUPER_SIZE || get_unaligned_le64(p) != MAGIC)
		return trace_fail(file->trace, "%s: does not start with a dm-log-writes superblock", path);
	if (get_unaligned_le64(p + 8) != VERSION)
		return trace_fail(file->trace, "%s: dm-log-writes version %llu: only version 1 is known", path,
				  (unsigned long long)get_unaligned_le64(p + 8));
	state->nr_entries = get_unaligned_le64(p + 16);
	state->sector_size = get_unaligned_le32(p + 24);
	if (state->sector_size < MIN_SECTOR || state->sector_size > MAX_SECTOR ||
	    (state->sector_size & (state->sector_size - 1)))
		return trace_fail(file->trace, "%s: a log with sectors of %u bytes, not a power of two from %u to %u",
				  path, state->sector_size, MIN_SECTOR, MAX_SECTOR);
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
	uint64_t sector = get_unaligned_le64(p), sectors = get_unaligned_le64(p + 8), flags = get_unaligned_le64(p + 16), text = get_unaligned_le64(p + 24);

	*data = 0;
	if (flags & ~(uint64_t)FLAGS_KNOWN)
		return record_bad(file, "an entry with unknown flags");
	if (flags & FLAG_MARK)
		return sectors || text > state->sector_size - ENTRY_SIZE ?
			       record_bad(file, "a mark with data") : TRACE_SKIPPED;
	if (text)
		return record_bad(file, "text in an entry that is no mark");
	record->flags = (flags & FLAG_FUA ? TRACE_FUA : 0) | (flags & FLAG_METADATA ? TRACE_META : 0);
	if (!sectors) {
		record->op = TRACE_FLUSH;
		record->offset = record->length = 0;
		return flags & FLAG_FLUSH ? TRACE_REQUEST : record_bad(file, "an entry that does nothing");
	}
	if (flags & FLAG_FLUSH)
		record->flags |= TRACE_PREFLUSH;
	record->op = flags & FLAG_DISCARD ? TRACE_DISCARD : TRACE_WRITE;
	if (extent(file, record, sector, sectors) == TRACE_BAD)
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
	.magic = dmlog_magic,
	.start = dmlog_start,
	.next = dmlog_next,
};
