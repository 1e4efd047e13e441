// SPDX-License-Identifier: GPL-2.0
/*
 * How records of the log hang together: sectors that are all of one record, mount counts that begin with 1 and do not fall.
 */
#include "hostile_log.h"

static void next_snapshot(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
}

static void another_snapshot(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(5));
}

static void long_record(struct hostile *h, struct crafted *c)
{
	for (unsigned int i = 0; i < 150; i++)
		add(c, (u64)(NEW + i) << 20, FIRST_LEVEL(0), FIRST_LEVEL(1), h->free_chunk + i);
}

/*
 * H26: a sector in the middle is of another record, or of another place in it, and the checksum is right all the same: a
 * torn write, behind which the log has ended.
 */
static void torn(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	for (unsigned int wrong = 0; wrong < 5; wrong++) {
		u8 *data = h.disk.durable + h.super.log_next * SECTOR_SIZE;
		struct log_header_disk *header = (void *)data;
		struct log_stamp_disk *stamp = (void *)(data + 2 * SECTOR_SIZE);
		unsigned int sectors;

		hostile_restore(&h);
		craft(&h, long_record);
		sectors = le32_to_cpu(header->sectors);
		CHECK(sectors >= 3, "%u sectors", sectors);
		if (wrong == 1)
			stamp->seq = cpu_to_le64(h.super.log_seq);
		if (wrong == 2)
			stamp->index = cpu_to_le16(3);
		if (wrong == 3)
			stamp->mount = cpu_to_le32(h.super.mount + 1);
		if (wrong == 4)
			stamp->magic = 0;
		header->crc = 0;
		header->crc = cpu_to_le32(~crc32c(~0U, data, sectors * SECTOR_SIZE));
		CHECK(double_load(&h.s, &h.disk, "") == 0, "%u: %s", wrong, hostile_text);
		CHECK(h.s.store->log.seq == h.super.log_seq + !wrong, "%u: record %llu", wrong, h.s.store->log.seq);
		double_unload(&h.s);
	}
	hostile_free(&h);
}

static void h26_a_torn_record_is_known_by_its_sectors(void **state)
{
	hostile_run(torn, NULL);
}

/* The first mount is 1. */
static void mount_0(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	for (u32 mount = 0; mount < 2; mount++) {
		hostile_restore(&h);
		hostile_super(&h)->mount_seq = cpu_to_le64(h.super.log_seq + 1);
		hostile_seal_super(&h);
		craft_nth(&h, next_snapshot, 1, mount, h.super.log_crc);
		CHECK(double_load(&h.s, &h.disk, "") == (mount ? 0 : -EPERM), "%u", mount);
		CHECK(hostile_said(": mount count\n") == !mount, "%s", hostile_text);
	}
	double_unload(&h.s);
	hostile_free(&h);
}

static void h32_no_record_is_of_mount_0(void **state)
{
	hostile_run(mount_0, NULL);
}

/* Mount counts rise along the log. */
static void falling_mounts(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	for (unsigned int falls = 0; falls < 2; falls++) {
		u32 mount = h.super.mount, crc;

		hostile_restore(&h);
		hostile_super(&h)->mount = cpu_to_le32(mount + 1);
		hostile_super(&h)->mount_seq = cpu_to_le64(h.super.log_seq + 2);
		hostile_seal_super(&h);
		crc = craft_nth(&h, next_snapshot, 1, mount + 1, h.super.log_crc);
		craft_nth(&h, another_snapshot, 2, mount + 1 - falls, crc);
		CHECK(double_load(&h.s, &h.disk, "") == (falls ? -EPERM : 0));
		CHECK(hostile_said(": mount count\n") == falls, "%s", hostile_text);
		if (falls)
			break;
		CHECK(h.s.store->log.seq == h.super.log_seq + 2);
		double_unload(&h.s);
	}
	hostile_free(&h);
}

static void h32_mount_counts_do_not_fall_along_the_log(void **state)
{
	hostile_run(falling_mounts, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h26_a_torn_record_is_known_by_its_sectors),
		cmocka_unit_test(h32_no_record_is_of_mount_0),
		cmocka_unit_test(h32_mount_counts_do_not_fall_along_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
