/* The directories that stores are in: files only, no directory in them. */
#pragma once

#include "base/err.h"

#include <stddef.h>

/* mkdir -p */
WARN_UNUSED bool directory_make(const char *path, struct err *err);

/* With its files; one that is not there is fine. */
WARN_UNUSED bool directory_delete(const char *path, struct err *err);

/* Renames it, to "<path>.damaged": for somebody to look at, in place of the one before. */
WARN_UNUSED bool directory_set_aside(const char *path, struct err *err);

/* How many files it has whose name ends so. */
size_t directory_count(const char *path, const char *suffix);
