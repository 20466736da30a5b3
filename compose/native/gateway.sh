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

configure_gateway() {
    local dir=$DATA_DIR/gateway
    mkdir -p "$dir"
    render_workshop
    # A copy, since nginx's user may not be allowed to look into the repository.
    "$ROOT/compose/nginx/pages" "$ROOT/web" "$WEB_DIR" "$ROOT/build/workshop" "$dir/web"
    [ "$(id -u)" != 0 ] || chmod a+x "$DATA_DIR" "$dir"
    running_services >"$dir/instances.new"
    ! has_control || show_control "$dir" >>"$dir/instances.new"
    mv "$dir/instances.new" "$dir/instances"
}

configure_prometheus() {
    mkdir -p "$DATA_DIR/prometheus"
    running_services | "$ROOT/compose/prometheus/config" "$ROOT/compose/prometheus/alerts.yml" >"$DATA_DIR/prometheus/prometheus.yml"
}

# Brings a running gateway up to date with the instances there are, and who watches them.
refresh_gateway() {
    local pid
    configure_gateway
    pid=$(process_id gateway-0)
    [ -z "$pid" ] || LISTEN=127.0.0.1 DATA_DIR=$DATA_DIR PORT=$PORT "$ROOT/compose/nginx/renew" "$pid"
    [ -z "$(process_id prometheus-0)" ] || {
        configure_prometheus
        sv hup "$RUN/prometheus-0" >/dev/null
    }
}
