# ./demo bench: what bench/bench.py needs: a build, Kafka Streams, and ports and data for a suite of its own. Sourced by demo.
# shellcheck shell=bash

STREAMS=$ROOT/bench/peers/streams

# Kafka Streams with the four checks; as install_jars.
install_streams() {
    local new
    STREAMS_DIR=$CACHE/streams-$(cat "$STREAMS"/{pom.xml,jars.sha256,Peer.java} | sha256sum | cut -c 1-12)
    export STREAMS_DIR
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

command_bench() {
    local status=0
    # Who calls it wrongly is told at once.
    ! command -v python3 >/dev/null || python3 -B "$ROOT/bench/bench.py" --check "$@" || exit
    # What is shown is not part of the result.
    install_all >&2
    case " $* " in *" streams "* | *" restore "* | *" report "*) install_streams >&2 ;; esac
    build_suite >&2
    stand_apart
    python3 -B "$ROOT/bench/bench.py" "$@" || status=$?
    return $status
}
