/* The parts of a stream of events, one for each feed, and a run of its handler: feed.c puts them together,
 * log.c and table.c are the two kinds of feed. HTTP thread only. */
#pragma once

#include "feeds/feed.h"
#include "feeds/feeds.h"
#include "http/events.h"
#include "tail/tail.h"

enum { FEEDS_MAX = 8 };

/* One feed of one stream, as it is kept from run to run. */
struct feed_part {
    int32_t partitions;
    int64_t *vector; /* by partition: what the client has all of */
    bool resumes;    /* the client brought a vector of this topic */

    /* Of a log. */
    struct tail *tail;
    struct tail_cursor *cursors;
    struct feed_later {
        int64_t offset, since_us; /* the record that FEED_LATER was said of, and when first; 0: none */
    } *later;                     /* by cursor */
    int32_t cursor_count;

    /* Of a table. */
    enum { TABLE_BEGINS, TABLE_SCANS, TABLE_LIVE } phase;
    struct table_shared *shared;
    unsigned resets;      /* of the table, as far as the client knows */
    int64_t *next;        /* the vector when the scan or the batch is through */
    bool deltas;          /* the scan is only of rows behind the vector */
    struct buf scan_from; /* the key behind which it goes on; size 0: the first */
    uint64_t number;      /* the last change that was looked at, … */
    uint64_t next_number; /* … and will have been when scan or batch are through */
    struct slice *batch;  /* keys, in batch_keys */
    size_t batch_count, batch_at, batch_rows;
    struct arena batch_keys;
    uint64_t *shown; /* hash set: keys of rows that a feed with `wants` has sent */
    size_t shown_count, shown_capacity;
    bool row_shown; /* of a feed with a key */
};

/* A run of the handler. */
struct feed_run {
    struct instance *instance;
    struct http_exchange *x;
    struct buf *out;
    struct feed_part *parts; /* of the whole stream */
    const struct feed *feeds;
    size_t count;
    int64_t pause_ms; /* 0: none */
    size_t block;     /* where the last row's event begins in `out`, */
    bool has_block;   /* if there is one */
};

static inline bool feed_room(const struct feed_run *r) {
    return r->out->size < EVENTS_PART;
}
static inline void feed_pause(struct feed_run *r, int64_t ms) {
    r->pause_ms = r->pause_ms == 0 || ms < r->pause_ms ? ms : r->pause_ms;
}

static inline const struct topic *feed_topic(const struct feed *f) {
    return f->table != NULL ? f->table->topic : f->topic;
}

/* Appends the whole stream's vector. */
void feed_vector(const struct feed_run *r, struct buf *out);

/* "event: reset": forget what came as `event`. */
void feed_reset(struct feed_run *r, const char *event);

/* --- log.c --- */
void feed_log_open(struct feed_run *r, struct feed_part *p, const struct feed *f, const void *owner);
void feed_log_close(struct feed_part *p);
/* How many partitions it is not known of where they end; `from_first`: then those begin with their first
 * record. */
int32_t feed_log_unknown(struct feed_part *p, bool from_first);
void feed_log_run(struct feed_run *r, struct feed_part *p, const struct feed *f);

/* --- table.c --- */
void feed_table_close(struct feed_part *p);
void feed_table_run(struct feed_run *r, struct feed_part *p, const struct feed *f);
