# SPDX-License-Identifier: GPL-2.0
# The stages of ci/qemu-test, sourced by init in the guest. Each begins with empty disks and no module loaded, and
# leaves no device behind; then init unloads the modules, checks the store and looks at the kernel's log.
#
# What is read is read with O_DIRECT, so that it comes from the target and not from the page cache.

ORIGIN=/dev/vda
STORE=/dev/vdb
PROGRAM=multisnap
CHUNK=16		# sectors: 8 KiB
note=
N=$(blockdev --getsz $ORIGIN)
MS_TABLE="0 $N multisnapshot $ORIGIN $STORE $CHUNK 0 mikulas 0"
MIB=$((N / 2048))	# of the origin

# ---- the vocabulary ----

same() { # WHAT IS SHOULD-BE
	[ "$2" = "$3" ] || fail "$1: \"$2\", but it should be \"$3\""
}

# refuses ERRNO-TEXT COMMAND...: it must fail, and with that error where dmsetup prints one.
refuses() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "it should have been refused: $*"
	fi
	[[ $out == *"$text"* ]] || fail "$*: refused with \"$out\", not \"$text\""
}

fresh_disks() {
	blkdiscard -f $ORIGIN
	blkdiscard -f $STORE
	dd if=/dev/zero of=$STORE bs=4096 count=16 oflag=direct status=none
}

ms_create() {
	dmsetup create ms --table "$MS_TABLE"
}

status_field() { # NUMBER: 1 is the error, 2 the prepared id, 3 total, 4 allocated, 5 metadata, 6 snapshots
	dmsetup status ms | cut -d' ' -f$(($1 + 4))
}

no_error() {
	same "error in the status" "$(status_field 1)" 0
}

