// SPDX-License-Identifier: GPL-2.0
/*
 * The allocation maps against what the tree uses: FORMAT.md section 5.
 *
 * Method: the numbers in use are a sorted array; the map is walked in order, and each bitmap block
 * is compared with the bytes that the array gives. A part of the map that was never written is all
 * zero and costs nothing, so that the work depends on what is in use, not on the size of the
 * device. The recursion goes down the levels of the map: at most 8.
 */
#include "check_int.h"

#define MAP_MAGIC 0x4D4B494Du
#define MAP_BITS 32256u /* in a block */
#define MAP_ENTRIES 252u /* in a directory block */
#define MAP_BYTES (MAP_BITS / 8)

enum {
	AT_CRC = 4,
	AT_LOCATION = 8,
	AT_SEQ = 16,
	AT_INDEX = 24,
	AT_LEVEL = 32,
	AT_MAP = 33,
	AT_RESERVED = 34,
	AT_CONTENT = 64,
};

struct map {
	struct check *c;
	const char *area;
	unsigned int number; /* 0 data, 1 metadata */
	u64 start; /* first block of the slots */
	u64 bits;
	struct check_map_shape shape;
	bool compare;
	u64 first; /* the chunk or block of bit 0 */
	const u64 *used; /* in use, sorted, each once */
	size_t nr_used, next; /* those before next are dealt with */
};

static void wrong_bits(struct map *m, u64 number, u64 count, bool in_map)
{
	struct check_place place = check_at_sector(m->area, CHECK_NOWHERE);
	const char *what = m->number ? "block" : "chunk";
	char range[64];

	if (count == 1)
		snprintf(range, sizeof(range), "%s %llu is", what, number);
	else
		snprintf(range, sizeof(range), "%ss %llu..%llu are", what, number,
			 number + count - 1);
	check_found(m->c, &place, "bits",
		    in_map ? "%s marked as in use, but nothing uses it (lost space)" :
			     "%s marked as free, but in use",
		    range);
}

/* The map has nothing in [from, to), counted in bits. */
static void compare_nothing(struct map *m, u64 to)
{
	while (m->next < m->nr_used && m->used[m->next] - m->first < to) {
		u64 number = m->used[m->next], n = 0;

		while (m->next < m->nr_used && m->used[m->next] == number + n &&
		       number + n - m->first < to) {
			m->next++;
			n++;
		}
		if (m->compare)
			wrong_bits(m, number, n, false);
	}
}

/* The map is damaged up to @to: nothing is known. */
static void compare_unknown(struct map *m, u64 to)
{
	while (m->next < m->nr_used && m->used[m->next] - m->first < to)
		m->next++;
}

static bool bit_of(const u8 *bits, u32 bit)
{
	return bits[bit / 8] >> bit % 8 & 1;
}

static void compare_bits(struct map *m, u64 from, u64 to, const u8 *bits)
{
	u8 expected[MAP_BYTES] = { 0 };
	u32 bit, n;

	for (; m->next < m->nr_used && m->used[m->next] - m->first < to; m->next++) {
		u64 used = m->used[m->next] - m->first - from;

		expected[used / 8] |= 1 << used % 8;
	}
	if (!m->compare || !memcmp(expected, bits, MAP_BYTES))
		return;
	for (bit = 0; bit < to - from; bit += n) {
		bool in_map = bit_of(bits, bit);

		n = 1;
		if (bit_of(expected, bit) == in_map)
			continue;
		while (bit + n < to - from && bit_of(bits, bit + n) == in_map &&
		       bit_of(expected, bit + n) != in_map)
			n++;
		wrong_bits(m, m->first + from + bit, n, in_map);
	}
}

/* ---- one block ---- */

