/* The legacy tables themselves, as the database has them at this moment. */
#pragma once

#include "legacy_fold.h"

/* Tells all rows to the fold. `url`: of the database (postgresql://…), which is asked by psql. ERR_RETRY
 * where it does not answer. */
WARN_UNUSED bool legacy_read(const char *url, struct legacy_fold *f, struct err *err);
