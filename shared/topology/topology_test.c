#include "testing/bank.h"

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

/* ---- what is refused ---- */

#define SOURCES(t)                                                                                           \
    .sources = (const struct source[]) {                                                                     \
        {.topic = &topic_##t}, {0}                                                                           \
    }
#define VIEWS(...)                                                                                           \
    .views = (const struct view *const[]) {                                                                  \
        __VA_ARGS__, NULL                                                                                    \
    }
#define TABLES(...)                                                                                          \
    .tables = (const struct table *const[]) {                                                                \
        __VA_ARGS__, NULL                                                                                    \
    }

static void on_expired(struct txn *txn, const struct event *in) {
    (void)txn, (void)in;
}

static void no_index(struct index *to, const struct event *row) {
    (void)to, (void)row;
}

static bool nothing_replaced(const struct event *row, void *value) {
    (void)row, (void)value;
    return false;
}

static const struct table namesakes_rows;
static const struct view
    plain = {.name = "plain", .changelog = &topic_balances},
    namesake = {.name = "plain", .changelog = &topic_kept_deposits},
    sibling = {.name = "sibling", .changelog = &topic_balances},
    expires = {.name = "expires", .changelog = &topic_deposits, .retention_ms = 1},
    events = {.name = "events", .changelog = &topic_balances, .events = true, .retention_ms = 1},
    idle = {.name = "idle", .changelog = &topic_balances, .expired = on_expired},
    twin = {.name = "twin", .changelog = &topic_owners, .served = &namesakes_rows},
    forgets = {.name = "forgets", .changelog = &topic_ticks},
    keeps = {.name = "keeps", .changelog = &topic_balances, .retention_ms = 1, .expired = on_expired};
static const struct table rows = {.name = "plain", .topic = &topic_owners},
                          other = {.name = "other", .topic = &topic_owners, .index = no_index}, fresh,
                          unserved = {.name = "unserved", .topic = &topic_balances, .view = &plain}, shown,
                          of_another;
static const struct view served = {.name = "served", .changelog = &topic_balances, .served = &shown},
                         strange = {.name = "strange", .changelog = &topic_balances, .served = &shown},
                         hasty = {.name = "hasty", .changelog = &topic_balances, .served = &fresh},
                         elsewhere = {
                             .name = "elsewhere", .changelog = &topic_balances, .served = &of_another};
static const struct table shown = {.name = "shown", .topic = &topic_balances, .view = &served},
                          fresh = {.name = "fresh", .topic = &topic_balances, .view = &hasty, .fresh = true},
                          of_another = {.name = "of another", .topic = &topic_owners, .view = &elsewhere},
                          namesakes_rows = {.name = "shown", .topic = &topic_owners},
                          aimless = {.name = "aimless", .topic = &topic_owners, .replaced = nothing_replaced};
static const struct {
    struct topology t;
    const char *says; /* NULL: nothing */
} cases[] = {
    {{SOURCES(deposits), VIEWS(&plain, &keeps)}, "two views over the changelog balances"},
    {{SOURCES(deposits), VIEWS(&plain, &namesake)}, "two views called plain"},
    {{SOURCES(deposits), VIEWS(&plain, &sibling)}, "two views over the changelog balances"},
    {{SOURCES(deposits), VIEWS(&plain), TABLES(&rows)}, "two things called plain"},
    {{SOURCES(deposits), VIEWS(&served, &twin)}, "two views served as shown"},
    {{TABLES(&rows, &rows)}, "two tables called plain"},
    {{VIEWS(&plain)}, "view plain over balances: without a source nothing ever changes it"},
    {{SOURCES(transfers), VIEWS(&expires)},
     "view expires over deposits: it expires, and its changelog knows no tombstones"},
    {{SOURCES(deposits), VIEWS(&events)}, "view events over balances: it cannot be events and expire"},
    {{SOURCES(deposits), VIEWS(&idle)}, "it has a handler for what expires, and nothing does"},
    {{SOURCES(deposits), VIEWS(&forgets)}, "view forgets over ticks: its changelog forgets what it keeps"},
    {{.sources = (const struct source[]){{.topic = &topic_deposits}, {.topic = &topic_deposits}, {0}}},
     "deposits is two of its sources"},
    {{SOURCES(deposits), .ticks = &topic_ticks, .tick_ms = 1}, "its ticks, ticks, are none of its sources"},
    {{SOURCES(ticks), .ticks = &topic_ticks}, "ticks every 0 ms"},
    {{SOURCES(deposits), .ticks = &topic_deposits, .tick_ms = 1}, "deposits has no field time"},
    {{SOURCES(deposits), .dead_letters = &topic_receipts}, "receipts has no field topic"},
    {{.name = "bank", SOURCES(deposits)}, "topology bank: the bad records of deposits are its business"},
    {{TABLES(&fresh)}, "table fresh: no handler looks it up"},
    {{TABLES(&unserved)}, "table unserved: its view is not served by it"},
    {{SOURCES(deposits), VIEWS(&strange)},
     "view strange over balances: it is served by a table that does not name it"},
    {{SOURCES(deposits), VIEWS(&elsewhere)}, "it is served by a table of another topic"},
    {{SOURCES(deposits), VIEWS(&served), TABLES(&shown)}, "table shown: its view is of this topology"},
    {{SOURCES(deposits), VIEWS(&served), .dead_letters = &topic_letters}, NULL},
    {{TABLES(&shown)}, NULL},
    {{TABLES(&aimless)}, "table aimless: what a row has replaced is for the index that it lacks"},
    {{SOURCES(deposits), VIEWS(&keeps), TABLES(&rows, &other), .dead_letters = &topic_letters}, NULL},
    {{SOURCES(ticks), .ticks = &topic_ticks, .tick_ms = 1}, NULL},
};

static void what_cannot_run_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct topology t = cases[i].t;
        struct err e = {0};
        if (t.name == NULL)
            t.name = "careless";
        assert_true(topology_check(&t, &e) == (cases[i].says == NULL));
        if (cases[i].says == NULL)
            continue;
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_int_equal(strncmp(e.text, "topology ", 9), 0);
        assert_int_equal(strncmp(e.text + 9, t.name, strlen(t.name)), 0);
        if (strstr(e.text, cases[i].says) == NULL)
            fail_msg("case %zu says: %s", i, e.text);
    }
    assert_true(topology_check(&bank_topology, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_says_what_is_declared),
        cmocka_unit_test(json_of_the_least),
        cmocka_unit_test(what_cannot_run_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
