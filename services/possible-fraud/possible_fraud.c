#include "possible_fraud.h"

#include "topology/window.h"
#include "transaction/txn.h"

#define WINDOW_MS INT64_C(300000)
#define KEEP_MS INT64_C(86400000) /* for late ones, after the last */
enum { HAVING_MORE_THAN = 3 };

static void on_authorization(struct txn *txn, const struct event *in);

const struct view possible_fraud_windows = {
    .name = "windows", .changelog = &topic_card_windows, .retention_ms = KEEP_MS};
const struct table possible_fraud_table = {
    .name = "possible-fraud", .topic = &topic_possible_fraud, .index = possible_fraud_index};

const struct topology possible_fraud_topology = {
    .name = "possible-fraud",
    .sources =
        (const struct source[]){
            {.topic = &topic_authorizations, .handle = on_authorization},
            {.topic = &topic_possible_fraud},
            {0},
        },
    .views = (const struct view *const[]){&possible_fraud_windows, NULL},
    .tables = (const struct table *const[]){&possible_fraud_table, NULL},
    .outputs = (const struct topic *const[]){&topic_possible_fraud, NULL},
    .dead_letters = &topic_dead_letters,
};

static void on_authorization(struct txn *txn, const struct event *in) {
    const struct authorization *a = in->value;
    if (!slice_equal(in->key, a->card_token)) {
        txn_reject(txn, "cardToken: differs from the record's key");
        return;
    }
    struct window window = window_tumbling(in->timestamp, WINDOW_MS);
    struct slice sub = time_sub(txn_arena(txn), window.start);
    struct card_window row = {0};
    txn_get(txn, &possible_fraud_windows, sub, &row);
    row.count++;
    txn_put(txn, &possible_fraud_windows, sub, &row);
    if (row.count > HAVING_MORE_THAN)
        txn_emit(txn, &topic_possible_fraud, in->key,
                 &(struct possible_fraud){.card_token = in->key,
                                          .count = row.count,
                                          .window_start = window.start,
                                          .window_end = window.end});
}
