/* A small bank, for the tests of this layer: deposits and transfers change the balance of an account and are
 * answered by a receipt with the owner's name. And what such a test needs around it: a registry in memory
 * that can be away, schemas, and a store. */
#pragma once

#include "base/buf.h"
#include "events/schemas.h"
#include "schemas/schemas.gen.h"
#include "store/store.h"
#include "topology/topology.h"
#include "transaction/txn.h"

struct stream;

extern const struct view bank_balances;
extern const struct table bank_owners; /* by city too; fresh */
extern const struct topology bank_topology;
extern const struct source bank_deposits, bank_transfers; /* as the topology has them */

/* balance += amount, and a receipt; an amount of 0 closes the account; a negative one is rejected, after all
 * has been done; the note "state only" gives no receipt, "nothing" does nothing. */
void bank_on_deposit(struct txn *txn, const struct event *in);

struct bank {
    struct registry away_or_not; /* in front of `registry` */
    struct registry *registry;
    bool registry_is_away;
    void (*asked)(void *context); /* at each question for a schema; or NULL */
    void *asked_context;
    struct schemas *schemas; /* all topics are registered */
    struct schemas *reader;  /* of bank_value(); its registry is never away */
    struct store *store;
    struct arena arena; /* of the functions below */
    int foreign;        /* schemas so far */
};

struct bank *bank_create(void);
void bank_destroy(struct bank *b);

/* A value in wire format. */
struct slice bank_bytes(struct bank *b, const struct topic *t, const void *value);
struct slice bank_deposit(struct bank *b, int64_t amount, const char *note);
struct slice bank_owner(struct bank *b, const char *name, const char *city);
/* The same value by a writer whose schema no process has seen yet; `bytes` are changed. */
struct slice bank_foreign(struct bank *b, const struct topic *t, struct slice bytes);
/* The struct of a value in wire format. */
const void *bank_value(struct bank *b, const struct topic *t, struct slice bytes);

/* A figure of a stream of a topology called bank, over all topics. */
long bank_metric(struct stream *s, const char *name);

#define assert_slice(actual, text)                                                                           \
    do {                                                                                                     \
        struct slice got_ = actual;                                                                          \
        assert_int_equal(got_.size, strlen(text));                                                           \
        assert_memory_equal(got_.data, text, got_.size);                                                     \
    } while (0)
