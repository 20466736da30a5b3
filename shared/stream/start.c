/* A topology starts: it gets to know the topics, takes its identity, reads its tables, and joins its group.
 */
#include "stream/runtime.h"

#include <stdlib.h>

static bool count_partitions(struct stream *s, const struct topic *t, int32_t *count, struct err *e) {
    TRY(CALL(s, partitions, t, count, e));
    if (s->o.partitions == 0 || t->partitions != 0 || *count == s->o.partitions)
        return true;
    return err_set(e, ERR_CONFIG,
                   "topic %s has %d partitions, PARTITIONS says %d: set PARTITIONS=%d, or start from nothing "
                   "(./demo reset)",
                   t->name, *count, s->o.partitions, *count);
}

static bool not_copartitioned(struct stream *s, const struct topic *t, int32_t count, struct err *e) {
    return err_set(e, ERR_CONFIG, "topology %s: %s has %d partitions, %s has %d; they must be the same",
                   s->topology->name, s->topology->sources[0].topic->name, s->partitions, t->name, count);
}

static void places_create(struct stream *s) {
    size_t n = (size_t)s->partitions * (s->source_count + s->view_count);
    for (size_t i = 0; i < s->table_count; i++)
        n += (size_t)s->table_partitions[i];
    struct places *all = xcalloc(1, sizeof *all + n * sizeof(struct place));
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++)
            all->place[all->count++] = (struct place){s->topology->sources[i].topic, p, -1};
    all->inputs = all->count;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            all->place[all->count++] = (struct place){s->topology->tables[i]->topic, p, -1};
    all->tables = all->count;
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count; i++)
            all->place[all->count++] = (struct place){s->topology->views[i]->changelog, p, -1};
    atomic_store(&s->places, all);
}

bool stream_begin(struct stream *s, struct err *e) {
    const struct topology *t = s->topology;
    static const struct log_listener listener = {.assigned = on_assigned, .revoked = on_revoked};
    if (s->started_to == 0) {
        int32_t count;
        TRY(topology_check(t, e) && registry_recognise(s, e));
        for (size_t i = 0; i < s->source_count; i++) {
            TRY(count_partitions(s, t->sources[i].topic, &count, e));
            if (s->tasks == NULL) {
                s->tasks = xcalloc((size_t)count, sizeof *s->tasks);
                s->partitions = count;
            }
            TRY(count == s->partitions || not_copartitioned(s, t->sources[i].topic, count, e));
        }
        for (size_t i = 0; i < s->view_count; i++) {
            TRY(count_partitions(s, t->views[i]->changelog, &count, e));
            TRY(count == s->partitions || not_copartitioned(s, t->views[i]->changelog, count, e));
        }
        for (int32_t p = 0; p < s->partitions; p++) {
            struct task *task = &s->tasks[p];
            task_free(task); /* an earlier attempt got this far */
            task->inputs = xcalloc(s->source_count, sizeof *task->inputs);
            task->read = xcalloc(s->source_count, sizeof *task->read);
            task->committed = xcalloc(s->source_count, sizeof *task->committed);
            task->cuts = xcalloc(s->source_count, sizeof *task->cuts);
            task->changelogs = xcalloc(s->view_count, sizeof *task->changelogs);
            task->restore = xcalloc(s->view_count, sizeof *task->restore);
            task->applied = xcalloc(s->view_count, sizeof *task->applied);
            task->wanted = xcalloc(s->view_count, sizeof *task->wanted);
        }
        for (size_t i = 0; i < s->table_count; i++) {
            TRY(count_partitions(s, t->tables[i]->topic, &s->table_partitions[i], e));
            free(s->cursors[i]);
            s->cursors[i] = xcalloc((size_t)s->table_partitions[i], sizeof **s->cursors);
        }
        for (size_t i = 0; t->outputs != NULL && t->outputs[i] != NULL; i++)
            TRY(count_partitions(s, t->outputs[i], &count, e));
        if (t->dead_letters != NULL)
            TRY(count_partitions(s, t->dead_letters, &count, e));
        s->started_to = 1;
    }
    if (s->started_to == 1) {
        TRY(standbys_start(s, e)); /* again, where the rest fails: what is read already is not read twice */
        if (atomic_load(&s->places) == NULL) {
            places_create(s); /* who asks from now on is told what is held */
            views_advanced(s);
        }
        TRY(tables_aim(s, false, e));
        for (size_t i = 0; i < s->table_count; i++)
            TRY(table_start(s, i, e));
        s->started_to = 2;
    }
    bool member = s->source_count > 0 && !atomic_load(&s->leaving);
    if (s->started_to == 2) {
        if (member)
            TRY(GUARDED(s, CALL(s, init, e)));
        s->started_to = 3;
    }
    if (member) {
        struct log_listener bound = listener;
        bound.context = s;
        TRY(CALL(s, subscribe, t->sources[0].topic, &bound, e));
        s->subscribed = true;
    }
    s->started_to = 4;
    return true;
}

bool stream_started(const struct stream *s) {
    return s->started_to == 4;
}
