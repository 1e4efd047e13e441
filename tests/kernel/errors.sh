#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# I/O errors below the targets, both policies (section 6 of the specification): dm-error, dm-flakey, dm-dust under
# the origin and the store. Judged each time: the status, that the origin has what was written, that a snapshot
# gives what it had or EIO and never anything else, and what the next load with good disks says.
. "$TOP/tests/kernel/lib.sh"

mib=8
disk origin_disk $mib
disk store_disk $((mib * 2)) # room for a copy of all of the origin: only errors stop it
layer origin_layer "$origin_disk"
layer store_layer "$store_disk"
origin=/dev/mapper/origin_layer
store=/dev/mapper/store_layer
size=$(sectors "$origin")
good_origin="0 $size linear $origin_disk 0"
store_size=$(sectors "$store")
good_store="0 $store_size linear $store_disk 0"
# Most of the store's data area. Below are superblock, log, maps, tree and the first data.
data=$((store_size / 4))
bad_data="0 $data linear $store_disk 0
$data $((store_size - data)) error"
policy=

start() { # a new store, the origin with random data, one snapshot and its device
	swap origin_layer "$good_origin"
	swap store_layer "$good_store"
	dd if=/dev/zero of="$store_disk" bs=1M oflag=direct status=none 2>/dev/null || true
	dd if=/dev/urandom of="$origin_disk" bs=1M count=$mib oflag=direct status=none
	ms_create ms "$origin" "$store" 8 $policy
	id=$(ms_snap ms)
	snap_create snap "$origin" "$id"
	dd if="$origin_disk" of=/tmp/created bs=1M iflag=direct status=none
	cp /tmp/created /tmp/written
}

stop() {
	dmsetup remove snap
	dmsetup remove ms
}

reload() { # with good disks, and the policy
	swap origin_layer "$good_origin"
	swap store_layer "$good_store"
	ms_create ms "$origin" "$store" 8 $policy
	snap_create snap "$origin" "$id"
}

# put AT COUNT: new data to COUNT chunks of 4 KiB from chunk AT, in one write each; remembered when it goes well.
put() {
	dd if=/dev/urandom of=/tmp/data bs="$2"x4k count=1 iflag=fullblock status=none
	dd if=/tmp/data of=/dev/mapper/ms bs="$2"x4k count=1 oseek="$(($1 * 4096))B" oflag=direct status=none 2>/tmp/dd-said || return 1
	dd if=/tmp/data of=/tmp/written bs=4k seek="$1" conv=notrunc status=none
}

# What a failed write may have left: /tmp/data at chunk $1.
put_fails() { # AT COUNT
	! put "$1" "$2" || fail "$what: a write to the origin went well with $(dmsetup status ms)"
	grep -q "Input/output error" /tmp/dd-said || fail "$what: not EIO: $(cat /tmp/dd-said)"
}

error_is() { # ERRNO
	[ "$(ms_status ms 2)" = "$1" ] || fail "$what: error $1 is not in the status: $(dmsetup status ms)"
}

origin_is_as_written() { "$TOOLS/block-compare" /dev/mapper/ms /tmp/written >/dev/null || fail "$what: the origin"; }
snap_is_as_created() { "$TOOLS/block-compare" /dev/mapper/snap /tmp/created >/dev/null || fail "$what: the snapshot"; }
snap_is_never_wrong() {
	"$TOOLS/block-compare" --eio /dev/mapper/snap /tmp/created >/tmp/compared || fail "$what: the snapshot"
}
snap_gives_eio() {
	must_fail "Input/output error" dd if=/dev/mapper/snap of=/dev/null bs=4k count=1 iflag=direct
	must_fail "Input/output error" dd if=/dev/zero of=/dev/mapper/snap bs=4k count=1 oflag=direct
}

# After an error of the machinery, what section 6 says, with the disks as they are.
judge_error() {
	error_is -5
	snap_gives_eio
	if [ -n "$policy" ]; then
		put_fails 100 1
		ms_has ms "$id" || fail "$what: the snapshot is not listed: $(dmsetup status ms)"
	else
		put 100 2 || fail "$what: the origin does not go on: $(cat /tmp/dd-said)"
		origin_is_as_written
	fi
	stop
}

