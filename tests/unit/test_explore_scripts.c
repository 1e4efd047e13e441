// SPDX-License-Identifier: GPL-2.0
/*
 * The watched shim under an explorer that picks at random: scripts that go well do so under any
 * schedule. This is what shows a process that nobody makes ready, a wake-up that is lost, state of
 * the shim that is half changed where others may run.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"
#include "explore.h"
#include "script.h"
#include "splitmix.h"

#define SEEDS 20
#define STACKS 200
/* No script needs more, by far. */
#define STEPS_MAX 2000000

static struct {
	u64 random;
	u64 steps;
	jmp_buf out;
	char found[1024];
} run;

static u32 random_below(u32 n)
{
	return (u32)(splitmix_next(&run.random) % n);
}

static u32 pick(const struct sim_step *ready, u32 n)
{
	if (++run.steps > STEPS_MAX)
		sim_fail("no end after %llu steps", run.steps);
	return random_below(n);
}

/* Nothing fails but what the script says. */
static u32 choose(u32 n, const char *what)
{
	return 0;
}

static void access(const void *object, u32 part, enum sim_access kind)
{
}

static void enables(u32 process)
{
}

static void idle(void)
{
}

static void order(const void *object)
{
}

static void memory(const void *start, size_t size)
{
}

static const struct sim_explorer explorer = {
	.pick = pick,
	.choose = choose,
	.access = access,
	.enables = enables,
	.idle = idle,
	.acquire = order,
	.release = order,
	.allocated = memory,
	.freed = memory,
};

static void caught(void *context, const char *what)
{
	snprintf(run.found, sizeof(run.found), "%s", what);
	longjmp(run.out, 1);
}

/* True if it ends well. */
static bool play(const struct script_options *options, const struct script_command *script,
		 u64 seed)
{
	const char *wrong;

	run.random = seed;
	run.steps = 0;
	if (setjmp(run.out)) {
		print_error("seed %llu: %s: %s\n", seed, options->file, run.found);
		sim_explore(NULL);
		world_abandon();
		return false;
	}
	world_start(&options->world);
	sim_reserve_stacks(STACKS);
	sim_explore(&explorer);
	wrong = script_play(options, script, NULL);
	if (wrong)
		print_error("seed %llu: %s\n", seed, wrong);
	sim_settle();
	sim_explore(NULL);
	world_stop();
	return !wrong;
}

static char *read_whole(const char *path)
{
	FILE *in = fopen(path, "r");
	size_t size = 0, room = 1 << 16;
	char *text = malloc(room);

	assert_non_null(in);
	size = fread(text, 1, room - 1, in);
	text[size] = '\0';
	fclose(in);
	return text;
}

static void play_all(const char *pattern)
{
	bool failed = false;
	glob_t files;

	assert_int_equal(glob(pattern, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char error[SCRIPT_ERROR_MAX], *text = read_whole(files.gl_pathv[i]);
		struct script_command *script = script_parse(files.gl_pathv[i], text, error);
		struct script_options options = { .file = files.gl_pathv[i], .world.fail = caught };

		assert_non_null(script);
		for (u64 seed = 1; seed <= SEEDS; seed++)
			failed |= !play(&options, script, seed);
		script_free(script);
		free(text);
	}
	globfree(&files);
	assert_false(failed);
}

static void scenarios_end_well_under_any_schedule(void **unused)
{
	play_all(TEST_SOURCE_DIR "/scenario/*.msnap");
}

static void what_is_crashed_ends_well_under_any_schedule(void **unused)
{
	play_all(TEST_SOURCE_DIR "/crash/*.msnap");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenarios_end_well_under_any_schedule),
		cmocka_unit_test(what_is_crashed_ends_well_under_any_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
