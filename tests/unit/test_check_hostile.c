// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check against images that mean harm (H25, H26): each byte of all metadata changed,
 * each sector lost or exchanged for another, nonsense under good CRCs. What matters is found;
 * nothing crashes, hangs or reads beyond the metadata (image_read() watches). Run it under
 * AddressSanitizer.
 */
#include "check_image.h"
#include "splitmix.h"

/* A small generator: the same bytes everywhere. */
static u64 random_state;

static u64 random_u64(void)
{
	return splitmix_next(&random_state);
}

static const u64 used_blocks[] = {
	ROOT, LEAF0, LEAF1, LEAF2, MAP_START + 1, MAP_START + 2, MAP_START + 5, MAP_START + 6,
};

#define NR_USED (sizeof(used_blocks) / sizeof(used_blocks[0]))

static int result_of(struct image *image)
{
	struct check_report report;
	int r = image_check(image, &report);

	check_report_free(&report);
	return r;
}

/* ---- without a good CRC ---- */

static void test_bytes_of_superblock(void **state)
{
	struct image *image = image_new();

	for (unsigned int i = 0; i < 512; i++) {
		int expected = i < 8 ? CHECK_IMPOSSIBLE : CHECK_DAMAGED;

		image->bytes[i] ^= 1 << i % 8;
		if (result_of(image) != expected)
			fail_msg("byte %u of the superblock: not found", i);
		image->bytes[i] ^= 1 << i % 8;
	}
	image_free(image);
}

static void test_bytes_of_blocks(void **state)
{
	struct image *image = image_new();

	for (unsigned int j = 0; j < NR_USED; j++)
		for (unsigned int i = 0; i < BLOCK; i++) {
			u8 *byte = at_block(image, used_blocks[j]) + i;

			*byte ^= 1 << (i + j) % 8;
			if (result_of(image) != CHECK_DAMAGED)
				fail_msg("byte %u of block %llu: not found", i, used_blocks[j]);
			*byte ^= 1 << (i + j) % 8;
		}
	image_free(image);
}

/* FORMAT.md section 7, 5: what may stand in a sector of the log when its last record is @last. */
static bool belongs_there(const u8 *sector, u64 place, u64 last)
{
	static const u8 zero[512];
	u64 mount = get(sector, 4), index = get(sector + 4, 2), seq = get(sector + 8, 8);

	if (!memcmp(sector, zero, 512))
		return true;
	return sector[6] == 0x4D && sector[7] == 0x4C && mount >= 1 && mount <= MOUNT &&
	       seq <= last + 1 && index < RECORD_SECTORS &&
	       (index > 0 || get(sector + 24, 8) == place);
}

#define LAST_RECORD (LOG_FIRST + 1)

/*
 * One bit of the log. A record but the last: found, since what follows it shows. The last: as if its
 * write had been cut off, unless record 9 has been begun. Anything: found if nobody has written that.
 */
static void flip_in_log(struct image *image, u64 sector, unsigned int byte, unsigned int bit,
			bool begun)
{
	u64 next = LAST_RECORD + get(at_log(image, LAST_RECORD) + 32, 4);
	bool shorter = sector >= LAST_RECORD && sector < next;
	u8 *b = at_log(image, sector);
	struct check_report report;
	bool found;

	b[byte] ^= 1 << bit;
	found = sector == LOG_NEXT || sector == LOG_FIRST || (shorter && begun) ||
		!belongs_there(b, sector, shorter ? 7 : 8);
	if (image_check(image, &report) != (found ? CHECK_DAMAGED : CHECK_CLEAN))
		fail_msg("sector %llu of the log, byte %u, bit %u: %s", sector, byte, bit,
			 found ? "not found" : "found");
	if (!found && report.summary.records != (shorter ? 2 : 3))
		fail_msg("sector %llu of the log, byte %u, bit %u: %llu records", sector, byte, bit,
			 report.summary.records);
	check_report_free(&report);
	b[byte] ^= 1 << bit;
}

