/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Workloads for the crash engine, as scripts.
 *
 * Bounded: every sequence of up to L operations from a small alphabet on a device of three chunks, in the manner of ACE (Mohan et
 * al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018). Random: from a seed.
 */
#ifndef SIM_CRASH_WORK_H
#define SIM_CRASH_WORK_H

#include "shim.h"

struct bounded;

/* All sequences of 0 to @length operations, for each variant of the table; in a fixed order. */
struct bounded *bounded_create(u32 length);
u64 bounded_count(const struct bounded *b);
/*
 * The script of one; free() it. *first_line: where its last operation begins: what is before it is all of another
 * sequence. @name (of @size): the operations, for messages.
 */
char *bounded_script(const struct bounded *b, u64 index, u32 *first_line, char *name, size_t size);
void bounded_destroy(struct bounded *b);

/* About @ops operations on a device of a few chunks; free() it. */
char *random_script(u64 seed, u32 ops);
/* The same, with all that is random taken from these bytes; with them end the operations. */
char *drawn_script(const u8 *draws, size_t nr, u32 ops);

struct trace_work;

/*
 * Pieces of @ops requests each of a recorded trace, @pieces of them at most. NULL: a message was given.
 */
struct trace_work *trace_work_open(const char *const *files, u32 nr_files, u32 ops, u32 pieces);
u64 trace_work_count(const struct trace_work *w);
char *trace_work_script(const struct trace_work *w, u64 index); /* free() it */
void trace_work_close(struct trace_work *w);

#endif /* SIM_CRASH_WORK_H */
