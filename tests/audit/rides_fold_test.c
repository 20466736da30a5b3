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

struct step {
    const char *ride, *driver;
    enum ride_state state;
};

/* Steps up to one without a ride. */
static const struct {
    const char *name;
    uint64_t violations;
    struct step steps[12];
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

static struct ride ride_of(const struct step *s) {
    return (struct ride){.id = slice_of(s->ride),
                         .rider_id = slice_of(s->ride), /* each has one of their own */
                         .driver_id = slice_of(s->driver),
                         .state = s->state};
}

static void steps_and_faults(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit *a = audit_create();
        struct rides_fold *f = rides_fold_create();
        for (const struct step *s = cases[i].steps; s->ride != NULL; s++) {
            struct ride r = ride_of(s);
            rides_fold_ride(f, a, (struct audit_at){0, s - cases[i].steps}, &r);
        }
        rides_fold_suspect(f);
        rides_fold_judge(f, a);
        if (audit_result(a, AUDIT_RIDES)->violations != cases[i].violations)
            fail_msg("%s: %d violations", cases[i].name, (int)audit_result(a, AUDIT_RIDES)->violations);
        rides_fold_destroy(f);
        audit_destroy(a);
    }
}

static void who_ends_one_between_two_looks_is_no_suspect(void **state) {
    (void)state;
    struct audit *a = audit_create();
    struct rides_fold *f = rides_fold_create();
    const struct step steps[] = {{"1", NULL, R}, {"1", "d", A},  {"2", NULL, R}, {"2", "d", A},
                                 {"1", "d", X},  {"3", NULL, R}, {"3", "d", A}};
    for (size_t i = 0; i < 4; i++) {
        struct ride r = ride_of(&steps[i]);
        rides_fold_ride(f, a, (struct audit_at){0, 0}, &r);
    }
    rides_fold_suspect(f);
    for (size_t i = 4; i < 7; i++) { /* 3 is as new as the end of 2, which the next look would show */
        struct ride r = ride_of(&steps[i]);
        rides_fold_ride(f, a, (struct audit_at){0, 0}, &r);
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
    struct ride requested = ride_of(&(struct step){"1", NULL, R}),
                accepted = ride_of(&(struct step){"1", "d", A}),
                cancelled = ride_of(&(struct step){"1", "d", X});
    rides_fold_ride(f, a, (struct audit_at){0, 0}, &requested);
    rides_fold_ride(f, a, (struct audit_at){0, 1}, &accepted);
    rides_fold_view(f, a, 0, &accepted, false);
    rides_fold_view(f, a, 0, &cancelled, true); /* newer */
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 0);
    rides_fold_view(f, a, 0, &cancelled, false);
    rides_fold_view(f, a, 0, &requested, false);
    rides_fold_view(f, a, 0, NULL, false);
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 3);
    rides_fold_ride(f, a, (struct audit_at){0, 2}, &cancelled);
    rides_fold_view(f, a, 0, &accepted, true); /* what is over stays so */
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->violations, 4);
    assert_int_equal(audit_result(a, AUDIT_VIEWS)->checked, 6);
    rides_fold_destroy(f);
    audit_destroy(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_and_faults),
        cmocka_unit_test(who_ends_one_between_two_looks_is_no_suspect),
        cmocka_unit_test(views_show_the_last_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
