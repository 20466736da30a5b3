/* A toy that can be checked to the last bit: it counts the inputs of each key, below the key too, looks up a
 * price, and a second topology counts what the first one wrote by group. Each output names the input that it
 * follows from and carries a hash of all before it, so that nothing can be lost, come twice or change its
 * order unseen. */
#include "rows.h"

#include "log/partitions.h"
#include "schemas/schemas.gen.h"
#include "stream/stream.h"
#include "transaction/txn.h"

#include <inttypes.h>
#include <stdlib.h>

enum { KEYS = 5, MARKS = 2 };

static const char *const keys[KEYS] = {"k0", "k1", "k2", "k3", "k4"};

static void on_input(struct txn *txn, const struct event *in);
static void on_group(struct txn *txn, const struct event *in);

static void by_count(struct index *to, const struct event *row);
static const struct view counts;
static const struct table shown = {
    .name = "shown", .topic = &topic_toy_count_changes, .view = &counts, .index = by_count};
static const struct view counts = {.name = "counts", .changelog = &topic_toy_count_changes, .served = &shown};
static const struct view marks = {.name = "marks", .changelog = &topic_toy_mark_changes};
static const struct view sums = {.name = "sums", .changelog = &topic_toy_sum_changes};
static const struct table prices = {.name = "prices", .topic = &topic_toy_prices, .fresh = true};

static const struct topology count_topology = {
    .name = "count",
    .sources =
        (const struct source[]){
            {.topic = &topic_toy_inputs, .handle = on_input, .forward_misplaced = true, .yields = true},
            {.topic = &topic_toy_nudges, .handle = on_input},
            {0},
        },
    .views = (const struct view *const[]){&counts, &marks, NULL},
    .tables = (const struct table *const[]){&prices, NULL},
    .outputs = (const struct topic *const[]){&topic_toy_totals, &topic_toy_groups, NULL},
    .dead_letters = &topic_toy_letters,
};

static const struct topology sum_topology = {
    .name = "sum",
    .sources = (const struct source[]){{.topic = &topic_toy_groups, .handle = on_group}, {0}},
    .views = (const struct view *const[]){&sums, NULL},
    .outputs = (const struct topic *const[]){&topic_toy_sums, NULL},
    .dead_letters = &topic_toy_letters,
};

static void by_count(struct index *to, const struct event *row) {
    char key[64];
    int n = snprintf(key, sizeof key, "%" PRId64 "/" SLICE_FMT, ((const struct toy_count *)row->value)->count,
                     SLICE_ARG(row->key));
    index_key(to, (struct slice){key, (size_t)n});
}

static int64_t mix(int64_t hash, const struct topic *t, int32_t partition, int64_t offset) {
    uint64_t seed = (uint64_t)hash ^ (uint64_t)offset << 16 ^ (uint64_t)partition << 8 ^ (uint64_t)t->number;
    return (int64_t)random_next(&seed);
}

static void count_in(struct toy_count *c, const struct event *in) {
    c->count++;
    c->hash = mix(c->hash, in->topic, in->partition, in->offset);
}

static struct slice mark_of(int64_t number) {
    return number % MARKS == 0 ? SLICE("even") : SLICE("odd");
}

static struct slice group_of(struct slice key) {
    return key.data[key.size - 1] % 2 == 0 ? SLICE("g0") : SLICE("g1");
}

static const char long_text[600] = "more than the broker takes";
static const struct slice too_long = {long_text, sizeof long_text};

static void on_input(struct txn *txn, const struct event *in) {
    const struct toy_input *i = in->value;
    struct toy_count c = {0}, mark = {0};
    struct toy_price price = {0};
    txn_get(txn, &counts, SLICE_NONE, &c);
    txn_get(txn, &marks, mark_of(i->number), &mark);
    txn_lookup(txn, &prices, in->key, &price);
    count_in(&c, in);
    mark.count++;
    txn_put(txn, &counts, SLICE_NONE, &c);
    txn_put(txn, &marks, mark_of(i->number), &mark);
    struct toy_total total = {.count = c.count,
                              .hash = c.hash,
                              .marks = mark.count,
                              .topic = slice_of(in->topic->name),
                              .partition = in->partition,
                              .offset = in->offset,
                              .price = price.version,
                              .known = i->price};
    txn_emit(txn, &topic_toy_totals, in->key, &total);
    txn_emit(txn, &topic_toy_groups, group_of(in->key), &total);
    if (i->then == TOY_THEN_DELETE)
        txn_delete(txn, &counts, SLICE_NONE);
    else if (i->then == TOY_THEN_REFUSE)
        txn_emit(txn, &topic_toy_totals, in->key, &(struct toy_total){.topic = too_long});
    else if (i->then == TOY_THEN_REJECT)
        txn_reject(txn, "as it says");
}

