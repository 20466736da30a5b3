/* The rules of fraud, payments and possible-fraud once more, in the log's order, and whether the suite came
 * to the same. Topics may be told one after the other in any order, of one topic the records of a partition
 * as the log has them. One thread. Nothing fails.
 *
 * What it remembers does not grow with the log: customers and cards of the time for which the services
 * themselves remember them. Of each payment there are 16 bytes in a file (spill.h). */
#pragma once

#include "audit_fold.h"

struct recount;

struct recount *recount_create(void);
void recount_destroy(struct recount *r); /* takes NULL */

/* orders-by-customer; `time`: the record's. */
void recount_order(struct recount *r, struct audit *a, struct audit_at at, int64_t time,
                   const struct order *o);
/* `own`: it names its cause, as what payments writes does. */
void recount_payment(struct recount *r, struct audit *a, struct audit_at at, const struct payment *p,
                     bool own);
void recount_authorization(struct recount *r, struct audit_at at, int64_t time,
                           const struct authorization *auth, bool own);
void recount_possible_fraud(struct recount *r, struct audit *a, struct audit_at at,
                            const struct possible_fraud *p);

/* Payments without authorization, and counts that are due. */
uint64_t recount_in_flight(const struct recount *r);

/* How many customers and windows of cards it keeps. */
uint64_t recount_remembers(const struct recount *r);

/* Once. `quiescent`: nobody writes any more. */
void recount_judge(struct recount *r, struct audit *a, bool quiescent);
