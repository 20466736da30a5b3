/* clicks: Avro events into the log, as fast as one process writes them.
 *
 *   clicks [--count N]     N clicks (3000000) of 1,000 users into `clickstream`; stop the service clickstream
 * before
 *
 * Prints {"perSecond": …}. Environment: bench/where.h. Exit codes: 0; 1 when Kafka is away; 2 usage. */
#include "base/clock.h"
#include "options.h"
#include "schemas/schemas.gen.h"
#include "writer.h"

#include <stdio.h>

enum { USERS = 1000 };

static bool click(struct writer *w, size_t count, struct err *e) {
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
    struct err err = {0};
    const struct option_spec options[] = {{.name = "count", .min = 1, .max = 100000000, .number = &count},
                                          {0}};
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: clicks [--count N]\n");
        return 2;
    }
    struct writer *w = NULL;
    struct registry *registry = NULL;
    struct schemas *schemas = NULL;
    const struct where *suite = where_suite_is(&err);
    if (suite != NULL) {
        registry = registry_http_create(&suite->registry);
        schemas = schemas_create(registry);
    }
    int64_t start = clock_mono_us();
    bool ok = suite != NULL && writer_create(suite, schemas, topics_count, &w, &err) &&
              click(w, (size_t)count, &err);
    if (ok)
        printf("{\"perSecond\":%.0f}\n", count * 1e6 / (double)(clock_mono_us() - start));
    else
        fprintf(stderr, "clicks: %s\n", err.text);
    writer_destroy(w);
    schemas_destroy(schemas);
    registry_destroy(registry);
    return ok ? 0 : 1;
}
