/* A seed stands for one run: its trace is the same in a process of its own as behind all the others. */
#include "world.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEDS = 200, WORKLOADS = 3 };

static const struct workload *const workloads[WORKLOADS] = {&toy_workload, &kept_workload, &suite_workload};

/* The caller frees it. */
static char *trace_of(int seed, const struct workload *workload) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct buf why = {0};
    struct plan p;
    plan_make(&p, (uint64_t)seed, workload);
    world_run(&p, out, &why);
    buf_free(&why);
    if (fclose(out) != 0)
        abort();
    return text;
}

static char *trace_alone(int seed, const struct workload *workload) {
    int ends[2];
    if (pipe(ends) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        FILE *out = fdopen(ends[1], "w");
        bool ok = out != NULL && fputs(trace_of(seed, workload), out) >= 0 && fclose(out) == 0;
        _exit(ok ? 0 : 1);
    }
    close(ends[1]);
    struct buf text = {0};
    char piece[65536];
    for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;)
        buf_append(&text, piece, (size_t)n);
    close(ends[0]);
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        abort();
    buf_append(&text, "", 1);
    return text.data;
}

/* Prints the first line that is another one. */
static bool same(const char *alone, const char *behind) {
    if (strcmp(alone, behind) == 0)
        return true;
    while (*alone != 0 && strcspn(alone, "\n") == strcspn(behind, "\n") &&
           memcmp(alone, behind, strcspn(alone, "\n") + 1) == 0) {
        alone += strcspn(alone, "\n") + 1;
        behind += strcspn(behind, "\n") + 1;
    }
    printf("alone:         %.*s\nbehind others: %.*s\n", (int)strcspn(alone, "\n"), alone,
           (int)strcspn(behind, "\n"), behind);
    return false;
}

int main(void) {
    static char *alone[SEEDS][WORKLOADS]; /* before this process has run any itself */
    int differ = 0;
    for (int seed = 0; seed < SEEDS; seed++)
        for (int k = 0; k < WORKLOADS; k++)
            alone[seed][k] = trace_alone(seed, workloads[k]);
    for (int seed = 0; seed < SEEDS; seed++) {
        for (int k = 0; k < WORKLOADS; k++) {
            char *behind = trace_of(seed, workloads[k]);
            if (!same(alone[seed][k], behind)) {
                printf("^ simulation --seed %d --workload %s\n", seed, workloads[k]->name);
                differ++;
            }
            free(behind);
            free(alone[seed][k]);
        }
    }
    printf("%d of %d traces differ\n", differ, SEEDS * WORKLOADS);
    return differ == 0 ? 0 : 1;
}
