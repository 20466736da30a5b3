#include "possible_fraud.h"

const struct http_route possible_fraud_routes[] = {{0}};
