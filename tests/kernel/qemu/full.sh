# SPDX-License-Identifier: GPL-2.0
# The store runs full under load from all sides, with either policy on errors.

# small_create [GENERIC-ARGUMENT]: a store of 16 MiB for the origin of 128.
small_create() {
	dmsetup create ms --table "0 $N multisnapshot $ORIGIN /dev/mapper/small $CHUNK $# $* mikulas 0"
}

# writers NAME...: random writes over all of each, until its device fails them or all is written. The exit status of
# each is left in /tmp/writer-NAME.
writers() {
	local name pids=()
	for name; do
		{
			fio --name="$name" --filename="/dev/mapper/$name" --direct=1 --ioengine=libaio --iodepth=8 --thread \
				--rw=randwrite --bsrange=4k-64k --size=32m --randseed="$seed" --eta=never \
				--output="/tmp/writer-$name.log" 2>/dev/null && echo 0 || echo $?
		} >"/tmp/writer-$name" &
		pids+=($!)
	done
	wait "${pids[@]}"
}

stage_full() {
	local before free
	dmsetup create small --table "0 32768 linear $STORE 0"

	# Stop the origin, keep the snapshots.
	small_create preserve-on-error
	random_fill ms 32 "$seed"
	snapshot >/dev/null
	fill ms 0 64 001
	snapshot >/dev/null
	show 0
	show 1
	before="$(sum s0 0 8) $(sum s1 0 8)"
	writers ms s1
	same "error in the status" "$(status_field 1)" -28
	[ "$(cat /tmp/writer-ms)" != 0 ] || fail "all writes to the origin succeeded, with a full store and preserve-on-error"
	refuses "Input/output error" dd if=/dev/mapper/s0 bs=4096 count=1 iflag=direct of=/dev/null
	dmsetup message ms 0 delete 1
	dmsetup message ms 0 settle
	remove s0 s1 ms
	small_create preserve-on-error
	no_error
	free=$(($(status_field 3) - $(status_field 4)))
	[ "$free" -gt 1024 ] || fail "after the deletion only $free sectors are free"
	show 0
	same "snapshot 0" "$(sum s0 0 8)" "${before% *}"

	# Give the snapshots up, go on with the origin.
	remove s0 ms
	small_create
	show 0
	writers ms s0
	same "error in the status" "$(status_field 1)" -28
	same "status of the writer to the origin" "$(cat /tmp/writer-ms)" 0
	[ "$(cat /tmp/writer-s0)" != 0 ] || fail "all writes to the snapshot succeeded, with a full store"
	refuses "Input/output error" dd if=/dev/mapper/s0 bs=4096 count=1 iflag=direct of=/dev/null
	fill ms 0 64 005
	holds ms 0 64 005
	remove s0 ms

	# It is recorded, and is the same after a load.
	unload
	refuses "" small_create preserve-on-error
	small_create
	same "recorded error" "$(status_field 1)" -28
	show 77
	refuses "Input/output error" dd if=/dev/mapper/s77 bs=4096 count=1 iflag=direct of=/dev/null
	holds ms 0 64 005
	remove s77 ms
	refuses "marked as invalid" "$PROGRAM" check "$STORE"

	# A zeroed first sector, and all begins anew.
	dd if=/dev/zero of=/dev/mapper/small bs=4096 count=1 oflag=direct status=none
	small_create
	no_error
	same "the next number" "$(snapshot)" 0
	remove ms small
}
