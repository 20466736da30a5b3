/* A stream's figures. */
#include "log/figures.h"
#include "stream/runtime.h"

#include <stdio.h>

static const struct metric records_in = {"insideout_records_in_total", METRIC_COUNTER,
                                         "Records taken from an input."};
static const struct metric records_out = {"insideout_records_out_total", METRIC_COUNTER,
                                          "Records written to an output or a changelog, aborted ones too."};
static const struct metric hydrated = {"insideout_hydrated_records_total", METRIC_COUNTER,
                                       "Records read into a table."};
static const struct metric restored = {"insideout_restored_records_total", METRIC_COUNTER,
                                       "Records of a changelog read back into a view."};
static const struct metric restore_left = {
    "insideout_restore_left_records", METRIC_GAUGE,
    "Records until tables are where their topics ended and changelogs are restored; 0: done."};
static const struct metric unreadable = {
    "insideout_unreadable_records_total", METRIC_COUNTER,
    "Records of a changelog that it wrote itself and cannot read: a task "
    "waits for each."};
static const struct metric duration = {"insideout_transaction_duration_seconds", METRIC_HISTOGRAM,
                                       "From the begin of a transaction to its commit."};
static const struct metric batch = {"insideout_transaction_input_records", METRIC_HISTOGRAM,
                                    "Input records in a committed transaction."};
static const struct metric rewinds = {"insideout_rewinds_total", METRIC_COUNTER,
                                      "Times that all tasks went back to what is committed."};
static const struct metric refusals = {
    "insideout_refused_transactions_total", METRIC_COUNTER,
    "Transactions with a record that the broker does not take; what it follows from becomes a dead letter."};
static const struct metric recovered = {
    "insideout_offsets_recovered_total", METRIC_COUNTER,
    "Offsets of inputs that the group had lost, and that were taken from the state."};
static const struct metric outdated = {
    "insideout_outdated_partitions_total", METRIC_COUNTER,
    "Partitions of tables and views that were read anew because the store's were too old."};
static const struct metric expired = {"insideout_expired_rows_total", METRIC_COUNTER,
                                      "Rows of views whose retention has passed."};
static const struct metric reindexed = {
    "insideout_tables_reindexed_total", METRIC_COUNTER,
    "Tables, or partitions of them, read anew since their index is another."};
static const struct metric table_lag = {"insideout_table_lag_records", METRIC_GAUGE,
                                        "Offsets between what was read into a table and its topic's end."};
static const struct metric view_bytes = {"insideout_view_bytes", METRIC_GAUGE,
                                         "Size of views and tables on disk."};
static const struct metric view_memory = {"insideout_view_memory_bytes", METRIC_GAUGE,
                                          "Size of what is not on disk yet."};
static const struct metric view_index_bytes = {
    "insideout_view_index_bytes", METRIC_GAUGE,
    "Memory for what tells where a key is: filters, indexes of files."};
static const struct metric view_keys = {"insideout_view_keys", METRIC_GAUGE,
                                        "Keys of views, tables and their indexes; an estimate."};

static const struct metric reconciled = {"insideout_tasks_reconciled_total", METRIC_COUNTER,
                                         "Tasks that read on in a changelog, because somebody else had "
                                         "written there or a transaction had come to nothing."};

static struct topic_counts *counts_of(struct topic_counts *all, const struct topic *t) {
    all[t->number].topic = t;
    return &all[t->number];
}

struct topic_counts *topic_counts_create(const struct topology *t) {
    struct topic_counts *all = xcalloc(topology_topics(t), sizeof *all);
    for (const struct source *s = t->sources; s != NULL && s->topic != NULL; s++)
        counts_of(all, s->topic)->input = true;
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        counts_of(all, (*v)->changelog)->changelog = counts_of(all, (*v)->changelog)->output = true;
    for (const struct table *const *r = t->tables; r != NULL && *r != NULL; r++)
        counts_of(all, (*r)->topic)->table = true;
    for (const struct topic *const *o = t->outputs; o != NULL && *o != NULL; o++)
        counts_of(all, *o)->output = true;
    if (t->dead_letters != NULL)
        counts_of(all, t->dead_letters)->output = true;
    if (t->ticks != NULL)
        counts_of(all, t->ticks)->output = true;
    return all;
}

