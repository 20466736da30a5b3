#include "payments.h"

const struct http_route payments_routes[] = {{0}};
