// SPDX-License-Identifier: GPL-2.0
/* Programs whose traces can be counted by hand (program.h). */
#include "program.h"

#include <stdio.h>

#include "control.h"
#include "search.h"

static struct mutex lock;
static u32 x;
static struct program_spec spec;

bool program_parse(const char *text, struct program_spec *p)
{
	int end = 0;

	return sscanf(text, "mutex:%ux%u%n", &p->threads, &p->rounds, &end) == 2 && !text[end] && p->threads &&
	       p->rounds && p->threads <= 16 && p->rounds <= 100;
}

static void count(void *unused)
{
	for (u32 i = 0; i < spec.rounds; i++) {
		mutex_lock(&lock);
		x++;
		mutex_unlock(&lock);
	}
}

static void start_all(void *unused)
{
	char name[24];

	search_begin();
	for (u32 i = 0; i < spec.threads; i++) {
		snprintf(name, sizeof(name), "thread-%u", i + 1);
		sim_thread_start(name, count, NULL);
	}
	/* Not joined: whether the joining comes before or after the end of a thread would be two traces. */
	sim_settle();
	search_end();
	if (x != spec.threads * spec.rounds)
		sim_fail("x is %u", x);
}

void program_run(void *arg)
{
	const struct sim_options options = { .strategy = SIM_FIFO, .fail = search_fail };

	spec = *(const struct program_spec *)arg;
	sim_start(&options);
	mutex_init(&lock);
	sim_thread_start("start", start_all, NULL);
	sim_run();
	sim_stop();
}
