#!/usr/bin/env python3
"""usage: mutate.py list | mutate.py NAME DIRECTORY OUT.C   DIRECTORY is shared

Plants one bug in a copy of the runtime. Each is a thing that somebody could write, or forget; the simulation must find
every one of them, and a test of the store those in the store's files. Fails where the code to be changed is not there (once) any more: then this list is out of date.
"""

import sys

FILES = {
    "offsets_outside": "stream/commit.c",
    "position_outside": "stream/commit.c",
    "store_before_commit": "stream/commit.c",
    "no_rewind": "stream/group.c",
    "restore_committed_end": "stream/tasks.c",
    "end_before_offsets": "stream/tasks.c",
    "position_before_record": "stream/inputs.c",
    "fenced_goes_on": "stream/stream.c",
    "revoke_without_commit": "stream/group.c",
    "letter_outside": "stream/inputs.c",
    "unknown_is_abort": "stream/group.c",
    "unknown_is_success": "stream/commit.c",
    "away_is_poison": "stream/inputs.c",
    "deletion_unheard": "stream/inputs.c",
    "beginning_is_zero": "stream/tables.c",
    "input_loss_unheard": "stream/inputs.c",
    "cuts_uncounted": "stream/inputs.c",
    "table_loss_unheard": "stream/tables.c",
    "changelog_loss_unheard": "stream/tasks.c",
    "changelog_loss_unsought": "stream/stream.c",
    "changelog_loss_forgotten": "stream/tasks.c",
    "lost_aim": "stream/stream.c",
    "deleted_rows_return": "stream/positions.c",
    "registry_believed": "events/schemas.c",
    "stale_lookup": "stream/inputs.c",
    "stale_store": "stream/tasks.c",
    "rows_before_position": "stream/tables.c",
    "incoming_reused": "store/rocksdb.c",
    "batch_split": "store/buffered.c",
    "lost_without_abort": "stream/group.c",
    "no_restore": "stream/tasks.c",
    "time_forgotten": "stream/commit.c",
    "expiry_without_offset": "stream/time.c",
    "index_not_restored": "stream/tasks.c",
    "restored_anew": "stream/tasks.c",
    "stamp_of_event": "transaction/handle.c",
    "renewed_entry_lost": "transaction/handle.c",
    "renewed_row_expires": "transaction/handle.c",
    "due_not_lowered": "transaction/txn.c",
    "expiry_stops_short": "transaction/handle.c",
    "expiry_of_stored_only": "transaction/retention.c",
    "each_of_stored_only": "transaction/txn.c",
    "inputs_untold": "stream/commit.c",
    "inputs_unheard": "stream/tasks.c",
    "inputs_not_stored": "stream/positions.c",
    "inputs_of_another_log": "stream/positions.c",
    "poison_moves_time": "transaction/handle.c",
    "poison_expires": "stream/time.c",
    "time_unbounded": "stream/inputs.c",
    "refused_again": "stream/group.c",
    "refused_blames_any": "stream/search.c",
    "position_guessed": "stream/positions.c",
    "zombie_answers": "stream/read.c",
    "seen_too_soon": "stream/commit.c",
    "foreign_unheard": "stream/tasks.c",
    "old_index_stays": "transaction/transaction.c",
    "index_not_followed": "stream/tasks.c",
}

