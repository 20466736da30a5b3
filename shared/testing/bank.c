#include "testing/bank.h"

#include "stream/stream.h"
#include "transaction/txn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- the topology ---- */

static void owner_index(struct index *to, const struct event *row) {
    const struct owner *owner = row->value;
    struct buf key = {0};
    buf_append_slice(&key, owner->city);
    buf_append_byte(&key, '/');
    buf_append_slice(&key, row->key);
    index_key(to, buf_slice(&key));
    buf_free(&key);
}

const struct view bank_balances = {.name = "balances", .changelog = &topic_balances};
const struct table bank_owners = {
    .name = "owners", .topic = &topic_owners, .index = owner_index, .fresh = true};

void bank_on_deposit(struct txn *txn, const struct event *in) {
    const struct deposit *deposit = in->value;
    struct balance balance = {0};
    struct owner owner = {.name = SLICE("nobody")};
    if (deposit == NULL) {
        txn_delete(txn, &bank_balances, SLICE_NONE);
        return;
    }
    if (slice_equal(deposit->note, SLICE("nothing")))
        return;
    txn_get(txn, &bank_balances, SLICE_NONE, &balance);
    txn_lookup(txn, &bank_owners, in->key, &owner);
    balance.amount += deposit->amount;
    txn_put(txn, &bank_balances, SLICE_NONE, &balance);
    struct receipt receipt = {owner.name, balance.amount};
    if (!slice_equal(deposit->note, SLICE("state only")))
        txn_emit(txn, &topic_receipts, in->key, &receipt);
    if (deposit->amount == 0)
        txn_delete(txn, &bank_balances, SLICE_NONE);
    if (deposit->amount < 0)
        txn_reject(txn, "an amount of %lld", (long long)deposit->amount);
}

#define DEPOSITS {.topic = &topic_deposits, .handle = bank_on_deposit}
#define TRANSFERS {.topic = &topic_transfers, .handle = bank_on_deposit, .forward_misplaced = true}

const struct source bank_deposits = DEPOSITS;
const struct source bank_transfers = TRANSFERS;

const struct topology bank_topology = {
    .name = "bank",
    .sources = (const struct source[]){DEPOSITS, TRANSFERS, {0}},
    .views = (const struct view *const[]){&bank_balances, NULL},
    .tables = (const struct table *const[]){&bank_owners, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
    .dead_letters = &topic_letters,
};

/* ---- what is around it ---- */

static bool is_there(struct registry *r, struct err *e) {
    return !((struct bank *)r)->registry_is_away || err_set(e, ERR_RETRY, "waiting for the registry");
}

static bool add(struct registry *r, const char *subject, const char *schema, int32_t *id, struct err *e) {
    struct registry *inner = ((struct bank *)r)->registry;
    return is_there(r, e) && inner->add(inner, subject, schema, id, e);
}

static bool schema_by_id(struct registry *r, int32_t id, bool *found, struct buf *schema, struct err *e) {
    struct bank *b = (struct bank *)r;
    struct registry *inner = b->registry;
    if (b->asked != NULL)
        b->asked(b->asked_context);
    return is_there(r, e) && inner->schema_by_id(inner, id, found, schema, e);
}

static bool set_compatibility(struct registry *r, const char *subject, const char *level, bool *found,
                              struct err *e) {
    struct registry *inner = ((struct bank *)r)->registry;
    return is_there(r, e) && inner->set_compatibility(inner, subject, level, found, e);
}

struct bank *bank_create(void) {
    struct bank *b = xcalloc(1, sizeof *b);
    b->away_or_not = (struct registry){add, schema_by_id, set_compatibility, NULL};
    b->registry = registry_memory_create();
    b->schemas = schemas_create(&b->away_or_not);
    b->reader = schemas_create(b->registry);
    b->store = store_create_memory();
    for (size_t i = 0; i < topics_count; i++)
        assert_true(schemas_register(b->schemas, topics[i], NULL));
    return b;
}

void bank_destroy(struct bank *b) {
    store_close(b->store);
    schemas_destroy(b->schemas);
    schemas_destroy(b->reader);
    registry_destroy(b->registry);
    arena_free(&b->arena);
    free(b);
}

struct slice bank_bytes(struct bank *b, const struct topic *t, const void *value) {
    struct buf bytes = {0};
    struct err e = {0};
    if (!schemas_encode(b->schemas, t, value, &bytes, &e))
        fail_msg("%s: %s", t->name, e.text);
    struct slice copy = arena_copy(&b->arena, buf_slice(&bytes));
    buf_free(&bytes);
    return copy;
}

struct slice bank_deposit(struct bank *b, int64_t amount, const char *note) {
    return bank_bytes(b, &topic_deposits, &(struct deposit){amount, slice_of(note)});
}

struct slice bank_owner(struct bank *b, const char *name, const char *city) {
    return bank_bytes(b, &topic_owners, &(struct owner){slice_of(name), slice_of(city)});
}

struct slice bank_foreign(struct bank *b, const struct topic *t, struct slice bytes) {
    int32_t id; /* another one for each text, and a blank more is another text */
    struct slice text = arena_printf(&b->arena, "%*s%s%c", ++b->foreign, "", t->value->schema, 0);
    assert_true(b->registry->add(b->registry, t->name, text.data, &id, NULL));
    ((char *)(uintptr_t)bytes.data)[4] = (char)id;
    return bytes;
}

const void *bank_value(struct bank *b, const struct topic *t, struct slice bytes) {
    void *value = arena_alloc(&b->arena, t->value->size);
    struct err e = {0};
    if (!schemas_decode(b->reader, t->value, bytes, &b->arena, value, &e))
        fail_msg("%s: %s", t->name, e.text);
    return value;
}

long bank_metric(struct stream *s, const char *name) {
    struct metrics all = {0};
    struct buf out = {0};
    char sample[100];
    long sum = 0;
    stream_metrics(s, &all);
    metrics_write(&all, &out);
    buf_append_byte(&out, 0);
    snprintf(sample, sizeof sample, "\ninsideout_%s{topology=\"bank\"", name);
    const char *at = strstr(out.data, sample);
    assert_non_null(at);
    for (; at != NULL; at = strstr(at + 1, sample))
        sum += atol(strchr(at, ' '));
    buf_free(&out);
    metrics_free(&all);
    return sum;
}
