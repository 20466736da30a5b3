#include "transaction/keys.h"
#include "transaction/table.h"
#include "transaction/txn.h"

#include "log/partitions.h"
#include "testing/bank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct bank *bank;
    struct overlay overlay;
    int64_t offset;
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->overlay.store = f->bank->store;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    overlay_free(&f->overlay);
    bank_destroy(f->bank);
    free(f);
    return 0;
}

/* Into the overlay, as a batch of records goes. */
static bool put(struct fixture *f, struct slice key, struct slice value, struct err *e) {
    struct log_record r = {.topic = &topic_owners,
                           .offset = f->offset++,
                           .timestamp = 1000 + f->offset,
                           .key = key,
                           .value = value};
    return table_put(&bank_owners, &f->overlay, f->bank->schemas, &r, 1, e);
}

static void put_owner(struct fixture *f, const char *account, const char *name, const char *city) {
    assert_true(put(f, slice_of(account), bank_owner(f->bank, name, city), NULL));
}

static void apply(struct fixture *f) {
    assert_true(overlay_apply(&f->overlay, NULL));
}

static bool stored_row(struct fixture *f, const char *account, struct event *row) {
    struct buf key = {0};
    struct slice stored;
    store_key_row(&key, &bank_owners, -1, slice_of(account));
    assert_true(store_get(f->bank->store, buf_slice(&key), &f->bank->arena, &stored, NULL));
    buf_free(&key);
    return stored.data != NULL &&
           table_row(&bank_owners, f->bank->schemas, slice_of(account), stored, &f->bank->arena, row, NULL);
}

static const struct owner *owner_of(const struct event *row) {
    const struct owner *owner = row->value;
    assert_non_null(owner);
    return owner;
}

static bool collect(void *context, struct slice key, struct slice value) {
    struct buf *out = context, prefix = {0};
    store_key_index(&prefix, &bank_owners, -1, SLICE(""));
    buf_printf(out, SLICE_FMT "=" SLICE_FMT " ", (int)(key.size - prefix.size), key.data + prefix.size,
               SLICE_ARG(table_index_row(key, value)));
    buf_free(&prefix);
    return true;
}

/* All index keys and the rows that they lead to. */
static void assert_index(struct fixture *f, const char *expected) {
    struct buf prefix = {0}, all = {0};
    store_key_index(&prefix, &bank_owners, -1, SLICE(""));
    assert_true(store_scan(f->bank->store, buf_slice(&prefix), SLICE_NONE, false, collect, &all, NULL));
    assert_slice(buf_slice(&all), expected);
    buf_free(&prefix);
    buf_free(&all);
}

static void a_row_knows_where_it_comes_from(void **state) {
    struct fixture *f = *state;
    put_owner(f, "a", "Ann", "Rome");
    put_owner(f, "b", "Bob", "Oslo");
    apply(f);
    struct event row = {0};
    assert_true(stored_row(f, "b", &row));
    assert_ptr_equal(row.topic, &topic_owners);
    assert_int_equal(row.partition, 0);
    assert_int_equal(row.offset, 1);
    assert_int_equal(row.timestamp, 1002);
    assert_slice(row.key, "b");
    assert_slice(owner_of(&row)->name, "Bob");
    assert_false(stored_row(f, "c", &row));
}

static void index_keys_follow_their_row(void **state) {
    struct fixture *f = *state;
    put_owner(f, "a", "Ann", "Rome");
    put_owner(f, "b", "Bob", "Rome");
    apply(f);
    assert_index(f, "Rome/a=a Rome/b=b ");
    put_owner(f, "a", "Ann", "Oslo"); /* moves */
    put_owner(f, "b", "Bert", "Rome");
    apply(f);
    assert_index(f, "Oslo/a=a Rome/b=b ");
    assert_true(put(f, SLICE("b"), SLICE_NONE, NULL));
    assert_true(put(f, SLICE("never there"), SLICE_NONE, NULL));
    apply(f);
    assert_index(f, "Oslo/a=a ");
    struct event row = {0};
    assert_false(stored_row(f, "b", &row));
}

static void index_keys_follow_within_a_batch(void **state) {
    struct fixture *f = *state;
    put_owner(f, "a", "Ann", "Rome");
    put_owner(f, "a", "Ann", "Oslo");
    put_owner(f, "a", "Ann", "Rome");
    put_owner(f, "b", "Bob", "Rome");
    assert_true(put(f, SLICE("b"), SLICE_NONE, NULL));
    apply(f);
    assert_index(f, "Rome/a=a ");
}

