#include "legacy.h"

#include "base/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table may be gone, and a column too. What is kept out of the topics has a line in insideout.refused. */
#define COMMAND                                                                                              \
    "exec psql -XAtq -v ON_ERROR_STOP=1 \"$LEGACY_URL\" <<'END'\n"                                           \
    "SELECT format($$SELECT json_build_array(%L, regexp_replace(r ->> %L, %L, ''), r ->> %L, r ->> %L)"      \
    " FROM (SELECT to_jsonb(t) AS r FROM public.%I t) rows WHERE r ->> %L IS NOT NULL AND NOT EXISTS"        \
    " (SELECT FROM insideout.refused WHERE table_name = %L AND key = left(r ->> %L, 200))$$,"                \
    " name, key, zeros, words, number, name, key, name, key)"                                                \
    " FROM (VALUES ('stock', 'product_id', '$^', 'name', 'quantity'),"                                       \
    " ('movies', 'movie_id', '\\.0+$', 'title', 'release_year')) v (name, key, zeros, words, number)"        \
    " JOIN pg_class ON relname = name AND relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "  \
    "\\gexec\n"                                                                                              \
    "END\n"

static void release_json(json_t **j) {
    json_decref(*j);
}

static void release_text(char **text) {
    free(*text);
}

static struct slice column(const json_t *row, size_t n) {
    const json_t *value = json_array_get(row, n);
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static bool read_rows(FILE *rows, struct legacy_fold *f, struct err *err) {
    _cleanup_(release_text) char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, rows)) >= 0) {
        _cleanup_(release_json) json_t *row = json_loadb(line, (size_t)size, 0, NULL);
        if (json_array_size(row) != 4)
            return err_set(err, ERR_FATAL, "psql: not a row: %.80s", line);
        legacy_fold_row(f, column(row, 0), column(row, 1), column(row, 2), column(row, 3));
    }
    return true;
}

bool legacy_read(const char *url, struct legacy_fold *f, struct err *err) {
    setenv("LEGACY_URL", url, 1);
    FILE *rows = popen(COMMAND, "r");
    if (rows == NULL)
        return err_set(err, ERR_FATAL, "psql: %s", strerror(errno));
    legacy_fold_begin(f);
    bool ok = read_rows(rows, f, err);
    int status = pclose(rows);
    if (ok && status != 0)
        return err_set(err, ERR_RETRY, "the legacy database does not answer psql");
    return ok;
}
