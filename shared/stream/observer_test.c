/* What an observer hears of inputs, and what their traces make of the headers of all that follows. */
#include "log/observer.h"
#include "stream/stream.h"
#include "transaction/join.h"

#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" TRACE "-b7ad6b7169203331-01"
#define OTHER "00-11111111111111111111111111111111-2222222222222222-01"

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct stream *stream;
    const struct topology *topology;
    struct observer observer;
    bool observed, samples;
    int begun, committed, aborted;
    size_t handled;  /* since the last end */
    struct buf told; /* "topic/offset[!error][<link] ", "-" behind from which nothing follows, of each input
                        that was handled */
    char span[64];   /* of the last */
};

static bool on_samples(void *context, struct slice traceparent, const char *trace_id) {
    const struct fixture *f = context;
    assert_true(traceparent.data == NULL || memcmp(traceparent.data + 3, trace_id, 32) == 0);
    return f->samples;
}

static void on_begins(void *context) {
    ((struct fixture *)context)->begun++;
}

static void on_handled(void *context, const struct handled *h) {
    struct fixture *f = context;
    f->handled++;
    buf_printf(&f->told, "%s/%lld", h->record->topic->name, (long long)h->record->offset);
    if (h->error != NULL)
        buf_printf(&f->told, "!%s", h->error);
    for (size_t i = 0; i < h->link_count; i++)
        buf_printf(&f->told, "<" SLICE_FMT, SLICE_ARG(h->links[i]));
    buf_printf(&f->told, h->followed ? " " : "- ");
    snprintf(f->span, sizeof f->span, SLICE_FMT, SLICE_ARG(h->span));
}

static void on_ended(void *context, bool committed) {
    struct fixture *f = context;
    f->committed += committed && f->handled > 0;
    f->aborted += !committed && f->handled > 0;
    f->handled = 0;
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(1);
    f->topology = &bank_topology;
    f->observer = (struct observer){f, on_samples, on_begins, on_handled, on_ended};
    f->observed = f->samples = true;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    stream_destroy(f->stream);
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    buf_free(&f->told);
    free(f);
    return 0;
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0)
        if (!stream_step(f->stream, 100, &e))
            fail_msg("%s", e.text);
}

static void start(struct fixture *f) {
    f->stream = stream_create(&(struct stream_options){.topology = f->topology,
                                                       .schemas = f->bank->schemas,
                                                       .store = f->bank->store,
                                                       .log = &f->log->log,
                                                       .observer = f->observed ? &f->observer : NULL});
    memory_log_assign(f->log, 1);
    rounds(f, 6);
}

static void write_(struct fixture *f, const struct topic *t, const char *note, int64_t amount,
                   const char *traceparent) {
    const struct log_header headers[] = {{"traceparent", slice_of(traceparent)},
                                         {"tracestate", SLICE("a=1")}};
    memory_log_append_with(f->log, t, 0, SLICE("ada"), bank_deposit(f->bank, amount, note), headers,
                           traceparent == NULL ? 0 : 2);
}

static void deposit(struct fixture *f, int64_t amount, const char *traceparent) {
    write_(f, &topic_deposits, "", amount, traceparent);
}

/* Of the last committed record of a topic; data NULL: it has no such header. */
static struct slice header(struct fixture *f, const struct topic *t, const char *name) {
    const struct memory_partition *p = &f->log->parts[t->number][0];
    for (size_t i = p->count; i-- > 0;)
        if (p->entries[i].state == ENTRY_COMMITTED) {
            for (size_t k = 0; k < p->entries[i].header_count; k++)
                if (strcmp(p->entries[i].headers[k].name, name) == 0)
                    return p->entries[i].headers[k].value;
            return SLICE_NONE;
        }
    fail_msg("%s has no record", t->name);
    return SLICE_NONE;
}

static void assert_told(struct fixture *f, const char *expected) {
    assert_slice(buf_slice(&f->told), expected);
}

/* ---- */

static void an_input_is_told_of_and_its_trace_goes_on(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, 5, PARENT);
    rounds(f, 2);
    assert_told(f, "deposits/0 ");
    assert_int_equal(f->begun, 1);
    assert_int_equal(f->committed, 1);
    assert_int_equal(f->aborted, 0);
    assert_memory_equal(f->span, "00-" TRACE "-", 36);
    assert_memory_not_equal(f->span + 36, &PARENT[36], 16);
    assert_slice(header(f, &topic_receipts, "traceparent"),
                 f->span); /* whoever reads it has it for a parent */
    assert_slice(header(f, &topic_balances, "traceparent"), f->span);
    assert_slice(header(f, &topic_receipts, "tracestate"), "a=1");
    assert_slice(header(f, &topic_balances, "tracestate"), "a=1");
    assert_slice(header(f, &topic_receipts, "caused-by"), "deposits/0/0");
}

