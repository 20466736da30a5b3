/* --name VALUE or --name=VALUE options of the benchmarks. */
#pragma once

#include <stdbool.h>

struct option_spec {
    const char *name; /* without the dashes */
    double min, max;
    double *number;    /* NULL: it is */
    bool *flag;        /* … a switch, or */
    const char **text; /* … a word */
};

/* `specs` up to {0}. False, with a message on standard error, when an argument is none of them or a number
 * is out of range. */
bool options_parse(int argc, char **argv, const struct option_spec *specs);
