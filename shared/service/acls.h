/* What a service may do in Kafka, from what it declares. */
#pragma once

#include "base/buf.h"
#include "service/service.h"

/* A line for each thing that it may, as arguments of Kafka's `kafka-acls`: topics that it reads, topics that
 * it writes, groups, transactional ids. */
void acls_put(const struct service *service, const char *principal, struct buf *out);
