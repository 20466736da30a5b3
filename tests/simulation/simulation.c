/* usage: simulation [--runs N] [--seed S] [--workload toy|kept|suite] [--trace] [--expect-violation]
 *
 * Runs the schedules of N seeds from S on. One that fails is made smaller, its trace is printed, and the
 * program ends with 1. --seed S --trace replays one. --expect-violation is for a runtime with a planted bug:
 * 0 when it is found. */
#include "world.h"

#include "base/clock.h"

#include <getopt.h>
#include <stdlib.h>

struct options {
    uint64_t seed, runs;
    const struct workload *workload; /* NULL: as the seed says */
    bool trace, expect_violation;
};

static bool number(const char *text, uint64_t *n) {
    char *end;
    *n = text == NULL ? 0 : strtoull(text, &end, 10);
    return text != NULL && end != text && *end == 0;
}

static int usage(void) {
    fprintf(stderr, "usage: simulation [--runs N] [--seed S] [--workload toy|kept|suite] [--trace] "
                    "[--expect-violation]\n");
    return 2;
}

/* The suite's own topologies run in a share of the schedules; they take longer. */
static const struct workload *workload_of(const struct options *o, uint64_t seed) {
    return o->workload != NULL ? o->workload
           : seed % 50 == 0    ? &suite_workload
           : seed % 8 == 1     ? &kept_workload
                               : &toy_workload;
}

static void report(struct plan *p, const struct buf *why) {
    printf("VIOLATION: " SLICE_FMT "\n", SLICE_ARG(buf_slice(why)));
    plan_print(p, stdout);
    plan_shrink(p);
    printf("\nmade smaller:\n");
    plan_print(p, stdout);
    struct buf again = {0};
    world_run(p, stdout, &again);
    printf("\nVIOLATION: " SLICE_FMT "\nreplay: simulation --seed %llu --workload %s --trace\n",
           SLICE_ARG(buf_slice(&again)), (unsigned long long)p->seed, p->workload->name);
    buf_free(&again);
}

static int run(const struct options *o) {
    int64_t started = clock_mono_us();
    uint64_t calls = 0;
    struct plan p;
    for (uint64_t n = 0; n < o->runs; n++) {
        struct buf why = {0};
        plan_make(&p, o->seed + n, workload_of(o, o->seed + n));
        if (o->trace)
            plan_print(&p, stdout);
        bool ok = world_run(&p, o->trace ? stdout : NULL, &why);
        calls += (uint64_t)world_calls();
        if (!ok && o->expect_violation)
            printf("found after %llu schedules: " SLICE_FMT "\n", (unsigned long long)n + 1,
                   SLICE_ARG(buf_slice(&why)));
        else if (!ok && o->trace)
            printf("VIOLATION: " SLICE_FMT "\n", SLICE_ARG(buf_slice(&why)));
        else if (!ok)
            report(&p, &why);
        buf_free(&why);
        if (!ok)
            return o->expect_violation ? 0 : 1;
    }
    double seconds = (double)(clock_mono_us() - started) / 1e6;
    printf("%llu schedules from seed %llu, %.1f calls each, %.0f schedules/s: no violation\n",
           (unsigned long long)o->runs, (unsigned long long)o->seed, (double)calls / (double)o->runs,
           (double)o->runs / seconds);
    return o->expect_violation ? 1 : 0;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"runs", required_argument, NULL, 'r'},       {"seed", required_argument, NULL, 's'},
        {"workload", required_argument, NULL, 'w'},   {"trace", no_argument, NULL, 't'},
        {"expect-violation", no_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
    struct options o = {.seed = 1};
    const char *runs = getenv("SIMULATION_RUNS");
    if (runs != NULL && !number(runs, &o.runs))
        return usage();
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        bool ok = true;
        if (c == 'r')
            ok = number(optarg, &o.runs);
        else if (c == 's')
            ok = number(optarg, &o.seed);
        else if (c == 'w' && strcmp(optarg, "toy") == 0)
            o.workload = &toy_workload;
        else if (c == 'w' && strcmp(optarg, "kept") == 0)
            o.workload = &kept_workload;
        else if (c == 'w' && strcmp(optarg, "suite") == 0)
            o.workload = &suite_workload;
        else if (c == 't')
            o.trace = true;
        else if (c == 'e')
            o.expect_violation = true;
        else
            ok = false;
        if (!ok)
            return usage();
    }
    if (o.runs == 0)
        o.runs = o.trace ? 1 : 100000;
    return run(&o);
}
