// SPDX-License-Identifier: GPL-2.0
/*
 * Groups and their commit.
 *
 * An operation writes its log operations into the record of the collecting group and applies them
 * to LAYER_OPEN. When the group closes, record, layer and counters change hands as a whole; when
 * its copies have ended the record is written: one request with PREFLUSH and FUA, so that the
 * copies are durable before it (H18). While the log is full the record waits for a checkpoint
 * (H31); a part of the log that the durable superblock still needs is never overwritten.
 */
#include "mikulas.h"

int group_begin(struct dm_exception_store *store, unsigned int ops, unsigned int changes)
{
	const struct record *record = &store->open_record;

	if (store->dead)
		return store->dead;
	if (record->bytes + ops * OP_BYTES_MAX > record_capacity(store->super.record_sectors) ||
	    record->changes + changes > store->group_changes_max) {
		if (dm_multisnap_groups_held(store->dm))
			return -E2BIG;
		dm_multisnap_request_commit(store->dm);
		return -EAGAIN;
	}
	return spares_reserve(store, &store->spare_changes, changes);
}

static struct apply open_group(struct dm_exception_store *store)
{
	return (struct apply){ .layer = LAYER_OPEN, .state = &store->open };
}

int group_add(struct dm_exception_store *store, const struct entry *entry)
{
	struct apply to = open_group(store);

	record_add(&store->open_record, &store->open, entry);
	return apply_add(store, &to, entry);
}

int group_narrow(struct dm_exception_store *store, const struct entry *old, snapid_t from,
		 snapid_t to_id)
{
	struct apply to = open_group(store);

	record_narrow(&store->open_record, old, from, to_id);
	return apply_narrow(store, &to, old, from, to_id);
}

int group_remove(struct dm_exception_store *store, const struct entry *old)
{
	struct apply to = open_group(store);

	record_remove(&store->open_record, old);
	return apply_remove(store, &to, old);
}

int group_create(struct dm_exception_store *store, snapid_t id)
{
	struct apply to = open_group(store);

	record_create(&store->open_record, id);
	return apply_create(store, &to, id);
}

int group_delete(struct dm_exception_store *store, snapid_t id)
{
	struct apply to = open_group(store);

	record_delete(&store->open_record, id);
	return apply_delete(store, &to, id);
}

int group_cursor(struct dm_exception_store *store, bool end, u64 chunk, u64 from)
{
	struct apply to = open_group(store);

	record_cursor(&store->open_record, end, chunk, from);
	return apply_cursor(store, &to, end, chunk, from);
}

void mikulas_close_group(struct dm_exception_store *store)
{
	if (store_broken(store, store->have_closed || store->layers[LAYER_CLOSED].count))
		return;
	swap(store->open_record, store->closed_record);
	record_reset(&store->open_record);
	store->layers[LAYER_CLOSED] = store->layers[LAYER_OPEN];
	layer_init(&store->layers[LAYER_OPEN]);
	list_splice_tail_init(&store->deleted_open, &store->deleted_closed);
	store->closed = store->open;
	store->have_closed = true;
	reclaim_kick(store);
}

/* Where the record behind one of @sectors at the log's head goes; the tail it cannot use. */
static sector_t log_place_after(struct dm_exception_store *store, unsigned int sectors,
				sector_t *waste)
{
	sector_t end = store->log.first + store->log.sectors;
	sector_t next = store->log.next + sectors;

	*waste = 0;
	if (end - next >= store->super.record_sectors)
		return next;
	*waste = end - next;
	return store->log.first;
}

static void group_durable(struct dm_exception_store *store)
{
	/*
	 * What a group records agrees with what its lookups saw: the topmost layer of each key.
	 * Two exceptions that overlap, of which one is in the log and one in the tree, are seen
	 * only here.
	 */
	if (changes_closed_to_durable(store)) {
		store_fail(store, -EPERM, "the log contradicts itself, record", store->log.seq);
		store->commit_wanted = false;
		dm_multisnap_commit_done(store->dm, store->dead);
		return;
	}
	snapshots_closed_durable(store);
	store->durable = store->closed;
	store->have_closed = false;
	store->commit_wanted = false;
	dm_multisnap_commit_done(store->dm, 0);
	checkpoint_poll(store, false);
	reclaim_kick(store);
}

static void commit_written(struct dm_multisnap_io *io, int error)
{
	struct dm_exception_store *store = container_of(io, struct dm_exception_store, log_io);
	const struct log_header_disk *header = (const void *)store->closed_record.data;
	sector_t waste;

	store->commit_running = false;
	if (error) {
		store_fail(store, error, "log write error", sector_to_mblock(io->sector));
		store->commit_wanted = false;
		dm_multisnap_commit_done(store->dm, error);
		return;
	}
	store->log.next = log_place_after(store, store->commit_sectors, &waste);
	store->log.used += store->commit_sectors + waste;
	store->log.changes += store->closed_record.changes;
	store->log.seq++;
	store->log.crc = le32_to_cpu(header->crc);
	group_durable(store);
}

static void commit_write(struct dm_exception_store *store)
{
	struct log_header_disk header = {
		.stamp.mount = cpu_to_le32(store->super.mount),
		.stamp.seq = cpu_to_le64(store->log.seq + 1),
		.prev_crc = cpu_to_le32(store->log.crc),
		.location = cpu_to_le64(store->log.next),
		.sectors = cpu_to_le32(store->commit_sectors),
	};
	struct dm_multisnap_io *io = &store->log_io;

	record_seal(&store->closed_record, &header);
	store->commit_running = true;
	io->opf = REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA | REQ_META | REQ_SYNC;
	io->sector = store->log.next;
	io->sectors = store->commit_sectors;
	io->data = store->closed_record.data;
	io->done = commit_written;
	dm_multisnap_submit_io(store->dm, io);
}

void commit_try(struct dm_exception_store *store)
{
	if (!store->commit_wanted || store->commit_running)
		return;
	if (store->dead) {
		store->commit_wanted = false;
		dm_multisnap_commit_done(store->dm, store->dead);
		return;
	}
	if (!store->closed_record.ops) {
		group_durable(store);
		return;
	}
	store->commit_sectors =
		record_sectors_for(store->closed_record.bytes, store->super.block_sectors);
	if (store->log.used + store->commit_sectors > store->log.sectors ||
	    store->log.changes + store->closed_record.changes > store->super.max_changes) {
		checkpoint_poll(store, true);
		return;
	}
	commit_write(store);
}

void mikulas_commit(struct dm_exception_store *store)
{
	if (store_broken(store, !store->have_closed || store->commit_wanted)) {
		dm_multisnap_commit_done(store->dm, store->dead);
		return;
	}
	store->commit_wanted = true;
	commit_try(store);
}
