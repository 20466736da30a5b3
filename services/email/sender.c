/* Hands `emails` to a mail server. */
#include "email.h"

#include "base/address.h"
#include "base/cleanup.h"
#include "message.h"
#include "smtp.h"

#include <stdlib.h>

static enum delivery_result send_email(const struct event *in, const atomic_bool *stopping, struct err *e);

const struct delivery email_delivery = {
    .name = "email-sender",
    .topic = &topic_emails,
    .later = &topic_emails_later,
    .later_tries = 7200, /* five days of minutes, as mail servers do */
    .refused_tries = 20, /* a quarter of an hour */
    .undelivered = &topic_emails_undelivered,
    .deliver = send_email,
};

static struct smtp *smtp; /* NULL: emails are recorded and not sent */
static const char *from;

bool email_start(const struct settings *settings, struct err *e) {
    const char *url = getenv("SMTP_URL");
    (void)settings;
    from = getenv("SMTP_FROM");
    if (from == NULL || *from == 0)
        from = "shop@localhost";
    if (!address_valid(slice_of(from)))
        return err_set(e, ERR_CONFIG, "SMTP_FROM: \"%s\" is not an address", from);
    return url == NULL || *url == 0 || smtp_create(url, from, &smtp, e);
}

/* Without a server they pass by, so that one that is set later gets the new ones, and not those of a year. */
static enum delivery_result send_email(const struct event *in, const atomic_bool *stopping, struct err *e) {
    const struct email *m = in->value;
    if (smtp == NULL)
        return DELIVERY_IGNORED;
    if (!address_valid(m->to)) {
        err_set(e, ERR_INPUT, "to: not an address");
        return DELIVERY_IMPOSSIBLE;
    }
    _cleanup_(buf_free) struct buf message = {0};
    message_write(m, slice_of(from), in->timestamp, &message);
    return smtp_send(smtp, m->to, buf_slice(&message), stopping, e);
}
