/* The three topologies of a ride, in memory, one feeding the next: every order in which Kafka could deliver
 * what is under way. */
#include "claims.h"
#include "driver/driver.h"
#include "replies.h"
#include "rider/rider.h"
#include "rider/rides.h"
#include "testing/driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define T INT64_C(1700000000000)

enum { MESSAGES_MAX = 4096, QUEUES_MAX = 64, IDS_MAX = 8, CHOICES_MAX = 256 };

/* What waits in one partition of a topic, if each key had its own. */
struct queue {
    const struct topic *topic;
    struct slice key;
    struct {
        const void *value;
        int64_t at;
    } messages[256];
    size_t first, count;
};

struct world {
    struct driver *rider, *rides, *driver;
    struct queue queues[QUEUES_MAX];
    size_t queue_count;
    struct ride last[IDS_MAX]; /* as the log says */
    size_t ride_count, events;
    const char *failure;
};

static void wrong(struct world *w, const char *why) {
    if (w->failure == NULL)
        w->failure = why;
}

static void push(struct world *w, const struct topic *t, struct slice key, const void *value, int64_t at) {
    struct queue *q = w->queues;
    while (q < w->queues + w->queue_count && (q->topic != t || !slice_equal(q->key, key)))
        q++;
    if (q == w->queues + w->queue_count) {
        assert_true(w->queue_count < QUEUES_MAX);
        *q = (struct queue){.topic = t, .key = key};
        w->queue_count++;
    }
    assert_true(q->first + q->count < 256);
    q->messages[q->first + q->count].value = value;
    q->messages[q->first + q->count++].at = at;
}

static bool legal(const struct ride *from, const struct ride *to) {
    bool same_driver =
        from->driver_id.size == to->driver_id.size && slice_equal(from->driver_id, to->driver_id);
    switch (to->state) {
    case RIDE_STATE_REQUESTED:
        return (from->state == RIDE_STATE_ACCEPTED || from->state == RIDE_STATE_ARRIVED) &&
               to->driver_id.data == NULL;
    case RIDE_STATE_ACCEPTED:
        return from->state == RIDE_STATE_REQUESTED && to->driver_id.data != NULL;
    case RIDE_STATE_ARRIVED:
        return from->state == RIDE_STATE_ACCEPTED && same_driver;
    case RIDE_STATE_ON_TRIP:
        return from->state == RIDE_STATE_ARRIVED && same_driver;
    case RIDE_STATE_COMPLETED:
        return from->state == RIDE_STATE_ON_TRIP && same_driver;
    case RIDE_STATE_CANCELLED:
        return from->state < RIDE_STATE_ON_TRIP && same_driver;
    }
    return false;
}

static bool is_over(const struct ride *r) {
    return r->state >= RIDE_STATE_COMPLETED;
}

/* The ride that somebody has, by the log. */
static const struct ride *held_by(const struct world *w, bool driver, struct slice id) {
    for (size_t i = 0; i < w->ride_count; i++) {
        struct slice who = driver ? w->last[i].driver_id : w->last[i].rider_id;
        if (!is_over(&w->last[i]) && who.data != NULL && slice_equal(who, id))
            return &w->last[i];
    }
    return NULL;
}

static void on_ride(struct world *w, const struct ride *r) {
    size_t i = 0;
    while (i < w->ride_count && !slice_equal(w->last[i].id, r->id))
        i++;
    if (i == w->ride_count ? r->state != RIDE_STATE_REQUESTED : !legal(&w->last[i], r))
        wrong(w, "a ride takes a step that there is not");
    if (i == w->ride_count)
        assert_true(w->ride_count++ < IDS_MAX);
    w->last[i] = (struct ride){.id = r->id, .state = RIDE_STATE_COMPLETED};
    if (!is_over(r) && held_by(w, false, r->rider_id) != NULL)
        wrong(w, "a rider has two rides");
    if (!is_over(r) && r->driver_id.data != NULL && held_by(w, true, r->driver_id) != NULL)
        wrong(w, "a driver has two rides");
    w->last[i] = *r;
    w->events++;
}

static void take_outputs(struct world *w, struct driver *d) {
    struct event e;
    while (driver_next(d, &e)) {
        if (e.topic == &topic_rides)
            on_ride(w, e.value);
        else if (e.topic == &topic_dead_letters)
            wrong(w, "a dead letter");
        else
            push(w, e.topic, e.key, e.value, e.timestamp);
    }
}

