/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is in a log of dm-log-writes (Linux, drivers/md/dm-log-writes.c), for who reads and who writes one.
 *
 * Sector 0 is a superblock; each entry is one header sector, in which a mark has its text, and, of writes, the data.
 * "Sectors" are as large as the logged device's; all numbers are little-endian.
 */
#ifndef SIM_TRACE_DMLOG_FORMAT_H
#define SIM_TRACE_DMLOG_FORMAT_H

#include "shim.h"

#define DMLOG_MAGIC 0x6a736677736872ull
#define DMLOG_VERSION 1
#define DMLOG_SUPER_SIZE 28
#define DMLOG_ENTRY_SIZE 32
#define DMLOG_MIN_SECTOR 512
#define DMLOG_MAX_SECTOR 65536

#define DMLOG_FLUSH 1
#define DMLOG_FUA 2
#define DMLOG_DISCARD 4
#define DMLOG_MARK 8
#define DMLOG_METADATA 16
#define DMLOG_FLAGS 31

struct dmlog_super {
	u64 magic, version, nr_entries;
	u32 sector_size;
};

struct dmlog_entry {
	u64 sector, sectors, flags;
	u64 text;		/* bytes, of a mark */
};

static inline struct dmlog_super dmlog_super_unpack(const u8 bytes[DMLOG_SUPER_SIZE])
{
	return (struct dmlog_super){
		.magic = get_unaligned_le64(bytes),
		.version = get_unaligned_le64(bytes + 8),
		.nr_entries = get_unaligned_le64(bytes + 16),
		.sector_size = get_unaligned_le32(bytes + 24),
	};
}

static inline void dmlog_super_pack(const struct dmlog_super *super, u8 bytes[DMLOG_SUPER_SIZE])
{
	put_unaligned_le64(super->magic, bytes);
	put_unaligned_le64(super->version, bytes + 8);
	put_unaligned_le64(super->nr_entries, bytes + 16);
	put_unaligned_le32(super->sector_size, bytes + 24);
}

static inline struct dmlog_entry dmlog_entry_unpack(const u8 bytes[DMLOG_ENTRY_SIZE])
{
	return (struct dmlog_entry){
		.sector = get_unaligned_le64(bytes),
		.sectors = get_unaligned_le64(bytes + 8),
		.flags = get_unaligned_le64(bytes + 16),
		.text = get_unaligned_le64(bytes + 24),
	};
}

static inline void dmlog_entry_pack(const struct dmlog_entry *entry, u8 bytes[DMLOG_ENTRY_SIZE])
{
	put_unaligned_le64(entry->sector, bytes);
	put_unaligned_le64(entry->sectors, bytes + 8);
	put_unaligned_le64(entry->flags, bytes + 16);
	put_unaligned_le64(entry->text, bytes + 24);
}

/* Does the superblock have a size of sectors that can be? */
static inline bool dmlog_sector_size_good(u32 size)
{
	return size >= DMLOG_MIN_SECTOR && size <= DMLOG_MAX_SECTOR && !(size & (size - 1));
}

/* NULL, or why it makes no sense. */
static inline const char *dmlog_entry_wrong(const struct dmlog_entry *entry, u32 sector_size)
{
	if (entry->flags & ~(u64)DMLOG_FLAGS)
		return "an entry with unknown flags";
	if (entry->flags & DMLOG_MARK)
		return entry->sectors || entry->text > sector_size - DMLOG_ENTRY_SIZE ? "a mark with data" : NULL;
	if (entry->text)
		return "text in an entry that is no mark";
	if (!entry->sectors && !(entry->flags & DMLOG_FLUSH))
		return "an entry that does nothing";
	return NULL;
}

/* Sectors of data that follow the header. */
static inline u64 dmlog_entry_data(const struct dmlog_entry *entry)
{
	return entry->flags & (DMLOG_DISCARD | DMLOG_MARK) ? 0 : entry->sectors;
}

#endif /* SIM_TRACE_DMLOG_FORMAT_H */
