# The processes of the suite: which there are, how each is started, when it is ready. Sourced by demo.
# shellcheck shell=bash

INFRASTRUCTURE=(kafka registry postgres connect gateway simulator prometheus)
SERVICES=()
declare -A SERVICE_BINARY=() SERVICE_INDEX=() SERVICE_PATHS=()

# Which settings each `start` script reads: a change of one of them restarts it.
declare -A INFRASTRUCTURE_SETTINGS=(
    [kafka]="KAFKA_PORT KAFKA_CONTROLLER_PORT KAFKA_HEAP"
    [registry]="REGISTRY_PORT REGISTRY_HEAP"
    [postgres]="POSTGRES_PORT"
    [connect]="KAFKA_PORT CONNECT_PORT CONNECT_HEAP"
    [gateway]="PORT"
    [simulator]="PORT BUILD_DIR"
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
    simulator-*) echo 0 ;;
    prometheus-*) echo "$PROMETHEUS_PORT" ;;
    *) echo $((SERVICE_PORT + 10 * SERVICE_INDEX[${1%-*}] + ${1##*-})) ;;
    esac
}

define_infrastructure() { # define_infrastructure NAME: fails where nothing changed
    local dir=$ROOT/compose/$1 name command changed=1
    [ "$1" = gateway ] && dir=$ROOT/compose/nginx
    command="exec chpst -P $(printf %q "$dir/start")"
    if [ "$1" = postgres ]; then
        # A copy, since PostgreSQL's user may not be allowed to look into the repository.
        mkdir -p "$DATA_DIR/postgres/definition"
        cp "$dir"/* "$DATA_DIR/postgres/definition/"
        dir=$DATA_DIR/postgres/definition
        command="umask 077; $command"
        if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
            chmod a+x "$DATA_DIR"
            chown -R postgres: "$DATA_DIR/postgres/definition"
            chown postgres: "$DATA_DIR/postgres"
            chpst -u postgres test -x "$DATA_DIR/postgres" ||
                die "user postgres cannot reach $DATA_DIR: set DATA_DIR to a place whose parents all are open to others (chmod a+x)"
            command="umask 077; exec chpst -P -u postgres $(printf %q "$dir/start")"
        fi
    fi
    {
        echo "# files: $(cat "$dir"/* | sha256sum | cut -c 1-16)"
        [ "$1" != simulator ] || echo "# binary: $(sha256sum "$BUILD_DIR/bench/load" | cut -c 1-16)"
        for name in DATA_DIR JAVA_DIR ${INFRASTRUCTURE_SETTINGS[$1]}; do
            printf 'export %s=%q\n' "$name" "${!name}"
        done
        echo "export LISTEN=127.0.0.1 KAFKA_BROKERS=localhost:$KAFKA_PORT"
        echo "$command"
    } | define_process "$1-0" && changed=0
    if [ "$1" = postgres ]; then # SIGTERM would wait for every client to leave
        mkdir -p "$RUN/postgres-0/control"
        printf '#!/bin/sh\nread -r pid <supervise/pid && exec kill -INT "$pid"\n' >"$RUN/postgres-0/control/t"
        chmod +x "$RUN/postgres-0/control/t"
    fi
    return $changed
}

define_service() { # define_service KEY: fails where nothing changed
    local name=${1%-*} slot=${1##*-}
    [ -x "${SERVICE_BINARY[$name]}" ] || die "$name is not built: ${SERVICE_BINARY[$name]} is missing"
    define_process "$1" <<END
# binary: $(sha256sum "${SERVICE_BINARY[$name]}" | cut -c 1-16)
export KAFKA_BROKERS=localhost:$KAFKA_PORT REGISTRY_URL=http://localhost:$REGISTRY_PORT/apis/ccompat/v7
export DATA_DIR=$(printf %q "$DATA_DIR") PARTITIONS=$PARTITIONS SIMULATE=$SIMULATE SMTP_URL=$(printf %q "$SMTP_URL") SMTP_FROM=$SMTP_FROM
export CARD_KEY_FILE=$(printf %q "${CARD_KEY_FILE:-$DATA_DIR/secrets/card-key}")
export LOG_LEVEL=$LOG_LEVEL STANDBYS=$STANDBYS SLOT=$slot PORT=$(ports_of "$1")
exec chpst -P $(printf %q "${SERVICE_BINARY[$name]}")
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
    connect-*) get "http://127.0.0.1:$port/connectors/legacy/status" |
        jq -e '[.connector, .tasks[]] | length > 1 and all(.state == "RUNNING")' >/dev/null 2>&1 ;;
    gateway-*) is_open "$port" ;;
    simulator-*) ;;
    prometheus-*) get "http://127.0.0.1:$port/-/ready" >/dev/null ;;
    *) get "http://127.0.0.1:$port/readyz" >/dev/null ;;
    esac
}

# Did its last run end by itself, with an exit code that is a failure?
failed_last() { # failed_last KEY
    local code
    read -r code _ <"$RUN/$1/exit" && [[ $code != 0 && $code != -1 && $code != 75 ]]
} 2>/dev/null

state_of() { # state_of KEY: ready, starting, stopped or failed
    case $(supervised_state "$1") in
    run) if is_ready "$1"; then echo ready; else echo starting; fi ;;
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
    is_supervised "$1" || detail="it ended with its supervisor; ./demo up starts it again"
    [ -n "$detail" ] || detail=$(last_line "$1")
    echo "${detail:-no word from it}"
}

# Refuses ports that another process holds, by name.
check_ports() { # check_ports KEY
    local port holder
    for port in $(ports_of "$1"); do
        is_open "$port" || continue
        holder=$(ss -ltnpH "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | head -n 1)
        die "port $port, which ${1%-*} needs, is taken by ${holder:-a process of another user}: stop it, or set another port (./demo config)"
    done
}
