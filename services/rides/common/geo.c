#include "geo.h"

#include <math.h>
#include <stdlib.h>

#define EARTH_M 6371008.8
#define RADIANS (M_PI / 180)
#define DEGREE_M (EARTH_M * RADIANS)

bool geo_valid(double lat, double lon) {
    return lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180;
}

double geo_distance(struct geo_point a, struct geo_point b) {
    double up = sin((b.lat - a.lat) * RADIANS / 2), across = sin((b.lon - a.lon) * RADIANS / 2);
    double h = up * up + cos(a.lat * RADIANS) * cos(b.lat * RADIANS) * across * across;
    return 2 * EARTH_M * asin(sqrt(fmin(h, 1)));
}

struct geo_box geo_around(struct geo_point centre, double metres) {
    double up = metres / DEGREE_M;
    /* Where the circle is widest, which is poleward of its centre; a pole inside of it touches every
     * meridian. */
    double poleward = fmin(fabs(centre.lat) + up, 90);
    double across = poleward >= 90 ? 360 : up / cos(poleward * RADIANS);
    double west = centre.lon - across, east = centre.lon + across;
    bool all_round = across >= 180;
    return (struct geo_box){
        .min_lon = all_round      ? -180
                   : west <= -180 ? west + 360
                                  : west,
        .min_lat = fmax(centre.lat - up, -90),
        .max_lon = all_round     ? 180
                   : east >= 180 ? east - 360
                                 : east,
        .max_lat = fmin(centre.lat + up, 90),
    };
}

bool geo_inside(const struct geo_box *b, struct geo_point p) {
    bool behind = p.lon >= b->min_lon, before = p.lon <= b->max_lon;
    return (b->min_lon <= b->max_lon ? behind && before : behind || before) && p.lat >= b->min_lat &&
           p.lat <= b->max_lat;
}

size_t geo_parts(const struct geo_box *b, struct geo_box parts[2]) {
    parts[0] = parts[1] = *b;
    if (b->min_lon <= b->max_lon)
        return 1;
    parts[0].max_lon = 180;
    parts[1].min_lon = -180;
    return 2;
}

bool geo_box_parse(struct slice text, struct geo_box *b) {
    char copy[128], *at = copy;
    double n[4];
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    for (size_t i = 0; i < 4; i++) {
        char *end;
        if (strchr("+-.0123456789", *at) == NULL || *at == 0)
            return false; /* strtod takes blanks, "nan" and more */
        n[i] = strtod(at, &end);
        if (end == at || (i < 3 ? *end != ',' : end != copy + text.size))
            return false;
        at = end + 1;
    }
    if (!geo_valid(n[1], n[0]) || !geo_valid(n[3], n[2]) || n[1] > n[3])
        return false;
    *b = (struct geo_box){n[0], n[1], n[2], n[3]};
    return true;
}

static uint16_t step_of(double from_edge, double span) {
    double n = floor(from_edge / span * 65536);
    return (uint16_t)(n < 0 ? 0 : n > 65535 ? 65535 : n);
}

/* Both count 1/65536 of 360 degrees, so that cells are square at the equator. */
struct geo_cell geo_cell_of(struct geo_point p) {
    return (struct geo_cell){step_of(p.lat + 90, 360), step_of(p.lon + 180, 360)};
}

void geo_cell_write(struct geo_cell c, char bytes[GEO_CELL_SIZE]) {
    bytes[0] = (char)(c.row >> 8);
    bytes[1] = (char)c.row;
    bytes[2] = (char)(c.column >> 8);
    bytes[3] = (char)c.column;
}

struct geo_cell geo_cell_read(const char bytes[GEO_CELL_SIZE]) {
    const unsigned char *b = (const unsigned char *)bytes;
    return (struct geo_cell){(uint16_t)(b[0] << 8 | b[1]), (uint16_t)(b[2] << 8 | b[3])};
}
