#!/bin/sh
# Another schema for the value of `orders`: the customer is a number from now on. Prints the status with which the registry answers.
set -eu
schema='{"type":"record","name":"Order","namespace":"insideout","fields":[
    {"name":"id","type":"string"},{"name":"customerId","type":"int"}]}'
jq -n --arg schema "$schema" '{schema: $schema}' |
    curl -sS -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' -d @- "$REGISTRY_URL/subjects/orders-value/versions"
