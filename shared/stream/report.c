/* What others see of it: whether it is ready, and how far it is. */
#include "stream/runtime.h"

#include <stdio.h>
#include <string.h>

void views_advanced(struct stream *s) {
    if (s->serves && atomic_exchange(&s->expected, false) && s->o.advanced != NULL)
        s->o.advanced(s->o.context);
}

void places_update(struct stream *s) {
    struct place *at = atomic_load_explicit(&s->places, memory_order_relaxed)->place;
    bool moved = false; /* a view */
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++, at++)
            atomic_store_explicit(&at->position, s->tasks[p].state == TASK_RUNNING ? s->tasks[p].read[i] : -1,
                                  memory_order_relaxed);
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++, at++)
            atomic_store_explicit(&at->position, table_place(s, i, p), memory_order_relaxed);
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count; i++, at++) {
            const struct task *t = &s->tasks[p];
            int64_t position = reads_changelogs(t) ? t->restore[i].position : t->applied[i];
            moved = atomic_exchange(&at->position, position) != position || moved;
        }
    if (moved)
        views_advanced(s);
}

void report(struct stream *s) {
    int running = 0, assigned = 0;
    char text[100] = "running";
    for (int32_t p = 0; p < s->partitions; p++) {
        assigned += s->tasks[p].ours;
        running += s->tasks[p].state == TASK_RUNNING;
    }
    bool hydrated = atomic_load(&s->ready) || tables_reached(s, false);
    char trouble[300];
    bool troubled = log_troubled(s->o.log, trouble, sizeof trouble);
    bool ready = hydrated && running == assigned && (s->joined || s->source_count == 0) &&
                 s->recovery == RECOVER_NOTHING && !troubled;
    if (!hydrated)
        snprintf(text, sizeof text, "hydrating tables");
    else if (s->source_count > 0 && !s->joined)
        snprintf(text, sizeof text, "joining the group %s", s->topology->name);
    else if (running < assigned)
        snprintf(text, sizeof text, "restoring, %d of %d tasks are done", running, assigned);
    if (ready != atomic_load(&s->ready) || !ready || strcmp(s->status.text, "running") != 0)
        if (!troubled && (ready || (now_ms(s) >= s->tasks_retry_at && now_ms(s) >= s->trouble_until)))
            status_set(&s->status, text);
    if (troubled)
        status_trouble(&s->status, trouble);
    atomic_store(&s->ready, ready);
    atomic_store(&s->left, aims_left(s));
    places_update(s);
}
