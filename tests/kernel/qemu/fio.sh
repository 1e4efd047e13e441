# SPDX-License-Identifier: GPL-2.0
# Verified I/O on the origin and on snapshots at once, while other snapshots are created, seen, written and deleted.

# verify_job NAME DEVICE OFFSET-MIB SIZE-MIB RW BS DEPTH: an own region of the device, everything read back.
verify_job() {
	cat <<-END
		[$1]
		filename=/dev/mapper/$2
		offset=${3}m
		size=${4}m
		rw=$5
		$6
		iodepth=$7
	END
}

fio_start() { # FILE: the jobs of FILE.jobs, in the background, until fio_end
	cat >"$1.fio" <<-END
		[global]
		thread=1
		direct=1
		ioengine=libaio
		verify=crc32c
		verify_fatal=1
		verify_backlog=256
		verify_dump=0
		time_based=1
		runtime=3600
		randseed=$seed
	END
	cat "$1.jobs" >>"$1.fio"
	fio --eta=never --output="$1.log" "$1.fio" &
	fio_pid=$!
}

# Interrupted, it says 128; its log has a line with an error number for each job.
fio_end() { # FILE
	local r=0
	kill -INT "$fio_pid" 2>/dev/null || true
	wait "$fio_pid" || r=$?
	[ "$r" = 128 ] && [ "$(grep -c 'err= 0' "$1.log")" = "$(grep -c '^filename=' "$1.jobs")" ] ||
		fail "fio, status $r: $(grep -e '^verify' -e 'err=' "$1.log" | grep -v 'err= 0' | head -n 4 || true)"
}

# One round of the loop: a new snapshot, seen twice with the same contents, sometimes with one of its own; the
# oldest goes, in use or not.
churn_round() { # NUMBER
	local id sub at=$(($1 * 7 % (MIB - 8))) first
	id=$(snapshot)
	show "$id"
	first=$(sum "s$id" "$at" 2)
	echo "$id $at $first" >>/tmp/churn
	if [ $(($1 % 3)) = 0 ]; then
		sub=$(snapshot "$id")
		show "$sub"
		fill "s$id" $((at * 128 + 50)) 4 007
		same "snapshot $sub of $id" "$(sum "s$sub" "$at" 2)" "$first"
		remove "s$sub"
		dmsetup message ms 0 delete "$sub"
		first=$(sum "s$id" "$at" 2)
		sed -i '$d' /tmp/churn
		echo "$id $at $first" >>/tmp/churn
	fi
	[ "$(wc -l </tmp/churn)" -gt 3 ] || return 0
	churn_oldest $(($1 % 2))
}

churn_oldest() { # IN-USE(0, 1)
	local id at first reader
	read -r id at first </tmp/churn
	sed -i 1d /tmp/churn
	same "snapshot $id, MiB $at and the next, as at first" "$(sum "s$id" "$at" 2)" "$first"
	if [ "$1" = 1 ]; then
		dd if="/dev/mapper/s$id" of=/dev/null bs=64k iflag=direct status=none 2>/dev/null &
		reader=$!
		wait_io "s$id" 4
		dmsetup message ms 0 delete "$id"
		# Cut off, or through already; its own error is what was to be seen.
		wait "$reader" || true
		remove "s$id"
	else
		remove "s$id"
		dmsetup message ms 0 delete "$id"
	fi
}

stage_fio() {
	local before rounds=0 other end
	ms_create
	random_fill ms "$MIB" "$seed"
	before=$(sum ms 96 32)
	snapshot >/dev/null
	snapshot >/dev/null
	show 0
	show 1
	: >/tmp/churn
	{
		verify_job o1 ms 0 32 randwrite bsrange=4k-64k 16
		verify_job o2 ms 32 24 write bs=128k 2
		verify_job o3 ms 56 8 randwrite bs=4k 1
		verify_job o4 ms 64 24 randwrite bs=8k 32
		verify_job a1 s0 0 32 randwrite bsrange=2k-16k 8
		verify_job a2 s0 32 32 write bs=64k 2
		verify_job b1 s1 16 32 randwrite bs=4k 4
	} >/tmp/load.jobs
	fio_start /tmp/load
	onlookers_start
	wait_io ms 50
	end=$((SECONDS + load_seconds))
	# (On a slow machine it takes longer, rather than seeing less.)
	while kill -0 "$fio_pid" 2>/dev/null && { [ $SECONDS -lt $end ] || [ $rounds -lt 6 ]; }; do
		rounds=$((rounds + 1))
		churn_round "$rounds"
	done
	onlookers_end
	fio_end /tmp/load
	while [ -s /tmp/churn ]; do
		churn_oldest 0
	done
	# What nobody wrote in the snapshots is what the origin was.
	for other in s0 s1; do
		same "$other: contents nobody wrote there" "$(sum $other 96 32)" "$before"
	done
	no_error
	same "list" "$(dmsetup status ms | cut -d' ' -f10-)" "2 0 1"
	note="$rounds rounds, $(awk '/ IO=|issued rwts/ { split($0, a, "total="); split(a[2], b, "[, ]"); r += b[1]; w += b[2] }
		END { print r " reads and " w " writes by fio" }' /tmp/load.log)"
	remove s0 s1
	dmsetup message ms 0 delete 0
	dmsetup message ms 0 delete 1
	all_space_is_back
	remove ms
}
