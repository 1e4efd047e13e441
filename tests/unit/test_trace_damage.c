// SPDX-License-Identifier: GPL-2.0
/*
 * Damage: bad lines and records of each format are counted and reported with their place, and cost
 * nothing else; too many end the trace; no bytes whatever break the reader or its promises.
 */
#include "trace_samples.h"

/* Lines that must not be accepted, each in a file of good lines of that format. */
static const struct {
	const char *format;
	const char *good;
	const char *bad[12];
} bad_lines[] = {
	{ "blkparse",
	  "253,0 0 1 0.000000000 138 Q R 8 + 8 [x]",
	  { "garbage", "253 0 1 0.0 138 Q R 8 + 8 [x]", "253,0 0 1 -1.0 138 Q R 8 + 8 [x]",
	    "253,0 0 1 0.0 138 Q X 8 + 8 [x]", "253,0 0 1 0.0 138 Q R 8 +", "253,0 0 1 0.0 138 Q R",
	    "253,0 0 1 0.0 138 Q R 36028797018963968 + 8 [x]", "253,0 0 1 0.0 138 Q N 8 + 8 [x]",
	    "253,0 0 1 0.0 138 Q R 8 + 99999999999 [x]", "253,0 0 1 0.0 138 QQQ R 8 + 8 [x]",
	    "253,0 0 1 99999999999999.0 138 Q R 8 + 8 [x]" } },
	{ "fio",
	  "7 f write 0 512",
	  { "garbage", "x f write 0 512", "7 f write -1 512", "7 f write 0", "7 f write", "7 f write 0 512 9",
	    "7 f eat 0 512", "7 f wait 5 0", "7 f write 0 4294967297", "7 f write 9223372036854775807 512",
	    "99999999999999999999 f write 0 512" } },
	{ "msr",
	  "128166372003061629,hm,1,Read,383496192,32768,413",
	  { "128166372003061629,hm,1,Read,383496192,32768", "128166372003061629,hm,1,Reed,0,512,1",
	    "-1,hm,1,Read,0,512,1", "128166372003061629,hm,1,Read,-5,512,1",
	    "128166372003061629,hm,1,Read,0,512,1,2", "128166372003061629,hm,1,Read,18446744073709551615,1,1",
	    "128166372003061629,hm,1,Read,18446744073709551616,1,1", "328166372003061629,hm,1,Read,0,512,1",
	    "128166372003061629,hm,x,Read,0,512,1", "a,b,c,Read,e,f,g", "garbage" } },
	{ "spc",
	  "0,303567,3584,w,0.000000",
	  { "0,303567,3584,w", "0,303567,3584,x,0.0", "0,303567,-3584,w,0.0", "0,303567,3584,w,1.2.3", "0;1;2;w;3",
	    "0,36028797018963968,512,w,0.0", "0,1,4294967297,w,0.0", "0,1,512,w,99999999999999",
	    "x,1,512,w,0.5", "0,1,512,,0.5", "garbage" } },
	{ "alibaba",
	  "419,W,8792731648,16384,1577808000000068",
	  { "419,W,8792731648,16384", "419,X,8792731648,16384,1", "419,W,-1,16384,1", "419,W,1,16384,1,1",
	    ",W,1,16384,1", "419,W,18446744073709551615,16384,1", "419,W,0,18446744073709551615,1",
	    "419,W,0,512,18446744073709551615", "garbage" } },
	{ "tencent",
	  "1538323200,12910952,128,0,1063",
	  { "1538323200,12910952,128,2,1063", "1538323200,12910952,128,0", "1538323200,-1,128,0,1063",
	    "1538323200,1,128,0,1063,5", "1538323200,18014398509481984,1,0,1063",
	    "1538323200,0,36028797018963969,0,1063", "99999999999,0,8,0,1063", "1538323200,0,8,R,1063",
	    "garbage" } },
	{ "k5",
	  "1,1483617601.123456,W,20480,4096",
	  { "1,1483617601.123456,W,20480", "1,1483617601.123456,X,20480,4096", "1,-3,W,20480,4096",
	    "1,1.5,W,20480,4096,", "1,1.5,W,9223372036854775807,1", "1,1e9,W,20480,4096", "garbage" } },
	{ "systor17",
	  "1455592511.221344027,,W,0,512,4096",
	  { "1455592511.221344027,,W,0,512", "1455592511.221344027,,X,0,512,4096", "1455592511.22,,W,,512,4096",
	    "1455592511.22,,W,0,512,4096,7", "1455592511.22,,W,0,9223372036854775807,4096", "garbage" } },
	{ "fiu",
	  "329131208190249 4892 syslogd 904265560 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bb",
	  { "329131208190249 4892 syslogd 904265560 8 W 6 0 531e779025734e51cd3cbbff2ae4b9b",
	    "329131208190249 4892 syslogd 904265560 8 X 6 0 531e779025734e51cd3cbbff2ae4b9bb",
	    "329131208190249 4892 904265560 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bb",
	    "329131208190249 4892 syslogd -1 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bb",
	    "329131208190249 4892 syslogd 18014398509481984 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bb",
	    "329131208190249 4892 syslogd 1 8 W 6 0 531e779025734e51cd3cbbff2ae4b9bg", "1 2", "garbage" } },
	{ "disksim",
	  "13.191135 30 0 5 1",
	  { "13.191135 30 0 5", "13.191135 30 -1 5 1", "13.191135 30 0 5 1 1", "13.191135 30 0 5 256",
	    "13.191135 30 18014398509481984 1 1", "13.191135 30 0 9000000 1", "x 30 0 5 1",
	    "99999999999999999999.0 30 0 5 1", "garbage" } },
};

