# The gateway's configuration and pages. Sourced by demo.
# shellcheck shell=bash

# Sets GATEWAY_CHANGED where the configuration is another than before.
configure_gateway() {
    local dir=$DATA_DIR/gateway name key addresses
    mkdir -p "$dir"
    # A copy, since nginx's user may not be allowed to look into the repository.
    "$ROOT/compose/nginx/pages" "$ROOT/web" "$WEB_DIR" "$dir/web"
    [ "$(id -u)" != 0 ] || chmod a+x "$DATA_DIR" "$dir"
    for name in "${SERVICES[@]}"; do
        addresses=
        for key in $(instances_of "$name"); do
            [ -e "$RUN/$key/down" ] || addresses+=,127.0.0.1:$(ports_of "$key")
        done
        printf '%s\t%s\t%s\n' "$name" "${SERVICE_PATHS[$name]:--}" "${addresses#,}"
    done | "$ROOT/compose/nginx/config" "127.0.0.1:$PORT" "$dir" "$dir/web" >"$dir/nginx.conf.new"
    if cmp -s "$dir/nginx.conf.new" "$dir/nginx.conf"; then
        rm "$dir/nginx.conf.new"
        GATEWAY_CHANGED=
    else
        mv "$dir/nginx.conf.new" "$dir/nginx.conf"
        GATEWAY_CHANGED=1
    fi
}

# Brings a running gateway up to date with the instances there are.
refresh_gateway() {
    configure_gateway
    [ -z "$GATEWAY_CHANGED" ] || [ -z "$(process_id gateway-0)" ] || sv hup "$RUN/gateway-0" >/dev/null
}
