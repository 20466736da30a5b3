/* What something is doing, in words for people: "running", "waiting for Kafka: …". One thread sets it, any
 * thread reads it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Made by status_init(), ended by status_finish(). */
struct status {
    pthread_mutex_t lock;
    bool trouble;
    char text[600];
};

/* Begins with this text, which is copied. */
void status_init(struct status *s, const char *text);
/* Gives back what it has; no thread may use it then. */
void status_finish(struct status *s);

void status_set(struct status *s, const char *text);     /* it goes its way */
void status_trouble(struct status *s, const char *text); /* it waits for what should be there */

/* Copies at most `size` bytes; returns whether it is trouble. */
bool status_read(struct status *s, char *text, size_t size);
