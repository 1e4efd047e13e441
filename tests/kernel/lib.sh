# SPDX-License-Identifier: GPL-2.0
#
# For the scripts that run in a guest of ci/uml-run: disks, multisnapshots, judgement. Sourced by bash.
#
# All disks are loop devices on files of a tmpfs: asynchronous, and what is in them can be read past the targets.
# A command that fails ends the script with the place and the command.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO: exit $?: $BASH_COMMAND"' ERR

fail() {
	echo "$0: line ${BASH_LINENO[0]}: $*"
	exit 1
}

# must_fail ERRNO-TEXT COMMAND...: the command ends with an error that says so.
must_fail() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "this must not succeed: $*"
	fi
	[[ $out == *"$text"* ]] || fail "$*: expected '$text', got: $out"
}

# disk NAME MIB: a disk of zeroes; its device is then in $NAME.
disk() {
	truncate -s "$2M" "/tmp/$1.disk"
	printf -v "$1" '%s' "$(losetup --show --direct-io=off -f "/tmp/$1.disk")"
}

# A disk that can be replaced below its users: /dev/mapper/NAME over the disk $NAME.
sectors() { blockdev --getsz "$1"; }
layer() { # NAME DEVICE: a linear mapping
	dmsetup create "$1" --table "0 $(sectors "$2") linear $2 0"
}

# swap NAME TABLE: another table while the device is in use; what is in flight is drained first.
swap() {
	dmsetup load "$1" --table "$2"
	dmsetup suspend --nolockfs "$1"
	dmsetup resume "$1"
}

# ms_create NAME ORIGIN STORE CHUNK-SECTORS [GENERIC-ARG]...
ms_create() {
	local name=$1 origin=$2 store=$3 chunk=$4
	shift 4
	dmsetup create "$name" --table \
		"0 $(sectors "$origin") multisnapshot $origin $store $chunk $# ${*:+$* }mikulas 0"
}

# ms_snap NAME: a snapshot of the origin; prints its id. RUN, when given, is run while the device is suspended.
ms_snap() { # NAME [RUN...]
	local name=$1 id
	shift
	dmsetup message "$name" 0 create >&2
	id=$(ms_status "$name" 3)
	[ "$id" != - ] || fail "$name: no id prepared: $(dmsetup status "$name")"
	dmsetup suspend "$name" >&2
	[ $# = 0 ] || "$@" >&2
	dmsetup resume "$name" >&2
	ms_has "$name" "$id" || fail "$name: no snapshot $id: $(dmsetup status "$name")"
	echo "$id"
}

# ms_status NAME FIELD: of the target's part of the status line: 1 is the 5, 2 the error, 3 the id to come, ...
ms_status() {
	dmsetup status "$1" | awk -v f="$2" '{ print $(f + 3) }'
}

# ms_has NAME ID: is it among the snapshots?
ms_has() {
	local list
	list=" $(dmsetup status "$1" | cut -d' ' -f11-) "
	[[ $list == *" $2 "* ]]
}

ms_settle() { dmsetup message "$1" 0 settle; }

# snap_create NAME ORIGIN ID
snap_create() {
	dmsetup create "$1" --table "0 $(sectors "$2") multisnap-snap $2 $3"
}

# sum DEVICE: of what is on it, read past the page cache.
sum() {
	dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1
}

# tree FOLDER: a checksum of names, modes, sizes and contents.
tree() {
	(cd "$1" && {
		find . -printf '%P %y %m %l\n' | grep -v lost+found | sort
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
	}) | sha256sum | cut -d' ' -f1
}

# wait_for TEXT COMMAND...: until the command succeeds; it looks again every 0.2 s and gives up after two minutes.
wait_for() {
	local text=$1 i
	shift
	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.2
	done
	fail "gave up waiting: $text"
}