static void on_group(struct txn *txn, const struct event *in) {
    const struct toy_total *i = in->value;
    struct toy_count c = {0};
    txn_get(txn, &sums, SLICE_NONE, &c);
    count_in(&c, in);
    txn_put(txn, &sums, SLICE_NONE, &c);
    txn_emit(txn, &topic_toy_sums, in->key,
             &(struct toy_total){.count = c.count,
                                 .hash = c.hash,
                                 .topic = slice_of(in->topic->name),
                                 .partition = in->partition,
                                 .offset = in->offset,
                                 .price = i->price,
                                 .known = i->known});
}

/* ---- what clients write ---- */

enum item_kind {
    ITEM_INPUT,
    ITEM_NUDGE,
    ITEM_PRICE,
    ITEM_MISPLACED,
    ITEM_BAD_BYTES,
    ITEM_UNKNOWN_SCHEMA,
    ITEM_LATE_SCHEMA, /* good, but its schema is one that nobody has asked for yet */
    ITEM_NO_KEY,
    ITEM_TOMBSTONE,
};

static void toy_plan(struct plan *p, uint64_t *rng) {
    static const uint8_t kinds[] = {ITEM_INPUT,  ITEM_INPUT,     ITEM_INPUT,       ITEM_INPUT,
                                    ITEM_INPUT,  ITEM_NUDGE,     ITEM_NUDGE,       ITEM_PRICE,
                                    ITEM_PRICE,  ITEM_MISPLACED, ITEM_BAD_BYTES,   ITEM_UNKNOWN_SCHEMA,
                                    ITEM_NO_KEY, ITEM_TOMBSTONE, ITEM_LATE_SCHEMA, ITEM_INPUT};
    uint32_t variety = random_below(rng, 3) == 0 ? sizeof kinds : 9;
    p->instances[0] = 1 + (int)random_below(rng, 3);
    p->instances[1] = random_below(rng, 4) == 0 ? 1 + (int)random_below(rng, 2) : 0;
    p->item_count = 3 + (int)random_below(rng, random_below(rng, 3) == 0 ? 40 : 12);
    for (int i = 0; i < p->item_count; i++)
        p->items[i] =
            (struct item){.kind = kinds[random_below(rng, variety)],
                          .key = (uint8_t)random_below(rng, KEYS),
                          .partition = (uint8_t)random_below(rng, (uint32_t)p->partitions),
                          .mode = (uint8_t)(random_below(rng, 4) == 0 ? random_below(rng, WRITE_MODES) : 0),
                          .arg = (uint32_t)random_next(rng)};
}

static void toy_topologies(const struct plan *p, const struct topology **topologies) {
    topologies[0] = &count_topology;
    topologies[1] = p->instances[1] > 0 ? &sum_topology : NULL;
}

struct latest {
    struct world *w;
    struct slice key;
    struct arena arena;
    int64_t version;  /* 0: there is none */
    int64_t since;    /* a version; */
    bool seen, ended; /* was it, and was the row deleted later? */
};

static void note_price(void *context, const struct log_record *r, const struct log_header *headers,
                       size_t n) {
    (void)headers, (void)n;
    struct latest *l = context;
    struct toy_price price;
    struct err e = {0};
    if (!slice_equal(r->key, l->key))
        return;
    l->ended = l->ended || (l->seen && r->value.data == NULL);
    if (r->value.data == NULL) {
        l->version = 0;
        return;
    }
    if (!schemas_decode(world_schemas(l->w), &toy_price_type, r->value, &l->arena, &price, &e))
        abort();
    l->version = price.version;
    l->seen = l->seen || price.version == l->since;
}

/* What a client could read now. */
static int64_t price_known(struct world *w, struct slice key) {
    struct latest l = {.w = w, .key = key};
    world_scan(w, &topic_toy_prices, partition_of(key, world_plan(w)->partitions), note_price, &l);
    arena_free(&l.arena);
    return l.version;
}

