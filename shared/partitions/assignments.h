/* What this instance has of the service's served views, and who has the rest. Each instance publishes
 * what it has as a row of the table `service.assignments`, reads the others', and follows the same rules as
 * they (placement.h): so nobody negotiates, and each knows whom to ask. Any thread, unless it says otherwise.
 */
#pragma once

#include "instance/inside.h"
#include "partitions/placement.h"
#include "partitions/relay.h"

/* With the table of what all have. NULL for NULL: the service serves no view. Before any thread. */
struct assignments *assignments_create(struct instance *i, const struct table *t);
/* Takes NULL. No exchange is under way any more, no stream runs. */
void assignments_destroy(struct assignments *a);

/* Takes NULL, as the next two: after tasks, hydrated partitions or rows have changed; and once a second. */
void assignments_update(struct assignments *a);

/* Whether there is an instance to ask for each key, this one or another; else what is missing goes to `why`.
 */
bool assignments_ready(struct assignments *a, struct buf *why);
void assignments_metrics(struct assignments *a, struct metrics *m);

/* The partitions that this instance answers for. */
bool assignments_here(struct assignments *a, int32_t partition);
int32_t assignments_partition(const struct assignments *a, struct slice key);
int32_t assignments_count(const struct assignments *a); /* of partitions */
struct relay *assignments_relay(struct assignments *a);

/* Woken when assignments_here() may say something else. */
struct slice assignments_key(void);

/* The first half of an orderly stop: says that it goes. The second: waits until others have what it had,
 * where there are others, for `ms` at the most, and takes its row away. Main thread. Take NULL. */
void assignments_leave(struct assignments *a);
void assignments_left(struct assignments *a, int ms);

/* The row of a member, as the struct of `type`, an Avro record with the fields service, slot, address,
 * leaving and partitions, an array of records with partition, owned and held; in the arena. And back: what is
 * missing there stays as it is. */
const void *assignment_write(const struct event_type *type, struct slice service, const struct member *m,
                             struct arena *a);
void assignment_read(const struct event_type *type, const void *row, struct slice *service, struct member *m);
