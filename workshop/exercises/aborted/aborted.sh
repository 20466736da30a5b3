#!/bin/sh
# aborted.sh TOPIC PARTITION: the offsets of the records that count for nobody, since their transaction was aborted, a line each. The
# lens has a page of the log for programs too.
set -eu
curl -sS "$GATEWAY_URL/v1/log/topics/$1/$2?limit=1000" |
    jq -r '.records[] | select(.kind == "record") | .offset' # TODO: this is what committed readers see
