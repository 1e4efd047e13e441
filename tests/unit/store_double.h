/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core's side of core/store.h on a plain buffer: a test double that lets a store be driven one
 * event at a time.
 *
 * The disk is the device of design: 512-byte sectors, each atomic; an unflushed sector survives a
 * power cut as any of its versions since the last durable one. Requests end in an order chosen from
 * the seed. Everything runs in one simulated thread, so the shim's checks (leaks, redzones,
 * sleeping) hold.
 */
#ifndef TESTS_STORE_DOUBLE_H
#define TESTS_STORE_DOUBLE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

#include "../../stores/mikulas/mikulas.h"

#define CHECK(condition, ...)                                                               \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "%s:%d: seed %llu: not so: %s", __FILE__, __LINE__, \
				(unsigned long long)double_seed, #condition);               \
			fprintf(stderr, "\n" __VA_ARGS__);                                  \
			fprintf(stderr, "\n");                                              \
			exit(1);                                                            \
		}                                                                           \
	} while (0)

static u64 double_seed;
static u64 double_state;

static inline u64 rnd(u64 n)
{
	double_state = double_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return n ? (double_state >> 24) % n : 0;
}

/* ---- the disk ---- */

struct version {
	struct version *older;
	u8 data[SECTOR_SIZE];
};

struct double_disk {
	u64 sectors;
	u8 *durable;
	struct version **volatile_versions; /* newest first, per sector */
	u64 writes, write_sectors, flushes, reads;
	u64 bad_from, bad_to; /* reads of these sectors fail */
	u64 fail_read_at; /* the read that fails, counted from 1; 0: none */
	u64 kept; /* sectors that have memory; the rest must not be touched */
	u64 fail_write_at; /* the write that fails, counted from 1; 0: none */
};

static void sector_drop(struct double_disk *disk, u64 sector)
{
	while (disk->volatile_versions[sector]) {
		struct version *v = disk->volatile_versions[sector];

		disk->volatile_versions[sector] = v->older;
		free(v);
	}
}

static inline void disk_make(struct double_disk *disk, u64 sectors)
{
	memset(disk, 0, sizeof(*disk));
	disk->sectors = sectors;
	disk->kept = sectors;
	disk->durable = calloc(sectors, SECTOR_SIZE);
	disk->volatile_versions = calloc(sectors, sizeof(struct version *));
}

/* Only the first @kept sectors, and every write durable at once: for counting. */
static inline void disk_make_plain(struct double_disk *disk, u64 sectors, u64 kept)
{
	memset(disk, 0, sizeof(*disk));
	disk->sectors = sectors;
	disk->kept = kept;
	disk->durable = calloc(kept, SECTOR_SIZE);
}

static inline void disk_free(struct double_disk *disk)
{
	for (u64 i = 0; disk->volatile_versions && i < disk->sectors; i++)
		sector_drop(disk, i);
	free(disk->durable);
	free(disk->volatile_versions);
}

static inline const u8 *sector_data(struct double_disk *disk, u64 sector)
{
	return disk->volatile_versions && disk->volatile_versions[sector] ?
		       disk->volatile_versions[sector]->data :
		       disk->durable + sector * SECTOR_SIZE;
}

static void sector_harden(struct double_disk *disk, u64 sector)
{
	memcpy(disk->durable + sector * SECTOR_SIZE, sector_data(disk, sector), SECTOR_SIZE);
	sector_drop(disk, sector);
}

static void sector_write(struct double_disk *disk, u64 sector, const u8 *data)
{
	struct version *v = malloc(sizeof(*v));

	memcpy(v->data, data, SECTOR_SIZE);
	v->older = disk->volatile_versions[sector];
	disk->volatile_versions[sector] = v;
}

static inline void disk_flush(struct double_disk *disk)
{
	disk->flushes++;
	for (u64 i = 0; disk->volatile_versions && i < disk->sectors; i++)
		if (disk->volatile_versions[i])
			sector_harden(disk, i);
}

