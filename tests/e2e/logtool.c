/* logtool: the log as tests see it, and a way to write into it what no service would.
 *
 *   logtool read TOPIC…  Prints each committed record from the beginning to the end, one JSON object a line:
 *   topic, partition, offset, timestamp, key, headers, schema (its id), value (decoded). Where it cannot be
 *   decoded: error and hex instead of value.
 *
 *   logtool write TOPIC  Takes records from standard input, one JSON object a line: key (null or absent:
 *   none), hex (the value; null: a tombstone), partition (absent: the key's), timestamp, headers. Prints
 *   partition and offset of each, in the order of the input.
 *
 *   logtool forget GROUP  Deletes a consumer group that has no members, with its offsets.
 *
 *   logtool delete TOPIC  Deletes a topic; it is gone when this ends.
 *
 * Environment: bench/where.h. Exit codes: 0; 1 with a line on standard error. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "events/schemas.h"
#include "kafka/client.h"
#include "kafka/kafka.h"
#include "schemas/schemas.gen.h"
#include "where.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 20000, BATCH = 1000, HEADERS_MAX = 64 };

/* ---- read ---- */

struct reader {
    struct log *log;
    struct schemas *schemas;
    int open; /* partitions that have not reached their end */
};

static void put_hex(struct json *j, struct slice s) {
    _cleanup_(buf_free) struct buf hex = {0};
    for (size_t i = 0; i < s.size; i++)
        buf_printf(&hex, "%02x", (unsigned char)s.data[i]);
    json_put_string(j, buf_slice(&hex));
}

static bool put_value(struct reader *r, struct json *j, struct slice value, struct err *e) {
    _cleanup_(buf_free) struct buf decoded = {0};
    if (value.data == NULL) {
        json_key(j, "value"), json_put_null(j);
        return true;
    }
    if (value.size >= 5) {
        const unsigned char *id = (const unsigned char *)value.data + 1;
        json_key(j, "schema"), json_put_int(j, (int64_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]);
    }
    if (schemas_json(r->schemas, value, &decoded, e)) {
        json_key(j, "value"), json_put_raw(j, buf_slice(&decoded));
        return true;
    }
    json_key(j, "error"), json_put_string(j, slice_of(e->text));
    json_key(j, "hex"), put_hex(j, value);
    return e->kind == ERR_POISON;
}

static bool print_record(struct reader *r, const struct log_record *record, struct err *e) {
    _cleanup_(buf_free) struct buf line = {0};
    struct json j = {.out = &line};
    struct log_header headers[HEADERS_MAX];
    size_t n = r->log->ops->headers(record, headers, HEADERS_MAX);
    json_begin_object(&j);
    json_key(&j, "topic"), json_put_string(&j, slice_of(record->topic->name));
    json_key(&j, "partition"), json_put_int(&j, record->partition);
    json_key(&j, "offset"), json_put_int(&j, record->offset);
    json_key(&j, "timestamp"), json_put_int(&j, record->timestamp);
    json_key(&j, "key");
    if (record->key.data == NULL)
        json_put_null(&j);
    else
        json_put_string(&j, record->key);
    json_key(&j, "headers"), json_begin_object(&j);
    for (size_t i = 0; i < n; i++)
        json_key(&j, headers[i].name), json_put_string(&j, headers[i].value);
    json_end_object(&j);
    if (!put_value(r, &j, record->value, e))
        return false;
    json_end_object(&j);
    buf_append_byte(&line, '\n');
    fwrite(line.data, 1, line.size, stdout);
    return true;
}

static bool start_topic(struct reader *r, const char *name, struct err *e) {
    const struct topic *t = topic_find(topics, topics_count, slice_of(name));
    int32_t count;
    if (t == NULL)
        return err_set(e, ERR_CONFIG, "no topic %s in the catalogue", name);
    if (!r->log->ops->partitions(r->log, t, &count, e))
        return false;
    for (int32_t p = 0; p < count; p++)
        if (!r->log->ops->read(r->log, LOG_TABLES, &(struct log_position){t, p, -1}, e))
            return false;
    r->open += count;
    return true;
}

