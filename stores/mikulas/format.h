/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures on the device; FORMAT.md says what they mean. Little-endian, packed, every offset
 * asserted. Nothing else in the store knows a byte's place.
 */
#ifndef MIKULAS_FORMAT_H
#define MIKULAS_FORMAT_H

#include "shim.h"
#include "units.h"

/* A metadata block: number b is sectors [b * 8, b * 8 + 8) of the store device. */
typedef u64 mblock_t;

#define MBLOCK_BYTES 4096u
#define MBLOCK_SECTOR_SHIFT 3
#define MBLOCK_SECTORS 8u

static_assert(MBLOCK_SECTORS == 1 << MBLOCK_SECTOR_SHIFT);
static_assert(MBLOCK_SECTORS * SECTOR_SIZE == MBLOCK_BYTES);

#define CHUNK_SHIFT_MIN MBLOCK_SECTOR_SHIFT
#define CHUNK_SHIFT_MAX 21 /* 1 GiB: the largest power of two of at most INT_MAX bytes */

static inline sector_t mblock_to_sector(mblock_t b)
{
	return b << MBLOCK_SECTOR_SHIFT;
}

static inline mblock_t sector_to_mblock(sector_t s)
{
	return s >> MBLOCK_SECTOR_SHIFT;
}

/* ---- superblock ---- */

#define SUPER_MAGIC "MSnapMik"
#define SUPER_VERSION 1
#define SUPER_BYTES 512u

#define COMPAT_KNOWN 0ULL
#define RO_COMPAT_KNOWN 0ULL
#define INCOMPAT_KNOWN 0ULL

#define LOG_BLOCKS_MIN 32u
#define LOG_BLOCKS_MAX 16384u
#define LOG_BLOCKS_FORMAT_MAX 4096u /* 16 MiB: what we make */
#define RECORD_SECTORS_MIN 8u
#define RECORD_SECTORS_MAX 128u
#define MAX_CHANGES_MIN 256u
#define LOG_BLOCK_CHANGES 64u /* most changes per block of log: bounds the memory of a replay */

#define CHUNKS_MAX BIT_ULL(48) /* of the store: a chunk number has at most 6 bytes */
#define TREE_DEPTH_MAX 10u
#define COUNTERS_END BIT_ULL(62) /* of checkpoints and records: map entries hold seq * 2 + slot */

#define RECLAIM_RUNNING 1u
#define RECLAIM_AGAIN 2u

struct map_entry_disk {
	__le64 seq_slot; /* seq * 2 + slot; 0: never written */
	__le64 used;
} __packed;

struct super_disk {
	u8 magic[8];
	__le32 crc;
	__le32 version;
	__le64 compat;
	__le64 ro_compat;
	__le64 incompat;
	__le32 mount;
	__le32 error;
	__le32 chunk_shift;
	__le32 block_sectors;
	__le64 origin_sectors;
	__le64 device_sectors;
	__le64 log_start;
	__le32 log_blocks;
	__le32 record_sectors;
	__le32 max_changes;
	__le32 reserved1;
	__le64 map_start;
	__le64 meta_start;
	__le64 meta_blocks;
	__le64 data_start;
	__le64 data_chunks;
	__le64 max_entries;
	__le64 ckpt;
	__le64 root;
	__le64 root_seq;
	__le32 depth;
	__le32 log_crc;
	__le64 log_seq;
	__le64 log_next;
	__le64 alloc_pos;
	__le64 next_first;
	__le64 nr_snapshots;
	__le64 nr_exceptions;
	__le64 tree_blocks;
	__le32 reclaim;
	__le32 reserved2;
	__le64 cursor_chunk;
	__le64 cursor_from;
	struct map_entry_disk data_map;
	struct map_entry_disk meta_map;
	__le64 mount_seq;
	u8 reserved3[216];
} __packed;

static_assert(sizeof(struct super_disk) == SUPER_BYTES);
static_assert(offsetof(struct super_disk, mount) == 40);
static_assert(offsetof(struct super_disk, origin_sectors) == 56);
static_assert(offsetof(struct super_disk, log_start) == 72);
static_assert(offsetof(struct super_disk, map_start) == 96);
static_assert(offsetof(struct super_disk, max_entries) == 136);
static_assert(offsetof(struct super_disk, ckpt) == 144);
static_assert(offsetof(struct super_disk, log_seq) == 176);
static_assert(offsetof(struct super_disk, tree_blocks) == 224);
static_assert(offsetof(struct super_disk, cursor_chunk) == 240);
static_assert(offsetof(struct super_disk, data_map) == 256);
static_assert(offsetof(struct super_disk, meta_map) == 272);
static_assert(offsetof(struct super_disk, mount_seq) == 288);

