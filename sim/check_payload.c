// SPDX-License-Identifier: GPL-2.0
/*
 * The operations of a log record, taken out of its payload: FORMAT.md section 3.3, the encoding
 * only.
 */
#include "check_int.h"

enum {
	FLAG_SAME_RANGE = 0x10,
	FLAG_END = 0x10,
	FLAG_NEXT_BLOCK = 0x20,
	FLAG_NEXT_CHUNK = 0x40,
};

/* A variable-length integer; NULL or why not. */
static const char *read_v(struct check_payload *p, u64 *value)
{
	*value = 0;
	for (unsigned int i = 0; i < 10; i++) {
		u8 byte;

		if (p->next == p->end)
			return "the payload ends inside of an operation";
		byte = *p->next++;
		if (i == 9 && byte > 1)
			return "a number is 2^64 or more";
		*value |= (u64)(byte & 0x7f) << 7 * i;
		if (byte & 0x80)
			continue;
		return i && !byte ? "a number has a superfluous last byte" : NULL;
	}
	return "a number has more than 10 bytes";
}

/* A snapid: high half, (low half + 1) mod 2^32. */
static const char *read_id(struct check_payload *p, u64 *id)
{
	const char *why;
	u64 high, low;

	why = read_v(p, &high);
	if (!why)
		why = read_v(p, &low);
	if (why)
		return why;
	if (high > 0xffffffffu || low > 0xffffffffu)
		return "half of a snapid is 2^32 or more";
	*id = high << 32 | (u32)(low - 1);
	return NULL;
}

static const char *read_add(struct check_payload *p, unsigned int flags, struct check_op *op)
{
	const char *why = NULL;

	if (flags & ~(FLAG_SAME_RANGE | FLAG_NEXT_BLOCK | FLAG_NEXT_CHUNK))
		return "ADD has an unknown flag";
	if (flags & (FLAG_SAME_RANGE | FLAG_NEXT_CHUNK) && !p->added)
		return "ADD refers to an ADD before, but is the first of its record";
	if (flags & FLAG_NEXT_CHUNK)
		op->chunk = p->last_add.chunk + 1;
	else
		why = read_v(p, &op->chunk);
	if (flags & FLAG_SAME_RANGE) {
		op->from = p->last_add.from;
		op->to = p->last_add.to;
	} else {
		if (!why)
			why = read_id(p, &op->from);
		if (!why)
			why = read_id(p, &op->to);
	}
	op->next_block = flags & FLAG_NEXT_BLOCK;
	if (!why && !op->next_block)
		why = read_v(p, &op->block);
	p->last_add = *op;
	p->added = true;
	return why;
}

static const char *read_change(struct check_payload *p, struct check_op *op)
{
	const char *why = read_v(p, &op->chunk);

	if (!why)
		why = read_id(p, &op->from);
	if (!why && op->code == CHECK_NARROW)
		why = read_id(p, &op->new_from);
	if (!why && op->code == CHECK_NARROW)
		why = read_id(p, &op->new_to);
	if (!why)
		why = read_v(p, &op->block);
	return why;
}

static const char *read_cursor(struct check_payload *p, unsigned int flags, struct check_op *op)
{
	const char *why;

	if (flags & ~FLAG_END)
		return "CURSOR has an unknown flag";
	op->end = flags & FLAG_END;
	if (op->end)
		return NULL;
	why = read_v(p, &op->chunk);
	return why ? why : read_id(p, &op->from);
}

const char *check_op_decode(struct check_payload *payload, struct check_op *op)
{
	u8 byte = *payload->next++;
	unsigned int flags = byte & 0xf0;

	*op = (struct check_op){ .code = byte & 0x0f };
	switch (op->code) {
	case CHECK_ADD:
		return read_add(payload, flags, op);
	case CHECK_CURSOR:
		return read_cursor(payload, flags, op);
	case CHECK_NARROW:
	case CHECK_REMOVE:
		return flags ? "an operation has an unknown flag" : read_change(payload, op);
	case CHECK_CREATE:
	case CHECK_DELETE:
		return flags ? "an operation has an unknown flag" : read_id(payload, &op->from);
	}
	return "the code of an operation is not known";
}

u32 check_op_changes(enum check_op_code code)
{
	switch (code) {
	case CHECK_NARROW:
	case CHECK_CREATE:
		return 2;
	case CHECK_CURSOR:
		return 0;
	default:
		return 1;
	}
}
