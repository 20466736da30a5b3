#include "clickstream.h"

#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state) {
    *state = driver_create(&clickstream_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void customer(struct driver *d, const char *id, enum customer_level level) {
    struct customer c = {
        .id = slice_of(id), .first_name = SLICE("Ann"), .last_name = SLICE("Lee"), .level = level};
    driver_send(d, &topic_customers, c.id, &c, 0);
}

static void click(struct driver *d, const char *key, const char *user) {
    driver_send(d, &topic_clickstream, slice_of(key),
                &(struct click){slice_of(user), SLICE("/shop"), SLICE("add to cart")}, 1000);
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static void expect_action(struct driver *d, const char *user) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_vip_actions.name);
    assert_true(slice_equal(e.key, slice_of(user)));
    const struct vip_action *v = e.value;
    assert_true(slice_equal(v->user_id, slice_of(user)));
    assert_true(slice_equal(v->page, SLICE("/shop")));
    assert_true(slice_equal(v->action, SLICE("add to cart")));
    assert_int_equal(v->level, CUSTOMER_LEVEL_PLATINUM);
    assert_true(slice_equal(v->name, SLICE("Ann Lee")));
}

static void only_platinum_is_a_vip(void **state) {
    struct driver *d = *state;
    for (int level = CUSTOMER_LEVEL_BRONZE; level < CUSTOMER_LEVEL_PLATINUM; level++) {
        customer(d, "ann", (enum customer_level)level);
        click(d, "ann", "ann");
        expect_nothing(d);
    }
    click(d, "nobody", "nobody");
    expect_nothing(d);
    customer(d, "ann", CUSTOMER_LEVEL_PLATINUM);
    click(d, "ann", "ann");
    expect_action(d, "ann");
    click(d, "ann", "ann"); /* each click counts */
    expect_action(d, "ann");
}

static void a_level_changes_later_clicks_only(void **state) {
    struct driver *d = *state;
    customer(d, "ann", CUSTOMER_LEVEL_PLATINUM);
    click(d, "ann", "ann");
    customer(d, "ann", CUSTOMER_LEVEL_GOLD);
    click(d, "ann", "ann");
    expect_action(d, "ann");
    expect_nothing(d);
}

static void a_click_of_somebody_else_is_a_dead_letter(void **state) {
    struct driver *d = *state;
    struct event e;
    click(d, "ann", "bob");
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    expect_nothing(d);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(only_platinum_is_a_vip),
        driven(a_level_changes_later_clicks_only),
        driven(a_click_of_somebody_else_is_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
