#include "tail/tail.h"

#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct tail *tail;
    struct buf woken, read; /* names; "key@offset " of each record */
    size_t room;            /* of what a visitor takes */
};

static void on_wake(void *context, struct slice name) {
    struct fixture *f = context;
    buf_printf(&f->woken, SLICE_FMT " ", SLICE_ARG(name));
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(1);
    f->room = SIZE_MAX;
    f->tail = tail_create(&(struct tail_options){.log = &f->log->log,
                                                 .schemas = f->bank->schemas,
                                                 .topic_count = LOG_TOPICS_MAX,
                                                 .wake = on_wake,
                                                 .context = f});
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    bool released = f->log->given == 0;
    tail_destroy(f->tail);
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    buf_free(&f->woken);
    buf_free(&f->read);
    free(f);
    return released ? 0 : -1;
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0)
        assert_true(tail_step(f->tail, 100, &e));
}

static int64_t deposit(struct fixture *f, const char *account, int64_t amount) {
    return memory_log_append(f->log, &topic_deposits, 0, slice_of(account),
                             bank_deposit(f->bank, amount, ""));
}

static void deposits(struct fixture *f, const char *account, int n) {
    while (n-- > 0)
        deposit(f, account, n);
}

static bool visit(void *context, const struct tail_record *r) {
    struct fixture *f = context;
    if (f->room == 0)
        return false;
    f->room--;
    buf_printf(&f->read, SLICE_FMT "@%d ", SLICE_ARG(r->key), (int)r->offset);
    return true;
}

static enum tail_state read_tail(struct fixture *f, struct tail_cursor *c) {
    buf_clear(&f->read);
    return tail_read(f->tail, c, visit, f);
}

static void assert_read(struct fixture *f, struct tail_cursor *c, const char *records) {
    assert_int_equal(read_tail(f, c), TAIL_CAUGHT_UP);
    assert_slice(buf_slice(&f->read), records);
}

static struct tail_cursor cursor(int64_t offset, const char *key) {
    return (struct tail_cursor){.topic = &topic_deposits, .key = slice_of(key), .offset = offset};
}

static void from_now_on(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(TAIL_NOW, NULL), later = cursor(TAIL_NOW, NULL);
    deposits(f, "a", 3);
    tail_open(f->tail, &c);
    assert_int_equal(read_tail(f, &c), TAIL_STARTING);
    rounds(f, 2);
    assert_read(f, &c, "");
    assert_int_equal(c.offset, 3);
    deposit(f, "b", 1);
    rounds(f, 1);
    assert_read(f, &c, "b@3 ");
    tail_open(f->tail, &later);
    assert_read(f, &later, "");
    deposit(f, "c", 1);
    rounds(f, 1);
    assert_read(f, &c, "c@4 ");
    assert_read(f, &later, "c@4 ");
    assert_read(f, &c, "");
    tail_close(f->tail, &c);
    tail_close(f->tail, &later);
}

static void from_an_offset_that_is_in_memory(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(1, NULL), end = cursor(4, NULL);
    deposits(f, "a", 4);
    tail_open(f->tail, &c);
    tail_open(f->tail, &end);
    rounds(f, 2);
    assert_read(f, &c, "a@1 a@2 a@3 ");
    assert_read(f, &end, "");
    tail_close(f->tail, &c);
    tail_close(f->tail, &end);
}

/* Each record once and in order, by whatever portions it came. */
static void assert_complete(struct fixture *f, struct tail_cursor *c, int from, int to, int step) {
    struct buf all = {0};
    while (read_tail(f, c) != TAIL_CAUGHT_UP) {
        buf_append_slice(&all, buf_slice(&f->read));
        rounds(f, 1);
    }
    buf_append_slice(&all, buf_slice(&f->read));
    buf_append_byte(&all, 0);
    const char *at = all.data;
    for (int i = from; i < to; i += step) {
        char key, *next;
        assert_int_equal(sscanf(at, "%c@", &key), 1);
        assert_int_equal(strtol(at + 2, &next, 10), i);
        at = next + 1;
    }
    assert_string_equal(at, "");
    buf_free(&all);
}

static void from_further_back_than_memory(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(5, NULL), of_b = cursor(0, "b");
    for (int i = 0; i < 10000; i++)
        deposit(f, i % 10 == 0 ? "b" : "a", i);
    tail_open(f->tail, &c);
    tail_open(f->tail, &of_b);
    assert_complete(f, &c, 5, 10000, 1);
    assert_complete(f, &of_b, 0, 10000, 10);
    assert_int_equal(of_b.offset, 10000);
    tail_close(f->tail, &c);
    tail_close(f->tail, &of_b);
}

