#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocation failures: each of those that a constructor, a resume, a message, a first write of a caller
# makes, one after another (tools/alloc-faults.c); then random ones in the worker under load.
. "$TOP/tests/kernel/lib.sh"

disk origin 8
disk store 8
faults=/sys/kernel/debug
for kind in failslab fail_page_alloc; do
	echo N >$faults/$kind/ignore-gfp-wait
	echo 0 >$faults/$kind/verbose
	echo 0 >$faults/$kind/probability
done
echo 0 >$faults/fail_page_alloc/min-order
echo N >$faults/fail_page_alloc/ignore-gfp-highmem

# Not the leak checker's own objects: it has a reserve for them, so nothing is learnt, and they are half of all.
slab=/sys/kernel/slab
[ "$(cat $slab/kmalloc-64/failslab) $(cat $slab/kmemleak_object/failslab)" = "1 0" ] ||
	fail "boot with --append 'slub_debug=A;-,kmemleak_object'"
echo Y >$faults/failslab/cache-filter

# A pair that stays. The slab caches for bios of its size are then there already: creating them takes some 500
# allocations that are not the targets', and the kernel (sysfs_slab_add) leaks a name when one of them fails.
disk other_origin 4
disk other_store 4
ms_create other "$other_origin" "$other_store" 8
id=$(ms_snap other)
snap_create other_snap "$other_origin" "$id"

"$TOOLS/alloc-faults" "$origin" "$store" "$@"
dmsetup remove other_snap other
