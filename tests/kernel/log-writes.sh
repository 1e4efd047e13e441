#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Logs of dm-log-writes for multisnap crash (docs/crash-logs.md), called by tests/kernel/log-writes.
#
# One logged device has origin and store as its parts. On the origin is ext4, on which fio and a load like a compiler's write with
# fsync; snapshots are made, written to, and deleted; marks in the log say what was done and what the status was. The origin's
# file system is frozen around each create, so that what the snapshot has is exact. What is written to snapshots are
# the simulator's patterns, which a mark can name.
. "$TOP/tests/kernel/lib.sh"

mkdir -p /mnt/ms

mark() { dmsetup message logged 0 mark "${*// /\\ }"; }

# A command on the origin target, between marks, and the status that it left.
told() { # COMMAND...
	number=$((number + 1))
	mark "multisnap begin $number ${*:1:3}"
	"$@"
	tell_status
	mark "multisnap end $number"
}

tell_status() {
	local status
	if status=$(dmsetup status ms 2>/dev/null); then
		mark "multisnap status ${status#* multisnapshot }"
	else
		mark "multisnap status"
	fi
}

# The disks of a log: all zero, as its judge supposes.
set_up() { # LOG-DEVICE ORIGIN-MIB STORE-MIB CHUNK STORE-ARGS
	local log=$1 origin=$(($2 << 11)) store=$(($3 << 11))
	disk both $(($2 + $3))
	dmsetup create logged --table "0 $((origin + store)) log-writes $both $log"
	dmsetup create origin --table "0 $origin linear /dev/mapper/logged 0"
	dmsetup create store --table "0 $store linear /dev/mapper/logged $origin"
	table="0 $origin multisnapshot /dev/mapper/origin /dev/mapper/store $4 0 mikulas $5"
	number=0 writes=0
	mark "multisnap origin 0+$origin"
	mark "multisnap store $origin+$store"
	mark "multisnap table $table"
	told dmsetup create ms --table "$table"
}

tear_down() {
	[ "$(ms_status ms 2)" = 0 ] || fail "error in the status: $(dmsetup status ms)"
	status=$(dmsetup status ms)
	told dmsetup remove ms
	dmsetup remove store
	dmsetup remove origin
	logged=$(dmsetup status logged)
	[[ $logged != *disabled* ]] || fail "the log is not complete: $logged"
	dmsetup remove logged
	losetup -d "$both"
	rm /tmp/both.disk
}

# Loads give way to who makes snapshots: there is one processor.
files_load() { exec nice -n 19 "$TOOLS/small-files" /mnt/ms /tmp/stop /tmp/rounds; }

fio_load() { # SEED
	local n=0
	while [ ! -e /tmp/stop ]; do
		n=$((n + 1))
		nice -n 19 fio --name=job --directory=/mnt/ms --filename=fio --size=2M --io_size=512k --rw=randwrite --fsync=$((4 + n % 8)) \
			--direct=$((n % 2)) --bsrange=4k-16k --ioengine=libaio --iodepth=8 --randseed="$1$n" \
			--output=/tmp/fio || { cat /tmp/fio; return 1; }
		echo $n >/tmp/rounds
	done
}

round_passed() { [ "$(cat /tmp/rounds)" != "$1" ]; }
make_snapshot() { dmsetup suspend --nolockfs ms; }

# Nothing is written to the origin from the freeze on; the flush is for what ended before and is not durable yet.
snapshot() {
	dmsetup message ms 0 create
	fsfreeze -f /mnt/ms
	sync /dev/mapper/logged
	id=$(ms_status ms 3)
	told make_snapshot
	dmsetup resume ms
	fsfreeze -u /mnt/ms
	ids+=("$id")
}

# The pattern that multisnap knows as a tag: word i of sector s is tag + s + i * 0x9E3779B97F4A7C15.
pattern() { # TAG SECTORS
	perl -e 'use integer; my ($tag, $n) = @ARGV;
		for my $s (0 .. $n - 1) { print pack("q<*", map { $tag + $s + $_ * -0x61c8864680b583eb } 0 .. 63) }' "$@"
}

write_snapshot() { # ID
	local count=$((1 + RANDOM % 24)) sector tag
	sector=$((RANDOM % ($(sectors /dev/mapper/origin) - count)))
	writes=$((writes + 1))
	tag=$((writes << 36 | sector))
	pattern $tag $count >/tmp/pattern
	snap_create snap /dev/mapper/origin "$1"
	number=$((number + 1))
	mark "multisnap issue $number $1 write $sector+$count $(printf %x $tag):$count"
	dd if=/tmp/pattern of=/dev/mapper/snap bs=512 seek=$sector iflag=fullblock oflag=direct status=none
	mark "multisnap done $number"
	if [ $((RANDOM % 2)) = 0 ]; then
		number=$((number + 1))
		mark "multisnap issue $number $1 flush 0+0 preflush"
		sync /dev/mapper/snap
		mark "multisnap done $number"
	fi
	dmsetup remove snap
}

drop() { # INDEX into ids
	told dmsetup message ms 0 delete "${ids[$1]}"
	ids=("${ids[@]:0:$1}" "${ids[@]:$(($1 + 1))}")
	dropped=$((dropped + 1))
}

# One log: KEEP snapshots at most, and none more when the store is so many percent full.
one() { # LOG-DEVICE SEED LOAD BLOCK-SIZE ROUNDS KEEP FULL ORIGIN-MIB STORE-MIB CHUNK STORE-ARGS
	local log=$1 load=$3 block=$4 rounds=$5 keep=$6 full=$7 n pid dropped=0 most=0 used passed made=0 start=$SECONDS
	RANDOM=$2
	ids=()
	rm -f /tmp/stop
	echo 0 >/tmp/rounds
	set_up "$log" "${@:8:3}" "${11}"
	mkfs.ext4 -q -F -b "$block" -E nodiscard /dev/mapper/ms
	mount /dev/mapper/ms /mnt/ms
	"$load" "$2" &
	pid=$!
	for ((n = 0; n < rounds; n++)); do
		passed=$(cat /tmp/rounds)
		snapshot
		made=$((made + 1))
		[ $((n % 3)) != 0 ] || write_snapshot "${ids[RANDOM % ${#ids[@]}]}"
		wait_for "a round of the load" round_passed "$passed"
		[ $((n % 4)) != 3 ] || told dmsetup message ms 0 settle
		used=$(($(ms_status ms 5) * 100 / $(ms_status ms 4)))
		[ $used -le $most ] || most=$used
		while used=$(($(ms_status ms 5) * 100 / $(ms_status ms 4))) && [ ${#ids[@]} -gt 0 ] &&
			[ ${#ids[@]} -ge "$keep" -o $used -ge "$full" ]; do
			drop $((RANDOM % ${#ids[@]}))
			told dmsetup message ms 0 settle
		done
		[ -d "/proc/$pid" ] || fail "the load has ended by itself"
	done
	touch /tmp/stop
	wait $pid || fail "the load has failed"
	umount /mnt/ms
	tear_down
	echo "$((SECONDS - start)) s, seed $2: $made snapshots made, $dropped deleted, $writes writes to them, the store at most $most % full: $status"
}

one "$DISK_files" 11 files_load 4096 5 3 60 16 32 16 0
# What it writes is 3.5 MiB, a round copies no more than that: this store is as full as it can be without an error.
one "$DISK_fio" 22 fio_load 1024 6 5 50 16 8 8 "2 cache-threshold 64"
one "$DISK_many" 33 fio_load 4096 8 12 90 16 48 32 0