/* ---- log ---- */

#define LOG_MAGIC 0x4C4D

struct log_stamp_disk {
	__le32 mount;
	__le16 index;
	__le16 magic;
	__le64 seq;
} __packed;

struct log_header_disk {
	struct log_stamp_disk stamp;
	__le32 crc;
	__le32 prev_crc;
	__le64 location; /* sector */
	__le32 sectors;
	__le32 bytes;
	__le32 ops;
	__le32 changes;
} __packed;

static_assert(sizeof(struct log_stamp_disk) == 16);
static_assert(sizeof(struct log_header_disk) == 48);
static_assert(offsetof(struct log_header_disk, crc) == 16);
static_assert(offsetof(struct log_header_disk, location) == 24);

#define LOG_ROOM_FIRST (SECTOR_SIZE - (unsigned int)sizeof(struct log_header_disk))
#define LOG_ROOM_NEXT (SECTOR_SIZE - (unsigned int)sizeof(struct log_stamp_disk))

enum log_op {
	OP_ADD = 1,
	OP_NARROW = 2,
	OP_REMOVE = 3,
	OP_CREATE = 4,
	OP_DELETE = 5,
	OP_CURSOR = 6,
};

#define OP_CODE_MASK 0x0f
#define OP_ADD_SAME_RANGE 0x10
#define OP_ADD_NEXT_BLOCK 0x20
#define OP_ADD_NEXT_CHUNK 0x40
#define OP_CURSOR_END 0x10

/* The longest operation (NARROW): code, chunk of 8, three ids of 10, block of 7; rounded up. */
#define OP_BYTES_MAX 48u

/* ---- tree ---- */

#define NODE_MAGIC 0x4E4B494Du
#define NODE_FIELDS 6
#define NODE_ROOM 4000u
#define NODE_ENTRIES_MAX 1000u
#define NODE_ENTRIES_FULL 137u /* any so many entries fit: 7+4+4+4+4+6 = 7+4+4+6+8 = 29 bytes */

#define EXCEPTION_CHUNK_END BIT_ULL(52) /* chunks of exceptions are below */
#define SNAPSHOT_KEY_CHUNK EXCEPTION_CHUNK_END /* the `chunk` of live snapshots */

struct node_disk {
	__le32 magic;
	__le32 crc;
	__le64 location;
	__le64 seq;
	__le16 count;
	u8 level;
	u8 reserved1[5];
	u8 width[NODE_FIELDS];
	u8 reserved2[2];
	__le64 base[NODE_FIELDS];
	u8 entries[NODE_ROOM];
	u8 reserved3[8];
} __packed;

static_assert(sizeof(struct node_disk) == MBLOCK_BYTES);
static_assert(offsetof(struct node_disk, width) == 32);
static_assert(offsetof(struct node_disk, base) == 40);
static_assert(offsetof(struct node_disk, entries) == 88);
static_assert(NODE_ENTRIES_FULL * 29 <= NODE_ROOM);

/* ---- allocation maps ---- */

#define MAP_MAGIC 0x4D4B494Du
#define MAP_ROOM 4032u
#define MAP_BITS (MAP_ROOM * 8)
#define MAP_FAN (MAP_ROOM / (unsigned int)sizeof(struct map_entry_disk))
#define MAP_LEVELS_MAX 7 /* 32256 * 252^5 > 2^48 */

struct map_disk {
	__le32 magic;
	__le32 crc;
	__le64 location;
	__le64 seq;
	__le64 index;
	u8 level;
	u8 map;
	u8 reserved[30];
	union {
		u8 bits[MAP_ROOM];
		struct map_entry_disk entries[MAP_FAN];
	} u;
} __packed;

static_assert(sizeof(struct map_disk) == MBLOCK_BYTES);
static_assert(offsetof(struct map_disk, level) == 32);
static_assert(offsetof(struct map_disk, u) == 64);
static_assert(MAP_BITS == 32256 && MAP_FAN == 252);

/* What every metadata block begins with. */
struct block_header_disk {
	__le32 magic;
	__le32 crc;
	__le64 location;
	__le64 seq;
} __packed;

/* ---- in memory ---- */

