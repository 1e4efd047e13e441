// SPDX-License-Identifier: GPL-2.0
/*
 * The pure parts of the mikulas store: nodes, records, superblock, layout, snapids.
 */
#include "store_double.h"

/* ---- nodes ---- */

static void random_entries(struct entry *entries, unsigned int n, unsigned int level, bool wide)
{
	u64 chunk = rnd(1000), from = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct entry *e = &entries[i];

		if (rnd(3)) {
			chunk += 1 + rnd(wide ? 1ULL << 40 : 50);
			from = 0;
		}
		from += 1 + rnd(wide ? 1ULL << 50 : 3);
		e->chunk = chunk;
		e->from = from;
		if (level) {
			e->a = rnd(wide ? 1ULL << 47 : 5000);
			e->b = wide ? rnd(U64_MAX) : rnd(9);
		} else {
			from += rnd(wide ? 1ULL << 50 : 3);
			e->a = from;
			e->b = rnd(wide ? 1ULL << 47 : 5000);
		}
	}
}

static void node_round(void *arg)
{
	static struct entry entries[1200];
	struct node_disk *node = malloc(sizeof(*node));

	for (unsigned int round = 0; round < 400; round++) {
		unsigned int level = round % 3 ? 0 : 1 + rnd(3);
		unsigned int n = 1 + rnd(1200), fit, i;
		struct node_layout layout;
		struct entry e;

		random_entries(entries, n, level, round % 2);
		fit = node_prefix(entries, n, level);
		CHECK(fit >= 1 && fit <= n && fit <= NODE_ENTRIES_MAX);
		CHECK(fit >= min(n, NODE_ENTRIES_FULL), "only %u of %u fit", fit, n);
		CHECK(node_bytes(entries, fit, level) <= NODE_ROOM);
		if (fit < n && fit < NODE_ENTRIES_MAX)
			CHECK(node_bytes(entries, fit + 1, level) > NODE_ROOM);
		node_build(node, entries, fit, level, 7);
		block_seal(node, 1234);
		CHECK(!block_check(node, 1234), "%s", block_check(node, 1234));
		CHECK(block_check(node, 1235));
		node_open(&layout, node);
		CHECK(layout.count == fit);
		for (i = 0; i < fit; i++) {
			node_entry(&layout, node, i, &e);
			CHECK(!memcmp(&e, &entries[i], sizeof(e)));
			CHECK(node_find(&layout, node, e.chunk, e.from) == i);
			CHECK(node_find(&layout, node, e.chunk, e.from - 1) < (int)i);
		}
	}
	free(node);
}

static void test_node_round_trip(void **state)
{
	double_run(node_round, NULL, 1);
}

/*
 * Any change is found by the checksum; with the checksum made right again what is accepted can be
 * read.
 */
static void node_damage(void *arg)
{
	static struct entry entries[300];
	struct node_disk *good = malloc(sizeof(*good)), *bad = malloc(sizeof(*bad));

	for (unsigned int round = 0; round < 3000; round++) {
		unsigned int level = rnd(2), n, at = rnd(3) ? rnd(88 + 64) : rnd(MBLOCK_BYTES);
		struct node_layout layout;
		struct entry e, previous = { 0 };

		random_entries(entries, 300, level, rnd(2));
		n = node_prefix(entries, 300, level);
		node_build(good, entries, n, level, 7);
		block_seal(good, 99);
		memcpy(bad, good, sizeof(*bad));
		((u8 *)bad)[at] ^= 1 << rnd(8);
		CHECK(block_check(bad, 99));
		block_seal(bad, 99);
		if (block_check(bad, 99))
			continue;
		node_open(&layout, bad);
		for (unsigned int i = 0; i < layout.count; i++) {
			node_entry(&layout, bad, i, &e);
			CHECK(!i || key_cmp(previous.chunk, previous.from, e.chunk, e.from) < 0);
			previous = e;
		}
	}
	free(good);
	free(bad);
}

static void test_node_damage(void **state)
{
	double_run(node_damage, NULL, 2);
}

/* ---- records ---- */

static struct entry record_entry(unsigned int i)
{
	struct entry e = { .chunk = rnd(1 << 20), .from = 0, .a = U32_MAX, .b = 5000 + i };

	return e;
}

