#include "rides_fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define R RIDE_STATE_REQUESTED
#define A RIDE_STATE_ACCEPTED
#define W RIDE_STATE_ARRIVED
#define O RIDE_STATE_ON_TRIP
#define C RIDE_STATE_COMPLETED
#define X RIDE_STATE_CANCELLED

struct txn {
    const char *ride, *driver;
    enum ride_state state;
};

/* Steps up to one without a ride. */
static const struct {
    const char *name;
    uint64_t violations;
    struct txn steps[12];
} cases[] = {
    {"whole", 0, {{"1", NULL, R}, {"1", "d", A}, {"1", "d", W}, {"1", "d", O}, {"1", "d", C}}},
    {"cancelled at once", 0, {{"1", NULL, R}, {"1", NULL, X}}},
    {"cancelled late", 0, {{"1", NULL, R}, {"1", "d", A}, {"1", "d", W}, {"1", "d", X}}},
    {"given back, and another takes it",
     0,
     {{"1", NULL, R}, {"1", "d", A}, {"1", NULL, R}, {"1", "e", A}, {"1", "e", W}}},
    {"one after the other", 0, {{"1", NULL, R}, {"1", "d", A}, {"1", "d", X}, {"2", NULL, R}, {"2", "d", A}}},
    {"two drivers", 1, {{"1", NULL, R}, {"1", "d", A}, {"1", "e", A}}},
    {"changes its driver", 1, {{"1", NULL, R}, {"1", "d", A}, {"1", "e", W}}},
    {"begins ACCEPTED", 1, {{"1", "d", A}}},
    {"accepted by nobody", 1, {{"1", NULL, R}, {"1", NULL, A}}},
    {"starts too early", 1, {{"1", NULL, R}, {"1", "d", A}, {"1", "d", O}}},
    {"cancelled on the trip",
     1,
     {{"1", NULL, R}, {"1", "d", A}, {"1", "d", W}, {"1", "d", O}, {"1", "d", X}}},
    {"goes on after its end", 1, {{"1", NULL, R}, {"1", NULL, X}, {"1", NULL, R}}},
    {"given back on the trip",
     1,
     {{"1", NULL, R}, {"1", "d", A}, {"1", "d", W}, {"1", "d", O}, {"1", NULL, R}}},
    {"twice the same", 1, {{"1", NULL, R}, {"1", NULL, R}}},
    {"a driver with two", 1, {{"1", NULL, R}, {"2", NULL, R}, {"1", "d", A}, {"2", "d", A}}},
};

/* The same, over time. */
static const struct {
    const char *name;
    uint64_t violations;
    struct txn steps[12];
    bool apart;       /* each ride in a partition of its own */
    int64_t pause_ms; /* between the steps */
} at_once[] = {
    {"a driver with two in two partitions",
     1,
     {{"1", NULL, R}, {"2", NULL, R}, {"1", "d", A}, {"2", "d", A}},
     true,
     0},
    {"had two, for a moment",
     1,
     {{"1", NULL, R}, {"2", NULL, R}, {"1", "d", A}, {"2", "d", A}, {"1", "d", X}, {"2", "d", X}},
     false,
     0},
    {"had two in two partitions, for their whole length",
     1,
     {{"1", NULL, R},
      {"2", NULL, R},
      {"1", "d", A},
      {"2", "d", A},
      {"1", "d", W},
      {"2", "d", W},
      {"1", "d", O},
      {"2", "d", O},
      {"1", "d", C},
      {"2", "d", C}},
     true,
     3000},
    {"had one within another", /* the second has a command in between, and ends before */
     1,
     {{"1", NULL, R},
      {"2", NULL, R},
      {"1", "d", A},
      {"1", "d", W},
      {"2", "d", A},
      {"2", "d", W},
      {"2", "d", X},
      {"1", "d", O},
      {"1", "d", C}},
     true,
     10000},
    {"one after the other in two partitions",
     0,
     {{"1", NULL, R},
      {"1", "d", A},
      {"1", "d", W},
      {"1", "d", O},
      {"1", "d", C},
      {"2", NULL, R},
      {"2", "d", A},
      {"2", "d", W},
      {"2", "d", X}},
     true,
     10000},
    {"the other is asked for early, and given after the first", /* a hail's time is that of the wish */
     0,
     {{"1", NULL, R},
      {"2", NULL, R},
      {"1", "d", A},
      {"1", "d", W},
      {"2", "d", A},
      {"1", "d", X},
      {"2", "d", W},
      {"2", "d", X}},
     true,
     4000},
    {"given back, and taken up again",
     0,
     {{"1", NULL, R},
      {"1", "d", A},
      {"1", NULL, R},
      {"2", NULL, R},
      {"2", "d", A},
      {"2", "d", X},
      {"1", "d", A},
      {"1", "d", X}},
     false,
     10000},
};

static struct ride ride_of(const struct txn *txn) {
    return (struct ride){.id = slice_of(txn->ride),
                         .rider_id = slice_of(txn->ride), /* each has one of their own */
                         .driver_id = slice_of(txn->driver),
                         .state = txn->state};
}

