#include "city/city.h"
#include "city/city_http.h"
#include "city/snap.h"
#include "http/test_client.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- the plan --- */

static uint64_t hash(uint64_t h, int64_t n) {
    for (int i = 0; i < 64; i += 8)
        h = (h ^ (uint8_t)(n >> i)) * UINT64_C(0x100000001b3);
    return h;
}

static void the_city_is_the_same_everywhere(void **state) {
    (void)state;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < city_edge_count; i++) {
        const struct city_edge *e = &city_edges[i];
        h = hash(hash(hash(h, e->from), e->to), e->length_cm);
        for (uint32_t k = 0; k < e->spot_count; k++)
            h = hash(hash(h, city_spots[e->first_spot + k].lat), city_spots[e->first_spot + k].lon);
        for (const char *c = city_streets[e->street].name; *c != 0; c++)
            h = hash(h, *c);
    }
    assert_int_equal(h, UINT64_C(0xe49fbb21b3765968));
}

static void everybody_can_go_everywhere(void **state) {
    (void)state;
    for (int back = 0; back < 2; back++) {
        bool *seen = xcalloc(city_node_count, sizeof *seen);
        uint32_t *stack = xcalloc(city_node_count, sizeof *stack);
        size_t open = 0, count = 0;
        seen[0] = true;
        stack[open++] = 0;
        while (open > 0) {
            uint32_t v = stack[--open];
            count++;
            for (size_t i = 0; i < city_edge_count; i++) {
                const struct city_edge *e = &city_edges[i];
                bool oneway = city_streets[e->street].oneway;
                uint32_t from = back ? e->to : e->from, to = back ? e->from : e->to;
                uint32_t next = from == v ? to : to == v && !oneway ? from : v;
                if (!seen[next]) {
                    seen[next] = true;
                    stack[open++] = next;
                }
            }
        }
        assert_int_equal(count, city_node_count);
        free(seen);
        free(stack);
    }
}

