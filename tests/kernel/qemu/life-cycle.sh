# SPDX-License-Identifier: GPL-2.0
# The life of snapshots, as an administrator does it: what is printed, what is refused, what is read.

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
