#include "plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct terrain terrain;

/* --- the island --- */

static const double RADIUS_X = 2700, RADIUS_Y = 1950;

double terrain_inland(struct vec p) {
    double x = p.x / RADIUS_X, y = p.y / RADIUS_Y;
    double r = sqrt(x * x + y * y);
    double f = 1 - r + 0.16 * noise(p, 1300) + 0.07 * noise(p, 520) + 0.02 * noise(p, 210);
    return f * (RADIUS_X + RADIUS_Y) / 2;
}

static struct vec inland_gradient(struct vec p) {
    const double h = 15;
    return (struct vec){
        terrain_inland((struct vec){p.x + h, p.y}) - terrain_inland((struct vec){p.x - h, p.y}),
        terrain_inland((struct vec){p.x, p.y + h}) - terrain_inland((struct vec){p.x, p.y - h})};
}

/* Walks along the level from the east; the island is one piece there. */
struct line terrain_contour(double inland) {
    struct line line = {0};
    struct vec p = {1.5 * RADIUS_X, 0};
    while (terrain_inland(p) < inland)
        p.x -= 1;
    struct vec start = p;
    for (size_t n = 0; n < 4000; n++) {
        line_add(&line, p);
        struct vec g = unit(inland_gradient(p));
        p = add(p, mul((struct vec){g.y, -g.x}, 20)); /* the island to the left: once around */
        for (int i = 0; i < 4; i++) {
            struct vec slope = mul(inland_gradient(p), 1.0 / 30);
            p = add(p, mul(slope, (inland - terrain_inland(p)) / (dot(slope, slope) + 0.02)));
        }
        if (n > 20 && distance(p, start) < 20)
            break;
    }
    line_add(&line, start);
    return line;
}

/* --- the river --- */

enum { RIVER_STEPS = 24 };

