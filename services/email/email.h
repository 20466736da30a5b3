/* email: writes to a customer whose order is paid for, once per order. The topology decides that there is an
 * email; the sender hands it to SMTP. */
#pragma once

#include "delivery/delivery.h"
#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology email_topology;
extern const struct view email_orders, email_payments; /* the two sides of the join */
extern const struct view email_written;
extern const struct table email_customers;
extern const struct table email_emails; /* what HTTP reads */

extern const struct http_route email_routes[];

extern const struct delivery email_delivery;

/* Reads SMTP_URL and SMTP_FROM. ERR_CONFIG names the one that is wrong. */
struct settings;
WARN_UNUSED bool email_start(const struct settings *settings, struct err *e);