static void bad_records_change_nothing(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    put_owner(f, "a", "Ann", "Rome");
    assert_false(put(f, SLICE_NONE, bank_owner(f->bank, "No", "Key"), &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_string_equal(e.text, "no key");
    assert_false(put(f, SLICE(""), bank_owner(f->bank, "No", "Key"), &e));
    assert_false(put(f, SLICE("a"), SLICE("garbage"), &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_non_null(strstr(e.text, "magic byte"));
    assert_false(put(f, SLICE("a"), SLICE("\0\0\0\0\0"), &e));
    assert_int_equal(e.kind, ERR_POISON);
    apply(f);
    assert_index(f, "Rome/a=a ");
    struct event row = {0};
    assert_true(stored_row(f, "a", &row));
    assert_slice(owner_of(&row)->name, "Ann");
}

static void a_tombstone_needs_a_topic_that_has_some(void **state) {
    struct fixture *f = *state;
    const struct table deposits = {.name = "deposits", .topic = &topic_deposits};
    struct log_record r = {.topic = &topic_deposits, .key = SLICE("a")};
    struct err e = {0};
    assert_false(table_put(&deposits, &f->overlay, f->bank->schemas, &r, 1, &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_non_null(strstr(e.text, "tombstone"));
}

/* An owner of "abc" in the partition 0 of 4 hides the one that is in abc's own partition, or does not. */
static void a_misplaced_row_is_skipped(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    int32_t home = partition_of(SLICE("abc"), 4);
    struct log_record r = {.topic = &topic_owners,
                           .partition = home,
                           .key = SLICE("abc"),
                           .value = bank_owner(f->bank, "Home", "Rome")};
    assert_true(table_put(&bank_owners, &f->overlay, f->bank->schemas, &r, 4, &e));
    r.partition = (home + 1) % 4;
    r.value = bank_owner(f->bank, "Away", "Oslo");
    assert_false(table_put(&bank_owners, &f->overlay, f->bank->schemas, &r, 4, &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_non_null(strstr(e.text, "abc"));
    apply(f);
    assert_index(f, "Rome/abc=abc ");
}

static void by_city(struct index *to, const struct event *row) {
    index_key(to, ((const struct owner *)row->value)->city);
}

static void an_index_key_need_not_end_with_its_row(void **state) {
    static const struct table cities = {.name = "owners", .topic = &topic_owners, .index = by_city};
    struct fixture *f = *state;
    struct log_record r = {
        .topic = &topic_owners, .key = SLICE("a"), .value = bank_owner(f->bank, "Ann", "Rome")};
    assert_true(table_put(&cities, &f->overlay, f->bank->schemas, &r, 1, NULL));
    apply(f);
    assert_index(f, "Rome=a ");
}

static void the_registry_away_is_no_poison(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct slice bytes = bank_foreign(f->bank, &topic_owners, bank_owner(f->bank, "Ann", "Rome"));
    f->bank->registry_is_away = true;
    assert_false(put(f, SLICE("a"), bytes, &e));
    assert_int_equal(e.kind, ERR_RETRY);
    f->bank->registry_is_away = false;
    assert_true(put(f, SLICE("a"), bytes, &e));
}

static bool is_from_somewhere(const struct event *row) {
    return owner_of(row)->city.size > 0;
}

static void what_is_no_row_is_skipped(void **state) {
    struct fixture *f = *state;
    static struct table choosy;
    choosy = bank_owners;
    choosy.accepts = is_from_somewhere;
    struct event row = {0};
    struct err e;
    put_owner(f, "a1", "Ann", "Rome");
    struct log_record r = {.topic = &topic_owners,
                           .offset = f->offset++,
                           .timestamp = 2000,
                           .key = SLICE("a1"),
                           .value = bank_owner(f->bank, "Ann", "")};
    assert_false(table_put(&choosy, &f->overlay, f->bank->schemas, &r, 1, &e));
    assert_int_equal(e.kind, ERR_POISON);
    apply(f);
    assert_true(stored_row(f, "a1", &row));
    assert_true(slice_equal(owner_of(&row)->city, SLICE("Rome")));
    r.value = SLICE_NONE; /* a tombstone is nobody's row, and goes through */
    assert_true(table_put(&choosy, &f->overlay, f->bank->schemas, &r, 1, &e));
    apply(f);
    assert_false(stored_row(f, "a1", &row));
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_row_knows_where_it_comes_from),
        TEST(index_keys_follow_their_row),
        TEST(index_keys_follow_within_a_batch),
        TEST(an_index_key_need_not_end_with_its_row),
        TEST(bad_records_change_nothing),
        TEST(a_tombstone_needs_a_topic_that_has_some),
        TEST(a_misplaced_row_is_skipped),
        TEST(the_registry_away_is_no_poison),
        cmocka_unit_test_setup_teardown(what_is_no_row_is_skipped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
