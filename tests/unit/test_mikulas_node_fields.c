// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes with right checksums whose fields are wider, or begin higher, than their kind can: refused, with the word for it.
 */
#include "store_double.h"

static const unsigned int leaf_widest[NODE_FIELDS] = { 7, 4, 4, 4, 4, 6 };
static const unsigned int inner_widest[NODE_FIELDS] = { 7, 4, 4, 6, 8, 0 };

static const char *said(const struct node_disk *good, unsigned int field, unsigned int width, u64 base)
{
	static struct node_disk node;

	node = *good;
	node.width[field] = width;
	node.base[field] = cpu_to_le64(base);
	block_seal(&node, 5);
	return block_check(&node, 5);
}

static void fields(void *arg)
{
	static struct node_disk good;
	struct entry entry = { .chunk = 9, .from = 1ULL << 32, .a = 2ULL << 32, .b = 7 };

	for (unsigned int level = 0; level < 3; level++) {
		const unsigned int *widest = level ? inner_widest : leaf_widest;

		memset(&good, 0, sizeof(good));
		CHECK(node_build(&good, &entry, 1, level, 3));
		block_seal(&good, 5);
		CHECK(!block_check(&good, 5), "%s", block_check(&good, 5));
		for (unsigned int field = 0; field < NODE_FIELDS; field++) {
			u64 base = le64_to_cpu(good.base[field]);
			const char *text = said(&good, field, widest[field] + 1, base);

			CHECK(text && !strcmp(text, "field width"), "level %u, field %u: %s", level, field, text);
			text = said(&good, field, widest[field], base);
			CHECK(!text || strcmp(text, "field width"), "level %u, field %u: %s", level, field, text);
			if (level && field == 5) {
				text = said(&good, field, 0, 1);
				CHECK(text && !strcmp(text, "unused field"), "level %u: %s", level, text);
			}
			if (field < 3 || (!level && field < 5)) {
				text = said(&good, field, 0, (field ? U32_MAX : EXCEPTION_CHUNK_END) + 1ULL);
				CHECK(text && !strcmp(text, "field base"), "level %u, field %u: %s", level, field, text);
			}
		}
	}
}

/* Of two entries; the second has a value in this field that is greater than the first's, @base, by two at least. */
static const char *second(unsigned int level, unsigned int field, u64 base)
{
	static struct node_disk node;
	struct entry entries[2] = { { .from = 1, .a = 8, .b = 7 }, { .chunk = 2, .from = 9, .a = 16, .b = 7 } };

	if (field == 1)
		entries[1].from = 2ULL << 32;
	if (field == 3 && !level)
		entries[1].a = 2ULL << 32 | 16;
	CHECK(node_build(&node, entries, 2, level, 3));
	CHECK(node.width[field], "level %u, field %u", level, field);
	node.base[field] = cpu_to_le64(base);
	/* The first one's range does not end before it begins. */
	if (!level && (field == 1 || field == 2))
		node.base[field + 2] = node.base[field];
	block_seal(&node, 5);
	return block_check(&node, 5);
}

static void values(void *arg)
{
	for (unsigned int level = 0; level < 2; level++) {
		for (unsigned int field = 0; field < (level ? 3 : 5); field++) {
			const char *word = field ? "snapshot number" : "chunk number";
			u64 limit = field ? U32_MAX : EXCEPTION_CHUNK_END;
			const char *text = second(level, field, limit - 1);

			CHECK(text && !strcmp(text, word), "level %u, field %u: %s", level, field, text);
			text = second(level, field, limit - 16);
			CHECK(!text || strcmp(text, word), "level %u, field %u: %s", level, field, text);
		}
	}
}

static void test_a_value_has_its_bounds(void **state)
{
	double_run(values, NULL, 1);
}

static void test_a_field_has_its_bounds(void **state)
{
	double_run(fields, NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_field_has_its_bounds),
		cmocka_unit_test(test_a_value_has_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
