/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The whole program put back to an earlier moment: its variables, its heap, the stacks of all fibers. Like setjmp() and
 * longjmp(), with memory.
 *
 * The program that is rewound runs on fibers of its own; who rewinds it (the driver) runs on the stack of main() and owns
 * memory that stays as it is (keep_alloc(), rewind_kept). All else is put back, also what the driver has allocated by
 * malloc() and written to its variables: what it writes once before the first checkpoint is there ever after.
 *
 * Nothing of the C library is put back. On fibers there is therefore no file opened, closed, read or written but stderr,
 * which has no buffer; snprintf() and its like are fine, and open_memstream() where no checkpoint lies between it and
 * fclose(). What a library allocates while the driver runs (the buffer of stdout, cmocka's results) is kept.
 */
#ifndef EXPLORE_REWIND_H
#define EXPLORE_REWIND_H

#include "shim.h"

/* Memory that is not put back. keep_alloc() is zeroed, keep_realloc() as realloc(). They never fail (they abort). */
void *keep_alloc(size_t size);
void *keep_realloc(void *p, size_t size);
void keep_free(void *p);

/* A variable that is not put back. */
#define rewind_kept __attribute__((section("rewind_keeps")))

/* The driver: runs fn(arg) on a stack of its own until rewind_leave(), whose value it returns; 0 when @fn returns. */
int rewind_run(void (*fn)(void *arg), void *arg);
/* On a fiber: back to the driver; what ran is not gone on with. */
void rewind_leave(int value) __attribute__((noreturn));

struct checkpoint;
/* On a fiber: this moment, to come back to. Returns once now, and once more for each rewind_back(). */
struct checkpoint *rewind_mark(void);
/*
 * The driver: as though rewind_mark() had returned just now; returns what the next rewind_leave() was given. Checkpoints
 * know nothing of each other: any may follow on any.
 */
int rewind_back(struct checkpoint *checkpoint);
/* Anywhere. */
void rewind_drop(struct checkpoint *checkpoint);

/* What a checkpoint holds, for reports. */
size_t checkpoint_bytes(const struct checkpoint *checkpoint);

#endif /* EXPLORE_REWIND_H */
