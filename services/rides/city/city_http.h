/* The city over HTTP: static data, which each instance that mounts it serves for itself.
 *
 *   GET /v1/city?bbox=west,south,east,north    GeoJSON: streets, river, parks, blocks
 *   GET /v1/city/route?from=lat,lon&to=lat,lon the quickest way
 *   GET /v1/city/streets?q=&limit=             streets and parks by name */
#pragma once

#include "http/server.h"

enum http_result city_get(struct http_exchange *x, void *context);
enum http_result city_get_route(struct http_exchange *x, void *context);
enum http_result city_get_streets(struct http_exchange *x, void *context);

/* Rows for a service's table of routes; they use no context. */
#define CITY_ROUTES                                                                                          \
    {"GET", "/v1/city", city_get}, {"GET", "/v1/city/route", city_get_route}, {                              \
        "GET", "/v1/city/streets", city_get_streets                                                          \
    }
