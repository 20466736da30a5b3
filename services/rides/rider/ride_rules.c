#include "ride_rules.h"

#include "base/num.h"
#include "city/city.h"

/* Of the quickest way, whichever way is driven then. */
static int64_t fare_cents(struct geo_point from, struct geo_point to) {
    double metres, seconds;
    city_trip((struct city_point){from.lat, from.lon}, (struct city_point){to.lat, to.lon}, &metres,
              &seconds);
    return city_fare_cents(metres, seconds);
}

static bool is(struct slice id, struct slice other) {
    return id.data != NULL && other.data != NULL && slice_equal(id, other);
}

static bool over(const struct ride *r) {
    return r->state == RIDE_STATE_COMPLETED || r->state == RIDE_STATE_CANCELLED;
}

bool ride_has_driver(const struct ride *r, struct slice driver_id) {
    return !over(r) && is(r->driver_id, driver_id);
}

bool ride_has_rider(const struct ride *r, struct slice rider_id) {
    return !over(r) && is(r->rider_id, rider_id);
}

static struct ride_verdict done(void) {
    return (struct ride_verdict){.status = 200};
}

static struct ride_verdict refused(const char *why) {
    return (struct ride_verdict){.status = 409, .why = why};
}

static struct ride_verdict wrong_state(enum ride_state state) {
    static const char *const why[] = {
        [RIDE_STATE_REQUESTED] = "the ride is REQUESTED", [RIDE_STATE_ACCEPTED] = "the ride is ACCEPTED",
        [RIDE_STATE_ARRIVED] = "the ride is ARRIVED",     [RIDE_STATE_ON_TRIP] = "the ride is ON_TRIP",
        [RIDE_STATE_COMPLETED] = "the ride is COMPLETED", [RIDE_STATE_CANCELLED] = "the ride is CANCELLED",
    };
    return refused(why[state]);
}

static struct ride_verdict move(struct ride_decision *d, enum ride_state to, int64_t at) {
    d->ride.state = to;
    d->ride.reason = SLICE_NONE;
    d->since = at;
    if (to == RIDE_STATE_ON_TRIP)
        d->ride.started_at = (struct optional_long){true, at};
    if (over(&d->ride))
        d->ride.ended_at = (struct optional_long){true, at};
    return (struct ride_verdict){.status = 200, .changed = true};
}

static bool same_place(struct geo_point a, struct geo_point b) {
    return a.lat == b.lat && a.lon == b.lon;
}

static struct ride_verdict hail(struct ride_decision *d, bool exists, const struct ride_command *c,
                                int64_t at) {
    if (exists)
        return is(d->ride.rider_id, c->rider_id) && same_place(d->ride.pickup, c->pickup) &&
                       same_place(d->ride.destination, c->destination)
                   ? done()
                   : refused("there is another ride of this id");
    *d = (struct ride_decision){
        .ride = {.id = c->ride_id,
                 .rider_id = c->rider_id,
                 .pickup = c->pickup,
                 .destination = c->destination,
                 .rider_name = c->name,
                 .simulated = c->simulated,
                 .fare_cents = fare_cents(c->pickup, c->destination),
                 .requested_at = at},
        .driver_claim = -1,
    };
    move(d, RIDE_STATE_REQUESTED, at);
    return (struct ride_verdict){.status = 201, .changed = true};
}

static struct ride_verdict accept(struct ride_decision *d, const struct ride_command *c, int64_t at) {
    struct ride *r = &d->ride;
    if (r->state == RIDE_STATE_ACCEPTED && is(r->driver_id, c->driver_id))
        return done();
    if (r->state != RIDE_STATE_REQUESTED)
        return r->driver_id.data != NULL && !over(r) && !is(r->driver_id, c->driver_id)
                   ? refused("another driver has the ride")
                   : wrong_state(r->state);
    if (c->simulated && !r->simulated && sat_sub(at, d->since) < RIDE_LEFT_TO_PEOPLE_MS)
        return refused("a person's hail is left to people for 20 s");
    r->driver_id = c->driver_id;
    r->driver_name = c->name;
    return move(d, RIDE_STATE_ACCEPTED, at);
}

static struct ride_verdict advance(struct ride_decision *d, const struct ride_command *c,
                                   enum ride_state from, enum ride_state to, int64_t at) {
    if (d->ride.state == RIDE_STATE_REQUESTED || d->ride.state == RIDE_STATE_CANCELLED)
        return wrong_state(d->ride.state);
    if (!is(d->ride.driver_id, c->driver_id))
        return refused("another driver has the ride");
    return d->ride.state == to     ? done()
           : d->ride.state == from ? move(d, to, at)
                                   : wrong_state(d->ride.state);
}

static struct ride_verdict cancel(struct ride_decision *d, int64_t at) {
    switch (d->ride.state) {
    case RIDE_STATE_REQUESTED:
    case RIDE_STATE_ACCEPTED:
    case RIDE_STATE_ARRIVED:
        return move(d, RIDE_STATE_CANCELLED, at);
    case RIDE_STATE_CANCELLED:
        return done();
    case RIDE_STATE_ON_TRIP:
    case RIDE_STATE_COMPLETED:
        break;
    }
    return wrong_state(d->ride.state);
}

/* Only by the claim under which the driver has it: who was away and accepted anew is there again. */
static struct ride_verdict give_back(struct ride_decision *d, const struct ride_command *c, int64_t at) {
    struct ride *r = &d->ride;
    bool waits = r->state == RIDE_STATE_ACCEPTED || r->state == RIDE_STATE_ARRIVED;
    if (!waits || !is(r->driver_id, c->driver_id) || d->driver_claim != c->claim)
        return done();
    struct ride_verdict v = move(d, RIDE_STATE_REQUESTED, at);
    r->driver_id = r->driver_name = SLICE_NONE;
    r->reason = SLICE("the driver is gone");
    return v;
}

struct ride_verdict ride_decide(struct ride_decision *d, bool exists, const struct ride_command *c,
                                int64_t at) {
    switch (c->action) {
    case RIDE_ACTION_HAIL:
        break;
    case RIDE_ACTION_CANCEL:
        return cancel(d, at);
    case RIDE_ACTION_ACCEPT:
        return accept(d, c, at);
    case RIDE_ACTION_ARRIVE:
        return advance(d, c, RIDE_STATE_ACCEPTED, RIDE_STATE_ARRIVED, at);
    case RIDE_ACTION_START:
        return advance(d, c, RIDE_STATE_ARRIVED, RIDE_STATE_ON_TRIP, at);
    case RIDE_ACTION_COMPLETE:
        return advance(d, c, RIDE_STATE_ON_TRIP, RIDE_STATE_COMPLETED, at);
    case RIDE_ACTION_GIVE_BACK:
        return give_back(d, c, at);
    }
    return hail(d, exists, c, at);
}
