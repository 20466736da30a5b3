/* What a task has: its views, restored from their changelogs. A topology whose views are served also stands
 * by for the tasks of other instances: it follows their changelogs, answers reads, and has little to restore
 * when the task becomes its own. */
#include "base/cleanup.h"
#include "log/partitions.h"
#include "stream/runtime.h"
#include "transaction/table.h"
#include "transaction/transaction.h"

#include <stdlib.h>

void task_free(struct task *task) {
    free(task->inputs);
    free(task->read);
    free(task->committed);
    free(task->cuts);
    free(task->changelogs);
    free(task->restore);
    free(task->applied);
    free(task->wanted);
}

static void changelogs_unread(struct stream *s, int32_t p) {
    for (size_t i = 0; i < s->view_count; i++)
        CALL(s, unread, LOG_CHANGELOGS, s->topology->views[i]->changelog, p);
}

void task_halt(struct stream *s, int32_t p, enum task_state next) {
    struct task *task = &s->tasks[p];
    for (size_t i = 0; i < s->view_count; i++) /* what the store has stays true, and can be read */
        task->applied[i] = next == TASK_NONE        ? -1
                           : reads_changelogs(task) ? task->restore[i].position
                                                    : task->applied[i];
    if (reads_changelogs(task))
        changelogs_unread(s, p);
    if (task->state == TASK_RUNNING)
        for (size_t i = 0; i < s->source_count; i++)
            CALL(s, unread, source_queue(&s->topology->sources[i]), s->topology->sources[i].topic, p);
    task->state = next;
    txn_task_gone(s->txn);
}

/* ---- what the store has ---- */

static void set_held(struct stream *s, int32_t p, bool held) {
    if (!s->serves || partitions_has(&s->held, p) == held)
        return;
    pthread_mutex_lock(&s->lock);
    partitions_put(&s->held, p, held);
    pthread_mutex_unlock(&s->lock);
    if (s->o.moved != NULL)
        s->o.moved(s->o.context);
}

/* The position goes first: without it whatever a crash leaves of the rest is swept at the next start. */
static bool view_forget(struct stream *s, const struct view *v, int32_t p, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    if (v->served != NULL)
        set_held(s, p, false);
    store_key_view_positions(&key, v, p);
    TRY(sweep(s, &key, e));
    if (v->served != NULL) {
        store_key_part(&key, v->served, p);
        return store_delete_prefix(s->o.store, buf_slice(&key), e);
    }
    store_key_view(&key, v, p, SLICE(""));
    TRY(sweep(s, &key, e));
    store_key_index_of_view(&key, v, p);
    return sweep(s, &key, e);
}

/* ---- restoring ---- */

/* Where the store is in a changelog; it begins anew where that is no place of this log. *same_log: what it
 * knows of the inputs is true all the same. */
static bool view_begin(struct stream *s, size_t i, int32_t p, int64_t end, int64_t target, bool *same_log,
                       struct err *e) {
    const struct view *v = s->topology->views[i];
    struct task *task = &s->tasks[p];
    struct cursor *c = &task->restore[i];
    struct log_position at = {v->changelog, p, end};
    _cleanup_(buf_free) struct buf key = {0};
    bool stale, cut = task->changelogs[i].was > 0;
    *c = (struct cursor){.target = target, .mark = target, .mark_at = time_of_day(s)};
    store_key_view_position(&key, v, p);
    TRY(position_load(s, &key, &c->position, e));
    if (v->served != NULL && c->position < 0 && !cut) {
        store_key_view_positions(&key, v, p);
        TRY(note_reindexed(s, v->served, &key, e));
    }
    if (cut || c->position > end) { /* it has lost its last records, or is of another log */
        note_ahead(s, v->name, &at, cut ? task->changelogs[i].was : c->position);
        *same_log = *same_log && cut;
        TRY(cut || inputs_forget(s, p, e));
    }
    store_key_view_age(&key, v, p);
    TRY(age_check(s, v->changelog, p, &key, c, &stale, e));
    if (c->position < 0 || c->position > end || cut || stale) {
        TRY(view_forget(s, v, p, e));
        task->changelogs[i].was = 0;
        c->position = 0;
        position_put(&s->incoming, &key, c->mark_at);
    }
    if (task->ours && c->position >= target)
        return true;
    at.offset = c->position > 0 ? c->position : -1;
    return CALL(s, read, LOG_CHANGELOGS, &at, e);
}

