# The processes of the suite: which there are, how each is started, when it is ready. Sourced by demo.
# shellcheck shell=bash

INFRASTRUCTURE=(kafka registry postgres connect gateway simulator prometheus control)
SERVICES=()
declare -A SERVICE_BINARY=() SERVICE_INDEX=() SERVICE_PATHS=()

# Which settings each `start` script reads: a change of one of them restarts it.
declare -A INFRASTRUCTURE_SETTINGS=(
    [kafka]="KAFKA_PORT KAFKA_CONTROLLER_PORT KAFKA_HEAP"
    [registry]="REGISTRY_PORT REGISTRY_HEAP"
    [postgres]="POSTGRES_PORT"
    [connect]="CONNECT_PORT CONNECT_HEAP"
    [gateway]="PORT"
    [simulator]="PORT"
    [prometheus]="PROMETHEUS_PORT"
)

load_services() {
    local name binary index paths
    while IFS=$'\t' read -r name binary index paths; do
        [[ $name == \#* ]] && continue
        SERVICES+=("$name")
        SERVICE_BINARY[$name]=$BUILD_DIR/$binary SERVICE_INDEX[$name]=$index SERVICE_PATHS[$name]=${paths#-}
    done <"$ROOT/services/services.tsv"
}

is_service() { [ -n "${SERVICE_BINARY[$1]-}" ]; }

is_infrastructure() { [[ " ${INFRASTRUCTURE[*]} " == *" $1 "* ]]; }

# The processes that NAME has, as keys: those whose directories there are.
instances_of() { # instances_of NAME
    local dir
    for dir in "$RUN/$1"-*; do
        [[ ${dir#"$RUN/$1-"} =~ ^[0-9]+$ ]] && echo "${dir##*/}"
    done
    return 0
}

# The ports of a process; the first is the one that tells whether it is ready. 0: it has none.
ports_of() { # ports_of KEY
    case $1 in
    kafka-*) echo "$KAFKA_PORT $KAFKA_CONTROLLER_PORT" ;;
    registry-*) echo "$REGISTRY_PORT" ;;
    connect-*) echo "$CONNECT_PORT" ;;
    postgres-*) echo "$POSTGRES_PORT" ;;
    gateway-*) echo "$PORT" ;;
    simulator-* | control-*) echo 0 ;;
    prometheus-*) echo "$PROMETHEUS_PORT" ;;
    *) echo $((SERVICE_PORT + 10 * SERVICE_INDEX[${1%-*}] + ${1##*-})) ;;
    esac
}

# Where a process keeps what is its own, below DATA_DIR; nothing: nowhere.
data_of() { # data_of KEY
    case ${1%-*} in
    kafka | registry | connect | postgres | prometheus) echo "${1%-*}" ;;
    gateway | simulator | control) ;;
    *) echo "views/$1" ;;
    esac
}

# Which user a process runs as where root starts it, as chpst takes it: each has a number of its own, without a name or
# rights. Nothing: as whoever started it. nginx's master gives up root for its workers itself.
user_of() { # user_of KEY
    local name=${1%-*} i
    [ "$(id -u)" = 0 ] || return 0
    [ "$name" != postgres ] || { echo postgres && return; } # it refuses root, and asks for a name
    [ "$RUN_UID" != 0 ] && [ "$name" != gateway ] || return 0
    i=${SERVICE_INDEX[$name]-}
    if [ -z "$i" ]; then
        for i in "${!INFRASTRUCTURE[@]}"; do [ "${INFRASTRUCTURE[i]}" != "$name" ] || break; done
        i=$((i + 90))
    fi
    echo ":$((RUN_UID + i)):$((RUN_UID + i))"
}

# What runs, in a place that its user can reach: the repository may be closed to others.
install_program() { # install_program FILE NAME: its path
    local path=$DATA_DIR/programs/$2
    cmp -s "$1" "$path" || {
        mkdir -p "$DATA_DIR/programs"
        install -m 755 "$1" "$path.new"
        mv "$path.new" "$path"
    }
    echo "$path"
}

