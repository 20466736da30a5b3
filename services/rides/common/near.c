#include "near.h"

#include "tables.h"

#include <stdlib.h>

/* A box with more rows of cells than this is scanned in one go, cells beside it included. */
enum { ROWS_MAX = 64, RADIUS_M = 2000, RADIUS_MAX_M = 100 * 1000 };

struct scan {
    struct geo_cell low, high;
    bool (*each)(void *context, struct slice key);
    void *context;
    bool stopped;
};

static bool visit(void *context, struct slice index_key, struct slice key) {
    struct scan *s = context;
    if (index_key.size < INDEX_PLACE_HEAD)
        return true;
    struct geo_cell c = geo_cell_read(index_key.data + 1);
    if (c.row > s->high.row)
        return false;
    if (c.column < s->low.column || c.column > s->high.column)
        return c.column < s->low.column || s->high.row - s->low.row >= ROWS_MAX;
    s->stopped = !s->each(s->context, key);
    return !s->stopped;
}

static bool scan_cells(struct instance *i, struct http_exchange *x, const struct table *t, struct scan *s) {
    bool many = s->high.row - s->low.row >= ROWS_MAX;
    char from[INDEX_PLACE_HEAD] = {INDEX_PLACE};
    for (unsigned row = s->low.row; row <= s->high.row && !s->stopped; row++) {
        geo_cell_write((struct geo_cell){(uint16_t)row, s->low.column}, from + 1);
        struct slice prefix = {from, many ? 1 : 3}; /* the whole index, or a row of cells */
        if (!instance_scan(i, x, t, prefix, (struct slice){from, sizeof from}, visit, s))
            return false;
        if (many)
            break;
    }
    return true;
}

bool near_scan(struct instance *i, struct http_exchange *x, const struct table *t, const struct geo_box *box,
               bool (*each)(void *, struct slice), void *context) {
    struct scan s = {.each = each, .context = context};
    struct geo_box parts[2];
    size_t count = geo_parts(box, parts);
    for (size_t n = 0; n < count && !s.stopped; n++) {
        s.low = geo_cell_of((struct geo_point){parts[n].min_lat, parts[n].min_lon});
        s.high = geo_cell_of((struct geo_point){parts[n].max_lat, parts[n].max_lon});
        if (!scan_cells(i, x, t, &s))
            return false;
    }
    return true;
}

static bool query_number(struct http_exchange *x, const char *name, double min, double max, bool *given,
                         double *n) {
    struct slice text;
    if (!http_query_string(x, name, &text))
        return false;
    *given = text.data != NULL;
    if (!*given)
        return true;
    char copy[64] = "", *end = copy;
    if (text.size > 0 && text.size < sizeof copy && strchr("+-.0123456789", text.data[0]) != NULL) {
        memcpy(copy, text.data, text.size);
        *n = strtod(copy, &end);
    }
    if (end == copy || *end != 0 || !(*n >= min && *n <= max)) {
        http_reply_problem(x, 400, name, "must be a number from %g to %g", min, max);
        return false;
    }
    return true;
}

bool near_box(struct http_exchange *x, const struct geo_point *around, struct geo_box *box) {
    struct geo_point centre = around == NULL ? (struct geo_point){0} : *around;
    double radius = RADIUS_M;
    bool has_lat, has_lon, has_radius;
    struct slice text;
    if (!http_query_string(x, "bbox", &text) || !query_number(x, "lat", -90, 90, &has_lat, &centre.lat) ||
        !query_number(x, "lon", -180, 180, &has_lon, &centre.lon) ||
        !query_number(x, "radius", 1, RADIUS_MAX_M, &has_radius, &radius))
        return false;
    if (text.data != NULL) {
        if (geo_box_parse(text, box))
            return true;
        http_reply_problem(x, 400, "bbox", "must be minLon,minLat,maxLon,maxLat");
        return false;
    }
    if (has_lat != has_lon || (!has_lat && around == NULL)) {
        http_reply_problem(x, 400, has_lat ? "lon" : "lat", "missing: lat and lon, or bbox");
        return false;
    }
    *box = geo_around(centre, radius);
    return true;
}
