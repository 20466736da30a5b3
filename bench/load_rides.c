/* load rides: a city full of simulated drivers and riders, who live through the same HTTP as anybody.
 *
 * Drivers cruise, take hails, drive there along the streets, and bring their riders where they want to go;
 * riders hail, wait, ride, and stay where they are for a while. All of them look at one board of hails. What
 * is away is tried again without end. A person's hail is left to people for 20 s. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "city/city.h"
#include "client.h"
#include "load.h"
#include "options.h"
#include "samples.h"
#include "shop.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REQUEST_MS = 10000,
    REPORT_MS = 1000, /* a car says where it is, without --rate */
    RIDER_REPORT_MS = 10000,
    LOOK_MS = 1500,       /* at the board, */
    WATCH_MS = 3000,      /* and at one's own ride */
    PATIENCE_MS = 150000, /* of a rider whom nobody fetches */
    PERSON_FIRST_MS = 21000,
    RETRY_MS = 1000,
    UNDER_WAY_MAX = 400, /* more reports are left out */
    FAR_M = 4000,        /* no driver goes farther for a rider */
};

static const char *const names[] = {
    "Abel",  "Aiko",  "Alma", "Amir",  "Anouk", "Asha",  "Bao",   "Bruno", "Cleo",  "Dana",  "Deniz", "Ebba",
    "Emil",  "Esme",  "Fadi", "Fleur", "Gil",   "Hugo",  "Ines",  "Ishan", "Jana",  "Joel",  "Kaya",  "Kenji",
    "Lars",  "Leila", "Luca", "Maja",  "Malik", "Marta", "Milo",  "Nadia", "Niko",  "Nuria", "Odin",  "Oona",
    "Pavel", "Pilar", "Rafa", "Ravi",  "Romy",  "Sana",  "Signe", "Soren", "Tariq", "Thea",  "Uma",   "Yusuf",
};
enum { NAMES = sizeof names / sizeof *names };

struct city_load;

/* What one of them is about to do at `act_us`, unless a call of theirs is under way. */
enum doing {
    WAKING, /* is there a ride from before? */
    /* drivers */
    CRUISING,
    CLAIMING,
    FETCHING,
    BOARDING,
    DRIVING,
    /* riders */
    RESTING,
    WAITING,
};

struct actor {
    struct city_load *load;
    bool driver;
    char id[80];
    const char *name;
    enum doing doing;
    int64_t act_us, report_us, since_us;
    bool acting, reporting;
    struct city_point at;
    double heading;
    struct arena arena; /* of the way */
    struct city_route way;
    int64_t way_us; /* when it set out */
    bool moving;
    char ride[129];
    struct city_point pickup, destination;
    char state[16]; /* of the rider's ride */
    int64_t hailed_us;
    int64_t called_us;
    struct samples *timed;
};

struct city_load {
    double cars, riders, seconds, rate; /* rate: of the cars' reports in a second, 0: one each */
    int64_t report_us;                  /* between two of a car */
    bool json;
    const char *prefix;
    struct client *client;
    struct actor *actors;
    size_t count, car_count;
    uint64_t random;
    int64_t start_us, look_us, late;
    bool looking;
    size_t hails, rides, lost, failures;
    struct samples position_us, hail_us, accept_us;
};

