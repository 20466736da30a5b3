/* The inside of the log on a real Kafka (kafka.h): five clients of librdkafka, each with a file.
 *   kafka.c         the log: what all of them have heard, in one poll
 *   questions.c     the asker: topics, ends, groups
 *   member.c        the member of the group: which tasks are ours, how far the group has them
 *   transactions.c  the transactional producer
 *   reader.c        the readers: what each reads and from where, and what becomes of those that cannot go on
 * and below them client.c, which makes every client; wire.c, Kafka's protocol itself, for what librdkafka has
 * no call; traffic.c, what clients exchange with brokers. What is not said here of a function is said of its
 * like in struct log_ops. For the log's thread, unless it says otherwise. */
#pragma once

#include "kafka/client.h"
#include "kafka/kafka.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    CALL_MS = 2000,    /* metadata, offsets */
    COMMIT_MS = 11000, /* longer than transaction.timeout.ms: then the broker has decided */
    WRITTEN_MAX = 8,
    WATCH_MS = 3000,
};

/* A reader for each queue, and behind them those of topics for which there is time. */
enum { PATIENT_INPUTS = LOG_QUEUES, PATIENT_TABLES, READERS };

enum client { CLIENT_MEMBER, CLIENT_READERS, CLIENT_PRODUCER = CLIENT_READERS + READERS, CLIENT_ASKER };
enum { CLIENTS = CLIENT_ASKER + 1 };

/* A reader's place in one partition. */
struct reading {
    bool active;
    bool lost;                 /* the broker has nothing at `position`: it reads no more until it is moved */
    int64_t position;          /* the next offset to be given; -1: of the first record that there is */
    int64_t cut;               /* of a lost one: where its leader says the log was cut off; -1: it does not */
    rd_kafka_resp_err_t error; /* met since something came last; none: NO_ERROR */
    int64_t seen;              /* the position at the look before */
    int stuck, renewals;       /* looks in a row at which it was stuck; how often it was made anew for that */
    bool troubled;
};

struct readings {
    const struct topic *topic;
    struct reading *at; /* by partition */
    int32_t count;
};

struct kafka {
    struct log log;
    struct kafka_link link;
    char *group, *identity, member_id[256];
    rd_kafka_t *member, *producer, *asker;
    rd_kafka_t *readers[READERS]; /* changed under the lock, for kafka_seen_end() */
    pthread_mutex_t lock;
    struct kafka_traffic traffic[CLIENTS];
    rd_kafka_queue_t *member_queue, *queues[READERS];
    int event; /* an eventfd: something happened on a queue, or log_wake */
    size_t topic_count;
    const struct topic *const *patient;
    rd_kafka_topic_t **topics[READERS], **producer_topics, **asker_topics; /* by the topic's number */
    int32_t *partitions;                                                   /* likewise; 0: not known */
    struct readings *readings[READERS];                                    /* likewise */
    size_t lost;                                                           /* readings that are */
    int64_t locate_at; /* they are looked for not before */
    struct {
        int64_t pause_ms;        /* between two looks */
        int64_t at;              /* of the next look, */
        rd_kafka_queue_t *queue; /* or what the answer comes into; NULL: nothing was asked */
        bool committed;          /* asked for the ends of committed readers */
    } watch;
    size_t lent;           /* records that were not given back */
    bool drained[READERS]; /* all that had come was taken since the last look */
    bool renew[READERS];   /* to be made anew */
    counter renewed[READERS];
    size_t troubles;                  /* readings with trouble; */
    char trouble[300];                /* the latest of it */
    char strangers[300];              /* of the group: who has tasks of it; "": nobody */
    rd_kafka_resp_err_t member_error; /* why it is no member; NO_ERROR: it is, or nobody said why not */
    struct log_listener listener;
    const struct topic *lead; /* what the group divides; NULL: not subscribed */
    int32_t tasks;            /* that this member has */
    rd_kafka_queue_t *look;   /* for what the group has; NULL: not asked */
    int64_t look_at;
    int lacking;        /* looks in a row at which the group had not all */
    struct err fenced;  /* kind ERR_NONE: not that we know */
    struct err refused; /* likewise: a record of the transaction will never be taken */
    struct {
        struct err why;           /* likewise: what this service does the broker does not let it do */
        rd_kafka_resp_err_t code; /* that it gave */
        int64_t until_us;         /* it is not tried again before */
    } forbidden;
    const struct topic *written[WRITTEN_MAX]; /* by the transaction, each once */
    size_t written_count;
    const struct topic *denied; /* that it may not write; NULL: not that a record of the transaction told */
    counter mended;
    bool told;                     /* a callback ran during this poll */
    rd_kafka_message_t **messages; /* scratch of a poll */
    size_t message_capacity;
};

static inline struct kafka *kafka_of(struct log *l) {
    return (struct kafka *)l;
}

