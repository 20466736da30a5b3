# ./demo bench: a suite's figures, each beside what a bare client gets from the same Kafka in the same run. The suite has
# ports and data of its own. Sourced by demo.
# shellcheck shell=bash

# [1, 2, 9] | spread: {median: 2, min: 1, max: 9}, to a hundredth
# shellcheck disable=SC2016
JQ_SPREAD='def spread: sort | {median: .[length / 2 | floor], min: .[0], max: .[-1]} | map_values(. * 100 | round / 100);'

BENCHES="flood latency ratings positions lens streams"

bench_program() { # bench_program NAME ARGUMENT…   In a subshell, whose process it becomes.
    look_from_outside
    exec "$BUILD_DIR/bench/$1" "${@:2}"
}

cpu_ms() { # cpu_ms PID: all that it has used so far
    local fields
    read -ra fields <<<"$(sed 's/.*) //' "/proc/$1/stat")"
    echo $(((fields[11] + fields[12]) * 1000 / $(getconf CLK_TCK)))
}

peak_rss() { # peak_rss PID
    awk '/VmHWM/ { print $2 * 1024 }' "/proc/$1/status"
}

# Requests that are in the log before anybody decides; CPU time tells more than the clock on a busy machine.
flood_ours() { # flood_ours COUNT
    local name key flood result written keys=() cpu used kafka
    for name in orders inventory fraud order-details; do
        # shellcheck disable=SC2207
        keys+=($(chosen "$name")) || exit
    done
    for key in "${keys[@]}"; do stop_process "$key" 20; done
    coproc flood { bench_program flood --hold --count "$1" --json; }
    result=${flood[0]}
    read -r -u "$result" written && [ "$written" = written ] || return
    kafka=$(process_id kafka-0)
    used=$(cpu_ms "$kafka")
    for key in "${keys[@]}"; do rm -f "$RUN/$key/down" && launch "$key"; done
    exec {flood[1]}>&-
    result=$(cat <&"$result") && [ -n "$result" ] || return
    cpu=$(jq -n --arg name kafka --argjson ms $(($(cpu_ms "$kafka") - used)) '{($name): $ms}')
    for key in "${keys[@]}"; do
        cpu=$(jq --arg name "$key" --argjson ms "$(cpu_ms "$(process_id "$key")")" '.[$name] = $ms' <<<"$cpu")
    done
    jq --argjson cpu "$cpu" '{perSecond, orders, cpuMicrosecondsPerOrder: (.orders as $n | $cpu | map_values(. * 1000 / $n)),
        peakRssBytes: (.services | map({(.name): .peakRssBytes}) | add)}' <<<"$result"
}

bench_flood() { # bench_flood COUNT
    local ours
    ours=$(flood_ours "$1") || return
    bench_program peer produce --count "$1" | jq --argjson ours "$ours" '{
            name: "flood", unit: "orders/s", value: $ours.perSecond, peer: "an idempotent producer, records/s",
            peerValue: .perSecond, ratio: ($ours.perSecond / .perSecond)} + ($ours | del(.perSecond, .orders))'
}

STREAMS=$ROOT/bench/peers/streams

# Kafka Streams with the four checks; as install_jars.
install_streams() {
    local new
    STREAMS_DIR=$CACHE/streams-$(cat "$STREAMS"/{pom.xml,jars.sha256,Peer.java} | sha256sum | cut -c 1-12)
    [ ! -d "$STREAMS_DIR" ] || return 0
    new=$STREAMS_DIR.new
    install_programs mvn:maven javac:default-jdk-headless
    rm -rf "$new"
    step "fetching Kafka Streams" mvn -q -B -ntp -Dstyle.color=never -f "$STREAMS/pom.xml" package "-Ddest=$new"
    (cd "$new" && sha256sum --quiet --strict -c "$STREAMS/jars.sha256") || die "the jars are not those of $STREAMS/jars.sha256"
    javac -d "$new/classes" -cp "$new/lib/*" "$STREAMS/Peer.java"
    rm -rf "$new/target"
    mv "$new" "$STREAMS_DIR"
}

