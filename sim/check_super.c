// SPDX-License-Identifier: GPL-2.0
/*
 * Superblock and geometry: FORMAT.md sections 1 and 2.
 *
 * Sums that are too large stay the largest number, since every field may be anything; the sum of data_start and
 * data_chunks is among them, so that no such geometry passes. Only the bounds of the areas
 * decide whether the check can go on; another field that breaks its rule is a finding, and those
 * who use it look again.
 */
#include <errno.h>

#include "check_int.h"

static u64 sum(u64 a, u64 b)
{
	return a + b < a ? U64_MAX : a + b;
}

static u64 product(u64 a, u64 b)
{
	return b && a > U64_MAX / b ? U64_MAX : a * b;
}

static const struct check_place here = { .area = CHECK_SUPERBLOCK, .sector = 0 };

static bool impossible(struct check *c, const char *why)
{
	c->report->result = CHECK_IMPOSSIBLE;
	snprintf(c->report->reason, sizeof(c->report->reason), "%s", why);
	return false;
}

/* ---- decoding ---- */

static void decode_geometry(struct check_super *sb, const u8 *b)
{
	sb->mount = get_unaligned_le32(b + 40);
	sb->mount_seq = get_unaligned_le64(b + 288);
	sb->error = get_unaligned_le32(b + 44);
	sb->chunk_shift = get_unaligned_le32(b + 48);
	sb->block_sectors = get_unaligned_le32(b + 52);
	sb->origin_sectors = get_unaligned_le64(b + 56);
	sb->device_sectors = get_unaligned_le64(b + 64);
	sb->log_start = get_unaligned_le64(b + 72);
	sb->log_blocks = get_unaligned_le32(b + 80);
	sb->record_sectors = get_unaligned_le32(b + 84);
	sb->max_changes = get_unaligned_le32(b + 88);
	sb->map_start = get_unaligned_le64(b + 96);
	sb->meta_start = get_unaligned_le64(b + 104);
	sb->meta_blocks = get_unaligned_le64(b + 112);
	sb->data_start = get_unaligned_le64(b + 120);
	sb->data_chunks = get_unaligned_le64(b + 128);
	sb->max_entries = get_unaligned_le64(b + 136);
}

static void decode_checkpoint(struct check_super *sb, const u8 *b)
{
	sb->ckpt = get_unaligned_le64(b + 144);
	sb->root = get_unaligned_le64(b + 152);
	sb->root_seq = get_unaligned_le64(b + 160);
	sb->depth = get_unaligned_le32(b + 168);
	sb->log_crc = get_unaligned_le32(b + 172);
	sb->log_seq = get_unaligned_le64(b + 176);
	sb->log_next = get_unaligned_le64(b + 184);
	sb->alloc_pos = get_unaligned_le64(b + 192);
	sb->next_first = get_unaligned_le64(b + 200);
	sb->nr_snapshots = get_unaligned_le64(b + 208);
	sb->nr_exceptions = get_unaligned_le64(b + 216);
	sb->tree_blocks = get_unaligned_le64(b + 224);
	sb->reclaim = get_unaligned_le32(b + 232);
	sb->cursor_chunk = get_unaligned_le64(b + 240);
	sb->cursor_from = get_unaligned_le64(b + 248);
	sb->data_map.place = get_unaligned_le64(b + 256);
	sb->data_map.used = get_unaligned_le64(b + 264);
	sb->meta_map.place = get_unaligned_le64(b + 272);
	sb->meta_map.used = get_unaligned_le64(b + 280);
}

/* ---- is it ours, and known? ---- */

static bool check_identity(struct check *c, const u8 *b)
{
	u32 crc = get_unaligned_le32(b + 8), expected, version = get_unaligned_le32(b + 12);
	u64 ro_compat = get_unaligned_le64(b + 24), incompat = get_unaligned_le64(b + 32);
	char why[96];

	if (check_all_zero(b, SECTOR_SIZE))
		return impossible(c, "not formatted: the first sector is all zero");
	if (memcmp(b, "MSnapMik", 8))
		return impossible(c, "not a mikulas store: no magic in the first sector");
	expected = check_crc(b, SECTOR_SIZE, 8);
	if (crc != expected) {
		check_advise(c, &here, "crc",
			     "nothing else can be looked at without it; restore the image",
			     "is %#010x, expected %#010x", crc, expected);
		return false;
	}
	if (version != 1) {
		snprintf(why, sizeof(why), "version %u of the format is not known (1 is)", version);
		return impossible(c, why);
	}
	if (ro_compat | incompat) {
		snprintf(why, sizeof(why),
			 "feature bits that are not known: ro_compat %#llx, incompat %#llx",
			 ro_compat, incompat);
		return impossible(c, why);
	}
	return true;
}

