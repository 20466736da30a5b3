#!/usr/bin/env bash
# Each place by which the panel explains itself (compose/control/code.tsv) is in the code, and each verb has one.
# usage: control_code.sh ROOT
set -euo pipefail
cd "$1"
status=0
while IFS=$'\t' read -r verb file text; do
    [[ $verb != \#* ]] || continue
    grep -qF -- "$text" "$file" || {
        echo "$verb: $file has no line with: $text"
        status=1
    }
done <compose/control/code.tsv
for verb in $(sed -n '/verbs\[\] = {/,/^};/p' compose/control/control.c | grep -o '{"[a-z]*"' | tr -d '{"'); do
    grep -q "^$verb"$'\t' compose/control/code.tsv || {
        echo "$verb: no place in compose/control/code.tsv"
        status=1
    }
    grep -q "^  $verb: \[" web/js/home/panel.js || {
        echo "$verb: web/js/home/panel.js does not tell of it"
        status=1
    }
done
exit $status
