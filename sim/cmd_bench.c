// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap bench [NAME...]: which benches, with which parameters.
 */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define MAX_TRACES 64

static const struct bench_entry {
	const char *name;
	int (*run)(struct bench *b);
	const char *help;
	bool by_default;
} benches[] = {
	{ "metadata", bench_metadata, "metadata written and flushes for random first writes under one snapshot", true },
	{ "snapshots", bench_snapshots, "bytes and flushes of the same writes under 1 to 10,000 snapshots", true },
	{ "instructions", bench_instructions, "instructions of core and stores under 1 and 10,000 snapshots (callgrind)", true },
	{ "passthrough", bench_passthrough, "instructions of I/O that needs no copy, over a linear target (callgrind)", true },
	{ "create", bench_create, "making a snapshot when there are 1, 10,000 and 100,000 of them", true },
	{ "crash", bench_crash, "states after a power cut that are loaded and judged a second", true },
	{ "memory", bench_memory, "memory with an origin of 16 TiB and 10 million exceptions", false },
	{ "replay", bench_replay, "requests of a trace a second", true },
};

#define NR_BENCHES (sizeof(benches) / sizeof(benches[0]))

enum {
	OPT_STORE = 256, OPT_CHUNK, OPT_BLOCK_SIZE, OPT_DEPTH, OPT_CHUNKS, OPT_SNAPSHOTS, OPT_EXCEPTIONS,
	OPT_SEED, OPT_TRACE, OPT_CACHE_THRESHOLD, OPT_CACHE_LIMIT, OPT_JSON, OPT_MEASURED,
};

static const struct argp_option options[] = {
	{ "store", OPT_STORE, "TYPE", 0, "store type (default mikulas)", 0 },
	{ "chunk", OPT_CHUNK, "SIZE", 0, "chunk size (default 8K; replay: 8K and 64K)", 0 },
	{ "chunks", OPT_CHUNKS, "N", 0, "chunks of the metadata bench (1M means 1048576; default 1M)", 0 },
	{ "depth", OPT_DEPTH, "N", 0, "bios in flight (default 32; metadata: 32 and 1)", 0 },
	{ "block-size", OPT_BLOCK_SIZE, "BYTES", 0, "logical blocks of the devices (default 512; metadata: 512 and 4096)", 0 },
	{ "snapshots", OPT_SNAPSHOTS, "N", 0, "most snapshots (default 10000; create: ten times that)", 0 },
	{ "exceptions", OPT_EXCEPTIONS, "N", 0, "of the memory bench (default 10000000)", 0 },
	{ "trace", OPT_TRACE, "FILE", 0, "trace for replay; once for each of its files", 0 },
	{ "cache-threshold", OPT_CACHE_THRESHOLD, "SECTORS", 0, "argument of the store", 0 },
	{ "cache-limit", OPT_CACHE_LIMIT, "SECTORS", 0, "argument of the store", 0 },
	{ "seed", OPT_SEED, "N", 0, "of the workloads (default 1)", 0 },
	{ "json", OPT_JSON, 0, 0, "print JSON", 0 },
	{ "measured", OPT_MEASURED, "WHAT", OPTION_HIDDEN, 0, 0 },
	{ 0 },
};

struct bench_args {
	struct bench b;
	const char *traces[MAX_TRACES];
	const struct bench_entry *chosen[NR_BENCHES];
	unsigned int nr_chosen;
	bool json;
	const char *measured;
};

static bool choose(struct bench_args *a, const char *name)
{
	for (unsigned int i = 0; i < NR_BENCHES; i++) {
		if (strcmp(benches[i].name, name))
			continue;
		if (a->nr_chosen < NR_BENCHES)
			a->chosen[a->nr_chosen++] = &benches[i];
		return true;
	}
	return false;
}

