# SPDX-License-Identifier: GPL-2.0
# A machine to boot: Debian's kernel and programs of this machine, as QEMU takes them. Sourced by bash.
#
# The kernel is unpacked from its package into the cache, not installed:
# ${MULTISNAP_CACHE:-${XDG_CACHE_HOME:-~/.cache}/multisnap}/qemu/[backports/]<package>_<version>/. The guest's root is an
# initramfs: busybox, and the programs that are named with the libraries that ldd names. KVM is not needed.

GUEST_PACKAGES="qemu-system-x86 busybox-static cpio kmod dpkg"
BACKPORTS_PACKAGES="pahole" # to build modules
guest_cache=${MULTISNAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/multisnap}/qemu

# Of apt, where not this machine's packages are meant but Debian's backports. Their lists are in the cache, so this machine is
# not offered them.
guest_apt=()
guest_backports() {
	local dir=$guest_cache/backports site
	site=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' | head -n 1)
	[ -n "$site" ] || return 1
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site bookworm-backports main" >"$dir/sources.list"
	guest_apt=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache=$dir" -o APT::Sandbox::User=root)
	(
		flock 9
		apt-get "${guest_apt[@]}" update -qq >&2 || true
	) 9>"$guest_cache/lock"
}

# guest_fetch PACKAGE DIR: the path of its .deb, downloaded to DIR unless it is there.
guest_fetch() {
	local deb
	mkdir -p "$2"
	deb=$(find "$2" -name "$1_*.deb" | sort | tail -n 1)
	if [ -z "$deb" ]; then
		(cd "$2" && apt-get "${guest_apt[@]}" download -qq -o APT::Sandbox::User=root "$1" >&2) || return 1
		deb=$(find "$2" -name "$1_*.deb")
	fi
	echo "$deb"
}

# What PACKAGE depends on whose name begins with PREFIX.
guest_depends() { # PACKAGE PREFIX
	apt-cache "${guest_apt[@]}" depends "$1" 2>/dev/null | awk -v prefix="$2" '$1 == "Depends:" && index($2, prefix) == 1 { print $2 }'
}

# guest_unpack DIR PACKAGE...
guest_unpack() {
	local dir=$1 package deb
	shift
	for package; do
		deb=$(guest_fetch "$package" "$dir/deb") && dpkg-deb -x "$deb" "$dir" || return 1
	done
	rm -rf "$dir/deb"
	# Headers name the common ones by where they would be installed.
	[ ! -d "$dir/usr/src" ] || sed -i "s|^include /usr/src/|include ${dir%.new}/usr/src/|" "$dir"/usr/src/linux-headers-*/Makefile
}