static void deliver(struct world *w, struct queue *q) {
    struct driver *to = q->topic == &topic_ride_commands ? w->rides
                        : q->topic == &topic_rider_commands || q->topic == &topic_rider_claim_answers
                            ? w->rider
                            : w->driver;
    q->count--;
    driver_send(to, q->topic, q->key, q->messages[q->first].value, q->messages[q->first].at);
    q->first++;
    take_outputs(w, to);
}

/* What comes next, when several things could. */
struct chooser {
    size_t choices[CHOICES_MAX], options[CHOICES_MAX], count, at;
    unsigned seed; /* 0: all in turn */
};

static size_t choose(struct chooser *c, size_t options) {
    if (options == 1)
        return 0;
    if (c->seed != 0)
        return (size_t)rand_r(&c->seed) % options;
    assert_true(c->at < CHOICES_MAX);
    if (c->at == c->count)
        c->choices[c->count++] = 0;
    c->options[c->at] = options;
    return c->choices[c->at++];
}

/* Moves on to the next order; false when there is none. */
static bool next_order(struct chooser *c) {
    while (c->count > 0 && c->choices[c->count - 1] + 1 == c->options[c->count - 1])
        c->count--;
    if (c->count == 0)
        return false;
    c->choices[c->count - 1]++;
    c->at = 0;
    return true;
}

static void run(struct world *w, struct chooser *c) {
    for (;;) {
        struct queue *ready[QUEUES_MAX];
        size_t n = 0;
        for (size_t i = 0; i < w->queue_count; i++)
            if (w->queues[i].count > 0)
                ready[n++] = &w->queues[i];
        if (n == 0)
            return;
        deliver(w, ready[c == NULL ? 0 : choose(c, n)]);
    }
}

static struct world *world_create(void) {
    struct world *w = xcalloc(1, sizeof *w);
    w->rider = driver_create(&rider_topology);
    w->rides = driver_create(&rides_topology);
    w->driver = driver_create(&driver_topology);
    return w;
}

static void world_destroy(struct world *w) {
    driver_destroy(w->rider);
    driver_destroy(w->rides);
    driver_destroy(w->driver);
    free(w);
}

/* ---- commands ---- */

/* Test data for the process's life. */
static struct slice text(const char *fmt, ...) {
    static struct arena a;
    static char line[64];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    struct slice copy = arena_copy(&a, (struct slice){line, (size_t)n + 1});
    copy.size--;
    return copy;
}

static void command(struct world *w, const char *id, enum ride_action action, const char *who,
                    const char *ride, int64_t at) {
    static struct arena a;
    struct ride_command *c = arena_alloc(&a, sizeof *c);
    bool rider = action == RIDE_ACTION_HAIL || action == RIDE_ACTION_CANCEL;
    *c = (struct ride_command){
        .id = text("%s", id), .action = action, .ride_id = text("%s", ride), .claim = -1};
    *(rider ? &c->rider_id : &c->driver_id) = text("%s", who);
    if (action == RIDE_ACTION_HAIL)
        push(w, &topic_rider_commands, c->rider_id, c, at);
    else if (action == RIDE_ACTION_ACCEPT)
        push(w, &topic_driver_commands, c->driver_id, c, at);
    else
        push(w, &topic_ride_commands, c->ride_id, c, at);
}

#define HAIL(w, id, rider, ride) command(w, id, RIDE_ACTION_HAIL, rider, ride, T)
#define ACCEPT(w, id, driver, ride) command(w, id, RIDE_ACTION_ACCEPT, driver, ride, T)
#define DO(w, id, action, who, ride) command(w, id, RIDE_ACTION_##action, who, ride, T)

static int reply_in(struct ride_reply_array replies, const char *command_id) {
    for (size_t i = 0; i < replies.count; i++)
        if (slice_equal(replies.items[i].command, slice_of(command_id)))
            return replies.items[i].status;
    return 0;
}

static int reply_of_ride(struct world *w, const char *ride, const char *command_id) {
    struct ride_decision d;
    return driver_view(w->rides, &rides_decisions, slice_of(ride), SLICE_NONE, &d)
               ? reply_in(d.replies, command_id)
               : 0;
}

static int reply_of_claim(struct world *w, bool driver, const char *who, const char *command_id) {
    struct ride_claim c;
    return driver_view(driver ? w->driver : w->rider, driver ? &driver_claims : &rider_claims, slice_of(who),
                       SLICE_NONE, &c)
               ? reply_in(c.replies, command_id)
               : 0;
}

