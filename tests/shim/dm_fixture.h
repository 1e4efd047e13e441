/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A target for tests of the fake device-mapper: linear mapping "device offset", whose behaviour and
 * limits the test sets and which notes what it sees.
 */
#ifndef TESTS_SHIM_DM_FIXTURE_H
#define TESTS_SHIM_DM_FIXTURE_H

#include <errno.h>

#include "finding.h"

struct seen {
	blk_opf_t opf;
	sector_t sector;
	u32 sectors;
	u32 bio_nr;
};

/* What the next constructed target is like, and what all of them do. */
static struct lin_options {
	u32 max_io_len;
	u32 flush_bios, discard_bios, write_zeroes_bios;
	u32 per_bio;
	u32 accept;		/* dm_accept_partial_bio() to a multiple of this, for discards */
	bool accounts;		/* accounts_remapped_io */
	int map_result;		/* instead of remapping; -1: remap */
	int (*end_io)(struct dm_target *ti, struct bio *bio, blk_status_t *error);
	int preresume_error;
	sector_t area;		/* what iterate_devices claims; 0: ti->len */
	int ctr_error;
	bool keep_device;	/* destructor without dm_put_device() */
} lin;

static struct seen seen[256];
static u32 nr_seen;
static char calls[1024]; /* methods called, a word each */
static char last_message[256];
static struct disk *lin_errors; /* the error layer below the disk of lin_begin() */
static struct bio_list kept; /* clones that map() kept (map_result DM_MAPIO_SUBMITTED) */

struct lin_target {
	struct dm_dev *dev;
	sector_t offset;
};

static void note(const char *what)
{
	if (strlen(calls) + strlen(what) + 2 < sizeof(calls)) {
		strcat(calls, what);
		strcat(calls, " ");
	}
}

static int lin_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct lin_target *l;
	int r;

	note("ctr");
	if (argc != 2) {
		ti->error = "Wrong number of arguments";
		return -EINVAL;
	}
	if (lin.ctr_error) {
		ti->error = "Told to fail";
		return lin.ctr_error;
	}
	l = kzalloc(sizeof(*l), GFP_KERNEL);
	if (!l)
		return -ENOMEM;
	l->offset = strtoull(argv[1], NULL, 10);
	r = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &l->dev);
	if (r) {
		ti->error = "No such device";
		kfree(l);
		return r;
	}
	if (lin.max_io_len)
		assert_int_equal(dm_set_target_max_io_len(ti, lin.max_io_len), 0);
	ti->num_flush_bios = lin.flush_bios;
	ti->num_discard_bios = lin.discard_bios;
	ti->num_write_zeroes_bios = lin.write_zeroes_bios;
	ti->per_io_data_size = lin.per_bio;
	ti->accounts_remapped_io = lin.accounts;
	ti->private = l;
	return 0;
}

static void lin_dtr(struct dm_target *ti)
{
	struct lin_target *l = ti->private;

	note("dtr");
	if (!lin.keep_device)
		dm_put_device(ti, l->dev);
	kfree(l);
}

static void lin_remap(struct dm_target *ti, struct bio *bio)
{
	struct lin_target *l = ti->private;

	bio_set_dev(bio, l->dev->bdev);
	if (bio_sectors(bio))
		bio->bi_iter.bi_sector = l->offset + dm_target_offset(ti, bio->bi_iter.bi_sector);
}

static int lin_map(struct dm_target *ti, struct bio *bio)
{
	if (lin.accept && bio_op(bio) == REQ_OP_DISCARD) {
		u32 left = lin.accept - bio->bi_iter.bi_sector % lin.accept;

		if (bio_sectors(bio) > left)
			dm_accept_partial_bio(bio, left);
	}
	if (nr_seen < ARRAY_SIZE(seen))
		seen[nr_seen++] = (struct seen){
			.opf = bio->bi_opf,
			.sector = bio->bi_iter.bi_sector,
			.sectors = bio_sectors(bio),
			.bio_nr = dm_bio_get_target_bio_nr(bio),
		};
	if (lin.per_bio) {
		u64 *data = dm_per_bio_data(bio, lin.per_bio);

		memset(data, 0x77, lin.per_bio);
		*data = bio->bi_iter.bi_sector;
		assert_ptr_equal(dm_bio_from_per_bio_data(data, lin.per_bio), bio);
	}
	if (lin.map_result == DM_MAPIO_SUBMITTED)
		bio_list_add(&kept, bio);
	if (lin.map_result >= 0)
		return lin.map_result;
	lin_remap(ti, bio);
	return DM_MAPIO_REMAPPED;
}

static int lin_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	return lin.end_io ? lin.end_io(ti, bio, error) : DM_ENDIO_DONE;
}

static char noflush_seen[64];