MUTATIONS = {
    # The input offsets are not part of the transaction.
    "offsets_outside": [("if (s->tasks[p].state == TASK_RUNNING && s->tasks[p].inputs[i] != s->tasks[p].committed[i])",
                         "if (!s->in_transaction && s->tasks[p].inputs[i] != s->tasks[p].committed[i])")],
    # The position of the changelog is stored before its rows, in a batch of its own.
    "position_outside": [("    TRY(overlay_write(changes, e));\n",
                          """    _cleanup_(buf_free) struct buf key = {0};
    struct overlay apart = {.store = s->o.store};
    for (int32_t p = 0; changed && p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->view_count; i++) {
            store_key_view_position(&key, s->topology->views[i], p);
            position_put(&apart, &key, s->tasks[p].changelogs[i].next);
        }
    bool applied = overlay_apply(&apart, e);
    overlay_free(&apart);
    TRY(applied);
    TRY(overlay_write(changes, e));
""")],
    # The store is written before the commit.
    "store_before_commit": [("    TRY(GUARDED(s, CALL(s, commit, inputs, n, e)) || spoilt(e, ERR_UNKNOWN));",
                             """    if (txn_overlay(s->txn)->count > 0)
        TRY(overlay_apply(txn_overlay(s->txn), e));
    TRY(GUARDED(s, CALL(s, commit, inputs, n, e)));""")],
    # An abort does not take the tasks back to what is committed.
    "no_rewind": [("        if (s->tasks[p].ours)\n            task_halt(s, p, TASK_NEW);\n    counter_add(&s->rewinds, 1);",
                   "        if (s->tasks[p].state == TASK_RESTORING)\n            task_halt(s, p, TASK_NEW);\n    counter_add(&s->rewinds, 1);")],
    # Restoring ends where committed readers end: a transaction whose markers are late is not waited for.
    "restore_committed_end": [("TRY(log_ends(s, changelogs, s->view_count, false, e));",
                               "TRY(log_ends(s, changelogs, s->view_count, true, e));")],
    # The end of the changelog is asked before the offsets are stable.
    "end_before_offsets": [("    TRY(!task->ours || GUARDED(s, CALL(s, committed, inputs, s->source_count, e)));\n", ""),
                           ("    TRY(log_ends(s, changelogs, s->view_count, false, e));\n",
                            "    TRY(log_ends(s, changelogs, s->view_count, false, e));\n"
                            "    TRY(!task->ours || GUARDED(s, CALL(s, committed, inputs, s->source_count, e)));\n")],
    # The place in the input moves on before the record is processed.
    "position_before_record": [("    struct slice trace = s->o.log->ops->header(r, \"traceparent\");",
                                "    s->tasks[r->partition].inputs[source] = r->offset + 1;\n"
                                "    struct slice trace = s->o.log->ops->header(r, \"traceparent\");")],
    # Who was fenced takes its identity back.
    "fenced_goes_on": [("    case ERR_ABORT:\n    case ERR_UNKNOWN:\n    case ERR_REFUSED:\n",
                        "    case ERR_ABORT:\n    case ERR_FENCED:\n    case ERR_UNKNOWN:\n    case ERR_REFUSED:\n")],
    # Partitions are given back without an end to the transaction.
    "revoke_without_commit": [("    } else if (!commit(s, &s->callback_err)) {", "    } else if (false) {")],
    # A dead letter is committed by itself, not with the offset that moves past its record.
    "letter_outside": [("        bad_record(s, r, e->text);",
                        """        bad_record(s, r, e->text);
        TRY(produce_emissions(s, e));
        TRY(GUARDED(s, CALL(s, commit, NULL, 0, e)));
        s->in_transaction = false;""")],
    # An unknown result counts as an abort: no new epoch, so what is still under way can hit the next transaction.
    "unknown_is_abort": [("    rewind_tasks(s, why->kind == ERR_UNKNOWN ? RECOVER_BY_INIT : RECOVER_BY_ABORT);",
                          "    rewind_tasks(s, RECOVER_BY_ABORT);")],
    # An unknown result counts as a success.
    "unknown_is_success": [("    TRY(GUARDED(s, CALL(s, commit, inputs, n, e)) || spoilt(e, ERR_UNKNOWN));",
                            """    if (!GUARDED(s, CALL(s, commit, inputs, n, e))) {
        if (e->kind != ERR_UNKNOWN)
            return false;
        s->recovery = RECOVER_BY_INIT;
    }""")],
    # A registry that is away makes poison of good records.
    "away_is_poison": [("        if (e->kind != ERR_POISON)\n            return false;\n        bad_record",
                        "        if (e->kind != ERR_POISON && e->kind != ERR_RETRY)\n            return false;\n        bad_record")],
    # Where records are deleted before they are read, nobody says so,
    "deletion_unheard": [("    if (r->moved && task->state == TASK_RUNNING)\n        input_moved(s, task, i, r);\n", "")],
    # or where there is no place yet, it is said for nothing.
    "beginning_is_zero": [("struct log_position from = {t, p, position > 0 ? position : -1};", "struct log_position from = {t, p, position};")],
    # Whoever has read on where a log lost its last records keeps his place,
    "input_loss_unheard": [("        input_moved(s, task, i, r);\n    if (r->moved ||", "        note_moved(s, r);\n    if (r->moved ||")],
    # or the later place looks like the earlier one;
    "cuts_uncounted": [("    task->cuts[source] += r->offset < r->was;\n", "")],
    # and rows of what was lost are kept, of tables,
    "table_loss_unheard": [("    if (r->offset < c->position) {\n        note_ahead(s, s->topology->tables[i]", "    if (false) {\n        note_ahead(s, s->topology->tables[i]")],
    # of views whose changelog goes on, or is not written to any more,
    "changelog_loss_unheard": [("    if (!cut && !behind)\n", "    if (!behind)\n")],
    "changelog_loss_unsought": [("return store_flush(s->o.store, e) && changelogs_check(s, e);", "return store_flush(s->o.store, e);")],
    # or of a transaction that failed after it was found.
    "changelog_loss_forgotten": [("    bool stale, cut = task->changelogs[i].was > 0;\n", "    bool stale, cut = false;\n    task->changelogs[i].was = 0;\n")],
    # What is aimed at is waited for, although it is lost.
    "lost_aim": [("    TRY(aims_lower(s, e));\n", "")],
    # Rows that were deleted long ago come back with an old store.
    "deleted_rows_return": [("    *stale = t->compacted && t->tombstones && c->position >= 0 && c->position < c->target && age > limit;", "    *stale = c->position < -1 && age > limit;")],
    # What another registry says of an id is believed.
    "registry_believed": [("        if (!s->registry->schema_by_id(s->registry, id, &found, text, err) || !same_registry(s, err))",
                           "        if (!s->registry->schema_by_id(s->registry, id, &found, text, err))")],
    # Tables are looked up as they are.
    "stale_lookup": [("    txn_tables_fresh(s->txn, false);\n", "")],
    # A store that is longer than its log is kept.
    "stale_store": [("    if (c->position < 0 || c->position > end || cut || stale) {",
                     "    if (c->position > end)\n        c->position = end;\n    if (c->position < 0) {")],
    # The rows of a store that is longer than its log go first, and then the position.
    "rows_before_position": [("    store_key_positions(&key, t->name);\n    TRY(sweep(s, &key, e));\n    store_key_row(&key, t, -1, SLICE(\"\"));",
                              "    store_key_row(&key, t, -1, SLICE(\"\"));"),
                             ("    store_key_index(&key, t, -1, SLICE(\"\"));\n    return sweep(s, &key, e);",
                              "    store_key_index(&key, t, -1, SLICE(\"\"));\n    TRY(sweep(s, &key, e));\n"
                              "    store_key_positions(&key, t->name);\n    return sweep(s, &key, e);")],
    # A batch is written to a file that may be one of the store's by now: found by store_crash_test.
    "incoming_reused": [("    if (unlink(r->incoming) != 0 && errno != ENOENT)", "    if (false)")],
    # The buffer of a store goes down in the middle of a batch.
    "batch_split": [("        put(b, &changes[i]);\n    pthread_mutex_unlock(&b->lock);",
                     """    {
        put(b, &changes[i]);
        pthread_mutex_unlock(&b->lock);
        if (b->bytes >= b->limit && !write_down(b, err))
            return false;
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);""")],
    # A lost assignment is given back as if it were still ours, with what was begun for it.
    "lost_without_abort": [("        if (s->dirty_since != 0)\n            rewind_tasks(s, RECOVER_BY_ABORT);", "        ;")],
    # The store is restored from the end of what is committed without what it lacks: nothing is replayed.
    "no_restore": [("    if (task->ours && c->position >= target)\n        return true;\n",
                    "    c->target = task->ours ? c->position : target;\n    if (task->ours)\n        return true;\n")],
    # Stream time is not kept beside the offsets: after a crash it begins anew.
    "time_forgotten": [("s->expires ? s->tasks[p].time.now : 0", "0")],
    # What expires is committed without an offset: Kafka cannot tell that the task is somebody else's by now.
    "expiry_without_offset": [("        task->inputs[source] = r->offset;\n        task->committed[source] = -1;\n", "")],
    # A row is restored with its value only: nobody will find it when its time is over.
    "index_not_restored": [("    if (v->retention_ms > 0 && r->value.data != NULL && (old.data == NULL", "    if (false && (old.data == NULL")],
    # Or with a stamp of the time at which it is restored.
    "restored_anew": [("int64_t stamp = r->timestamp > 0 ? r->timestamp : 0;", "int64_t stamp = s->tasks[r->partition].time.now;")],
    # A row's time is that of its event, however late that is.
    "stamp_of_event": [("    txn->now = in->timestamp > time->now ? in->timestamp : time->now;", "    txn->now = in->timestamp;")],
    # A row that was put again loses its place in the index, when the old one comes due,
    "renewed_entry_lost": [("        txn_put_due(txn, v, row_stamp(stored), due->record_key);\n        return;", "        return;")],
    # or expires by the old one.
    "renewed_row_expires": [("if (retention_end(v, row_stamp(stored)) >= txn->now) {", "if (false) {")],
    # Nobody looks for what was put since the last look.
    "due_not_lowered": [("    txn->time->due = end < txn->time->due ? end : txn->time->due;\n", "    (void)end;\n")],
    # A large expiry is not gone on with before the record is handled.
    "expiry_stops_short": [("    x->more = time->due < now;\n", "")],
    # What a transaction has put and not committed yet does not expire in it.
    "expiry_of_stored_only": [("return overlay_scan(o, buf_slice(&prefix)", "return store_scan(o->store, buf_slice(&prefix)"),
                              ("buf_slice(&from), collect,", "buf_slice(&from), false, collect,")],
    # Nor is it found among sub-keys.
    "each_of_stored_only": [("overlay_scan(&txn->overlay, buf_slice(&txn->key), buf_slice(&first), collect_row,",
                             "store_scan(txn->overlay.store, buf_slice(&txn->key), buf_slice(&first), false, collect_row,")],
    # The changelog does not say where the inputs were,
    "inputs_untold": [("    if (inputs.size > 0)\n        headers[n++]", "    if (false)\n        headers[n++]")],
    # or nobody listens when it is read,
    "inputs_unheard": [("        inputs_raise(s, r->partition, inputs);\n", "")],
    # or it is not kept where that is not read again;
    "inputs_not_stored": [("    inputs_put(s, p, o);\n", "")],
    # and a store of another Kafka is believed.
    "inputs_of_another_log": [("        TRY(store_apply(s->o.store, &(struct store_change){buf_slice(&key), SLICE_NONE}, 1, e));\n",
                               "")],
    # What cannot be decoded makes time pass,
    "poison_moves_time": [("    if (handled && (ok || txn->err.kind == ERR_POISON))\n        time->now = txn->now;",
                           "    if (ok || txn->err.kind == ERR_POISON)\n        time->now = txn->now;")],
    # or only what is due go;
    "poison_expires": [("    if (x.more)\n        TRY(txn_handles(s->txn, &s->topology->sources[source], r, s->partitions, &x.more, e));\n", "")],
    # and a timestamp can be any.
    "time_unbounded": [("    return r->timestamp <= s->latest ||", "    return true ||")],
    # Who follows from what the broker refuses is not searched for,
    "refused_again": [("    if (why->kind == ERR_REFUSED)\n        search_narrow(s, why);\n", "")],
    # or the first of several is blamed.
    "refused_blames_any": [("    } else if (q->size == 1 && q->last.place.topic != NULL) {", "    } else if (q->last.place.topic != NULL) {")],
    # The position skips what a missing delivery report does not tell: it is guessed from the end of the log.
    "position_guessed": [("        const struct log_delivered *d = &task->changelogs[i];\n",
                          """        struct log_delivered *d = &task->changelogs[i];
        struct log_position end = {s->topology->views[i]->changelog, p, -1};
        struct err unheard;
        if (log_ends(s, &end, 1, false, &unheard))
            d->next = end.offset;
""")],
    # Who reads a view is answered by whoever believes that it owns the task,
    "zombie_answers": [("    if (atomic_load(place) >= end)\n        return 0;\n", "    if (atomic_load(place) >= 0)\n        return 0;\n")],
    # or sees what others do not see yet,
    "seen_too_soon": [("    return n == 0 || GUARDED(s, CALL(s, visible, at, n, e));", "    (void)e;\n    return n < 100000;")],
    # or finds, and never looks again, that it does not.
    "foreign_unheard": [("    return d->foreign || (!d->open", "    return false && (!d->open")],
    # A row that is put again is found by what it was before, too,
    "old_index_stays": [("        if (!overlay_find(&txn->cached_views, row->key, &before) &&\n            !store_get(txn->overlay.store, row->key, &txn->overlay.arena, &before, e))\n            return false;\n",
                         "        before = SLICE_NONE;\n")],
    # or a standby does not find it.
    "index_not_followed": [("    TRY(v->served == NULL ||\n", "    TRY(true ||\n")],
}


def main():
    if sys.argv[1:] == ["list"]:
        print("\n".join(f"{name}:{FILES[name]}" for name in MUTATIONS))
        return
    name, directory, out = sys.argv[1:]
    source = f"{directory}/{FILES[name]}"
    text = open(source, encoding="utf-8").read()
    for old, new in MUTATIONS[name]:
        if text.count(old) != 1:
            sys.exit(f"mutate.py: {name}: in {source}, {text.count(old)} times instead of once:\n{old}")
        text = text.replace(old, new)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


main()
