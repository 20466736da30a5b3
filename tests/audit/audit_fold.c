#include "audit_fold.h"

#include "base/cleanup.h"
#include "base/num.h"
#include "names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHECKS = 3 };
enum stand { NONE, PASS, FAIL };
enum fault { FAULT_OTHER, FAULT_LATE, FAULT_QUANTITY, FAULT_PRICE, FAULT_PRODUCT, FAULT_CUSTOMER };

/* One order. Offsets have 32 bits: they serve to name a record. */
struct entry {
    int64_t price_cents, reserved_before;
    int32_t quantity, on_hand;
    uint32_t product, customer;
    uint32_t request, created, outcome, verdict_at[CHECKS];
    uint16_t partition;
    uint8_t state;                   /* enum order_state, where is_created */
    uint8_t verdict[CHECKS];         /* the first one, as `orders` counts it */
    uint8_t own[CHECKS];             /* that of the check itself */
    uint64_t shipment, email;        /* a hash of what is in the log; 0: there is none */
    uint64_t shipped_to;             /* a hash of the address */
    uint32_t shipped_customer, hour; /* of its CREATED, since 1970 */
    uint8_t fraud_due;               /* a stand: by the rules */
    uint8_t fault;                   /* what details says is wrong */
    uint32_t dead;                   /* offset + 1 of a word about it that is good, and has a dead letter */
    bool is_known : 1;               /* the fields are */
    bool is_requested : 1;
    bool is_created : 1;
    bool is_late : 1;        /* inventory's own verdict */
    bool is_indexed : 1;     /* CREATED is in orders-by-product */
    bool holds : 1;          /* a reservation, as the fold goes by */
    bool is_shown : 1;       /* by HTTP */
    bool is_cancelled : 1;   /* by somebody; it counts where there was no outcome */
    bool says_cancelled : 1; /* the outcome does */
    bool dead_cancels : 1;   /* the word is a cancellation, not a validation */
};

/* Since when there is a row, and whether it ever was not. */
struct known {
    uint32_t hour; /* since 1970 */
    bool ever, deleted;
};

/* What a product's row, in the log's order, or a customer's was; by number + 1, 0: there is none. */
struct version {
    uint64_t value; /* on_hand, before which it is 0; or the hash of an address */
    uint32_t next;
};

struct product {
    struct known known;
    uint32_t first, last; /* versions */
    uint32_t seen;        /* the one where the decisions are */
    int64_t stated;       /* the last record of reserved-stock */
    int64_t reserved;     /* the fold of the decisions */
    int32_t on_hand;
    bool in_stock, is_shown;
    bool agrees; /* some point of the fold that reserved-stock can stand at has what it says */
};

struct customer_row {
    uint64_t hash;
    bool exists;
};

struct buyer {
    struct customer_row row;
    struct known known;
    uint32_t addresses; /* versions: all that they ever had, the last one first */
};

struct happening { /* a record of orders-by-product */
    uint32_t order, offset;
    uint8_t state;
};

struct lane { /* a partition of orders-by-product */
    struct spill *rows;
    struct happening *items; /* in there */
    size_t count;
};

struct bad {
    const struct topic *topic;
    struct audit_at at;
};

struct audit {
    struct names order_ids, product_ids, customer_ids, dead;
    struct names excused; /* of the dead: what was wrong was not the record itself */
    struct spill *order_rows, *product_rows, *customer_rows, *version_rows;
    struct entry *orders; /* in there, by number, as are the next two */
    struct product *products;
    struct buyer *customers;
    uint32_t version_count;
    struct lane *lanes;
    size_t lane_count;
    struct spill *bad_rows;
    struct bad *bad; /* in there */
    size_t bad_count;
    bool late, stock_gaps, customer_gaps;
    struct arena texts;
    struct audit_result results[AUDIT_INVARIANTS];
    struct audit_counts counts;
};

static const char *const check_names[CHECKS] = {"INVENTORY_CHECK", "FRAUD_CHECK", "ORDER_DETAILS_CHECK"};

/* ---- storage ---- */

struct audit *audit_create(void) {
    return xcalloc(1, sizeof(struct audit));
}

void audit_destroy(struct audit *a) {
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->lane_count; i++)
        spill_free(a->lanes[i].rows);
    free(a->lanes);
    spill_free(a->order_rows);
    spill_free(a->product_rows);
    spill_free(a->customer_rows);
    spill_free(a->version_rows);
    spill_free(a->bad_rows);
    names_free(&a->order_ids);
    names_free(&a->product_ids);
    names_free(&a->customer_ids);
    names_free(&a->dead);
    names_free(&a->excused);
    arena_free(&a->texts);
    free(a);
}

static struct entry *entry_of(struct audit *a, struct slice id) {
    uint32_t n = names_add(&a->order_ids, id);
    a->orders = spill_room(&a->order_rows, (n + 1) * sizeof *a->orders);
    return &a->orders[n];
}

static struct product *product_of(struct audit *a, struct slice id) {
    uint32_t n = names_add(&a->product_ids, id);
    a->products = spill_room(&a->product_rows, (n + 1) * sizeof *a->products);
    return &a->products[n];
}

