/* audit: reads the whole log and checks the suite's invariants on it.
 *
 *   audit [--wait[=SECONDS]] [--json]
 *
 * Takes the log up to its ends at the moment of the call; what is in flight then is counted and named. With
 * --wait it first waits until nothing is in flight and nobody writes (60 s unless said otherwise), and for a
 * registry that is just starting; what is still in flight after that is a violation.
 * Its memory does not grow with the log, but for customers and cards of the time for which the services
 * themselves remember them: for each order 200 bytes or so are in a file (TMPDIR, /var/tmp). Environment:
 * KAFKA_BROKERS, REGISTRY_URL, GATEWAY_URL (unset: the views are not checked), LEGACY_URL (unset: nor the
 * legacy tables). Exit codes: 0 all invariants hold; 1 a violation; 2 usage, or Kafka, registry or gateway
 * away. */
#include "audit_fold.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "legacy.h"
#include "log/partitions.h"
#include "ratings_fold.h"
#include "reader.h"
#include "recount.h"
#include "rides_fold.h"
#include "topology/topology.h"
#include "views.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct topic *const read_topics[] = {
    &topic_dead_letters,
    &topic_shipments,
    &topic_emails,
    &topic_orders,
    &topic_order_validations,
    &topic_reserved_stock,
    &topic_stock,
    &topic_customers,
    &topic_orders_by_product,
    &topic_orders_by_customer,
    &topic_order_cancellations,
    &topic_possible_fraud,
    &topic_authorizations,
    &topic_payments,
    &topic_order_requests,
    &topic_rated_movies,
    &topic_rating_totals,
    &topic_raw_ratings,
    &topic_movies,
    &topic_rides,
    NULL,
};
enum { TOPICS = sizeof read_topics / sizeof *read_topics - 1 };

struct program {
    struct audit *audit;
    struct ratings_fold *ratings;
    struct legacy_fold *legacy;
    const char *gateway_url, *legacy_url; /* NULL: not looked at */
    struct rides_fold *rides;
    struct recount *recount;
    struct reader *reader;
    struct arena arena; /* of one record */
    int64_t wait_ms;    /* -1: does not wait */
    int64_t deadline;   /* on the clock that never jumps: until when it may */
    bool json;
    bool quiescent, timed_out;
    struct audit_flight flight;
    uint64_t movies_in_flight, counts_in_flight, legacy_in_flight;
    int64_t *next[2];  /* by partition: the offset behind the last one of stock, and of customers */
    struct buf flying; /* names of some */
};

/* ---- reading ---- */

/* The rules by which readers reject a record of the right type. */
static bool is_rejected(const struct topic *t, struct slice key, const void *value) {
    if (t == &topic_movies)
        return !ratings_fold_accepts_movie(key, value);
    if (t == &topic_raw_ratings && value != NULL)
        return !ratings_fold_accepts(key, value);
    if (value == NULL)
        return false;
    if (t == &topic_order_requests) {
        const struct order_request *r = value;
        return !id_valid(r->id) || !id_valid(r->customer_id) || !id_valid(r->product_id) ||
               !slice_equal(key, r->id);
    }
    if (t == &topic_authorizations)
        return !slice_equal(key, ((const struct authorization *)value)->card_token);
    if (t == &topic_payments)
        return !slice_equal(key, ((const struct payment *)value)->order_id);
    if (t == &topic_order_cancellations)
        return !slice_equal(key, ((const struct order_cancellation *)value)->order_id);
    if (t == &topic_order_validations)
        return !slice_equal(key, ((const struct validation *)value)->order_id);
    return false;
}

