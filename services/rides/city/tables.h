/* The city's tables, as city_plan prints them when the suite is built. For the city's own files only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct city_spot { /* millionths of a degree */
    int32_t lat, lon;
};

/* Millionths of a degree in a metre, where the city is. */
#define CITY_MICRO_NORTH 8.993216059
#define CITY_MICRO_EAST 13.673926277

enum city_class { CITY_AVENUE, CITY_ROAD, CITY_STREET };

struct city_street {
    const char *name;
    enum city_class class;
    bool oneway, bridge;
    uint32_t first_edge, edge_count; /* along the street, with gaps */
};

struct city_edge { /* from node to node; a one-way street goes this way */
    uint16_t from, to, street;
    uint32_t first_spot, spot_count;
    uint32_t length_cm;
};

enum city_area_kind { CITY_LAND, CITY_BLOCK, CITY_PARK, CITY_RIVER };

struct city_area { /* a closed ring */
    enum city_area_kind kind;
    const char *name; /* or NULL */
    uint32_t first_spot, spot_count;
};

struct city_grid {
    struct city_spot low, high; /* of all streets */
    int32_t cell;               /* millionths of a degree, both ways */
    int32_t rows, columns;
};

extern const struct city_spot city_spots[], city_nodes[];
extern const struct city_street city_streets[];
extern const struct city_edge city_edges[];
extern const struct city_area city_areas[]; /* in the order in which a map paints them */
extern const size_t city_street_count, city_edge_count, city_area_count, city_node_count;
/* An arc is an edge along (2i) or against (2i + 1) its direction; those that leave node v are
 * city_arcs[city_first_arc[v]] to before city_first_arc[v + 1]. */
extern const uint32_t city_arcs[], city_first_arc[];
/* The edges whose bounds touch a cell, row by row from the south-west; found as arcs are. */
extern const struct city_grid city_grid;
extern const uint16_t city_cell_edges[];
extern const uint32_t city_cell_first[];