/* Stable input offsets first, then the changelogs up to where open transactions may still reach. Who stands
 * by aims at what committed readers see; it may know more already, whose markers are on their way. */
static bool restore_begin(struct stream *s, int32_t p, struct err *e) {
    struct task *task = &s->tasks[p];
    struct log_committed inputs[s->source_count + 1];
    struct log_position changelogs[s->view_count + 1], targets[s->view_count + 1];
    for (size_t i = 0; i < s->source_count; i++)
        inputs[i] = (struct log_committed){s->topology->sources[i].topic, p, -1, 0, 0};
    TRY(!task->ours || GUARDED(s, CALL(s, committed, inputs, s->source_count, e)));
    for (size_t i = 0; i < s->view_count; i++)
        targets[i] = changelogs[i] = (struct log_position){s->topology->views[i]->changelog, p, -1};
    TRY(task->ours || log_ends(s, targets, s->view_count, true, e));
    TRY(log_ends(s, changelogs, s->view_count, false, e));
    task->time = (struct task_time){.due = INT64_MIN};
    for (size_t i = 0; i < s->source_count; i++) {
        // NOLINTNEXTLINE(clang-analyzer-*): all of them are set above
        task->inputs[i] = task->committed[i] = inputs[i].offset;
        // NOLINTNEXTLINE(clang-analyzer-*): likewise
        task->cuts[i] = inputs[i].cuts;
        // NOLINTNEXTLINE(clang-analyzer-*): likewise
        task->time.now = inputs[i].time > task->time.now ? inputs[i].time : task->time.now;
    }
    bool same_log = true;
    for (size_t i = 0; i < s->view_count; i++)
        TRY(view_begin(s, i, p, changelogs[i].offset, task->ours ? changelogs[i].offset : targets[i].offset,
                       &same_log, e));
    task->state = TASK_RESTORING;
    return overlay_apply(&s->incoming, e) && (!same_log || inputs_load(s, p, e));
}

static bool restore_end(struct stream *s, int32_t p, struct err *e) {
    struct task *task = &s->tasks[p];
    for (size_t i = 0; i < s->view_count; i++)
        if (task->restore[i].position < task->restore[i].target)
            return true;
    if (!task->ours) {
        task->state = TASK_FOLLOWING;
        set_held(s, p, true);
        return true;
    }
    changelogs_unread(s, p);
    for (size_t i = 0; i < s->view_count; i++) {
        const struct cursor *c = &task->restore[i];
        task->changelogs[i] = (struct log_delivered){.next = c->position, .marker = c->behind_record};
        task->applied[i] = log_delivered_to(&task->changelogs[i]);
        atomic_store(&task->wanted[i], 0);
    }
    int64_t latest = time_of_day(s) + LOG_AHEAD_MS; /* a wrong clock is not for ever */
    task->time.now = task->time.now < latest ? task->time.now : latest;
    task->state = TASK_RUNNING;
    set_held(s, p, true);
    inputs_compare(s, p);
    for (size_t i = 0; i < s->source_count; i++) {
        struct log_position from = {s->topology->sources[i].topic, p, task->inputs[i]};
        TRY(CALL(s, read, source_queue(&s->topology->sources[i]), &from, e));
    }
    return true;
}

/* A reader has heard of an end that nothing of ours explains: what is there is another's, or a marker of a
 * transaction that came to nothing. Whoever was taken for dead learns so that it is not the owner any more.
 */
static bool is_behind(const struct task *task, size_t i) {
    const struct log_delivered *d = &task->changelogs[i];
    return d->foreign || (!d->open && atomic_load(&task->wanted[i]) > log_delivered_to(d));
}

/* A task whose changelog has lost its last records, or has more than is known, is restored: the log is the
 * truth. */