static struct buyer *customer_of(struct audit *a, struct slice id) {
    uint32_t n = names_add(&a->customer_ids, id);
    a->customers = spill_room(&a->customer_rows, (n + 1) * sizeof *a->customers);
    return &a->customers[n];
}

/* Of those who are gone through one after the other. */
static struct entry *order_at(const struct audit *a, uint32_t n) {
    spill_touch();
    return &a->orders[n];
}

static struct version *version_at(const struct audit *a, uint32_t number) {
    spill_touch();
    return (struct version *)a->version_rows->data + number - 1;
}

/* Returns its number. */
static uint32_t add_version(struct audit *a, uint64_t value, uint32_t next) {
    struct version *versions = spill_room(&a->version_rows, (a->version_count + 1) * sizeof *versions);
    versions[a->version_count] = (struct version){value, next};
    return ++a->version_count;
}

static const char *id_of(const struct audit *a, const struct entry *e) {
    return names_text(&a->order_ids, e - a->orders);
}

void audit_violation(struct audit *a, int invariant, const char *fmt, ...) {
    struct audit_result *r = &a->results[invariant];
    if (r->violations < AUDIT_EXAMPLES) {
        char text[512];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        r->examples[r->violations] = arena_printf(&a->texts, "%s", text).data;
    }
    r->violations++;
}

/* ---- dead letters ---- */

static void place(struct buf *out, const char *topic, int32_t partition, int64_t offset) {
    buf_printf(out, "%s/%" PRId32 "/%" PRId64, topic, partition, offset);
}

/* Reasons that lie in the clock of then, or in what followed from the record. */
static bool is_excused(struct slice reason) {
    static const char *const reasons[] = {"its timestamp", "Kafka refuses", "a record for "};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons && reason.data != NULL; i++)
        if (slice_starts_with(reason, slice_of(reasons[i])))
            return true;
    return false;
}

void audit_dead_letter(struct audit *a, const struct dead_letter *d) {
    _cleanup_(buf_free) struct buf name = {0};
    buf_printf(&name, SLICE_FMT "/%" PRId32 "/%" PRId64, SLICE_ARG(d->topic), d->partition, d->offset);
    uint32_t known = a->dead.count;
    names_add(&a->dead, buf_slice(&name));
    if (is_excused(d->reason))
        names_add(&a->excused, buf_slice(&name));
    if (a->dead.count == known)
        audit_violation(a, AUDIT_ORDERS, SLICE_FMT " has two dead letters", SLICE_ARG(buf_slice(&name)));
}

static bool has_excuse(const struct audit *a, const struct topic *t, struct audit_at at) {
    _cleanup_(buf_free) struct buf name = {0};
    place(&name, t->name, at.partition, at.offset);
    return names_find(&a->excused, buf_slice(&name)) != NAMES_NONE;
}

void audit_good_dead(struct audit *a, const struct topic *t, struct audit_at at) {
    if (has_excuse(a, t, at))
        return;
    audit_violation(a, AUDIT_ORDERS, "%s/%d/%" PRId64 " is a good record, and a dead letter names it",
                    t->name, at.partition, at.offset);
}

void audit_dead_word(struct audit *a, const struct topic *t, struct audit_at at, struct slice order_id,
                     bool own) {
    struct entry *e = entry_of(a, order_id);
    bool cancels = t == &topic_order_cancellations;
    bool behind =
        cancels ? e->is_cancelled : e->verdict[0] != NONE || e->verdict[1] != NONE || e->verdict[2] != NONE;
    if ((!own && !behind) || e->dead != 0 || has_excuse(a, t, at))
        return;
    e->dead = (uint32_t)at.offset + 1;
    e->dead_cancels = cancels;
    e->partition = (uint16_t)at.partition;
}

bool audit_has_gap(const struct audit *a, const struct topic *t) {
    return t == &topic_stock ? a->stock_gaps : a->customer_gaps;
}

void audit_gap(struct audit *a, const struct topic *t) {
    a->stock_gaps = a->stock_gaps || t == &topic_stock;
    a->customer_gaps = a->customer_gaps || t == &topic_customers;
}

bool audit_is_dead(const struct audit *a, const struct topic *t, struct audit_at at) {
    if (a->dead.count == 0)
        return false;
    _cleanup_(buf_free) struct buf name = {0};
    place(&name, t->name, at.partition, at.offset);
    return names_find(&a->dead, buf_slice(&name)) != NAMES_NONE;
}

void audit_bad(struct audit *a, const struct topic *t, struct audit_at at) {
    a->bad = spill_room(&a->bad_rows, (a->bad_count + 1) * sizeof *a->bad);
    a->bad[a->bad_count++] = (struct bad){t, at};
}

/* ---- orders ---- */

#define FIELDS(r) (r)->customer_id, (r)->product_id, (r)->quantity, (r)->price_cents

/* The first to tell the fields of an order sets them; later ones must agree. */
static bool agree(struct audit *a, struct entry *e, struct slice customer_id, struct slice product_id,
                  int32_t quantity, int64_t price_cents) {
    uint32_t customer = (uint32_t)(customer_of(a, customer_id) - a->customers);
    uint32_t product = (uint32_t)(product_of(a, product_id) - a->products);
    if (e->is_known)
        return e->customer == customer && e->product == product && e->quantity == quantity &&
               e->price_cents == price_cents;
    e->is_known = true;
    e->customer = customer;
    e->product = product;
    e->quantity = quantity;
    e->price_cents = price_cents;
    return true;
}