install_scripts() {
    local dir=$DATA_DIR/programs/compose
    rm -rf "$dir.new"
    mkdir -p "$dir.new"
    cp -r "$ROOT/compose"/{kafka,registry,connect,postgres,prometheus,simulator,nginx} "$dir.new"
    diff -qr "$dir.new" "$dir" >/dev/null 2>&1 && rm -rf "$dir.new" && return
    rm -rf "$dir"
    mv "$dir.new" "$dir"
}

# The last lines of a run script: PROGRAM, as its user, which owns its data.
run_as_user() { # run_as_user KEY PROGRAM…
    local user data path
    user=$(user_of "$1") data=$(data_of "$1")
    echo "umask 077"
    [ -z "$data" ] || printf 'mkdir -p -m 755 %q\nmkdir -p %q\n' "$(dirname "$DATA_DIR/$data")" "$DATA_DIR/$data"
    if [ -n "$user" ]; then
        chmod a+x "$DATA_DIR"
        for path in "$2" "$JAVA_DIR/." "${LIBRDKAFKA%/*}/."; do
            [ ! -e "$path" ] || chpst -u "$user" test -x "$path" ||
                die "$1, user ${user#*:}, cannot reach $path: set DATA_DIR (and XDG_CACHE_HOME) to places whose parents all are open to others (chmod a+x), or RUN_UID=0"
        done
        [ -z "$data" ] || printf 'chown -R %q %q\n' "${user#:}" "$DATA_DIR/$data"
    fi
    printf 'exec chpst -P%s %q\n' "${user:+ -u $user}" "$2"
}

define_infrastructure() { # define_infrastructure NAME: fails where nothing changed
    local dir=$DATA_DIR/programs/compose/$1 name changed=1 binary guard= properties=
    [ "$1" != connect ] || properties=$(properties_of connect) || exit
    [ -n "${SCRIPTS-}" ] || { install_scripts && SCRIPTS=installed; }
    [ "$1" != gateway ] || dir=$ROOT/compose/nginx
    [ "$1" != simulator ] || binary=$(install_program "$BUILD_DIR/bench/load" load)
    case $1 in registry | connect | prometheus) guard="${dir%/*}/nginx/guard ${dir%/*}/nginx/problems" ;; esac
    {
        # shellcheck disable=SC2086
        echo "# files: $(cat "$dir"/* $guard | sha256sum | cut -c 1-16)"
        [ "$1" != simulator ] || echo "# binary: $(sha256sum "$binary" | cut -c 1-16)"
        for name in DATA_DIR JAVA_DIR ${INFRASTRUCTURE_SETTINGS[$1]}; do
            printf 'export %s=%q\n' "$name" "${!name}"
        done
        echo "export LISTEN=127.0.0.1 KAFKA_BROKERS=$(brokers)"
        echo "$properties"
        run_as_user "$1-0" "$dir/start"
    } | define_process "$1-0" && changed=0
    if [ "$1" = postgres ]; then # SIGTERM would wait for every client to leave
        mkdir -p "$RUN/postgres-0/control"
        write_script "$RUN/postgres-0/control/t" <<<$'#!/bin/sh\nread -r pid <supervise/pid && exec kill -INT "$pid"' || true
    fi
    return $changed
}

trace_settings() {
    local name
    for name in "${SETTINGS[@]}"; do
        [[ $name != OTEL_* || -z ${!name} ]] || printf 'export %s=%q\n' "$name" "${!name}"
    done
}

