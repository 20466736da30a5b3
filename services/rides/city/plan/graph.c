#include "plan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vec *nodes;
size_t node_count;
struct edge *edges;
size_t edge_count;
struct area *areas;
size_t area_count;

enum { ONE_JUNCTION = 15 /* metres within which crossings are one */, NEAR_NODE = 8, DEAD_END = 45 };

/* --- fewer points: Douglas and Peucker --- */

static void keep(const struct line *l, size_t from, size_t to, double tolerance, bool *kept) {
    double worst = tolerance;
    size_t at = 0;
    struct vec d = unit(sub(l->at[to], l->at[from]));
    for (size_t i = from + 1; i < to; i++) {
        double off = fabs(cross(d, sub(l->at[i], l->at[from])));
        if (off > worst)
            worst = off, at = i;
    }
    if (at == 0)
        return;
    kept[at] = true;
    keep(l, from, at, tolerance, kept);
    keep(l, at, to, tolerance, kept);
}

static void simplify(struct line *l, double tolerance) {
    bool *kept = calloc(l->count, sizeof *kept);
    if (kept == NULL)
        abort();
    bool closed = distance(l->at[0], l->at[l->count - 1]) < 1;
    size_t half = closed ? l->count / 2 : l->count - 1, n = 0;
    kept[0] = kept[half] = kept[l->count - 1] = true;
    keep(l, 0, half, tolerance, kept);
    if (closed)
        keep(l, half, l->count - 1, tolerance, kept);
    for (size_t i = 0; i < l->count; i++)
        if (kept[i])
            l->at[n++] = l->at[i];
    l->count = n;
    free(kept);
}

/* --- junctions --- */

struct crossing {
    double along; /* index of the line's segment, and how far in it */
    size_t node;
};

static struct {
    struct crossing *list;
    size_t count;
} *crossings; /* by street */

static size_t node_at(struct vec p) {
    for (size_t i = 0; i < node_count; i++)
        if (distance(nodes[i], p) < ONE_JUNCTION)
            return i;
    nodes = grow(nodes, node_count, sizeof *nodes);
    nodes[node_count] = p;
    return node_count++;
}

static void crossing_add(size_t street, double along, size_t node) {
    crossings[street].list =
        grow(crossings[street].list, crossings[street].count, sizeof *crossings[street].list);
    crossings[street].list[crossings[street].count++] = (struct crossing){along, node};
}

static void cross_segments(size_t s, size_t i, size_t o, size_t k) {
    struct vec a = streets[s].line.at[i], b = streets[s].line.at[i + 1];
    struct vec c = streets[o].line.at[k], d = streets[o].line.at[k + 1];
    if ((a.x < c.x && a.x < d.x && b.x < c.x && b.x < d.x) ||
        (a.x > c.x && a.x > d.x && b.x > c.x && b.x > d.x))
        return;
    struct vec r = sub(b, a), q = sub(d, c);
    double area = cross(r, q);
    if (fabs(area) < 1e-9)
        return;
    double t = cross(sub(c, a), q) / area, u = cross(sub(c, a), r) / area;
    if (t < 0 || t > 1 || u < 0 || u > 1)
        return;
    size_t node = node_at(add(a, mul(r, t)));
    crossing_add(s, (double)i + t, node);
    crossing_add(o, (double)k + u, node);
}

static int by_along(const void *a, const void *b) {
    double x = ((const struct crossing *)a)->along, y = ((const struct crossing *)b)->along;
    return (x > y) - (x < y);
}

static void edge_add(size_t street, struct crossing a, struct crossing b) {
    if (a.node == b.node)
        return;
    struct edge e = {.from = a.node, .to = b.node, .street = street};
    const struct line *l = &streets[street].line;
    line_add(&e.line, nodes[a.node]);
    for (size_t i = (size_t)a.along + 1; (double)i < b.along; i++)
        if (distance(l->at[i], nodes[a.node]) > NEAR_NODE && distance(l->at[i], nodes[b.node]) > NEAR_NODE)
            line_add(&e.line, l->at[i]);
    line_add(&e.line, nodes[b.node]);
    edges = grow(edges, edge_count, sizeof *edges);
    edges[edge_count++] = e;
}

static void junctions(void) {
    crossings = calloc(street_count, sizeof *crossings);
    if (crossings == NULL)
        abort();
    for (size_t s = 0; s < street_count; s++)
        simplify(&streets[s].line, 1.2);
    for (size_t s = 0; s < street_count; s++)
        for (size_t o = s + 1; o < street_count; o++)
            for (size_t i = 0; i + 1 < streets[s].line.count; i++)
                for (size_t k = 0; k + 1 < streets[o].line.count; k++)
                    cross_segments(s, i, o, k);
    for (size_t s = 0; s < street_count; s++) {
        size_t n = crossings[s].count;
        if (n == 0)
            continue;
        if (streets[s].kind == KIND_STREET) { /* dead ends */
            size_t last = streets[s].line.count - 1;
            crossing_add(s, 0, node_at(streets[s].line.at[0]));
            crossing_add(s, (double)last, node_at(streets[s].line.at[last]));
            n += 2;
        }
        struct crossing *c = crossings[s].list;
        qsort(c, n, sizeof *c, by_along);
        for (size_t i = 0; i + 1 < n; i++)
            edge_add(s, c[i], c[i + 1]);
        if (streets[s].kind == KIND_COAST) { /* it is closed */
            struct line *l = &streets[s].line;
            size_t first = edge_count;
            c[0].along += (double)(l->count - 1);
            size_t had = l->count;
            for (size_t i = 1; (double)i < c[0].along - (double)had + 2; i++)
                line_add(l, l->at[i]);
            edge_add(s, c[n - 1], c[0]);
            l->count = had;
            if (edge_count == first)
                abort();
        }
    }
}

