/* Cards with more than three authorizations within five minutes: SELECT … GROUP BY card and window HAVING
 * COUNT(*) > 3. The fourth is the first that says so, and each one behind it. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "topology/window.h"
#include "transaction/txn.h"

#define WINDOW_MS INT64_C(300000)
#define KEEP_MS INT64_C(86400000) /* a window that nothing has changed for so long is deleted */
enum { HAVING_MORE_THAN = 3 };

/* Below the card, a row for each window. */
static const struct view windows = {
    .name = "windows", .changelog = &topic_card_windows, .retention_ms = KEEP_MS};

static void on_authorization(struct txn *txn, const struct event *in) {
    struct window window = window_tumbling(in->timestamp, WINDOW_MS);
    struct slice sub = SLICE_NONE /* the row goes by itself when it is old */;
    struct card_window row = {0};
    txn_get(txn, &windows, sub, &row);
    row.count++;
    txn_put(txn, &windows, sub, &row);
    if (row.count > HAVING_MORE_THAN)
        txn_emit(txn, &topic_possible_fraud, in->key,
                 &(struct possible_fraud){.card_token = in->key,
                                          .count = row.count,
                                          .window_start = window.start,
                                          .window_end = window.end});
}

const struct topology cards = {
    .name = "cards",
    .sources = (const struct source[]){{.topic = &topic_authorizations, .handle = on_authorization}, {0}},
    .views = (const struct view *const[]){&windows, NULL},
    .outputs = (const struct topic *const[]){&topic_possible_fraud, NULL},
};