static bool task_check(struct stream *s, int32_t p, struct err *e) {
    struct task *task = &s->tasks[p];
    bool cut = false, behind = false;
    for (size_t i = 0; i < s->view_count; i++) {
        cut = cut || task->changelogs[i].was > 0;
        behind = behind || is_behind(task, i);
    }
    if (!cut && !behind)
        return true;
    TRY(commit(s, e));
    if (task->state == TASK_RUNNING)
        task_halt(s, p, TASK_NEW);
    counter_add(&s->reconciled, behind && !cut);
    return true;
}

bool tasks_progress(struct stream *s, struct err *e) {
    int32_t first = s->tasks_first;
    for (int32_t k = 0; k < s->partitions; k++) {
        int32_t p = (first + k) % s->partitions;
        struct task *task = &s->tasks[p];
        if (task->state == TASK_RUNNING)
            TRY(task_check(s, p, e));
        if (task->state == TASK_NEW && now_ms(s) >= s->tasks_retry_at && !restore_begin(s, p, e)) {
            if (e->kind != ERR_RETRY)
                return false;
            s->tasks_retry_at = now_ms(s) + RETRY_MS; /* the others go on meanwhile, */
            s->tasks_first = p + 1;                   /* and the next ones begin before this one */
            status_trouble(&s->status, e->text);
        }
        if (task->state == TASK_RESTORING)
            TRY(restore_end(s, p, e));
    }
    return true;
}

/* As the step put it that wrote the record. */
static bool restore_row(struct stream *s, const struct view *v, const struct log_record *r, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0}, row = {0};
    struct overlay *o = &s->incoming;
    int64_t stamp = r->timestamp > 0 ? r->timestamp : 0;
    struct slice old = SLICE_NONE, new = SLICE_NONE;
    store_key_view(&key, v, r->partition, r->key);
    bool looks = v->retention_ms > 0 || (v->served != NULL && v->served->index != NULL);
    TRY(!looks || overlay_get(o, buf_slice(&key), &old, e));
    if (r->value.data != NULL) {
        row_begin(v, stamp, &row);
        buf_append_slice(&row, r->value);
        new = arena_copy(&o->arena, buf_slice(&row));
    }
    TRY(v->served == NULL ||
        table_reindex(v->served, o, s->o.schemas, r->partition, arena_copy(&o->arena, r->key), old, new, e));
    overlay_put(o, buf_slice(&key), new, NULL, NULL);
    if (v->retention_ms > 0 && r->value.data != NULL && (old.data == NULL || row_stamp(old) > stamp)) {
        store_key_due(&key, v, r->partition, stamp, r->key);
        overlay_put(o, buf_slice(&key), SLICE(""), NULL, NULL);
    }
    return true;
}

/* Where the changelog has lost its last records, so does the view: the log is the truth. The rest of the
 * batch is of no use then. */
static bool changelog_moved(struct stream *s, size_t i, const struct log_record *r, struct err *e) {
    struct cursor *c = &s->tasks[r->partition].restore[i];
    const struct view *v = s->topology->views[i];
    _cleanup_(buf_free) struct buf key = {0};
    if (r->offset < c->position) {
        note_ahead(s, v->name, &(struct log_position){r->topic, r->partition, r->offset}, r->was);
        TRY(overlay_apply(&s->incoming, e) && inputs_forget(s, r->partition, e) &&
            view_forget(s, v, r->partition, e));
        task_halt(s, r->partition, TASK_NEW);
        return true;
    }
    note_moved(s, r);
    c->position = r->offset;
    store_key_view_position(&key, v, r->partition);
    position_put(&s->incoming, &key, r->offset);
    return true;
}

/* Of what this topology wrote itself nothing may be missing: the task waits for it, as long as it takes. What
 * others wrote there, and is no record, is as if it were not there. */
static bool wait_for_own(struct stream *s, const struct log_record *r, struct err *e) {
    e->kind = ERR_RETRY;
    err_prefix(e, "%s/%d/%lld, which %s wrote itself, cannot be read", r->topic->name, r->partition,
               (long long)r->offset, s->topology->name);
    s->tasks_retry_at = now_ms(s) + RETRY_MS;
    if (same_place(&s->unreadable, r))
        return false;
    s->unreadable = (struct log_position){r->topic, r->partition, r->offset};
    counter_add(&s->counts[r->topic->number].unreadable, 1);
    notice(s, "%s; it waits", e->text);
    return false;
}

