#!/bin/sh
# A record that nobody can read, where nobody minds.
set -eu
printf -- '-\to-poison\tno Avro at all\n' | "$LOG" write vip-actions
