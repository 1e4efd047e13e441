// SPDX-License-Identifier: GPL-2.0
/*
 * What is special about single formats: logs that were not closed, ambiguous times, versions, devices,
 * requests of no length, counting.
 */
#include "trace_samples.h"

static struct trace *open_bytes(const struct bytes *b, const struct trace_options *options)
{
	return open_one(write_file("a", b->data, b->size), options);
}

static struct trace *open_text(const char *text, const struct trace_options *options)
{
	return open_one(write_file("a", text, strlen(text)), options);
}

/* ---- dm-log-writes ---- */

/* The count in the superblock is written now and then only: entries behind it count, and that is said. */
static void test_log_not_closed(void **state)
{
	struct bytes b = { 0 };
	struct trace *trace;

	put_log_super(&b, 1, 512);
	put_log_entry(&b, 512, 1, 1, 0, 0);
	put_log_entry(&b, 512, 2, 1, 0, 0);
	put_log_entry(&b, 512, 3, 1, 2, 0);
	trace = open_bytes(&b, NULL);
	assert_requests(trace, "W - 0 512 512 0\nW - 0 1024 512 0\nW F 0 1536 512 0\n");
	assert_contains(trace_note(trace, 0), "counts 1 entries but has 3");
	assert_null(trace_note(trace, 1));
	trace_close(trace);
}

/* Behind the last entry: zeroes, or what the device held before. Neither is damage. */
static void test_log_end(void **state)
{
	for (unsigned int rest = 0; rest < 4; rest++) {
		struct bytes b = { 0 };
		struct trace *trace;

		put_log_super(&b, 1, 512);
		put_log_entry(&b, 512, 1, 1, 0, 0);
		switch (rest) {
		case 0:
			put_zeroes(&b, 5000);
			break;
		case 1:
			put_text(&b, "half a sector of something");
			break;
		case 2:
			memset(b.data + b.size, 0x5a, 4096);
			b.size += 4096;
			break;
		case 3: /* an entry whose data is not there any more */
			put_log_entry(&b, 512, 7, 100, 0, 0);
			b.size -= 512;
			break;
		}
		trace = open_bytes(&b, NULL);
		assert_requests(trace, "W - 0 512 512 0\n");
		assert_int_equal(trace_stats(trace)->bad, 0);
		assert_null(trace_note(trace, 0));
		trace_close(trace);
	}
}

static void check_log_damage(const struct bytes *b, const char *why)
{
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report, .max_bad = 1 };
	struct trace *trace = open_bytes(b, &options);
	int r;

	assert_string_equal(read_requests(trace, &r), "W - 0 512 512 0\n");
	assert_int_equal(r, 0);
	assert_int_equal(report.count, 1);
	assert_int_equal(report.positions[0], 2);
	assert_contains(report.why[0], why);
	trace_close(trace);
}

/* Damage within the count is reported, once. */
static void test_log_damage(void **state)
{
	static const struct {
		uint64_t sector, sectors, flags, text;
		const char *why;
	} entries[] = {
		{ 1, 0, 32, 0, "unknown flags" },
		{ 1, 0, 1ull << 63, 0, "unknown flags" },
		{ 1, 0, 0, 0, "does nothing" },
		{ 1, 0, 1, 5, "text" },
		{ 1, 0, 8, 481, "mark" },
		{ 1, UINT64_MAX, 4, 0, "2^64" },
		{ UINT64_MAX, 1, 4, 0, "2^64" },
		{ 1ull << 54, 1, 4, 0, "2^63" },
		{ 1, (1ull << 23) + 1, 4, 0, "4 GiB" },
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		struct bytes b = { 0 };

		put_log_super(&b, 3, 512);
		put_log_entry(&b, 512, 1, 1, 0, 0);
		put(&b, entries[i].sector, 8);
		put(&b, entries[i].sectors, 8);
		put(&b, entries[i].flags, 8);
		put(&b, entries[i].text, 8);
		put_zeroes(&b, 480);
		put_log_entry(&b, 512, 3, 1, 2, 0);
		check_log_damage(&b, entries[i].why);
	}
}