/* What the sender was told: exactly once, by the ride or by the claim. */
static int reply_to(struct world *w, bool driver, const char *who, const char *ride, const char *command_id) {
    int by_ride = reply_of_ride(w, ride, command_id), by_claim = reply_of_claim(w, driver, who, command_id);
    if ((by_ride == 0) == (by_claim == 0))
        wrong(w, "a command has not exactly one reply");
    return by_ride + by_claim;
}

/* When all is quiet, a claim is on the ride that its owner has, or on none. */
static void check_claim(struct world *w, bool driver, const char *who) {
    struct ride_claim c = {0};
    driver_view(driver ? w->driver : w->rider, driver ? &driver_claims : &rider_claims, slice_of(who),
                SLICE_NONE, &c);
    const struct ride *held = held_by(w, driver, slice_of(who));
    if ((held == NULL) != (c.ride_id.data == NULL) || (held != NULL && !slice_equal(held->id, c.ride_id)))
        wrong(w, held == NULL ? "a claim is stuck" : "somebody has a ride without a claim on it");
    struct driver_presence p;
    if (driver && held == NULL && driver_view(w->driver, &driver_presence, slice_of(who), SLICE_NONE, &p))
        wrong(w, "presence of a driver without a ride");
}

static void check_claims(struct world *w) {
    check_claim(w, false, "ann");
    check_claim(w, false, "eve");
    check_claim(w, true, "bob");
    check_claim(w, true, "cid");
    check_claim(w, true, "dan");
}

static const struct ride *ride(struct world *w, const char *id) {
    for (size_t i = 0; i < w->ride_count; i++)
        if (slice_equal(w->last[i].id, slice_of(id)))
            return &w->last[i];
    return NULL;
}

static bool in_state(struct world *w, const char *id, enum ride_state state) {
    const struct ride *r = ride(w, id);
    return r != NULL && r->state == state;
}

#define EXPECT(w, condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            wrong(w, #condition);                                                                            \
    } while (0)

/* Runs a story in every order of its second part. */
struct story {
    void (*before)(struct world *w), (*at_once)(struct world *w), (*after)(struct world *w);
};

static size_t tell(const struct story *story) {
    static struct chooser c;
    size_t orders = 0;
    memset(&c, 0, sizeof c);
    do {
        struct world *w = world_create();
        if (story->before != NULL) {
            story->before(w);
            run(w, NULL);
        }
        story->at_once(w);
        run(w, &c);
        check_claims(w);
        story->after(w);
        check_claims(w);
        orders++;
        if (w->failure != NULL)
            fail_msg("order %zu: %s", orders, w->failure);
        world_destroy(w);
    } while (next_order(&c));
    return orders;
}

/* ---- the stories ---- */

static void hailed(struct world *w) {
    HAIL(w, "h1", "ann", "r1");
}

static void hailed_twice(struct world *w) {
    HAIL(w, "h1", "ann", "r1");
    HAIL(w, "h2", "eve", "r2");
}

static void accepted(struct world *w) {
    hailed(w);
    run(w, NULL);
    ACCEPT(w, "a1", "bob", "r1");
}

static void whole_ride(void **state) {
    (void)state;
    struct world *w = world_create();
    accepted(w);
    run(w, NULL);
    DO(w, "s0", START, "bob", "r1");
    DO(w, "x0", ARRIVE, "cid", "r1");
    DO(w, "s1", ARRIVE, "bob", "r1");
    DO(w, "s2", ARRIVE, "bob", "r1");
    DO(w, "s3", START, "bob", "r1");
    DO(w, "c1", CANCEL, "ann", "r1");
    DO(w, "s4", COMPLETE, "bob", "r1");
    DO(w, "s5", COMPLETE, "bob", "r1");
    DO(w, "c2", CANCEL, "ann", "r1");
    run(w, NULL);
    static const struct {
        const char *command;
        int status;
    } replies[] = {{"h1", 201}, {"a1", 200}, {"s0", 409}, {"x0", 409}, {"s1", 200}, {"s2", 200},
                   {"s3", 200}, {"c1", 409}, {"s4", 200}, {"s5", 200}, {"c2", 409}};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        if (reply_of_ride(w, "r1", replies[i].command) != replies[i].status)
            fail_msg("%s: %d", replies[i].command, reply_of_ride(w, "r1", replies[i].command));
    assert_int_equal(w->events, 5);
    assert_true(ride(w, "r1")->started_at.present && ride(w, "r1")->ended_at.present);
    check_claims(w);
    ACCEPT(w, "a2", "bob", "r1"); /* over: nobody has it, and no claim stays */
    HAIL(w, "h2", "ann", "r2");
    run(w, NULL);
    assert_int_equal(reply_of_ride(w, "r1", "a2"), 409);
    assert_true(in_state(w, "r2", RIDE_STATE_REQUESTED));
    check_claims(w);
    if (w->failure != NULL)
        fail_msg("%s", w->failure);
    world_destroy(w);
}

