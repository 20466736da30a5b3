/* What the log says about rides, and whether each follows its state machine (invariant 6). No I/O. The
 * records of a ride come in the log's order. One thread. */
#pragma once

#include "audit_fold.h"

struct rides_fold;

struct rides_fold *rides_fold_create(void);
void rides_fold_destroy(struct rides_fold *f); /* takes NULL */

/* Checks the step from the ride's last record to this one, and whether its rider or driver has another ride
 * in this partition. `time`: the record's. */
void rides_fold_ride(struct rides_fold *f, struct audit *a, struct audit_at at, int64_t time,
                     const struct ride *r);

/* Call it between two looks at the log, each of which reads all partitions up to one moment. Whoever has two
 * rides in the first look may have ended one in a partition that was aimed at a little earlier; that shows in
 * the second. */
void rides_fold_suspect(struct rides_fold *f);

/* After the second look: those who still have both, and those who had two for a while. */
void rides_fold_judge(struct rides_fold *f, struct audit *a);

uint32_t rides_fold_count(const struct rides_fold *f);
const char *rides_fold_id(const struct rides_fold *f, uint32_t n);

/* A ride as HTTP shows it, NULL: unknown. `moving`: the topic has gone on since it was read; a ride that was
 * over by then stays as it was. */
void rides_fold_view(const struct rides_fold *f, struct audit *a, uint32_t n, const struct ride *shown,
                     bool moving);