static void note_flags(struct dm_target *ti, const char *what)
{
	note(what);
	strcat(noflush_seen, dm_noflush_suspending(ti) ? "n" : "-");
	strcat(noflush_seen, dm_suspended(ti) ? "s" : "-");
}

static void lin_presuspend(struct dm_target *ti)
{
	note_flags(ti, "presuspend");
}

static void lin_postsuspend(struct dm_target *ti)
{
	note_flags(ti, "postsuspend");
}

static int lin_preresume(struct dm_target *ti)
{
	note_flags(ti, "preresume");
	return lin.preresume_error;
}

static void lin_resume(struct dm_target *ti)
{
	note_flags(ti, "resume");
}

static int lin_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		       unsigned int maxlen)
{
	unsigned int i;

	last_message[0] = '\0';
	for (i = 0; i < argc; i++) {
		strcat(last_message, i ? "|" : "");
		strcat(last_message, argv[i]);
	}
	if (!strcmp(argv[0], "event"))
		dm_table_event(ti->table);
	return !strcmp(argv[0], "fail") ? -ERANGE : 0;
}

static void (*lin_status_hook)(char *result, unsigned int maxlen);

static void lin_status(struct dm_target *ti, status_type_t type, unsigned int status_flags,
		       char *result, unsigned int maxlen)
{
	struct lin_target *l = ti->private;
	unsigned int sz = 0;

	if (lin_status_hook) {
		lin_status_hook(result, maxlen);
		return;
	}
	switch (type) {
	case STATUSTYPE_INFO:
		if (maxlen)
			result[0] = '\0';
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %llu", l->dev->name, l->offset);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",device_name=%s;", l->dev->name);
		break;
	}
}

static int lin_iterate(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct lin_target *l = ti->private;

	return fn(ti, l->dev, l->offset, lin.area ? lin.area : ti->len, data);
}

static struct target_type lin_type = {
	.name = "lin",
	.version = { 1, 2, 3 },
	.ctr = lin_ctr,
	.dtr = lin_dtr,
	.map = lin_map,
	.end_io = lin_end_io,
	.presuspend = lin_presuspend,
	.postsuspend = lin_postsuspend,
	.preresume = lin_preresume,
	.resume = lin_resume,
	.message = lin_message,
	.status = lin_status,
	.iterate_devices = lin_iterate,
};

/*
 * In a thread of a new world: the target type, and a disk "d" of @sectors (delay on error on ram).
 */
static inline struct disk *lin_begin(sector_t sectors, u32 block_size)
{
	static struct disk *disk;

	/* A world that ended in a finding has left its disk behind. */
	if (disk_bdev("d")) {
		disk_unregister("d");
		disk_destroy(disk);
	}
	lin_errors = disk_error_create(disk_ram_create("d", sectors));
	disk = disk_delay_create(lin_errors, DISK_RAM);
	lin = (struct lin_options){ .flush_bios = 1, .discard_bios = 1, .write_zeroes_bios = 1,
				    .map_result = -1 };
	lin_status_hook = NULL;
	nr_seen = 0;
	calls[0] = last_message[0] = noflush_seen[0] = '\0';
	bio_list_init(&kept);
	assert_int_equal(dm_register_target(&lin_type), 0);
	assert_non_null(disk_register("d", disk, block_size));
	return disk;
}

/* A dm device with one "lin" line over the whole disk, resumed. */
static inline void lin_up(const char *name, sector_t len)
{
	char table[64];

	snprintf(table, sizeof(table), "0 %llu lin d 0", len);
	assert_int_equal(dmctl_create(name), 0);
	assert_int_equal(dmctl_load(name, table, NULL), 0);
	assert_int_equal(dmctl_resume(name), 0);
}

static inline void lin_end(struct disk *disk)
{
	dm_unregister_target(&lin_type);
	disk_unregister("d");
	disk_destroy(disk);
}

/* Synchronous I/O, one at a time, with tags first, first + 1, ... */
static inline int put_tags(const char *name, blk_opf_t flags, sector_t sector, u32 sectors, tag_t first)
{
	static tag_t tags[64];
	u32 i;

	assert_true(sectors <= ARRAY_SIZE(tags));
	for (i = 0; i < sectors; i++)
		tags[i] = first + i;
	return sim_bio_wait(sim_bio_alloc(disk_bdev(name), REQ_OP_WRITE | flags, sector, sectors, tags));
}

static inline int op_wait(const char *name, blk_opf_t opf, sector_t sector, u32 sectors)
{
	return sim_bio_wait(sim_bio_alloc(disk_bdev(name), opf, sector, sectors, NULL));
}

static inline int get_tags(const char *name, sector_t sector, u32 sectors, tag_t *tags)
{
	return sim_bio_wait(sim_bio_alloc(disk_bdev(name), REQ_OP_READ, sector, sectors, tags));
}

#endif /* TESTS_SHIM_DM_FIXTURE_H */
