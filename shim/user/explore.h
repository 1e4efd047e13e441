/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an explorer of schedules is told and asked by the simulated kernel (SHIM_WATCHED builds, on fibers).
 *
 * While an explorer is set, everything that can run is a *process*: threads, and interrupts, each of which has a stack
 * of its own and is preempted like a thread, as on another CPU. A process runs in *steps*. It stops before each operation that others could notice (a
 * lock, a wake-up, an atomic or volatile access, ...), and pick() says which process takes the next step. What a step has touched, it tells
 * with access(); two steps of different processes that touch nothing in conflict may be exchanged without anybody
 * noticing. Time goes on only when nothing is ready.
 *
 * Processes are numbered from 1 in the order in which they come into being, in the whole world; so the same choices give the same
 * numbers. All functions are called on the stack of the process that runs and must not touch the simulated kernel; pick() and
 * choose() need not return (the explorer may put the memory of the program back to an earlier state).
 */
#ifndef SHIM_EXPLORE_H
#define SHIM_EXPLORE_H

#include "shim.h"

/* Accesses of the same kind commute where they do not change each other's result; conflict() below is the one rule. */
enum sim_access {
	SIM_READ,
	SIM_ADD,	/* counts, sets a flag: in whatever order, the result is the same, and is not looked at */
	SIM_BEGIN,	/* of the harness: a request begins, ... */
	SIM_END,	/* ... or ends: of two requests it matters only if one ends before the other begins */
	SIM_WRITE,
	/*
	 * A step that can be taken only when there is something to take: a lock that is free, a completion that is
	 * complete, a thread that has ended. Two that take are in conflict; who gives only makes it possible to take, in
	 * whatever order others give.
	 */
	SIM_LOCK,
	SIM_UNLOCK,
};

static inline bool sim_conflict(enum sim_access a, enum sim_access b)
{
	if (a == SIM_UNLOCK || b == SIM_UNLOCK)
		return a < SIM_LOCK || b < SIM_LOCK;
	return a >= SIM_WRITE || b >= SIM_WRITE || a != b;
}

/* A process that is ready, and what it is about to do. */
struct sim_step {
	u32 process;
	bool interrupt;
	const char *thread;	/* its name */
	const char *what;	/* "mutex_lock", ...; NULL: it goes on after a sleep */
	const char *name;	/* of the lock, ...; or NULL */
	const char *site;	/* file:line, or NULL */
	u32 caller;		/* in place of a site, of an atomic access or a store: the low half of a return address; or 0 */
	u32 stored_by;		/* the process whose store others see by this step; or 0 */
	const void *event;	/* of an interrupt that begins: for sim_describe_interrupt(), until it has begun */
};

struct sim_explorer {
	/* The index of the one that goes on. In order of their numbers. */
	u32 (*pick)(const struct sim_step *ready, u32 n);
	/* Of @n > 1 alternatives that are no question of order: does this allocation fail? */
	u32 (*choose)(u32 n, const char *what);
	/* The step that runs has touched this. @part tells the parts of an object apart that do not conflict. */
	void (*access)(const void *object, u32 part, enum sim_access kind);
	/* It has made @process ready, or brought it into being. */
	void (*enables)(u32 process);
	/* Nothing was ready: whatever comes after comes after everything before. */
	void (*idle)(void);
	/* Order as the memory model has it, of plain accesses: what was before release() is seen after acquire(). */
	void (*acquire)(const void *object);
	void (*release)(const void *object);
	/* Memory is given out, or back: what was known about accesses to it is of no use any more. */
	void (*allocated)(const void *start, size_t size);
	void (*freed)(const void *start, size_t size);
	/* What the step that runs does besides, in words; NULL: nobody wants to know. */
	void (*note)(const char *text);
	/* Others may see a store late: that they see it is a step of its own, in place of a SIM_WRITE (sim_store()). */
	bool late_stores;
};

/*
 * NULL: none from now on. In a thread of the harness, nothing else being ready (sim_settle()). The world's strategy is
 * SIM_FIFO, which holds before and after.
 */
void sim_explore(const struct sim_explorer *explorer);

/* The number of the process that runs. */
u32 sim_process(void);

/* Of a process, for reports: the thread's name, or "interrupt". */
const char *sim_process_name(u32 process);

/* What @p points to, for reports: "offset 8 of 64 bytes allocated at copy.c:12", ... Always something. */
void sim_describe_memory(const void *p, char *buf, size_t size);

/* Of the harness: the step that runs has touched something of its own, with SIM_BEGIN, SIM_END, ... */
void sim_touch(const void *object, u32 part, enum sim_access kind);

/*
 * The step that runs ends before an access to @object by means that the shim does not see (an atomic or volatile one);
 * the next one begins with it. It begins when others see all that the caller has stored; before a load that orders nothing before it
 * they need not, before a relaxed read-modify-write they see only what it has stored there. @caller: as in struct sim_step. Without
 * an explorer: nothing.
 */
void sim_point(const char *what, const void *object, enum sim_access kind);
void sim_point_load(const char *what, const void *object, u32 caller);
void sim_point_modify(const char *what, const void *object, enum sim_access kind, bool relaxed, u32 caller);

/*
 * The caller is about to store @size bytes at @p, by an atomic or volatile access that orders nothing: others may see that as late as before
 * the next step of the caller that orders, which is all but to take a lock and relaxed accesses. Without an explorer: nothing.
 */
void sim_store(const void *p, u32 size, u32 caller);

/* The name of the disk whose interrupt it is, or NULL; and what it is about. For stories. */
const char *sim_describe_interrupt(const struct sim_step *step, char *buf, size_t size);

/*
 * The stacks of all fibers that may run again, for who wants to save and restore them: what is in use is [low, high). @low NULL:
 * that of the caller; @high NULL: the one on which the world was started. Without a world: the caller's alone, both NULL.
 */
void sim_each_stack(void (*fn)(void *context, void *low, void *high), void *context);
/* So many stacks are made now; an explored world has no more. */
void sim_reserve_stacks(u32 n);

#endif /* SHIM_EXPLORE_H */
