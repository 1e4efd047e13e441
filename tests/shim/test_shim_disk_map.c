// SPDX-License-Identifier: GPL-2.0
/* The sparse map of a ram disk against a plain array of tags; its memory. */
#include "finding.h"

#include "disk_map.h"

static u64 state = 1;

static u32 draw(u32 n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(((state >> 33) * n) >> 31);
}

static u8 literal_byte(u64 version, sector_t sector, u32 i)
{
	return (u8)(version * 31 + sector * 7 + i);
}

static void fill_literal(u64 version, sector_t sector, u8 *bytes)
{
	u32 i;

	for (i = 0; i < SECTOR_SIZE; i++)
		bytes[i] = literal_byte(version, sector, i);
}

/*
 * One random operation on the map and on the array: versions[] is the literal's, 0 where tags[] is
 * the truth.
 */
static void random_op(struct disk_map *map, tag_t *tags, u64 *versions, u32 size, u64 version)
{
	u32 sector = draw(4) ? draw(size / 8) * 8 : draw(size);
	u32 max = size - sector < 64 ? size - sector : 64, i;
	u32 n = draw(3) ? (draw(8) + 1) * 8 : draw(64) + 1;
	tag_t buf[64];
	u8 bytes[64][SECTOR_SIZE];
	struct sector_data data = { .tags = buf, .literals = bytes, .sectors = 64 };

	n = n < max ? n : max;
	switch (draw(5)) {
	case 0:
		disk_map_zero(map, sector, n);
		for (i = 0; i < n; i++)
			tags[sector + i] = versions[sector + i] = 0;
		return;
	case 1: /* bytes, of all kinds */
		data.tags = NULL;
		data.bytes = bytes[0];
		for (i = 0; i < n; i++) {
			versions[sector + i] = 0;
			tags[sector + i] = draw(2) ? 0 : tag_make(version, sector + i);
			tag_expand(tags[sector + i], bytes[i]);
			if (draw(4) == 0) {
				fill_literal(version, sector + i, bytes[i]);
				versions[sector + i] = version;
			}
		}
		break;
	case 2: /* literals with tags around them */
		for (i = 0; i < n; i++) {
			buf[i] = tag_make(version, sector + i);
			versions[sector + i] = 0;
			if (draw(3) == 0) {
				fill_literal(version, sector + i, bytes[i]);
				buf[i] = tag_of_literal(bytes[i]);
				versions[sector + i] = version;
			}
			tags[sector + i] = buf[i];
		}
		break;
	default: /* what the harness writes */
		for (i = 0; i < n; i++) {
			tags[sector + i] = buf[i] = tag_make(version, sector + i);
			versions[sector + i] = 0;
		}
	}
	disk_map_write(map, sector, n, &data, 0);
}

static void check_all(struct disk_map *map, const tag_t *tags, const u64 *versions, u32 size)
{
	u8(*bytes)[SECTOR_SIZE] = malloc((size_t)size * SECTOR_SIZE);
	tag_t *got = malloc(size * sizeof(*got));
	struct sector_data data = { .tags = got, .sectors = size, .keep_literals = true };
	sector_t next = disk_map_next_data(map, 0);
	u32 i;

	disk_map_read(map, 0, size, &data, 0);
	disk_map_read(map, 0, size, &(struct sector_data){ .bytes = bytes[0], .sectors = size }, 0);
	for (i = 0; i < size; i++) {
		u8 want[SECTOR_SIZE];

		if (versions[i])
			fill_literal(versions[i], i, want);
		else
			tag_expand(tags[i], want);
		assert_memory_equal(bytes[i], want, SECTOR_SIZE);
		if (versions[i]) {
			assert_int_equal(got[i], tag_of_literal(want));
			assert_memory_equal(data.literals[i], want, SECTOR_SIZE);
		} else {
			assert_int_equal(got[i], tags[i]);
		}
		/* May be early, never late. */
		if (i >= next)
			next = disk_map_next_data(map, i);
		if (versions[i] || tags[i])
			assert_int_equal(next, i);
	}
	sector_data_drop_literals(&data);
	free(got);
	free(bytes);
}

