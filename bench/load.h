/* The kinds of load. Each parses its own arguments (argv[0] is left out of account), shows a progress line on
 * a terminal, and prints throughput and percentiles, or --json. Arrivals do not wait for answers, and times
 * count from when something was due: a stall shows in all that it delayed. Returns the exit code. */
#pragma once

enum { LOAD_USAGE = 2 };

int load_orders(int argc, char **argv);
int load_ratings(int argc, char **argv);
int load_rides(int argc, char **argv);
