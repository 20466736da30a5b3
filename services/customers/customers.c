#include "customers.h"

const struct table customers_table = {.name = "customers", .topic = &topic_customers, .fresh = true};

/* Decides nothing: it serves the topic, and finds the bad records in it. */
const struct topology customers_topology = {
    .name = "customers",
    .sources = (const struct source[]){{.topic = &topic_customers}, {0}},
    .tables = (const struct table *const[]){&customers_table, NULL},
    .dead_letters = &topic_dead_letters,
};
