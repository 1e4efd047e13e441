/* SPDX-License-Identifier: GPL-2.0 */
/* The event queue, as the schedulers drive it. In a sched_enter() section. */
#ifndef FAKE_EVENT_H
#define FAKE_EVENT_H

#include "sched.h"

u32 events_due(void);
bool events_in_future(void);
/* Time goes on to the earliest event of the future, which becomes due. */
void events_advance(void);
/* The event at @index of those that are due; and take it off the queue. */
struct sim_event *event_at(u32 index);
struct sim_event *event_take(u32 index);
void event_take_this(struct sim_event *event);
void events_discard(void);
#ifdef SHIM_WATCHED
/* Due now; what the caller has done before is not ordered before it. */
void event_add_relaxed(struct sim_event *event);
#endif
/* The backend's: there is a new event. */
#ifdef SHIM_THREADS
void event_added(void);
#else
static inline void event_added(void)
{
}
#endif

#endif /* FAKE_EVENT_H */
