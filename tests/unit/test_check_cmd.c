// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap check as a command: files, exit status, text and JSON.
 */
#include <fcntl.h>
#include <unistd.h>

#include <jansson.h>

#include "check_image.h"
#include "sim.h"

static char folder[] = "/tmp/test_check_cmd.XXXXXX";
static char image_path[64], out_path[64];

static void write_image(struct image *image, u64 sectors)
{
	u64 size = sectors * 512 < image->bytes_size ? sectors * 512 : image->bytes_size;
	int fd = open(image_path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, image->bytes, size, 0), size);
	assert_int_equal(ftruncate(fd, sectors * 512), 0);
	close(fd);
}

/* Runs it with an option (or NULL) on the image; what it printed is in @text. */
static int run(const char *option, const char *path, char *text, size_t size)
{
	char *argv[4] = { "multisnap check", (char *)(option ? option : path), (char *)path, NULL };
	int fd = open(out_path, O_RDWR | O_CREAT | O_TRUNC, 0600), saved_out, saved_err, r;
	ssize_t n;

	fflush(stdout);
	fflush(stderr);
	saved_out = dup(STDOUT_FILENO);
	saved_err = dup(STDERR_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	r = cmd_check(option ? 3 : 2, argv);
	fflush(stdout);
	fflush(stderr);
	dup2(saved_out, STDOUT_FILENO);
	dup2(saved_err, STDERR_FILENO);
	close(saved_out);
	close(saved_err);
	n = pread(fd, text, size - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
	return r;
}

static void test_text(void **state)
{
	struct image *image = image_new();
	char text[8192], expected[256];

	write_image(image, image->sectors);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 0);
	snprintf(expected, sizeof(expected), "%s: clean\n", image_path);
	assert_string_equal(text, expected);
	assert_int_equal(run("--quiet", image_path, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(run("--verbose", image_path, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "\nsnapshots     6 live, the next one is 6 or more\n"));
	assert_non_null(strstr(text, "\nexceptions    198, of which 1 wait to be reclaimed\n"));
	at_block(image, LEAF0)[4000] ^= 1;
	set_super(image, 216, 8, 95);
	write_image(image, image->sectors);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 1);
	snprintf(expected, sizeof(expected), "%s: tree, block %u (sector %u): crc is 0x",
		 image_path, LEAF0, LEAF0 * 8);
	assert_non_null(strstr(text, expected));
	snprintf(expected, sizeof(expected), "\n%s: 2 errors\n", image_path);
	assert_non_null(strstr(text, expected));
	image_free(image);
}

static void test_refused(void **state)
{
	struct image *image = image_new();
	char text[8192];

	set_super(image, 12, 4, 7);
	write_image(image, image->sectors);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 2);
	assert_non_null(strstr(text, "cannot be checked: version 7"));
	write_image(image, 0);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 2);
	assert_int_equal(run(NULL, "/dev/null", text, sizeof(text)), 2);
	assert_int_equal(run(NULL, folder, text, sizeof(text)), 2);
	assert_int_equal(run(NULL, "/nowhere/at/all", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "/nowhere/at/all: No such file"));
	build(image);
	set_super(image, 44, 4, 28);
	write_image(image, image->sectors);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "given up with ENOSPC"));
	/* Cut short, in the data area. */
	build(image);
	write_image(image, DEVICE_SECTORS - 1);
	assert_int_equal(run(NULL, image_path, text, sizeof(text)), 1);
	assert_non_null(strstr(text, ": 1 error\n"));
	image_free(image);
}

static json_t *run_json(int expected)
{
	static char text[65536];
	json_t *object;

	assert_int_equal(run("--json", image_path, text, sizeof(text)), expected);
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	return object;
}

static void test_json(void **state)
{
	struct image *image = image_new();
	json_t *object, *finding;

	write_image(image, image->sectors);
	object = run_json(0);
	assert_string_equal(json_string_value(json_object_get(object, "result")), "clean");
	assert_int_equal(json_array_size(json_object_get(object, "findings")), 0);
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(object, "summary"), "exceptions")),
			 198);
	json_decref(object);
	set_super(image, 200, 8, ~0ULL);
	write_image(image, image->sectors);
	object = run_json(1);
	assert_string_equal(json_string_value(json_object_get(object, "result")), "damaged");
	finding = json_array_get(json_object_get(object, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(finding, "field")), "next_first");
	assert_int_equal(json_integer_value(json_object_get(finding, "sector")), 0);
	json_decref(object);
	image_free(image);
}

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(image_path, sizeof(image_path), "%s/image", folder);
	snprintf(out_path, sizeof(out_path), "%s/out", folder);
	return 0;
}

static int remove_folder(void **state)
{
	unlink(image_path);
	unlink(out_path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
