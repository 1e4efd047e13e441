// SPDX-License-Identifier: GPL-2.0
/*
 * The superblock and the layout: pack, unpack, and everything that must hold between the numbers.
 *
 * Pure functions: no I/O, no state. What is unpacked here has been checked, so that the rest of the
 * store may shift and add without overflow: all areas lie inside device_sectors, which is at most
 * what a 64-bit byte count holds.
 */
#include "format.h"

/* Bytes of a device fit a signed 64-bit offset. */
#define DEVICE_SECTORS_MAX (1ULL << (63 - SECTOR_SHIFT))

void map_shape_init(struct map_shape *shape, u64 bits)
{
	u64 n = DIV_ROUND_UP_ULL(bits, MAP_BITS), cover = MAP_BITS;

	memset(shape, 0, sizeof(*shape));
	shape->bits = bits;
	for (;;) {
		unsigned int level = shape->levels++;

		shape->blocks[level] = n;
		shape->place[level] = shape->total;
		shape->cover[level] = cover;
		shape->total += 2 * n;
		if (n == 1)
			return;
		n = DIV_ROUND_UP_ULL(n, MAP_FAN);
		cover *= MAP_FAN;
	}
}

/* Nodes of a tree that is rewritten when it has more, see FORMAT.md section 4.2. */
u64 tree_blocks_limit(u64 max_entries)
{
	u64 leaves = DIV_ROUND_UP_ULL(max_entries, NODE_ENTRIES_FULL);

	return leaves + leaves / 64 + 4;
}

/*
 * A checkpoint starts from at most twice the limit and then writes a new tree of at most the limit;
 * or it starts from the limit and writes at most twice as much (each leaf touched becomes one leaf
 * and whatever full leaves the entries make).
 */
u64 meta_blocks_needed(u64 max_entries)
{
	return 3 * tree_blocks_limit(max_entries) + 16;
}

void super_pack(struct super_disk *disk, const struct super *super)
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, SUPER_MAGIC, sizeof(disk->magic));
	disk->version = cpu_to_le32(SUPER_VERSION);
	disk->mount = cpu_to_le32(super->mount);
	disk->mount_seq = cpu_to_le64(super->mount_seq);
	disk->error = cpu_to_le32(super->error);
	disk->chunk_shift = cpu_to_le32(super->chunk_shift);
	disk->block_sectors = cpu_to_le32(super->block_sectors);
	disk->origin_sectors = cpu_to_le64(super->origin_sectors);
	disk->device_sectors = cpu_to_le64(super->device_sectors);
	disk->log_start = cpu_to_le64(super->log_start);
	disk->log_blocks = cpu_to_le32(super->log_blocks);
	disk->record_sectors = cpu_to_le32(super->record_sectors);
	disk->max_changes = cpu_to_le32(super->max_changes);
	disk->map_start = cpu_to_le64(super->map_start);
	disk->meta_start = cpu_to_le64(super->meta_start);
	disk->meta_blocks = cpu_to_le64(super->meta_blocks);
	disk->data_start = cpu_to_le64(super->data_start);
	disk->data_chunks = cpu_to_le64(super->data_chunks);
	disk->max_entries = cpu_to_le64(super->max_entries);
	disk->ckpt = cpu_to_le64(super->ckpt);
	disk->root = cpu_to_le64(super->root);
	disk->root_seq = cpu_to_le64(super->root_seq);
	disk->depth = cpu_to_le32(super->depth);
	disk->log_crc = cpu_to_le32(super->log_crc);
	disk->log_seq = cpu_to_le64(super->log_seq);
	disk->log_next = cpu_to_le64(super->log_next);
	disk->alloc_pos = cpu_to_le64(super->alloc_pos);
	disk->next_first = cpu_to_le64(super->next_first);
	disk->nr_snapshots = cpu_to_le64(super->nr_snapshots);
	disk->nr_exceptions = cpu_to_le64(super->nr_exceptions);
	disk->tree_blocks = cpu_to_le64(super->tree_blocks);
	disk->reclaim = cpu_to_le32(super->reclaim);
	disk->cursor_chunk = cpu_to_le64(super->cursor_chunk);
	disk->cursor_from = cpu_to_le64(super->cursor_from);
	disk->data_map.seq_slot = cpu_to_le64(super->data_map.seq_slot);
	disk->data_map.used = cpu_to_le64(super->data_map.used);
	disk->meta_map.seq_slot = cpu_to_le64(super->meta_map.seq_slot);
	disk->meta_map.used = cpu_to_le64(super->meta_map.used);
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

