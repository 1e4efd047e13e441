/* SPDX-License-Identifier: GPL-2.0 */
/* What dmctl.c does to a dm device. */
#ifndef FAKE_DM_DEVICE_H
#define FAKE_DM_DEVICE_H

#include "dm.h"

extern struct list_head dm_devices; /* those that have a name */

struct mapped_device *md_alloc(const char *name);
/* Without a name and an inactive table; waits for holders. */
void md_destroy(struct mapped_device *md);
int md_suspend(struct mapped_device *md, unsigned int flags);
int md_resume(struct mapped_device *md);
/* The device is suspended. *old: the caller destroys it. */
int md_swap_table(struct mapped_device *md, struct dm_table *table, struct dm_table **old);

#endif /* FAKE_DM_DEVICE_H */
