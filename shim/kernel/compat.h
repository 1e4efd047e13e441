/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernel versions; the only place that knows one. core/ and stores/ are
 * written for Linux 6.1 as docs/shim.md lists it; newer kernels, up to 6.12, are made to look so.
 *
 *   6.5   dm_get_dev_t() became dm_devt_from_path(). fmode_t of dm_get_device() and
 *         dm_table_get_mode() became blk_mode_t: ours only passes the one to the other.
 *   6.9   dm_io() got an I/O priority. The stable series took it over, 6.1 among them, at different
 *         times, so Kbuild looks for it in the header and defines DM_IO_HAS_IOPRIO.
 *   6.12  asm/unaligned.h became linux/unaligned.h.
 *
 * ci/kernel-modules builds with Debian's 6.1 kernels, User-Mode Linux 6.1 and the 6.12 of Debian's
 * backports. For the kernels in between it is compiled against declarations in their form, no more
 * (docs/kernel.md).
 */
#ifndef SHIM_COMPAT_H
#define SHIM_COMPAT_H

#include <linux/device-mapper.h>
#include <linux/dm-io.h>
#include <linux/ioprio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
/* 0: there is no such device. May sleep. */
static inline dev_t dm_get_dev_t(const char *path)
{
	dev_t dev;

	return dm_devt_from_path(path, &dev) ? 0 : dev;
}
#endif

#ifndef DM_IO_HAS_IOPRIO
#define dm_io(request, nr_regions, regions, sync_error_bits, ioprio) \
	dm_io(request, nr_regions, regions, sync_error_bits)
#endif

#endif /* SHIM_COMPAT_H */
