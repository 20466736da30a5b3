#!/bin/sh
# A record that nobody can read, in the topic of the order requests.
set -eu
printf -- '-\to-poison\tno Avro at all\n' | "$LOG" write order-requests