/* Power goes: each sector is one of its versions. */
static inline void disk_cut(struct double_disk *disk)
{
	for (u64 i = 0; i < disk->sectors; i++) {
		while (disk->volatile_versions[i] && rnd(3) == 0) {
			struct version *v = disk->volatile_versions[i];

			disk->volatile_versions[i] = v->older;
			free(v);
		}
		if (disk->volatile_versions[i])
			sector_harden(disk, i);
	}
}

static int disk_do(struct double_disk *disk, blk_opf_t opf, u64 sector, unsigned int n, u8 *data)
{
	unsigned int i;

	CHECK(sector + n <= disk->kept, "I/O beyond the end: %llu", sector);
	if ((opf & REQ_OP_MASK) == REQ_OP_READ) {
		disk->reads++;
		if ((sector < disk->bad_to && sector + n > disk->bad_from) || disk->reads == disk->fail_read_at)
			return -EIO;
		for (i = 0; i < n; i++)
			memcpy(data + i * SECTOR_SIZE, sector_data(disk, sector + i), SECTOR_SIZE);
		return 0;
	}
	if (opf & REQ_PREFLUSH)
		disk_flush(disk);
	if (!n)
		return 0;
	disk->writes++;
	disk->write_sectors += n;
	if (disk->writes == disk->fail_write_at)
		return -EIO;
	if (!disk->volatile_versions)
		memcpy(disk->durable + sector * SECTOR_SIZE, data, n * SECTOR_SIZE);
	for (i = 0; disk->volatile_versions && i < n; i++) {
		sector_write(disk, sector + i, data + i * SECTOR_SIZE);
		if (opf & REQ_FUA)
			sector_harden(disk, sector + i);
	}
	return 0;
}

/* ---- the core ---- */

struct dm_multisnap {
	struct double_disk *disk;
	struct chunk_geometry geometry;
	u64 origin_sectors;
	unsigned int block_sectors;
	const struct multisnap_store_ops *ops;
	struct dm_exception_store *store;
	struct list_head ios;
	struct list_head background;
	unsigned int nr_ios;
	bool fifo;
	int error;
	u64 epoch, epoch_wanted;
	bool closed, committing, request, want_memory, invalidated;
	u64 groups_closed, groups_durable;
	int commit_error, invalidate_error;
	bool busy_epoch; /* I/O holds up the epoch */
	bool hold_groups;
	const char *refused; /* what the table's line is told when a load fails */
};

static struct multisnap_store_ops *double_ops;

int dm_multisnap_register_store(struct multisnap_store_ops *ops)
{
	double_ops = ops;
	return 0;
}

void dm_multisnap_unregister_store(struct multisnap_store_ops *ops)
{
}

sector_t dm_multisnap_store_sectors(struct dm_multisnap *s)
{
	return s->disk->sectors;
}

unsigned int dm_multisnap_logical_block_sectors(struct dm_multisnap *s)
{
	return s->block_sectors;
}

sector_t dm_multisnap_origin_sectors(struct dm_multisnap *s)
{
	return s->origin_sectors;
}

struct chunk_geometry dm_multisnap_geometry(struct dm_multisnap *s)
{
	return s->geometry;
}

const char *dm_multisnap_name(struct dm_multisnap *s)
{
	return "double";
}

void dm_multisnap_set_error(struct dm_multisnap *s, int error)
{
	if (!s->error)
		s->error = error;
}

void dm_multisnap_status_lock(struct dm_multisnap *s)
{
}

void dm_multisnap_status_unlock(struct dm_multisnap *s)
{
}

bool dm_multisnap_groups_held(struct dm_multisnap *s)
{
	return s->hold_groups;
}

void dm_multisnap_submit_io(struct dm_multisnap *s, struct dm_multisnap_io *io)
{
	CHECK(io->sector % s->block_sectors == 0 && io->sectors % s->block_sectors == 0);
	list_add_tail(&io->list, &s->ios);
	s->nr_ios++;
}

int dm_multisnap_sync_io(struct dm_multisnap *s, blk_opf_t opf, sector_t sector,
			 unsigned int sectors, void *data)
{
	CHECK(sector % s->block_sectors == 0 && sectors % s->block_sectors == 0);
	return disk_do(s->disk, opf, sector, sectors, data);
}