static void test_bad_lines(void **state)
{
	static char text[1 << 16];

	for (size_t f = 0; f < sizeof(bad_lines) / sizeof(bad_lines[0]); f++) {
		for (unsigned int i = 0; bad_lines[f].bad[i]; i++) {
			struct report report = { 0 };
			struct trace_options options = { .bad = keep_report, .bad_context = &report };
			bool fio = !strcmp(bad_lines[f].format, "fio");
			struct trace *trace;
			size_t length = 0;
			int r;

			if (fio)
				length = sprintf(text, "fio version 3 iolog\n");
			for (unsigned int line = 1; line <= 30; line++)
				length += sprintf(text + length, "%s\n",
						  line == 7 ? bad_lines[f].bad[i] : bad_lines[f].good);
			trace = open_one(write_file("a", text, length), &options);
			assert_string_equal(trace_format(trace), bad_lines[f].format);
			read_requests(trace, &r);
			assert_int_equal(r, 0);
			if (report.count != 1 || report.positions[0] != 7 + fio)
				fail_msg("%s: '%s' reported %u times", bad_lines[f].format, bad_lines[f].bad[i],
					 report.count);
			assert_int_equal(trace_stats(trace)->bad, 1);
			assert_int_equal(trace_stats(trace)->records, 30 + fio);
			assert_int_equal(trace_stats(trace)->requests[TRACE_READ] +
						 trace_stats(trace)->requests[TRACE_WRITE], 29);
			trace_close(trace);
		}
	}
}

/* 1000 lines, every @every-th bad. */
static struct trace *open_noisy(unsigned int every, double max_bad, struct report *report)
{
	struct trace_options options = {
		.format = "alibaba", .max_bad = max_bad, .bad = keep_report, .bad_context = report,
	};
	static char text[1 << 16];
	size_t length = 0;

	memset(report, 0, sizeof(*report));
	for (unsigned int i = 1; i <= 1000; i++)
		length += sprintf(text + length, "%s\n", i % every ? "1,W,4096,512,7" : "bad");
	return open_one(write_file("a", text, length), &options);
}

static void test_too_many_bad(void **state)
{
	struct report report;
	struct trace *trace;
	int r;

	trace = open_noisy(25, 0, &report);	/* 4 % */
	read_requests(trace, &r);
	assert_int_equal(r, 0);
	assert_int_equal(report.count, 40);
	trace_close(trace);

	trace = open_noisy(10, 0, &report);	/* 10 %, judged at the first bad one from record 100 on */
	read_requests(trace, &r);
	assert_int_equal(r, -1);
	assert_int_equal(report.count, 10);
	assert_contains(trace_error(trace), ":100: ");
	assert_contains(trace_error(trace), "10 of 100 records are bad, more than 5 %");
	assert_int_equal(trace_next(trace, &(struct trace_request){ 0 }), -1);
	assert_int_equal(trace_rewind(trace), 0);
	assert_int_equal(trace_next(trace, &(struct trace_request){ 0 }), 1);
	trace_close(trace);

	trace = open_noisy(10, 0.2, &report);
	read_requests(trace, &r);
	assert_int_equal(r, 0);
	assert_int_equal(report.count, 100);
	trace_close(trace);

	trace = open_noisy(25, -1, &report);	/* none may be */
	read_requests(trace, &r);
	assert_int_equal(r, -1);
	assert_int_equal(report.count, 1);
	assert_contains(trace_error(trace), ":25: ");
	trace_close(trace);

	trace = open_noisy(1, 1, &report);	/* all may be */
	read_requests(trace, &r);
	assert_int_equal(r, 0);
	assert_int_equal(report.count, 1000);
	trace_close(trace);
}

