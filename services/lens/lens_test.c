/* What each offset is, by batches as a broker sends them; the order of a story; what may be asked. */
#include "causes.h"
#include "history.h"
#include "query.h"
#include "tape.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- batches ---- */

static void varint(struct buf *b, int64_t n) {
    uint64_t u = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
    for (; u >= 0x80; u >>= 7)
        buf_append_byte(b, (uint8_t)(u | 0x80));
    buf_append_byte(b, (uint8_t)u);
}

struct written { /* offsets of the records of a batch, which spans [first, last] */
    int64_t first, last;
    int64_t offsets[8];
    int count;
    int64_t producer; /* -1: no transaction */
    enum { DATA, COMMIT, ABORT } what;
};

static void put_record(struct buf *b, int64_t delta, struct slice key, struct slice value) {
    struct buf body = {0};
    buf_append_be(&body, 0, 1);
    varint(&body, 0);
    varint(&body, delta);
    varint(&body, (int64_t)key.size);
    buf_append_slice(&body, key);
    varint(&body, (int64_t)value.size);
    buf_append_slice(&body, value);
    varint(&body, 1);
    varint(&body, 1), buf_append_slice(&body, SLICE("h"));
    varint(&body, 2), buf_append_slice(&body, SLICE("hi"));
    varint(b, (int64_t)body.size);
    buf_append_slice(b, buf_slice(&body));
    buf_free(&body);
}

static void put_batch(struct buf *b, const struct written *w) {
    struct buf records = {0};
    bool control = w->what != DATA;
    if (control)
        put_record(&records, 0, w->what == COMMIT ? SLICE("\0\0\0\1") : SLICE("\0\0\0\0"),
                   SLICE("\0\0\0\0\0\0"));
    for (int i = 0; i < w->count; i++)
        put_record(&records, w->offsets[i] - w->first, SLICE("k"), SLICE("v"));
    buf_append_be(b, w->first, 8);
    buf_append_be(b, (int64_t)records.size + 49, 4);
    buf_append_be(b, 0, 4); /* epoch of the leader */
    buf_append_be(b, 2, 1);
    buf_append_be(b, 0, 4); /* CRC */
    buf_append_be(b, (control ? 32 : 0) | (w->producer >= 0 ? 16 : 0), 2);
    buf_append_be(b, w->last - w->first, 4);
    buf_append_be(b, 1000, 8), buf_append_be(b, 1000, 8);
    buf_append_be(b, w->producer, 8), buf_append_be(b, 3, 2), buf_append_be(b, 0, 4);
    buf_append_be(b, control ? 1 : w->count, 4);
    buf_append_slice(b, buf_slice(&records));
    buf_free(&records);
}

/* ---- the tape ---- */

static bool note(void *context, const struct tape_entry *entry) {
    struct buf *out = context;
    static const char letters[] = "RMAUC";
    buf_printf(out, "%s%lld%c", out->size > 0 ? " " : "", (long long)entry->offset,
               entry->kind == TAPE_MARKER && !entry->commits ? 'X' : letters[entry->kind]);
    return true;
}

static bool unpack_none(void *context, const struct batch *b, struct batch_record **records, size_t *count,
                        struct err *e) {
    (void)context, (void)b, (void)records, (void)count;
    return err_set(e, ERR_FATAL, "nothing is compressed here");
}

struct answer {
    struct written batches[8];
    int64_t from, to, stable, end;
    int64_t aborted[4][2]; /* producer, first offset */
    int aborted_count;
    enum { OF_COMMITTED, OF_UNCOMMITTED, CROWDED } how;
    const char *expected;
    int64_t next;
};

static void check_answer(const struct answer *a) {
    struct buf bytes = {0}, aborted = {0}, out = {0};
    for (const struct written *w = a->batches; w->count > 0 || w->what != DATA || w->last > w->first; w++)
        put_batch(&bytes, w);
    for (int i = 0; i < a->aborted_count; i++)
        buf_append_be(&aborted, a->aborted[i][0], 8), buf_append_be(&aborted, a->aborted[i][1], 8);
    struct fetch_part part = {.end = a->end,
                              .stable = a->stable,
                              .aborted = buf_slice(&aborted),
                              .aborted_count = (size_t)a->aborted_count,
                              .batches = buf_slice(&bytes)};
    struct tape t = {.next = a->from,
                     .to = a->to < a->end ? a->to : a->end,
                     .visit = note,
                     .unpack = unpack_none,
                     .context = &out,
                     .crowded = a->how == CROWDED};
    struct err e;
    assert_true(tape_take(&t, &part, a->how != OF_UNCOMMITTED, &e));
    buf_append_byte(&out, 0);
    assert_string_equal(out.data, a->expected);
    assert_int_equal(t.next, a->next);
    buf_free(&bytes);
    buf_free(&aborted);
    buf_free(&out);
}