void audit_request(struct audit *a, struct audit_at at, const struct order_request *r, bool misplaced) {
    struct entry *e = entry_of(a, r->id);
    if (e->is_requested)
        a->counts.repeats++;
    e->is_requested = true;
    if (misplaced || e->request != 0)
        return;
    e->request = (uint32_t)at.offset + 1;
    e->partition = (uint16_t)at.partition;
    if (!agree(a, e, FIELDS(r)))
        audit_violation(a, AUDIT_ORDERS, "order %s is not as its first request, %s/%d/%" PRId64, id_of(a, e),
                        topic_order_requests.name, at.partition, at.offset);
}

static uint32_t hour_of(int64_t time) {
    return (uint32_t)(time / 3600000);
}

void audit_order(struct audit *a, struct audit_at at, int64_t time, const struct order *o) {
    struct entry *e = entry_of(a, o->id);
    const char *what = event_enum_name(&order_state_enum, (int)o->state);
    const char *why = NULL;
    if (o->state == ORDER_STATE_CREATED && e->is_created)
        why = "a second CREATED";
    else if (o->state != ORDER_STATE_CREATED && !e->is_created)
        why = "an outcome before CREATED";
    else if (o->state != ORDER_STATE_CREATED && e->state != ORDER_STATE_CREATED)
        why = "a second outcome";
    else if (!agree(a, e, FIELDS(o)))
        why = "other fields than its request";
    if (why != NULL) {
        audit_violation(a, AUDIT_ORDERS, "order %s: %s, %s at %s/%d/%" PRId64, id_of(a, e), why, what,
                        topic_orders.name, at.partition, at.offset);
        if (o->state == ORDER_STATE_CREATED ? e->is_created : e->state != ORDER_STATE_CREATED)
            return;
    }
    e->state = (uint8_t)o->state;
    e->partition = (uint16_t)at.partition;
    if (o->state == ORDER_STATE_CREATED) {
        e->is_created = true;
        e->created = (uint32_t)at.offset;
        e->hour = hour_of(time);
    } else {
        e->outcome = (uint32_t)at.offset;
        e->says_cancelled = o->reasons.count > 0 && slice_equal(o->reasons.items[0], SLICE("CANCELLED"));
    }
}

void audit_cancellation(struct audit *a, const struct order_cancellation *c) {
    entry_of(a, c->order_id)->is_cancelled = true;
}

void audit_fraud_due(struct audit *a, struct slice order_id, bool pass) {
    entry_of(a, order_id)->fraud_due = pass ? PASS : FAIL;
}

bool audit_fraud_is_due(struct audit *a, struct slice order_id) {
    return entry_of(a, order_id)->fraud_due != NONE;
}

/* A reason begins with the field that it is about. */
static enum fault fault_of(struct slice reason) {
    static const char *const fields[] = {"quantity:", "priceCents:", "productId:", "customerId:"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields && reason.data != NULL; i++)
        if (slice_starts_with(reason, slice_of(fields[i])))
            return FAULT_QUANTITY + (enum fault)i;
    return FAULT_OTHER;
}

void audit_validation(struct audit *a, struct audit_at at, const struct validation *v, bool own) {
    struct entry *e = entry_of(a, v->order_id);
    enum stand verdict = v->result == CHECK_RESULT_PASS ? PASS : FAIL;
    int c = (int)v->check;
    a->counts.validations++;
    if (e->verdict[c] == NONE) {
        e->verdict[c] = (uint8_t)verdict;
        e->verdict_at[c] = (uint32_t)at.offset;
        e->partition = (uint16_t)at.partition;
    } else if (own && e->own[c] != NONE) {
        audit_violation(a, AUDIT_OUTCOMES, "order %s: %s decided twice, again at %s/%d/%" PRId64, id_of(a, e),
                        check_names[c], topic_order_validations.name, at.partition, at.offset);
        return;
    } else {
        a->counts.repeats++;
    }
    if (!own)
        return;
    e->own[c] = (uint8_t)verdict;
    if (v->check == CHECK_ORDER_DETAILS_CHECK)
        e->fault = (uint8_t)(a->late ? FAULT_LATE : fault_of(v->reason));
    if (v->check != CHECK_INVENTORY_CHECK)
        return;
    if (!v->on_hand.present || !v->reserved_before.present)
        audit_violation(a, AUDIT_STOCK, "order %s: %s without figures at %s/%d/%" PRId64, id_of(a, e),
                        check_names[c], topic_order_validations.name, at.partition, at.offset);
    e->on_hand = v->on_hand.value;
    e->reserved_before = v->reserved_before.value;
    e->is_late = a->late;
}

void audit_late(struct audit *a) {
    a->late = true;
}

/* ---- stock ---- */

