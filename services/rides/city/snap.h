/* Places on streets, for the city's own files only. */
#pragma once

#include "city/city.h"
#include "city/tables.h"

struct metres { /* east and north of the grid's corner */
    double x, y;
};

struct snap {
    uint32_t edge, spot; /* between this spot of the edge and the next */
    double along;        /* metres from the edge's beginning */
    struct metres at;
};

struct metres city_metres(struct city_point p);
struct metres city_spot_metres(struct city_spot s);
struct city_point city_spot_point(struct city_spot s);
struct city_point city_snap_point(const struct snap *s);
/* False: nothing within 2 km. */
bool city_snap_edge(struct city_point p, struct snap *snap);

static inline double edge_length(const struct city_edge *e) {
    return e->length_cm / 100.0;
}
static inline double street_speed(const struct city_street *s) { /* metres a second: 50, 40 and 30 km/h */
    return s->class == CITY_AVENUE ? 50 / 3.6 : s->class == CITY_ROAD ? 40 / 3.6 : 30 / 3.6;
}
