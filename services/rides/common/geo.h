/* Places on earth, and the cells by which what is near is found. Pure; any thread.
 *
 * A cell is 1/182 of a degree each way, about 600 m at the equator. Cells are numbered row by row from the
 * south-west, so a row of neighbours is one range of index keys, and what is within 2 km some eight of them.
 */
#pragma once

#include "schemas/schemas.gen.h"

struct geo_box {
    double min_lon, min_lat, max_lon, max_lat; /* borders included; min_lon > max_lon: across the date line */
};

/* Latitude −90 to 90, longitude −180 to 180; NaN is no place. */
bool geo_valid(double lat, double lon);

/* Along the great circle, in metres. */
double geo_distance(struct geo_point a, struct geo_point b);

/* The box around everything within `metres`. */
struct geo_box geo_around(struct geo_point centre, double metres);
bool geo_inside(const struct geo_box *b, struct geo_point p);

/* The parts of a box of which none is across the date line: one or two. */
size_t geo_parts(const struct geo_box *b, struct geo_box parts[2]);

/* "minLon,minLat,maxLon,maxLat", as GeoJSON has it. */
bool geo_box_parse(struct slice text, struct geo_box *b);

struct geo_cell {
    uint16_t row, column;
};

struct geo_cell geo_cell_of(struct geo_point p);

enum { GEO_CELL_SIZE = 4 };
/* As bytes that sort by row, then column. */
void geo_cell_write(struct geo_cell c, char bytes[GEO_CELL_SIZE]);
struct geo_cell geo_cell_read(const char bytes[GEO_CELL_SIZE]);
