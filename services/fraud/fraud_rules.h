/* How much a customer spends in one go: sessions of orders by event time. Plain functions of plain values. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

#define FRAUD_GAP_MS INT64_C(3600000)   /* orders that are at most this far apart share a session */
#define FRAUD_KEEP_MS INT64_C(86400000) /* how long after its last order a session is kept */
#define FRAUD_ROW_MS INT64_C(604800000) /* how long who orders nothing is remembered */
#define FRAUD_LIMIT_CENTS INT64_C(200000)

/* What an order adds to its session, in cents: never below zero, saturating. */
int64_t fraud_amount(int32_t quantity, int64_t price_cents);

/* The sessions (in `a`) once an order of this time (ms) and amount (cents) has joined those within the gap
 * on either side, and without those too old to keep. *total is what its own session comes to. `old`: zeroed
 * but for the time of the first order. */
struct fraud_sessions fraud_add(const struct fraud_sessions *old, int64_t time, int64_t amount,
                                struct arena *a, int64_t *total);
