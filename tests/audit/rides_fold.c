#include "rides_fold.h"

#include "base/cleanup.h"
#include "keyed.h"
#include "names.h"

#include <inttypes.h>
#include <stdlib.h>

/* Partitions have no order among each other, but times tell some of it. What a person does to a ride that
 * they have is done, and what others do to it, once it is theirs, and so after the ride before is over; a
 * command waits no longer than this before it is in the log. */
enum { APART_MS = 5000 };

/* That somebody has a ride. */
struct hold {
    uint32_t person, ride;
    uint32_t before; /* the person's hold before this one + 1 */
    int32_t partition;
    int64_t first, last; /* the time of the first such command, INT64_MAX: none yet; and of the last record */
};

struct entry {
    uint32_t rider, driver;           /* names; NAMES_NONE: no driver */
    uint32_t rider_hold, driver_hold; /* the latest */
    struct audit_at at;
    uint8_t state;
    bool suspect; /* its driver or its rider has another one too */
};

struct rides_fold {
    struct names ids, people;         /* a person's name begins with 'r' or 'd' */
    struct spill *ride_rows;          /* by number of the id */
    struct entry *rides;              /* in there */
    struct spill *hold_rows, *latest; /* latest: by person, the number of the last hold + 1 */
    struct hold *holds;
    uint32_t hold_count;
    struct keyed open; /* by person and partition: the ride's number + 1 */
};

struct rides_fold *rides_fold_create(void) {
    struct rides_fold *f = xcalloc(1, sizeof *f);
    f->open.value_size = sizeof(uint32_t);
    return f;
}