static bool check_header(struct map *m, const struct check_place *place, u64 block,
			 unsigned int level, u64 index, u64 seq, const u8 *b)
{
	struct check *c = m->c;
	u32 magic = get_unaligned_le32(b), crc = get_unaligned_le32(b + AT_CRC), expected;

	if (magic != MAP_MAGIC) {
		check_found(c, place, "magic", "is %#010x, expected %#010x", magic, MAP_MAGIC);
		return false;
	}
	expected = check_crc(b, CHECK_BLOCK_BYTES, AT_CRC);
	if (crc != expected) {
		check_found(c, place, "crc", "is %#010x, expected %#010x", crc, expected);
		return false;
	}
	if (get_unaligned_le64(b + AT_LOCATION) != block) {
		check_advise(c, place, "location", "a write went to another place than it should",
			     "is %llu, expected %llu", get_unaligned_le64(b + AT_LOCATION), block);
		return false;
	}
	if (get_unaligned_le64(b + AT_SEQ) != seq) {
		check_advise(c, place, "seq", "an old block: the write of the new one was lost",
			     "is %llu, expected %llu as its entry says",
			     get_unaligned_le64(b + AT_SEQ), seq);
		return false;
	}
	if (get_unaligned_le64(b + AT_INDEX) != index || b[AT_LEVEL] != level ||
	    b[AT_MAP] != m->number) {
		check_found(c, place, "index",
			    "is block %llu of level %u of map %u, expected %llu, %u, %u",
			    get_unaligned_le64(b + AT_INDEX), b[AT_LEVEL], b[AT_MAP], index, level,
			    m->number);
		return false;
	}
	if (!check_all_zero(b + AT_RESERVED, AT_CONTENT - AT_RESERVED))
		check_found(c, place, "reserved", "bytes are not zero");
	return true;
}

/* @size: a multiple of 8. */
static u64 count_ones(const u8 *bytes, size_t size)
{
	u64 ones = 0;

	/* Eight bytes at once: most maps are nearly empty. */
	for (size_t i = 0; i < size; i += 8) {
		u64 word = get_unaligned_le64(bytes + i);

		ones += word ? __builtin_popcountll(word) : 0;
	}
	return ones;
}

/* Bits that one block of @level covers. */
static u64 span(unsigned int level)
{
	u64 bits = MAP_BITS;

	while (level--) {
		if (bits > ~0ULL / MAP_ENTRIES)
			return ~0ULL;
		bits *= MAP_ENTRIES;
	}
	return bits;
}

/* The bit behind the last one of block @index of @level. */
static u64 block_end(const struct map *m, unsigned int level, u64 index)
{
	u64 bits = span(level);

	return index >= m->bits / bits ? m->bits : (index + 1) * bits;
}

static void check_bitmap(struct map *m, const struct check_place *place, u64 index, const u8 *bits)
{
	u64 from = index * MAP_BITS, to = block_end(m, 0, index);
	u32 bit = find_next_bit_le(bits, MAP_BITS, to - from);

	if (bit < MAP_BITS)
		check_found(m->c, place, "bits",
			    "bit %u is set, behind the end of the map at %llu", bit, to - from);
	compare_bits(m, from, to, bits);
}

static u64 check_block(struct map *m, unsigned int level, u64 index, struct check_map_entry entry);

static u64 check_directory(struct map *m, const struct check_place *here, unsigned int level,
			   u64 index, u64 seq, const u8 *entries)
{
	struct check *c = m->c;
	u64 used = 0;

	for (u32 i = 0; i < MAP_ENTRIES; i++) {
		struct check_place place = check_at_part(*here, "entry", i);
		u64 child = index * MAP_ENTRIES + i;
		struct check_map_entry entry = {
			get_unaligned_le64(entries + 16 * i),
			get_unaligned_le64(entries + 16 * i + 8),
		};

		used += entry.used;
		if (child >= m->shape.n[level - 1]) {
			if (entry.place || entry.used)
				check_found(c, &place, "entry",
					    "is not zero, behind the end of the map");
			continue;
		}
		if (!check_map_entry(c, &place, &entry)) {
			compare_unknown(m, block_end(m, level - 1, child));
			continue;
		}
		if (entry.place / 2 > seq)
			check_found(c, &place, "seq", "is %llu, above %llu, that of this block",
				    entry.place / 2, seq);
		check_block(m, level - 1, child, entry);
	}
	return used;
}