void audit_order_by_product(struct audit *a, struct audit_at at, const struct order *o) {
    struct entry *e = entry_of(a, o->id);
    if (!agree(a, e, FIELDS(o)))
        audit_violation(a, AUDIT_STOCK, "order %s: other fields at %s/%d/%" PRId64, id_of(a, e),
                        topic_orders_by_product.name, at.partition, at.offset);
    size_t n = (size_t)at.partition;
    if (n >= a->lane_count) {
        a->lanes = xrealloc(a->lanes, (n + 1) * sizeof *a->lanes);
        memset(a->lanes + a->lane_count, 0, (n + 1 - a->lane_count) * sizeof *a->lanes);
        a->lane_count = n + 1;
    }
    struct lane *l = &a->lanes[n];
    l->items = spill_room(&l->rows, (l->count + 1) * sizeof *l->items);
    l->items[l->count++] =
        (struct happening){(uint32_t)(e - a->orders), (uint32_t)at.offset, (uint8_t)o->state};
}

static void note_row(struct known *k, int64_t time, bool there) {
    if (!k->ever && there)
        k->hour = hour_of(time);
    k->deleted = k->deleted || !there;
    k->ever = k->ever || there;
}

static int32_t on_hand_of(const struct audit *a, uint32_t version) {
    return version == 0 ? 0 : (int32_t)version_at(a, version)->value;
}

void audit_stock(struct audit *a, struct slice product_id, int64_t time, const struct stock *row) {
    struct product *p = product_of(a, product_id);
    note_row(&p->known, time, row != NULL);
    p->in_stock = row != NULL;
    p->on_hand = row != NULL && row->quantity.present ? row->quantity.value : 0;
    if (p->on_hand == on_hand_of(a, p->last))
        return;
    uint32_t number = add_version(a, (uint64_t)p->on_hand, 0);
    if (p->last != 0)
        version_at(a, p->last)->next = number;
    else
        p->first = number;
    p->last = number;
}

void audit_reserved(struct audit *a, const struct reserved_stock *r) {
    product_of(a, r->product_id)->stated = r->reserved;
}

/* ---- what follows from an order ---- */

static uint64_t hash_text(struct slice text) {
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < text.size; i++)
        h = (h ^ (uint8_t)text.data[i]) * UINT64_C(1099511628211);
    return h != 0 ? h : 1;
}

/* Of the value as JSON; never 0. */
static uint64_t hash_of(const struct event_type *type, const void *value) {
    _cleanup_(buf_free) struct buf json = {0};
    event_json(type, value, &json);
    return hash_text(buf_slice(&json));
}

void audit_shipment(struct audit *a, struct audit_at at, const struct shipment *s) {
    struct entry *e = entry_of(a, s->order_id);
    a->counts.shipments++;
    if (e->shipment != 0)
        audit_violation(a, AUDIT_SHIPMENTS, "order %s: a second shipment at %s/%d/%" PRId64, id_of(a, e),
                        topic_shipments.name, at.partition, at.offset);
    e->shipment = hash_of(&shipment_type, s);
    e->shipped_customer = (uint32_t)(customer_of(a, s->customer_id) - a->customers);
    e->shipped_to = s->state == SHIPMENT_STATE_HELD ? 0 : hash_text(s->address);
}

void audit_email(struct audit *a, struct audit_at at, const struct email *m) {
    struct entry *e = entry_of(a, m->order_id);
    a->counts.emails++;
    if (e->email != 0)
        audit_violation(a, AUDIT_SHIPMENTS, "order %s: a second email at %s/%d/%" PRId64, id_of(a, e),
                        topic_emails.name, at.partition, at.offset);
    e->email = hash_of(&email_type, m);
}

/* ---- the fold of the stock ---- */

/* A table is never read back: of a product whose row changes, a decision sees what the one before it saw, or
 * something newer. */
static bool sees_stock(const struct audit *a, struct product *p, int32_t on_hand) {
    for (uint32_t v = p->seen;; v = v == 0 ? p->first : version_at(a, v)->next) {
        if (on_hand == on_hand_of(a, v)) {
            p->seen = v;
            return true;
        }
        if (v == p->last)
            return a->stock_gaps;
    }
}

static void check_decision(struct audit *a, const struct entry *e, struct product *p) {
    bool enough = sat_add(e->reserved_before, e->quantity) <= e->on_hand;
    bool pass = e->own[CHECK_INVENTORY_CHECK] == PASS;
    const char *why = NULL;
    if (e->reserved_before != p->reserved)
        why = "reservedBefore is not the fold up to there";
    else if (pass && !enough)
        why = "oversold";
    else if (!pass && enough)
        why = "FAIL, although there was enough";
    else if (!sees_stock(a, p, e->on_hand))
        why = "onHand is of no row of stock that it could see";
    a->results[AUDIT_STOCK].checked++;
    if (why != NULL)
        audit_violation(a, AUDIT_STOCK,
                        "order %s of %s, %s/%d/%" PRIu32 ": %s (onHand %" PRId32 ", reservedBefore %" PRId64
                        ", quantity %" PRId32 ", fold %" PRId64 ")",
                        id_of(a, e), names_text(&a->product_ids, e->product), topic_order_validations.name,
                        e->partition, e->verdict_at[CHECK_INVENTORY_CHECK], why, e->on_hand,
                        e->reserved_before, e->quantity, p->reserved);
    p->reserved = e->reserved_before; /* so that one fault is named once */
}