static void record_round(void *arg)
{
	struct log_header_disk header = { 0 };
	struct record record = { .data = calloc(1, 65536) };
	struct group_state state = { .alloc_pos = 4999 };
	struct log_operation op;
	struct log_reader reader;
	struct entry added[16];
	struct entry odd = { (1ULL << 52) - 1, 3ULL << 32 | 5, 9ULL << 32 | U32_MAX, 1ULL << 47 };

	record_reset(&record);
	for (unsigned int i = 0; i < 16; i++) {
		added[i] = record_entry(i);
		record_add(&record, &state, &added[i]);
		state.alloc_pos = added[i].b;
	}
	/* Groups of 16 take far less than a sector. */
	CHECK(record.bytes <= 80, "%u", record.bytes);
	if (getenv("SHOW_COST"))
		printf("a group of 16 random chunks: %u bytes of payload\n", record.bytes);
	record_add(&record, &state, &odd);
	record_narrow(&record, &odd, odd.from + 1, odd.a - 1);
	record_remove(&record, &odd);
	record_create(&record, 7ULL << 32 | 2);
	record_delete(&record, 7ULL << 32 | U32_MAX);
	record_cursor(&record, false, 12, 13);
	record_cursor(&record, true, 0, 0);
	CHECK(record.ops == 23 && record.changes == 17 + 2 + 1 + 2 + 1);
	header.sectors = cpu_to_le32(record_sectors_for(record.bytes, 8));
	CHECK(le32_to_cpu(header.sectors) == 8);
	record_seal(&record, &header);
	for (unsigned int i = 0; i < 8; i++)
		CHECK(record_stamp_ok(record.data + i * SECTOR_SIZE, 0, 0, i));

	reader = (struct log_reader){ .data = record.data, .bytes = record.bytes };
	state.alloc_pos = 4999;
	for (unsigned int i = 0; i < 16; i++) {
		CHECK(record_next(&reader, state.alloc_pos, &op) == 1);
		CHECK(op.op == OP_ADD && op.chunk == added[i].chunk && op.from == added[i].from &&
		      op.to == added[i].a && op.block == added[i].b);
		state.alloc_pos = op.block;
	}
	CHECK(record_next(&reader, state.alloc_pos, &op) == 1 && op.chunk == odd.chunk &&
	      op.from == odd.from && op.to == odd.a && op.block == odd.b);
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_NARROW &&
	      op.new_from == odd.from + 1 && op.new_to == odd.a - 1 && op.block == odd.b);
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_REMOVE && op.block == odd.b);
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_CREATE &&
	      op.from == (7ULL << 32 | 2));
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_DELETE &&
	      op.from == (7ULL << 32 | U32_MAX));
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_CURSOR && !op.end &&
	      op.chunk == 12 && op.from == 13);
	CHECK(record_next(&reader, 0, &op) == 1 && op.op == OP_CURSOR && op.end);
	CHECK(record_next(&reader, 0, &op) == 0);
	free(record.data);
}

static void test_record_round_trip(void **state)
{
	double_run(record_round, NULL, 3);
}

/* Payloads of any bytes decode to something or to an error, and end. */
static void record_noise(void *arg)
{
	u8 *data = calloc(1, 4096);

	for (unsigned int round = 0; round < 20000; round++) {
		struct log_reader reader = { .data = data, .bytes = rnd(300) };
		struct log_operation op;
		unsigned int n = 0;

		for (unsigned int i = 0; i < 1024; i++)
			data[i] = rnd(4) ? rnd(8) : rnd(256);
		while (record_next(&reader, rnd(U64_MAX), &op) > 0)
			CHECK(n++ < 300);
		CHECK(reader.at <= reader.bytes);
	}
	free(data);
}

static void test_record_noise(void **state)
{
	double_run(record_noise, NULL, 4);
}

static void record_sizes(void *arg)
{
	for (unsigned int block = 1; block <= 8; block *= 2) {
		for (unsigned int bytes = 1; bytes < 5000; bytes++) {
			unsigned int n = record_sectors_for(bytes, block);

			CHECK(n % block == 0 && record_capacity(n) >= bytes);
			CHECK(n == block || record_capacity(n - block) < bytes);
		}
	}
}

static void test_record_sizes(void **state)
{
	double_run(record_sizes, NULL, 5);
}

/* ---- superblock and layout ---- */

static void super_round(void *arg)
{
	unsigned int accepted = 0;

	for (unsigned int shift = 3; shift <= 21; shift++) {
		for (unsigned int order = 6; order < 55; order++) {
			struct super super = { .chunk_shift = shift, .block_sectors = 1 },
				     copy = { 0 };
			struct super_disk disk;
			const char *wrong;
			int error;

			super.origin_sectors = 12345;
			super.device_sectors = (1ULL << order) + rnd(1ULL << order);
			wrong = super_layout(&super, &error);
			if (wrong) {
				CHECK(error == -ENOSPC || error == -ERANGE);
				continue;
			}
			accepted++;
			super_pack(&disk, &super);
			wrong = super_unpack(&copy, &disk);
			CHECK(!wrong, "%s", wrong);
			CHECK(!memcmp(&copy, &super, sizeof(super)));
			/* The reserve is small. */
			if (order > 20)
				CHECK(super.data_start << shift <=
				      (super.device_sectors >> 4) + (1ULL << shift));
		}
	}
	CHECK(accepted > 400, "%u", accepted);
}

static void test_super_round_trip(void **state)
{
	double_run(super_round, NULL, 6);
}

static void seal_super(struct super_disk *disk)
{
	disk->crc = 0;
	disk->crc = cpu_to_le32(~crc32c(~0U, disk, sizeof(*disk)));
}

