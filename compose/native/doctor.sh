# ./demo doctor: what is wrong with this machine or with a running suite, and the command that mends it. Sourced by demo.
# It looks and changes nothing.
# shellcheck shell=bash

MEMORY_MB=2200 DISK_MB=2000 FILES=4096 LAG=1000 WAL_MB=256 TRANSACTION_S=30
ILL=0

good() { printf '   ok  %-14s %s\n' "$1" "$2"; }
note() { printf ' note  %-14s %s\n' "$1" "$2"; }
bad() { # bad WHAT HOW-IT-IS MEND
    printf '  BAD  %-14s %s\n       %-14s -> %s\n' "$1" "$2" '' "$3"
    ILL=$((ILL + 1))
}

megabytes() { # megabytes KILOBYTES
    if (($1 >= 1 << 20)); then echo "$(($1 * 10 >> 20))e-1 GB" | sed 's/\(.\)e-1/.\1/'; else echo "$(($1 >> 10)) MB"; fi
}

look_at_memory() {
    local kb needed=$MEMORY_MB
    [ -z "$(all_keys | head -n 1)" ] || needed=200 # it has its own already
    kb=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
    if ((kb >= needed * 1024)); then
        good memory "$(megabytes "$kb") available"
    else
        bad memory "$(megabytes "$kb") available, the suite takes about $(megabytes $((MEMORY_MB * 1024)))" "end something, or make Java's heaps smaller (./demo config | grep HEAP)"
    fi
}

look_at_disk() {
    local what kb dir
    for what in DATA_DIR CACHE; do
        dir=${!what}
        until [ -e "$dir" ]; do dir=$(dirname "$dir"); done
        kb=$(df -Pk "$dir" | awk 'END { print $4 }')
        if ((kb >= DISK_MB * 1024)); then
            good disk "$(megabytes "$kb") free for $what, ${!what}"
        else
            bad disk "$(megabytes "$kb") free for $what, ${!what}" "make room, or set $([ $what = CACHE ] && echo XDG_CACHE_HOME || echo DATA_DIR) to another disk"
        fi
    done
}

look_at_system() {
    local name missing newest
    # shellcheck disable=SC1091
    name=$(. /etc/os-release && echo "$ID $VERSION_ID")
    case $name in
    "debian 12"* | "debian 13"* | "ubuntu 2"[4-9]*) good system "$name, $(uname -m), $(nproc) cores" ;;
    *) note system "$name, $(uname -m): the suite is tried on Debian 12 and 13" ;;
    esac
    missing=$(missing_packages "${PACKAGES_RUN[@]}" "${PACKAGES_BUILD[@]}" | tr '\n' ' ')
    [ -d "$JAVA_DIR" ] || missing+="Kafka's jars "
    [ -e "$LIBRDKAFKA/lib/librdkafka.so.1" ] || missing+="librdkafka "
    [ -d "$WEB_DIR" ] || missing+="browser libraries"
    if [ -z "$missing" ]; then good packages "all there"; else note packages "not installed yet, ./demo up does it: $missing"; fi
    if (($(ulimit -n) >= FILES)); then good files "$(ulimit -n) at once for a process"; else
        bad files "$(ulimit -n) at once for a process; a stream of events is two" "ulimit -n $FILES"
    fi
    newest=$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || stat -c %Y "$ROOT/demo")
    if (($(date +%s) < newest)); then
        bad clock "$(date): that is before this version was made" "set it: Kafka refuses records of the future, and windows go by timestamps"
    elif [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = no ]; then
        note clock "$(date), not synchronised: timedatectl set-ntp true"
    else
        good clock "$(date)"
    fi
    if docker info >/dev/null 2>&1; then
        good docker "$(docker --version)"
    else
        note docker "no engine answers; only compose/compose.yaml needs one"
    fi
}

# Of what is meant to run and does not: a port that somebody else has.
look_at_ports() {
    local name key port holder taken=0
    for name in "${INFRASTRUCTURE[@]}" "${SERVICES[@]}"; do
        is_ours "$name" || continue
        [[ $name != simulator && $name != control ]] || continue # they have none
        for key in $(service_keys "$name"); do
            [ -z "$(process_id "$key")" ] || continue
            for port in $(ports_of "$key"); do
                holder=$(holder_of "$port") || continue
                [ "$name" = prometheus ] && [ "$OBSERVE" = 0 ] && continue
                bad "port $port" "which $name needs, is taken by $holder" "stop it, or set another port (./demo config | grep PORT)"
                taken=1
            done
        done
    done
    [ $taken = 1 ] || good ports "none is taken by others"
}

