// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions, by callgrind. The program runs itself under valgrind with one measured workload; the workload
 * switches counting on where its set-up has ended. Self cost by source file gives core/ and stores/ alone.
 */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define TOGGLE() CALLGRIND_TOGGLE_COLLECT
#define HAVE_CALLGRIND true
#else
#define TOGGLE() ((void)0)
#define HAVE_CALLGRIND false
#endif

#include "bench.h"

#define MEASURED_PART 10000
#define MEASURED_CREATES 10

extern char **environ;

/* ---- in the child: the measured workloads ---- */

static void toggle(void *context, bool begin)
{
	TOGGLE();
}

static void toggle_part(void *context, unsigned int part)
{
	unsigned int wanted = *(unsigned int *)context;

	/* Part 1 ends where part 2 begins: one toggle at each border of the wanted part. */
	if (part == wanted || part == wanted + 1)
		TOGGLE();
}

static void measured_target(struct bench *b, const char *target, unsigned int part)
{
	static char table[128];
	struct bench_source s;
	struct replay_options o;

	bench_source_init(&s, BENCH_TWICE_THEN_READ, b->chunk, MEASURED_PART, 3 * MEASURED_PART, b->seed);
	s.part = toggle_part;
	s.part_context = &part;
	bench_options(b, &s, &o);
	o.depth = 1;
	o.no_status = true;
	o.initial_snapshots = !strcmp(target, "ms");
	if (!strcmp(target, "linear")) {
		snprintf(table, sizeof(table), "0 %llu bench-linear origin", o.origin_sectors);
		o.table = table;
		o.module = "multisnap-bench-linear";
		o.settle_before = false;
	}
	bench_run(b, &s, &o);
}

int bench_measured(struct bench *b, const char *what)
{
	struct bench_source s;
	struct replay_options o;
	unsigned int part;
	char target[16];
	u64 n;

	if (sscanf(what, "snapshots %llu", &n) == 1) {
		bench_source_init(&s, BENCH_RANDOM, b->chunk, BENCH_SNAPSHOT_CHUNKS, BENCH_SNAPSHOT_WRITES, b->seed);
		bench_options(b, &s, &o);
	} else if (sscanf(what, "create %llu", &n) == 1) {
		bench_source_init(&s, BENCH_RANDOM, b->chunk, 64, MEASURED_CREATES + 1, b->seed);
		bench_options(b, &s, &o);
		o.store_sectors += n * 16;
		o.snapshots.every_requests = 1;
		o.depth = 1;
	} else if (sscanf(what, "target %15s %u", target, &part) == 2) {
		measured_target(b, target, part);
		return 0;
	} else {
		sim_message("--measured %s: not understood", what);
		return -1;
	}
	o.initial_snapshots = n;
	o.settle = true;
	o.no_status = true;
	o.phase = toggle;
	bench_run(b, &s, &o);
	return 0;
}

/* ---- in the parent ---- */

static bool valgrind_installed(void)
{
	return HAVE_CALLGRIND && !system("valgrind --version >/dev/null 2>&1");
}

/* Run `bench --measured WHAT` under callgrind. */
static bool measure(struct bench *b, const char *what, struct callgrind_cost *cost)
{
	char out[] = "/tmp/multisnap-callgrind-XXXXXX", self[4096], out_arg[64], chunk[32];
	char *argv[] = { "valgrind", "--tool=callgrind", "--collect-atstart=no", "-q", out_arg,
			 self, "bench", "--store", (char *)b->store, "--chunk", chunk,
			 "--measured", (char *)what, NULL };
	int fd = mkstemp(out), status = -1;
	bool good = false;
	ssize_t n;
	pid_t pid;
	FILE *in;

	if (fd < 0)
		return false;
	snprintf(out_arg, sizeof(out_arg), "--callgrind-out-file=%s", out);
	snprintf(chunk, sizeof(chunk), "%llus", b->chunk);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = 0;
		if (!posix_spawnp(&pid, "valgrind", NULL, NULL, argv, environ))
			waitpid(pid, &status, 0);
	}
	in = fdopen(fd, "r");
	if (in) {
		good = !status && !callgrind_parse(in, cost);
		fclose(in);
	}
	unlink(out);
	if (!good)
		sim_message("bench: \"%s\" did not run under callgrind", what);
	b->failed |= !good;
	return good;
}

static bool can_measure(struct bench *b)
{
	if (valgrind_installed())
		return true;
	bench_row(b, HAVE_CALLGRIND ? "valgrind is not installed: no instructions" :
				      "built without valgrind's headers: no instructions");
	return false;
}

/* One against many snapshots. */
static void compare(struct bench *b, const char *kind, u64 many, unsigned int operations, const char *text)
{
	struct callgrind_cost one, more;
	char what[64];

	snprintf(what, sizeof(what), "%s 1", kind);
	if (!measure(b, what, &one))
		return;
	snprintf(what, sizeof(what), "%s %llu", kind, many);
	if (!measure(b, what, &more))
		return;
	bench_row(b, "%s, 1 against %llu snapshots", text, many);
	bench_number(b, "core, instructions each, 1", (double)one.core / operations, "");
	bench_number(b, "core, instructions each, many", (double)more.core / operations, "");
	bench_number(b, "stores, instructions each, 1", (double)one.stores / operations, "");
	bench_number(b, "stores, instructions each, many", (double)more.stores / operations, "");
	bench_number(b, "core + stores, many against 1",
		     (double)(more.core + more.stores) / (double)(one.core + one.stores), "x");
}

int bench_instructions(struct bench *b)
{
	char text[128];

	if (!can_measure(b))
		return 0;
	snprintf(text, sizeof(text), "%d random writes over %d chunks, 32 in flight (self cost of core/ and stores/)",
		 BENCH_SNAPSHOT_WRITES, BENCH_SNAPSHOT_CHUNKS);
	compare(b, "snapshots", b->snapshots, BENCH_SNAPSHOT_WRITES, text);
	snprintf(text, sizeof(text), "%d snapshots made one by one, a write in between", MEASURED_CREATES);
	compare(b, "create", b->snapshots, MEASURED_CREATES, text);
	return 0;
}

int bench_passthrough(struct bench *b)
{
	static const char *const parts[] = { NULL, "write of a chunk that is copied already", "read of the origin" };

	if (!can_measure(b))
		return 0;
	for (unsigned int part = 1; part <= 2; part++) {
		struct callgrind_cost linear, none, ms;
		char what[64];

		snprintf(what, sizeof(what), "target linear %u", part);
		if (!measure(b, what, &linear))
			return 0;
		snprintf(what, sizeof(what), "target nosnap %u", part);
		if (!measure(b, what, &none))
			return 0;
		snprintf(what, sizeof(what), "target ms %u", part);
		if (!measure(b, what, &ms))
			return 0;
		bench_row(b, "%s, %d times, 1 in flight: all instructions of a bio, simulator and all", parts[part], MEASURED_PART);
		bench_number(b, "a linear target", (double)linear.total / MEASURED_PART, "");
		bench_number(b, "multisnapshot, no snapshot, more", ((double)none.total - (double)linear.total) / MEASURED_PART, "");
		bench_number(b, "multisnapshot, one snapshot, more", ((double)ms.total - (double)linear.total) / MEASURED_PART, "");
		bench_number(b, "of it in core", (double)ms.core / MEASURED_PART, "");
		bench_number(b, "of it in stores", (double)ms.stores / MEASURED_PART, "");
	}
	return 0;
}
