#include "plan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct street *streets;
size_t street_count;

enum {
    STEP = 10,
    CELL = 60,
    SIDE = 140, /* cells on each side of the middle */
    COAST_ROAD = 95,
    QUAY = 26, /* from the bank */
    BRIDGES = 7
};

/* --- where there are streets already --- */

struct sample {
    struct vec at, direction;
    size_t street;
    struct sample *next;
};

static struct sample *cells[2 * SIDE][2 * SIDE];

static struct sample **cell_at(struct vec p, int dx, int dy) {
    int x = (int)floor(p.x / CELL) + SIDE + dx, y = (int)floor(p.y / CELL) + SIDE + dy;
    static struct sample *nothing;
    nothing = NULL;
    return x < 0 || y < 0 || x >= 2 * SIDE || y >= 2 * SIDE ? &nothing : &cells[x][y];
}

static void samples_add(const struct line *l, size_t street) {
    for (size_t i = 0; i + 1 < l->count; i++) {
        struct vec d = sub(l->at[i + 1], l->at[i]);
        int pieces = 1 + (int)(length(d) / STEP);
        for (int k = 0; k < pieces; k++) {
            struct sample *s = calloc(1, sizeof *s), **cell;
            if (s == NULL)
                abort();
            s->at = add(l->at[i], mul(d, (double)k / pieces));
            s->direction = unit(d);
            s->street = street;
            cell = cell_at(s->at, 0, 0);
            s->next = *cell;
            *cell = s;
        }
    }
}

/* Is there a street within `reach` that runs about the same way? */
static bool beside_another(struct vec p, struct vec direction, double reach) {
    int cells_far = 1 + (int)(reach / CELL);
    for (int dx = -cells_far; dx <= cells_far; dx++)
        for (int dy = -cells_far; dy <= cells_far; dy++)
            for (const struct sample *s = *cell_at(p, dx, dy); s != NULL; s = s->next)
                if (fabs(dot(s->direction, direction)) > 0.75 && distance(s->at, p) < reach)
                    return true;
    return false;
}

static struct street *street_add(enum street_class class, enum street_kind kind, struct line line) {
    streets = grow(streets, street_count, sizeof *streets);
    streets[street_count] = (struct street){.class = class, .kind = kind, .line = line};
    samples_add(&line, street_count);
    return &streets[street_count++];
}

/* --- tracing --- */

static bool blocked(struct vec p, enum street_class class) {
    return terrain_inland(p) < COAST_ROAD - 8 || terrain_ashore(p, NULL) < QUAY - 4 ||
           (class != CLASS_AVENUE && terrain_in_park(p)) ||
           distance(p, terrain.market) < (class == CLASS_STREET ? 38 : 190);
}

static struct vec family_direction(struct vec p, bool across) {
    struct vec d = terrain_direction(p);
    return across ? left(d) : d;
}

static double reach_at(struct vec p, enum street_class class) {
    static const double apart[] = {[CLASS_AVENUE] = 6, [CLASS_ROAD] = 2.9, [CLASS_STREET] = 1};
    return apart[class] * terrain_spacing(p);
}

/* From p on, `d` being the way it came, until something stops it. */
static void trace(struct line *l, struct vec p, struct vec d, bool across, enum street_class class) {
    for (int n = 0; n < 800; n++) {
        struct vec here = family_direction(p, across);
        if (dot(here, d) < 0)
            here = mul(here, -1);
        struct vec half = family_direction(add(p, mul(here, STEP / 2.0)), across);
        if (dot(half, here) < 0)
            half = mul(half, -1);
        struct vec next = add(p, mul(half, STEP));
        if (dot(half, d) < 0.75 || blocked(next, class) ||
            beside_another(next, half, 0.62 * reach_at(next, class)))
            return;
        line_add(l, next);
        p = next, d = half;
    }
}

static void trace_both_ways(struct vec seed, bool across, enum street_class class, double shortest) {
    struct vec d = family_direction(seed, across);
    if (blocked(seed, class) || beside_another(seed, d, reach_at(seed, class)))
        return;
    struct line l = {0};
    trace(&l, seed, mul(d, -1), across, class);
    line_reverse(&l);
    line_add(&l, seed);
    trace(&l, seed, d, across, class);
    if (line_length(&l) >= shortest)
        street_add(class, KIND_STREET, l);
    else
        free(l.at);
}

/* --- what is laid out by hand --- */

static struct line river_offset(double side, size_t from) {
    const struct line *r = &terrain.river;
    struct line l = {0};
    for (size_t i = from; i + 1 < r->count; i += 2) {
        struct vec d = unit(sub(r->at[i + 1], r->at[i]));
        struct vec p = add(r->at[i], mul(left(d), side * (terrain.river_half[i] + QUAY)));
        line_add(&l, p);
        if (terrain_inland(p) < COAST_ROAD - 40)
            break;
    }
    return l;
}