/* Could a lookup find another price than one of at least this version? */
static bool price_was_deleted(struct world *w, struct slice key, int64_t since) {
    struct latest l = {.w = w, .key = key, .since = since};
    int32_t p = partition_of(key, world_plan(w)->partitions);
    world_scan(w, &topic_toy_prices, p, note_price, &l);
    arena_free(&l.arena);
    return l.ended || world_shrunk(w, &topic_toy_prices, p);
}

static void toy_write(struct world *w, const struct item *item) {
    struct slice key = slice_of(keys[item->key]);
    enum toy_then then = item->arg % 16 == 0   ? TOY_THEN_REJECT
                         : item->arg % 16 <= 2 ? TOY_THEN_DELETE
                         : item->arg % 32 == 3 ? TOY_THEN_REFUSE
                                               : TOY_THEN_KEEP;
    struct toy_input input = {.number = item->arg >> 8, .then = then, .price = price_known(w, key)};
    const struct topic *inputs = item->kind == ITEM_NUDGE ? &topic_toy_nudges : &topic_toy_inputs;
    int64_t now = world_now(w);
    struct buf bytes = {0};
    struct err e = {0};
    switch (item->kind) {
    case ITEM_INPUT:
    case ITEM_NUDGE:
        world_write_event(w, inputs, -1, key, &input, now, item->mode);
        break;
    case ITEM_MISPLACED:
        world_write_event(w, item->arg % 64 < 32 ? &topic_toy_inputs : &topic_toy_nudges, item->partition,
                          key, &input, now, item->mode);
        break;
    case ITEM_PRICE:
        if (item->arg % 4 == 0)
            world_write(w, &topic_toy_prices, -1, key, SLICE_NONE, now, item->mode);
        else
            world_write_event(w, &topic_toy_prices, -1, key,
                              &(struct toy_price){.version = item - world_plan(w)->items + 1}, now,
                              item->mode);
        break;
    case ITEM_BAD_BYTES:
        world_write(w, inputs, -1, key, SLICE("\0\0\0\0\1\xff"), now, item->mode);
        break;
    case ITEM_UNKNOWN_SCHEMA:
        world_write(w, inputs, -1, key, SLICE("\0\0\0\x7f\x7f\1\1\1"), now, item->mode);
        break;
    case ITEM_LATE_SCHEMA:
        if (!schemas_encode(world_schemas(w), inputs, &input, &bytes, &e))
            abort();
        for (uint32_t id = (uint8_t)bytes.data[4] + 1000000 * (1 + item->arg % 4), i = 0; i < 4; i++)
            bytes.data[1 + i] = (char)(id >> (24 - 8 * i));
        world_write(w, inputs, -1, key, buf_slice(&bytes), now, item->mode);
        break;
    case ITEM_NO_KEY:
        world_write(w, inputs, item->partition, SLICE_NONE, SLICE("\0\0\0\0\1\1\1\1"), now, item->mode);
        break;
    case ITEM_TOMBSTONE:
        world_write(w, inputs, -1, key, SLICE_NONE, now, item->mode);
        break;
    }
    buf_free(&bytes);
}

/* ---- what must be true in the end ---- */

enum fate { FATE_NONE, FATE_COUNTED, FATE_DEAD, FATE_FORWARDED };

/* A committed record of a source, and what must follow from it, once. */
struct input {
    const struct topic *topic;
    int32_t partition;
    int64_t offset, time, known;
    struct slice key;
    enum fate fate;
    bool lost, deleted, told; /* perhaps before anybody had read it; told: somebody said so */
    enum toy_then then;
    int64_t number;
    int seen;
};

struct expected {
    struct slice key;
    struct toy_count count;
    struct toy_count before[MAX_ITEMS * 4]; /* what the count was, after each output */
    int before_count;
    int64_t marks[MARKS];
    const struct input *last[2][MAX_PARTITIONS]; /* by source: the order of its inputs is kept */
};

struct check {
    struct world *w;
    const struct topology *topology;
    const struct topic *outputs;
    struct input inputs[4 * MAX_ITEMS];
    int input_count;
    struct expected keys[KEYS];
    int key_count;
    bool loses_offsets;
    struct arena arena;
};