/* Whether a record of a changelog is this topology's own, and not of somebody who may write there too. */
static bool is_own(struct stream *s, const struct log_record *r) {
    return txn_wrote(s->topology, s->o.log->ops->header(r, "traceparent"),
                     s->o.log->ops->header(r, "caused-by"));
}

/* What is served is found by its key. That ends at a slash. */
static bool is_misplaced(const struct stream *s, const struct view *v, const struct log_record *r) {
    const char *slash = memchr(r->key.data, '/', r->key.size);
    struct slice key = {r->key.data, slash == NULL ? r->key.size : (size_t)(slash - r->key.data)};
    return v->served != NULL && partition_of(key, s->partitions) != r->partition;
}

/* The record's row, and what it says of the inputs. */
static bool restore_record(struct stream *s, const struct view *v, const struct log_record *r,
                           struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    struct arena *a = &s->incoming.arena;
    void *check = arena_alloc(a, r->topic->value->size);
    bool none = r->key.size == 0 || (r->value.data == NULL && !r->topic->tombstones) || is_misplaced(s, v, r);
    if (none ||
        (r->value.data != NULL && !schemas_decode(s->o.schemas, r->topic->value, r->value, a, check, e))) {
        if (!none && e->kind != ERR_POISON)
            return false;
        if (!none && is_own(s, r))
            return wait_for_own(s, r, e);
        counter_add(&s->counts[r->topic->number].skipped, 1);
    } else {
        TRY(restore_row(s, v, r, e));
    }
    counter_add(&s->counts[r->topic->number].restored, 1);
    struct slice inputs = s->o.log->ops->header(r, INPUTS_HEADER);
    if (inputs.data != NULL && is_own(s, r)) {
        inputs_raise(s, r->partition, inputs);
        inputs_put(s, r->partition, &s->incoming);
    }
    store_key_view_position(&key, v, r->partition);
    position_put(&s->incoming, &key, r->offset + 1);
    return true;
}

/* What hinders a standby is no reason for this instance's own tasks to wait. */
static bool standby_waits(struct stream *s, int32_t p, const struct err *why) {
    status_trouble(&s->status, why->text);
    task_halt(s, p, TASK_NEW);
    s->tasks_retry_at = now_ms(s) + RETRY_MS;
    return true;
}

bool task_restore(struct stream *s, const struct log_record *r, struct err *e) {
    struct task *task = &s->tasks[r->partition];
    for (size_t i = 0; i < s->view_count; i++) {
        const struct view *v = s->topology->views[i];
        if (v->changelog != r->topic || !reads_changelogs(task))
            continue;
        if (r->moved)
            TRY(changelog_moved(s, i, r, e));
        if (r->moved || r->offset < task->restore[i].position)
            continue;
        if (!r->end && !restore_record(s, v, r, e))
            return !task->ours && e->kind == ERR_RETRY && standby_waits(s, r->partition, e);
        task->restore[i].position = r->offset + !r->end;
        task->restore[i].behind_record = !r->end;
    }
    return true;
}

void tasks_reread(struct stream *s) {
    for (int32_t p = 0; p < s->partitions; p++)
        if (reads_changelogs(&s->tasks[p]))
            task_halt(s, p, TASK_NEW);
}

/* ---- standing by ---- */

bool standbys_renew(struct stream *s, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    for (int32_t p = 0; p < s->partitions; p++) {
        struct log_position at[s->view_count + 1];
        if (s->tasks[p].state != TASK_FOLLOWING)
            continue;
        for (size_t i = 0; i < s->view_count; i++)
            at[i] = (struct log_position){s->topology->views[i]->changelog, p, -1};
        TRY(log_ends(s, at, s->view_count, true, e));
        for (size_t i = 0; i < s->view_count; i++) {
            struct cursor *c = &s->tasks[p].restore[i];
            store_key_view_age(&key, s->topology->views[i], p);
            if (c->position >= c->mark)
                position_put(&s->incoming, &key, c->mark_at);
            c->mark = at[i].offset;
            c->mark_at = time_of_day(s);
        }
    }
    return true;
}

