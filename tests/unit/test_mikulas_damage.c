// SPDX-License-Identifier: GPL-2.0
/*
 * Damaged mikulas stores (H25, H26, H27, H32): refused, an error, or right; never wrong, never a
 * hang, never a crash.
 */
#include "store_truth.h"

/* A store with a tree of several leaves, maps, and a tail of the log behind the checkpoint. */
struct image {
	struct truth *t;
	u8 *bytes;
	u64 size;
	struct super super;
	u64 tail_records;
};

#define IMAGE_SECTORS 4096

static struct truth *new_truth(void)
{
	struct truth *t = malloc(sizeof(*t));

	truth_init(t, IMAGE_SECTORS, 3);
	return t;
}

static void image_make(struct image *image)
{
	struct truth *t = new_truth();

	image->t = t;
	CHECK(truth_load(t, "") == 0);
	for (unsigned int i = 0; i < 6; i++)
		truth_create(t, SNAPID_ORIGIN);
	truth_create(t, t->now.ids[2]);
	for (unsigned int i = 0; i < 150; i++) {
		truth_origin_write(t, rnd(TRUTH_CHUNKS));
		truth_snapshot_write(t, rnd(t->now.nr), rnd(TRUTH_CHUNKS));
	}
	truth_delete(t, 1);
	truth_commit_all(t);
	checkpoint_poll(t->s.store, true);
	truth_settle(t);
	/* The tail: records that are in no checkpoint. */
	for (unsigned int i = 0; i < 4; i++) {
		truth_create(t, SNAPID_ORIGIN);
		truth_origin_write(t, i);
		truth_snapshot_write(t, 0, 5 + i);
		truth_delete(t, 2 + i / 2);
		truth_commit_all(t);
	}
	truth_settle(t);
	image->tail_records = t->s.store->log.seq - t->s.store->super.log_seq;
	CHECK(image->tail_records >= 4 && t->s.store->super.ckpt && t->s.store->super.root);
	image->super = t->s.store->super;
	double_unload(&t->s);
	disk_flush(&t->disk);
	image->size = IMAGE_SECTORS * SECTOR_SIZE;
	image->bytes = malloc(image->size);
	memcpy(image->bytes, t->disk.durable, image->size);
}

static void image_restore(struct image *image)
{
	struct truth *t = image->t;

	disk_flush(&t->disk);
	memcpy(t->disk.durable, image->bytes, image->size);
	t->disk.bad_from = t->disk.bad_to = 0;
}

static void image_free(struct image *image)
{
	truth_free(image->t);
	free(image->t);
	free(image->bytes);
}

/* Everything that can be asked, with answers of any kind; ends. */
static void exercise(struct truth *t)
{
	struct dm_multisnap *s = &t->s;
	snapid_t id = 0;

	for (unsigned int n = 0; n < 60 && !s->error; n++, id++) {
		id = s->ops->get_next_snapid(s->store, id);
		if (id == SNAPID_ORIGIN)
			break;
		for (chunk_t c = 0; c < TRUTH_CHUNKS; c++) {
			struct chunk_remap remap[MAKE_WRITEABLE_MAX];
			block_t block;
			int r;

			TRUTH_RETRY(t, r,
				    s->ops->find_snapshot_chunk(s->store, id, c, true, &block));
			if (r == CHUNK_SHARED)
				r = s->ops->make_chunk_writeable(s->store, remap);
			else if (r == CHUNK_NOT_REMAPPED)
				r = s->ops->add_next_remap(s->store, remap);
		}
	}
	id = s->ops->get_next_snapid(s->store, 0);
	if (id != SNAPID_ORIGIN)
		s->ops->delete_snapshot(s->store, id);
	for (unsigned int i = 0; i < 3 && !s->error; i++) {
		if (!s->closed)
			double_close(s);
		while (s->closed && !s->error && double_event(s))
			;
		if (s->error)
			break;
		double_close(s);
		double_settle(s);
		checkpoint_poll(s->store, true);
		double_settle(s);
	}
}

static void seal_mblock(u8 *bytes, u64 block)
{
	block_seal(bytes + block * MBLOCK_BYTES, block);
}