static void two_accept(struct world *w) {
    ACCEPT(w, "a1", "bob", "r1");
    ACCEPT(w, "a2", "cid", "r1");
}

static void one_has_won(struct world *w) {
    int bob = reply_to(w, true, "bob", "r1", "a1"), cid = reply_to(w, true, "cid", "r1", "a2");
    EXPECT(w, bob + cid == 200 + 409);
    EXPECT(w, slice_equal(ride(w, "r1")->driver_id, slice_of(bob == 200 ? "bob" : "cid")));
    EXPECT(w, w->events == 2);
}

static void of_two_who_accept_one_wins(void **state) {
    (void)state;
    assert_in_range(tell(&(struct story){hailed, two_accept, one_has_won}), 2, SIZE_MAX);
}

static void accept_crosswise(struct world *w) {
    ACCEPT(w, "a1", "bob", "r1");
    ACCEPT(w, "a2", "bob", "r2");
    ACCEPT(w, "a3", "cid", "r1");
    ACCEPT(w, "a4", "cid", "r2");
}

static void each_has_at_most_one(struct world *w) {
    int bob = (reply_to(w, true, "bob", "r1", "a1") == 200) + (reply_to(w, true, "bob", "r2", "a2") == 200);
    int cid = (reply_to(w, true, "cid", "r1", "a3") == 200) + (reply_to(w, true, "cid", "r2", "a4") == 200);
    EXPECT(w, bob <= 1 && cid <= 1 && bob + cid >= 1);
    EXPECT(w, !in_state(w, "r1", RIDE_STATE_REQUESTED) || !in_state(w, "r2", RIDE_STATE_REQUESTED));
    /* Who has lost everything takes what is left, at once. */
    const char *idle = bob == 0 ? "bob" : "cid",
               *left = in_state(w, "r1", RIDE_STATE_REQUESTED) ? "r1" : "r2";
    if (bob + cid == 1) {
        ACCEPT(w, "a5", idle, left);
        run(w, NULL);
        EXPECT(w, reply_to(w, true, idle, left, "a5") == 200);
    }
}

static void two_drivers_and_two_rides_crosswise(void **state) {
    (void)state;
    assert_in_range(tell(&(struct story){hailed_twice, accept_crosswise, each_has_at_most_one}), 100,
                    SIZE_MAX);
}

/* The loser is told before its claim is gone, and accepts another at once. */
static void a_loser_takes_another_at_once(void **state) {
    (void)state;
    struct world *w = world_create();
    hailed_twice(w);
    run(w, NULL);
    ACCEPT(w, "a1", "bob", "r1");
    run(w, NULL);
    ACCEPT(w, "a2", "cid", "r1");
    deliver(w, &w->queues[w->queue_count - 1]); /* the claim */
    for (size_t i = 0; reply_of_ride(w, "r1", "a2") == 0; i = (i + 1) % w->queue_count)
        if (w->queues[i].topic == &topic_ride_commands && w->queues[i].count > 0)
            deliver(w, &w->queues[i]);
    ACCEPT(w, "a3", "cid", "r2");
    for (size_t i = w->queue_count; i-- > 0;) /* before the ride's answer */
        if (w->queues[i].topic == &topic_driver_commands && w->queues[i].count > 0)
            deliver(w, &w->queues[i]);
    run(w, NULL);
    assert_int_equal(reply_of_ride(w, "r1", "a2"), 409);
    assert_int_equal(reply_of_ride(w, "r2", "a3"), 200);
    check_claims(w);
    if (w->failure != NULL)
        fail_msg("%s", w->failure);
    world_destroy(w);
}

static void cancel_and_accept(struct world *w) {
    DO(w, "c1", CANCEL, "ann", "r1");
    ACCEPT(w, "a1", "bob", "r1");
    HAIL(w, "h2", "ann", "r2");
}

