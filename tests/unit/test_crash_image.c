// SPDX-License-Identifier: GPL-2.0
/* Contents by number, and disks with sectors that nobody has decided yet (sim/crash/content.c, image.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"
#include "image.h"

static const sector_t sizes[CRASH_DISKS] = { 8, 64 };

static void literal(u8 bytes[SECTOR_SIZE], u8 seed)
{
	for (u32 i = 0; i < SECTOR_SIZE; i++)
		bytes[i] = (u8)(i * seed + 1);
}

static void test_equal_contents_are_equal_numbers(void **unused)
{
	u8 bytes[SECTOR_SIZE], pattern[SECTOR_SIZE], back[SECTOR_SIZE];
	content_t a, b;
	u32 mark;

	assert_int_equal(content_of_tag(TAG_ZERO), CONTENT_ZERO);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(content_of_bytes(bytes), CONTENT_ZERO);
	tag_expand(tag_make(7, 3), pattern);
	assert_int_equal(content_of_bytes(pattern), content_of_tag(tag_make(7, 3)));
	literal(bytes, 3);
	a = content_of_bytes(bytes);
	assert_int_equal(content_of_bytes(bytes), a);
	content_bytes(a, back);
	assert_memory_equal(back, bytes, SECTOR_SIZE);
	mark = content_mark();
	literal(bytes, 5);
	b = content_of_bytes(bytes);
	assert_int_not_equal(b, a);
	content_release(mark);
	/* Forgotten: the next new content has its number. */
	literal(bytes, 7);
	assert_int_equal(content_of_bytes(bytes), b);
	assert_int_not_equal(content_of_bytes(pattern), b);
}

static u32 asked;

static u32 second(void *context, u32 number)
{
	asked++;
	return 1;
}

static void make(struct image *im)
{
	image_init(im, sizes);
	im->decide = second;
	asked = 0;
}

static void test_a_copy_moves_the_choice(void **unused)
{
	const content_t options[] = { CONTENT_ZERO, content_of_tag(tag_make(1, 0)) };
	const u32 issued[] = { 0, 5 };
	struct sim_options o = { .strategy = SIM_FIFO };
	struct disk *disk;
	struct image im;
	u8 bytes[SECTOR_SIZE], expected[SECTOR_SIZE];
	tag_t tag;

	make(&im);
	sim_start(&o);
	disk = image_disk(&im, CRASH_STORE);
	image_undecided(&im, CRASH_STORE, 4, options, issued, 2);
	/* Moved as a tag, nobody looks at it. */
	disk_peek(disk, 4, 1, &tag);
	disk_poke(disk, 9, 1, &tag);
	assert_int_equal(asked, 0);
	assert_true(content_is_choice(image_get(&im, CRASH_STORE, 9)));
	/* Its bytes: now it is decided, for the copy as for the first. */
	disk_peek_bytes(disk, 9, 1, bytes);
	assert_int_equal(asked, 1);
	tag_expand(tag_make(1, 0), expected);
	assert_memory_equal(bytes, expected, SECTOR_SIZE);
	disk_peek_bytes(disk, 4, 1, bytes);
	assert_int_equal(asked, 1);
	disk_destroy(disk);
	sim_stop();
	image_exit(&im);
}

static void test_a_state_is_known_by_its_contents(void **unused)
{
	const content_t one = content_of_tag(tag_make(1, 0)), options[] = { CONTENT_ZERO, one };
	const u32 issued[] = { 0, 5 };
	struct image_mark mark;
	struct image im;
	u64 empty, certain;

	make(&im);
	mark = image_mark(&im);
	empty = im.hash;
	image_set(&im, CRASH_ORIGIN, 2, one);
	certain = im.hash;
	assert_int_not_equal(certain, empty);
	image_rollback(&im, mark);
	assert_int_equal(im.hash, empty);
	image_undecided(&im, CRASH_ORIGIN, 2, options, issued, 2);
	assert_int_not_equal(image_class(&im, im.hash), certain);
	/* Decided, it is the state in which it was certain. */
	im.choices[0].decided = 1;
	assert_int_equal(image_class(&im, im.hash), certain);
	im.choices[0].decided = 0;
	assert_int_equal(image_class(&im, im.hash), empty);
	image_rollback(&im, mark);
	assert_int_equal(im.hash, empty);
	assert_int_equal(im.nr_choices, 0);
	image_exit(&im);
}

static void test_choices_of_choices(void **unused)
{
	const content_t one = content_of_tag(tag_make(1, 0)), two = content_of_tag(tag_make(2, 0));
	const content_t first[] = { CONTENT_ZERO, one };
	const u32 issued[] = { 0, 5 };
	content_t later[2], top;
	struct image im;

	make(&im);
	image_undecided(&im, CRASH_STORE, 1, first, issued, 2);
	later[0] = image_get(&im, CRASH_STORE, 1);
	later[1] = two;
	image_undecided(&im, CRASH_STORE, 1, later, issued, 2);
	top = image_get(&im, CRASH_STORE, 1);
	im.choices[1].decided = 0;
	assert_int_equal(image_decided(&im, top), later[0]);
	assert_int_equal(image_look(&im, top), one);
	assert_int_equal(asked, 1);
	image_exit(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_contents_are_equal_numbers),
		cmocka_unit_test(test_a_copy_moves_the_choice),
		cmocka_unit_test(test_a_state_is_known_by_its_contents),
		cmocka_unit_test(test_choices_of_choices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
