# SPDX-License-Identifier: GPL-2.0
# A file system on the origin, and on snapshots of it: mounted read-write all at once, checked by e2fsck, compared by
# checksums; also after the modules were loaded anew.

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
