/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the offline check: the state that its parts share.
 *
 *   check.c          the order of things, the bookkeeping of findings
 *   check_source.c   reading: files, simulated disks
 *   check_super.c    superblock and geometry          (FORMAT.md 1, 2)
 *   check_node.c     one node of the tree             (4.1)
 *   check_tree.c     the walk, entries, counters      (4)
 *   check_maps.c     allocation maps against the tree (5)
 *   check_log.c      sectors and records of the log   (3.1, 3.2)
 *   check_payload.c  operations of a record, decoded  (3.3)
 *   check_replay.c   operations, applied              (3.3)
 *   check_state.c    exceptions and live ids, changing; garbage (6)
 *   check_report.c   text and JSON
 *
 * Memory: 32 bytes per exception, 32 per node, 8 more for each of both while the maps are
 * compared, the log, and some 100 bytes for what the log changes. No structure is sized by a
 * number that the image merely claims, except the log's buffer (at most 64 MiB, and the device is
 * at least as large).
 */
#ifndef SIM_CHECK_INT_H
#define SIM_CHECK_INT_H

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* ---- numbers of FORMAT.md ---- */

#define CHECK_BLOCK_BYTES 4096
#define CHECK_BLOCK_SECTORS 8
#define CHECK_CHUNKS_END (1ULL << 52) /* exceptions are below, live snapshots at it */
#define CHECK_ID_NONE (~0ULL)
#define CHECK_MAX_DEPTH 10
#define CHECK_RECLAIM_PASS 1
#define CHECK_RECLAIM_AGAIN 2
#define CHECK_NODE_MAX_ENTRIES 1000
#define CHECK_NODE_FIELDS 6

static inline u32 check_high(u64 id)
{
	return id >> 32;
}

static inline u32 check_low(u64 id)
{
	return (u32)id;
}

/* First level: a snapshot of the origin. */
static inline bool check_is_first(u64 id)
{
	return check_low(id) == 0xffffffffu;
}

static inline u64 check_master(u64 id)
{
	return id | 0xffffffffu;
}

/* ---- the superblock, decoded ---- */

struct check_map_entry {
	u64 place; /* seq * 2 + slot */
	u64 used;
};

struct check_super {
	u32 mount, error, chunk_shift, block_sectors;
	u64 mount_seq;
	u64 origin_sectors, device_sectors;
	u64 log_start;
	u32 log_blocks, record_sectors, max_changes;
	u64 map_start, meta_start, meta_blocks, data_start, data_chunks, max_entries;
	u64 ckpt, root, root_seq;
	u32 depth, log_crc;
	u64 log_seq, log_next, alloc_pos, next_first, nr_snapshots, nr_exceptions, tree_blocks;
	u32 reclaim;
	u64 cursor_chunk, cursor_from;
	struct check_map_entry data_map, meta_map;
};

/* ---- what the tree holds ---- */

struct check_exception {
	u64 chunk, from, to, block;
};

struct check_snapshot {
	u64 id; /* first: what is looked for */
	u64 next_sub; /* first level only */
};

/* ---- one node, decoded ---- */

struct check_node {
	u64 seq;
	u16 count;
	u8 level;
	u64 field[CHECK_NODE_MAX_ENTRIES][CHECK_NODE_FIELDS];
};

struct check_state; /* check_state.c */

struct check {
	const struct check_source *source;
	struct check_report *report;
	bool out_of_memory;

	struct check_super sb;

	/* check_tree.c; sorted as they come */
	bool tree_whole; /* nothing below the root is missing */
	u64 *nodes;
	size_t nr_nodes, max_nodes;
	struct check_exception *exceptions;
	size_t nr_exceptions, max_exceptions;
	struct check_snapshot *snapshots;
	size_t nr_snapshots, max_snapshots;

	u64 *chunks; /* those of the exceptions, sorted, each once; from check_maps() on */
	size_t nr_chunks;
};

/* ---- findings (check.c) ---- */

/* A structure, and in it an entry or operation. */
struct check_place {
	const char *area;
	u64 sector; /* or CHECK_NOWHERE */
	bool in_block; /* name the block as well */
	u64 record; /* number of the log record, or 0 */
	const char *part; /* "entry", "op", ..., or NULL */
	u64 index; /* of the part */
};

