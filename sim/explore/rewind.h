/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The whole program put back to an earlier moment: its variables, its heap, the stacks of all fibers. Like setjmp() and
 * longjmp(), with memory.
 *
 * The program that is rewound runs on fibers of its own; who rewinds it (the driver) runs on the stack of main() and owns
 * memory that stays as it is (keep_alloc()). Nothing of the C library is put back: no file may be opened, closed, read or written by what is
 * rewound.
 */
#ifndef EXPLORE_REWIND_H
#define EXPLORE_REWIND_H

#include "shim.h"

/* Memory that is not put back. keep_alloc() never fails (it aborts); zeroed. */
void *keep_alloc(size_t size);
void *keep_realloc(void *p, size_t size);
void keep_free(void *p);

/* The driver: runs fn(arg) on a stack of its own until rewind_leave(), whose value it returns. */
int rewind_run(void (*fn)(void *arg), void *arg);
/* On a fiber: back to the driver; what ran is not gone on with. */
void rewind_leave(int value) __attribute__((noreturn));

struct checkpoint;
/* On a fiber: this moment, to come back to. Returns once now, and once more for each rewind_back(). */
struct checkpoint *rewind_mark(void);
/* The driver: as though rewind_mark() had returned just now; returns what the next rewind_leave() was given. */
int rewind_back(struct checkpoint *checkpoint);
void rewind_drop(struct checkpoint *checkpoint);

/* What a checkpoint holds, for reports. */
size_t checkpoint_bytes(const struct checkpoint *checkpoint);

#endif /* EXPLORE_REWIND_H */