# snapshot [ID]: a snapshot of the origin, or of snapshot ID; prints the new number.
snapshot() {
	local id
	if [ $# = 0 ]; then
		dmsetup message ms 0 create
	else
		dmsetup message ms 0 create_subsnap "$1"
	fi
	id=$(status_field 2)
	dmsetup suspend ms
	dmsetup resume ms
	echo "$id"
}

# show ID [NAME]: a device for it
show() {
	dmsetup create "${2:-s$1}" --table "0 $N multisnap-snap $ORIGIN $1"
}

remove() {
	local name
	for name; do
		# Somebody (blkid, a process that was told to end) may still be about to close it.
		dmsetup remove --retry "$name"
	done
}

sum() { # NAME [FIRST-MIB COUNT-MIB]
	dd if="/dev/mapper/$1" bs=1M skip="${2:-0}" count="${3:-$MIB}" iflag=direct status=none | md5sum | cut -d' ' -f1
}

fill() { # NAME FIRST-CHUNK COUNT BYTE(octal)
	head -c $(($3 * 8192)) /dev/zero | tr '\0' "\\$4" |
		dd of="/dev/mapper/$1" bs=8192 seek="$2" oflag=direct iflag=fullblock conv=notrunc status=none
}

holds() { # NAME FIRST-CHUNK COUNT BYTE(octal)
	local other
	dd if="/dev/mapper/$1" bs=8192 skip="$2" count="$3" iflag=direct status=none >/tmp/holds
	same "bytes read from $1" "$(stat -c %s /tmp/holds)" $(($3 * 8192))
	other=$(tr -d "\\$4" </tmp/holds | wc -c)
	same "$1, chunks $2 to $(($2 + $3 - 1)): bytes that are not \\$4" "$other" 0
}

random_fill() { # NAME MIB SEED: contents that do not repeat
	fio --name=fill --filename="/dev/mapper/$1" --rw=write --bs=1M --size="$2M" --direct=1 --ioengine=libaio --iodepth=4 \
		--refill_buffers --randseed="$3" --thread --output=/tmp/fio-fill.log ||
		fail "fill: $(tail -n 3 /tmp/fio-fill.log)"
}

# Everything deleted and settled: what is still allocated is metadata.
all_space_is_back() {
	dmsetup message ms 0 settle
	same "snapshots" "$(status_field 6)" 0
	same "allocated, of that not metadata" $(($(status_field 4) - $(status_field 5))) 0
}

# wait_io DEVICE COUNT: until it has completed so many requests more. Of an I/O load this is the proof that it runs.
wait_io() {
	local dm start now
	dm=$(dmsetup info -c --noheadings -o blkdevname "$1")
	start=$(awk '{ print $1 + $5 }' "/sys/block/$dm/stat")
	for _ in $(seq 600); do
		now=$(awk '{ print $1 + $5 }' "/sys/block/$dm/stat")
		[ $((now - start)) -lt "$2" ] || return 0
		sleep 0.05
	done
	fail "$1: no I/O goes through"
}

# (Not by modprobe -r: that would take dm-mod away as well.)
unload() {
	local module
	for module in dm_store_mikulas dm_multisnapshot; do
		[ ! -d /sys/module/$module ] || rmmod $module || fail "$module cannot be unloaded: $(lsmod)"
	done
}

# ---- life cycle ----

stage_life_cycle() {
	local line origin
	# dm asks for dm-multisnapshot by the target's name, the target for dm-store-mikulas by the store's.
	ms_create
	lsmod | grep -q '^dm_store_mikulas' || fail "the store's module was not loaded: $(lsmod)"
	line=$(dmsetup table ms)
	origin=$(cat /sys/block/vda/dev)
	same "table" "$line" "0 $N multisnapshot $origin $(cat /sys/block/vdb/dev) $CHUNK 0 mikulas 0"
	same "status" "$(dmsetup status ms | cut -d' ' -f1-6,9-)" "0 $N multisnapshot 5 0 - $(status_field 5) 0"
	refuses "busy" dmsetup create other --table "$MS_TABLE"

	fill ms 0 64 001
	same "first number" "$(snapshot)" 0
	show 0
	same "table of a snapshot" "$(dmsetup table s0)" "0 $N multisnap-snap $origin 0"
	fill ms 0 16 002
	holds s0 0 64 001
	fill s0 8 32 003
	holds s0 0 8 001
	holds s0 8 32 003
	holds s0 40 24 001
	holds ms 0 16 002
	holds ms 16 48 001
	# Smaller than a chunk: the rest of it is copied.
	head -c 512 /dev/zero | tr '\0' '\5' | dd of=/dev/mapper/s0 bs=512 seek=800 oflag=direct conv=notrunc status=none
	dd if=/dev/mapper/s0 bs=8192 skip=50 count=1 iflag=direct status=none | tr -d '\1' >/tmp/part
	same "a sector in a chunk" "$(od -An -c -v /tmp/part | tr -d ' \n' | md5sum)" \
		"$(head -c 512 /dev/zero | tr '\0' '\5' | od -An -c -v | tr -d ' \n' | md5sum)"

	same "number of a sub-snapshot" "$(snapshot 0)" 0.0
	show 0.0
	fill s0 0 8 004
	holds s0.0 0 8 001
	holds s0.0 8 32 003
	same "second number" "$(snapshot)" 1
	show 1
	fill ms 0 64 006
	holds s1 0 16 002
	holds s1 16 48 001
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "3 0.0 0 1"

	refuses "Invalid argument" dmsetup message ms 0 delete 7
	refuses "Invalid argument" dmsetup message ms 0 create_subsnap 0.0
	refuses "Invalid argument" dmsetup message ms 0 nonsense
	refuses "No such file" dmsetup create s7 --table "0 $N multisnap-snap $ORIGIN 7"
	no_error

	# Deleting under a device: its I/O fails from then on, the others' does not.
	dmsetup message ms 0 delete 0
	refuses "Input/output error" dd if=/dev/mapper/s0 bs=4096 count=1 iflag=direct of=/dev/null
	holds s0.0 8 32 003
	# The line that was printed loads the same device again.
	remove s0 s0.0 s1 ms
	unload
	dmsetup create ms --table "$line"
	show 0.0
	show 1
	holds s0.0 8 32 003
	holds s1 0 16 002
	holds ms 0 64 006
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "2 0.0 1"

	# The origin first: the snapshots stay, and say EIO.
	remove ms
	refuses "Input/output error" dd if=/dev/mapper/s1 bs=4096 count=1 iflag=direct of=/dev/null
	remove s0.0 s1
	ms_create
	dmsetup message ms 0 delete 0.0
	dmsetup message ms 0 delete 1
	all_space_is_back
	no_error
	remove ms
}

# ---- ext4 ----

manifest() { # DIRECTORY: names, kinds, sizes, contents
	(cd "$1" && find . -type f | sort | xargs md5sum && find . ! -type f ! -path './lost+found' -printf '%p %y %l\n' | sort)
}

fsck() { # DEVICE...
	local device
	for device; do
		e2fsck -fn "$device" >/tmp/fsck.log 2>&1 || fail "e2fsck $device: $(tail -n 5 /tmp/fsck.log)"
	done
}

stage_ext4() {
	local i one two
	mkdir -p /mnt/ms /mnt/s0 /mnt/s1 /mnt/s2
	ms_create
	mkfs.ext4 -q -F /dev/mapper/ms
	mount -o discard /dev/mapper/ms /mnt/ms
	cp -a /tree /mnt/ms/tree
	head -c 12000000 /dev/urandom >/mnt/ms/big
	# The suspend freezes the file system: what was written before is in the snapshot.
	manifest /mnt/ms >/tmp/m0
	snapshot >/dev/null
	rm -rf /mnt/ms/tree/core
	for i in $(find /mnt/ms/tree -name '*.c'); do
		echo changed >>"$i"
	done
	cp -a /tree /mnt/ms/second
	dd if=/dev/urandom of=/mnt/ms/big bs=64k count=60 seek=40 conv=notrunc status=none
	manifest /mnt/ms >/tmp/m1
	snapshot >/dev/null
	rm -rf /mnt/ms/second /mnt/ms/big
	fstrim /mnt/ms
	cp -a /tree /mnt/ms/third

	show 0
	show 1
	for i in 0 1; do
		mount "/dev/mapper/s$i" "/mnt/s$i"
		manifest "/mnt/s$i" >/tmp/now
		cmp -s "/tmp/m$i" /tmp/now || fail "snapshot $i: $(diff "/tmp/m$i" /tmp/now | head -n 3)"
	done
	# All written at once, each on its own.
	{ cp -a /tree /mnt/s0/mine && rm -rf /mnt/s0/tree/stores; } &
	one=$!
	{ cp -a /tree/core /mnt/s1/mine && dd if=/dev/zero of=/mnt/s1/big bs=64k count=100 conv=notrunc status=none; } &
	two=$!
	cp -a /tree /mnt/ms/fourth
	wait $one
	wait $two
	sync
	manifest /mnt/s0 >/tmp/m2
	same "number of a sub-snapshot" "$(snapshot_of_mounted 0)" 0.0
	rm -rf /mnt/s0/mine
	show 0.0
	mount /dev/mapper/s0.0 /mnt/s2
	manifest /mnt/s2 >/tmp/now
	cmp -s /tmp/m2 /tmp/now || fail "sub-snapshot: $(diff /tmp/m2 /tmp/now | head -n 3)"
	manifest /mnt/ms >/tmp/m3
	manifest /mnt/s1 >/tmp/m4
	umount /mnt/s0 /mnt/s1 /mnt/s2 /mnt/ms
	fsck /dev/mapper/ms /dev/mapper/s0 /dev/mapper/s1 /dev/mapper/s0.0
	no_error
	remove s0.0 s0 s1 ms
	unload

	# After a reload all is as it was.
	ms_create
	show 1
	show 0.0
	mount /dev/mapper/ms /mnt/ms
	mount /dev/mapper/s1 /mnt/s1
	mount /dev/mapper/s0.0 /mnt/s2
	for i in ms:m3 s1:m4 s2:m2; do
		manifest "/mnt/${i%:*}" >/tmp/now
		cmp -s "/tmp/${i#*:}" /tmp/now || fail "${i%:*} after a reload: $(diff "/tmp/${i#*:}" /tmp/now | head -n 3)"
	done
	umount /mnt/ms /mnt/s1 /mnt/s2
	no_error
	note="$(wc -l </tmp/m3) names, $(($(status_field 4) / 2048)) MiB allocated"
	remove s0.0 s1 ms
}

# The file system on the master is frozen as well: suspending the origin does not reach it.
snapshot_of_mounted() { # ID
	fsfreeze -f "/mnt/s$1"
	snapshot "$1"
	fsfreeze -u "/mnt/s$1"
}

# ---- fio, while snapshots come and go ----

# verify_job NAME DEVICE OFFSET-MIB SIZE-MIB RW BS DEPTH: an own region of the device, everything read back.
verify_job() {
	cat <<-END
		[$1]
		filename=/dev/mapper/$2
		offset=${3}m
		size=${4}m
		rw=$5
		$6
		iodepth=$7
	END
}

fio_start() { # FILE: the jobs of FILE.jobs, in the background, until fio_end
	cat >"$1.fio" <<-END
		[global]
		thread=1
		direct=1
		ioengine=libaio
		verify=crc32c
		verify_fatal=1
		verify_backlog=256
		verify_dump=0
		time_based=1
		runtime=3600
		randseed=$seed
	END
	cat "$1.jobs" >>"$1.fio"
	fio --eta=never --output="$1.log" "$1.fio" &
	fio_pid=$!
}

# Interrupted, it says 128; its log has a line with an error number for each job.
fio_end() { # FILE
	local r=0
	kill -INT "$fio_pid" 2>/dev/null || true
	wait "$fio_pid" || r=$?
	[ "$r" = 128 ] && [ "$(grep -c 'err= 0' "$1.log")" = "$(grep -c '^filename=' "$1.jobs")" ] ||
		fail "fio, status $r: $(grep -e '^verify' -e 'err=' "$1.log" | grep -v 'err= 0' | head -n 4 || true)"
}

# One round of the loop: a new snapshot, seen twice with the same contents, sometimes with one of its own; the
# oldest goes, in use or not.
churn_round() { # NUMBER
	local id sub at=$(($1 * 7 % (MIB - 8))) first
	id=$(snapshot)
	show "$id"
	first=$(sum "s$id" "$at" 2)
	echo "$id $at $first" >>/tmp/churn
	if [ $(($1 % 3)) = 0 ]; then
		sub=$(snapshot "$id")
		show "$sub"
		fill "s$id" $((at * 128 + 50)) 4 007
		same "snapshot $sub of $id" "$(sum "s$sub" "$at" 2)" "$first"
		remove "s$sub"
		dmsetup message ms 0 delete "$sub"
		first=$(sum "s$id" "$at" 2)
		sed -i '$d' /tmp/churn
		echo "$id $at $first" >>/tmp/churn
	fi
	[ "$(wc -l </tmp/churn)" -gt 3 ] || return 0
	churn_oldest $(($1 % 2))
}

churn_oldest() { # IN-USE(0, 1)
	local id at first reader
	read -r id at first </tmp/churn
	sed -i 1d /tmp/churn
	same "snapshot $id, MiB $at and the next, as at first" "$(sum "s$id" "$at" 2)" "$first"
	if [ "$1" = 1 ]; then
		dd if="/dev/mapper/s$id" of=/dev/null bs=64k iflag=direct status=none 2>/dev/null &
		reader=$!
		wait_io "s$id" 4
		dmsetup message ms 0 delete "$id"
		# Cut off, or through already; its own error is what was to be seen.
		wait "$reader" || true
		remove "s$id"
	else
		remove "s$id"
		dmsetup message ms 0 delete "$id"
	fi
}

stage_fio() {
	local before rounds=0 other end
	ms_create
	random_fill ms "$MIB" "$seed"
	before=$(sum ms 64 $((MIB - 64)))
	snapshot >/dev/null
	snapshot >/dev/null
	show 0
	show 1
	: >/tmp/churn
	{
		verify_job o1 ms 0 32 randwrite bsrange=4k-64k 16
		verify_job o2 ms 32 24 write bs=128k 2
		verify_job o3 ms 56 8 randwrite bs=4k 1
		verify_job o4 ms 64 24 randwrite bs=8k 32
		verify_job a1 s0 0 32 randwrite bsrange=2k-16k 8
		verify_job a2 s0 32 32 write bs=64k 2
		verify_job b1 s1 16 32 randwrite bs=4k 4
	} >/tmp/load.jobs
	fio_start /tmp/load
	wait_io ms 50
	end=$((SECONDS + load_seconds))
	# (On a slow machine it takes longer, rather than seeing less.)
	while kill -0 "$fio_pid" 2>/dev/null && { [ $SECONDS -lt $end ] || [ $rounds -lt 6 ]; }; do
		rounds=$((rounds + 1))
		churn_round "$rounds"
	done
	fio_end /tmp/load
	while [ -s /tmp/churn ]; do
		churn_oldest 0
	done
	# What nobody wrote in the snapshots is what the origin was.
	for other in s0 s1; do
		same "$other: contents nobody wrote there" "$(sum $other 64 $((MIB - 64)))" "$before"
	done
	no_error
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "2 0 1"
	note="$rounds rounds, $(awk '/ IO=|issued rwts/ { split($0, a, "total="); split(a[2], b, "[, ]"); r += b[1]; w += b[2] }
		END { print r " reads and " w " writes by fio" }' /tmp/load.log)"
	remove s0 s1
	dmsetup message ms 0 delete 0
	dmsetup message ms 0 delete 1
	all_space_is_back
	remove ms
}

# ---- removal under load ----

load_start() { # NAME...: I/O until the device fails it, on each
	local name jobs=()
	for name; do
		jobs+=("--name=$name" "--filename=/dev/mapper/$name")
	done
	fio --direct=1 --ioengine=libaio --iodepth=16 --thread --time_based --runtime=600 --size=64m --rw=randrw \
		--bsrange=4k-32k --randseed="$seed" --output=/tmp/load.log --eta=never "${jobs[@]}" 2>/tmp/load.err &
	load_pid=$!
	for name; do
		wait_io "$name" 200
	done
}

# It ends because all its devices have failed: with one that has not, it would go on and meet the time limit.
load_end() {
	if wait "$load_pid"; then
		fail "I/O went on without its device"
	fi
	grep -q "Input/output error" /tmp/load.log /tmp/load.err || fail "fio: $(tail -n 2 /tmp/load.err)"
}

# at_once COMMAND...: each in a process of its own; all must succeed.
at_once() {
	local pids=() command pid
	for command; do
		eval "$command" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "one of: $*"
	done
}

# cut_off NAME...: the target goes, though the device is open (its table becomes one that fails all I/O).
cut_off() {
	local device
	for device; do
		dmsetup wipe_table --noflush "$device"
	done
}

stage_remove() {
	local base order
	ms_create
	random_fill ms 64 "$seed"
	base=$(sum ms 64 $((MIB - 64)))
	snapshot >/dev/null
	snapshot >/dev/null
	snapshot 0 >/dev/null
	remove ms
	for order in "ms s0 s1 s0.0" "s0.0 s1 s0 ms" "s1 ms s0 s0.0" together; do
		ms_create
		show 0
		show 1
		show 0.0
		load_start ms s0 s1 s0.0
		if [ "$order" = together ]; then
			at_once "cut_off s0" "cut_off ms" "cut_off s0.0" "cut_off s1"
		else
			cut_off $order
		fi
		load_end
		remove ms s0 s1 s0.0
		unload
		"$PROGRAM" check "$STORE" >/tmp/check.out 2>&1 || fail "multisnap check after $order: $(tail -n 3 /tmp/check.out)"
	done
	# Deleted all at once, under load, while new ones are made.
	ms_create
	no_error
	show 0
	show 1
	show 0.0
	same "snapshot 1: contents nobody wrote there" "$(sum s1 64 $((MIB - 64)))" "$base"
	load_start s0 s1 s0.0
	at_once "dmsetup message ms 0 delete 0" "dmsetup message ms 0 delete 0.0" "dmsetup message ms 0 delete 1" \
		"snapshot >/dev/null"
	load_end
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "1 2"
	dmsetup message ms 0 delete 2
	remove s0 s1 s0.0
	all_space_is_back
	no_error
	remove ms
}

# ---- the modules come and go ----

stage_modules() {
	local i made=0 raced=0 taker
	# In either order; and each alone.
	modprobe dm_store_mikulas
	unload
	modprobe dm_multisnapshot
	refuses "not currently loaded" rmmod dm_store_mikulas
	unload
	# While somebody takes them away, a creation works or is refused, and nothing else.
	rm -f /tmp/enough
	while [ ! -e /tmp/enough ]; do
		rmmod dm_store_mikulas dm_multisnapshot 2>/dev/null || true
	done &
	taker=$!
	for i in $(seq 12); do
		if ms_create 2>/dev/null; then
			made=$((made + 1))
			fill ms 0 4 "00$((i % 8))"
			snapshot >/dev/null
			refuses "in use" rmmod dm_multisnapshot
			remove ms
		else
			raced=$((raced + 1))
		fi
	done
	touch /tmp/enough
	wait "$taker"
	[ "$made" -gt 0 ] || fail "no creation succeeded"
	ms_create
	same "snapshots" "$(status_field 6)" "$made"
	remove ms
	note="$made devices made, $raced refused, with the modules being taken away"
}

# ---- canaries: each must be seen (ci/qemu-test -c) ----

stage_canary_data() {
	ms_create
	fill ms 0 4 001
	holds ms 0 4 002
}

stage_canary_command() {
	no-such-command
}

stage_canary_log() {
	echo "BUG: canary in the log" >/dev/kmsg
}

stage_canary_panic() {
	echo c >/proc/sysrq-trigger
}

stage_canary_hang() {
	sleep 1000
}