define_service() { # define_service KEY: fails where nothing changed
    local name=${1%-*} slot=${1##*-} binary properties
    properties=$(properties_of "$name") || exit
    [ -x "${SERVICE_BINARY[$name]}" ] || die "$name is not built: ${SERVICE_BINARY[$name]} is missing"
    binary=$(install_program "${SERVICE_BINARY[$name]}" "$name")
    define_process "$1" <<END
# binary: $(sha256sum "$binary" | cut -c 1-16)
export KAFKA_BROKERS=$(brokers) REGISTRY_URL=$(printf %q "$(registry_url)")
$properties
export DATA_DIR=$(printf %q "$DATA_DIR") PARTITIONS=$PARTITIONS SIMULATE=$SIMULATE SMTP_URL=$(printf %q "$SMTP_URL") SMTP_FROM=$SMTP_FROM
export CARD_KEY_FILE=$(printf %q "$(card_key_of "$1")")
export LOG_LEVEL=$LOG_LEVEL STANDBYS=$STANDBYS STALE_HOURS=$STALE_HOURS SLOT=$slot PORT=$(ports_of "$1") ADVERTISED=$ADVERTISED
$(trace_settings)
$(run_as_user "$1" "$binary")
END
}

is_open() { # is_open PORT: does somebody listen there?
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

get() { # get URL: the body of a 200
    curl -s -f -m 2 "$1"
}

is_ready() { # is_ready KEY
    local port
    [ -n "$(process_id "$1")" ] || return 1
    read -r port _ <<<"$(ports_of "$1")"
    case $1 in
    # Kafka opens this port as the last act of its start.
    kafka-*) is_open "$port" ;;
    registry-*) get "http://127.0.0.1:$port/apis/ccompat/v7/subjects" >/dev/null ;;
    postgres-*) PGCONNECT_TIMEOUT=2 pg_isready -q -h 127.0.0.1 -p "$port" ;;
    connect-*) [ "$(connector_state)" = ready ] ;;
    gateway-*) is_open "$port" ;;
    control-*) is_control_ready ;;
    simulator-*) ;;
    prometheus-*) get "http://127.0.0.1:$port/-/ready" >/dev/null ;;
    *) get "http://127.0.0.1:$port/readyz" >/dev/null ;;
    esac
}

# What the connector of legacy tables says while Kafka is there to take them: ready, starting, or failed and why.
connector_state() {
    if ! has_own_kafka; then
        PGCONNECT_TIMEOUT=2 "$ROOT/compose/connect/register" state 0
    elif is_ready kafka-0; then
        PGCONNECT_TIMEOUT=2 "$ROOT/compose/connect/register" state "$(($(date +%s) - $(process_age kafka-0)))"
    else
        echo starting
    fi
}

# Did its last run end by itself, with an exit code that is a failure?
failed_last() { # failed_last KEY
    local code
    read -r code _ <"$RUN/$1/exit" && [[ $code != 0 && $code != -1 && $code != 75 ]]
} 2>/dev/null

state_of() { # state_of KEY: ready, starting, stopped or failed
    local state
    case $(supervised_state "$1") in
    run)
        if [[ $1 == connect-* ]]; then
            state=$(connector_state) || true
            state=${state%% *} && echo "${state:-starting}"
        elif is_ready "$1"; then
            echo ready
        else
            echo starting
        fi
        ;;
    finish | pause) if failed_last "$1"; then echo failed; else echo starting; fi ;;
    down) echo stopped ;;
    *) if [ -e "$RUN/$1/down" ]; then echo stopped; else echo failed; fi ;;
    esac
}

# What keeps a process from being ready, in a line.
why_not_ready() { # why_not_ready KEY
    local detail=
    if is_service "${1%-*}" && [ "$(supervised_state "$1")" = run ]; then
        detail=$(curl -s -m 2 "http://127.0.0.1:$(ports_of "$1")/readyz" | jq -r '.detail // empty' 2>/dev/null) || true
    fi
    if [ "${1%-*}" = connect ] && [ "$(supervised_state "$1")" = run ]; then
        detail=$(connector_state | sed -n 's/^failed //p')
    fi
    is_supervised "$1" || detail="it ended with its supervisor; ./demo up starts it again"
    [ -n "$detail" ] || detail=$(last_line "$1")
    echo "${detail:-no word from it}"
}

# What the legacy database answers, fields apart by spaces.
legacy_query() { # legacy_query SQL
    PGCONNECT_TIMEOUT=2 PGPASSWORD=legacy psql -h 127.0.0.1 -p "$POSTGRES_PORT" -U legacy -XAtqF ' ' -c "$1" legacy
}

# Who listens at a port; fails where nobody does.
holder_of() { # holder_of PORT
    local holder
    is_open "$1" || return
    holder=$(ss -ltnpH "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | head -n 1)
    echo "${holder:-a process of another user}"
}

# Refuses ports that another process holds, by name.
check_ports() { # check_ports KEY
    local port holder
    for port in $(ports_of "$1"); do
        holder=$(holder_of "$port") || continue
        die "port $port, which ${1%-*} needs, is taken by $holder: stop it, or set another port (./demo config)"
    done
}
