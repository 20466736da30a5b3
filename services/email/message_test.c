#include "message.h"

#include "base/cleanup.h"
#include "smtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const struct email *m, const char *message) {
    _cleanup_(buf_free) struct buf out = {0};
    message_write(m, SLICE("shop@localhost"), INT64_C(1700000000123), &out);
    buf_append_byte(&out, 0);
    assert_string_equal(out.data, message);
}

#define BEGIN "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: \"insideout\" <shop@localhost>\r\n"
#define MIME "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "

static void plain_text_is_written_as_it_is(void **state) {
    (void)state;
    expect(&(struct email){SLICE("o-1"), SLICE("ann@example.org"), SLICE("Paid: o-1"),
                           SLICE("Dear Ann,\n\n.\nbye"), SLICE("Ann Lee")},
           BEGIN
           "To: \"Ann Lee\" <ann@example.org>\r\nSubject: Paid: o-1\r\nMessage-ID: <o-1@insideout>\r\n" MIME
           "7bit\r\n\r\nDear Ann,\r\n\r\n.\r\nbye\r\n");
    expect(&(struct email){SLICE("a:b.c"), SLICE("a@b"), SLICE(""), SLICE(""), SLICE("")},
           BEGIN "To: <a@b>\r\nSubject: \r\nMessage-ID: <a=3Ab=2Ec@insideout>\r\n" MIME "7bit\r\n\r\n\r\n");
}

static void other_text_is_encoded(void **state) {
    (void)state;
    expect(&(struct email){SLICE("o"), SLICE("a@b"), SLICE("=?x?="), SLICE("f\xc3\xbcr\nAnn"),
                           SLICE("J\xc3\xb6rg \"J\"")},
           BEGIN "To: =?UTF-8?B?SsO2cmcgIkoi?=\r\n <a@b>\r\nSubject: =?UTF-8?B?PT94Pz0=?=\r\nMessage-ID: "
                 "<o@insideout>\r\n" MIME "base64\r\n\r\nZsO8cg0KQW5u\r\n");
    /* 23 letters of two bytes: the 23rd does not fit into the first word, and is not cut. */
    expect(
        &(struct email){
            SLICE("o"), SLICE("a@b"),
            SLICE("\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
                  "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
                  "\xc3\xbc"),
            SLICE("x"), SLICE("")},
        BEGIN
        "To: <a@b>\r\nSubject: "
        "=?UTF-8?B?w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7w=?=\r\n =?UTF-8?B?w7w=?=\r\n"
        "Message-ID: <o@insideout>\r\n" MIME "7bit\r\n\r\nx\r\n");
}

/* Whatever comes, there are these eight headers and no other, and no line is too long. */
static void nothing_makes_a_line_of_its_own(void **state) {
    (void)state;
    static const char *const evil[] = {
        "x\r\nBcc: eve@example.org", "x\nBcc: eve", "\r\n\r\nbody", "a\rb", "\x7f\x01", "\"\r\nBcc: eve\"",
        "=?UTF-8?Q?a=0D=0ABcc:?="};
    static const char *const headers[] = {
        "Date: ",       "From: ",         "To: ",           "Subject: ",
        "Message-ID: ", "MIME-Version: ", "Content-Type: ", "Content-Transfer-Encoding: "};
    char endless[5000];
    memset(endless, 'a', sizeof endless);
    for (size_t i = 0; i <= sizeof evil / sizeof *evil; i++) {
        struct slice text =
            i < sizeof evil / sizeof *evil ? slice_of(evil[i]) : (struct slice){endless, sizeof endless};
        struct email m = {text, SLICE("a@b"), text, text, text};
        _cleanup_(buf_free) struct buf out = {0};
        if (i == sizeof evil / sizeof *evil)
            m.order_id = SLICE("o");
        message_write(&m, SLICE("shop@localhost"), 0, &out);
        struct slice left = buf_slice(&out);
        size_t count = 0;
        bool in_body = false;
        while (left.size > 0) {
            const char *end = memmem(left.data, left.size, "\r\n", 2);
            assert_non_null(end);
            struct slice line = {left.data, (size_t)(end - left.data)};
            assert_true(line.size <= 998);
            assert_null(memchr(line.data, '\r', line.size));
            assert_null(memchr(line.data, '\n', line.size));
            if (line.size == 0)
                in_body = true;
            else if (!in_body && line.data[0] != ' ')
                assert_true(slice_starts_with(line, slice_of(headers[count++])));
            left = (struct slice){end + 2, left.size - line.size - 2};
        }
        assert_true(in_body);
        assert_int_equal(count, sizeof headers / sizeof *headers);
    }
}

