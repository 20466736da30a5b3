#include "service/acls.h"

#include "delivery/delivery.h"

#include <stdlib.h>

enum { READS = 1, WRITES = 2 };

struct acls {
    struct topic_right {
        const struct topic *topic;
        int rights;
    } *topics;
    size_t topic_count;
    const char **groups; /* whose members' transactional ids are <group>-<slot> */
    size_t group_count;
};

static void topic_add(struct acls *a, const struct topic *t, int rights) {
    for (size_t i = 0; i < a->topic_count; i++)
        if (a->topics[i].topic == t) {
            a->topics[i].rights |= rights;
            return;
        }
    a->topics = xrealloc(a->topics, (a->topic_count + 1) * sizeof *a->topics);
    a->topics[a->topic_count++] = (struct topic_right){t, rights};
}

static void topics_add(struct acls *a, const struct topic *const *t, int rights) {
    for (; t != NULL && *t != NULL; t++)
        topic_add(a, *t, rights);
}

static void group_add(struct acls *a, const char *name) {
    a->groups = xrealloc(a->groups, (a->group_count + 1) * sizeof *a->groups);
    a->groups[a->group_count++] = name;
}

static void topology_add(struct acls *a, const struct topology *t) {
    for (const struct source *s = t->sources; s != NULL && s->topic != NULL; s++)
        topic_add(a, s->topic, s->forward_misplaced ? READS | WRITES : READS);
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        topic_add(a, (*v)->changelog, READS | WRITES);
    for (const struct table *const *r = t->tables; r != NULL && *r != NULL; r++)
        topic_add(a, (*r)->topic, READS);
    topics_add(a, t->outputs, WRITES);
    if (t->dead_letters != NULL)
        topic_add(a, t->dead_letters, WRITES);
    if (t->ticks != NULL)
        topic_add(a, t->ticks, WRITES);
    if (t->sources != NULL)
        group_add(a, t->name);
}

static void service_add(struct acls *a, const struct service *s) {
    for (const struct topology *const *t = s->topologies; *t != NULL; t++)
        topology_add(a, *t);
    for (const struct delivery *const *d = s->deliveries; d != NULL && *d != NULL; d++) {
        topic_add(a, (*d)->topic, READS);
        topic_add(a, (*d)->later, READS | WRITES);
        topic_add(a, (*d)->undelivered, WRITES);
        group_add(a, (*d)->name);
    }
    topics_add(a, s->publishes, WRITES);
    topics_add(a, s->follows, READS);
    if (s->assignments != NULL)
        topic_add(a, s->assignments->topic, READS | WRITES);
}

static void put_begin(struct buf *out, const char *principal, const char *operation) {
    buf_printf(out, "--add --force --allow-principal %s --operation %s", principal, operation);
}

static void put_topics(const struct acls *a, int right, const char *operation, const char *principal,
                       struct buf *out) {
    bool any = false;
    for (size_t i = 0; i < a->topic_count; i++) {
        if (!(a->topics[i].rights & right))
            continue;
        if (!any)
            put_begin(out, principal, operation);
        any = true;
        buf_printf(out, " --topic %s", a->topics[i].topic->name);
    }
    if (any)
        buf_append_byte(out, '\n');
}

void acls_put(const struct service *service, const char *principal, struct buf *out) {
    struct acls a = {0};
    service_add(&a, service);
    put_topics(&a, READS, "Read", principal, out);
    put_topics(&a, WRITES, "Write", principal, out);
    if (a.group_count > 0) {
        put_begin(out, principal, "Read");
        for (size_t i = 0; i < a.group_count; i++)
            buf_printf(out, " --group %s", a.groups[i]);
        buf_append_byte(out, '\n');
        put_begin(out, principal, "Write");
        buf_printf(out, " --resource-pattern-type prefixed");
        for (size_t i = 0; i < a.group_count; i++)
            buf_printf(out, " --transactional-id %s-", a.groups[i]);
        buf_append_byte(out, '\n');
    }
    if (service->asks_groups) {
        put_begin(out, principal, "Describe");
        buf_printf(out, " --group *\n");
    }
    free(a.topics);
    free(a.groups);
}
