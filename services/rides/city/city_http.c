#include "city/city_http.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "city/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* --- parameters --- */

/* `count` decimal numbers with commas between, and nothing else. */
static bool read_numbers(struct slice text, double *numbers, size_t count) {
    char copy[128];
    if (text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (strspn(copy, "0123456789+-.eE,") != text.size)
        return false;
    char *at = copy;
    for (size_t i = 0; i < count; i++) {
        char *end;
        numbers[i] = strtod(at, &end);
        if (end == at || *end != (i + 1 < count ? ',' : 0))
            return false;
        at = end + 1;
    }
    return true;
}

static bool is_point(double lat, double lon) {
    return lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180;
}

/* On false 400 has been sent. */
static bool query_point(struct http_exchange *x, const char *name, struct city_point *p) {
    struct slice text;
    double n[2];
    if (!http_query_string(x, name, &text))
        return false;
    if (text.data == NULL || !read_numbers(text, n, 2) || !is_point(n[0], n[1])) {
        http_reply_problem(x, 400, name, "must be latitude,longitude in degrees");
        return false;
    }
    *p = (struct city_point){n[0], n[1]};
    if (city_snap(*p, &(struct city_point){0}))
        return true;
    http_reply_problem(x, 400, name, "is more than 2 km from any street of the city");
    return false;
}

/* --- GeoJSON --- */

struct box { /* millionths of a degree; west > east: across the date line */
    double west, south, east, north;
};

static bool query_box(struct http_exchange *x, struct box *box) {
    struct slice text;
    double n[4];
    if (!http_query_string(x, "bbox", &text))
        return false;
    if (text.data == NULL)
        return true;
    if (!read_numbers(text, n, 4) || !is_point(n[1], n[0]) || !is_point(n[3], n[2]) || n[1] > n[3]) {
        http_reply_problem(x, 400, "bbox", "must be west,south,east,north in degrees");
        return false;
    }
    *box = (struct box){n[0] * 1e6, n[1] * 1e6, n[2] * 1e6, n[3] * 1e6};
    return true;
}

static bool touches(const struct box *box, uint32_t first, uint32_t count) {
    const struct city_spot *s = &city_spots[first];
    struct city_spot low = s[0], high = s[0];
    for (uint32_t i = 1; i < count; i++) {
        low.lat = s[i].lat < low.lat ? s[i].lat : low.lat;
        low.lon = s[i].lon < low.lon ? s[i].lon : low.lon;
        high.lat = s[i].lat > high.lat ? s[i].lat : high.lat;
        high.lon = s[i].lon > high.lon ? s[i].lon : high.lon;
    }
    bool before = low.lon <= box->east, behind = high.lon >= box->west;
    return low.lat <= box->north && high.lat >= box->south &&
           (box->west <= box->east ? before && behind : before || behind);
}

/* A coordinate in all its six decimals: integers only, printf for doubles would take most of the time. */
static void put_degrees(struct buf *out, int32_t micro) {
    char text[16], *at = text + sizeof text;
    uint32_t n = micro < 0 ? (uint32_t)-micro : (uint32_t)micro;
    for (int i = 0; i < 6; i++, n /= 10)
        *--at = (char)('0' + n % 10);
    *--at = '.';
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    if (micro < 0)
        *--at = '-';
    buf_append(out, at, (size_t)(text + sizeof text - at));
}

/* One list of points after another, as one ring or line; a point that comes twice in a row is written once.
 */
struct shape {
    struct buf *out;
    const struct city_spot *last;
};

static void shape_add(struct shape *s, uint32_t first, uint32_t count) {
    for (const struct city_spot *p = &city_spots[first]; count-- > 0; p++) {
        if (s->last != NULL && s->last->lat == p->lat && s->last->lon == p->lon)
            continue;
        buf_append_slice(s->out, slice_of(s->last == NULL ? "[[" : ",["));
        put_degrees(s->out, p->lon);
        buf_append_byte(s->out, ',');
        put_degrees(s->out, p->lat);
        buf_append_byte(s->out, ']');
        s->last = p;
    }
}

static void put_area(struct buf *out, const struct city_area *a) {
    static const char *const kinds[] = {"land", "block", "park", "river"};
    buf_printf(out, "{\"type\":\"Feature\",\"properties\":{\"kind\":\"%s\"", kinds[a->kind]);
    if (a->name != NULL)
        buf_printf(out, ",\"name\":\"%s\"", a->name);
    buf_append_slice(out, slice_of("},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":["));
    shape_add(&(struct shape){.out = out}, a->first_spot, a->spot_count);
    buf_append_slice(out, slice_of("]]}},\n"));
}

/* The edges of a street that hang together are one line. */
static void put_line(struct buf *out, uint32_t first, uint32_t end) {
    static const char *const classes[] = {"avenue", "road", "street"};
    const struct city_street *s = &city_streets[city_edges[first].street];
    buf_printf(out,
               "{\"type\":\"Feature\",\"properties\":{\"kind\":\"street\",\"name\":\"%s\",\"class\":\"%s\","
               "\"speedKmh\":%.0f,\"oneway\":%s,\"bridge\":%s},\"geometry\":{\"type\":\"LineString\","
               "\"coordinates\":",
               s->name, classes[s->class], street_speed(s) * 3.6, s->oneway ? "true" : "false",
               s->bridge ? "true" : "false");
    struct shape shape = {.out = out};
    for (uint32_t i = first; i < end; i++)
        shape_add(&shape, city_edges[i].first_spot, city_edges[i].spot_count);
    buf_append_slice(out, slice_of("]}},\n"));
}

static void put_street(struct buf *out, const struct city_street *s, const struct box *box) {
    uint32_t end = s->first_edge + s->edge_count, next;
    for (uint32_t first = s->first_edge; first < end; first = next) {
        for (next = first + 1; next < end && city_edges[next].from == city_edges[next - 1].to; next++)
            ;
        bool seen = false;
        for (uint32_t i = first; i < next && !seen; i++)
            seen = touches(box, city_edges[i].first_spot, city_edges[i].spot_count);
        if (seen)
            put_line(out, first, next);
    }
}

static void put_city(struct buf *out, const struct box *box) {
    const struct city_grid *g = &city_grid;
    buf_append_slice(out, slice_of("{\"type\":\"FeatureCollection\",\"name\":\"" CITY_NAME "\",\"bbox\":["));
    put_degrees(out, g->low.lon), buf_append_byte(out, ','), put_degrees(out, g->low.lat);
    buf_append_byte(out, ',');
    put_degrees(out, g->high.lon), buf_append_byte(out, ','), put_degrees(out, g->high.lat);
    buf_append_slice(out, slice_of("],\"features\":[\n"));
    size_t head = out->size;
    for (size_t i = 0; i < city_area_count; i++)
        if (touches(box, city_areas[i].first_spot, city_areas[i].spot_count))
            put_area(out, &city_areas[i]);
    for (size_t i = 0; i < city_street_count; i++)
        put_street(out, &city_streets[i], box);
    if (out->size > head)
        out->size -= 2; /* the last comma */
    buf_append_slice(out, slice_of("\n]}\n"));
}

enum http_result city_get(struct http_exchange *x, void *context) {
    (void)context;
    struct box box = {-180e6, -90e6, 180e6, 90e6};
    if (!query_box(x, &box))
        return HTTP_DONE;
    _cleanup_(buf_free) struct buf json = {0};
    put_city(&json, &box);
    return http_reply_kept(x, "application/geo+json", buf_slice(&json), 300);
}

/* --- the way --- */

static void put_rounded(struct json *j, double number, int decimals) {
    char text[64];
    snprintf(text, sizeof text, "%.*f", decimals, number);
    json_put_raw(j, slice_of(text));
}

static void put_coordinates(struct json *j, struct city_point p) {
    json_key(j, "lat"), put_rounded(j, p.lat, 6);
    json_key(j, "lon"), put_rounded(j, p.lon, 6);
}

static void put_steps(struct json *j, const struct city_route *r) {
    json_key(j, "steps"), json_begin_array(j);
    for (size_t i = 0, k; i < r->count; i = k) {
        double metres = 0;
        for (k = i; k < r->count && strcmp(r->path[k].street, r->path[i].street) == 0; k++)
            if (k + 1 < r->count)
                metres += city_distance(r->path[k].at, r->path[k + 1].at);
        json_begin_object(j);
        json_key(j, "street"), json_put_string(j, slice_of(r->path[i].street));
        json_key(j, "distanceM"), put_rounded(j, metres, 0);
        json_key(j, "seconds"), put_rounded(j, r->path[i].seconds, 1);
        json_end_object(j);
    }
    json_end_array(j);
}

enum http_result city_get_route(struct http_exchange *x, void *context) {
    (void)context;
    struct city_point from, to;
    struct city_route r;
    if (!query_point(x, "from", &from) || !query_point(x, "to", &to))
        return HTTP_DONE;
    if (!city_route(from, to, http_arena(x), &r))
        return http_reply_problem(x, 404, NULL, "there is no way");
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "distanceM"), put_rounded(&j, r.distance_m, 1);
    json_key(&j, "durationS"), put_rounded(&j, r.duration_s, 1);
    json_key(&j, "fareCents"), json_put_int(&j, city_fare_cents(r.distance_m, r.duration_s));
    json_key(&j, "path"), json_begin_array(&j);
    for (size_t i = 0; i < r.count; i++) {
        json_begin_object(&j);
        put_coordinates(&j, r.path[i].at);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_key(&j, "seconds"), json_begin_array(&j);
    for (size_t i = 0; i < r.count; i++)
        put_rounded(&j, r.path[i].seconds, 2);
    json_end_array(&j);
    put_steps(&j, &r);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&out));
}

/* --- streets by name --- */

/* 0: it begins with the words; 1: one of its words does; 2: they are somewhere in it; 3: they are not. */
static int match(const char *name, struct slice words) {
    int best = 3;
    for (const char *at = name; *at != 0; at++) {
        if (strncasecmp(at, words.data, words.size) != 0)
            continue;
        int rank = at == name ? 0 : at[-1] == ' ' ? 1 : 2;
        best = rank < best ? rank : best;
    }
    return best;
}

/* In the middle of the street, on it. */
static struct city_point street_middle(const struct city_street *s) {
    const struct city_edge *e = &city_edges[s->first_edge + s->edge_count / 2];
    const struct city_spot *a = &city_spots[e->first_spot + (e->spot_count - 1) / 2], *b = a + 1;
    return city_spot_point(
        (struct city_spot){a->lat + (b->lat - a->lat) / 2, a->lon + (b->lon - a->lon) / 2});
}

static struct city_point area_middle(const struct city_area *a) {
    int64_t lat = 0, lon = 0;
    for (uint32_t i = 0; i < a->spot_count; i++) {
        lat += city_spots[a->first_spot + i].lat;
        lon += city_spots[a->first_spot + i].lon;
    }
    struct city_point p = {(double)lat / a->spot_count / 1e6, (double)lon / a->spot_count / 1e6};
    city_snap(p, &p);
    return p;
}

struct found {
    const char *name, *kind;
    struct city_point at;
    int rank;
};

static int by_rank(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    return x->rank != y->rank ? x->rank - y->rank : strcmp(x->name, y->name);
}

static size_t find(struct slice words, struct found *found) {
    size_t n = 0;
    for (size_t i = 0; i < city_street_count; i++) {
        const struct city_street *s = &city_streets[i];
        struct found f = {s->name, s->bridge ? "bridge" : "street", street_middle(s), match(s->name, words)};
        if (f.rank < 3)
            found[n++] = f;
    }
    for (size_t i = 0; i < city_area_count; i++) {
        const struct city_area *a = &city_areas[i];
        int rank = a->kind == CITY_PARK && a->name != NULL ? match(a->name, words) : 3;
        if (rank < 3)
            found[n++] = (struct found){a->name, "park", area_middle(a), rank};
    }
    qsort(found, n, sizeof *found, by_rank);
    return n;
}

enum http_result city_get_streets(struct http_exchange *x, void *context) {
    (void)context;
    struct slice words;
    int64_t limit;
    if (!http_query_string(x, "q", &words) || !http_query_int64(x, "limit", 1, 1000, 10, &limit))
        return HTTP_DONE;
    if (words.data == NULL)
        words = slice_of("");
    struct found *found = arena_alloc(http_arena(x), (city_street_count + city_area_count) * sizeof *found);
    size_t n = find(words, found);
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "streets"), json_begin_array(&j);
    for (size_t i = 0; i < n && i < (size_t)limit; i++) {
        json_begin_object(&j);
        json_key(&j, "name"), json_put_string(&j, slice_of(found[i].name));
        json_key(&j, "kind"), json_put_string(&j, slice_of(found[i].kind));
        put_coordinates(&j, found[i].at);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&out));
}
