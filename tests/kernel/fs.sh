#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# File systems, ext4 and xfs, on the origin.
#
# 1. Fill, snapshot (the suspend freezes), change; then the snapshot, mounted and written to, has the tree of its
#    creation, the origin the tree of now, and the file system's own checker finds both in order.
# 2. Snapshots roll by under a load like a compiler's: many small files made, renamed, deleted. The origin's disk
#    is summed while it is suspended: the snapshot, byte for byte, is that, until it is deleted.
. "$TOP/tests/kernel/lib.sh"

disk origin 64
disk store 96
# mkfs.xfs makes file systems below 300 MiB for the xfs developers' own tests only, which it knows by these.
export TEST_DIR=/mnt/ms TEST_DEV=/dev/mapper/ms QA_CHECK_FS=1
mkdir -p /mnt/ms /mnt/snap
declare -A sums

make_fs() { # TYPE
	wipefs -qa "$origin"
	dd if=/dev/zero of="$store" bs=4k count=1 oflag=direct status=none
	ms_create ms "$origin" "$store" "$chunk"
	case $1 in
	ext4) mkfs.ext4 -q -F /dev/mapper/ms ;;
	xfs) mkfs.xfs -q -f /dev/mapper/ms ;;
	esac
	mount -t "$1" /dev/mapper/ms /mnt/ms
}

check_fs() { # TYPE DEVICE
	case $1 in
	ext4) e2fsck -fn "$2" >/tmp/check 2>&1 ;;
	xfs) xfs_repair -n "$2" >/tmp/check 2>&1 ;;
	esac || { cat /tmp/check; fail "$1 on $2 is damaged"; }
}

fill() {
	mkdir /mnt/ms/include
	cp -r /usr/include/linux/[a-i]*.h /mnt/ms/include/
	dd if=/dev/urandom of=/mnt/ms/big bs=1M count=12 status=none
	ln -s include/linux /mnt/ms/link
}

change() {
	rm -r /mnt/ms/include/[b-g]*
	cp -r /usr/include/c++/12/bits /mnt/ms/bits
	dd if=/dev/urandom of=/mnt/ms/big bs=4k count=300 seek=700 conv=notrunc status=none
	mv /mnt/ms/include /mnt/ms/was-include
	fstrim /mnt/ms
}

fill_and_compare() { # TYPE
	local type=$1 options='' before after id
	[ "$type" != xfs ] || options=nouuid
	make_fs "$type"
	fill
	before=$(tree /mnt/ms)
	id=$(ms_snap ms)
	change
	after=$(tree /mnt/ms)
	[ "$before" != "$after" ] || fail "nothing has changed"

	snap_create snap "$origin" "$id"
	mount -t "$type" ${options:+-o $options} /dev/mapper/snap /mnt/snap
	[ "$(tree /mnt/snap)" = "$before" ] || fail "$type: the snapshot has another tree than at its creation"
	rm /mnt/snap/big
	mv /mnt/snap/include /mnt/snap/moved
	cp -r /usr/include/c++/12/ext /mnt/snap/ext
	written=$(tree /mnt/snap)
	umount /mnt/snap
	check_fs "$type" /dev/mapper/snap
	mount -t "$type" ${options:+-o $options} /dev/mapper/snap /mnt/snap
	[ "$(tree /mnt/snap)" = "$written" ] || fail "$type: the snapshot lost what was written to it"
	umount /mnt/snap

	umount /mnt/ms
	check_fs "$type" /dev/mapper/ms
	mount -t "$type" /dev/mapper/ms /mnt/ms
	[ "$(tree /mnt/ms)" = "$after" ] || fail "$type: the origin has another tree than was written"
	dmsetup remove snap
	dmsetup message ms 0 delete "$id"
	echo "$type: fill, snapshot, change, compare, check: $(dmsetup status ms)"
}

round_passed() { [ "$(cat /tmp/rounds)" != "$1" ]; }
remember_origin() { sum "$origin" >/tmp/sum; }

roll() { # TYPE COUNT: at most four are there at a time
	local type=$1 count=$2 id old ids=() n load rounds
	rm -f /tmp/stop
	echo 0 >/tmp/rounds
	"$TOOLS/small-files" /mnt/ms /tmp/stop /tmp/rounds &
	load=$!
	for ((n = 1; n <= count; n++)); do
		rounds=$(cat /tmp/rounds)
		id=$(ms_snap ms remember_origin)
		sums[$id]=$(cat /tmp/sum)
		ids+=("$id")
		# So that the load has done something since.
		wait_for "a round of the load" round_passed "$rounds"
		if [ ${#ids[@]} = 4 ]; then
			old=${ids[0]}
			ids=("${ids[@]:1}")
			look_at "$type" "$old"
		fi
	done
	[ -d /proc/$load ] || fail "the load has ended by itself"
	touch /tmp/stop
	wait $load
	for id in "${ids[@]}"; do
		look_at "$type" "$id"
	done
	umount /mnt/ms
	check_fs "$type" /dev/mapper/ms
	[ "$(ms_status ms 2)" = 0 ] || fail "error in the status: $(dmsetup status ms)"
	echo "$type: $count rolling snapshots, $(cat /tmp/rounds) rounds of the load: $(dmsetup status ms)"
	dmsetup remove ms
}

# And away with it. The load rests meanwhile: it would only take the time.
look_at() { # TYPE ID
	kill -STOP $load 2>/dev/null || true
	snap_create old "$origin" "$2"
	[ "$(sum /dev/mapper/old)" = "${sums[$2]}" ] ||
		fail "$1: snapshot $2 is not what the origin was at its creation"
	# xfs leaves its log to be recovered when it is frozen, and its checker does not recover.
	if [ "$1" = xfs ]; then
		mount -t xfs -o nouuid /dev/mapper/old /mnt/snap
		umount /mnt/snap
	fi
	check_fs "$1" /dev/mapper/old
	dmsetup remove old
	dmsetup message ms 0 delete "$2"
	kill -CONT $load 2>/dev/null || true
}

for type in ${*:-ext4 xfs}; do
	if [ "$type" = ext4 ]; then chunk=8; else chunk=32; fi
	fill_and_compare "$type"
	roll "$type" 10
done
