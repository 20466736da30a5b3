/* What went wrong, sorted by what its reader does about it.
 *
 * A fallible function returns bool and fills its last parameter on false; outputs are then untouched.
 * "Not found" is no error. Assert only on bugs. */
#pragma once

#include <stdbool.h>

/* Of a function whose result must be looked at. */
#define WARN_UNUSED __attribute__((warn_unused_result))

/* What whoever reads an error does about it. */
enum err_kind {
    ERR_NONE,
    ERR_RETRY,   /* something is away (broker, registry): wait and do the same again */
    ERR_ABORT,   /* the transaction is lost, the process is well: abort, go back to what is committed */
    ERR_UNKNOWN, /* nobody knows whether the transaction was committed: drop the producer, ask the log */
    ERR_REFUSED, /* the broker will never take a record of the transaction: abort, find what it follows from
                  */
    ERR_POISON,  /* this record can never be processed: dead letter */
    ERR_INPUT,   /* a client sent something wrong: tell them, with the field */
    ERR_FENCED,  /* another process has this identity: exit */
    ERR_CONFIG,  /* a setting, schema or partition count is wrong: exit, a person must act */
    ERR_FATAL,   /* the process cannot go on: exit, the supervisor starts it again */
};

/* Zero-initialise. One thread at a time; it owns nothing. */
struct err {
    enum err_kind kind;
    char text[480];
};

/* Fills `e` (unless NULL) and is false, so that a function ends with `return err_set(…)`. A macro, so that
 * compilers know that it is false. */
#define err_set(e, kind, ...)                                                                                \
    __extension__({                                                                                          \
        bool false_ = false;                                                                                 \
        err_fill(e, kind, __VA_ARGS__);                                                                      \
        false_;                                                                                              \
    })
/* What err_set() does, without its value. */
void err_fill(struct err *e, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text of `e`; the kind stays. Returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The name of a kind, for logs and metrics: "retry", "poison", … */
const char *err_kind_name(enum err_kind kind);
