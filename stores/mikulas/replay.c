// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery: replay the log behind the checkpoint into LAYER_DURABLE. Writes nothing.
 *
 * A torn last record ends the log; everything else that is not as it must be is damage, and
 * refused: a sector that cannot be read, a whole record beyond the end, an end before the records
 * that the last load has found, a record of a mount that the superblock does not know, an operation
 * that contradicts what is known. A record of an earlier mount that was not there at the last load
 * does not count: is_late(). What an operation says
 * of the tree is proved later, by the merge.
 */
#include "mikulas.h"

/* A piece of the log in memory. */
struct window {
	u8 *data;
	sector_t at; /* sector of the device */
	unsigned int sectors;
};

static sector_t log_end(struct dm_exception_store *store)
{
	return store->log.first + store->log.sectors;
}

/* Have @sectors from @sector, which are not more than a record has, in the window. -EPERM. */
static int window_at(struct dm_exception_store *store, struct window *w, sector_t sector,
		     unsigned int sectors, const u8 **data)
{
	int r;

	if (!w->sectors || sector < w->at || sector + sectors > w->at + w->sectors) {
		w->at = sector;
		w->sectors = min_t(sector_t, store->super.record_sectors, log_end(store) - sector);
		r = dm_multisnap_sync_io(store->dm, REQ_OP_READ | REQ_META, w->at, w->sectors,
					 w->data);
		if (r) {
			w->sectors = 0;
			return store_fail(store, -EPERM, "log cannot be read",
					  sector_to_mblock(sector));
		}
	}
	*data = w->data + ((sector - w->at) << SECTOR_SHIFT);
	return 0;
}

/* Is there a whole record at @place? 1 and *data, 0, -errno. */
static int whole_record(struct dm_exception_store *store, struct window *w, sector_t place,
			const u8 **data)
{
	const struct log_header_disk *header;
	unsigned int sectors, i;
	u32 mount, crc;
	static const u8 zero[4];
	u64 seq;
	int r;

	r = window_at(store, w, place, 1, data);
	if (r)
		return r;
	header = (const void *)*data;
	mount = le32_to_cpu(header->stamp.mount);
	seq = le64_to_cpu(header->stamp.seq);
	sectors = le32_to_cpu(header->sectors);
	if (!record_stamp_ok(*data, mount, seq, 0) || le64_to_cpu(header->location) != place ||
	    !sectors || sectors > store->super.record_sectors ||
	    sectors % store->super.block_sectors || sectors > log_end(store) - place)
		return 0;
	r = window_at(store, w, place, sectors, data);
	if (r)
		return r;
	for (i = 1; i < sectors; i++) {
		if (!record_stamp_ok(*data + i * SECTOR_SIZE, mount, seq, i))
			return 0;
	}
	header = (const void *)*data;
	if (le32_to_cpu(header->sectors) != sectors)
		return 0; /* read a second time, it was another */
	crc = crc32c(~0U, *data, offsetof(struct log_header_disk, crc));
	crc = crc32c(crc, zero, sizeof(zero));
	crc = crc32c(crc, *data + offsetof(struct log_header_disk, prev_crc),
		     sectors * SECTOR_SIZE - offsetof(struct log_header_disk, prev_crc));
	return ~crc == le32_to_cpu(header->crc);
}

static bool in_data_area(struct dm_exception_store *store, u64 block)
{
	/* Below its start the difference wraps: both numbers are far below 2^63. */
	return block - store->super.data_start < store->super.data_chunks;
}

static const char *replay_add(struct dm_exception_store *store, const struct apply *to,
			      const struct log_operation *op)
{
	struct entry entry = { .chunk = op->chunk, .from = op->from, .a = op->to, .b = op->block };
	u64 bit = op->block - store->super.data_start, found;

	if (op->chunk >= EXCEPTION_CHUNK_END || op->from > op->to ||
	    !snapshot_was_given(store, to->state, op->to) || !in_data_area(store, op->block))
		return "ADD";
	if (space_find(store, &store->data, bit, bit + 1, &found) != 1)
		return "ADD of a chunk in use";
	if (to->state->nr_exceptions >= store->super.data_chunks ||
	    to->state->nr_exceptions + to->state->nr_snapshots >= store->super.max_entries)
		return "ADD beyond the limits";
	return apply_add(store, to, &entry) ? "ADD contradicts what was before" : NULL;
}

