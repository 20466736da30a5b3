/* load ratings: rates the movies that there are, the popular ones more often. A rating has no id, so that
 * none is repeated: after a 503 or a broken connection nobody knows whether it counts. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "client.h"
#include "events/registry.h"
#include "events/schemas.h"
#include "kafka/producer.h"
#include "load.h"
#include "options.h"
#include "samples.h"
#include "shop.h"
#include "taste.h"
#include "where.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { POSTS_MAX = 256, DIRECT_MAX = 50000, REQUEST_MS = 15000, DRAIN_MS = 15000, MOVIES_MAX = 1000 };

struct load {
    double rate, count;
    bool direct, json;
    struct client *client;
    struct producer *producer;
    struct registry *registry;
    struct schemas *schemas;
    int64_t movies[MOVIES_MAX];
    size_t movie_count;
    uint64_t random;
    size_t sent;
    pthread_mutex_t lock; /* of what follows: with --direct acknowledgements come on a thread of their own */
    size_t accepted, refused, unknown;
    struct samples us;
    char last_error[200];
    int64_t start_us;
};

static size_t ended(struct load *l) {
    pthread_mutex_lock(&l->lock);
    size_t n = l->accepted + l->refused + l->unknown;
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* When the nth rating is due. */
static int64_t due_us(const struct load *l, size_t n) {
    return l->start_us + (int64_t)((double)n * 1e6 / l->rate);
}

static struct raw_rating draw(struct load *l) {
    int64_t id = l->movies[taste_movie(&l->random, l->movie_count)];
    return (struct raw_rating){.movie_id = id, .rating_tenths = taste_tenths(&l->random, id)};
}

/* ---- over HTTP ---- */

struct post {
    struct load *load;
    int64_t due_us;
};

static void on_answer(void *context, const struct answer *a) {
    struct post *p = context;
    struct load *l = p->load;
    if (a->status == 202) {
        l->accepted++;
        samples_add(&l->us, clock_mono_us() - p->due_us);
    } else {
        ++*(a->status >= 400 && a->status < 500 ? &l->refused : &l->unknown);
        snprintf(l->last_error, sizeof l->last_error, "%ld %s%.*s", a->status,
                 a->error == NULL ? "" : a->error, a->body.size > 120 ? 120 : (int)a->body.size,
                 a->body.data);
    }
    free(p);
}

static void post(struct load *l, int64_t due) {
    char json[80];
    struct raw_rating r = draw(l);
    int size = snprintf(json, sizeof json, "{\"movieId\":%" PRId64 ",\"rating\":%d.%d}", r.movie_id,
                        r.rating_tenths / 10, r.rating_tenths % 10);
    struct post *p = xcalloc(1, sizeof *p);
    *p = (struct post){l, due};
    client_send(l->client, "POST", "/v1/ratings", (struct slice){json, (size_t)size}, REQUEST_MS, on_answer,
                p);
}

/* ---- into the log ---- */

static void on_acknowledged(void *context, void *ticket, int64_t offset) {
    struct load *l = context;
    struct post *p = ticket;
    pthread_mutex_lock(&l->lock);
    ++*(offset >= 0 ? &l->accepted : &l->unknown);
    if (offset >= 0)
        samples_add(&l->us, clock_mono_us() - p->due_us);
    pthread_mutex_unlock(&l->lock);
    free(p);
}

static bool write_record(struct load *l, int64_t due, struct err *err) {
    _cleanup_(buf_free) struct buf payload = {0};
    struct raw_rating r = draw(l);
    char key[24];
    int size = snprintf(key, sizeof key, "%" PRId64, r.movie_id);
    if (!schemas_encode(l->schemas, &topic_raw_ratings, &r, &payload, err))
        return false;
    struct log_message m = {.topic = &topic_raw_ratings,
                            .timestamp = clock_wall_ms(),
                            .key = {key, (size_t)size},
                            .value = buf_slice(&payload)};
    struct post *p = xcalloc(1, sizeof *p);
    *p = (struct post){l, due};
    if (producer_send(l->producer, &m, p, err))
        return true;
    free(p);
    return false;
}

static bool open_log(struct load *l, struct err *err) {
    const struct where *suite = where_suite_is(err);
    if (suite == NULL)
        return false;
    struct producer_options options = {.brokers = suite->brokers,
                                       .properties = suite->properties,
                                       .topic_count = topics_count,
                                       .done = on_acknowledged,
                                       .context = l};
    l->registry = registry_http_create(&suite->registry);
    l->schemas = schemas_create(l->registry);
    return schemas_register(l->schemas, &topic_raw_ratings, err) &&
           producer_create(&options, &l->producer, err) &&
           producer_prepare(l->producer, &topic_raw_ratings, err);
}

/* ---- the loop ---- */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The best known have the smallest ids. */
static bool ask_movies(struct load *l, struct err *err) {
    _cleanup_(buf_free) struct buf body = {0};
    long status;
    if (!client_ask(l->client, "GET", "/v1/movies?limit=1000", SLICE_NONE, &status, &body, err))
        return false;
    json_t *answer = json_loadb(body.data, body.size, 0, NULL), *movie;
    size_t i;
    json_array_foreach(json_object_get(answer, "movies"), i, movie) {
        if (l->movie_count < MOVIES_MAX)
            l->movies[l->movie_count++] = json_integer_value(json_object_get(movie, "movieId"));
    }
    json_decref(answer);
    qsort(l->movies, l->movie_count, sizeof *l->movies, ascending);
    return l->movie_count > 0 || err_set(err, ERR_CONFIG, "GET /v1/movies: %ld, no movies", status);
}

static bool send_due(struct load *l, struct err *err) {
    size_t most = l->direct ? DIRECT_MAX : POSTS_MAX;
    while (l->sent < (size_t)l->count && l->sent - ended(l) < most) {
        int64_t due = due_us(l, l->sent);
        if (due > clock_mono_us())
            break;
        if (!l->direct) {
            post(l, due);
        } else if (!write_record(l, due, err)) {
            if (err->kind == ERR_RETRY)
                break; /* the queue is full */
            return false;
        }
        l->sent++;
    }
    return true;
}

/* Until something is due or an answer is there. */
static void rest(struct load *l) {
    int64_t left_us = l->sent < (size_t)l->count ? due_us(l, l->sent) - clock_mono_us() : 100000;
    int ms = left_us <= 0 ? 1 : left_us > 50000 ? 50 : (int)(left_us / 1000) + 1;
    if (!l->direct)
        client_wait(l->client, ms);
    else
        nanosleep(&(struct timespec){.tv_nsec = (ms > 5 ? 5 : ms) * 1000000L}, NULL);
}

static void progress(struct load *l, int64_t *shown_us) {
    int64_t now = clock_mono_us();
    if (now - *shown_us < 1000000)
        return;
    *shown_us = now;
    fprintf(stderr, "\r\033[K%5.0f s  %zu of %.0f ratings accepted", (double)(now - l->start_us) / 1e6,
            ended(l), l->count);
}

static bool run(struct load *l, struct err *err) {
    bool terminal = isatty(STDERR_FILENO);
    l->start_us = clock_mono_us();
    int64_t shown_us = l->start_us, moved_us = l->start_us;
    size_t before = 0;
    while (ended(l) < (size_t)l->count) {
        if (!send_due(l, err))
            return false;
        rest(l);
        if (ended(l) != before || l->sent - before == 0) {
            before = ended(l);
            moved_us = clock_mono_us();
        }
        if (clock_mono_us() - moved_us > DRAIN_MS * INT64_C(1000))
            return err_set(err, ERR_RETRY, "no answer for %d s", DRAIN_MS / 1000);
        if (terminal)
            progress(l, &shown_us);
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
    return true;
}

static void report(struct load *l, double seconds) {
    const char *to = l->direct ? "write to acknowledged" : "POST to 202";
    if (!l->json) {
        printf("%zu ratings in %.2f s: %.1f/s (due: %.1f/s); %zu refused, %zu unanswered\n", l->accepted,
               seconds, (double)l->accepted / seconds, l->rate, l->refused, l->unknown);
        samples_print_head();
        samples_print(&l->us, to);
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "ratings"), json_put_int(&j, (int64_t)l->accepted);
    json_key(&j, "seconds"), json_put_double(&j, seconds);
    json_key(&j, "perSecond"), json_put_double(&j, (double)l->accepted / seconds);
    json_key(&j, "refused"), json_put_int(&j, (int64_t)l->refused);
    json_key(&j, "unknown"), json_put_int(&j, (int64_t)l->unknown);
    json_key(&j, "acceptedMs"), samples_json(&l->us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

int load_ratings(int argc, char **argv) {
    static struct load l = {.rate = 200, .count = 2000, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "rate", .min = 0.1, .max = 1000000, .number = &l.rate},
        {.name = "count", .min = 1, .max = 100000000, .number = &l.count},
        {.name = "direct", .flag = &l.direct},
        {.name = "json", .flag = &l.json},
        {0},
    };
    if (!options_parse(argc, argv, options))
        return LOAD_USAGE;
    const char *url;
    l.random = (uint64_t)clock_wall_ms();
    bool ok = shop_gateway(&url, &err) && client_create(url, &l.client, &err) && ask_movies(&l, &err) &&
              (!l.direct || open_log(&l, &err)) && run(&l, &err);
    if (ok)
        report(&l, (double)(clock_mono_us() - l.start_us) / 1e6);
    if (!ok)
        fprintf(stderr, "load: %s\n", err.text);
    else if (l.refused + l.unknown > 0)
        fprintf(stderr, "load: %zu ratings failed; the last: %s\n", l.refused + l.unknown, l.last_error);
    client_destroy(l.client);
    producer_destroy(l.producer);
    schemas_destroy(l.schemas);
    registry_destroy(l.registry);
    samples_free(&l.us);
    return ok && l.refused + l.unknown == 0 ? 0 : 1;
}
