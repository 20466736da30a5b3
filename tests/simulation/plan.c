/* What a seed stands for, and how a plan that fails is made smaller. */
#include "world.h"

#include <stdlib.h>

static int by_at(const void *a, const void *b) {
    return ((const struct fault *)a)->at - ((const struct fault *)b)->at;
}

/* Faults that belong together meet more often than all of them would. */
struct theme {
    uint32_t count;
    enum fault_kind kinds[FAULT_KINDS];
};

static const struct theme themes[] = {
    {16,
     {FAULT_CRASH, FAULT_POWER, FAULT_STOP, FAULT_PAUSE, FAULT_ISOLATE, FAULT_TWIN, FAULT_REPLY,
      FAULT_REBALANCE, FAULT_AWAY, FAULT_ABORT, FAULT_REPORT, FAULT_MARKERS, FAULT_STALL, FAULT_REGISTRY,
      FAULT_CLOCK, FAULT_OFFSETS}},
    {3, {FAULT_PAUSE, FAULT_ISOLATE, FAULT_REBALANCE}},
    {3, {FAULT_CRASH, FAULT_POWER, FAULT_STOP}},
    {4, {FAULT_REPLY, FAULT_ABORT, FAULT_REPORT, FAULT_MARKERS}},
    {4, {FAULT_CRASH, FAULT_PAUSE, FAULT_TWIN, FAULT_REPLY}},
    {4, {FAULT_AWAY, FAULT_REGISTRY, FAULT_STALL, FAULT_CLOCK}},
    {4, {FAULT_CRASH, FAULT_MARKERS, FAULT_REPORT, FAULT_REBALANCE}},
    {4, {FAULT_OFFSETS, FAULT_CRASH, FAULT_POWER, FAULT_REBALANCE}},
};

/* Where logs become shorter: a share of all seeds. */
static const struct theme shorter[] = {
    {FAULT_KINDS,
     {FAULT_CRASH,     FAULT_POWER,   FAULT_STOP,  FAULT_PAUSE,  FAULT_ISOLATE, FAULT_TWIN,  FAULT_REPLY,
      FAULT_REBALANCE, FAULT_AWAY,    FAULT_ABORT, FAULT_REPORT, FAULT_MARKERS, FAULT_STALL, FAULT_REGISTRY,
      FAULT_CLOCK,     FAULT_OFFSETS, FAULT_FRONT, FAULT_TAIL,   FAULT_COMPACT, FAULT_DAYS}},
    {4, {FAULT_FRONT, FAULT_TAIL, FAULT_CRASH, FAULT_REBALANCE}},
    {4, {FAULT_TAIL, FAULT_TAIL, FAULT_REBALANCE, FAULT_REPLY}},
    {4, {FAULT_COMPACT, FAULT_DAYS, FAULT_DAYS, FAULT_CRASH}},
};

void plan_make(struct plan *p, uint64_t seed, const struct workload *workload) {
    uint64_t rng = seed;
    *p = (struct plan){.seed = seed, .workload = workload};
    p->partitions = 1 + (int)random_below(&rng, MAX_PARTITIONS);
    p->stale_stores = random_below(&rng, 20) == 0;
    p->own_schemas = random_below(&rng, 20) == 0;
    p->interleave = (const int[]){0, 0, 5, 25}[random_below(&rng, 4)];
    workload->plan(p, &rng);
    for (int i = 0; p->stale_stores && i < MAX_GROUPS; i++)
        p->instances[i] =
            p->instances[i] > 0; /* so that nobody else makes a changelog longer before it looks */

    /* About as many calls as a run makes; what lies behind the end does not strike. */
    uint32_t instances = 0, calls;
    for (int i = 0; i < MAX_GROUPS; i++)
        instances += (uint32_t)p->instances[i];
    calls = instances * 40 + (uint32_t)p->item_count * 15;
    p->fault_count = (int)random_below(&rng, random_below(&rng, 4) == 0 ? 12 : 5);
    p->fault_count += p->stale_stores;
    const struct theme *theme = seed / 8 % 4 == 3
                                    ? &shorter[random_below(&rng, sizeof shorter / sizeof *shorter)]
                                    : &themes[random_below(&rng, sizeof themes / sizeof *themes)];
    for (int i = 0; i < p->fault_count; i++)
        p->faults[i] = (struct fault){theme->kinds[random_below(&rng, theme->count)],
                                      1 + (int)random_below(&rng, i == 0 && p->stale_stores ? 20 : calls),
                                      (uint32_t)random_next(&rng)};
    for (int i = 0; p->stale_stores && i < p->fault_count; i++)
        if (p->faults[i].kind == FAULT_TWIN ||
            p->faults[i].kind == FAULT_POWER) /* likewise; nor forgets that it did */
            p->faults[i].kind = FAULT_CRASH;
    qsort(p->faults, (size_t)p->fault_count, sizeof *p->faults, by_at);
}

static bool has_fault(const struct plan *p, enum fault_kind kind) {
    for (int i = 0; i < p->fault_count; i++)
        if (p->faults[i].kind == kind)
            return true;
    return false;
}

bool plan_loses_offsets(const struct plan *p) {
    return has_fault(p, FAULT_OFFSETS);
}

bool plan_compacts(const struct plan *p) {
    return has_fault(p, FAULT_COMPACT) || has_fault(p, FAULT_DAYS);
}

bool plan_is_gentle(const struct plan *p) {
    static const enum fault_kind rough[] = {FAULT_CRASH, FAULT_POWER, FAULT_DAYS,
                                            FAULT_STOP,  FAULT_TWIN,  FAULT_REPORT};
    bool gentle = true;
    for (size_t i = 0; i < sizeof rough / sizeof *rough; i++)
        gentle = gentle && !has_fault(p, rough[i]);
    return gentle;
}

static bool fails(const struct plan *p) {
    struct buf why = {0};
    bool ok = world_run(p, NULL, &why);
    buf_free(&why);
    return !ok;
}

static bool try_without_items(struct plan *p, int at, int n) {
    struct plan less = *p;
    less.item_count -= n;
    memmove(less.items + at, less.items + at + n, (size_t)(p->item_count - at - n) * sizeof *less.items);
    if (!fails(&less))
        return false;
    *p = less;
    return true;
}

static bool try_without_fault(struct plan *p, int at) {
    struct plan less = *p;
    less.fault_count--;
    memmove(less.faults + at, less.faults + at + 1, (size_t)(p->fault_count - at - 1) * sizeof *less.faults);
    if (!fails(&less))
        return false;
    *p = less;
    return true;
}

void plan_shrink(struct plan *p) {
    for (bool better = true; better;) {
        better = false;
        for (int i = p->fault_count; i-- > 0;)
            better = try_without_fault(p, i) || better;
        for (int n = p->item_count / 2; n > 0; n /= 2)
            for (int at = p->item_count - n; at >= 0; at -= n)
                if (at + n <= p->item_count)
                    better = try_without_items(p, at, n) || better;
        for (int g = MAX_GROUPS; g-- > 0;) {
            struct plan less = *p;
            if (less.instances[g] > 1 && (less.instances[g]--, fails(&less))) {
                *p = less;
                better = true;
            }
        }
    }
}
