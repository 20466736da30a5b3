/* How the city is planned, once, when the suite is built. One thread; memory is never given back.
 *
 *   shapes.c    vectors, lines, chance
 *   terrain.c   an island, its river, its parks, and which way streets run there
 *   streets.c   streets that follow the terrain
 *   graph.c     junctions, bridges' ends, blocks, one-way streets
 *   names.c     what they are called
 *   main.c      C tables of all that
 *
 * The same on every machine: no function of the maths library but sqrt, which IEEE 754 rounds exactly, and
 * no fused multiply-add (see CMakeLists.txt). Metres, x to the east, y to the north, (0, 0) in the middle. */
#pragma once

#include "shapes.h"

/* --- terrain.c --- */

struct blob { /* round, but not quite */
    struct vec centre;
    double radius;
};

struct terrain {
    struct line coast, lake; /* closed */
    struct line river;       /* from its source to beyond the coast */
    double *river_half;      /* half of its width at each point */
    struct vec market;       /* the middle of the old town */
    struct blob parks[12];
    size_t park_count;
};
extern struct terrain terrain;

void terrain_make(void);
/* About the distance to the coast; negative in the sea. */
double terrain_inland(struct vec p);
/* The distance to the bank of river or lake; negative in the water. `along`, unless NULL: which way the water
 * flows there. */
double terrain_ashore(struct vec p, struct vec *along);
bool terrain_in_park(struct vec p);
/* Which way streets run at p: unit vector, either of the two opposite ones. */
struct vec terrain_direction(struct vec p);
/* How far apart side streets are at p. */
double terrain_spacing(struct vec p);
struct line terrain_contour(double inland);

/* --- streets.c --- */

enum street_class { CLASS_AVENUE, CLASS_ROAD, CLASS_STREET };
enum street_kind { KIND_STREET, KIND_BRIDGE, KIND_QUAY, KIND_COAST };

struct street {
    enum street_class class;
    enum street_kind kind;
    bool oneway;
    struct line line;
    const char *name;
};

extern struct street *streets;
extern size_t street_count;
void streets_make(void);

/* --- graph.c --- */

struct edge { /* along its street's line; `at` has both ends */
    size_t from, to, street;
    struct line line;
    bool gone;
};

enum area_kind { AREA_BLOCK, AREA_PARK };

struct area {
    enum area_kind kind;
    struct line line;
    const char *name;
};

extern struct vec *nodes;
extern size_t node_count;
extern struct edge *edges; /* in the order of their streets, and along them */
extern size_t edge_count;
extern struct area *areas;
extern size_t area_count;
void graph_make(void);

/* --- names.c --- */

void names_make(void);
