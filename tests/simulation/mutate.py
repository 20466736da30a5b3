#!/usr/bin/env python3
"""usage: mutate.py list | mutate.py NAME DIRECTORY OUT.C   DIRECTORY is shared/stream

Plants one bug in a copy of the runtime. Each is a thing that somebody could write, or forget; the simulation must find
every one of them. Fails where the code to be changed is not there (once) any more: then this list is out of date.
"""

import sys

FILES = {"rows_before_position": "tables.c"}  # others: stream.c

MUTATIONS = {
    # The input offsets are not part of the transaction.
    "offsets_outside": [("n = 0;\n    for (int32_t p = 0; p < s->partitions; p++)\n        for (size_t i = 0; i < s->source_count; i++)\n            if (s->tasks[p].state == TASK_RUNNING",
                         "n = 0;\n    for (int32_t p = 0; p < s->partitions; p++)\n        for (size_t i = 0; i < s->source_count; i++)\n            if (!s->in_transaction && s->tasks[p].state == TASK_RUNNING")],
    # The position of the changelog is stored before its rows, in a batch of its own.
    "position_outside": [("    TRY(overlay_apply(changes, e));\n    step_clear(s->step);",
                          """    struct overlay apart = {.store = s->o.store};
    for (int32_t p = 0; changed && p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->view_count; i++)
            position_put(&apart, s->topology->views[i]->name, p, s->tasks[p].changelogs[i]);
    bool applied = overlay_apply(&apart, e);
    overlay_free(&apart);
    TRY(applied);
    TRY(overlay_apply(changes, e));
    step_clear(s->step);""")],
    # The store is written before the commit.
    "store_before_commit": [("    TRY(GUARDED(s, LOG(s, commit, inputs, n, e)));",
                             """    if (step_overlay(s->step)->count > 0)
        TRY(overlay_apply(step_overlay(s->step), e));
    TRY(GUARDED(s, LOG(s, commit, inputs, n, e)));""")],
    # An abort does not take the tasks back to what is committed.
    "no_rewind": [("        if (s->tasks[p].state != TASK_NONE)\n            task_halt(s, p, TASK_NEW);\n    atomic_fetch_add(&s->rewinds, 1);",
                   "        if (s->tasks[p].state == TASK_RESTORING)\n            task_halt(s, p, TASK_NEW);\n    atomic_fetch_add(&s->rewinds, 1);")],
    # Restoring ends where committed readers end: a transaction whose markers are late is not waited for.
    "restore_committed_end": [("TRY(ends(s, changelogs, s->view_count, false, e));",
                               "TRY(ends(s, changelogs, s->view_count, true, e));")],
    # The end of the changelog is asked before the offsets are stable.
    "end_before_offsets": [("    TRY(GUARDED(s, LOG(s, committed, inputs, s->source_count, e)));\n", ""),
                           ("    TRY(ends(s, changelogs, s->view_count, false, e));\n",
                            "    TRY(ends(s, changelogs, s->view_count, false, e));\n"
                            "    TRY(GUARDED(s, LOG(s, committed, inputs, s->source_count, e)));\n")],
    # The place in the input moves on before the record is processed.
    "position_before_record": [("    struct slice trace = s->o.log->ops->header(r, \"traceparent\");",
                                "    task->inputs[i] = r->offset + 1;\n"
                                "    struct slice trace = s->o.log->ops->header(r, \"traceparent\");")],
    # Who was fenced takes its identity back.
    "fenced_goes_on": [("    case ERR_ABORT:\n    case ERR_UNKNOWN:\n        set_status",
                        "    case ERR_ABORT:\n    case ERR_FENCED:\n    case ERR_UNKNOWN:\n        set_status")],
    # Partitions are given back without an end to the transaction.
    "revoke_without_commit": [("    } else if (!commit(s, &s->callback_err)) {", "    } else if (false) {")],
    # A dead letter is committed by itself, not with the offset that moves past its record.
    "letter_outside": [("    atomic_fetch_add(&s->dead_letters, 1);\n    return produce_emissions(s, e);",
                        """    atomic_fetch_add(&s->dead_letters, 1);
    TRY(produce_emissions(s, e));
    TRY(GUARDED(s, LOG(s, commit, NULL, 0, e)));
    s->in_transaction = false;
    return true;""")],
    # An unknown result counts as an abort: no new epoch, so what is still under way can hit the next transaction.
    "unknown_is_abort": [("        rewind_tasks(s, trouble.kind == ERR_ABORT ? MEND_ABORT : MEND_INIT);",
                          "        rewind_tasks(s, MEND_ABORT);")],
    # An unknown result counts as a success.
    "unknown_is_success": [("    TRY(GUARDED(s, LOG(s, commit, inputs, n, e)));",
                            """    if (!GUARDED(s, LOG(s, commit, inputs, n, e))) {
        if (e->kind != ERR_UNKNOWN)
            return false;
        s->mend = MEND_INIT;
    }""")],
    # A registry that is away makes poison of good records.
    "away_is_poison": [("        if (e->kind != ERR_POISON)\n            return false;\n        char reason",
                        "        if (e->kind != ERR_POISON && e->kind != ERR_RETRY)\n            return false;\n        char reason")],
    # Tables are looked up as they are.
    "stale_lookup": [("    TRY(freshen(s, e));\n", "")],
    # A store that is longer than its log is kept.
    "stale_store": [("        if (c->position < 0 || c->position > c->target) {",
                     "        if (c->position > c->target)\n            c->position = c->target;\n        if (c->position < 0) {")],
    # The rows of a store that is longer than its log go first, and then the position.
    "rows_before_position": [("    store_key_positions(&key, t->name);\n    TRY(sweep(s, &key, e));\n    store_key_row(&key, t, SLICE(\"\"));",
                              "    store_key_row(&key, t, SLICE(\"\"));"),
                             ("    store_key_index(&key, t, SLICE(\"\"));\n    return sweep(s, &key, e);",
                              "    store_key_index(&key, t, SLICE(\"\"));\n    TRY(sweep(s, &key, e));\n"
                              "    store_key_positions(&key, t->name);\n    return sweep(s, &key, e);")],
    # A lost assignment is given back as if it were still ours, with what was begun for it.
    "lost_without_abort": [("        if (s->dirty_since != 0)\n            rewind_tasks(s, MEND_ABORT);", "        ;")],
    # The store is restored from the end of what is committed without what it lacks: nothing is replayed.
    "no_restore": [("            if (c->position < c->target)\n".replace("            ", "        ", 1),
                    "        c->target = c->position;\n        if (c->position < c->target)\n")],
    # The position skips what a missing delivery report does not tell: it is guessed from the end of the log.
    "position_guessed": [("        for (size_t i = 0; changed && i < s->view_count; i++)\n",
                          """        for (size_t i = 0; changed && i < s->view_count; i++) {
            struct log_position end = {s->topology->views[i]->changelog, p, -1};
            if (ends(s, &end, 1, false, e))
                task->changelogs[i] = end.offset;
        }
        for (size_t i = 0; changed && i < s->view_count; i++)\n""")],
}


def main():
    if sys.argv[1:] == ["list"]:
        print("\n".join(f"{name}:{FILES.get(name, 'stream.c')}" for name in MUTATIONS))
        return
    name, directory, out = sys.argv[1:]
    source = f"{directory}/{FILES.get(name, 'stream.c')}"
    text = open(source, encoding="utf-8").read()
    for old, new in MUTATIONS[name]:
        if text.count(old) != 1:
            sys.exit(f"mutate.py: {name}: in {source}, {text.count(old)} times instead of once:\n{old}")
        text = text.replace(old, new)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


main()