static void test_bytes_of_log(void **state)
{
	static const u8 zero[512];
	struct image *image = image_new();

	for (unsigned int begun = 2; begun--;) {
		for (u64 sector = LOG_FIRST; sector < LOG_END; sector++) {
			bool empty = !memcmp(at_log(image, sector), zero, 512);

			for (unsigned int i = 0; i < 512; i += empty ? 61 : 1)
				for (unsigned int bit = 0; bit < 8; bit++)
					if ((!empty && i < 48) || bit == (sector + i) % 8)
						flip_in_log(image, sector, i, bit, begun);
		}
		memset(at_log(image, LAST_RECORD + 2), 0, 512); /* record 9 */
		assert_clean(image);
	}
	image_free(image);
}

/* A block that was written elsewhere, or not written: any for any other. */
static void test_exchanged_blocks(void **state)
{
	struct image *image = image_new();
	u8 good[BLOCK];

	for (unsigned int i = 0; i < NR_USED; i++) {
		memcpy(good, at_block(image, used_blocks[i]), BLOCK);
		for (unsigned int j = 0; j < NR_USED; j++) {
			if (i == j)
				memset(at_block(image, used_blocks[i]), 0, BLOCK);
			else
				memcpy(at_block(image, used_blocks[i]),
				       at_block(image, used_blocks[j]), BLOCK);
			if (result_of(image) != CHECK_DAMAGED)
				fail_msg("block %llu instead of %llu: not found", used_blocks[j],
					 used_blocks[i]);
			memcpy(at_block(image, used_blocks[i]), good, BLOCK);
		}
	}
	assert_clean(image);
	image_free(image);
}

/* ---- nonsense under good CRCs ---- */

/* One byte of a block or of the superblock is anything: an end, and if clean then a state. */
static void test_bytes_with_crc(void **state)
{
	struct image *image = image_new();

	random_state = 1;
	for (unsigned int i = 0; i < 512; i++)
		for (unsigned int k = 0; k < 4; k++) {
			u8 good = image->bytes[i];

			image->bytes[i] = k == 0 ? 0 : k == 1 ? 0xff : random_u64();
			seal_super(image);
			result_of(image);
			image->bytes[i] = good;
		}
	seal_super(image);
	for (unsigned int j = 0; j < NR_USED; j++)
		for (unsigned int i = 0; i < BLOCK; i += i < 600 ? 1 : 23) {
			u8 *byte = at_block(image, used_blocks[j]) + i, good = *byte;

			*byte = random_u64();
			seal_block(image, used_blocks[j]);
			result_of(image);
			*byte = good;
			seal_block(image, used_blocks[j]);
		}
	assert_clean(image);
	image_free(image);
}

static void scribble(u8 *p, unsigned int size, unsigned int times)
{
	while (times--) {
		unsigned int n = 1 << random_u64() % 4;
		unsigned int at = random_u64() % (size - n);
		u64 value = random_u64();

		switch (random_u64() % 4) {
		case 0:
			value = ~0ULL;
			break;
		case 1:
			value %= 3;
			break;
		case 2:
			value >>= random_u64() % 64;
			break;
		}
		put(p + at, value, n);
	}
}

static void seal_last_record(struct image *image)
{
	u8 *b = at_log(image, LOG_FIRST + 1);
	u64 sectors = get(b + 32, 4);

	if (sectors >= 1 && sectors <= RECORD_SECTORS)
		seal(b, sectors * 512, 16);
}

static void test_scribbles_with_crc(void **state)
{
	struct image *image = image_new();

	for (unsigned int i = 0; i < 3000; i++) {
		u64 block;

		random_state = i;
		block = used_blocks[random_u64() % NR_USED];
		scribble(at_block(image, block) + 24, BLOCK - 24, 1 + i % 5);
		seal_block(image, block);
		if (i % 3 == 0) {
			scribble(image->bytes + 40, 300, 1);
			image->bytes[44] = image->bytes[45] = image->bytes[46] = image->bytes[47] =
				0;
			seal_super(image);
		}
		if (i % 4 == 0) {
			scribble(at_log(image, LOG_FIRST + 1) + 36, 476, 3);
			seal_last_record(image);
		}
		result_of(image);
		if (i % 8 == 7) {
			memset(image->bytes, 0, image->bytes_size);
			build(image);
		}
	}
	image_free(image);
}