static const char *check_geometry(const struct super *super)
{
	if (super->chunk_shift < CHUNK_SHIFT_MIN || super->chunk_shift > CHUNK_SHIFT_MAX)
		return "chunk size";
	if (!super->block_sectors || super->block_sectors > MBLOCK_SECTORS ||
	    !is_power_of_2(super->block_sectors))
		return "logical block size";
	if (!super->origin_sectors || super->origin_sectors > DEVICE_SECTORS_MAX)
		return "origin size";
	if (!super->device_sectors || super->device_sectors > DEVICE_SECTORS_MAX)
		return "device size";
	if (super->log_blocks < LOG_BLOCKS_MIN || super->log_blocks > LOG_BLOCKS_MAX)
		return "log size";
	if (super->record_sectors < RECORD_SECTORS_MIN ||
	    super->record_sectors > RECORD_SECTORS_MAX || super->record_sectors % MBLOCK_SECTORS ||
	    super->record_sectors > super->log_blocks * MBLOCK_SECTORS / 8)
		return "record size";
	if (super->max_changes < MAX_CHANGES_MIN ||
	    super->max_changes > super->log_blocks * LOG_BLOCK_CHANGES)
		return "limit of changes";
	return NULL;
}

static const char *check_areas(const struct super *super)
{
	u64 blocks = super->device_sectors >> MBLOCK_SECTOR_SHIFT;
	u64 chunks = super->device_sectors >> super->chunk_shift;
	struct map_shape data, meta;

	if (super->log_start < 1 || super->log_start > blocks)
		return "log place";
	if (super->map_start < super->log_start + super->log_blocks || super->map_start > blocks)
		return "map place";
	if (!super->data_chunks || super->data_chunks > CHUNKS_MAX ||
	    super->data_start > CHUNKS_MAX || super->data_start + super->data_chunks > CHUNKS_MAX ||
	    super->data_start + super->data_chunks > chunks)
		return "data area";
	if (!super->meta_blocks || super->meta_blocks > blocks || super->meta_blocks > CHUNKS_MAX)
		return "metadata area";
	map_shape_init(&data, super->data_chunks);
	map_shape_init(&meta, super->meta_blocks);
	if (super->meta_start != super->map_start + data.total + meta.total)
		return "metadata place";
	if (mblock_to_sector(super->meta_start + super->meta_blocks) >
	    super->data_start << super->chunk_shift)
		return "data place";
	if (super->max_entries < super->data_chunks || super->max_entries > 2 * CHUNKS_MAX ||
	    super->meta_blocks < meta_blocks_needed(super->max_entries))
		return "limit of entries";
	return NULL;
}

static const char *check_map_entry(const struct super *super, const struct map_entry *entry,
				   u64 used)
{
	if (entry->seq_slot >> 1 > super->ckpt || entry->seq_slot == 1)
		return "map sequence";
	if (entry->used != used || (!entry->seq_slot && used))
		return "map count";
	return NULL;
}

