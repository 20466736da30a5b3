/* Plans a city from a seed and prints it as the C tables of ../tables.h.
 *
 *   city_plan SEED */
#include "../tables.h"
#include "plan.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Point Nemo: the place in the oceans that is farthest from any land. Degrees on a sphere of 6371 km. */
static const double LATITUDE = -48.876, LONGITUDE = -123.393;

enum { CELL_MICRO = 1500 };

struct micro {
    long lat, lon;
};

static struct micro micro(struct vec p) {
    return (struct micro){(long)floor(LATITUDE * 1e6 + p.y * CITY_MICRO_NORTH + 0.5),
                          (long)floor(LONGITUDE * 1e6 + p.x * CITY_MICRO_EAST + 0.5)};
}

static size_t points_printed;

static size_t print_points(const struct line *l) {
    size_t first = points_printed;
    for (size_t i = 0; i < l->count; i++) {
        struct micro m = micro(l->at[i]);
        printf("{%ld,%ld},%s", m.lat, m.lon, i % 6 == 5 ? "\n" : "");
    }
    printf("\n");
    points_printed += l->count;
    return first;
}

static struct line river_banks(void) {
    struct line l = {0};
    size_t n = terrain.river.count;
    for (size_t k = 0; k < 2 * (n - 1); k++) {
        size_t i = k < n - 1 ? k : 2 * (n - 1) - 1 - k;
        struct vec out = left(unit(sub(terrain.river.at[i + 1], terrain.river.at[i])));
        line_add(&l, add(terrain.river.at[i], mul(out, (k < n - 1 ? 1 : -1) * terrain.river_half[i])));
    }
    assert(l.count > 0);
    line_add(&l, l.at[0]);
    return l;
}

/* Every point of the map, and where each line begins. */
static size_t *edge_points, *area_points, land, river, lake;

static void print_all_points(struct line *banks) {
    edge_points = calloc(edge_count, sizeof *edge_points);
    area_points = calloc(area_count, sizeof *area_points);
    if (edge_points == NULL || area_points == NULL)
        abort();
    printf("const struct city_spot city_spots[] = {\n");
    for (size_t i = 0; i < edge_count; i++)
        edge_points[i] = print_points(&edges[i].line);
    for (size_t i = 0; i < area_count; i++)
        area_points[i] = print_points(&areas[i].line);
    land = print_points(&terrain.coast);
    river = print_points(banks);
    line_add(&terrain.lake, terrain.lake.at[0]);
    lake = print_points(&terrain.lake);
    printf("};\n");
}

static void print_areas(const struct line *banks) {
    static const char *const kinds[] = {"CITY_BLOCK", "CITY_PARK"};
    printf("const struct city_area city_areas[] = {\n");
    printf("{CITY_LAND,\"Nemo Island\",%zu,%zu},\n", land, terrain.coast.count);
    for (size_t i = 0; i < area_count; i++) {
        printf("{%s,", kinds[areas[i].kind]);
        printf(areas[i].name == NULL ? "NULL" : "\"%s\"", areas[i].name);
        printf(",%zu,%zu},\n", area_points[i], areas[i].line.count);
    }
    printf("{CITY_RIVER,\"River Aronnax\",%zu,%zu},\n", river, banks->count);
    printf("{CITY_RIVER,\"Lake Conseil\",%zu,%zu},\n};\n", lake, terrain.lake.count);
    printf("const size_t city_area_count = %zu;\n", area_count + 3);
}

static void print_streets(void) {
    static const char *const classes[] = {"CITY_AVENUE", "CITY_ROAD", "CITY_STREET"};
    size_t *number = calloc(street_count, sizeof *number), n = 0;
    if (number == NULL)
        abort();
    printf("const struct city_street city_streets[] = {\n");
    for (size_t i = 0; i < edge_count;) {
        size_t k = i;
        while (k < edge_count && edges[k].street == edges[i].street)
            k++;
        const struct street *s = &streets[edges[i].street];
        printf("{\"%s\",%s,%d,%d,%zu,%zu},\n", s->name, classes[s->class], s->oneway, s->kind == KIND_BRIDGE,
               i, k - i);
        number[edges[i].street] = n++;
        i = k;
    }
    printf("};\nconst size_t city_street_count = %zu;\n", n);
    printf("const struct city_edge city_edges[] = {\n");
    for (size_t i = 0; i < edge_count; i++)
        printf("{%zu,%zu,%zu,%zu,%zu,%ld},\n", edges[i].from, edges[i].to, number[edges[i].street],
               edge_points[i], edges[i].line.count, (long)floor(line_length(&edges[i].line) * 100 + 0.5));
    printf("};\nconst size_t city_edge_count = %zu;\n", edge_count);
    free(number);
}