static void river_make(void) {
    static const struct vec course[] = {{-2000, 900}, {-1650, 760},  {-1250, 640}, {-820, 180},  {-420, -160},
                                        {80, -120},   {520, 210},    {1000, 170},  {1420, -270}, {1900, -560},
                                        {2500, -700}, {3400, -1000}, {4000, -1200}};
    enum { COUNT = sizeof course / sizeof *course };
    struct vec c[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        c[i] = add(course[i], random_place(140, 140));
    for (size_t i = 1; i + 2 < COUNT; i++)
        for (int k = 0; k < RIVER_STEPS; k++) { /* Catmull and Rom's curve */
            double t = (double)k / RIVER_STEPS, t2 = t * t, t3 = t2 * t;
            struct vec p = mul(c[i], 2);
            p = add(p, mul(sub(c[i + 1], c[i - 1]), t));
            p = add(p, mul(add(sub(mul(c[i - 1], 2), mul(c[i], 5)), sub(mul(c[i + 1], 4), c[i + 2])), t2));
            p = add(p, mul(add(sub(mul(c[i], 3), c[i - 1]), sub(c[i + 2], mul(c[i + 1], 3))), t3));
            line_add(&terrain.river, mul(p, 0.5));
        }
    size_t n = terrain.river.count;
    terrain.river_half = calloc(n, sizeof *terrain.river_half);
    if (terrain.river_half == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / (double)n;
        terrain.river_half[i] = 15 + 34 * t + 5 * noise(terrain.river.at[i], 300);
        if (terrain_inland(terrain.river.at[i]) < 250) /* an estuary */
            terrain.river_half[i] += (250 - terrain_inland(terrain.river.at[i])) * 0.12;
    }
}

static const double LAKE_RADIUS = 150;

static void lake_make(void) {
    struct vec centre = terrain.river.at[0], d = {1, 0};
    enum { POINTS = 48 };
    for (int i = 0; i < POINTS; i++) {
        double r = LAKE_RADIUS * (1 + 0.2 * noise(add(centre, mul(d, 400)), 260));
        line_add(&terrain.lake, add(centre, mul(d, r)));
        d = unit((struct vec){d.x * 0.99144486137381 - d.y * 0.13052619222005,
                              d.x * 0.13052619222005 + d.y * 0.99144486137381}); /* by 7.5 degrees */
    }
}

double terrain_ashore(struct vec p, struct vec *along) {
    const struct line *r = &terrain.river;
    double best = 1e9;
    for (size_t i = 0; i + 1 < r->count; i++) {
        struct vec d = sub(r->at[i + 1], r->at[i]), to = sub(p, r->at[i]);
        double t = dot(to, d) / dot(d, d);
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        double away = distance(p, add(r->at[i], mul(d, t))) - terrain.river_half[i];
        if (away < best) {
            best = away;
            if (along != NULL)
                *along = unit(d);
        }
    }
    struct vec from_lake = sub(p, r->at[0]);
    if (length(from_lake) - LAKE_RADIUS * 1.1 < best) {
        best = length(from_lake) - LAKE_RADIUS * 1.1;
        if (along != NULL)
            *along = unit(left(from_lake));
    }
    return best;
}

/* --- parks --- */

bool terrain_in_park(struct vec p) {
    for (size_t i = 0; i < terrain.park_count; i++) {
        const struct blob *b = &terrain.parks[i];
        if (distance(p, b->centre) < b->radius * (1 + 0.25 * noise(p, 260)))
            return true;
    }
    return false;
}

static void parks_make(void) {
    terrain.parks[terrain.park_count++] = (struct blob){terrain.river.at[0], 200}; /* around the lake */
    for (int tries = 0; tries < 5000 && terrain.park_count < 10; tries++) {
        struct blob b = {.centre = random_place(4600, 3200)};
        b.radius = random_between(110, 240);
        bool fits =
            terrain_inland(b.centre) > b.radius + 130 && terrain_ashore(b.centre, NULL) > b.radius + 50;
        for (size_t i = 0; i < terrain.park_count; i++)
            fits = fits &&
                   distance(b.centre, terrain.parks[i].centre) > b.radius + terrain.parks[i].radius + 260;
        if (fits)
            terrain.parks[terrain.park_count++] = b;
    }
}

/* --- which way streets run ---
 *
 * A tensor field: a direction without a sense is a vector of the doubled angle, so that such can be added. */

static struct vec doubled(struct vec d) {
    return (struct vec){d.x * d.x - d.y * d.y, 2 * d.x * d.y};
}

static struct vec halved(struct vec d) {
    double r = length(d);
    if (r == 0)
        return (struct vec){1, 0};
    double c = sqrt((1 + d.x / r) / 2);
    return c < 1e-6 ? (struct vec){0, 1} : (struct vec){c, d.y / r / (2 * c)};
}

static struct {
    struct vec centre, direction;
    double radius;
} districts[9];
enum { DISTRICTS = sizeof districts / sizeof *districts };

static void districts_make(void) {
    for (size_t i = 0; i < DISTRICTS; i++) {
        districts[i].centre = random_place(4600, 3200);
        districts[i].direction = unit((struct vec){1, random_between(-0.9, 0.9)});
        districts[i].radius = random_between(500, 1000);
    }
    terrain.market = (struct vec){150, 620};
}

static double near(double d, double reach) {
    double q = d / reach;
    return 1 / ((1 + q * q) * (1 + q * q));
}

struct vec terrain_direction(struct vec p) {
    struct vec sum = {0, 0}, along;
    for (size_t i = 0; i < DISTRICTS; i++)
        sum = add(sum, mul(doubled(districts[i].direction),
                           near(distance(p, districts[i].centre), districts[i].radius)));
    double ashore = terrain_ashore(p, &along);
    sum = add(sum, mul(doubled(along), 2.2 * near(ashore < 0 ? 0 : ashore, 230)));
    double inland = terrain_inland(p);
    sum = add(sum, mul(doubled(unit(left(inland_gradient(p)))), 2.0 * near(inland < 0 ? 0 : inland, 300)));
    struct vec out = sub(p, terrain.market); /* the old town is round */
    sum = add(sum, mul(doubled(unit(left(out))), 2.5 * near(length(out), 330)));
    struct vec d = halved(sum), turn = {1, 0.13 * noise(p, 420) + 0.05 * noise(p, 160)};
    return unit((struct vec){d.x * turn.x - d.y * turn.y, d.x * turn.y + d.y * turn.x});
}

double terrain_spacing(struct vec p) {
    return 70 + 44 * (1 - near(distance(p, terrain.market), 1100)) + 12 * noise(p, 600);
}

void terrain_make(void) {
    terrain.coast = terrain_contour(0);
    river_make();
    lake_make();
    parks_make();
    districts_make();
}
