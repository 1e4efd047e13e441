// SPDX-License-Identifier: GPL-2.0
/*
 * The world: its options, its one source of choices, its log, its end.
 *
 * Every decision that is not determined by the code under test goes through sim_choose(). Under
 * fifo there are no choices, the answer is always 0 and nothing is recorded, which is what makes
 * replay fast. Otherwise the answer comes from a replaceable function, the recorded list or the
 * seed, and is recorded.
 *
 * A failed world is never taken further: sim_fail() reports once, on the main stack (sched_fail()),
 * and the next sim_start() or sim_stop() throws away whatever is left.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../splitmix.h"
#include "world.h"

struct world world;

static struct world_part *parts, **parts_end = &parts;

static struct {
	u64 random[2];
	sim_chooser_fn chooser;
	void *chooser_context;
	u32 *choices;
	size_t nr_choices, max_choices;
	char failure[1024];
} state;

int shim_mb_word;

/* ---- choices ---- */

/* xorshift128+: fast, and good enough to pick the next of a few alternatives. */
static u32 random_below(u32 n)
{
	u64 a = state.random[0], b = state.random[1];

	state.random[0] = b;
	a ^= a << 23;
	state.random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return (u32)(((state.random[1] + b) >> 32) * n >> 32);
}

static void record_choice(u32 choice)
{
	if (state.nr_choices == state.max_choices) {
		size_t max = state.max_choices ? 2 * state.max_choices : 1024;
		u32 *larger = realloc(state.choices, max * sizeof(*larger));

		if (!larger)
			abort();
		state.choices = larger;
		state.max_choices = max;
	}
	state.choices[state.nr_choices++] = choice;
}

u32 choose_biased(u32 n, const char *what, u32 bias)
{
	u32 choice;

	if (n <= 1 || world.fifo)
		return 0;
#ifdef SHIM_WATCHED
	if (sched_explorer)
		return sched_explorer->choose(n, what);
#endif
	sched_enter();
	if (state.chooser) {
		choice = state.chooser(state.chooser_context, n, what);
	} else if (world.options.strategy == SIM_RECORDED) {
		choice = state.nr_choices < world.options.nr_recorded ?
				 world.options.recorded[state.nr_choices] :
				 0;
	} else if (bias) {
		u32 draw = random_below((n - 1) * (bias + 1));

		choice = draw < n - 1 ? draw + 1 : 0;
	} else {
		choice = random_below(n);
	}
	/* A recorded list may be of another program: every number is some alternative. */
	if (choice >= n)
		choice %= n;
	record_choice(choice);
	sched_exit();
	return choice;
}

u32 sim_choose(u32 n, const char *what)
{
	return choose_biased(n, what, 0);
}

bool choose_rare(unsigned int per_million, const char *what)
{
	bool hit;

	if (!per_million)
		return false;
	if (!world.fifo)
		return choose_biased(2, what,
				     per_million >= 1000000 ? 0 : 1000000 / per_million - 1);
	sched_enter();
	hit = random_below(1000000) < per_million;
	sched_exit();
	return hit;
}

void sim_set_chooser(sim_chooser_fn fn, void *context)
{
	state.chooser = fn;
	state.chooser_context = context;
	world.fifo = !fn && world.options.strategy == SIM_FIFO;
	sched_set_preemptible(!world.fifo);
}

const u32 *sim_choices(size_t *count)
{
	*count = state.nr_choices;
	return state.choices;
}

const struct sim_counts *sim_counts(void)
{
	return &world.counts;
}

u64 sim_now_ns(void)
{
	return READ_ONCE(world.now_ns);
}

/* ---- start and stop ---- */

void world_part_register(struct world_part *part)
{
	part->next = NULL;
	*parts_end = part;
	parts_end = &part->next;
}

static void world_discard(void)
{
	struct world_part *part;

	/* Threads first: nothing may run while its objects go away. */
	sched_discard();
	for (part = parts; part; part = part->next)
		if (part->discard)
			part->discard();
	work_discard();
	module_discard();
	lockdep_discard();
	mem_discard();
	world.active = false;
}