static void apply(struct audit *a, const struct lane *l, const struct happening *h, bool checked) {
    struct entry *e = order_at(a, h->order);
    struct product *p = &a->products[e->product];
    const char *why = NULL;
    if (h->state == ORDER_STATE_CREATED) {
        if (e->is_indexed)
            why = "CREATED twice";
        else if (e->own[CHECK_INVENTORY_CHECK] == NONE)
            why = "passed over: orders behind it are decided";
        else if (checked)
            check_decision(a, e, p);
        if (why == NULL && e->own[CHECK_INVENTORY_CHECK] == PASS && e->quantity > 0) {
            p->reserved += e->quantity;
            e->holds = true;
        }
        e->is_indexed = true;
    } else if (!e->is_indexed) {
        why = "an outcome before CREATED";
    } else if (h->state == ORDER_STATE_FAILED && e->holds) {
        p->reserved -= e->quantity;
        e->holds = false;
    }
    if (why != NULL)
        audit_violation(a, AUDIT_STOCK, "order %s, %s/%d/%" PRIu32 ": %s", id_of(a, e),
                        topic_orders_by_product.name, (int)(l - a->lanes), h->offset, why);
}

/* Inventory takes a partition in its order. So everything before the last order that it is known to have
 * decided is done, and must be right to the piece. How much of what follows is already in reserved-stock
 * nobody can tell from outside: it must be what some point of it gives. */
static void fold_lane(struct audit *a, const struct lane *l) {
    size_t done = 0, i = 0;
    for (size_t n = 0; n < l->count; n++) {
        const struct entry *e = order_at(a, l->items[n].order);
        if (l->items[n].state == ORDER_STATE_CREATED && e->own[CHECK_INVENTORY_CHECK] != NONE && !e->is_late)
            done = n + 1;
    }
    for (; i < done; i++)
        apply(a, l, &l->items[i], true);
    for (i = 0; i < l->count; i++) {
        struct product *p = &a->products[order_at(a, l->items[i].order)->product];
        p->agrees = p->reserved == p->stated;
    }
    for (i = done; i < l->count; i++) {
        const struct entry *e = order_at(a, l->items[i].order);
        if (l->items[i].state == ORDER_STATE_CREATED && e->own[CHECK_INVENTORY_CHECK] == NONE)
            break;
        apply(a, l, &l->items[i], false);
        struct product *p = &a->products[e->product];
        p->agrees = p->agrees || p->reserved == p->stated;
    }
    for (; i < l->count; i++) /* in flight; the order is in the index all the same */
        if (l->items[i].state == ORDER_STATE_CREATED)
            order_at(a, l->items[i].order)->is_indexed = true;
}

/* ---- judgement ---- */

static bool all_spoke(const struct entry *e) {
    return e->own[0] != NONE && e->own[1] != NONE && e->own[2] != NONE;
}

/* The check that speaks of what is no order, and that no dead letter names: `orders` has to reject it. */
static int orphan_check(const struct audit *a, const struct entry *e) {
    for (int c = 0; c < CHECKS && !e->is_created && !e->is_indexed; c++)
        if (e->verdict[c] != NONE &&
            !audit_is_dead(a, &topic_order_validations, (struct audit_at){e->partition, e->verdict_at[c]}))
            return c;
    return -1;
}

static void count_held(const struct audit *a, int64_t *held) {
    for (uint32_t i = 0; i < a->order_ids.count; i++) {
        const struct entry *e = order_at(a, i);
        if (e->own[CHECK_INVENTORY_CHECK] == PASS && e->quantity > 0 && e->is_known &&
            !(e->is_created && e->state == ORDER_STATE_FAILED))
            held[e->product] += e->quantity;
    }
}

static void name(struct buf *names, uint64_t n, const char *what) {
    if (names != NULL && n < AUDIT_EXAMPLES)
        buf_printf(names, "%s%s", names->size > 0 ? ", " : "", what);
}

struct audit_flight audit_in_flight(const struct audit *a, struct buf *names) {
    struct audit_flight f = {0};
    for (uint32_t i = 0; i < a->order_ids.count; i++) {
        const struct entry *e = order_at(a, i);
        uint64_t *what = NULL;
        if (!e->is_created)
            what = e->is_requested ? &f.requests : orphan_check(a, e) >= 0 ? &f.records : NULL;
        else if (e->state == ORDER_STATE_CREATED)
            what = &f.orders;
        else if (!all_spoke(e))
            what = &f.checks;
        else if (e->state == ORDER_STATE_VALIDATED && e->shipment == 0)
            what = &f.shipments;
        if (what == NULL)
            continue;
        name(names, f.total++, names_text(&a->order_ids, i));
        ++*what;
    }
    int64_t *held = xcalloc(a->product_ids.count + 1u, sizeof *held);
    count_held(a, held);
    for (uint32_t i = 0; i < a->product_ids.count; i++)
        if (held[i] != a->products[i].stated) {
            name(names, f.total++, names_text(&a->product_ids, i));
            f.products++;
        }
    free(held);
    for (size_t i = 0; i < a->bad_count; i++)
        if (!audit_is_dead(a, a->bad[i].topic, a->bad[i].at)) {
            _cleanup_(buf_free) struct buf at = {0};
            place(&at, a->bad[i].topic->name, a->bad[i].at.partition, a->bad[i].at.offset);
            buf_append_byte(&at, 0);
            name(names, f.total++, at.data);
            f.records++;
        }
    return f;
}