static void waterside(void) {
    street_add(CLASS_ROAD, KIND_COAST, terrain_contour(COAST_ROAD));
    size_t from = 0; /* where the river leaves the lake's shore road */
    while (distance(terrain.river.at[from], terrain.river.at[0]) < 225)
        from++;
    struct line north = river_offset(1, from), south = river_offset(-1, from), lake = {0};
    assert(north.count > 0 && south.count > 0);
    struct vec centre = terrain.river.at[0], d = sub(north.at[0], centre), end = sub(south.at[0], centre);
    double r = length(d);
    line_add(&lake, north.at[0]);
    d = unit(d), end = unit(end);
    for (int i = 0; i < 60; i++) {
        d = unit((struct vec){d.x * 0.99144486137381 - d.y * 0.13052619222005,
                              d.x * 0.13052619222005 + d.y * 0.99144486137381});
        if (i > 24 && cross(d, end) < 0.1 && dot(d, end) > 0)
            break;
        line_add(&lake, add(centre, mul(d, r)));
    }
    line_add(&lake, south.at[0]);
    street_add(CLASS_ROAD, KIND_QUAY, north);
    street_add(CLASS_ROAD, KIND_QUAY, south);
    street_add(CLASS_ROAD, KIND_QUAY, lake);
}

/* A bridge, and an avenue on from each of its ends. */
static void bridge(size_t at) {
    struct vec p = terrain.river.at[at], flow = unit(sub(terrain.river.at[at + 1], p)), n = left(flow);
    double out = terrain.river_half[at] + QUAY;
    struct line span = {0};
    line_add(&span, add(p, mul(n, -out - 6)));
    line_add(&span, add(p, mul(n, out + 6)));
    struct line sides[2] = {{0}, {0}};
    for (int side = 0; side < 2; side++) {
        struct vec d = mul(n, side == 0 ? 1 : -1), from = add(p, mul(d, out - 8)),
                   on = add(p, mul(d, out + 30));
        line_add(&sides[side], from);
        line_add(&sides[side], on);
        bool across = fabs(dot(terrain_direction(on), d)) < 0.7;
        trace(&sides[side], on, d, across, CLASS_AVENUE);
    }
    street_add(CLASS_AVENUE, KIND_BRIDGE, span);
    for (int side = 0; side < 2; side++)
        street_add(sides[side].count > 25 ? CLASS_AVENUE : CLASS_ROAD, KIND_STREET, sides[side]);
}

static void bridges(void) {
    size_t last = terrain.river.count - 1;
    while (terrain_inland(terrain.river.at[last]) < 330)
        last--;
    size_t first = 34;
    for (int i = 0; i < BRIDGES; i++)
        bridge(first + (last - first) * (size_t)i / (BRIDGES - 1));
}

/* --- the rest --- */

static double from_market(struct vec p) {
    return distance(p, terrain.market);
}

static int by_distance(const void *a, const void *b) {
    double x = from_market(*(const struct vec *)a), y = from_market(*(const struct vec *)b);
    return (x > y) - (x < y);
}

static void fill(enum street_class class, double every, double shortest) {
    struct line seeds = {0};
    for (double y = -2400; y < 2400; y += every)
        for (double x = -3300; x < 3300; x += every) {
            struct vec p = add((struct vec){x, y}, random_place(every, every));
            if (!blocked(p, class))
                line_add(&seeds, p);
        }
    assert(seeds.count > 0);
    qsort(seeds.at, seeds.count, sizeof *seeds.at, by_distance);
    for (size_t i = 0; i < seeds.count; i++) {
        trace_both_ways(seeds.at[i], i % 2 == 0, class, shortest);
        trace_both_ways(seeds.at[i], i % 2 == 1, class, shortest);
    }
}

/* --- loose ends --- */

static bool meet(struct vec a, struct vec b, struct vec c, struct vec d, double *t) {
    struct vec r = sub(b, a), s = sub(d, c);
    double area = cross(r, s);
    if (fabs(area) < 1e-9)
        return false;
    double u = cross(sub(c, a), r) / area;
    *t = cross(sub(c, a), s) / area;
    return *t >= 0 && *t <= 1 && u >= 0 && u <= 1;
}

/* Goes straight on from the line's last point to the next street, if one is near and not at a flat angle. */
static void join_end(size_t own) {
    struct line *l = &streets[own].line;
    struct vec end = l->at[l->count - 1];
    struct vec d = unit(sub(end, l->at[l->count - 2]));
    double reach = 2.2 * terrain_spacing(end), nearest = reach + 1;
    struct vec far = add(end, mul(d, reach)), crossed = {0, 0};
    for (size_t s = 0; s < street_count; s++) {
        const struct line *o = &streets[s].line;
        if (s == own)
            continue;
        for (size_t i = 0; i + 1 < o->count; i++) {
            double t;
            if (distance(o->at[i], end) < reach + 500 && meet(end, far, o->at[i], o->at[i + 1], &t) &&
                t * reach < nearest) {
                nearest = t * reach;
                crossed = unit(sub(o->at[i + 1], o->at[i]));
            }
        }
    }
    if (nearest > reach || fabs(dot(crossed, d)) > 0.8)
        return;
    for (double x = 0; x < nearest - 1; x += 5)
        if (terrain_ashore(add(end, mul(d, x)), NULL) < 6 || terrain_in_park(add(end, mul(d, x))))
            return;
    line_add(l, add(end, mul(d, nearest + 4))); /* certainly across */
}

void streets_make(void) {
    waterside();
    bridges();
    fill(CLASS_AVENUE, 160, 500);
    fill(CLASS_ROAD, 110, 300);
    fill(CLASS_STREET, 34, 60);
    for (size_t s = 0; s < street_count; s++)
        if (streets[s].kind == KIND_STREET) {
            join_end(s);
            line_reverse(&streets[s].line);
            join_end(s);
        }
}
