// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap replay TRACE...: options, one run for each chunk size, the report.
 */
#include <argp.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay.h"

#define MAX_CHUNKS 8
#define NOT_GIVEN U64_MAX
#define DEFAULT_CHUNK 16		/* sectors: 8 KiB */
#define DEFAULT_DEPTH 32
#define TIMED_DEPTH 4096
#define ORIGIN_ALIGN 2048ull		/* 1 MiB */
#define MAX_DISK (1ull << 35)		/* 16 TiB, as the disks */
#define STORE_SLACK (131072ull)		/* 64 MiB: superblocks, log, reserve */

struct replay_args {
	struct replay_options o;
	struct replay_trace_options t;
	sector_t chunks[MAX_CHUNKS];
	unsigned int nr_chunks;
	u64 cache_threshold, cache_limit; /* NOT_GIVEN: the store's own */
	const char *json;
	const char **files;
	bool origin_given, depth_given, verify_given;
};

enum {
	OPT_STORE = 256, OPT_CHUNK, OPT_SNAPSHOTS, OPT_SUBSNAPS, OPT_DEVICE, OPT_SPEED, OPT_SEED, OPT_JSON,
	OPT_VERIFY_EVERY, OPT_NO_VERIFY, OPT_DEPTH, OPT_ORIGIN_SIZE, OPT_STORE_SIZE, OPT_CACHE_THRESHOLD,
	OPT_CACHE_LIMIT, OPT_SAVE_STORE, OPT_SAVE_ORIGIN, OPT_FORMAT, OPT_TIME_UNIT, OPT_OFFSET_UNIT,
	OPT_MAX_BAD, OPT_FORCE, OPT_BLOCK_SIZE, OPT_PRESERVE, OPT_SNAP_READS, OPT_SNAP_WRITES, OPT_RACES,
	OPT_PAST_END, OPT_STRATEGY, OPT_LOG, OPT_VERIFY_DELETED, OPT_FIT,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "The target:", 1 },
	{ "store", OPT_STORE, "TYPE", 0, "store type: mikulas (default) or model", 0 },
	{ "chunk", OPT_CHUNK, "SIZE[,SIZE...]", 0, "chunk size (default 8K); several are compared side by side", 0 },
	{ "cache-threshold", OPT_CACHE_THRESHOLD, "SECTORS", 0, "argument of the store", 0 },
	{ "cache-limit", OPT_CACHE_LIMIT, "SECTORS", 0, "argument of the store", 0 },
	{ "preserve-on-error", OPT_PRESERVE, 0, 0, "stop the origin on an error instead of giving up the snapshots", 0 },
	{ 0, 0, 0, 0, "Snapshots:", 2 },
	{ "snapshots", OPT_SNAPSHOTS, "every=N|every=TIME[,keep=K]", 0,
	  "a snapshot after every N requests, or every TIME (10s, 5m, 1h) by the trace's clock; the oldest goes "
	  "when there would be more than K", 0 },
	{ "subsnaps", OPT_SUBSNAPS, "every=N[,keep=K]", 0, "a snapshot of every N-th snapshot", 0 },
	{ "snapshot-reads", OPT_SNAP_READS, "N", 0, "after every N requests read from a random snapshot, too", 0 },
	{ "snapshot-writes", OPT_SNAP_WRITES, "N", 0, "after every N requests write to a random snapshot, too", 0 },
	{ 0, 0, 0, 0, "Devices and time:", 3 },
	{ "device", OPT_DEVICE, "ram|ssd|hdd", 0, "service times of both devices (default ram)", 0 },
	{ "speed", OPT_SPEED, "asap|timed", 0, "as fast as possible (default), or at the times of the trace", 0 },
	{ "depth", OPT_DEPTH, "N", 0, "bios in flight at most (default 32; timed: 4096)", 0 },
	{ "origin-size", OPT_ORIGIN_SIZE, "SIZE", 0, "default: what the trace needs", 0 },
	{ "store-size", OPT_STORE_SIZE, "SIZE", 0, "default: more than can be needed", 0 },
	{ "fit", OPT_FIT, 0, 0, "find the smallest store that suffices, by trying", 0 },
	{ "past-end", OPT_PAST_END, "refuse|wrap", 0, "requests past the end (default: refuse)", 0 },
	{ "block-size", OPT_BLOCK_SIZE, "BYTES", 0, "logical block size of both devices (default 512)", 0 },
	{ "races", OPT_RACES, 0, 0, "issue overlapping requests at the same time", 0 },
	{ "seed", OPT_SEED, "N", 0, "for random choices (default 1)", 0 },
	{ "strategy", OPT_STRATEGY, "fifo|random", 0, "of the scheduler (default fifo)", 0 },
	{ 0, 0, 0, 0, "Verification:", 4 },
	{ "verify-every", OPT_VERIFY_EVERY, "N", 0,
	  "read everything back after every N requests (default: half-way), as at the end; 0: at the end only", 0 },
	{ "verify-deleted", OPT_VERIFY_DELETED, 0, 0,
	  "read each snapshot back in full before it is deleted (default: a sixteenth of it)", 0 },
	{ "no-verify", OPT_NO_VERIFY, 0, 0, "neither check reads nor read back (and, as with --races, overlapping requests do not wait)", 0 },
	{ 0, 0, 0, 0, "The trace:", 5 },
	{ "format", OPT_FORMAT, "NAME", 0, "instead of detecting it; multisnap trace --formats lists them", 0 },
	{ "time-unit", OPT_TIME_UNIT, "s|ms|us|ns", 0, "where the format leaves it open", 0 },
	{ "offset-unit", OPT_OFFSET_UNIT, "bytes|sectors", 0, "against the format's habit", 0 },
	{ "max-bad", OPT_MAX_BAD, "SHARE", 0, "give up when more than this share of the records is bad (default 0.05)", 0 },
	{ "force", OPT_FORCE, 0, 0, "believe a trace whose units are implausible", 0 },
	{ 0, 0, 0, 0, "Results:", 6 },
	{ "json", OPT_JSON, "FILE", OPTION_ARG_OPTIONAL, "the report as JSON, to FILE or instead of the text", 0 },
	{ "save-store", OPT_SAVE_STORE, "FILE", 0, "write the store device's image", 0 },
	{ "save-origin", OPT_SAVE_ORIGIN, "FILE", 0, "write the origin's image", 0 },
	{ "log", OPT_LOG, 0, 0, "the kernel's log to stderr", 0 },
	{ 0 },
};

