#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fio, which verifies all that it has written, on the origin and on snapshots at once, at queue depths of 1 to 64,
# while snapshots come and go.
#
# The origin's disk is summed at each suspend. A snapshot that nobody writes must be that, byte for byte, as long
# as it lives; on every second one fio writes and verifies first on a half of it, and the other half is compared.
. "$TOP/tests/kernel/lib.sh"

mib=24
disk origin $mib
disk store 160
half=$((mib / 2))

sum_half() { # DEVICE 0|1
	dd if="$1" bs=1M iflag=direct count=$half skip=$(($2 * half)) status=none | sha256sum | cut -d' ' -f1
}
remember() { sum_half "$origin" 0 >/tmp/sum.0; sum_half "$origin" 1 >/tmp/sum.1; }

verify_job() { # LOG FIO-OPTION...
	local log=$1
	shift
	fio --name=job --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_backlog=256 \
		--serialize_overlap=1 --group_reporting --output="$log" "$@" ||
		{ cat "$log"; return 1; }
}

# Jobs on parts of the origin of their own, so that each can verify; blocks of 512 bytes to 32 KiB. Again and again,
# until told to stop.
origin_load() { # DEPTH
	local n=0
	while [ ! -e /tmp/stop ]; do
		n=$((n + 1))
		verify_job "/tmp/fio-origin-$1" --filename=/dev/mapper/ms --ioengine=libaio --iodepth="$1" --numjobs=3 \
			--size=$((mib / 4))M --offset_increment=$((mib / 4))M --io_size=2M --rw=randwrite --bsrange=512-32k \
			--randseed="$n$1"
		verify_job "/tmp/fio-uring-$1" --filename=/dev/mapper/ms --ioengine=io_uring --iodepth="$1" \
			--offset=$((mib * 3 / 4))M --size=$((mib / 4))M --io_size=1M --rw=randrw --bs=4k --randseed="$n$1"
	done
	echo $n >/tmp/loads
}

come_and_go() { # ROUNDS
	local n id
	for ((n = 0; n < $1; n++)); do
		id=$(ms_snap ms remember)
		snap_create snap "$origin" "$id"
		[ "$(sum_half /dev/mapper/snap 1)" = "$(cat /tmp/sum.1)" ] || fail "snapshot $id is not as created"
		if [ $((n % 2)) = 1 ]; then
			verify_job /tmp/fio-snap --filename=/dev/mapper/snap --ioengine=libaio --iodepth=$((1 << (n % 7))) \
				--size=${half}M --io_size=1M --rw=randwrite --bsrange=512-16k --randseed=$n
		else
			[ "$(sum_half /dev/mapper/snap 0)" = "$(cat /tmp/sum.0)" ] || fail "snapshot $id is not as created"
		fi
		[ "$(sum_half /dev/mapper/snap 1)" = "$(cat /tmp/sum.1)" ] || fail "snapshot $id has changed"
		dmsetup remove snap
		dmsetup message ms 0 delete "$id"
		[ -d "/proc/$load" ] || fail "the load has ended"
	done
}

for round in 8:1 8:16 16:64 128:32; do
	chunk=${round%:*} depth=${round#*:}
	dd if=/dev/zero of="$store" bs=4k count=1 oflag=direct status=none
	ms_create ms "$origin" "$store" "$chunk"
	# One that stays, to the end.
	kept=$(ms_snap ms remember)
	first=$(cat /tmp/sum.0 /tmp/sum.1)
	rm -f /tmp/stop
	origin_load "$depth" &
	load=$!
	come_and_go 3
	touch /tmp/stop
	wait $load || fail "fio found wrong data on the origin, or an error"
	snap_create snap "$origin" "$kept"
	[ "$(sum_half /dev/mapper/snap 0; sum_half /dev/mapper/snap 1)" = "$first" ] || fail "snapshot $kept has changed"
	dmsetup remove snap
	[ "$(ms_status ms 2)" = 0 ] || fail "error in the status: $(dmsetup status ms)"
	dmsetup remove ms
	echo "chunk of $chunk sectors, depth $depth: 3 snapshots came and went, $(cat /tmp/loads) rounds of load"
done
