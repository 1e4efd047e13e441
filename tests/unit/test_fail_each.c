// SPDX-License-Identifier: GPL-2.0
/*
 * A script in which one thing fails: what is counted, what is hit, and what of it is a finding.
 *
 * The mistakes are those of a target of the test's own: memory that nobody frees, an error that nobody is told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define KBUILD_MODNAME "dm-wrong"

#include "fail.h"

#define ORIGIN_AND_STORE "disk origin 64s\ndisk store 1M\n"
#define CREATE "dmsetup create ms --table \"0 64 multisnapshot origin store 8 0 mikulas 0\"\n"
#define SNAPSHOT "dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"

static char *output; /* of the last run that was made */

/* In a process of its own, whose output is kept. An exit code. */
static int run(const char *text, const char *place_text, struct fail_result *result)
{
	struct fail_result *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct script_options options = { .world.seed = 1 };
	char error[SCRIPT_ERROR_MAX];
	struct script_command *script = script_parse("script", text, error);
	FILE *out = tmpfile();
	struct fail_place place;
	int status;
	pid_t pid;

	if (!script || !out || shared == MAP_FAILED)
		fail_msg("%s", script ? "no file, no memory" : error);
	if (place_text)
		assert_true(fail_place_parse(place_text, &place));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(fileno(out), STDOUT_FILENO);
		status = fail_run(&options, script, place_text ? &place : NULL, NULL, shared);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	free(output);
	output = calloc(1, 4096);
	rewind(out);
	if (!fread(output, 1, 4095, out))
		output[0] = '\0';
	fclose(out);
	*result = *shared;
	munmap(shared, sizeof(*shared));
	script_free(script);
	return WEXITSTATUS(status);
}

static void passes(const char *text, const char *place, struct fail_result *result)
{
	int status = run(text, place, result);

	if (status)
		fail_msg("%s: %s", place ? place : "without a failure", output);
}

static void finds(const char *text, const char *place, const char *what)
{
	struct fail_result result;

	assert_int_equal(run(text, place, &result), SIM_EXIT_FOUND);
	if (!strstr(output, what))
		fail_msg("%s: %s", place ? place : "without a failure", output);
}

/* ---- places ---- */

static void test_places(void **state)
{
	static const char *const wrong[] = { "", "alloc", "alloc=", "alloc=0", "=1", "alloc=x", "alloc=1x", "alloc=1++",
					     "alloc=-1", "alloc=+", "alloc=18446744073709551616" };
	struct fail_place place;
	char text[64];

	assert_true(fail_place_parse("alloc=17", &place));
	assert_string_equal(place.name, FAIL_ALLOC);
	assert_int_equal(place.number, 17);
	assert_false(place.lasting);
	assert_true(fail_place_parse("store=3+", &place));
	assert_true(place.lasting);
	fail_place_print(&place, text, sizeof(text));
	assert_string_equal(text, "store=3+");
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(fail_place_parse(wrong[i], &place));
}

/* ---- counting ---- */

static void test_requests_of_each_disk_are_counted(void **state)
{
	struct fail_result result;

	passes("disk a 64s\ndisk b 64s\nwrite a 0 24 fill=1\nread a 0 8\nflush b\n", NULL, &result);
	assert_int_equal(result.nr_disks, 2);
	assert_int_equal(result.disks[0].requests, 4);
	assert_int_equal(result.disks[1].requests, 1);
	assert_int_equal(result.struck, 0);
}

static void test_what_the_judge_does_is_not_counted(void **state)
{
	struct fail_result with, without;

	passes(ORIGIN_AND_STORE CREATE "write ms 0 64 fill=1\ndmsetup remove ms\n", NULL, &with);
	passes(ORIGIN_AND_STORE CREATE "write ms 0 64 fill=1\n", NULL, &without);
	assert_true(with.allocations > 50);
	/* The removal at the end is the same, said or not. */
	assert_int_equal(with.allocations, without.allocations);
	assert_int_equal(with.disks[1].requests, without.disks[1].requests);
	assert_int_equal(with.disks[0].requests, 8);
}

/* ---- what fails ---- */

static void test_the_request_of_that_number_fails(void **state)
{
	struct fail_result result;

	passes("disk a 64s\nwrite a 0 24 fill=1\nread a 0 8\n", "a=2", &result);
	assert_int_equal(result.struck, 1);
	assert_string_equal(result.what, "write of 8 sectors at 8 of a");
	passes("disk a 64s\nwrite a 0 24 fill=1\nread a 0 8\n", "a=3+", &result);
	assert_int_equal(result.struck, 2);
	finds("disk a 64s\nwrite a 0 24 fill=1\n", "a=4", "there are not so many");
}

static void test_expectations_end_with_the_failure(void **state)
{
	struct fail_result result;

	/* Of the read, which comes after it; not of a script that is wrong before. */
	passes("disk a 64s\nwrite a 0 8 fill=1\nread a 0 8 expect=1\n", "a=1", &result);
	finds("disk a 64s\nwrite a 0 8 fill=1\nread a 0 8 expect=2\nwrite a 0 8 fill=1\n", "a=3",
	      "sector 0 is not as expected");
}

