# ./demo up. Sourced by demo.
# shellcheck shell=bash

# Which of the wanted processes to start, by the names given: none means all; a service brings the infrastructure.
wanted_names() { # wanted_names NAME…
    local name
    [ $# -gt 0 ] || { printf '%s\n' "${INFRASTRUCTURE[@]}" "${SERVICES[@]}" && return; }
    for name; do
        is_service "$name" && { printf '%s\n' "${INFRASTRUCTURE[@]}" "$@" | sort -u && return; }
        case $name in gateway | control) set -- "$@" gateway control ;; esac # the panel is the gateway's
    done
    printf '%s\n' "$@" | sort -u
}

want() { [[ " $WANTED " == *" $1 "* ]]; }

# The processes of a service: those there are, at least one.
service_keys() { # service_keys NAME
    local keys
    keys=$(instances_of "$1")
    echo "${keys:-$1-0}"
}

running() { # running KEY: is it meant to run?
    [ ! -e "$RUN/$1/down" ]
}

# What somebody stopped is started again by `up`, which says so.
wake() { # wake NAME…
    local name key
    for name; do
        for key in $(instances_of "$name"); do
            running "$key" || { rm -f "$RUN/$key/down" && say "$key was stopped: it starts again"; }
        done
    done
}

process_age() { # process_age KEY: in seconds; 0: it does not run
    local pid
    pid=$(process_id "$1")
    if [ -n "$pid" ]; then ps -o etimes= -p "$pid" || echo 0; else echo 0; fi
}

# "ready" is a promise: all are ready that were, as the same processes, until the youngest has run for five seconds.
stay_ready() { # stay_ready KEY…
    local key young failed=0 announced=0
    local -A pid=()
    for key; do pid[$key]=$(process_id "$key"); done
    while :; do
        young=0
        for key; do
            if [ "$(process_id "$key")" != "${pid[$key]}" ]; then
                echo "demo: $key did not stay: it ended and was started again" >&2
                report "$key" && failed=1
            elif [ "$(process_age "$key")" -lt 5 ]; then
                young=1
            fi
        done
        [ $failed = 0 ] && [ $young = 1 ] || break
        [ $announced = 1 ] || { say "all are up; do they stay?" && announced=1; }
        sleep 0.2
    done
    [ $failed = 0 ] && wait_ready 10 "$@"
}

# Defines a process and starts it, or restarts it where its definition changed.
launch() { # launch KEY
    local changed=0 name=${1%-*}
    if is_service "$name"; then
        define_service "$1" || changed=$?
    elif [ "$name" = control ]; then
        define_control || changed=$?
    else
        define_infrastructure "$name" || changed=$?
    fi
    case $changed$(supervised_state "$1") in
    0run | 0finish) restart_process "$1" ;;
    1run) ;;
    1finish) end_backoff "$1" ;;
    *)
        is_supervised "$1" || kill_leftovers "$1"
        check_ports "$1"
        start_process "$1"
        ;;
    esac
}

