# SPDX-License-Identifier: GPL-2.0
# Targets go while I/O is in flight on all of them, in several orders and all at once; snapshots are deleted under load.

load_start() { # NAME...: I/O until the device fails it, on each
	local name jobs=()
	for name; do
		jobs+=("--name=$name" "--filename=/dev/mapper/$name")
	done
	fio --direct=1 --ioengine=libaio --iodepth=4 --thread --time_based --runtime=600 --size=64m --rw=randrw \
		--bsrange=4k-32k --randseed="$seed" --output=/tmp/load.log --eta=never "${jobs[@]}" 2>/tmp/load.err &
	load_pid=$!
	for name; do
		wait_io "$name" 100
	done
}

# It ends because all its devices have failed: with one that has not, it would go on and meet the time limit.
load_end() {
	if wait "$load_pid"; then
		fail "I/O went on without its device"
	fi
	grep -q "Input/output error" /tmp/load.log /tmp/load.err || fail "fio: $(tail -n 2 /tmp/load.err)"
}

# at_once COMMAND...: each in a process of its own; all must succeed.
at_once() {
	local pids=() command pid
	for command; do
		eval "$command" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "one of: $*"
	done
}

# cut_off NAME...: the target goes, though the device is open (its table becomes one that fails all I/O).
cut_off() {
	local device
	for device; do
		dmsetup wipe_table --noflush "$device"
	done
}

stage_remove() {
	local base order
	ms_create
	random_fill ms 72 "$seed"
	base=$(sum ms 64 8)
	snapshot >/dev/null
	snapshot >/dev/null
	snapshot 0 >/dev/null
	remove ms
	onlookers_start
	for order in "ms s0 s1 s0.0" "s0.0 s1 s0 ms" "s1 ms s0 s0.0" together; do
		ms_create
		show 0
		show 1
		show 0.0
		load_start ms s0 s1 s0.0
		if [ "$order" = together ]; then
			at_once "cut_off s0" "cut_off ms" "cut_off s0.0" "cut_off s1"
		else
			cut_off $order
		fi
		load_end
		remove ms s0 s1 s0.0
		unload
		"$PROGRAM" check "$STORE" >/tmp/check.out 2>&1 || fail "multisnap check after $order: $(tail -n 3 /tmp/check.out)"
	done
	onlookers_end
	# Deleted all at once, under load, while new ones are made.
	ms_create
	no_error
	show 0
	show 1
	show 0.0
	same "snapshot 1: contents nobody wrote there" "$(sum s1 64 8)" "$base"
	load_start s0 s1 s0.0
	at_once "dmsetup message ms 0 delete 0" "dmsetup message ms 0 delete 0.0" "dmsetup message ms 0 delete 1" \
		"snapshot >/dev/null"
	load_end
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "1 2"
	dmsetup message ms 0 delete 2
	remove s0 s1 s0.0
	all_space_is_back
	no_error
	remove ms
}
