// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target: a sequence of operations and faults, judged by the oracle. The first byte says in what:
 *
 *   0 mod 3   torture with the store model
 *   1 mod 3   torture with the store mikulas
 *   2 mod 3   a script of the crash engine, and the power is cut: at one moment, then again in the recovery
 *
 * The second is the seed of the scheduler, 0: first come, first served. All that torture (sim/torture.h) and the maker of
 * random scripts (sim/crash/work.h) draw comes from the bytes that follow; when these end, so do the operations.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "fuzz.h"
#include "torture.h"
#include "work.h"

#define OPS_MAX 100		/* of torture, and lines of its batches: milliseconds */
#define SCRIPT_OPS_MAX 12

static void found(const char *what)
{
	fprintf(stderr, "FOUND: %s\n", what);
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* Worlds come and go: memory given back would be asked for again at once. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TOP_PAD, 64 << 20);
	return 0;
}

static void torture(const char *store, u64 seed, const u8 *bytes, size_t n)
{
	const struct torture_options options = {
		.seed = seed,
		.ops = OPS_MAX,
		.store = store,
		.strategy = seed ? SIM_RANDOM : SIM_FIFO,
		.draws = bytes,
		.nr_draws = n,
		.found = found,
	};
	char summary[1024];

	torture_run(&options, summary, sizeof(summary));
}

/* The power is cut at this moment of the script's life, in 256ths of it, and at its end. */
static bool choose_moments(struct crash_unit *unit, struct crash *c, struct life *life)
{
	const u8 *moment = unit->context;

	c->points = calloc(life->nr + 1, 1);
	if (!c->points)
		abort();
	c->points[1 + (life->nr - 1) * *moment / 256] = 1;
	c->points[life->nr] = 1;
	return true;
}

static void crash(u64 seed, u8 moment, const u8 *bytes, size_t n)
{
	const struct crash_options options = {
		.seed = 1,
		.bound = 8,
		.samples = 4,
		.depth = 2,
		.work_share = 4,
		.recut_share = 4,
	};
	struct crash_unit unit = {
		.name = "script",
		.text = drawn_script(bytes, n, SCRIPT_OPS_MAX),
		.keep_going = true,
		.strategy = seed ? SIM_RANDOM : SIM_FIFO,
		.seed = seed,
		.recorded = choose_moments,
		.context = &moment,
	};

	crash_unit_run(&options, &unit);
	if (unit.finding.found) {
		fprintf(stderr, "%s", unit.text);
		fprintf(stderr, "%s\n", unit.finding.moment);
		found(unit.finding.what);
	}
	free(unit.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	switch (data[0] % 3) {
	case 0:
		torture("model", data[1], data + 2, size - 2);
		break;
	case 1:
		torture("mikulas", data[1], data + 2, size - 2);
		break;
	case 2:
		crash(data[1], data[2], data + 3, size - 3);
		break;
	}
	return 0;
}
