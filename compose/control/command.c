#include "command.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNNING_MAX = 8, SAID_MAX = 64 << 10 };

struct command {
    atomic_int owners; /* who started it, and its thread */
    atomic_bool done;
    pid_t pid;
    int output, code;
    struct buf said;
    int64_t began_us, ended_us;
    pthread_mutex_t lock; /* over `ended` */
    void (*ended)(void *context);
    void *context;
};

static atomic_int running;

static void release(struct command *c) {
    if (atomic_fetch_sub(&c->owners, 1) > 1)
        return;
    pthread_mutex_destroy(&c->lock);
    buf_free(&c->said);
    free(c);
}

void command_release(struct command *c) {
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->ended = NULL;
    pthread_mutex_unlock(&c->lock);
    release(c);
}

bool command_done(const struct command *c) {
    return atomic_load(&c->done);
}

int command_code(const struct command *c) {
    return c->code;
}

struct slice command_said(const struct command *c) {
    return buf_slice(&c->said);
}

double command_seconds(const struct command *c) {
    return (double)(c->ended_us - c->began_us) / 1e6;
}

static void *listen_to(void *context) {
    struct command *c = context;
    char piece[4096];
    int status;
    ssize_t n;
    while ((n = read(c->output, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && c->said.size + (size_t)n <= SAID_MAX)
            buf_append_slice(&c->said, (struct slice){piece, (size_t)n});
    close(c->output);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    c->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    c->ended_us = clock_mono_us();
    atomic_fetch_sub(&running, 1);
    atomic_store(&c->done, true);
    pthread_mutex_lock(&c->lock);
    if (c->ended != NULL)
        c->ended(c->context);
    pthread_mutex_unlock(&c->lock);
    release(c);
    return NULL;
}

static bool spawn(struct command *c, char *const *argv, struct err *e) {
    int ends[2];
    sigset_t none;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(e, ERR_RETRY, "pipe: %s", strerror(errno));
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&files, "/");
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &none); /* the server's threads have all signals blocked */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
    int why = posix_spawn(&c->pid, argv[0], &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    c->output = ends[0];
    if (why != 0)
        close(ends[0]);
    return why == 0 || err_set(e, ERR_RETRY, "%s: %s", argv[0], strerror(why));
}

bool command_start(char *const *argv, void (*ended)(void *context), void *context, struct command **command,
                   struct err *e) {
    pthread_t thread;
    if (atomic_fetch_add(&running, 1) >= RUNNING_MAX) {
        atomic_fetch_sub(&running, 1);
        return err_set(e, ERR_RETRY, "%d commands run already", RUNNING_MAX);
    }
    struct command *c = xcalloc(1, sizeof *c);
    *c = (struct command){.began_us = clock_mono_us(), .ended = ended, .context = context};
    atomic_init(&c->owners, 2);
    pthread_mutex_init(&c->lock, NULL);
    if (!spawn(c, argv, e)) {
        atomic_fetch_sub(&running, 1);
        atomic_store(&c->owners, 1);
        release(c);
        return false;
    }
    if (pthread_create(&thread, NULL, listen_to, c) != 0)
        abort(); /* out of memory */
    pthread_detach(thread);
    *command = c;
    return true;
}
