// SPDX-License-Identifier: GPL-2.0
/*
 * Edits of an image (image_edit.h).
 *
 * All that a field can be is allowed, and nothing is written outside of the metadata in memory. After an edit the checksum
 * of what it changed is made right again, so that the store looks further than that.
 */
#include <string.h>

#include "../stores/mikulas/mikulas.h"
#include "image.h"

static u64 changed_value(u64 old, const struct image_edit *e)
{
	switch ((e->mode & ~EDIT_RAW) % EDIT_MODES) {
	case EDIT_ADD:
		return old + e->value;
	case EDIT_XOR:
		return old ^ e->value;
	}
	return e->value;
}

static void put_bytes(struct image *im, u64 at, unsigned int n, u64 value)
{
	for (; n--; at++, value >>= 8) {
		if (at >= im->blocks * MBLOCK_BYTES)
			return;
		im->bytes[at] = value;
		im->changed[at / MBLOCK_BYTES] = 1;
	}
}

static u64 get_bytes(const struct image *im, u64 at, unsigned int n)
{
	u64 value = 0;

	while (n--)
		value = value << 8 | (at + n < im->blocks * MBLOCK_BYTES ? im->bytes[at + n] : 0);
	return value;
}

/* A field of @n bytes. */
static void edit_field(struct image *im, u64 at, unsigned int n, const struct image_edit *e)
{
	put_bytes(im, at, n, changed_value(get_bytes(im, at, n), e));
}

struct field {
	u16 offset;
	u8 size;
};

/* ---- seals ---- */