static void judge_order(struct audit *a, struct entry *e, bool quiescent) {
    if (e->is_created && !e->is_requested)
        audit_violation(a, AUDIT_ORDERS, "order %s, %s/%d/%" PRIu32 ": nobody requested it", id_of(a, e),
                        topic_orders.name, e->partition, e->created);
    if (e->is_requested && !e->is_created && quiescent)
        audit_violation(a, AUDIT_ORDERS, "order %s, requested at %s/%d/%" PRIu32 ", is not CREATED",
                        id_of(a, e), topic_order_requests.name, e->partition, e->request - 1);
    if (!e->is_created)
        return;
    if (e->dead != 0)
        audit_violation(a, AUDIT_ORDERS,
                        "%s/%d/%" PRIu32 " is a good record of order %s, and a dead letter names it",
                        (e->dead_cancels ? &topic_order_cancellations : &topic_order_validations)->name,
                        e->partition, e->dead - 1, id_of(a, e));
    a->counts.created++;
    a->results[AUDIT_OUTCOMES].checked += e->state != ORDER_STATE_CREATED;
    bool failed = e->verdict[0] == FAIL || e->verdict[1] == FAIL || e->verdict[2] == FAIL;
    bool passed = e->verdict[0] == PASS && e->verdict[1] == PASS && e->verdict[2] == PASS;
    bool follows = true;
    switch ((enum order_state)e->state) {
    case ORDER_STATE_CREATED:
        if (quiescent)
            audit_violation(a, AUDIT_ORDERS, "order %s, CREATED at %s/%d/%" PRIu32 ", has no outcome",
                            id_of(a, e), topic_orders.name, e->partition, e->created);
        return;
    case ORDER_STATE_VALIDATED:
        a->counts.validated++;
        follows = passed;
        break;
    case ORDER_STATE_FAILED:
        a->counts.failed++;
        follows = e->says_cancelled ? e->is_cancelled : failed;
        break;
    }
    if (!follows)
        audit_violation(a, AUDIT_OUTCOMES,
                        "order %s, %s/%d/%" PRIu32 ": %s does not follow from its checks or a cancellation",
                        id_of(a, e), topic_orders.name, e->partition, e->outcome,
                        event_enum_name(&order_state_enum, e->state));
    else if (quiescent && !all_spoke(e))
        audit_violation(a, AUDIT_OUTCOMES, "order %s, CREATED at %s/%d/%" PRIu32 ": a check has not spoken",
                        id_of(a, e), topic_orders.name, e->partition, e->created);
}

static bool could_be_unknown(const struct entry *e, const struct known *k, bool gaps) {
    /* Kafka takes a time that is up to an hour ahead: only then is it certain that the row was first. */
    return gaps || !k->ever || k->deleted || e->hour < k->hour + 2;
}

/* What order-details cannot have said. NULL: it can. */
static const char *wrong_details(const struct audit *a, const struct entry *e) {
    const struct known *product = &a->products[e->product].known, *buyer = &a->customers[e->customer].known;
    bool bad = e->quantity < 1 || e->price_cents < 0;
    bool product_can = could_be_unknown(e, product, a->stock_gaps);
    bool buyer_can = could_be_unknown(e, buyer, a->customer_gaps);
    if (e->own[CHECK_ORDER_DETAILS_CHECK] == PASS)
        return bad                                 ? "PASS of what is no order"
               : !product->ever && !a->stock_gaps  ? "PASS, and there never was such a product"
               : !buyer->ever && !a->customer_gaps ? "PASS, and there never was such a customer"
                                                   : NULL;
    switch ((enum fault)e->fault) {
    case FAULT_QUANTITY:
        return e->quantity < 1 ? NULL : "FAIL for its quantity";
    case FAULT_PRICE:
        return e->price_cents < 0 ? NULL : "FAIL for its price";
    case FAULT_PRODUCT:
        return product_can ? NULL : "FAIL for its product, which there was";
    case FAULT_CUSTOMER:
        return buyer_can ? NULL : "FAIL for its customer, who was there";
    case FAULT_OTHER:
    case FAULT_LATE:
        break;
    }
    return bad || product_can || buyer_can ? NULL : "FAIL for nothing";
}

/* The checks' own verdicts, by their rules. */
static void judge_verdicts(struct audit *a, const struct entry *e) {
    uint8_t fraud = e->own[CHECK_FRAUD_CHECK];
    bool judged = e->own[CHECK_ORDER_DETAILS_CHECK] != NONE && e->is_created && e->fault != FAULT_LATE;
    const char *why = judged ? wrong_details(a, e) : NULL;
    if (why != NULL)
        audit_violation(a, AUDIT_OUTCOMES, "order %s, %s/%d/%" PRIu32 ": %s: %s", id_of(a, e),
                        topic_order_validations.name, e->partition, e->verdict_at[CHECK_ORDER_DETAILS_CHECK],
                        check_names[CHECK_ORDER_DETAILS_CHECK], why);
    if (fraud != NONE && e->fraud_due != NONE && fraud != e->fraud_due)
        audit_violation(a, AUDIT_OUTCOMES, "order %s, %s/%d/%" PRIu32 ": %s: %s, where its session says %s",
                        id_of(a, e), topic_order_validations.name, e->partition,
                        e->verdict_at[CHECK_FRAUD_CHECK], check_names[CHECK_FRAUD_CHECK],
                        fraud == PASS ? "PASS" : "FAIL", e->fraud_due == PASS ? "PASS" : "FAIL");
}

