/* What is kept for a time: rows that expire, a join, ticks. A task tells all that it does as a story, in its
 * order, and the story is checked against a plain model: stream time, rows with their stamps, pairs. */
#include "rows.h"

#include "schemas/schemas.gen.h"
#include "transaction/join.h"
#include "transaction/txn.h"

#include <inttypes.h>
#include <stdlib.h>

enum { KEYS = 4, SUBS = 2, KEPT_MS = 150, JOIN_KEPT_MS = 400, WITHIN_MS = 60, TICK_MS = 1500 };
enum { FAR_MS = 1000 * 1000 * 1000 };  /* a timestamp that no run comes near */
enum { RETURNS = 3, RETURNED = 1000 }; /* a row whose count is that much below a multiple comes back */

static const char *const keys[KEYS] = {"k0", "k1", "k2", "k3"};
static const char *const subs[SUBS] = {"even", "odd"};

static void on_event(struct txn *txn, const struct event *in);
static void on_tick(struct txn *txn, const struct event *in);
static void on_expired(struct txn *txn, const struct event *in);
static void on_pair(struct txn *txn, const struct event *left, const struct event *right);

static const struct view lasts = {
    .name = "lasts", .changelog = &topic_kept_last_changes, .retention_ms = KEPT_MS, .expired = on_expired};
static const struct view lefts = {
    .name = "lefts", .changelog = &topic_kept_left_changes, .retention_ms = JOIN_KEPT_MS};
static const struct view rights = {
    .name = "rights", .changelog = &topic_kept_right_changes, .retention_ms = JOIN_KEPT_MS};
static const struct join join = {&lefts, &rights, WITHIN_MS, on_pair};

static const struct topology topology = {
    .name = "kept",
    .sources =
        (const struct source[]){
            {.topic = &topic_kept_lefts, .handle = on_event},
            {.topic = &topic_kept_rights, .handle = on_event},
            {.topic = &topic_kept_ticks, .handle = on_tick},
            {0},
        },
    .views = (const struct view *const[]){&lasts, &lefts, &rights, NULL},
    .outputs = (const struct topic *const[]){&topic_kept_story, NULL},
    .ticks = &topic_kept_ticks,
    .tick_ms = TICK_MS,
};

static void tell(struct txn *txn, const struct event *in, struct toy_story told) {
    told.topic = slice_of(in->topic->name);
    told.offset = in->offset;
    txn_emit(txn, &topic_kept_story, in->key, &told);
}

static void on_event(struct txn *txn, const struct event *in) {
    const struct toy_input *i = in->value;
    struct slice sub = slice_of(subs[i->number % SUBS]);
    struct toy_count c = {0};
    txn_get(txn, &lasts, sub, &c);
    c.count++;
    txn_put(txn, &lasts, sub, &c);
    tell(txn, in, (struct toy_story){.what = TOY_DEED_HANDLED, .sub = sub, .count = c.count});
    if (i->then == TOY_THEN_DELETE)
        txn_delete(txn, &lasts, sub);
    struct slice id = arena_printf(txn_arena(txn), "%" PRId64, in->offset);
    (in->topic == &topic_kept_lefts ? join_left : join_right)(txn, &join, in, id);
    if (i->then == TOY_THEN_REJECT)
        txn_reject(txn, "as it says");
}

/* Sub-keys of the join end with the event's. */
static int64_t offset_of(struct slice sub) {
    int64_t offset = 0, place = 1;
    for (size_t i = sub.size; i-- > 0 && sub.data[i] != '.'; place *= 10)
        offset += place * (sub.data[i] - '0');
    return offset;
}

static void on_pair(struct txn *txn, const struct event *left, const struct event *right) {
    const struct event *in = left->offset >= 0 ? left : right, *kept = left->offset >= 0 ? right : left;
    int64_t other = offset_of(kept->sub);
    tell(txn, in, (struct toy_story){.what = TOY_DEED_PAIRED, .other = other, .sub = SLICE("")});
}

static void on_expired(struct txn *txn, const struct event *in) {
    struct toy_count c = *(const struct toy_count *)in->value;
    tell(txn, in, (struct toy_story){.what = TOY_DEED_EXPIRED, .sub = in->sub, .count = c.count});
    if (c.count % RETURNS == 2) {
        c.count += RETURNED;
        txn_put(txn, &lasts, in->sub, &c);
    }
}

static void on_tick(struct txn *txn, const struct event *in) {
    tell(txn, in, (struct toy_story){.what = TOY_DEED_TICKED, .sub = SLICE("")});
}

/* ---- what clients write ---- */