static void tell(struct program *p, const struct log_record *r, const void *value, bool misplaced) {
    struct audit_at at = {r->partition, r->offset};
    bool own = reader_has_header(p->reader, r, "caused-by");
    if (r->topic == &topic_dead_letters)
        audit_dead_letter(p->audit, value);
    else if (r->topic == &topic_order_requests)
        audit_request(p->audit, at, value, misplaced);
    else if (r->topic == &topic_order_cancellations)
        audit_cancellation(p->audit, value);
    else if (r->topic == &topic_orders)
        audit_order(p->audit, at, r->timestamp, value);
    else if (r->topic == &topic_order_validations)
        audit_validation(p->audit, at, value, own);
    else if (r->topic == &topic_orders_by_customer)
        recount_order(p->recount, p->audit, at, r->timestamp, value);
    else if (r->topic == &topic_payments)
        recount_payment(p->recount, p->audit, at, value, own);
    else if (r->topic == &topic_authorizations)
        recount_authorization(p->recount, at, r->timestamp, value, own);
    else if (r->topic == &topic_possible_fraud)
        recount_possible_fraud(p->recount, p->audit, at, value);
    else if (r->topic == &topic_orders_by_product)
        audit_order_by_product(p->audit, at, value);
    else if (r->topic == &topic_reserved_stock)
        audit_reserved(p->audit, value);
    else if (r->topic == &topic_stock)
        audit_stock(p->audit, r->key, r->timestamp, value), legacy_fold_stock(p->legacy, r->key, value);
    else if (r->topic == &topic_customers)
        audit_customer(p->audit, r->key, r->timestamp, value);
    else if (r->topic == &topic_shipments)
        audit_shipment(p->audit, at, value);
    else if (r->topic == &topic_emails)
        audit_email(p->audit, at, value);
    else if (r->topic == &topic_raw_ratings)
        ratings_fold_rating(p->ratings, r->key, value);
    else if (r->topic == &topic_movies)
        ratings_fold_movie(p->ratings, r->key, value), legacy_fold_movie(p->legacy, r->key, value);
    else if (r->topic == &topic_rating_totals)
        ratings_fold_totals(p->ratings, r->key, value);
    else if (r->topic == &topic_rated_movies)
        ratings_fold_rated(p->ratings, r->key, value);
    else if (r->topic == &topic_rides)
        rides_fold_ride(p->rides, p->audit, at, r->timestamp, value);
}