# The next load, with good disks. With preserve-on-error: all that was durable is there.
judge_reload() {
	if [ -n "$policy" ]; then
		reload
		error_is 0
		snap_is_as_created
		put 300 4 || fail "$what: a write after the next load: $(cat /tmp/dd-said)"
		snap_is_as_created
		stop
		return
	fi
	if [ "$1" = marked ]; then
		reload
		error_is -5
		snap_gives_eio
		put 300 4 || fail "$what: a write after the next load: $(cat /tmp/dd-said)"
		origin_is_as_written
		stop
		policy=preserve-on-error
		must_fail "" ms_create ms "$origin" "$store" 8 $policy
		policy=
	fi
}

write_until_noticed() { # in the chunks from 0: one of them meets the bad place
	local n
	for ((n = 0; n < mib * 256; n += 64)); do
		if ! put "$n" 64; then
			# What failed may be there or not.
			dd if="$origin_disk" of=/tmp/written bs=4k skip="$n" seek="$n" count=64 conv=notrunc iflag=direct status=none
			return 0
		fi
		[ "$(ms_status ms 2)" = 0 ] || return 0
	done
	fail "$what: nobody noticed"
}

# ---- the store ----

store_data_fails() {
	start
	put 0 4 || fail "$what: a first write: $(cat /tmp/dd-said)"
	snap_is_as_created
	swap store_layer "$bad_data"
	write_until_noticed
	judge_error
	judge_reload marked
}

# Everything on the store device fails: the mark cannot be made, which is the limit that the documents state.
store_dies() {
	start
	put 0 4 || fail "$what: a first write: $(cat /tmp/dd-said)"
	swap store_layer "0 $store_size error"
	write_until_noticed
	judge_error
	judge_reload unmarked
}

# Reads go well, writes fail; then every flush, too.
store_write_fails() {
	start
	put 0 4 || fail "$what: a first write: $(cat /tmp/dd-said)"
	swap store_layer "0 $store_size flakey $store_disk 0 0 1000 1 error_writes"
	write_until_noticed
	judge_error
	judge_reload unmarked
}

# A copy of the snapshot cannot be read: that read fails, and nothing else is given in its place.
store_read_fails() {
	start
	put 0 64 || fail "$what: a first write: $(cat /tmp/dd-said)"
	snap_is_as_created
	swap store_layer "$bad_data"
	snap_is_never_wrong
	swap store_layer "$good_store"
	[ "$(ms_status ms 2)" != 0 ] || snap_is_as_created
	origin_is_as_written
	stop
}

# Superblock, log or tree cannot be read at the load: an error, and later the load goes well.
load_meets_bad_sector() {
	local first
	for first in 0 8 64; do
		start
		put 0 16 || fail "$what: a first write: $(cat /tmp/dd-said)"
		stop
		dmsetup create dusty --table "0 $store_size dust $store_disk 0 512"
		dmsetup message dusty 0 addbadblock $first
		dmsetup message dusty 0 enable
		must_fail "" ms_create ms "$origin" /dev/mapper/dusty 8 $policy
		dmsetup message dusty 0 disable
		ms_create ms "$origin" /dev/mapper/dusty 8 $policy
		snap_create snap "$origin" "$id"
		error_is 0
		snap_is_as_created
		stop
		dmsetup remove dusty
	done
}

# A byte of the superblock is another (the loop device reads its file's pages, so the file is the disk): refused.
load_meets_wrong_data() {
	local byte
	start
	put 0 16 || fail "$what: a first write: $(cat /tmp/dd-said)"
	stop
	for byte in 0 9 33 120 500; do
		cp /tmp/store_disk.disk /tmp/kept.disk
		perl -e 'my ($f, $at) = @ARGV; open(D, "+<", $f) && sysseek(D, $at, 0) && sysread(D, $b, 1) or die;
			sysseek(D, $at, 0) && syswrite(D, chr(ord($b) ^ 0x5a)) or die' /tmp/store_disk.disk $byte
		must_fail "" ms_create ms "$origin" "$store" 8 $policy
		dd if=/tmp/kept.disk of=/tmp/store_disk.disk bs=1M conv=notrunc status=none
	done
	reload
	error_is 0
	snap_is_as_created
	stop
}

# ---- the origin ----

# The source of a copy cannot be read: the snapshot would miss it.
copy_source_fails() {
	start
	swap origin_layer "0 $size dust $origin_disk 0 512"
	dmsetup message origin_layer 0 addbadblock 808 # in chunk 101
	dmsetup message origin_layer 0 enable
	put 0 4 || fail "$what: a write elsewhere: $(cat /tmp/dd-said)"
	if [ -n "$policy" ]; then
		put_fails 101 1
	else
		put 101 1 || fail "$what: the origin does not go on: $(cat /tmp/dd-said)"
	fi
	judge_error
	judge_reload marked
}

