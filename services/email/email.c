#include "email.h"

const struct table email_emails = {.name = "emails", .topic = &topic_emails};

const struct topology email_topology = {
    .name = "email",
    .sources = (const struct source[]){{.topic = &topic_payments}, {.topic = &topic_emails}, {0}},
    .tables = (const struct table *const[]){&email_emails, NULL},
    .dead_letters = &topic_dead_letters,
};