static bool ours(const struct check *c, const struct topic *t) {
    for (const struct source *s = c->topology->sources; s->topic != NULL; s++)
        if (s->topic == t)
            return true;
    return false;
}

static void add_input(void *context, const struct log_record *r, const struct log_header *headers, size_t n) {
    (void)headers, (void)n;
    struct check *c = context;
    if (c->input_count == sizeof c->inputs / sizeof *c->inputs)
        abort();
    struct input *i = &c->inputs[c->input_count++];
    *i = (struct input){.topic = r->topic,
                        .partition = r->partition,
                        .offset = r->offset,
                        .time = r->timestamp,
                        .key = r->key,
                        .lost = world_lost(r),
                        .deleted = world_deleted(r),
                        .told = world_told_of(c->w, r)};
    void *value = arena_alloc(&c->arena, r->topic->value->size);
    struct err e = {0};
    bool home = r->key.data != NULL && partition_of(r->key, world_plan(c->w)->partitions) == r->partition;
    if (r->key.data == NULL || r->value.data == NULL ||
        !schemas_decode(world_schemas(c->w), r->topic->value, r->value, &c->arena, value, &e) ||
        (!home && r->topic != &topic_toy_inputs)) {
        i->fate = FATE_DEAD;
    } else if (!home) {
        i->fate = FATE_FORWARDED;
    } else if (r->topic->value == &toy_input_type) {
        const struct toy_input *in = value;
        i->then = in->then;
        i->number = in->number;
        i->known = in->price;
        i->fate = in->then == TOY_THEN_REJECT || in->then == TOY_THEN_REFUSE ? FATE_DEAD : FATE_COUNTED;
    } else {
        i->fate = FATE_COUNTED;
    }
}

/* By its time too, which what follows from it takes over: an offset may be of several, one after the other.
 */
static struct input *find_input(struct check *c, struct slice topic, int32_t partition, int64_t offset,
                                int64_t time) {
    for (int k = 0; k < c->input_count; k++) {
        struct input *i = &c->inputs[k];
        if (i->offset == offset && i->partition == partition && i->time == time &&
            slice_equal(topic, slice_of(i->topic->name)))
            return i;
    }
    return NULL;
}

/* "topic/partition/offset" */
static struct input *find_place(struct check *c, struct slice place, int64_t time) {
    for (int k = 0; k < c->input_count; k++) {
        struct slice text = arena_printf(&c->arena, "%s/%d/%" PRId64, c->inputs[k].topic->name,
                                         c->inputs[k].partition, c->inputs[k].offset);
        if (slice_equal(text, place) && c->inputs[k].time == time)
            return &c->inputs[k];
    }
    return NULL;
}

static struct expected *expect(struct check *c, struct slice key) {
    for (int k = 0; k < c->key_count; k++)
        if (slice_equal(c->keys[k].key, key))
            return &c->keys[k];
    struct expected *e = &c->keys[c->key_count++];
    *e = (struct expected){.key = key};
    return e;
}

static struct toy_count counted(struct toy_count c, const struct input *i) {
    return (struct toy_count){c.count + 1, mix(c.hash, i->topic, i->partition, i->offset)};
}

static bool same_count(const struct toy_count *a, const struct toy_count *b) {
    return a->count == b->count && a->hash == b->hash;
}

/* Where a changelog lost its last records, so did the count: it may be what it was before one of them. */
static void fall_back(struct check *c, struct expected *e, const struct input *next,
                      const struct toy_count *is) {
    int32_t p = partition_of(e->key, world_plan(c->w)->partitions);
    if (world_cuts(c->w, c->topology->views[0]->changelog, p) == 0)
        return;
    for (int k = e->before_count; k >= 0; k--) {
        struct toy_count then = next == NULL ? e->before[k] : counted(e->before[k], next);
        if (same_count(&then, is)) {
            e->count = e->before[k];
            return;
        }
    }
}