void dm_multisnap_commit_done(struct dm_multisnap *s, int error)
{
	CHECK(s->committing && s->closed);
	s->committing = false;
	s->closed = false;
	s->commit_error = error;
	if (!error)
		s->groups_durable++;
}

void dm_multisnap_invalidate_done(struct dm_multisnap *s, int error)
{
	s->invalidated = true;
	s->invalidate_error = error;
}

void dm_multisnap_request_commit(struct dm_multisnap *s)
{
	s->request = true;
}

void dm_multisnap_want_memory(struct dm_multisnap *s)
{
	s->want_memory = true;
}

void dm_multisnap_event(struct dm_multisnap *s)
{
}

void dm_multisnap_queue_work(struct dm_multisnap *s, struct dm_multisnap_background_work *bw)
{
	if (bw->queued)
		return;
	bw->queued = true;
	list_add_tail(&bw->list, &s->background);
}

u64 dm_multisnap_epoch(struct dm_multisnap *s)
{
	return s->epoch;
}

void dm_multisnap_want_epoch(struct dm_multisnap *s, u64 e)
{
	s->epoch_wanted = max(s->epoch_wanted, e);
}

int dm_multisnap_get_string(struct dm_arg_set *as, const char **string, char *what, char **error)
{
	*error = what;
	if (!as->argc)
		return -EINVAL;
	*string = as->argv[0];
	as->argc--;
	as->argv++;
	return 0;
}

int dm_multisnap_get_uint64(struct dm_arg_set *as, u64 *value, char *what, char **error)
{
	const char *word;
	int r = dm_multisnap_get_string(as, &word, what, error);

	if (!r)
		*value = strtoull(word, NULL, 10);
	return r;
}

/* ---- driving it ---- */

/* One thing happens: a request ends, a slice of background work, the epoch. False: nothing can. */
static inline bool double_event(struct dm_multisnap *s)
{
	struct dm_multisnap_background_work *bw;
	struct dm_multisnap_io *io;
	unsigned int pick;
	int r;

	if (s->want_memory) {
		s->want_memory = false;
		CHECK(s->ops->fetch_memory(s->store) == 0);
		return true;
	}
	if (s->epoch < s->epoch_wanted && !s->busy_epoch && (s->fifo || rnd(4) == 0)) {
		s->epoch++;
		return true;
	}
	if (!list_empty(&s->background) && (s->fifo || !s->nr_ios || rnd(2))) {
		bw = list_first_entry(&s->background, struct dm_multisnap_background_work, list);
		list_del(&bw->list);
		bw->queued = false;
		bw->work(s->store, bw);
		return true;
	}
	if (s->nr_ios) {
		pick = s->fifo ? 0 : rnd(s->nr_ios);
		list_for_each_entry(io, &s->ios, list)
			if (!pick--)
				break;
		list_del(&io->list);
		s->nr_ios--;
		r = disk_do(s->disk, io->opf, io->sector, io->sectors, io->data);
		io->done(io, r);
		return true;
	}
	if (s->epoch < s->epoch_wanted && !s->busy_epoch) {
		s->epoch++;
		return true;
	}
	return false;
}

/* Close the collecting group where none is closed, and commit it. */
static inline void double_close(struct dm_multisnap *s)
{
	if (s->closed)
		return;
	s->request = false;
	s->ops->close_group(s->store);
	s->groups_closed++;
	s->closed = true;
	s->committing = true;
	s->ops->commit(s->store);
}

static inline void double_wait_durable(struct dm_multisnap *s)
{
	u64 steps = 0;

	while (s->closed) {
		CHECK(double_event(s), "commit does not end");
		CHECK(steps++ < 10000000, "commit does not end");
	}
}

/* Everything recorded becomes durable. */
static inline void double_commit_all(struct dm_multisnap *s)
{
	double_wait_durable(s);
	double_close(s);
	double_wait_durable(s);
}

static inline void double_settle(struct dm_multisnap *s)
{
	u64 steps = 0;

	while (!s->error) {
		if (s->request)
			double_close(s);
		if (!double_event(s) && !s->request)
			break;
		CHECK(steps++ < 100000000, "does not settle");
	}
	if (!s->error) {
		CHECK(!s->ops->busy(s->store));
		CHECK(!s->store->cache.nr_reading && !s->store->cache.nr_writing && !s->store->cache.nr_dirty);
	}
}

