/* A service's process from outside: its arguments, its exit codes and its log. */
#include "service/service.h"

#include "process/logger.h"
#include "testing/bank.h"

#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct service service = {
    .name = "bank",
    .topologies = (const struct topology *const[]){&bank_topology, NULL},
};

/* service_main() in a process of its own, with one setting; stdout and stderr come through *output. */
static pid_t spawn(const char *argument, const char *name, const char *value, FILE **output) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = {"bank", (char *)(uintptr_t)argument, NULL};
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        setenv("KAFKA_BROKERS", "127.0.0.1:1", 1); /* nobody is there */
        setenv("REGISTRY_URL", "http://127.0.0.1:1", 1);
        setenv("PORT", "0", 1);
        setenv(name, value, 1);
        int code = service_main(argument == NULL ? 1 : 2, argv, &service);
        fflush(NULL);
        _exit(code);
    }
    close(fds[1]);
    *output = fdopen(fds[0], "r");
    return pid;
}

static int exit_code(pid_t pid, FILE *output) {
    int status;
    fclose(output);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The first line that says it, which must come. */
static void await_line(FILE *output, const char *says, char *line, int size) {
    do {
        if (fgets(line, size, output) == NULL)
            fail_msg("the log ends without \"%s\"", says);
    } while (strstr(line, says) == NULL);
}

static void prints_its_topologies(void **state) {
    (void)state;
    char line[2000];
    FILE *output;
    pid_t pid = spawn("--topology", "SLOT", "0", &output);
    await_line(output, "{", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 0);
    assert_ptr_equal(strstr(line, "{\"service\":\"bank\",\"topologies\":[{\"name\":\"bank\","), line);
    assert_non_null(strstr(line, "}],\"deliveries\":[]}\n"));
}

/* As kafka-acls takes it. */
static void prints_what_it_may(void **state) {
    (void)state;
    char line[2000];
    FILE *output;
    pid_t pid = spawn("--acls", "SLOT", "0", &output);
    await_line(output, "--add --force --allow-principal User:bank --operation Read --topic ", line,
               sizeof line);
    assert_non_null(strstr(line, " --topic deposits"));
    await_line(output, "--add --force --allow-principal User:bank --operation Write --topic ", line,
               sizeof line);
    await_line(output, "--operation Read --group bank\n", line, sizeof line);
    await_line(output, "--resource-pattern-type prefixed --transactional-id bank-\n", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 0);
    pid = spawn("--acls=User:CN=bank", "SLOT", "0", &output);
    await_line(output, "--allow-principal User:CN=bank --operation Read --topic ", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 0);
    pid = spawn("--acls=bank", "SLOT", "0", &output);
    await_line(output, "usage", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 2);
}

static void knows_its_arguments(void **state) {
    (void)state;
    char line[2000];
    FILE *output;
    pid_t pid = spawn("--help", "SLOT", "0", &output);
    await_line(output, "usage: bank [--topology | --acls[=User:NAME] | --ready]", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 0);
    pid = spawn("--port=80", "SLOT", "0", &output);
    await_line(output, "usage", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 2);
}

static void a_bad_setting_is_named(void **state) {
    (void)state;
    char line[2000];
    FILE *output;
    pid_t pid = spawn(NULL, "SLOT", "first", &output);
    await_line(output, "SLOT: \\\"first\\\" is not an integer", line, sizeof line);
    assert_non_null(strstr(line, "\"level\":\"error\""));
    assert_int_equal(exit_code(pid, output), 78);
}

static void an_address_that_is_not_ours_is_named(void **state) {
    (void)state;
    char line[2000];
    FILE *output;
    pid_t pid = spawn(NULL, "LISTEN", "203.0.113.1", &output);
    await_line(output, "203.0.113.1", line, sizeof line);
    assert_int_equal(exit_code(pid, output), 78);
}

/* Everything is away: it waits, says so once, and ends cleanly when told to. */
static void waits_and_stops(void **state) {
    (void)state;
    char line[2000], dir[] = "/tmp/service_test.XXXXXX", command[100];
    FILE *output;
    assert_non_null(mkdtemp(dir));
    pid_t pid = spawn(NULL, "DATA_DIR", dir, &output);
    await_line(output, "listening on http://127.0.0.1:", line, sizeof line);
    await_line(output, "127.0.0.1:1", line, sizeof line); /* the registry */
    assert_non_null(strstr(line, "\"service\":\"bank\""));
    kill(pid, SIGTERM);
    await_line(output, "\"", line, sizeof line);
    assert_non_null(strstr(line, "stopping, by Terminated")); /* and no second line before it */
    assert_int_equal(exit_code(pid, output), 0);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- the log ---- */

static struct slice logged_trace;

/* "": nothing was. */
static const char *logged(const char *message) {
    static char line[4000];
    int fds[2], keep = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    logger_write_trace(LEVEL_WARN, logged_trace, "%s", message);
    dup2(keep, STDERR_FILENO);
    close(keep);
    close(fds[1]);
    ssize_t size = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    assert_true(size >= 0);
    line[size] = 0;
    if (size > 0)
        assert_ptr_equal(strchr(line, '\n'), line + size - 1); /* one line, whatever the message */
    return line;
}

static void the_log_is_json_lines(void **state) {
    (void)state;
    logger_init("bank", 3, LEVEL_INFO);
    const char *line = logged("a \"quoted\"\nmessage");
    assert_ptr_equal(strstr(line, "{\"time\":\"20"), line);
    assert_non_null(strstr(line, "Z\",\"level\":\"warn\",\"service\":\"bank\",\"instance\":3,"
                                 "\"message\":\"a \\\"quoted\\\"\\nmessage\"}\n"));
}

static void the_log_stays_valid_whatever_it_is_told(void **state) {
    (void)state;
    char text[3000];
    assert_non_null(strstr(logged("\xff\x01"), "\\u0001\"}"));
    for (size_t i = 0; i + 2 < sizeof text; i += 2) /* cut in the middle of a character */
        memcpy(text + i, "\xc3\xa9", 3);
    const char *line = logged(text);
    assert_true(strlen(line) < 2000);
    assert_non_null(strstr(line, "\"}\n"));
    for (const unsigned char *p = (const unsigned char *)line; *p != 0; p++)
        if (*p == 0xc3)
            assert_int_equal(p[1], 0xa9);
}

static void the_log_has_the_trace(void **state) {
    (void)state;
    static const char id[] = "0af7651916cd43dd8448eb211c80319c";
    char parent[60];
    logger_init("bank", 3, LEVEL_INFO);
    snprintf(parent, sizeof parent, "00-%s-b7ad6b7169203331-01", id);
    logged_trace = slice_of(parent);
    assert_non_null(strstr(logged("hello"), "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"message\""));
    const char *const none[] = {"", "00-", "00-0af7651916cd43dd8448eb211c80319c", "junk"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        logged_trace = slice_of(none[i]);
        assert_null(strstr(logged("hello"), "trace"));
    }
    parent[20] = '"'; /* from a stranger, and not hex */
    logged_trace = slice_of(parent);
    assert_null(strstr(logged("hello"), "trace"));
    logged_trace = SLICE_NONE;
}

static void what_is_below_the_level_is_not_logged(void **state) {
    (void)state;
    enum log_level level = LEVEL_INFO;
    assert_true(logger_level_of("error", &level));
    assert_int_equal(level, LEVEL_ERROR);
    assert_false(logger_level_of("loud", &level));
    assert_false(logger_level_of(NULL, &level));
    logger_init("bank", 3, level);
    assert_false(logger_wants(LEVEL_WARN));
    assert_true(logger_wants(LEVEL_ERROR));
    assert_string_equal(logged("warned"), "");
    logger_init("bank", 3, LEVEL_DEBUG);
    assert_non_null(strstr(logged("warned"), "warned"));
}

/* Standard error is a terminal while it writes. */
static const char *on_a_terminal(const char *message) {
    static char line[4000];
    int terminal, theirs, keep = dup(STDERR_FILENO);
    assert_int_equal(openpty(&terminal, &theirs, NULL, NULL, NULL), 0);
    dup2(theirs, STDERR_FILENO);
    logger_write_trace(LEVEL_WARN, logged_trace, "%s", message);
    dup2(keep, STDERR_FILENO);
    close(keep);
    ssize_t size = read(terminal, line, sizeof line - 1);
    close(theirs);
    close(terminal);
    assert_true(size > 0);
    line[size] = 0;
    return line;
}

static void people_get_a_line_for_people(void **state) {
    (void)state;
    logger_init("bank", 3, LEVEL_INFO);
    setenv("NO_COLOR", "1", 1);
    const char *line = on_a_terminal("a \"quoted\" message\033[2J\r\n");
    assert_int_equal(strlen(line), strlen("12:34:56.789 warn  bank-3  a \"quoted\" message [2J  \r\n"));
    assert_non_null(strstr(line, " warn  bank-3  a \"quoted\" message [2J  \r\n"));
    assert_null(strchr(line, 033));
    logged_trace = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_non_null(strstr(on_a_terminal("x"), "bank-3  x  trace 0af7651916cd43dd8448eb211c80319c\r\n"));
    logged_trace = SLICE_NONE;
    unsetenv("NO_COLOR");
    line = on_a_terminal("x");
    assert_ptr_equal(strstr(line, "\033[33m"), line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_its_topologies),
        cmocka_unit_test(prints_what_it_may),
        cmocka_unit_test(knows_its_arguments),
        cmocka_unit_test(a_bad_setting_is_named),
        cmocka_unit_test(an_address_that_is_not_ours_is_named),
        cmocka_unit_test(waits_and_stops),
        cmocka_unit_test(the_log_is_json_lines),
        cmocka_unit_test(the_log_stays_valid_whatever_it_is_told),
        cmocka_unit_test(the_log_has_the_trace),
        cmocka_unit_test(what_is_below_the_level_is_not_logged),
        cmocka_unit_test(people_get_a_line_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
