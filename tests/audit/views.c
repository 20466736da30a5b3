#include "views.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "client.h"

#include <inttypes.h>
#include <jansson.h>

enum { PAGE = 500, CUSTOMERS_MAX = 2000, RIDES_MAX = 2000, ORDERS_MAX = 1000, MOVIES_MAX = 2000 };

struct views {
    struct audit *audit;
    struct ratings_fold *ratings;
    struct rides_fold *rides;
    int64_t rides_read; /* where the topic was aimed at when the fold read it */
    struct reader *reader;
    struct client *client;
    bool moving_allowed;
};

static void release(json_t **j) {
    json_decref(*j);
}

/* The answer as JSON, NULL where it is a 404. */
static bool get(struct views *v, const char *path, json_t **answer, struct err *err) {
    _cleanup_(buf_free) struct buf body = {0};
    long status;
    if (!client_ask(v->client, "GET", path, SLICE_NONE, &status, &body, err))
        return false;
    *answer = status == 200 ? json_loadb(body.data, body.size, 0, NULL) : NULL;
    if (*answer != NULL || status == 404)
        return true;
    audit_violation(v->audit, AUDIT_VIEWS, "GET %s: %ld, %zu bytes", path, status, body.size);
    return true;
}

static struct slice text(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return (struct slice){json_is_string(value) ? json_string_value(value) : "", json_string_length(value)};
}

/* Beyond 2^53 it is a string. */
static int64_t number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : json_integer_value(value);
}

/* Has one of these topics gone on since it was read? */
static bool moved(struct views *v, const struct topic *a, const struct topic *b, bool *yes, struct err *err) {
    int64_t before = reader_aim_sum(v->reader, a) + reader_aim_sum(v->reader, b);
    *yes = false;
    if (!v->moving_allowed)
        return true;
    if (!reader_aim(v->reader, a, true, err) || !reader_aim(v->reader, b, true, err))
        return false;
    *yes = reader_aim_sum(v->reader, a) + reader_aim_sum(v->reader, b) != before;
    return true;
}

static bool check_stock(struct views *v, struct err *err) {
    _cleanup_(release) json_t *answer = NULL;
    bool moving;
    if (!get(v, "/v1/stock", &answer, err) || !moved(v, &topic_stock, &topic_reserved_stock, &moving, err))
        return false;
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(answer, "stock"), i, row) {
        audit_view_product(v->audit, text(row, "productId"), number(row, "onHand"), number(row, "reserved"),
                           moving);
    }
    audit_view_products_end(v->audit, moving);
    return true;
}

static void check_order(struct views *v, const json_t *row) {
    int state;
    struct order o = {
        .id = text(row, "id"),
        .customer_id = text(row, "customerId"),
        .product_id = text(row, "productId"),
        .quantity = (int32_t)number(row, "quantity"),
        .price_cents = number(row, "priceCents"),
    };
    if (!event_enum_find(&order_state_enum, text(row, "state"), &state)) {
        audit_violation(v->audit, AUDIT_VIEWS, "/v1/orders: " SLICE_FMT " has no state", SLICE_ARG(o.id));
        return;
    }
    o.state = (enum order_state)state;
    audit_view_order(v->audit, &o, v->moving_allowed);
}

static bool check_orders(struct views *v, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/orders?limit=%d%c", PAGE, 0);
    while (path.size > 0) {
        _cleanup_(release) json_t *answer = NULL;
        if (!get(v, path.data, &answer, err))
            return false;
        const json_t *row;
        size_t i;
        json_array_foreach(json_object_get(answer, "orders"), i, row) {
            check_order(v, row);
        }
        const char *next = json_string_value(json_object_get(answer, "next"));
        buf_clear(&path);
        if (next != NULL)
            buf_printf(&path, "%s%c", next, 0);
    }
    audit_view_orders_end(v->audit);
    return true;
}

