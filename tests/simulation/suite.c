#include "world.h"
const struct workload suite_workload = {0};
