#include "payments.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "stream/stream.h"
#include "transaction/txn.h"

static void on_request(struct txn *txn, const struct event *in);
static void index_payment(struct index *to, const struct event *row);
static bool payment_before(const struct event *row, void *value);

const struct view payments_made = {.name = "made", .changelog = &topic_payments_by_id};
const struct table payments_table = {
    .name = "payments", .topic = &topic_payments_by_id, .index = index_payment, .replaced = payment_before};

/* By payment id, so that of two requests with one id the first makes the payment, wherever they came in. */
const struct topology payments_topology = {
    .name = "payments",
    .sources = (const struct source[]){{.topic = &topic_payment_requests, .handle = on_request}, {0}},
    .views = (const struct view *const[]){&payments_made, NULL},
    .tables = (const struct table *const[]){&payments_table, NULL},
    .outputs = (const struct topic *const[]){&topic_payments, &topic_authorizations, NULL},
    .dead_letters = &topic_dead_letters,
};

/* The first request of an id makes the payment; later ones, equal or not, change nothing. */
static void on_request(struct txn *txn, const struct event *in) {
    const struct payment *p = in->value;
    const char *bad = !id_valid(p->id)           ? "id"
                      : !id_valid(p->order_id)   ? "orderId"
                      : !id_valid(p->card_token) ? "cardToken"
                                                 : NULL;
    if (bad != NULL) {
        txn_reject(txn, "%s: must match " ID_PATTERN, bad);
        return;
    }
    if (!slice_equal(in->key, p->id)) {
        txn_reject(txn, "id: differs from the record's key");
        return;
    }
    struct payment made;
    if (txn_get(txn, &payments_made, SLICE_NONE, &made))
        return;
    txn_put(txn, &payments_made, SLICE_NONE, p);
    txn_emit(txn, &topic_payments, p->order_id, p);
    txn_emit(txn, &topic_authorizations, p->card_token,
             &(struct authorization){
                 .card_token = p->card_token, .order_id = p->order_id, .amount_cents = p->amount_cents});
}

/* A payment never changes. */
static bool payment_before(const struct event *row, void *value) {
    (void)row, (void)value;
    return false;
}

/* "ORDER/PAYMENT": an id has no '/'. */
static void index_payment(struct index *to, const struct event *row) {
    const struct payment *p = row->value;
    _cleanup_(buf_free) struct buf key = {0};
    buf_append_slice(&key, p->order_id);
    buf_append_byte(&key, '/');
    buf_append_slice(&key, row->key);
    index_key(to, buf_slice(&key));
}
