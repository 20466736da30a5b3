/* load: gives the suite something to do, at a steady rate, and measures how long it takes.
 *
 *   load [orders] [--rate N] [--count N] [--sample N] [--json]     places orders (50/s, 1000)
 *   load ratings [--rate N] [--count N] [--direct] [--json]        rates movies (200/s, 2000)
 *   load rides [--rate N] [--count N] [--riders N] [--seconds N] [--as PREFIX] [--json]
 *                                                                  drives cars about (40, 20 riders, 60 s)
 *
 *   --rate N      things a second; of rides: reports of all cars together (one each)
 *   --count N     things in all; of rides: cars
 *   --sample N    waits for the outcome of every Nth order (1: of all; 0: of none)
 *   --direct      writes into the log, not through the gateway: for tens of thousands a second
 *   --seconds N   for so long (0: until it is stopped)
 *   --as PREFIX   of the ids of its drivers and riders, who go on where they were
 * Environment: GATEWAY_URL (http://127.0.0.1:8000), which must be this machine; for orders LEGACY_URL, the
 * database where what is sold is restocked first; for --direct KAFKA_BROKERS, REGISTRY_URL. Exit codes: 0; 1
 * when something failed for good or the gateway is away; 2 usage. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name, *options;
    int (*run)(int argc, char **argv);
} kinds[] = {
    {"orders", "[--rate N] [--count N] [--sample N] [--json]", load_orders},
    {"ratings", "[--rate N] [--count N] [--direct] [--json]", load_ratings},
    {"rides", "[--rate N] [--count N] [--riders N] [--seconds N] [--as PREFIX] [--json]", load_rides},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* As many connections as it is allowed. */
static void open_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv) {
    int kind = 0, named = 0;
    for (int k = 0; k < KINDS; k++)
        if (argc > 1 && strcmp(argv[1], kinds[k].name) == 0)
            kind = k, named = 1;
    open_files();
    int code = kinds[kind].run(argc - named, argv + named);
    for (int k = 0; k < KINDS && code == LOAD_USAGE; k++)
        fprintf(stderr, "%s load %s %s\n", k == 0 ? "usage:" : "      ", kinds[k].name, kinds[k].options);
    return code;
}