void sim_start(const struct sim_options *options)
{
	struct world_part *part;
	u64 seed = options->seed;
	u32 number = world.number + 1;

	/* Failed, or left by a longjmp() out of a thread (an assertion of a test). */
	if (world.active)
		world_discard();
	memset(&world, 0, sizeof(world));
	world.number = number;
	world.options = *options;
	world.active = true;
	state.random[0] = splitmix_next(&seed);
	state.random[1] = splitmix_next(&seed) | 1;
	state.nr_choices = 0;
	state.chooser = NULL;
	world.fifo = options->strategy == SIM_FIFO;
	sched_start();
	sched_set_preemptible(!world.fifo);
	mem_start();
	module_start();
	for (part = parts; part; part = part->next)
		if (part->start)
			part->start();
}

void sim_stop(void)
{
	struct world_part *part;

	if (!world.active)
		return;
	if (!world.failed) {
		if (world.warnings_expected)
			sim_fail("%u warnings expected did not come", world.warnings_expected);
		sched_finish();
		module_finish();
		sched_finish();
		for (part = parts; part; part = part->next)
			if (part->check)
				part->check();
		work_check_leaks();
		mem_check_leaks();
	}
	world_discard();
}

/*
 * Fibers: nobody else runs as long as the caller does not wait. Real threads: they stop at what is never
 * given back.
 */
void sim_power_off(void)
{
	sched_enter();
}

/* ---- findings ---- */

/* On the main stack; does not return. */
void world_report_failure(void)
{
	if (world.options.fail) {
		world.options.fail(world.options.fail_context, state.failure);
		fprintf(stderr, "the fail callback returned\n");
	} else {
		fprintf(stderr, "FAILURE: %s\n", state.failure);
		if (world.options.reproducer)
			fprintf(stderr, "reproduce: %s\n", world.options.reproducer);
	}
	abort();
}

static void __attribute__((noreturn)) world_vfail(const char *fmt, va_list args)
{
	char line[sizeof(state.failure)];

	vsnprintf(line, sizeof(line), fmt, args);
	/* Only the first is told: whatever follows may be its consequence. */
	sched_enter();
	if (world.failed) {
		fprintf(stderr, "FAILURE, after another one: %s\n", line);
		abort();
	}
	memcpy(state.failure, line, sizeof(line));
	world.failed = true;
	sched_fail();
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	world_vfail(fmt, args);
}

const char *site_name(const char *site)
{
	const char *slash = site ? strrchr(site, '/') : NULL;

	return slash ? slash + 1 : site ? site : "?";
}

void shim_bug(const char *site, const char *what)
{
	sim_fail("%s: %s in thread '%s'", site_name(site), what, sched_current->name);
}

void sim_expect_warnings(unsigned int count)
{
	world.warnings_expected = count;
}

void shim_warn(const char *site, const char *fmt, ...)
{
	char line[512];
	va_list args;

	sched_enter();
	if (world.warnings_expected) {
		world.warnings_expected--;
		sched_exit();
		return;
	}
	sched_exit();

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	sim_fail("%s: %s in thread '%s'", site_name(site), line, sched_current->name);
}

/* ---- the kernel log ---- */

static void log_line(int level, const char *line)
{
	if (world.active && world.options.log)
		world.options.log(world.options.log_context, level, line);
	else
		fprintf(stderr, "%s\n", line);
}

static int log_lines(const char *fmt, va_list args)
{
	char text[1024], *line = text, *end;
	int level = 4, length;

	if (fmt[0] == KERN_SOH[0] && fmt[1]) {
		level = fmt[1] - '0';
		fmt += 2;
	}
	length = vsnprintf(text, sizeof(text), fmt, args);
	sched_enter();
	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end) {
			log_line(level, line);
			break;
		}
		*end = '\0';
		log_line(level, line);
	}
	sched_exit();
	return length;
}

int printk(const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = log_lines(fmt, args);
	va_end(args);
	return length;
}

/* Which line is dropped depends on who was first. No explorer is told: the log is no result. */
static bool ratelimit(struct shim_ratelimit *rs)
{
	bool allowed;

	sched_enter();
	if (rs->world != world.number || world.now_ns - rs->begin_ns >= 5000000000ULL) {
		rs->world = world.number;
		rs->begin_ns = world.now_ns;
		rs->printed = 0;
	}
	allowed = rs->printed < 10;
	if (allowed)
		rs->printed++;
	sched_exit();
	return allowed;
}

void shim_printk_limited(struct shim_ratelimit *rs, const char *fmt, ...)
{
	va_list args;

	if (!ratelimit(rs))
		return;
	va_start(args, fmt);
	log_lines(fmt, args);
	va_end(args);
}