static void check_total(void *context, const struct log_record *r, const struct log_header *headers,
                        size_t n) {
    (void)headers, (void)n;
    struct check *c = context;
    struct toy_total t;
    struct err err = {0};
    if (!schemas_decode(world_schemas(c->w), &toy_total_type, r->value, &c->arena, &t, &err))
        abort();
    struct input *i = find_input(c, t.topic, t.partition, t.offset, r->timestamp);
    struct expected *e = expect(c, r->key);
    const char *name = r->topic->name;
    if (i == NULL || i->fate != FATE_COUNTED) {
        world_violation(
            c->w, "%s/%d/%" PRId64 " follows from " SLICE_FMT "/%d/%" PRId64 ", from which nothing follows",
            name, r->partition, r->offset, SLICE_ARG(t.topic), t.partition, t.offset);
        return;
    }
    if (i->seen++ > 0)
        world_violation(c->w, "%s/%d/%" PRId64 " came twice", i->topic->name, i->partition, i->offset);
    if (!slice_equal(i->key, r->key))
        world_violation(c->w, "%s/%d/%" PRId64 " has another key than its input", name, r->partition,
                        r->offset);
    int source = i->topic == &topic_toy_nudges;
    if (e->last[source][i->partition] > i)
        world_violation(c->w, "%s/%d/%" PRId64 " out of order", i->topic->name, i->partition, i->offset);
    e->last[source][i->partition] = i;
    struct toy_count is = {t.count, t.hash};
    fall_back(c, e, i, &is);
    e->count = counted(e->count, i);
    int64_t *kept = &e->marks[i->number % MARKS], mark = ++*kept;
    if (c->topology == &count_topology && t.marks < mark &&
        world_cuts(c->w, &topic_toy_mark_changes, partition_of(e->key, world_plan(c->w)->partitions)) > 0)
        *kept = mark = t.marks;
    if (t.count != e->count.count || t.hash != e->count.hash ||
        (i->topic->value == &toy_input_type && t.marks != mark))
        world_violation(c->w,
                        "%s/%d/%" PRId64 ": count %" PRId64 ", marks %" PRId64 ", where %" PRId64 ", %" PRId64
                        " follow from what was before%s",
                        name, r->partition, r->offset, t.count, t.marks, e->count.count, mark,
                        t.hash == e->count.hash ? "" : "; another order");
    if (c->topology == &count_topology && t.price < t.known && !price_was_deleted(c->w, i->key, t.known))
        world_violation(c->w,
                        "%s/%d/%" PRId64 ": price %" PRId64 ", where a client could read %" PRId64 " before",
                        name, r->partition, r->offset, t.price, t.known);
    if (i->then == TOY_THEN_DELETE)
        e->count = (struct toy_count){0};
    e->before[++e->before_count] = e->count;
}

static void check_letter(void *context, const struct log_record *r, const struct log_header *headers,
                         size_t n) {
    (void)headers, (void)n;
    struct check *c = context;
    struct toy_letter l;
    struct err err = {0};
    if (!schemas_decode(world_schemas(c->w), &toy_letter_type, r->value, &c->arena, &l, &err))
        abort();
    struct input *i = find_input(c, l.topic, l.partition, l.offset, r->timestamp);
    if (i == NULL || i->fate != FATE_DEAD) {
        bool other =
            i == NULL && ((c->topology == &sum_topology) != slice_equal(l.topic, slice_of("toy-groups")));
        if (!other)
            world_violation(c->w, "a dead letter of " SLICE_FMT, SLICE_ARG(r->key));
        return;
    }
    if (i != find_place(c, r->key, r->timestamp))
        world_violation(c->w, "the key of a dead letter is " SLICE_FMT, SLICE_ARG(r->key));
    if (i->seen++ > 0 && !c->loses_offsets)
        world_violation(c->w, "two dead letters of " SLICE_FMT, SLICE_ARG(r->key));
}

static void check_forwarded(void *context, const struct log_record *r, const struct log_header *headers,
                            size_t n) {
    struct check *c = context;
    for (size_t h = 0; h < n; h++) {
        if (strcmp(headers[h].name, "caused-by") != 0)
            continue;
        struct input *i = find_place(c, headers[h].value, r->timestamp);
        if (i == NULL || i->fate != FATE_FORWARDED || (i->seen++ > 0 && !c->loses_offsets) ||
            !slice_equal(i->key, r->key))
            world_violation(c->w, "%s/%d/%" PRId64 ": forwarded from " SLICE_FMT " for no reason",
                            r->topic->name, r->partition, r->offset, SLICE_ARG(headers[h].value));
    }
}

/* ---- views ---- */

