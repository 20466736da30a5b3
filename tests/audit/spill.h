/* Memory that grows with the log: it is in a file without a name, mapped, of which the process holds 64 MiB
 * at the most; the kernel keeps the rest as it has room, else the disk does. The file is made in TMPDIR, else
 * in /var/tmp. One thread. Where the disk is full the program ends, as where memory is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct spill {
    char *data;  /* stays where it is; zero where nobody wrote yet */
    size_t size; /* never gets smaller */
    int fd;
    struct spill *next;
};

/* Makes it (*s NULL: a new one) hold `size` bytes, or more. Returns its data. */
void *spill_room(struct spill **s, size_t size);
void spill_free(struct spill *s); /* takes NULL */

/* To be called with each use of what may be anywhere in a spill: now and then all of it is let go. */
void spill_touch(void);

/* Another limit than 64 MiB. */
void spill_limit(size_t bytes);