static void a_flood_passes_memory(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(TAIL_NOW, NULL);
    tail_open(f->tail, &c);
    rounds(f, 2);
    assert_read(f, &c, "");
    deposits(f, "a", 9000);
    rounds(f, 20); /* into memory and out of it, while the reader looks elsewhere */
    assert_complete(f, &c, 0, 9000, 1);
    tail_close(f->tail, &c);
}

static void a_key_alone(void **state) {
    struct fixture *f = *state;
    struct tail_cursor a = cursor(TAIL_NOW, "a"), b = cursor(TAIL_NOW, "b");
    tail_open(f->tail, &a);
    tail_open(f->tail, &b);
    rounds(f, 2);
    assert_read(f, &a, "");
    assert_read(f, &b, "");
    deposit(f, "a", 1);
    deposit(f, "b", 1);
    deposit(f, "a", 1);
    deposit(f, "c", 1);
    rounds(f, 1);
    assert_read(f, &a, "a@0 a@2 ");
    assert_read(f, &b, "b@1 ");
    assert_int_equal(b.offset, 4);
    tail_close(f->tail, &a);
    tail_close(f->tail, &b);
}

static void the_visitor_may_stop(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(0, NULL), k = cursor(0, "a");
    deposits(f, "a", 3);
    tail_open(f->tail, &c);
    tail_open(f->tail, &k);
    rounds(f, 2);
    for (int i = 0; i < 2; i++) {
        struct tail_cursor *each = i == 0 ? &c : &k;
        f->room = 2;
        assert_int_equal(read_tail(f, each), TAIL_STOPPED);
        assert_slice(buf_slice(&f->read), "a@0 a@1 ");
        assert_int_equal(each->offset, 2);
        f->room = 1;
        assert_read(f, each, "a@2 ");
    }
    tail_close(f->tail, &c);
    tail_close(f->tail, &k);
}

static void only_what_is_committed(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(0, NULL);
    deposit(f, "a", 1);
    memory_log_open(f->log, &topic_deposits, 0, SLICE("x"), bank_deposit(f->bank, 1, ""));
    deposit(f, "b", 1);
    tail_open(f->tail, &c);
    rounds(f, 2);
    assert_read(f, &c, "a@0 ");
    memory_log_end(f->log, false);
    rounds(f, 1);
    assert_read(f, &c, "b@2 ");
    assert_int_equal(c.offset, 4); /* behind the marker: nobody comes back for it */
    tail_close(f->tail, &c);
}

static void beyond_the_end_is_another_log(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(7, NULL), now = cursor(TAIL_NOW, NULL), seen_elsewhere = cursor(3, NULL);
    deposits(f, "a", 2);
    tail_open(f->tail, &c);
    tail_open(f->tail, &now);
    rounds(f, 2);
    assert_int_equal(read_tail(f, &c), TAIL_AHEAD);
    assert_read(f, &now, "");
    deposit(f, "a", 1); /* another instance has shown it already, here it has not come yet */
    tail_open(f->tail, &seen_elsewhere);
    assert_int_equal(read_tail(f, &seen_elsewhere), TAIL_STARTING);
    f->log->tables_stuck = true;
    rounds(f, 1);
    assert_int_equal(read_tail(f, &seen_elsewhere), TAIL_COMING);
    f->log->tables_stuck = false;
    rounds(f, 1);
    assert_read(f, &seen_elsewhere, "");
    tail_close(f->tail, &seen_elsewhere);
    tail_close(f->tail, &now);
    tail_close(f->tail, &c);
}

static void a_topic_that_is_not_there_yet(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(TAIL_NOW, NULL), there = cursor(0, NULL);
    there.topic = &topic_owners;
    f->log->partitions[topic_deposits.number] = 0;
    memory_log_append(f->log, &topic_owners, 0, SLICE("o"), bank_owner(f->bank, "Ann", "Rome"));
    tail_open(f->tail, &c);
    tail_open(f->tail, &there);
    rounds(f, 2);
    assert_int_equal(read_tail(f, &c), TAIL_STARTING);
    assert_read(f, &there, "o@0 ");
    f->log->partitions[topic_deposits.number] = 1;
    rounds(f, 10);
    assert_read(f, &c, "");
    deposit(f, "a", 1);
    rounds(f, 1);
    assert_read(f, &c, "a@0 ");
    tail_close(f->tail, &c);
    tail_close(f->tail, &there);
}

