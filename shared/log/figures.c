/* See figures.h. */
#include "log/figures.h"

const struct metric figure_ready = {"insideout_ready", METRIC_GAUGE,
                                    "1: assigned, restored and hydrated; what /readyz is about."};
const struct metric figure_skipped = {"insideout_skipped_records_total", METRIC_COUNTER,
                                      "Bad records that were skipped: another reader sends them to the dead "
                                      "letters."};
const struct metric figure_dead_letters = {"insideout_dead_letters_total", METRIC_COUNTER,
                                           "Bad records that were sent to the dead letters."};
const struct metric figure_moved = {"insideout_positions_moved_total", METRIC_COUNTER,
                                    "Positions that are not in the log (any more): what came from there on "
                                    "was deleted unread, or the log has "
                                    "lost its last records. Reading goes on where the log begins or ends."};
const struct metric figure_committed = {"insideout_transactions_committed_total", METRIC_COUNTER,
                                        "Transactions committed."};
const struct metric figure_aborted = {"insideout_transactions_aborted_total", METRIC_COUNTER,
                                      "Transactions aborted."};
const struct metric figure_input_lag = {"insideout_input_lag_records", METRIC_GAUGE,
                                        "Offsets between what was taken from an input and its end."};

void figure_moved_add(struct metrics *m, const char *topology, const char *topic, const counter *deleted,
                      const counter *lost) {
    metrics_add(m, &figure_moved, (double)counter_get(deleted), "topology", topology, "topic", topic, "why",
                "deleted", NULL);
    metrics_add(m, &figure_moved, (double)counter_get(lost), "topology", topology, "topic", topic, "why",
                "lost", NULL);
}
