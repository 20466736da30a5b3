#include "geo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void places(void **state) {
    (void)state;
    assert_true(geo_valid(90, -180) && geo_valid(-90, 180) && geo_valid(0, 0));
    assert_false(geo_valid(90.001, 0) || geo_valid(0, 180.001) || geo_valid(NAN, 0) || geo_valid(0, NAN) ||
                 geo_valid(INFINITY, 0));
}

static void distances(void **state) {
    (void)state;
    static const struct {
        struct geo_point a, b;
        double metres, tolerance;
    } cases[] = {
        {{52.5, 13.4}, {52.5, 13.4}, 0, 0},
        {{0, 0}, {0, 1}, 111195, 1},
        {{52.5200, 13.4050}, {48.8566, 2.3522}, 877463, 1000}, /* Berlin to Paris */
        {{90, 0}, {-90, 0}, 20015115, 10},
        {{0, 179.5}, {0, -179.5}, 111195, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double d = geo_distance(cases[i].a, cases[i].b);
        if (fabs(d - cases[i].metres) > cases[i].tolerance ||
            fabs(d - geo_distance(cases[i].b, cases[i].a)) > 1e-6)
            fail_msg("case %zu: %f", i, d);
    }
}

static double any(double min, double max) {
    return min + (max - min) * rand() / RAND_MAX;
}

static bool has_cell(const struct geo_box *b, struct geo_point p) {
    struct geo_box parts[2];
    struct geo_cell c = geo_cell_of(p);
    size_t count = geo_parts(b, parts), found = 0;
    for (size_t n = 0; n < count; n++) {
        struct geo_cell low = geo_cell_of((struct geo_point){parts[n].min_lat, parts[n].min_lon}),
                        high = geo_cell_of((struct geo_point){parts[n].max_lat, parts[n].max_lon});
        assert_true(parts[n].min_lon <= parts[n].max_lon);
        found += c.row >= low.row && c.row <= high.row && c.column >= low.column && c.column <= high.column;
    }
    return found == 1;
}

/* Whatever is within the circle is within the box, and its cell among the box's cells. */
static void a_box_holds_its_circle(void **state) {
    (void)state;
    srand(3);
    for (int n = 0; n < 100000; n++) {
        /* every other one at the date line */
        struct geo_point centre = {any(-89, 89), n % 2 == 0 ? any(-180, 180) : any(179.9, 180.1)};
        centre.lon -= centre.lon > 180 ? 360 : 0;
        double radius = any(1, 5000);
        struct geo_box b = geo_around(centre, radius);
        struct geo_point p = {any(fmax(centre.lat - .06, -90), fmin(centre.lat + .06, 90)),
                              any(centre.lon - .2, centre.lon + .2)};
        p.lon += p.lon > 180 ? -360 : p.lon < -180 ? 360 : 0;
        if (geo_distance(centre, p) > radius)
            continue;
        if (!geo_inside(&b, p) || !has_cell(&b, p))
            fail_msg("%f,%f is within %f m of %f,%f", p.lat, p.lon, radius, centre.lat, centre.lon);
    }
    struct geo_box pole = geo_around((struct geo_point){89.99, 10}, 5000);
    assert_true(pole.min_lon == -180 && pole.max_lon == 180 && pole.max_lat == 90);
}

static void cells(void **state) {
    (void)state;
    struct geo_cell c = geo_cell_of((struct geo_point){52.5, 13.4});
    char bytes[GEO_CELL_SIZE], next[GEO_CELL_SIZE];
    geo_cell_write(c, bytes);
    struct geo_cell again = geo_cell_read(bytes);
    assert_int_equal(again.row, c.row);
    assert_int_equal(again.column, c.column);
    geo_cell_write((struct geo_cell){c.row, (uint16_t)(c.column + 1)}, next);
    assert_true(memcmp(bytes, next, sizeof bytes) < 0);
    geo_cell_write((struct geo_cell){(uint16_t)(c.row + 1), 0}, next);
    assert_true(memcmp(bytes, next, sizeof bytes) < 0);
    assert_int_equal(geo_cell_of((struct geo_point){-90, -180}).row, 0);
    assert_int_equal(geo_cell_of((struct geo_point){-90, -180}).column, 0);
    assert_int_equal(geo_cell_of((struct geo_point){90, 180}).row, 32768);
    assert_int_equal(geo_cell_of((struct geo_point){90, 180}).column, 65535);
    double metres = geo_distance((struct geo_point){0, 0}, (struct geo_point){0, 360.0 / 65536});
    assert_in_range((uintmax_t)metres, 600, 620);
}

static void boxes_as_text(void **state) {
    (void)state;
    struct geo_box b;
    assert_true(geo_box_parse(SLICE("13.3,52.4,13.5,52.6"), &b));
    assert_true(b.min_lon == 13.3 && b.min_lat == 52.4 && b.max_lon == 13.5 && b.max_lat == 52.6);
    assert_true(geo_box_parse(SLICE("-180,-90,180,90"), &b));
    assert_true(geo_box_parse(SLICE("1e1,.5,+11,5e-1"), &b));
    assert_true(geo_box_parse(SLICE("179,-1,-178,1"), &b));
    assert_true(geo_inside(&b, (struct geo_point){0, 179.5}) && geo_inside(&b, (struct geo_point){0, 180}));
    assert_true(geo_inside(&b, (struct geo_point){0, -180}) && geo_inside(&b, (struct geo_point){0, -178}));
    assert_false(geo_inside(&b, (struct geo_point){0, 178}) || geo_inside(&b, (struct geo_point){0, 0}));
    assert_false(geo_inside(&b, (struct geo_point){2, 180}));
    static const char *const bad[] = {
        "",          "1,2,3",      "1,2,3,4,5", "1,2,3,4,",  ",1,2,3",   "13.3,52.6,13.5,52.4",
        "1,2,3,91",  "-181,2,3,4", "nan,2,3,4", "1,nan,3,4", "1, 2,3,4", "1,2,3,4 ",
        "inf,1,2,3", "a,b,c,d",    "1;2;3;4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (geo_box_parse(slice_of(bad[i]), &b))
            fail_msg("taken: %s", bad[i]);
    assert_false(geo_box_parse(SLICE("1,2,3,4\0"), &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places), cmocka_unit_test(distances),     cmocka_unit_test(a_box_holds_its_circle),
        cmocka_unit_test(cells),  cmocka_unit_test(boxes_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
