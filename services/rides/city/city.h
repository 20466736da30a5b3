/* Port Nemo, a city that is nowhere: its streets, its map and the quickest way through it.
 *
 * Constant tables, planned from a seed when the suite is built (plan/), the same on every machine and shared
 * by whoever links them. No I/O; any thread. Coordinates are degrees, lengths metres, times seconds. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

#define CITY_NAME "Port Nemo"

struct city_point {
    double lat, lon;
};

/* Metres, as the crow flies. */
double city_distance(struct city_point a, struct city_point b);

/* Degrees clockwise from the north, [0, 360), from a to b. */
double city_heading(struct city_point a, struct city_point b);

/* The nearest place on a street. False: none within 2 km, so p is not in the city. */
bool city_snap(struct city_point p, struct city_point *on_street);

/* A place on a street, spread over the city; the same for the same n. */
struct city_point city_place(uint64_t n);

/* The quickest way. One-way streets are respected; speeds are those of the streets' classes. */
struct city_route {
    struct city_path {
        struct city_point at;
        double seconds;     /* from the start */
        const char *street; /* on which the way goes on from here */
    } *path;                /* from snapped start to snapped end; at least one */
    size_t count;
    double distance_m, duration_s;
};

/* The path is in the arena. False: `from` or `to` is not in the city; between places that are there is always
 * a way. */
bool city_route(struct city_point from, struct city_point to, struct arena *a, struct city_route *route);

/* Where one is after so many seconds on the way, and heading where (not touched at the end). */
struct city_point city_route_at(const struct city_route *route, double seconds, double *heading);

/* Distance and duration alone, also of places outside of the city: there by the crow's flight, 30 % longer,
 * at 30 km/h. */
void city_trip(struct city_point from, struct city_point to, double *distance_m, double *duration_s);

/* What a ride costs: 2.50, and 1.10 for each kilometre, and 0.30 for each minute of the planned way. */
int64_t city_fare_cents(double distance_m, double duration_s);
