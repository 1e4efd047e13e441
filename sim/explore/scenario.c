// SPDX-License-Identifier: GPL-2.0
/* Scripts as programs to be searched (scenario.h): the judge's hooks, and a line in the story for each request and command. */
#include "scenario.h"

#include <string.h>

#include "fault.h"
#include "judge.h"
#include "search.h"
#include "story.h"

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

/* ---- what the story says of requests and commands ---- */

static u64 io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors, const tag_t *tags)
{
	story_note("begins: %s", c->text);
	return judge_hooks.io_begin(context, c, sector, sectors, tags);
}

static void note_end(int error)
{
	story_note(error ? "ends with an error: %s" : "ends", errno_name(error));
}

static void io_end(void *context, u64 begun, int error)
{
	note_end(error);
	judge_hooks.io_end(context, begun, error);
}

static u64 ctl_begin(void *context, const struct script_command *c)
{
	story_note("begins: %s", c->text);
	return judge_hooks.ctl_begin(context, c);
}

static void ctl_end(void *context, u64 begun, int error)
{
	note_end(error);
	judge_hooks.ctl_end(context, begun, error);
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
	hooks.io_begin = io_begin;
	hooks.io_end = io_end;
	hooks.ctl_begin = ctl_begin;
	hooks.ctl_end = ctl_end;
	sim_on_limit(sim_limit_ends, (void *)scenario->file);
	world_start(&options.world);
	fault_catch();
	/* Memory is short: who submits may have to wait for who ends (H34). */
	sim_set_job_pools(8, 16);
	judge_start();
	failed = script_play(&options, scenario->script, NULL);
	if (failed)
		search_fail(NULL, failed);
	sim_thread_start("judge", end_judging, NULL);
	sim_run();
	world_stop();
	judge_stop();
}

u32 scenario_threads(const struct script_command *script)
{
	u32 most = 0;

	for (const struct script_command *c = script; c; c = c->next) {
		u32 n = 0;

		if (c->verb->run != script_parallel || !strcmp(c->verb->name, "{"))
			continue;
		for (const struct script_command *child = c->block; child; child = child->next)
			n++;
		most = max(most, n);
	}
	return most;
}