enum item_kind { ITEM_LEFT, ITEM_RIGHT, ITEM_BAD, ITEM_FAR };

static void kept_plan(struct plan *p, uint64_t *rng) {
    static const uint8_t kinds[] = {ITEM_LEFT, ITEM_RIGHT, ITEM_LEFT, ITEM_RIGHT,
                                    ITEM_LEFT, ITEM_RIGHT, ITEM_BAD,  ITEM_FAR};
    p->instances[0] = 1 + (int)random_below(rng, 3);
    p->item_count = 3 + (int)random_below(rng, random_below(rng, 3) == 0 ? 40 : 14);
    for (int i = 0; i < p->item_count; i++)
        p->items[i] =
            (struct item){.kind = kinds[random_below(rng, sizeof kinds)],
                          .key = (uint8_t)random_below(rng, KEYS),
                          .mode = (uint8_t)(random_below(rng, 4) == 0 ? random_below(rng, WRITE_MODES) : 0),
                          .arg = (uint32_t)random_next(rng)};
}

static void kept_topologies(const struct plan *p, const struct topology **topologies) {
    (void)p;
    topologies[0] = &topology;
    topologies[1] = NULL;
}

/* Records of which nothing is told move no time: those that cannot be decoded are of any, and those that are
 * of a time which cannot be; the others are as old as can be. */
static void kept_write(struct world *w, const struct item *item) {
    static const int64_t late[] = {400, 100, 50, -200, 0, 0, 20, 0};
    const struct topic *t = item->kind == ITEM_RIGHT ? &topic_kept_rights : &topic_kept_lefts;
    enum toy_then then = item->arg % 16 == 0   ? TOY_THEN_REJECT
                         : item->arg % 16 <= 2 ? TOY_THEN_DELETE
                                               : TOY_THEN_KEEP;
    struct toy_input input = {.number = item->arg >> 8, .then = then};
    int64_t time = world_now(w) - late[item->arg >> 4 & 7];
    if (item->kind == ITEM_BAD)
        world_write(w, t, -1, slice_of(keys[item->key]), SLICE("\0\0\0\0\1\xff"),
                    world_now(w) + (item->arg & 1 ? 0 : 10 * JOIN_KEPT_MS), item->mode);
    else if (item->kind == ITEM_FAR)
        world_write_event(w, t, -1, slice_of(keys[item->key]), &input, FAR_MS, item->mode);
    else
        world_write_event(w, t, -1, slice_of(keys[item->key]), &input,
                          then == TOY_THEN_REJECT || time < 1 ? 1 : time, item->mode);
}

/* ---- what must be true in the end ---- */

/* A committed record of a source. */
struct input {
    const struct topic *topic;
    int64_t offset, time, stamp;
    int key, sub;                    /* key -1: of a tick */
    bool handled, told, then_delete; /* told: there is a story of it */
};

struct pair {
    const struct input *last, *kept;
    bool must, told;
};

struct check { /* of a partition */
    struct world *w;
    int32_t partition;
    struct input inputs[400];
    int input_count;
    struct pair pairs[2000];
    int pair_count;
    struct {
        int64_t count, stamp; /* count 0: there is none */
    } rows[KEYS * SUBS];
    int64_t now;
    struct arena arena;
};

static int find_text(const char *const *texts, int count, struct slice text) {
    int i = 0;
    while (i < count && !slice_equal(slice_of(texts[i]), text))
        i++;
    return i;
}

static void add_input(void *context, const struct log_record *r, const struct log_header *headers, size_t n) {
    (void)headers, (void)n;
    struct check *c = context;
    struct err e = {0};
    if (c->input_count == sizeof c->inputs / sizeof *c->inputs)
        abort();
    struct input *i = &c->inputs[c->input_count++];
    void *value = arena_alloc(&c->arena, r->topic->value->size);
    *i = (struct input){.topic = r->topic, .offset = r->offset, .time = r->timestamp, .key = -1};
    if (!schemas_decode(world_schemas(c->w), r->topic->value, r->value, &c->arena, value, &e))
        return;
    i->told = r->timestamp < FAR_MS;
    if (r->topic == &topic_kept_ticks)
        return;
    const struct toy_input *in = value;
    i->key = find_text(keys, KEYS, r->key);
    i->sub = (int)(in->number % SUBS);
    i->then_delete = in->then == TOY_THEN_DELETE;
    i->told = i->told && in->then != TOY_THEN_REJECT;
}

