/* Up to where tables and changelogs are read before it is enough: where their topics ended when somebody
 * asked. */
#include "stream/runtime.h"

enum { AIM_MS = 2000 };

static void refresh_end(struct stream *s) {
    if (s->refresh_started == atomic_load(&s->refresh_done) || !tables_reached(s, false))
        return;
    atomic_store(&s->refresh_done, s->refresh_started);
    if (s->o.refreshed != NULL)
        s->o.refreshed(s->o.context);
}

bool aims_refresh(struct stream *s, struct err *e) {
    refresh_end(s);
    uint64_t wanted = atomic_load(&s->refresh_wanted);
    if (wanted > s->refresh_started && s->refresh_started == atomic_load(&s->refresh_done)) {
        TRY(tables_aim(s, false, e));
        s->refresh_started = wanted;
        refresh_end(s); /* often they are there already */
    }
    return true;
}

uint64_t aims_left(const struct stream *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            n += table_left(s, i, p);
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count && s->tasks[p].state == TASK_RESTORING; i++)
            n += cursor_left(&s->tasks[p].restore[i]);
    return n;
}

/* The cursors that have not reached what they aim at: of tables, or of tasks that are restored. */
static size_t aiming(struct stream *s, bool tables, struct cursor **cursors, struct log_position *at) {
    size_t n = 0;
    for (size_t i = 0; tables && i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (table_left(s, i, p) > 0) {
                cursors[n] = &s->cursors[i][p];
                at[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
            }
    for (int32_t p = 0; !tables && p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RESTORING && i < s->view_count; i++)
            if (cursor_left(&s->tasks[p].restore[i]) > 0) {
                cursors[n] = &s->tasks[p].restore[i];
                at[n++] = (struct log_position){s->topology->views[i]->changelog, p, -1};
            }
    return n;
}

bool aims_lower(struct stream *s, struct err *e) {
    if (aims_left(s) == 0)
        s->aim_at = now_ms(s) + AIM_MS;
    if (now_ms(s) < s->aim_at)
        return true;
    s->aim_at = now_ms(s) + AIM_MS;
    size_t most = (size_t)s->partitions * s->view_count;
    for (size_t i = 0; i < s->table_count; i++)
        most += (size_t)s->table_partitions[i];
    struct cursor *cursors[most + 1];
    struct log_position at[most + 1];
    for (int tables = 0; tables <= 1; tables++) {
        size_t n = aiming(s, tables, cursors, at);
        TRY(log_ends_or_later(s, at, &n, tables, e));
        for (size_t k = 0; k < n; k++) {
            // NOLINTNEXTLINE(clang-analyzer-*): n of them are set by aiming()
            cursors[k]->target = at[k].offset < cursors[k]->target ? at[k].offset : cursors[k]->target;
            cursors[k]->mark = at[k].offset < cursors[k]->mark ? at[k].offset : cursors[k]->mark;
        }
    }
    return true;
}
