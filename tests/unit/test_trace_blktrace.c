// SPDX-License-Identifier: GPL-2.0
/*
 * blktrace's binary form: merging of several CPUs' files, the choice of events, categories, damage.
 */
#include "trace_samples.h"

static struct trace *open_files(unsigned int nr_files, const struct trace_options *options)
{
	const char *files[4] = { sample_path("a"), sample_path("b"), sample_path("c"), sample_path("d") };
	char error[512] = "";
	struct trace *trace = trace_open(files, nr_files, options, error, sizeof(error));

	if (!trace)
		fail_msg("%s", error);
	return trace;
}

static void write_bytes(const char *name, const struct bytes *b)
{
	write_file(name, b->data, b->size);
}

#define W (QUEUE | WRITE_CAT)
#define R (QUEUE | READ_CAT)

/* In order of time, then CPU, then sequence, whatever the order of the files; an empty file is fine. */
static void test_merge(void **state)
{
	static const char expected[] = "W - 0 512 512 0\nW - 0 1024 512 10\nW - 0 1536 512 10\n"
				       "W - 0 2048 512 10\nW - 0 2560 512 20\nW - 0 3072 512 30\n";
	struct bytes first = { 0 }, second = { 0 };
	struct trace *trace;

	put_event(&first, 1, 1, 1010, W, 3, 512, 0);
	put_event(&first, 1, 2, 1010, W, 4, 512, 0);
	put_event(&first, 1, 3, 1030, W, 6, 512, 0);
	put_event(&second, 0, 7, 1000, W, 1, 512, 0);
	put_event(&second, 0, 8, 1010, W, 2, 512, 0);
	put_event(&second, 0, 9, 1020, W, 5, 512, 0);
	for (unsigned int order = 0; order < 2; order++) {
		write_bytes(order ? "b" : "a", &first);
		write_bytes(order ? "a" : "b", &second);
		write_file("c", "", 0);
		trace = open_files(3, NULL);
		assert_requests(trace, expected);
		trace_close(trace);
	}
}

/* An interrupt between taking the time and taking the place: a little out of order within a file. */
static void test_order_within_a_file(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;

	put_event(&b, 0, 1, 100, W, 1, 512, 0);
	put_event(&b, 0, 2, 300, W, 3, 512, 0);
	put_event(&b, 0, 3, 200, W, 2, 512, 0);
	write_bytes("a", &b);
	trace = open_files(1, NULL);
	assert_requests(trace, "W - 0 512 512 0\nW - 0 1024 512 100\nW - 0 1536 512 200\n");
	assert_int_equal(trace_stats(trace)->backwards, 0);
	trace_close(trace);
}

/* Earlier than the last by more than the window: given the last one's time, counted, nothing lost. */
static void test_backwards(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;
	int r;

	for (unsigned int i = 0; i < 100; i++)
		put_event(&b, 0, i, 1000 + i, W, i, 512, 0);
	put_event(&b, 0, 100, 5, W, 7, 512, 0);
	write_bytes("a", &b);
	trace = open_files(1, NULL);
	read_requests(trace, &r);
	assert_int_equal(r, 0);
	assert_int_equal(trace_stats(trace)->requests[TRACE_WRITE], 101);
	assert_int_equal(trace_stats(trace)->backwards, 1);
	assert_int_equal(trace_stats(trace)->duration_ns, 99);
	trace_close(trace);
}

/* Without queue events issues stand in, but not the second issue of a requeued request. */
static void test_issue_events(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;

	put_event(&b, 0, 0, 90, NOTIFY_CAT | QUEUE, 0, 0, 8); /* a time stamp: no queue event */
	put_event(&b, 0, 1, 100, COMPLETE | WRITE_CAT, 9, 512, 0);
	put_event(&b, 0, 2, 110, ISSUE | WRITE_CAT, 1, 512, 0);
	put_event(&b, 0, 3, 120, REQUEUE | WRITE_CAT, 1, 512, 0);
	put_event(&b, 0, 4, 130, ISSUE | WRITE_CAT, 1, 512, 0);
	put_event(&b, 0, 5, 140, ISSUE | READ_CAT | FLUSH_CAT, 0, 0, 0);
	put_event(&b, 0, 6, 150, ISSUE | WRITE_CAT, 1, 512, 0);
	write_bytes("a", &b);
	trace = open_files(1, NULL);
	assert_requests(trace, "W - 0 512 512 0\nF - 0 0 0 30\nW - 0 512 512 40\n");
	assert_contains(trace_note(trace, 0), "issue events");
	assert_null(trace_note(trace, 1));
	trace_close(trace);
}

static void test_completion_events(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;

	put_event(&b, 0, 1, 100, COMPLETE | WRITE_CAT | FUA_CAT, 9, 512, 0);
	put_event(&b, 0, 2, 120, REQUEUE | WRITE_CAT, 1, 512, 0);
	put_event(&b, 0, 3, 140, COMPLETE | READ_CAT | FLUSH_CAT, 0, 0, 0);
	write_bytes("a", &b);
	trace = open_files(1, NULL);
	assert_requests(trace, "W F 0 4608 512 0\nF - 0 0 0 40\n");
	assert_contains(trace_note(trace, 0), "completion events");
	trace_close(trace);
}