static void it_looks_like_a_city(void **state) {
    (void)state;
    size_t oneway = 0, bridges = 0, avenues = 0, parks = 0, blocks = 0;
    double kilometres = 0;
    for (size_t i = 0; i < city_street_count; i++) {
        oneway += city_streets[i].oneway;
        bridges += city_streets[i].bridge;
        avenues += city_streets[i].class == CITY_AVENUE;
        assert_true(city_streets[i].edge_count > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(city_streets[i].name, city_streets[k].name);
    }
    for (size_t i = 0; i < city_edge_count; i++)
        kilometres += city_edges[i].length_cm / 1e5;
    for (size_t i = 0; i < city_area_count; i++) {
        const struct city_area *a = &city_areas[i];
        parks += a->kind == CITY_PARK;
        blocks += a->kind == CITY_BLOCK;
        assert_memory_equal(&city_spots[a->first_spot], &city_spots[a->first_spot + a->spot_count - 1],
                            sizeof *city_spots);
    }
    assert_in_range(city_street_count, 150, 500);
    assert_in_range(oneway, 20, city_street_count / 2);
    assert_in_range(bridges, 4, 9);
    assert_in_range(avenues, 10, 60);
    assert_in_range(parks, 8, 60);
    assert_in_range(blocks, 500, 2000);
    assert_in_range((size_t)kilometres, 150, 400);
}

/* --- the quickest way --- */

static double seconds_on(const struct city_edge *e, double metres) {
    return metres / street_speed(&city_streets[e->street]);
}

/* Dijkstra, without heap or estimate. */
static double quickest(const struct snap *from, const struct snap *to) {
    const struct city_edge *first = &city_edges[from->edge], *end = &city_edges[to->edge];
    bool first_oneway = city_streets[first->street].oneway, end_oneway = city_streets[end->street].oneway;
    double *best = xmalloc(city_node_count * sizeof *best), found = HUGE_VAL;
    bool *closed = xcalloc(city_node_count, sizeof *closed);
    for (size_t i = 0; i < city_node_count; i++)
        best[i] = HUGE_VAL;
    best[first->to] = seconds_on(first, edge_length(first) - from->along);
    if (!first_oneway)
        best[first->from] = seconds_on(first, from->along);
    for (;;) {
        size_t v = city_node_count;
        for (size_t i = 0; i < city_node_count; i++)
            if (!closed[i] && best[i] < HUGE_VAL && (v == city_node_count || best[i] < best[v]))
                v = i;
        if (v == city_node_count)
            break;
        closed[v] = true;
        for (size_t i = 0; i < city_edge_count; i++) {
            const struct city_edge *e = &city_edges[i];
            double t = best[v] + seconds_on(e, edge_length(e));
            if (e->from == v && t < best[e->to])
                best[e->to] = t;
            if (e->to == v && !city_streets[e->street].oneway && t < best[e->from])
                best[e->from] = t;
        }
    }
    found = best[end->from] + seconds_on(end, to->along);
    if (!end_oneway)
        found = fmin(found, best[end->to] + seconds_on(end, edge_length(end) - to->along));
    if (from->edge == to->edge && (!first_oneway || to->along >= from->along))
        found = fmin(found, seconds_on(first, fabs(to->along - from->along)));
    free(best);
    free(closed);
    return found;
}

static void a_route_is_the_quickest(void **state) {
    (void)state;
    struct arena a = {0};
    for (uint64_t n = 0; n < 60; n++) {
        struct city_point from = city_place(2 * n), to = n % 10 == 0 ? from : city_place(2 * n + 1);
        if (n % 10 == 0) /* nearby, often on the same street */
            to.lat += 0.0002;
        struct city_route r;
        struct snap s, e;
        assert_true(city_snap_edge(from, &s));
        assert_true(city_snap_edge(to, &e));
        assert_true(city_route(from, to, &a, &r));
        double least = quickest(&s, &e);
        if (!(r.duration_s < least + 0.15 && r.duration_s > least - 0.15))
            fail_msg("route %d: %.3f s, the quickest takes %.3f s", (int)n, r.duration_s, least);
        arena_reset(&a);
    }
    arena_free(&a);
}

/* The street that has this piece, driven this way; fails where there is none or it is one-way the other way.
 */
static void assert_allowed(const struct city_path *p, const struct city_path *q) {
    double heading = city_heading(p->at, q->at);
    struct city_point middle = {(p->at.lat + q->at.lat) / 2, (p->at.lon + q->at.lon) / 2};
    bool found = false;
    for (size_t i = 0; i < city_edge_count && !found; i++) {
        const struct city_edge *e = &city_edges[i];
        if (strcmp(city_streets[e->street].name, p->street) != 0)
            continue;
        for (uint32_t k = 0; k + 1 < e->spot_count && !found; k++) {
            struct city_point a = city_spot_point(city_spots[e->first_spot + k]);
            struct city_point b = city_spot_point(city_spots[e->first_spot + k + 1]);
            double detour = city_distance(a, middle) + city_distance(middle, b) - city_distance(a, b);
            double turn = fabs(remainder(heading - city_heading(a, b), 360));
            found = detour < 0.3 && (turn < 15 || (turn > 165 && !city_streets[e->street].oneway));
        }
    }
    if (!found)
        fail_msg("%.6f,%.6f to %.6f,%.6f is not a way along %s", p->at.lat, p->at.lon, q->at.lat, q->at.lon,
                 p->street);
}

static void a_route_follows_streets_in_their_sense(void **state) {
    (void)state;
    struct arena a = {0};
    for (uint64_t n = 0; n < 25; n++) {
        struct city_route r;
        assert_true(city_route(city_place(3 * n), city_place(7 * n + 1), &a, &r));
        double metres = 0;
        for (size_t i = 0; i + 1 < r.count; i++) {
            assert_true(r.path[i].seconds < r.path[i + 1].seconds);
            double piece = city_distance(r.path[i].at, r.path[i + 1].at);
            metres += piece;
            if (piece > 2)
                assert_allowed(&r.path[i], &r.path[i + 1]);
        }
        assert_true(fabs(metres - r.distance_m) < 0.002 * metres + 0.1);
        assert_true(r.path[r.count - 1].seconds == r.duration_s);
        arena_reset(&a);
    }
    arena_free(&a);
}

static void every_place_is_reachable_from_every_edge(void **state) {
    (void)state;
    struct arena a = {0};
    struct city_point middle = city_place(1);
    for (size_t i = 0; i < city_edge_count; i += 7) {
        struct city_point p = city_spot_point(city_spots[city_edges[i].first_spot]);
        struct city_route r;
        assert_true(city_route(p, middle, &a, &r));
        assert_true(city_route(middle, p, &a, &r));
        arena_reset(&a);
    }
    arena_free(&a);
}

static void places_between_times(void **state) {
    (void)state;
    struct arena a = {0};
    struct city_route r;
    double heading = -1;
    assert_true(city_route(city_place(4), city_place(9), &a, &r));
    struct city_point start = city_route_at(&r, -5, &heading), end = city_route_at(&r, 1e9, NULL);
    assert_true(city_distance(start, r.path[0].at) < 0.01 && heading >= 0 && heading < 360);
    assert_true(city_distance(end, r.path[r.count - 1].at) < 0.01);
    struct city_point before = start;
    for (int t = 1; t < r.duration_s; t++) { /* at most 50 km/h */
        struct city_point p = city_route_at(&r, t, &heading);
        assert_true(city_distance(before, p) < 50 / 3.6 + 0.1);
        before = p;
    }
    arena_free(&a);
}

static void the_nearest_street(void **state) {
    (void)state;
    for (uint64_t n = 0; n < 300; n++) {
        struct city_point p = city_place(n), on;
        assert_true(city_snap(p, &on));
        assert_true(city_distance(p, on) < 0.2);
        p.lat += 0.0007 * (double)(n % 5), p.lon -= 0.0009 * (double)(n % 7);
        struct snap s;
        assert_true(city_snap_edge(p, &s));
        double away = hypot(city_metres(p).x - s.at.x, city_metres(p).y - s.at.y);
        for (size_t i = 0; i < city_edge_count; i++) /* by looking at all of them */
            for (uint32_t k = 0; k < city_edges[i].spot_count; k++) {
                struct metres m = city_spot_metres(city_spots[city_edges[i].first_spot + k]);
                assert_true(hypot(m.x - city_metres(p).x, m.y - city_metres(p).y) > away - 0.01);
            }
    }
    assert_false(city_snap((struct city_point){52.5, 13.4}, &(struct city_point){0}));
    assert_false(city_snap((struct city_point){NAN, 13.4}, &(struct city_point){0}));
    assert_false(city_snap((struct city_point){90, 180}, &(struct city_point){0}));
}

static void a_trip_has_a_price_anywhere(void **state) {
    (void)state;
    double metres, seconds;
    city_trip((struct city_point){52.50, 13.40}, (struct city_point){52.51, 13.40}, &metres, &seconds);
    assert_in_range((size_t)metres, 1440, 1450);
    assert_in_range((size_t)seconds, 172, 174);
    assert_int_equal(city_fare_cents(0, 0), 250);
    assert_int_equal(city_fare_cents(1000, 0), 360);
    assert_int_equal(city_fare_cents(1000, 60), 390);
    assert_true(city_heading((struct city_point){0, 0}, (struct city_point){0, 1}) == 90);
    assert_true(city_heading((struct city_point){0, 0}, (struct city_point){-1, 0}) == 180);
}

/* --- over HTTP --- */

static const struct http_route routes[] = {CITY_ROUTES, {0}};

static int serve(void **state) {
    struct http_server *s = http_server_create(&(struct http_config){0});
    http_server_mount(s, routes, NULL);
    *state = s;
    return http_server_start(s, &(struct err){0}) ? 0 : -1;
}

static int stop(void **state) {
    http_server_destroy(*state);
    return 0;
}

static size_t occurrences(const char *text, const char *of) {
    size_t n = 0;
    for (; (text = strstr(text, of)) != NULL; text++)
        n++;
    return n;
}

static void geojson_of_a_box(void **state) {
    struct city_point p = city_place(5);
    char path[200];
    snprintf(path, sizeof path, "/v1/city?bbox=%.6f,%.6f,%.6f,%.6f", p.lon - 0.001, p.lat - 0.001,
             p.lon + 0.001, p.lat + 0.001);
    struct reply *r = ask_get(*state, path);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->head, "application/geo+json"));
    assert_int_equal(occurrences(r->head, "Cache-Control:"), 1);
    assert_non_null(strstr(r->head, "Cache-Control: max-age=300\r\n"));
    assert_non_null(strstr(r->body, "{\"type\":\"FeatureCollection\""));
    assert_in_range(occurrences(r->body, "\"LineString\""), 1, 60);
    assert_in_range(occurrences(r->body, "\"kind\":\"land\""), 1, 1);
    r = ask_get(*state, "/v1/city?bbox=13,52,14,53");
    assert_int_equal(r->status, 200);
    assert_int_equal(occurrences(r->body, "Feature\""), 0);
    assert_non_null(strstr(r->body, "\"features\":[\n\n]"));
    r = ask_get(*state, "/v1/city?bbox=170,-90,-170,90"); /* across the date line, where the city is not */
    assert_int_equal(r->status, 200);
    assert_int_equal(occurrences(r->body, "Feature\""), 0);
    snprintf(path, sizeof path, "/v1/city?bbox=%.6f,%.6f,%.6f,%.6f", p.lon - 0.001, p.lat - 0.001, -179.0,
             p.lat + 0.001);
    assert_in_range(occurrences(ask_get(*state, path)->body, "\"LineString\""), 1, 1000);
    static const char *const bad[] = {"1,2,3",   "1,2,3,4,5", "1,2,x,4", "nan,1,2,3",
                                      "3,5,4,2", "0,-91,1,1", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(path, sizeof path, "/v1/city?bbox=%s", bad[i]);
        r = ask_get(*state, path);
        assert_int_equal(r->status, 400);
        assert_non_null(strstr(r->body, "\"field\":\"bbox\""));
    }
}

