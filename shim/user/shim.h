/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel, as core/ and stores/ see it in userspace. docs/shim.md lists every name.
 *
 * Nothing below includes a libc header: the same text serves freestanding kernel C (-nostdinc) and,
 * included *after* the libc headers, the harness.
 */
#ifndef SHIM_H
#define SHIM_H

#include "shim_types.h"
#include "shim_list.h"
#include "shim_atomic.h"
#include "shim_log.h"
#include "shim_mem.h"
#include "shim_sync.h"
#include "shim_module.h"
#include "shim_block.h"
#include "shim_dm.h"

#endif /* SHIM_H */
