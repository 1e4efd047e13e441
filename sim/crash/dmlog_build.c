// SPDX-License-Identifier: GPL-2.0
/* A life put together event by event, where no world is running (dmlog.h). */
#include "dmlog.h"

struct life_event *dmlog_add_event(struct life *life, enum life_kind kind)
{
	struct life_event *e = life_add_event(life, kind);

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

bool dmlog_add_state(struct life *life, char *status)
{
	struct target_status st;

	if (*status && !target_status_parse(status, &st))
		return false;
	life_add_state(life, *status ? &st : NULL);
	return true;
}