static void a_route_over_http(void **state) {
    struct city_point p = city_place(5), q = city_place(6);
    char path[200];
    snprintf(path, sizeof path, "/v1/city/route?from=%.6f,%.6f&to=%.6f,%.6f", p.lat, p.lon, q.lat, q.lon);
    struct reply *r = ask_get(*state, path);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->body, "\"distanceM\":"));
    assert_non_null(strstr(r->body, "\"steps\":[{\"street\":"));
    r = ask_get(*state, "/v1/city/route?from=1,2");
    assert_int_equal(r->status, 400);
    assert_non_null(strstr(r->body, "\"field\":\"from\""));
    snprintf(path, sizeof path, "/v1/city/route?from=%.6f,%.6f", p.lat, p.lon);
    r = ask_get(*state, path);
    assert_int_equal(r->status, 400);
    assert_non_null(strstr(r->body, "\"field\":\"to\""));
}

static void streets_by_name(void **state) {
    struct reply *r = ask_get(*state, "/v1/city/streets?q=ocean");
    assert_int_equal(r->status, 200);
    assert_non_null(
        strstr(r->body, "{\"streets\":[{\"name\":\"Ocean Drive\",\"kind\":\"street\",\"lat\":-48.8"));
    r = ask_get(*state, "/v1/city/streets?q=NORTH%20q");
    assert_int_equal(occurrences(r->body, "\"name\""), 1);
    r = ask_get(*state, "/v1/city/streets?q=park&limit=1000");
    assert_in_range(occurrences(r->body, "\"kind\":\"park\""), 3, 60);
    r = ask_get(*state, "/v1/city/streets");
    assert_int_equal(occurrences(r->body, "\"name\""), 10);
    r = ask_get(*state, "/v1/city/streets?q=nowhere+at+all");
    assert_string_equal(r->body, "{\"streets\":[]}");
    r = ask_get(*state, "/v1/city/streets?limit=0");
    assert_int_equal(r->status, 400);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_city_is_the_same_everywhere),
        cmocka_unit_test(everybody_can_go_everywhere),
        cmocka_unit_test(it_looks_like_a_city),
        cmocka_unit_test(a_route_is_the_quickest),
        cmocka_unit_test(a_route_follows_streets_in_their_sense),
        cmocka_unit_test(every_place_is_reachable_from_every_edge),
        cmocka_unit_test(places_between_times),
        cmocka_unit_test(the_nearest_street),
        cmocka_unit_test(a_trip_has_a_price_anywhere),
        cmocka_unit_test_setup_teardown(geojson_of_a_box, serve, stop),
        cmocka_unit_test_setup_teardown(a_route_over_http, serve, stop),
        cmocka_unit_test_setup_teardown(streets_by_name, serve, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
