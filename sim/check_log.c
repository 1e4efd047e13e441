// SPDX-License-Identifier: GPL-2.0
/*
 * The log as sectors and records: FORMAT.md sections 3.1 and 3.2.
 *
 * Method: the log is read as a whole. First the chain is followed from the checkpoint to the first
 * place where no valid record is. Then every place where a record could begin is looked at, since
 * something whole behind the end is damage. A sector carries its index in its record, so it can
 * belong to one record only: the second scan computes each sector's CRC at most once, however the
 * sectors were made up.
 */
#include "check_int.h"

#define STAMP_MAGIC 0x4C4D

enum {
	AT_INDEX = 4,
	AT_MAGIC = 6,
	AT_SEQ = 8,
	STAMP_BYTES = 16,
	AT_CRC = 16,
	AT_PREV_CRC = 20,
	AT_LOCATION = 24,
	AT_SECTORS = 32,
	AT_BYTES = 36,
	AT_OPS = 40,
	AT_CHANGES = 44,
};

struct log {
	struct check *c;
	u8 *bytes;
	u64 first, end; /* sectors of the device */
	struct check_record *records;
	size_t nr, max;
	u64 last_seq;
};

static const u8 *at_sector(const struct log *log, u64 sector)
{
	return log->bytes + (sector - log->first) * SECTOR_SIZE;
}

static bool same_record(const u8 *head, const u8 *sector, u32 index)
{
	return get_unaligned_le16(sector + AT_MAGIC) == STAMP_MAGIC &&
	       get_unaligned_le16(sector + AT_INDEX) == index &&
	       get_unaligned_le32(sector) == get_unaligned_le32(head) &&
	       get_unaligned_le64(sector + AT_SEQ) == get_unaligned_le64(head + AT_SEQ);
}

/* Does a record begin at @sector? If it is whole, it is this one. */
static bool record_head(const struct log *log, u64 sector, struct check_record *record)
{
	const struct check_super *sb = &log->c->sb;
	const u8 *head = at_sector(log, sector);

	if (get_unaligned_le16(head + AT_MAGIC) != STAMP_MAGIC ||
	    get_unaligned_le16(head + AT_INDEX) || get_unaligned_le64(head + AT_LOCATION) != sector)
		return false;
	*record = (struct check_record){
		.sector = sector,
		.seq = get_unaligned_le64(head + AT_SEQ),
		.mount = get_unaligned_le32(head),
		.sectors = get_unaligned_le32(head + AT_SECTORS),
		.bytes = get_unaligned_le32(head + AT_BYTES),
		.ops = get_unaligned_le32(head + AT_OPS),
		.changes = get_unaligned_le32(head + AT_CHANGES),
		.crc = get_unaligned_le32(head + AT_CRC),
	};
	return record->sectors >= 1 && record->sectors <= sb->record_sectors &&
	       record->sectors % sb->block_sectors == 0 && record->sectors <= log->end - sector;
}

static bool is_whole(const struct log *log, const struct check_record *record)
{
	const u8 *head = at_sector(log, record->sector);

	for (u32 i = 1; i < record->sectors; i++)
		if (!same_record(head, head + i * SECTOR_SIZE, i))
			return false;
	return check_crc(head, record->sectors * SECTOR_SIZE, AT_CRC) == record->crc;
}

static bool load_log(struct log *log)
{
	struct check *c = log->c;
	struct check_place place = check_at_sector(CHECK_LOG, 0);
	u32 piece = 2048, n;

	log->bytes = reallocarray(NULL, log->end - log->first, SECTOR_SIZE);
	if (!log->bytes) {
		c->out_of_memory = true;
		return false;
	}
	for (u64 sector = log->first; sector < log->end; sector += n) {
		u8 *to = (u8 *)at_sector(log, sector);

		n = piece < log->end - sector ? piece : log->end - sector;
		if (sector + n <= c->source->sectors &&
		    !c->source->read(c->source->context, sector, n, to))
			continue;
		/* Not in one piece: which of them? */
		for (u32 i = 0; i < n; i++) {
			place.sector = sector + i;
			if (sector + i >= c->source->sectors) {
				check_found(c, &place, "place",
					    "the log goes on beyond the end of the device");
				return false;
			}
			if (c->source->read(c->source->context, sector + i, 1,
					    to + i * SECTOR_SIZE)) {
				memset(to + i * SECTOR_SIZE, 0, SECTOR_SIZE);
				check_found(c, &place, "read", "cannot be read");
			}
		}
	}
	return true;
}

/* Of an earlier mount, and not there when the load after it looked: it came too late to count. */
static bool is_late(const struct log *log, const struct check_record *record)
{
	const struct check_super *sb = &log->c->sb;

	return record->seq > sb->mount_seq && record->mount < sb->mount;
}

