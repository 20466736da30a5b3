/* A topic, as the catalogue (topics.json) declares it. Constant, made by codegen.py; any thread. */
#pragma once

#include "events/event.h"

/* What topics.json says of it. */
struct topic {
    const char *name;
    const char *key;                /* what the key is, in words: "order id" */
    const struct event_type *value; /* its Avro record */
    int number;                     /* in the catalogue's table */
    int partitions;                 /* 0: as the setting says */
    bool compacted;
    bool tombstones;            /* a null value is a fact here (deleted), not a bad record */
    bool internal;              /* a re-keyed topic or a changelog: its owner's own affair */
    int64_t retention_ms;       /* how long each record stays at least; -1: for ever, or until compacted */
    const char *dead_letters;   /* the one service that sends bad records to dead-letters; NULL: nobody */
    const char *const *writers; /* services, NULL at the end */
    const char *const *readers;
};

/* The topic called `name` in a catalogue's table; NULL if there is none. */
const struct topic *topic_find(const struct topic *const *table, size_t count, struct slice name);

/* Is `service` in `names`, which is a topic's writers or readers? */
bool topic_names(const char *const *names, const char *service);