/* A queue event in any file, however late, decides for all. */
static void test_late_queue_event(void **state)
{
	struct bytes first = { 0 }, second = { 0 };
	struct trace *trace;

	for (unsigned int i = 0; i < 500; i++)
		put_event(&first, 0, i, 100 + i, ISSUE | WRITE_CAT, 1, 512, 0);
	put_event(&second, 1, 1, 100, ISSUE | WRITE_CAT, 2, 512, 0);
	put_event(&second, 1, 2, 200, R, 3, 512, 0);
	write_bytes("a", &first);
	write_bytes("b", &second);
	trace = open_files(2, NULL);
	assert_requests(trace, "R - 0 1536 512 0\n");
	assert_null(trace_note(trace, 0));
	trace_close(trace);
}

/* Preflush with data but without FUA, as XFS does. */
static void test_preflush_without_fua(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;
	int r;

	put_event(&b, 0, 1, 100, W | FLUSH_CAT | META_CAT, 8, 4096, 0);
	write_bytes("a", &b);
	trace = open_files(1, NULL);
	assert_string_equal(read_requests(trace, &r), "W PM 0 4096 4096 0\n");
	assert_int_equal(trace_stats(trace)->with_preflush, 1);
	assert_int_equal(trace_stats(trace)->with_fua, 0);
	trace_close(trace);
}

static void test_versions(void **state)
{
	struct bytes b = { 0 };

	put_event(&b, 0, 1, 100, W, 8, 4096, 0);
	b.data[0] = 8;
	write_bytes("a", &b);
	assert_contains(open_error(sample_path("a"), NULL), "version 8: only version 7");
	b.data[0] = 6;
	write_bytes("a", &b);
	assert_contains(open_error(sample_path("a"), NULL), "version 6");
}

static void test_mixed_formats(void **state)
{
	const char *files[2] = { sample_path("a"), sample_path("b") };
	struct bytes b = { 0 };
	char error[512];

	put_event(&b, 0, 1, 100, W, 8, 4096, 0);
	write_bytes("a", &b);
	write_file("b", "1,W,4096,512,7\n", 15);
	assert_null(trace_open(files, 2, NULL, error, sizeof(error)));
	assert_contains(error, "is alibaba");
}

static struct report read_damaged(const struct bytes *b, const char *expected)
{
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report, .max_bad = 1 };
	struct trace *trace;
	int r;

	write_bytes("a", b);
	trace = open_files(1, &options);
	assert_string_equal(read_requests(trace, &r), expected);
	assert_int_equal(r, 0);
	assert_int_equal(trace_stats(trace)->bad, report.count);
	trace_close(trace);
	return report;
}

static void test_truncated(void **state)
{
	struct report report;
	struct bytes b = { 0 };

	put_event(&b, 0, 1, 100, W, 1, 512, 0);
	put_event(&b, 0, 2, 200, W, 2, 512, 40);
	for (size_t cut = 1; cut < 88; cut++) {
		b.size = 2 * 48 + 40 - cut;
		report = read_damaged(&b, "W - 0 512 512 0\n");
		assert_int_equal(report.count, 1);
		assert_int_equal(report.positions[0], 2);
		assert_contains(report.why[0], "cut off");
	}
}

/* Garbage between records costs the garbage, not the records behind it. */
static void test_garbage_between(void **state)
{
	struct report report;
	struct bytes b = { 0 };

	put_event(&b, 0, 1, 100, W, 1, 512, 0);
	put_text(&b, "some garbage of an odd length, with a \x07ta in it");
	put_event(&b, 0, 2, 200, W, 2, 512, 8);
	put_event(&b, 0, 3, 300, W, 3, 512, 0);
	report = read_damaged(&b, "W - 0 512 512 0\nW - 0 1024 512 100\nW - 0 1536 512 200\n");
	assert_int_equal(report.count, 1);
	assert_int_equal(report.positions[0], 2);
	assert_contains(report.why[0], "damaged");
}

/* A payload length that is wrong must not swallow the file. */
static void test_wrong_payload_length(void **state)
{
	struct report report;
	struct bytes b = { 0 };

	put_event(&b, 0, 1, 100, W, 1, 512, 0);
	put_event(&b, 0, 2, 200, W, 2, 512, 0);
	b.data[48 + 46] = 0xff;
	b.data[48 + 47] = 0xff;
	put_event(&b, 0, 3, 300, W, 3, 512, 0);
	report = read_damaged(&b, "W - 0 512 512 0\nW - 0 1536 512 200\n");
	assert_int_equal(report.count, 1);
	assert_int_equal(report.positions[0], 2);
}

static void test_huge_sector(void **state)
{
	struct report report;
	struct bytes b = { 0 };

	put_event(&b, 0, 1, 100, W, UINT64_MAX, 512, 0);
	put_event(&b, 0, 2, 200, W, (1ull << 54) - 1, 512, 0);
	put_event(&b, 0, 3, 300, W, (1ull << 54) - 2, 512, 0);
	put_event(&b, 0, 4, 400, W, (1ull << 54) - 2, UINT32_MAX, 0);
	report = read_damaged(&b, "W - 0 9223372036854774784 512 0\n");
	assert_int_equal(report.count, 3);
	assert_int_equal(report.positions[0], 1);
	assert_contains(report.why[0], "2^63");
	assert_int_equal(report.positions[2], 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_order_within_a_file),
		cmocka_unit_test(test_backwards),
		cmocka_unit_test(test_issue_events),
		cmocka_unit_test(test_completion_events),
		cmocka_unit_test(test_late_queue_event),
		cmocka_unit_test(test_preflush_without_fua),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_mixed_formats),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_garbage_between),
		cmocka_unit_test(test_wrong_payload_length),
		cmocka_unit_test(test_huge_sector),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
