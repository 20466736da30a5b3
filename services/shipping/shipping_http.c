#include "shipping.h"

const struct http_route shipping_routes[] = {{0}};
