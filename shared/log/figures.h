/* Families that streams, deliveries and tails add to, with the label topology="its name". */
#pragma once

#include "base/metrics.h"

extern const struct metric figure_ready, figure_skipped, figure_dead_letters, figure_committed,
    figure_aborted, figure_input_lag, figure_moved;

/* The positions in a topic that were moved, by why: figure_moved. */
void figure_moved_add(struct metrics *m, const char *topology, const char *topic, const counter *deleted,
                      const counter *lost);