static const char *replay_narrow(struct dm_exception_store *store, const struct apply *to,
				 const struct log_operation *op)
{
	struct entry old = { .chunk = op->chunk, .from = op->from, .b = op->block };

	if (op->chunk >= EXCEPTION_CHUNK_END || op->new_from < op->from ||
	    op->new_from > op->new_to || !snapshot_was_given(store, to->state, op->new_to) ||
	    !in_data_area(store, op->block))
		return "NARROW";
	return apply_narrow(store, to, &old, op->new_from, op->new_to) ?
		       "NARROW contradicts what was before" :
		       NULL;
}

static const char *replay_remove(struct dm_exception_store *store, const struct apply *to,
				 const struct log_operation *op)
{
	struct entry old = { .chunk = op->chunk, .from = op->from, .b = op->block };

	if (op->chunk >= EXCEPTION_CHUNK_END || op->from == SNAPID_ORIGIN ||
	    !in_data_area(store, op->block))
		return "REMOVE";
	return apply_remove(store, to, &old) ? "REMOVE contradicts what was before" : NULL;
}

static const char *replay_snapshot(struct dm_exception_store *store, const struct apply *to,
				   const struct log_operation *op)
{
	struct live_snapshot *snapshot;

	if (op->op == OP_CREATE) {
		if (snapshot_create_check(store, to->state, op->from) ||
		    to->state->nr_exceptions + to->state->nr_snapshots >=
			    store->super.max_entries ||
		    apply_create(store, to, op->from))
			return "CREATE";
		return NULL;
	}
	snapshot = snapshot_find(store, op->from);
	if (!snapshot || snapshot->deleting || apply_delete(store, to, op->from))
		return "DELETE";
	return NULL;
}

static const char *replay_one(struct dm_exception_store *store, const struct apply *to,
			      const struct log_operation *op)
{
	switch (op->op) {
	case OP_ADD:
		return replay_add(store, to, op);
	case OP_NARROW:
		return replay_narrow(store, to, op);
	case OP_REMOVE:
		return replay_remove(store, to, op);
	case OP_CREATE:
	case OP_DELETE:
		return replay_snapshot(store, to, op);
	case OP_CURSOR:
		return apply_cursor(store, to, op->end, op->chunk, op->from) ? "CURSOR" : NULL;
	}
	return "operation";
}

static unsigned int changes_of(unsigned int op)
{
	static const u8 changes[] = {
		[OP_ADD] = 1,	 [OP_NARROW] = 2, [OP_REMOVE] = 1,
		[OP_CREATE] = 2, [OP_DELETE] = 1, [OP_CURSOR] = 0,
	};

	return changes[op];
}

/* 0 with *wrong where it is damaged. -ENOMEM. */
static int replay_record(struct dm_exception_store *store, const u8 *data, const char **wrong)
{
	const struct log_header_disk *header = (const void *)data;
	struct apply to = { .layer = LAYER_DURABLE, .state = &store->durable };
	struct log_reader reader = { .data = data, .bytes = le32_to_cpu(header->bytes) };
	unsigned int ops = 0, changes = 0;
	struct log_operation op;
	int r;

	*wrong = "length of payload";
	if (reader.bytes > record_capacity(le32_to_cpu(header->sectors)) ||
	    record_sectors_for(reader.bytes, store->super.block_sectors) !=
		    le32_to_cpu(header->sectors))
		return 0;
	*wrong = "too many changes";
	if (le32_to_cpu(header->changes) > store->super.max_changes ||
	    store->log.changes + le32_to_cpu(header->changes) > store->super.max_changes)
		return 0;
	while ((r = record_next(&reader, store->durable.alloc_pos, &op)) > 0) {
		ops++;
		changes += changes_of(op.op);
		*wrong = "count of changes";
		if (changes > le32_to_cpu(header->changes))
			return 0;
		if (spares_reserve(store, &store->spare_changes, 4) ||
		    spares_reserve(store, &store->spare_snapshots, 1))
			return -ENOMEM;
		*wrong = replay_one(store, &to, &op);
		if (*wrong)
			return 0;
	}
	*wrong = "encoding";
	if (r)
		return 0;
	*wrong = "count of operations";
	if (ops && ops == le32_to_cpu(header->ops) && changes == le32_to_cpu(header->changes))
		*wrong = NULL;
	return 0;
}