static bool parse_chunks(struct replay_args *a, const char *text)
{
	char *copy = strdup(text), *save = NULL, *word;
	bool good = copy;

	a->nr_chunks = 0;
	for (word = strtok_r(copy, ",", &save); word && good; word = strtok_r(NULL, ",", &save)) {
		sector_t *chunk = &a->chunks[a->nr_chunks];

		good = a->nr_chunks < MAX_CHUNKS && parse_size_sectors(word, chunk) && *chunk &&
		       is_power_of_2(*chunk);
		a->nr_chunks++;
	}
	free(copy);
	return good && a->nr_chunks;
}

/* "every=N|every=TIME[,keep=K]": each of the two once. */
static bool parse_rolling(const char *text, struct replay_rolling *rolling, bool by_time)
{
	char *copy = strdup(text), *save = NULL, *word;
	bool good = copy;

	memset(rolling, 0, sizeof(*rolling));
	for (word = strtok_r(copy, ",", &save); word && good; word = strtok_r(NULL, ",", &save)) {
		if (!strncmp(word, "every=", 6))
			good = !rolling->every_requests && !rolling->every_ns &&
			       (parse_u64(word + 6, &rolling->every_requests) ||
				(by_time && parse_duration_ns(word + 6, &rolling->every_ns))) &&
			       (rolling->every_requests || rolling->every_ns);
		else
			good = !rolling->keep && !strncmp(word, "keep=", 5) &&
			       parse_u64(word + 5, &rolling->keep) && rolling->keep;
	}
	free(copy);
	return good && (rolling->every_requests || rolling->every_ns);
}

static bool parse_model(const char *text, enum disk_model *model)
{
	static const char *const names[] = { [DISK_RAM] = "ram", [DISK_SSD] = "ssd", [DISK_HDD] = "hdd" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*model = (enum disk_model)i;
			return true;
		}
	}
	return false;
}

static bool either(const char *text, const char *no, const char *yes, bool *value)
{
	*value = !strcmp(text, yes);
	return *value || !strcmp(text, no);
}

static bool parse_share(const char *text, double *share)
{
	char *end;

	*share = strtod(text, &end);
	if (end == text || *end || !(*share >= 0 && *share <= 1))
		return false;
	if (*share == 0)
		*share = -1; /* none may be bad */
	return true;
}

static bool parse_disk_size(const char *text, sector_t *sectors)
{
	return parse_size_sectors(text, sectors) && *sectors && *sectors <= MAX_DISK;
}