static void kafka_is_away(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(0, NULL);
    deposit(f, "a", 1);
    memory_log_fail(f->log, CALL_ENDS, ERR_RETRY, 2, false);
    memory_log_fail(f->log, CALL_POLL, ERR_RETRY, 2, false);
    tail_open(f->tail, &c);
    rounds(f, 1);
    assert_int_equal(read_tail(f, &c), TAIL_STARTING);
    rounds(f, 20);
    assert_read(f, &c, "a@0 ");
    tail_close(f->tail, &c);
}

/* Nobody who reads waits for the registry; the tail does, and tells the record when it can be shown. */
static void the_registry_is_away(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(TAIL_NOW, NULL), behind = cursor(0, NULL);
    deposits(f, "a", 4100);
    tail_open(f->tail, &c);
    rounds(f, 10);
    assert_read(f, &c, "");
    f->bank->registry_is_away = true;
    memory_log_append(f->log, &topic_deposits, 0, SLICE("x"),
                      bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 1, "")));
    deposit(f, "y", 1);
    rounds(f, 3);
    assert_read(f, &c, "");
    f->bank->registry_is_away = false;
    rounds(f, 10);
    assert_read(f, &c, "x@4100 y@4101 ");
    tail_open(f->tail, &behind);
    assert_complete(f, &behind, 0, 4102, 1);
    tail_close(f->tail, &c);
    tail_close(f->tail, &behind);
}

static void nothing_is_read_for_nobody(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(TAIL_NOW, NULL);
    const bool *reading = &f->log->parts[topic_deposits.number][0].readers[LOG_TABLES].reading;
    rounds(f, 2);
    assert_false(*reading);
    tail_open(f->tail, &c);
    rounds(f, 2);
    assert_true(*reading);
    tail_close(f->tail, &c);
    tail_close(f->tail, &c); /* harmless */
    rounds(f, 2);
    assert_true(*reading); /* somebody may come back in a moment */
    f->log->now += 60000;
    rounds(f, 1);
    assert_false(*reading);
    deposit(f, "a", 1);
    c = cursor(0, NULL);
    tail_open(f->tail, &c);
    rounds(f, 2);
    assert_read(f, &c, "a@0 ");
    tail_close(f->tail, &c);
}

/* As a page of a log browser is read: no more than asked for, from anywhere, without following. */
static void once(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(2, NULL);
    deposits(f, "a", 7);
    c.once = 3;
    c.owner = f;
    tail_open(f->tail, &c);
    assert_int_equal(read_tail(f, &c), TAIL_COMING);
    rounds(f, 2);
    assert_non_null(strstr((buf_append_byte(&f->woken, 0), f->woken.data), "o0x"));
    assert_int_equal(read_tail(f, &c), TAIL_STOPPED);
    assert_slice(buf_slice(&f->read), "a@2 a@3 a@4 ");
    assert_int_equal(read_tail(f, &c), TAIL_COMING);
    rounds(f, 2);
    assert_read(f, &c, "a@5 a@6 ");
    assert_false(f->log->parts[topic_deposits.number][0].readers[LOG_TABLES].reading);
    tail_close(f->tail, &c);
    c = cursor(0, NULL);
    c.once = 3;
    tail_open(f->tail, &c);
    assert_int_equal(read_tail(f, &c), TAIL_COMING);
    tail_close(f->tail, &c); /* while it is being fetched */
    rounds(f, 2);
}

static void once_at_the_end_or_beyond(void **state) {
    struct fixture *f = *state;
    deposits(f, "a", 7);
    struct tail_cursor beyond = cursor(9, NULL), at_end = cursor(TAIL_NOW, NULL);
    beyond.once = at_end.once = 3;
    tail_open(f->tail, &beyond);
    tail_open(f->tail, &at_end);
    assert_int_equal(read_tail(f, &beyond), TAIL_COMING);
    assert_int_equal(read_tail(f, &at_end), TAIL_COMING);
    rounds(f, 3);
    assert_int_equal(read_tail(f, &beyond), TAIL_AHEAD);
    assert_int_equal(beyond.offset, 7);
    assert_int_equal(read_tail(f, &at_end), TAIL_CAUGHT_UP);
    assert_int_equal(at_end.offset, 7);
    assert_int_equal(f->read.size, 0);
    tail_close(f->tail, &beyond);
    tail_close(f->tail, &at_end);
}

static void put_name(void *context, struct slice name) {
    buf_printf(context, SLICE_FMT " ", SLICE_ARG(name));
}

