#include "check.h"

#include "rows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct expected {
    const struct topic *topic;
    struct slice cause, key, json, words; /* cause: "topic/partition/offset"; size 0: whichever */
    int64_t adds, amount;
    int seen;
    bool perhaps;
    const char *forbidden; /* the verdict, if there is anything */
};

struct reckoning {
    const struct exercise *exercise;
    struct world *world;
    struct finding *finding;
    struct arena arena;
    struct expected *all;
    size_t count, capacity;
    size_t written; /* records of the outputs */
    void *state;
};

void *reckoning_state(struct reckoning *r) {
    return r->state;
}

static struct slice place(struct reckoning *r, const char *topic, int32_t partition, int64_t offset) {
    return arena_printf(&r->arena, "%s/%d/%" PRId64, topic, partition, offset);
}

static struct slice json_of(struct reckoning *r, const struct topic *t, const void *value) {
    struct buf json = {0};
    if (value == NULL)
        buf_printf(&json, "nothing");
    else
        event_json(t->value, value, &json);
    struct slice copy = arena_copy(&r->arena, buf_slice(&json));
    buf_free(&json);
    return copy;
}

static int64_t amount_of(struct reckoning *r, const struct topic *t, const void *value) {
    return r->exercise->amount == NULL || value == NULL ? 0 : r->exercise->amount(t, value);
}

static struct expected *add(struct reckoning *r, const struct event *cause, const struct topic *t,
                            struct slice key, const void *value) {
    if (r->count == r->capacity)
        r->all = xrealloc(r->all, (r->capacity = r->capacity * 2 + 64) * sizeof *r->all);
    struct expected *e = &r->all[r->count++];
    *e = (struct expected){.topic = t,
                           .key = arena_copy(&r->arena, key),
                           .json = json_of(r, t, value),
                           .amount = amount_of(r, t, value)};
    if (cause != NULL)
        e->cause = place(r, cause->topic->name, cause->partition, cause->offset);
    return e;
}

void expect(struct reckoning *r, const struct event *cause, const struct topic *t, struct slice key,
            const void *value, int64_t adds, const char *words, ...) {
    char text[200];
    va_list args;
    va_start(args, words);
    vsnprintf(text, sizeof text, words, args);
    va_end(args);
    struct expected *e = add(r, cause, t, key, value);
    e->adds = adds;
    e->words = arena_copy(&r->arena, slice_of(text));
}

void expect_nothing(struct reckoning *r, const struct event *cause, const struct topic *t,
                    const char *verdict, const char *words, ...) {
    char text[200];
    va_list args;
    va_start(args, words);
    vsnprintf(text, sizeof text, words, args);
    va_end(args);
    struct expected *e = add(r, cause, t, SLICE(""), NULL);
    e->words = arena_copy(&r->arena, slice_of(text));
    e->forbidden = verdict;
}

void expect_perhaps(struct reckoning *r, const struct event *cause, const struct topic *t, struct slice key,
                    const void *value) {
    add(r, cause, t, key, value)->perhaps = true;
}

