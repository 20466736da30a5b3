# Settings. Sourced by demo. compose/.env declares each one: `# type · description`, then NAME=default.
# shellcheck shell=bash

declare -a SETTINGS=()                               # names, in the order of the file
declare -A SETTING_TYPE=() SETTING_TEXT=() SETTING_ORIGIN=()

accepted_form() { # accepted_form TYPE
    case $1 in
    int\ *) echo "a whole number from ${1#int }" ;;
    port) echo "a port number from 1 to 65535" ;;
    path) echo "an absolute path of letters, digits and ._-/" ;;
    file) echo "an absolute path of letters, digits and ._-/, or nothing" ;;
    one\ of\ *) echo "one of: ${1#one of }" ;;
    ratio) echo "a number from 0 to 1, or nothing" ;;
    text | secret) echo "printable characters" ;;
    address) echo "name@domain" ;;
    brokers) echo "host:port, with commas between, or nothing" ;;
    url) echo "scheme://[user:password@]host[:port][/path], or nothing" ;;
    credentials) echo "user:password, or nothing" ;;
    host) echo "the name or address of a host, or nothing" ;;
    flag) echo "0 or 1" ;;
    level) echo "debug, info, warn or error" ;;
    size) echo "a number with k, m or g, such as 256m" ;;
    word) echo "letters, digits, - and _" ;;
    words) echo "letters, digits, - and _, with commas between words" ;;
    image) echo "an image name, such as debian:bookworm-slim" ;;
    esac
}

is_accepted() { # is_accepted TYPE VALUE
    local number='^(0|[1-9][0-9]{0,8})$'
    case $1 in
    int\ *) [[ $2 =~ $number ]] && in_range "${1#int }" "$2" ;;
    port) [[ $2 =~ $number ]] && in_range 1..65535 "$2" ;;
    path) [[ $2 =~ ^/[A-Za-z0-9._/-]+$ ]] ;;
    file) [[ -z $2 || $2 =~ ^/[A-Za-z0-9._/-]+$ ]] ;;
    url) [[ -z $2 || $2 =~ ^[a-z][a-z0-9+.-]*://[^[:space:]/]+(/[^[:space:]]*)?$ ]] ;;
    one\ of\ *) [[ -n $2 && $2 != *' '* && " ${1#one of } " == *" $2 "* ]] ;;
    ratio) [[ -z $2 || $2 =~ ^(0(\.[0-9]+)?|1(\.0+)?)$ ]] ;;
    text | secret) [[ $2 != *[[:cntrl:]]* ]] ;;
    address) [[ $2 =~ ^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$ ]] ;;
    brokers) [[ -z $2 || $2 =~ ^[A-Za-z0-9._-]+:[0-9]+(,[A-Za-z0-9._-]+:[0-9]+)*$ ]] ;;
    credentials) [[ -z $2 || $2 == ?*:* ]] ;;
    host) [[ $2 =~ ^[A-Za-z0-9.:_-]*$ ]] ;;
    flag) [[ $2 == [01] ]] ;;
    level) [[ $2 =~ ^(debug|info|warn|error)$ ]] ;;
    size) [[ $2 =~ ^[1-9][0-9]*[kmg]$ ]] ;;
    word) [[ $2 =~ ^[A-Za-z0-9_-]+$ ]] ;;
    words) [[ $2 =~ ^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$ ]] ;;
    image) [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._/:@-]*$ ]] ;;
    *) die "compose/.env: unknown type '$1'" ;;
    esac
}

