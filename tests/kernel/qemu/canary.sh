# SPDX-License-Identifier: GPL-2.0
# Each of these must be seen to fail (ci/qemu-test -c).

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
