/* The lines of the logs of one or more apps, on standard output. */
#pragma once

#include "cli/reach.h"

/* query: of /v1/logs, without names. */
int log_lines(struct reach *r, const struct options *o, const char *query);