static void find(struct reckoning *r, const char *verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The first finding ends the run. */
static void find(struct reckoning *r, const char *verdict, const char *fmt, ...) {
    if (world_violated(r->world))
        return;
    va_list args;
    va_start(args, fmt);
    snprintf(r->finding->verdict, sizeof r->finding->verdict, "%s", verdict);
    vsnprintf(r->finding->text, sizeof r->finding->text, fmt, args);
    va_end(args);
    world_violation(r->world, "%s", r->finding->text);
}

/* ---- what must follow ---- */

static void reckon(void *context, const struct log_record *record, const struct log_header *headers,
                   size_t n) {
    (void)headers, (void)n;
    struct reckoning *r = context;
    struct err e = {0};
    void *value = record->value.data == NULL ? NULL : arena_alloc(&r->arena, record->topic->value->size);
    if (value != NULL &&
        !schemas_decode(world_schemas(r->world), record->topic->value, record->value, &r->arena, value, &e))
        return;
    r->exercise->reckon(r, &(struct event){.topic = record->topic,
                                           .partition = record->partition,
                                           .offset = record->offset,
                                           .timestamp = record->timestamp,
                                           .key = record->key,
                                           .value = value});
}

/* ---- how it differs ---- */

static bool is_same_row(const struct expected *a, const struct expected *b) {
    return a->topic == b->topic && slice_equal(a->key, b->key);
}

/* The amount is another one. What happened to the inputs that it adds up? */
static void find_amount(struct reckoning *r, const struct expected *want, const char *where, int64_t got) {
    const struct expected *twice = NULL, *since = NULL;
    int64_t from_here = 0;
    for (const struct expected *e = want + 1; e-- > r->all;) {
        if (!is_same_row(e, want))
            continue;
        from_here += e->adds;
        if (twice == NULL && e->adds != 0 && got == want->amount + e->adds)
            twice = e;
        if (since == NULL && from_here == got)
            since = e;
        if (twice == NULL && got > want->amount && got == want->amount + from_here)
            twice = e;
    }
    if (twice != NULL)
        find(r, "counted-twice",
             SLICE_FMT " were counted twice: %s says %" PRId64 ", and %" PRId64 " follows.",
             SLICE_ARG(twice->words), where, got, want->amount);
    else if (since != NULL)
        find(r, "forgotten",
             "What came before " SLICE_FMT " was forgotten: %s says %" PRId64 ", and %" PRId64 " follows.",
             SLICE_ARG(since->words), where, got, want->amount);
    else
        find(r, "wrong-value", "%s says %" PRId64 " with " SLICE_FMT ", and %" PRId64 " follows.", where, got,
             SLICE_ARG(want->words), want->amount);
}

static void find_difference(struct reckoning *r, const struct expected *want, const char *where,
                            struct slice key, struct slice json, int64_t amount) {
    if (!slice_equal(key, want->key))
        find(r, "wrong-key", "%s, for " SLICE_FMT ", has the key " SLICE_FMT "; it should be " SLICE_FMT ".",
             where, SLICE_ARG(want->words), SLICE_ARG(key), SLICE_ARG(want->key));
    else if (amount != want->amount)
        find_amount(r, want, where, amount);
    else
        find(r, "wrong-value",
             "%s, for " SLICE_FMT ", is\n    " SLICE_FMT "\nand this follows:\n    " SLICE_FMT, where,
             SLICE_ARG(want->words), SLICE_ARG(json), SLICE_ARG(want->json));
}

static struct slice header(const struct log_header *headers, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].value;
    return SLICE_NONE;
}

static void compare(void *context, const struct log_record *record, const struct log_header *headers,
                    size_t n) {
    struct reckoning *r = context;
    struct err err = {0};
    void *value = record->value.data == NULL ? NULL : arena_alloc(&r->arena, record->topic->value->size);
    if (value != NULL &&
        !schemas_decode(world_schemas(r->world), record->topic->value, record->value, &r->arena, value, &err))
        abort();
    r->written++;
    char where[120];
    snprintf(where, sizeof where, "%s, partition %d, offset %" PRId64, record->topic->name, record->partition,
             record->offset);
    struct slice cause = header(headers, n, "caused-by"), json = json_of(r, record->topic, value);
    struct expected *twice = NULL, *other = NULL;
    for (struct expected *e = r->all; e < r->all + r->count; e++) {
        if (e->topic != record->topic || (e->cause.size > 0 && !slice_equal(e->cause, cause)))
            continue;
        if (e->forbidden != NULL) {
            find(r, e->forbidden, SLICE_FMT ": %s is " SLICE_FMT ".", SLICE_ARG(e->words), where,
                 SLICE_ARG(json));
            return;
        }
        bool same = slice_equal(e->key, record->key) && slice_equal(e->json, json);
        if (same && e->seen == 0) {
            e->seen++;
            return;
        }
        if (same)
            twice = e;
        else if (e->seen == 0 && e->cause.size > 0)
            other = e;
    }
    if (twice != NULL)
        find(r, "came-twice", "Of " SLICE_FMT " there are two: the second is %s.", SLICE_ARG(twice->words),
             where);
    else if (other != NULL)
        find_difference(r, other, where, record->key, json, amount_of(r, record->topic, value));
    else
        find(r, "unexpected",
             "%s is " SLICE_FMT " of " SLICE_FMT ": nothing of that kind follows from " SLICE_FMT ".", where,
             SLICE_ARG(json), SLICE_ARG(record->key), SLICE_ARG(cause));
}

