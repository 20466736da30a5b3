#include "log/partitions.h"
#include "partitions/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct partitions set(const char *text) {
    struct partitions s = {0};
    for (; *text != 0; text++)
        partitions_put(&s, *text - '0', true);
    return s;
}

/* "slot[!]@seconds owned/held", separated by ", "; !: it leaves. */
static struct members members_of(const char *text) {
    struct members all = {0};
    for (const char *at = text; *at != 0;) {
        struct member m = {0};
        int seconds, n = 0;
        char owned[20] = "", held[20] = "", mark = 0;
        if (sscanf(at, "%d!@%d %n", &m.slot, &seconds, &n) == 2 && n > 0)
            mark = '!';
        else if (sscanf(at, "%d@%d %n", &m.slot, &seconds, &n) != 2 || n == 0)
            fail_msg("not a member: %s", at);
        at += n;
        at += strspn(strncpy(owned, at, strcspn(at, "/")), "0123456789") + 1;
        at += strspn(strncpy(held, at, strcspn(at, ",")), "0123456789");
        at += strspn(at, ", ");
        m.leaving = mark == '!';
        m.time = seconds * 1000;
        m.owned = set(owned);
        m.held = set(held);
        snprintf(m.address, sizeof m.address, "%d", m.slot);
        members_put(&all, &m);
    }
    return all;
}

static void assert_owner(const char *members, int32_t partition, int slot) {
    struct members all = members_of(members);
    const struct member *owner = placement_owner(&all, partition);
    assert_int_equal(owner == NULL ? -1 : owner->slot, slot);
}

/* The slots that shall hold a partition, and of the others those that may delete it. */
static void assert_placed(const char *members, int32_t partition, int standbys, const char *wanted,
                          const char *spare) {
    struct members all = members_of(members);
    char wants[20] = "", spares[20] = "";
    for (size_t i = 0; i < all.count; i++) {
        char slot[2] = {(char)('0' + all.at[i].slot), 0};
        if (placement_wants(&all, &all.at[i], partition, standbys))
            strcat(wants, slot);
        else if (placement_spares(&all, &all.at[i], partition, standbys))
            strcat(spares, slot);
    }
    assert_string_equal(wants, wanted);
    assert_string_equal(spares, spare);
}

static void assert_asked(const char *members, int self, int32_t partition, const char *slots) {
    struct members all = members_of(members);
    const struct member *holders[MEMBERS_MAX], *me = NULL;
    char asked[20] = "";
    for (size_t i = 0; i < all.count; i++)
        me = all.at[i].slot == self ? &all.at[i] : me;
    size_t n = placement_holders(&all, me, partition, holders);
    for (size_t i = 0; i < n; i++)
        strcat(asked, holders[i]->address);
    assert_string_equal(asked, slots);
}

static void members_are_in_the_order_of_slots(void **state) {
    (void)state;
    struct members all = members_of("7@1 0/, 2@1 1/, 9@1 /, 2@5 3/");
    assert_int_equal(all.count, 3);
    assert_int_equal(all.at[0].slot, 2);
    assert_true(partitions_has(&all.at[0].owned, 3) && !partitions_has(&all.at[0].owned, 1));
    assert_int_equal(all.at[2].slot, 9);
    for (int32_t slot = 0; slot < 2 * MEMBERS_MAX; slot++)
        members_put(&all, &(struct member){.slot = slot});
    assert_int_equal(all.count, MEMBERS_MAX);
}

static void the_later_claim_counts(void **state) {
    (void)state;
    assert_owner("0@1 01/01, 1@1 23/23", 2, 1);
    assert_owner("0@1 01/01, 1@2 123/23", 1, 1);
    assert_owner("0@3 01/01, 1@2 123/23", 1, 0);
    assert_owner("0@1 0/0", 1, -1);
    assert_owner("", 0, -1);
}

static void standbys_follow_the_owner(void **state) {
    (void)state;
    const char *three = "0@1 03/0123, 1@1 1/0123, 2@1 2/0123";
    assert_placed(three, 0, 0, "0", "12");
    assert_placed(three, 0, 1, "01", "2");
    assert_placed(three, 2, 1, "02", "1"); /* round about */
    assert_placed(three, 1, 2, "012", "");
    assert_placed(three, 1, 9, "012", "");
    assert_placed("4@1 0/0", 0, 1, "4", "");
    assert_placed("0@1 0/0, 1@1 /, 2@1 /", 0, 1, "01", ""); /* more instances than partitions */
}

static void nothing_goes_before_it_is_elsewhere(void **state) {
    (void)state;
    assert_placed("0@1 0/01, 1@1 1/1, 2@1 /1", 1, 0, "1", "02");
    assert_placed("0@1 0/01, 1@1 1/, 2@1 /1", 1, 0, "1", "");
    assert_placed("0@1 0/01, 1@1 1/1, 2@1 /", 1, 1, "12", ""); /* the standby is still without */
    assert_placed("0@1 0/01, 1@1 1/1, 2@1 /1", 1, 1, "12", "0");
    assert_placed("0@1 0/01", 1, 1, "", ""); /* nobody's task yet */
}

static void the_dead_and_the_leaving_hold_nothing_up(void **state) {
    (void)state;
    /* 1 died: still the owner until another has its tasks, nobody deletes, 2 stays the standby. */
    assert_placed("0@30 0/01, 1@2 1/1, 2@30 2/12", 1, 1, "12", "");
    /* 2 took over; 0 follows it, since 1 is silent. */
    assert_placed("0@30 0/01, 1@2 1/1, 2@30 12/12", 1, 1, "02", "1");
    assert_placed("0@30 0/0, 1@2 /1, 2@30 12/12", 1, 0, "2", "01");
    /* 1 leaves: nobody's standby; what it owns stays until it is somebody else's. */
    assert_placed("0@30 0/01, 1!@30 1/01, 2@30 2/12", 0, 1, "02", "");
    assert_placed("0@30 0/01, 1!@30 1/01, 2@30 2/12", 1, 0, "1", "");
    assert_placed("0@30 01/01, 1!@30 /01, 2@30 2/12", 1, 0, "0", "12");
}

static void the_owner_is_asked_first_and_the_dead_last(void **state) {
    (void)state;
    const char *members = "0@30 0/01, 1@30 1/01, 2@3 /01, 3@30 /1";
    assert_asked(members, 3, 1, "102");
    assert_asked(members, 1, 1, "032");
    assert_asked(members, 0, 0, "12");
    assert_asked(members, -1, 0, "012");
    assert_asked(members, 0, 2, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_in_the_order_of_slots),
        cmocka_unit_test(the_later_claim_counts),
        cmocka_unit_test(standbys_follow_the_owner),
        cmocka_unit_test(nothing_goes_before_it_is_elsewhere),
        cmocka_unit_test(the_dead_and_the_leaving_hold_nothing_up),
        cmocka_unit_test(the_owner_is_asked_first_and_the_dead_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