static void random_operations_equal_an_array(void **unused)
{
	enum { SIZE = 40000 };
	struct disk_map *map = disk_map_create(SIZE);
	tag_t *tags = calloc(SIZE, sizeof(*tags));
	u64 *versions = calloc(SIZE, sizeof(*versions)), version;

	for (version = 1; version <= 30000; version++) {
		random_op(map, tags, versions, SIZE, version);
		if (version % 6000 == 0) {
			assert_true(disk_map_check(map));
			check_all(map, tags, versions, SIZE);
		}
	}
	disk_map_zero(map, 0, SIZE);
	assert_true(disk_map_check(map));
	assert_int_equal(disk_map_next_data(map, 0), SIZE);
	disk_map_destroy(map);
	free(tags);
	free(versions);
}

/*
 * Random chunks of 16 sectors anywhere in 16 TiB: less than 56 bytes each, so 10 M on two disks
 * need 1.1 GB.
 */
static void sixteen_tebibytes_sparse(void **unused)
{
	enum { CHUNKS = 300000 };
	const sector_t size = 1ULL << 35;
	struct disk_map *map = disk_map_create(size);
	u64 i, begin = disk_map_memory_bytes(map), used, j;
	tag_t tags[16], got[16];
	struct sector_data data = { .tags = tags, .sectors = 16 };
	struct sector_data out = { .tags = got, .sectors = 16 };
	sector_t sector;

	assert_null(disk_map_create(size + 1));
	for (i = 0; i < CHUNKS; i++) {
		sector = i * 0x9E3779B97F4A7C15ULL >> 33 << 4;
		for (j = 0; j < 16; j++)
			tags[j] = tag_make(i + 1, sector + j);
		disk_map_write(map, sector, 16, &data, 0);
	}
	used = disk_map_memory_bytes(map) - begin;
	assert_in_range(used / CHUNKS, 24, 56);
	assert_true(disk_map_check(map));
	for (i = 0; i < CHUNKS; i++) {
		sector = i * 0x9E3779B97F4A7C15ULL >> 33 << 4;
		disk_map_read(map, sector, 16, &out, 0);
		for (j = 0; j < 16; j++)
			assert_int_equal(got[j], tag_make(i + 1, sector + j));
	}
	disk_map_write(map, size - 16, 16, &data, 0);
	assert_int_equal(disk_map_next_data(map, size - 20), size - 16);
	disk_map_destroy(map);
}

static void shrinking_forgets(void **unused)
{
	struct disk_map *map = disk_map_create(100000);
	tag_t tags[16] = { 5, 6, 7, 8, 9, 10, 11, 12, 1, 1, 1, 1, 1, 1, 1, 1 }, got[16];
	struct sector_data data = { .tags = tags, .sectors = 16 };
	struct sector_data out = { .tags = got, .sectors = 16 };

	disk_map_write(map, 99000, 16, &data, 0);
	assert_true(disk_map_resize(map, 99004));
	assert_true(disk_map_check(map));
	assert_true(disk_map_resize(map, 200000));
	disk_map_read(map, 99000, 16, &out, 0);
	assert_int_equal(got[3], 8);
	assert_int_equal(got[4], 0);
	assert_int_equal(got[8], 0);
	assert_true(disk_map_check(map));
	disk_map_destroy(map);
}

static void every_tag_is_recognised(void **unused)
{
	u8 bytes[SECTOR_SIZE];
	tag_t tag, got;
	u32 i;

	for (i = 0; i < 1000; i++) {
		state += i;
		draw(2);
		tag = state & ~TAG_LITERAL;
		tag_expand(tag, bytes);
		assert_true(tag_recognise(bytes, &got));
		assert_int_equal(got, tag);
		bytes[draw(SECTOR_SIZE)] ^= 1 << draw(8);
		/* One wrong bit in a pattern is no pattern. */
		assert_false(tag_recognise(bytes, &got));
		assert_true(tag_of_literal(bytes) & TAG_LITERAL);
	}
	/* The format is fixed: images are exchanged. */
	tag_expand(tag_make(3, 5), bytes);
	assert_int_equal(bytes[0], 5);
	assert_int_equal(bytes[4], 0x30);
	assert_int_equal(bytes[8], (0x15 + 5) & 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_equal_an_array),
		cmocka_unit_test(sixteen_tebibytes_sparse),
		cmocka_unit_test(shrinking_forgets),
		cmocka_unit_test(every_tag_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
