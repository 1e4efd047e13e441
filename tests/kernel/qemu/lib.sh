# SPDX-License-Identifier: GPL-2.0
# The words that the stages are made of. Sourced by init in the guest, with all the stages.
#
# A stage is a function stage_<name> in a file of its own. It begins with empty disks and no module loaded, and leaves
# no device behind; then init unloads the modules, checks the store and looks at the kernel's log. A stage may set
# `note`, which is printed. What is read is read with O_DIRECT, so that it comes from the target and not from the page
# cache.

ORIGIN=/dev/vda
STORE=/dev/vdb
PROGRAM=multisnap
CHUNK=16		# sectors: 8 KiB
note=
N=$(blockdev --getsz $ORIGIN)
MS_TABLE="0 $N multisnapshot $ORIGIN $STORE $CHUNK 0 mikulas 0"
MIB=$((N / 2048))	# of the origin

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

# onlookers_start: status and table of everything, all the time, whoever comes or goes. onlookers_end ends them.
onlookers_start() {
	rm -f /tmp/seen-enough
	while [ ! -e /tmp/seen-enough ]; do
		dmsetup status >/tmp/onlooker 2>&1 || true
		dmsetup table >/tmp/onlooker 2>&1 || true
		# They are to meet the others, not to take all the time there is.
		sleep 0.5
	done &
	onlooker_pid=$!
}

onlookers_end() {
	touch /tmp/seen-enough
	wait "$onlooker_pid"
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
