// SPDX-License-Identifier: GPL-2.0
/*
 * Records of earlier mounts (H26, H32): one that was not there when the next mount began does not
 * count when it comes after all; one that was there must not be missing.
 */
#include "store_truth.h"

#define DISK_SECTORS 4096

/* A store whose last record, of the first mount, is on the disk or is not: two images of it. */
struct late {
	struct truth t;
	u8 *without, *with; /* the disk */
	struct truth_state state_without, state_with;
	u64 seq; /* of the last record without */
	u64 place; /* sector of the one behind it */
	u64 spare; /* sector in the log, far behind */
};

static void disk_put(struct truth *t, const u8 *bytes)
{
	disk_flush(&t->disk);
	memcpy(t->disk.durable, bytes, DISK_SECTORS * SECTOR_SIZE);
}

static u8 *disk_get(struct truth *t)
{
	u8 *bytes = malloc(DISK_SECTORS * SECTOR_SIZE);

	disk_flush(&t->disk);
	memcpy(bytes, t->disk.durable, DISK_SECTORS * SECTOR_SIZE);
	return bytes;
}

static void truth_set(struct truth *t, const struct truth_state *st)
{
	t->now = t->closed = t->durable = *st;
}

static void late_make(struct late *l)
{
	struct truth *t = &l->t;

	truth_init(t, DISK_SECTORS, 3);
	CHECK(truth_load(t, "") == 0);
	truth_create(t, SNAPID_ORIGIN);
	truth_origin_write(t, 3);
	truth_commit_all(t);
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	truth_settle(t);
	l->without = disk_get(t);
	l->state_without = t->now;
	l->seq = t->s.store->log.seq;
	l->place = t->s.store->log.next;
	l->spare = t->s.store->log.first + t->s.store->log.sectors / 2;
	CHECK(l->seq >= 2 && l->place < l->spare && !t->s.store->super.ckpt);
	truth_snapshot_write(t, 1, 5);
	truth_commit_all(t);
	truth_settle(t);
	CHECK(t->s.store->log.seq == l->seq + 1 && t->s.store->log.next == l->place + 1);
	l->with = disk_get(t);
	l->state_with = t->now;
	double_unload(&t->s);
}

static void late_free(struct late *l)
{
	truth_free(&l->t);
	free(l->without);
	free(l->with);
}

static struct super_disk *super_on_disk(struct truth *t)
{
	return (void *)t->disk.durable;
}

