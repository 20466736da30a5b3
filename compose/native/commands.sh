# Every command but `up`. Sourced by demo.
# shellcheck shell=bash

command_config() { print_settings; }

# Whoever uses services, then they, then what they use: each may still write its last words.
command_down() {
    local key services=() rest=()
    [ -d "$DATA_DIR" ] || return 0
    is_our_data || die "$DATA_DIR is not a directory of this suite: nothing of it runs there"
    lock
    # shellcheck disable=SC2046
    end_processes 5 $(instances_of simulator) $(instances_of prometheus) $(instances_of control)
    for key in $(all_keys); do
        if is_infrastructure "${key%-*}"; then rest+=("$key"); else services+=("$key"); fi
    done
    end_processes 12 ${services[@]+"${services[@]}"}
    # shellcheck disable=SC2046
    end_processes 20 $(instances_of connect) # its last word is a question to Kafka
    end_processes 20 ${rest[@]+"${rest[@]}"}
    rm -rf "$RUN"
    say "stopped"
}

command_reset() {
    [ -e "$DATA_DIR" ] || { say "there is no data in $DATA_DIR" && return; }
    is_our_data || die "$DATA_DIR is not a directory of this suite: nothing is deleted"
    command_down
    has_own_kafka || say "what is in the Kafka at $(brokers) stays: topics, groups; $BUILD_DIR/schemas/topics delete deletes the suite's topics"
    has_own_connect || say "what is in the Kafka Connect at $CONNECT_URL stays: its connector, legacy"
    has_own_registry || say "what is in the registry at $(registry_url) stays"
    rm -rf "$DATA_DIR"/{kafka,registry,postgres,connect,gateway,control,prometheus,programs,views,secrets,log,lock,.insideout}
    rmdir "$DATA_DIR" 2>/dev/null || true # what else is there is not ours
    say "all data is deleted"
}

command_status() {
    local name key pid ports rss state kind json=0 page rows=
    [ "${1-}" != --json ] || { json=1 && shift; }
    [ $# = 0 ] || usage_error "usage: ./demo status [--json]"
    page=$(getconf PAGESIZE)
    for name in "${INFRASTRUCTURE[@]}" "${SERVICES[@]}"; do
        kind=infrastructure
        is_service "$name" && kind=service
        for key in $(instances_of "$name"); do
            state=$(state_of "$key") pid=$(process_id "$key") rss=0
            read -r ports _ <<<"$(ports_of "$key")"
            [ -z "$pid" ] || { read -r _ rss _ <"/proc/$pid/statm" && rss=$((rss * page)); } 2>/dev/null || rss=0
            rows+=$name$'\t'$kind$'\t'${key##*-}$'\t'$state$'\t'${pid:--}$'\t'$ports$'\t'$rss$'\t'$DATA_DIR/log/$key/current$'\n'
        done
    done
    if [ $json = 1 ]; then
        printf %s "$rows" | jq -Rn '[inputs | split("\t") | {name: .[0], kind: .[1], instance: (.[2] | tonumber), state: .[3],
            pid: (.[4] | if . == "-" then null else tonumber end), port: (.[5] | tonumber), rss_bytes: (.[6] | tonumber), log: .[7]}]'
        return
    fi
    printf '%-14s %-15s %2s  %-9s %7s %6s %9s  %s\n' NAME KIND N STATE PID PORT RSS LOG
    printf %s "$rows" | awk -F '\t' '{ printf "%-14s %-15s %2s  %-9s %7s %6s %6.1f MB  %s\n", $1, $2, $3, $4, $5, $6, $7 / 1048576, $8 }'
    for key in $(all_keys); do
        [ "$(state_of "$key")" != failed ] || echo "$key: $(why_not_ready "$key")"
    done
    if [ -n "$(process_id postgres-0)" ]; then
        has_own_connect || echo "connect at $CONNECT_URL: $(connector_state)"
        legacy_query 'SELECT problem FROM insideout.problems' 2>/dev/null | sed 's/^/legacy data: /' || true
    fi
}

# The instances meant by NAME [N]: one, or all there are; an error where there are none.
chosen() { # chosen NAME [N]
    local keys
    known "$1"
    keys=$(instances_of "$1")
    [ -n "$keys" ] || die "$1 is not there: ./demo up $1"
    [ -z "${2-}" ] || keys=$(grep -xF "$1-$2" <<<"$keys") || usage_error "$1 has no instance $2"
    echo "$keys"
}