/* --- questions.c --- */
/* Makes a client of this role, see kafka_client(). */
WARN_UNUSED bool kafka_role(struct kafka *k, enum client role, rd_kafka_conf_t *conf,
                            const struct kafka_property *const *settings, rd_kafka_t **rk, struct err *e);
/* Wakes the poll when something is on the queue. */
void kafka_watch(struct kafka *k, rd_kafka_queue_t *queue);
/* Asks for the offsets of `list` (RD_KAFKA_OFFSET_SPEC_…); the answer, or that there is none within CALL_MS,
 * comes into *queue, which is the caller's. */
WARN_UNUSED bool kafka_ask_offsets(struct kafka *k, rd_kafka_topic_partition_list_t *list, bool committed,
                                   rd_kafka_queue_t **queue, struct err *e);
/* The same for positions, and waits for the answer. */
WARN_UNUSED bool kafka_offsets(struct kafka *k, struct log_position *positions, size_t n, int64_t spec,
                               bool committed, struct err *e);
/* The client for questions. Not a reader: a broker answers a connection's requests in turn, and a reader's
 * fetch waits there for up to half a second. */
WARN_UNUSED bool kafka_asker(struct kafka *k, rd_kafka_t **rk, struct err *e);
void kafka_asker_drop(struct kafka *k);
WARN_UNUSED bool kafka_partitions(struct log *l, const struct topic *t, int32_t *count, struct err *e);
WARN_UNUSED bool kafka_ends(struct log *l, struct log_position *positions, size_t n, bool committed,
                            struct err *e);
/* Markers are written within a few milliseconds; the producer's next transaction would have to wait for them,
 * too. */
WARN_UNUSED bool kafka_visible(struct log *l, const struct log_position *positions, size_t n, struct err *e);
/* What to do with the group as its coordinator sees it. */
typedef bool on_group(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group, const void *context,
                      struct err *e);
/* The answer comes into *queue, which is the caller's. */
WARN_UNUSED bool kafka_group_ask(struct kafka *k, rd_kafka_queue_t **queue, struct err *e);
WARN_UNUSED bool kafka_group_take(struct kafka *k, rd_kafka_event_t *event, on_group *each,
                                  const void *context, struct err *e);
WARN_UNUSED bool kafka_group_describe(struct kafka *k, on_group *each, const void *context, struct err *e);
/* Whether no broker answers, who did not before either. */
WARN_UNUSED bool kafka_still_away(struct kafka *k, struct err *e);

/* --- member.c --- */
/* Why the client is over: ERR_FENCED or ERR_FATAL. False. */
bool kafka_fatal(rd_kafka_t *rk, struct err *e);
/* ERR_FENCED: another process is a member with our identity. */
WARN_UNUSED bool kafka_sole(struct kafka *k, struct err *e);
void kafka_member_destroy(struct kafka *k);
WARN_UNUSED bool kafka_leave(struct log *l, struct err *e);
/* Does not wait for the answer; what fails is asked again at the next look. */
void kafka_member_look(struct kafka *k);
WARN_UNUSED bool kafka_subscribe(struct log *l, const struct topic *lead, const struct log_listener *listener,
                                 struct err *e);
/* A member without partitions to read has only callbacks and errors. */
WARN_UNUSED bool kafka_member_serve(struct kafka *k, struct err *e);
/* Stream time and cuts are the metadata that Kafka keeps for us beside an offset: "time#cuts". */
rd_kafka_topic_partition_list_t *kafka_committed_list(const struct log_committed *inputs, size_t n);
WARN_UNUSED bool kafka_committed(struct log *l, struct log_committed *inputs, size_t n, struct err *e);

/* --- transactions.c --- */
void kafka_producer_drop(struct kafka *k);
WARN_UNUSED bool kafka_init(struct log *l, struct err *e);
WARN_UNUSED bool kafka_begin(struct log *l, struct err *e);
WARN_UNUSED bool kafka_produce(struct log *l, const struct log_message *m, struct err *e);
WARN_UNUSED bool kafka_commit(struct log *l, const struct log_committed *inputs, size_t n, struct err *e);
WARN_UNUSED bool kafka_abort(struct log *l, struct err *e);

/* --- reader.c --- */
bool kafka_read(struct log *l, enum log_queue queue, const struct log_position *from, struct err *e);
void kafka_unread(struct log *l, enum log_queue queue, const struct topic *t, int32_t partition);
/* What has come, up to `max`. */
size_t kafka_take(struct kafka *k, bool inputs, struct log_record *records, size_t max);
void kafka_release(struct log *l, struct log_record *records, size_t n);
int64_t kafka_seen_end(struct log *l, enum log_queue q, const struct topic *t, int32_t partition);
/* Whoever gets nothing for some seconds although there is something is made anew, and whatever hinders for
 * longer is said. */
void kafka_readers_watch(struct kafka *k);
void kafka_readers_destroy(struct kafka *k);