static void from_some_inputs_nothing_follows(void **state) {
    struct fixture *f = *state;
    start(f);
    write_(f, &topic_deposits, "nothing", 5, PARENT);
    for (int i = 0; f->committed == 0 && i < 100; i++)
        rounds(f, 1);
    assert_told(f, "deposits/0- ");
    write_(f, &topic_deposits, "state only", 5, PARENT);
    rounds(f, 2);
    assert_told(f, "deposits/0- deposits/1 ");
}

static void a_trace_can_begin_here(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, 5, NULL);
    rounds(f, 2);
    assert_told(f, "deposits/0 ");
    assert_slice(header(f, &topic_receipts, "traceparent"), f->span);
    assert_null(header(f, &topic_receipts, "tracestate").data);
}

static void what_is_not_sampled_stays_so(void **state) {
    struct fixture *f = *state;
    f->samples = false;
    start(f);
    deposit(f, 5, PARENT);
    rounds(f, 2);
    assert_told(f, "");
    struct slice t = header(f, &topic_receipts, "traceparent");
    assert_memory_equal(t.data, "00-" TRACE "-", 36);
    assert_memory_equal(t.data + 52, "-00", 3);
}

static void without_an_observer_the_flag_goes_on(void **state) {
    static const char *const cases[][2] = {
        {PARENT, "-01"}, {"00-" TRACE "-b7ad6b7169203331-00", "-00"}, {NULL, "-01"}};
    struct fixture *f = *state;
    f->observed = false;
    start(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        deposit(f, 5, cases[i][0]);
        rounds(f, 2);
        assert_memory_equal(header(f, &topic_receipts, "traceparent").data + 52, cases[i][1], 3);
        assert_memory_equal(header(f, &topic_balances, "traceparent").data + 52, cases[i][1], 3);
        assert_null(header(f, &topic_receipts, "tracestate").data);
    }
}

/* It comes again with the span that it had: an abort has never been. */
static void an_abort_is_told(void **state) {
    struct fixture *f = *state;
    char first[sizeof f->span];
    start(f);
    f->log->faults[CALL_COMMIT].kind = ERR_ABORT;
    f->log->faults[CALL_COMMIT].times = 1;
    deposit(f, 5, PARENT);
    rounds(f, 1);
    assert_int_equal(f->aborted, 1);
    assert_int_equal(f->committed, 0);
    memcpy(first, f->span, sizeof first);
    memory_log_assign(f->log, 1);
    for (int i = 0; f->committed == 0 && i < 20; i++)
        rounds(f, 1);
    assert_told(f, "deposits/0 deposits/0 ");
    assert_int_equal(f->committed, 1);
    assert_string_equal(f->span, first);
}

static void a_bad_record_is_told_with_the_reason(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, -5, PARENT);
    rounds(f, 2);
    assert_non_null(memmem(f->told.data, f->told.size, "deposits/0!", 11));
    assert_int_equal(f->committed, 1);
    assert_slice(header(f, &topic_letters, "traceparent"), f->span);
}

/* ---- joins ---- */

static void pair(struct txn *txn, const struct event *left, const struct event *right) {
    (void)right;
    txn_emit(txn, &topic_receipts, left->key, &(struct receipt){SLICE("pair"), 0});
}

static const struct view lefts = {.name = "lefts", .changelog = &topic_kept_deposits, .retention_ms = 1000};
static const struct view rights = {
    .name = "rights", .changelog = &topic_kept_transfers, .retention_ms = 1000};
static const struct join join = {&lefts, &rights, 1000, pair};

static void on_left(struct txn *txn, const struct event *in) {
    join_left(txn, &join, in, SLICE_NONE);
}

static void on_right(struct txn *txn, const struct event *in) {
    join_right(txn, &join, in, SLICE_NONE);
}

static const struct topology joining = {
    .name = "joining",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_left},
                                       {.topic = &topic_transfers, .handle = on_right},
                                       {0}},
    .views = (const struct view *const[]){&lefts, &rights, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
};

static void who_is_joined_has_a_link_to_the_other(void **state) {
    struct fixture *f = *state;
    char expected[300];
    f->topology = &joining;
    start(f);
    deposit(f, 1, PARENT);
    rounds(f, 2);
    snprintf(expected, sizeof expected, "deposits/0 transfers/0<%s ", f->span);
    write_(f, &topic_transfers, "", 2, OTHER);
    rounds(f, 2);
    assert_told(f, expected);
    assert_memory_equal(f->span, "00-11111111111111111111111111111111-", 36);
    assert_slice(header(f, &topic_receipts, "traceparent"), f->span);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_input_is_told_of_and_its_trace_goes_on),
        TEST(from_some_inputs_nothing_follows),
        TEST(a_trace_can_begin_here),
        TEST(what_is_not_sampled_stays_so),
        TEST(without_an_observer_the_flag_goes_on),
        TEST(an_abort_is_told),
        TEST(a_bad_record_is_told_with_the_reason),
        TEST(who_is_joined_has_a_link_to_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
