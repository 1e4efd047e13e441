/* SPDX-License-Identifier: GPL-2.0 */
/* A program that touches memory which is not there: a finding, not the end of who searches. */
#ifndef EXPLORE_FAULT_H
#define EXPLORE_FAULT_H

/* In the program that is searched, before its first step. */
void fault_catch(void);

#endif /* EXPLORE_FAULT_H */
