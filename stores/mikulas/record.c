// SPDX-License-Identifier: GPL-2.0
/*
 * Log records: encoding, sealing, decoding. Pure functions; FORMAT.md section 3.
 *
 * The payload is written straight to its place between the sectors' stamps. The encoder trusts its
 * caller for room (OP_BYTES_MAX an operation), the decoder trusts nothing.
 */
#include "mikulas.h"

/* Byte @at of the payload is here in the record. */
static unsigned int payload_place(unsigned int at)
{
	if (at < LOG_ROOM_FIRST)
		return sizeof(struct log_header_disk) + at;
	at -= LOG_ROOM_FIRST;
	return (1 + at / LOG_ROOM_NEXT) * SECTOR_SIZE + sizeof(struct log_stamp_disk) +
	       at % LOG_ROOM_NEXT;
}

unsigned int record_capacity(u32 sectors)
{
	return LOG_ROOM_FIRST + (sectors - 1) * LOG_ROOM_NEXT;
}

unsigned int record_sectors_for(unsigned int bytes, u32 block_sectors)
{
	unsigned int sectors = 1;

	if (bytes > LOG_ROOM_FIRST)
		sectors += DIV_ROUND_UP(bytes - LOG_ROOM_FIRST, LOG_ROOM_NEXT);
	return round_up(sectors, block_sectors);
}

void record_reset(struct record *record)
{
	u8 *data = record->data;

	memset(record, 0, sizeof(*record));
	record->data = data;
}

static void put_byte(struct record *record, u8 byte)
{
	record->data[payload_place(record->bytes++)] = byte;
}

static void put_number(struct record *record, u64 v)
{
	while (v >= 0x80) {
		put_byte(record, v | 0x80);
		v >>= 7;
	}
	put_byte(record, v);
}

static void put_id(struct record *record, snapid_t id)
{
	put_number(record, snapid_high(id));
	put_number(record, snapid_sub(id));
}

static void put_op(struct record *record, u8 op, unsigned int changes)
{
	record->ops++;
	record->changes += changes;
	put_byte(record, op);
}

void record_add(struct record *record, const struct group_state *state, const struct entry *entry)
{
	u8 op = OP_ADD;

	if (record->have_add && entry->from == record->add_from && entry->a == record->add_to)
		op |= OP_ADD_SAME_RANGE;
	if (entry->b == state->alloc_pos + 1)
		op |= OP_ADD_NEXT_BLOCK;
	if (record->have_add && entry->chunk == record->add_chunk + 1)
		op |= OP_ADD_NEXT_CHUNK;
	put_op(record, op, 1);
	if (!(op & OP_ADD_NEXT_CHUNK))
		put_number(record, entry->chunk);
	if (!(op & OP_ADD_SAME_RANGE)) {
		put_id(record, entry->from);
		put_id(record, entry->a);
	}
	if (!(op & OP_ADD_NEXT_BLOCK))
		put_number(record, entry->b);
	record->have_add = true;
	record->add_chunk = entry->chunk;
	record->add_from = entry->from;
	record->add_to = entry->a;
}

void record_narrow(struct record *record, const struct entry *old, snapid_t from, snapid_t to)
{
	put_op(record, OP_NARROW, 2);
	put_number(record, old->chunk);
	put_id(record, old->from);
	put_id(record, from);
	put_id(record, to);
	put_number(record, old->b);
}

void record_remove(struct record *record, const struct entry *old)
{
	put_op(record, OP_REMOVE, 1);
	put_number(record, old->chunk);
	put_id(record, old->from);
	put_number(record, old->b);
}

void record_create(struct record *record, snapid_t id)
{
	put_op(record, OP_CREATE, 2);
	put_id(record, id);
}

void record_delete(struct record *record, snapid_t id)
{
	put_op(record, OP_DELETE, 1);
	put_id(record, id);
}

void record_cursor(struct record *record, bool end, u64 chunk, u64 from)
{
	put_op(record, OP_CURSOR | (end ? OP_CURSOR_END : 0), 0);
	if (!end) {
		put_number(record, chunk);
		put_id(record, from);
	}
}

/*
 * @header: stamp.mount, stamp.seq, prev_crc, location and sectors are given; these hold the
 * payload, being what record_sectors_for() says.
 */
