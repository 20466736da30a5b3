/* Counts the views of each page: clicks in, page-views out. Without arguments it tries itself out in memory;
 * `page_views serve` runs against Kafka. */
#include "schemas/schemas.gen.h"
#include "service/service.h"
#include "testing/driver.h"
#include "transaction/txn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct view views = {.name = "views", .changelog = &topic_page_views};

static void on_click(struct txn *txn, const struct event *in) {
    (void)in;
    struct views row = {0};
    txn_get(txn, &views, SLICE_NONE, &row);
    row.count++;
    txn_put(txn, &views, SLICE_NONE, &row);
}

static const struct topology topology = {
    .name = "page-views",
    .sources = (const struct source[]){{.topic = &topic_clicks, .handle = on_click}, {0}},
    .views = (const struct view *const[]){&views, NULL},
};

static bool count_is(struct driver *d, struct slice page, int64_t wanted) {
    struct views row = {0};
    driver_view(d, &views, page, SLICE_NONE, &row);
    printf(SLICE_FMT ": %" PRId64 " views\n", SLICE_ARG(page), row.count);
    return row.count == wanted;
}

static bool try_out(void) {
    struct driver *d = driver_create(&topology);
    struct click click = {.user = SLICE("ann")};
    driver_send(d, &topic_clicks, SLICE("/home"), &click, 1);
    driver_send(d, &topic_clicks, SLICE("/about"), &click, 2);
    driver_send(d, &topic_clicks, SLICE("/home"), &click, 3);
    bool ok =
        count_is(d, SLICE("/home"), 2) && count_is(d, SLICE("/about"), 1) && count_is(d, SLICE("/none"), 0);
    driver_destroy(d);
    return ok;
}

static const struct service service = {
    .name = "page-views",
    .topologies = (const struct topology *const[]){&topology, NULL},
};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return service_main(argc - 1, argv + 1, &service);
    return try_out() ? EXIT_SUCCESS : EXIT_FAILURE;
}
