/* SPDX-License-Identifier: GPL-2.0 */
/* Schedules in files: the choices in order, as numbers in text. */
#ifndef EXPLORE_SCHEDULE_H
#define EXPLORE_SCHEDULE_H

#include "shim.h"

/* False and errno. */
bool schedule_write(const char *path, const u32 *schedule, u32 nr);
/* Of memory that is not rewound. NULL and errno, 0: the contents are no schedule. */
u32 *schedule_read(const char *path, u32 *nr);

#endif /* EXPLORE_SCHEDULE_H */