u32 record_seal(struct record *record, const struct log_header_disk *header)
{
	unsigned int sectors = le32_to_cpu(header->sectors), i, end;
	struct log_header_disk *first = (struct log_header_disk *)record->data;
	u32 crc;

	end = record->bytes ? payload_place(record->bytes - 1) + 1 :
			      (unsigned int)sizeof(struct log_header_disk);
	memset(record->data + end, 0, sectors * SECTOR_SIZE - end);
	for (i = 0; i < sectors; i++) {
		struct log_stamp_disk *stamp = (void *)(record->data + i * SECTOR_SIZE);

		stamp->mount = header->stamp.mount;
		stamp->index = cpu_to_le16(i);
		stamp->magic = cpu_to_le16(LOG_MAGIC);
		stamp->seq = header->stamp.seq;
	}
	first->crc = 0;
	first->prev_crc = header->prev_crc;
	first->location = header->location;
	first->sectors = header->sectors;
	first->bytes = cpu_to_le32(record->bytes);
	first->ops = cpu_to_le32(record->ops);
	first->changes = cpu_to_le32(record->changes);
	crc = ~crc32c(~0U, record->data, sectors * SECTOR_SIZE);
	first->crc = cpu_to_le32(crc);
	return crc;
}

bool record_stamp_ok(const u8 *sector, u32 mount, u64 seq, unsigned int index)
{
	const struct log_stamp_disk *stamp = (const void *)sector;

	return le16_to_cpu(stamp->magic) == LOG_MAGIC && le32_to_cpu(stamp->mount) == mount &&
	       le16_to_cpu(stamp->index) == index && le64_to_cpu(stamp->seq) == seq;
}

static bool get_byte(struct log_reader *reader, u8 *byte)
{
	if (reader->at >= reader->bytes)
		return false;
	*byte = reader->data[payload_place(reader->at++)];
	return true;
}

static bool get_number(struct log_reader *reader, u64 *v)
{
	unsigned int shift = 0;
	u8 byte;

	*v = 0;
	do {
		if (!get_byte(reader, &byte) || shift > 63 || (shift == 63 && byte > 1))
			return false;
		*v |= (u64)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return byte || shift == 7;
}

static bool get_id(struct log_reader *reader, snapid_t *id)
{
	u64 high, sub;

	if (!get_number(reader, &high) || !get_number(reader, &sub) || high > U32_MAX ||
	    sub > U32_MAX)
		return false;
	*id = snapid_make(high, sub);
	return true;
}

static bool get_add(struct log_reader *reader, u8 flags, block_t alloc_pos,
		    struct log_operation *op)
{
	if (flags & ~(OP_ADD_SAME_RANGE | OP_ADD_NEXT_BLOCK | OP_ADD_NEXT_CHUNK))
		return false;
	if (!reader->have_add && flags & (OP_ADD_SAME_RANGE | OP_ADD_NEXT_CHUNK))
		return false;
	op->chunk = reader->add_chunk + 1;
	op->from = reader->add_from;
	op->to = reader->add_to;
	op->block = alloc_pos + 1;
	if (!(flags & OP_ADD_NEXT_CHUNK) && !get_number(reader, &op->chunk))
		return false;
	if (!(flags & OP_ADD_SAME_RANGE) &&
	    (!get_id(reader, &op->from) || !get_id(reader, &op->to)))
		return false;
	if (!(flags & OP_ADD_NEXT_BLOCK) && !get_number(reader, &op->block))
		return false;
	reader->have_add = true;
	reader->add_chunk = op->chunk;
	reader->add_from = op->from;
	reader->add_to = op->to;
	return true;
}

static bool get_operation(struct log_reader *reader, u8 flags, block_t alloc_pos,
			  struct log_operation *op)
{
	switch (op->op) {
	case OP_ADD:
		return get_add(reader, flags, alloc_pos, op);
	case OP_NARROW:
		return !flags && get_number(reader, &op->chunk) && get_id(reader, &op->from) &&
		       get_id(reader, &op->new_from) && get_id(reader, &op->new_to) &&
		       get_number(reader, &op->block);
	case OP_REMOVE:
		return !flags && get_number(reader, &op->chunk) && get_id(reader, &op->from) &&
		       get_number(reader, &op->block);
	case OP_CREATE:
	case OP_DELETE:
		return !flags && get_id(reader, &op->from);
	case OP_CURSOR:
		op->end = flags & OP_CURSOR_END;
		return !(flags & ~OP_CURSOR_END) &&
		       (op->end || (get_number(reader, &op->chunk) && get_id(reader, &op->from)));
	}
	return false;
}

int record_next(struct log_reader *reader, block_t alloc_pos, struct log_operation *op)
{
	u8 byte;

	if (!get_byte(reader, &byte))
		return 0;
	memset(op, 0, sizeof(*op));
	op->op = byte & OP_CODE_MASK;
	return get_operation(reader, byte & ~OP_CODE_MASK, alloc_pos, op) ? 1 : -EPERM;
}
