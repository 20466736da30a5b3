#include "rides_fold.h"

#include "names.h"

#include <inttypes.h>
#include <stdlib.h>

struct entry {
    uint32_t rider, driver; /* names; NAMES_NONE: no driver */
    struct audit_at at;
    uint8_t state;
    bool suspect; /* its driver or its rider has another one too */
};

struct rides_fold {
    struct names ids, people; /* a person's name begins with 'r' or 'd' */
    struct entry *rides;      /* by number of the id */
    uint32_t capacity;
};

struct rides_fold *rides_fold_create(void) {
    return xcalloc(1, sizeof(struct rides_fold));
}

void rides_fold_destroy(struct rides_fold *f) {
    if (f == NULL)
        return;
    names_free(&f->ids);
    names_free(&f->people);
    free(f->rides);
    free(f);
}

static uint32_t person(struct rides_fold *f, char role, struct slice id) {
    if (id.data == NULL)
        return NAMES_NONE;
    struct buf name = {0};
    buf_append_byte(&name, (uint8_t)role);
    buf_append_slice(&name, id);
    uint32_t n = names_add(&f->people, buf_slice(&name));
    buf_free(&name);
    return n;
}

static bool over(uint8_t state) {
    return state == RIDE_STATE_COMPLETED || state == RIDE_STATE_CANCELLED;
}

/* What is wrong with this step; NULL: nothing. */
static const char *fault(const struct entry *from, const struct entry *to) {
    bool same_driver = from->driver == to->driver, waits = from->state <= RIDE_STATE_ARRIVED;
    bool legal = false;
    if (from->rider != to->rider)
        return "another rider";
    switch ((enum ride_state)to->state) {
    case RIDE_STATE_REQUESTED: /* given back */
        legal = from->state == RIDE_STATE_ACCEPTED || from->state == RIDE_STATE_ARRIVED;
        return !legal                     ? "a step that there is not"
               : to->driver != NAMES_NONE ? "REQUESTED with a driver"
                                          : NULL;
    case RIDE_STATE_ACCEPTED:
        legal = from->state == RIDE_STATE_REQUESTED;
        if (!legal && from->driver != to->driver)
            return "a second driver";
        return !legal ? "a step that there is not" : to->driver == NAMES_NONE ? "ACCEPTED by nobody" : NULL;
    case RIDE_STATE_ARRIVED:
        legal = from->state == RIDE_STATE_ACCEPTED;
        break;
    case RIDE_STATE_ON_TRIP:
        legal = from->state == RIDE_STATE_ARRIVED;
        break;
    case RIDE_STATE_COMPLETED:
        legal = from->state == RIDE_STATE_ON_TRIP;
        break;
    case RIDE_STATE_CANCELLED:
        legal = waits;
        break;
    }
    return !legal ? "a step that there is not" : !same_driver ? "a second driver" : NULL;
}

void rides_fold_ride(struct rides_fold *f, struct audit *a, struct audit_at at, const struct ride *r) {
    uint32_t known = f->ids.count, n = names_add(&f->ids, r->id);
    const struct entry to = {.rider = person(f, 'r', r->rider_id),
                             .driver = person(f, 'd', r->driver_id),
                             .at = at,
                             .state = (uint8_t)r->state};
    if (n >= f->capacity)
        f->rides = xrealloc(f->rides, (f->capacity = f->capacity * 2 + 256) * sizeof *f->rides);
    const char *why = n < known ? fault(&f->rides[n], &to)
                      : to.state != RIDE_STATE_REQUESTED || to.driver != NAMES_NONE
                          ? "does not begin as REQUESTED"
                          : NULL;
    if (why != NULL)
        audit_violation(a, AUDIT_RIDES, "ride %s, %s at %s/%d/%" PRId64 " after %s: %s", f->ids.text[n],
                        event_enum_name(&ride_state_enum, to.state), topic_rides.name, at.partition,
                        at.offset,
                        n < known ? event_enum_name(&ride_state_enum, f->rides[n].state) : "nothing", why);
    f->rides[n] = to;
    audit_checked(a, AUDIT_RIDES, n < known ? 0 : 1);
}

/* Calls `pair` for each person with two rides that are not over. */
static void two_at_once(struct rides_fold *f, void *context,
                        void (*pair)(void *context, struct rides_fold *f, uint32_t person, uint32_t a,
                                     uint32_t b)) {
    uint32_t *has = xcalloc(f->people.count + 1u, sizeof *has); /* ride + 1 */
    for (uint32_t n = 0; n < f->ids.count; n++) {
        const uint32_t both[] = {f->rides[n].rider, f->rides[n].driver};
        for (size_t k = 0; k < 2 && !over(f->rides[n].state); k++) {
            if (both[k] == NAMES_NONE)
                continue;
            if (has[both[k]] != 0)
                pair(context, f, both[k], has[both[k]] - 1, n);
            has[both[k]] = n + 1;
        }
    }
    free(has);
}

static void mark(void *context, struct rides_fold *f, uint32_t who, uint32_t one, uint32_t other) {
    (void)context, (void)who;
    f->rides[one].suspect = f->rides[other].suspect = true;
}

void rides_fold_suspect(struct rides_fold *f) {
    two_at_once(f, NULL, mark);
}

static void convict(void *context, struct rides_fold *f, uint32_t who, uint32_t one, uint32_t other) {
    const char *name = f->people.text[who];
    if (f->rides[one].suspect && f->rides[other].suspect)
        audit_violation(context, AUDIT_RIDES, "%s %s has two rides: %s and %s",
                        name[0] == 'r' ? "rider" : "driver", name + 1, f->ids.text[one], f->ids.text[other]);
}

void rides_fold_judge(struct rides_fold *f, struct audit *a) {
    two_at_once(f, a, convict);
}

uint32_t rides_fold_count(const struct rides_fold *f) {
    return f->ids.count;
}

const char *rides_fold_id(const struct rides_fold *f, uint32_t n) {
    return f->ids.text[n];
}

void rides_fold_view(const struct rides_fold *f, struct audit *a, uint32_t n, const struct ride *shown,
                     bool moving) {
    const struct entry *e = &f->rides[n];
    const char *driver = e->driver == NAMES_NONE ? "" : f->people.text[e->driver] + 1;
    audit_checked(a, AUDIT_VIEWS, 1);
    bool same = shown != NULL && shown->state == e->state &&
                slice_equal(shown->driver_id, slice_of(driver)) &&
                slice_equal(shown->rider_id, slice_of(f->people.text[e->rider] + 1));
    if (!same && (!moving || over(e->state)))
        audit_violation(
            a, AUDIT_VIEWS, "/v1/rides/%s is %s; in the log it is %s, %s/%d/%" PRId64, f->ids.text[n],
            shown == NULL ? "unknown" : event_enum_name(&ride_state_enum, (int)shown->state),
            event_enum_name(&ride_state_enum, e->state), topic_rides.name, e->at.partition, e->at.offset);
}
