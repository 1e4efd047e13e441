// SPDX-License-Identifier: GPL-2.0
/* Random schedules (walk.h). Priorities are drawn when a process is first seen. */
#include "walk.h"

#include "grow.h"
#include "splitmix.h"

#define MAX_DEPTH 16

struct priority {
	u32 process;
	u64 value; /* less than MAX_DEPTH: it has fallen */
};

static struct walk {
	u64 state;
	u32 depth;
	u32 falls[MAX_DEPTH]; /* the steps at which one falls */
	GROWING(struct priority) priorities;
} *w;

static u64 draw(void)
{
	return splitmix_next(&w->state);
}

void walk_start(u64 seed, u32 depth, u32 steps)
{
	if (!w)
		w = keep_alloc(sizeof(*w));
	w->state = seed;
	w->state = draw();
	w->depth = min_t(u32, depth, MAX_DEPTH);
	for (u32 i = 0; i + 1 < w->depth; i++)
		w->falls[i] = (u32)(draw() % max_t(u32, steps, 1));
	w->priorities.nr = 0;
}

static struct priority *priority_of(u32 process)
{
	struct priority *p;

	for (u32 i = 0; i < w->priorities.nr; i++)
		if (w->priorities.at[i].process == process)
			return &w->priorities.at[i];
	p = push(&w->priorities);
	*p = (struct priority){ process, MAX_DEPTH + draw() / 2 };
	return p;
}

static u32 highest(const u32 *ready, u32 nr)
{
	u32 best = 0;

	for (u32 i = 1; i < nr; i++)
		if (priority_of(ready[i])->value > priority_of(ready[best])->value)
			best = i;
	return best;
}

u32 walk_pick(const u32 *ready, u32 nr, u32 step)
{
	if (!w->depth)
		return (u32)(draw() % nr);
	for (u32 i = 0; i + 1 < w->depth; i++)
		if (w->falls[i] == step)
			priority_of(ready[highest(ready, nr)])->value = i;
	return highest(ready, nr);
}

u32 walk_value(u32 nr)
{
	return (u32)(draw() % nr);
}