/* ---- geometry ---- */

struct check_map_shape check_map_shape(u64 bits)
{
	struct check_map_shape shape = { 0 };
	u64 n = bits / 32256 + !!(bits % 32256);

	for (;;) {
		shape.n[shape.levels] = n;
		shape.first[shape.levels++] = shape.total;
		shape.total += n;
		if (n <= 1 || shape.levels == CHECK_MAP_LEVELS)
			return shape;
		n = n / 252 + !!(n % 252);
	}
}

static bool check_sizes(struct check *c)
{
	const struct check_super *sb = &c->sb;
	u64 before = c->report->nr_errors;

	if (sb->chunk_shift < 3 || sb->chunk_shift > 21)
		check_found(c, &here, "chunk_shift", "is %u, expected 3..21", sb->chunk_shift);
	if (sb->block_sectors != 1 && sb->block_sectors != 2 && sb->block_sectors != 4 &&
	    sb->block_sectors != 8)
		check_found(c, &here, "block_sectors", "is %u, expected 1, 2, 4 or 8",
			    sb->block_sectors);
	if (sb->log_blocks < 32 || sb->log_blocks > 16384)
		check_found(c, &here, "log_blocks", "is %u, expected 32..16384", sb->log_blocks);
	if (sb->record_sectors % 8 || sb->record_sectors < 8 || sb->record_sectors > 128 ||
	    sb->record_sectors > sb->log_blocks)
		check_found(
			c, &here, "record_sectors",
			"is %u, expected a multiple of 8, from 8 to 128 and an eighth of the log (%u)",
			sb->record_sectors, sb->log_blocks);
	if (sb->origin_sectors < 1 || sb->origin_sectors > 1ULL << 54)
		check_found(c, &here, "origin_sectors", "is %llu, expected 1..2^54",
			    sb->origin_sectors);
	if (sb->device_sectors < 1 || sb->device_sectors > 1ULL << 54)
		check_found(c, &here, "device_sectors", "is %llu, expected 1..2^54",
			    sb->device_sectors);
	if (sb->data_chunks < 1)
		check_found(c, &here, "data_chunks", "is 0, expected at least 1");
	return c->report->nr_errors == before;
}

static bool check_areas(struct check *c)
{
	const struct check_super *sb = &c->sb;
	u64 log_end = sum(sb->log_start, sb->log_blocks);
	u64 meta_end = product(sum(sb->meta_start, sb->meta_blocks), CHECK_BLOCK_SECTORS);
	u64 data_start = product(sb->data_start, 1ULL << sb->chunk_shift);
	u64 data_end = product(sum(sb->data_start, sb->data_chunks), 1ULL << sb->chunk_shift);
	u64 maps = sum(check_map_shape(sb->data_chunks).total, check_map_shape(sb->meta_blocks).total);
	u64 maps_end = sum(sb->map_start, product(2, maps));
	u64 before = c->report->nr_errors;

	if (sb->log_start < 1)
		check_found(c, &here, "log_start", "is 0, which is the superblock");
	if (log_end > sb->map_start)
		check_found(c, &here, "map_start",
			    "is %llu, inside the log of %u blocks from block %llu", sb->map_start,
			    sb->log_blocks, sb->log_start);
	if (sb->meta_start != maps_end)
		check_found(c, &here, "meta_start",
			    "is %llu, expected %llu, right behind both maps", sb->meta_start,
			    maps_end);
	if (meta_end > data_start)
		check_found(
			c, &here, "data_start",
			"is chunk %llu, inside the metadata area of %llu blocks from block %llu",
			sb->data_start, sb->meta_blocks, sb->meta_start);
	if (data_end > sb->device_sectors)
		check_found(c, &here, "data_chunks",
			    "%llu from chunk %llu on do not fit into device_sectors = %llu",
			    sb->data_chunks, sb->data_start, sb->device_sectors);
	if (sum(sb->data_start, sb->data_chunks) > 1ULL << 48)
		check_found(c, &here, "data_chunks",
			    "the area ends at chunk %llu, expected at most 2^48",
			    sum(sb->data_start, sb->data_chunks));
	return c->report->nr_errors == before;
}

