#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocation failures: each of those that a constructor, a resume, a message, a first write of a caller
# makes, one after another (tools/alloc-faults.c); then one in ten, at random, of those that kernel threads make under
# load.
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
[ $# = 0 ] || exit 0

# ---- kernel threads, under load ----

# RAM disks whose pages are all there: what fails is the targets', not the disks'.
o=/dev/ram0 s=/dev/ram1
kernel_threads() { # 0|1: kthreadd's children are as it is
	local task command
	for task in /proc/[0-9]*; do
		command=
		read -r -d '' command <"$task/cmdline" || true
		[ -n "$command" ] || echo "$1" >"$task/make-it-fail"
	done
}
for policy in "" preserve-on-error; do
	for d in $o $s; do
		dd if=/dev/urandom of=$d bs=1M oflag=direct status=none 2>/dev/null || true
	done
	dd if=/dev/zero of=$s bs=4k count=1 oflag=direct status=none
	ms_create ms $o $s 8 $policy
	id=$(ms_snap ms)
	dd if=$o of=/tmp/created bs=1M iflag=direct status=none
	snap_create snap $o "$id"
	kernel_threads 1
	echo Y >$faults/failslab/task-filter
	echo 1000000 >$faults/failslab/times
	echo 10 >$faults/failslab/probability
	r=0
	fio --name=load --filename=/dev/mapper/ms --ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bs=4k --size=4M \
		--verify=crc32c --verify_backlog=64 --output=/tmp/fio 2>/tmp/fio-said || r=$?
	dmsetup message ms 0 create || true
	"$TOOLS/block-compare" --eio /dev/mapper/snap /tmp/created
	echo 0 >$faults/failslab/probability
	met=$((1000000 - $(cat $faults/failslab/times)))
	[ $met -gt 0 ] || fail "no allocation failed"
	error=$(ms_status ms 2)
	# Memory that cannot be had is waited for, or is an error of the machinery, with what section 6 says of those.
	case $error in
	0) [ $r = 0 ] || { cat /tmp/fio; fail "fio failed, without an error in the status"; } ;;
	-12 | -5) [ $r = 0 ] || [ -n "$policy" ] || { cat /tmp/fio; fail "the origin does not go on"; } ;;
	*) fail "an error of another kind: $(dmsetup status ms)" ;;
	esac
	! grep -q "verify: bad" /tmp/fio /tmp/fio-said || { cat /tmp/fio; fail "wrong data"; }
	[ "$error" != 0 ] || "$TOOLS/block-compare" /dev/mapper/snap /tmp/created
	dmsetup remove snap ms
	echo "$met allocations, one in ten, failed in kernel threads${policy:+, $policy}: error $error, fio ended with $r"
done