static void answers_are_of_the_message_or_of_the_server(void **state) {
    (void)state;
    static const struct {
        enum smtp_stage stage;
        int code;
        enum delivery_result result;
    } cases[] = {
        {SMTP_GREETING, 0, DELIVERY_AWAY},   {SMTP_GREETING, 554, DELIVERY_AWAY},
        {SMTP_GREETING, 535, DELIVERY_AWAY}, {SMTP_MAIL, 451, DELIVERY_AWAY},
        {SMTP_MAIL, 550, DELIVERY_AWAY},     {SMTP_MAIL, 552, DELIVERY_REFUSED},
        {SMTP_RCPT, 0, DELIVERY_AWAY},       {SMTP_RCPT, 450, DELIVERY_LATER},
        {SMTP_RCPT, 421, DELIVERY_AWAY},     {SMTP_RCPT, 550, DELIVERY_REFUSED},
        {SMTP_DATA, 354, DELIVERY_AWAY},     {SMTP_DATA, 0, DELIVERY_AWAY},
        {SMTP_DATA, 452, DELIVERY_LATER},    {SMTP_DATA, 554, DELIVERY_REFUSED},
        {SMTP_DATA, 250, DELIVERY_AWAY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (smtp_verdict(cases[i].stage, cases[i].code) != cases[i].result)
            fail_msg("stage %d, %d", (int)cases[i].stage, cases[i].code);
}

/* What goes wrong is logged: nobody listens there, or it is no address at all. */
static void a_password_is_in_no_error(void **state) {
    (void)state;
    static const char *const urls[] = {"smtp://shop:hunter2@127.0.0.1:1", "smtps://shop:hunter2@127.0.0.1:1",
                                       "smtp://shop:hunter2@[bad", "http://shop:hunter2@127.0.0.1:1"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct smtp *smtp = NULL;
        struct err e = {0};
        const atomic_bool stopping = false;
        if (smtp_create(urls[i], "shop@localhost", &smtp, &e))
            assert_int_equal(smtp_send(smtp, SLICE("ada@example.org"), SLICE("x"), &stopping, &e),
                             DELIVERY_AWAY);
        smtp_destroy(smtp);
        assert_true(e.text[0] != 0);
        assert_null(strstr(e.text, "hunter2"));
    }
}

static void settings_say_how_much_tls(void **state) {
    (void)state;
    static const char *const good[] = {
        "smtp://a",          "smtp://a?starttls=required",       "smtp://u:p@a:25/x?starttls=never",
        "smtps://a?ca=/x/y", "smtp://a?ca=/x&starttls=required", "smtp://a?"};
    static const char *const bad[] = {"smtp://a?starttls", "smtp://a?starttls=maybe", "smtp://a?ca=x",
                                      "smtp://a?&",        "smtp://a?hunter2",        "http://a"};
    for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
        struct smtp *smtp = NULL;
        struct err e = {0};
        bool is_good = i < sizeof good / sizeof *good;
        const char *url = is_good ? good[i] : bad[i - sizeof good / sizeof *good];
        if (smtp_create(url, "shop@localhost", &smtp, &e) != is_good)
            fail_msg("%s: %s", url, e.text);
        smtp_destroy(smtp);
        assert_null(strstr(e.text, "hunter2"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_written_as_it_is),
        cmocka_unit_test(other_text_is_encoded),
        cmocka_unit_test(nothing_makes_a_line_of_its_own),
        cmocka_unit_test(answers_are_of_the_message_or_of_the_server),
        cmocka_unit_test(a_password_is_in_no_error),
        cmocka_unit_test(settings_say_how_much_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
