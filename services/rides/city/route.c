#include "city/snap.h"

#include <math.h>
#include <stdlib.h>

/* A*: nodes in the order of the time that the whole way through them takes at least. Times are whole
 * milliseconds, so that sums are exact; a node is looked at again when a better way to it turns up, so that
 * rounding in the estimate does no harm. */

static const double FASTEST = 50 / 3.6;
static const int64_t NEVER = INT64_MAX;

struct open { /* a binary heap */
    int64_t total, so_far;
    uint32_t node;
};

struct search {
    int64_t *best; /* by node */
    uint32_t *arc; /* that the best way came by; 2 * edge_count: the start */
    struct open *heap;
    size_t count, capacity;
    struct metres goal;
};

static void heap_push(struct search *s, struct open o) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity * 2 + 256;
        s->heap = xrealloc(s->heap, s->capacity * sizeof *s->heap);
    }
    size_t i = s->count++;
    for (; i > 0 && s->heap[(i - 1) / 2].total > o.total; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = o;
}

static struct open heap_pop(struct search *s) {
    struct open top = s->heap[0], last = s->heap[--s->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->count; i = child) {
        if (child + 1 < s->count && s->heap[child + 1].total < s->heap[child].total)
            child++;
        if (s->heap[child].total >= last.total)
            break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

static const struct city_street *street_of(const struct city_edge *e) {
    return &city_streets[e->street];
}

static int64_t time_on(const struct city_edge *e, double metres) {
    return (int64_t)ceil(metres / street_speed(street_of(e)) * 1000);
}

/* Never more than it takes. */
static int64_t estimate(const struct search *s, uint32_t node) {
    struct metres at = city_spot_metres(city_nodes[node]);
    return (int64_t)floor(hypot(at.x - s->goal.x, at.y - s->goal.y) / FASTEST * 1000 * 0.999);
}

static void reached(struct search *s, uint32_t node, int64_t time, uint32_t arc) {
    if (time >= s->best[node])
        return;
    s->best[node] = time;
    s->arc[node] = arc;
    heap_push(s, (struct open){time + estimate(s, node), time, node});
}

/* From the start's place to the ends of its edge, then from node to node, until nothing that is open can
 * still be better. `last` is the node from which the goal's edge is entered; NOWHERE: the goal is ahead on
 * the start's own edge. */
static const uint32_t NOWHERE = UINT32_MAX;

static int64_t search(struct search *s, const struct snap *from, const struct snap *to, uint32_t *last) {
    const struct city_edge *first = &city_edges[from->edge], *end = &city_edges[to->edge];
    const uint32_t start = (uint32_t)(2 * city_edge_count);
    bool first_oneway = street_of(first)->oneway, end_oneway = street_of(end)->oneway;
    int64_t found = NEVER;
    *last = NOWHERE;
    if (from->edge == to->edge && (!first_oneway || to->along >= from->along))
        found = time_on(first, fabs(to->along - from->along));
    reached(s, first->to, time_on(first, edge_length(first) - from->along), start);
    if (!first_oneway)
        reached(s, first->from, time_on(first, from->along), start);
    while (s->count > 0) {
        struct open o = heap_pop(s);
        if (o.total >= found)
            break;
        if (o.so_far > s->best[o.node])
            continue;
        int64_t rest = NEVER;
        if (o.node == end->from)
            rest = time_on(end, to->along);
        if (o.node == end->to && !end_oneway && time_on(end, edge_length(end) - to->along) < rest)
            rest = time_on(end, edge_length(end) - to->along);
        if (rest != NEVER && o.so_far + rest < found) {
            found = o.so_far + rest;
            *last = o.node;
        }
        for (uint32_t i = city_first_arc[o.node]; i < city_first_arc[o.node + 1]; i++) {
            const struct city_edge *e = &city_edges[city_arcs[i] / 2];
            uint32_t next = city_arcs[i] % 2 == 0 ? e->to : e->from;
            reached(s, next, o.so_far + time_on(e, edge_length(e)), city_arcs[i]);
        }
    }
    return found;
}

/* --- the way as points --- */

struct trail {
    struct arena *arena;
    struct city_route *route;
    size_t capacity;
    double speed;
    const char *street;
};

static void step_to(struct trail *t, struct city_point p) {
    struct city_route *r = t->route;
    if (r->count == t->capacity) {
        t->capacity = t->capacity * 2 + 64;
        struct city_path *more = arena_alloc(t->arena, t->capacity * sizeof *more);
        for (size_t i = 0; i < r->count; i++)
            more[i] = r->path[i];
        r->path = more;
    }
    if (r->count > 0) {
        struct metres a = city_metres(r->path[r->count - 1].at), b = city_metres(p);
        double d = hypot(a.x - b.x, a.y - b.y);
        if (d < 0.05)
            return;
        r->path[r->count - 1].street = t->street;
        r->distance_m += d;
        r->duration_s += d / t->speed;
    }
    r->path[r->count++] = (struct city_path){.at = p, .seconds = r->duration_s, .street = t->street};
}

static void use_street(struct trail *t, const struct city_edge *e) {
    t->speed = street_speed(street_of(e));
    t->street = street_of(e)->name;
}

/* The spots of an edge strictly between two places on it, the way that `from` to `to` tells. */
static void along_edge(struct trail *t, const struct city_edge *e, uint32_t from, uint32_t to) {
    if (from < to)
        for (uint32_t i = from + 1; i <= to; i++)
            step_to(t, city_spot_point(city_spots[e->first_spot + i]));
    else
        for (uint32_t i = from; i > to; i--)
            step_to(t, city_spot_point(city_spots[e->first_spot + i]));
}

static void follow(struct trail *t, const struct search *s, const struct snap *from, const struct snap *to,
                   uint32_t last) {
    const struct city_edge *first = &city_edges[from->edge], *end = &city_edges[to->edge];
    use_street(t, first);
    step_to(t, city_snap_point(from));
    if (last == NOWHERE) {
        along_edge(t, first, from->spot, to->spot);
        step_to(t, city_snap_point(to));
        return;
    }
    size_t n = 0;
    uint32_t *arcs = arena_alloc(t->arena, city_node_count * sizeof *arcs), node = last;
    while (s->arc[node] < 2 * city_edge_count) {
        uint32_t arc = arcs[n++] = s->arc[node];
        const struct city_edge *e = &city_edges[arc / 2];
        node = arc % 2 == 0 ? e->from : e->to;
    }
    bool forth = node == first->to;
    along_edge(t, first, from->spot, forth ? first->spot_count - 1 : 0);
    if (!forth)
        step_to(t, city_spot_point(city_spots[first->first_spot]));
    while (n-- > 0) {
        const struct city_edge *e = &city_edges[arcs[n] / 2];
        use_street(t, e);
        if (arcs[n] % 2 == 0) {
            along_edge(t, e, 0, e->spot_count - 1);
        } else {
            along_edge(t, e, e->spot_count - 1, 0);
            step_to(t, city_spot_point(city_spots[e->first_spot]));
        }
    }
    use_street(t, end);
    if (last == end->from)
        along_edge(t, end, 0, to->spot);
    else
        along_edge(t, end, end->spot_count - 1, to->spot);
    step_to(t, city_snap_point(to));
}

bool city_route(struct city_point from, struct city_point to, struct arena *a, struct city_route *route) {
    struct snap start, end;
    if (!city_snap_edge(from, &start) || !city_snap_edge(to, &end))
        return false;
    struct search s = {.best = xmalloc(city_node_count * sizeof *s.best),
                       .arc = xmalloc(city_node_count * sizeof *s.arc),
                       .goal = end.at};
    for (size_t i = 0; i < city_node_count; i++)
        s.best[i] = NEVER;
    uint32_t last;
    search(&s, &start, &end, &last);
    struct city_route r = {0};
    struct trail t = {.arena = a, .route = &r};
    follow(&t, &s, &start, &end, last);
    free(s.best);
    free(s.arc);
    free(s.heap);
    *route = r;
    return true;
}

struct city_point city_route_at(const struct city_route *r, double seconds, double *heading) {
    size_t low = 0, high = r->count - 1; /* the last point that is behind */
    if (seconds >= r->path[high].seconds)
        return r->path[high].at;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (r->path[middle].seconds <= seconds)
            low = middle;
        else
            high = middle;
    }
    const struct city_path *p = &r->path[low], *q = p + 1;
    double t = seconds <= 0 ? 0 : (seconds - p->seconds) / (q->seconds - p->seconds);
    if (heading != NULL)
        *heading = city_heading(p->at, q->at);
    return (struct city_point){p->at.lat + t * (q->at.lat - p->at.lat),
                               p->at.lon + t * (q->at.lon - p->at.lon)};
}

/* --- what a way costs --- */

void city_trip(struct city_point from, struct city_point to, double *distance_m, double *duration_s) {
    struct arena a = {0};
    struct city_route r;
    if (city_route(from, to, &a, &r)) {
        *distance_m = r.distance_m;
        *duration_s = r.duration_s;
    } else {
        *distance_m = 1.3 * city_distance(from, to);
        *duration_s = *distance_m / (30 / 3.6);
    }
    arena_free(&a);
}

int64_t city_fare_cents(double distance_m, double duration_s) {
    return 250 + (int64_t)floor(distance_m * 0.110 + duration_s * 0.5 + 0.5);
}