static bool had_address(const struct audit *a, const struct buyer *b, uint64_t address) {
    uint32_t v = b->addresses;
    while (v != 0 && version_at(a, v)->value != address)
        v = version_at(a, v)->next;
    return v != 0;
}

static void judge_destination(struct audit *a, const struct entry *e) {
    if (e->is_known && e->shipped_customer != e->customer)
        audit_violation(a, AUDIT_SHIPMENTS, "order %s of %s is shipped to %s", id_of(a, e),
                        names_text(&a->customer_ids, e->customer),
                        names_text(&a->customer_ids, e->shipped_customer));
    else if (e->shipped_to != 0 && !a->customer_gaps &&
             !had_address(a, &a->customers[e->shipped_customer], e->shipped_to))
        audit_violation(a, AUDIT_SHIPMENTS, "order %s is shipped to where %s never lived", id_of(a, e),
                        names_text(&a->customer_ids, e->shipped_customer));
}

static void judge_shipment(struct audit *a, const struct entry *e, bool quiescent) {
    bool validated = e->is_created && e->state == ORDER_STATE_VALIDATED;
    a->results[AUDIT_SHIPMENTS].checked += (e->shipment != 0) + (e->email != 0);
    if (e->shipment != 0 && !validated)
        audit_violation(a, AUDIT_SHIPMENTS, "order %s is shipped, and is %s", id_of(a, e),
                        e->is_created ? event_enum_name(&order_state_enum, e->state) : "none");
    if (e->shipment != 0)
        judge_destination(a, e);
    if (e->shipment == 0 && validated && quiescent)
        audit_violation(a, AUDIT_SHIPMENTS, "order %s, %s/%d/%" PRIu32 ": VALIDATED, and not shipped",
                        id_of(a, e), topic_orders.name, e->partition, e->outcome);
    if (e->email != 0 && !e->is_created)
        audit_violation(a, AUDIT_SHIPMENTS, "an email of %s, which is no order", id_of(a, e));
}

static void judge_products(struct audit *a, bool quiescent) {
    int64_t *held = xcalloc(a->product_ids.count + 1u, sizeof *held);
    count_held(a, held);
    for (uint32_t i = 0; i < a->product_ids.count; i++) {
        struct product *p = &a->products[i];
        a->counts.products += p->in_stock || p->stated != 0;
        if (quiescent ? p->stated != held[i] || p->stated != p->reserved
                      : !p->agrees && p->stated != p->reserved)
            audit_violation(a, AUDIT_STOCK,
                            "product %s: reserved is %" PRId64 " in %s, %" PRId64
                            " by the decisions, and its orders hold %" PRId64,
                            names_text(&a->product_ids, i), p->stated, topic_reserved_stock.name, p->reserved,
                            held[i]);
    }
    free(held);
}

void audit_judge(struct audit *a, bool quiescent) {
    for (size_t i = 0; i < a->lane_count; i++)
        fold_lane(a, &a->lanes[i]);
    for (uint32_t i = 0; i < a->order_ids.count; i++) {
        struct entry *e = order_at(a, i);
        a->counts.requested += e->is_requested;
        judge_order(a, e, quiescent);
        judge_verdicts(a, e);
        judge_shipment(a, e, quiescent);
        int orphan = quiescent ? orphan_check(a, e) : -1;
        if (orphan >= 0)
            audit_violation(a, AUDIT_OUTCOMES, "%s/%d/%" PRIu32 ": %s of %s, which is no order",
                            topic_order_validations.name, e->partition, e->verdict_at[orphan],
                            check_names[orphan], id_of(a, e));
        if (quiescent && e->is_created && !e->is_indexed)
            audit_violation(a, AUDIT_STOCK, "order %s, %s/%d/%" PRIu32 ": not in %s", id_of(a, e),
                            topic_orders.name, e->partition, e->created, topic_orders_by_product.name);
    }
    judge_products(a, quiescent);
    for (size_t i = 0; i < a->bad_count; i++)
        if (quiescent && !audit_is_dead(a, a->bad[i].topic, a->bad[i].at))
            audit_violation(a, AUDIT_ORDERS, "%s/%d/%" PRId64 " is a bad record, and no dead letter names it",
                            a->bad[i].topic->name, a->bad[i].at.partition, a->bad[i].at.offset);
    a->counts.skipped = a->dead.count;
    a->results[AUDIT_ORDERS].checked = a->counts.requested;
}

void audit_checked(struct audit *a, int invariant, uint64_t n) {
    a->results[invariant].checked += n;
}

/* ---- views ---- */

