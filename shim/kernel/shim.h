/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shim in the kernel: what core/ and stores/ include as "shim.h" is the kernel's own headers.
 *
 * docs/shim.md lists what they use of them. What differs between kernel versions is in compat.h.
 */
#ifndef SHIM_H
#define SHIM_H

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/kmod.h>

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <linux/bitops.h>
#include <linux/crc32c.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/rbtree.h>
#include <linux/sort.h>
#include <linux/string.h>

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/dm-io.h>
#include <linux/dm-kcopyd.h>
#include <linux/ioprio.h>

#include "compat.h"

#endif /* SHIM_H */
