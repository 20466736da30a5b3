/* payments: takes payments by card, and keeps a token of the card where its number would be. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology payments_topology;
extern const struct view payments_made; /* by payment id */
extern const struct table payments_table;

extern const struct http_route payments_routes[];

/* Forbids dumps of this process's memory and reads the key of the tokens: CARD_KEY_FILE, else
 * secrets/card-key below DATA_DIR. */
struct settings;
WARN_UNUSED bool payments_start(const struct settings *settings, struct err *e);
