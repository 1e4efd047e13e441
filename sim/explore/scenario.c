// SPDX-License-Identifier: GPL-2.0
#include "scenario.h"

#include <string.h>

#include "judge.h"
#include "search.h"

static struct script_hooks hooks;

static void parallel(void *context, bool begins)
{
	if (begins) {
		if (judge_hooks.parallel)
			judge_hooks.parallel(context, begins);
		search_begin();
		return;
	}
	search_end();
	if (judge_hooks.parallel)
		judge_hooks.parallel(context, begins);
}

static void end_judging(void *unused)
{
	judge_end();
}

void scenario_run(void *arg)
{
	const struct scenario *scenario = arg;
	const struct script_options options = {
		.world = { .strategy = SIM_FIFO, .fail = search_fail },
		.file = scenario->file,
		.hooks = &hooks,
	};
	const char *failed;

	hooks = judge_hooks;
	hooks.parallel = parallel;
	world_start(&options.world);
	judge_start();
	failed = script_play(&options, scenario->script, NULL);
	if (failed)
		search_fail(NULL, failed);
	sim_thread_start("judge", end_judging, NULL);
	sim_run();
	world_stop();
	judge_stop();
}

bool scenario_is_parallel(const struct script_command *script)
{
	for (const struct script_command *c = script; c; c = c->next)
		if (c->verb->run == script_parallel && strcmp(c->verb->name, "{"))
			return true;
	return false;
}
