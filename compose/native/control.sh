# The panel of the first page: a process that does some of what ./demo does, for whoever has the token. It is the
# launcher's own, and runs as whoever called that. Sourced by demo.
# shellcheck shell=bash

SOCKET_PATH_MAX=107 # bytes, as the system has it

control_socket() { echo "$DATA_DIR/control/socket"; }

control_token() { echo "$DATA_DIR/secrets/control-token"; }

has_control() { [ -d "$RUN/control-0" ]; }

# Fails where there is to be none; then one that was there goes.
make_control() {
    local socket token group=
    socket=$(control_socket) token=$(control_token)
    if [ "$CONTROL" = 1 ] && [ ${#socket} -gt $SOCKET_PATH_MAX ]; then
        say "no panel: $socket is too long for a socket"
    elif [ "$CONTROL" = 1 ] && [ -x "$BUILD_DIR/compose/control/control" ]; then
        [ "$(id -u)" != 0 ] || group=www-data # nginx's, which passes requests on
        mkdir -p "$DATA_DIR/control"
        [ -z "$group" ] || chown ":$group" "$DATA_DIR/control"
        chmod 2750 "$DATA_DIR/control" # the socket is the group's, too
        mkdir -p "${token%/*}"
        chmod 711 "${token%/*}"
        [ -e "$token" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr +/ -_ >"$token.new" && mv "$token.new" "$token")
        return
    fi
    end_processes 5 control-0
    rm -rf "$RUN/control-0"
    return 1
}

# It calls this ./demo, with these settings and properties.
define_control() { # fails where nothing changed
    local binary name
    binary=$(install_program "$BUILD_DIR/compose/control/control" control)
    {
        echo "# binary: $(sha256sum "$binary" | cut -c 1-16)"
        for name in "${SETTINGS[@]}"; do printf 'export %s=%q\n' "$name" "${!name}"; done
        for name in "${!PROPERTY[@]}"; do printf 'export %s=%q\n' "$name" "${PROPERTY[$name]}"; done | LC_ALL=C sort
        for name in HOME XDG_CACHE_HOME; do [ -z "${!name-}" ] || printf 'export %s=%q\n' "$name" "${!name}"; done
        echo "exec$(printf ' %q' "$binary" "$ROOT/demo" "$(control_socket)" "$(control_token)" "$DATA_DIR/control/code.json")" \
            "${SERVICES[*]} -- kafka registry postgres connect"
    } | define_process control-0
}

is_control_ready() {
    curl -s -m 2 -o /dev/null --unix-socket "$(control_socket)" http://localhost/v1/demo
}

# What nginx is told of it, on standard output; the code by which the panel explains itself, with today's lines, goes to
# where the pages can link to it.
show_control() { # show_control DIR
    local verb file text line source=$1/web/source files=() list=
    while IFS=$'\t' read -r verb file text; do
        [[ $verb != \#* ]] || continue
        line=$(grep -nFm 1 -- "$text" "$ROOT/$file") || continue
        [[ " ${files[*]-} " == *" $file "* ]] || files+=("$file")
        list+=$verb$'\t'$file$'\t'${line%%:*}$'\t'$text$'\n'
    done <"$ROOT/compose/control/code.tsv"
    mkdir -p "$source"
    (cd "$ROOT" && cp --parents --update "${files[@]}" "$source" && chmod -R a+rX "$source")
    printf %s "$list" | jq -cRn '[inputs | split("\t") | {verb: .[0], file: .[1], line: (.[2] | tonumber), text: .[3]}]' \
        >"$DATA_DIR/control/code.json"
    printf 'control\t/v1/demo\tunix:%s\n' "$(control_socket)"
}
