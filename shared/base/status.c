#include "base/status.h"

#include <stdio.h>

void status_init(struct status *s, const char *text) {
    pthread_mutex_init(&s->lock, NULL);
    status_set(s, text);
}

void status_finish(struct status *s) {
    pthread_mutex_destroy(&s->lock);
}

static void set(struct status *s, bool trouble, const char *text) {
    pthread_mutex_lock(&s->lock);
    s->trouble = trouble;
    snprintf(s->text, sizeof s->text, "%s", text);
    pthread_mutex_unlock(&s->lock);
}

void status_set(struct status *s, const char *text) {
    set(s, false, text);
}

void status_trouble(struct status *s, const char *text) {
    set(s, true, text);
}

bool status_read(struct status *s, char *text, size_t size) {
    pthread_mutex_lock(&s->lock);
    bool trouble = s->trouble;
    snprintf(text, size, "%s", s->text);
    pthread_mutex_unlock(&s->lock);
    return trouble;
}
