// SPDX-License-Identifier: GPL-2.0
/*
 * CloudPhysics' vscsi traces, little-endian records without any header.
 *
 * Version 1, 32 bytes: u32 sn, len, nSG; u16 cmd, ver; u64 lbn, ts. Version 2, 40 bytes: u16 cmd, ver; u32 sn, len,
 * nSG; u64 lbn, ts, rt. len is bytes, lbn sectors, ts microseconds, cmd a SCSI opcode; the version is
 * ver >> 8. No magic number, so detection looks at many records and at the file's size.
 */
#include <string.h>

#include "shim.h"
#include "trace_impl.h"

#define V1_SIZE 32
#define V2_SIZE 40
#define DETECT_RECORDS 1024
#define TIME_NS 1000

struct vscsi_state {
	unsigned int version;
};

_Static_assert(sizeof(struct vscsi_state) <= TRACE_MAX_STATE, "state fits");

struct vscsi {
	unsigned int version;
	unsigned int cmd;
	uint32_t len;
	uint64_t lbn;
	uint64_t ts;
};

static unsigned int get16(const unsigned char *p)
{
	return p[0] | p[1] << 8;
}

static size_t record_size(unsigned int version)
{
	return version == 1 ? V1_SIZE : V2_SIZE;
}

static void decode(struct vscsi *v, const unsigned char *p, unsigned int version)
{
	const unsigned char *command = version == 1 ? p + 12 : p;

	v->cmd = get16(command);
	v->version = get16(command + 2) >> 8;
	v->len = get_unaligned_le32(version == 1 ? p + 4 : p + 8);
	v->lbn = get_unaligned_le64(p + 16);
	v->ts = get_unaligned_le64(p + 24);
}

/* -1: not a SCSI command of a disk at all; TRACE_NR_OPS: no request. */
static int operation(unsigned int cmd)
{
	switch (cmd) {
	case 0x08: /* READ and WRITE of 6, 10, 12, 16 bytes */
	case 0x28:
	case 0xa8:
	case 0x88:
		return TRACE_READ;
	case 0x0a:
	case 0x2a:
	case 0xaa:
	case 0x8a:
		return TRACE_WRITE;
	case 0x35: /* SYNCHRONIZE CACHE */
	case 0x91:
		return TRACE_FLUSH;
	default:
		return cmd <= 0xff ? TRACE_NR_OPS : -1;
	}
}

/* How many of the first records are of this version and read or write; 0 unless nearly all are. */
static unsigned int matches(const unsigned char *head, size_t size, unsigned int version)
{
	unsigned int records = size / record_size(version);
	unsigned int good = 0, transfers = 0;

	if (records > DETECT_RECORDS)
		records = DETECT_RECORDS;
	for (unsigned int i = 0; i < records; i++) {
		struct vscsi v;
		int op;

		decode(&v, head + i * record_size(version), version);
		op = operation(v.cmd);
		good += v.version == version && op >= 0;
		transfers += v.version == version && (op == TRACE_READ || op == TRACE_WRITE) &&
			     v.lbn <= TRACE_MAX_END >> TRACE_SECTOR_SHIFT;
	}
	return good * 100 >= records * 95 && transfers * 2 >= records ? good : 0;
}

static unsigned int guess_version(const unsigned char *head, size_t size)
{
	unsigned int v1 = matches(head, size, 1);
	unsigned int v2 = matches(head, size, 2);

	if (!v1 && !v2)
		return 0;
	return v1 >= v2 ? 1 : 2;
}

static bool vscsi_magic(const unsigned char *head, size_t size, const struct input *in)
{
	unsigned int version = guess_version(head, size);

	if (!version)
		return false;
	/* What the whole size is, is not known of a compressed file that is not all in the head. */
	if (input_compressed(in))
		return size >= TRACE_HEAD_SIZE || size % record_size(version) == 0;
	return input_bytes_total(in) % record_size(version) == 0;
}

static int vscsi_start(struct trace_file *file)
{
	struct vscsi_state *state = (void *)file->state;
	const unsigned char *head;
	size_t have;

	head = input_peek(file->in, TRACE_HEAD_SIZE, &have);
	if (!head)
		return trace_fail(file->trace, "%s: %s", input_path(file->in), input_error(file->in));
	state->version = guess_version(head, have);
	if (!state->version)
		return trace_fail(file->trace, "%s: not records of vscsi version 1 or 2", input_path(file->in));
	return 0;
}

static enum trace_outcome vscsi_next(struct trace_file *file, struct trace_record *record)
{
	const struct vscsi_state *state = (const void *)file->state;
	size_t size = record_size(state->version), have;
	const unsigned char *p;
	struct vscsi v;
	int op;

	p = input_peek(file->in, size, &have);
	if (!p || !have)
		return TRACE_END;
	file->position++;
	if (have < size) {
		input_take(file->in, have);
		return record_bad(file, "cut off in the middle of a record");
	}
	decode(&v, p, state->version);
	input_take(file->in, size);
	if (v.version != state->version)
		return record_bad(file, "the version is not that of the other records");
	op = operation(v.cmd);
	if (op < 0)
		return record_bad(file, "not a SCSI command");
	if (op == TRACE_NR_OPS)
		return TRACE_SKIPPED;
	if (__builtin_mul_overflow(v.ts, TIME_NS, &record->time_ns))
		return record_bad(file, "time too large");
	record->op = op;
	if (op == TRACE_FLUSH) {
		record->offset = record->length = 0;
		return TRACE_REQUEST;
	}
	return record_extent(file, record, v.lbn, true, v.len);
}

const struct trace_ops vscsi_ops = {
	.name = "vscsi",
	.help = "CloudPhysics vscsi, versions 1 and 2 (binary)",
	.time_certain = true,
	.magic = vscsi_magic,
	.start = vscsi_start,
	.next = vscsi_next,
};
