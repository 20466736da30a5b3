/* Checks a topology that a learner wrote: it runs in the simulated world of tests/simulation, and what it
 * writes is compared with what follows from the inputs by the exercise's own reckoning.
 *
 *   check.c     first in a calm world, then with everything that goes wrong; the verdict
 *   judge.c     what follows, and how what was written differs from it
 *   process.c   the learner's object: each instance has variables, a clock and a directory as a process has
 *
 * Each directory of workshop/exercises that has a check.c defines one `struct exercise` there. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "world.h"

#include <stdbool.h>
#include <stdint.h>

struct reckoning; /* what must follow from the inputs of a run */

enum item_kind { ITEM_ORDINARY, ITEM_LATE, ITEM_POISON }; /* the latter is written by check.c */

struct exercise {
    const char *topology;              /* what the learner's object calls it */
    const struct topic *const *inputs; /* reckoned with, in this order within a partition; up to NULL */
    /* What it may write, each record expected by itself; and what comes to rows, the last of each key. */
    const struct topic *const *outputs, *const *rows;
    size_t state; /* bytes of the reckoning's own state, zeroed for each run */
    /* Writes a client's record. Doubled ones come as the same item again. */
    void (*write)(struct world *w, const struct item *item);
    /* Says by expect() what follows from one input. Inputs that cannot be decoded do not come here. */
    void (*reckon)(struct reckoning *r, const struct event *in);
    /* The number in a value to which inputs add up; NULL: there is none. */
    int64_t (*amount)(const struct topic *t, const void *value);
};

/* The exercise's own state. */
void *reckoning_state(struct reckoning *r);

/* One record must be written, of which `words` tell what it is about: "ada's 20 points of purchase p-7".
 * Because of `cause`; NULL: of whichever input. `adds` is what it adds to the amount. All is copied. */
void expect(struct reckoning *r, const struct event *cause, const struct topic *t, struct slice key,
            const void *value, int64_t adds, const char *words, ...) __attribute__((format(printf, 7, 8)));
/* Nothing may be written because of `cause`; `words` say what was wrong if something is, in a whole sentence
 * without its full stop, and `verdict` in one. */
void expect_nothing(struct reckoning *r, const struct event *cause, const struct topic *t,
                    const char *verdict, const char *words, ...) __attribute__((format(printf, 5, 6)));
/* It may be written or not: nobody can say what was known by then. */
void expect_perhaps(struct reckoning *r, const struct event *cause, const struct topic *t, struct slice key,
                    const void *value);

/* ---- judge.c ---- */

struct finding {
    char verdict[32]; /* one word, such as "forgotten" */
    char text[900];
};

void judge(const struct exercise *x, struct world *w, struct finding *f);

/* ---- process.c ---- */

/* Opens the object; its topology, or NULL and why not. Once in a process. */
const struct topology *process_open(const char *object, const char *topology, struct finding *f);
/* As struct workload has it. */
void process_enter(struct world *w, int instance, bool begins);

/* What the learner's code did, in the run before, that a handler must not. */
struct deeds {
    bool variables, clock;
    char file[64]; /* the name of one that it wrote; "" */
};
/* A run begins, in an empty directory. */
void process_run_begins(void);
struct deeds process_run_ends(void);
