#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the fuzz targets as OSS-Fuzz and ClusterFuzzLite want them: with $CC, $CXX, $CFLAGS, $CXXFLAGS and
# $LIB_FUZZING_ENGINE, in $WORK, into $OUT: TARGET, TARGET_seed_corpus.zip, TARGET.dict, and in lib/ the libraries that the
# machine which runs them lacks. ci/check-oss-fuzz tries it.
set -euo pipefail
cd -P "$(dirname "$0")/.."
: "${CC:?}" "${CXX:?}" "${CFLAGS?}" "${LIB_FUZZING_ENGINE:?}" "${OUT:?}" "${WORK:?}"

# shellcheck disable=SC2016 # $ORIGIN is the loader's.
cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_TESTING=OFF -DMULTISNAP_WERROR=OFF \
	-DMULTISNAP_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" -DCMAKE_BUILD_RPATH='$ORIGIN/lib' \
	-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
ninja -C "$WORK/build" fuzz

mkdir -p "$OUT/lib"
for folder in fuzz/corpus/*/; do
	target=$(basename "$folder")
	[ "$target" != empty ] || continue
	cp "$WORK/build/fuzz/$target" "$OUT/"
	(cd "$folder" && python3 -m zipfile -c "$OUT/${target}_seed_corpus.zip" ./*)
	[ ! -f "fuzz/$target.dict" ] || cp "fuzz/$target.dict" "$OUT/"
done
ldd "$OUT"/message | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
	grep -Ev '/(libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+)\.so' | xargs -I{} cp -L {} "$OUT/lib/"
