/* A dyno as `ps` shows it, from what hsup answers. */
#pragma once

#include "cli/reach.h"
#include "cli/table.h"

/* Its state in one word: that of hsup, or "failed" when hsup has given up. */
const char *dyno_state(const json_t *dyno);
bool dyno_is_up(const json_t *dyno); /* up, and not said to be sick */

/* Why it is not up and what comes next, one line; "" = nothing to say. */
void dyno_note(const json_t *dyno, struct strbuf *ret);

extern const struct table dyno_columns; /* without rows */
void dyno_row(struct table *t, const struct app *app, const json_t *dyno);
/* Of an app that has no dynos to show. */
void dyno_row_of_app(struct table *t, const struct app *app);

/* What of it is worth to be told when it changes. The caller frees it. */
char *dyno_signature(const json_t *dyno);
