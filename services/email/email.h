/* email: writes to a customer whose order is paid for, once per order. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "stream/topology.h"

extern const struct topology email_topology;
extern const struct table email_emails; /* what HTTP reads */

extern const struct http_route email_routes[];