static void test_long_line(void **state)
{
	static char text[100000];
	struct report report = { 0 };
	struct trace_options options = { .bad = keep_report, .bad_context = &report, .format = "alibaba" };
	struct trace *trace;

	memset(text, '1', sizeof(text));
	memcpy(text, "1,W,4096,512,7\n", 15);
	memcpy(text + sizeof(text) - 16, "\n1,R,4096,512,7\n", 16);
	trace = open_one(write_file("a", text, sizeof(text)), &options);
	assert_requests(trace, "W - 0 4096 512 0\nR - 0 4096 512 0\n");
	assert_int_equal(report.positions[0], 2);
	assert_contains(report.why[0], "16 KiB");
	trace_close(trace);
}

/* What was cut off while compressed is an error, not an end. */
static void test_truncated_archive(void **state)
{
	static const char *const filters[][2] = { { "gzip", "a.gz" }, { "xz", "a.xz" }, { "zstd", "a.zst" } };
	static char text[1 << 16];
	size_t length = 0;

	for (uint64_t i = 0; i < 1000; i++)
		length += sprintf(text + length, "1,W,%llu,512,%llu\n",
				  (unsigned long long)(i * 7919 % 1000 * 512), (unsigned long long)i);
	for (size_t f = 0; f < 3; f++) {
		const char *path = write_packed(filters[f][1], filters[f][0], text, length);
		char error[512];
		struct trace *trace;
		FILE *file = fopen(path, "rb");
		long size;
		int r = -1;

		assert_int_equal(fseek(file, 0, SEEK_END), 0);
		size = ftell(file);
		fclose(file);
		assert_int_equal(truncate(path, size * 3 / 4), 0);
		trace = trace_open(&path, 1, NULL, error, sizeof(error));
		if (trace) {
			read_requests(trace, &r);
			assert_contains(trace_error(trace), "decompress");
			trace_close(trace);
		} else {
			assert_contains(error, "decompress");
		}
		assert_int_equal(r, -1);
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void mutate(struct bytes *b, uint64_t *seed)
{
	for (unsigned int n = 1 + next_random(seed) % 8; n; n--) {
		size_t at = next_random(seed) % b->size;
		size_t length = 1 + next_random(seed) % 8;

		if (length > b->size - at)
			length = b->size - at;
		switch (next_random(seed) % 4) {
		case 0:
			b->data[at] = next_random(seed);
			break;
		case 1:
			memset(b->data + at, next_random(seed) % 2 ? 0xff : '9', length);
			break;
		case 2: /* lose some */
			memmove(b->data + at, b->data + at + length, b->size - at - length);
			b->size -= length;
			break;
		case 3: /* end here */
			b->size = at;
			break;
		}
		if (!b->size) {
			b->data[0] = 'x';
			b->size = 1;
		}
	}
}

/* What trace.h promises of every request, however bad the file. */
static void check_promises(struct trace *trace, uint64_t size)
{
	struct trace_request r;
	uint64_t last = 0, count = 0;
	int result;

	while ((result = trace_next(trace, &r)) > 0) {
		count++;
		assert_true(count <= size);
		assert_true(r.op < TRACE_NR_OPS);
		assert_true(r.time_ns >= last);
		last = r.time_ns;
		assert_true(r.device < trace_stats(trace)->devices);
		assert_true((r.op == TRACE_FLUSH) == !r.length);
		assert_true(r.length <= 1ull << 32);
		assert_true(r.offset + r.length >= r.offset && r.offset + r.length <= INT64_MAX);
		assert_true(r.position);
	}
	assert_true(result == 0 || trace_error(trace)[0]);
}

/* Samples with bytes changed, lost and cut, read as what they were and as what they look like now. */
static void test_mutations(void **state)
{
	static struct bytes b;
	uint64_t seed = 20061;
	char error[512];

	for (unsigned int round = 0; round < 3000; round++) {
		const struct sample *sample = &samples[next_random(&seed) % NR_SAMPLES];
		struct trace_options options = { .max_bad = 1, .force = true };
		const char *path;
		struct trace *trace;

		memcpy(&b, sample_bytes(sample), sizeof(b));
		mutate(&b, &seed);
		path = write_file("a", b.data, b.size);
		for (unsigned int named = 0; named < 2; named++) {
			options.format = named ? sample->format : NULL;
			trace = trace_open(&path, 1, &options, error, sizeof(error));
			if (trace)
				check_promises(trace, b.size);
			else
				assert_true(error[0]);
			trace_close(trace);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_too_many_bad),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_truncated_archive),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