/* --- only what leads somewhere --- */

static void drop_doubles(void) {
    for (size_t i = 0; i < edge_count; i++)
        for (size_t k = i + 1; k < edge_count; k++) {
            struct edge *a = &edges[i], *b = &edges[k];
            bool same = (a->from == b->from && a->to == b->to) || (a->from == b->to && a->to == b->from);
            if (!same || a->gone || b->gone)
                continue;
            struct edge *lesser = streets[a->street].class > streets[b->street].class ? a : b;
            lesser->gone = true;
        }
}

static size_t *degrees(void) {
    size_t *degree = calloc(node_count, sizeof *degree);
    if (degree == NULL)
        abort();
    for (size_t i = 0; i < edge_count; i++)
        if (!edges[i].gone)
            degree[edges[i].from]++, degree[edges[i].to]++;
    return degree;
}

static bool pointless(size_t node, const size_t *degree, const struct edge *e) {
    return degree[node] == 1 && (line_length(&e->line) < DEAD_END || terrain_in_park(nodes[node]));
}

static void drop_dead_ends(void) {
    for (bool again = true; again;) {
        again = false;
        size_t *degree = degrees();
        for (size_t i = 0; i < edge_count; i++)
            if (!edges[i].gone &&
                (pointless(edges[i].from, degree, &edges[i]) || pointless(edges[i].to, degree, &edges[i])))
                edges[i].gone = again = true;
        free(degree);
    }
}

/* How many nodes can be reached from `start`; `back`: from how many it can be reached; `both`: as if there
 * were no one-way streets. */
enum sense { FORTH, BACK, BOTH };
static size_t reach(size_t start, enum sense sense, bool *seen) {
    memset(seen, 0, node_count * sizeof *seen);
    seen[start] = true;
    size_t count = 1;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < edge_count; i++) {
            const struct edge *e = &edges[i];
            bool oneway = streets[e->street].oneway && sense != BOTH;
            if (e->gone || seen[e->from] == seen[e->to])
                continue;
            if (oneway && seen[e->from] != (sense == FORTH))
                continue;
            seen[e->from] = seen[e->to] = again = true;
            count++;
        }
    }
    return count;
}

static void keep_one_piece(void) {
    bool *seen = calloc(node_count, sizeof *seen);
    if (seen == NULL)
        abort();
    reach(edges[0].from, BOTH, seen); /* the coast road's piece */
    for (size_t i = 0; i < edge_count; i++)
        edges[i].gone |= !seen[edges[i].from];
    free(seen);
}

static void append(struct edge *a, const struct edge *b) {
    for (size_t i = 1; i < b->line.count; i++)
        line_add(&a->line, b->line.at[i]);
    a->to = b->to;
}

/* Where nothing branches off, two edges of a street are one. */
static void join_edges(void) {
    size_t *degree = degrees();
    for (size_t i = 0; i < edge_count; i++)
        for (size_t k = i + 1; k < edge_count && !edges[i].gone && edges[k].street == edges[i].street; k++)
            if (!edges[k].gone && edges[i].to == edges[k].from && degree[edges[i].to] == 2 &&
                edges[i].from != edges[k].to) {
                append(&edges[i], &edges[k]);
                edges[k].gone = true;
            }
    free(degree);
}

static void renumber(void) {
    size_t *number = calloc(node_count, sizeof *number), n = 0, m = 0;
    if (number == NULL)
        abort();
    for (size_t i = 0; i < edge_count; i++)
        if (!edges[i].gone)
            edges[n++] = edges[i];
    edge_count = n;
    for (size_t i = 0; i < edge_count; i++)
        number[edges[i].from] = number[edges[i].to] = 1;
    for (size_t i = 0; i < node_count; i++)
        if (number[i] == 1) {
            nodes[m] = nodes[i];
            number[i] = m++;
        }
    node_count = m;
    for (size_t i = 0; i < edge_count; i++) {
        edges[i].from = number[edges[i].from];
        edges[i].to = number[edges[i].to];
    }
    free(number);
}

/* --- one-way streets: as long as everybody can still go everywhere --- */

static void oneways(void) {
    bool *seen = calloc(node_count, sizeof *seen);
    if (seen == NULL)
        abort();
    for (size_t s = 0; s < street_count; s++) {
        if (streets[s].class != CLASS_STREET || random_unit() > 0.4)
            continue;
        streets[s].oneway = true;
        if (reach(0, FORTH, seen) != node_count || reach(0, BACK, seen) != node_count)
            streets[s].oneway = false;
    }
    free(seen);
}

