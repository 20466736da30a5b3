/* The test driver: "given these events, expect these events", over the real handlers, with the views and
 * tables in memory. No Kafka, no thread, no sleep. What a topology may not be or do aborts with a line. */
#pragma once

#include "topology/topology.h"

#include "base/buf.h"

struct driver;

/* A topology to try; the caller destroys it. */
struct driver *driver_create(const struct topology *t);
/* Ends it, and what it has given out. */
void driver_destroy(struct driver *d);

/* Gives one record to the source or table that reads the topic; partition and offset count up from
 * 0/0. `value` NULL is a tombstone. */
void driver_send(struct driver *d, const struct topic *t, struct slice key, const void *value,
                 int64_t timestamp);

/* The same with raw bytes, for poison. */
void driver_send_raw(struct driver *d, const struct topic *t, struct slice key, struct slice payload,
                     int64_t timestamp);

/* A tick of the topology's, at that time of day. */
void driver_tick(struct driver *d, int64_t time);

/* The next output in the order of emission, changelogs left out; false when there is none. `value` is the
 * generated struct, NULL for a tombstone, valid until the driver is destroyed. */
bool driver_next(struct driver *d, struct event *out);

/* The state of a view, `key` or `key/sub`. */
bool driver_view(struct driver *d, const struct view *v, struct slice key, struct slice sub, void *value);

/* How many keys the store has: what must not grow for ever. */
uint64_t driver_store_keys(struct driver *d);
