#include "city/city.h"
#include "city/snap.h"

#include <math.h>
#include <string.h>

enum { SNAP_M = 2000 };

struct metres city_metres(struct city_point p) {
    return (struct metres){(p.lon * 1e6 - city_grid.low.lon) / CITY_MICRO_EAST,
                           (p.lat * 1e6 - city_grid.low.lat) / CITY_MICRO_NORTH};
}

struct metres city_spot_metres(struct city_spot s) {
    return (struct metres){(s.lon - city_grid.low.lon) / CITY_MICRO_EAST,
                           (s.lat - city_grid.low.lat) / CITY_MICRO_NORTH};
}

struct city_point city_spot_point(struct city_spot s) {
    return (struct city_point){s.lat / 1e6, s.lon / 1e6};
}

static struct city_point point_of(struct metres m) {
    return (struct city_point){(city_grid.low.lat + m.y * CITY_MICRO_NORTH) / 1e6,
                               (city_grid.low.lon + m.x * CITY_MICRO_EAST) / 1e6};
}

double city_distance(struct city_point a, struct city_point b) {
    const double radius = 6371000, degree = 3.14159265358979323846 / 180;
    double s = sin((b.lat - a.lat) * degree / 2), t = sin((b.lon - a.lon) * degree / 2);
    double h = s * s + cos(a.lat * degree) * cos(b.lat * degree) * t * t;
    return 2 * radius * asin(sqrt(h > 1 ? 1 : h));
}

double city_heading(struct city_point a, struct city_point b) {
    const double degree = 3.14159265358979323846 / 180;
    double east = (b.lon - a.lon) * cos((a.lat + b.lat) / 2 * degree), north = b.lat - a.lat;
    double d = atan2(east, north) / degree;
    return d < 0 ? d + 360 : d;
}

/* --- the nearest street --- */

static void try_edge(uint32_t edge, struct metres p, struct snap *best, double *away) {
    const struct city_edge *e = &city_edges[edge];
    double walked = 0;
    for (uint32_t i = 0; i + 1 < e->spot_count; i++) {
        struct metres a = city_spot_metres(city_spots[e->first_spot + i]);
        struct metres b = city_spot_metres(city_spots[e->first_spot + i + 1]);
        double dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
        double t = square == 0 ? 0 : ((p.x - a.x) * dx + (p.y - a.y) * dy) / square;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        struct metres on = {a.x + t * dx, a.y + t * dy};
        double d = hypot(p.x - on.x, p.y - on.y), size = sqrt(square);
        if (d < *away) {
            *away = d;
            *best = (struct snap){edge, i, walked + t * size, on};
        }
        walked += size;
    }
}

static void try_cell(int32_t row, int32_t column, struct metres p, struct snap *best, double *away) {
    if (row < 0 || column < 0 || row >= city_grid.rows || column >= city_grid.columns)
        return;
    size_t cell = (size_t)row * (size_t)city_grid.columns + (size_t)column;
    for (uint32_t i = city_cell_first[cell]; i < city_cell_first[cell + 1]; i++)
        try_edge(city_cell_edges[i], p, best, away);
}

/* Cells in rings around the one that p is in, until no farther ring can have anything nearer. */
bool city_snap_edge(struct city_point point, struct snap *snap) {
    struct metres p = city_metres(point);
    const double width = city_grid.cell / CITY_MICRO_EAST, height = city_grid.cell / CITY_MICRO_NORTH;
    if (!(p.x > -SNAP_M && p.y > -SNAP_M && p.x < city_grid.columns * width + SNAP_M &&
          p.y < city_grid.rows * height + SNAP_M))
        return false;
    int32_t row = (int32_t)floor(p.y / height), column = (int32_t)floor(p.x / width);
    struct snap best = {0};
    double away = SNAP_M, step = width < height ? width : height;
    for (int32_t ring = 0; (ring - 1) * step <= away; ring++)
        for (int32_t r = -ring; r <= ring; r++)
            for (int32_t c = -ring; c <= ring; c += r == -ring || r == ring || ring == 0 ? 1 : 2 * ring)
                try_cell(row + r, column + c, p, &best, &away);
    if (away >= SNAP_M)
        return false;
    *snap = best;
    return true;
}

struct city_point city_snap_point(const struct snap *s) {
    return point_of(s->at);
}

bool city_snap(struct city_point p, struct city_point *on_street) {
    struct snap s;
    if (!city_snap_edge(p, &s))
        return false;
    *on_street = city_snap_point(&s);
    return true;
}

struct city_point city_place(uint64_t n) {
    uint64_t h = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    h ^= h >> 31;
    const struct city_edge *e = &city_edges[h % city_edge_count];
    struct city_spot a = city_spots[e->first_spot], b = city_spots[e->first_spot + 1];
    int64_t part = (int64_t)(h >> 32) % 1000; /* of the way from a to b */
    return city_spot_point((struct city_spot){a.lat + (int32_t)((b.lat - a.lat) * part / 1000),
                                              a.lon + (int32_t)((b.lon - a.lon) * part / 1000)});
}