in_range() { # in_range A..B VALUE
    (($2 >= ${1%..*} && $2 <= ${1#*..}))
}

# The setting that each NAME on standard input nearly spells, as "NAME SETTING" lines: underscores left out, or up to
# two letters wrong (one in short names; names of four letters are too near to everything).
near_misses() {
    awk -v settings="${SETTINGS[*]}" '
        function distance(a, b,    i, j, d, m, cost) {
            for (i = 0; i <= length(a); i++) d[i, 0] = i
            for (j = 0; j <= length(b); j++) d[0, j] = j
            for (i = 1; i <= length(a); i++)
                for (j = 1; j <= length(b); j++) {
                    cost = substr(a, i, 1) != substr(b, j, 1)
                    m = d[i - 1, j - 1] + cost
                    if (d[i - 1, j] + 1 < m) m = d[i - 1, j] + 1
                    if (d[i, j - 1] + 1 < m) m = d[i, j - 1] + 1
                    d[i, j] = m
                }
            return d[length(a), length(b)]
        }
        BEGIN { n = split(settings, known, " "); for (k = 1; k <= n; k++) exact[known[k]] = 1 }
        !($0 in exact) {
            name = toupper($0)
            plain = name; gsub("_", "", plain)
            for (k = 1; k <= n; k++) {
                bare = known[k]; gsub("_", "", bare)
                allowed = length(bare) >= 8 ? 2 : length(bare) > 4 ? 1 : 0
                gap = length(plain) - length(bare); if (gap < 0) gap = -gap
                if (gap <= allowed && distance(plain, bare) <= allowed) { print $0, known[k]; next }
            }
        }'
}

# What of a setting may be seen.
visible() { # visible TYPE VALUE
    case $1 in
    secret | credentials) [ -z "$2" ] || echo '(not shown)' ;;
    url) sed -E 's#^([a-z+]+://)?.*@#\1#' <<<"$2" ;; # also of one that is none
    *) echo "$2" ;;
    esac
}

# Properties of librdkafka, KAFKA_X_Y for x.y: which there are, and what they take, librdkafka knows and services say.
declare -A PROPERTY=() PROPERTY_ORIGIN=()

is_property() { [[ $1 =~ ^KAFKA_[A-Z0-9_]+$ && -z ${SETTING_TYPE[$1]-} ]]; }

is_secret_property() { [[ $1 =~ PASSWORD|SECRET|PASSPHRASE|_PEM$|JAAS|BEARER_CONFIG ]]; }

load_properties() {
    local name
    for name in $(compgen -e); do
        is_property "$name" || continue
        PROPERTY[$name]=${!name} PROPERTY_ORIGIN[$name]=environment
    done
}

# Lines of exports for a process; what IDENTITIES_DIR says of it alone is stronger.
properties_of() { # properties_of NAME
    local name line file=$IDENTITIES_DIR/$1.env
    local -A of=()
    for name in "${!PROPERTY[@]}"; do of[$name]=${PROPERTY[$name]}; done
    [ -z "$REGISTRY_AUTH" ] || of[REGISTRY_AUTH]=$REGISTRY_AUTH
    [ -z "$REGISTRY_CA_FILE" ] || of[REGISTRY_CA_FILE]=$REGISTRY_CA_FILE
    if [ -n "$IDENTITIES_DIR" ] && [ -e "$file" ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
            name=${line%%=*}
            [[ $line == *=* && ($name == REGISTRY_AUTH || $name == KAFKA_*) ]] && { [ $name = REGISTRY_AUTH ] || is_property "$name"; } ||
                die "$file: '$name' is neither KAFKA_… (a property of librdkafka) nor REGISTRY_AUTH"
            of[$name]=${line#*=}
        done <"$file"
    fi
    for name in $(printf '%s\n' "${!of[@]}" | LC_ALL=C sort); do printf 'export %s=%q\n' "$name" "${of[$name]}"; done
}

# Kafka, the registry and Connect: ours, or others'.
brokers() { echo "${KAFKA_BROKERS:-localhost:$KAFKA_PORT}"; }
has_own_kafka() { [ "$(brokers)" = "localhost:$KAFKA_PORT" ]; }
registry_url() { echo "${REGISTRY_URL:-http://localhost:$REGISTRY_PORT/apis/ccompat/v7}"; }
has_own_connect() { [ -z "$CONNECT_URL" ]; }
has_own_registry() { [ "$(registry_url)" = "http://localhost:$REGISTRY_PORT/apis/ccompat/v7" ]; }
is_ours() { # is_ours NAME
    case $1 in
    kafka) has_own_kafka ;;
    registry) has_own_registry ;;
    connect) has_own_connect ;;
    esac
}

