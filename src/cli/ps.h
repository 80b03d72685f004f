/* What `ps` and its --watch share. */
#pragma once

#include "cli/reach.h"
#include "cli/table.h"

#include <errno.h>

/* Of the last reach_ask() for dynos: 0 or -ENOMEM; table_done() is the caller's. */
int ps_table(struct reach *r, struct table *t);
int ps_code(struct reach *r); /* whether all are up: EXIT_OK or EXIT_NOT_RUNNING */

/* Until it is interrupted, or hsup ends. */
int ps_watch(struct reach *r, const struct options *o);