static void test_log_truncated(void **state)
{
	struct bytes b = { 0 };

	put_log_super(&b, 2, 512);
	put_log_entry(&b, 512, 1, 1, 0, 0);
	put_log_entry(&b, 512, 3, 4, 2, 0);
	b.size -= 1;
	check_log_damage(&b, "in the data");
	b.size -= 4 * 512;
	check_log_damage(&b, "in the header");
	b.size -= 511;
	check_log_damage(&b, "fewer entries");
}

static void test_log_super(void **state)
{
	static const struct {
		unsigned int at;
		unsigned char value;
		const char *why;
	} damages[] = {
		{ 8, 2, "version 2" },
		{ 25, 0, "sectors of 0" },
		{ 24, 1, "sectors of 513" },
		{ 26, 2, "sectors of 131584" },
		{ 27, 0x80, "sectors of" },
	};
	struct bytes b = { 0 };

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		b.size = 0;
		put_log_super(&b, 1, 512);
		b.data[damages[i].at] = damages[i].value;
		assert_contains(open_error(write_file("a", b.data, b.size), NULL), damages[i].why);
	}
	assert_contains(open_error(write_file("a", b.data, 20), NULL), "superblock");
}

/* ---- vscsi ---- */

static void test_vscsi_damage(void **state)
{
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report, .format = "vscsi" };
	struct bytes b = { 0 };
	struct trace *trace;
	int r;

	for (unsigned int i = 0; i < 100; i++)
		put_vscsi(&b, 1, i == 60 ? 0x12a : 0x2a, 512, i == 50 ? UINT64_MAX : i,
			  i == 70 ? UINT64_MAX : 1000 + i);
	b.data[40 * 32 + 15] = 2;
	b.size -= 10;
	/* The size is no multiple of the record, so it must be named. */
	assert_contains(open_error(write_file("a", b.data, b.size), NULL), "--format");
	trace = open_bytes(&b, &options);
	read_requests(trace, &r);
	assert_int_equal(r, 0);
	assert_int_equal(report.count, 5);
	assert_int_equal(report.positions[0], 41);
	assert_int_equal(report.positions[1], 51);
	assert_int_equal(report.positions[2], 61);
	assert_int_equal(report.positions[3], 71);
	assert_int_equal(report.positions[4], 100);
	assert_contains(report.why[4], "cut off");
	assert_int_equal(trace_stats(trace)->requests[TRACE_WRITE], 95);
	trace_close(trace);
}

/* ---- times ---- */

