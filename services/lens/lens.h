/* lens: shows the log. Read-only: it writes nothing, belongs to no group, and what it keeps it can read
 * again.
 *
 * Whatever asks Kafka blocks, so requests are jobs for a few threads while their exchanges wait (job.c). */
#pragma once

#include "cluster.h"
#include "history.h"
#include "index.h"
#include "query.h"
#include "reader.h"
#include "record.h"
#include "service/service.h"

extern const struct http_route lens_routes[];

struct lens {
    struct cluster *cluster;
    struct registry *registry;
    struct schemas *schemas;
    struct index *index;
    struct history *history; /* the slow thread's */
};

/* struct service's hooks. */
bool lens_start(const struct settings *settings, struct err *e);
void lens_run(struct instance *i);
bool lens_ready(char *why, size_t size);

extern struct lens lens;

/* What is asked for; slices live as long as the job. */
struct request {
    struct slice topic, key, partition_text, value, header, after, at;
    struct place from, to;
    bool has_from, has_to, full, changed;
    int32_t partition; /* -1: all */
    int64_t limit;
};

struct job {
    struct request request;
    struct reader *reader; /* of the thread that does it */
    struct arena arena;
    struct buf body; /* the answer, JSON */
    unsigned status; /* 200 unless a problem was set */
    const char *field;
};

/* The client has gone, or the process ends: whatever takes long stops. */
bool job_is_abandoned(const struct job *j);

/* Makes the answer a problem; false. */
bool job_problem(struct job *j, unsigned status, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same from an error: 503 where something is away, else 404. */
bool job_failed(struct job *j, const char *field, const struct err *e);

typedef bool job_run(struct job *j);

enum job_kind { JOB_QUICK, JOB_SLOW };

/* The whole of a handler: return what it returns, and call it with the same request in each run. */
enum http_result job_answer(struct instance *i, struct http_exchange *x, enum job_kind kind, job_run *run,
                            const struct request *request);
/* The pool's threads; they end soon after instance_stopping(). */
void jobs_start(struct instance *i);
void jobs_join(void);

/* The answers. */
bool topics_run(struct job *j);
bool page_run(struct job *j);
bool groups_run(struct job *j);
bool search_run(struct job *j);
bool story_run(struct job *j);
bool view_run(struct job *j);
bool digest_run(struct job *j);

/* ---- what they share ---- */

/* Sleeps where bytes were read faster than all that takes long may read. The slow thread. */
void search_budget(uint64_t bytes);

/* The topic that is asked for; its name is as long as the job. False: it is answered. */
bool job_topic(struct job *j, const char **name, int32_t *partitions);

/* Where in a partition a place is. `field` is named where there is no such place. False: answered. */
bool job_place(struct job *j, const char *field, const char *topic, int32_t partition,
               const struct place *place, int64_t *offset);