static bool read_to_the_end(struct reader *r, struct err *e) {
    static struct log_record records[BATCH];
    int64_t until = clock_mono_us() + WAIT_MS * INT64_C(1000);
    while (r->open > 0) {
        size_t n;
        if (!r->log->ops->poll(r->log, false, records, BATCH, 500, &n, e))
            return false;
        bool ok = true;
        for (size_t i = 0; i < n && ok; i++) {
            struct log_record *record = &records[i];
            if (!log_is_news(record)) {
                ok = print_record(r, record, e);
                continue;
            }
            r->open--;
            r->log->ops->unread(r->log, LOG_TABLES, record->topic, record->partition);
        }
        r->log->ops->release(r->log, records, n);
        if (!ok)
            return false;
        if (n == 0 && clock_mono_us() > until)
            return err_set(e, ERR_RETRY, "%d partitions did not come to their end", r->open);
    }
    return true;
}

static bool read_topics(char **names, struct err *e) {
    const struct where *suite = where_suite_is(e);
    if (suite == NULL)
        return false;
    struct registry *registry = registry_http_create(&suite->registry);
    struct reader r = {.schemas = schemas_create(registry)};
    struct kafka_options options = {.brokers = suite->brokers,
                                    .properties = suite->properties,
                                    .identity = "logtool",
                                    .topic_count = topics_count};
    bool ok = kafka_create(&options, &r.log, e);
    for (; ok && *names != NULL; names++)
        ok = start_topic(&r, *names, e);
    ok = ok && read_to_the_end(&r, e);
    log_destroy(r.log);
    schemas_destroy(r.schemas);
    registry_destroy(registry);
    return ok;
}

/* ---- write ---- */

struct written {
    int32_t partition;
    int64_t offset;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    struct written *w = m->_private;
    (void)rk;
    (void)opaque;
    *w = (struct written){m->partition, m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? m->offset : -1};
}

