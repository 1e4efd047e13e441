#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Discards and write-zeroes of a whole device: in one piece without a snapshot, copied first and in bounded room with one, also
# while other I/O runs and the device is suspended in the middle. Then devices of unequal blocks, a store that is
# read-only, and one multisnapshot upon another: their locks are of one class, which lockdep must not mind.
. "$TOP/tests/kernel/lib.sh"

disk origin 64
disk store 80

# Requests of a kind that the device has been given: field 1 reads, 5 writes, 12 discards.
requests() { awk -v f="$2" '{ print $f }' "/sys/block/${1##*/}/stat"; }

ms_create ms "$origin" "$store" 8
dd if=/dev/urandom of=/dev/mapper/ms bs=1M oflag=direct status=none 2>/dev/null || true
before=$(sum /dev/mapper/ms)

# ---- no snapshot: as it is ----
n=$(requests "$origin" 12)
blkdiscard -o 1M -l 50M /dev/mapper/ms
n=$(($(requests "$origin" 12) - n))
[ "$n" -le 4 ] || fail "a discard of 50 MiB became $n requests"
dd if=/dev/urandom of=/dev/mapper/ms bs=1M oflag=direct status=none 2>/dev/null || true
before=$(sum /dev/mapper/ms)

# ---- a snapshot: every chunk is copied ----
id=$(ms_snap ms)
snap_create snap "$origin" "$id"
blkdiscard /dev/mapper/ms &
discard=$!
dd if=/dev/mapper/snap of=/dev/null bs=64k count=256 iflag=direct status=none
dd if=/dev/zero of=/dev/mapper/ms bs=4k seek=15000 count=64 oflag=direct status=none
for ((i = 0; i < 3; i++)); do
	dmsetup suspend ms
	dmsetup resume ms
done
wait "$discard"
[ "$(sum /dev/mapper/snap)" = "$before" ] || fail "the snapshot lost what was discarded"
[ "$(ms_status ms 2)" = 0 ] || fail "an error: $(dmsetup status ms)"
cmp -n $((64 << 20)) /dev/mapper/ms /dev/zero || fail "not all is discarded"
blkdiscard -z /dev/mapper/ms # nothing is shared any more
dmsetup remove snap
dmsetup message ms 0 delete "$id"
ms_settle ms
dmsetup remove ms
echo "a discard without a snapshot: $n requests; with one: 16384 chunks copied"

# ---- an origin of large blocks, a store that does not end at one ----
truncate -s 16M /tmp/large.disk
large=$(losetup --show --sector-size 4096 -f /tmp/large.disk)
truncate -s $((16 * 1024 * 1024 + 7 * 512)) /tmp/odd.disk
odd=$(losetup --show -f /tmp/odd.disk)
ms_create ms "$large" "$odd" 64
id=$(ms_snap ms)
dd if=/dev/urandom of=/dev/mapper/ms bs=4k count=32 oflag=direct status=none
snap_create snap "$large" "$id"
cmp -n $((16 << 20)) /dev/mapper/snap /dev/zero || fail "the snapshot is not as created"
dmsetup remove snap
dmsetup remove ms

# ---- a store that must not be written ----
blockdev --setro "$odd"
must_fail "" ms_create ms "$large" "$odd" 64
blockdev --setrw "$odd"

# ---- one upon another ----
disk store2 48
dd if=/dev/zero of="$store" bs=4k count=1 oflag=direct status=none
ms_create lower "$origin" "$store" 16
low=$(ms_snap lower)
ms_create upper /dev/mapper/lower "$store2" 8
high=$(ms_snap upper)
dd if=/dev/urandom of=/dev/mapper/upper bs=64k count=512 oflag=direct status=none
snap_create low "$origin" "$low"
snap_create high /dev/mapper/lower "$high"
dd if=/dev/urandom of=/dev/mapper/high bs=4k count=512 oflag=direct status=none
blkdiscard -o 16M -l 16M /dev/mapper/upper
cmp -n $((64 << 20)) /dev/mapper/low /dev/zero || fail "the lower snapshot is not as created"
cmp -i 2M -n $((62 << 20)) /dev/mapper/high /dev/zero || fail "the upper snapshot is not as created"
dmsetup message upper 0 delete "$high"
must_fail "Input/output error" dd if=/dev/mapper/high of=/dev/null bs=4k count=1 iflag=direct
dmsetup remove high
dmsetup remove low
dmsetup remove upper
dmsetup remove lower
