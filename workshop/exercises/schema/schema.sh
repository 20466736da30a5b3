#!/bin/sh
# Another schema for the value of `orders`: the customer is a number from now on. Prints the status with which the registry answers.
set -eu
schema='{"type":"record","name":"Order","namespace":"insideout","fields":[
    {"name":"id","type":"string"},{"name":"customerId","type":"int"}]}'
# TODO: the registry takes {"schema": "…"}, the schema as a string, at $REGISTRY_URL/subjects/SUBJECT/versions.
jq -n --arg schema "$schema" '{schema: $schema}' >/dev/null
