#include "ratings_simulation.h"

#include "base/clock.h"
#include "schemas/schemas.gen.h"
#include "service/service.h"
#include "taste.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { TICK_MS = 5 };

static struct {
    pthread_mutex_t lock; /* of what follows, up to `sent` */
    int rate;
    int64_t until_us;
    int64_t movies[SIMULATION_MOVIES_MAX];
    size_t count;
    atomic_int_least64_t sent;
} simulation = {.lock = PTHREAD_MUTEX_INITIALIZER};

void simulation_set(int rate, const int64_t *movies, size_t count) {
    pthread_mutex_lock(&simulation.lock);
    simulation.count = count < SIMULATION_MOVIES_MAX ? count : SIMULATION_MOVIES_MAX;
    if (simulation.count > 0)
        memcpy(simulation.movies, movies, simulation.count * sizeof *movies);
    simulation.rate = simulation.count == 0 ? 0 : rate;
    simulation.until_us = clock_mono_us() + SIMULATION_LEASE_MS * INT64_C(1000);
    pthread_mutex_unlock(&simulation.lock);
}

struct simulation_state simulation_state(void) {
    pthread_mutex_lock(&simulation.lock);
    int64_t left_us = simulation.until_us - clock_mono_us();
    bool on = simulation.rate > 0 && left_us > 0;
    struct simulation_state s = {.rate = on ? simulation.rate : 0,
                                 .lease_ms = on ? (int)(left_us / 1000) : 0,
                                 .sent = atomic_load(&simulation.sent)};
    pthread_mutex_unlock(&simulation.lock);
    return s;
}

/* ---- the thread ---- */

static bool send_one(struct instance *i, const int64_t *movies, size_t count, uint64_t *random,
                     struct err *e) {
    struct raw_rating r = {.movie_id = movies[taste_movie(random, count)]};
    r.rating_tenths = taste_tenths(random, r.movie_id);
    char key[24];
    int size = snprintf(key, sizeof key, "%" PRId64, r.movie_id);
    return instance_send(i, &topic_raw_ratings, (struct slice){key, (size_t)size}, &r, e);
}

/* What cannot be sent now is left out: it is no load that anybody waits for. */
void simulation_run(struct instance *i) {
    uint64_t random = (uint64_t)clock_wall_ms();
    int64_t last_us = clock_mono_us();
    double owed = 0;
    static int64_t movies[SIMULATION_MOVIES_MAX];
    while (!instance_stopping(i)) {
        pthread_mutex_lock(&simulation.lock);
        int64_t now_us = clock_mono_us();
        int rate = now_us < simulation.until_us ? simulation.rate : 0;
        size_t count = simulation.count;
        memcpy(movies, simulation.movies, count * sizeof *movies);
        pthread_mutex_unlock(&simulation.lock);
        owed = rate == 0 ? 0 : owed + rate * (double)(now_us - last_us) / 1e6;
        owed = fmin(owed, rate / 4.0 + 1); /* no burst after a pause */
        last_us = now_us;
        struct err e;
        for (; owed >= 1 && send_one(i, movies, count, &random, &e); owed--)
            atomic_fetch_add(&simulation.sent, 1);
        nanosleep(&(struct timespec){.tv_nsec = (rate == 0 ? 50 : TICK_MS) * 1000000L}, NULL);
    }
}
