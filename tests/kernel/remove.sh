#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Removal under load in every order, and the modules' own removal.
#
# Three devices, the origin's and two snapshots', each with I/O on it. They go one after another, in all six
# orders, twice: by `remove --force`, which puts an error target below the users while I/O is in flight, and by a
# plain remove of a device whose user was just killed, while the others go on. What goes on must not be hurt:
# no error before its own turn; a snapshot gives EIO, and nothing else, from the
# moment the origin's device is gone. The slow disks keep requests in flight.
. "$TOP/tests/kernel/lib.sh"

disk origin 16
disk store 64
size=$(sectors "$origin")
# Each request takes 20 ms, and there are four at once on each device: so there is always one on its way.
dmsetup create slow_origin --table "0 $size delay $origin 0 20"
dmsetup create slow_store --table "0 $(sectors "$store") delay $store 0 20"
o=/dev/mapper/slow_origin s=/dev/mapper/slow_store
declare -A load=()

start_load() { # DEVICE
	"$TOOLS/io-load" "/dev/mapper/$1" 4 "/tmp/ready-$1" &
	load[$1]=$!
	wait_for "I/O on $1" test -e "/tmp/ready-$1"
}
stop_load() { # DEVICE
	kill -KILL "${load[$1]}" 2>/dev/null || true
	wait "${load[$1]}" 2>/dev/null || true
	unset "load[$1]"
}
alive() { [ -d "/proc/${load[$1]}" ]; }
closed() { [ "$(dmsetup info -c --noheadings -o open "$1")" = 0 ]; }

start() {
	dd if=/dev/zero of="$store" bs=4k count=1 oflag=direct status=none
	ms_create ms "$o" "$s" 8
	id0=$(ms_snap ms)
	id1=$(ms_snap ms)
	snap_create s0 "$o" "$id0"
	snap_create s1 "$o" "$id1"
	for d in ms s0 s1; do start_load $d; done
}

gives_eio() { must_fail "Input/output error" dd if="/dev/mapper/$1" of=/dev/null bs=4k count=1 iflag=direct; }

force() { # DEVICE: from under its user
	must_fail "busy" dmsetup remove "$1"
	# The device is in use: --force gives it the error target, then says that it could not be removed.
	dmsetup remove --force "$1" >/tmp/forced 2>&1 || true
	[[ $(dmsetup table "$1") == *" error "* ]] || fail "no error target: $(dmsetup table "$1"): $(cat /tmp/forced)"
	gives_eio "$1"
	stop_load "$1"
	wait_for "$1 to be closed" closed "$1"
	dmsetup remove "$1"
}

plain() { # DEVICE: its user was killed, with I/O in flight
	stop_load "$1"
	wait_for "$1 to be closed" closed "$1"
	dmsetup remove "$1"
}

for how in force plain; do
	for order in "ms s0 s1" "ms s1 s0" "s0 ms s1" "s1 ms s0" "s0 s1 ms" "s1 s0 ms"; do
		start
		removed=
		for device in $order; do
			$how $device
			removed="$removed $device"
			for other in ms s0 s1; do
				[[ " $removed " != *" $other "* ]] || continue
				alive $other || fail "$how, $order: removing $device ended the load on $other"
				# The origin has gone, and with it the store: the snapshots give EIO.
				[[ " $removed " != *" ms "* ]] || gives_eio $other
			done
			[[ " $removed " == *" ms "* ]] || [ "$(ms_status ms 2)" = 0 ] || fail "$how, $order: $(dmsetup status ms)"
		done
		# All that was durable is there: it loads, and both snapshots exist.
		ms_create ms "$o" "$s" 8
		[ "$(ms_status ms 2)" = 0 ] || fail "$how, $order: after it $(dmsetup status ms)"
		ms_has ms "$id0" && ms_has ms "$id1" || fail "$how, $order: a snapshot is lost: $(dmsetup status ms)"
		dmsetup remove ms
		echo "$how: $order"
	done
	echo "$how: removed in every order under load"
done

# A snapshot is deleted under its device and load; removed under a suspended origin; both at once.
start
dmsetup message ms 0 delete "$id0"
gives_eio s0
alive ms && alive s1 || fail "delete ended a load"
stop_load s0
wait_for "s0 to be closed" closed s0
dmsetup suspend ms
dmsetup remove s0
dmsetup resume ms
stop_load s1
wait_for "s1 to be closed" closed s1
dmsetup remove s1
stop_load ms
wait_for "ms to be closed" closed ms
echo "deleted under load"

# ---- modules ----

# In use: refused. With the last user gone: unloaded, and the next table brings the store's module back.
must_fail "in use" rmmod dm-store-mikulas
must_fail "in use" rmmod dm-multisnapshot
dmsetup remove ms
for n in 1 2 3; do
	must_fail "in use" rmmod dm-multisnapshot # by the store's module
	rmmod dm-store-mikulas
	must_fail "" dmsetup create ms --table "0 $size multisnapshot $o $s 8 0 nothing 0"
	[ $n != 2 ] || rmmod dm-multisnapshot
	[ $n != 2 ] || insmod "$MODULES/dm-multisnapshot.ko"
	ms_create ms "$o" "$s" 8
	[ -d /sys/module/dm_store_mikulas ] || fail "the store's module did not come by itself"
	# Removed and unloaded at once: nothing of a load may be left that runs later.
	dd if=/dev/urandom of=/dev/mapper/ms bs=256k count=4 oflag=direct status=none
	dmsetup remove ms
done
dmsetup remove slow_origin slow_store
echo "modules: refused in use, unloaded, loaded again by request"