static rd_kafka_t *writer_create(struct err *e) {
    static const struct kafka_property own[] = {
        {"enable.idempotence", "true"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
    const struct kafka_property *const settings[] = {own, NULL};
    static struct kafka_traffic traffic;
    static struct kafka_link link;
    const struct where *suite = where_suite_is(e);
    if (suite == NULL)
        return NULL;
    kafka_link_init(&link, suite->brokers, suite->properties, NULL);
    rd_kafka_t *rk = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client(RD_KAFKA_PRODUCER, &link, settings, conf, &traffic, &rk, e) ? rk : NULL;
}

static bool unhex(const char *hex, struct buf *out, struct err *e) {
    for (; *hex != 0; hex += 2) {
        unsigned byte;
        if (sscanf(hex, "%2x", &byte) != 1 || hex[1] == 0)
            return err_set(e, ERR_INPUT, "hex: an odd or bad digit");
        buf_append_byte(out, (uint8_t)byte);
    }
    buf_reserve(out, 1); /* an empty value is not none */
    return true;
}

static bool produce(rd_kafka_t *rk, const char *topic, const json_t *record, struct written *w,
                    struct err *e) {
    _cleanup_(buf_free) struct buf value = {0};
    const char *key = json_string_value(json_object_get(record, "key"));
    const char *hex = json_string_value(json_object_get(record, "hex"));
    const json_t *wanted = json_object_get(record, "partition");
    int32_t partition = wanted == NULL ? RD_KAFKA_PARTITION_UA : (int32_t)json_integer_value(wanted);
    size_t key_size = key == NULL ? 0 : strlen(key);
    if (hex != NULL && !unhex(hex, &value, e))
        return false;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(0);
    const char *name;
    json_t *header;
    json_object_foreach(json_object_get(record, "headers"), name, header)
        rd_kafka_header_add(headers, name, -1, json_string_value(header), -1);
    rd_kafka_resp_err_t error =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(value.data, value.size),
                          RD_KAFKA_V_TIMESTAMP(json_integer_value(json_object_get(record, "timestamp"))),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_OPAQUE(w), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    rd_kafka_headers_destroy(headers);
    return err_set(e, ERR_RETRY, "%s", rd_kafka_err2str(error));
}

static void json_free(json_t **json) {
    json_decref(*json);
}

static void free_line(char **line) {
    free(*line);
}

/* Every record has its place in `written`, which delivery reports fill. */
static bool write_lines(rd_kafka_t *rk, const char *topic, struct written *written, size_t max, size_t *n,
                        struct err *e) {
    _cleanup_(free_line) char *line = NULL;
    size_t capacity = 0;
    json_error_t error;
    for (*n = 0; getline(&line, &capacity, stdin) > 0; ++*n) {
        if (*n == max)
            return err_set(e, ERR_INPUT, "more than %zu records", max);
        _cleanup_(json_free) json_t *record = json_loads(line, 0, &error);
        if (record == NULL)
            return err_set(e, ERR_INPUT, "record %zu: %s", *n, error.text);
        written[*n].offset = -1;
        if (!produce(rk, topic, record, &written[*n], e))
            return false;
        rd_kafka_poll(rk, 0);
    }
    return true;
}

static bool write_topic(const char *topic, struct err *e) {
    enum { MAX = 100000 };
    struct written *written = xcalloc(MAX, sizeof *written);
    size_t n = 0;
    rd_kafka_t *rk = writer_create(e);
    bool ok = rk != NULL && write_lines(rk, topic, written, MAX, &n, e);
    if (rk != NULL) {
        rd_kafka_flush(rk, WAIT_MS);
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(rk);
    }
    for (size_t i = 0; ok && i < n; i++) {
        ok = written[i].offset >= 0 || err_set(e, ERR_RETRY, "record %zu was not written", i);
        if (ok)
            printf("{\"partition\":%d,\"offset\":%lld}\n", written[i].partition,
                   (long long)written[i].offset);
    }
    free(written);
    return ok;
}

/* A member that was killed is one until its session ends. */
static bool forget_group(const char *group, struct err *e) {
    rd_kafka_t *rk = writer_create(e);
    if (rk == NULL)
        return false;
    bool done = false;
    int64_t until = clock_mono_us() + WAIT_MS * INT64_C(1000);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    err_set(e, ERR_RETRY, "no answer about group %s", group);
    while (!done && clock_mono_us() < until) {
        rd_kafka_DeleteGroup_t *gone = rd_kafka_DeleteGroup_new(group);
        rd_kafka_DeleteGroups(rk, &gone, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
        size_t n = 0;
        const rd_kafka_group_result_t **results =
            event == NULL
                ? NULL
                : rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &n);
        const rd_kafka_error_t *error = n == 1 ? rd_kafka_group_result_error(results[0]) : NULL;
        done = n == 1 && error == NULL;
        if (error != NULL)
            err_set(e, ERR_RETRY, "group %s: %s", group, rd_kafka_error_string(error));
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_DeleteGroup_destroy(gone);
        if (!done)
            rd_kafka_poll(rk, 200);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return done;
}

/* Until Kafka says that there is no such topic. */
static bool delete_topic(const char *name, struct err *e) {
    rd_kafka_t *rk = writer_create(e);
    if (rk == NULL)
        return false;
    bool gone = false;
    int64_t until = clock_mono_us() + WAIT_MS * INT64_C(1000);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    err_set(e, ERR_RETRY, "no answer about topic %s", name);
    while (!gone && clock_mono_us() < until) {
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
        rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
        size_t n = 0;
        const rd_kafka_topic_result_t **results =
            event == NULL
                ? NULL
                : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
        rd_kafka_resp_err_t error =
            n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        gone = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            err_set(e, ERR_RETRY, "topic %s: %s", name, rd_kafka_err2str(error));
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_DeleteTopic_destroy(topic);
        if (!gone)
            rd_kafka_poll(rk, 100);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return gone;
}

int main(int argc, char **argv) {
    struct err e = {0};
    bool ok;
    if (argc > 2 && strcmp(argv[1], "read") == 0) {
        ok = read_topics(argv + 2, &e);
    } else if (argc == 3 && strcmp(argv[1], "write") == 0) {
        ok = write_topic(argv[2], &e);
    } else if (argc == 3 && strcmp(argv[1], "forget") == 0) {
        ok = forget_group(argv[2], &e);
    } else if (argc == 3 && strcmp(argv[1], "delete") == 0) {
        ok = delete_topic(argv[2], &e);
    } else {
        fprintf(stderr, "usage: logtool read TOPIC… | write TOPIC | forget GROUP | delete TOPIC\n");
        return 2;
    }
    if (!ok)
        fprintf(stderr, "logtool: %s\n", e.text);
    return ok ? 0 : 1;
}