/* Limits that do not move anything. */
static void check_limits(struct check *c)
{
	const struct check_super *sb = &c->sb;
	u64 leaves = sb->max_entries / 137 + !!(sb->max_entries % 137);
	u64 reserve = 3 * (leaves + leaves / 64 + 4) + 16;

	if (sb->device_sectors > c->source->sectors)
		check_advise(c, &here, "device_sectors",
			     "the device or image was cut short: bring it back to its full size",
			     "is %llu, but the device has only %llu sectors", sb->device_sectors,
			     c->source->sectors);
	if (sb->max_changes < 256 || sb->max_changes > 64 * sb->log_blocks)
		check_found(c, &here, "max_changes",
			    "is %u, expected 256..%u (64 for each block of the log)", sb->max_changes,
			    64 * sb->log_blocks);
	if (sb->max_entries < sb->data_chunks)
		check_found(c, &here, "max_entries",
			    "is %llu, expected at least data_chunks = %llu", sb->max_entries,
			    sb->data_chunks);
	if (sb->max_entries > 1ULL << 49)
		check_found(c, &here, "max_entries", "is %llu, expected at most 2^49",
			    sb->max_entries);
	if (sb->meta_blocks > 1ULL << 48)
		check_found(c, &here, "meta_blocks", "is %llu, expected at most 2^48",
			    sb->meta_blocks);
	if (sb->meta_blocks < reserve)
		check_found(c, &here, "meta_blocks",
			    "is %llu, expected at least %llu for max_entries = %llu",
			    sb->meta_blocks, reserve, sb->max_entries);
}

bool check_geometry(struct check *c)
{
	if (!check_sizes(c) || !check_areas(c))
		return false;
	check_limits(c);
	return true;
}

/* ---- the checkpoint's fields ---- */

bool check_map_entry(struct check *c, const struct check_place *place,
		     const struct check_map_entry *entry)
{
	u64 seq = entry->place / 2;

	if (!entry->place) {
		if (!entry->used)
			return true;
		check_found(c, place, "used",
			    "is %llu in an entry that was never written, expected 0", entry->used);
		return false;
	}
	if (seq >= 1 && seq <= c->sb.ckpt)
		return true;
	check_found(c, place, "seq", "is %llu, expected 1..%llu (the number of the checkpoint)",
		    seq, c->sb.ckpt);
	return false;
}

static void check_root(struct check *c)
{
	const struct check_super *sb = &c->sb;

	if (sb->depth > CHECK_MAX_DEPTH)
		check_found(c, &here, "depth", "is %u, expected at most %u", sb->depth,
			    CHECK_MAX_DEPTH);
	if (!sb->root) {
		if (sb->depth)
			check_found(c, &here, "depth", "is %u in an empty tree, expected 0",
				    sb->depth);
		if (sb->root_seq)
			check_found(c, &here, "root_seq", "is %llu in an empty tree, expected 0",
				    sb->root_seq);
		return;
	}
	if (!sb->depth)
		check_found(c, &here, "depth", "is 0, but there is a root, block %llu", sb->root);
	if (sb->root < sb->meta_start || sb->root - sb->meta_start >= sb->meta_blocks)
		check_found(c, &here, "root",
			    "is block %llu, outside of the metadata area of %llu blocks from %llu",
			    sb->root, sb->meta_blocks, sb->meta_start);
	if (sb->root_seq < 1 || sb->root_seq > sb->ckpt)
		check_found(c, &here, "root_seq",
			    "is %llu, expected 1..%llu (the number of the checkpoint)",
			    sb->root_seq, sb->ckpt);
}

static void check_log_fields(struct check *c)
{
	const struct check_super *sb = &c->sb;
	u64 first = sb->log_start * CHECK_BLOCK_SECTORS;
	u64 end = first + (u64)sb->log_blocks * CHECK_BLOCK_SECTORS;

	if (sb->log_next < first || sb->log_next >= end ||
	    (sb->log_next - first) % sb->block_sectors || end - sb->log_next < sb->record_sectors)
		check_found(
			c, &here, "log_next",
			"is sector %llu, expected a place for a record of %u sectors in the log (%llu..%llu)",
			sb->log_next, sb->record_sectors, first, end - 1);
	else if (!sb->log_seq && sb->log_next != first)
		check_found(c, &here, "log_next",
			    "is sector %llu, expected %llu, since record 1 is to come",
			    sb->log_next, first);
	if (!sb->log_seq && sb->log_crc)
		check_found(c, &here, "log_crc", "is %#x, expected 0, since record 1 is to come",
			    sb->log_crc);
}

