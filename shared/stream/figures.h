/* Families that streams and deliveries both add to, with the label topology="its name". */
#pragma once

#include "base/metrics.h"

extern const struct metric figure_ready, figure_skipped, figure_dead_letters, figure_committed,
    figure_aborted, figure_input_lag;