void check_found(struct check *c, const struct check_place *place, const char *field,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same with advice. */
void check_advise(struct check *c, const struct check_place *place, const char *field,
		  const char *advice, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static inline struct check_place check_at_block(const char *area, u64 block)
{
	return (struct check_place){ .area = area,
				     .sector = block * CHECK_BLOCK_SECTORS,
				     .in_block = true };
}

static inline struct check_place check_at_sector(const char *area, u64 sector)
{
	return (struct check_place){ .area = area, .sector = sector };
}

static inline struct check_place check_at_part(struct check_place place, const char *part,
					       u64 index)
{
	place.part = part;
	place.index = index;
	return place;
}

/* ---- helpers (check.c) ---- */

/* The CRC-32C of FORMAT.md of @bytes, in which the 4 bytes at @crc_offset count as zero. */
u32 check_crc(const u8 *bytes, size_t size, size_t crc_offset);
bool check_all_zero(const u8 *bytes, size_t size);
int check_compare_u64(const void *a, const void *b);
void check_sort_u64(u64 *values, size_t n);
/* Room for one more in a growing array; false (and c->out_of_memory) without memory. */
bool check_grow(struct check *c, void **array, size_t *max, size_t used, size_t size);
/* Reads a block; a finding at @place and false when it cannot be read. */
bool check_read_block(struct check *c, const struct check_place *place, u64 block, u8 *bytes);

/* ---- the parts ---- */

/* false: nothing else can be looked at; report->result says which way. */
bool check_super(struct check *c);
/* Bounds of the areas; false: nothing can be looked at. */
bool check_geometry(struct check *c);
/* Block of slot @slot of block @index at @level of a map that begins at @start. */
#define CHECK_MAP_LEVELS 8
struct check_map_shape {
	unsigned int levels;
	u64 n[CHECK_MAP_LEVELS];
	u64 first[CHECK_MAP_LEVELS]; /* blocks of the lower levels together */
	u64 total;
};
struct check_map_shape check_map_shape(u64 bits);

/* Is @entry one that FORMAT.md allows (5)? Finds, at @place, what is not. */
bool check_map_entry(struct check *c, const struct check_place *place,
		     const struct check_map_entry *entry);

/*
 * Decodes the node at @block, which must be of @level and, by its parent's word, written by
 * checkpoint @seq; false after findings that make the entries useless.
 */
bool check_node(struct check *c, u64 block, const u8 *bytes, u8 level, u64 seq, struct check_node *node);

void check_tree(struct check *c);
void check_maps(struct check *c);

/* A record of the log that is valid as the next. */
struct check_record {
	u64 sector;
	u64 seq;
	u32 mount, sectors, bytes, ops, changes, crc;
};
/* @replay: apply the records to the checkpoint, which is whole. */
void check_log(struct check *c, bool replay);

/* One operation. */
enum check_op_code {
	CHECK_ADD = 1,
	CHECK_NARROW,
	CHECK_REMOVE,
	CHECK_CREATE,
	CHECK_DELETE,
	CHECK_CURSOR
};

struct check_op {
	enum check_op_code code;
	bool next_block; /* ADD: the block is the allocation position + 1 */
	bool end; /* CURSOR: end of the pass */
	u64 chunk, from, to; /* CREATE, DELETE: from is the id */
	u64 new_from, new_to;
	u64 block;
};

struct check_payload {
	const u8 *next, *end;
	bool added; /* an ADD came before in this record */
	struct check_op last_add;
};

/* NULL, or why it is not an operation. */
const char *check_op_decode(struct check_payload *payload, struct check_op *op);
u32 check_op_changes(enum check_op_code code);

/* The checkpoint, changing as records are applied. */
struct check_state *check_state_create(struct check *c);
void check_state_free(struct check_state *state);

bool check_live(const struct check_state *state, u64 id);
bool check_live_in(const struct check_state *state, u64 from, u64 to);
struct check_snapshot *check_live_find(const struct check_state *state, u64 id);
bool check_live_add(struct check_state *state, u64 id);
void check_live_remove(struct check_state *state, u64 id);
u64 check_live_count(const struct check_state *state);

/* The exception that was there in the way, or NULL when it was added. */
const struct check_exception *check_exception_add(struct check_state *state,
						  const struct check_exception *ex);
/* The one of @chunk that starts at @from, or NULL. Its range may be made smaller. */
struct check_exception *check_exception_find(struct check_state *state, u64 chunk, u64 from);
void check_exception_remove(struct check_state *state, struct check_exception *ex);
u64 check_exception_count(const struct check_state *state);

/* Reclaim as in the superblock, changing. */
struct check_reclaim {
	u32 bits;
	u64 chunk, from;
};

/* Garbage where there must be none; @area says which state this is. Returns all garbage. */
u64 check_garbage(struct check *c, struct check_state *state, const char *area,
		  const struct check_reclaim *reclaim);

/* Applies the @nr records at @records (their bytes at @log, which begins at sector @log_first). */
void check_replay(struct check *c, const struct check_record *records, size_t nr, const u8 *log,
		  u64 log_first);

#endif /* SIM_CHECK_INT_H */