# The same flood for Kafka Streams, which begins when all is written, as ours did.
flood_streams() { # flood_streams COUNT
    local dir=$DATA_DIR/streams go says line pid flood result used kafka
    mkdir -p "$dir"
    rm -f "$dir"/{go,says}
    mkfifo "$dir"/{go,says}
    (look_from_outside
     export STATE_DIR=$dir/state
     exec java -Xms1g -Xmx1g -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$STREAMS_DIR/classes:$STREAMS_DIR/lib/*" Peer) \
        <"$dir/go" >"$dir/says" 2>>"$dir/log" &
    pid=$!
    exec {go}>"$dir/go" {says}<"$dir/says"
    if read -r -u "$says" line && [ "$line" = topics ]; then
        coproc flood { bench_program flood --peer --hold --count "$1" --json --timeout 900; }
        result=${flood[0]}
        if read -r -u "$result" line && [ "$line" = written ]; then
            kafka=$(process_id kafka-0)
            used=$(cpu_ms "$kafka")
            echo >&"$go"
            exec {flood[1]}>&-
            result=$(cat <&"$result")
            [ -z "$result" ] || jq --argjson kafka $(($(cpu_ms "$kafka") - used)) --argjson streams "$(cpu_ms $pid)" \
                --argjson rss "$(peak_rss $pid)" '{perSecond, orders, peakRssBytes: {streams: $rss},
                cpuMicrosecondsPerOrder: {kafka: ($kafka * 1000 / .orders), streams: ($streams * 1000 / .orders)}}' <<<"$result"
        fi
    fi
    exec {go}>&- {says}<&-
    wait $pid || tail -n 20 "$dir/log" >&2
}

# Ours and Kafka Streams, in turns.
bench_streams() { # bench_streams COUNT TURNS
    local turn ours theirs turns=
    for ((turn = 0; turn < $2; turn++)); do
        ours=$(flood_ours "$1") && theirs=$(flood_streams "$1") && [ -n "$theirs" ] || return
        turns+=$(jq -n --argjson ours "$ours" --argjson theirs "$theirs" '{ours: $ours, theirs: $theirs}')
    done
    jq -s --arg audit "$(bench_audit)" "$JQ_SPREAD"'
        def cpu: .cpuMicrosecondsPerOrder | add;
        {name: "streams", unit: "orders/s", value: (map(.ours.perSecond) | spread.median),
        peer: "Kafka Streams with the same checks, exactly once, on the same Kafka",
        peerValue: (map(.theirs.perSecond) | spread.median), ratio: (map(.ours.perSecond / .theirs.perSecond) | spread.median),
        turns: length, perSecondRatio: (map(.ours.perSecond / .theirs.perSecond) | spread),
        perSecond: (map(.ours.perSecond) | spread), peerPerSecond: (map(.theirs.perSecond) | spread),
        cpuRatio: (map((.ours | cpu) / (.theirs | cpu)) | spread),
        cpuMicrosecondsPerOrder: .[-1].ours.cpuMicrosecondsPerOrder,
        peerCpuMicrosecondsPerOrder: .[-1].theirs.cpuMicrosecondsPerOrder,
        peakRssBytes: .[-1].ours.peakRssBytes, peerPeakRssBytes: .[-1].theirs.peakRssBytes, audit: $audit}' <<<"$turns"
}

bench_audit() { # its last line
    (look_from_outside; "$BUILD_DIR/tests/audit" --wait) | tail -n 1
}

# Ours, then three bare transactions, and again: what is compared was measured within a minute.
bench_latency() { # bench_latency COUNT TURNS
    local turn ours wide turns=
    for ((turn = 0; turn < $2; turn++)); do
        ours=$(bench_program latency --count "$1" --json) && wide=$(bench_program peer wide --count "$1") || return
        turns+=$(bench_program peer chain --count "$1" |
            jq --argjson paces "$ours" --argjson wide "$wide" '{bare: ., paces: $paces} + $wide') || return
    done
    jq -s "$JQ_SPREAD"'
        map(.alone = .paces[0].outcomeMs) as $turns | {
        name: "latency", unit: "ms from POST to the outcome, one at a time, p50",
        value: ($turns | map(.alone.p50) | spread.median),
        peer: "three bare transactions, one after the other", peerValue: ($turns | map(.bare.p50) | spread.median),
        ratio: ($turns | map(.alone.p50 / .bare.p50) | spread.median), turns: ($turns | length),
        oneAtATime: {p50: ($turns | map(.alone.p50) | spread), p99: ($turns | map(.alone.p99) | spread),
            p50ToBare: ($turns | map(.alone.p50 / .bare.p50) | spread),
            p99ToBare: ($turns | map(.alone.p99 / .bare.p99) | spread)},
        bareOverTwelvePartitionsToOne: {p50: ($turns | map(.wide.p50 / .narrow.p50) | spread),
            p99: ($turns | map(.wide.p99 / .narrow.p99) | spread)}}
        + ([range(1; $turns[0].paces | length) as $i | {key: "at\($turns[0].paces[$i].rate)PerSecond", value: {
            p50: ($turns | map(.paces[$i].outcomeMs.p50) | spread), p99: ($turns | map(.paces[$i].outcomeMs.p99) | spread),
            p50ToOneAtATime: ($turns | map(.paces[$i].outcomeMs.p50 / .alone.p50) | spread),
            p99ToOneAtATime: ($turns | map(.paces[$i].outcomeMs.p99 / .alone.p99) | spread)}}] | from_entries)' <<<"$turns"
}

# Ratings that are in the log, counted by a process of the benchmark's own on a fresh view, while the suite's are stopped.
bench_ratings() { # bench_ratings COUNT
    local key keys result code=0
    # shellcheck disable=SC2207
    keys=($(chosen ratings)) || exit
    for key in "${keys[@]}"; do stop_process "$key" 20; done
    result=$(bench_program ratings --count "$1" --json) || code=$?
    for key in "${keys[@]}"; do rm -f "$RUN/$key/down" && launch "$key"; done
    [ $code = 0 ] || return $code
    jq '{name: "ratings", unit: "ratings/s, counted exactly once", value: .counted.perSecond,
        peer: "a bare consumer of the same records, records/s", peerValue: .counted.peerPerSecond,
        ratio: .counted.ratio, peakRssBytes: .counted.peakRssBytes, cpuMicrosecondsPerRating: .cpuMicrosecondsPerRating,
        hydrated: .hydrated}' <<<"$result"
}

# Cars that report once a second each, into the topic; a bare consumer reads along. Then the same over HTTP.
bench_positions() { # bench_positions CARS
    local peer follower result http
    peer=$(mktemp)
    bench_program peer follow driver-positions >"$peer" &
    follower=$!
    result=$(bench_program positions --cars "$1" --json)
    kill $follower && wait $follower
    http=$(bench_program positions --cars "$1" --http --json)
    [ -n "$result" ] && [ -n "$http" ] || return
    jq --argjson topic "$result" --argjson http "$http" '
        def cpu: .processes | map({(.name): .cpuPercent}) | add;
        ($topic | cpu.driver) as $driver | (.cpuMicroseconds * $topic.perSecond / 10000) as $bare | {
        name: "positions", unit: "% of a core, driver, with \($topic.cars) reports a second", value: $driver,
        peer: "a bare consumer of the same records", peerValue: $bare, ratio: ($driver / $bare),
        cpuPercent: ($topic | cpu), rssBytes: ($topic.processes | map({(.name): .rssBytes}) | add),
        http: {perSecond: $http.perSecond, lost: $http.lost, cpuPercent: ($http | cpu), acceptedMs: $http.acceptedMs}}' <"$peer"
    rm -f "$peer"
}

# Milliseconds of requests to the lens, one after the other, as {p50, max}; the paths come from standard input.
lens_ms() {
    while read -r path; do
        curl -sf -o /dev/null -w '%{time_total}\n' "http://127.0.0.1:$(ports_of lens-0)$path" || return
    done | jq -s 'sort | {p50: (.[length / 2 | floor] * 1000), max: (.[-1] * 1000)}'
}

# A log of so many ratings: the first page of a partition, jumps in it, a key's story; beside an empty answer.
bench_lens() { # bench_lens COUNT
    local topic=/v1/log/topics/raw-ratings/0 n end first last peer page offset time story rss
    "$ROOT/demo" load ratings --direct --rate 50000 --count "$1" >&2 || return
    for ((n = 0; n < 900; n++)); do # until its index has it all
        [ "$(curl -s "http://127.0.0.1:$(ports_of lens-0)/v1/log/keys/1" | jq .complete)" != true ] || break
        sleep 1
    done
    read -r end first last < <(curl -s "http://127.0.0.1:$(ports_of lens-0)$topic?from=first&limit=1" |
        jq -r '"\(.end) \(.records[0].timestamp)"' | tr '\n' ' ' && date +%s%3N)
    peer=$(seq 50 | sed "s|.*|/livez|" | lens_ms) &&
        page=$(seq 50 | sed "s|.*|$topic|" | lens_ms) &&
        offset=$(shuf -n 50 -i "0-$((end - 100))" | sed "s|^|$topic?from=|" | lens_ms) &&
        time=$(shuf -n 50 -i "0-$((last - first))" | awk -v first="$first" -v topic="$topic" '{ printf "%s?from=@%.0f\n", topic, first + $1 }' | lens_ms) &&
        story=$(seq 50 | sed 's|^|/v1/log/keys/|' | lens_ms) || return
    rss=$(awk '/VmHWM/ { print $2 * 1024 }' "/proc/$(process_id lens-0)/status")
    jq -n --argjson peer "$peer" --argjson page "$page" --argjson offset "$offset" --argjson time "$time" --argjson story "$story" \
        --argjson rss "$rss" --argjson count "$1" '{
        name: "lens", unit: "ms for the first page of \($count) records, p50", value: $page.p50,
        peer: "an empty answer of the same service", peerValue: $peer.p50, ratio: ($page.p50 / $peer.p50),
        pageMs: $page, offsetMs: $offset, timeMs: $time, storyMs: $story, peakRssBytes: $rss}'
}

command_bench() {
    local name json=0 count= turns=5 names=() results=
    while (($#)); do
        case $1 in
        --json) json=1 ;;
        --count)
            [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage_error "--count takes a number"
            count=$2 && shift
            ;;
        --turns)
            [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage_error "--turns takes a number"
            turns=$2 && shift
            ;;
        *)
            [[ " $BENCHES " == *" $1 "* ]] || usage_error "unknown benchmark '$1'; there are: $BENCHES"
            names+=("$1")
            ;;
        esac
        shift
    done
    # What is shown is not part of the result.
    install_all >&2
    [[ " ${names[*]-} " != *" streams "* ]] || install_streams >&2
    build_suite >&2
    stand_apart
    export SIMULATE=0 OBSERVE=0
    step "starting a suite for the benchmarks" "$ROOT/demo" up >&2
    lock
    for name in ${names[@]+"${names[@]}"} $([ ${#names[@]} != 0 ] || echo "${BENCHES% streams}"); do
        case $name in
        flood) results+=$(bench_flood "${count:-200000}") || die "flood failed" ;;
        ratings) results+=$(bench_ratings "${count:-2000000}") || die "ratings failed" ;;
        latency) results+=$(bench_latency "${count:-300}" "$turns") || die "latency failed" ;;
        positions) results+=$(bench_positions "${count:-5000}") || die "positions failed" ;;
        streams) results+=$(bench_streams "${count:-200000}" "$turns") || die "streams failed" ;;
        lens) results+=$(bench_lens "${count:-10000000}") || die "lens failed" ;;
        esac
    done
    if [ $json = 1 ]; then
        jq -s . <<<"$results"
        return
    fi
    jq -r '"\(.name): \(.value * 10 | round / 10) \(.unit); \(.peer): \(.peerValue * 10 | round / 10); ratio \(.ratio * 1000 | round / 1000)",
        (del(.name, .unit, .value, .peer, .peerValue, .ratio) | to_entries[] | "  \(.key): \(.value | tojson)")' <<<"$results"
}
