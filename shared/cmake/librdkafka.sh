#!/usr/bin/env bash
# Builds librdkafka, pinned and checked, into the cache outside the tree; nothing to do where it is there.
# usage: librdkafka.sh [--prefix]     --prefix: only says where it is, or will be.
#
# Why not the distribution's: the runtime needs fixes up to 2.10.1 (Debian 12 has 2.0.2, Debian 13 2.8.0).
# Why from npm: the package of Confluent's JavaScript client carries the complete source of the C library, and
# comes from a registry with immutable versions. librdkafka.patch says what it mends.
set -euo pipefail

BUILD=2.15.1-12 # version and patch; another number where either changes
PACKAGE=@confluentinc/kafka-javascript@1.10.1
SHA256=ada7d703bb1d3237e2292bfabf438d663b6160c9f1ac2a2406b5dc4257c81b66

# Of root's the whole machine's: what root starts runs as users who may not look into its home.
if [ "$(id -u)" = 0 ]; then cache=/var/cache; else cache=$HOME/.cache; fi
cache=${XDG_CACHE_HOME:-$cache}/insideout
prefix=$cache/librdkafka-$BUILD
[ "${1-}" != --prefix ] || { echo "$prefix" && exit; }
[ -e "$prefix/lib/librdkafka.so.1" ] && exit

here=$(dirname "$(readlink -f "$0")")
mkdir -p "$cache"
work=$(mktemp -d "$cache/librdkafka.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
# npm brings certificates of its own; a machine may trust more.
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
tarball=$(npm pack --loglevel error --fetch-timeout 60000 --ignore-scripts "$PACKAGE")
echo "$SHA256  $tarball" | sha256sum --quiet --strict -c || {
    echo "$PACKAGE is not what it was: sha256 $(sha256sum "$tarball" | cut -d ' ' -f 1), expected $SHA256" >&2
    exit 1
}
tar -xzf "$tarball" package/deps/librdkafka
cd package/deps/librdkafka
patch -s -p1 <"$here/librdkafka.patch"
# It is built for its final place, but put there by one rename, so that an interrupted build leaves no half.
./configure --disable-gssapi --disable-lz4-ext --disable-c11threads --prefix="$prefix" >/dev/null
make -s -j"$(nproc)" -C src
make -s -C src install DESTDIR="$work/root"
strip --strip-debug "$work/root$prefix"/lib/librdkafka.so.1
rm -rf "$prefix"
mv "$work/root$prefix" "$prefix"