# Waits until every process is ready; names those that are not and why.
declare -A told=()
wait_ready() { # wait_ready SECONDS KEY…; TELL set: says so when one is
    local deadline=$((SECONDS + $1)) key left=("${@:2}") still failed=0
    while [ ${#left[@]} -gt 0 ]; do
        still=()
        for key in "${left[@]}"; do
            if is_ready "$key"; then
                [ -z "${TELL-}" ] || [ -n "${told[$key]-}" ] || say "$key is ready"
                told[$key]=1
            elif [ "$(cat "$RUN/$key/exit" 2>/dev/null)" = "78 0" ] && [ "$(supervised_state "$key")" = finish ]; then
                report "$key" && failed=1
            elif [ $SECONDS -ge $deadline ]; then
                report "$key" && failed=1
            else
                still+=("$key")
            fi
        done
        left=(${still[@]+"${still[@]}"})
        [ ${#left[@]} = 0 ] || sleep 0.05
    done
    return $failed
}

report() { # report KEY: why it is not ready
    printf 'demo: %s is not ready: %s\n      log: %s\n' "$1" "$(why_not_ready "$1")" "$DATA_DIR/log/$1/current" >&2
}

create_topics() {
    local output
    output=$(look_from_outside && "$BUILD_DIR/schemas/topics" create 2>&1) || die "the topics cannot be made: $output"
}

# The file with what card tokens are made with, for a process that reads it. One that is given is read as it is, but by
# another user, for whom `up` makes a copy.
card_key_of() { # card_key_of KEY
    local own=$DATA_DIR/secrets/card-key
    if [ -z "$CARD_KEY_FILE" ]; then echo "$own"; elif [ -z "$(user_of "$1")" ]; then echo "$CARD_KEY_FILE"; else echo "$own.given"; fi
}

# It outlives everything but a reset: the same card keeps its token.
make_card_key() {
    local key user
    key=$(card_key_of payments-0) user=$(user_of payments-0)
    [ "$key" != "$CARD_KEY_FILE" ] || return 0
    mkdir -p -m 711 "${key%/*}"
    (
        umask 077
        if [ -n "$CARD_KEY_FILE" ]; then
            [ -r "$CARD_KEY_FILE" ] || die "CARD_KEY_FILE: $CARD_KEY_FILE cannot be read"
            [ -z "$(find -L "$CARD_KEY_FILE" -perm /077)" ] || die "CARD_KEY_FILE: $CARD_KEY_FILE can be read by others: chmod 600"
            cat "$CARD_KEY_FILE" >"$key.new"
        elif [ ! -e "$key" ]; then
            head -c 32 /dev/urandom >"$key.new"
        fi
        [ ! -e "$key.new" ] || mv "$key.new" "$key"
    ) || exit
    chmod 711 "${key%/*}"
    [ -z "$user" ] || chown "${user#:}" "$key"
}

command_up() {
    local name key keys=() services=()
    for name; do known "$name"; done
    for name in $(wanted_names "$@"); do WANTED="${WANTED-} $name"; done
    WANTED+=" "
    for name in "${SERVICES[@]}"; do if want "$name"; then services+=("$name"); fi; done
    trap 'echo; die "interrupted; what was started runs on: ./demo up goes on, ./demo down ends it"' INT TERM

    if [ ${#services[@]} -gt 0 ]; then
        install_all
        build_suite
    else
        install_all run
    fi
    lock
    make_card_key
    # shellcheck disable=SC2086
    wake $WANTED
    end_what_others_have
    TELL=1
    [ -z "$(all_keys | head -n 1)" ] || TELL=
    for name in kafka registry postgres; do
        if want "$name" && is_ours "$name"; then launch "$name-0" && keys+=("$name-0"); fi
    done
    if want gateway; then
        if make_control; then launch control-0 && keys+=(control-0); fi
        refresh_gateway
        launch gateway-0
        keys+=(gateway-0)
    fi
    if want connect || [ ${#services[@]} -gt 0 ]; then
        ! has_own_kafka || wait_ready 120 kafka-0 || exit 1
    fi
    if want connect && has_own_connect; then launch connect-0; fi
    if [ -x "$BUILD_DIR/schemas/topics" ] && { want connect || [ ${#services[@]} -gt 0 ]; }; then create_topics; fi
    if [ ${#services[@]} -gt 0 ] && has_own_registry; then wait_ready 120 registry-0 || exit 1; fi
    for name in ${services[@]+"${services[@]}"}; do
        for key in $(service_keys "$name"); do launch "$key" && keys+=("$key"); done
    done
    if want gateway; then refresh_gateway; fi
    if want connect; then
        # shellcheck disable=SC2046
        wait_ready 120 $(! has_own_registry || echo registry-0) postgres-0 || exit 1
        register_connector
        ! has_own_connect || keys+=(connect-0)
    fi
    wait_ready 120 "${keys[@]}" || exit 1
    if want connect; then
        await_snapshot inventory stock product_id /v1/stock
        await_snapshot ratings movies movie_id /v1/movies
        set_rules stock-value movies-value connect-heartbeats.legacy-value
    fi
    simulate
    observe " $* "
    stay_ready "${keys[@]}" || exit 1
    say "ready"
    print_addresses
}

# What of ours is not used any more ends; its data stays.
end_what_others_have() {
    local name at
    for name in connect registry kafka; do
        is_ours "$name" && continue
        case $name in kafka) at=$(brokers) ;; registry) at=$(registry_url) ;; connect) at=$CONNECT_URL ;; esac
        say "$name is the one at $at: none is started"
        [ -z "$(instances_of $name)" ] || end_processes 20 "$name-0"
        rm -rf "$RUN/$name-0"
    done
}

# The city comes to life where its services run, and SIMULATE does not say otherwise.
simulate() {
    if [ "$SIMULATE" = 0 ]; then
        end_processes 5 simulator-0
        rm -rf "$RUN/simulator-0"
    elif want simulator && [ -n "$(instances_of rider)" ] && [ -n "$(instances_of driver)" ] && [ -n "$(instances_of gateway)" ]; then
        launch simulator-0
    fi
}

# Prometheus comes only when it is asked for: by OBSERVE, or by name.
observe() { # observe NAMES
    want prometheus || return 0
    [[ $OBSERVE == 1 || $1 == *" prometheus "* || -n $(instances_of prometheus) ]] || return 0
    install_packages prometheus
    configure_prometheus
    launch prometheus-0
    wait_ready 60 prometheus-0 || exit 1
}

# The connector runs before its first snapshot is in the log: an order in between would find empty shelves. Waits until
# the last row of a legacy table is served.
await_snapshot() { # await_snapshot SERVICE TABLE KEY PATH
    local key deadline=$((SECONDS + 60))
    want "$1" || return 0
    key=$(legacy_query "SELECT $3 FROM insideout.$2 WHERE $3::text ~ '^[A-Za-z0-9._:-]+$' ORDER BY ctid DESC LIMIT 1") || return 0
    [ -n "$key" ] || return 0
    until get "http://127.0.0.1:$(ports_of "$1-0")$4/$key" >/dev/null; do
        [ $SECONDS -lt $deadline ] || die "the legacy table $2 does not arrive$(log_of connect)"
        sleep 0.05
    done
}

log_of() { # log_of NAME: where the log is of what is ours
    ! is_ours "$1" || echo "; log: $DATA_DIR/log/$1-0/current"
}

# Until it does its work. What others run should be there: what is wrong with it is said at once, each thing once.
insist() { # insist NAME SECONDS COMMAND…
    local deadline=$((SECONDS + $2)) why said=
    until why=$(look_from_outside && "${@:3}" 2>&1); do
        [ $SECONDS -lt $deadline ] || die "$1 does not do its work: $why$(log_of "$1")"
        is_ours "$1" || [ "$why" = "$said" ] || { say "waiting for $1: $why" && said=$why; }
        sleep 0.1
    done
}

set_rules() { # set_rules SUBJECT…
    insist registry 120 "$ROOT/compose/connect/rules" "$@"
}

# What legacy tables become; the registry first gets its rule for every subject.
register_connector() {
    local again
    set_rules
    for again in 1 0; do
        insist connect 120 "$ROOT/compose/connect/register" answers
        (look_from_outside && JAVA_DIR=$JAVA_DIR "$ROOT/compose/connect/register") && return
        [ $again = 1 ] && has_own_connect || die "Kafka Connect does not follow the legacy tables$(log_of connect)"
        say "connect-0 is started again" # a connector that hangs cannot be stopped in any other way
        restart_process connect-0
    done
}

print_addresses() {
    cat <<END

  gateway         http://localhost:$PORT
  Kafka           $(brokers)
  registry        $(registry_url)
  Kafka Connect   ${CONNECT_URL:-http://localhost:$CONNECT_PORT}
  PostgreSQL      postgresql://legacy:legacy@localhost:$POSTGRES_PORT/legacy
END
    ! has_control || echo "  panel           http://localhost:$PORT/#token=$(cat "$(control_token)")"
    [ -z "$(instances_of prometheus)" ] || echo "  Prometheus      http://localhost:$PROMETHEUS_PORT"
}
