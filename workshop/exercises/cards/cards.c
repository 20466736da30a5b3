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
    struct card_window row = {0};
    /* TODO: which window is it in? window_tumbling(time, WINDOW_MS) says so, and time_sub(txn_arena(txn),
     *       window.start) is its sub-key. Count there, and emit to topic_possible_fraud what HAVING lets
     *       pass: .card_token, .count, .window_start, .window_end. */
    (void)txn, (void)in, (void)row;
}

const struct topology cards = {
    .name = "cards",
    .sources = (const struct source[]){{.topic = &topic_authorizations, .handle = on_authorization}, {0}},
    .views = (const struct view *const[]){&windows, NULL},
    .outputs = (const struct topic *const[]){&topic_possible_fraud, NULL},
};