static void cancelled_in_the_end(struct world *w) {
    int bob = reply_to(w, true, "bob", "r1", "a1");
    EXPECT(w, in_state(w, "r1", RIDE_STATE_CANCELLED));
    EXPECT(w, reply_of_ride(w, "r1", "c1") == 200);
    EXPECT(w, bob == 200 || bob == 409);
    EXPECT(w, (ride(w, "r1")->driver_id.data != NULL) == (bob == 200));
    int again = in_state(w, "r2", RIDE_STATE_REQUESTED) ? reply_of_ride(w, "r2", "h2")
                                                        : reply_of_claim(w, false, "ann", "h2");
    EXPECT(w, again == (ride(w, "r2") != NULL ? 201 : 409));
}

static void cancel_against_accept(void **state) {
    (void)state;
    assert_in_range(tell(&(struct story){hailed, cancel_and_accept, cancelled_in_the_end}), 5, SIZE_MAX);
}

static void cancel_and_start(struct world *w) {
    DO(w, "s1", ARRIVE, "bob", "r1");
    DO(w, "c1", CANCEL, "ann", "r1");
    DO(w, "s2", START, "bob", "r1");
    ACCEPT(w, "a2", "cid", "r1");
}

static void cancelled_before_the_trip(struct world *w) {
    EXPECT(w, reply_of_ride(w, "r1", "c1") == 200 && reply_of_ride(w, "r1", "s2") == 409);
    EXPECT(w, reply_to(w, true, "cid", "r1", "a2") == 409);
}

static void cancel_against_start(void **state) {
    (void)state;
    tell(&(struct story){accepted, cancel_and_start, cancelled_before_the_trip});
}

/* Whoever was away comes back, while another takes the ride. */
static void vanish(struct world *w) {
    struct driver_presence p;
    assert_true(driver_view(w->driver, &driver_presence, SLICE("bob"), SLICE_NONE, &p));
    static struct ride_command gone;
    gone = (struct ride_command){.id = SLICE("gone:bob:0"),
                                 .action = RIDE_ACTION_GIVE_BACK,
                                 .ride_id = SLICE("r1"),
                                 .driver_id = SLICE("bob"),
                                 .claim = p.claim};
    push(w, &topic_ride_commands, SLICE("r1"), &gone, T);
    ACCEPT(w, "a2", "bob", "r1");
    ACCEPT(w, "a3", "cid", "r1");
    DO(w, "s1", ARRIVE, "bob", "r1");
    ACCEPT(w, "a4", "bob", "r2");
}

static void somebody_has_it_or_nobody(struct world *w) {
    const struct ride *r = ride(w, "r1");
    int bob = reply_to(w, true, "bob", "r1", "a2"), cid = reply_to(w, true, "cid", "r1", "a3");
    int other = reply_to(w, true, "bob", "r2", "a4");
    EXPECT(w, bob != 0 && cid != 0 && other != 0);
    EXPECT(w, (cid == 200) == (r->driver_id.data != NULL && slice_equal(r->driver_id, SLICE("cid"))));
    EXPECT(w, (other == 200) == (ride(w, "r2")->driver_id.data != NULL));
}

static void accepted_and_another(struct world *w) {
    hailed_twice(w);
    run(w, NULL);
    ACCEPT(w, "a1", "bob", "r1");
}

static void vanish_against_everything(void **state) {
    (void)state;
    assert_in_range(tell(&(struct story){accepted_and_another, vanish, somebody_has_it_or_nobody}), 100,
                    SIZE_MAX);
}

static void hail_at_once(struct world *w) {
    HAIL(w, "h1", "ann", "r1");
    HAIL(w, "h2", "ann", "r2");
    HAIL(w, "h3", "ann", "r1");
    HAIL(w, "h4", "eve", "r2");
}

static void one_ride_each(struct world *w) {
    EXPECT(w, reply_to(w, false, "ann", "r1", "h1") == 201);
    EXPECT(w, reply_to(w, false, "ann", "r2", "h2") == 409);
    EXPECT(w, reply_to(w, false, "ann", "r1", "h3") == 200);
    EXPECT(w, reply_to(w, false, "eve", "r2", "h4") == 201);
}

static void one_ride_a_rider(void **state) {
    (void)state;
    tell(&(struct story){NULL, hail_at_once, one_ride_each});
}

