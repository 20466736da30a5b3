/* Where a client is in the log: the next offset of each partition, as text "topic/partition:offset,…". */
#pragma once

#include "base/buf.h"

#include <stdint.h>

/* Appends an entry, with a comma where it is not the first since `start`. */
void vector_put(struct buf *out, size_t start, const char *topic, int32_t partition, int64_t offset);

/* Calls `each` for every entry, unless the whole text is no vector: then false. An empty text is one. */
bool vector_parse(struct slice text,
                  void (*each)(void *context, struct slice topic, int32_t partition, int64_t offset),
                  void *context);