static volatile sig_atomic_t ended;

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static uint64_t dice(struct city_load *l, uint64_t sides) {
    l->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = (l->random ^ (l->random >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % sides;
}

static int64_t later_us(struct city_load *l, int from_ms, int to_ms) {
    return clock_mono_us() + (from_ms + (int64_t)dice(l, (uint64_t)(to_ms - from_ms))) * 1000;
}

/* --- driving --- */

static void set_out(struct actor *a, struct city_point goal) {
    arena_reset(&a->arena);
    a->moving = city_route(a->at, goal, &a->arena, &a->way);
    a->way_us = clock_mono_us();
}

static void move(struct actor *a, int64_t now) {
    if (!a->moving)
        return;
    double seconds = (double)(now - a->way_us) / 1e6;
    a->at = city_route_at(&a->way, seconds, &a->heading);
    a->moving = seconds < a->way.duration_s;
}

/* --- calls --- */

static const char *role(const struct actor *a) {
    return a->driver ? "drivers" : "riders";
}

static void put_place(struct json *j, struct city_point p) {
    json_begin_object(j);
    json_key(j, "lat"), json_put_double(j, p.lat);
    json_key(j, "lon"), json_put_double(j, p.lon);
    json_end_object(j);
}

static bool is_success(const struct answer *answer) {
    return answer->status >= 200 && answer->status < 300;
}

/* Not of a run without end: they would fill the memory. */
static void measure(struct city_load *l, struct samples *samples, int64_t us) {
    if (l->seconds > 0)
        samples_add(samples, us);
}

static void on_reported(void *context, const struct answer *answer) {
    struct actor *a = context;
    a->reporting = false;
    if (is_success(answer))
        measure(a->load, &a->load->position_us, clock_mono_us() - a->called_us);
    else
        a->load->failures++;
}

static void report_position(struct actor *a, const char *status) {
    _cleanup_(buf_free) struct buf path = {0}, body = {0};
    struct json j = {.out = &body};
    json_begin_object(&j);
    json_key(&j, "lat"), json_put_double(&j, a->at.lat);
    json_key(&j, "lon"), json_put_double(&j, a->at.lon);
    if (a->driver)
        json_key(&j, "heading"), json_put_double(&j, round(a->heading));
    json_key(&j, "status"), json_put_string(&j, slice_of(status));
    json_key(&j, "name"), json_put_string(&j, slice_of(a->name));
    json_key(&j, "simulated"), json_put_bool(&j, true);
    json_end_object(&j);
    buf_printf(&path, "/v1/%s/%s/position%c", role(a), a->id, 0);
    a->reporting = true;
    a->called_us = clock_mono_us();
    client_send(a->load->client, "POST", path.data, buf_slice(&body), REQUEST_MS, on_reported, a);
}

static const char *status_of(const struct actor *a) {
    if (a->driver)
        return a->doing == FETCHING || a->doing == BOARDING || a->doing == DRIVING ? "BUSY" : "FREE";
    return a->doing != WAITING ? "ONLINE" : strcmp(a->state, "ON_TRIP") == 0 ? "RIDING" : "HAILING";
}

static void act(struct actor *a, const char *method, const char *path, struct slice body, answered *done) {
    a->acting = true;
    a->since_us = clock_mono_us();
    client_send(a->load->client, method, path, body, REQUEST_MS, done, a);
}

/* The ride in an answer, or the first of its `rides`. */
static json_t *ride_in(json_t *answer) {
    json_t *rides = json_object_get(answer, "rides");
    return rides == NULL ? answer : json_array_get(rides, 0);
}

static bool read_place(const json_t *ride, const char *name, struct city_point *p) {
    json_t *place = json_object_get(ride, name);
    const json_t *lat = json_object_get(place, "lat"), *lon = json_object_get(place, "lon");
    if (!json_is_number(lat) || !json_is_number(lon))
        return false;
    *p = (struct city_point){json_number_value(lat), json_number_value(lon)};
    return true;
}

static const char *text_in(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static bool read_ride(struct actor *a, const json_t *ride) {
    const char *id = text_in(ride, "id");
    if (*id == 0 || strlen(id) >= sizeof a->ride || !read_place(ride, "pickup", &a->pickup) ||
        !read_place(ride, "destination", &a->destination))
        return false;
    strcpy(a->ride, id);
    snprintf(a->state, sizeof a->state, "%s", text_in(ride, "state"));
    return true;
}

static bool ride_is(const struct actor *a, const char *state) {
    return strcmp(a->state, state) == 0;
}

/* What follows for a driver from where their ride stands. */
static void driver_goes_on(struct actor *a, bool mine) {
    if (mine && ride_is(a, "ACCEPTED")) {
        a->doing = FETCHING;
        set_out(a, a->pickup);
    } else if (mine && ride_is(a, "ARRIVED")) {
        a->doing = BOARDING;
        a->act_us = later_us(a->load, 3000, 7000);
    } else if (mine && ride_is(a, "ON_TRIP")) {
        a->doing = DRIVING;
        set_out(a, a->destination);
    } else {
        a->load->rides += mine && ride_is(a, "COMPLETED") && a->doing == DRIVING;
        a->doing = CRUISING;
        a->act_us = later_us(a->load, 3000, 15000);
    }
}

static void rider_goes_on(struct actor *a) {
    if (ride_is(a, "COMPLETED") || ride_is(a, "CANCELLED") || *a->state == 0) {
        if (ride_is(a, "COMPLETED"))
            a->at = a->destination;
        a->doing = RESTING;
        a->act_us = later_us(a->load, 2000, 60000);
        return;
    }
    if (a->doing == WAKING)
        a->hailed_us = clock_mono_us();
    a->doing = WAITING;
    a->act_us = later_us(a->load, WATCH_MS, WATCH_MS + 500);
}

static void on_ride(void *context, const struct answer *answer) {
    struct actor *a = context;
    a->acting = false;
    if (answer->status == 409 || answer->status == 404) { /* it went another way: look anew */
        a->load->lost += a->doing == CLAIMING;
        a->doing = WAKING;
        a->act_us = later_us(a->load, 500, 1500);
        return;
    }
    if (!is_success(answer)) { /* the same again; each of these calls may be repeated */
        a->load->failures++;
        a->act_us = later_us(a->load, RETRY_MS, 2 * RETRY_MS);
        return;
    }
    if (a->timed != NULL)
        measure(a->load, a->timed, clock_mono_us() - a->since_us);
    a->timed = NULL;
    json_t *json = json_loadb(answer->body.data, answer->body.size, 0, NULL), *ride = ride_in(json);
    if (ride == NULL || !read_ride(a, ride))
        a->state[0] = 0;
    if (a->driver)
        driver_goes_on(a, strcmp(text_in(ride, "driverId"), a->id) == 0);
    else
        rider_goes_on(a);
    json_decref(json);
}

static void drive_on(struct actor *a, const char *verb) {
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/drivers/%s/rides/%s/%s%c", a->id, a->ride, verb, 0);
    act(a, "POST", path.data, slice_of("{\"simulated\":true}"), on_ride);
}

/* One of a person's first, so that a hail that is repeated is the same ride. */
static void hail(struct actor *a) {
    _cleanup_(buf_free) struct buf path = {0}, body = {0};
    struct json j = {.out = &body};
    if (a->ride[0] == 0) {
        uuid_make(a->ride, clock_wall_ms());
        a->ride[UUID_SIZE] = 0;
        a->pickup = a->at;
        do
            a->destination = city_place(dice(a->load, UINT64_MAX));
        while (city_distance(a->at, a->destination) > 2200 || city_distance(a->at, a->destination) < 400);
    }
    json_begin_object(&j);
    json_key(&j, "id"), json_put_string(&j, slice_of(a->ride));
    json_key(&j, "pickup"), put_place(&j, a->pickup);
    json_key(&j, "destination"), put_place(&j, a->destination);
    json_key(&j, "name"), json_put_string(&j, slice_of(a->name));
    json_key(&j, "simulated"), json_put_bool(&j, true);
    json_end_object(&j);
    buf_printf(&path, "/v1/riders/%s/rides%c", a->id, 0);
    a->load->hails++;
    a->hailed_us = clock_mono_us();
    a->timed = &a->load->hail_us;
    act(a, "POST", path.data, buf_slice(&body), on_ride);
}

static void look_at_ride(struct actor *a) {
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/rides/%s%c", a->ride, 0);
    act(a, "GET", path.data, SLICE_NONE, on_ride);
}

/* Nobody came. */
static void cancel(struct actor *a) {
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/rides/%s/cancel%c", a->ride, 0);
    act(a, "POST", path.data, slice_of("{}"), on_ride);
}

static void wake(struct actor *a) {
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/%s/%s/rides?limit=1%c", role(a), a->id, 0);
    act(a, "GET", path.data, SLICE_NONE, on_ride);
}

static void cruise(struct actor *a) {
    set_out(a, city_place(dice(a->load, UINT64_MAX)));
    a->act_us = a->way_us + (int64_t)(a->way.duration_s * 1e6) + (int64_t)dice(a->load, 20000000);
}

static void do_next(struct actor *a) {
    switch (a->doing) {
    case WAKING:
        wake(a);
        break;
    case CRUISING:
        cruise(a);
        break;
    case CLAIMING:
        a->timed = &a->load->accept_us;
        drive_on(a, "accept");
        break;
    case FETCHING:
        drive_on(a, "arrive");
        break;
    case BOARDING:
        drive_on(a, "start");
        break;
    case DRIVING:
        drive_on(a, "complete");
        break;
    case RESTING:
        a->ride[0] = 0;
        a->doing = WAITING;
        a->state[0] = 0;
        hail(a);
        break;
    case WAITING:
        if (a->state[0] == 0)
            hail(a);
        else if (ride_is(a, "REQUESTED") && clock_mono_us() - a->hailed_us > PATIENCE_MS * INT64_C(1000))
            cancel(a);
        else
            look_at_ride(a);
        break;
    }
}

/* --- the board --- */

static struct actor *nearest_free(struct city_load *l, struct city_point p) {
    struct actor *best = NULL;
    double least = FAR_M;
    for (size_t i = 0; i < l->car_count; i++) {
        struct actor *a = &l->actors[i];
        double away = a->doing == CRUISING && !a->acting ? city_distance(a->at, p) : FAR_M;
        if (away < least)
            least = away, best = a;
    }
    return best;
}

static bool is_taken(const struct city_load *l, const char *ride) {
    for (size_t i = 0; i < l->car_count; i++)
        if (l->actors[i].doing == CLAIMING && strcmp(l->actors[i].ride, ride) == 0)
            return true;
    return false;
}

static void on_board(void *context, const struct answer *answer) {
    struct city_load *l = context;
    l->looking = false;
    l->look_us = clock_mono_us() + LOOK_MS * INT64_C(1000);
    json_t *json = is_success(answer) ? json_loadb(answer->body.data, answer->body.size, 0, NULL) : NULL,
           *ride;
    size_t n;
    json_array_foreach(json_object_get(json, "hails"), n, ride) {
        json_int_t at = json_integer_value(json_object_get(ride, "requestedAt"));
        bool simulated = json_is_true(json_object_get(ride, "simulated"));
        struct city_point pickup;
        const char *id = text_in(ride, "id");
        if ((!simulated && clock_wall_ms() - at < PERSON_FIRST_MS) || is_taken(l, id) ||
            !read_place(ride, "pickup", &pickup))
            continue;
        struct actor *a = nearest_free(l, pickup);
        if (a == NULL || !read_ride(a, ride))
            continue;
        a->doing = CLAIMING;
        a->act_us = later_us(l, 300, 2500);
    }
    json_decref(json);
}

static void look_at_board(struct city_load *l) {
    static const char everywhere[] = "/v1/drivers/%s0/nearby?bbox=-123.45,-48.91,-123.33,-48.84%c";
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, everywhere, l->prefix, 0);
    l->looking = true;
    client_send(l->client, "GET", path.data, SLICE_NONE, REQUEST_MS, on_board, l);
}

/* --- all of them --- */

static void live(struct actor *a, int64_t now) {
    move(a, now);
    if (now >= a->report_us && !a->reporting) {
        int64_t every = a->driver ? a->load->report_us : RIDER_REPORT_MS * INT64_C(1000);
        a->report_us = a->report_us + every > now ? a->report_us + every : now + every;
        if (client_busy(a->load->client) < UNDER_WAY_MAX)
            report_position(a, status_of(a));
        else
            a->load->late++;
    }
    bool driving = a->moving && (a->doing == FETCHING || a->doing == DRIVING);
    if (!a->acting && now >= a->act_us && !driving)
        do_next(a);
}

static void settle(struct city_load *l) {
    l->car_count = (size_t)l->cars;
    l->count = l->car_count + (size_t)(l->riders < 0 ? ceil(l->cars / 2) : l->riders);
    l->actors = xcalloc(l->count, sizeof *l->actors);
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < l->count; i++) {
        struct actor *a = &l->actors[i];
        a->load = l;
        a->driver = i < l->car_count;
        a->name = names[(i * 7 + 3) % NAMES];
        a->at = city_place(dice(l, UINT64_MAX));
        a->act_us = later_us(l, 0, a->driver ? 2000 : 15000);
        a->report_us = now + (int64_t)dice(l, (uint64_t)l->report_us);
        snprintf(a->id, sizeof a->id, "%s%s-%zu", l->prefix, a->driver ? "driver" : "rider",
                 a->driver ? i : i - l->car_count);
    }
}

/* They vanish from the map; who waits for a car no longer does, who sits in one gets out. */
static void say_goodbye(struct city_load *l) {
    int64_t deadline = clock_mono_us() + 3000000;
    for (size_t i = 0; i < l->count; i++) {
        struct actor *a = &l->actors[i];
        report_position(a, "OFFLINE");
        if (a->driver && a->doing == DRIVING)
            drive_on(a, "complete");
        else if (!a->driver && a->doing == WAITING && a->state[0] != 0 && !ride_is(a, "ON_TRIP"))
            cancel(a);
        while (client_busy(l->client) > UNDER_WAY_MAX && clock_mono_us() < deadline)
            client_wait(l->client, 20);
    }
    while (client_busy(l->client) > 0 && clock_mono_us() < deadline)
        client_wait(l->client, 20);
}

static void run(struct city_load *l) {
    bool terminal = isatty(STDERR_FILENO);
    int64_t shown_us = l->start_us = clock_mono_us();
    while (!ended && (l->seconds == 0 || clock_mono_us() - l->start_us < (int64_t)(l->seconds * 1e6))) {
        int64_t now = clock_mono_us();
        for (size_t i = 0; i < l->count; i++)
            live(&l->actors[i], now);
        if (!l->looking && now >= l->look_us)
            look_at_board(l);
        if (terminal && now - shown_us >= 1000000) {
            shown_us = now;
            fprintf(stderr, "\r\033[K%5.0f s  %zu cars, %zu riders, %zu hails, %zu rides, %zu failures",
                    (double)(now - l->start_us) / 1e6, l->car_count, l->count - l->car_count, l->hails,
                    l->rides, l->failures);
        }
        client_wait(l->client, 40);
        usleep(10000); /* answers are taken together: a quarter of the processor time */
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
}

static void report(struct city_load *l, double seconds) {
    if (!l->json) {
        printf("%zu cars and %zu riders, %.1f s: %.1f positions/s, %" PRId64
               " left out; %zu hails, %zu rides "
               "completed, %zu hails lost to another, %zu calls failed\n",
               l->car_count, l->count - l->car_count, seconds, (double)l->position_us.count / seconds,
               l->late, l->hails, l->rides, l->lost, l->failures);
        samples_print_head();
        samples_print(&l->position_us, "position");
        samples_print(&l->hail_us, "hail");
        samples_print(&l->accept_us, "accept");
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "cars"), json_put_int(&j, (int64_t)l->car_count);
    json_key(&j, "riders"), json_put_int(&j, (int64_t)(l->count - l->car_count));
    json_key(&j, "seconds"), json_put_double(&j, seconds);
    json_key(&j, "perSecond"), json_put_double(&j, (double)l->position_us.count / seconds);
    json_key(&j, "leftOut"), json_put_int(&j, l->late);
    json_key(&j, "hails"), json_put_int(&j, (int64_t)l->hails);
    json_key(&j, "rides"), json_put_int(&j, (int64_t)l->rides);
    json_key(&j, "failures"), json_put_int(&j, (int64_t)l->failures);
    json_key(&j, "positionMs"), samples_json(&l->position_us, &j);
    json_key(&j, "hailMs"), samples_json(&l->hail_us, &j);
    json_key(&j, "acceptMs"), samples_json(&l->accept_us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

int load_rides(int argc, char **argv) {
    static struct city_load l = {.cars = 40, .riders = -1, .seconds = 60};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "count", .min = 1, .max = 20000, .number = &l.cars},
        {.name = "riders", .min = 0, .max = 20000, .number = &l.riders},
        {.name = "seconds", .min = 0, .max = 1e9, .number = &l.seconds},
        {.name = "rate", .min = 0.1, .max = 100000, .number = &l.rate},
        {.name = "as", .text = &l.prefix},
        {.name = "json", .flag = &l.json},
        {0},
    };
    if (!options_parse(argc, argv, options))
        return LOAD_USAGE;
    static char own[32];
    const char *url;
    snprintf(own, sizeof own, "load-%ld-", (long)getpid());
    if (l.prefix == NULL)
        l.prefix = own;
    if (!id_valid(slice_of(l.prefix)) || strlen(l.prefix) > 40) {
        fprintf(stderr, "--as: a prefix of ids, at most 40 of A-Z a-z 0-9 . _ : -\n");
        return LOAD_USAGE;
    }
    if (!shop_gateway(&url, &err) || !client_create(url, &l.client, &err)) {
        fprintf(stderr, "load: %s\n", err.text);
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    l.random = (uint64_t)clock_wall_ms();
    l.report_us = l.rate > 0 ? (int64_t)(l.cars * 1e6 / l.rate) + 1 : REPORT_MS * INT64_C(1000);
    settle(&l);
    run(&l);
    double seconds = (double)(clock_mono_us() - l.start_us) / 1e6;
    say_goodbye(&l);
    report(&l, seconds);
    bool nobody = l.seconds > 0 && l.position_us.count == 0;
    client_destroy(l.client);
    for (size_t i = 0; i < l.count; i++)
        arena_free(&l.actors[i].arena);
    free(l.actors);
    samples_free(&l.position_us);
    samples_free(&l.hail_us);
    samples_free(&l.accept_us);
    return nobody ? 1 : 0;
}
