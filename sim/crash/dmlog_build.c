// SPDX-License-Identifier: GPL-2.0
/* A life put together event by event, where no world is running (dmlog.h). */
#include <stdlib.h>
#include <string.h>

#include "dmlog.h"

static void *grow(void *p, u64 need, u32 *max, size_t size)
{
	u64 room = *max ? *max : 64;

	if (need <= *max)
		return p;
	while (room < need)
		room *= 2;
	p = room <= U32_MAX ? realloc(p, room * size) : NULL;
	if (!p)
		abort();
	*max = room;
	return p;
}

struct life_event *dmlog_add_event(struct life *life, enum life_kind kind)
{
	struct life_event *e;

	life->event = grow(life->event, (u64)life->nr + 1, &life->max, sizeof(*life->event));
	e = &life->event[life->nr++];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->state = life->nr_states - 1;
	return e;
}

struct life_event *dmlog_add_end(struct life *life, enum life_kind kind, u32 issue)
{
	struct life_event *e = dmlog_add_event(life, kind);

	e->issue = issue;
	e->disk = life_at(life, issue)->disk;
	return e;
}

content_t *dmlog_add_contents(struct life *life, u32 nr, u32 *first)
{
	*first = life->nr_contents;
	life->contents = grow(life->contents, (u64)life->nr_contents + nr, &life->max_contents,
			      sizeof(*life->contents));
	life->nr_contents += nr;
	return life->contents + *first;
}

bool dmlog_add_state(struct life *life, char *status)
{
	struct life_state *s;
	struct target_status st;

	if (*status && !target_status_parse(status, &st))
		return false;
	life->states = grow(life->states, (u64)life->nr_states + 1, &life->max_states,
			    sizeof(*life->states));
	s = &life->states[life->nr_states++];
	memset(s, 0, sizeof(*s));
	if (!*status)
		return true;
	s->loaded = true;
	s->error = st.error;
	s->prepared = st.prepared;
	s->nr_ids = st.nr;
	s->ids = life->nr_ids;
	if (!st.nr)
		return true;
	life->ids = grow(life->ids, (u64)life->nr_ids + st.nr, &life->max_ids, sizeof(*life->ids));
	memcpy(life->ids + s->ids, st.ids, st.nr * sizeof(snapid_t));
	life->nr_ids += st.nr;
	return true;
}
