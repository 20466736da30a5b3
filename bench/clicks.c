/* clicks: Avro events into the log, as fast as one process writes them.
 *
 *   clicks [--count N]     N clicks (3000000) of 1,000 users into `clickstream`
 *
 * Stop the service clickstream before.
 *
 * Prints {"perSecond": …}. Environment: bench/where.h. Exit codes: 0; 1 when Kafka is away; 2 usage. */
#include "base/clock.h"
#include "options.h"
#include "schemas/schemas.gen.h"
#include "writer.h"

#include <stdio.h>

enum { USERS = 1000 };

/* As many as the number says that `context` is. */
static bool click(void *context, struct writer *w, struct err *e) {
    size_t count = (size_t)*(const double *)context;
    char users[USERS][16];
    struct slice ids[USERS];
    for (int i = 0; i < USERS; i++)
        ids[i] = (struct slice){users[i], (size_t)snprintf(users[i], sizeof users[i], "user-%04d", i)};
    bool ok = writer_prepare(w, &topic_clickstream, &topic_clickstream, e);
    int64_t now = clock_wall_ms();
    for (size_t n = 0; n < count && ok; n++) {
        struct click c = {.user_id = ids[n % USERS], .page = SLICE("/ratings"), .action = SLICE("view")};
        ok = writer_write(w, &topic_clickstream, &topic_clickstream, c.user_id, &c, now, e);
    }
    return ok && writer_flush(w, e);
}

int main(int argc, char **argv) {
    double count = 3000000;
    const struct option_spec options[] = {{.name = "count", .min = 1, .max = 100000000, .number = &count},
                                          {0}};
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: clicks [--count N]\n");
        return 2;
    }
    return writer_run("clicks", topics_count, count, click, &count);
}