/* --- blocks: the faces of the graph --- */

/* A half edge 2i goes along edge i, 2i+1 against it. */
static struct vec heading(size_t half) {
    const struct line *l = &edges[half / 2].line;
    return half % 2 == 0 ? sub(l->at[1], l->at[0]) : sub(l->at[l->count - 2], l->at[l->count - 1]);
}

static size_t origin(size_t half) {
    return half % 2 == 0 ? edges[half / 2].from : edges[half / 2].to;
}

/* Angles from the east, anticlockwise. */
static bool upper(struct vec d) {
    return d.y > 0 || (d.y == 0 && d.x > 0);
}
static int by_angle(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    if (origin(x) != origin(y))
        return origin(x) < origin(y) ? -1 : 1;
    struct vec p = heading(x), q = heading(y);
    if (upper(p) != upper(q))
        return upper(p) ? -1 : 1;
    double turn = cross(p, q);
    return (turn < 0) - (turn > 0);
}

static double area_of(const struct line *l) {
    double sum = 0;
    for (size_t i = 0; i + 1 < l->count; i++)
        sum += cross(l->at[i], l->at[i + 1]);
    return sum / 2;
}

static bool has_water(const struct line *l) {
    if (line_contains(l, terrain.river.at[0]))
        return true;
    for (size_t i = 30; i < terrain.river.count; i++)
        if (line_contains(l, terrain.river.at[i]))
            return true;
    return false;
}

static bool is_park(const struct line *l) {
    struct vec low = l->at[0], high = l->at[0];
    for (size_t i = 0; i < l->count; i++) {
        low.x = fmin(low.x, l->at[i].x), low.y = fmin(low.y, l->at[i].y);
        high.x = fmax(high.x, l->at[i].x), high.y = fmax(high.y, l->at[i].y);
    }
    int inside = 0, park = 0;
    for (double y = low.y; y < high.y; y += 20)
        for (double x = low.x; x < high.x; x += 20)
            if (line_contains(l, (struct vec){x, y})) {
                inside++;
                park += terrain_in_park((struct vec){x, y});
            }
    return 4 * park > inside;
}

static void face(size_t start, const size_t *next, bool *walked) {
    struct line l = {0};
    for (size_t h = start; !walked[h]; h = next[h]) {
        walked[h] = true;
        const struct line *e = &edges[h / 2].line;
        for (size_t i = 0; i + 1 < e->count; i++)
            line_add(&l, h % 2 == 0 ? e->at[i] : e->at[e->count - 1 - i]);
    }
    assert(l.count > 0);
    line_add(&l, l.at[0]);
    double size = area_of(&l);
    bool park = size > 0 && is_park(&l);
    if (size < 150 || (has_water(&l) && !park)) {
        free(l.at);
        return;
    }
    if (!park)
        park = size < 30000 && size > 2500 && random_unit() < 0.022; /* a square with trees */
    areas = grow(areas, area_count, sizeof *areas);
    areas[area_count++] = (struct area){.kind = park ? AREA_PARK : AREA_BLOCK, .line = l};
}

static void blocks(void) {
    assert(edge_count > 0);
    size_t n = 2 * edge_count;
    size_t *around = calloc(n, sizeof *around), *place = calloc(n, sizeof *place),
           *next = calloc(n, sizeof *next);
    bool *walked = calloc(n, sizeof *walked);
    if (around == NULL || place == NULL || next == NULL || walked == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        around[i] = i;
    qsort(around, n, sizeof *around, by_angle);
    for (size_t i = 0; i < n; i++)
        place[around[i]] = i;
    for (size_t h = 0; h < n; h++) { /* at its end, the first to the right of the way back */
        size_t i = place[h ^ 1];
        if (i > 0 && origin(around[i - 1]) == origin(h ^ 1)) {
            next[h] = around[i - 1];
            continue;
        }
        while (i + 1 < n && origin(around[i + 1]) == origin(h ^ 1))
            i++;
        next[h] = around[i];
    }
    for (size_t h = 0; h < n; h++)
        if (!walked[h])
            face(h, next, walked);
    free(around), free(place), free(next), free(walked);
}

/* Nobody drives into a park. */
static void clear_parks(void) {
    size_t *degree = degrees();
    for (size_t i = 0; i < edge_count; i++)
        for (size_t k = 0; k < area_count; k++)
            if (areas[k].kind == AREA_PARK)
                edges[i].gone |=
                    (degree[edges[i].from] == 1 && line_contains(&areas[k].line, nodes[edges[i].from])) ||
                    (degree[edges[i].to] == 1 && line_contains(&areas[k].line, nodes[edges[i].to]));
    free(degree);
    area_count = 0; /* found again, with other edges around them */
    areas = NULL;
    join_edges();
    renumber();
}

void graph_make(void) {
    junctions();
    drop_doubles();
    drop_dead_ends();
    keep_one_piece();
    join_edges();
    renumber();
    blocks();
    clear_parks();
    oneways();
    blocks();
    simplify(&terrain.coast, 2);
}
