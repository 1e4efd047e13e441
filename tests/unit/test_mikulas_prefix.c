// SPDX-License-Identifier: GPL-2.0
/*
 * Pure functions of the format against their definitions: how many entries a node takes, whose a sector of the log is.
 */
#include "store_double.h"

#define MOST 1200

/* Entries that stay near each other, rise, fall, or jump, in each field by itself. */
static void draw(struct entry *entries, unsigned int n)
{
	static const unsigned int bits[] = { 0, 1, 7, 8, 9, 16, 24, 32, 40, 48 };
	u64 *fields[4], step[4], base[4];
	unsigned int kind[4], i, j;

	for (j = 0; j < 4; j++) {
		base[j] = rnd(1ULL << 48);
		step[j] = 1ULL << bits[rnd(ARRAY_SIZE(bits))];
		kind[j] = rnd(4);
	}
	for (i = 0; i < n; i++) {
		fields[0] = &entries[i].chunk;
		fields[1] = &entries[i].from;
		fields[2] = &entries[i].a;
		fields[3] = &entries[i].b;
		for (j = 0; j < 4; j++) {
			u64 move = rnd(step[j]) / (n / 8 + 1);

			if (kind[j] == 1)
				base[j] += move;
			else if (kind[j] == 2)
				base[j] -= min(base[j], move);
			*fields[j] = kind[j] == 3 ? base[j] + rnd(step[j]) : base[j];
		}
	}
}

static bool fits(const struct entry *entries, unsigned int n, unsigned int level)
{
	return n <= NODE_ENTRIES_MAX && node_bytes(entries, n, level) <= NODE_ROOM;
}

/* As many as fit, and not one less. */
static void prefix(void *arg)
{
	static struct entry entries[MOST];
	unsigned int partly = 0;

	for (unsigned int round = 0; round < 3000; round++) {
		unsigned int n = 1 + rnd(MOST), level = rnd(3), p;

		draw(entries, n);
		p = node_prefix(entries, n, level);
		CHECK(p && p <= n && fits(entries, p, level), "%u of %u", p, n);
		CHECK(p == n || !fits(entries, p + 1, level), "%u of %u, one more would fit", p, n);
		partly += p < n && p < NODE_ENTRIES_MAX;
	}
	CHECK(partly > 300, "%u", partly);
}

/* A sector of the log belongs to a record by four things. */
static void stamp(void *arg)
{
	u8 sector[SECTOR_SIZE] = { 0 };
	struct log_stamp_disk *disk = (void *)sector;

	disk->magic = cpu_to_le16(LOG_MAGIC);
	disk->mount = cpu_to_le32(7);
	disk->index = cpu_to_le16(3);
	disk->seq = cpu_to_le64(9);
	CHECK(record_stamp_ok(sector, 7, 9, 3));
	CHECK(!record_stamp_ok(sector, 8, 9, 3));
	CHECK(!record_stamp_ok(sector, 7, 8, 3));
	CHECK(!record_stamp_ok(sector, 7, 9, 2));
	disk->magic = cpu_to_le16(LOG_MAGIC + 1);
	CHECK(!record_stamp_ok(sector, 7, 9, 3));
}

static void test_a_node_takes_what_fits(void **state)
{
	double_run(prefix, NULL, 1);
}

static void test_a_stamp_is_of_four_things(void **state)
{
	double_run(stamp, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_node_takes_what_fits),
		cmocka_unit_test(test_a_stamp_is_of_four_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