static void find_missing(struct reckoning *r, const struct topic *t) {
    for (const struct expected *e = r->all; e < r->all + r->count; e++)
        if (e->topic == t && e->seen == 0 && !e->perhaps && e->forbidden == NULL)
            find(r, r->written == 0 ? "nothing-follows" : "lost",
                 r->written == 0 ? "Nothing was written to %s yet: " SLICE_FMT " should be there."
                                 : "In %s is nothing of " SLICE_FMT ": lost.",
                 t->name, SLICE_ARG(e->words));
}

static bool is_last(const struct reckoning *r, const struct expected *e) {
    for (const struct expected *later = e + 1; later < r->all + r->count; later++)
        if (is_same_row(e, later))
            return false;
    return true;
}

static void compare_rows(struct reckoning *r, const struct topic *t) {
    struct rows rows = {.count = 0};
    for (int32_t p = 0; p < world_plan(r->world)->partitions; p++)
        rows_fold(&rows, r->world, t, p);
    for (struct expected *e = r->all; e < r->all + r->count; e++) {
        if (e->topic != t || !is_last(r, e))
            continue;
        int i = 0;
        while (i < rows.count && !slice_equal(rows.keys[i], e->key))
            i++;
        char where[160];
        snprintf(where, sizeof where, "the row of " SLICE_FMT " in %s", SLICE_ARG(e->key), t->name);
        if (i == rows.count || rows.values[i].data == NULL) {
            find(r, rows.count == 0 ? "nothing-follows" : "lost",
                 "There is no row of " SLICE_FMT " in %s: lost is " SLICE_FMT ".", SLICE_ARG(e->key), t->name,
                 SLICE_ARG(e->words));
            return;
        }
        struct err err = {0};
        void *value = arena_alloc(&r->arena, t->value->size);
        if (!schemas_decode(world_schemas(r->world), t->value, rows.values[i], &r->arena, value, &err))
            abort();
        struct slice json = json_of(r, t, value);
        if (!slice_equal(json, e->json))
            find_difference(r, e, where, rows.keys[i], json, amount_of(r, t, value));
    }
    for (int i = 0; i < rows.count; i++) {
        bool known = rows.values[i].data == NULL;
        for (const struct expected *e = r->all; e < r->all + r->count; e++)
            known = known || (e->topic == t && slice_equal(e->key, rows.keys[i]));
        if (!known)
            find(r, "unexpected", "%s has a row of " SLICE_FMT ", and none follows.", t->name,
                 SLICE_ARG(rows.keys[i]));
    }
}

void judge(const struct exercise *x, struct world *w, struct finding *f) {
    struct reckoning r = {.exercise = x, .world = w, .finding = f, .state = xcalloc(1, x->state + 1)};
    int32_t partitions = world_plan(w)->partitions;
    for (int32_t p = 0; p < partitions; p++)
        for (size_t t = 0; x->inputs[t] != NULL; t++)
            world_scan(w, x->inputs[t], p, reckon, &r);
    for (size_t t = 0; x->outputs != NULL && x->outputs[t] != NULL; t++)
        for (int32_t p = 0; p < partitions; p++)
            world_scan(w, x->outputs[t], p, compare, &r);
    for (size_t t = 0; x->outputs != NULL && x->outputs[t] != NULL; t++)
        find_missing(&r, x->outputs[t]);
    for (size_t t = 0; x->rows != NULL && x->rows[t] != NULL; t++)
        compare_rows(&r, x->rows[t]);
    free(r.all);
    free(r.state);
    arena_free(&r.arena);
}
