# The gateway's configuration and pages. Sourced by demo.
# shellcheck shell=bash

# A line for each service: name, paths, addresses of the instances that are meant to run.
running_services() {
    local name key addresses
    for name in "${SERVICES[@]}"; do
        addresses=
        for key in $(instances_of "$name"); do
            [ -e "$RUN/$key/down" ] || addresses+=,127.0.0.1:$(ports_of "$key")
        done
        printf '%s\t%s\t%s\n' "$name" "${SERVICE_PATHS[$name]:--}" "${addresses#,}"
    done
}

# Sets GATEWAY_CHANGED where the configuration is another than before.
configure_gateway() {
    local dir=$DATA_DIR/gateway
    mkdir -p "$dir"
    # A copy, since nginx's user may not be allowed to look into the repository.
    "$ROOT/compose/nginx/pages" "$ROOT/web" "$WEB_DIR" "$dir/web"
    [ "$(id -u)" != 0 ] || chmod a+x "$DATA_DIR" "$dir"
    running_services | "$ROOT/compose/nginx/config" "127.0.0.1:$PORT" "$dir" "$dir/web" >"$dir/nginx.conf.new"
    if cmp -s "$dir/nginx.conf.new" "$dir/nginx.conf"; then
        rm "$dir/nginx.conf.new"
        GATEWAY_CHANGED=
    else
        mv "$dir/nginx.conf.new" "$dir/nginx.conf"
        GATEWAY_CHANGED=1
    fi
}

configure_prometheus() {
    mkdir -p "$DATA_DIR/prometheus"
    running_services | "$ROOT/compose/prometheus/config" "$ROOT/compose/prometheus/alerts.yml" >"$DATA_DIR/prometheus/prometheus.yml"
}

# Brings a running gateway up to date with the instances there are, and who watches them.
refresh_gateway() {
    configure_gateway
    [ -z "$GATEWAY_CHANGED" ] || [ -z "$(process_id gateway-0)" ] || sv hup "$RUN/gateway-0" >/dev/null
    [ -z "$(process_id prometheus-0)" ] || {
        configure_prometheus
        sv hup "$RUN/prometheus-0" >/dev/null
    }
}
