# SPDX-License-Identifier: GPL-2.0
# For the scripts in ci/: packages, steps. Sourced by bash, from the top of the tree.

# need PACKAGE...: install what is missing when root, else say it.
need() {
	local missing=() package
	for package; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "${0##*/}: please install: ${missing[*]}" >&2
		exit 2
	fi
	echo "installing: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq -o DPkg::Lock::Timeout=600 || true
	apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
		"${missing[@]}" >/dev/null
}

BUILD_PACKAGES="cmake ninja-build gcc libc6-dev pkg-config libarchive-dev libjansson-dev \
libcmocka-dev libboost-context-dev"
# What a guest of ci/uml-run calls: its files are this machine's.
UML_PACKAGES="dmsetup e2fsprogs xfsprogs fio kmod util-linux mount procps perl-base"
FUZZ_PACKAGES="afl++ clang llvm"
TEST_PACKAGES="$BUILD_PACKAGES clang libclang-rt-14-dev llvm clang-tidy cppcheck sparse python3 python3-docutils blktrace xz-utils git patch"

# The release whose headers this package stands for, and no other that happens to be there.
headers_release() { # linux-headers-FLAVOUR
	dpkg-query -W -f='${Depends}' "$1" | grep -o 'linux-headers-[0-9][^ ,]*' | head -1 | sed 's/^linux-headers-//'
}

# step NAME COMMAND...: run it silently; on failure show its end, remember. 77 says that it cannot be done here.
# A line has the seconds that it took, and the seconds of CPU time: who wants to know what waits, sees it.
# $tells: a pattern of the lines to be shown all the same, counts that somebody wants to see.
failed=()
skipped=()
step() {
	local name=$1 log start user=0 system=0 cpu r=0 TIMEFORMAT='%0U %0S'
	shift
	log=${LOGS:-build-ci/logs}/$(echo "$name" | tr -c 'A-Za-z0-9\n' '-').log
	mkdir -p "$(dirname "$log")"
	start=$SECONDS
	{ time "$@" >"$log" 2>&1; } 2>"$log.cpu" || r=$?
	read -r user system < <(tail -n 1 "$log.cpu") || :
	cpu=$((user + system))
	rm -f "$log.cpu"
	if [ $r = 0 ]; then
		printf 'ok    %4d s %4d CPU  %s\n' $((SECONDS - start)) $cpu "$name"
		if [ -n "${tells:-}" ]; then grep -E "$tells" "$log" | sed 's/^[ |]*/           | /' || :; fi
	elif [ $r = 77 ]; then
		printf 'SKIP  %4d s %4d CPU  %s: %s\n' $((SECONDS - start)) $cpu "$name" "$(tail -n 1 "$log")"
		skipped+=("$name")
	else
		printf 'FAIL  %4d s %4d CPU  %s (exit %d): %s\n' $((SECONDS - start)) $cpu "$name" $r "$*"
		tail -n 40 "$log" | sed 's/^/      | /'
		failed+=("$name")
	fi
}

# beside NAME COMMAND...: a step beside those that follow, until `beside_ends`, which shows it: for what waits a lot.
beside() {
	beside_name=$1
	beside_said=$(mktemp)
	(
		failed=() skipped=()
		step "$@"
		[ ${#failed[@]} = 0 ] || exit 1
		[ ${#skipped[@]} = 0 ] || exit 77
	) >"$beside_said" 2>&1 &
	beside_pid=$!
}

beside_ends() {
	local r=0
	wait "$beside_pid" || r=$?
	cat "$beside_said"
	rm -f "$beside_said"
	case $r in
	0) ;;
	77) skipped+=("$beside_name") ;;
	*) failed+=("$beside_name") ;;
	esac
}