/* An operation said -EAGAIN: let something happen. */
static inline void double_again(struct dm_multisnap *s)
{
	if (!s->closed && (s->request || list_empty(&s->background)))
		double_close(s);
	CHECK(double_event(s) || s->request, "-EAGAIN, and nothing is under way");
}

/* The core's part of a write to the origin: an exception for all snapshots that share @chunk. */
static inline void double_write(struct dm_multisnap *s, chunk_t chunk)
{
	struct chunk_remap remap;
	int r;

	for (;;) {
		s->ops->reset_query(s->store);
		r = s->ops->query_next_remap(s->store, chunk);
		if (r > 0)
			r = s->ops->add_next_remap(s->store, &remap);
		if (!r)
			return;
		CHECK(r == -EAGAIN, "%d", r);
		double_again(s);
	}
}

static inline int double_load(struct dm_multisnap *s, struct double_disk *disk, const char *args)
{
	char words[128], *argv[8], *error = NULL, *save = NULL, *word;
	struct dm_arg_set as = { .argc = 0, .argv = argv };
	int r;

	snprintf(words, sizeof(words), "%s", args);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[as.argc++] = word;
	s->disk = disk;
	s->ops = double_ops;
	s->error = 0;
	s->closed = s->committing = s->request = s->invalidated = false;
	s->groups_closed = s->groups_durable = 0;
	s->epoch = 1;
	s->epoch_wanted = 0;
	INIT_LIST_HEAD(&s->ios);
	INIT_LIST_HEAD(&s->background);
	s->nr_ios = 0;
	if (!s->block_sectors)
		s->block_sectors = 1;
	r = s->ops->init_exception_store(s, &s->store, &as, &error);
	if (r) {
		CHECK(error, "no message");
		s->refused = error;
		s->store = NULL;
		return r;
	}
	r = s->ops->format(s->store);
	if (r) {
		s->ops->exit_exception_store(s->store);
		s->store = NULL;
		return r;
	}
	s->ops->store_lock_acquired(s->store);
	return 0;
}

/* Without waiting for anything: as a power cut leaves it, but for the disk. */
static inline void double_unload(struct dm_multisnap *s)
{
	s->ops->exit_exception_store(s->store);
	s->store = NULL;
}

/* Power cut: what is under way may have reached the disk in part. */
static inline void double_power_cut(struct dm_multisnap *s)
{
	struct dm_multisnap_io *io;

	list_for_each_entry(io, &s->ios, list) {
		if ((io->opf & REQ_OP_MASK) == REQ_OP_READ || !rnd(3))
			continue;
		/* Nothing of it is written before its flush has ended. */
		if (io->opf & REQ_PREFLUSH)
			disk_flush(s->disk);
		for (unsigned int i = 0; i < io->sectors; i++)
			if (rnd(2))
				sector_write(s->disk, io->sector + i,
					     (u8 *)io->data + i * SECTOR_SIZE);
	}
	double_unload(s);
	disk_cut(s->disk);
}

/* ---- tests run in a simulated thread ---- */

static inline void double_fail(void *context, const char *what)
{
	fprintf(stderr, "seed %llu: the simulated kernel: %s\n", (unsigned long long)double_seed,
		what);
	exit(1);
}

static bool double_show_log;

static inline void double_log(void *context, int level, const char *line)
{
	if (double_show_log)
		fprintf(stderr, "%s\n", line);
}

static inline void double_run(void (*fn)(void *arg), void *arg, u64 seed)
{
	struct sim_options options = { .strategy = SIM_FIFO,
				       .fail = double_fail,
				       .log = double_log };

	double_show_log = getenv("SHOW_LOG") != NULL;
	double_seed = seed;
	double_state = seed * 0x9e3779b97f4a7c15ULL + 1;
	sim_start(&options);
	CHECK(sim_module_load("dm-store-mikulas") == 0);
	sim_thread_start("test", fn, arg);
	sim_run();
	sim_stop();
}

#endif /* TESTS_STORE_DOUBLE_H */