static void the_same_command_gets_the_same_reply(void **state) {
    (void)state;
    struct world *w = world_create();
    hailed_twice(w);
    run(w, NULL);
    ACCEPT(w, "a1", "bob", "r1");
    ACCEPT(w, "a2", "bob", "r2");
    ACCEPT(w, "a3", "cid", "r1");
    run(w, NULL);
    DO(w, "c1", CANCEL, "ann", "r1");
    run(w, NULL);
    ACCEPT(w, "a1", "bob", "r1"); /* would be refused now, as a command of its own */
    ACCEPT(w, "a2", "bob", "r2"); /* would succeed */
    ACCEPT(w, "a3", "cid", "r1");
    DO(w, "c1", CANCEL, "ann", "r1");
    run(w, NULL);
    assert_int_equal(reply_to(w, true, "bob", "r1", "a1"), 200);
    assert_int_equal(reply_to(w, true, "bob", "r2", "a2"), 409);
    assert_int_equal(reply_to(w, true, "cid", "r1", "a3"), 409);
    assert_int_equal(w->events, 4);
    check_claims(w);
    /* Not for ever. */
    command(w, "a2", RIDE_ACTION_ACCEPT, "bob", "r1", T + 61000);
    ACCEPT(w, "a4", "bob", "r2");
    run(w, NULL);
    assert_int_equal(reply_to(w, true, "bob", "r2", "a4"), 200);
    if (w->failure != NULL)
        fail_msg("%s", w->failure);
    world_destroy(w);
}

/* Of somebody else, or about something else: it does nothing, and HTTP says so. */
static void another_command_of_an_id_does_nothing(void **state) {
    (void)state;
    struct world *w = world_create();
    struct ride_decision d;
    hailed_twice(w);
    run(w, NULL);
    ACCEPT(w, "1", "bob", "r1");
    run(w, NULL);
    ACCEPT(w, "1", "cid", "r1");
    DO(w, "1", CANCEL, "ann", "r1");
    DO(w, "1", ARRIVE, "bob", "r1");
    run(w, NULL);
    assert_true(in_state(w, "r1", RIDE_STATE_ACCEPTED));
    assert_true(slice_equal(ride(w, "r1")->driver_id, SLICE("bob")));
    assert_true(driver_view(w->rides, &rides_decisions, SLICE("r1"), SLICE_NONE, &d));
    const struct ride_reply *reply = replies_find(d.replies, SLICE("1"));
    struct ride_command c = {
        .id = SLICE("1"), .action = RIDE_ACTION_ACCEPT, .ride_id = SLICE("r1"), .driver_id = SLICE("bob")};
    assert_true(reply_is_to(reply, &c));
    c.driver_id = SLICE("cid");
    assert_false(reply_is_to(reply, &c));
    c.driver_id = SLICE("bob");
    c.action = RIDE_ACTION_ARRIVE;
    assert_false(reply_is_to(reply, &c));
    c.action = RIDE_ACTION_CANCEL;
    assert_false(reply_is_to(reply, &c));
    check_claims(w); /* who was turned away has no claim left */
    ACCEPT(w, "2", "cid", "r2");
    run(w, NULL);
    assert_int_equal(reply_to(w, true, "cid", "r2", "2"), 200);
    world_destroy(w);
}

static void give_back(struct world *w, int64_t claim) {
    static struct ride_command gone;
    gone = (struct ride_command){.id = SLICE("gone"),
                                 .action = RIDE_ACTION_GIVE_BACK,
                                 .ride_id = SLICE("r1"),
                                 .driver_id = SLICE("bob"),
                                 .claim = claim};
    push(w, &topic_ride_commands, SLICE("r1"), &gone, T);
    run(w, NULL);
}

/* Nobody's command keeps a ride by taking the id under which the runtime gives it back. */
static void an_id_of_a_client_is_not_in_the_way(void **state) {
    (void)state;
    struct world *w = world_create();
    hailed_twice(w);
    run(w, NULL);
    ACCEPT(w, "gone", "bob", "r1");
    run(w, NULL);
    give_back(w, 0);
    assert_true(in_state(w, "r1", RIDE_STATE_REQUESTED));
    check_claims(w);
    world_destroy(w);
}

