# What the workshop's parts 0, 3 and 4 need of the launcher: ./demo lab ready, refactoring, integration. Sourced by demo.
# shellcheck shell=bash

post() { # post METHOD PATH JSON
    curl -s -f -X "$1" "http://localhost:$PORT$2" -H 'Content-Type: application/json' -d "$3"
}

# Proves the machine, fetches and builds all that the workshop uses, and sends an order through the whole suite.
lab_ready() {
    local id outcome from ms
    look_at_system
    look_at_memory
    look_at_disk
    [ "$ILL" = 0 ] || die "mend what is BAD first"
    install_all
    build_suite
    "$ROOT/demo" up || exit

    id=ready-$(date +%s)-$$ from=${EPOCHREALTIME/./}
    post PUT /v1/customers/grace '{"firstName":"Grace","lastName":"Hopper","email":"grace@example.org",
        "address":"1 Compiler Court","level":"GOLD"}' >/dev/null || die "the customer is not taken: ./demo doctor"
    post POST /v1/orders '{"id":"'"$id"'","customerId":"grace","productId":"lp-blue-hour","quantity":1,"priceCents":2500}' >/dev/null ||
        die "the order is not taken: ./demo doctor"
    say "an order: 1 lp-blue-hour for grace, $id"
    outcome=$(curl -s -f -m 70 "http://localhost:$PORT/v1/orders/$id/validated?timeout=60000") || die "the order has no outcome within a minute: ./demo doctor"
    ms=$(((${EPOCHREALTIME/./} - from) / 1000))
    [ "$(jq -r .state <<<"$outcome")" = VALIDATED ] || die "the order is not VALIDATED: $outcome"
    say "three services have checked it: VALIDATED after $ms ms"
    outcome=$(curl -s -f -m 70 "http://localhost:$PORT/v1/shipments/$id?timeout=60000") || die "the order is not shipped within a minute: ./demo doctor"
    say "a fourth ships it to $(jq -r .address <<<"$outcome")"
    cat <<END

This machine is ready, and from here on nothing is fetched: it works without the internet.

  the workshop            http://localhost:$PORT/workshop
  the story of the order  http://localhost:$PORT/lens/key/$id
END
}

# The three stages of part 3, under load and in trouble. Needs Kafka and nothing else of the suite.
lab_refactoring() {
    build "$BUILD" refactoring workshop_log
    is_ready kafka-0 || die "Kafka does not run: ./demo up"
    KAFKA_BROKERS=$(brokers) exec python3 -B "$ROOT/workshop/refactoring/run.py" "$BUILD_DIR" \
        --svg "$BUILD_DIR/workshop/refactoring.svg" "$@"
}

# The four ways of part 4. Needs Kafka and the registry.
lab_integration() {
    [ $# = 0 ] || usage_error "usage: ./demo lab integration"
    build "$BUILD" integration_shipping workshop_log
    is_ready kafka-0 && is_ready registry-0 || die "Kafka and the registry do not run: ./demo up"
    look_from_outside
    exec python3 -B "$ROOT/workshop/integration/compare.py" "$BUILD_DIR"
}