/* Looks at the block that @entry describes, and at all below it. */
static u64 check_block(struct map *m, unsigned int level, u64 index, struct check_map_entry entry)
{
	u64 block = m->start + 2 * (m->shape.first[level] + index) + (entry.place & 1), used;
	struct check_place place = check_at_block(m->area, block);
	u8 b[CHECK_BLOCK_BYTES];

	if (!entry.place) {
		compare_nothing(m, block_end(m, level, index));
		return 0;
	}
	if (!check_read_block(m->c, &place, block, b) ||
	    !check_header(m, &place, block, level, index, entry.place / 2, b)) {
		compare_unknown(m, block_end(m, level, index));
		return entry.used;
	}
	if (level) {
		used = check_directory(m, &place, level, index, entry.place / 2, b + AT_CONTENT);
	} else {
		check_bitmap(m, &place, index, b + AT_CONTENT);
		used = count_ones(b + AT_CONTENT, MAP_BYTES);
	}
	if (used != entry.used)
		check_found(m->c, &place, "used",
			    "is %llu in the entry of this block, but below it are %llu ones",
			    entry.used, used);
	return used;
}

static void check_map(struct map *m, const struct check_map_entry *top, const char *counter_name,
		      u64 counter)
{
	struct check_place place = check_at_sector(CHECK_SUPERBLOCK, 0);

	m->shape = check_map_shape(m->bits);
	if (!m->bits)
		return;
	if (top->used != counter)
		check_found(m->c, &place, "used", "of the %s is %llu, expected %s = %llu", m->area,
			    top->used, counter_name, counter);
	if (top->place / 2 > m->c->sb.ckpt || top->place == 1)
		return; /* found by check_super() */
	check_block(m, m->shape.levels - 1, 0, *top);
}

/* ---- what is in use ---- */

/* Names both owners of each chunk that has several; looked for only then. */
static void report_owners(struct check *c, u64 block)
{
	struct check_place place = check_at_sector(CHECK_TREE, CHECK_NOWHERE);
	const struct check_exception *first = NULL;

	for (size_t i = 0; i < c->nr_exceptions; i++) {
		const struct check_exception *ex = &c->exceptions[i];

		if (ex->block != block)
			continue;
		if (first) {
			check_found(
				c, &place, "value",
				"chunk %llu belongs to two exceptions: (%llu, %s) and (%llu, %s)",
				block, first->chunk, check_snapid(first->from), ex->chunk,
				check_snapid(ex->from));
			return;
		}
		first = ex;
	}
}

/* Fills c->chunks. */
static bool collect_chunks(struct check *c)
{
	struct check_place place = check_at_sector(CHECK_TREE, CHECK_NOWHERE);
	u64 twice = 0, reported = 0;
	size_t n = 0;

	c->chunks = reallocarray(NULL, c->nr_exceptions + 1, sizeof(*c->chunks));
	if (!c->chunks) {
		c->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < c->nr_exceptions; i++)
		c->chunks[i] = c->exceptions[i].block;
	check_sort_u64(c->chunks, c->nr_exceptions);
	for (size_t i = 0; i < c->nr_exceptions; i++) {
		if (!n || c->chunks[i] != c->chunks[n - 1]) {
			c->chunks[n++] = c->chunks[i];
		} else if (++twice && reported < 10) {
			report_owners(c, c->chunks[i]);
			reported++;
		}
	}
	if (twice > reported)
		check_found(c, &place, "value", "%llu more chunks belong to several exceptions",
			    twice - reported);
	c->nr_chunks = n;
	return true;
}

void check_maps(struct check *c)
{
	const struct check_super *sb = &c->sb;
	struct map data = {
		.c = c,
		.area = CHECK_DATA_MAP,
		.number = 0,
		.start = sb->map_start,
		.bits = sb->data_chunks,
		.compare = c->tree_whole,
		.first = sb->data_start,
	};
	struct map meta = {
		.c = c,
		.area = CHECK_META_MAP,
		.number = 1,
		.bits = sb->meta_blocks,
		.start = sb->map_start + 2 * check_map_shape(sb->data_chunks).total,
		.compare = c->tree_whole,
		.first = sb->meta_start,
	};

	if (!collect_chunks(c))
		return;
	check_sort_u64(c->nodes, c->nr_nodes);
	data.used = c->chunks;
	data.nr_used = c->nr_chunks;
	check_map(&data, &sb->data_map, "nr_exceptions", sb->nr_exceptions);
	meta.used = c->nodes;
	meta.nr_used = c->nr_nodes;
	check_map(&meta, &sb->meta_map, "tree_blocks", sb->tree_blocks);
}
