#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the stages use, without our modules: loop devices, device-mapper, ext4, xfs, direct I/O, asynchronous I/O,
# fault injection. ci/uml-build runs it once: what the kernel complains of here is the baseline of ci/uml-run.
set -euo pipefail

# Two kinds of disk: a file on a tmpfs, a RAM disk.
truncate -s 384M /tmp/disk
loop=$(losetup --show -f /tmp/disk)
dmsetup create linear --table "0 786432 linear $loop 0"
dmsetup create flaky --table "0 65536 flakey /dev/ram0 0 1000 0"
dmsetup create late --table "0 65536 delay /dev/ram1 0 1"
dmsetup create cow --table "0 65536 snapshot /dev/mapper/flaky /dev/mapper/late N 16"
echo "disks: $(dmsetup status | tr '\n' ' ')"

exercise() { # DEVICE MKFS...
	local device=$1
	shift
	"$@" "$device" >/dev/null
	mkdir -p /mnt/test
	mount "$device" /mnt/test
	mkdir /mnt/test/files
	for i in $(seq 50); do echo "$i" >"/mnt/test/files/$i"; done
	dd if=/dev/zero of=/mnt/test/big bs=1M count=8 oflag=direct status=none
	dmsetup suspend "$(basename "$device")"
	dmsetup resume "$(basename "$device")"
	rm -r /mnt/test/files
	sync
	umount /mnt/test
}
exercise /dev/mapper/linear mkfs.xfs -q -f
exercise /dev/mapper/linear mkfs.ext4 -q -F
exercise /dev/mapper/cow mkfs.ext4 -q -F
for engine in psync libaio io_uring; do
	fio --name=$engine --ioengine=$engine --filename=/dev/mapper/linear --rw=randrw --bs=4k --iodepth=16 --direct=1 \
		--io_size=2M --size=32M --verify=crc32c --numjobs=2 --offset_increment=32M >/tmp/fio-$engine ||
		{ cat /tmp/fio-$engine; exit 1; }
done
dmsetup suspend linear
dmsetup load linear --table "0 786432 error"
dmsetup resume linear
! dd if=/dev/mapper/linear of=/dev/null count=1 iflag=direct status=none 2>/dev/null
dmsetup remove cow
dmsetup remove flaky
dmsetup remove late
dmsetup remove linear
losetup -d "$loop"

if [ -w /sys/kernel/debug/kmemleak ]; then
	echo scan >/sys/kernel/debug/kmemleak
	sleep 5.5
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak
fi
echo "baseline: done"