# guest_kernel FLAVOUR (amd64, cloud-amd64, ...; of Debian's backports: backports/cloud-amd64): sets guest_release,
# guest_kernel_dir, and guest_headers, which for backports are unpacked, too. Fails when no kernel can be had: neither in the
# cache nor from apt.
guest_kernel() {
	local flavour=${1#backports/} cache=$guest_cache headers=() package version dir=
	guest_apt=()
	mkdir -p "$cache"
	if [ "$flavour" != "$1" ]; then
		cache=$cache/backports
		guest_backports || return 1
	elif [ "$(id -u)" = 0 ] && [ -z "$(apt-cache madison "linux-image-$flavour")" ]; then
		apt-get update -qq >&2 || true
	fi
	package=$(guest_depends "linux-image-$flavour" linux-image- | head -n 1)
	if [ -n "$package" ]; then
		version=$(apt-cache "${guest_apt[@]}" policy "$package" | awk '$1 == "Candidate:" { print $2 }')
		dir=$cache/${package}_$version
		if [ "$flavour" != "$1" ]; then
			headers=("linux-headers-${package#linux-image-}")
			headers+=($(guest_depends "${headers[0]}" linux-headers-) $(guest_depends "${headers[0]}" linux-kbuild-))
		fi
		# One at a time; a folder that is there is whole.
		(
			flock 9
			[ ! -d "$dir" ] || exit 0
			rm -rf "$dir.new"
			mkdir "$dir.new"
			guest_unpack "$dir.new" "$package" "${headers[@]}" || exit 1
			mv "$dir.new" "$dir"
		) 9>"$guest_cache/lock" || dir=
	fi
	if [ -z "$dir" ]; then
		dir=$(find "$cache" -maxdepth 1 -name "linux-image-*[0-9]-${flavour}_*" ! -name '*.new' | sort -V | tail -n 1)
		[ -n "$dir" ] || return 1
	fi
	guest_kernel_dir=$dir
	guest_release=$(cd "$dir/lib/modules" && echo *)
	guest_headers=/usr/src/linux-headers-$guest_release
	[ "$flavour" = "$1" ] || guest_headers=$dir$guest_headers
}

# guest_root DIR INIT: an empty root with busybox's applets; INIT is the first program.
guest_root() {
	local applet
	guest_dir=$1
	rm -rf "$guest_dir"
	mkdir -p "$guest_dir"/{bin,etc,proc,sys,dev,tmp,mnt,root,lib}
	ln -s bin "$guest_dir/sbin"
	cp /bin/busybox "$guest_dir/bin/"
	for applet in $(/bin/busybox --list); do
		ln -s busybox "$guest_dir/bin/$applet" 2>/dev/null || true
	done
	printf 'root:x:0:0:root:/tmp:/bin/sh\n' >"$guest_dir/etc/passwd"
	ln -s /proc/mounts "$guest_dir/etc/mtab"
	cp "$2" "$guest_dir/init"
	chmod +x "$guest_dir/init"
}

# guest_program NAME|PATH...: programs of this machine, with their libraries, to /bin, over applets of the same name.
guest_program() {
	local program path lib
	for program; do
		path=$(PATH=$PATH:/sbin:/usr/sbin command -v "$program") || {
			echo "${0##*/}: no program $program on this machine" >&2
			return 1
		}
		rm -f "$guest_dir/bin/${program##*/}"
		cp -L "$path" "$guest_dir/bin/"
		for lib in $(ldd "$path" 2>/dev/null | grep -o '/[^ ]*'); do
			mkdir -p "$guest_dir$(dirname "$lib")"
			[ -e "$guest_dir$lib" ] || cp -L "$lib" "$guest_dir$lib"
		done
	done
}

# guest_modules NAME...: modules of the kernel, with what they depend on, for modprobe.
guest_modules() {
	local base=$guest_kernel_dir/lib/modules/$guest_release dir=$guest_dir/lib/modules/$guest_release file
	[ -f "$base/modules.dep" ] || depmod -b "$guest_kernel_dir" "$guest_release"
	mkdir -p "$dir"
	cp "$base"/modules.{order,builtin,builtin.modinfo} "$dir/"
	for file in $(modprobe -d "$guest_kernel_dir" -S "$guest_release" -C /dev/null -a --show-depends "$@" |
		awk '$1 == "insmod" { print $2 }' | sort -u); do
		mkdir -p "$dir/$(dirname "${file#"$base/"}")"
		cp "$file" "$dir/${file#"$base/"}"
	done
	depmod -b "$guest_dir" "$guest_release"
}

# guest_pack FILE: the initramfs.
guest_pack() {
	(cd "$guest_dir" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$1"
}

# guest_boot SECONDS INITRD COMMAND-LINE QEMU-OPTION...: returns when the machine has stopped, at the latest after so
# many seconds (then 124 or 137). Each virtual CPU is a thread.
guest_boot() {
	local limit=$1 initrd=$2 append=$3
	shift 3
	timeout -k 10 "$limit" qemu-system-x86_64 -cpu max -accel tcg,thread=multi -nodefaults -no-reboot -display none \
		-kernel "$guest_kernel_dir/boot/vmlinuz-$guest_release" -initrd "$initrd" \
		-append "$append" "$@" </dev/null
}

# guest_disk FILE BYTES [OPTION...]: prints QEMU's options for a virtio disk on a new sparse file.
guest_disk() {
	local file=$1 bytes=$2 id
	id=$(basename "$file" | tr -c 'a-z0-9\n' -)
	shift 2
	rm -f "$file"
	truncate -s "$bytes" "$file"
	echo "-drive file=$file,if=none,id=$id,format=raw,cache=unsafe,discard=unmap" \
		"-device virtio-blk-pci,drive=$id${1:+,$1}"
}