/* What leaves each node. */
static void print_graph(void) {
    size_t *first = calloc(node_count + 1, sizeof *first), n = 0;
    if (first == NULL)
        abort();
    printf("const uint32_t city_arcs[] = {\n");
    for (size_t v = 0; v < node_count; v++) {
        first[v] = n;
        for (size_t i = 0; i < edge_count; i++) {
            if (edges[i].from == v)
                printf("%zu,", 2 * i), n++;
            if (edges[i].to == v && !streets[edges[i].street].oneway)
                printf("%zu,", 2 * i + 1), n++;
        }
    }
    first[node_count] = n;
    printf("\n};\nconst uint32_t city_first_arc[] = {\n");
    for (size_t v = 0; v <= node_count; v++)
        printf("%zu,%s", first[v], v % 16 == 15 ? "\n" : "");
    printf("\n};\nconst struct city_spot city_nodes[] = {\n");
    for (size_t v = 0; v < node_count; v++)
        printf("{%ld,%ld},%s", micro(nodes[v]).lat, micro(nodes[v]).lon, v % 6 == 5 ? "\n" : "");
    printf("\n};\nconst size_t city_node_count = %zu;\n", node_count);
    free(first);
}

/* Which edges may pass through each cell: those whose bounds touch it. */
static void print_grid(void) {
    struct micro low = {LONG_MAX, LONG_MAX}, high = {LONG_MIN, LONG_MIN};
    struct micro(*bounds)[2] = calloc(edge_count, sizeof *bounds);
    if (bounds == NULL)
        abort();
    for (size_t i = 0; i < edge_count; i++) {
        bounds[i][0] = (struct micro){LONG_MAX, LONG_MAX}, bounds[i][1] = (struct micro){LONG_MIN, LONG_MIN};
        for (size_t k = 0; k < edges[i].line.count; k++) {
            struct micro m = micro(edges[i].line.at[k]), *b = bounds[i];
            b[0].lat = m.lat < b[0].lat ? m.lat : b[0].lat, b[0].lon = m.lon < b[0].lon ? m.lon : b[0].lon;
            b[1].lat = m.lat > b[1].lat ? m.lat : b[1].lat, b[1].lon = m.lon > b[1].lon ? m.lon : b[1].lon;
        }
        low.lat = bounds[i][0].lat < low.lat ? bounds[i][0].lat : low.lat;
        low.lon = bounds[i][0].lon < low.lon ? bounds[i][0].lon : low.lon;
        high.lat = bounds[i][1].lat > high.lat ? bounds[i][1].lat : high.lat;
        high.lon = bounds[i][1].lon > high.lon ? bounds[i][1].lon : high.lon;
    }
    size_t rows = (size_t)(high.lat - low.lat) / CELL_MICRO + 1;
    size_t columns = (size_t)(high.lon - low.lon) / CELL_MICRO + 1, n = 0;
    size_t *first = calloc(rows * columns + 1, sizeof *first);
    if (first == NULL)
        abort();
    printf("const uint16_t city_cell_edges[] = {\n");
    for (size_t c = 0; c < rows * columns; c++) {
        long south = low.lat + (long)(c / columns) * CELL_MICRO;
        long west = low.lon + (long)(c % columns) * CELL_MICRO;
        first[c] = n;
        for (size_t i = 0; i < edge_count; i++)
            if (bounds[i][0].lat <= south + CELL_MICRO && bounds[i][1].lat >= south &&
                bounds[i][0].lon <= west + CELL_MICRO && bounds[i][1].lon >= west)
                printf("%zu,%s", i, n++ % 20 == 19 ? "\n" : "");
    }
    first[rows * columns] = n;
    printf("\n};\nconst uint32_t city_cell_first[] = {\n");
    for (size_t c = 0; c <= rows * columns; c++)
        printf("%zu,%s", first[c], c % 16 == 15 ? "\n" : "");
    printf("\n};\nconst struct city_grid city_grid = {{%ld,%ld},{%ld,%ld},%d,%zu,%zu};\n", low.lat, low.lon,
           high.lat, high.lon, CELL_MICRO, rows, columns);
    free(bounds);
    free(first);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: city_plan SEED\n");
        return 2;
    }
    random_seed(strtoull(argv[1], NULL, 10));
    terrain_make();
    streets_make();
    graph_make();
    names_make();
    struct line banks = river_banks();
    printf("/* Generated by city_plan. */\n#include \"city/tables.h\"\n\n");
    print_all_points(&banks);
    print_areas(&banks);
    print_streets();
    print_graph();
    print_grid();
    return ferror(stdout) || fclose(stdout) != 0;
}