/* From the checkpoint to the first place where no valid record is. */
static void follow_chain(struct log *log)
{
	struct check *c = log->c;
	const struct check_super *sb = &c->sb;
	struct check_place place = check_at_sector(CHECK_LOG, 0);
	u64 sector = sb->log_next;
	u32 prev_crc = sb->log_crc, mount = 0;
	struct check_record record;

	log->last_seq = sb->log_seq;
	while (record_head(log, sector, &record) && is_whole(log, &record)) {
		if (record.seq != log->last_seq + 1 ||
		    get_unaligned_le32(at_sector(log, sector) + AT_PREV_CRC) != prev_crc ||
		    is_late(log, &record))
			return;
		if (!check_grow(c, (void **)&log->records, &log->max, log->nr, sizeof(record)))
			return;
		place.sector = sector;
		place.record = record.seq;
		if (record.mount < mount)
			check_found(c, &place, "mount",
				    "is %u, below %u, that of the record before", record.mount,
				    mount);
		log->records[log->nr++] = record;
		log->last_seq = record.seq;
		mount = record.mount;
		prev_crc = record.crc;
		sector += record.sectors;
		if (log->end - sector < sb->record_sectors)
			sector = log->first;
	}
}

static void look_behind_the_end(struct log *log)
{
	struct check *c = log->c;
	const struct check_super *sb = &c->sb;
	struct check_record record;

	if (log->last_seq < sb->mount_seq) {
		struct check_place place = check_at_sector(CHECK_LOG, CHECK_NOWHERE);

		check_advise(c, &place, "mount_seq", "the writes of the last records were lost",
			     "is %llu in the superblock, but the log ends with record %llu", sb->mount_seq,
			     log->last_seq);
	}
	for (u64 sector = log->first; sector < log->end; sector += sb->block_sectors) {
		struct check_place place = check_at_sector(CHECK_LOG, sector);
		bool behind, later_mount;

		if (!record_head(log, sector, &record) || is_late(log, &record))
			continue;
		behind = record.seq > log->last_seq;
		later_mount = record.seq > sb->log_seq && record.mount > sb->mount;
		/* Most are of the chain, or old: then it does not matter whether they are whole. */
		if (!(behind || later_mount) || !is_whole(log, &record))
			continue;
		place.record = record.seq;
		if (behind)
			check_advise(c, &place, "seq",
				     "a record before it is damaged, or its write was lost",
				     "is %llu, but the log ends with record %llu", record.seq,
				     log->last_seq);
		if (later_mount)
			check_advise(
				c, &place, "mount",
				"the superblock is an old one: the write of the new one was lost",
				"is %u, above %u, that of the superblock", record.mount, sb->mount);
	}
}

/*
 * Every sector of the log is zero, as the format left it, or of a record that was written there. What else stands
 * there was meant for another place; it may have destroyed the last records, which leave no other trace.
 */
static const char *stray(const struct log *log, u64 sector)
{
	const struct check_super *sb = &log->c->sb;
	const u8 *b = at_sector(log, sector);
	u32 mount = get_unaligned_le32(b), index = get_unaligned_le16(b + AT_INDEX);

	if (check_all_zero(b, SECTOR_SIZE))
		return NULL;
	if (get_unaligned_le16(b + AT_MAGIC) != STAMP_MAGIC)
		return "is neither zero nor of a record";
	if (!mount || mount > sb->mount)
		return "has a mount count that never was";
	if (get_unaligned_le64(b + AT_SEQ) > log->last_seq + 1)
		return "is of a record behind the next one";
	if (index >= sb->record_sectors)
		return "has an index beyond any record";
	if (!index && get_unaligned_le64(b + AT_LOCATION) != sector)
		return "is the first one of a record of another place";
	return NULL;
}

static void look_for_strays(struct log *log)
{
	for (u64 sector = log->first; sector < log->end; sector++) {
		struct check_place place = check_at_sector(CHECK_LOG, sector);
		const char *what = stray(log, sector);

		if (!what)
			continue;
		check_advise(log->c, &place, "sector",
			     "a write went to another place than it should; the last records may be lost", "%s", what);
		return;
	}
}

static void sum_up(struct log *log)
{
	struct check *c = log->c;
	struct check_summary *s = &c->report->summary;
	struct check_place place = check_at_sector(CHECK_LOG, c->sb.log_next);

	s->records = log->nr;
	for (size_t i = 0; i < log->nr; i++) {
		s->record_sectors += log->records[i].sectors;
		s->ops += log->records[i].ops;
		s->changes += log->records[i].changes;
	}
	if (s->changes > c->sb.max_changes)
		check_found(c, &place, "changes",
			    "are %llu in all records, expected at most max_changes = %u",
			    s->changes, c->sb.max_changes);
}

void check_log(struct check *c, bool replay)
{
	const struct check_super *sb = &c->sb;
	struct log log = {
		.c = c,
		.first = sb->log_start * CHECK_BLOCK_SECTORS,
		.end = (sb->log_start + sb->log_blocks) * CHECK_BLOCK_SECTORS,
	};

	if (sb->log_next < log.first || sb->log_next >= log.end ||
	    (sb->log_next - log.first) % sb->block_sectors)
		return; /* found by check_super() */
	if (load_log(&log)) {
		follow_chain(&log);
		look_behind_the_end(&log);
		look_for_strays(&log);
		sum_up(&log);
		if (replay && !c->out_of_memory)
			check_replay(c, log.records, log.nr, log.bytes, log.first);
	}
	free(log.records);
	free(log.bytes);
}
