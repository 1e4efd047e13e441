// SPDX-License-Identifier: GPL-2.0
/*
 * Units: a trace whose offsets and lengths contradict each other is refused with the reason, one that merely looks odd gets a
 * note, and workloads that are what they say are left in peace.
 */
#include "trace_samples.h"

struct workload {
	const char *name;
	unsigned int run;		/* sequential requests in a row */
	uint64_t offset_times;		/* the mistake: what the offset column is multiplied by ... */
	uint64_t offset_divided;
	uint64_t length_divided;
	uint64_t align;			/* bytes; of the start of each run */
	uint64_t length;
};

/* Alibaba's format, in which offsets and lengths are bytes. */
static const char *write_workload(const struct workload *w)
{
	FILE *file = fopen(sample_path("big"), "w");
	uint64_t seed = 7, offset = 0;

	assert_non_null(file);
	for (unsigned int i = 0; i < 4000; i++) {
		uint64_t length = w->length * (1 + i % 3);

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		if (i % w->run == 0)
			offset = (seed >> 33) % 1000000 * w->align;
		fprintf(file, "1,W,%llu,%llu,%u\n",
			(unsigned long long)(offset * w->offset_times / w->offset_divided),
			(unsigned long long)(length / w->length_divided), i);
		offset += length;
	}
	assert_int_equal(fclose(file), 0);
	return sample_path("big");
}

static void test_good(void **state)
{
	static const struct workload workloads[] = {
		{ "random 4 KiB", 1, 1, 1, 1, 4096, 4096 },
		{ "random 512", 1, 1, 1, 1, 512, 512 },
		{ "sequential", 4000, 1, 1, 1, 4096, 4096 },
		{ "runs", 8, 1, 1, 1, 4096, 4096 },
		{ "runs, partition at sector 63", 8, 1, 1, 1, 7 * 512, 4096 },
		{ "large", 3, 1, 1, 1, 1 << 20, 1 << 20 },
		{ "runs in extents of 4 MiB", 16, 1, 1, 1, 4 << 20, 65536 },
		{ "bytes of files", 4, 1, 1, 1, 1000, 777 },
	};

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		struct trace *trace = open_one(write_workload(&workloads[i]), NULL);

		if (trace_note(trace, 0))
			fail_msg("%s: %s", workloads[i].name, trace_note(trace, 0));
		trace_close(trace);
	}
}

static void test_contradictory(void **state)
{
	static const struct {
		struct workload workload;
		const char *why;
	} cases[] = {
		{ { "offsets 512 times too large", 4, 512, 1, 1, 4096, 4096 }, "they look like bytes" },
		{ { "offsets 512 times too small", 4, 1, 512, 1, 4096, 4096 }, "they look like sectors" },
		{ { "lengths 512 times too small", 4, 1, 1, 512, 4096, 4096 }, "lengths are no whole sectors" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *path = write_workload(&cases[i].workload);
		struct trace_options force = { .force = true }, named = { .format = "alibaba" };
		struct trace *trace;

		assert_contains(open_error(path, NULL), "not believed");
		assert_contains(open_error(path, NULL), cases[i].why);
		assert_contains(open_error(path, NULL), "--force");
		/* To name the format is not to vouch for its units. */
		assert_contains(open_error(path, &named), "not believed");
		trace = open_one(path, &force);
		assert_contains(trace_note(trace, 0), cases[i].why);
		assert_int_equal(trace_next(trace, &(struct trace_request){ 0 }), 1);
		trace_close(trace);
	}
}

/* The same oddity without requests that continue each other proves nothing. */
static void test_odd(void **state)
{
	static const struct workload stride = { "4 KiB at multiples of 256 KiB", 1, 1, 1, 1, 512 * 512, 4096 };
	struct trace *trace = open_one(write_workload(&stride), NULL);

	assert_contains(trace_note(trace, 0), "look like bytes");
	assert_null(trace_note(trace, 1));
	trace_close(trace);
}

static void test_offset_unit(void **state)
{
	static const char spc[] = "0,8192,4096,w,0.0\n0,12288,4096,w,1.0\n";
	struct trace_options bytes = { .offset_unit = "bytes" }, sectors = { .offset_unit = "sectors" };
	struct trace_options nonsense = { .offset_unit = "miles" };
	const char *path = write_file("a", spc, strlen(spc));
	struct trace *trace = open_one(path, &bytes);
	struct bytes b = { 0 };

	assert_requests(trace, "W - 0 8192 4096 0\nW - 0 12288 4096 1000000000\n");
	trace_close(trace);
	assert_contains(open_error(path, &nonsense), "miles");
	path = write_file("a", "1,W,8,512,7\n", 12);
	trace = open_one(path, &sectors);
	assert_requests(trace, "W - 0 4096 512 0\n");
	trace_close(trace);
	make_blktrace(&b);
	assert_contains(open_error(write_file("a", b.data, b.size), &bytes), "certain");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_contradictory),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_offset_unit),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
