#!/bin/sh
# Orders flow, and somebody is killed in the middle of it. Runs in the root of the clone.
set -eu
./demo load orders --rate 50 --count 400 &
# TODO: kill inventory, twice, while they flow: ./demo kill inventory
wait
./demo audit --wait
