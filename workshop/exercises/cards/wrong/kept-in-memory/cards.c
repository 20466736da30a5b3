/* Cards with more than three authorizations within five minutes: SELECT … GROUP BY card and window HAVING
 * COUNT(*) > 3. The fourth is the first that says so, and each one behind it. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "topology/window.h"
#include "transaction/txn.h"

#define WINDOW_MS INT64_C(300000)
enum { HAVING_MORE_THAN = 3 };

/* Five minutes are short: no need for a table. */
static struct {
    char card[20];
    int64_t start, count;
} latest[1000];

static int64_t count(struct slice card, int64_t start) {
    int i = 0;
    while (latest[i].count > 0 && (latest[i].start != start || !slice_equal(slice_of(latest[i].card), card)))
        i++;
    memcpy(latest[i].card, card.data, card.size);
    latest[i].start = start;
    return ++latest[i].count;
}

static void on_authorization(struct txn *txn, const struct event *in) {
    struct window window = window_tumbling(in->timestamp, WINDOW_MS);
    struct card_window row = {count(in->key, window.start)};
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
    .outputs = (const struct topic *const[]){&topic_possible_fraud, NULL},
};