static struct input *find_input(struct check *c, struct slice topic, int64_t offset) {
    for (int k = 0; k < c->input_count; k++)
        if (c->inputs[k].offset == offset && slice_equal(slice_of(c->inputs[k].topic->name), topic))
            return &c->inputs[k];
    return NULL;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* How late it may already have been for an expiry that a crash cut short: of each source, a record that comes
 * next. */
static int64_t latest_now(const struct check *c) {
    int64_t time = c->now;
    const struct topic *topic = NULL; /* whose next one was seen */
    for (int k = 0; k < c->input_count; k++)
        if (c->inputs[k].told && !c->inputs[k].handled && c->inputs[k].topic != topic) {
            topic = c->inputs[k].topic;
            time = later(time, c->inputs[k].time);
        }
    return time;
}

/* Those of which nothing is told are handled with whatever comes behind them. */
static void pass(struct check *c, struct input *in) {
    const char *name = in->topic->name;
    if (in->handled)
        world_violation(c->w, "%s/%d/%" PRId64 " was handled twice", name, c->partition, in->offset);
    for (struct input *i = c->inputs; i < in; i++) {
        if (i->topic == in->topic && i->told && !i->handled)
            world_violation(c->w, "%s/%d/%" PRId64 " was handled before %" PRId64, name, c->partition,
                            in->offset, i->offset);
        i->handled = i->handled || i->topic == in->topic;
    }
    in->handled = true;
    c->now = later(c->now, in->time);
    for (int k = 0; k < KEYS * SUBS; k++)
        if (c->rows[k].count > 0 && c->rows[k].stamp + KEPT_MS < c->now)
            world_violation(c->w, "%s/%d/%" PRId64 " at %" PRId64 ": %s/%s of %" PRId64 " is still there",
                            name, c->partition, in->offset, c->now, keys[k / SUBS], subs[k % SUBS],
                            c->rows[k].stamp);
}

static void handled(struct check *c, struct input *in, const struct toy_story *told) {
    int64_t latest = latest_now(c);
    pass(c, in);
    int64_t want = ++c->rows[in->key * SUBS + in->sub].count;
    if (told->count != want)
        world_violation(c->w, "%s/%d/%" PRId64 ": count %" PRId64 ", and %" PRId64 " follows",
                        in->topic->name, c->partition, in->offset, told->count, want);
    c->rows[in->key * SUBS + in->sub].stamp = in->stamp = c->now;
    if (in->then_delete)
        c->rows[in->key * SUBS + in->sub].count = 0;
    for (const struct input *i = c->inputs; i < c->inputs + c->input_count; i++) {
        int64_t apart = i->time > in->time ? i->time - in->time : in->time - i->time;
        if (i->handled && i->told && i->key == in->key && i->topic != in->topic && apart <= WITHIN_MS &&
            i->stamp + JOIN_KEPT_MS >= c->now) {
            if (c->pair_count == sizeof c->pairs / sizeof *c->pairs)
                abort();
            c->pairs[c->pair_count++] = (struct pair){in, i, i->stamp + JOIN_KEPT_MS >= latest, false};
        }
    }
}

static void paired(struct check *c, const struct input *in, int64_t other) {
    for (int k = 0; k < c->pair_count; k++) {
        struct pair *p = &c->pairs[k];
        if (p->last == in && p->kept->offset == other && !p->told) {
            p->told = true;
            return;
        }
    }
    world_violation(c->w, "%s/%d/%" PRId64 " is paired with %" PRId64 ", and should not", in->topic->name,
                    c->partition, in->offset, other);
}

static void expired(struct check *c, const struct input *in, int k, int sub, int64_t at, int64_t count) {
    int64_t stamp = c->rows[k * SUBS + sub].stamp;
    if (in->handled || at != later(c->now, in->time))
        world_violation(c->w,
                        "%s/%s expires at %" PRId64 ", which %s/%d/%" PRId64 " of %" PRId64 " does not make",
                        keys[k], subs[sub], at, in->topic->name, c->partition, in->offset, in->time);
    if (c->rows[k * SUBS + sub].count != count || stamp + KEPT_MS >= at)
        world_violation(c->w,
                        "%s/%s expires at %" PRId64 " as %" PRId64 ", where it is %" PRId64 " of %" PRId64,
                        keys[k], subs[sub], at, count, c->rows[k * SUBS + sub].count, stamp);
    c->rows[k * SUBS + sub].stamp = at;
    c->rows[k * SUBS + sub].count = count % RETURNS == 2 ? count + RETURNED : 0;
}

static void check_story(void *context, const struct log_record *r, const struct log_header *headers,
                        size_t n) {
    (void)headers, (void)n;
    struct check *c = context;
    struct toy_story told;
    struct err e = {0};
    if (!schemas_decode(world_schemas(c->w), &toy_story_type, r->value, &c->arena, &told, &e))
        abort();
    struct input *in = find_input(c, told.topic, told.offset);
    if (in == NULL || (told.what != TOY_DEED_EXPIRED && !in->told))
        world_violation(c->w, "a story of " SLICE_FMT "/%d/%" PRId64 ", of which nothing is to be told",
                        SLICE_ARG(told.topic), c->partition, told.offset);
    else if (told.what == TOY_DEED_TICKED)
        pass(c, in);
    else if (told.what == TOY_DEED_HANDLED)
        handled(c, in, &told);
    else if (told.what == TOY_DEED_PAIRED)
        paired(c, in, told.other);
    else
        expired(c, in, find_text(keys, KEYS, r->key), find_text(subs, SUBS, told.sub), r->timestamp,
                told.count);
}

/* ---- views ---- */

static void check_lasts(struct check *c) {
    struct rows rows = {.count = 0};
    rows_fold(&rows, c->w, &topic_kept_last_changes, c->partition);
    for (int k = 0; k < KEYS * SUBS; k++) {
        struct slice key = arena_printf(&c->arena, "%s/%s", keys[k / SUBS], subs[k % SUBS]);
        struct toy_count got = {0};
        struct err e = {0};
        int i = 0;
        while (i < rows.count && !slice_equal(rows.keys[i], key))
            i++;
        bool there = i < rows.count && rows.values[i].data != NULL;
        if (there &&
            !schemas_decode(world_schemas(c->w), &toy_count_type, rows.values[i], &c->arena, &got, &e))
            abort();
        if (got.count != c->rows[k].count || (there && rows.times[i] != c->rows[k].stamp))
            world_violation(c->w, SLICE_FMT " is %" PRId64 ", and should be %" PRId64 " of %" PRId64,
                            SLICE_ARG(key), got.count, c->rows[k].count, c->rows[k].stamp);
    }
}

/* What the join keeps has its time too. */
static void check_kept(struct check *c, const struct topic *source, const struct topic *changelog) {
    struct rows rows = {.count = 0};
    rows_fold(&rows, c->w, changelog, c->partition);
    for (int i = 0; i < rows.count; i++) {
        const struct input *in = find_input(c, slice_of(source->name), offset_of(rows.keys[i]));
        if (rows.values[i].data != NULL &&
            (in == NULL || rows.times[i] != in->stamp || in->stamp + JOIN_KEPT_MS < c->now))
            world_violation(c->w, "%s keeps " SLICE_FMT " of %" PRId64 " at %" PRId64, changelog->name,
                            SLICE_ARG(rows.keys[i]), rows.times[i], c->now);
    }
}

static void check_partition(struct check *c) {
    for (const struct source *s = topology.sources; s->topic != NULL; s++)
        world_scan(c->w, s->topic, c->partition, add_input, c);
    world_scan(c->w, &topic_kept_story, c->partition, check_story, c);
    if (world_violated(c->w))
        return;
    for (const struct input *i = c->inputs; i < c->inputs + c->input_count; i++)
        if (i->told && !i->handled)
            world_violation(c->w, "nothing is told of %s/%d/%" PRId64, i->topic->name, c->partition,
                            i->offset);
    for (const struct pair *p = c->pairs; p < c->pairs + c->pair_count; p++)
        if (p->must && !p->told)
            world_violation(c->w, "%s/%d/%" PRId64 " is not paired with %" PRId64, p->last->topic->name,
                            c->partition, p->last->offset, p->kept->offset);
    check_lasts(c);
    check_kept(c, &topic_kept_lefts, &topic_kept_left_changes);
    check_kept(c, &topic_kept_rights, &topic_kept_right_changes);
}

static void kept_check(struct world *w) {
    for (int32_t p = 0; p < world_plan(w)->partitions; p++) {
        struct check *c = xcalloc(1, sizeof *c);
        c->w = w;
        c->partition = p;
        check_partition(c);
        arena_free(&c->arena);
        free(c);
    }
    rows_check_topology(w, &topology);
}

const struct workload kept_workload = {
    .name = "kept",
    .topics = (const struct topic *const[]){&topic_kept_lefts, &topic_kept_rights, &topic_kept_ticks,
                                            &topic_kept_story, &topic_kept_last_changes,
                                            &topic_kept_left_changes, &topic_kept_right_changes, NULL},
    .plan = kept_plan,
    .topologies = kept_topologies,
    .write = kept_write,
    .check = kept_check,
    .keeps_offsets = true, /* ticks change time, and no view */
};
