/* The two clocks of a process. Handlers have neither: their time is the event's. Any thread. */
#pragma once

#include <stdint.h>

/* Milliseconds since 1970, UTC; jumps when somebody sets it. For timestamps of new records only. */
int64_t clock_wall_ms(void);

/* The same in nanoseconds, for spans. */
int64_t clock_wall_ns(void);

/* Microseconds since some moment; never jumps. For deadlines and measurements. */
int64_t clock_mono_us(void);
