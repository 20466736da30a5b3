/* A topology is data: these inputs → these handlers → these outputs, over these views and tables.
 *
 * Views and tables are named by the address of their (static const) description. A description never
 * changes and may be read from any thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "events/topic.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct txn;

/* One record as a handler sees it. Everything it points to lives until the handler returns. */
struct event {
    const struct topic *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp; /* milliseconds since 1970; the only clock that a handler has */
    struct slice key;
    const void *value; /* the generated struct of topic->value; NULL is a tombstone */
    struct slice sub;  /* of a row that has expired, or is one of a join: its sub-key */
};

/* What follows from one event. Reads and writes through `s` only: no I/O, no clock, no randomness, so
 * that the same log gives the same result each time. Runs on the stream's thread. */
typedef void handler(struct txn *txn, const struct event *in);

/* An input. All sources of a topology are co-partitioned: partition p of each is one task. */
struct source {
    const struct topic *topic;
    handler *handle;        /* NULL: read only so that bad records are found and dead-lettered */
    bool forward_misplaced; /* a record in a partition that is not its key's is written again to the right
                               one, for topics that anybody may write; elsewhere it is a dead letter */
    bool yields; /* its records wait while those of other sources do: what was begun is finished before more
                    is begun, so that a flood keeps little open, and its state close at hand */
};

/* State by key, partitioned as the input is, made durable by a changelog topic (compacted). A public
 * topic can be the changelog: then the view is what that topic says.
 *
 * Time is the task's stream time: the highest timestamp among the events that it has seen, ticks included.
 * A row is kept until stream time has passed by retention_ms after its last put, and is then deleted before
 * the next event is handled. So a late event finds what is there, however old it is itself, and the row
 * that it makes stays as long as any other. */
struct view {
    const char *name;
    const struct topic *changelog; /* one without tombstones will do where nothing is ever deleted */
    bool events;  /* each put is an event in the changelog, with its own cause; otherwise what is written
                     of a key is what the transaction has made of it. Not with retention_ms */
    bool private; /* its changelog is read by nobody but whoever restores the view: what changes only
                     that waits up to 300 ms for company, so that one commit does for several events */
    int64_t retention_ms; /* 0: for ever */
    /* Instead of silent deletion, once for each row, with in->key and in->sub = the row's, in->value = the
     * row, in->timestamp = stream time; topic, partition and offset are of the event that made time pass. The
     * row is gone already; what the handler puts again stays. NULL: none. Keys must have no slash then. */
    handler *expired;
    /* The table by which any thread reads its committed rows: the state that decides is the state that
     * answers. Each partition is a store of its own then (store_part). NULL: handlers have it for themselves.
     */
    const struct table *served;
};

struct index;
/* The index keys of one row: calls index_key() for each. Pure; a row's keys are taken away with it. */
typedef void table_index(struct index *to, const struct event *row);

/* A replica of a whole topic, all partitions on each instance, looked up by any key; or a view, as it is
 * served. */
struct table {
    const char *name;
    const struct topic *topic; /* of a view: its changelog */
    /* Whose rows these are: a view of another topology of the service, which names this table as `served`.
     * Whoever owns a task reads them there right after its commit, and so do its standbys, which follow the
     * changelog (stream_hold). Such a table is for HTTP, no handler looks it up. NULL: those of the topic. */
    const struct view *view;
    table_index *index; /* NULL: by key only */
    /* Of a view: what index keys begin with that are taken away soon after they were put, so that reading
     * them costs what there is, and not what there ever was. NULL: none. */
    const char *passing;
    /* To be raised with each change of `index` that gives the same row other keys: a store that was written
     * by another version is then read anew from the topic, since its old entries would be found for ever. */
    uint32_t index_version;
    /* The value of the row that this one took the place of, for topics where that follows from the row: then
     * it is not looked up to find its index keys. False: there was none. NULL: look it up. */
    bool (*replaced)(const struct event *row, void *value);
    /* Whether a record is a row at all, by the rules of whoever sends the topic's bad records to the dead
     * letters: what is none is skipped. Pure. NULL: whatever can be decoded. */
    bool (*accepts)(const struct event *row);
    bool fresh; /* hydrated to the topic's end before the first handler of a batch of inputs looks it up */
};

/* A topology, as data. Constant; it must live as long as the process. */
struct topology {
    const char *name;                /* also the consumer group; unique in the suite */
    const struct source *sources;    /* up to {0}; NULL: hydrates tables and nothing else */
    const struct view *const *views; /* NULL-terminated or NULL, as are the next two */
    const struct table *const *tables;
    const struct topic *const *outputs;
    /* Where the bad records go of those topics whose catalogue entry names this topology: a topic whose
     * value has topic, partition, offset, reason and payload. NULL: they are skipped and counted. */
    const struct topic *dead_letters;
    /* Time that passes although nobody sends: when a task has handled all that there is, and its stream time
     * is tick_ms behind the time of day, its owner writes that into its partition of this topic. The topic
     * must be among the sources, where its handler may be NULL; its value has a long `time`. NULL: no ticks.
     */
    const struct topic *ticks;
    int64_t tick_ms;
};

/* Whether this can run at all. ERR_CONFIG says what is wrong: two things of one name or in one changelog, a
 * view that expires over a changelog that knows no tombstones or forgets earlier, one that is to be events
 * and to expire, ticks that are no source, letters or ticks whose record lacks a field, … A stream, a
 * delivery, the test driver and a service refuse it before they do anything. */
WARN_UNUSED bool topology_check(const struct topology *t, struct err *e);

/* Whether the topology has this view. */
bool topology_has_view(const struct topology *t, const struct view *v);
/* The table that serves one of its views; NULL: none is served. */
const struct table *topology_served(const struct topology *t);
/* Whether it has this table. */
bool topology_has_table(const struct topology *t, const struct table *table);

/* One more than the highest index of the topics that it names: the size of a table by topic->number. */
size_t topology_topics(const struct topology *t);

/* Writes the declared graph as one JSON object: name, sources, views, tables, outputs. */
void topology_json(const struct topology *t, struct buf *out);
