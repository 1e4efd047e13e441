#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The check of the checks, in the guest: makes mistakes. Called by tests/kernel/canary, which expects them to be found.
#   canary.sh mistakes    loads ms-canary, which makes one of each kind
#   canary.sh crash       the guest dies
#   canary.sh hang        the guest does not end
#   canary.sh data        tools that compare must see what differs; ends with 0 when they do
. "$TOP/tests/kernel/lib.sh"

case $1 in
mistakes)
	insmod "$WORK/ms-canary.ko"
	rmmod ms-canary
	;;
crash)
	echo c >/proc/sysrq-trigger
	;;
hang)
	exec cat /dev/full >/dev/null
	;;
data)
	disk d 1
	dd if="$d" of=/tmp/base bs=1M iflag=direct status=none
	"$TOOLS/cut-writer" write "$d" /tmp/log 7 0 2048 1000 /tmp/stop &
	wait_for "writes" test -s /tmp/log
	wait_for "some writes" eval '[ $(stat -c %s /tmp/log) -gt 2000 ]'
	touch /tmp/stop
	wait
	dd if="$d" of=/tmp/now bs=1M iflag=direct status=none
	"$TOOLS/cut-writer" verify "$d" /tmp/base 7 /tmp/seen /tmp/log
	cmp /tmp/seen /tmp/now
	"$TOOLS/block-compare" "$d" /tmp/now
	# An acknowledged write that is lost; a byte that nobody wrote.
	for what in lost foreign; do
		if [ $what = lost ]; then
			dd if=/tmp/base of="$d" bs=1M oflag=direct status=none
		else
			dd if=/tmp/now of="$d" bs=1M oflag=direct status=none
			perl -e 'open(D, "+<", $ARGV[0]) && sysseek(D, 100000, 0) && sysread(D, $b, 1) or die;
				sysseek(D, 100000, 0) && syswrite(D, chr(ord($b) ^ 1)) or die' /tmp/d.disk
		fi
		! "$TOOLS/cut-writer" verify "$d" /tmp/base 7 /tmp/seen /tmp/log || fail "cut-writer did not see what is $what"
		! "$TOOLS/block-compare" "$d" /tmp/now || fail "block-compare did not see what is $what"
		dd if=/tmp/now of="$d" bs=1M oflag=direct status=none
	done
	;;
esac
