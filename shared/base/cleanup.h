/* Scope-bound release: `_cleanup_(buf_free) struct buf b = {0};` */
#pragma once

/* Calls f(&variable) when the variable's scope is left. */
#define _cleanup_(f) __attribute__((cleanup(f)))
