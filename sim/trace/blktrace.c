// SPDX-License-Identifier: GPL-2.0
/*
 * blktrace's binary files, version 7: what the kernel's tracer writes, one file per CPU.
 *
 * A record is 48 bytes in the byte order of the traced machine, then pdu_len bytes of payload. One
 * request leaves several events; queue (Q) events are bios, what a dm target sees. Other events stand in when a capture has
 * no Q (see choose_event()). After damage the reader looks for the next magic number.
 */
#define _GNU_SOURCE /* memmem() */
#include <string.h>

#include "trace_impl.h"

#define RECORD_SIZE 48
#define MAX_PDU 65535
#define MAGIC 0x65617400u
#define VERSION 7
#define VERSION_MASK 0xffu

#define ACT_MASK 0xffu		/* above are the cgroup bit (0x100) and, from bit 16, the categories */
#define ACT_QUEUE 1
#define ACT_REQUEUE 6
#define ACT_ISSUE 7
#define ACT_COMPLETE 8

#define CATEGORY(bit) (1u << (16 + (bit)))
#define IS_READ CATEGORY(0)
#define IS_WRITE CATEGORY(1)
#define IS_FLUSH CATEGORY(2)
#define IS_SYNC CATEGORY(3)
#define IS_PASSTHROUGH CATEGORY(9)
#define IS_NOTIFY CATEGORY(10)
#define IS_META CATEGORY(12)
#define IS_DISCARD CATEGORY(13)
#define IS_FUA CATEGORY(15)

struct blktrace_state {
	bool swap;
	unsigned char magic[4];	/* as it is on disk */
};

struct event {
	uint32_t magic;
	uint32_t sequence;
	uint64_t time;
	uint64_t sector;
	uint32_t bytes;
	uint32_t action;
	uint32_t pid;
	uint32_t device;
	uint32_t cpu;
	uint16_t error;
	uint16_t pdu_len;
};

_Static_assert(sizeof(struct event) == RECORD_SIZE, "a record of version 7 has no holes");
_Static_assert(sizeof(struct blktrace_state) <= TRACE_MAX_STATE, "state fits");

/* The magic number with any version, in either byte order: -1 no, 0 this machine's order, 1 the other. */
static int byte_order(const unsigned char *p, uint32_t *version)
{
	uint32_t magic;

	memcpy(&magic, p, sizeof(magic));
	*version = magic & VERSION_MASK;
	if ((magic & ~VERSION_MASK) == MAGIC)
		return 0;
	magic = __builtin_bswap32(magic);
	*version = magic & VERSION_MASK;
	return (magic & ~VERSION_MASK) == MAGIC ? 1 : -1;
}

static bool blktrace_magic(const unsigned char *head, size_t size, const struct input *in)
{
	uint32_t version;

	return size >= 4 && byte_order(head, &version) >= 0;
}

static int blktrace_start(struct trace_file *file)
{
	struct blktrace_state *state = (void *)file->state;
	const unsigned char *head;
	uint32_t version;
	size_t have;
	int order;

	head = input_peek(file->in, RECORD_SIZE, &have);
	if (!head)
		return trace_fail(file->trace, "%s: %s", input_path(file->in), input_error(file->in));
	order = have >= 4 ? byte_order(head, &version) : -1;
	if (order < 0)
		return trace_fail(file->trace, "%s: does not start with a blktrace record",
				  input_path(file->in));
	if (version != VERSION)
		return trace_fail(file->trace,
				  "%s: blktrace version %u: only version 7 is read (record again with a kernel or blktrace that writes version 7)",
				  input_path(file->in), version);
	state->swap = order;
	memcpy(state->magic, head, 4);
	return 0;
}

static void swap_event(struct event *e)
{
	e->sequence = __builtin_bswap32(e->sequence);
	e->time = __builtin_bswap64(e->time);
	e->sector = __builtin_bswap64(e->sector);
	e->bytes = __builtin_bswap32(e->bytes);
	e->action = __builtin_bswap32(e->action);
	e->device = __builtin_bswap32(e->device);
	e->cpu = __builtin_bswap32(e->cpu);
	e->pdu_len = __builtin_bswap16(e->pdu_len);
}

