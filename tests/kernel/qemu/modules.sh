# SPDX-License-Identifier: GPL-2.0
# Loading and unloading, in either order, alone, and while somebody creates devices.

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