static bool parse_number(int key, const char *arg, struct bench *b, bool *good)
{
	switch (key) {
	case OPT_CHUNK:
		b->chunk_given = true;
		*good = parse_size_sectors(arg, &b->chunk) && b->chunk && is_power_of_2(b->chunk);
		return true;
	case OPT_CHUNKS:
		b->chunks_given = true;
		*good = parse_size_bytes(arg, &b->chunks) && b->chunks;
		return true;
	case OPT_DEPTH:
		b->depth_given = true;
		*good = parse_uint(arg, &b->depth) && b->depth;
		return true;
	case OPT_BLOCK_SIZE:
		b->block_size_given = true;
		*good = parse_uint(arg, &b->block_size) && b->block_size >= 512 &&
			b->block_size <= 4096 && is_power_of_2(b->block_size);
		return true;
	case OPT_SNAPSHOTS:
		*good = parse_u64(arg, &b->snapshots) && b->snapshots;
		return true;
	case OPT_EXCEPTIONS:
		*good = parse_u64(arg, &b->exceptions) && b->exceptions;
		return true;
	case OPT_SEED:
		*good = parse_u64(arg, &b->seed);
		return true;
	}
	return false;
}

static void refuse(struct argp_state *state, int key, const char *arg)
{
	const struct argp_option *o = options;
	const char *expected = "a number from 1";

	while (o->key != key)
		o++;
	if (key == OPT_CHUNK)
		expected = "a power of two from 512 bytes on, such as 8K";
	else if (key == OPT_BLOCK_SIZE)
		expected = "512, 1024, 2048 or 4096";
	else if (key == OPT_SEED)
		expected = "a number";
	argp_error(state, "--%s %s: not %s", o->name, arg, expected);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_args *a = state->input;
	bool good = true;

	if (parse_number(key, arg, &a->b, &good)) {
		if (!good)
			refuse(state, key, arg);
		return 0;
	}
	switch (key) {
	case OPT_STORE:
		a->b.store = arg;
		return 0;
	case OPT_TRACE:
		if (a->b.nr_traces == MAX_TRACES)
			argp_error(state, "too many files");
		a->traces[a->b.nr_traces++] = arg;
		return 0;
	case OPT_CACHE_THRESHOLD:
		a->b.cache_threshold = arg;
		return 0;
	case OPT_CACHE_LIMIT:
		a->b.cache_limit = arg;
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case OPT_MEASURED:
		a->measured = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!choose(a, arg))
			argp_error(state, "no such bench: %s; --help lists them", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* The list of benches, for --help. */
static char *help_filter(int key, const char *text, void *input)
{
	char *out;
	size_t size;
	FILE *f;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&out, &size);
	if (!f)
		return (char *)text;
	fprintf(f, "Benches (all but memory when none is named):\n");
	for (unsigned int i = 0; i < NR_BENCHES; i++)
		fprintf(f, "  %-12s %s\n", benches[i].name, benches[i].help);
	fprintf(f, "\nCounts are exact and the same in every run; only replay and crash measure time. Nothing is judged.");
	fclose(f);
	return out;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[NAME...]",
	.doc = "Count what the core and a store cost.\v ",
	.help_filter = help_filter,
};

static int run_all(struct bench_args *a)
{
	json_t *root = a->json ? json_object() : NULL;
	int r = 0;

	for (unsigned int i = 0; i < a->nr_chosen && !r; i++) {
		const struct bench_entry *entry = a->chosen[i];

		a->b.json = root ? json_array() : NULL;
		if (!root)
			printf("%s: %s\n", entry->name, entry->help);
		r = entry->run(&a->b);
		if (root)
			json_object_set_new(root, entry->name, a->b.json);
	}
	if (root) {
		json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		printf("\n");
		json_decref(root);
	}
	if (r)
		return SIM_EXIT_USAGE;
	return a->b.failed ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

int cmd_bench(int argc, char **argv)
{
	struct bench_args a = {
		.b = { .store = "mikulas", .chunk = 16, .block_size = 512, .depth = 32, .chunks = 1 << 20,
		       .snapshots = 10000, .exceptions = 10000000, .seed = 1 },
	};

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.b.traces = a.traces;
	if (a.measured)
		return bench_measured(&a.b, a.measured) || a.b.failed ? SIM_EXIT_FOUND : SIM_EXIT_OK;
	if (!a.nr_chosen)
		for (unsigned int i = 0; i < NR_BENCHES; i++)
			if (benches[i].by_default)
				a.chosen[a.nr_chosen++] = &benches[i];
	return run_all(&a);
}
