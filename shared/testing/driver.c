#include "testing/driver.h"

#include "events/registry.h"
#include "transaction/keys.h"
#include "transaction/retention.h"
#include "transaction/table.h"
#include "transaction/transaction.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct driver {
    const struct topology *topology;
    struct registry *registry;
    struct schemas *schemas;
    struct store *store;
    struct txn *txn;
    struct task_time time;
    struct arena arena; /* of everything given out */
    struct emission *outputs;
    size_t count, taken;
    int64_t next_offset;
};

static void must(bool ok, const struct err *e, const char *what) {
    if (!ok) {
        fprintf(stderr, "driver: %s: %s\n", what, e->text);
        abort();
    }
}

static void use(struct driver *d, const struct topic *t) {
    struct err e = {0};
    must(t == NULL || schemas_register(d->schemas, t, &e), &e, "register");
}

struct driver *driver_create(const struct topology *t) {
    struct err e = {0};
    must(topology_check(t, &e), &e, "create");
    struct driver *d = xcalloc(1, sizeof *d);
    d->topology = t;
    d->time.due = INT64_MIN;
    d->registry = registry_memory_create();
    d->schemas = schemas_create(d->registry);
    d->store = store_create_memory();
    d->txn = txn_create(t, d->schemas, d->store);
    for (size_t i = 0; t->outputs != NULL && t->outputs[i] != NULL; i++)
        use(d, t->outputs[i]);
    for (size_t i = 0; t->views != NULL && t->views[i] != NULL; i++)
        use(d, t->views[i]->changelog);
    use(d, t->dead_letters);
    return d;
}

void driver_destroy(struct driver *d) {
    if (d == NULL)
        return;
    txn_destroy(d->txn);
    store_close(d->store);
    schemas_destroy(d->schemas);
    registry_destroy(d->registry);
    arena_free(&d->arena);
    free(d->outputs);
    free(d);
}

static void collect(struct driver *d) {
    size_t n;
    const struct emission *m = txn_emissions(d->txn, &n);
    d->outputs = xrealloc(d->outputs, (d->count + n + 1) * sizeof *d->outputs);
    for (size_t i = 0; i < n; i++) {
        struct emission copy = m[i];
        copy.key = arena_copy(&d->arena, copy.key);
        copy.value = arena_copy(&d->arena, copy.value);
        d->outputs[d->count++] = copy;
    }
}

/* One record is one transaction here. */
static void run(struct driver *d, const struct source *source, const struct log_record *r) {
    struct err e = {0};
    struct expiry x = {0};
    must(txn_handles(d->txn, source, r, 1, &x.more, &e), &e, "decode");
    while (x.more)
        must(txn_expire(d->txn, r, SLICE_NONE, 1000, &d->time, &x, &e), &e, "expire");
    if (!txn_run(d->txn, source, r, SLICE_NONE, 1, &d->time, &e)) {
        must(e.kind == ERR_POISON, &e, "step");
        const struct topology *t = d->topology;
        if (t->dead_letters != NULL && r->topic->dead_letters != NULL &&
            strcmp(r->topic->dead_letters, t->name) == 0)
            txn_dead_letter(d->txn, r, NULL, 0, e.text);
    }
    collect(d);
    must(overlay_apply(txn_overlay(d->txn), &e), &e, "apply");
    txn_clear(d->txn);
}

void driver_send_raw(struct driver *d, const struct topic *t, struct slice key, struct slice payload,
                     int64_t timestamp) {
    struct log_record r = {
        .topic = t, .offset = d->next_offset++, .timestamp = timestamp, .key = key, .value = payload};
    const struct topology *topology = d->topology;
    struct err e = {0};
    bool used = false;
    for (size_t i = 0; topology->tables != NULL && topology->tables[i] != NULL; i++) {
        struct overlay o = {.store = d->store};
        if (topology->tables[i]->topic == t) {
            used = true;
            must(table_put(topology->tables[i], &o, d->schemas, &r, 1, &e) || e.kind == ERR_POISON, &e,
                 "table");
            must(overlay_apply(&o, &e), &e, "apply");
            txn_tables_changed(d->txn);
        }
        overlay_free(&o);
    }
    for (const struct source *s = topology->sources; s != NULL && s->topic != NULL; s++)
        if (s->topic == t) {
            used = true;
            run(d, s, &r);
        }
    must(used, &(struct err){.text = "no source and no table reads this topic"}, t->name);
}

void driver_send(struct driver *d, const struct topic *t, struct slice key, const void *value,
                 int64_t timestamp) {
    struct buf bytes = {0};
    struct err e = {0};
    use(d, t);
    if (value != NULL)
        must(schemas_encode(d->schemas, t, value, &bytes, &e), &e, "encode");
    struct slice payload = arena_copy(&d->arena, value == NULL ? SLICE_NONE : buf_slice(&bytes));
    buf_free(&bytes);
    driver_send_raw(d, t, key, payload, timestamp);
}

void driver_tick(struct driver *d, int64_t time) {
    const struct topic *t = d->topology->ticks;
    struct err e = {0};
    use(d, t);
    must(txn_tick(d->txn, 0, 1, time, &e), &e, "tick");
    size_t n;
    const struct emission *tick = txn_emissions(d->txn, &n);
    struct slice key = arena_copy(&d->arena, tick->key), value = arena_copy(&d->arena, tick->value);
    txn_clear(d->txn);
    driver_send_raw(d, t, key, value, time);
}

bool driver_next(struct driver *d, struct event *out) {
    if (d->taken == d->count)
        return false;
    const struct emission *m = &d->outputs[d->taken++];
    struct err e = {0};
    void *value = NULL;
    if (m->value.data != NULL) {
        value = arena_alloc(&d->arena, m->topic->value->size);
        must(schemas_decode(d->schemas, m->topic->value, m->value, &d->arena, value, &e), &e, "decode");
    }
    *out = (struct event){m->topic, 0, (int64_t)d->taken - 1, m->timestamp, m->key, value, SLICE_NONE};
    return true;
}

bool driver_view(struct driver *d, const struct view *v, struct slice key, struct slice sub, void *value) {
    struct buf record_key = {0}, store_key = {0};
    struct slice stored;
    struct err e = {0};
    buf_append_slice(&record_key, key);
    if (sub.data != NULL) {
        buf_append_byte(&record_key, '/');
        buf_append_slice(&record_key, sub);
    }
    store_key_view(&store_key, v, 0, buf_slice(&record_key));
    must(store_get(d->store, buf_slice(&store_key), &d->arena, &stored, &e), &e, "get");
    if (stored.data != NULL)
        must(schemas_decode(d->schemas, v->changelog->value, row_payload(v, stored), &d->arena, value, &e),
             &e, "decode");
    buf_free(&record_key);
    buf_free(&store_key);
    return stored.data != NULL;
}

uint64_t driver_store_keys(struct driver *d) {
    struct store_metrics m;
    store_metrics(d->store, &m);
    return m.keys;
}
