/* What `ps` and its --watch share. */
#pragma once

#include "cli/reach.h"
#include "cli/table.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* Of the last reach_ask() for dynos: 0 or -ENOMEM; table_done() is the caller's. */
int ps_table(struct reach *r, struct table *t);
/* What dynos do without where they are, a line each, once for all apps that answered the last
 * reach_ask(), whose answers are gone then; NULL: none had. The caller's. */
json_t *ps_missing(struct reach *r);
void ps_print_missing(const json_t *missing, FILE *out); /* behind the table */
int ps_code(struct reach *r); /* whether all are up: EXIT_OK or EXIT_NOT_RUNNING */

/* Until it is interrupted, or hsup ends. */
int ps_watch(struct reach *r, const struct options *o);
