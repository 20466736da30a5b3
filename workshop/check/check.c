/* usage: check EXERCISE OBJECT [--seed S]
 *
 * Prints a verdict: on the first line one word, "passed" or what is wrong, then in words. Ends with 0 for
 * passed, 1 for a finding. --seed shows what happens in one schedule, step by step. Runs in a directory of
 * its own that is empty. */
#include "check.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { CALM = 30, SCHEDULES = 1000 };
#define BEGINS INT64_C(1700000160000) /* a minute into a window of five */

static const char *name;
static const struct exercise *exercise;
static const struct topology *topology;
static struct finding finding;
static bool calm;

/* ---- the workload ---- */

static void make_plan(struct plan *p, uint64_t *rng) {
    p->instances[0] = 1 + (int)random_below(rng, 3);
    p->item_count = 6 + (int)random_below(rng, 24);
    for (int i = 0; i < p->item_count; i++) {
        uint32_t n = random_below(rng, 16);
        p->items[i] = i > 0 && n < 2
                          ? p->items[random_below(rng, (uint32_t)i)]
                          : (struct item){.kind = n == 2   ? ITEM_POISON
                                                  : n <= 4 ? ITEM_LATE
                                                           : ITEM_ORDINARY,
                                          .key = (uint8_t)random_below(rng, 4),
                                          .mode = (uint8_t)(n == 5 ? random_below(rng, WRITE_MODES) : 0),
                                          .arg = (uint32_t)random_next(rng)};
    }
}

/* A run begins. */
static void topologies(const struct plan *p, const struct topology **t) {
    (void)p;
    process_run_begins();
    t[0] = topology;
    t[1] = NULL;
}

static void write_item(struct world *w, const struct item *item) {
    if (item->kind == ITEM_POISON)
        world_write(w, exercise->inputs[0], -1, SLICE("eve"), SLICE("no Avro at all"), world_now(w),
                    item->mode);
    else
        exercise->write(w, item);
}

static void check_world(struct world *w) {
    judge(exercise, w, &finding);
}

static const struct workload workload = {.name = "exercise",
                                         .topics = topics,
                                         .plan = make_plan,
                                         .topologies = topologies,
                                         .write = write_item,
                                         .check = check_world,
                                         .enter = process_enter,
                                         .keeps_offsets = true, /* not every exercise has a view */
                                         .begins = BEGINS};

/* One instance, nothing late, doubled, alike or bad, and nobody in the way. */
static void make_calm(struct plan *p, uint64_t seed) {
    plan_make(p, seed, &workload);
    p->stale_stores = p->own_schemas = false;
    p->interleave = p->fault_count = 0;
    p->instances[0] = 1;
    for (int i = 0; i < p->item_count; i++)
        p->items[i] =
            (struct item){.key = (uint8_t)(i % 4), .arg = random_below(&seed, 1000000) * 4000 + (uint32_t)i};
}

static bool passes(const struct plan *p, FILE *trace, struct deeds *deeds) {
    struct buf why = {0};
    finding = (struct finding){0};
    bool ok = world_run(p, trace, &why);
    *deeds = process_run_ends();
    if (!ok && finding.verdict[0] == 0) { /* it was not we who found it */
        snprintf(finding.verdict, sizeof finding.verdict, "stopped");
        snprintf(finding.text, sizeof finding.text, "The runtime stopped: " SLICE_FMT,
                 SLICE_ARG(buf_slice(&why)));
    }
    buf_free(&why);
    return ok;
}

/* ---- the verdict ---- */

/* What the code did that explains it. */
static const char *reason(const struct deeds *d, char *text, size_t size) {
    if (d->file[0] != 0) {
        snprintf(
            text, size,
            "The handler writes a file (%s). No transaction takes that back, and what is done again is in "
            "it twice. State belongs in a view: txn_get() and txn_put().",
            d->file);
        return "kept-in-a-file";
    }
    if (d->clock) {
        snprintf(
            text, size,
            "The handler asks the clock what time it is. By the log that is another time whenever a record "
            "is late, or read again. The time of an event is in->timestamp.");
        return "asked-the-clock";
    }
    if (d->variables) {
        snprintf(
            text, size,
            "The handler keeps something in a variable of the program. That dies with the process, stays "
            "behind when the partition moves, and is not undone with the transaction. State belongs in a "
            "view: txn_get() and txn_put().");
        return "kept-in-memory";
    }
    text[0] = 0;
    return NULL;
}

static const struct {
    const char *fault, *words;
} faults[] = {
    {"crash", "is killed"},
    {"power", "is killed, and its disk forgets the latest"},
    {"stop", "is stopped"},
    {"pause", "stands still, perhaps for longer than others wait for it"},
    {"isolate", "goes on, and nobody hears of it"},
    {"twin", "meets a second one with its name"},
    {"reply", "will not hear the answer to its next commit"},
    {"rebalance", "and others exchange partitions"},
    {"away", "finds Kafka away"},
    {"abort", "will have its next transaction aborted"},
    {"report", "will miss a delivery report"},
    {"markers", "will see its transaction end late"},
    {"stall", "hears nothing of a partition for a while"},
    {"registry", "finds the registry away"},
    {"clock", "has its clock jump ahead"},
};