/* Not at a record: on to the next magic number, or to the end. One bad record, however long the gap. */
static enum trace_outcome resynchronize(struct trace_file *file, const char *why)
{
	const struct blktrace_state *state = (const void *)file->state;
	const unsigned char *p, *found;
	size_t have;

	input_take(file->in, 1);
	for (;;) {
		p = input_peek(file->in, RECORD_SIZE, &have);
		if (!p || have < sizeof(state->magic)) {
			input_take(file->in, have);
			return record_bad(file, why);
		}
		found = memmem(p, have, state->magic, sizeof(state->magic));
		if (found) {
			input_take(file->in, found - p);
			return record_bad(file, "damaged, skipped up to the next record");
		}
		input_take(file->in, have - (sizeof(state->magic) - 1));
	}
}

static bool is_request(unsigned int act, enum trace_event *event)
{
	switch (act) {
	case ACT_QUEUE:
		*event = TRACE_EVENT_QUEUE;
		return true;
	case ACT_ISSUE:
		*event = TRACE_EVENT_ISSUE;
		return true;
	case ACT_COMPLETE:
		*event = TRACE_EVENT_COMPLETE;
		return true;
	default:
		return false;
	}
}

static enum trace_outcome decode(struct trace_file *file, const struct event *e, struct trace_record *record)
{
	unsigned int act = e->action & ACT_MASK;
	enum trace_event event;

	/* Notifications reuse the numbers of the acts. Passthrough commands have no sectors. */
	if (e->action & (IS_NOTIFY | IS_PASSTHROUGH))
		return TRACE_SKIPPED;
	if (act == ACT_REQUEUE && file->trace->event == TRACE_EVENT_ISSUE && !file->trace->choosing)
		record->requeued = true;
	else if (!is_request(act, &event) || !event_wanted(file->trace, event))
		return TRACE_SKIPPED;

	record->time_ns = e->time;
	record->space[1] = e->device;
	record->cpu = e->cpu;
	record->sequence = e->sequence;
	record->flags = (e->action & IS_FUA ? TRACE_FUA : 0) | (e->action & IS_META ? TRACE_META : 0) |
			(e->action & IS_SYNC ? TRACE_SYNC : 0);
	if (!e->bytes) {
		record->op = TRACE_FLUSH;
		record->offset = record->length = 0;
		return e->action & IS_FLUSH ? TRACE_REQUEST : TRACE_SKIPPED;
	}
	if (e->action & IS_FLUSH)
		record->flags |= TRACE_PREFLUSH;
	/* Discards carry the write bit too. */
	if (e->action & IS_DISCARD)
		record->op = TRACE_DISCARD;
	else if (e->action & IS_WRITE)
		record->op = TRACE_WRITE;
	else if (e->action & IS_READ)
		record->op = TRACE_READ;
	else
		return TRACE_SKIPPED;
	return record_extent(file, record, e->sector, true, e->bytes);
}

static enum trace_outcome blktrace_next(struct trace_file *file, struct trace_record *record)
{
	const struct blktrace_state *state = (const void *)file->state;
	const unsigned char *p;
	struct event e;
	size_t have;

	p = input_peek(file->in, RECORD_SIZE, &have);
	if (!p || !have)
		return TRACE_END;
	file->position++;
	if (have >= sizeof(state->magic) && memcmp(p, state->magic, sizeof(state->magic)))
		return resynchronize(file, "not a blktrace record, and none follows");
	if (have < RECORD_SIZE) {
		input_take(file->in, have);
		return record_bad(file, "cut off in the middle of a record");
	}
	memcpy(&e, p, sizeof(e));
	if (state->swap)
		swap_event(&e);
	if (e.pdu_len && (!input_peek(file->in, RECORD_SIZE + e.pdu_len, &have) ||
			  have < RECORD_SIZE + (size_t)e.pdu_len)) {
		/* A damaged length must not swallow the records behind it. */
		return resynchronize(file, "cut off in the middle of a record");
	}
	input_take(file->in, RECORD_SIZE + e.pdu_len);
	return decode(file, &e, record);
}

const struct trace_ops blktrace_ops = {
	.name = "blktrace",
	.help = "blktrace's binary files, version 7, all CPUs' files of one run (NAME.blktrace.*)",
	.per_cpu = true,
	.has_events = true,
	.units_certain = true,
	.time_certain = true,
	.magic = blktrace_magic,
	.start = blktrace_start,
	.next = blktrace_next,
};
