/* What the log says about orders and stock, and whether the suite's invariants hold. No I/O: audit.c reads
 * the log and the views, and tells what it read.
 *
 * Topics may be told one after the other in any order; of one topic the records of a partition come in the
 * log's order. What a log that others still write to cannot show yet is in flight, and no violation.
 * One thread. Nothing fails. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

enum {
    AUDIT_ORDERS = 1,
    AUDIT_OUTCOMES = 2,
    AUDIT_STOCK = 3,
    AUDIT_SHIPMENTS = 4,
    AUDIT_RATINGS = 5,
    AUDIT_RIDES = 6,
    AUDIT_VIEWS = 7,
    AUDIT_LEGACY = 8,
    AUDIT_INVARIANTS = 9
};
enum { AUDIT_EXAMPLES = 5 };

struct audit_at { /* a place in a topic */
    int32_t partition;
    int64_t offset;
};

struct audit_result { /* of one invariant */
    uint64_t checked, violations;
    const char *examples[AUDIT_EXAMPLES]; /* of violations; as many as there are, the first ones */
};

struct audit_flight {
    uint64_t requests;  /* without CREATED */
    uint64_t orders;    /* CREATED, without outcome */
    uint64_t checks;    /* CREATED, and a check has not spoken */
    uint64_t shipments; /* of orders that are VALIDATED */
    uint64_t products;  /* whose `reserved` is not yet what their orders hold */
    uint64_t records;   /* bad ones that no dead letter names */
    uint64_t total;
};

struct audit;

struct audit *audit_create(void);
void audit_destroy(struct audit *a); /* takes NULL */

/* ---- the log ---- */

void audit_dead_letter(struct audit *a, const struct dead_letter *d);
/* A dead letter names a record that its reader could have processed: a violation, unless the letter's reason
 * lies outside of the record. */
void audit_good_dead(struct audit *a, const struct topic *t, struct audit_at at);
/* A dead letter names a validation or cancellation that has nothing wrong but, perhaps, that there was no
 * such order: a violation where there was. `own`: from one who had seen the order. One by somebody else was
 * in any case behind the order where another one before it was taken; else nobody can tell. */
void audit_dead_word(struct audit *a, const struct topic *t, struct audit_at at, struct slice order_id,
                     bool own);
/* Of a topic of rows not all versions are in the log any more (compaction): what somebody saw may have been
 * one of these. */
void audit_gap(struct audit *a, const struct topic *t);
bool audit_has_gap(const struct audit *a, const struct topic *t);
/* Does a dead letter name this record? Then it is to be skipped. */
bool audit_is_dead(const struct audit *a, const struct topic *t, struct audit_at at);
/* A record that its reader has to send to the dead letters. */
void audit_bad(struct audit *a, const struct topic *t, struct audit_at at);

/* `misplaced`: in another partition than its key's; it is written again to the right one. */
void audit_request(struct audit *a, struct audit_at at, const struct order_request *r, bool misplaced);
void audit_order(struct audit *a, struct audit_at at, int64_t time, const struct order *o);
void audit_cancellation(struct audit *a, const struct order_cancellation *c);
/* `own`: it comes from the check itself (it names its cause); a repeat by somebody else changes nothing. */
void audit_validation(struct audit *a, struct audit_at at, const struct validation *v, bool own);
/* What fraud has to say of the order, by its rules. Is it known already? */
void audit_fraud_due(struct audit *a, struct slice order_id, bool pass);
bool audit_fraud_is_due(struct audit *a, struct slice order_id);
void audit_order_by_product(struct audit *a, struct audit_at at, const struct order *o);
/* `row`, `c`: NULL: deleted. `time`: the record's. */
void audit_stock(struct audit *a, struct slice product_id, int64_t time, const struct stock *row);
void audit_reserved(struct audit *a, const struct reserved_stock *r);
void audit_customer(struct audit *a, struct slice id, int64_t time, const struct customer *c);
void audit_shipment(struct audit *a, struct audit_at at, const struct shipment *s);
void audit_email(struct audit *a, struct audit_at at, const struct email *m);

/* From here on validations are newer than `reserved-stock` as it was told: they prove no more than what
 * came before them. */
void audit_late(struct audit *a);

/* ---- judgement ---- */

/* What is not finished by now; names some of it. `names` may be NULL. */
struct audit_flight audit_in_flight(const struct audit *a, struct buf *names);

/* Checks invariants 1 to 4, once. `quiescent`: nobody writes any more, so nothing may be in flight. */
void audit_judge(struct audit *a, bool quiescent);

/* A violation that only the caller can see. */
void audit_violation(struct audit *a, int invariant, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Things that the caller judged. */
void audit_checked(struct audit *a, int invariant, uint64_t n);

/* ---- the views (7), after audit_judge ---- */

/* What HTTP says. `moving`: the topics have gone on since they were told, so that another answer than the
 * log's can be right: a newer one. */
void audit_view_order(struct audit *a, const struct order *o, bool moving);
/* All orders have been shown: is one missing? */
void audit_view_orders_end(struct audit *a);
void audit_view_product(struct audit *a, struct slice id, int64_t on_hand, int64_t reserved, bool moving);
void audit_view_products_end(struct audit *a, bool moving);
/* NULL: HTTP knows none. */
void audit_view_customer(struct audit *a, struct slice id, const struct customer *c, bool moving);

/* Of an order; NULL: HTTP knows none. */
void audit_view_shipment(struct audit *a, struct slice order_id, const struct shipment *s, bool moving);
void audit_view_email(struct audit *a, struct slice order_id, const struct email *m, bool moving);

/* ---- reports ---- */

const struct audit_result *audit_result(const struct audit *a, int invariant);
uint32_t audit_order_count(const struct audit *a);
const char *audit_order_id(const struct audit *a, uint32_t n);
uint32_t audit_customer_count(const struct audit *a);
const char *audit_customer_id(const struct audit *a, uint32_t n);

struct audit_counts {
    uint64_t requested, created, validated, failed;
    uint64_t validations, repeats; /* repeats: requests and validations that came again and changed nothing */
    uint64_t shipments, emails;
    uint64_t products, skipped; /* skipped: named by dead letters */
    uint64_t view_orders, view_products, view_customers, view_shipments, view_emails, newer;
};
struct audit_counts audit_counts(const struct audit *a);
