#include "payments.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "card.h"
#include "http/body.h"
#include "instance/page.h"
#include "process/settings.h"
#include "service/service.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { CARD_TEXT_MAX = 64, LIST_MAX = 500 };

static struct card_key card_key;

bool payments_start(const struct settings *settings, struct err *e) {
    const char *path = getenv("CARD_KEY_FILE");
    char own[4096];
    if (path == NULL || *path == 0) {
        snprintf(own, sizeof own, "%s/secrets/card-key", settings->data_dir);
        path = own;
    }
    return card_forbid_dumps(e) && card_key_read(path, &card_key, e);
}

struct post {
    bool asked; /* the payment was not there when we first looked */
    char token[CARD_TOKEN_SIZE];
};

/* Whatever stands between its digits. */
static bool contains(struct slice text, const struct card_digits *digits) {
    for (size_t from = 0; from < text.size; from++) {
        size_t n = 0;
        for (size_t i = from; i < text.size && n < digits->size; i++) {
            if (text.data[i] == digits->text[n])
                n++;
            else if (isalnum((unsigned char)text.data[i]))
                break;
        }
        if (n == digits->size)
            return true;
    }
    return false;
}

static void digits_wipe(struct card_digits *digits) {
    explicit_bzero(digits, sizeof *digits);
}

/* The number becomes its token here and goes no further; not as part of an id either, also where it is none
 * that a card network would know. */
static bool read_card(struct http_exchange *x, const struct payment *p, char token[CARD_TOKEN_SIZE]) {
    struct slice text;
    _cleanup_(digits_wipe) struct card_digits digits = {.size = 0};
    if (!http_body_string(x, "cardNumber", CARD_TEXT_MAX, &text))
        return false;
    if (!card_number_read(text, &digits)) {
        http_reply_problem(x, 400, "cardNumber", "must be 12 to 19 digits");
        return false;
    }
    const char *holder = contains(p->id, &digits) ? "id" : contains(p->order_id, &digits) ? "orderId" : NULL;
    if (holder != NULL) {
        http_reply_problem(x, 400, holder, "must not contain the card number");
        return false;
    }
    card_token(&card_key, &digits, token);
    return true;
}

static bool read_request(struct http_exchange *x, struct post *post, struct payment *p) {
    if (!http_body_id_or_new(x, "id", &p->id) || !http_body_id(x, "orderId", &p->order_id) ||
        !http_body_int64(x, "amountCents", &p->amount_cents))
        return false;
    if (p->amount_cents < 0) {
        http_reply_problem(x, 400, "amountCents", "must be a whole number, 0 or more");
        return false;
    }
    p->card_token = (struct slice){post->token, sizeof post->token};
    return read_card(x, p, post->token);
}

static bool same_payment(const struct payment *a, const struct payment *b) {
    return slice_equal(a->order_id, b->order_id) && a->amount_cents == b->amount_cents &&
           slice_equal(a->card_token, b->card_token);
}

/* As with orders: the request goes into the log, and whichever request of this id made the payment shows in
 * the table. Repeats and races all end with the same comparison. */
static enum http_result post_payment(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    struct post *post = http_state(x, &owner, sizeof *post, NULL);
    struct payment p;
    struct event row;
    if (!read_request(x, post, &p))
        return HTTP_DONE;
    instance_watch(i, x, &payments_table, p.id);
    if (!instance_row(i, x, &payments_table, p.id, &row))
        return HTTP_DONE;
    if (row.value != NULL) {
        if (!same_payment(row.value, &p))
            return http_reply_problem(x, 409, "id", "there is a payment of this id with other fields");
        http_reply_header(x, "Location", "/v1/payments/" SLICE_FMT, SLICE_ARG(p.id));
        return instance_reply(x, post->asked ? 201 : 200, &payment_type, row.value);
    }
    http_deadline(x, INSTANCE_ANSWER_MS);
    post->asked = true;
    enum publish published = instance_publish(i, x, &topic_payment_requests, p.id, &p);
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return http_reply_problem(x, 503, NULL, "no answer in time; repeat with id " SLICE_FMT,
                                  SLICE_ARG(p.id));
    return HTTP_WAIT;
}

static enum http_result get_payment(struct http_exchange *x, void *context) {
    struct slice id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_find(context, x, &payments_table, id, "payment", &row, &result))
        return result;
    return instance_reply(x, 200, &payment_type, row.value);
}

/* The payments of one order. */
static enum http_result list_payments(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct slice order_id;
    if (!http_query_id(x, "orderId", &order_id))
        return HTTP_DONE;
    if (order_id.data == NULL)
        return http_reply_problem(x, 400, "orderId", "missing: whose payments?");
    if (!instance_wait_fresh(i, x, &payments_table, &result))
        return result;
    struct slice prefix = arena_printf(http_arena(x), SLICE_FMT "/", SLICE_ARG(order_id));
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "payments"), json_begin_array(&j);
    if (!page_index(i, x, &payments_table, prefix, LIST_MAX, page_put_row, &j))
        return HTTP_DONE;
    json_end_array(&j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct http_route payments_routes[] = {
    {"POST", "/v1/payments", post_payment},
    {"GET", "/v1/payments", list_payments},
    {"GET", "/v1/payments/{id}", get_payment},
    {0},
};