look_at_processes() {
    local key state fencings ready=0 count=0
    for key in $(all_keys); do
        count=$((count + 1))
        state=$(state_of "$key")
        case $state in
        ready) ready=$((ready + 1)) ;;
        stopped) note "$key" "stopped: ./demo start ${key%-*}" ;;
        *) bad "$key" "$state: $(why_not_ready "$key")" "./demo logs ${key%-*}; ./demo up when the cause is gone" ;;
        esac
        is_service "${key%-*}" || continue
        fencings=$(metric "$key" insideout_fencings_total)
        [ "$fencings" = 0 ] || note "$key" "fenced $fencings times: is there another suite with this Kafka?"
    done
    [ $ready != $count ] || good processes "all $count are ready"
}

# The groups that are far behind, with the lag of what they have committed: also of those whose service is away or hindered.
lags() {
    get "http://127.0.0.1:$(ports_of lens-0)/v1/log/groups" | jq -r --argjson least $LAG '.groups[] | select(.lag >= $least) | "\(.name)\t\(.lag)"'
}

service_of() { # service_of GROUP
    local name
    for name in "${SERVICES[@]}"; do
        ! "${SERVICE_BINARY[$name]}" --topology | jq -e --arg group "$1" '[.topologies[], .deliveries[]] | any(.name == $group)' >/dev/null ||
            echo "$name"
    done
}

# Lag is no illness while it shrinks.
look_at_lag() {
    local group lag name ill=0 before
    local -A now=()
    before=$(lags) || { note lag "cannot be seen: the lens does not answer" && return; }
    [ -z "$before" ] || sleep 2
    while IFS=$'\t' read -r group lag; do now[$group]=$lag; done < <([ -z "$before" ] || lags)
    while IFS=$'\t' read -r group lag; do
        [ -n "$group" ] && ((${now[$group]:-0} >= lag)) || continue
        ill=1 name=$(service_of "$group")
        bad "$group" "is ${now[$group]} records behind, and does not come nearer" "./demo logs ${name:-$group}; ./demo scale ${name:-$group} 2"
    done <<<"$before"
    [ $ill = 1 ] || good lag "no group is behind for long"
}

look_at_dead_letters() {
    local name key count=0
    for name in "${SERVICES[@]}"; do
        for key in $(instances_of "$name"); do count=$((count + $(metric "$key" insideout_dead_letters_total))); done
    done
    if [ $count = 0 ]; then good dead-letters "none since the services started"; else
        note dead-letters "$count since the services started; each says why: http://localhost:$PORT/lens?topic=dead-letters"
    fi
}

# Transactions that hide what comes behind them.
look_at_transactions() {
    local open
    open=$(look_from_outside && java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$JAVA_DIR/lib/*" org.apache.kafka.tools.TransactionsCommand \
        --bootstrap-server "$(brokers)" --command-config <("$ROOT/compose/connect/security") list --duration-filter $((TRANSACTION_S * 1000)) 2>&1) ||
        { note transactions "cannot be seen: $(grep -m 1 -o '[A-Za-z]*Exception: .*' <<<"$open")" && return; }
    open=$(awk '$4 == "Ongoing" { print $1 }' <<<"$open" | tr '\n' ' ')
    if [ -z "$open" ]; then good transactions "none has been open for $TRANSACTION_S s"; else
        bad transactions "open for more than $TRANSACTION_S s, and hide what comes behind them: $open" "./demo kill SERVICE: its next process ends what it left open"
    fi
}

look_at_connect() { # of others
    local state
    state=$(connector_state)
    if [ "$state" = ready ]; then good connect "the one at $CONNECT_URL follows the legacy tables"; else
        bad connect "at $CONNECT_URL: $state" "./demo up when the cause is gone"
    fi
}

look_at_legacy() {
    local kb active
    read -r kb active < <(legacy_query "SELECT (pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) / 1024)::bigint, active
        FROM pg_replication_slots WHERE slot_name = 'legacy'" 2>/dev/null) || true
    if [ -z "$kb" ]; then
        bad legacy "its database has no replication slot: changes of stock and movies do not come" "./demo up"
    elif ((kb > WAL_MB * 1024)); then
        bad legacy "its slot holds $(megabytes "$kb") of WAL back$([ "$active" = t ] || echo ', and nobody reads it')" "./demo start connect; ./demo up"
    else
        good legacy "its slot is $([ "$active" = t ] && echo read || echo 'not read now'), $(megabytes "$kb") of WAL kept"
    fi
}

command_doctor() {
    [ $# = 0 ] || usage_error "usage: ./demo doctor"
    look_at_system
    look_at_memory
    look_at_disk
    look_at_ports
    if [ -z "$(all_keys | head -n 1)" ]; then
        note suite "does not run: ./demo up"
    else
        look_at_processes
        look_at_lag
        look_at_dead_letters
        [ -z "$(process_id kafka-0)" ] && has_own_kafka || look_at_transactions
        has_own_connect || look_at_connect
        [ -z "$(process_id postgres-0)" ] || look_at_legacy
    fi
    if [ $ILL = 0 ]; then say "nothing is wrong"; else say "$ILL to be mended" && return 1; fi
}
