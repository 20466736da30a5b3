#include "fraud.h"

#include "fraud_rules.h"
#include "transaction/txn.h"

#include <inttypes.h>

static void on_order(struct txn *txn, const struct event *in);

const struct view fraud_sessions_view = {
    .name = "sessions", .changelog = &topic_fraud_sessions, .retention_ms = FRAUD_ROW_MS};
const struct view fraud_verdicts = {.name = "verdicts", .changelog = &topic_fraud_verdicts};

const struct topology fraud_topology = {
    .name = "fraud",
    .sources = (const struct source[]){{.topic = &topic_orders_by_customer, .handle = on_order}, {0}},
    .views = (const struct view *const[]){&fraud_sessions_view, &fraud_verdicts, NULL},
    .outputs = (const struct topic *const[]){&topic_order_validations, NULL},
    .dead_letters = &topic_dead_letters,
};

/* Once per order and in the order of arrival; one that fails counts towards its session all the same. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    struct verdict verdict;
    if (o->state != ORDER_STATE_CREATED || txn_get(txn, &fraud_verdicts, o->id, &verdict))
        return;

    struct fraud_sessions sessions = {.stream_time = in->timestamp};
    txn_get(txn, &fraud_sessions_view, SLICE_NONE, &sessions);
    int64_t total;
    sessions = fraud_add(&sessions, in->timestamp, fraud_amount(o->quantity, o->price_cents), txn_arena(txn),
                         &total);
    bool fail = total >= FRAUD_LIMIT_CENTS;
    verdict = (struct verdict){.order_id = o->id, .result = fail ? CHECK_RESULT_FAIL : CHECK_RESULT_PASS};
    txn_put(txn, &fraud_sessions_view, SLICE_NONE, &sessions);
    txn_put(txn, &fraud_verdicts, o->id, &verdict);

    struct validation v = {.order_id = o->id, .check = CHECK_FRAUD_CHECK, .result = verdict.result};
    if (fail)
        v.reason = arena_printf(
            txn_arena(txn), "customerId: orders of %" PRId64 " cents in one session, the limit is %" PRId64,
            total, FRAUD_LIMIT_CENTS);
    txn_emit(txn, &topic_order_validations, o->id, &v);
}
