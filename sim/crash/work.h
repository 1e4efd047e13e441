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

#endif /* SIM_CRASH_WORK_H */