static void seal_super_at(u8 *bytes)
{
	struct super_disk *disk = (void *)bytes;

	disk->crc = 0;
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

/* One bit of one metadata block in use, with the checksum left wrong: found, or never looked at. */
static void check_not_wrong(struct image *image, u64 byte, unsigned int bit)
{
	struct truth *t = image->t;
	struct truth_state expected = t->now;
	int r;

	image_restore(image);
	t->disk.durable[byte] ^= 1 << bit;
	r = truth_load(t, "");
	if (r)
		return;
	for (unsigned int i = 0; i < expected.nr && !t->s.error; i++) {
		for (chunk_t c = 0; c < TRUTH_CHUNKS && !t->s.error; c++) {
			block_t block = 0;

			TRUTH_RETRY(t, r,
				    t->s.ops->find_snapshot_chunk(t->s.store, expected.ids[i], c,
								  false, &block));
			if (r < 0) {
				CHECK(t->s.error == -EPERM);
				break;
			}
			CHECK((r == CHUNK_NOT_REMAPPED ? ORIGIN_TOKEN : t->content[block]) ==
				      expected.reads[i][c],
			      "wrong answer, byte %llu", byte);
		}
	}
	if (!t->s.error) {
		checkpoint_poll(t->s.store, true);
		double_settle(&t->s);
	}
	double_unload(&t->s);
	t->now = t->closed = t->durable = expected;
}

static void flips(void *arg)
{
	struct image image;
	u64 first, end;

	image_make(&image);
	first = image.super.map_start * MBLOCK_BYTES;
	end = (image.super.meta_start + image.super.meta_blocks) * MBLOCK_BYTES;
	for (u64 byte = 0; byte < SUPER_BYTES; byte++) {
		image_restore(&image);
		image.t->disk.durable[byte] ^= 1 << rnd(8);
		CHECK(truth_load(image.t, "") < 0, "superblock byte %llu", byte);
	}
	for (unsigned int i = 0; i < 3000; i++)
		check_not_wrong(&image, first + rnd(end - first), rnd(8));
	image_free(&image);
}

static void test_flipped_bits(void **state)
{
	double_run(flips, NULL, 21);
}

/* Hostile: bytes changed at will, checksums right. Whatever comes out, it ends. */
static void hostile(void *arg)
{
	struct image image;
	unsigned int refused = 0, errors = 0;

	image_make(&image);
	for (unsigned int i = 0; i < 4000; i++) {
		u8 *bytes = image.t->disk.durable;
		u64 block = image.super.map_start +
			    rnd(image.super.meta_start + 24 - image.super.map_start);
		struct truth_state expected = image.t->now;

		image_restore(&image);
		if (rnd(4)) {
			for (unsigned int n = 1 + rnd(3); n--;)
				bytes[block * MBLOCK_BYTES +
				      (rnd(2) ? rnd(120) : rnd(MBLOCK_BYTES))] =
					rnd(3) ? rnd(256) : 0xff * rnd(2);
			seal_mblock(bytes, block);
		} else {
			for (unsigned int n = 1 + rnd(2); n--;)
				bytes[40 + rnd(260)] = rnd(2) ? rnd(4) : rnd(256);
			seal_super_at(bytes);
		}
		if (truth_load(image.t, "") == 0) {
			exercise(image.t);
			errors += image.t->s.error != 0;
			double_unload(&image.t->s);
		} else {
			refused++;
		}
		image.t->now = image.t->closed = image.t->durable = expected;
	}
	CHECK(refused > 200 && errors > 50, "%u refused, %u errors", refused, errors);
	image_free(&image);
}

static void test_h25_hostile_image(void **state)
{
	double_run(hostile, NULL, 22);
}

/* One byte of the log: refused, or the state without the last record. */
static void log_flips(void *arg)
{
	struct image image;
	struct truth_state all;
	unsigned int refused = 0, shorter = 0;
	u64 last_place = 0, first;

	image_make(&image);
	all = image.t->now;
	first = image.super.log_start * MBLOCK_BYTES;
	/* Where the last record is. */
	CHECK(truth_load(image.t, "") == 0);
	last_place = image.t->s.store->log.next;
	double_unload(&image.t->s);
	for (unsigned int i = 0; i < 3000; i++) {
		u64 byte = image.super.log_next * SECTOR_SIZE +
			   rnd((last_place - image.super.log_next) * SECTOR_SIZE);
		int r;

		CHECK(byte >= first);
		image_restore(&image);
		image.t->disk.durable[byte] ^= 1 << rnd(8);
		image.t->now = image.t->closed = image.t->durable = all;
		r = truth_load(image.t, "");
		if (r) {
			CHECK(r == -EPERM, "%d", r);
			refused++;
			continue;
		}
		CHECK(byte / SECTOR_SIZE >= last_place - 1, "accepted, byte %llu of %llu", byte,
		      last_place * SECTOR_SIZE);
		shorter++;
		double_unload(&image.t->s);
	}
	CHECK(refused > 1000 && shorter > 10, "%u %u", refused, shorter);
	/* A sector of the log that cannot be read is damage, wherever it is. */
	for (unsigned int i = 0; i < 50; i++) {
		image_restore(&image);
		image.t->disk.bad_from = mblock_to_sector(image.super.log_start) +
					 rnd(mblock_to_sector(image.super.log_blocks));
		image.t->disk.bad_to = image.t->disk.bad_from + 1;
		CHECK(truth_load(image.t, "") == -EPERM);
	}
	image_free(&image);
}

static void test_h26_damaged_log(void **state)
{
	double_run(log_flips, NULL, 23);
}

/* A write that was acknowledged and lost. */
static void lost_writes(void *arg)
{
	struct image image;
	u8 *old;
	struct truth *t;

	image_make(&image);
	t = image.t;
	/* The superblock with the new mount count is lost, a record of that mount is there. */
	old = malloc(SECTOR_SIZE);
	image_restore(&image);
	memcpy(old, t->disk.durable, SECTOR_SIZE);
	CHECK(truth_load(t, "") == 0);
	truth_create(t, SNAPID_ORIGIN);
	truth_commit_all(t);
	double_unload(&t->s);
	disk_flush(&t->disk);
	memcpy(t->disk.durable, old, SECTOR_SIZE);
	CHECK(truth_load(t, "") == -EPERM);
	free(old);
	image_free(&image);
}

/* What it must say as far as it says anything. True: an error came up. */
static bool answers_not_wrong(struct truth *t, const struct truth_state *expected, u64 block)
{
	for (unsigned int i = 0; i < expected->nr && !t->s.error; i++) {
		for (chunk_t c = 0; c < TRUTH_CHUNKS && !t->s.error; c++) {
			block_t place = 0;
			int r;

			TRUTH_RETRY(t, r,
				    t->s.ops->find_snapshot_chunk(t->s.store, expected->ids[i], c,
								  false, &place));
			if (r < 0)
				return true;
			CHECK((r == CHUNK_NOT_REMAPPED ? ORIGIN_TOKEN : t->content[place]) ==
				      expected->reads[i][c],
			      "wrong answer, block %llu lost", block);
		}
	}
	/* Marks in the maps are looked at when they change. */
	for (unsigned int i = 0; i < 4 && !t->s.error; i++) {
		truth_origin_once(t, rnd(TRUTH_CHUNKS), ++t->next_token);
		double_close(&t->s);
		double_settle(&t->s);
		checkpoint_poll(t->s.store, true);
		double_settle(&t->s);
	}
	return t->s.error;
}

/* A metadata block whose last write was lost: what is there is whole, at its place, but old. */
static void lost_blocks(void *arg)
{
	struct image image;
	struct truth_state expected;
	unsigned int found = 0, tried = 0;
	struct truth *t;
	u8 *older;

	image_make(&image);
	t = image.t;
	older = malloc(image.size);
	image_restore(&image);
	CHECK(truth_load(t, "") == 0);
	/* So that places are used again. */
	for (unsigned int round = 0; round < 12; round++) {
		for (unsigned int i = 0; i < 20; i++)
			truth_random_op(t);
		truth_create(t, SNAPID_ORIGIN);
		truth_origin_write(t, rnd(TRUTH_CHUNKS));
		truth_settle(t);
		truth_commit_all(t);
		disk_flush(&t->disk);
		memcpy(older, t->disk.durable, image.size);
		checkpoint_poll(t->s.store, true);
		truth_settle(t);
		disk_flush(&t->disk);
		memcpy(image.bytes, t->disk.durable, image.size);
		image.super = t->s.store->super;
		expected = t->now;
		double_unload(&t->s);
		for (u64 b = image.super.map_start;
		     b < image.super.meta_start + image.super.meta_blocks; b++) {
			u64 at = b * MBLOCK_BYTES;

			if (!memcmp(older + at, image.bytes + at, MBLOCK_BYTES))
				continue;
			image_restore(&image);
			memcpy(t->disk.durable + at, older + at, MBLOCK_BYTES);
			tried++;
			if (truth_load(t, "") == 0) {
				found += answers_not_wrong(t, &expected, b);
				double_unload(&t->s);
			} else {
				found++;
			}
			t->now = t->closed = t->durable = expected;
		}
		image_restore(&image);
		CHECK(truth_load(t, "") == 0);
	}
	CHECK(tried > 20 && found == tried, "%u of %u found", found, tried);
	double_unload(&t->s);
	free(older);
	image_free(&image);
}

static void test_h26_lost_metadata_writes(void **state)
{
	double_run(lost_blocks, NULL, 27);
}

static void test_h26_lost_superblock(void **state)
{
	double_run(lost_writes, NULL, 24);
}

/* Only the first sector is zeroed: nothing of the old store comes back. */
static void reformat(void *arg)
{
	struct image image;
	struct truth *t;

	image_make(&image);
	t = image.t;
	image_restore(&image);
	memset(t->disk.durable, 0, SECTOR_SIZE);
	memset(&t->now, 0, sizeof(t->now));
	t->closed = t->durable = t->now;
	CHECK(truth_load(t, "") == 0);
	truth_matches(t, &t->now, true);
	for (unsigned int i = 0; i < 500; i++)
		truth_random_op(t);
	truth_settle(t);
	truth_commit_all(t);
	truth_settle(t);
	double_unload(&t->s);
	CHECK(truth_load(t, "") == 0);
	truth_matches(t, &t->now, true);
	double_unload(&t->s);
	image_free(&image);
}

static void test_h32_reformat(void **state)
{
	double_run(reformat, NULL, 25);
}

static void partners(void *arg)
{
	struct image image;
	struct truth *t;

	image_make(&image);
	t = image.t;
	image_restore(&image);
	t->s.geometry.shift = 4;
	CHECK(truth_load(t, "") == -EINVAL);
	t->s.geometry.shift = 3;
	t->s.origin_sectors++;
	CHECK(truth_load(t, "") == -EINVAL);
	t->s.origin_sectors--;
	t->disk.sectors--;
	CHECK(truth_load(t, "") == -EINVAL);
	t->disk.sectors++;
	t->s.block_sectors = 8;
	CHECK(truth_load(t, "") == -EINVAL);
	t->s.block_sectors = 1;
	t->disk.durable[0] ^= 0xff;
	CHECK(truth_load(t, "") == -EINVAL);
	t->disk.durable[0] ^= 0xff;
	CHECK(truth_load(t, "cache-limit 1") == -EINVAL);
	CHECK(truth_load(t, "cache-limit 2000 cache-limit 2000") == -EINVAL);
	CHECK(truth_load(t, "cache-limit") == -EINVAL);
	CHECK(truth_load(t, "cache-limit 36028797018963968") == -ERANGE);
	CHECK(truth_load(t, "limit 1") == -EINVAL);
	CHECK(truth_load(t, "Cache-Limit 2000 cache-threshold 7") == 0);
	truth_matches(t, &t->now, true);
	double_unload(&t->s);
	image_free(&image);
}

static void test_h27_wrong_partner(void **state)
{
	double_run(partners, NULL, 26);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_h25_hostile_image),
		cmocka_unit_test(test_h26_damaged_log),
		cmocka_unit_test(test_h26_lost_superblock),
		cmocka_unit_test(test_h26_lost_metadata_writes),
		cmocka_unit_test(test_h32_reformat),
		cmocka_unit_test(test_h27_wrong_partner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