set_secret_apart() { # set_secret_apart URL AUTH: user:password@ of the one setting becomes the other, unless that is set
    [[ ${!1} =~ ^(https?://)([^/@]+:[^/@]*)@(.*)$ ]] || return 0
    [ -n "${!2}" ] || printf -v "$2" %b "${BASH_REMATCH[2]//%/\\x}"
    printf -v "$1" %s "${BASH_REMATCH[1]}${BASH_REMATCH[3]}"
}

load_settings() {
    local line name value text type hint
    while IFS= read -r line; do
        case $line in
        '# '*' · '*) type=${line#\# } text=${type#* · } type=${type%% · *} ;;
        [A-Z]*=*)
            name=${line%%=*}
            SETTINGS+=("$name")
            SETTING_TYPE[$name]=$type SETTING_TEXT[$name]=$text
            if [ -n "${!name+set}" ]; then
                SETTING_ORIGIN[$name]=environment
            else
                printf -v "$name" %s "${line#*=}"
                SETTING_ORIGIN[$name]=default
            fi
            ;;
        esac
    done <"$ROOT/compose/.env"

    read -r name hint < <(compgen -e | near_misses) && usage_error "unknown setting $name: did you mean $hint?"
    if [ -e "$ROOT/.env.local" ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
            name=${line%%=*}
            if [[ $line == *=* ]] && is_property "$name" && [ -z "$(near_misses <<<"$name")" ]; then
                # who says that Kafka is to be ours has no use for how others' is reached
                [ "${SETTING_ORIGIN[KAFKA_BROKERS]}:$KAFKA_BROKERS" = environment: ] && continue
                PROPERTY[$name]=${line#*=} PROPERTY_ORIGIN[$name]=.env.local
                continue
            fi
            [[ $line == *=* && -n ${SETTING_TYPE[$name]-} ]] || {
                hint=$(near_misses <<<"$name")
                usage_error ".env.local: unknown setting $name${hint:+: did you mean ${hint#* }?}"
            }
            [ "${SETTING_ORIGIN[$name]}" = environment ] && continue
            printf -v "$name" %s "${line#*=}"
            SETTING_ORIGIN[$name]=.env.local
        done <"$ROOT/.env.local"
    fi

    load_properties
    if [ -z "$DATA_DIR" ]; then
        DATA_DIR=/var/lib/insideout
        [ "$(id -u)" = 0 ] || DATA_DIR=${XDG_STATE_HOME:-$HOME/.local/state}/insideout
    fi
    set_secret_apart REGISTRY_URL REGISTRY_AUTH
    set_secret_apart CONNECT_URL CONNECT_AUTH
    CONNECT_URL=${CONNECT_URL%/}
    for name in "${SETTINGS[@]}"; do
        value=${!name}
        is_accepted "${SETTING_TYPE[$name]}" "$value" ||
            usage_error "setting $name is $(shown "$name") (${SETTING_ORIGIN[$name]}): it takes $(accepted_form "${SETTING_TYPE[$name]}")"
        export "${name?}"
    done
    DATA_DIR=$(realpath -m -- "$DATA_DIR") # one name for it, however it was spelled: processes are found by it
}

shown() { # shown NAME: its value, unless that is a secret
    case ${SETTING_TYPE[$1]} in
    secret | credentials) echo 'what is not shown' ;;
    *) echo "'$(visible "${SETTING_TYPE[$1]}" "${!1}")'" ;;
    esac
}

print_settings() {
    local name value
    for name in "${SETTINGS[@]}"; do
        value=$(visible "${SETTING_TYPE[$name]}" "${!name}")
        printf '%-36s %-24s %-12s %s\n' "$name" "${value:--}" "${SETTING_ORIGIN[$name]}" "${SETTING_TEXT[$name]}"
    done
    for name in $(printf '%s\n' "${!PROPERTY[@]}" | LC_ALL=C sort); do
        value=${PROPERTY[$name]}
        ! is_secret_property "$name" || value='(not shown)'
        printf '%-36s %-24s %-12s %s\n' "$name" "${value:--}" "${PROPERTY_ORIGIN[$name]}" "a property of librdkafka"
    done
}
