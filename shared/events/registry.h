/* A schema registry: gives each schema a number and refuses a version that readers could not follow.
 *
 * An interface, so that tests and simulations do without one. One thread at a time: struct schemas
 * (schemas.h) locks around it and remembers what it learns. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* What an implementation provides. */
struct registry {
    /* The id of `schema` as a version of `subject`; registers it where it is new. ERR_CONFIG with the
     * registry's words when it is refused, ERR_RETRY when the registry is away. */
    bool (*add)(struct registry *, const char *subject, const char *schema, int32_t *id, struct err *err);

    /* Appends the schema with this id to `schema`, behind the schemas that it refers to, if any, each a JSON
     * value: nothing else is needed to read it. *found is false when the registry says that it has no such
     * id. ERR_RETRY when it is away or answers something else. */
    bool (*schema_by_id)(struct registry *, int32_t id, bool *found, struct buf *schema, struct err *err);

    /* *found is false when there is no such subject yet. Errors as for add. */
    bool (*set_compatibility)(struct registry *, const char *subject, const char *level, bool *found,
                              struct err *err);

    void (*destroy)(struct registry *);
};

/* A Confluent-compatible registry. */
struct registry_options {
    const char *url;     /* such as "http://localhost:8081/apis/ccompat/v7"; may have user:password@ */
    const char *auth;    /* user:password, for basic authentication; NULL: what the URL says */
    const char *ca_file; /* the certificates that a server's has to come from, PEM; NULL: the system's */
    int timeout_ms;      /* that each call takes at most */
};

/* No I/O yet; keeps nothing of the options. */
struct registry *registry_http_create(const struct registry_options *options);

/* A URL without what is between // and @, to be shown. */
void registry_url_show(const char *url, struct buf *out);

/* Ids 1, 2, … in the order of arrival, by content; accepts every schema. */
struct registry *registry_memory_create(void);

/* Takes NULL. */
void registry_destroy(struct registry *r);
