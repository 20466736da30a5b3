#include "email.h"

#include "transaction/join.h"
#include "transaction/txn.h"

#include <inttypes.h>

#define WITHIN_MS INT64_C(60000)
/* How far apart the two may come in, by the time of the log: what was away for less still finds its partner.
 */
#define KEEP_MS (7 * INT64_C(86400000))

static void on_order(struct txn *txn, const struct event *in);
static void on_payment(struct txn *txn, const struct event *in);
static void on_pair(struct txn *txn, const struct event *order, const struct event *payment);

const struct view email_orders = {
    .name = "orders", .changelog = &topic_email_orders, .private = true, .retention_ms = KEEP_MS};
const struct view email_payments = {
    .name = "payments", .changelog = &topic_email_payments, .private = true, .retention_ms = KEEP_MS};

/* What was written is what the topic says: it is its own changelog. */
const struct view email_written = {.name = "written", .changelog = &topic_emails};

/* Fresh: a customer whom the payer could read is known here. */
const struct table email_customers = {.name = "customers", .topic = &topic_customers, .fresh = true};
const struct table email_emails = {.name = "emails", .topic = &topic_emails};

static const struct join orders_and_payments = {&email_orders, &email_payments, WITHIN_MS, on_pair};

const struct topology email_topology = {
    .name = "email",
    .sources =
        (const struct source[]){
            {.topic = &topic_orders, .handle = on_order},
            {.topic = &topic_payments, .handle = on_payment},
            {.topic = &topic_emails},
            {0},
        },
    .views = (const struct view *const[]){&email_orders, &email_payments, &email_written, NULL},
    .tables = (const struct table *const[]){&email_customers, &email_emails, NULL},
    .dead_letters = &topic_dead_letters,
};

/* An order is joined as what it was when it was made; its outcome is another matter. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    if (o->state == ORDER_STATE_CREATED)
        join_left(txn, &orders_and_payments, in, SLICE_NONE);
}

static void on_payment(struct txn *txn, const struct event *in) {
    const struct payment *p = in->value;
    if (!slice_equal(in->key, p->order_id))
        txn_reject(txn, "orderId: differs from the record's key");
    else
        join_right(txn, &orders_and_payments, in, p->id);
}

static struct slice body_of(struct txn *txn, const struct customer *c, const struct order *o,
                            const struct payment *p) {
    uint64_t cents = p->amount_cents < 0 ? -(uint64_t)p->amount_cents : (uint64_t)p->amount_cents;
    return arena_printf(txn_arena(txn),
                        "Dear " SLICE_FMT " " SLICE_FMT ",\n\n"
                        "we have received your payment of %s%" PRIu64 ".%02d for order " SLICE_FMT ":\n\n"
                        "    %" PRId32 " x " SLICE_FMT "\n\n"
                        "It is sent on its way as soon as all is checked.\n",
                        SLICE_ARG(c->first_name), SLICE_ARG(c->last_name), p->amount_cents < 0 ? "-" : "",
                        cents / 100, (int)(cents % 100), SLICE_ARG(o->id), o->quantity,
                        SLICE_ARG(o->product_id));
}

/* One email an order, however often it is paid for. Nobody to write to: no email, and a later payment tries
 * again. */
static void on_pair(struct txn *txn, const struct event *order, const struct event *payment) {
    const struct order *o = order->value;
    struct email written;
    struct customer c;
    if (txn_get(txn, &email_written, SLICE_NONE, &written) ||
        !txn_lookup(txn, &email_customers, o->customer_id, &c))
        return;
    struct arena *a = txn_arena(txn);
    txn_put(
        txn, &email_written, SLICE_NONE,
        &(struct email){
            .order_id = o->id,
            .to = c.email,
            .subject =
                arena_printf(a, "We have received your payment for order " SLICE_FMT, SLICE_ARG(o->id)),
            .body = body_of(txn, &c, o, payment->value),
            .name = arena_printf(a, SLICE_FMT " " SLICE_FMT, SLICE_ARG(c.first_name), SLICE_ARG(c.last_name)),
        });
}