/* Payloads of random operations, most of them well formed. */
static void test_random_operations(void **state)
{
	static const u8 codes[] = { 1, 1, 0x11, 0x21, 0x31, 0x41, 0x71, 2,
				    3, 4, 5,	6,    0x16, 7,	  0,	0xff };
	struct image *image = image_new();

	for (unsigned int i = 0; i < 2000; i++) {
		unsigned int n;

		random_state = i;
		n = 1 + random_u64() % 60;
		while (n--) {
			unsigned int numbers = random_u64() % 8;

			op_head(image, codes[random_u64() % sizeof(codes)], 1);
			while (numbers--)
				op_v(image, random_u64() >> (random_u64() % 64));
		}
		record(image);
		result_of(image);
		begin_log(image);
		if (i % 2)
			build(image);
	}
	image_free(image);
}

/* ---- images of nothing but noise ---- */

static void test_noise(void **state)
{
	struct image *image = image_new();
	u8 super[512];

	memcpy(super, image->bytes, sizeof(super));
	for (unsigned int i = 0; i < 20; i++) {
		random_state = i;
		for (u64 at = 0; at < image->bytes_size; at += 8)
			put(image->bytes + at, random_u64(), 8);
		result_of(image);
		memcpy(image->bytes, super, sizeof(super));
		assert_int_equal(result_of(image), CHECK_DAMAGED);
		/* Everything is a node, a map block, a record. */
		for (u64 block = MAP_START; block < META_START + META_BLOCKS; block++) {
			u8 *b = at_block(image, block);

			put(b, block < META_START ? 0x4D4B494D : 0x4E4B494D, 4);
			put(b + 8, block, 8);
			put(b + 16, CKPT, 8);
			seal_block(image, block);
		}
		assert_int_equal(result_of(image), CHECK_DAMAGED);
	}
	image_free(image);
}

/* A log full of stamps, each sector a beginning: every one is looked at, none is taken. */
static void test_log_of_heads(void **state)
{
	struct image *image = image_new();

	begin_log(image);
	for (u64 sector = LOG_FIRST; sector < LOG_END; sector++) {
		u8 *b = at_log(image, sector);

		memset(b, 0x55, 512);
		put(b, MOUNT, 4);
		put(b + 4, 0, 2);
		put(b + 6, 0x4C4D, 2);
		put(b + 8, LOG_SEQ + 1, 8);
		put(b + 24, sector, 8);
		put(b + 32, 1 + sector % RECORD_SECTORS, 4);
	}
	assert_clean(image);
	image_free(image);
}

/* A device that fails: each read in turn. */
struct failing {
	struct image *image;
	u64 sector;
};

static int failing_read(void *context, u64 sector, u32 sectors, void *buffer)
{
	struct failing *f = context;

	if (f->sector >= sector && f->sector < sector + sectors)
		return -5;
	return image_read(f->image, sector, sectors, buffer);
}

static void test_read_errors(void **state)
{
	static const u64 sectors[] = { 0,	    LOG_FIRST,
				       LOG_END - 1, ROOT * 8 + 3,
				       LEAF1 * 8,   (MAP_START + 5) * 8 + 7 };
	struct image *image = image_new();

	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		struct failing failing = { image, sectors[i] };
		struct check_source source = {
			.name = "failing",
			.sectors = image->sectors,
			.read = failing_read,
			.context = &failing,
		};
		struct check_report report = { 0 };

		assert_int_equal(check_store(&source, &report),
				 i ? CHECK_DAMAGED : CHECK_IMPOSSIBLE);
		if (i) {
			assert_string_equal(report.findings[0].field, "read");
			assert_int_equal(report.findings[0].sector / 8, sectors[i] / 8);
		}
		check_report_free(&report);
	}
	image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_superblock),
		cmocka_unit_test(test_bytes_of_blocks),
		cmocka_unit_test(test_bytes_of_log),
		cmocka_unit_test(test_exchanged_blocks),
		cmocka_unit_test(test_bytes_with_crc),
		cmocka_unit_test(test_scribbles_with_crc),
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_log_of_heads),
		cmocka_unit_test(test_read_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