# Lines of services as people read them, others without the supervisor's time.
for_people() {
    exec jq --unbuffered -Rr --arg plain "${NO_COLOR-}" '
        def colour(code): if $plain == "" then "\u001b[\(code)m\(.)\u001b[0m" else . end;
        (capture("^\\S+ (?<rest>.*)").rest // .) as $line
        | try ($line | fromjson | "\(.time[11:23]) \(.level + " " * (5 - (.level | length))) \(.service)-\(.instance)" as $head
            | ($head | if .[13:17] == "warn" then colour("33") elif .[13:18] == "error" then colour("31") else colour("2") end)
            + "  " + (.message | gsub("[[:cntrl:]]"; " "))
            + (if .trace_id then "  trace \(.trace_id)" | colour("2") else "" end))
        catch $line'
}

command_logs() {
    local keys key files=()
    [ $# = 1 ] || usage_error "usage: ./demo logs SERVICE"
    known "$1"
    for key in "$DATA_DIR/log/$1"-[0-9]*; do [ -e "$key/current" ] && files+=("$key/current"); done
    [ ${#files[@]} -gt 0 ] || die "$1 has not logged anything yet"
    [ -t 1 ] || exec tail -n 50 -F "${files[@]}"
    tail -q -n 50 -F "${files[@]}" 2>/dev/null | for_people
}

command_kill() {
    local keys key pid
    [[ $# == 1 || $# == 2 ]] || usage_error "usage: ./demo kill SERVICE [INSTANCE]"
    keys=$(chosen "$@") || exit
    read -r key <<<"$keys"
    pid=$(process_id "$key")
    [ -n "$pid" ] || die "$key does not run"
    kill -KILL "$pid"
    say "killed $key (pid $pid)"
}

command_stop() {
    local keys key
    [[ $# == 1 || $# == 2 ]] || usage_error "usage: ./demo stop SERVICE [INSTANCE]"
    keys=$(chosen "$@") || exit
    lock
    for key in $keys; do touch "$RUN/$key/down"; done
    refresh_gateway # first: nobody is sent to who goes
    for key in $keys; do
        stop_process "$key" 20
        say "stopped $key"
    done
}

command_start() {
    local keys key
    [[ $# == 1 || $# == 2 ]] || usage_error "usage: ./demo start SERVICE [INSTANCE]"
    keys=$(chosen "$@") || exit
    lock
    for key in $keys; do
        rm -f "$RUN/$key/down"
        launch "$key"
    done
    refresh_gateway
    case $1 in connect | postgres) reconnect ;; esac
    # shellcheck disable=SC2086
    TELL=1 wait_ready 120 $keys
}

# A database that came back may be another one.
reconnect() {
    local key
    for key in connect-0 postgres-0 registry-0 kafka-0; do
        is_ours "${key%-0}" || continue
        [ -n "$(process_id "$key")" ] || return 0
    done
    # shellcheck disable=SC2046
    wait_ready 120 postgres-0 $(! has_own_registry || echo registry-0) || return
    register_connector
}

# Where the suite runs in containers (compose/compose.yaml). Fails where it does not.
scale_containers() { # scale_containers SERVICE N
    local compose=(docker compose) n=$2
    docker compose version >/dev/null 2>&1 || compose=(docker-compose)
    compose+=(-f "$ROOT/compose/compose.yaml")
    [ -n "$("${compose[@]}" ps -q "$1" 2>/dev/null)" ] || return
    [ -z "$("${compose[@]}" ps -q "$1-2" 2>/dev/null)" ] || n=$((n > 1 ? n - 1 : 1)) # the cluster's second one
    step "$2 instances of $1, in containers" "${compose[@]}" up -d --no-deps --no-recreate --scale "$1=$n" "$1"
}

command_scale() {
    local slot key keys=() surplus=() failed=0
    [[ $# == 2 && $2 =~ ^([1-9]|10)$ ]] && is_service "$1" || usage_error "usage: ./demo scale SERVICE N, with N from 1 to 10"
    [ -n "$(instances_of "$1")" ] || ! scale_containers "$@" || return 0
    [ -n "$(instances_of "$1")" ] || die "$1 is not there: ./demo up $1"
    lock
    for ((slot = 0; slot < $2; slot++)); do
        rm -f "$RUN/$1-$slot/down"
        launch "$1-$slot"
        keys+=("$1-$slot")
    done
    for key in $(instances_of "$1"); do
        ((${key##*-} < $2)) || surplus+=("$key")
    done
    TELL=1 wait_ready 120 "${keys[@]}" || failed=1
    for key in ${surplus[@]+"${surplus[@]}"}; do touch "$RUN/$key/down"; done
    refresh_gateway # only who is ready is sent requests, and nobody to who goes
    end_processes 14 ${surplus[@]+"${surplus[@]}"}
    for key in ${surplus[@]+"${surplus[@]}"}; do rm -rf "${RUN:?}/$key"; done
    return $failed
}

# The sum of a counter over its labels, from a service's /metrics; 0 where it does not answer.
metric() { # metric KEY NAME
    get "http://127.0.0.1:$(ports_of "$1")/metrics" | awk -v name="$2" '$1 ~ "^" name "({|$)" { sum += $2 } END { printf "%d", sum }' || true
}

command_rewind() {
    local keys key from
    [ $# = 1 ] && is_service "$1" || usage_error "usage: ./demo rewind SERVICE"
    keys=$(chosen "$1") || exit
    lock
    for key in $keys; do
        stop_process "$key" 12
        rm -rf "$DATA_DIR/views/$key"
        from=${EPOCHREALTIME/./}
        start_process "$key"
        wait_ready 300 "$key" || exit 1
        printf '%s: %s events in %ss\n' "$key" "$(metric "$key" "insideout_(restored|hydrated)_records_total")" \
            "$(printf '%.2f ' "$(((${EPOCHREALTIME/./} - from) / 10000))e-2")"
    done
}

# It runs a tenth of the time: stopped, and let go on, ten times a second.
command_slow() {
    local keys key pid until nothing
    [[ ($# == 1 || $# == 2) && ${2-20} =~ ^[1-9][0-9]{0,2}$ ]] && is_service "$1" || usage_error "usage: ./demo slow SERVICE [SECONDS]"
    keys=$(chosen "$1") || exit
    until=$((SECONDS + ${2-20}))
    # shellcheck disable=SC2064,SC2086
    trap "$(for key in $keys; do echo "signal_process CONT $key;"; done)" EXIT
    trap 'exit 130' INT TERM
    exec {nothing}<> <(:) # a wait that needs no process
    while [ $SECONDS -lt $until ]; do
        for key in $keys; do signal_process STOP "$key"; done
        read -rt 0.09 -u "$nothing" || true
        for key in $keys; do signal_process CONT "$key"; done
        read -rt 0.01 -u "$nothing" || true
    done
    say "$1 was slow for ${2-20} s"
}

# To whoever is it now, if it runs: it may be killed and started again meanwhile.
signal_process() { # signal_process SIGNAL KEY
    local pid
    { read -r pid <"$RUN/$2/supervise/pid" && kill "-$1" "$pid"; } 2>/dev/null || true
}

command_poison() {
    [ $# = 1 ] || usage_error "usage: ./demo poison TOPIC"
    [ -x "$BUILD_DIR/bench/poison" ] || die "bench/poison is not built: ./demo up"
    look_from_outside
    exec "$BUILD_DIR/bench/poison" "$1"
}

# Where the suite is, for programs that use it as anybody could.
look_from_outside() {
    local properties
    properties=$(properties_of tools) || exit
    eval "$properties"
    KAFKA_BROKERS=$(brokers) REGISTRY_URL=$(registry_url)
    export KAFKA_BROKERS REGISTRY_URL GATEWAY_URL=http://127.0.0.1:$PORT \
        LEGACY_URL=postgresql://legacy:legacy@127.0.0.1:$POSTGRES_PORT/legacy
}

command_load() {
    [ -x "$BUILD_DIR/bench/load" ] || die "bench/load is not built: ./demo up"
    look_from_outside
    exec "$BUILD_DIR/bench/load" "$@"
}

command_audit() {
    [ -x "$BUILD_DIR/tests/audit" ] || die "tests/audit is not built: ./demo up"
    look_from_outside
    exec "$BUILD_DIR/tests/audit" "$@"
}

TEST_LABELS="unit component simulation e2e browser faults fuzz compose workshop soak sanitizers hostile secure"
LONG_LABELS="soak|sanitizers|hostile" # only by name

# Moves every port to where nobody listens, below those that the kernel gives to clients.
move_ports() {
    local name shift free
    for ((shift = 20000; shift < 22000; shift += 160)); do
        free=1
        for name in "${SETTINGS[@]}"; do
            [ "${SETTING_TYPE[$name]}" != port ] || ! is_open $((${!name} % 10000 + shift)) || free=0
        done
        [ $free = 0 ] || break
    done
    [ $free = 1 ] || die "no ports are free for the tests"
    for name in "${SETTINGS[@]}"; do
        [ "${SETTING_TYPE[$name]}" != port ] || printf -v "$name" %s $((${!name} % 10000 + shift))
    done
}

# What tests and benchmarks start has a Kafka, a registry and a Connect of its own.
stay_home() {
    local name
    for name in KAFKA_BROKERS {REGISTRY,CONNECT}_{URL,AUTH,CA_FILE} IDENTITIES_DIR; do
        printf -v "$name" ''
        export -n "${name?}"
    done
    for name in "${!PROPERTY[@]}"; do unset "$name" "PROPERTY[$name]"; done
}

# What follows has ports and data of its own; a suite that it starts there is taken down at the end.
stand_apart() {
    local data
    stay_home
    data=$(mktemp -d)
    move_ports
    DATA_DIR=$data RUN=$data/run
    # shellcheck disable=SC2064
    trap "unlock; '$ROOT/demo' reset >/dev/null 2>&1; rm -rf '$data'" EXIT
    trap 'exit 130' INT TERM
}

# Suites that tests start each have ports and data of their own (tests/e2e/suite.py); one whose test was killed is taken down.
stand_apart_each() {
    stay_home
    TMPDIR=$(mktemp -d)
    export TMPDIR
    chmod 711 "$TMPDIR" # a suite's users pass through
    trap take_down_rest EXIT
    trap 'exit 130' INT TERM
}

take_down_rest() {
    local data
    for data in "$TMPDIR"/*/.insideout; do
        [ ! -e "$data" ] || DATA_DIR=${data%/*} "$ROOT/demo" reset >/dev/null 2>&1 || true
    done
    rm -rf "$TMPDIR"
}

command_test() {
    local label pattern='' status=0 preset=dev runs='' labels=() which
    while (($#)); do
        if [ "$1" = --runs ]; then # the long form of the simulation, of faults, of fuzz
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage_error "--runs takes a number"
            runs=$2
            shift 2
        else
            labels+=("$1")
            shift
        fi
    done
    set -- "${labels[@]}"
    for label; do
        [[ " $TEST_LABELS " == *" $label "* ]] || usage_error "unknown label '$label'; there are: $TEST_LABELS"
        pattern+="|$label"
    done
    which=(-LE "^($LONG_LABELS)\$")
    [ $# = 0 ] || which=(-L "^(${pattern#|})\$")
    [ -z "$runs" ] || export SIMULATION_RUNS=$runs
    [[ -z $runs || " $* " != *" faults "* ]] || export FAULT_ROUNDS=$runs
    [[ -z $runs || " $* " != *" fuzz "* ]] || export FUZZ_RUNS=$runs
    install_all
    [[ $# -gt 0 && " $* " != *" unit "* && " $* " != *" e2e "* ]] || install_packages prometheus doxygen # for promtool, and the reference
    [[ $# -gt 0 && " $* " != *" unit "* ]] || install_format_tools
    [[ $# -gt 0 && " $* " != *" component "* ]] || install_packages dpkg-dev file # for cpack
    [[ $# -gt 0 && " $* " != *" browser "* ]] || install_browser
    [[ $# -gt 0 && " $* " != *" fuzz "* ]] || install_fuzzer
    [[ $# -gt 0 && " $* " != *" e2e "* ]] || install_mail_server
    [[ $# -gt 0 && " $* " != *" e2e "* ]] || install_api_tools
    [[ $# -gt 0 && " $* " != *" e2e "* ]] || install_collector
    [[ $# -gt 0 && " $* " != *" component "* ]] || install_manifest_tools
    [[ $# -gt 0 && ! " $* " =~ " "(e2e|faults|soak|browser|workshop|secure)" " ]] || build_suite
    build $preset
    stand_apart_each
    SCHEMATHESIS=$(python_tools_dir api)/bin/schemathesis API_PYTHON=$(python_tools_dir api)/bin/python
    FORMAT_TOOLS=$(python_tools_dir format) MANIFEST_TOOLS=$(python_tools_dir manifests) COLLECTOR=$(python_tools_dir collector)
    if [ -e "$COLLECTOR/complete" ]; then COLLECTOR+=/collector; else COLLECTOR=; fi
    export SCHEMATHESIS API_PYTHON FORMAT_TOOLS MANIFEST_TOOLS COLLECTOR
    ctest --test-dir "$ROOT/build/$preset" -j 2 --output-on-failure --no-tests=error "${which[@]}" || status=$?
    return $status
}