static void pause_a_little(void) {
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/* What every reader checks. *value: decoded, NULL for a tombstone. False: the registry is away, and stays so.
 */
static bool decode(struct program *p, const struct log_record *r, void **value, bool *bad, struct err *err) {
    *value = NULL;
    *bad = r->key.data == NULL || r->key.size == 0 || (r->value.data == NULL && !r->topic->tombstones);
    if (*bad || r->value.data == NULL)
        return true;
    *value = arena_alloc(&p->arena, r->topic->value->size);
    for (;; pause_a_little()) {
        *bad = !schemas_decode(reader_schemas(p->reader), r->topic->value, r->value, &p->arena, *value, err);
        if (!*bad || err->kind == ERR_POISON)
            return true;
        if (clock_mono_us() > p->deadline)
            return false;
    }
}

/* Compaction leaves holes. (So would the ends of transactions, but nobody writes these two in one.) */
static void note_gap(struct program *p, const struct log_record *r) {
    int64_t **next = &p->next[r->topic == &topic_customers];
    if (r->topic != &topic_stock && r->topic != &topic_customers)
        return;
    if (*next == NULL)
        *next = xcalloc((size_t)reader_partitions(p->reader, r->topic), sizeof **next);
    if (r->offset != (*next)[r->partition])
        audit_gap(p->audit, r->topic);
    (*next)[r->partition] = r->offset + 1;
}

/* A good record has a dead letter. Of a validation or cancellation that depends on what its reader knew. */
static void tell_dead(struct program *p, const struct log_record *r, struct audit_at at, const void *value) {
    const struct validation *v = value;
    const struct order_cancellation *c = value;
    if (r->topic == &topic_order_validations && v != NULL)
        audit_dead_word(p->audit, r->topic, at, v->order_id, reader_has_header(p->reader, r, "caused-by"));
    else if (r->topic == &topic_order_cancellations &&
             c != NULL) /* that of a client, which `orders` has looked up */
        audit_dead_word(p->audit, r->topic, at, c->order_id, reader_has_header(p->reader, r, "traceparent"));
    else
        audit_good_dead(p->audit, r->topic, at);
}

static bool on_record(void *context, const struct log_record *r, struct err *err) {
    struct program *p = context;
    struct audit_at at = {r->partition, r->offset};
    bool dead = audit_is_dead(p->audit, r->topic, at);
    void *value;
    bool bad;
    note_gap(p, r);
    arena_reset(&p->arena);
    if (!decode(p, r, &value, &bad, err))
        return false;
    bool misplaced = !bad && partition_of(r->key, reader_partitions(p->reader, r->topic)) != r->partition;
    bool rejected = !bad && is_rejected(r->topic, r->key, value);
    if (dead) {
        if (!bad && !rejected && (!misplaced || r->topic == &topic_order_requests))
            tell_dead(p, r, at, value);
        return true;
    }
    if (misplaced && r->topic == &topic_order_requests && rejected)
        return true; /* its copy in the right partition is the one that is rejected */
    if (bad || rejected || (misplaced && r->topic != &topic_order_requests)) {
        if (r->topic->dead_letters != NULL)
            audit_bad(p->audit, r->topic, at);
        return true;
    }
    tell(p, r, value, misplaced);
    return true;
}

/* Effects are aimed at before their causes, so that whatever is read has its cause among what is read. Only
 * reserved-stock is the other way round: it must have all that goes with the validations. */
static bool look(struct program *p, struct err *err) {
    if (!reader_aim(p->reader, &topic_dead_letters, false, err) || !reader_read(p->reader, on_record, p, err))
        return false;
    for (size_t i = 1; i < TOPICS; i++)
        if (!reader_aim(p->reader, read_topics[i], read_topics[i] == &topic_reserved_stock, err))
            return false;
    return reader_read(p->reader, on_record, p, err);
}

/* What inventory had decided by the time of the last record of reserved-stock that we have read. */
static bool look_late(struct program *p, struct err *err) {
    audit_late(p->audit);
    return reader_aim(p->reader, &topic_order_validations, true, err) &&
           reader_read(p->reader, on_record, p, err);
}

/* Rides need not come to rest: the city never sleeps. */
static int64_t written(const struct program *p) {
    int64_t sum = 0;
    for (size_t i = 0; i < TOPICS; i++)
        sum += read_topics[i] == &topic_rides ? 0 : reader_aim_sum(p->reader, read_topics[i]);
    return sum;
}

/* Quiescent needs two looks that see the same, however long one takes. */
static bool read_log(struct program *p, struct err *err) {
    p->deadline = clock_mono_us() + p->wait_ms * 1000;
    for (int64_t before = -1;; pause_a_little()) {
        if (!look(p, err))
            return false;
        buf_clear(&p->flying);
        p->flight = audit_in_flight(p->audit, &p->flying);
        p->movies_in_flight = ratings_fold_in_flight(p->ratings, &p->flying);
        p->counts_in_flight = recount_in_flight(p->recount);
        if (p->legacy_url != NULL && !legacy_read(p->legacy_url, p->legacy, err))
            return false;
        p->legacy_in_flight = p->legacy_url == NULL ? 0 : legacy_fold_in_flight(p->legacy, &p->flying);
        p->flight.total += p->movies_in_flight + p->counts_in_flight + p->legacy_in_flight;
        p->quiescent = p->wait_ms >= 0 && p->flight.total == 0 && written(p) == before;
        p->timed_out = before >= 0 && !p->quiescent && clock_mono_us() > p->deadline;
        if (p->wait_ms < 0 || p->quiescent || p->timed_out)
            break;
        before = written(p);
    }
    rides_fold_suspect(p->rides);
    return (p->quiescent || look_late(p, err)) && reader_aim(p->reader, &topic_rides, false, err) &&
           reader_read(p->reader, on_record, p, err);
}

/* ---- reporting ---- */

static const struct {
    int number;
    const char *holds;
} invariants[] = {
    {AUDIT_ORDERS, "requested ids have one CREATED and at most one outcome each; bad records have one dead "
                   "letter, good ones none"},
    {AUDIT_OUTCOMES,
     "outcomes follow from their checks, each counted once and by its rule, or from a cancellation"},
    {AUDIT_STOCK, "decisions of inventory agree with the fold, and so does reserved-stock"},
    {AUDIT_SHIPMENTS, "shipments, emails, payments and their counts: one shipment for each VALIDATED order, "
                      "to its customer; at "
                      "most one email for any; each payment once"},
    {AUDIT_RATINGS, "movies have the count and sum of their ratings"},
    {AUDIT_RIDES, "rides follow their state machine, and nobody has two at once"},
    {AUDIT_VIEWS, "answers over HTTP equal the fold of their topics"},
    {AUDIT_LEGACY, "rows of the legacy tables are what their topics have"},
};
enum { INVARIANTS = sizeof invariants / sizeof *invariants };

static uint64_t violations(const struct program *p) {
    uint64_t n = 0;
    for (int i = 0; i < INVARIANTS; i++)
        n += audit_result(p->audit, invariants[i].number)->violations;
    return n;
}

static void print_flight(const struct program *p) {
    const struct audit_flight *f = &p->flight;
    if (f->total > 0)
        printf("in flight: %" PRIu64 " requests, %" PRIu64 " orders, %" PRIu64
               " checks of decided orders, %" PRIu64 " shipments, %" PRIu64 " products, %" PRIu64
               " movies, %" PRIu64 " authorizations or counts of them, %" PRIu64 " legacy rows, %" PRIu64
               " bad records: " SLICE_FMT "%s\n",
               f->requests, f->orders, f->checks, f->shipments, f->products, p->movies_in_flight,
               p->counts_in_flight, p->legacy_in_flight, f->records, SLICE_ARG(buf_slice(&p->flying)),
               f->total > AUDIT_EXAMPLES ? ", …" : "");
}

/* The setting without which an invariant cannot be checked; NULL: it was checked. */
static const char *missing(const struct program *p, int invariant) {
    return invariant == AUDIT_VIEWS && p->gateway_url == NULL   ? "GATEWAY_URL"
           : invariant == AUDIT_LEGACY && p->legacy_url == NULL ? "LEGACY_URL"
                                                                : NULL;
}

/* What could not be looked at says so. */
static void print_gaps(const struct program *p) {
    static const struct {
        const struct topic *topic;
        const char *what;
    } rows[] = {{&topic_stock, "onHand of decisions, and products that never were"},
                {&topic_customers, "addresses of shipments, and customers who never were"}};
    for (size_t i = 0; i < 2; i++)
        if (audit_has_gap(p->audit, rows[i].topic))
            printf("not checked: %s: %s has lost some versions (compaction)\n", rows[i].what,
                   rows[i].topic->name);
}

static void print(const struct program *p) {
    struct audit_counts c = audit_counts(p->audit);
    for (int i = 0; i < INVARIANTS; i++) {
        const struct audit_result *r = audit_result(p->audit, invariants[i].number);
        if (missing(p, invariants[i].number) != NULL) {
            printf("%d  not checked: %s is not set\n", invariants[i].number,
                   missing(p, invariants[i].number));
            continue;
        }
        printf("%d  %" PRIu64 " %s: ", invariants[i].number, r->checked, invariants[i].holds);
        if (r->violations == 0)
            printf("ok\n");
        else
            printf("VIOLATION, %" PRIu64 " times\n", r->violations);
        for (uint64_t k = 0; k < r->violations && k < AUDIT_EXAMPLES; k++)
            printf("     %s\n", r->examples[k]);
    }
    print_gaps(p);
    print_flight(p);
    printf("log: %" PRIu64 " orders CREATED, %" PRIu64 " VALIDATED, %" PRIu64 " FAILED; %" PRIu64
           " validations; %" PRIu64 " shipments; %" PRIu64 " emails; %" PRIu64 " products; %" PRIu64
           " ratings; %" PRIu64 " repeats changed nothing; %" PRIu64 " dead letters skipped\n",
           c.created, c.validated, c.failed, c.validations, c.shipments, c.emails, c.products,
           ratings_fold_ratings(p->ratings), c.repeats, c.skipped);
    if (p->gateway_url != NULL)
        printf("views: %" PRIu64 " orders, %" PRIu64 " products, %" PRIu64 " customers, %" PRIu64
               " shipments, %" PRIu64 " emails; %" PRIu64 " newer than the log was read\n",
               c.view_orders, c.view_products, c.view_customers, c.view_shipments, c.view_emails, c.newer);
}

static void print_json(const struct program *p) {
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    struct audit_counts c = audit_counts(p->audit);
    json_begin_object(&j);
    json_key(&j, "ok"), json_put_bool(&j, violations(p) == 0);
    json_key(&j, "quiescent"), json_put_bool(&j, p->quiescent);
    json_key(&j, "inFlight"), json_put_int(&j, (int64_t)p->flight.total);
    json_key(&j, "created"), json_put_int(&j, (int64_t)c.created);
    json_key(&j, "validated"), json_put_int(&j, (int64_t)c.validated);
    json_key(&j, "failed"), json_put_int(&j, (int64_t)c.failed);
    json_key(&j, "ratings"), json_put_int(&j, (int64_t)ratings_fold_ratings(p->ratings));
    json_key(&j, "deadLetters"), json_put_int(&j, (int64_t)c.skipped);
    json_key(&j, "invariants"), json_begin_array(&j);
    for (int i = 0; i < INVARIANTS; i++) {
        const struct audit_result *r = audit_result(p->audit, invariants[i].number);
        if (missing(p, invariants[i].number) != NULL)
            continue;
        json_begin_object(&j);
        json_key(&j, "invariant"), json_put_int(&j, invariants[i].number);
        json_key(&j, "checked"), json_put_int(&j, (int64_t)r->checked);
        json_key(&j, "violations"), json_put_int(&j, (int64_t)r->violations);
        json_key(&j, "examples"), json_begin_array(&j);
        for (uint64_t k = 0; k < r->violations && k < AUDIT_EXAMPLES; k++)
            json_put_string(&j, slice_of(r->examples[k]));
        json_end_array(&j);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

/* ---- the program ---- */

static const char *setting(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL || *value == 0 ? fallback : value;
}

static bool run(struct program *p, struct err *err) {
    p->gateway_url = setting("GATEWAY_URL", NULL);
    p->legacy_url = setting("LEGACY_URL", NULL);
    const struct where *suite = where_suite_is(err);
    if (suite == NULL || !reader_create(suite, read_topics, topics_count, &p->reader, err) ||
        !read_log(p, err))
        return false;
    audit_judge(p->audit, p->quiescent);
    recount_judge(p->recount, p->audit, p->quiescent);
    ratings_fold_judge(p->ratings, p->audit, p->quiescent);
    if (p->legacy_url != NULL)
        legacy_fold_judge(p->legacy, p->audit, p->quiescent || p->timed_out);
    rides_fold_judge(p->rides, p->audit);
    if (p->timed_out)
        audit_violation(p->audit, AUDIT_ORDERS, "not quiescent after %lld s: %" PRIu64 " in flight",
                        (long long)p->wait_ms / 1000, p->flight.total);
    if (p->gateway_url != NULL &&
        !views_check(p->audit, p->ratings, p->rides, p->reader, p->gateway_url, !p->quiescent, err))
        return false;
    (p->json ? print_json : print)(p);
    return true;
}

static bool parse(struct program *p, int argc, char **argv) {
    p->wait_ms = -1;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--json") == 0)
            p->json = true;
        else if (strcmp(argv[i], "--wait") == 0)
            p->wait_ms = 60 * 1000;
        else if (strncmp(argv[i], "--wait=", 7) == 0 && argv[i][7] >= '0' && argv[i][7] <= '9' &&
                 (p->wait_ms = strtol(argv[i] + 7, &end, 10) * 1000, *end == 0) && p->wait_ms <= 86400 * 1000)
            continue;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv) {
    struct program p = {0};
    struct err err = {0};
    if (!parse(&p, argc, argv)) {
        fprintf(stderr, "usage: audit [--wait[=SECONDS]] [--json]\n");
        return 2;
    }
    p.audit = audit_create();
    p.ratings = ratings_fold_create();
    p.legacy = legacy_fold_create();
    p.rides = rides_fold_create();
    p.recount = recount_create();
    bool ok = run(&p, &err);
    int code = !ok ? 2 : violations(&p) > 0 ? 1 : 0;
    if (!ok)
        fprintf(stderr, "audit: %s\n", err.text);
    reader_destroy(p.reader);
    audit_destroy(p.audit);
    ratings_fold_destroy(p.ratings);
    legacy_fold_destroy(p.legacy);
    rides_fold_destroy(p.rides);
    recount_destroy(p.recount);
    free(p.next[0]);
    free(p.next[1]);
    arena_free(&p.arena);
    buf_free(&p.flying);
    return code;
}