static void who_is_woken(void **state) {
    struct fixture *f = *state;
    struct tail_cursor a = cursor(TAIL_NOW, "a");
    tail_open(f->tail, &a);
    rounds(f, 2);
    assert_slice(buf_slice(&f->woken), "pdeposits/0 ");
    buf_clear(&f->woken);
    deposit(f, "a", 1);
    deposit(f, "b", 1);
    rounds(f, 1);
    assert_slice(buf_slice(&f->woken), "kdeposits/a kdeposits/b ");
    struct tail_cursor all = cursor(TAIL_NOW, NULL);
    tail_open(f->tail, &all);
    deposits(f, "c", 2);
    buf_clear(&f->woken);
    rounds(f, 1);
    assert_slice(buf_slice(&f->woken), "kdeposits/c kdeposits/c tdeposits/ ");
    buf_clear(&f->woken);
    a.owner = NULL;
    tail_names(&a, put_name, &f->woken);
    assert_slice(buf_slice(&f->woken), "o(nil) pdeposits/0 kdeposits/a ");
    tail_close(f->tail, &a);
    tail_close(f->tail, &all);
}

struct shown {
    struct tail *tail;
    struct buf text;
};

static bool show(void *context, const struct tail_record *r) {
    struct shown *s = context;
    buf_append_slice(&s->text, tail_json(s->tail, r));
    assert_ptr_equal(tail_json(s->tail, r).data, tail_json(s->tail, r).data); /* made once */
    return true;
}

static void records_as_json(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = {.topic = &topic_owners};
    struct shown s = {f->tail, {0}};
    memory_log_append(f->log, &topic_owners, 0, SLICE("o\"1"), bank_owner(f->bank, "Ann", "Rome"));
    memory_log_append(f->log, &topic_owners, 0, SLICE("o"), SLICE_NONE);
    memory_log_append(f->log, &topic_owners, 0, SLICE_NONE, SLICE("junk"));
    tail_open(f->tail, &c);
    rounds(f, 2);
    assert_int_equal(tail_read(f->tail, &c, show, &s), TAIL_CAUGHT_UP);
    assert_slice(
        buf_slice(&s.text),
        "{\"topic\":\"owners\",\"partition\":0,\"offset\":0,\"timestamp\":1000,\"key\":\"o\\\"1\","
        "\"value\":{\"name\":\"Ann\",\"city\":\"Rome\"}}"
        "{\"topic\":\"owners\",\"partition\":0,\"offset\":1,\"timestamp\":1001,\"key\":\"o\",\"value\":null}"
        "{\"topic\":\"owners\",\"partition\":0,\"offset\":2,\"timestamp\":1002,\"key\":null,\"value\":null,"
        "\"error\":\"4 bytes, too short for a schema id\"}");
    tail_close(f->tail, &c);
    buf_free(&s.text);
}

struct looker {
    struct fixture *fixture;
    struct tail_cursor *other;
    int seen;
};

static bool look_elsewhere(void *context, const struct tail_record *r) {
    struct looker *l = context;
    assert_int_equal(r->offset, l->seen++);
    if (l->seen == 100) { /* what the ring had is gone, and is still there for its visitor */
        deposits(l->fixture, "much", 10000);
        rounds(l->fixture, 20);
    }
    assert_true(tail_json(l->fixture->tail, r).size > 0);
    return read_tail(l->fixture, l->other) != TAIL_STOPPED;
}

/* It looks things up, which may take its time: the tail is nobody's meanwhile. */
static void a_visitor_may_do_anything(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = cursor(0, NULL), other = cursor(0, "a");
    deposits(f, "a", 200);
    tail_open(f->tail, &c);
    tail_open(f->tail, &other);
    rounds(f, 2);
    struct looker looker = {f, &other, 0};
    while (tail_read(f->tail, &c, look_elsewhere, &looker) != TAIL_CAUGHT_UP)
        rounds(f, 1);
    assert_int_equal(looker.seen, 10200);
    tail_close(f->tail, &c);
    tail_close(f->tail, &other);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(from_now_on),
        TEST(from_an_offset_that_is_in_memory),
        TEST(from_further_back_than_memory),
        TEST(a_flood_passes_memory),
        TEST(a_key_alone),
        TEST(the_visitor_may_stop),
        TEST(only_what_is_committed),
        TEST(beyond_the_end_is_another_log),
        TEST(a_topic_that_is_not_there_yet),
        TEST(kafka_is_away),
        TEST(the_registry_is_away),
        TEST(nothing_is_read_for_nobody),
        TEST(once),
        TEST(once_at_the_end_or_beyond),
        TEST(who_is_woken),
        TEST(records_as_json),
        TEST(a_visitor_may_do_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