static void only_who_is_still_gone_gives_back(void **state) {
    (void)state;
    struct world *w = world_create();
    accepted(w);
    run(w, NULL);
    ACCEPT(w, "a2", "bob", "r1"); /* there again: this renews the claim */
    run(w, NULL);
    give_back(w, 0);
    assert_true(in_state(w, "r1", RIDE_STATE_ACCEPTED));
    give_back(w, 1);
    assert_true(in_state(w, "r1", RIDE_STATE_REQUESTED));
    assert_true(slice_equal(ride(w, "r1")->reason, SLICE("the driver is gone")));
    check_claims(w);
    ACCEPT(w, "a3", "bob", "r1");
    run(w, NULL);
    DO(w, "s1", ARRIVE, "bob", "r1");
    DO(w, "s2", START, "bob", "r1");
    run(w, NULL);
    give_back(w, 2); /* with a passenger in the car */
    assert_true(in_state(w, "r1", RIDE_STATE_ON_TRIP));
    check_claims(w);
    assert_null(w->failure);
    world_destroy(w);
}

static void position(struct world *w, const char *id, double lat, int64_t at) {
    driver_send(w->driver, &topic_driver_positions, slice_of(id),
                &(struct position){.id = slice_of(id), .lat = lat, .lon = 13, .status = SLICE("ONLINE")}, at);
}

static int64_t seen_at(struct world *w, const char *id) {
    struct driver_presence p;
    return driver_view(w->driver, &driver_presence, slice_of(id), SLICE_NONE, &p) ? p.seen_at : 0;
}

static void presence_is_of_drivers_with_a_ride(void **state) {
    (void)state;
    struct world *w = world_create();
    position(w, "bob", 52, T);
    assert_int_equal(seen_at(w, "bob"), 0);
    accepted(w);
    run(w, NULL);
    assert_int_equal(seen_at(w, "bob"), T);
    position(w, "bob", 52, T + 4999); /* not each report is worth a record */
    assert_int_equal(seen_at(w, "bob"), T);
    position(w, "bob", 52, T + 5000);
    assert_int_equal(seen_at(w, "bob"), T + 5000);
    DO(w, "c1", CANCEL, "ann", "r1");
    run(w, NULL);
    position(w, "bob", 52, T + 20000);
    assert_int_equal(seen_at(w, "bob"), 0);
    world_destroy(w);
}

static void tick(struct world *w, int64_t time) {
    driver_send(w->driver, &topic_driver_ticks, SLICE("tick"), &(struct tick){.time = time}, time);
    take_outputs(w, w->driver);
    run(w, NULL);
}

static void silence_gives_the_ride_back(void **state) {
    (void)state;
    struct world *w = world_create();
    accepted(w);
    run(w, NULL);
    position(w, "bob", 52, T + 20000); /* the last */
    tick(w, T + 50000);
    assert_true(in_state(w, "r1", RIDE_STATE_ACCEPTED)); /* 30 s is not longer than 30 s */
    tick(w, T + 55001);
    assert_true(in_state(w, "r1", RIDE_STATE_REQUESTED));
    check_claims(w);
    position(w, "bob", 52, T + 56000);
    check_claims(w);
    tick(w, T + 200000);
    assert_int_equal(w->events, 3);

    command(w, "a2", RIDE_ACTION_ACCEPT, "bob", "r1", T + 200000);
    run(w, NULL);
    DO(w, "s1", ARRIVE, "bob", "r1");
    run(w, NULL);
    for (int64_t at = 200000; at < 300000; at += 1000) { /* a car that reports */
        position(w, "bob", 52, T + at);
        tick(w, T + at);
    }
    assert_true(in_state(w, "r1", RIDE_STATE_ARRIVED));
    command(w, "s2", RIDE_ACTION_START, "bob", "r1", T + 300000);
    run(w, NULL);
    tick(w, T + 400000); /* with the passenger in the car */
    assert_true(in_state(w, "r1", RIDE_STATE_ON_TRIP));
    position(w, "bob", 52, T + 401000);
    assert_int_equal(seen_at(w, "bob"), T + 401000);
    assert_null(w->failure);
    world_destroy(w);
}