static bool sends_letters(const struct topology *by, const struct topic *t) {
    return by->dead_letters != NULL && t->dead_letters != NULL && strcmp(t->dead_letters, by->name) == 0;
}

static void show_topic(const struct topology *by, const struct topic_counts *c, struct metrics *m) {
    const struct {
        bool there;
        const struct metric *metric;
        const counter *count;
    } all[] = {
        {c->input, &records_in, &c->in},
        {c->output, &records_out, &c->out},
        {c->table, &hydrated, &c->hydrated},
        {c->changelog, &restored, &c->restored},
        {c->changelog, &unreadable, &c->unreadable},
        {c->input || c->table || c->changelog, &figure_skipped, &c->skipped},
        {c->input && sends_letters(by, c->topic), &figure_dead_letters, &c->dead_letters},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].there)
            metrics_add(m, all[i].metric, (double)counter_get(all[i].count), "topology", by->name, "topic",
                        c->topic->name, NULL);
    if (c->input || c->table || c->changelog)
        figure_moved_add(m, by->name, c->topic->name, &c->deleted, &c->lost);
}

static void show_lag(struct stream *s, struct metrics *m) {
    const struct places *all = atomic_load(&s->places);
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        const struct place *at = &all->place[i];
        bool input = i < all->inputs;
        enum log_queue q = input             ? source_queue(&s->topology->sources[i % s->source_count])
                           : i < all->tables ? LOG_TABLES
                                             : LOG_CHANGELOGS; /* inputs: by partition, source */
        int64_t position = atomic_load_explicit(&at->position, memory_order_relaxed), end = -1;
        if (position >= 0)
            end = CALL(s, seen_end, q, at->topic, at->partition);
        if (end < 0)
            continue;
        char partition[12];
        snprintf(partition, sizeof partition, "%d", at->partition);
        metrics_add(m, input ? &figure_input_lag : &table_lag, end > position ? (double)(end - position) : 0,
                    "topology", s->topology->name, "topic", at->topic->name, "partition", partition, NULL);
    }
}

void stream_metrics(struct stream *s, struct metrics *m) {
    const char *name = s->topology->name;
    struct store_metrics store;
    metrics_add(m, &figure_ready, stream_ready(s), "topology", name, NULL);
    for (size_t i = 0, n = topology_topics(s->topology); i < n; i++)
        if (s->counts[i].topic != NULL)
            show_topic(s->topology, &s->counts[i], m);
    show_lag(s, m);
    metrics_add(m, &restore_left, (double)atomic_load(&s->left), "topology", name, NULL);
    metrics_add(m, &rewinds, (double)counter_get(&s->rewinds), "topology", name, NULL);
    if (s->table_count > 0 || s->serves)
        metrics_add(m, &reindexed, (double)counter_get(&s->reindexed), "topology", name, NULL);
    if (s->source_count > 0) {
        metrics_add(m, &figure_committed, (double)counter_get(&s->commits), "topology", name, NULL);
        metrics_add(m, &figure_aborted, (double)counter_get(&s->aborts), "topology", name, NULL);
        metrics_add_histogram(m, &duration, &s->transaction_us, &buckets_us, "topology", name, NULL);
        metrics_add_histogram(m, &batch, &s->transaction_inputs, &buckets_records, "topology", name, NULL);
        if (s->serves)
            metrics_add(m, &reconciled, (double)counter_get(&s->reconciled), "topology", name, NULL);
        metrics_add(m, &recovered, (double)counter_get(&s->recovered), "topology", name, NULL);
        metrics_add(m, &refusals, (double)counter_get(&s->refusals), "topology", name, NULL);
        metrics_add(m, &expired, (double)counter_get(&s->expired), "topology", name, NULL);
    }
    metrics_add(m, &outdated, (double)counter_get(&s->outdated), "topology", name, NULL);
    store_metrics(s->o.store, &store);
    metrics_add(m, &view_bytes, (double)store.bytes, "topology", name, NULL);
    metrics_add(m, &view_memory, (double)store.memory_bytes, "topology", name, NULL);
    metrics_add(m, &view_index_bytes, (double)store.index_bytes, "topology", name, NULL);
    metrics_add(m, &view_keys, (double)store.keys, "topology", name, NULL);
}