/*
 * One entry of a node. Leaf: @a is `to`, @b the store chunk (of a snapshot: next_sub). Inner
 * node: (chunk, from) is the child's first key, @a its block, @b its seq.
 */
struct entry {
	u64 chunk;
	u64 from;
	u64 a;
	u64 b;
};

struct map_entry {
	u64 seq_slot;
	u64 used;
};

struct super {
	u32 mount;
	u64 mount_seq;
	u32 error;
	u32 chunk_shift;
	u32 block_sectors;
	u64 origin_sectors;
	u64 device_sectors;
	mblock_t log_start;
	u32 log_blocks;
	u32 record_sectors;
	u32 max_changes;
	mblock_t map_start;
	mblock_t meta_start;
	u64 meta_blocks;
	block_t data_start;
	u64 data_chunks;
	u64 max_entries;
	/* the checkpoint */
	u64 ckpt;
	mblock_t root;
	u64 root_seq;
	u32 depth;
	u32 log_crc;
	u64 log_seq;
	sector_t log_next;
	block_t alloc_pos;
	u64 next_first;
	u64 nr_snapshots;
	u64 nr_exceptions;
	u64 tree_blocks;
	u32 reclaim;
	u64 cursor_chunk;
	u64 cursor_from;
	struct map_entry data_map;
	struct map_entry meta_map;
};

/* Snapids: the high half, and the low half turned so that a first-level snapshot has 0. */
static inline u32 snapid_high(snapid_t id)
{
	return id >> 32;
}

static inline u32 snapid_sub(snapid_t id)
{
	return (u32)id + 1;
}

static inline snapid_t snapid_make(u32 high, u32 sub)
{
	return (u64)high << 32 | (u32)(sub - 1);
}

static inline bool snapid_is_first_level(snapid_t id)
{
	return (u32)id == U32_MAX;
}

/* The sizes of one allocation map, from its number of bits. */
struct map_shape {
	u64 bits;
	unsigned int levels;
	u64 blocks[MAP_LEVELS_MAX]; /* per level */
	u64 place[MAP_LEVELS_MAX]; /* first block of the level, from the start of the map */
	u64 cover[MAP_LEVELS_MAX]; /* bits below one block of the level */
	u64 total; /* blocks on the device, both slots */
};

/* ---- format_check.c: pure functions ---- */

/* @bits is from 1 to CHUNKS_MAX. */
void map_shape_init(struct map_shape *shape, u64 bits);
u64 meta_blocks_needed(u64 max_entries);
u64 tree_blocks_limit(u64 max_entries);

void super_pack(struct super_disk *disk, const struct super *super);
/* NULL, or what is wrong; checks everything but the size of the device. */
const char *super_unpack(struct super *super, const struct super_disk *disk);

/* Layout for a device; NULL, or why it cannot be. *error gets the errno. */
const char *super_layout(struct super *super, int *error);

/* Seals a node or map block: location, CRC. */
void block_seal(void *data, mblock_t location);
/* NULL, or what is wrong with a block read from @location. */
const char *block_check(const void *data, mblock_t location);

struct node_layout {
	unsigned int count;
	unsigned int stride;
	unsigned int level;
	u8 offset[NODE_FIELDS];
	u64 base[NODE_FIELDS];
	u64 mask[NODE_FIELDS];
};

void node_open(struct node_layout *layout, const struct node_disk *node);
/* Entry @i, which is below layout->count. */
void node_entry(const struct node_layout *layout, const struct node_disk *node, unsigned int i,
		struct entry *entry);
/* Index of the last entry with key <= (chunk, from), -1 if there is none. */
int node_find(const struct node_layout *layout, const struct node_disk *node, u64 chunk, u64 from);

/* How many of the @n > 0 entries fit one node of that level, at least one. */
unsigned int node_prefix(const struct entry *entries, unsigned int n, unsigned int level);
/* Bytes that they take in a node. */
unsigned int node_bytes(const struct entry *entries, unsigned int n, unsigned int level);
/* False, and nothing done: there are none, or more than fit. */
bool node_build(struct node_disk *node, const struct entry *entries, unsigned int n,
		unsigned int level, u64 seq);

static inline int key_cmp(u64 chunk1, u64 from1, u64 chunk2, u64 from2)
{
	if (chunk1 != chunk2)
		return chunk1 < chunk2 ? -1 : 1;
	if (from1 != from2)
		return from1 < from2 ? -1 : 1;
	return 0;
}

#endif /* MIKULAS_FORMAT_H */
