/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_COMPAT_H
#define SHIM_COMPAT_H
#include <linux/version.h>
#include <asm/unaligned.h>
#endif
