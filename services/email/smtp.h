/* Hands one message to a mail server, by libcurl. One thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "delivery/delivery.h"

struct smtp;

/* `url`: smtp://[user:password@]host[:port] or smtps://…; no I/O yet. ERR_CONFIG when it is something else.
 * `from` must live as long as it does.
 *
 * With smtp:// there is TLS (STARTTLS) where the server offers it, whoever it is; where a name and a password
 * are to be sent, or with ?starttls=required, only so and to nobody whose certificate is not good. With
 * ?starttls=never there is none, and a password goes in the clear. ca=FILE has the certificates to trust. */
WARN_UNUSED bool smtp_create(const char *url, const char *from, struct smtp **smtp, struct err *e);
void smtp_destroy(struct smtp *s); /* takes NULL */

/* DONE once the server has accepted it. `e` says what it answered otherwise. IMPOSSIBLE where an address is
 * beyond ASCII and the server has no SMTPUTF8. Ends soon after *stopping. */
enum delivery_result smtp_send(struct smtp *s, struct slice to, struct slice message,
                               const atomic_bool *stopping, struct err *e);

/* What the server's answer means: `command` is the last one that was sent ("MAIL", "RCPT", "DATA", or what
 * came after those, the body), `code` the answer to it, 0 for none. */
enum smtp_stage { SMTP_GREETING, SMTP_MAIL, SMTP_RCPT, SMTP_DATA };
enum delivery_result smtp_verdict(enum smtp_stage stage, int code);