static bool check_customer(struct views *v, const char *id, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    _cleanup_(release) json_t *answer = NULL;
    bool moving;
    int level = 0;
    buf_printf(&path, "/v1/customers/%s%c", id, 0);
    if (!get(v, path.data, &answer, err) || !moved(v, &topic_customers, &topic_customers, &moving, err))
        return false;
    bool known = answer != NULL && event_enum_find(&customer_level_enum, text(answer, "level"), &level);
    struct customer c = {
        .id = text(answer, "id"),
        .first_name = text(answer, "firstName"),
        .last_name = text(answer, "lastName"),
        .email = text(answer, "email"),
        .address = text(answer, "address"),
        .level = (enum customer_level)level,
    };
    audit_view_customer(v->audit, slice_of(id), known ? &c : NULL, moving);
    return true;
}

static bool check_shipment(struct views *v, struct slice id, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    _cleanup_(release) json_t *answer = NULL;
    bool moving;
    int state = 0;
    buf_printf(&path, "/v1/shipments/" SLICE_FMT "%c", SLICE_ARG(id), 0);
    if (!get(v, path.data, &answer, err) || !moved(v, &topic_shipments, &topic_shipments, &moving, err))
        return false;
    bool known = answer != NULL && event_enum_find(&shipment_state_enum, text(answer, "state"), &state);
    struct shipment s = {
        .order_id = text(answer, "orderId"),
        .customer_id = text(answer, "customerId"),
        .address = text(answer, "address"),
        .state = (enum shipment_state)state,
    };
    audit_view_shipment(v->audit, id, known ? &s : NULL, moving);
    return true;
}

static bool check_email(struct views *v, struct slice id, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    _cleanup_(release) json_t *answer = NULL;
    bool moving;
    buf_printf(&path, "/v1/emails?orderId=" SLICE_FMT "%c", SLICE_ARG(id), 0);
    if (!get(v, path.data, &answer, err) || !moved(v, &topic_emails, &topic_emails, &moving, err))
        return false;
    const json_t *list = json_object_get(answer, "emails"), *row = json_array_get(list, 0);
    struct email m = {
        .order_id = text(row, "orderId"),
        .to = text(row, "to"),
        .subject = text(row, "subject"),
        .body = text(row, "body"),
        .name = text(row, "name"),
    };
    if (json_array_size(list) > 1)
        audit_violation(v->audit, AUDIT_VIEWS, "%s: more than one", path.data);
    audit_view_email(v->audit, id, row != NULL ? &m : NULL, moving);
    return true;
}

/* Of many orders some, spread over all. */
static bool check_what_follows(struct views *v, struct err *err) {
    uint32_t count = audit_order_count(v->audit), step = count / ORDERS_MAX + 1;
    for (uint32_t i = 0; i < count; i += step) {
        struct slice id = slice_of(audit_order_id(v->audit, i));
        if (id_valid(id) && (!check_shipment(v, id, err) || !check_email(v, id, err)))
            return false;
    }
    return true;
}

static struct rated_movie movie_of(const json_t *row) {
    const json_t *year = json_object_get(row, "releaseYear");
    return (struct rated_movie){
        .movie_id = number(row, "movieId"),
        .title = json_is_string(json_object_get(row, "title")) ? text(row, "title") : SLICE_NONE,
        .release_year = {json_is_integer(year), (int32_t)json_integer_value(year)},
        .rating_count = number(row, "ratingCount"),
        .rating_sum_tenths = number(row, "ratingSumTenths"),
        .average_rating = json_number_value(json_object_get(row, "averageRating")),
    };
}

static bool check_movie(struct views *v, const char *key, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    _cleanup_(release) json_t *answer = NULL;
    int64_t distribution[16];
    size_t n = 0, i;
    const json_t *one;
    buf_printf(&path, "/v1/movies/%s%c", key, 0);
    if (!get(v, path.data, &answer, err))
        return false;
    if (answer == NULL) {
        if (!v->moving_allowed)
            audit_violation(v->audit, AUDIT_VIEWS, "%s: 404", path.data);
        return true;
    }
    json_array_foreach(json_object_get(answer, "distribution"), i, one) {
        if (n < sizeof distribution / sizeof *distribution)
            distribution[n++] = json_integer_value(one);
    }
    struct rated_movie m = movie_of(answer);
    ratings_fold_view_one(v->ratings, v->audit, &m, distribution, n, v->moving_allowed);
    return true;
}

