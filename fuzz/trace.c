// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz targets trace_*: the readers of block traces. One program for each format (FUZZ_FORMAT), and trace_detect, which
 * finds the format itself.
 *
 * The input is the file. For formats that come in several files it is cut at each line "--cpu--". What must hold for
 * any bytes: the promises of trace.h about requests, the counts add up, and after a rewind the same comes once more.
 * Some inputs, chosen by their bytes, are read with the strictest options, too.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "trace.h"

/* Of a kilobyte that is packed well comes a megabyte, and it is unpacked a few times. */
#define MAX_PACKED 4096
#define MAX_FILES 3
#define SEPARATOR "\n--cpu--\n"
/* Of so many inputs one is read again and with other options. */
#define LOOK_CLOSER 16

static const char *const names[MAX_FILES] = { "a", "b", "c" };

static void require(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "trace: %s\n", what);
	abort();
}

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size--)
		h = (h ^ *p++) * 0x100000001B3ULL;
	return h;
}

static void check_request(const struct trace *trace, const struct trace_request *r, uint64_t last_ns)
{
	require(r->op < TRACE_NR_OPS, "an operation that does not exist");
	require(r->time_ns >= last_ns, "time goes backwards");
	require(r->device < trace_stats(trace)->devices, "a device number that is not dense");
	require((r->op == TRACE_FLUSH) == !r->length, "a flush with, or another request without length");
	require(r->length <= 1ULL << 32, "a request longer than 4 GiB");
	require(r->offset <= INT64_MAX - r->length, "a request beyond 2^63");
	require(r->position, "a request without position");
}

/* All requests; a hash of them. */
static uint64_t read_all(struct trace *trace, size_t size)
{
	uint64_t h = 0xCBF29CE484222325ULL, last_ns = 0, count = 0;
	struct trace_request r;
	int result;

	while ((result = trace_next(trace, &r)) > 0) {
		const uint64_t words[] = { r.op, r.flags, r.time_ns, r.device, r.offset, r.length, r.position };

		check_request(trace, &r, last_ns);
		last_ns = r.time_ns;
		h = hash(h, words, sizeof(words));
		count++;
	}
	require(!result || trace_error(trace)[0], "given up without a message");
	require(!size || count <= size, "more requests than bytes");
	return hash(h, &result, sizeof(result));
}

/* Of a whole trace: of one that was given up, records that wait to be merged are in no other count. */
static void check_counts(const struct trace *trace)
{
	const struct trace_stats *s = trace_stats(trace);
	uint64_t requests = 0;

	for (unsigned int i = 0; i < TRACE_NR_OPS; i++)
		requests += s->requests[i];
	require(trace_error(trace)[0] || s->records == requests + s->skipped + s->bad, "the counts do not add up");
}

static void read_strictly(const struct trace_memory *files, unsigned int nr_files, const char *format)
{
	static const struct trace_options all[] = {
		{ .max_bad = -1 },
		{ .time_unit = "ms", .offset_unit = "bytes" },
		{ .time_unit = "ns", .offset_unit = "sectors", .force = true, .max_bad = 0.5 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct trace_options options = all[i];
		char error[512] = "";
		struct trace *trace;

		options.format = format;
		options.memory = files;
		trace = trace_open(names, nr_files, &options, error, sizeof(error));
		require(trace || error[0], "refused without a message");
		if (trace)
			read_all(trace, 0);
		trace_close(trace);
	}
}

static int is_packed(const uint8_t *data, size_t size)
{
	return size >= 2 && ((data[0] == 0x1f && data[1] == 0x8b) || (data[0] == 0xfd && data[1] == '7') ||
			     (data[0] == 0x28 && data[1] == 0xb5));
}

/* Cuts the input into @files; how many, 0: not to be read. */
static unsigned int cut(struct trace_memory *files, const uint8_t *data, size_t size, int detect)
{
	unsigned int n = 0;

	for (;;) {
		const uint8_t *end = n + 1 < MAX_FILES ? memmem(data, size, SEPARATOR, strlen(SEPARATOR)) : NULL;
		size_t length = end ? (size_t)(end - data) : size;

		if (is_packed(data, length) && (!detect || length > MAX_PACKED))
			return 0;
		files[n++] = (struct trace_memory){ data, length };
		if (!end)
			return n;
		size -= length + strlen(SEPARATOR);
		data = end + strlen(SEPARATOR);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *format = *FUZZ_FORMAT ? FUZZ_FORMAT : NULL;
	struct trace_memory files[MAX_FILES];
	struct trace_options options = { .format = format, .memory = files, .max_bad = 1, .force = true };
	unsigned int nr_files = cut(files, data, size, !format);
	char error[512] = "";
	struct trace *trace;
	size_t most, closer = size % LOOK_CLOSER;

	if (!nr_files)
		return 0;
	most = format ? size : 0; /* packed: anything */
	trace = trace_open(names, nr_files, &options, error, sizeof(error));
	require(trace || error[0], "refused without a message");
	if (trace) {
		uint64_t first = read_all(trace, most);

		check_counts(trace);
		closer = first % LOOK_CLOSER;
		if (closer == 0) {
			require(!trace_rewind(trace), "cannot be rewound");
			require(read_all(trace, most) == first, "something else after a rewind");
			check_counts(trace);
		}
	}
	trace_close(trace);
	if (closer == 1)
		read_strictly(files, nr_files, format);
	return 0;
}