static error_t parse_target(int key, char *arg, struct replay_args *a, bool *good)
{
	struct replay_rolling subsnaps;

	switch (key) {
	case OPT_STORE:
		a->o.store = arg;
		return 0;
	case OPT_CHUNK:
		*good = parse_chunks(a, arg);
		return 0;
	case OPT_CACHE_THRESHOLD:
		*good = parse_u64(arg, &a->cache_threshold) && a->cache_threshold < NOT_GIVEN;
		return 0;
	case OPT_CACHE_LIMIT:
		*good = parse_u64(arg, &a->cache_limit) && a->cache_limit < NOT_GIVEN;
		return 0;
	case OPT_PRESERVE:
		a->o.preserve_on_error = true;
		return 0;
	case OPT_SNAPSHOTS:
		*good = parse_rolling(arg, &a->o.snapshots, true);
		return 0;
	case OPT_SUBSNAPS:
		*good = parse_rolling(arg, &subsnaps, false);
		a->o.subsnap_every = subsnaps.every_requests;
		a->o.subsnap_keep = subsnaps.keep;
		return 0;
	case OPT_SNAP_READS:
		*good = parse_u64(arg, &a->o.snapshot_reads);
		return 0;
	case OPT_SNAP_WRITES:
		*good = parse_u64(arg, &a->o.snapshot_writes);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse_devices(int key, char *arg, struct replay_args *a, bool *good)
{
	bool wrap;

	switch (key) {
	case OPT_DEVICE:
		*good = parse_model(arg, &a->o.model);
		return 0;
	case OPT_SPEED:
		*good = either(arg, "asap", "timed", &a->o.timed);
		return 0;
	case OPT_DEPTH:
		*good = parse_uint(arg, &a->o.depth) && a->o.depth && a->o.depth <= 1u << 20;
		a->depth_given = true;
		return 0;
	case OPT_ORIGIN_SIZE:
		*good = parse_disk_size(arg, &a->o.origin_sectors);
		a->origin_given = true;
		return 0;
	case OPT_STORE_SIZE:
		*good = parse_disk_size(arg, &a->o.store_sectors);
		return 0;
	case OPT_FIT:
		a->o.fit = true;
		return 0;
	case OPT_PAST_END:
		*good = either(arg, "refuse", "wrap", &wrap);
		a->o.past_end = wrap ? PAST_END_WRAP : PAST_END_REFUSE;
		return 0;
	case OPT_BLOCK_SIZE:
		*good = parse_uint(arg, &a->o.block_size) && a->o.block_size >= 512 &&
			a->o.block_size <= 4096 && is_power_of_2(a->o.block_size);
		return 0;
	case OPT_RACES:
		a->o.races = true;
		return 0;
	case OPT_SEED:
		*good = parse_u64(arg, &a->o.seed);
		return 0;
	case OPT_STRATEGY:
		*good = parse_strategy(arg, &a->o.strategy);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse_trace(int key, char *arg, struct replay_args *a, bool *good)
{
	switch (key) {
	case OPT_FORMAT:
		a->t.format = arg;
		return 0;
	case OPT_TIME_UNIT:
		a->t.time_unit = arg;
		return 0;
	case OPT_OFFSET_UNIT:
		a->t.offset_unit = arg;
		return 0;
	case OPT_MAX_BAD:
		*good = parse_share(arg, &a->t.max_bad);
		return 0;
	case OPT_FORCE:
		a->t.force = true;
		return 0;
	case OPT_VERIFY_EVERY:
		*good = parse_u64(arg, &a->o.verify_every);
		a->verify_given = true;
		return 0;
	case OPT_VERIFY_DELETED:
		a->o.verify_deleted = true;
		return 0;
	case OPT_NO_VERIFY:
		a->o.verify = false;
		return 0;
	case OPT_JSON:
		a->json = arg ? arg : "-";
		return 0;
	case OPT_SAVE_STORE:
		a->o.save_store = arg;
		return 0;
	case OPT_SAVE_ORIGIN:
		a->o.save_origin = arg;
		return 0;
	case OPT_LOG:
		a->o.log = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const char *expected(const struct argp_option *o)
{
	switch (o->key) {
	case OPT_CHUNK:
		return "a power of two from 512 bytes on, such as 8K (at most 8 of them, with commas)";
	case OPT_SNAPSHOTS:
		return "every=N or every=TIME (10s, 5m, 1h), then ,keep=K if wanted; none of them 0";
	case OPT_SUBSNAPS:
		return "every=N, then ,keep=K if wanted; none of them 0";
	case OPT_DEPTH:
		return "a number from 1 to 1048576";
	case OPT_ORIGIN_SIZE:
	case OPT_STORE_SIZE:
		return "a size of whole sectors up to 16T, such as 64M or 100s";
	case OPT_BLOCK_SIZE:
		return "512, 1024, 2048 or 4096";
	case OPT_MAX_BAD:
		return "a share from 0 to 1";
	}
	return strchr(o->arg, '|') ? o->arg : "a number";
}

static void refuse(struct argp_state *state, int key, const char *arg)
{
	const struct argp_option *o = options;

	while (o->key != key)
		o++;
	argp_error(state, "--%s %s: not %s", o->name, arg, expected(o));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct replay_args *a = state->input;
	bool good = true;

	if (key == ARGP_KEY_ARG) {
		a->files[a->t.nr_files++] = arg;
		return 0;
	}
	if (key == ARGP_KEY_NO_ARGS)
		argp_error(state, "no trace file given");
	if (key == ARGP_KEY_END) {
		if ((a->o.subsnap_every || a->o.snapshot_reads || a->o.snapshot_writes) &&
		    !a->o.snapshots.every_requests && !a->o.snapshots.every_ns)
			argp_error(state, "--subsnaps, --snapshot-reads and --snapshot-writes need --snapshots");
		return 0;
	}
	if (parse_target(key, arg, a, &good) && parse_devices(key, arg, a, &good) &&
	    parse_trace(key, arg, a, &good))
		return ARGP_ERR_UNKNOWN;
	if (!good)
		refuse(state, key, arg);
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "TRACE...",
	.doc = "Replay a block trace through the target with rolling snapshots; every read is verified."
	       "\vThe files of one blktrace capture are given together. Exit status: 0 verified, 1 something was found, 2 usage.",
};

/* ---- sizes ---- */

/* More than the store can need: each write copies each chunk that it touches, as long as it is shared. */
static sector_t store_size(const struct replay_args *a, const struct replay_extent *e)
{
	static const enum replay_op changing[] = { REPLAY_WRITE, REPLAY_DISCARD, REPLAY_WRITE_ZEROES };
	u64 rolls = a->o.snapshots.every_requests ? e->total / a->o.snapshots.every_requests : e->total;
	u64 writes = 0, sectors = 0, most;

	for (unsigned int i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
		writes += e->requests[changing[i]];
		sectors += bytes_to_sectors(e->bytes[changing[i]]);
	}
	sectors += writes * 2 * a->o.chunk;
	if (a->o.snapshot_writes)
		sectors += e->total / a->o.snapshot_writes * (REPLAY_PRIVATE_SECTORS + 2 * a->o.chunk);
	if (a->o.subsnap_every || a->o.snapshot_writes)
		sectors *= 2;
	/* No snapshot needs more than a copy of the whole origin. */
	most = a->o.origin_sectors + a->o.chunk;
	if (!a->o.subsnap_every && !a->o.snapshot_writes &&
	    !__builtin_mul_overflow(most, rolls + a->o.initial_snapshots, &most) && most < sectors)
		sectors = most;
	sectors += sectors / 4 + STORE_SLACK + 4096 * a->o.chunk;
	return min((sectors + 2047) & ~2047ull, MAX_DISK);
}

static bool size_origin(struct replay_args *a, const struct replay_extent *e)
{
	if (!a->origin_given)
		a->o.origin_sectors = max((e->end + ORIGIN_ALIGN - 1) & ~(ORIGIN_ALIGN - 1), ORIGIN_ALIGN);
	if (a->o.origin_sectors <= MAX_DISK)
		return true;
	sim_message("%s: needs an origin of %llu sectors; more than 16 TiB cannot be simulated: see --origin-size and --past-end",
		    a->files[0], a->o.origin_sectors);
	return false;
}

/* ---- the reproducer: the command itself ---- */

static char *command_line(int argc, char **argv)
{
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return NULL;
	fputs(argv[0], out); /* two words: multisnap replay */
	for (int i = 1; i < argc; i++) {
		fputc(' ', out);
		print_shell_word(out, argv[i]);
	}
	fclose(out);
	return line;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int report(const struct replay_args *a, struct replay_trace *trace, const struct replay_result *results)
{
	const struct replay_extent *e = replay_trace_extent(trace);
	const char *name = base_name(a->files[0]), *format = trace_format(replay_trace_raw(trace));
	bool to_file = a->json && strcmp(a->json, "-");
	FILE *out = !a->json ? NULL : to_file ? fopen(a->json, "w") : stdout;
	int r = 0;

	if (a->json && !out) {
		sim_message("%s: cannot be written", a->json);
		return -1;
	}
	if (out)
		r = replay_report_json(out, name, format, e, replay_trace_stats(trace), &a->o, results,
				       a->nr_chunks);
	if (to_file)
		r |= fclose(out);
	if (!a->json || to_file)
		replay_report(stdout, name, format, e, replay_trace_stats(trace), &a->o, results, a->nr_chunks);
	return r;
}

/* The last line, and the exit code. */
static int verdict(const struct replay_args *a, const struct replay_result *results)
{
	u64 verified = 0, mismatches = 0, failed = 0;
	bool error = false;

	for (unsigned int i = 0; i < a->nr_chunks; i++) {
		verified += results[i].verified_sectors;
		mismatches += results[i].mismatches;
		failed += results[i].failed;
		error |= results[i].error;
	}
	if (failed)
		sim_message("%llu bios or commands failed that must not", failed);
	if (!a->json || strcmp(a->json, "-")) {
		if (a->o.verify)
			printf("\nverified: %llu sectors, %llu mismatches\n", verified, mismatches);
		else
			printf("\nnot verified (--no-verify)\n");
	}
	return mismatches || failed || error ? SIM_EXIT_FOUND : SIM_EXIT_OK;
}

/* A file that cannot be written is told of before the run, not after it. */
static bool can_write(const char *path)
{
	bool good = !path || !strcmp(path, "-") || !access(path, W_OK);

	if (!good && errno == ENOENT) {
		char *copy = strdup(path);

		good = copy && !access(dirname(copy), W_OK | X_OK);
		free(copy);
	}
	if (!good)
		sim_message("%s: cannot be written: %s", path, errno_name(errno));
	return good;
}

static int run_all(struct replay_args *a, struct replay_trace *trace, struct replay_result *results)
{
	const struct replay_extent *e = replay_trace_extent(trace);
	bool sized = !a->o.store_sectors;

	if (!a->verify_given)
		a->o.verify_every = e->total / 2 + 1;
	for (unsigned int i = 0; i < a->nr_chunks; i++) {
		a->o.chunk = a->chunks[i];
		if (sized)
			a->o.store_sectors = store_size(a, e);
		if (replay_run(replay_trace_source(trace), e, &a->o, &results[i]))
			return SIM_EXIT_USAGE;
		if (a->o.fit && !results[i].error)
			results[i].fit = replay_fit(replay_trace_source(trace), e, &a->o, &results[i]);
	}
	if (report(a, trace, results))
		return SIM_EXIT_USAGE;
	return verdict(a, results);
}

/* The store arguments of the table. */
static void store_args(const struct replay_args *a, char *buf, size_t size)
{
	bool threshold = a->cache_threshold != NOT_GIVEN, limit = a->cache_limit != NOT_GIVEN;
	int used = snprintf(buf, size, "%d", 2 * (threshold + limit));

	if (threshold)
		used += snprintf(buf + used, size - used, " cache-threshold %llu", a->cache_threshold);
	if (limit)
		snprintf(buf + used, size - used, " cache-limit %llu", a->cache_limit);
}

int cmd_replay(int argc, char **argv)
{
	struct replay_args a = {
		.o = { .store = "mikulas", .block_size = 512, .model = DISK_RAM, .seed = 1,
		       .strategy = SIM_FIFO, .verify = true, .progress = true },
		.chunks = { DEFAULT_CHUNK }, .nr_chunks = 1, .cache_threshold = NOT_GIVEN, .cache_limit = NOT_GIVEN,
	};
	char *line = command_line(argc, argv), args[128];
	struct replay_result *results;
	struct replay_trace *trace = NULL;
	const char *note;
	int r = SIM_EXIT_USAGE;

	a.files = calloc((size_t)argc, sizeof(*a.files));
	results = calloc(MAX_CHUNKS, sizeof(*results));
	if (!a.files || !results || !line)
		abort();
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.t.files = a.files;
	a.t.block_size = a.o.block_size;
	if (!a.depth_given)
		a.o.depth = a.o.timed ? TIMED_DEPTH : DEFAULT_DEPTH;
	store_args(&a, args, sizeof(args));
	a.o.store_args = args;
	a.o.reproducer = line;
	a.o.trace_name = base_name(a.files[0]);
	if (can_write(a.json) && can_write(a.o.save_store) && can_write(a.o.save_origin))
		trace = replay_trace_open(&a.t);
	if (trace && !replay_trace_extent(trace)->total)
		sim_message("%s: no requests in it", a.files[0]);
	else if (trace && size_origin(&a, replay_trace_extent(trace)))
		r = run_all(&a, trace, results);
	for (unsigned int i = 0; trace && (note = trace_note(replay_trace_raw(trace), i)); i++)
		sim_message("%s", note);
	replay_trace_close(trace);
	free(results);
	free(a.files);
	free(line);
	return r;
}