static void test_every_allocation_of_a_constructor_is_refused_and_asked_for_again(void **state)
{
	static const char text[] = ORIGIN_AND_STORE CREATE SNAPSHOT "write ms 0 8 fill=1\n";
	struct fail_result counted, result;
	u64 refused = 0;
	char place[32];

	passes(text, NULL, &counted);
	for (u64 i = 1; i <= counted.allocations; i++) {
		snprintf(place, sizeof(place), "alloc=%llu", (unsigned long long)i);
		passes(text, place, &result);
		assert_int_equal(result.struck, 1);
		refused += result.refused;
	}
	assert_true(refused > 50);
}

/* ---- findings: a target with mistakes ---- */

/* The word says which mistake is made when the second allocation fails. */
static int wrong_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	char *first = kmalloc(8, GFP_KERNEL);
	char *second;

	if (!first) {
		ti->error = "No memory for the first";
		return -ENOMEM;
	}
	second = kmalloc(8, GFP_KERNEL);
	if (!second && !strcmp(argv[0], "said-to-be-well")) {
		kfree(first);
		ti->private = first;
		return 0;
	}
	if (!second && !strcmp(argv[0], "freed-twice"))
		kfree(first);
	if (!second && strcmp(argv[0], "not-freed"))
		kfree(first);
	if (!second && strcmp(argv[0], "no-reason"))
		ti->error = "No memory for the second";
	if (!second)
		return -ENOMEM;
	kfree(second);
	ti->private = first;
	return 0;
}

static void wrong_dtr(struct dm_target *ti)
{
	kfree(ti->private);
}

static int wrong_map(struct dm_target *ti, struct bio *bio)
{
	bio_set_dev(bio, disk_bdev("d"));
	return DM_MAPIO_REMAPPED;
}

/* The error is dropped. */
static int wrong_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	*error = BLK_STS_OK;
	return DM_ENDIO_DONE;
}

static struct target_type wrong_type = {
	.name = "wrong",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = wrong_ctr,
	.dtr = wrong_dtr,
	.map = wrong_map,
	.end_io = wrong_end_io,
};

static int __init wrong_init(void)
{
	return dm_register_target(&wrong_type);
}

static void __exit wrong_exit(void)
{
	dm_unregister_target(&wrong_type);
}

module_init(wrong_init);
module_exit(wrong_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("for a test");

static const char *wrong(const char *mistake)
{
	static char text[256];

	snprintf(text, sizeof(text), "module load dm-wrong\ndisk d 64s\ndmsetup create x --table \"0 64 wrong %s\"\n"
		 "write x 0 8 fill=1\n", mistake);
	return text;
}

/* The second of the constructor, behind those of the modules and of dm. */
static const char *second_allocation(void)
{
	static char place[32];
	struct fail_result counted, result;

	passes(wrong("none"), NULL, &counted);
	for (u64 i = counted.allocations; i; i--) {
		snprintf(place, sizeof(place), "alloc=%llu", (unsigned long long)i);
		passes(wrong("none"), place, &result);
		if (strstr(result.what, "test_fail_each.c"))
			return place;
	}
	fail_msg("the constructor allocates nothing");
	return NULL;
}

static void test_mistakes_of_a_constructor_are_found(void **state)
{
	const char *place = second_allocation();

	finds(wrong("not-freed"), place, "leak: 1 allocations, 8 bytes");
	finds(wrong("freed-twice"), place, "double free");
	finds(wrong("no-reason"), place, "no reason is given");
	finds(wrong("said-to-be-well"), place, "kfree()");
}

static void test_a_request_whose_error_is_dropped_is_found(void **state)
{
	struct fail_result counted, result;

	/* The run says nothing; but nobody was told, as if nothing had failed. */
	passes(wrong("none"), NULL, &counted);
	passes(wrong("none"), "d=1", &result);
	assert_false(result.silent);
	assert_int_equal(fail_outcome(&counted, &result, true), FAIL_FOUND);
	passes("disk d 64s\nmay-fail write d 0 8 fill=1\n", NULL, &counted);
	passes("disk d 64s\nmay-fail write d 0 8 fill=1\n", "d=1", &result);
	assert_int_equal(fail_outcome(&counted, &result, true), FAIL_TOLD);
}

/* Of a script of the tree, as the command does it. */
static int fails_at(const char *place)
{
	static const char *const file = TEST_SOURCE_DIR "/scenario/dmsetup-steps.msnap";
	const struct fail_options o = { .files = &file, .nr_files = 1, .jobs = 1, .place = place };

	return fail_each(&o);
}

static void test_a_place_that_is_not_there_is_refused(void **state)
{
	assert_int_equal(fails_at("alloc=1"), SIM_EXIT_OK);
	assert_int_equal(fails_at("alloc=999999"), SIM_EXIT_USAGE);
	assert_int_equal(fails_at("store=1"), SIM_EXIT_OK);
	assert_int_equal(fails_at("store=999999"), SIM_EXIT_USAGE);
	assert_int_equal(fails_at("disk-of-nobody=1"), SIM_EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_requests_of_each_disk_are_counted),
		cmocka_unit_test(test_what_the_judge_does_is_not_counted),
		cmocka_unit_test(test_the_request_of_that_number_fails),
		cmocka_unit_test(test_expectations_end_with_the_failure),
		cmocka_unit_test(test_every_allocation_of_a_constructor_is_refused_and_asked_for_again),
		cmocka_unit_test(test_mistakes_of_a_constructor_are_found),
		cmocka_unit_test(test_a_request_whose_error_is_dropped_is_found),
		cmocka_unit_test(test_a_place_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