static void seal_super(struct image *im)
{
	struct super_disk *disk = (void *)im->bytes;

	im->changed[0] = 1;
	disk->crc = 0;
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

/* A node or map block: its place and checksum. */
static void seal_block(struct image *im, u64 block)
{
	im->changed[block] = 1;
	block_seal(im->bytes + block * MBLOCK_BYTES, block);
}

static struct log_header_disk *record_at(const struct image *im, unsigned int i)
{
	return (void *)(im->bytes + im->records[i] * SECTOR_SIZE);
}

/* The records from @i on: each has the checksum of the one before it. */
static void seal_records(struct image *im, unsigned int i)
{
	u64 end = im->blocks * MBLOCK_SECTORS;

	for (; i < im->nr_records; i++) {
		struct log_header_disk *header = record_at(im, i);
		u64 sectors = clamp(le32_to_cpu(header->sectors), 1U, RECORD_SECTORS_MAX);

		sectors = min(sectors, end - im->records[i]);
		if (i)
			header->prev_crc = record_at(im, i - 1)->crc;
		header->crc = 0;
		header->crc = cpu_to_le32(~crc32c(~0U, header, sectors * SECTOR_SIZE));
		im->changed[im->records[i] / MBLOCK_SECTORS] = 1;
	}
}

/* What holds that byte. */
static void seal_byte(struct image *im, u64 at)
{
	const struct block_header_disk *header;
	u64 block = at / MBLOCK_BYTES, sector = at / SECTOR_SIZE;

	if (!sector)
		seal_super(im);
	for (unsigned int i = 0; i < im->nr_records; i++)
		if (sector >= im->records[i] &&
		    sector - im->records[i] < le32_to_cpu(record_at(im, i)->sectors))
			seal_records(im, i);
	if (block >= im->blocks)
		return;
	header = (void *)(im->bytes + block * MBLOCK_BYTES);
	if (le32_to_cpu(header->magic) == NODE_MAGIC || le32_to_cpu(header->magic) == MAP_MAGIC)
		seal_block(im, block);
}

/* ---- superblock ---- */

#define F(type, field) { offsetof(type, field), sizeof(((type *)0)->field) }
#define S(field) F(struct super_disk, field)

static const struct field super_fields[] = {
	S(mount), S(error), S(chunk_shift), S(block_sectors), S(origin_sectors), S(device_sectors), S(log_start),
	S(log_blocks), S(record_sectors), S(max_changes), S(map_start), S(meta_start), S(meta_blocks), S(data_start),
	S(data_chunks), S(max_entries), S(ckpt), S(root), S(root_seq), S(depth), S(log_crc), S(log_seq), S(log_next),
	S(alloc_pos), S(next_first), S(nr_snapshots), S(nr_exceptions), S(tree_blocks), S(reclaim), S(cursor_chunk),
	S(cursor_from), S(data_map.seq_slot), S(data_map.used), S(meta_map.seq_slot), S(meta_map.used), S(mount_seq),
	S(version), S(compat), S(ro_compat), S(incompat), S(reserved1), S(reserved2), { 296, 8 }, S(magic), S(crc),
};

static void edit_super(struct image *im, const struct image_edit *e)
{
	const struct field *f = &super_fields[e->field % ARRAY_SIZE(super_fields)];

	edit_field(im, f->offset, f->size, e);
	if (!(e->mode & EDIT_RAW))
		seal_super(im);
}

/* ---- nodes ---- */

#define N(field) F(struct node_disk, field)

static void edit_node(struct image *im, const struct image_edit *e)
{
	static const struct field fields[] = {
		N(seq), N(count), N(level), N(width[0]), N(base[0]), N(magic), N(location), N(crc),
		{ offsetof(struct node_disk, reserved1), 5 }, { offsetof(struct node_disk, reserved3), 8 },
	};
	struct field f = fields[e->field % ARRAY_SIZE(fields)];
	u64 block;

	if (!im->nr_nodes)
		return;
	block = im->nodes[e->where % im->nr_nodes];
	if (f.offset == offsetof(struct node_disk, width))
		f.offset += e->index % NODE_FIELDS;
	if (f.offset == offsetof(struct node_disk, base))
		f.offset += 8 * (e->index % NODE_FIELDS);
	edit_field(im, block * MBLOCK_BYTES + f.offset, f.size, e);
	if (!(e->mode & EDIT_RAW) && f.offset != offsetof(struct node_disk, location))
		seal_block(im, block);
}

static struct entry entries[NODE_ENTRIES_MAX + 1];

/* As far as its header makes sense. */
static unsigned int unpack_node(const struct node_disk *node, struct node_layout *layout)
{
	unsigned int stride = 0, i;

	for (i = 0; i < NODE_FIELDS; i++) {
		if (node->width[i] > 8)
			return 0;
		stride += node->width[i];
	}
	node_open(layout, node);
	if (!layout->count || layout->count > NODE_ENTRIES_MAX || layout->count * stride > NODE_ROOM)
		return 0;
	for (i = 0; i < layout->count; i++)
		node_entry(layout, node, i, &entries[i]);
	return layout->count;
}

static void edit_entry_field(struct entry *entry, const struct image_edit *e)
{
	u64 *fields[] = { &entry->chunk, &entry->from, &entry->a, &entry->b };
	u64 *field = fields[e->field % 4];

	*field = changed_value(*field, e);
}

static void edit_entries(struct image *im, const struct image_edit *e)
{
	struct node_layout layout;
	struct node_disk *node;
	unsigned int n, at;
	u64 block;

	if (!im->nr_nodes)
		return;
	block = im->nodes[e->where % im->nr_nodes];
	node = (void *)(im->bytes + block * MBLOCK_BYTES);
	n = unpack_node(node, &layout);
	if (!n)
		return;
	at = e->index % n;
	if (e->kind % EDIT_KINDS == EDIT_ENTRY) {
		edit_entry_field(&entries[at], e);
	} else if (e->kind % EDIT_KINDS == EDIT_INSERT) {
		memmove(&entries[at + 1], &entries[at], (n++ - at) * sizeof(entries[0]));
		edit_entry_field(&entries[at + 1], e);
	} else {
		memmove(&entries[at], &entries[at + 1], (--n - at) * sizeof(entries[0]));
	}
	if (n > NODE_ENTRIES_MAX || layout.level >= TREE_DEPTH_MAX)
		return;
	im->changed[block] = 1;
	if (node_build(node, entries, n, layout.level, le64_to_cpu(node->seq)))
		seal_block(im, block);
}

/* ---- maps ---- */

#define M(field) F(struct map_disk, field)

static void edit_map(struct image *im, const struct image_edit *e)
{
	static const struct field fields[] = {
		M(seq), M(index), M(level), M(map), M(magic), M(location), M(crc), { offsetof(struct map_disk, reserved), 8 },
		{ offsetof(struct map_disk, u), 8 }, { offsetof(struct map_disk, u) + 8, 8 },
	};
	const struct field *f = &fields[e->field % ARRAY_SIZE(fields)];
	u64 block;

	if (!im->nr_maps)
		return;
	block = im->maps[e->where % im->nr_maps];
	edit_field(im, block * MBLOCK_BYTES + f->offset, f->size, e);
	if (!(e->mode & EDIT_RAW) && f->offset != offsetof(struct map_disk, location))
		seal_block(im, block);
}

/* The entry in the superblock of a map whose only block that is. */
static struct map_entry_disk *top_entry(struct image *im, const struct map_disk *map)
{
	struct super_disk *super = (void *)im->bytes;

	return map->map ? &super->meta_map : &super->data_map;
}

static void edit_bit(struct image *im, const struct image_edit *e)
{
	struct map_entry_disk *top;
	struct map_disk *map;
	s64 change;
	u64 block;

	if (!im->nr_maps)
		return;
	block = im->maps[e->where % im->nr_maps];
	map = (void *)(im->bytes + block * MBLOCK_BYTES);
	map->u.bits[e->index / 8 % MAP_ROOM] ^= 1 << e->index % 8;
	change = map->u.bits[e->index / 8 % MAP_ROOM] & 1 << e->index % 8 ? 1 : -1;
	im->changed[block] = 1;
	if (!(e->mode & EDIT_RAW))
		seal_block(im, block);
	if (!(e->field & 1))
		return;
	top = top_entry(im, map);
	top->used = cpu_to_le64(le64_to_cpu(top->used) + change);
	put_bytes(im, map->map ? offsetof(struct super_disk, tree_blocks) : offsetof(struct super_disk, nr_exceptions),
		  8, le64_to_cpu(top->used));
	seal_super(im);
}

/* ---- log ---- */

#define L(field) F(struct log_header_disk, field)

static void edit_record(struct image *im, const struct image_edit *e)
{
	static const struct field fields[] = {
		L(stamp.mount), L(stamp.index), L(stamp.magic), L(stamp.seq), L(sectors), L(bytes), L(ops), L(changes),
		L(location), L(prev_crc), L(crc),
	};
	const struct field *f = &fields[e->field % ARRAY_SIZE(fields)];
	unsigned int i, sectors;
	u64 sector;

	if (!im->nr_records)
		return;
	i = e->where % im->nr_records;
	sectors = clamp(le32_to_cpu(record_at(im, i)->sectors), 1U, RECORD_SECTORS_MAX);
	sector = im->records[i] + (f->offset < sizeof(struct log_stamp_disk) ? e->index % sectors : 0);
	edit_field(im, sector * SECTOR_SIZE + f->offset, f->size, e);
	if (e->mode & EDIT_RAW)
		return;
	/* prev_crc is what sealing makes right: here only the record itself. */
	if (f->offset == offsetof(struct log_header_disk, prev_crc)) {
		u32 wrong = record_at(im, i)->prev_crc;

		seal_records(im, i);
		record_at(im, i)->prev_crc = wrong;
	} else {
		seal_records(im, i);
	}
}

static void edit_payload(struct image *im, const struct image_edit *e)
{
	unsigned int i, sectors, at;

	if (!im->nr_records)
		return;
	i = e->where % im->nr_records;
	sectors = clamp(le32_to_cpu(record_at(im, i)->sectors), 1U, RECORD_SECTORS_MAX);
	at = e->index % (sectors * SECTOR_SIZE);
	if (at % SECTOR_SIZE < sizeof(struct log_stamp_disk) || at < sizeof(struct log_header_disk))
		at += sizeof(struct log_header_disk);
	edit_field(im, im->records[i] * SECTOR_SIZE + at, 1 + e->field % 8, e);
	if (!(e->mode & EDIT_RAW))
		seal_records(im, i);
}

static struct {
	u8 data[RECORD_SECTORS_MAX * SECTOR_SIZE];
	struct record record;
	struct group_state state; /* the allocation position */
} open;

static void put_op(const struct image_edit *e, const struct super *super)
{
	struct entry entry;
	struct image_op op;

	memcpy(&op, (const u8 *)e + offsetof(struct image_edit, index), sizeof(op));
	entry.chunk = op.chunk + ((u64)op.wide << 40);
	entry.from = image_id(op.from);
	entry.a = image_id(op.to);
	entry.b = op.flags & 1 ? open.state.alloc_pos + op.block : op.block + super->data_start;
	switch (e->field % 7) {
	case OP_NARROW:
		record_narrow(&open.record, &entry, image_id(op.new_from), image_id(op.new_to));
		break;
	case OP_REMOVE:
		record_remove(&open.record, &entry);
		break;
	case OP_CREATE:
		record_create(&open.record, entry.from);
		break;
	case OP_DELETE:
		record_delete(&open.record, entry.from);
		break;
	case OP_CURSOR:
		record_cursor(&open.record, op.flags & OP_CURSOR_END, entry.chunk, entry.from);
		break;
	default:
		record_add(&open.record, &open.state, &entry);
		open.state.alloc_pos = entry.b;
		break;
	}
}

/* The record that the operations make, behind the last one of the log. */
static void put_record(struct image *im)
{
	struct log_header_disk header = { 0 };
	u64 end, at, seq;
	struct super super;
	u32 sectors, crc;

	if (!open.record.ops || super_unpack(&super, (void *)im->bytes) || super.error ||
	    im->nr_records == IMAGE_RECORDS_MAX)
		goto out;
	end = (super.log_start + super.log_blocks) * MBLOCK_SECTORS;
	at = super.log_next;
	seq = super.log_seq + im->nr_records + 1;
	crc = super.log_crc;
	if (im->nr_records) {
		const struct log_header_disk *last = record_at(im, im->nr_records - 1);

		at = im->records[im->nr_records - 1] + le32_to_cpu(last->sectors);
		crc = le32_to_cpu(last->crc);
		if (at > end || end - at < super.record_sectors)
			at = super.log_start * MBLOCK_SECTORS;
	}
	sectors = record_sectors_for(open.record.bytes, super.block_sectors);
	if (sectors > super.record_sectors || at + sectors > im->blocks * MBLOCK_SECTORS)
		goto out;
	header.stamp.mount = cpu_to_le32(super.mount);
	header.stamp.seq = cpu_to_le64(seq);
	header.prev_crc = cpu_to_le32(crc);
	header.location = cpu_to_le64(at);
	header.sectors = cpu_to_le32(sectors);
	record_seal(&open.record, &header);
	for (u32 i = 0; i < sectors; i++)
		im->changed[(at + i) / MBLOCK_SECTORS] = 1;
	memcpy(im->bytes + at * SECTOR_SIZE, open.data, sectors * SECTOR_SIZE);
	im->records[im->nr_records++] = at;
out:
	record_reset(&open.record);
}

static void edit_op(struct image *im, const struct image_edit *e)
{
	struct super super;

	if (e->where & 1)
		put_record(im);
	if (super_unpack(&super, (void *)im->bytes))
		return;
	put_op(e, &super);
}

/* The last block that the log has given, for operations that are to come. */
static void begin_ops(struct image *im)
{
	struct super super;

	open.record.data = open.data;
	record_reset(&open.record);
	memset(&open.state, 0, sizeof(open.state));
	if (super_unpack(&super, (void *)im->bytes))
		return;
	open.state.alloc_pos = super.alloc_pos;
	for (unsigned int i = 0; i < im->nr_records; i++) {
		const struct log_header_disk *header = record_at(im, i);
		struct log_reader reader = { .data = (const u8 *)header, .bytes = le32_to_cpu(header->bytes) };
		struct log_operation op;

		while (reader.bytes <= record_capacity(le32_to_cpu(header->sectors)) &&
		       record_next(&reader, open.state.alloc_pos, &op) > 0)
			if (op.op == OP_ADD)
				open.state.alloc_pos = op.block;
	}
}

/* ---- blocks and bytes ---- */

static void edit_copy(struct image *im, const struct image_edit *e)
{
	u64 from = e->index % im->blocks, to = e->value % im->blocks;

	memcpy(im->bytes + to * MBLOCK_BYTES, im->bytes + from * MBLOCK_BYTES, MBLOCK_BYTES);
	im->changed[to] = 1;
	if (!(e->mode & EDIT_RAW))
		seal_byte(im, to * MBLOCK_BYTES);
}

static void edit_bytes(struct image *im, const struct image_edit *e)
{
	u64 at = e->index % (im->blocks * MBLOCK_BYTES);

	edit_field(im, at, 1 + e->field % 8, e);
	if (!(e->mode & EDIT_RAW))
		seal_byte(im, at);
}

static void edit_sectors(struct image *im, const struct image_edit *e)
{
	u64 at = e->index % (im->blocks * MBLOCK_SECTORS), n = min(e->where + 1ULL, im->blocks * MBLOCK_SECTORS - at);

	if (e->kind % EDIT_KINDS == EDIT_UNREADABLE) {
		im->unreadable[im->nr_unreadable].sector = at;
		im->unreadable[im->nr_unreadable++].sectors = n;
		return;
	}
	memset(im->bytes + at * SECTOR_SIZE, 0, n * SECTOR_SIZE);
	for (u64 i = 0; i < n; i++)
		im->changed[(at + i) / MBLOCK_SECTORS] = 1;
	if (!(e->mode & EDIT_RAW))
		seal_byte(im, at * SECTOR_SIZE);
}

static void apply_one(struct image *im, const struct image_edit *e)
{
	switch (e->kind % EDIT_KINDS) {
	case EDIT_SUPER:
		edit_super(im, e);
		break;
	case EDIT_NODE:
		edit_node(im, e);
		break;
	case EDIT_ENTRY:
	case EDIT_INSERT:
	case EDIT_REMOVE:
		edit_entries(im, e);
		break;
	case EDIT_MAP:
		edit_map(im, e);
		break;
	case EDIT_BIT:
		edit_bit(im, e);
		break;
	case EDIT_RECORD:
		edit_record(im, e);
		break;
	case EDIT_PAYLOAD:
		edit_payload(im, e);
		break;
	case EDIT_OP:
		edit_op(im, e);
		break;
	case EDIT_COPY:
		edit_copy(im, e);
		break;
	case EDIT_BYTES:
		edit_bytes(im, e);
		break;
	default:
		edit_sectors(im, e);
		break;
	}
}

void image_apply(struct image *im, const struct image_edit *edits, unsigned int n)
{
	begin_ops(im);
	for (unsigned int i = 0; i < n; i++)
		apply_one(im, &edits[i]);
	put_record(im);
}

void image_restore(struct image *im)
{
	for (u64 b = 0; b < im->blocks; b++) {
		if (!im->changed[b])
			continue;
		memcpy(im->bytes + b * MBLOCK_BYTES, im->pristine + b * MBLOCK_BYTES, MBLOCK_BYTES);
		im->changed[b] = 0;
	}
	im->nr_unreadable = 0;
	im->nr_records = im->base_records;
}