static void check_counters(struct check *c)
{
	const struct check_super *sb = &c->sb;

	if (sb->alloc_pos < sb->data_start || sb->alloc_pos - sb->data_start >= sb->data_chunks)
		check_found(c, &here, "alloc_pos",
			    "is chunk %llu, outside of the data area of %llu chunks from %llu",
			    sb->alloc_pos, sb->data_chunks, sb->data_start);
	if (sb->ckpt >= 1ULL << 62)
		check_found(c, &here, "ckpt", "is %llu, expected less than 2^62", sb->ckpt);
	if (sb->log_seq >= 1ULL << 62)
		check_found(c, &here, "log_seq", "is %llu, expected less than 2^62", sb->log_seq);
	if (sb->next_first > 0xffffffffu)
		check_found(c, &here, "next_first", "is %llu, expected at most 2^32-1",
			    sb->next_first);
	if (sum(sb->nr_exceptions, sb->nr_snapshots) > sb->max_entries)
		check_found(c, &here, "max_entries",
			    "is %llu, but there are %llu exceptions and %llu snapshots",
			    sb->max_entries, sb->nr_exceptions, sb->nr_snapshots);
	if (sb->reclaim & ~(CHECK_RECLAIM_PASS | CHECK_RECLAIM_AGAIN) ||
	    sb->reclaim == CHECK_RECLAIM_AGAIN)
		check_found(c, &here, "reclaim", "is %#x, expected 0, 1 or 3", sb->reclaim);
	if (!(sb->reclaim & CHECK_RECLAIM_PASS) && (sb->cursor_chunk || sb->cursor_from))
		check_found(c, &here, "cursor_chunk",
			    "cursor is (%llu, %s) without a pass, expected (0, 0)",
			    sb->cursor_chunk, check_snapid(sb->cursor_from));
	if (sb->cursor_chunk > CHECK_CHUNKS_END)
		check_found(c, &here, "cursor_chunk", "is %llu, expected at most 2^52",
			    sb->cursor_chunk);
}

/* Checkpoint 0 is the one that format writes: nothing has happened. */
static void check_first_checkpoint(struct check *c)
{
	const struct check_super *sb = &c->sb;

	if (sb->ckpt)
		return;
	if (sb->log_seq)
		check_found(c, &here, "log_seq", "is %llu in checkpoint 0, expected 0",
			    sb->log_seq);
	if (sb->next_first)
		check_found(c, &here, "next_first", "is %llu in checkpoint 0, expected 0",
			    sb->next_first);
	if (sb->reclaim)
		check_found(c, &here, "reclaim", "is %#x in checkpoint 0, expected 0", sb->reclaim);
	if (sb->alloc_pos != sb->data_start + sb->data_chunks - 1)
		check_found(c, &here, "alloc_pos", "is %llu in checkpoint 0, expected %llu",
			    sb->alloc_pos, sb->data_start + sb->data_chunks - 1);
}

static void check_reserved(struct check *c, const u8 *b)
{
	static const struct {
		unsigned int offset, size;
	} reserved[] = { { 92, 4 }, { 236, 4 }, { 296, 216 } };

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!check_all_zero(b + reserved[i].offset, reserved[i].size))
			check_found(c, &here, "reserved", "bytes %u..%u are not zero",
				    reserved[i].offset, reserved[i].offset + reserved[i].size - 1);
}

bool check_super(struct check *c)
{
	struct check_place data_map = check_at_part(here, "data_map, byte", 256);
	struct check_place meta_map = check_at_part(here, "meta_map, byte", 272);
	u8 b[SECTOR_SIZE];
	int r;

	if (!c->source->sectors)
		return impossible(c, "empty");
	r = c->source->read(c->source->context, 0, 1, b);
	if (r)
		return impossible(c, strerror(-r));
	if (!check_identity(c, b))
		return false;
	decode_geometry(&c->sb, b);
	if (!check_geometry(c))
		return false;
	check_reserved(c, b);
	if (c->sb.error) {
		c->report->summary.error = c->sb.error;
		if (c->sb.error > 4095 || c->sb.error == 11)
			check_found(c, &here, "error", "is %u, expected an errno (1..4095, not EAGAIN)",
				    c->sb.error);
		return false;
	}
	decode_checkpoint(&c->sb, b);
	check_root(c);
	check_log_fields(c);
	check_counters(c);
	check_first_checkpoint(c);
	check_map_entry(c, &data_map, &c->sb.data_map);
	check_map_entry(c, &meta_map, &c->sb.meta_map);
	return true;
}
