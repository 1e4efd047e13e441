#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A full store. With preserve-on-error the origin stops and the snapshots keep what they had, delete works and gives
# space back, and the next load goes on; without it the snapshots are given up and the origin goes on.
. "$TOP/tests/kernel/lib.sh"

disk origin 32
disk store 8

# 64 KiB after 64 KiB until a write fails, or the origin ends; says how many went well.
write_until_error() {
	local said
	said=$(dd if=/dev/urandom of=/dev/mapper/ms bs=64k count=512 oflag=direct 2>&1) || true
	sed -n 's/+0 records out$//p' <<<"$said"
}

restart() { # GENERIC-ARG...
	dd if=/dev/zero of="$store" bs=4k count=1 oflag=direct status=none
	dd if=/dev/urandom of="$origin" bs=1M oflag=direct status=none 2>/dev/null || true
	ms_create ms "$origin" "$store" 8 "$@"
}

# ---- preserve-on-error ----
restart preserve-on-error
id=$(ms_snap ms)
before=$(sum "$origin")
written=$(write_until_error)
[ "$written" -gt 10 ] && [ "$written" -lt 512 ] || fail "$written writes of 64 KiB went into 8 MiB of store"
[ "$(ms_status ms 2)" = -28 ] || fail "not ENOSPC: $(dmsetup status ms)"
ms_has ms "$id" || fail "the snapshot is gone: $(dmsetup status ms)"
dd if=/dev/mapper/ms of=/dev/null bs=1M count=4 iflag=direct status=none
must_fail "Input/output error" dd if=/dev/zero of=/dev/mapper/ms bs=4k count=1 oflag=direct
must_fail "" dmsetup message ms 0 create
used=$(ms_status ms 5)
dmsetup remove ms

# As of the last commit nothing is lost: the next load has the whole snapshot.
ms_create ms "$origin" "$store" 8 preserve-on-error
[ "$(ms_status ms 2)" = 0 ] || fail "the error did not clear at the load: $(dmsetup status ms)"
snap_create snap "$origin" "$id"
[ "$(sum /dev/mapper/snap)" = "$before" ] || fail "the snapshot is not as created"
dmsetup remove snap
more=$(write_until_error)
[ "$more" -lt 512 ] || fail "a full store took everything"
dmsetup message ms 0 delete "$id"
ms_settle ms
freed=$(ms_status ms 5)
[ "$freed" -lt $((used / 4)) ] || fail "delete gave nothing back: $used sectors allocated before, $freed after"
dmsetup remove ms

ms_create ms "$origin" "$store" 8 preserve-on-error
id=$(ms_snap ms)
before=$(sum "$origin")
dd if=/dev/urandom of=/dev/mapper/ms bs=64k count=$((written / 2)) oflag=direct status=none
snap_create snap "$origin" "$id"
[ "$(sum /dev/mapper/snap)" = "$before" ] || fail "the snapshot in space given back is not as created"
dmsetup remove snap ms
echo "preserve-on-error: $written writes of 64 KiB, then ENOSPC; delete: $used sectors to $freed; space used again"

# ---- without ----
restart
id=$(ms_snap ms)
snap_create snap "$origin" "$id"
[ "$(write_until_error)" = 512 ] || fail "the origin stopped"
[ "$(ms_status ms 2)" = -28 ] || fail "not ENOSPC: $(dmsetup status ms)"
must_fail "Input/output error" dd if=/dev/mapper/snap of=/dev/null bs=4k count=1 iflag=direct
cmp <(dd if=/dev/mapper/ms bs=1M iflag=direct status=none) "$origin"
dmsetup remove snap ms
ms_create ms "$origin" "$store" 8
[ "$(ms_status ms 2)" = -28 ] || fail "the error is not recorded: $(dmsetup status ms)"
snap_create snap "$origin" "$id"
must_fail "Input/output error" dd if=/dev/mapper/snap of=/dev/null bs=4k count=1 iflag=direct
dd if=/dev/urandom of=/dev/mapper/ms bs=64k count=4 oflag=direct status=none
dmsetup remove snap ms
must_fail "" ms_create ms "$origin" "$store" 8 preserve-on-error
echo "without: given up at ENOSPC, recorded, refused with preserve-on-error"
