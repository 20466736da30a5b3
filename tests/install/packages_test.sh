#!/usr/bin/env bash
# Makes the Debian packages of BUILD: their Depends are installed here and name each other, and out of an empty root the
# services run, and the example of this directory is made.
# usage: packages_test.sh BUILD GENERATOR CC CFLAGS
set -euo pipefail
build=$1 generator=$2 compiler=$3 cflags=$4
here=$(dirname "$(readlink -f "$0")")
work=$build/packages_test root=$build/packages_test/root
rm -rf "$work"
mkdir -p "$work" "$root"

fail() {
    echo "packages_test: $*" >&2
    exit 1
}

cpack --config "$build/CPackConfig.cmake" -B "$work/made" >"$work/cpack.log" 2>&1 || fail "$(cat "$work/cpack.log")"
packages=("$work"/made/*.deb)
[ ${#packages[@]} = 3 ] || fail "made ${packages[*]}"

# What would be installed with them: nothing.
would=$(apt-get -q --simulate --no-remove -o APT::Get::AllowUnauthenticated=1 install "${packages[@]}" | sed -n 's/^Inst //p' | cut -d ' ' -f 1 | sort)
[ "$would" = "$(printf '%s\n' insideout-services libinsideout libinsideout-dev)" ] || fail "would install: $would"
for package in insideout-services libinsideout-dev; do
    ! apt-get -q --simulate install "$work/made/${package}"_*.deb >/dev/null 2>&1 || fail "$package does without libinsideout"
done

for package in "${packages[@]}"; do dpkg-deb -x "$package" "$root"; done
while IFS=$'\t' read -r name binary _; do
    [[ $name == \#* ]] || diff <("$root/usr/libexec/insideout/$name" --topology) <("$build/$binary" --topology) || fail "$name differs"
done <"$here/../../services/services.tsv"
library=$(ldd "$root/usr/libexec/insideout/orders" | sed -n 's/.*librdkafka.so.1 => \(.*\) (.*/\1/p')
[ "$(readlink -f "$library")" = "$root/usr/lib/insideout/librdkafka/lib/librdkafka.so.1" ] || fail "runs on another librdkafka: $library"

cmake -S "$here" -B "$work/build" -G "$generator" -DCMAKE_PREFIX_PATH="$root/usr" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$cflags"
cmake --build "$work/build"
grep -qF "insideout_DIR:PATH=$root/" "$work/build/CMakeCache.txt" || fail "found another insideout"
"$work/build/page_views"
