// SPDX-License-Identifier: GPL-2.0
/*
 * Superblocks with right checksums, each field at its bounds: the last value that can be is taken, the first that cannot
 * be is refused, with the word for it.
 */
#include "hostile_store.h"

#define DEVICE_SECTORS_MAX (1ULL << (63 - SECTOR_SHIFT))

static struct super good;

static void expect(const struct super *super, const char *what, int line)
{
	static struct super_disk disk, again;
	struct super read;
	const char *said;

	super_pack(&disk, super);
	said = super_unpack(&read, &disk);
	CHECK(what ? said && !strcmp(said, what) : !said, "line %d: it says %s", line, said ?: "nothing");
	if (!what) {
		super_pack(&again, &read);
		CHECK(!memcmp(&again, &disk, sizeof(disk)), "line %d: read is not what was written", line);
	}
}

#define REFUSED(what, change)                     \
	do {                                      \
		struct super x = good;            \
                                                  \
		change;                           \
		expect(&x, what, __LINE__);       \
	} while (0)
#define TAKEN(change) REFUSED(NULL, change)

static void geometry(void)
{
	REFUSED("chunk size", x.chunk_shift = CHUNK_SHIFT_MIN - 1);
	REFUSED("chunk size", x.chunk_shift = CHUNK_SHIFT_MAX + 1);
	REFUSED("logical block size", x.block_sectors = 0);
	REFUSED("logical block size", x.block_sectors = 3);
	REFUSED("logical block size", x.block_sectors = 2 * MBLOCK_SECTORS);
	TAKEN(x.block_sectors = MBLOCK_SECTORS; x.log_next = x.log_start * MBLOCK_SECTORS);
	REFUSED("origin size", x.origin_sectors = 0);
	REFUSED("origin size", x.origin_sectors = DEVICE_SECTORS_MAX + 1);
	TAKEN(x.origin_sectors = DEVICE_SECTORS_MAX);
	REFUSED("device size", x.device_sectors = 0);
	REFUSED("device size", x.device_sectors = DEVICE_SECTORS_MAX + 1);
	TAKEN(x.device_sectors = DEVICE_SECTORS_MAX);
	REFUSED("log size", x.log_blocks = LOG_BLOCKS_MIN - 1);
	REFUSED("log size", x.log_blocks = LOG_BLOCKS_MAX + 1);
	REFUSED("map place", x.log_blocks = LOG_BLOCKS_MAX; x.max_changes = MAX_CHANGES_MIN);
	REFUSED("record size", x.record_sectors = 0);
	REFUSED("record size", x.record_sectors = RECORD_SECTORS_MIN + 1);
	REFUSED("record size", x.record_sectors = RECORD_SECTORS_MAX + MBLOCK_SECTORS);
	REFUSED("record size", x.record_sectors = RECORD_SECTORS_MAX; x.log_blocks = RECORD_SECTORS_MAX - 1);
	TAKEN(x.record_sectors = RECORD_SECTORS_MIN);
	REFUSED("limit of changes", x.max_changes = MAX_CHANGES_MIN - 1);
	REFUSED("limit of changes", x.max_changes = x.log_blocks * LOG_BLOCK_CHANGES + 1);
	TAKEN(x.max_changes = MAX_CHANGES_MIN);
	TAKEN(x.max_changes = x.log_blocks * LOG_BLOCK_CHANGES);
}

static void areas(void)
{
	u64 blocks = good.device_sectors / MBLOCK_SECTORS, chunks = good.device_sectors >> good.chunk_shift;

	REFUSED("log place", x.log_start = 0);
	REFUSED("log place", x.log_start = blocks + 1);
	REFUSED("map place", x.log_start = blocks);
	REFUSED("map place", x.map_start = x.log_start + x.log_blocks - 1);
	REFUSED("map place", x.map_start = blocks + 1);
	REFUSED("metadata place", x.map_start = blocks);
	REFUSED("data area", x.data_chunks = 0);
	REFUSED("data area", x.data_chunks = CHUNKS_MAX + 1; x.data_start = -CHUNKS_MAX);
	REFUSED("data area", x.data_start = CHUNKS_MAX + 1);
	REFUSED("data area", x.data_start = -1ULL);
	REFUSED("data area", x.data_chunks = chunks - x.data_start + 1);
	REFUSED("metadata area", x.meta_blocks = 0);
	REFUSED("metadata area", x.meta_blocks = blocks + 1);
	REFUSED("metadata place", x.meta_start++);
	REFUSED("metadata place", x.meta_start--);
	REFUSED("data place", x.data_start = (x.meta_start * MBLOCK_SECTORS >> x.chunk_shift));
	REFUSED("limit of entries", x.max_entries = x.data_chunks - 1);
	REFUSED("limit of entries", x.max_entries = 2 * CHUNKS_MAX + 1);
	REFUSED("limit of entries", while (meta_blocks_needed(x.max_entries) <= x.meta_blocks) x.max_entries++);
	TAKEN(x.max_entries = x.data_chunks);
}

