/* Streams of server-sent events: what happens in the log, as it happens, at any instance.
 *
 * A route names its feeds in each run of its handler and returns what instance_feed() returns:
 *
 *     struct feed feeds[] = {
 *         {.topic = &topic_orders, .key = id},                            of a log: every record
 *         {.table = &movies_table, .event = "movie", .json = movie_json}, of a table: the newest rows
 *         {0}};
 *     return instance_feed(i, x, feeds);
 *
 * The id of an event is the vector of next offsets, "topic/partition:offset,…". A client that comes back with
 * it (header Last-Event-ID, or ?lastEventId=, which a page can set) goes on there, at whichever instance;
 * without one it starts with what happens from now on. The first event is `position`, whose id is where it
 * starts. An id that is no vector is answered 400; topics in it that the stream does not have are ignored,
 * partitions that it lacks are read from their beginning.
 *
 * Of a log: each record once and in the order of its partition, as an event that is called like the topic,
 * with data
 *     {"topic":…,"partition":…,"offset":…,"timestamp":…,"key":…,"value":{…} or null}
 * A client that reads slowly gets them later, from the log; nothing is kept for it. Where records were
 * deleted before it had them there is an event `gap`, data {"topic":…,"partition":…,"from":…,"to":…}: the
 * offsets in between are gone. Where the log has lost its last records, or is another one: an event `reset`,
 * data
 * {"event":"orders"}, and it goes on from the log's end.
 *
 * Of a table: first an event `reset`, data {"event":"movie"}, forget what you have; then all rows as events
 * `movie`; then, at most ten times a second, the rows that have changed, each with its newest value only, and
 * `movie-deleted`, data {"key":…}, for those that are gone or no longer wanted. A client that reads slowly
 * misses values, never the last one. One that comes back gets the rows that changed since, or a `reset` with
 * all rows where this instance cannot know what was deleted meanwhile. Only the last row of a batch has an
 * id.
 *
 * Whatever happens, a stream has about 64 KiB in memory, and at most one event above that.
 *
 * feeds.h says what all streams share and on which threads, run.h what one stream is made of. */
#pragma once

#include "instance/instance.h"

/* Whether a client gets a record. */
enum feed_verdict {
    FEED_SKIP,
    FEED_SEND,
    FEED_LATER, /* what it takes to tell is not here yet: asked again soon, and skipped after 2 s */
};

/* A record of a log feed. */
struct feed_record {
    const struct topic *topic;
    int32_t partition;
    int64_t offset, timestamp;
    struct slice key, value; /* in wire format; data NULL: none, or a tombstone */
};

/* One of both kinds. No two feeds of a stream have the same topic. Callbacks are quick, and run on the HTTP
 * thread with `context` before instance_feed() returns. */
struct feed {
    /* Of a log. `select`: NULL takes all. */
    const struct topic *topic;
    enum feed_verdict (*select)(void *context, const struct feed_record *r);

    /* Of either: only this key; data NULL: all. It costs least: of a log only the key's partition is read, of
     * a table only that row. */
    struct slice key;

    /* Of a table of the service. `wants`: which rows this client gets; NULL: all. `json` appends the row as
     * one JSON object; NULL: event_json(). All streams with the same `json` share its output: it must depend
     * on the row alone. */
    const struct table *table;
    const char *event;
    bool (*wants)(void *context, const struct event *row);
    void (*json)(const struct event *row, struct buf *out);

    void *context;
};

/* Serves the stream: return what it returns, and call it with the same feeds (up to {0}, at most 8) in each
 * run of the handler. 503 when there are too many streams. */
enum http_result instance_feed(struct instance *i, struct http_exchange *x, const struct feed *feeds);
