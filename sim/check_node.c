// SPDX-License-Identifier: GPL-2.0
/*
 * One node of the tree: FORMAT.md section 4.1: what its parent says of it, and what it says itself.
 *
 * Entries are unpacked into 64-bit fields. A node whose bytes are as written but not canonical (a
 * base that is not the least value, a width too great) is a finding, and its entries are used all
 * the same.
 */
#include "check_int.h"

enum {
	AT_CRC = 4,
	AT_LOCATION = 8,
	AT_SEQ = 16,
	AT_COUNT = 24,
	AT_LEVEL = 26,
	AT_WIDTH = 32,
	AT_BASE = 40,
	AT_ENTRIES = 88,
	AT_END = 4088,
};

#define NODE_MAGIC 0x4E4B494Du

static const char *const leaf_names[CHECK_NODE_FIELDS] = {
	"chunk",	   "high half of from", "low half of from",
	"high half of to", "low half of to",	"value",
};
static const char *const inner_names[CHECK_NODE_FIELDS] = {
	"chunk", "high half of from", "low half of from", "child", "seq of child", "unused field",
};

/* Greatest width in bytes, and the greatest value. */
static const u8 leaf_widths[CHECK_NODE_FIELDS] = { 7, 4, 4, 4, 4, 6 };
static const u8 inner_widths[CHECK_NODE_FIELDS] = { 7, 4, 4, 6, 8, 0 };

static u64 greatest_value(bool leaf, unsigned int f)
{
	if (f == 0)
		return CHECK_CHUNKS_END;
	if (f <= 2 || (leaf && f <= 4))
		return 0xffffffffu;
	if (!leaf && f == 4)
		return ~0ULL;
	return leaf || f == 3 ? (1ULL << 48) - 1 : 0;
}

/* The least number of bytes that holds @value; 0 for 0. */
static unsigned int bytes_for(u64 value)
{
	unsigned int n = 0;

	for (; value; value >>= 8)
		n++;
	return n;
}

static u64 read_field(const u8 *p, unsigned int width)
{
	u64 value = 0;

	while (width--)
		value = value << 8 | p[width];
	return value;
}

static bool check_identity(struct check *c, const struct check_place *place, u64 block, const u8 *b)
{
	u32 magic = get_unaligned_le32(b), crc = get_unaligned_le32(b + AT_CRC), expected;
	u64 location = get_unaligned_le64(b + AT_LOCATION);

	if (magic != NODE_MAGIC) {
		check_found(c, place, "magic", "is %#010x, expected %#010x", magic, NODE_MAGIC);
		return false;
	}
	expected = check_crc(b, CHECK_BLOCK_BYTES, AT_CRC);
	if (crc != expected) {
		check_found(c, place, "crc", "is %#010x, expected %#010x", crc, expected);
		return false;
	}
	if (location != block) {
		check_advise(c, place, "location", "a write went to another place than it should",
			     "is %llu, expected %llu", location, block);
		return false;
	}
	return true;
}

/* Where the entries are and how wide; false: they cannot be taken apart. */
static bool check_frame(struct check *c, const struct check_place *place, const u8 *b,
			unsigned int *size)
{
	u32 count = get_unaligned_le16(b + AT_COUNT);
	bool leaf = !b[AT_LEVEL], good = true;

	*size = 0;
	for (unsigned int f = 0; f < CHECK_NODE_FIELDS; f++) {
		unsigned int width = b[AT_WIDTH + f],
			     most = leaf ? leaf_widths[f] : inner_widths[f];

		*size += width;
		if (width <= most)
			continue;
		check_found(c, place, "width", "of field %u (%s) is %u bytes, expected at most %u",
			    f, leaf ? leaf_names[f] : inner_names[f], width, most);
		good = false;
	}
	if (!good)
		return false;
	if (count < 1 || count > CHECK_NODE_MAX_ENTRIES || count * *size > AT_END - AT_ENTRIES) {
		check_found(c, place, "count",
			    "is %u entries of %u bytes, expected 1..1000 in %u bytes", count, *size,
			    AT_END - AT_ENTRIES);
		return false;
	}
	return true;
}

static void check_unused(struct check *c, const struct check_place *place, const u8 *b,
			 unsigned int used)
{
	if (!check_all_zero(b + 27, 5) || !check_all_zero(b + 38, 2) ||
	    !check_all_zero(b + AT_END, CHECK_BLOCK_BYTES - AT_END))
		check_found(c, place, "reserved", "bytes are not zero");
	if (!check_all_zero(b + AT_ENTRIES + used, AT_END - AT_ENTRIES - used))
		check_found(c, place, "entries",
			    "are followed by bytes that are not zero, from byte %u on",
			    AT_ENTRIES + used);
}

/* Field @f of all entries; false: a value is out of its range. */
static bool decode_field(struct check *c, const struct check_place *place, const u8 *b, const u8 *p,
			 unsigned int size, unsigned int f, struct check_node *node)
{
	const char *name = node->level ? inner_names[f] : leaf_names[f];
	u64 base = get_unaligned_le64(b + AT_BASE + 8 * f), least = ~0ULL, greatest = 0;
	u64 limit = greatest_value(!node->level, f);
	unsigned int width = b[AT_WIDTH + f];

	for (unsigned int i = 0; i < node->count; i++, p += size) {
		u64 difference = read_field(p, width);

		if (base > limit || difference > limit - base) {
			struct check_place entry = check_at_part(*place, "entry", i);

			check_found(c, &entry, name, "is %llu + %llu, expected at most %llu", base,
				    difference, limit);
			return false;
		}
		least = difference < least ? difference : least;
		greatest = difference > greatest ? difference : greatest;
		node->field[i][f] = base + difference;
	}
	if (least)
		check_found(c, place, "base",
			    "of field %u (%s) is %llu, expected the least value, %llu", f, name,
			    base, base + least);
	if (width != bytes_for(greatest - least))
		check_found(c, place, "width", "of field %u (%s) is %u bytes, expected %u", f, name,
			    width, bytes_for(greatest - least));
	return true;
}

static bool check_parent(struct check *c, const struct check_place *place, const u8 *b, u8 level,
			 u64 seq)
{
	u64 own = get_unaligned_le64(b + AT_SEQ);

	if (own < 1 || own > c->sb.ckpt || own != seq) {
		check_advise(c, place, "seq", "an old block: the write of the new one was lost",
			     "is %llu, expected %llu as its parent says, in 1..%llu", own, seq,
			     c->sb.ckpt);
		return false;
	}
	if (b[AT_LEVEL] != level) {
		check_found(c, place, "level", "is %u, expected %u", b[AT_LEVEL], level);
		return false;
	}
	return true;
}

bool check_node(struct check *c, u64 block, const u8 *bytes, u8 level, u64 seq,
		struct check_node *node)
{
	struct check_place place = check_at_block(CHECK_TREE, block);
	const u8 *p = bytes + AT_ENTRIES;
	unsigned int size;

	if (!check_identity(c, &place, block, bytes) ||
	    !check_parent(c, &place, bytes, level, seq) || !check_frame(c, &place, bytes, &size))
		return false;
	node->seq = seq;
	node->count = get_unaligned_le16(bytes + AT_COUNT);
	node->level = level;
	check_unused(c, &place, bytes, node->count * size);
	for (unsigned int f = 0; f < CHECK_NODE_FIELDS; f++) {
		if (!decode_field(c, &place, bytes, p, size, f, node))
			return false;
		p += bytes[AT_WIDTH + f];
	}
	return true;
}