/* Which partitions the store has of a view. All positions go where one is of another log: the others could
 * look right once the topic has grown. */
static bool find_parts(struct stream *s, const struct view *v, struct partitions *found, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf key = {0}, all = {0};
    struct log_position at[(size_t)s->partitions + 1];
    struct store_change gone[(size_t)s->partitions + 1];
    bool ahead = false, has;
    size_t n = 0;
    for (int32_t p = 0; p < s->partitions; p++)
        at[p] = (struct log_position){v->changelog, p, -1};
    TRY(log_ends(s, at, (size_t)s->partitions, false, e));
    for (int32_t p = 0; p < s->partitions; p++) {
        int64_t position;
        store_key_view_position(&key, v, p);
        TRY(position_load(s, &key, &position, e));
        store_key_view_positions(&all, v, p);
        TRY(any_with(s, &all, &has, e)); /* of another index_version, too: those are made anew */
        partitions_put(found, p, partitions_has(found, p) || has);
        if (position < 0)
            continue;
        gone[n++] = (struct store_change){arena_copy(&a, buf_slice(&key)), SLICE_NONE};
        ahead = ahead || position > at[p].offset;
        if (position > at[p].offset)
            note_ahead(s, v->name, &at[p], position);
    }
    return !ahead || (store_apply(s->o.store, gone, n, e) && store_flush(s->o.store, e));
}

/* What a version has left in the store that did not serve the view. */
static bool forget_unserved(struct stream *s, const struct view *v, struct err *e) {
    struct view unserved = *v;
    unserved.served = NULL;
    for (int32_t p = 0; p < s->partitions; p++)
        TRY(view_forget(s, &unserved, p, e));
    return true;
}

bool standbys_start(struct stream *s, struct err *e) {
    struct partitions found = {0};
    if (!s->serves)
        return true;
    if (s->partitions > PARTITIONS_MAX)
        return err_set(e, ERR_CONFIG, "topic %s has more than %d partitions",
                       s->topology->sources[0].topic->name, PARTITIONS_MAX);
    for (size_t i = 0; i < s->view_count; i++)
        TRY(s->topology->views[i]->served == NULL || (forget_unserved(s, s->topology->views[i], e) &&
                                                      find_parts(s, s->topology->views[i], &found, e)));
    for (int32_t p = 0; p < s->partitions && !s->o.divided; p++)
        partitions_put(&found, p, true);
    pthread_mutex_lock(&s->lock);
    for (int32_t p = 0; p < s->partitions; p++)
        if (partitions_has(&found, p))
            partitions_put(&s->hold_wanted, p, true);
    pthread_mutex_unlock(&s->lock);
    atomic_store(&s->divided_into, s->partitions);
    atomic_store(&s->hold_changed, true);
    return true;
}

static bool let_go(struct stream *s, int32_t p, struct err *e) {
    if (s->tasks[p].state != TASK_NONE)
        task_halt(s, p, TASK_NONE);
    for (size_t i = 0; i < s->view_count; i++)
        TRY(s->topology->views[i]->served == NULL || view_forget(s, s->topology->views[i], p, e));
    return true;
}

bool standbys_follow(struct stream *s, struct err *e) {
    if (!s->serves || !atomic_exchange(&s->hold_changed, false))
        return true;
    pthread_mutex_lock(&s->lock);
    struct partitions wanted = s->hold_wanted;
    pthread_mutex_unlock(&s->lock);
    for (int32_t p = 0; p < s->partitions; p++) {
        struct task *task = &s->tasks[p];
        bool wants = task->ours || partitions_has(&wanted, p);
        if (wants && task->state == TASK_NONE)
            task->state = TASK_NEW;
        if (!wants && !let_go(s, p, e)) {
            atomic_store(&s->hold_changed, true);
            return false;
        }
    }
    return true;
}
