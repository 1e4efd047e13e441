/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The status line of the origin target, read back strictly (section 4 of the specification), and
 * snapids.
 *
 * Both stores number their snapshots 32.32: the high half counts snapshots of the origin, whose
 * low half is all ones; the low half of the others counts snapshots of that snapshot.
 */
#ifndef SIM_STATUS_H
#define SIM_STATUS_H

#include "shim.h"
#include "units.h"

#define TARGET_IDS 256 /* snapshots at once, at most */

struct target_status {
	int error;
	snapid_t prepared;	/* SNAPID_ORIGIN: none */
	u64 total, allocated, metadata;
	unsigned int nr;
	snapid_t ids[TARGET_IDS];
};

/* What follows the target's name, which is cut to pieces. False: not as specified. */
bool target_status_parse(char *line, struct target_status *st);

/* The status that the device has now. False: it has none. A line that is not as specified is a sim_fail(). In a thread. */
bool target_status_ask(const char *device, struct target_status *st);

int snapid_print(char *buf, size_t size, snapid_t id);
bool snapid_parse(const char *text, snapid_t *id);
/* The master of @id, SNAPID_ORIGIN for a snapshot of the origin. */
snapid_t snapid_master(snapid_t id);

/* A line of the kernel's log that refuses a cache says how small one may be: sectors. */
bool status_least_cache(const char *line, u64 *sectors);

#endif /* SIM_STATUS_H */
