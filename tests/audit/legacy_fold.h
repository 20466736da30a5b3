/* Whether the topics of the legacy tables say what the tables themselves say (invariant 8). No I/O.
 * Of one key the records come in the log's order. One thread. */
#pragma once

#include "audit_fold.h"

struct legacy_fold;

struct legacy_fold *legacy_fold_create(void);
void legacy_fold_destroy(struct legacy_fold *f); /* takes NULL */

void legacy_fold_stock(struct legacy_fold *f, struct slice key, const struct stock *row); /* NULL: deleted */
void legacy_fold_movie(struct legacy_fold *f, struct slice key, const struct movie *row); /* NULL: deleted */

/* All rows of all tables, told after the topics: begin, and then each row that is not kept out. Columns are
 * as the database writes them; data NULL: null. Blanks at the end do not count: some types fill up with them.
 */
void legacy_fold_begin(struct legacy_fold *f);
void legacy_fold_row(struct legacy_fold *f, struct slice table, struct slice key, struct slice words,
                     struct slice number);

/* Rows of which a topic says something else than their table; names some. */
uint64_t legacy_fold_in_flight(const struct legacy_fold *f, struct buf *names);

/* Invariant 8. While others write, a topic may be behind its table. */
void legacy_fold_judge(const struct legacy_fold *f, struct audit *a, bool quiescent);
