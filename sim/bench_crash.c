// SPDX-License-Identifier: GPL-2.0
/*
 * Bench of the crash engine: images that are loaded, checked and fully compared a second, on one CPU. Three chunks of
 * 4 KiB, up to three snapshots, work goes on after one in 16 recoveries; one life, so that what it costs to record one is shared.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "crash.h"

#define OPERATIONS 1500

static u32 draw(u64 *state, u32 n)
{
	*state = crash_mix(*state, n);
	return *state % n;
}

static void put_write(FILE *out, u64 *state, const char *device, u32 fill)
{
	u32 sector = draw(state, 24), sectors = 1 + draw(state, 8);

	if (draw(state, 3) == 0) {
		sector -= sector % 8;
		sectors = 8;
	}
	fprintf(out, "write %s %u %u bs=0 fill=%u\n", device, sector, min_t(u32, sectors, 24 - sector), fill);
}

static char *make_script(u64 seed)
{
	u64 state = crash_mix(seed, 0xBE);
	u32 first = 0, next = 0, fill = 1;
	char *text = NULL, device[16];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fprintf(out, "disk origin 24s\ndisk store 512K\n"
		     "dmsetup create ms --table \"0 24 multisnapshot origin store 8 0 mikulas 0\"\n"
		     "write ms 0 24 fill=%u\n", fill++);
	for (u32 i = 0; i < OPERATIONS; i++) {
		u32 kind = draw(&state, 12);

		snprintf(device, sizeof(device), "s%u", first + (next > first ? draw(&state, next - first) : 0));
		if (kind == 0 && next - first < 3) {
			fprintf(out, "dmsetup message ms 0 create\ndmsetup suspend ms\ndmsetup resume ms\n"
				"dmsetup create s%u --table \"0 24 multisnap-snap origin %u\"\n", next, next);
			next++;
		} else if (kind == 1 && next > first) {
			fprintf(out, "dmsetup remove s%u\ndmsetup message ms 0 delete %u\n", first, first);
			first++;
		} else if (kind == 2) {
			fprintf(out, "flush ms\n");
		} else {
			put_write(out, &state, kind < 6 && next > first ? device : "ms", fill++);
		}
	}
	fclose(out);
	return text;
}

int bench_crash(struct bench *b)
{
	const struct crash_options o = {
		.strategy = SIM_FIFO,
		.seed = b->seed,
		.bound = 4096,
		.depth = 1,
		.work_share = 16,
	};
	struct crash_unit unit = { .name = "bench", .text = make_script(b->seed), .strategy = SIM_FIFO };
	clock_t start = clock();
	double seconds;

	crash_unit_run(&o, &unit);
	seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
	free(unit.text);
	if (unit.error[0] || unit.finding.found) {
		sim_message("%s", unit.error[0] ? unit.error : unit.finding.what);
		crash_finding_free(&unit.finding);
		b->failed = true;
		return 0;
	}
	bench_row(b, "3 chunks of 4 KiB, %u operations, work after 1 in 16 recoveries", OPERATIONS);
	bench_count(b, "moments", unit.counts.points);
	bench_count(b, "states", unit.counts.states);
	bench_count(b, "distinct images", unit.counts.images);
	bench_number(b, "distinct images a second", unit.counts.images / seconds, "");
	bench_number(b, "time of a state", seconds * 1e6 / unit.counts.states, "us");
	return 0;
}
