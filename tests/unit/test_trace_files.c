// SPDX-License-Identifier: GPL-2.0
/*
 * Real traces: every file of a collection is read and its counts are compared with the collection's INDEX.tsv.
 *
 * One collection is the project's own, in traces/. The other is the directory named by MULTISNAP_TRACES, or ../shared/traces
 * beside the source; without it that test is skipped. Columns of INDEX.tsv: file (a pattern), format, requests, writes, reads,
 * discards, flushes, write_bytes, footprint_bytes, duration_s, ...; "-" is unknown. The footprint (bytes
 * read or written) is counted in whole pages of 4 KiB or to the byte: it is compared in pages, and exact ones are no larger.
 */
#include <glob.h>
#include <math.h>

#include "trace_samples.h"

#include "footprint.h"

enum column {
	COLUMN_FILE,
	COLUMN_FORMAT,
	COLUMN_REQUESTS,
	COLUMN_WRITES,
	COLUMN_READS,
	COLUMN_DISCARDS,
	COLUMN_FLUSHES,
	COLUMN_WRITE_BYTES,
	COLUMN_FOOTPRINT,
	COLUMN_DURATION,
	NR_COLUMNS,
};

/* Which of our formats the index's names mean: its name starts so. */
static const char *const names[][2] = {
	{ "blktrace", "blktrace" }, { "blkparse", "blkparse" }, { "dm-log-writes", "dm-log-writes" },
	{ "fio", "fio" },	    { "disksim", "disksim" },	{ "vscsi", "vscsi" },
	{ "spc", "spc" },
};

static void compare(const char *file, const char *what, const char *expected, uint64_t value)
{
	if (strcmp(expected, "-") && strtoull(expected, NULL, 10) != value)
		fail_msg("%s: %s is %llu, the index says %s", file, what, (unsigned long long)value, expected);
}

static void check_footprint(const char *file, const char *expected, uint64_t value, bool pages)
{
	if (pages)
		compare(file, "footprint", expected, value);
	else if (strtoull(expected, NULL, 10) > value || strtoull(expected, NULL, 10) < value / 8)
		fail_msg("%s: footprint is %llu in pages, the index says %s bytes", file,
			 (unsigned long long)value, expected);
}

static void check_trace(struct trace *trace, char **columns, bool pages)
{
	const struct trace_stats *stats = trace_stats(trace);
	struct footprint *footprint = footprint_new();
	const char *file = columns[COLUMN_FILE];
	struct trace_request request;
	uint64_t requests = 0;
	int r;

	while ((r = trace_next(trace, &request)) > 0)
		if (request.op != TRACE_DISCARD)
			footprint_add(footprint, request.device, request.offset, request.length);
	if (r < 0)
		fail_msg("%s", trace_error(trace));
	for (unsigned int op = 0; op < TRACE_NR_OPS; op++)
		requests += stats->requests[op];
	/* The index counts all entries of a log, marks too. */
	if (!strcmp(trace_format(trace), "dm-log-writes"))
		requests = stats->records;
	compare(file, "requests", columns[COLUMN_REQUESTS], requests);
	compare(file, "writes", columns[COLUMN_WRITES], stats->requests[TRACE_WRITE]);
	compare(file, "reads", columns[COLUMN_READS], stats->requests[TRACE_READ]);
	compare(file, "discards", columns[COLUMN_DISCARDS], stats->requests[TRACE_DISCARD]);
	compare(file, "flushes", columns[COLUMN_FLUSHES], stats->requests[TRACE_FLUSH]);
	compare(file, "bytes written", columns[COLUMN_WRITE_BYTES], stats->bytes[TRACE_WRITE]);
	check_footprint(file, columns[COLUMN_FOOTPRINT], footprint_bytes(footprint), pages);
	compare(file, "bad records", "0", stats->bad);
	if (strcmp(columns[COLUMN_DURATION], "-") &&
	    fabs(strtod(columns[COLUMN_DURATION], NULL) - stats->duration_ns / 1e9) > 0.0006)
		fail_msg("%s: lasts %llu ns, the index says %s s", file, (unsigned long long)stats->duration_ns,
			 columns[COLUMN_DURATION]);
	footprint_free(footprint);
}

static const char *format_of(const char *indexed)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(indexed, names[i][0], strlen(names[i][0])))
			return names[i][1];
	fail_msg("the index has an unknown format %s", indexed);
	return NULL;
}

static void check_row(const char *collection, char **columns, bool pages)
{
	char pattern[1024], error[512] = "";
	struct trace_options force = { .force = true };
	bool broken = strstr(columns[COLUMN_FORMAT], "broken");
	struct trace *trace;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/%s", collection, columns[COLUMN_FILE]);
	if (glob(pattern, 0, NULL, &found))
		fail_msg("%s: no such file", pattern);
	trace = trace_open((const char *const *)found.gl_pathv, found.gl_pathc, NULL, error, sizeof(error));
	if (broken) {
		assert_null(trace);
		assert_contains(error, "not believed");
		trace = trace_open((const char *const *)found.gl_pathv, found.gl_pathc, &force, error,
				   sizeof(error));
	}
	if (!trace)
		fail_msg("%s", error);
	assert_string_equal(trace_format(trace), format_of(columns[COLUMN_FORMAT]));
	/* An assumed time unit is noted; doubts about units are for the broken one alone. */
	for (unsigned int i = 0; trace_note(trace, i); i++)
		if (!broken && !strstr(trace_note(trace, i), "times are integers"))
			fail_msg("%s", trace_note(trace, i));
	check_trace(trace, columns, pages);
	trace_close(trace);
	globfree(&found);
}

/* False when there is no such collection. */
static bool check_collection(const char *collection, bool pages)
{
	char line[4096], path[1024];
	unsigned int rows = 0;
	FILE *index;

	snprintf(path, sizeof(path), "%s/INDEX.tsv", collection);
	index = fopen(path, "r");
	if (!index)
		return false;
	assert_non_null(fgets(line, sizeof(line), index)); /* the header */
	while (fgets(line, sizeof(line), index)) {
		char *columns[NR_COLUMNS], *rest = line;

		for (unsigned int i = 0; i < NR_COLUMNS; i++) {
			columns[i] = strsep(&rest, "\t");
			assert_non_null(columns[i]);
		}
		check_row(collection, columns, pages);
		rows++;
	}
	fclose(index);
	assert_true(rows);
	return true;
}

static void test_recorded(void **state)
{
	assert_true(check_collection(TEST_SOURCE_DIR "/../traces", false));
}

static void test_public(void **state)
{
	const char *dir = getenv("MULTISNAP_TRACES");

	if (!dir)
		dir = TEST_SOURCE_DIR "/../../shared/traces";
	if (!check_collection(dir, true)) {
		print_message("no traces in %s (MULTISNAP_TRACES names another directory)\n", dir);
		skip();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
