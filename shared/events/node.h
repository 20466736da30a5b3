/* Internal to events: the nodes that a plan is made of. Each says what the writer wrote there and where in
 * the reader's struct it goes. plan.c makes them, decode.c runs them. */
#pragma once

#include "events/plan.h"

enum node_op { /* what the writer wrote */
               NODE_NULL,
               NODE_BOOLEAN,
               NODE_INT,
               NODE_LONG,
               NODE_FLOAT,
               NODE_DOUBLE,
               NODE_BYTES,
               NODE_STRING,
               NODE_FIXED,
               NODE_ENUM,
               NODE_RECORD,
               NODE_ARRAY,
               NODE_MAP,
               NODE_UNION,
               NODE_MISMATCH, /* the reader cannot take it: an error where a record has it */
};

enum { NODE_SKIP = -1 };

struct node {
    enum node_op op;
    int to;           /* enum event_kind of the member, or NODE_SKIP: checked and passed over */
    bool optional;    /* there is a `present` to set */
    uint32_t present; /* where that is, and where the value is, in the innermost struct around it */
    uint32_t value;
    const char *name;            /* of the field, for messages and JSON; NULL for items and branches */
    size_t count;                /* of fields, branches or symbols; bytes of a fixed */
    const struct node *children; /* fields, branches, or the one item */
    const char *const *symbols;  /* the writer's, for JSON */
    const int *map;              /* of the writer's symbols to the reader's; -1: it has none such */
    const void *image;           /* a record: the struct with the fields that the writer lacks filled in */
    size_t size;                 /* of the record's struct, or of an array's item */
    const char *why;             /* of a mismatch */
};

struct plan {
    struct arena arena;
    struct node root;
    size_t size; /* of the reader's struct */
};
