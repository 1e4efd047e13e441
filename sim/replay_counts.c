// SPDX-License-Identifier: GPL-2.0
/*
 * Counts of a replay: what the disks, kcopyd and the allocator did between the first request and the last.
 */
#include <string.h>

#include "replay_int.h"

/*
 * Called for each request of the store's device. A record is a write with PREFLUSH and FUA, but for the superblock's.
 */
void replay_store_event(void *context, const struct disk_log_event *ev)
{
	struct replay *r = context;
	u64 copied = sim_counts()->copy_destinations;

	if (ev->completed || (ev->opf & (REQ_PREFLUSH | REQ_FUA)) != (REQ_PREFLUSH | REQ_FUA) ||
	    !ev->sectors || ev->sector == 0)
		return;
	r->result->records++;
	histogram_add(&r->result->group_sizes, copied - r->copies_at_record);
	r->copies_at_record = copied;
}

static struct replay_reads reads_now(struct replay *r)
{
	const struct disk_counts *origin = disk_counts(r->origin_disk), *store = disk_counts(r->store_disk);

	return (struct replay_reads){
		.ns = sim_now_ns(), .bios = sim_counts()->bios, .origin = origin->reads,
		.origin_sectors = origin->sectors_read, .store = store->reads,
		.store_sectors = store->sectors_read,
	};
}

void replay_counts_pause(struct replay *r)
{
	r->paused = reads_now(r);
}

void replay_counts_go_on(struct replay *r)
{
	struct replay_reads now = reads_now(r), *out = &r->left_out;

	out->ns += now.ns - r->paused.ns;
	out->bios += now.bios - r->paused.bios;
	out->origin += now.origin - r->paused.origin;
	out->origin_sectors += now.origin_sectors - r->paused.origin_sectors;
	out->store += now.store - r->paused.store;
	out->store_sectors += now.store_sectors - r->paused.store_sectors;
}

u64 replay_now_ns(const struct replay *r)
{
	return sim_now_ns() - r->left_out.ns;
}

#define DIFF(field) (a.field - b->field)

static struct disk_counts counts_since(struct disk *disk, const struct disk_counts *b)
{
	struct disk_counts a = *disk_counts(disk);

	return (struct disk_counts){
		.reads = DIFF(reads), .writes = DIFF(writes), .flushes = DIFF(flushes),
		.discards = DIFF(discards), .write_zeroes = DIFF(write_zeroes),
		.preflush = DIFF(preflush), .fua = DIFF(fua), .sectors_read = DIFF(sectors_read),
		.sectors_written = DIFF(sectors_written),
		.sectors_discarded = DIFF(sectors_discarded), .meta_writes = DIFF(meta_writes),
		.meta_sectors_written = DIFF(meta_sectors_written), .errors = DIFF(errors),
	};
}

static struct sim_counts sim_since(const struct sim_counts *b)
{
	struct sim_counts a = *sim_counts();

	return (struct sim_counts){
		.context_switches = DIFF(context_switches), .wakeups = DIFF(wakeups),
		.events = DIFF(events), .bios = DIFF(bios), .bio_splits = DIFF(bio_splits),
		.copies = DIFF(copies), .copy_sectors = DIFF(copy_sectors),
		.copy_destinations = DIFF(copy_destinations), .zeroes = DIFF(zeroes),
		.zero_sectors = DIFF(zero_sectors),
	};
}

void replay_counts_begin(struct replay *r, struct replay_counts *start)
{
	start->origin = *disk_counts(r->origin_disk);
	start->store = *disk_counts(r->store_disk);
	start->sim = *sim_counts();
	r->result->records = 0;
	memset(&r->result->group_sizes, 0, sizeof(r->result->group_sizes));
	r->copies_at_record = start->sim.copy_destinations;
}

void replay_counts_end(struct replay *r, const struct replay_counts *start)
{
	struct replay_result *result = r->result;
	u64 data;

	result->origin = counts_since(r->origin_disk, &start->origin);
	result->store = counts_since(r->store_disk, &start->store);
	result->sim = sim_since(&start->sim);
	result->origin.reads -= r->left_out.origin;
	result->origin.sectors_read -= r->left_out.origin_sectors;
	result->store.reads -= r->left_out.store;
	result->store.sectors_read -= r->left_out.store_sectors;
	result->sim.bios -= r->left_out.bios;
	result->copied_chunks = result->sim.copy_destinations;
	result->copied_sectors = result->copied_chunks * r->options->chunk;
	result->metadata_sectors = result->store.meta_sectors_written;
	data = result->store.sectors_written - result->metadata_sectors;
	result->direct_chunk_writes_sectors =
		data > result->copied_sectors ? data - result->copied_sectors : 0;
	result->memory_peak = sim_memory_peak_bytes();
}