static const char *check_checkpoint(const struct super *super)
{
	sector_t log_first = mblock_to_sector(super->log_start);
	sector_t log_sectors = mblock_to_sector(super->log_blocks);
	const char *wrong;

	if (super->ckpt >= COUNTERS_END || super->log_seq >= COUNTERS_END)
		return "counters";
	if (!super->root != !super->depth || !super->root != !super->root_seq ||
	    !super->root != !super->tree_blocks || super->depth > TREE_DEPTH_MAX ||
	    super->root_seq > super->ckpt)
		return "root";
	if (super->root && (super->root < super->meta_start ||
			    super->root - super->meta_start >= super->meta_blocks))
		return "root place";
	if (super->log_next < log_first || super->log_next - log_first >= log_sectors ||
	    super->log_next & (super->block_sectors - 1) ||
	    log_sectors - (super->log_next - log_first) < super->record_sectors)
		return "log position";
	if (!super->log_seq && super->log_crc)
		return "log crc";
	if (super->alloc_pos < super->data_start ||
	    super->alloc_pos - super->data_start >= super->data_chunks)
		return "allocation position";
	if (super->next_first > U32_MAX)
		return "snapshot counter";
	if (super->nr_exceptions > super->data_chunks ||
	    super->nr_snapshots > super->max_entries - super->nr_exceptions)
		return "count of entries";
	if (!super->root != !(super->nr_exceptions + super->nr_snapshots))
		return "count of a tree";
	if (super->tree_blocks > super->meta_blocks)
		return "tree size";
	if (super->reclaim & ~(RECLAIM_RUNNING | RECLAIM_AGAIN) ||
	    super->reclaim == RECLAIM_AGAIN || super->cursor_chunk > EXCEPTION_CHUNK_END ||
	    (!super->reclaim && (super->cursor_chunk || super->cursor_from)))
		return "reclaim state";
	wrong = check_map_entry(super, &super->data_map, super->nr_exceptions);
	if (!wrong)
		wrong = check_map_entry(super, &super->meta_map, super->tree_blocks);
	return wrong;
}

static void unpack_fields(struct super *super, const struct super_disk *disk)
{
	super->mount = le32_to_cpu(disk->mount);
	super->mount_seq = le64_to_cpu(disk->mount_seq);
	super->error = le32_to_cpu(disk->error);
	super->chunk_shift = le32_to_cpu(disk->chunk_shift);
	super->block_sectors = le32_to_cpu(disk->block_sectors);
	super->origin_sectors = le64_to_cpu(disk->origin_sectors);
	super->device_sectors = le64_to_cpu(disk->device_sectors);
	super->log_start = le64_to_cpu(disk->log_start);
	super->log_blocks = le32_to_cpu(disk->log_blocks);
	super->record_sectors = le32_to_cpu(disk->record_sectors);
	super->max_changes = le32_to_cpu(disk->max_changes);
	super->map_start = le64_to_cpu(disk->map_start);
	super->meta_start = le64_to_cpu(disk->meta_start);
	super->meta_blocks = le64_to_cpu(disk->meta_blocks);
	super->data_start = le64_to_cpu(disk->data_start);
	super->data_chunks = le64_to_cpu(disk->data_chunks);
	super->max_entries = le64_to_cpu(disk->max_entries);
	super->ckpt = le64_to_cpu(disk->ckpt);
	super->root = le64_to_cpu(disk->root);
	super->root_seq = le64_to_cpu(disk->root_seq);
	super->depth = le32_to_cpu(disk->depth);
	super->log_crc = le32_to_cpu(disk->log_crc);
	super->log_seq = le64_to_cpu(disk->log_seq);
	super->log_next = le64_to_cpu(disk->log_next);
	super->alloc_pos = le64_to_cpu(disk->alloc_pos);
	super->next_first = le64_to_cpu(disk->next_first);
	super->nr_snapshots = le64_to_cpu(disk->nr_snapshots);
	super->nr_exceptions = le64_to_cpu(disk->nr_exceptions);
	super->tree_blocks = le64_to_cpu(disk->tree_blocks);
	super->reclaim = le32_to_cpu(disk->reclaim);
	super->cursor_chunk = le64_to_cpu(disk->cursor_chunk);
	super->cursor_from = le64_to_cpu(disk->cursor_from);
	super->data_map.seq_slot = le64_to_cpu(disk->data_map.seq_slot);
	super->data_map.used = le64_to_cpu(disk->data_map.used);
	super->meta_map.seq_slot = le64_to_cpu(disk->meta_map.seq_slot);
	super->meta_map.used = le64_to_cpu(disk->meta_map.used);
}

