#include "testing/driver.h"

#include "testing/bank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state) {
    *state = driver_create(&bank_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void deposit(struct driver *d, const char *account, int64_t amount) {
    driver_send(d, &topic_deposits, slice_of(account), &(struct deposit){amount, SLICE("")}, 1000 + amount);
}

/* These events, those events: how a service's test reads. */
static void handlers_run_over_views_and_tables(void **state) {
    struct driver *d = *state;
    struct event out;
    struct balance balance;
    driver_send(d, &topic_owners, SLICE("a"), &(struct owner){SLICE("Ann"), SLICE("Rome")}, 1);
    deposit(d, "a", 5);
    deposit(d, "b", 7);
    deposit(d, "a", 6);

    static const struct {
        const char *key, *name;
        int64_t amount, timestamp;
    } expected[] = {{"a", "Ann", 5, 1005}, {"b", "nobody", 7, 1007}, {"a", "Ann", 11, 1006}};
    for (size_t i = 0; i < 3; i++) {
        assert_true(driver_next(d, &out));
        const struct receipt *receipt = out.value;
        assert_ptr_equal(out.topic, &topic_receipts);
        assert_slice(out.key, expected[i].key);
        assert_slice(receipt->text, expected[i].name);
        assert_int_equal(receipt->amount, expected[i].amount);
        assert_int_equal(out.timestamp, expected[i].timestamp);
    }
    assert_false(driver_next(d, &out));
    assert_true(driver_view(d, &bank_balances, SLICE("a"), SLICE_NONE, &balance));
    assert_int_equal(balance.amount, 11);
    assert_false(driver_view(d, &bank_balances, SLICE("c"), SLICE_NONE, &balance));

    driver_send(d, &topic_owners, SLICE("a"), NULL, 2); /* tombstones, of a row and of an input */
    driver_send(d, &topic_transfers, SLICE("a"), NULL, 3);
    assert_false(driver_view(d, &bank_balances, SLICE("a"), SLICE_NONE, &balance));
    deposit(d, "a", 1);
    assert_true(driver_next(d, &out));
    assert_slice(((const struct receipt *)out.value)->text, "nobody");
}

static void poison_becomes_a_dead_letter(void **state) {
    struct driver *d = *state;
    struct event out;
    struct balance balance;
    driver_send_raw(d, &topic_deposits, SLICE("a"), SLICE("garbage"), 1);
    deposit(d, "a", -3); /* the rule rejects it: no receipt, no state */
    for (int i = 0; i < 2; i++) {
        assert_true(driver_next(d, &out));
        assert_ptr_equal(out.topic, &topic_letters);
        assert_slice(out.key, i == 0 ? "deposits/0/0" : "deposits/0/1");
    }
    const struct letter *letter = out.value;
    assert_slice(letter->topic, "deposits");
    assert_int_equal(letter->offset, 1);
    assert_slice(letter->reason, "an amount of -3");
    assert_false(driver_next(d, &out));
    assert_false(driver_view(d, &bank_balances, SLICE("a"), SLICE_NONE, &balance));

    /* Of a topic whose bad records are another's affair: skipped. */
    driver_send_raw(d, &topic_transfers, SLICE("a"), SLICE("garbage"), 1);
    driver_send_raw(d, &topic_owners, SLICE("a"), SLICE("garbage"), 1);
    assert_false(driver_next(d, &out));
    deposit(d, "a", 2);
    assert_true(driver_next(d, &out));
}

static void entries_on_deposit(struct txn *txn, const struct event *in) {
    const struct deposit *deposit_value = in->value;
    txn_put(txn, &bank_balances, deposit_value->note, &(struct balance){deposit_value->amount});
}

static void views_have_sub_keys(void **state) {
    (void)state;
    const struct source sources[] = {{.topic = &topic_deposits, .handle = entries_on_deposit}, {0}};
    const struct topology entries = {
        .name = "entries",
        .sources = sources,
        .views = (const struct view *const[]){&bank_balances, NULL},
    };
    struct driver *d = driver_create(&entries);
    struct balance balance;
    driver_send(d, &topic_deposits, SLICE("a"), &(struct deposit){5, SLICE("rent")}, 1);
    driver_send(d, &topic_deposits, SLICE("a"), &(struct deposit){6, SLICE("food")}, 2);
    assert_true(driver_view(d, &bank_balances, SLICE("a"), SLICE("rent"), &balance));
    assert_int_equal(balance.amount, 5);
    assert_true(driver_view(d, &bank_balances, SLICE("a"), SLICE("food"), &balance));
    assert_int_equal(balance.amount, 6);
    assert_false(driver_view(d, &bank_balances, SLICE("a"), SLICE_NONE, &balance));
    driver_destroy(d);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(handlers_run_over_views_and_tables),
        TEST(poison_becomes_a_dead_letter),
        cmocka_unit_test(views_have_sub_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
