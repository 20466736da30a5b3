#include "bank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const struct topology *t, const char *expected) {
    struct buf out = {0};
    topology_json(t, &out);
    assert_slice(buf_slice(&out), expected);
    buf_free(&out);
}

static void json_says_what_is_declared(void **state) {
    (void)state;
    check(&bank_topology, "{\"name\":\"bank\","
                          "\"sources\":[{\"topic\":\"deposits\",\"handled\":true},"
                          "{\"topic\":\"transfers\",\"handled\":true}],"
                          "\"views\":[{\"name\":\"balances\",\"changelog\":\"balances\"}],"
                          "\"tables\":[{\"name\":\"owners\",\"topic\":\"owners\"}],"
                          "\"outputs\":[\"receipts\"],\"deadLetters\":\"letters\"}");
}

static void json_of_the_least(void **state) {
    (void)state;
    check(&(struct topology){.name = "quote\"d"},
          "{\"name\":\"quote\\\"d\",\"sources\":[],\"views\":[],\"tables\":[],\"outputs\":[],"
          "\"deadLetters\":null}");
    const struct source unhandled[] = {{.topic = &topic_owners}, {0}};
    check(&(struct topology){.name = "letters only", .sources = unhandled},
          "{\"name\":\"letters only\",\"sources\":[{\"topic\":\"owners\",\"handled\":false}],\"views\":[],"
          "\"tables\":[],\"outputs\":[],\"deadLetters\":null}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_says_what_is_declared),
        cmocka_unit_test(json_of_the_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