static void steps_and_faults(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit *a = audit_create();
        struct rides_fold *f = rides_fold_create();
        for (const struct txn *txn = cases[i].steps; txn->ride != NULL; txn++) {
            struct ride r = ride_of(txn);
            rides_fold_ride(f, a, (struct audit_at){0, txn - cases[i].steps}, 0, &r);
        }
        rides_fold_suspect(f);
        rides_fold_judge(f, a);
        if (audit_result(a, AUDIT_RIDES)->violations != cases[i].violations)
            fail_msg("%s: %d violations", cases[i].name, (int)audit_result(a, AUDIT_RIDES)->violations);
        rides_fold_destroy(f);
        audit_destroy(a);
    }
}

static void nobody_has_two_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof at_once / sizeof *at_once; i++) {
        struct audit *a = audit_create();
        struct rides_fold *f = rides_fold_create();
        for (const struct txn *txn = at_once[i].steps; txn->ride != NULL; txn++) {
            struct ride r = ride_of(txn);
            int64_t n = txn - at_once[i].steps;
            rides_fold_ride(f, a, (struct audit_at){at_once[i].apart ? txn->ride[0] - '0' : 0, n},
                            n * at_once[i].pause_ms, &r);
        }
        rides_fold_suspect(f);
        rides_fold_judge(f, a);
        if (audit_result(a, AUDIT_RIDES)->violations != at_once[i].violations)
            fail_msg("%s: %d violations", at_once[i].name, (int)audit_result(a, AUDIT_RIDES)->violations);
        rides_fold_destroy(f);
        audit_destroy(a);
    }
}

/* The same for riders; theirs are all of one rider. */
static void a_rider_has_one_too(void **state) {
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct audit *a = audit_create();
        struct rides_fold *f = rides_fold_create();
        const struct txn steps[] = {{"1", NULL, R}, {"2", NULL, R}, {"1", "d", A}, {"2", "e", A},
                                    {"1", "d", W},  {"2", "e", W},  {"1", "d", X}, {"2", "e", X}};
        for (size_t i = 0; i < 8; i++) {
            struct ride r = ride_of(&steps[i]);
            r.rider_id = SLICE("ann");
            rides_fold_ride(f, a, (struct audit_at){apart * (r.id.data[0] - '0'), (int64_t)i},
                            (int64_t)i * 10000, &r);
        }
        rides_fold_suspect(f);
        rides_fold_judge(f, a);
        assert_int_equal(audit_result(a, AUDIT_RIDES)->violations, 1);
        rides_fold_destroy(f);
        audit_destroy(a);
    }
}

static void who_ends_one_between_two_looks_is_no_suspect(void **state) {
    (void)state;
    struct audit *a = audit_create();
    struct rides_fold *f = rides_fold_create();
    const struct txn steps[] = {{"1", NULL, R}, {"1", "d", A},  {"2", NULL, R}, {"2", "d", A},
                                {"1", "d", X},  {"3", NULL, R}, {"3", "d", A}};
    for (size_t i = 0; i < 4; i++) {
        struct ride r = ride_of(&steps[i]);
        rides_fold_ride(f, a, (struct audit_at){r.id.data[0] - '0', 0}, 0, &r);
    }
    rides_fold_suspect(f);
    for (size_t i = 4; i < 7; i++) { /* 3 is as new as the end of 2, which the next look would show */
        struct ride r = ride_of(&steps[i]);
        rides_fold_ride(f, a, (struct audit_at){r.id.data[0] - '0', 0}, 0, &r);
    }
    rides_fold_judge(f, a);
    assert_int_equal(audit_result(a, AUDIT_RIDES)->violations, 0);
    rides_fold_destroy(f);
    audit_destroy(a);
}

static void views_show_the_last_of_each(void **state) {
    (void)state;
    struct audit *a = audit_create();
    struct rides_fold *f = rides_fold_create();
    struct ride requested = ride_of(&(struct txn){"1", NULL, R}),
                accepted = ride_of(&(struct txn){"1", "d", A}),
                cancelled = ride_of(&(struct txn){"1", "d", X});
    rides_fold_ride(f, a, (struct audit_at){0, 0}, 0, &requested);
    rides_fold_ride(f, a, (struct audit_at){0, 1}, 0, &accepted);
    rides_fold_view(f, a, 0, &accepted, false);
    rides_fold_view(f, a, 0, &cancelled, true); /* newer */
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 0);
    rides_fold_view(f, a, 0, &cancelled, false);
    rides_fold_view(f, a, 0, &requested, false);
    rides_fold_view(f, a, 0, NULL, false);
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 3);
    rides_fold_ride(f, a, (struct audit_at){0, 2}, 0, &cancelled);
    rides_fold_view(f, a, 0, &accepted, true); /* what is over stays so */
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 4);
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->checked, 6);
    rides_fold_destroy(f);
    audit_destroy(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_and_faults),
        cmocka_unit_test(nobody_has_two_at_once),
        cmocka_unit_test(a_rider_has_one_too),
        cmocka_unit_test(who_ends_one_between_two_looks_is_no_suspect),
        cmocka_unit_test(views_show_the_last_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
