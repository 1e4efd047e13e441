// SPDX-License-Identifier: GPL-2.0
/*
 * Every format's sample is detected as that format and no other, plain and packed, and gives exactly
 * the requests written beside it, twice.
 */
#include "trace_samples.h"

static void check_sample(const struct sample *sample, const char *path)
{
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report };
	struct trace *trace = open_one(path, &options);

	if (strcmp(trace_format(trace), sample->format))
		fail_msg("%s: detected as %s", sample->name, trace_format(trace));
	assert_requests(trace, sample->expected);
	assert_int_equal(report.count, 0);
	trace_close(trace);
}

static void test_plain(void **state)
{
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		const struct bytes *b = sample_bytes(&samples[i]);

		check_sample(&samples[i], write_file("a", b->data, b->size));
	}
}

/* Contents that are in memory: no file of that name is looked at. */
static void test_in_memory(void **state)
{
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		const struct bytes *b = sample_bytes(&samples[i]);
		const struct trace_memory memory = { b->data, b->size };
		const struct trace_options options = { .memory = &memory };
		struct trace *trace = open_one("no such file", &options);

		assert_string_equal(trace_format(trace), samples[i].format);
		assert_requests(trace, samples[i].expected);
		trace_close(trace);
	}
}

static void test_packed(void **state)
{
	static const char *const filters[][2] = { { "gzip", "a.gz" }, { "xz", "a.xz" }, { "zstd", "a.zst" } };

	for (size_t i = 0; i < NR_SAMPLES; i++) {
		const struct bytes *b = sample_bytes(&samples[i]);

		for (size_t f = 0; f < 3; f++)
			check_sample(&samples[i], write_packed(filters[f][1], filters[f][0], b->data, b->size));
	}
}

static void test_carriage_returns_and_blank_lines(void **state)
{
	static const char text[] = "\r\n0,303567,3584,w,0.000000\r\n\r\n  \r\n1,1,512,r,0.5";
	struct trace *trace = open_one(write_file("a", text, sizeof(text) - 1), NULL);

	assert_string_equal(trace_format(trace), "spc");
	assert_requests(trace, "W - 0 155426304 3584 0\nR - 1 512 512 500000000\n");
	trace_close(trace);
}

/* No text sample is accepted when it is called another text format. */
static void test_named_wrongly(void **state)
{
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		const struct bytes *b = sample_bytes(&samples[i]);
		const char *path = write_file("a", b->data, b->size);

		for (unsigned int f = 0; trace_format_name(f); f++) {
			struct trace_options options = { .format = trace_format_name(f) };
			char error[512];
			struct trace *trace;
			int r;

			assert_non_null(trace_format_help(f));
			trace = trace_open(&path, 1, &options, error, sizeof(error));
			if (!strcmp(options.format, samples[i].format)) {
				assert_non_null(trace);
				assert_requests(trace, samples[i].expected);
			} else if (trace) {
				read_requests(trace, &r);
				if (r >= 0)
					fail_msg("%s is read as %s", samples[i].name, options.format);
			}
			trace_close(trace);
		}
	}
	assert_null(trace_format_help(1000));
}

static void test_not_a_trace(void **state)
{
	static const char prose[] = "This is a letter.\nIt has two lines.\n";
	static const char integers[] = "1,2,3,4,5\n6,7,8,9,10\n";
	unsigned char binary[4096];
	struct trace_options options = { .format = "nonsense" };

	for (size_t i = 0; i < sizeof(binary); i++)
		binary[i] = i * 37 >> 3;
	assert_contains(open_error(write_file("a", prose, sizeof(prose) - 1), NULL), "--format");
	assert_contains(open_error(write_file("a", integers, sizeof(integers) - 1), NULL), "--format");
	assert_contains(open_error(write_file("a", binary, sizeof(binary)), NULL), "--format");
	assert_contains(open_error(write_file("a", "", 0), NULL), "empty");
	assert_contains(open_error(write_packed("a.gz", "gzip", "", 0), NULL), "empty");
	assert_contains(open_error(sample_path("missing"), NULL), "No such file");
	assert_contains(open_error(sample_dir, NULL), "not a regular file");
	assert_contains(open_error(write_file("a", prose, sizeof(prose) - 1), &options), "nonsense");
}

/* 95 of 100: one bad line of 20 is noise, two are another format. The error says where. */
static void test_share_of_lines(void **state)
{
	char text[4096];

	for (unsigned int bad = 1; bad <= 2; bad++) {
		size_t length = 0;

		for (unsigned int i = 1; i <= 20; i++)
			length += snprintf(text + length, sizeof(text) - length, "%s",
					   i <= 3 || i > 3 + bad ? "1,W,4096,512,7\n" : "garbage\n");
		write_file("a", text, length);
		if (bad == 1) {
			struct report report = { 0 };
			struct trace_options options = { .bad = keep_report, .bad_context = &report };
			struct trace *trace = open_one(sample_path("a"), &options);
			int r;

			assert_string_equal(trace_format(trace), "alibaba");
			read_requests(trace, &r);
			assert_int_equal(r, 0);
			assert_int_equal(report.count, 1);
			assert_int_equal(report.positions[0], 4);
			assert_int_equal(trace_stats(trace)->bad, 1);
			assert_int_equal(trace_stats(trace)->requests[TRACE_WRITE], 19);
			trace_close(trace);
		} else {
			assert_contains(open_error(sample_path("a"), NULL),
					"alibaba, but only 18 of the first 20 lines do (not line 4)");
		}
	}
}

static void test_several_files(void **state)
{
	static const char text[] = "1,W,4096,512,7\n";
	const char *files[2];
	char error[512];

	files[0] = write_file("a", text, sizeof(text) - 1);
	files[1] = write_file("b", text, sizeof(text) - 1);
	assert_null(trace_open(files, 2, NULL, error, sizeof(error)));
	assert_contains(error, "one file");
	assert_null(trace_open(files, 0, NULL, error, sizeof(error)));
	assert_contains(error, "no trace file");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_in_memory),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_carriage_returns_and_blank_lines),
		cmocka_unit_test(test_named_wrongly),
		cmocka_unit_test(test_not_a_trace),
		cmocka_unit_test(test_share_of_lines),
		cmocka_unit_test(test_several_files),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