static void what_is_no_position_is_a_dead_letter(void **state) {
    (void)state;
    static const struct {
        const char *key, *id;
        double lat, lon;
        bool good;
    } cases[] = {{"bob", "bob", 52, 13, true},     {"bob", "bob", -90, 180, true},
                 {"bob", "cid", 52, 13, false},    {"b b", "b b", 52, 13, false},
                 {"bob", "bob", 90.01, 13, false}, {"bob", "bob", 52, -180.5, false},
                 {"bob", "bob", NAN, 13, false}};
    struct world *w = world_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct position p = {
            .id = slice_of(cases[i].id), .lat = cases[i].lat, .lon = cases[i].lon, .status = SLICE("")};
        struct event e;
        driver_send(w->driver, &topic_driver_positions, slice_of(cases[i].key), &p, T);
        assert_int_equal(driver_next(w->driver, &e), !cases[i].good);
        driver_send(w->rider, &topic_rider_positions, slice_of(cases[i].key), &p, T);
        assert_int_equal(driver_next(w->rider, &e), !cases[i].good);
    }
    world_destroy(w);
}

static void a_persons_hail_is_left_to_people(void **state) {
    (void)state;
    struct world *w = world_create();
    hailed(w);
    run(w, NULL);
    struct ride_command robot = {.id = SLICE("a1"),
                                 .action = RIDE_ACTION_ACCEPT,
                                 .ride_id = SLICE("r1"),
                                 .driver_id = SLICE("bob"),
                                 .simulated = true,
                                 .claim = -1},
                        later = robot;
    later.id = SLICE("a2");
    push(w, &topic_driver_commands, SLICE("bob"), &robot, T + 19999);
    run(w, NULL);
    assert_int_equal(reply_to(w, true, "bob", "r1", "a1"), 409);
    check_claims(w);
    push(w, &topic_driver_commands, SLICE("bob"), &later, T + 20000);
    run(w, NULL);
    assert_int_equal(reply_to(w, true, "bob", "r1", "a2"), 200);
    world_destroy(w);
}

/* Anything, in any order. */
static void never_two_whatever_happens(void **state) {
    (void)state;
    static const char *const riders[] = {"ann", "eve"}, *const drivers[] = {"bob", "cid", "dan"},
                             *const rides[] = {"r1", "r2", "r3", "r4"};
    size_t moves = 0;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct world *w = world_create();
        struct chooser c = {.seed = seed};
        for (int n = 0; n < 60; n++) {
            char id[16];
            snprintf(id, sizeof id, "%zu", choose(&c, 40)); /* some twice */
            const char *of = rides[choose(&c, 4)], *who = drivers[choose(&c, 3)];
            size_t what = choose(&c, 10);
            if (what < 3)
                HAIL(w, id, riders[choose(&c, 2)], of);
            else if (what < 6)
                ACCEPT(w, id, who, of);
            else if (ride(w, of) != NULL)
                command(w, id,
                        (enum ride_action[]){RIDE_ACTION_CANCEL, RIDE_ACTION_ARRIVE, RIDE_ACTION_START,
                                             RIDE_ACTION_COMPLETE}[what - 6],
                        ride(w, of)->driver_id.data == NULL
                            ? who
                            : text("%.*s", SLICE_ARG(ride(w, of)->driver_id)).data,
                        of, T);
            for (size_t k = choose(&c, 4); k > 0; k--) {
                size_t q = choose(&c, w->queue_count == 0 ? 1 : w->queue_count);
                if (q < w->queue_count && w->queues[q].count > 0)
                    deliver(w, &w->queues[q]);
            }
        }
        run(w, &c);
        check_claims(w);
        moves += w->events;
        if (w->failure != NULL)
            fail_msg("seed %u: %s", seed, w->failure);
        world_destroy(w);
    }
    assert_in_range(moves, 200 * 4, SIZE_MAX); /* something does happen */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_ride),
        cmocka_unit_test(of_two_who_accept_one_wins),
        cmocka_unit_test(two_drivers_and_two_rides_crosswise),
        cmocka_unit_test(a_loser_takes_another_at_once),
        cmocka_unit_test(cancel_against_accept),
        cmocka_unit_test(cancel_against_start),
        cmocka_unit_test(vanish_against_everything),
        cmocka_unit_test(one_ride_a_rider),
        cmocka_unit_test(the_same_command_gets_the_same_reply),
        cmocka_unit_test(another_command_of_an_id_does_nothing),
        cmocka_unit_test(an_id_of_a_client_is_not_in_the_way),
        cmocka_unit_test(only_who_is_still_gone_gives_back),
        cmocka_unit_test(presence_is_of_drivers_with_a_ride),
        cmocka_unit_test(silence_gives_the_ride_back),
        cmocka_unit_test(what_is_no_position_is_a_dead_letter),
        cmocka_unit_test(a_persons_hail_is_left_to_people),
        cmocka_unit_test(never_two_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
