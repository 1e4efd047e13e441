/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mikulas store that is right, and ways to make one place of it wrong with all checksums right: each must be refused,
 * or end in an error, that says what is wrong. The store has a tree of two levels and data maps of two.
 */
#ifndef TESTS_HOSTILE_STORE_H
#define TESTS_HOSTILE_STORE_H

#include "store_double.h"

#define HOSTILE_SECTORS 300000
#define HOSTILE_CHUNKS 5000 /* with an exception; numbers three apart */
#define HOSTILE_DELETED 3ULL /* the high half of a snapshot that is gone */

#define FIRST_LEVEL(n) ((snapid_t)(n) << 32 | U32_MAX)

struct hostile {
	struct dm_multisnap s;
	struct double_disk disk;
	u8 *good; /* what the disk holds when all is right */
	u64 bytes;
	struct super super;
	u64 free_chunk, used_chunk; /* of the store, in the durable map */
};

static char hostile_text[8192]; /* what the store has said */

static inline void hostile_log(void *context, int level, const char *line)
{
	size_t n = strlen(hostile_text);

	snprintf(hostile_text + n, sizeof(hostile_text) - n, "%s\n", line);
}

static inline bool hostile_said(const char *what)
{
	return strstr(hostile_text, what);
}

static inline void hostile_create(struct dm_multisnap *s, snapid_t master)
{
	snapid_t id;

	CHECK(s->ops->allocate_snapid(s->store, master, &id) == 0);
	CHECK(s->ops->create_snapshot(s->store, id) == 0);
}

/* All that is recorded reaches the tree. */
static inline void hostile_checkpoint(struct dm_multisnap *s)
{
	double_commit_all(s);
	double_settle(s);
	checkpoint_poll(s->store, true);
	double_settle(s);
	CHECK(!s->error && s->store->super.log_seq == s->store->log.seq);
}

static inline void hostile_keep(struct hostile *h)
{
	h->super = h->s.store->super;
	double_unload(&h->s);
	memcpy(h->good, h->disk.durable, h->bytes);
}

/* Snapshots 0, 1 with 1.0, and 2; each of HOSTILE_CHUNKS chunks has its exception. */
static inline void hostile_make(struct hostile *h, unsigned int chunks)
{
	struct dm_multisnap *s = &h->s;

	memset(h, 0, sizeof(*h));
	s->geometry.shift = 3;
	s->fifo = true;
	s->origin_sectors = HOSTILE_SECTORS;
	disk_make_plain(&h->disk, HOSTILE_SECTORS, 40000);
	h->bytes = h->disk.kept * SECTOR_SIZE;
	h->good = malloc(h->bytes);
	CHECK(double_load(s, &h->disk, "") == 0);
	CHECK(mblock_to_sector(s->store->super.meta_start + s->store->super.meta_blocks) <=
	      h->disk.kept);
	for (unsigned int i = 0; i < 4; i++)
		hostile_create(s, SNAPID_ORIGIN);
	hostile_create(s, FIRST_LEVEL(1));
	for (unsigned int i = 0; i < chunks; i++)
		double_write(s, 3 * i);
	double_commit_all(s);
	CHECK(s->ops->delete_snapshot(s->store, FIRST_LEVEL(HOSTILE_DELETED)) == 0);
	hostile_checkpoint(s);
	CHECK(s->store->super.data_map.used == chunks && s->store->data.shape.levels == 2);
	CHECK(!chunks || s->store->super.depth == 2);
	CHECK(space_find(s->store, &s->store->data, 0, s->store->data.shape.bits, &h->free_chunk) ==
	      1);
	h->free_chunk += s->store->super.data_start;
	h->used_chunk = h->free_chunk - 1;
	hostile_keep(h);
}

/* The disk is as it was, and nothing has been said. */
static inline void hostile_restore(struct hostile *h)
{
	memcpy(h->disk.durable, h->good, h->bytes);
	hostile_text[0] = '\0';
}

static inline void hostile_free(struct hostile *h)
{
	disk_free(&h->disk);
	free(h->good);
}

static inline struct super_disk *hostile_super(struct hostile *h)
{
	return (void *)h->disk.durable;
}

static inline void hostile_seal_super(struct hostile *h)
{
	struct super_disk *disk = hostile_super(h);

	disk->crc = 0;
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

static inline void *hostile_block(struct hostile *h, u64 location)
{
	return h->disk.durable + location * MBLOCK_BYTES;
}

/* As double_run(), with what is said kept. */
static inline void hostile_run(void (*fn)(void *arg), void *arg)
{
	struct sim_options options = { .strategy = SIM_FIFO,
				       .fail = double_fail,
				       .log = hostile_log };

	double_seed = 1;
	double_state = 1;
	hostile_text[0] = '\0';
	sim_start(&options);
	CHECK(sim_module_load("dm-store-mikulas") == 0);
	sim_thread_start("test", fn, arg);
	sim_run();
	sim_stop();
}

#endif /* TESTS_HOSTILE_STORE_H */