static void checkpoint(void)
{
	u64 log_first = good.log_start * MBLOCK_SECTORS, log_sectors = good.log_blocks * MBLOCK_SECTORS;

	REFUSED("counters", x.ckpt = COUNTERS_END);
	REFUSED("counters", x.log_seq = COUNTERS_END);
	TAKEN(x.ckpt = COUNTERS_END - 1);
	TAKEN(x.log_seq = COUNTERS_END - 1);
	REFUSED("root", x.root = 0);
	REFUSED("root", x.depth = 0);
	REFUSED("root", x.root_seq = 0);
	REFUSED("root", x.tree_blocks = 0);
	REFUSED("root", x.depth = TREE_DEPTH_MAX + 1);
	TAKEN(x.depth = TREE_DEPTH_MAX);
	REFUSED("root", x.root_seq = x.ckpt + 1);
	REFUSED("root place", x.root = x.meta_start - 1);
	REFUSED("root place", x.root = x.meta_start + x.meta_blocks);
	TAKEN(x.root = x.meta_start);
	TAKEN(x.root = x.meta_start + x.meta_blocks - 1);
	REFUSED("log position", x.log_next = log_first - x.block_sectors);
	REFUSED("log position", x.log_next = log_first + log_sectors);
	REFUSED("log position", x.log_next = log_first + log_sectors - x.record_sectors + x.block_sectors);
	TAKEN(x.log_next = log_first + log_sectors - x.record_sectors);
	TAKEN(x.log_next = log_first);
	REFUSED("log position", x.block_sectors = 2; x.log_next = log_first + 1);
	TAKEN(x.block_sectors = 2; x.log_next = log_first + 2);
	REFUSED("log crc", x.log_seq = 0; x.log_crc = 1);
	TAKEN(x.log_seq = 0; x.log_crc = 0);
	REFUSED("allocation position", x.alloc_pos = x.data_start - 1);
	REFUSED("allocation position", x.alloc_pos = x.data_start + x.data_chunks);
	TAKEN(x.alloc_pos = x.data_start);
	TAKEN(x.alloc_pos = x.data_start + x.data_chunks - 1);
	REFUSED("snapshot counter", x.next_first = U32_MAX + 1ULL);
	TAKEN(x.next_first = U32_MAX);
	REFUSED("count of entries", x.nr_exceptions = x.data_map.used = x.data_chunks + 1);
	TAKEN(x.nr_exceptions = x.data_map.used = x.data_chunks; x.nr_snapshots = x.max_entries - x.data_chunks);
	REFUSED("count of entries", x.nr_snapshots = x.max_entries - x.nr_exceptions + 1);
	REFUSED("count of a tree", x.nr_exceptions = x.nr_snapshots = 0);
	TAKEN(x.nr_exceptions = x.data_map.used = 0);
	REFUSED("count of a tree", x.root = x.depth = x.root_seq = x.tree_blocks = x.meta_map.used = 0);
	REFUSED("tree size", x.tree_blocks = x.meta_map.used = x.meta_blocks + 1);
	TAKEN(x.tree_blocks = x.meta_map.used = x.meta_blocks);
	REFUSED("reclaim state", x.reclaim = 4);
	REFUSED("reclaim state", x.reclaim = RECLAIM_AGAIN);
	TAKEN(x.reclaim = RECLAIM_RUNNING | RECLAIM_AGAIN);
	REFUSED("reclaim state", x.reclaim = 0; x.cursor_chunk = 1);
	REFUSED("reclaim state", x.reclaim = 0; x.cursor_from = 1);
	REFUSED("reclaim state", x.reclaim = RECLAIM_RUNNING; x.cursor_chunk = EXCEPTION_CHUNK_END + 1);
	TAKEN(x.reclaim = RECLAIM_RUNNING; x.cursor_chunk = EXCEPTION_CHUNK_END; x.cursor_from = 5);
	REFUSED("map sequence", x.data_map.seq_slot = (x.ckpt + 1) << 1);
	REFUSED("map sequence", x.data_map.seq_slot = 1);
	TAKEN(x.data_map.seq_slot = x.ckpt << 1 | 1);
	REFUSED("map count", x.data_map.used++);
	REFUSED("map count", x.data_map.seq_slot = 0);
	REFUSED("map sequence", x.meta_map.seq_slot = 1);
	REFUSED("map count", x.meta_map.used--);
	REFUSED("error", x.error = 4096);
	REFUSED("error", x.error = EAGAIN);
	TAKEN(x.error = 4095);
	/* Of an invalid store the checkpoint is not looked at. */
	TAKEN(x.error = EIO; x.ckpt = COUNTERS_END; x.root = 1);
}