# A read of the snapshot that is the origin's to serve fails with the origin's error; no harm is done.
tracked_read_fails() {
	start
	swap origin_layer "0 $size dust $origin_disk 0 512"
	dmsetup message origin_layer 0 addbadblock 808
	dmsetup message origin_layer 0 enable
	snap_is_never_wrong
	[[ $(cat /tmp/compared) == *"1 failed" ]] || fail "$what: $(cat /tmp/compared)"
	error_is 0
	swap origin_layer "$good_origin"
	snap_is_as_created
	stop
}

# A write fails on the origin itself: the writer is told; the snapshot has its copy.
origin_write_fails() {
	start
	swap origin_layer "0 400 linear $origin_disk 0
400 8 error
408 $((size - 408)) linear $origin_disk 408"
	put 0 4 || fail "$what: a write elsewhere: $(cat /tmp/dd-said)"
	# With the chunk's copy's source unreadable, too, the machinery fails; so first a copy, then the error.
	swap origin_layer "$good_origin"
	put 50 1 || fail "$what: a write: $(cat /tmp/dd-said)"
	swap origin_layer "0 400 linear $origin_disk 0
400 8 error
408 $((size - 408)) linear $origin_disk 408"
	put_fails 50 1
	error_is 0
	swap origin_layer "$good_origin"
	origin_is_as_written
	snap_is_as_created
	stop
}

# The origin cannot be flushed: no snapshot comes into being that a power cut could spoil, or the error shows.
flush_fails_at_create() {
	start
	dmsetup message ms 0 create
	local next
	next=$(ms_status ms 3)
	swap origin_layer "0 $size flakey $origin_disk 0 0 1000 1 error_writes"
	dmsetup suspend ms || true
	dmsetup resume ms || true
	if ms_has ms "$next" && [ "$(ms_status ms 2)" = 0 ]; then
		fail "$what: created without an error: $(dmsetup status ms)"
	fi
	[ "$(ms_status ms 2)" = 0 ] || error_is -5
	swap origin_layer "$good_origin"
	snap_is_never_wrong
	stop
}

# ---- under load ----

# All the time there is I/O in flight; a snapshot makes all chunks shared again, so that copies are due, and the store dies.
# Should the load have copied all of it in between, nobody notices: then again.
store_dies_under_load() {
	local load i
	start
	rm -f /tmp/stop
	load_until_stopped &
	load=$!
	wait_for "copies" some_copies
	for ((i = 0; i < 20; i++)); do
		swap store_layer "$good_store"
		dmsetup load store_layer --table "0 $store_size error"
		ms_snap ms >/dev/null
		dmsetup suspend --nolockfs store_layer
		dmsetup resume store_layer
		! notices || break
	done
	error_is -5
	swap store_layer "$good_store"
	snap_gives_eio
	touch /tmp/stop
	if wait $load; then
		[ -z "$policy" ] || fail "$what: fio met no error"
	else
		[ -n "$policy" ] || { cat /tmp/fio; fail "$what: fio met an error, or wrong data"; }
		! grep -q "verify: bad" /tmp/fio /tmp/fio-said || { cat /tmp/fio; fail "$what: wrong data"; }
	fi
	stop
	if [ -n "$policy" ]; then
		reload
		error_is 0
		snap_is_as_created
		stop
	fi
}
load_until_stopped() {
	until [ -e /tmp/stop ]; do
		fio --name=load --filename=/dev/mapper/ms --ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bs=4k \
			--size=${mib}M --io_size=4M --rate_iops=500 --verify=crc32c --verify_backlog=128 \
			--output=/tmp/fio 2>/tmp/fio-said || return 1
	done
}
notices() { # within some ten seconds
	local i
	for ((i = 0; i < 50; i++)); do
		! has_error || return 0
		sleep 0.2
	done
	return 1
}
some_copies() { [ "$(ms_status ms 5)" -gt 1500 ]; }
has_error() { [ "$(ms_status ms 2)" != 0 ]; }

case ${1:-} in
give-up) kept='' ;;
preserve) kept=preserve-on-error ;;
*) fail "usage: errors.sh give-up|preserve [CASE]..." ;;
esac
shift
for case in store_data_fails store_dies store_write_fails store_read_fails load_meets_bad_sector \
	load_meets_wrong_data copy_source_fails tracked_read_fails origin_write_fails flush_fails_at_create \
	store_dies_under_load; do
	policy=$kept
	[ $# = 0 ] || [[ " $* " == *" $case "* ]] || continue
	what="$case${policy:+, $policy}"
	$case
	echo "ok: $what"
done
