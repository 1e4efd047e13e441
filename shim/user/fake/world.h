/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How world.c starts and ends the parts that are always there. *_finish() lets what still runs come
 * to an end, *_check_leaks() is a finding where something was left behind, *_discard() throws
 * everything away without a word.
 */
#ifndef FAKE_WORLD_H
#define FAKE_WORLD_H

#include "sched.h"

void sched_start(void);
void sched_finish(void);
void sched_discard(void);
void sched_set_preemptible(bool on);
/* Report a failure on the main stack. */
void sched_fail(void) __attribute__((noreturn));
void world_report_failure(void) __attribute__((noreturn));

void module_start(void);
void module_finish(void);
void module_discard(void);

void work_check_module(const char *module);
void work_check_leaks(void);
void work_discard(void);

void lockdep_discard(void);

void mem_start(void);
void mem_check_leaks(void);
void mem_discard(void);

#endif /* FAKE_WORLD_H */