/* A record has been replayed, and what it deleted is gone. */
static void advance(struct dm_exception_store *store, const struct log_header_disk *header)
{
	unsigned int sectors = le32_to_cpu(header->sectors);
	sector_t next = store->log.next + sectors;

	list_splice_tail_init(&store->deleted_open, &store->deleted_closed);
	snapshots_closed_durable(store);
	store->log.seq++;
	store->log.crc = le32_to_cpu(header->crc);
	store->log.changes += le32_to_cpu(header->changes);
	store->log.used += sectors;
	if (log_end(store) - next < store->super.record_sectors) {
		store->log.used += log_end(store) - next;
		next = store->log.first;
	}
	store->log.next = next;
}

/*
 * A record of an earlier mount, behind what the load after it has found: its write had failed or
 * was under way, nobody was told that it is there, and now it has come.
 */
static bool is_late(struct dm_exception_store *store, const struct log_stamp_disk *stamp)
{
	return le64_to_cpu(stamp->seq) > store->super.mount_seq &&
	       le32_to_cpu(stamp->mount) < store->super.mount;
}

/* No sector of the log may hold the beginning of a whole record that the chain has not. */
static int check_beyond(struct dm_exception_store *store, struct window *w)
{
	sector_t sector;

	for (sector = store->log.first; sector < log_end(store);
	     sector += store->super.block_sectors) {
		const struct log_stamp_disk *stamp;
		const u8 *data;
		int r;

		r = window_at(store, w, sector, 1, &data);
		if (r)
			return r;
		stamp = (const void *)data;
		if (le16_to_cpu(stamp->magic) != LOG_MAGIC || stamp->index ||
		    le64_to_cpu(stamp->seq) <= store->super.log_seq ||
		    (le64_to_cpu(stamp->seq) <= store->log.seq &&
		     le32_to_cpu(stamp->mount) <= store->super.mount) ||
		    is_late(store, stamp))
			continue;
		r = whole_record(store, w, sector, &data);
		if (r < 0)
			return r;
		if (r)
			return store_fail(store, -EPERM, "log record beyond the end of the log",
					  sector_to_mblock(sector));
	}
	return 0;
}

static int replay(struct dm_exception_store *store, struct window *w)
{
	u32 mount = 1;

	for (;;) {
		const struct log_header_disk *header;
		const char *wrong;
		const u8 *data;
		int r;

		r = whole_record(store, w, store->log.next, &data);
		if (r <= 0)
			return r;
		header = (const void *)data;
		if (le64_to_cpu(header->stamp.seq) != store->log.seq + 1 ||
		    le32_to_cpu(header->prev_crc) != store->log.crc ||
		    is_late(store, &header->stamp))
			return 0;
		wrong = NULL;
		if (le32_to_cpu(header->stamp.mount) > store->super.mount ||
		    le32_to_cpu(header->stamp.mount) < mount)
			wrong = "mount count";
		else if (store->log.used + le32_to_cpu(header->sectors) > store->log.sectors)
			wrong = "log longer than its area";
		mount = le32_to_cpu(header->stamp.mount);
		if (!wrong) {
			r = replay_record(store, data, &wrong);
			if (r)
				return r;
		}
		if (store->dead)
			return store->dead;
		if (wrong) {
			DMERR("%s: log record %llu: %s", dm_multisnap_name(store->dm),
			      (unsigned long long)(store->log.seq + 1), wrong);
			return -EPERM;
		}
		advance(store, header);
	}
}

int log_load(struct dm_exception_store *store, char **error)
{
	struct window w = { 0 };
	int r;

	*error = "Cannot allocate the log buffer";
	w.data = kmalloc(store->super.record_sectors * SECTOR_SIZE, GFP_KERNEL);
	if (!w.data)
		return -ENOMEM;
	*error = "Damaged log of the store";
	r = replay(store, &w);
	if (!r && store->log.seq < store->super.mount_seq)
		r = store_fail(store, -EPERM, "log ends too early",
			       sector_to_mblock(store->log.next));
	if (!r)
		r = check_beyond(store, &w);
	kfree(w.data);
	return r;
}
