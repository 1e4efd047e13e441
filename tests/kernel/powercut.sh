#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# powercut.sh ROUND CHUNK STORE-ARGS [last]: one boot between two power cuts, called by tests/kernel/powercut.
#
# First what the cut before has left is compared with what had been acknowledged: which snapshots exist, the origin's
# and every snapshot's contents, sector by sector (tools/cut-writer.c). Then, but for the last, a load until the next:
# writers on the origin and on snapshots, snapshots made and deleted. All that is acknowledged is in STATE, on the
# host, before the next step:
#   events        "creating", "created ID", "deleting ID", "deleted ID", each before or after what it says
#   base.X        what device X (origin or a snapshot's id) held when it was last looked at, or created
#   log.X.N       writes to X since then
#   go            the guest is ready: how many events there were before
#   seen          what was compared
. "$TOP/tests/kernel/lib.sh"

round=$1 chunk=$2 store_args=$3 last=${4:-}
state=$WORK/state
events=$state/events
origin=$DISK_origin store=$DISK_store
mkdir -p "$state"

ms_table="0 $(sectors "$origin") multisnapshot $origin $store $chunk 0 mikulas $store_args"
raw_copy() { dd if="$origin" of="$1" bs=1M iflag=direct status=none; }

if [ "$round" = 1 ]; then
	dd if=/dev/urandom of="$origin" bs=1M oflag=direct status=none 2>/dev/null || true
	raw_copy "$state/base.origin"
	: >"$events"
fi
rm -f "$state/go" "$state"/stop.*

# What was between two events when the power went. A snapshot whose copy of the origin was not finished
# has the origin suspended since: it is as the origin's disk is now.
pending=$(tail -n 1 "$events")
raw_copy /tmp/raw

dmsetup create ms --table "$ms_table"
[ "$(ms_status ms 2)" = 0 ] || fail "loaded with an error: $(dmsetup status ms)"
read -r -a listed <<<"$(dmsetup status ms | cut -s -d' ' -f11-)"

declare -A exists=() gone=()
while read -r what id; do
	case $what in
	created) exists[$id]=1 ;;
	deleted) unset "exists[$id]"; gone[$id]=1 ;;
	esac
done <"$events"

for id in "${listed[@]}"; do
	[ -z "${gone[$id]:-}" ] || fail "snapshot $id was deleted, and is there: $(dmsetup status ms)"
	[ -z "${exists[$id]:-}" ] || continue
	[ "$pending" = creating ] || fail "snapshot $id was never created: $(dmsetup status ms)"
	if [ -e "$state/base.done" ]; then
		mv "$state/base.done" "$state/base.$id"
	else
		cp /tmp/raw "$state/base.$id"
	fi
	echo "created $id" >>"$events"
	pending=
done
for id in "${!exists[@]}"; do
	[[ " ${listed[*]} " == *" $id "* ]] && continue
	[ "$pending" = "deleting $id" ] || fail "snapshot $id is lost: $(dmsetup status ms)"
	echo "deleted $id" >>"$events"
	rm -f "$state/base.$id" "$state"/log."$id".*
done
rm -f "$state/base.new" "$state/base.done"

# verify NAME DEVICE LINEAGE
verify() {
	local logs=("$state/log.$1".*)
	[ -e "${logs[0]}" ] || logs=()
	"$TOOLS/cut-writer" verify "$2" "$state/base.$1" "$3" /tmp/seen "${logs[@]}" >/tmp/said ||
		fail "round $round: $1 is not what was acknowledged"
	mv /tmp/seen "$state/base.$1"
	rm -f "${logs[@]}"
	echo "round $round: $1: $(cat /tmp/said)" >>"$state/seen"
}
lineage() { echo $(($1 + 2)); } # of a snapshot; the origin's is 1

verify origin /dev/mapper/ms 1
for id in "${listed[@]}"; do
	snap_create "snap.$id" "$origin" "$id"
	verify "$id" "/dev/mapper/snap.$id" "$(lineage "$id")"
done
ms_settle ms
[ "$(ms_status ms 2)" = 0 ] || fail "an error: $(dmsetup status ms)"
echo "round $round: ${#listed[@]} snapshots: $(dmsetup status ms); the last event: $(tail -n 1 "$events")" >>"$state/seen"
if [ -n "$last" ]; then
	for id in "${listed[@]}"; do dmsetup remove "snap.$id"; done
	dmsetup remove ms
	exit 0
fi

# ---- the load, until the power goes ----

seq=$((round * 1000000))
size=$(sectors "$origin")
writers=2
declare -A writer=()
grep -c ing "$events" >/tmp/go || true
cp /tmp/go "$state/go.new"
mv "$state/go.new" "$state/go"
for ((n = 0; n < writers; n++)); do
	"$TOOLS/cut-writer" write /dev/mapper/ms "$state/log.origin.$n" 1 $((size / writers * n)) $((size / writers)) $seq \
		"$state/stop.origin" &
done

write_to() { # a snapshot
	"$TOOLS/cut-writer" write "/dev/mapper/snap.$1" "$state/log.$1.$round" "$(lineage "$1")" 0 "$size" $seq \
		"$state/stop.$1" &
	writer[$1]=$!
}
keep_copy() {
	raw_copy "$state/base.new"
	mv "$state/base.new" "$state/base.done"
}

create() {
	local id
	echo creating >>"$events"
	id=$(ms_snap ms keep_copy)
	mv "$state/base.done" "$state/base.$id"
	echo "created $id" >>"$events"
	snap_create "snap.$id" "$origin" "$id"
	listed+=("$id")
	[ $((RANDOM % 2)) = 0 ] || write_to "$id"
}

delete() {
	local n=$((RANDOM % ${#listed[@]})) id
	id=${listed[n]}
	if [ -n "${writer[$id]:-}" ]; then
		touch "$state/stop.$id"
		wait "${writer[$id]}"
		unset "writer[$id]"
	fi
	dmsetup remove "snap.$id"
	echo "deleting $id" >>"$events"
	dmsetup message ms 0 delete "$id"
	echo "deleted $id" >>"$events"
	rm -f "$state/base.$id" "$state"/log."$id".* "$state/stop.$id"
	listed=("${listed[@]:0:n}" "${listed[@]:n+1}")
}

for id in "${listed[@]}"; do
	[ $((RANDOM % 2)) = 0 ] || write_to "$id"
done
while :; do
	if [ ${#listed[@]} -ge 5 ] || { [ ${#listed[@]} -gt 1 ] && [ $((RANDOM % 3)) = 0 ]; }; then
		delete
	else
		create
	fi
done