const char *super_unpack(struct super *super, const struct super_disk *disk)
{
	struct super_disk copy;
	const char *wrong;
	u32 crc;

	if (memcmp(disk->magic, SUPER_MAGIC, sizeof(disk->magic)))
		return "magic";
	memcpy(&copy, disk, sizeof(copy));
	copy.crc = 0;
	crc = ~crc32c(~0U, &copy, sizeof(copy));
	if (crc != le32_to_cpu(disk->crc))
		return "checksum";
	if (le32_to_cpu(disk->version) != SUPER_VERSION)
		return "version";
	if (le64_to_cpu(disk->incompat) & ~INCOMPAT_KNOWN)
		return "incompatible feature";
	if (le64_to_cpu(disk->ro_compat) & ~RO_COMPAT_KNOWN)
		return "feature that forbids writing";
	if (disk->reserved1 || disk->reserved2 ||
	    memchr_inv(disk->reserved3, 0, sizeof(disk->reserved3)))
		return "reserved bytes";
	unpack_fields(super, disk);
	wrong = check_geometry(super);
	if (!wrong)
		wrong = check_areas(super);
	if (!wrong && !super->error)
		wrong = check_checkpoint(super);
	/* EAGAIN would be asked again for ever. */
	if (!wrong && (super->error > 4095 || super->error == EAGAIN))
		wrong = "error";
	return wrong;
}

/*
 * In: chunk_shift, block_sectors, origin_sectors, device_sectors. The metadata area is made for all
 * chunks of the device, which is a little more than the data area will have.
 */
const char *super_layout(struct super *super, int *error)
{
	u64 blocks = super->device_sectors >> MBLOCK_SECTOR_SHIFT;
	u64 chunks = super->device_sectors >> super->chunk_shift;
	struct map_shape data, meta;
	u64 end;

	*error = -ERANGE;
	if (chunks > CHUNKS_MAX || super->device_sectors > DEVICE_SECTORS_MAX)
		return "Store device too large";
	*error = -ENOSPC;
	if (!chunks)
		return "Store device too small";
	super->log_start = 1;
	super->log_blocks = clamp(blocks / 64, (u64)LOG_BLOCKS_MIN, (u64)LOG_BLOCKS_FORMAT_MAX);
	super->record_sectors = clamp(round_down(super->log_blocks, MBLOCK_SECTORS),
				      RECORD_SECTORS_MIN, RECORD_SECTORS_MAX);
	/* One change in 64 bytes of log: with records of a sector, 8 changes in each on average. */
	super->max_changes = super->log_blocks * LOG_BLOCK_CHANGES;
	super->map_start = super->log_start + super->log_blocks;
	/* Snapshots without exceptions need room in the tree too. */
	super->max_entries = chunks + min(blocks / 4, 65536ULL);
	super->meta_blocks = meta_blocks_needed(super->max_entries);
	map_shape_init(&data, chunks);
	map_shape_init(&meta, super->meta_blocks);
	end = super->map_start + data.total + meta.total + super->meta_blocks;
	super->data_start = (mblock_to_sector(end) + (1ULL << super->chunk_shift) - 1) >>
			    super->chunk_shift;
	if (super->data_start >= chunks)
		return "Store device too small";
	super->data_chunks = chunks - super->data_start;
	/* The data map may have become smaller: the metadata area follows the maps directly. */
	map_shape_init(&data, super->data_chunks);
	super->meta_start = super->map_start + data.total + meta.total;
	super->alloc_pos = super->data_start + super->data_chunks - 1;
	super->log_next = mblock_to_sector(super->log_start);
	*error = -EINVAL;
	if (check_geometry(super) || check_areas(super) || check_checkpoint(super))
		return "Geometry not supported by this store type";
	return NULL;
}