/* Each bit: refused; and with a right checksum refused or within bounds. */
static void super_damage(void *arg)
{
	struct super super = { .chunk_shift = 4,
			       .block_sectors = 1,
			       .origin_sectors = 1 << 20,
			       .device_sectors = 1 << 20 },
		     copy;
	struct super_disk disk, bad;
	int error;

	CHECK(!super_layout(&super, &error));
	super.ckpt = 5;
	super_pack(&disk, &super);
	for (unsigned int bit = 0; bit < SUPER_BYTES * 8; bit++) {
		bad = disk;
		((u8 *)&bad)[bit / 8] ^= 1 << bit % 8;
		CHECK(super_unpack(&copy, &bad), "bit %u", bit);
		seal_super(&bad);
		if (super_unpack(&copy, &bad))
			continue;
		CHECK((copy.data_start + copy.data_chunks) << copy.chunk_shift <=
		      copy.device_sectors);
		CHECK((copy.meta_start + copy.meta_blocks) << 3 <= copy.data_start
									   << copy.chunk_shift);
		CHECK(copy.log_start + copy.log_blocks <= copy.map_start);
	}
}

static void test_super_damage(void **state)
{
	double_run(super_damage, NULL, 7);
}

/* A device may have more metadata blocks than an allocation map has bits for. */
static void huge_metadata(void *arg)
{
	struct super super = { .chunk_shift = 4,
			       .block_sectors = 1,
			       .origin_sectors = 1 << 20,
			       .device_sectors = 1 << 20 },
		     copy;
	struct super_disk disk;
	const char *wrong;
	int error;

	CHECK(!super_layout(&super, &error));
	super_pack(&disk, &super);
	disk.device_sectors = cpu_to_le64(1ULL << 54);
	for (unsigned int order = 20; order < 64; order++) {
		disk.meta_blocks = cpu_to_le64(1ULL << order);
		seal_super(&disk);
		wrong = super_unpack(&copy, &disk);
		CHECK(wrong && !strcmp(wrong, order > 48 ? "metadata area" : "metadata place"),
		      "order %u: %s", order, wrong ? wrong : "accepted");
	}
}

static void test_h25_more_metadata_than_a_map_can_have(void **state)
{
	double_run(huge_metadata, NULL, 8);
}

static void crc_vector(void *arg)
{
	CHECK(~crc32c(~0U, "123456789", 9) == 0xE3069283);
}

static void test_crc_is_the_one_in_the_format(void **state)
{
	double_run(crc_vector, NULL, 8);
}

/* ---- snapids ---- */

static void snapids(void *arg)
{
	static const struct {
		const char *text;
		int r;
		snapid_t id;
	} cases[] = {
		{ "0", 0, 0xffffffff },
		{ "7", 0, 7ULL << 32 | 0xffffffff },
		{ "7.0", 0, 7ULL << 32 },
		{ "7.1", 0, 7ULL << 32 | 1 },
		{ "4294967294", 0, 0xfffffffeffffffff },
		{ "4294967294.4294967294", 0, 0xfffffffefffffffe },
		{ "7.4294967295", -EINVAL, 0 }, /* would be 7 */
		{ "4294967295", -EINVAL, 0 }, /* would be the origin */
		{ "4294967296", -ERANGE, 0 },
		{ "7.4294967296", -ERANGE, 0 },
		{ "18446744073709551615", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ ".", -EINVAL, 0 },
		{ "7.", -EINVAL, 0 },
		{ ".7", -EINVAL, 0 },
		{ "7.0.0", -EINVAL, 0 },
		{ "07", -EINVAL, 0 },
		{ "7.00", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1x", -EINVAL, 0 },
		{ "99999999999999999999999999x", -EINVAL, 0 },
	};
	char text[32];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		snapid_t id = 0;
		int r = mikulas_read_snapid(NULL, cases[i].text, &id);

		CHECK(r == cases[i].r, "'%s': %d", cases[i].text, r);
		if (r)
			continue;
		CHECK(id == cases[i].id, "'%s'", cases[i].text);
		CHECK(mikulas_print_snapid(NULL, text, sizeof(text), id) == strlen(text));
		CHECK(!strcmp(text, cases[i].text), "%s", text);
	}
}

static void test_h12_snapids_have_one_name_each(void **state)
{
	double_run(snapids, NULL, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_round_trip),
		cmocka_unit_test(test_node_damage),
		cmocka_unit_test(test_record_round_trip),
		cmocka_unit_test(test_record_noise),
		cmocka_unit_test(test_record_sizes),
		cmocka_unit_test(test_super_round_trip),
		cmocka_unit_test(test_super_damage),
		cmocka_unit_test(test_h25_more_metadata_than_a_map_can_have),
		cmocka_unit_test(test_crc_is_the_one_in_the_format),
		cmocka_unit_test(test_h12_snapids_have_one_name_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