static void tell_fault(const char *fault, const char *instance, const char *what) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strcmp(faults[i].fault, fault) == 0)
            printf("    %s %s (at: %s)\n", instance, faults[i].words, what);
}

/* What happens, in words: of each line of the trace that is for people. */
static void tell_line(const char *line) {
    char word[60], what[60], instance[40];
    unsigned set;
    int at = 0;
    if (sscanf(line, " %*d ms %*d  %n", &at) < 0 || at == 0)
        return;
    line += at;
    if (sscanf(line, "FAULT %59s (%*u) at %59[^\n]", word, what) == 2) {
        char *of = strstr(what, " of ");
        if (of != NULL) {
            *of = 0;
            tell_fault(word, of + 4, what);
        }
    } else if (sscanf(line, "client writes %59[^,], key %59[^\n]", word, what) == 2) {
        printf("    %s is written: %s\n", word, what);
    } else if (sscanf(line, "%39s gets %x", instance, &set) == 2 ||
               sscanf(line, "%39s gives back %x", instance, &set) == 2 ||
               sscanf(line, "%39s lost %x", instance, &set) == 2) {
        printf("    %s %s", instance,
               strstr(line, " gets ") != NULL   ? "gets"
               : strstr(line, " lost ") != NULL ? "has lost"
                                                : "gives back");
        for (int p = 0; p < MAX_PARTITIONS; p++)
            if (set & 1U << p)
                printf(" partition %d", p);
        printf("\n");
    }
}

static void tell(char *trace) {
    for (char *line = strtok(trace, "\n"); line != NULL; line = strtok(NULL, "\n"))
        tell_line(line);
}

/* The smallest plan that fails as well, and what it finds. */
static int report(struct plan *p) {
    struct deeds deeds;
    char why[400], *trace = NULL;
    size_t size;
    uint64_t seed = p->seed;
    plan_shrink(p);
    FILE *out = open_memstream(&trace, &size);
    passes(p, out, &deeds);
    fclose(out);
    const char *verdict = reason(&deeds, why, sizeof why);
    printf("%s\n",
           verdict != NULL && (!calm || deeds.clock || deeds.file[0] != 0) ? verdict : finding.verdict);
    printf("%s\n", finding.text);
    if (calm) {
        printf("(That is so when nothing goes wrong at all.)\n");
    } else {
        printf("It works until something goes wrong, as here:\n");
        tell(trace);
    }
    if (why[0] != 0)
        printf("%s\n", why);
    if (!calm)
        printf("Step by step: ./demo lab %s --seed %llu\n", name, (unsigned long long)seed);
    free(trace);
    return 1;
}

static int show(uint64_t seed) {
    struct plan p;
    struct deeds deeds;
    plan_make(&p, seed, &workload);
    bool ok = passes(&p, stdout, &deeds);
    printf("%s\n", ok ? "passed" : finding.text);
    return ok ? 0 : 1;
}

static int check(void) {
    struct plan p;
    struct deeds deeds;
    calm = true;
    for (uint64_t seed = 1; seed <= CALM; seed++) {
        make_calm(&p, seed);
        if (!passes(&p, NULL, &deeds))
            return report(&p);
    }
    calm = false;
    for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
        plan_make(&p, seed, &workload);
        if (!passes(&p, NULL, &deeds))
            return report(&p);
    }
    printf("passed\nRight in %d schedules: killed in the middle of a transaction, frozen beyond its session, "
           "rebalanced; with records that come twice, late and poisoned.\n",
           SCHEDULES);
    return 0;
}

int main(int argc, char **argv) {
    char symbol[64];
    struct err e = {0};
    if (argc != 3 && (argc != 5 || strcmp(argv[3], "--seed") != 0)) {
        fprintf(stderr, "usage: check EXERCISE OBJECT [--seed S]\n");
        return 2;
    }
    name = argv[1];
    snprintf(symbol, sizeof symbol, "exercise_%s", name);
    exercise = dlsym(RTLD_DEFAULT, symbol);
    if (exercise == NULL) {
        fprintf(stderr, "check: there is no exercise %s\n", name);
        return 2;
    }
    topology = process_open(argv[2], exercise->topology, &finding);
    if (topology == NULL) {
        printf("%s\n%s\n", finding.verdict, finding.text);
        return 1;
    }
    if (!topology_check(topology, &e)) {
        printf("no-topology\nThe runtime refuses this topology: %s\n", e.text);
        return 1;
    }
    return argc == 5 ? show(strtoull(argv[4], NULL, 10)) : check();
}
