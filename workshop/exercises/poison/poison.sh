#!/bin/sh
# A record that nobody can read, in the topic of the order requests. LOG is a program that writes lines "partition<tab>key<tab>value";
# - is the partition of the key.
set -eu
# TODO: printf -- '-\tKEY\tno Avro at all\n' | "$LOG" write TOPIC