static void seal_super_on_disk(struct truth *t)
{
	struct super_disk *disk = super_on_disk(t);

	disk->crc = 0;
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

/* The record of one sector that is in @image at l->place, put at @place; of another mount if @mount. */
static void put_record(struct late *l, const u8 *image, u64 place, u32 mount)
{
	u8 *to = l->t.disk.durable + place * SECTOR_SIZE;
	struct log_header_disk *header = (void *)to;

	disk_flush(&l->t.disk);
	memcpy(to, image + l->place * SECTOR_SIZE, SECTOR_SIZE);
	CHECK(le64_to_cpu(header->stamp.seq) == l->seq + 1 && le32_to_cpu(header->sectors) == 1);
	header->location = cpu_to_le64(place);
	if (mount)
		header->stamp.mount = cpu_to_le32(mount);
	header->crc = 0;
	header->crc = cpu_to_le32(~crc32c(~0U, to, SECTOR_SIZE));
}

/* A load that must find @st and so many records. */
static void load_finds(struct late *l, const struct truth_state *st, u64 seq)
{
	truth_set(&l->t, st);
	CHECK(truth_load(&l->t, "") == 0);
	CHECK(l->t.s.store->log.seq == seq, "record %llu", l->t.s.store->log.seq);
	truth_matches(&l->t, st, true);
}

static void late_runs(void *arg)
{
	struct truth_state after;
	struct late late, *l = &late;
	struct truth *t = &l->t;

	late_make(l);
	/* It counts if it is there when the next mount begins, and from then on. */
	disk_put(t, l->with);
	for (unsigned int i = 0; i < 3; i++) {
		load_finds(l, &l->state_with, l->seq + 1);
		double_unload(&t->s);
	}
	/* It was not, and comes then: at once, or after some more mounts. */
	for (unsigned int mounts = 1; mounts < 4; mounts++) {
		disk_put(t, l->without);
		for (unsigned int i = 0; i < mounts; i++) {
			load_finds(l, &l->state_without, l->seq);
			double_unload(&t->s);
		}
		put_record(l, l->with, l->place, 0);
		load_finds(l, &l->state_without, l->seq);
		/* Its place is used for the next one, which counts. */
		CHECK(t->s.store->log.next == l->place);
		truth_origin_write(t, 7);
		truth_commit_all(t);
		truth_settle(t);
		CHECK(t->s.store->log.seq > l->seq && t->s.store->log.next > l->place);
		after = t->now;
		double_unload(&t->s);
		disk_flush(&t->disk);
		CHECK(memcmp(t->disk.durable + l->place * SECTOR_SIZE,
			     l->with + l->place * SECTOR_SIZE, SECTOR_SIZE));
		truth_set(t, &after);
		CHECK(truth_load(t, "") == 0);
		truth_matches(t, &after, true);
		double_unload(&t->s);
	}
	late_free(l);
}

static void test_h32_late_record(void **state)
{
	double_run(late_runs, NULL, 81);
}

/* A whole record that is not in the chain. */
static void elsewhere_runs(void *arg)
{
	struct late late, *l = &late;
	struct truth *t = &l->t;
	u32 mount;

	late_make(l);
	disk_put(t, l->without);
	load_finds(l, &l->state_without, l->seq);
	double_unload(&t->s);
	disk_flush(&t->disk);
	mount = le32_to_cpu(super_on_disk(t)->mount);
	CHECK(mount == 2);
	put_record(l, l->with, l->spare, 0);
	load_finds(l, &l->state_without, l->seq);
	double_unload(&t->s);
	mount++;
	/* Of the last mount: one before it is missing. */
	put_record(l, l->with, l->spare, mount);
	CHECK(truth_load(t, "") == -EPERM);
	put_record(l, l->with, l->spare, mount - 1);
	load_finds(l, &l->state_without, l->seq);
	double_unload(&t->s);
	/* In the chain there is another one of that number. */
	disk_put(t, l->with);
	put_record(l, l->with, l->spare, 0);
	load_finds(l, &l->state_with, l->seq + 1);
	double_unload(&t->s);
	/* Of an earlier mount, but it was there when the last one began. */
	disk_put(t, l->with);
	load_finds(l, &l->state_with, l->seq + 1);
	double_unload(&t->s);
	disk_flush(&t->disk);
	memset(t->disk.durable + l->place * SECTOR_SIZE, 0, SECTOR_SIZE);
	put_record(l, l->with, l->spare, 0);
	CHECK(truth_load(t, "") == -EPERM);
	late_free(l);
}

static void test_h32_late_record_elsewhere(void **state)
{
	double_run(elsewhere_runs, NULL, 82);
}

/* The last records are lost. */
static void early_end_runs(void *arg)
{
	struct late late, *l = &late;
	struct truth *t = &l->t;
	struct truth_state more;
	u8 *all;

	late_make(l);
	/* Of the last mount: as if the power had gone earlier. */
	disk_put(t, l->with);
	memset(t->disk.durable + l->place * SECTOR_SIZE, 0, SECTOR_SIZE);
	load_finds(l, &l->state_without, l->seq);
	double_unload(&t->s);
	/* Another mount has found it. */
	disk_put(t, l->with);
	load_finds(l, &l->state_with, l->seq + 1);
	double_unload(&t->s);
	disk_flush(&t->disk);
	t->disk.durable[l->place * SECTOR_SIZE + 100] ^= 1;
	CHECK(truth_load(t, "") == -EPERM);
	t->disk.durable[l->place * SECTOR_SIZE + 100] ^= 1;
	load_finds(l, &l->state_with, l->seq + 1);
	truth_origin_write(t, 9);
	truth_commit_all(t);
	truth_settle(t);
	more = t->now;
	CHECK(t->s.store->super.ckpt == 0);
	all = disk_get(t);
	double_unload(&t->s);
	/* What that mount has recorded is not promised, what it had found is. */
	memset(t->disk.durable + (l->place + 1) * SECTOR_SIZE, 0, SECTOR_SIZE);
	load_finds(l, &l->state_with, l->seq + 1);
	double_unload(&t->s);
	disk_put(t, all);
	memset(t->disk.durable + l->place * SECTOR_SIZE, 0, 2 * SECTOR_SIZE);
	CHECK(truth_load(t, "") == -EPERM);
	/* All that there is. */
	disk_put(t, all);
	super_on_disk(t)->mount_seq = cpu_to_le64(l->seq + 2);
	seal_super_on_disk(t);
	load_finds(l, &more, l->seq + 2);
	double_unload(&t->s);
	/* More than there is. */
	disk_put(t, all);
	super_on_disk(t)->mount_seq = cpu_to_le64(l->seq + 3);
	seal_super_on_disk(t);
	CHECK(truth_load(t, "") == -EPERM);
	free(all);
	late_free(l);
}

static void test_h26_last_records_lost(void **state)
{
	double_run(early_end_runs, NULL, 83);
}

/* What a load writes: the mount count and the last record that it has found, nothing else. */
static void load_writes(struct truth *t, u64 seq)
{
	struct super_disk before, after;

	disk_flush(&t->disk);
	before = *super_on_disk(t);
	CHECK(truth_load(t, "") == 0);
	after = *super_on_disk(t);
	CHECK(t->s.store->log.seq == seq);
	CHECK(le64_to_cpu(after.mount_seq) == seq, "%llu", le64_to_cpu(after.mount_seq));
	CHECK(t->s.store->super.mount_seq == seq);
	CHECK(le32_to_cpu(after.mount) == le32_to_cpu(before.mount) + 1);
	after.mount = before.mount;
	after.mount_seq = before.mount_seq;
	after.crc = before.crc;
	CHECK(!memcmp(&before, &after, sizeof(before)));
}

static void mount_seq_runs(void *arg)
{
	struct late late, *l = &late;
	struct truth *t = &l->t;
	u64 seq;

	late_make(l);
	/* Just formatted: mount 1, no record. */
	CHECK(le32_to_cpu(((struct super_disk *)l->without)->mount) == 1);
	CHECK(!((struct super_disk *)l->without)->mount_seq);
	disk_put(t, l->without);
	truth_set(t, &l->state_without);
	load_writes(t, l->seq);
	double_unload(&t->s);
	disk_put(t, l->with);
	truth_set(t, &l->state_with);
	load_writes(t, l->seq + 1);
	/* A record does not touch it, and a checkpoint leaves it as it is. */
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	checkpoint_poll(t->s.store, true);
	truth_settle(t);
	CHECK(super_on_disk(t)->ckpt && le64_to_cpu(super_on_disk(t)->log_seq) > l->seq + 1);
	CHECK(le64_to_cpu(super_on_disk(t)->mount_seq) == l->seq + 1);
	seq = t->s.store->log.seq;
	double_unload(&t->s);
	/* With no record behind the checkpoint; and with some. */
	load_writes(t, seq);
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	seq += 2;
	double_unload(&t->s);
	load_writes(t, seq);
	truth_matches(t, &t->now, true);
	double_unload(&t->s);
	late_free(l);
}

static void test_h32_mount_seq_written(void **state)
{
	double_run(mount_seq_runs, NULL, 84);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_h32_late_record),
		cmocka_unit_test(test_h32_late_record_elsewhere),
		cmocka_unit_test(test_h26_last_records_lost),
		cmocka_unit_test(test_h32_mount_seq_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