static void test_disksim_time(void **state)
{
	static const char integers[] = "100 0 8 8 0\n200 0 16 8 0\n";
	static const char floats[] = "100 0 8 8 0\n200.5 0 16 8 0\n";
	static const struct {
		const char *text;
		const char *unit;
		uint64_t duration;
		bool note;
	} cases[] = {
		{ integers, NULL, 100, true },
		{ integers, "ns", 100, false },
		{ integers, "us", 100000, false },
		{ integers, "ms", 100000000, false },
		{ floats, NULL, 100500000, false },
		{ floats, "s", 100500000000, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_options options = { .time_unit = cases[i].unit };
		struct trace *trace = open_text(cases[i].text, &options);
		int r;

		read_requests(trace, &r);
		assert_int_equal(trace_stats(trace)->duration_ns, cases[i].duration);
		assert_int_equal(!!trace_note(trace, 0), cases[i].note);
		if (cases[i].note)
			assert_contains(trace_note(trace, 0), "--time-unit");
		trace_close(trace);
	}
	assert_contains(open_error(write_file("a", integers, strlen(integers)),
				   &(struct trace_options){ .time_unit = "weeks" }), "weeks");
}

static void test_fio_wait(void **state)
{
	static const char text[] = "fio version 2 iolog\nf write 0 512\nf wait 5 0\nf write 512 512\nf wait 3 0\n"
				   "f write 0 512\n";
	struct trace_options options = { .time_unit = "ms" };
	struct trace *trace = open_text(text, NULL);
	int r;

	assert_requests(trace, "W - 0 0 512 0\nW - 0 512 512 5000\nW - 0 0 512 8000\n");
	trace_close(trace);
	trace = open_text(text, &options);
	assert_requests(trace, "W - 0 0 512 0\nW - 0 512 512 5000000\nW - 0 0 512 5000000\n");
	read_requests(trace, &r);
	assert_int_equal(trace_stats(trace)->backwards, 0);
	trace_close(trace);
}

static void test_fio_version(void **state)
{
	static const char text[] = "fio version 1 iolog\nf write 0 512\n";

	assert_contains(open_error(write_file("a", text, strlen(text)), NULL), "--format");
}

/* ---- all ---- */

/* A request of no bytes is none; the biggest one that can be is one. */
static void test_lengths(void **state)
{
	struct trace *trace = open_text("1,W,4096,0,7\n1,W,0,4294967296,8\n1,W,9223372036854775295,512,9\n"
					"1,R,1,1,9\n", NULL);

	assert_requests(trace, "W - 0 0 4294967296 0\nW - 0 9223372036854775295 512 1000\nR - 0 1 1 1000\n");
	trace_close(trace);
}

static void test_counts(void **state)
{
	struct bytes b = { 0 };
	const struct trace_stats *stats;
	struct trace *trace;
	int r;

	make_blktrace(&b);
	trace = open_bytes(&b, NULL);
	stats = trace_stats(trace);
	read_requests(trace, &r);
	assert_int_equal(stats->requests[TRACE_READ], 1);
	assert_int_equal(stats->requests[TRACE_WRITE], 2);
	assert_int_equal(stats->requests[TRACE_FLUSH], 1);
	assert_int_equal(stats->requests[TRACE_DISCARD], 1);
	assert_int_equal(stats->bytes[TRACE_WRITE], 9216);
	assert_int_equal(stats->with_fua, 1);
	assert_int_equal(stats->with_preflush, 1);
	assert_int_equal(stats->records, 11);
	assert_int_equal(stats->skipped, 6);
	assert_int_equal(stats->bad, 0);
	assert_int_equal(stats->devices, 1);
	assert_int_equal(stats->end_offset, 524288 + 65536);
	assert_int_equal(stats->duration_ns, 400);
	assert_int_equal(stats->bytes_read, b.size);
	assert_int_equal(stats->bytes_total, b.size);
	trace_close(trace);
}

/* More address spaces than are kept: the requests of those beyond are bad, not given to the wrong one. */
static void test_too_many_devices(void **state)
{
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report };
	FILE *file = fopen(sample_path("big"), "w");
	struct trace_request request;
	struct trace *trace;
	uint64_t count = 0;

	assert_non_null(file);
	for (unsigned int i = 0; i < 65540; i++)
		fprintf(file, "%u,W,4096,512,7\n", i * 3);
	fprintf(file, "0,W,4096,512,7\n");
	assert_int_equal(fclose(file), 0);
	trace = open_one(sample_path("big"), &options);
	while (trace_next(trace, &request) > 0) {
		assert_int_equal(request.device, count == 65536 ? 0 : count);
		count++;
	}
	assert_int_equal(count, 65537);
	assert_int_equal(report.count, 4);
	assert_int_equal(report.positions[0], 65537);
	assert_contains(report.why[0], "devices");
	assert_int_equal(trace_stats(trace)->devices, 65536);
	trace_close(trace);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_not_closed), cmocka_unit_test(test_log_end),
		cmocka_unit_test(test_log_damage),     cmocka_unit_test(test_log_truncated),
		cmocka_unit_test(test_log_super),      cmocka_unit_test(test_vscsi_damage),
		cmocka_unit_test(test_disksim_time),   cmocka_unit_test(test_fio_wait),
		cmocka_unit_test(test_fio_version),    cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_counts),	       cmocka_unit_test(test_too_many_devices),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