static void check_count(struct check *c, const struct view *v, int32_t partition, const struct rows *rows) {
    for (int i = 0; i < rows->count; i++) {
        struct slice key = rows->keys[i];
        const char *slash = memchr(key.data, '/', key.size);
        struct expected *e =
            expect(c, (struct slice){key.data, slash == NULL ? key.size : (size_t)(slash - key.data)});
        int64_t want = slash == NULL ? e->count.count : e->marks[slash[1] == 'o'];
        struct toy_count got = {0};
        struct err err = {0};
        if (rows->values[i].data != NULL &&
            !schemas_decode(world_schemas(c->w), v->changelog->value, rows->values[i], &c->arena, &got, &err))
            abort();
        if (world_cuts(c->w, v->changelog, partition) > 0 && slash != NULL && got.count < want)
            continue;
        if (slash == NULL)
            fall_back(c, e, NULL, &got);
        want = slash == NULL ? e->count.count : want;
        if (got.count != want || (slash == NULL && got.hash != e->count.hash))
            world_violation(c->w, "view %s: " SLICE_FMT " is %" PRId64 ", and should be %" PRId64, v->name,
                            SLICE_ARG(key), got.count, want);
    }
}

static void check_views(struct check *c) {
    for (const struct view *const *v = c->topology->views; *v != NULL; v++)
        for (int32_t p = 0; p < world_plan(c->w)->partitions; p++) {
            struct rows rows = {.count = 0};
            rows_fold(&rows, c->w, (*v)->changelog, p);
            check_count(c, *v, p, &rows);
        }
    rows_check_topology(c->w, c->topology);
}

/* Nothing follows from it, and that may be so: where it was lost; or deleted, if that was said, unless there
 * was no position yet and reading began with what is there. */
static bool may_be_missed(const struct check *c, const struct input *i) {
    bool begun = false;
    for (const struct input *k = c->inputs; k < i; k++)
        begun = begun || (k->topic == i->topic && k->partition == i->partition && k->seen > 0);
    return i->lost || (i->deleted && (i->told || !begun || c->loses_offsets));
}

static void check_topology(struct check *c) {
    int32_t partitions = world_plan(c->w)->partitions;
    for (const struct source *s = c->topology->sources; s->topic != NULL; s++)
        for (int32_t p = 0; p < partitions; p++)
            world_scan_all(c->w, s->topic, p, add_input, c);
    for (int32_t p = 0; p < partitions; p++) {
        world_scan(c->w, c->outputs, p, check_total, c);
        world_scan(c->w, &topic_toy_letters, p, check_letter, c);
        if (ours(c, &topic_toy_inputs))
            world_scan_all(c->w, &topic_toy_inputs, p, check_forwarded, c);
    }
    for (int k = 0; k < c->input_count; k++)
        if (c->inputs[k].seen == 0 && !may_be_missed(c, &c->inputs[k]))
            world_violation(c->w, "nothing follows from %s/%d/%" PRId64, c->inputs[k].topic->name,
                            c->inputs[k].partition, c->inputs[k].offset);
    check_views(c);
}

static void toy_check(struct world *w) {
    const struct {
        const struct topology *topology;
        const struct topic *outputs;
    } stages[] = {{&count_topology, &topic_toy_totals}, {&sum_topology, &topic_toy_sums}};
    for (int i = 0; i < 2 && world_plan(w)->instances[i] > 0; i++) {
        struct check *c = xcalloc(1, sizeof *c);
        c->w = w;
        c->topology = stages[i].topology;
        c->outputs = stages[i].outputs;
        c->loses_offsets = plan_loses_offsets(world_plan(w));
        check_topology(c);
        arena_free(&c->arena);
        free(c);
    }
}

const struct workload toy_workload = {
    .name = "toy",
    .topics = (const struct topic *const[]){&topic_toy_inputs, &topic_toy_nudges, &topic_toy_prices,
                                            &topic_toy_totals, &topic_toy_groups, &topic_toy_sums,
                                            &topic_toy_letters, &topic_toy_count_changes,
                                            &topic_toy_mark_changes, &topic_toy_sum_changes, NULL},
    .plan = toy_plan,
    .topologies = toy_topologies,
    .write = toy_write,
    .check = toy_check,
    .watch = rows_watch,
    .loses_records = true,
};