/* All pages by rating, and then each movie by itself. */
static bool check_movies(struct views *v, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    bool shown;
    buf_printf(&path, "/v1/movies?sort=rating&limit=%d%c", PAGE, 0);
    if (ratings_fold_key(v->ratings, 0, &shown) == NULL)
        return true; /* neither movies nor ratings: the service need not be there */
    while (path.size > 0) {
        _cleanup_(release) json_t *answer = NULL;
        if (!get(v, path.data, &answer, err))
            return false;
        const json_t *row;
        struct rated_movie m, before;
        size_t i;
        json_array_foreach(json_object_get(answer, "movies"), i, row) {
            m = movie_of(row);
            ratings_fold_view(v->ratings, v->audit, &m, v->moving_allowed);
            if (i > 0)
                ratings_fold_view_order(v->audit, &before, &m);
            before = m;
        }
        const char *next = json_string_value(json_object_get(answer, "next"));
        buf_clear(&path);
        if (next != NULL)
            buf_printf(&path, "%s%c", next, 0);
    }
    ratings_fold_view_end(v->ratings, v->audit, v->moving_allowed);
    const char *key;
    for (uint32_t n = 0; n < MOVIES_MAX && (key = ratings_fold_key(v->ratings, n, &shown)) != NULL; n++)
        if (shown && !check_movie(v, key, err))
            return false;
    return true;
}

static bool check_ride(struct views *v, uint32_t n, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0};
    _cleanup_(release) json_t *answer = NULL;
    int state = 0;
    buf_printf(&path, "/v1/rides/%s%c", rides_fold_id(v->rides, n), 0);
    if (!get(v, path.data, &answer, err) || !reader_aim(v->reader, &topic_rides, true, err))
        return false;
    bool known = answer != NULL && event_enum_find(&ride_state_enum, text(answer, "state"), &state);
    struct ride r = {.rider_id = text(answer, "riderId"),
                     .driver_id = text(answer, "driverId"),
                     .state = (enum ride_state)state};
    rides_fold_view(v->rides, v->audit, n, known ? &r : NULL,
                    reader_aim_sum(v->reader, &topic_rides) != v->rides_read);
    return true;
}

/* The latest ones. */
static bool check_rides(struct views *v, struct err *err) {
    uint32_t count = rides_fold_count(v->rides);
    for (uint32_t n = count > RIDES_MAX ? count - RIDES_MAX : 0; n < count; n++)
        if (id_valid(slice_of(rides_fold_id(v->rides, n))) && !check_ride(v, n, err))
            return false;
    return true;
}

bool views_check(struct audit *a, struct ratings_fold *ratings, struct rides_fold *rides, struct reader *r,
                 const char *gateway_url, bool moving_allowed, struct err *err) {
    struct views v = {.audit = a,
                      .ratings = ratings,
                      .rides = rides,
                      .rides_read = reader_aim_sum(r, &topic_rides),
                      .reader = r,
                      .moving_allowed = moving_allowed};
    if (!client_create(gateway_url, &v.client, err))
        return false;
    bool ok = check_stock(&v, err) && check_orders(&v, err) && check_what_follows(&v, err) &&
              check_movies(&v, err) && check_rides(&v, err);
    uint32_t customers = audit_customer_count(a); /* those that orders name, too: 404 where there is none */
    for (uint32_t i = 0; i < customers && i < CUSTOMERS_MAX && ok; i++) {
        const char *id = audit_customer_id(a, i);
        ok = !id_valid(slice_of(id)) || check_customer(&v, id, err); /* others HTTP cannot ask for */
    }
    client_destroy(v.client);
    return ok;
}