void rides_fold_destroy(struct rides_fold *f) {
    if (f == NULL)
        return;
    names_free(&f->ids);
    names_free(&f->people);
    keyed_free(&f->open);
    spill_free(f->ride_rows);
    spill_free(f->hold_rows);
    spill_free(f->latest);
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

static const char *role(const struct rides_fold *f, uint32_t who) {
    return names_text(&f->people, who)[0] == 'r' ? "rider" : "driver";
}

/* The ride that somebody has in this partition. */
static uint32_t *open_ride(struct rides_fold *f, uint32_t who, int32_t partition) {
    _cleanup_(buf_free) struct buf key = {0};
    buf_printf(&key, "%s %" PRId32, names_text(&f->people, who), partition);
    return keyed_at(&f->open, buf_slice(&key));
}

/* From here on. Within a partition the log says what is at once. */
static uint32_t begin_hold(struct rides_fold *f, struct audit *a, struct audit_at at, uint32_t who,
                           uint32_t ride) {
    uint32_t *other = open_ride(f, who, at.partition);
    if (*other != 0 && *other != ride + 1)
        audit_violation(a, AUDIT_RIDES, "%s %s has %s from %s/%d/%" PRId64 " on, and still %s", role(f, who),
                        names_text(&f->people, who) + 1, names_text(&f->ids, ride), topic_rides.name,
                        at.partition, at.offset, names_text(&f->ids, *other - 1));
    *other = ride + 1;
    uint32_t *latest = (uint32_t *)spill_room(&f->latest, (who + 1) * sizeof *latest) + who;
    f->holds = spill_room(&f->hold_rows, (f->hold_count + 1) * sizeof *f->holds);
    f->holds[f->hold_count] = (struct hold){
        .person = who, .ride = ride, .before = *latest, .partition = at.partition, .first = INT64_MAX};
    *latest = ++f->hold_count;
    return f->hold_count - 1;
}

static void end_hold(struct rides_fold *f, const struct hold *h) {
    uint32_t *open = open_ride(f, h->person, h->partition);
    if (*open == h->ride + 1)
        *open = 0;
}

static void note_hold(struct rides_fold *f, uint32_t hold, int64_t time, bool command) {
    struct hold *h = &f->holds[hold];
    if (command && time < h->first)
        h->first = time;
    if (h->last < time)
        h->last = time;
}

/* The record's effect on who has the ride. `from`: NULL: it is the ride's first. */
static void follow_holds(struct rides_fold *f, struct audit *a, struct audit_at at, int64_t time, uint32_t n,
                         const struct entry *from, struct entry *to) {
    bool given_back = to->state == RIDE_STATE_REQUESTED;
    bool same_driver = from != NULL && from->driver == to->driver;
    to->rider_hold = from == NULL ? begin_hold(f, a, at, to->rider, n) : from->rider_hold;
    note_hold(f, to->rider_hold, time, !given_back);
    if (from != NULL && from->driver != NAMES_NONE) {
        note_hold(f, from->driver_hold, time, same_driver);
        if (!same_driver)
            end_hold(f, &f->holds[from->driver_hold]);
    }
    to->driver_hold = same_driver                ? from->driver_hold
                      : to->driver != NAMES_NONE ? begin_hold(f, a, at, to->driver, n)
                                                 : 0;
    if (!same_driver && to->driver != NAMES_NONE)
        note_hold(f, to->driver_hold, time, false);
    if (!over(to->state))
        return;
    end_hold(f, &f->holds[to->rider_hold]);
    if (to->driver != NAMES_NONE)
        end_hold(f, &f->holds[to->driver_hold]);
}

void rides_fold_ride(struct rides_fold *f, struct audit *a, struct audit_at at, int64_t time,
                     const struct ride *r) {
    uint32_t known = f->ids.count, n = names_add(&f->ids, r->id);
    struct entry to = {.rider = person(f, 'r', r->rider_id),
                       .driver = person(f, 'd', r->driver_id),
                       .at = at,
                       .state = (uint8_t)r->state};
    f->rides = spill_room(&f->ride_rows, (n + 1) * sizeof *f->rides);
    const char *why = n < known ? fault(&f->rides[n], &to)
                      : to.state != RIDE_STATE_REQUESTED || to.driver != NAMES_NONE
                          ? "does not begin as REQUESTED"
                          : NULL;
    if (why != NULL)
        audit_violation(a, AUDIT_RIDES, "ride %s, %s at %s/%d/%" PRId64 " after %s: %s",
                        names_text(&f->ids, n), event_enum_name(&ride_state_enum, to.state), topic_rides.name,
                        at.partition, at.offset,
                        n < known ? event_enum_name(&ride_state_enum, f->rides[n].state) : "nothing", why);
    follow_holds(f, a, at, time, n, n < known ? &f->rides[n] : NULL, &to);
    f->rides[n] = to;
    audit_checked(a, AUDIT_RIDES, n < known ? 0 : 1);
}

/* Calls `pair` for each person with two rides that are not over. */
static void two_at_once(struct rides_fold *f, void *context,
                        void (*pair)(void *context, struct rides_fold *f, uint32_t person, uint32_t a,
                                     uint32_t b)) {
    uint32_t *has = xcalloc(f->people.count + 1u, sizeof *has); /* ride + 1 */
    for (uint32_t n = 0; n < f->ids.count; n++) {
        spill_touch();
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
    bool told = f->rides[one].at.partition == f->rides[other].at.partition;
    if (f->rides[one].suspect && f->rides[other].suspect && !told)
        audit_violation(context, AUDIT_RIDES, "%s %s has two rides: %s and %s", role(f, who),
                        names_text(&f->people, who) + 1, names_text(&f->ids, one),
                        names_text(&f->ids, other));
}

static int by_time(const void *x, const void *y) {
    const struct hold *a = x, *b = y;
    return (a->first > b->first) - (a->first < b->first);
}

/* The holds of a person that have begun, in their order; the caller frees them. */
static struct hold *holds_of(const struct rides_fold *f, uint32_t who, size_t *count) {
    struct hold *holds = NULL;
    size_t n = 0, capacity = 0;
    for (uint32_t h = ((const uint32_t *)f->latest->data)[who]; h != 0; h = f->holds[h - 1].before) {
        spill_touch();
        if (f->holds[h - 1].first == INT64_MAX)
            continue;
        if (n == capacity)
            holds = xrealloc(holds, (capacity = capacity * 2 + 16) * sizeof *holds);
        holds[n++] = f->holds[h - 1];
    }
    if (n > 0)
        qsort(holds, n, sizeof *holds, by_time);
    *count = n;
    return holds;
}

/* Those who had two for longer than the times can be apart; whose rides are not over are judged by the looks.
 */
static void judge_holds(struct rides_fold *f, struct audit *a, uint32_t who) {
    size_t count;
    struct hold *holds = holds_of(f, who, &count);
    const struct hold *longest = NULL; /* of those before: the one that ended last */
    for (const struct hold *h = holds; h < holds + count; h++) {
        int64_t end = longest == NULL ? 0 : longest->last < h->last ? longest->last : h->last;
        if (longest != NULL && longest->partition != h->partition && end - h->first > APART_MS &&
            (over(f->rides[h->ride].state) || over(f->rides[longest->ride].state)))
            audit_violation(a, AUDIT_RIDES, "%s %s had two rides for %" PRId64 " s: %s and %s", role(f, who),
                            names_text(&f->people, who) + 1, (end - h->first) / 1000,
                            names_text(&f->ids, longest->ride), names_text(&f->ids, h->ride));
        if (longest == NULL || longest->last < h->last)
            longest = h;
    }
    free(holds);
}

/* Once. */
void rides_fold_judge(struct rides_fold *f, struct audit *a) {
    two_at_once(f, a, convict);
    spill_room(&f->latest, f->people.count * sizeof(uint32_t)); /* not everybody had one */
    for (uint32_t who = 0; who < f->people.count; who++)
        judge_holds(f, a, who);
}

uint32_t rides_fold_count(const struct rides_fold *f) {
    return f->ids.count;
}

const char *rides_fold_id(const struct rides_fold *f, uint32_t n) {
    return names_text(&f->ids, n);
}

void rides_fold_view(const struct rides_fold *f, struct audit *a, uint32_t n, const struct ride *shown,
                     bool moving) {
    const struct entry *e = &f->rides[n];
    const char *driver = e->driver == NAMES_NONE ? "" : names_text(&f->people, e->driver) + 1;
    audit_checked(a, AUDIT_VIEWS, 1);
    bool same = shown != NULL && shown->state == e->state &&
                slice_equal(shown->driver_id, slice_of(driver)) &&
                slice_equal(shown->rider_id, slice_of(names_text(&f->people, e->rider) + 1));
    if (!same && (!moving || over(e->state)))
        audit_violation(
            a, AUDIT_VIEWS, "/v1/rides/%s is %s; in the log it is %s, %s/%d/%" PRId64, names_text(&f->ids, n),
            shown == NULL ? "unknown" : event_enum_name(&ride_state_enum, (int)shown->state),
            event_enum_name(&ride_state_enum, e->state), topic_rides.name, e->at.partition, e->at.offset);
}