static void no_offset_is_left_out(void **state) {
    (void)state;
    const struct answer answers[] = {
        /* two transactions and their markers, the last one at the end */
        {{{0, 1, {0, 1}, 2, 7, DATA},
          {2, 2, {0}, 0, 7, COMMIT},
          {3, 3, {3}, 1, 7, DATA},
          {4, 4, {0}, 0, 7, COMMIT}},
         0,
         100,
         5,
         5,
         {{0}},
         0,
         OF_COMMITTED,
         "0R 1R 2M 3R 4M",
         5},
        /* one is aborted, between those of another producer, of which one goes on behind */
        {{{0, 0, {0}, 1, 7, DATA},
          {1, 1, {1}, 1, 8, DATA},
          {2, 2, {0}, 0, 7, ABORT},
          {3, 3, {3}, 1, 7, DATA},
          {4, 4, {0}, 0, 8, COMMIT},
          {5, 5, {0}, 0, 7, COMMIT}},
         0,
         100,
         6,
         6,
         {{7, 0}},
         1,
         OF_COMMITTED,
         "0A 1R 2X 3R 4M 5M",
         6},
        /* an aborted one that began before this answer does */
        {{{10, 10, {10}, 1, 7, DATA},
          {11, 11, {0}, 0, 7, ABORT},
          {12, 12, {12}, 1, 7, DATA},
          {13, 13, {0}, 0, 7, COMMIT}},
         10,
         100,
         14,
         14,
         {{7, 2}},
         1,
         OF_COMMITTED,
         "10A 11X 12R 13M",
         14},
        /* the same producer aborts twice */
        {{{0, 0, {0}, 1, 7, DATA},
          {1, 1, {0}, 0, 7, ABORT},
          {2, 2, {2}, 1, 7, DATA},
          {3, 3, {0}, 0, 7, ABORT},
          {4, 4, {4}, 1, -1, DATA}},
         0,
         100,
         5,
         5,
         {{7, 0}, {7, 2}},
         2,
         OF_COMMITTED,
         "0A 1X 2A 3X 4R",
         5},
        /* compaction: within a batch, between batches, a batch of which nothing is left, a marker that is
           gone */
        {{{2, 5, {3, 5}, 2, 7, DATA}, {8, 9, {0}, 0, 7, DATA}, {11, 11, {11}, 1, -1, DATA}},
         0,
         100,
         12,
         12,
         {{0}},
         0,
         OF_COMMITTED,
         "0C 1C 2C 3R 4C 5R 6C 7C 8C 9C 10C 11R",
         12},
        /* compacted up to the end */
        {{{0}}, 5, 100, 8, 8, {{0}}, 0, OF_COMMITTED, "5C 6C 7C", 8},
        /* nothing came of it, but others took the room: that says nothing */
        {.from = 5, .to = 100, .stable = 8, .end = 8, .how = CROWDED, .expected = "", .next = 5},
        /* from the middle of a batch, and not beyond what is asked for */
        {{{0, 3, {0, 1, 2, 3}, 4, 7, DATA}, {4, 4, {0}, 0, 7, COMMIT}},
         1,
         3,
         5,
         5,
         {{0}},
         0,
         OF_COMMITTED,
         "1R 2R",
         3},
        /* the committed answer ends at the last stable offset; the rest comes uncommitted */
        {{{0, 0, {0}, 1, -1, DATA}}, 0, 100, 1, 4, {{0}}, 0, OF_COMMITTED, "0R", 1},
        {{{1, 2, {1, 2}, 2, 7, DATA}, {3, 3, {0}, 0, 9, COMMIT}},
         1,
         100,
         1,
         4,
         {{0}},
         0,
         OF_UNCOMMITTED,
         "1U 2U 3M",
         4},
        /* what became stable meanwhile is asked for again: this answer does not say what was aborted */
        {{{1, 2, {1, 2}, 2, 7, DATA}, {3, 3, {0}, 0, 7, ABORT}},
         1,
         100,
         4,
         4,
         {{0}},
         0,
         OF_UNCOMMITTED,
         "",
         1},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        check_answer(&answers[i]);
}

static void what_is_no_batch_ends_the_reading(void **state) {
    (void)state;
    struct buf bytes = {0};
    struct batch b;
    struct batch_record r;
    put_batch(&bytes, &(struct written){0, 0, {0}, 1, -1, DATA});
    for (size_t cut = 0; cut < bytes.size; cut++) { /* a broker cuts the last one off anywhere */
        struct slice part = {bytes.data, cut};
        assert_false(batch_next(&part, &b));
    }
    for (size_t at = 0; at < bytes.size; at++) /* nor does any byte lead out of what is there */
        for (int value = 0; value < 256; value += 17) {
            char *copy = malloc(bytes.size); /* exact, so that a sanitizer sees */
            memcpy(copy, bytes.data, bytes.size);
            copy[at] = (char)value;
            struct slice whole = {copy, bytes.size};
            struct batch_header h;
            while (batch_next(&whole, &b))
                for (struct slice rest = b.records; batch_record_next(&b, &rest, &r);)
                    while (batch_header_next(&r.headers, &h))
                        assert_true(h.name.size + h.value.size <= bytes.size);
            free(copy);
        }
    buf_free(&bytes);
}

/* ---- the order of a story ---- */

static void causes_come_first(void **state) {
    (void)state;
    /* timestamps of derived records are their inputs'; those of others say little */
    const struct caused records[] = {
        {SLICE("orders"), 0, 9, 100, SLICE("order-validations/1/5")},
        {SLICE("order-validations"), 1, 5, 100, SLICE("orders-by-product/2/3,stock/0/0")},
        {SLICE("orders-by-product"), 2, 3, 100, SLICE("order-requests/0/7")},
        {SLICE("orders"), 0, 8, 100, SLICE("order-requests/0/7")},
        {SLICE("order-requests"), 0, 7, 100, {0}},
        {SLICE("payments"), 0, 1, 50, {0}},
    };
    const char *expected[] = {"payments",          "order-requests",    "orders",
                              "orders-by-product", "order-validations", "orders"};
    size_t order[6];
    causal_order(records, 6, order);
    for (size_t i = 0; i < 6; i++)
        assert_true(slice_equal(records[order[i]].topic, slice_of(expected[i])));
    assert_int_equal(records[order[2]].offset, 8);
}

static void a_circle_of_causes_has_an_order_too(void **state) {
    (void)state;
    const struct caused records[] = {{SLICE("a"), 0, 1, 2, SLICE("b/0/1")},
                                     {SLICE("b"), 0, 1, 1, SLICE("a/0/1")},
                                     {SLICE("c"), 0, 1, 0, SLICE("c/0/1,nonsense,,//,a/b/c,x/1/2")}};
    size_t order[3], seen[3] = {0};
    causal_order(records, 3, order);
    for (size_t i = 0; i < 3; i++)
        seen[order[i]]++;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(order[0], 2);
}

/* ---- what may be asked ---- */

static void places_are_offsets_ends_and_times(void **state) {
    (void)state;
    const struct {
        const char *text;
        int kind; /* -1: none */
        int64_t n;
    } cases[] = {{"0", PLACE_OFFSET, 0},
                 {"12345678901", PLACE_OFFSET, 12345678901},
                 {"first", PLACE_FIRST, 0},
                 {"last", PLACE_LAST, 0},
                 {"-20", PLACE_BACK, 20},
                 {"1700000000000", PLACE_TIME, 1700000000000},
                 {"@5", PLACE_TIME, 5},
                 {"2023-11-14T22:13:20Z", PLACE_TIME, 1700000000000},
                 {"2023-11-14T22:13:20.25Z", PLACE_TIME, 1700000000250},
                 {"2023-11-14T23:13:20+01:00", PLACE_TIME, 1700000000000},
                 {"2023-11-14T23:13:20 01:00", PLACE_TIME, 1700000000000},
                 {"2023-11-14T17:13:20-0500", PLACE_TIME, 1700000000000},
                 {"2023-11-14T22:13", PLACE_TIME, 1699999980000},
                 {"2023-11-14 22:13", PLACE_TIME, 1699999980000},
                 {"2024-02-29", PLACE_TIME, 1709164800000},
                 {"2023-02-29", -1, 0},
                 {"2023-13-01", -1, 0},
                 {"-", -1, 0},
                 {"-0", -1, 0},
                 {"-1.5", -1, 0},
                 {"", -1, 0},
                 {"1e3", -1, 0},
                 {"99999999999999999999", -1, 0},
                 {"FIRST", -1, 0},
                 {"2023-11-14T22:13:20Zz", -1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct place p = {.kind = PLACE_OFFSET};
        bool ok = place_parse(slice_of(cases[i].text), &p);
        if (ok != (cases[i].kind >= 0) || (ok && ((int)p.kind != cases[i].kind || p.n != cases[i].n)))
            fail_msg("%s: %d, kind %d, %lld", cases[i].text, ok, (int)p.kind, (long long)p.n);
    }
}

static void terms_choose_records(void **state) {
    (void)state;
    const char *order =
        "{\"id\":\"o-1\",\"state\":\"FAILED\",\"quantity\":10,\"priceCents\":\"9007199254740993\","
        "\"average\":7.5,\"reasons\":[\"no stock\",\"FRAUD\"],\"at\":{\"lat\":1.25},\"driver\":null}";
    const struct {
        const char *terms;
        int matches; /* -1: it is refused */
    } cases[] = {{"state = FAILED", 1},
                 {"state=VALIDATED", 0},
                 {"state != VALIDATED and quantity > 9", 1},
                 {"quantity > 9 and quantity < 10", 0},
                 {"quantity >= 10.0", 1},
                 {"average <= 7.5", 1},
                 {"priceCents = 9007199254740993", 1},
                 {"priceCents = 9007199254740992", 0},
                 {"priceCents > 9007199254740992", 1},
                 {"reasons = FRAUD", 1},
                 {"reasons contains stock", 1},
                 {"at.lat = 1.25", 1},
                 {"lat = 1.25", 0},
                 {"driver = null", 1},
                 {"nothing = 1", 0},
                 {"no stock", 1},
                 {"contains RAU", 1},
                 {"\"no stock\"", 1},
                 {"reasons = \"no stock\" and id contains o-", 1},
                 {"state = \"FAILED and id = x\"", 0},
                 {"= 10", 1},
                 {"= 11", 0},
                 {"state =", -1},
                 {"a b = 1", -1},
                 {"state = \"FAILED", -1},
                 {"x and ", -1}};
    json_t *value = json_loads(order, 0, NULL);
    assert_non_null(value);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct terms terms;
        struct err e;
        bool ok = terms_parse(slice_of(cases[i].terms), &terms, &e);
        if (ok != (cases[i].matches >= 0) ||
            (ok && terms_match_value(&terms, value) != (cases[i].matches == 1)))
            fail_msg("%s: parsed %d", cases[i].terms, ok);
    }
    json_decref(value);
}

/* ---- what a view was at a moment ---- */

static void write_version(struct history *h, const char *topic, int32_t partition, int64_t offset,
                          struct slice key, const char *value) {
    struct tape_entry entry = {.kind = TAPE_RECORD, .offset = offset};
    struct err e;
    entry.record.key = key;
    entry.record.value = slice_of(value);
    history_take(h, topic, partition, &entry);
    if (!history_settle(h, topic, partition, offset + 1, &e))
        fail_msg("%s", e.text);
}

static bool note_row(void *context, const struct history_row *row) {
    struct buf *out = context;
    for (size_t i = 0; i < row->key.size; i++)
        buf_append_byte(out, (uint8_t)(row->key.data[i] == 0 ? '.' : row->key.data[i]));
    buf_printf(out, "/%d:%lld>%lld ", row->partition, (long long)row->then, (long long)row->now);
    return true;
}

/* As "key/partition:then>now", `most` keys at a time. */
static void expect_rows(struct history *h, const char *topic, const int64_t *then, const int64_t *now,
                        size_t most, const char *expected) {
    struct buf rows = {0};
    struct arena a = {0};
    struct slice after = SLICE_NONE;
    struct err e;
    do {
        if (!history_walk(h, topic, then, now, 2, after, most, note_row, &rows, &a, &after, &e))
            fail_msg("%s", e.text);
    } while (after.data != NULL);
    buf_append_byte(&rows, 0);
    assert_string_equal(rows.data, expected);
    buf_free(&rows);
    arena_free(&a);
}

static void a_view_is_what_it_was(void **state) {
    (void)state;
    struct history *h = history_create(store_create_memory(), 1000);
    struct slice nul = SLICE("a\0b");
    write_version(h, "t", 0, 0, SLICE("a"), "1");
    write_version(h, "t", 0, 1, SLICE("b"), "1");
    write_version(h, "t", 0, 2, SLICE("a"), "2");
    write_version(h, "t", 0, 3, SLICE("b"), NULL); /* deleted */
    write_version(h, "t", 1, 0, SLICE("ab"), "1");
    write_version(h, "t", 1, 1, nul, "1");
    write_version(h, "t2", 0, 0, SLICE("other"), "1");
    for (size_t most = 1; most < 5; most++) {
        expect_rows(h, "t", (int64_t[]){0, 0}, (int64_t[]){4, 2}, most, "a/0:-1>2 a.b/1:-1>1 ab/1:-1>0 ");
        expect_rows(h, "t", (int64_t[]){2, 1}, (int64_t[]){4, 2}, most,
                    "a/0:0>2 a.b/1:-1>1 ab/1:0>0 b/0:1>-1 ");
        expect_rows(h, "t", (int64_t[]){4, 2}, (int64_t[]){4, 2}, most, "a/0:2>2 a.b/1:1>1 ab/1:0>0 ");
    }
    expect_rows(h, "t2", (int64_t[]){1, 0}, (int64_t[]){1, 0}, 9, "other/0:0>0 ");
    expect_rows(h, "none", (int64_t[]){1, 0}, (int64_t[]){1, 0}, 9, "");
    int64_t at;
    struct err e;
    assert_true(history_latest(h, "t", nul, 1, 2, &at, &e));
    assert_int_equal(at, 1);
    assert_true(history_latest(h, "t", SLICE("b"), 0, 4, &at, &e));
    assert_int_equal(at, -1);
    assert_true(history_next(h, "t", 0, &at, &e));
    assert_int_equal(at, 4);
    struct buf rows = {0};
    struct arena a = {0};
    struct slice after = history_begin("t", SLICE("aa"), &a); /* which there is not */
    assert_true(history_walk(h, "t", (int64_t[]){3, 2}, (int64_t[]){3, 2}, 2, after, 1, note_row, &rows, &a,
                             &after, &e));
    assert_true(slice_equal(buf_slice(&rows), SLICE("ab/1:0>0 ")));
    buf_free(&rows);
    arena_free(&a);
    history_destroy(h);
}

static void what_counts_for_nobody_is_no_version(void **state) {
    (void)state;
    struct history *h = history_create(store_create_memory(), 1000);
    const enum tape_kind others[] = {TAPE_ABORTED, TAPE_MARKER, TAPE_UNDECIDED, TAPE_COMPACTED};
    struct err e;
    int64_t first;
    for (int64_t i = 0; i < 4; i++) {
        struct tape_entry entry = {.kind = others[i], .offset = i};
        entry.record.key = SLICE("k"), entry.record.value = SLICE("v");
        history_take(h, "t", 0, &entry);
    }
    assert_true(history_settle(h, "t", 0, 4, &e));
    expect_rows(h, "t", (int64_t[]){4, 0}, (int64_t[]){4, 0}, 9, "");
    assert_true(history_thinned(h, "t", 0, &first, &e));
    assert_int_equal(first, 3);
    assert_true(history_thinned(h, "t", 1, &first, &e));
    assert_int_equal(first, -1);
    history_destroy(h);
}

static void versions_are_bounded(void **state) {
    (void)state;
    struct history *h = history_create(store_create_memory(), 4);
    struct tape_entry entry = {.kind = TAPE_RECORD};
    struct err e;
    int64_t next;
    entry.record.key = SLICE("k"), entry.record.value = SLICE("v");
    for (int64_t i = 0; i < 3; i++)
        write_version(h, "old", 0, i, SLICE("k"), "v");
    write_version(h, "new", 0, 0, SLICE("k"), "v");
    write_version(h, "new", 0, 1, SLICE("k"), "v"); /* one too many: what was used least lately goes */
    assert_true(history_next(h, "new", 0, &next, &e));
    assert_int_equal(next, 2);
    expect_rows(h, "old", (int64_t[]){3, 0}, (int64_t[]){3, 0}, 9, "");
    assert_true(history_next(h, "old", 0, &next, &e));
    assert_int_equal(next, 0);
    for (entry.offset = 2; entry.offset < 7; entry.offset++)
        history_take(h, "new", 0, &entry);
    assert_false(history_settle(h, "new", 0, 7, &e)); /* alone it is too many */
    assert_int_equal(e.kind, ERR_INPUT);
    history_destroy(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_offset_is_left_out),
        cmocka_unit_test(what_is_no_batch_ends_the_reading),
        cmocka_unit_test(causes_come_first),
        cmocka_unit_test(a_circle_of_causes_has_an_order_too),
        cmocka_unit_test(places_are_offsets_ends_and_times),
        cmocka_unit_test(terms_choose_records),
        cmocka_unit_test(a_view_is_what_it_was),
        cmocka_unit_test(what_counts_for_nobody_is_no_version),
        cmocka_unit_test(versions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
