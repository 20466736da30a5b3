#include "email.h"

const struct http_route email_routes[] = {{0}};
