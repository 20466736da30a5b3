#!/usr/bin/env bash
# What compose/prometheus/config prints is a configuration: of instances by port, and of containers by name.
# Runs in compose/prometheus.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
promtool check rules alerts.yml >/dev/null

printf 'orders\t/v1/orders\t127.0.0.1:8105,127.0.0.1:8107\nstopped\t-\t\nemail\t-\t127.0.0.1:8175\n' |
    SERVICE_PORT=8105 ./config "$PWD/alerts.yml" >"$work/ports.yml"
promtool check config "$work/ports.yml" >/dev/null
diff <(grep -o 'job_name.*\|targets.*' "$work/ports.yml") - <<'END'
job_name: orders
targets: ["127.0.0.1:8105"], labels: { instance: orders-0 } }
targets: ["127.0.0.1:8107"], labels: { instance: orders-2 } }
job_name: email
targets: ["127.0.0.1:8175"], labels: { instance: email-0 } }
END

printf 'orders\t/v1/orders\torders:8080\n' | ./config "$PWD/alerts.yml" >"$work/names.yml"
promtool check config "$work/names.yml" >/dev/null
grep -q 'names: \["orders"\], type: A, port: 8080' "$work/names.yml"
