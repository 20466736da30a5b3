/* The tables that both services keep, and their index keys. */
#pragma once

#include "geo.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

struct buf;

extern const struct table rides_table;
extern const struct table decisions_table; /* of replies, and of the ride that a reply is about */
extern const struct table driver_positions_table, rider_positions_table;

/* Index keys of rides_table: a rider's rides or a driver's, newest first. Appends what all of them begin
 * with. */
enum rides_list { RIDES_OF_RIDER = 'r', RIDES_OF_DRIVER = 'd' };
void rides_list_prefix(enum rides_list list, struct slice id, struct buf *out);

/* Index keys of the tables of positions, and of rides that are not over by where they begin: this prefix, the
 * cell, the row's key. */
enum { INDEX_PLACE = 'p', INDEX_PLACE_HEAD = 1 + GEO_CELL_SIZE };