/* What super_pack() does not write. */
static void others(void)
{
	struct super_disk sealed, disk;
	struct super read;

#define SAYS(what, change)                                                                   \
	do {                                                                                 \
		const char *said;                                                            \
                                                                                             \
		disk = sealed;                                                               \
		change;                                                                      \
		disk.crc = 0;                                                                \
		disk.crc = cpu_to_le32(~crc32c(~0U, &disk, sizeof(disk)));                   \
		said = super_unpack(&read, &disk);                                           \
		CHECK(said && !strcmp(said, what), "line %d: it says %s", __LINE__, said);   \
	} while (0)

	super_pack(&sealed, &good);
	SAYS("magic", disk.magic[0] ^= 1);
	SAYS("magic", disk.magic[sizeof(disk.magic) - 1] ^= 1);
	SAYS("version", disk.version = cpu_to_le32(SUPER_VERSION + 1));
	SAYS("incompatible feature", disk.incompat = cpu_to_le64(1ULL << 63));
	SAYS("feature that forbids writing", disk.ro_compat = cpu_to_le64(1ULL << 63));
	SAYS("reserved bytes", disk.reserved1 = 1);
	SAYS("reserved bytes", disk.reserved2 = 1);
	SAYS("reserved bytes", disk.reserved3[sizeof(disk.reserved3) - 1] = 1);
	disk = sealed;
	disk.crc ^= cpu_to_le32(1);
	CHECK(!strcmp(super_unpack(&read, &disk), "checksum"));
}

static void bounds(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	good = h.super;
	expect(&good, NULL, __LINE__);
	geometry();
	areas();
	checkpoint();
	others();
	hostile_free(&h);
}

/* What the device, or the table, must be like before a superblock is read at all. */
static void devices(void *arg)
{
	struct double_disk disk;
	struct dm_multisnap s;

	for (unsigned int block_sectors = 1; block_sectors <= 16; block_sectors *= 2) {
		memset(&s, 0, sizeof(s));
		s.geometry.shift = 4;
		s.origin_sectors = 1 << 16;
		s.block_sectors = block_sectors;
		disk_make_plain(&disk, HOSTILE_SECTORS, 40000);
		CHECK(double_load(&s, &disk, "") == (block_sectors <= MBLOCK_SECTORS ? 0 : -EINVAL), "%u", block_sectors);
		if (s.store)
			double_unload(&s);
		disk_free(&disk);
	}
	memset(&s, 0, sizeof(s));
	s.origin_sectors = 1 << 16;
	disk_make_plain(&disk, HOSTILE_SECTORS, 40000);
	s.geometry.shift = CHUNK_SHIFT_MIN - 1;
	CHECK(double_load(&s, &disk, "") == -EINVAL);
	s.geometry.shift = CHUNK_SHIFT_MIN;
	disk.sectors = 7;
	s.block_sectors = MBLOCK_SECTORS;
	CHECK(double_load(&s, &disk, "") == -ENOSPC);
	/* The least: a superblock, a log, maps, a tree and one chunk. */
	s.block_sectors = 1;
	disk.sectors = (LOG_BLOCKS_MIN + 1) * MBLOCK_SECTORS;
	CHECK(double_load(&s, &disk, "") == -ENOSPC);
	disk.sectors *= 4;
	CHECK(double_load(&s, &disk, "") == 0);
	double_unload(&s);
	disk_free(&disk);
}

static void test_bounds_of_the_device(void **state)
{
	hostile_run(devices, NULL);
}

static void test_bounds_of_the_superblock(void **state)
{
	hostile_run(bounds, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_of_the_superblock),
		cmocka_unit_test(test_bounds_of_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