void audit_view_order(struct audit *a, const struct order *o, bool moving) {
    uint32_t n = names_find(&a->order_ids, o->id);
    struct entry *e = n == NAMES_NONE ? NULL : &a->orders[n];
    const char *why = NULL;
    a->counts.view_orders++;
    a->results[AUDIT_VIEWS].checked++;
    if (e == NULL || !e->is_created) {
        if (!moving)
            why = "is not in the log";
        a->counts.newer++;
    } else if (e->is_shown) {
        why = "is shown twice";
    } else if (!agree(a, e, FIELDS(o))) {
        why = "has other fields than in the log";
    } else if (e->state != o->state) {
        if (!moving || e->state != ORDER_STATE_CREATED)
            why = event_enum_name(&order_state_enum, (int)o->state);
        a->counts.newer++;
    }
    if (e != NULL)
        e->is_shown = true;
    if (why != NULL)
        audit_violation(
            a, AUDIT_VIEWS, "/v1/orders: " SLICE_FMT " %s; in the log it is %s", SLICE_ARG(o->id), why,
            e == NULL || !e->is_created ? "unknown" : event_enum_name(&order_state_enum, e->state));
}

void audit_view_orders_end(struct audit *a) {
    for (uint32_t i = 0; i < a->order_ids.count; i++) {
        const struct entry *e = order_at(a, i);
        if (e->is_created && !e->is_shown)
            audit_violation(a, AUDIT_VIEWS, "/v1/orders: %s, %s/%d/%" PRIu32 ", is missing", id_of(a, e),
                            topic_orders.name, e->partition, e->created);
    }
}

void audit_view_product(struct audit *a, struct slice id, int64_t on_hand, int64_t reserved, bool moving) {
    struct product *p = product_of(a, id);
    a->counts.view_products++;
    a->results[AUDIT_VIEWS].checked++;
    p->is_shown = true;
    if (p->in_stock && p->on_hand == on_hand && p->stated == reserved)
        return;
    if (moving)
        a->counts.newer++;
    else
        audit_violation(a, AUDIT_VIEWS,
                        "/v1/stock: " SLICE_FMT " has onHand %" PRId64 ", reserved %" PRId64
                        "; in the log it has %" PRId32 ", %" PRId64 "%s",
                        SLICE_ARG(id), on_hand, reserved, p->on_hand, p->stated,
                        p->in_stock ? "" : " and is deleted");
}

void audit_view_products_end(struct audit *a, bool moving) {
    for (uint32_t i = 0; i < a->product_ids.count; i++)
        if (a->products[i].in_stock && !a->products[i].is_shown && !moving)
            audit_violation(a, AUDIT_VIEWS, "/v1/stock: %s is missing", names_text(&a->product_ids, i));
}

static struct customer_row customer_row(const struct customer *c) {
    return c == NULL ? (struct customer_row){0} : (struct customer_row){hash_of(&customer_type, c), true};
}

void audit_customer(struct audit *a, struct slice id, int64_t time, const struct customer *c) {
    struct buyer *b = customer_of(a, id);
    b->row = customer_row(c);
    note_row(&b->known, time, c != NULL);
    if (c != NULL && !had_address(a, b, hash_text(c->address)))
        b->addresses = add_version(a, hash_text(c->address), b->addresses);
}

void audit_view_customer(struct audit *a, struct slice id, const struct customer *c, bool moving) {
    const struct customer_row *row = &customer_of(a, id)->row;
    struct customer_row shown = customer_row(c);
    a->counts.view_customers++;
    a->results[AUDIT_VIEWS].checked++;
    if (row->exists == shown.exists && row->hash == shown.hash)
        return;
    if (moving)
        a->counts.newer++;
    else
        audit_violation(a, AUDIT_VIEWS, "/v1/customers/" SLICE_FMT " is not what the log has", SLICE_ARG(id));
}

static void view_hash(struct audit *a, const char *path, struct slice order_id, uint64_t logged,
                      uint64_t shown, bool moving) {
    a->results[AUDIT_VIEWS].checked++;
    if (logged == shown)
        return;
    if (moving && logged == 0)
        a->counts.newer++;
    else
        audit_violation(a, AUDIT_VIEWS, "%s" SLICE_FMT " is not what the log has", path, SLICE_ARG(order_id));
}

void audit_view_shipment(struct audit *a, struct slice order_id, const struct shipment *s, bool moving) {
    a->counts.view_shipments++;
    view_hash(a, "/v1/shipments/", order_id, entry_of(a, order_id)->shipment,
              s == NULL ? 0 : hash_of(&shipment_type, s), moving);
}

void audit_view_email(struct audit *a, struct slice order_id, const struct email *m, bool moving) {
    a->counts.view_emails++;
    view_hash(a, "/v1/emails?orderId=", order_id, entry_of(a, order_id)->email,
              m == NULL ? 0 : hash_of(&email_type, m), moving);
}

/* ---- reports ---- */

const struct audit_result *audit_result(const struct audit *a, int invariant) {
    return &a->results[invariant];
}

uint32_t audit_order_count(const struct audit *a) {
    return a->order_ids.count;
}

const char *audit_order_id(const struct audit *a, uint32_t n) {
    return names_text(&a->order_ids, n);
}

uint32_t audit_customer_count(const struct audit *a) {
    return a->customer_ids.count;
}

const char *audit_customer_id(const struct audit *a, uint32_t n) {
    return names_text(&a->customer_ids, n);
}

struct audit_counts audit_counts(const struct audit *a) {
    return a->counts;
}
